//! A worker's gate: whom it lets in while the gateway protects itself.
//!
//! One word is zero while all is well. Only while it is not, requests are looked at: who is refused by how late the
//! worker's loop is, at random within a class; who by how much memory the process takes. While reading is paused, a
//! connection waits with its next request, first come, first served, and never for long.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::memory::Floor;
use crate::algorithms::criticality::Criticality;
use crate::algorithms::loop_delay::{Arrivals, LoopDelay, Verdict};
use crate::locked::lock;
use crate::telemetry::metrics::ShedReason;

/// The loop is late.
const LATE: u32 = 1;
/// No new requests are read.
const PAUSED: u32 = 2;
/// The process takes much memory.
const MEMORY: u32 = 4;

/// The longest that a connection waits while reading is paused.
pub const LONGEST_HOLD: Duration = Duration::from_millis(250);
/// Connections that are let go on at first when the loop is on time again; twice as many at each look after it.
const FIRST_BATCH: usize = 64;

/// One worker's gate.
#[derive(Debug, Default)]
pub struct Gate {
    state: AtomicU32,
    /// The part of each class that is refused, as a part of 2^32.
    refused: [AtomicU32; Criticality::COUNT],
    /// What arrived of each class since the last look, while the loop is late.
    arrived: [AtomicU32; Criticality::COUNT],
    /// So many classes are refused for memory, the least important first.
    memory_floor: AtomicU32,
    /// The part of all that is refused, as it is shown.
    shown: AtomicU32,
    held: Mutex<Held>,
}

/// Connections that wait until reading goes on.
#[derive(Debug, Default)]
struct Held {
    waiting: VecDeque<(Instant, Waker)>,
    /// How many were let go on, ever; the next to wait has the number `released + waiting.len()`.
    released: u64,
    batch: usize,
}

/// What moves a worker's gate: owned by the worker's own task.
#[derive(Debug, Default)]
pub struct Keeper {
    controller: LoopDelay,
    arrivals: Arrivals,
}

impl Gate {
    /// Whether nobody is turned away: all that most requests ask.
    #[inline]
    pub fn is_open(&self) -> bool {
        self.state.load(Ordering::Relaxed) & (LATE | MEMORY) == 0
    }

    /// Whether no new requests are read.
    #[inline]
    pub fn is_paused(&self) -> bool {
        self.state.load(Ordering::Relaxed) & PAUSED != 0
    }

    /// Whether a request of this class is refused, and why. `bits` are random.
    #[cold]
    pub fn refuses(&self, class: Criticality, bits: u64) -> Option<ShedReason> {
        let state = self.state.load(Ordering::Relaxed);
        if state & MEMORY != 0 && (class as u32) < self.memory_floor.load(Ordering::Relaxed) {
            return Some(ShedReason::Memory);
        }
        if state & LATE != 0 {
            self.arrived[class as usize].fetch_add(1, Ordering::Relaxed);
            let refused = self.refused[class as usize].load(Ordering::Relaxed);
            if (bits >> 32) < u64::from(refused) || refused == u32::MAX {
                return Some(ShedReason::LoopDelay);
            }
        }
        None
    }

    /// The part of all requests that is refused because the loop is late.
    pub fn refused_part(&self) -> f64 {
        f64::from(self.shown.load(Ordering::Relaxed)) / f64::from(u32::MAX)
    }

    /// Waits, with this number, until reading goes on; a connection begins with none.
    #[cold]
    pub fn poll_held(&self, number: &mut Option<u64>, now: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let mut held = self.lock();
        match *number {
            Some(mine) if mine < held.released => Poll::Ready(()),
            Some(_) => Poll::Pending,
            None => {
                *number = Some(held.released + held.waiting.len() as u64);
                held.waiting.push_back((now, cx.waker().clone()));
                Poll::Pending
            }
        }
    }

    /// Connections that wait.
    pub fn held(&self) -> usize {
        self.lock().waiting.len()
    }

    /// Who is served for memory's sake; `None`: all are.
    pub fn set_memory_floor(&self, floor: Option<Floor>) {
        match floor {
            Some(floor) => {
                let refused = Criticality::ALL.into_iter().filter(|class| floor.refuses(*class)).count();
                self.memory_floor.store(u32::try_from(refused).unwrap_or(u32::MAX), Ordering::Relaxed);
                self.state.fetch_or(MEMORY, Ordering::Relaxed);
            }
            None => {
                self.state.fetch_and(!MEMORY, Ordering::Relaxed);
            }
        }
    }

    /// The worker's loop was found this late.
    pub fn observe(&self, keeper: &mut Keeper, now: Instant, delay: Duration) {
        let Verdict { refused, paused } = keeper.controller.observe(now, delay);
        if refused > 0.0 {
            let arrived = std::array::from_fn(|class| self.arrived[class].swap(0, Ordering::Relaxed));
            keeper.arrivals.count(arrived);
            for (part, class) in keeper.arrivals.spread(refused, paused).into_iter().zip(&self.refused) {
                class.store(of_word(part), Ordering::Relaxed);
            }
            self.state.fetch_or(LATE, Ordering::Relaxed);
        } else if self.state.load(Ordering::Relaxed) & LATE != 0 {
            self.state.fetch_and(!LATE, Ordering::Relaxed);
            keeper.arrivals = Arrivals::default();
        }
        self.shown.store(of_word(refused), Ordering::Relaxed);
        self.pause(paused, now);
    }

    /// Pauses reading, or lets who waits go on: all who have waited for long, and more at each look.
    fn pause(&self, paused: bool, now: Instant) {
        if paused {
            self.state.fetch_or(PAUSED, Ordering::Relaxed);
        } else if !self.is_paused() {
            return;
        }
        let mut held = self.lock();
        held.batch = if paused { 0 } else { (held.batch * 2).max(FIRST_BATCH) };
        let batch = held.batch;
        for turn in 0.. {
            let Some((since, _)) = held.waiting.front() else { break };
            if turn >= batch && now.saturating_duration_since(*since) < LONGEST_HOLD {
                return;
            }
            if let Some((_, waker)) = held.waiting.pop_front() {
                held.released += 1;
                waker.wake();
            }
        }
        if !paused {
            held.batch = 0;
            self.state.fetch_and(!PAUSED, Ordering::Relaxed);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Held> {
        lock(&self.held)
    }
}

/// A part as a part of 2^32.
fn of_word(part: f64) -> u32 {
    // A float that is too large becomes the largest.
    (part * f64::from(u32::MAX)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algorithms::loop_delay::{STANDING, TARGET};

    const LOOK: Duration = Duration::from_millis(10);

    #[expect(clippy::disallowed_methods, reason = "an origin for a time that is moved by hand")]
    fn zero() -> Instant {
        Instant::now()
    }

    fn refused_of(gate: &Gate, class: Criticality) -> u32 {
        let mut draws = crate::algorithms::rng::Draws::new(1);
        (0..10_000).filter(|_| gate.refuses(class, draws.next_u64()).is_some()).count() as u32
    }

    #[test]
    fn a_loop_that_stays_late_closes_the_gate_to_the_least_important_first() {
        let (gate, mut keeper, start) = (Gate::default(), Keeper::default(), zero());
        assert!(gate.is_open());
        let mut look = 0;
        let mut late = |by: Duration, looks: u32| {
            for _ in 0..looks {
                look += 1;
                gate.observe(&mut keeper, start + LOOK * look, by);
                for class in Criticality::ALL {
                    gate.refuses(class, u64::MAX);
                }
            }
        };
        late(TARGET * 2, u32::try_from(STANDING.as_millis() / LOOK.as_millis()).unwrap());
        assert!(gate.is_open(), "not before {STANDING:?}");
        late(TARGET * 2, 3);
        assert!(!gate.is_open() && !gate.is_paused());
        let refused = Criticality::ALL.map(|class| refused_of(&gate, class));
        assert!(refused[0] > refused[1] && refused[3] == 0, "{refused:?}");
        late(Duration::ZERO, 200);
        assert!(gate.is_open() && gate.refused_part() == 0.0);
    }

    #[test]
    fn memory_turns_away_all_below_a_class() {
        let gate = Gate::default();
        gate.set_memory_floor(Some(Floor::At(Criticality::High)));
        assert!(!gate.is_open());
        let refused = Criticality::ALL.map(|class| gate.refuses(class, 0));
        assert_eq!(refused, [Some(ShedReason::Memory), Some(ShedReason::Memory), None, None]);
        gate.set_memory_floor(None);
        assert!(gate.is_open());
    }

    #[test]
    fn who_waits_goes_on_in_order_and_nobody_waits_for_long() {
        let (gate, start) = (Gate::default(), zero());
        let mut cx = Context::from_waker(Waker::noop());
        gate.pause(true, start);
        let mut numbers: Vec<Option<u64>> = vec![None; 200];
        for number in &mut numbers {
            assert!(gate.poll_held(number, start, &mut cx).is_pending());
        }
        let mut ready = |gate: &Gate| {
            numbers.iter_mut().map(|number| gate.poll_held(number, start, &mut cx).is_ready()).collect::<Vec<_>>()
        };
        gate.pause(true, start + LOOK);
        assert!(ready(&gate).iter().all(|ready| !ready), "asked again, nobody waits twice");
        assert_eq!(gate.held(), 200);
        gate.pause(false, start + LOOK * 2);
        let gone_on = ready(&gate);
        assert!(gone_on[..FIRST_BATCH].iter().all(|ready| *ready) && gone_on[FIRST_BATCH..].iter().all(|ready| !ready));
        assert!(gate.is_paused(), "others still wait: who comes now waits behind them");
        gate.pause(false, start + LOOK * 3);
        assert_eq!(gate.held(), 200 - 3 * FIRST_BATCH);
        // The loop is late again, and stays so.
        gate.pause(true, start + LOOK * 4);
        assert_eq!(gate.held(), 200 - 3 * FIRST_BATCH);
        gate.pause(true, start + LONGEST_HOLD);
        assert!(gate.held() == 0 && ready(&gate).iter().all(|ready| *ready));
        gate.pause(false, start + LONGEST_HOLD + LOOK);
        assert!(!gate.is_paused());
    }
}
