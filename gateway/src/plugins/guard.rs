//! The program's own code at work: a panic of it costs one request, and it has no more time than it is given.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::task::Poll;

use crate::network::Network;
use crate::shard::Shared;

/// Why it did not come to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lost<S> {
    /// It panicked, which is counted.
    Panicked,
    /// It was stopped.
    Stopped(S),
}

/// Lets a future come to its end; while it waits, `stop` is asked whether it is to.
pub(crate) async fn guarded<N: Network, T, S>(
    shared: &Shared<N>,
    future: impl Future<Output = T>,
    stop: impl Fn() -> Option<S>,
) -> Result<T, Lost<S>> {
    let mut future = pin!(future);
    std::future::poll_fn(|cx| match std::panic::catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(Poll::Ready(done)) => Poll::Ready(Ok(done)),
        Ok(Poll::Pending) => stop().map_or(Poll::Pending, |why| Poll::Ready(Err(Lost::Stopped(why)))),
        Err(_panic) => {
            shared.metrics.gateway().panicked();
            Poll::Ready(Err(Lost::Panicked))
        }
    })
    .await
}
