//! How many credentials a worker verifies in one turn of its loop.
//!
//! Verifying a signature takes the worker some ten microseconds. A flood of new tokens must not keep it from its other
//! requests: beyond a bound, whoever wants to verify waits for the next turn, in which everybody else is served too.

use std::sync::atomic::{AtomicU32, Ordering};

/// Verifications in one turn: about 100 us with RS256.
const IN_ONE_TURN: u32 = 8;

/// One worker's count. Only its own thread touches it, an embedding program's aside.
#[derive(Debug, Default)]
pub(super) struct Turns {
    turn: AtomicU32,
    used: AtomicU32,
}

impl Turns {
    /// Waits until there is room in a turn of the loop, and takes it.
    pub(super) async fn take(&self) {
        while self.used.fetch_add(1, Ordering::Relaxed) >= IN_ONE_TURN {
            let turn = self.turn.load(Ordering::Relaxed);
            // It is polled again only after everything else that is ready has been, and the network has been asked.
            tokio::task::yield_now().await;
            // The first that comes back begins the next turn for all who waited.
            let next = turn.wrapping_add(1);
            if self.turn.compare_exchange(turn, next, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
                self.used.store(0, Ordering::Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;

    #[tokio::test]
    async fn others_are_served_between_the_turns_of_a_flood() {
        let turns = Rc::new(Turns::default());
        let done: Rc<RefCell<Vec<&'static str>>> = Rc::default();
        let local = tokio::task::LocalSet::new();
        for _ in 0..100 {
            let (turns, done) = (Rc::clone(&turns), Rc::clone(&done));
            local.spawn_local(async move {
                turns.take().await;
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
