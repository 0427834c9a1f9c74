//! What is counted for a rate limit: its decisions.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::shards::Shards;

/// What a rule decided about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LimitDecision {
    /// Its tokens were taken.
    Admitted,
    /// There were not enough.
    Refused,
    /// There were not enough, but the rule only watches.
    ShadowRefused,
    /// Its tokens were given back, since another rule refused.
    Refunded,
    /// Its store is down, and the rule says open.
    Open,
    /// Its store is down, and the rule says closed.
    Closed,
}

impl LimitDecision {
    /// Every decision, in the order of their numbers.
    pub const ALL: [Self; 6] =
        [Self::Admitted, Self::Refused, Self::ShadowRefused, Self::Refunded, Self::Open, Self::Closed];

    /// As written in metrics and events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admitted => "admitted",
            Self::Refused => "refused",
            Self::ShadowRefused => "shadow_refused",
            Self::Refunded => "refunded",
            Self::Open => "open",
            Self::Closed => "closed",
        }
    }
}

/// The series of one rule.
#[derive(Debug)]
pub struct LimitSeries {
    name: Arc<str>,
    shards: Shards<[AtomicU64; LimitDecision::ALL.len()]>,
}

impl LimitSeries {
    pub(super) fn new(name: Arc<str>, workers: usize) -> Self {
        Self { name, shards: Shards::new(workers) }
    }

    /// The rule's name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Counts a decision.
    #[inline]
    pub fn decided(&self, worker: usize, decision: LimitDecision) {
        let (counts, alone) = self.shards.own(worker);
        alone.bump(&counts[decision as usize], 1);
    }

    /// The sum over all workers, in the order of [`LimitDecision::ALL`].
    pub fn totals(&self) -> [u64; LimitDecision::ALL.len()] {
        let mut totals = [0; LimitDecision::ALL.len()];
        for counts in self.shards.used() {
            for (total, count) in totals.iter_mut().zip(counts) {
                *total += count.load(Ordering::Relaxed);
            }
        }
        totals
    }
}
