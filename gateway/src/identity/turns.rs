//! How many credentials a worker verifies in one turn of its loop, and whom it turns away while too many wait for that.
//!
//! Verifying a signature takes the worker some ten microseconds. A flood of new tokens must not keep it from its other
//! requests: beyond a bound, whoever wants to verify waits for the next turn, in which everybody else is served too.
//! So a queue may stand here while the loop itself is on time. It is controlled as the loop is, by a gate of its own
//! before which only those come who have something to verify.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::algorithms::criticality::Criticality;
use crate::clock::Clock;
use crate::overload::Gate;
use crate::overload::gate::Keeper;

/// Verifications in one turn: about 100 us with RS256.
const IN_ONE_TURN: u32 = 8;
/// The pace follows with one part in so many: a turn has eight quick steps, and one over all else that is ready.
const RECENT: u64 = 64;

/// One worker's verifications. Only its own thread touches them, an embedding program's aside.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// What this turn of the loop has verified.
    used: Mutex<u32>,
    /// Who waits for a turn.
    waiting: AtomicU32,
    /// When somebody who had waited got one last, monotonic nanoseconds; 0 = nobody was behind it.
    served_ns: AtomicU64,
    /// How long it takes lately from one who waits to the next, nanoseconds: verifying, and all else that the worker
    /// does.
    pace_ns: AtomicU64,
    gate: Gate,
}

/// A request's time went by while it waited for its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OutOfTime;

impl Turns {
    /// Waits until there is room in a turn of the loop, and takes it: first come, first served. Who waits first holds
    /// the lock until the next turn; all others stand behind it, in order, and cost nothing meanwhile.
    ///
    /// # Errors
    /// Its time was over when it was its turn: it took no room, and verifying would be for nobody. After a burst
    /// that is what a queue is full of, and who could still be served stands behind it.
    pub(super) async fn take(&self, clock: &Clock, until: Option<Instant>) -> Result<(), OutOfTime> {
        if let Ok(mut used) = self.used.try_lock()
            && *used < IN_ONE_TURN
        {
            *used += 1;
            self.served_ns.store(0, Ordering::Relaxed);
            return Ok(());
        }
        let _waits = Waiter::join(&self.waiting);
        let mut used = self.used.lock().await;
        if until.is_some_and(|until| until <= clock.now()) {
            return Err(OutOfTime);
        }
        if *used >= IN_ONE_TURN {
            // It is polled again only after everything else that is ready has been, and the network has been asked.
            tokio::task::yield_now().await;
            *used = 0;
        }
        *used += 1;
        self.pace(clock.monotonic_ns(clock.now()));
        Ok(())
    }

    /// Somebody who waited, and still counts, got a turn.
    fn pace(&self, now_ns: u64) {
        let is_last = self.waiting.load(Ordering::Relaxed) <= 1;
        let before = self.served_ns.swap(if is_last { 0 } else { now_ns }, Ordering::Relaxed);
        if before == 0 {
            return;
        }
        let (took, pace) = (now_ns.saturating_sub(before), self.pace_ns.load(Ordering::Relaxed));
        let pace = if pace == 0 { took } else { pace - pace / RECENT + took / RECENT };
        self.pace_ns.store(pace, Ordering::Relaxed);
    }

    /// How long who comes now has to wait: what is before it, at the pace of those who were served lately. (How long
    /// those waited would tell of the queue as it was when they came, and a controller that looks back swings.)
    fn delay(&self) -> Duration {
        let waiting = u64::from(self.waiting.load(Ordering::Relaxed));
        Duration::from_nanos(waiting.saturating_mul(self.pace_ns.load(Ordering::Relaxed)))
    }

    /// Looks at the queue, and moves the gate; whether nothing waits and nobody is turned away.
    pub(super) fn observe(&self, keeper: &mut Keeper, now: Instant) -> bool {
        let delay = self.delay();
        self.gate.observe(keeper, now, delay);
        delay.is_zero() && self.gate.is_open()
    }

    /// Whether somebody of this class, who would have to verify something, is turned away. `bits` are random.
    pub(super) fn refuses(&self, class: Criticality, bits: u64) -> bool {
        !self.gate.is_open() && self.gate.refuses(class, bits).is_some()
    }
}

/// Somebody who waits, counted as long as it does.
pub(super) struct Waiter<'a>(&'a AtomicU32);

impl<'a> Waiter<'a> {
    fn join(waiting: &'a AtomicU32) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }

    /// Joins those who wait, where they are fewer than `most`.
    pub(super) fn join_below(waiting: &'a AtomicU32, most: u32) -> Option<Self> {
        let before = waiting.fetch_add(1, Ordering::Relaxed);
        let joined = Self(waiting);
        (before < most).then_some(joined)
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;
    use std::task::Poll;

    use super::*;

    #[tokio::test]
    async fn who_comes_first_is_served_first_however_many_come_later() {
        let turns = Rc::new(Turns::default());
        let done: Rc<RefCell<Vec<u32>>> = Rc::default();
        let local = tokio::task::LocalSet::new();
        // Each that is done is at once followed by another, as on a keep-alive connection.
        async fn one_after_another(turns: Rc<Turns>, done: Rc<RefCell<Vec<u32>>>, me: u32) {
            for _ in 0..20 {
                turns.take(&Clock::system(), None).await.unwrap();
                done.borrow_mut().push(me);
                tokio::task::yield_now().await;
            }
        }
        for me in 0..64 {
            local.spawn_local(one_after_another(Rc::clone(&turns), Rc::clone(&done), me));
        }
        local.await;
        for (round, took) in done.borrow().chunks(64).enumerate() {
            let mut took = took.to_vec();
            took.sort_unstable();
            assert_eq!(took, (0..64).collect::<Vec<_>>(), "round {round}: nobody waits while another goes twice");
        }
    }

    #[tokio::test]
    async fn who_leaves_while_it_waits_holds_nobody_up() {
        let turns = Turns::default();
        for _ in 0..IN_ONE_TURN {
            turns.take(&Clock::system(), None).await.unwrap();
        }
        {
            let clock = Clock::system();
            let mut first = std::pin::pin!(turns.take(&clock, None));
            assert!(futures_util::poll!(first.as_mut()).is_pending(), "it waits for the next turn, and is dropped");
        }
        assert_eq!(turns.waiting.load(Ordering::Relaxed), 0);
        turns.take(&Clock::system(), None).await.unwrap();
    }

    #[tokio::test]
    async fn whose_time_is_over_at_its_turn_takes_none_of_it() {
        let (turns, clock) = (Turns::default(), Clock::system());
        for _ in 0..IN_ONE_TURN {
            turns.take(&clock, Some(clock.now())).await.expect("who need not wait is not late");
        }
        {
            let mut dead: Vec<_> = (0..100).map(|_| Box::pin(turns.take(&clock, Some(clock.now())))).collect();
            for late in &mut dead {
                assert_eq!(futures_util::poll!(late.as_mut()), Poll::Ready(Err(OutOfTime)), "not even the next turn");
            }
        }
        let later = clock.now() + Duration::from_secs(3600);
        turns.take(&clock, Some(later)).await.expect("who has time left is served");
        assert_eq!(turns.waiting.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_queue_that_stands_turns_away_the_least_important_until_it_is_short_again() {
        let (turns, mut keeper, mut now) = (Turns::default(), Keeper::default(), Clock::system().now());
        let mut look = |turns: &Turns| {
            now += Duration::from_millis(10);
            turns.observe(&mut keeper, now)
        };
        assert!(look(&turns), "nothing waits");
        let waiters: Vec<Waiter<'_>> = (0..1000).map(|_| Waiter::join(&turns.waiting)).collect();
        for at in 1..=1000 {
            turns.pace(at * 100_000);
        }
        assert_eq!(turns.delay(), Duration::from_millis(100), "a thousand, a tenth of a millisecond each");
        for _ in 0..40 {
            assert!(!look(&turns) && !turns.refuses(Criticality::Low, 0), "a burst is no overload");
        }
        for _ in 0..200 {
            look(&turns);
            turns.refuses(Criticality::Low, u64::MAX);
            turns.refuses(Criticality::Critical, u64::MAX);
        }
        assert!(turns.refuses(Criticality::Low, 0) && !turns.refuses(Criticality::Critical, 0));
        drop(waiters);
        for _ in 0..200 {
            look(&turns);
        }
        assert!(!turns.refuses(Criticality::Low, 0), "what was waited for once is no reason any more");
    }

    #[tokio::test]
    async fn others_are_served_between_the_turns_of_a_flood() {
        let turns = Rc::new(Turns::default());
        let done: Rc<RefCell<Vec<&'static str>>> = Rc::default();
        let local = tokio::task::LocalSet::new();
        for _ in 0..100 {
            let (turns, done) = (Rc::clone(&turns), Rc::clone(&done));
            local.spawn_local(async move {
                turns.take(&Clock::system(), None).await.unwrap();
                done.borrow_mut().push("flood");
            });
        }
        let other = Rc::clone(&done);
        local.spawn_local(async move { other.borrow_mut().push("other") });
        local.await;
        let done = done.borrow();
        let at = done.iter().position(|what| *what == "other").unwrap();
        assert!(at <= 2 * IN_ONE_TURN as usize, "{at} verifications before somebody else was served");
        assert_eq!(done.len(), 101, "and everybody was served in the end");
    }
}
