//! Whether a store answers: a breaker of which requests see one flag.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::sync::Notify;

use crate::algorithms::breaker::{self, Breaker, Policy, Ticket, Transition, Verdict, WHOLE};
use crate::clock::Clock;
use crate::config::settings;
use crate::locked::lock;
use crate::telemetry::events::{Event, Events};
use crate::telemetry::metrics::StoreSeries;

/// More outcomes than come in any window: shares of failures trip nothing.
const NEVER: u32 = u32::MAX;
/// Longer reasons are cut.
const REASON: usize = 200;

/// How limits work on a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Each request asks it.
    Exact,
    /// It does not answer, and nobody asks it but the task that watches it.
    Degraded,
}

impl State {
    /// As written by the admin API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Degraded => "degraded",
        }
    }
}

/// A store's health.
pub struct Health {
    name: Arc<str>,
    /// It is told a password.
    has_password: bool,
    clock: Clock,
    events: Arc<Events>,
    series: Arc<StoreSeries>,
    breaker: Mutex<Breaker>,
    /// The breaker is closed.
    up: AtomicBool,
    generation: AtomicU32,
    /// The generation in which it last counted as dead.
    died: AtomicU32,
    reason: Mutex<Option<(Instant, String)>>,
    /// When it was given up, while it is.
    down_since: Mutex<Option<Instant>>,
    /// When it was last there again, after it may have been away; nanoseconds.
    back_at: AtomicU64,
    /// Somebody was told how it fares.
    told: AtomicBool,
    /// Another store has its name, or none: what is written under that is not its own any more.
    retired: AtomicBool,
    /// Wakes the task that watches the store.
    pub(super) hint: Arc<Notify>,
}

impl Health {
    pub(super) fn new(
        settings: &settings::Store,
        clock: Clock,
        events: Arc<Events>,
        series: &Arc<StoreSeries>,
    ) -> Self {
        let policy = Policy {
            window: settings.open_for,
            min_requests: NEVER,
            failure_share: WHOLE,
            consecutive_failures: Some(settings.consecutive_failures),
            slow_share: None,
            open_for: settings.open_for,
            // It is one small command of one task: there is no reason to ask ever more seldom.
            max_open_for: settings.open_for,
            probes: 1,
            probe_timeout: settings.connect_timeout + 2 * settings.command_timeout,
        };
        let breaker = Breaker::new(policy, clock.now());
        series.set_degraded(false);
        Self {
            name: Arc::clone(&settings.name),
            has_password: settings.password.is_some(),
            events,
            series: Arc::clone(series),
            up: AtomicBool::new(true),
            generation: AtomicU32::new(breaker.generation()),
            died: AtomicU32::new(breaker.generation()),
            breaker: Mutex::new(breaker),
            reason: Mutex::default(),
            down_since: Mutex::default(),
            told: AtomicBool::new(false),
            retired: AtomicBool::new(false),
            hint: Arc::default(),
            // Another one may have had its name before.
            back_at: AtomicU64::new(clock.monotonic_ns(clock.now())),
            clock,
        }
    }

    /// A reload put another store in its place, or none. Requests from before may ask it yet; nobody is told any more
    /// how it fares. `replaced`: who was told that it is dead learns that its name is in use again.
    /// Whether somebody did.
    pub(super) fn retire(&self, replaced: bool) -> bool {
        // Changes are told under the lock: none is told after this.
        let breaker = lock(&self.breaker);
        self.retired.store(true, Ordering::Relaxed);
        self.series.set_degraded(false);
        let learns = replaced && breaker.state() != breaker::State::Closed;
        if learns {
            self.tell("healed", None, self.clock.now());
        }
        learns
    }

    /// Whether somebody else has its name.
    pub(super) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Relaxed)
    }

    /// Whether anybody is to ask the store.
    #[inline]
    pub fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    /// How limits work on it.
    pub fn state(&self) -> State {
        if self.is_up() { State::Exact } else { State::Degraded }
    }

    /// Since when nobody asks it but the task that watches it; `None` while it is well.
    pub fn down_since(&self) -> Option<Instant> {
        *lock(&self.down_since)
    }

    /// When and why it last failed.
    pub fn last_failure(&self) -> Option<(Instant, String)> {
        lock(&self.reason).clone()
    }

    /// When it was last there again after it may have been away: it was given up, its connection was lost, or it is
    /// new. What it was told before it may have forgotten. In nanoseconds.
    #[inline]
    pub fn back_at(&self) -> u64 {
        self.back_at.load(Ordering::Relaxed)
    }

    /// For how long it has been there since, nanoseconds.
    pub(super) fn there_for(&self) -> u64 {
        self.clock.monotonic_ns(self.clock.now()).saturating_sub(self.back_at())
    }

    /// It is there, and may have been away.
    pub(super) fn came_back(&self, at: Instant) {
        self.back_at.fetch_max(self.clock.monotonic_ns(at), Ordering::Relaxed);
    }

    /// Outcomes are told with the number that held when they were asked for.
    pub(super) fn generation(&self) -> u32 {
        self.generation.load(Ordering::Relaxed)
    }

    /// Whether what is of this generation began after the store last counted as dead.
    pub(super) fn has_lived_since(&self, generation: u32) -> bool {
        generation.wrapping_sub(self.died.load(Ordering::Relaxed)) <= u32::MAX / 2
    }

    /// It answered.
    pub(super) fn answered(&self, generation: u32) {
        self.settle(Ticket::plain(generation), Verdict::Success);
    }

    /// It did not, or could not do what it was asked.
    pub(super) fn failed(&self, generation: u32, reason: &str) {
        self.note(reason);
        self.settle(Ticket::plain(generation), Verdict::Failure);
    }

    /// It answered what had been given up. If it counts as dead, it is asked again at once: it may have hung for a
    /// moment only.
    pub(super) fn answered_late(&self) {
        if !self.is_up() {
            lock(&self.breaker).hasten(self.clock.now());
            self.hint.notify_one();
        }
    }

    fn note(&self, reason: &str) {
        let reason = with_remedy(reason, self.has_password);
        let reason = reason.chars().filter(|c| !c.is_control()).take(REASON).collect();
        *lock(&self.reason) = Some((self.clock.now(), reason));
    }

    /// When a dead store is to be asked again; `None` while it is well.
    pub(super) fn next_probe(&self) -> Option<Instant> {
        lock(&self.breaker).deadline()
    }

    /// Leave to ask it once more, for the task that watches it; `None`: not yet.
    pub(super) fn probe(&self) -> Option<Ticket> {
        let mut breaker = lock(&self.breaker);
        let (ticket, transition) = breaker.admit(self.clock.now());
        self.after(&breaker, transition);
        ticket
    }

    /// What came of that.
    pub(super) fn probed(&self, ticket: Ticket, outcome: Result<(), &str>) {
        if let Err(reason) = outcome {
            self.note(reason);
        }
        self.settle(ticket, if outcome.is_ok() { Verdict::Success } else { Verdict::Failure });
    }

    fn settle(&self, ticket: Ticket, verdict: Verdict) {
        let mut breaker = lock(&self.breaker);
        let transition = breaker.settle(ticket, verdict, self.clock.now());
        self.after(&breaker, transition);
        if verdict == Verdict::Success && !self.told.load(Ordering::Relaxed) {
            self.begins_well();
        }
    }

    /// Its first answer, before which nobody knew whether it is there at all.
    #[cold]
    fn begins_well(&self) {
        if self.is_up() && !self.is_retired() {
            self.tell("exact", None, self.clock.now());
        }
    }

    /// Shows a change to requests, and tells of it.
    fn after(&self, breaker: &Breaker, transition: Option<Transition>) {
        let Some(transition) = transition else { return };
        self.generation.store(breaker.generation(), Ordering::Relaxed);
        if transition.to == breaker::State::Open {
            self.died.store(breaker.generation(), Ordering::Relaxed);
        }
        let up = breaker.state() == breaker::State::Closed;
        if self.up.swap(up, Ordering::Relaxed) == up {
            return;
        }
        *lock(&self.down_since) = (!up).then_some(transition.at);
        if up {
            self.came_back(transition.at);
        }
        if self.is_retired() {
            return;
        }
        self.series.set_degraded(!up);
        let reason = lock(&self.reason).as_ref().filter(|_| !up).map(|(_, reason)| reason.clone());
        self.tell(if up { "healed" } else { "degraded" }, reason, transition.at);
    }

    fn tell(&self, mode: &'static str, reason: Option<String>, at: Instant) {
        self.told.store(true, Ordering::Relaxed);
        let event = Event::Store { store: Arc::clone(&self.name), mode, reason };
        self.events.report(self.clock.monotonic_ns(at), event);
    }
}

/// The reason, and what to do about it where it is that the store lets nobody in.
fn with_remedy(reason: &str, has_password: bool) -> Cow<'_, str> {
    // Redis' own words have it in several forms; of a long command before a password it says "unauthenticated" alone.
    let is_refused = ["NOAUTH", "WRONGPASS", "uthenticat"].iter().any(|word| reason.contains(word));
    match has_password {
        _ if !is_refused => reason.into(),
        true => format!("it does not take the password that `password_env` leads to ({reason})").into(),
        false => {
            format!("it wants a password: `password_env` names the environment variable that has it ({reason})").into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_lets_nobody_in_is_told_with_the_remedy_and_its_own_words() {
        let long = "ResponseError: Protocol error: unauthenticated multibulk length";
        for own in
            [long, "\"NOAUTH\": Authentication required.", "Password authentication failed - AuthenticationFailed"]
        {
            let [none, wrong] = [false, true].map(|has_password| with_remedy(own, has_password));
            assert!(none.starts_with("it wants a password: `password_env` names") && none.contains(own), "{none}");
            assert!(wrong.starts_with("it does not take the password") && wrong.contains(own), "{wrong}");
            assert!(none.chars().count() < REASON, "nothing of it is cut: {none}");
        }
        for other in ["no answer in time", "\"NOPERM\": this user has no permissions", "connection refused"] {
            assert_eq!(with_remedy(other, false), other);
        }
    }
}
