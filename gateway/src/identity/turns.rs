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

/// One worker's verifications. Only its own thread touches them, an embedding program's aside.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// What this turn of the loop has verified.
    used: Mutex<u32>,
    /// Who waits for a turn.
    waiting: AtomicU32,
    /// How long the last who got one had waited, nanoseconds.
    waited_ns: AtomicU64,
    gate: Gate,
}

impl Turns {
    /// Waits until there is room in a turn of the loop, and takes it: first come, first served. Who waits first holds
    /// the lock until the next turn; all others stand behind it, in order, and cost nothing meanwhile.
    pub(super) async fn take(&self, clock: &Clock) {
        if let Ok(mut used) = self.used.try_lock()
            && *used < IN_ONE_TURN
        {
            *used += 1;
            self.waited_ns.store(0, Ordering::Relaxed);
            return;
        }
        let (came, _waits) = (clock.now(), Waiter::join(&self.waiting));
        let mut used = self.used.lock().await;
        if *used >= IN_ONE_TURN {
            // It is polled again only after everything else that is ready has been, and the network has been asked.
            tokio::task::yield_now().await;
            *used = 0;
        }
        *used += 1;
        let waited = clock.now().saturating_duration_since(came);
        self.waited_ns.store(u64::try_from(waited.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// How long who comes now has to wait, as far as those tell who came before.
    fn delay(&self) -> Duration {
        match self.waiting.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            _ => Duration::from_nanos(self.waited_ns.load(Ordering::Relaxed)),
        }
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

/// Somebody who waits.
struct Waiter<'a>(&'a AtomicU32);

impl<'a> Waiter<'a> {
    fn join(waiting: &'a AtomicU32) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
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

    use super::*;

    #[tokio::test]
    async fn who_comes_first_is_served_first_however_many_come_later() {
        let turns = Rc::new(Turns::default());
        let done: Rc<RefCell<Vec<u32>>> = Rc::default();
        let local = tokio::task::LocalSet::new();
        // Each that is done is at once followed by another, as on a keep-alive connection.
        async fn one_after_another(turns: Rc<Turns>, done: Rc<RefCell<Vec<u32>>>, me: u32) {
            for _ in 0..20 {
                turns.take(&Clock::system()).await;
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
            turns.take(&Clock::system()).await;
        }
        {
            let clock = Clock::system();
            let mut first = std::pin::pin!(turns.take(&clock));
            assert!(futures_util::poll!(first.as_mut()).is_pending(), "it waits for the next turn, and is dropped");
        }
        assert_eq!(turns.waiting.load(Ordering::Relaxed), 0);
        turns.take(&Clock::system()).await;
    }

    #[test]
    fn a_queue_that_stands_turns_away_the_least_important_until_it_is_short_again() {
        let (turns, mut keeper, mut now) = (Turns::default(), Keeper::default(), Clock::system().now());
        let mut look = |turns: &Turns| {
            now += Duration::from_millis(10);
            turns.observe(&mut keeper, now)
        };
        assert!(look(&turns), "nothing waits");
        let waiter = Waiter::join(&turns.waiting);
        turns.waited_ns.store(100_000_000, Ordering::Relaxed);
        for _ in 0..40 {
            assert!(!look(&turns) && !turns.refuses(Criticality::Low, 0), "a burst is no overload");
        }
        for _ in 0..200 {
            look(&turns);
            turns.refuses(Criticality::Low, u64::MAX);
            turns.refuses(Criticality::Critical, u64::MAX);
        }
        assert!(turns.refuses(Criticality::Low, 0) && !turns.refuses(Criticality::Critical, 0));
        drop(waiter);
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
                turns.take(&Clock::system()).await;
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
