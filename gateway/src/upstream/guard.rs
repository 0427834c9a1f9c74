//! A breaker that all workers share: the machine behind a lock, and what a pick asks of it beside that.
//!
//! A pick looks at one atomic. While the breaker is closed that is all that an attempt costs before it begins, and its
//! outcome takes the lock for some tens of instructions. What is read beside the lock may be old by the time that a
//! cache line takes; whoever needs leave while it is not closed gets it under the lock, so there is never one probe too
//! many. `tests/loom_guard.rs` checks every interleaving of this file.

use std::time::{Duration, Instant};

use super::sync::breaker::{Breaker, Counts, Mode, Policy, State, Ticket, Transition, Verdict};
use super::sync::{AtomicU64, Mutex, MutexGuard, Ordering, PoisonError};

/// In the gate's lowest bits: the state, and whether it has room for a probe.
const CLOSED: u64 = 0;
const HALF_OPEN_WITH_ROOM: u64 = 1;
const HALF_OPEN_FULL: u64 = 2;
const OPEN: u64 = 3;
const STATE: u64 = 0b11;
/// An operator holds it open.
const HELD_OPEN: u64 = 0b100;
/// The generation stands above.
const GENERATION: u32 = 3;

/// No time at which time alone would change something.
const NEVER: u64 = u64::MAX;

/// A shared breaker.
#[derive(Debug)]
pub struct Guard {
    gate: AtomicU64,
    /// When time alone changes something: nanoseconds since `epoch`.
    due: AtomicU64,
    epoch: Instant,
    machine: Mutex<Breaker>,
}

/// A breaker as it is shown.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// Its state.
    pub state: State,
    /// Who decides.
    pub mode: Mode,
    /// What its window holds.
    pub counts: Counts,
    /// When time alone changes something.
    pub deadline: Option<Instant>,
}

impl Guard {
    /// A closed breaker.
    pub fn new(policy: Policy, now: Instant) -> Self {
        let machine = Mutex::new(Breaker::new(policy, now));
        Self { gate: AtomicU64::new(CLOSED), due: AtomicU64::new(NEVER), epoch: now, machine }
    }

    /// Whether everything passes.
    #[inline]
    pub fn is_closed(&self) -> bool {
        self.gate.load(Ordering::Acquire) & STATE == CLOSED
    }

    /// Whether a probe would pass.
    pub fn has_room_for_a_probe(&self) -> bool {
        self.gate.load(Ordering::Acquire) & STATE == HALF_OPEN_WITH_ROOM
    }

    /// Whether an operator holds it open.
    pub fn is_held_open(&self) -> bool {
        self.gate.load(Ordering::Acquire) & HELD_OPEN != 0
    }

    /// Its state.
    pub fn state(&self) -> State {
        match self.gate.load(Ordering::Acquire) & STATE {
            CLOSED => State::Closed,
            OPEN => State::Open,
            _ => State::HalfOpen,
        }
    }

    /// When time alone changes something.
    pub fn deadline(&self) -> Option<Instant> {
        let due = self.due.load(Ordering::Acquire);
        (due != NEVER).then(|| self.epoch + Duration::from_nanos(due))
    }

    /// Leave for an attempt, where it is closed. Costs no lock.
    #[inline]
    pub fn admit_closed(&self) -> Option<Ticket> {
        let gate = self.gate.load(Ordering::Acquire);
        (gate & STATE == CLOSED).then(|| Ticket::plain(generation_of(gate)))
    }

    /// Leave for an attempt, or for a probe.
    pub fn admit(&self, now: Instant) -> (Option<Ticket>, Option<Transition>) {
        if let Some(ticket) = self.admit_closed() {
            return (Some(ticket), None);
        }
        let mut machine = self.lock();
        let admitted = machine.admit(now);
        self.publish(&machine);
        admitted
    }

    /// Leave for an attempt that goes out whatever the state is. Where it could be a probe it is one; elsewhere its
    /// outcome counts only if it is closed.
    pub fn admit_anyhow(&self, now: Instant) -> (Ticket, Option<Transition>) {
        let (ticket, transition) = self.admit(now);
        let plain = || Ticket::plain(generation_of(self.gate.load(Ordering::Acquire)));
        (ticket.unwrap_or_else(plain), transition)
    }

    /// An attempt came to its outcome by its answer's head; the ticket is kept, since what follows may break off.
    #[inline]
    pub fn settle(&self, ticket: &mut Ticket, verdict: Verdict, now: Instant) -> Option<Transition> {
        let mut machine = self.lock();
        let transition = machine.settle_head(ticket, verdict, now);
        if transition.is_some() || machine.state() != State::Closed {
            self.publish(&machine);
        }
        transition
    }

    /// An answer that was counted broke off behind its head.
    pub fn break_off(&self, ticket: Ticket, now: Instant) -> Option<Transition> {
        self.change(|machine| machine.break_off(ticket, now))
    }

    /// An attempt ended without an outcome.
    pub fn release(&self, ticket: Ticket) {
        if ticket.is_probe() {
            self.change(|machine| machine.release(ticket));
        }
    }

    /// An attempt waits for its client, or no longer does.
    pub fn wait_for_client(&self, ticket: Ticket, waits: bool, now: Instant) {
        if ticket.is_probe() {
            self.lock().wait_for_client(ticket, waits, now);
        }
    }

    /// Does what time alone does.
    pub fn tick(&self, now: Instant) -> Option<Transition> {
        self.deadline().filter(|deadline| *deadline <= now)?;
        self.change(|machine| machine.tick(now))
    }

    /// Says whether somebody checks the endpoint, so that probes wait until a check did well, and how long it may take.
    pub fn set_checked(&self, checked: Option<Duration>) {
        self.change(|machine| machine.set_checked(checked));
    }

    /// A check of the endpoint came out.
    pub fn observe_check(&self, good: bool, now: Instant) -> Option<Transition> {
        self.change(|machine| machine.observe_check(good, now))
    }

    /// Puts an operator's will in force.
    pub fn force(&self, mode: Mode, now: Instant) -> Option<Transition> {
        self.change(|machine| machine.force(mode, now))
    }

    /// Another policy from now on.
    pub fn configure(&self, policy: Policy, now: Instant) -> Option<Transition> {
        self.change(|machine| (*machine.policy() != policy).then(|| machine.configure(policy, now)).flatten())
    }

    /// When it trips.
    pub fn policy(&self) -> Policy {
        *self.lock().policy()
    }

    /// Who decides.
    pub fn mode(&self) -> Mode {
        self.lock().mode()
    }

    /// How it stands.
    pub fn look(&self, now: Instant) -> Look {
        let mut machine = self.lock();
        let counts = machine.counts(now);
        Look { state: machine.state(), mode: machine.mode(), counts, deadline: machine.deadline() }
    }

    fn change<T>(&self, change: impl FnOnce(&mut Breaker) -> T) -> T {
        let mut machine = self.lock();
        let changed = change(&mut machine);
        self.publish(&machine);
        changed
    }

    /// Shows beside the lock what has become of the machine; the lock is held.
    fn publish(&self, machine: &Breaker) {
        let state = match machine.state() {
            State::Closed => CLOSED,
            State::Open => OPEN,
            State::HalfOpen if machine.has_room() => HALF_OPEN_WITH_ROOM,
            State::HalfOpen => HALF_OPEN_FULL,
        };
        let held = if machine.mode() == Mode::Open { HELD_OPEN } else { 0 };
        let gate = u64::from(machine.generation()) << GENERATION | held | state;
        let due = machine.deadline().map_or(NEVER, |deadline| {
            u64::try_from(deadline.saturating_duration_since(self.epoch).as_nanos()).unwrap_or(NEVER)
        });
        self.due.store(due, Ordering::Release);
        self.gate.store(gate, Ordering::Release);
    }

    #[inline]
    fn lock(&self) -> MutexGuard<'_, Breaker> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn generation_of(gate: u64) -> u32 {
    // What was shifted in has 32 bits.
    (gate >> GENERATION) as u32
}
