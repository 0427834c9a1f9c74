//! The same breaker, written as naively as it can be: every outcome is kept, and every question is answered from all of
//! them. What the machine is held against.

use std::time::{Duration, Instant};

use super::row::TURNS;
use super::window::BUCKETS;
use super::{Cause, Counts, Mode, Policy, State, Transition, Verdict, WHOLE};

pub(super) struct Model {
    pub policy: Policy,
    pub mode: Mode,
    pub state: State,
    origin: Instant,
    /// Outcomes since it closed last, with their buckets.
    outcomes: Vec<(u128, Verdict)>,
    /// Buckets in which one of them was found to be a failure after all.
    turns: Vec<u128>,
    /// Whether each outcome since it closed last was a failure.
    row: Vec<bool>,
    /// How often the window got another length.
    windows: u32,
    /// Every ticket ever given.
    pub tickets: Vec<Given>,
    /// What clients made of their tickets' time, in order: `None` while one is waited for, else since when it is not.
    clients: Vec<(usize, Option<Instant>)>,
    epoch: u32,
    passed: u32,
    open_until: Option<Instant>,
    failed_openings: u32,
    /// The probes' epoch and the openings before it closed, while it is.
    recovered: Option<(u32, u32)>,
    pub checked: Option<Duration>,
    check_until: Option<Instant>,
}

/// A ticket.
#[derive(Clone, Copy)]
pub(super) struct Given {
    epoch: u32,
    at: Instant,
    /// How long a probe has.
    time: Duration,
    probe: bool,
    /// Whether it is a probe under way.
    pub runs: bool,
    /// Where its head counted as a success: after so many outcomes, in this bucket of that window.
    head: Option<(usize, u128, u32)>,
}

impl Given {
    fn until(&self) -> Instant {
        self.at + self.time
    }
}

impl Model {
    pub(super) fn new(policy: Policy, now: Instant) -> Self {
        Self {
            policy,
            mode: Mode::Auto,
            state: State::Closed,
            origin: now,
            outcomes: Vec::new(),
            turns: Vec::new(),
            row: Vec::new(),
            windows: 0,
            tickets: Vec::new(),
            clients: Vec::new(),
            epoch: 0,
            passed: 0,
            open_until: None,
            failed_openings: 0,
            recovered: None,
            checked: None,
            check_until: None,
        }
    }

    fn bucket(&self, now: Instant) -> u128 {
        (now - self.origin).as_nanos() / (self.policy.window / BUCKETS as u32).as_nanos()
    }

    fn counts(&self, now: Instant) -> Counts {
        let newest = self.bucket(now);
        let seen: Vec<Verdict> =
            self.outcomes.iter().filter(|(bucket, _)| bucket + BUCKETS as u128 > newest).map(|(_, v)| *v).collect();
        let of = |wanted| seen.iter().filter(|verdict| **verdict == wanted).count() as u32;
        let turned = self.turns.iter().filter(|bucket| **bucket + BUCKETS as u128 > newest).count() as u32;
        Counts {
            requests: seen.len() as u32,
            failures: of(Verdict::Failure) + turned,
            slow: of(Verdict::Slow),
            consecutive: self.row() as u32,
        }
    }

    fn row(&self) -> usize {
        self.row.iter().rev().take_while(|failed| **failed).count()
    }

    pub(super) fn configure(&mut self, policy: Policy, now: Instant) -> Option<Transition> {
        if policy.window != self.policy.window {
            self.outcomes.clear();
            self.turns.clear();
            self.windows += 1;
            self.origin = now;
        }
        self.policy = policy;
        if !policy.can_trip() && self.mode == Mode::Auto && self.state != State::Closed {
            return Some(self.go(State::Closed, Cause::Operator, now));
        }
        self.passed = self.passed.min(policy.probes - 1);
        let time = self.time_of_opening(self.failed_openings);
        self.open_until = self.open_until.map(|until| until.min(now + time));
        None
    }

    /// How long this opening of a row is, from 1.
    fn time_of_opening(&self, number: u32) -> Duration {
        (1..number).fold(self.policy.open_for, |time, _| (time * 2).min(self.policy.max_open_for))
    }

    fn running(&self) -> impl Iterator<Item = &Given> {
        self.tickets.iter().filter(|ticket| ticket.runs && ticket.epoch == self.epoch)
    }

    fn go(&mut self, to: State, cause: Cause, at: Instant) -> Transition {
        let transition = Transition { from: self.state, to, cause, at, counts: self.counts(at) };
        self.arrive(to);
        transition
    }

    fn arrive(&mut self, to: State) {
        self.state = to;
        self.epoch += 1;
        self.passed = 0;
        self.check_until = None;
        self.recovered = None;
        if to == State::Closed {
            self.outcomes.clear();
            self.turns.clear();
            self.row.clear();
            self.failed_openings = 0;
        }
    }

    fn open(&mut self, cause: Cause, at: Instant) -> Transition {
        self.failed_openings += 1;
        self.open_until = Some(at + self.time_of_opening(self.failed_openings));
        self.go(State::Open, cause, at)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Closed => None,
            State::Open => self.open_until,
            State::HalfOpen if self.check_until.is_some() => self.check_until,
            State::HalfOpen => self.running().map(Given::until).min(),
        }
    }

    pub(super) fn tick(&mut self, now: Instant) -> Option<Transition> {
        let due = self.deadline().filter(|due| *due <= now)?;
        match self.state {
            State::Open => {
                let transition = self.go(State::HalfOpen, Cause::Timer, due);
                self.check_until = self.checked.map(|takes| due + takes.max(self.policy.probe_timeout));
                Some(transition)
            }
            _ if self.check_until.is_some() => Some(self.open(Cause::CheckFailed, due)),
            _ => {
                let is_due = |ticket: &Given| ticket.runs && ticket.epoch == self.epoch && ticket.until() == due;
                let number = self.tickets.iter().position(is_due)?;
                let last = self.clients.iter().rev().find(|(ticket, _)| *ticket == number);
                let alone = last.map_or(Some(self.tickets[number].at), |(_, since)| *since);
                self.tickets[number].runs = false;
                if alone.is_some_and(|since| since + self.tickets[number].time / 2 <= due) {
                    return Some(self.open(Cause::ProbeTimeout, due));
                }
                self.tick(now)
            }
        }
    }

    pub(super) fn wait_for_client(&mut self, ticket: usize, waits: bool, now: Instant) {
        self.clients.push((ticket, (!waits).then_some(now)));
    }

    /// The number of a new ticket.
    pub(super) fn admit(&mut self, now: Instant) -> (Option<usize>, Option<Transition>) {
        let transition = self.tick(now);
        let probe = self.state == State::HalfOpen;
        let room = self.check_until.is_none() && self.passed + (self.running().count() as u32) < self.policy.probes;
        if self.state == State::Open || probe && !room {
            return (None, transition);
        }
        let (epoch, time) = (self.epoch, self.policy.probe_timeout);
        self.tickets.push(Given { epoch, at: now, time, probe, runs: probe, head: None });
        (Some(self.tickets.len() - 1), transition)
    }

    pub(super) fn settle(&mut self, ticket: usize, verdict: Verdict, now: Instant) -> Option<Transition> {
        let transition = self.tick(now);
        if transition.is_some() || self.tickets[ticket].epoch != self.epoch {
            return transition;
        }
        if self.state == State::Closed {
            return self.count(ticket, verdict, now);
        }
        self.tickets[ticket].runs = false;
        match verdict {
            Verdict::Neutral => None,
            Verdict::Failure => Some(self.open(Cause::ProbeFailed, now)),
            Verdict::Slow if self.policy.slow_share.is_some() => Some(self.open(Cause::ProbeSlow, now)),
            Verdict::Success | Verdict::Slow => {
                self.passed += 1;
                self.tickets[ticket].head = Some((0, self.bucket(now), self.windows));
                if self.passed < self.policy.probes {
                    return None;
                }
                let recovered = (self.epoch, self.failed_openings);
                let transition = self.go(State::Closed, Cause::ProbesPassed, now);
                self.recovered = Some(recovered);
                Some(transition)
            }
        }
    }

    pub(super) fn break_off(&mut self, ticket: usize, now: Instant) -> Option<Transition> {
        let transition = self.tick(now);
        if transition.is_some() || self.mode != Mode::Auto {
            return transition;
        }
        let Given { epoch, probe, head, .. } = self.tickets[ticket];
        let (place, bucket, windows) = head?;
        let fresh = windows == self.windows && bucket + BUCKETS as u128 > self.bucket(now);
        if self.state == State::Closed && epoch == self.epoch {
            if fresh && self.row.len() - place < TURNS as usize {
                self.row[place - 1] = true;
            }
            let counts = self.counts(now);
            if counts.failures < counts.requests {
                self.turns.push(self.bucket(now));
            }
            return self.trip(now);
        }
        match self.recovered {
            Some((probes, openings)) if fresh && probe && probes == epoch => self.failed_openings = openings,
            _ if fresh && probe && self.state == State::HalfOpen && epoch == self.epoch => {}
            _ => return None,
        }
        Some(self.open(Cause::ProbeFailed, now))
    }

    fn count(&mut self, ticket: usize, verdict: Verdict, now: Instant) -> Option<Transition> {
        if self.mode != Mode::Auto || verdict == Verdict::Neutral {
            return None;
        }
        self.outcomes.push((self.bucket(now), verdict));
        self.row.push(verdict == Verdict::Failure);
        if verdict != Verdict::Failure {
            self.tickets[ticket].head = Some((self.row.len(), self.bucket(now), self.windows));
        }
        self.trip(now)
    }

    fn trip(&mut self, now: Instant) -> Option<Transition> {
        let counts = self.counts(now);
        let share = |part: u32| {
            // Exact: `part / requests >= share / WHOLE`, multiplied out.
            let enough = counts.requests >= self.policy.min_requests;
            move |share: u32| {
                enough && u128::from(part) * u128::from(WHOLE) >= u128::from(share) * u128::from(counts.requests)
            }
        };
        if self.policy.consecutive_failures.is_some_and(|most| counts.consecutive >= most) {
            Some(self.open(Cause::ConsecutiveFailures, now))
        } else if share(counts.failures)(self.policy.failure_share) {
            Some(self.open(Cause::FailureRatio, now))
        } else if self.policy.slow_share.is_some_and(share(counts.slow)) {
            Some(self.open(Cause::SlowRatio, now))
        } else {
            None
        }
    }

    pub(super) fn set_checked(&mut self, checked: Option<Duration>) {
        self.checked = checked;
        if checked.is_none() {
            self.check_until = None;
        }
    }

    pub(super) fn observe_check(&mut self, good: bool, now: Instant) -> Option<Transition> {
        let transition = self.tick(now);
        if transition.is_some() {
            return transition;
        }
        let awaited = self.check_until.take().is_some();
        (awaited && !good).then(|| self.open(Cause::CheckFailed, now))
    }

    pub(super) fn release(&mut self, ticket: usize) {
        if self.tickets[ticket].epoch == self.epoch {
            self.tickets[ticket].runs = false;
        }
    }

    pub(super) fn force(&mut self, mode: Mode, now: Instant) -> Option<Transition> {
        let before = std::mem::replace(&mut self.mode, mode);
        let to = match (mode, before) {
            (Mode::Open, _) => State::Open,
            (Mode::Auto, Mode::Open) if self.policy.can_trip() => State::HalfOpen,
            (Mode::Closed, _) | (Mode::Auto, Mode::Open) => State::Closed,
            (Mode::Auto, _) => return None,
        };
        self.open_until = None;
        if self.state == to {
            self.arrive(to);
            return None;
        }
        Some(self.go(to, Cause::Operator, now))
    }
}

/// A policy with times of a test's size.
pub(super) fn policy() -> Policy {
    Policy {
        window: Duration::from_secs(10),
        min_requests: 20,
        failure_share: WHOLE / 2,
        consecutive_failures: Some(10),
        slow_share: None,
        open_for: Duration::from_secs(5),
        max_open_for: Duration::from_secs(60),
        probes: 3,
        probe_timeout: Duration::from_secs(5),
    }
}
