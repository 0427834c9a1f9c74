//! Tokens that are being asked about: who comes first asks, whoever else brings the same token waits and looks again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::OwnedMutexGuard;

/// The tokens of each worker.
pub(super) struct Asked(Box<[Mutex<HashMap<Bytes, Entry>>]>);

/// A token.
#[derive(Default)]
struct Entry {
    /// Held by who asks.
    gate: Arc<tokio::sync::Mutex<()>>,
    /// Who asks, and who waits.
    here: usize,
}

/// Somebody's turn to ask; the next one has it when this is dropped.
pub(super) struct Turn {
    // In this order: the token is forgotten after its gate is open.
    _gate: OwnedMutexGuard<()>,
    _place: Place,
}

/// A place before a token's gate. The last one to leave forgets the token.
struct Place {
    asked: Arc<Asked>,
    worker: usize,
    token: Bytes,
}

impl Asked {
    pub(super) fn new(workers: usize) -> Arc<Self> {
        Arc::new(Self((0..workers.max(1)).map(|_| Mutex::default()).collect()))
    }

    /// Waits for the turn to ask about a token on a worker. Whoever leaves meanwhile leaves nothing behind.
    pub(super) async fn turn(self: &Arc<Self>, worker: usize, token: &Bytes) -> Turn {
        let gate = {
            let mut tokens = self.of(worker);
            let entry = tokens.entry(token.clone()).or_default();
            entry.here += 1;
            Arc::clone(&entry.gate)
        };
        let place = Place { asked: Arc::clone(self), worker, token: token.clone() };
        Turn { _gate: gate.lock_owned().await, _place: place }
    }

    fn of(&self, worker: usize) -> MutexGuard<'_, HashMap<Bytes, Entry>> {
        self.0[worker % self.0.len()].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut tokens = self.asked.of(self.worker);
        let Some(entry) = tokens.get_mut(&self.token) else { return };
        entry.here -= 1;
        if entry.here == 0 {
            tokens.remove(&self.token);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use futures_util::poll;

    use super::*;

    #[tokio::test]
    async fn a_token_has_one_turn_at_a_time_and_whoever_leaves_gives_theirs_to_the_next() {
        let (asked, token) = (Asked::new(2), Bytes::from_static(b"t"));
        let first = asked.turn(0, &token).await;
        let mut leaves = Box::pin(asked.turn(0, &token));
        let mut stays = Box::pin(asked.turn(0, &token));
        assert!(poll!(&mut leaves).is_pending() && poll!(&mut stays).is_pending());
        let _elsewhere = asked.turn(1, &token).await;
        let _other = asked.turn(0, &Bytes::from_static(b"u")).await;
        drop(leaves);
        assert!(poll!(&mut stays).is_pending());
        drop(first);
        assert!(matches!(poll!(&mut stays), Poll::Ready(_)));
    }

    #[tokio::test]
    async fn nothing_is_kept_of_a_token_that_nobody_asks_about_any_more() {
        let (asked, token) = (Asked::new(1), Bytes::from_static(b"t"));
        let first = asked.turn(0, &token).await;
        let mut waits = Box::pin(asked.turn(0, &token));
        assert!(poll!(&mut waits).is_pending());
        drop(waits);
        assert_eq!(asked.of(0).len(), 1, "somebody still asks");
        drop(first);
        assert_eq!(asked.of(0).len(), 0);
    }
}
