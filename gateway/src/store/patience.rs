//! Waiting until a time, by a gateway that may have been held up itself.
//!
//! A process whose cores are given to others (a quota of a container, a machine that swaps) comes back to a timer that
//! is long over and to an answer that has been lying in its socket. Whoever looks at the clock first takes a server for
//! dead that has done its work.

use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use super::Store;

/// A timer that is so late tells that nobody was there.
const HELD_UP: Duration = Duration::from_millis(5);
/// Turns after which an answer that is in the socket has come to who waits for it: the connection reads it, the trip
/// gets it, who asked gets it.
const TURNS: usize = 4;

/// What comes until then, or has come by the time that this gateway could look.
pub(super) async fn wait<F: Future + Unpin>(store: &Store, until: Instant, mut awaited: F) -> Option<F::Output> {
    if let Ok(came) = tokio::time::timeout_at(until.into(), &mut awaited).await {
        return Some(came);
    }
    if store.now().saturating_duration_since(until) < HELD_UP {
        return None;
    }
    for _ in 0..TURNS {
        tokio::task::yield_now().await;
        let look = std::future::poll_fn(|cx| match Pin::new(&mut awaited).poll(cx) {
            Poll::Ready(came) => Poll::Ready(Some(came)),
            Poll::Pending => Poll::Ready(None),
        });
        if let Some(came) = look.await {
            return Some(came);
        }
    }
    None
}
