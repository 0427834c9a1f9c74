//! Tokens that are being asked about: who comes first asks, and whoever brings the same token meanwhile gets the same
//! answer. Who comes when the question has ended asks anew, unless its answer is remembered.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::watch;

use super::proven::Identity;
use crate::telemetry::metrics::AuthResult;

/// What a question comes to.
pub(super) type Outcome = Result<Arc<Identity>, AuthResult>;

/// The tokens of each worker, and where their outcomes will be.
pub(super) struct Asked(Box<[Mutex<Tokens>]>);

type Tokens = HashMap<Bytes, watch::Receiver<Option<Outcome>>>;

/// What somebody does who brings a token.
pub(super) enum Part {
    /// It asks.
    Asks(Turn),
    /// It waits for who asks.
    Waits(Waiting),
}

/// Somebody's turn to ask. Those who wait get what it tells; where it is dropped without a word, one of them asks.
pub(super) struct Turn {
    asked: Arc<Asked>,
    worker: usize,
    token: Bytes,
    outcome: watch::Sender<Option<Outcome>>,
}

/// Somebody who waits. Whoever leaves leaves nothing behind.
pub(super) struct Waiting(watch::Receiver<Option<Outcome>>);

impl Asked {
    pub(super) fn new(workers: usize) -> Arc<Self> {
        Arc::new(Self((0..workers.max(1)).map(|_| Mutex::default()).collect()))
    }

    /// Asks about a token on a worker, or waits for who does.
    pub(super) fn join(self: &Arc<Self>, worker: usize, token: &Bytes) -> Part {
        let mut tokens = self.of(worker);
        if let Some(outcome) = tokens.get(token) {
            return Part::Waits(Waiting(outcome.clone()));
        }
        let (outcome, later) = watch::channel(None);
        tokens.insert(token.clone(), later);
        Part::Asks(Turn { asked: Arc::clone(self), worker, token: token.clone(), outcome })
    }

    fn of(&self, worker: usize) -> MutexGuard<'_, Tokens> {
        self.0[worker % self.0.len()].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// Tells those who wait what came of it, and gives it back.
    pub(super) fn tell(self, outcome: Outcome) -> Outcome {
        self.outcome.send_replace(Some(outcome.clone()));
        outcome
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // Before the sender: who is woken by its end does not find the token here any more.
        self.asked.of(self.worker).remove(&self.token);
    }
}

impl Waiting {
    /// What came of the question; `None` where whoever asked has left before it was put.
    pub(super) async fn outcome(mut self) -> Option<Outcome> {
        self.0.wait_for(Option::is_some).await.ok()?.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use futures_util::poll;

    use super::*;

    /// Its turn to ask.
    #[track_caller]
    fn asks(part: Part) -> Turn {
        match part {
            Part::Asks(turn) => turn,
            Part::Waits(_) => panic!("somebody asks already"),
        }
    }

    /// What it waits for.
    #[track_caller]
    fn waits(part: Part) -> Waiting {
        match part {
            Part::Waits(waiting) => waiting,
            Part::Asks(_) => panic!("nobody asks"),
        }
    }

    #[tokio::test]
    async fn whoever_brings_a_token_that_is_asked_about_gets_the_same_answer() {
        let (asked, token) = (Asked::new(2), Bytes::from_static(b"t"));
        let first = asks(asked.join(0, &token));
        let all: Vec<Waiting> = (0..100).map(|_| waits(asked.join(0, &token))).collect();
        let _elsewhere = asks(asked.join(1, &token));
        let _other = asks(asked.join(0, &Bytes::from_static(b"u")));
        let mut early = Box::pin(waits(asked.join(0, &token)).outcome());
        assert!(poll!(&mut early).is_pending());
        first.tell(Err(AuthResult::Unavailable)).unwrap_err();
        for waiting in all {
            assert_eq!(waiting.outcome().await.unwrap().unwrap_err(), AuthResult::Unavailable, "also of a failure");
        }
        assert!(matches!(poll!(&mut early), Poll::Ready(Some(Err(AuthResult::Unavailable)))));
        let _anew = asks(asked.join(0, &token));
    }

    #[tokio::test]
    async fn where_who_would_ask_leaves_another_one_does() {
        let (asked, token) = (Asked::new(1), Bytes::from_static(b"t"));
        let first = asks(asked.join(0, &token));
        let [left, stays] = [(); 2].map(|()| waits(asked.join(0, &token)));
        drop(left);
        drop(first);
        assert!(stays.outcome().await.is_none());
        let next = asks(asked.join(0, &token));
        let waiting = waits(asked.join(0, &token));
        next.tell(Err(AuthResult::Inactive)).unwrap_err();
        assert_eq!(waiting.outcome().await.unwrap().unwrap_err(), AuthResult::Inactive);
    }

    #[test]
    fn nothing_is_kept_of_a_token_that_nobody_asks_about_any_more() {
        let (asked, token) = (Asked::new(1), Bytes::from_static(b"t"));
        let first = asks(asked.join(0, &token));
        drop(waits(asked.join(0, &token)));
        assert_eq!(asked.of(0).len(), 1, "somebody still asks");
        drop(first);
        assert_eq!(asked.of(0).len(), 0);
    }
}
