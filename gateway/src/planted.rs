//! Bugs that are planted on purpose, so that what looks for bugs can be tested: only with the feature `planted-bugs`,
//! which no default build has.
//!
//! A bug holds for the thread that planted it, which is where a simulated world lives; other tests see nothing of it.

use std::cell::Cell;

use crate::algorithms::breaker::{Policy, State, Verdict};

/// What is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// One single attempt passes a breaker that is open.
    OneLeaks,
    /// Half-open, one probe too many passes.
    OneProbeTooMany,
    /// No good probe counts, so that a breaker that opened never closes again.
    NeverCloses,
}

thread_local! {
    static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
}

/// Breaks the gateways of this thread so from now on; `None` mends them.
pub fn plant(bug: Option<Bug>) {
    PLANTED.set(bug);
}

/// Whether an attempt may pass this breaker by mistake.
pub(crate) fn leaks(state: State) -> bool {
    state == State::Open && PLANTED.get() == Some(Bug::OneLeaks)
}

/// It has passed, and no other will.
pub(crate) fn has_leaked() {
    PLANTED.set(None);
}

/// The policy that a breaker is given.
pub(crate) fn policy(policy: Policy) -> Policy {
    let more = u32::from(PLANTED.get() == Some(Bug::OneProbeTooMany));
    Policy { probes: policy.probes + more, ..policy }
}

/// What a breaker is told of an attempt.
pub(crate) fn verdict(is_probe: bool, verdict: Verdict) -> Verdict {
    let unheard = is_probe && PLANTED.get() == Some(Bug::NeverCloses);
    if unheard && verdict == Verdict::Success { Verdict::Neutral } else { verdict }
}
