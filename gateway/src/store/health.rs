//! Whether a store answers: a breaker of which requests see one flag.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::sync::Notify;

use super::bulletin::Bulletin;
use crate::algorithms::breaker::{self, Breaker, Policy, Ticket, Transition, Verdict, WHOLE};
use crate::clock::Clock;
use crate::config::settings;
use crate::config::settings::store::{Access, Servers};
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
    /// It does not answer, and nobody asks it but the task that watches it; or requests try it again, and none of them
    /// was answered yet.
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

/// What was told of why a store is down.
#[derive(Debug, Default)]
struct Said {
    reason: Option<String>,
    /// Another reason was told than the first.
    is_amended: bool,
}

/// A store's health.
pub struct Health {
    name: Arc<str>,
    secrets: Secrets,
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
    /// Why it was told to be down last.
    said: Mutex<Said>,
    /// What is told of it.
    bulletin: Mutex<Bulletin>,
    /// An answer to a request would change that.
    awaits_answers: AtomicBool,
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
            secrets: Secrets::of(settings),
            events,
            series: Arc::clone(series),
            up: AtomicBool::new(true),
            generation: AtomicU32::new(breaker.generation()),
            died: AtomicU32::new(breaker.generation()),
            breaker: Mutex::new(breaker),
            reason: Mutex::default(),
            said: Mutex::default(),
            // Also what waits for a connection has failed after that.
            bulletin: Mutex::new(Bulletin::new(settings.command_timeout)),
            awaits_answers: AtomicBool::new(false),
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
        let _breaker = lock(&self.breaker);
        self.retired.store(true, Ordering::Relaxed);
        self.series.set_degraded(false);
        let learns = replaced && self.is_told_down();
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
        if self.is_told_down() { State::Degraded } else { State::Exact }
    }

    /// Since when it is given up, tries included that no request got an answer of; `None` while it is well.
    pub fn down_since(&self) -> Option<Instant> {
        lock(&self.bulletin).down_since()
    }

    /// Whether it is told to be given up.
    pub(super) fn is_told_down(&self) -> bool {
        self.down_since().is_some()
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

    /// It answered a call.
    pub(super) fn answered(&self, generation: u32) {
        let mut breaker = lock(&self.breaker);
        self.settle(&mut breaker, Ticket::plain(generation), Verdict::Success);
        if self.awaits_answers.load(Ordering::Relaxed) && speaks(&breaker, generation) {
            self.amend(Bulletin::answered);
            self.look(self.clock.now());
        }
    }

    /// It did not, or could not do what it was asked.
    pub(super) fn failed(&self, generation: u32, reason: &str) {
        self.note(reason);
        let mut breaker = lock(&self.breaker);
        if speaks(&breaker, generation) {
            let now = self.clock.now();
            self.amend(|bulletin| bulletin.failed(now));
        }
        self.settle(&mut breaker, Ticket::plain(generation), Verdict::Failure);
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
        let reason = with_remedy(reason, self.secrets);
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
        let mut breaker = lock(&self.breaker);
        let now = self.clock.now();
        let is_contradicted = || lock(&self.bulletin).is_unanswered(now);
        let verdict = match outcome {
            Err(_) => Verdict::Failure,
            // Requests whose calls fail are not well for its sake.
            Ok(()) if breaker.state() == breaker::State::Closed && is_contradicted() => Verdict::Neutral,
            Ok(()) => Verdict::Success,
        };
        self.settle(&mut breaker, ticket, verdict);
        if outcome.is_err() {
            self.say_otherwise(now);
        }
        self.look(now);
    }

    /// What brings a store down is often that requests wait in vain, and only who looks after it hears why: then the
    /// reason is told once more, and no other for as long as it is down. Called under the breaker's lock.
    fn say_otherwise(&self, now: Instant) {
        if !self.is_told_down() || self.is_retired() {
            return;
        }
        let reason = self.last_failure().map(|(_, reason)| reason);
        let mut said = lock(&self.said);
        if !said.is_amended && said.reason != reason {
            *said = Said { reason: reason.clone(), is_amended: true };
            drop(said);
            self.tell("degraded", reason, now);
        }
    }

    /// Whether it is told to be down; and why, as it was told.
    pub(super) fn told(&self) -> (bool, Option<String>) {
        (self.is_told_down(), lock(&self.said).reason.clone())
    }

    fn settle(&self, breaker: &mut Breaker, ticket: Ticket, verdict: Verdict) {
        let transition = breaker.settle(ticket, verdict, self.clock.now());
        self.after(breaker, transition);
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

    /// Shows a change to requests, and tells of it. Called under the breaker's lock.
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
        let at = transition.at;
        if up {
            self.came_back(at);
            self.amend(|bulletin| bulletin.rose(at));
        } else if self.amend(|bulletin| bulletin.fell(at)) && !self.is_retired() {
            self.series.set_degraded(true);
            let reason = lock(&self.reason).as_ref().map(|(_, reason)| reason.clone());
            *lock(&self.said) = Said { reason: reason.clone(), is_amended: false };
            self.tell("degraded", reason, at);
        }
    }

    /// Tells that it is well again, where that is due. Called under the breaker's lock.
    fn look(&self, now: Instant) {
        if self.amend(|bulletin| bulletin.heals(now)) && !self.is_retired() {
            self.series.set_degraded(false);
            self.tell("healed", None, now);
        }
    }

    fn amend<T>(&self, change: impl FnOnce(&mut Bulletin) -> T) -> T {
        let mut bulletin = lock(&self.bulletin);
        let changed = change(&mut bulletin);
        self.awaits_answers.store(bulletin.awaits_answers(), Ordering::Relaxed);
        changed
    }

    fn tell(&self, mode: &'static str, reason: Option<String>, at: Instant) {
        self.told.store(true, Ordering::Relaxed);
        let event = Event::Store { store: Arc::clone(&self.name), mode, reason };
        self.events.report(self.clock.monotonic_ns(at), event);
    }
}

/// Whether what was asked for in this generation says anything of how requests fare now.
fn speaks(breaker: &Breaker, generation: u32) -> bool {
    breaker.state() == breaker::State::Closed && breaker.generation() == generation
}

/// What its servers are told, to be let in.
#[derive(Debug, Clone, Copy)]
struct Secrets {
    /// They are found by sentinels.
    by_sentinels: bool,
    /// The servers, and the sentinels, are told a password.
    password: bool,
    sentinel_password: bool,
}

impl Secrets {
    fn of(settings: &settings::Store) -> Self {
        let Access { password, sentinel_password, .. } = &settings.access;
        Self {
            by_sentinels: matches!(settings.servers, Servers::Sentinels(..)),
            password: password.is_some(),
            sentinel_password: sentinel_password.is_some(),
        }
    }
}

/// The reason, and what to do about it where it is that the store lets nobody in, or that its sentinels lead nowhere.
fn with_remedy(reason: &str, secrets: Secrets) -> Cow<'_, str> {
    // So says the client of any master that the sentinels know and that is not up, as between its death and a vote.
    if reason.contains("MasterNameNotFoundBySentinel") || reason.contains("Master with given name not found") {
        let remedy =
            "its sentinels know no master of that name that is up: a fail-over is under way, or the name is another";
        return format!("{remedy} ({reason})").into();
    }
    // Redis' own words have it in several forms; of a long command before a password it says "unauthenticated" alone.
    let is_refused = ["NOAUTH", "WRONGPASS", "uthenticat"].iter().any(|word| reason.contains(word));
    if !is_refused {
        return reason.into();
    }
    let Secrets { by_sentinels, password, sentinel_password } = secrets;
    // Who was told a password does not ask for one: it is the other that does.
    let is_asked_for = reason.contains("NOAUTH");
    // A server that is full says so in answer to the password; of its words the client leaves only that it refused.
    let may_be_full = reason.contains("Password authentication failed");
    let remedy = match (by_sentinels, password, sentinel_password) {
        (true, true, false) if is_asked_for => {
            "its sentinels want a password: `sentinel_password_env` names its variable"
        }
        (true, false, false) => {
            "its sentinels or their master want a password: `sentinel_password_env`, `password_env`"
        }
        (true, _, true) if may_be_full => {
            "it or its sentinels refuse a password (`password_env`, `sentinel_password_env`), or are full (`maxclients`)"
        }
        (_, true, _) if may_be_full => "it refuses the password of `password_env`, or is full (`maxclients`)",
        (_, true, _) => "it does not take the password that `password_env` leads to",
        (_, false, _) => "it wants a password: `password_env` names the environment variable that has it",
    };
    format!("{remedy} ({reason})").into()
}

#[cfg(test)]
mod tests;
