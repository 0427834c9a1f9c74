//! How many credentials a worker verifies in one turn of its loop.
//!
//! Verifying a signature takes the worker some ten microseconds. A flood of new tokens must not keep it from its other
//! requests: beyond a bound, whoever wants to verify waits for the next turn, in which everybody else is served too.

use tokio::sync::Mutex;

/// Verifications in one turn: about 100 us with RS256.
const IN_ONE_TURN: u32 = 8;

/// One worker's count of what this turn of its loop has verified. Only its own thread touches it, an embedding
/// program's aside.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<u32>);

impl Turns {
    /// Waits until there is room in a turn of the loop, and takes it: first come, first served. Who waits first holds
    /// the lock until the next turn; all others stand behind it, in order, and cost nothing meanwhile.
    pub(super) async fn take(&self) {
        let mut used = self.0.lock().await;
        if *used >= IN_ONE_TURN {
            // It is polled again only after everything else that is ready has been, and the network has been asked.
            tokio::task::yield_now().await;
            *used = 0;
        }
        *used += 1;
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
                turns.take().await;
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
            turns.take().await;
        }
        {
            let mut first = std::pin::pin!(turns.take());
            assert!(futures_util::poll!(first.as_mut()).is_pending(), "it waits for the next turn, and is dropped");
        }
        turns.take().await;
    }

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
