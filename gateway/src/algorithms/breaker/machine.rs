//! The machine: states, what moves between them, and when.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::row::Row;
use super::window::Window;
use super::{Cause, Counts, Head, Mode, Policy, State, Ticket, Transition, Verdict, WHOLE};

/// A breaker. Time comes in with each call, and never runs backwards by more than callers differ in reading it.
#[derive(Debug, Clone)]
pub struct Breaker {
    policy: Policy,
    mode: Mode,
    phase: Phase,
    /// Changes with each change of state, so that outcomes of an older state are known.
    generation: u32,
    window: Window,
    row: Row,
    /// Openings in a row.
    openings: u32,
    /// Those before it closed, as long as it is closed: its probes may yet break off.
    recovered: Option<Recovered>,
    /// Somebody checks the endpoint, and a check may take so long: no probe passes before one did well.
    checked: Option<Duration>,
}

/// What probes closed.
#[derive(Debug, Clone, Copy)]
struct Recovered {
    /// That of the probes.
    generation: u32,
    openings: u32,
}

#[derive(Debug, Clone)]
enum Phase {
    Closed,
    /// `None`: until an operator says otherwise.
    Open(Option<Instant>),
    HalfOpen(Probing),
}

#[derive(Debug, Clone, Default)]
struct Probing {
    /// Probes that did well; always fewer than are asked for.
    passed: u32,
    /// Probes under way, oldest first. Their times may be up in another order, since a policy with another time may
    /// come.
    running: VecDeque<Probe>,
    next: u32,
    /// A check has to do well first; without an outcome until then it has failed.
    awaiting_check: Option<Instant>,
}

/// A probe under way.
#[derive(Debug, Clone)]
struct Probe {
    /// They grow.
    number: u32,
    /// When its time began, and when it is up.
    given: Instant,
    due: Instant,
    /// Since when nobody but the endpoint is waited for; `None` while its client is.
    alone: Option<Instant>,
}

impl Breaker {
    /// A closed breaker that has seen nothing.
    pub fn new(policy: Policy, now: Instant) -> Self {
        let window = Window::new(policy.window, now);
        Self {
            policy,
            mode: Mode::Auto,
            phase: Phase::Closed,
            generation: 0,
            window,
            row: Row::default(),
            openings: 0,
            recovered: None,
            checked: None,
        }
    }

    /// Another policy from now on. The state stays, unless nothing can trip it any more: then it closes, where no
    /// operator holds it. Counts stay unless the window has another length; an opening is never longer from now than
    /// the new policy has it, and where fewer probes are asked for than did well already, one more decides.
    pub fn configure(&mut self, policy: Policy, now: Instant) -> Option<Transition> {
        if policy.window != self.policy.window {
            self.window = self.window.after(policy.window, now);
        }
        self.policy = policy;
        if !policy.can_trip() && self.mode == Mode::Auto && self.state() != State::Closed {
            return Some(self.enter(Phase::Closed, Cause::Operator, now));
        }
        let longest = self.opening_time();
        match &mut self.phase {
            Phase::Open(Some(until)) => *until = (*until).min(now + longest),
            Phase::HalfOpen(probing) => probing.passed = probing.passed.min(policy.probes.saturating_sub(1)),
            Phase::Closed | Phase::Open(None) => {}
        }
        None
    }

    /// The policy in force.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The state as of the last call that was told the time.
    pub fn state(&self) -> State {
        match self.phase {
            Phase::Closed => State::Closed,
            Phase::Open(_) => State::Open,
            Phase::HalfOpen(_) => State::HalfOpen,
        }
    }

    /// Who decides.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Changes with each change of state.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// What the window holds.
    pub fn counts(&mut self, now: Instant) -> Counts {
        let (requests, failures, slow) = self.window.totals(now);
        Counts { requests, failures, slow, consecutive: self.row.failures() }
    }

    /// When time alone changes something: an opening ends, or a probe runs out of time.
    pub fn deadline(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Closed => None,
            Phase::Open(until) => *until,
            Phase::HalfOpen(probing) => {
                probing.awaiting_check.or_else(|| probing.running.iter().map(|probe| probe.due).min())
            }
        }
    }

    /// Something speaks for its being well again: an opening that is to end by itself ends now, with probes.
    pub fn hasten(&mut self, now: Instant) {
        if let Phase::Open(Some(until)) = &mut self.phase {
            *until = (*until).min(now);
        }
    }

    /// Says whether somebody checks the endpoint, from now on, and how long a check may take.
    pub fn set_checked(&mut self, checked: Option<Duration>) {
        self.checked = checked;
        if let (Phase::HalfOpen(probing), None) = (&mut self.phase, checked) {
            probing.awaiting_check = None;
        }
    }

    /// A check of the endpoint came out. It speaks where one is awaited, and was before it came; elsewhere requests do.
    pub fn observe_check(&mut self, good: bool, now: Instant) -> Option<Transition> {
        let transition = self.tick(now);
        let Phase::HalfOpen(probing) = &mut self.phase else { return transition };
        if transition.is_some() || probing.awaiting_check.is_none() {
            return transition;
        }
        probing.awaiting_check = None;
        (!good).then(|| self.open(Cause::CheckFailed, now))
    }

    /// Whether an attempt would be let through now.
    pub fn has_room(&self) -> bool {
        match &self.phase {
            Phase::Closed => true,
            Phase::Open(_) => false,
            Phase::HalfOpen(probing) => probing.has_room(&self.policy),
        }
    }

    /// Does what time alone does.
    pub fn tick(&mut self, now: Instant) -> Option<Transition> {
        let due = self.deadline().filter(|deadline| *deadline <= now)?;
        match self.phase {
            Phase::Closed => None,
            Phase::Open(_) => {
                let awaiting_check = self.checked.map(|takes| due + takes.max(self.policy.probe_timeout));
                Some(self.enter(Phase::HalfOpen(Probing { awaiting_check, ..Probing::default() }), Cause::Timer, due))
            }
            Phase::HalfOpen(_) => self.time_out(now),
        }
    }

    /// The check that was awaited has not come, or probes' time is up. One whose endpoint had half of that time has
    /// failed. Of any other only the place is free again: it was its client that took the time.
    fn time_out(&mut self, now: Instant) -> Option<Transition> {
        let Phase::HalfOpen(probing) = &mut self.phase else { return None };
        if let Some(at) = probing.awaiting_check {
            return Some(self.open(Cause::CheckFailed, at));
        }
        let mut failed = None;
        while failed.is_none()
            && let Some(probe) = probing.take_due(now)
        {
            failed = probe.has_failed().then_some(probe.due);
        }
        failed.map(|at| self.open(Cause::ProbeTimeout, at))
    }

    /// Leave for one attempt, if there is any; every ticket comes back through `settle` or `release`.
    pub fn admit(&mut self, now: Instant) -> (Option<Ticket>, Option<Transition>) {
        let transition = self.tick(now);
        let probe_timeout = self.policy.probe_timeout;
        let ticket = match &mut self.phase {
            Phase::Closed => Some(Ticket::plain(self.generation)),
            Phase::HalfOpen(probing) if probing.has_room(&self.policy) => {
                let number = probing.next;
                probing.next += 1;
                let due = now + probe_timeout;
                probing.running.push_back(Probe { number, given: now, due, alone: Some(now) });
                Some(Ticket { probe: Some(number), ..Ticket::plain(self.generation) })
            }
            Phase::Open(_) | Phase::HalfOpen(_) => None,
        };
        (ticket, transition)
    }

    /// An attempt came to its outcome, of which nothing can break off any more.
    #[inline]
    pub fn settle(&mut self, mut ticket: Ticket, verdict: Verdict, now: Instant) -> Option<Transition> {
        self.settle_head(&mut ticket, verdict, now)
    }

    /// An attempt came to its outcome by its answer's head. What breaks off behind that comes back through `break_off`,
    /// with what the ticket is from now on.
    #[inline]
    pub fn settle_head(&mut self, ticket: &mut Ticket, verdict: Verdict, now: Instant) -> Option<Transition> {
        if matches!(self.phase, Phase::Closed) && ticket.generation == self.generation {
            return self.count(ticket, verdict, now);
        }
        let transition = self.tick(now);
        if transition.is_some() || ticket.generation != self.generation {
            return transition;
        }
        self.judge_probe(ticket, verdict, now)
    }

    /// An answer that counted as a success broke off behind its head: it was a failure after all, and so was a probe.
    pub fn break_off(&mut self, ticket: Ticket, now: Instant) -> Option<Transition> {
        let transition = self.tick(now);
        if transition.is_some() || self.mode != Mode::Auto {
            return transition;
        }
        let head = ticket.head?;
        let is_fresh = self.window.reaches_back_to(head.bucket, now);
        let is_own = ticket.generation == self.generation;
        match (&self.phase, ticket.probe) {
            (Phase::Closed, None) if is_own => self.turn(head, is_fresh, now),
            (Phase::HalfOpen(_), Some(_)) if is_own && is_fresh => Some(self.open(Cause::ProbeFailed, now)),
            (Phase::Closed, Some(_)) if is_fresh => self.relapse(ticket, now),
            _ => None,
        }
    }

    /// An attempt ended without an outcome; a probe's place is free again.
    pub fn release(&mut self, ticket: Ticket) {
        if let (Phase::HalfOpen(probing), Some(number)) = (&mut self.phase, ticket.probe)
            && ticket.generation == self.generation
        {
            probing.end(number);
        }
    }

    /// An attempt waits for its client to send more, or no longer does.
    pub fn wait_for_client(&mut self, ticket: Ticket, waits: bool, now: Instant) {
        if let (Phase::HalfOpen(probing), Some(number)) = (&mut self.phase, ticket.probe)
            && ticket.generation == self.generation
            && let Some(place) = probing.place(number)
        {
            probing.running[place].alone = (!waits).then_some(now);
        }
    }

    /// Puts an operator's will in force. `Auto` after `Open` begins with probes, where anything can trip it; after
    /// `Closed` it begins to count.
    pub fn force(&mut self, mode: Mode, now: Instant) -> Option<Transition> {
        let before = std::mem::replace(&mut self.mode, mode);
        let phase = match (mode, before) {
            (Mode::Open, _) => Phase::Open(None),
            (Mode::Auto, Mode::Open) if self.policy.can_trip() => Phase::HalfOpen(Probing::default()),
            (Mode::Closed, _) | (Mode::Auto, Mode::Open) => Phase::Closed,
            (Mode::Auto, _) => return None,
        };
        let same = matches!((&phase, &self.phase), (Phase::Closed, Phase::Closed) | (Phase::Open(_), Phase::Open(_)));
        if same {
            // Nothing is seen to change, but what was counted, and the end of an opening, hold no more.
            self.begin(phase);
            return None;
        }
        Some(self.enter(phase, Cause::Operator, now))
    }

    #[inline]
    fn count(&mut self, ticket: &mut Ticket, verdict: Verdict, now: Instant) -> Option<Transition> {
        if self.mode != Mode::Auto || verdict == Verdict::Neutral {
            return None;
        }
        let failure = verdict == Verdict::Failure;
        self.row.add(failure);
        let bucket = self.window.add(now, failure, verdict == Verdict::Slow);
        if !failure {
            ticket.head = Some(Head { place: self.row.place(), bucket });
        }
        self.trip_if_due(now)
    }

    /// What counted as a success is a failure after all: among those of the window, and where it still is in that, in
    /// its place in the row.
    fn turn(&mut self, head: Head, is_fresh: bool, now: Instant) -> Option<Transition> {
        if is_fresh {
            self.row.turn(head.place);
        }
        self.window.turn(now);
        self.trip_if_due(now)
    }

    /// A probe of those that closed it was none: it opens as if that had been known in time.
    fn relapse(&mut self, probe: Ticket, now: Instant) -> Option<Transition> {
        let recovered = self.recovered.filter(|recovered| recovered.generation == probe.generation)?;
        self.openings = recovered.openings;
        Some(self.open(Cause::ProbeFailed, now))
    }

    /// Opens if that is due by what has just been counted.
    #[inline]
    fn trip_if_due(&mut self, now: Instant) -> Option<Transition> {
        let (requests, failures, slow) = self.window.counted();
        let reached = |count: u32, share: u32| {
            requests >= self.policy.min_requests
                && u64::from(count) * u64::from(WHOLE) >= u64::from(share) * u64::from(requests)
        };
        let cause = if self.policy.consecutive_failures.is_some_and(|most| self.row.failures() >= most) {
            Cause::ConsecutiveFailures
        } else if reached(failures, self.policy.failure_share) {
            Cause::FailureRatio
        } else if self.policy.slow_share.is_some_and(|share| reached(slow, share)) {
            Cause::SlowRatio
        } else {
            return None;
        };
        Some(self.open(cause, now))
    }

    fn judge_probe(&mut self, ticket: &mut Ticket, verdict: Verdict, now: Instant) -> Option<Transition> {
        let Phase::HalfOpen(probing) = &mut self.phase else { return None };
        // One whose place was given up meanwhile has an outcome all the same.
        probing.end(ticket.probe?);
        match verdict {
            Verdict::Neutral => None,
            Verdict::Failure => Some(self.open(Cause::ProbeFailed, now)),
            Verdict::Slow if self.policy.slow_share.is_some() => Some(self.open(Cause::ProbeSlow, now)),
            Verdict::Success | Verdict::Slow => {
                probing.passed += 1;
                let enough = probing.passed >= self.policy.probes;
                // It has no place in a row: what counts begins when it is closed.
                ticket.head = Some(Head { place: 0, bucket: self.window.number(now) });
                enough.then(|| self.recover(now))
            }
        }
    }

    fn recover(&mut self, now: Instant) -> Transition {
        let recovered = Recovered { generation: self.generation, openings: self.openings };
        let transition = self.enter(Phase::Closed, Cause::ProbesPassed, now);
        self.recovered = Some(recovered);
        transition
    }

    /// Opens for twice as long as the last time in this row.
    fn open(&mut self, cause: Cause, now: Instant) -> Transition {
        self.openings = self.openings.saturating_add(1);
        let until = now + self.opening_time();
        self.enter(Phase::Open(Some(until)), cause, now)
    }

    /// How long the last opening of this row is by the policy.
    fn opening_time(&self) -> Duration {
        let Policy { open_for, max_open_for, .. } = self.policy;
        let factor = 1_u32.checked_shl(self.openings.saturating_sub(1)).unwrap_or(u32::MAX);
        open_for.checked_mul(factor).unwrap_or(Duration::MAX).min(max_open_for)
    }

    fn enter(&mut self, phase: Phase, cause: Cause, at: Instant) -> Transition {
        let (from, counts) = (self.state(), self.counts(at));
        self.begin(phase);
        Transition { from, to: self.state(), cause, at, counts }
    }

    fn begin(&mut self, phase: Phase) {
        if matches!(phase, Phase::Closed) {
            self.window.clear();
            self.row = Row::default();
            self.openings = 0;
        }
        self.recovered = None;
        self.phase = phase;
        self.generation = self.generation.wrapping_add(1);
    }
}

impl Probe {
    /// Whether its endpoint had half of its time to itself, now that it is up.
    fn has_failed(&self) -> bool {
        self.alone.is_some_and(|since| self.due.saturating_duration_since(since) >= (self.due - self.given) / 2)
    }
}

impl Probing {
    fn has_room(&self, policy: &Policy) -> bool {
        self.awaiting_check.is_none() && u64::from(self.passed) + (self.running.len() as u64) < u64::from(policy.probes)
    }

    fn place(&self, number: u32) -> Option<usize> {
        self.running.binary_search_by_key(&number, |probe| probe.number).ok()
    }

    /// Takes the first probe off whose time is up.
    fn take_due(&mut self, now: Instant) -> Option<Probe> {
        let due = self.running.iter().enumerate().filter(|(_, probe)| probe.due <= now);
        let first = due.min_by_key(|(_, probe)| probe.due)?.0;
        self.running.remove(first)
    }

    /// Takes a probe off those under way, if it is there.
    fn end(&mut self, number: u32) {
        if let Some(place) = self.place(number) {
            self.running.remove(place);
        }
    }
}
