//! The end of a drain, for requests that wait for an answer: they are told that there is none, and waited for, a
//! moment, until that has gone out.
//!
//! Nobody listens for it while no drain lasts: until then it costs a request that waits a look at a flag.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::watch;

use crate::error::{Code, GatewayError};

/// The last call of a gateway's life.
#[derive(Debug, Default)]
pub struct LastCall {
    has_come: AtomicBool,
    /// Whoever has something to say until the end keeps a receiver.
    calls: watch::Sender<bool>,
}

impl LastCall {
    /// Whether it has come: who has no answer yet gets none but a problem.
    #[inline]
    pub fn has_come(&self) -> bool {
        self.has_come.load(Ordering::Relaxed)
    }

    /// Calls, and waits until all who listened have said what they had to say; no longer than this.
    pub async fn call(&self, within: Duration) {
        self.has_come.store(true, Ordering::Relaxed);
        self.calls.send_replace(true);
        let _ = tokio::time::timeout(within, self.calls.closed()).await;
    }

    /// From now on the caller hears it, and is waited for.
    pub fn listen(&self) -> Listening {
        let there = self.calls.subscribe();
        let mut hears = there.clone();
        let heard = Box::pin(async move {
            // Nobody is left to call: that is the end as well.
            let _ = hears.wait_for(|called| *called).await;
        });
        Listening { heard: Some(heard), _there: there }
    }
}

/// What the work for a request comes to; nothing but a problem, once the last call has come and it is not over. Who
/// never hears one (`None`) waits as long as it takes.
#[inline]
pub async fn or_told<T, E: From<GatewayError>>(
    call: Option<&LastCall>,
    mut work: Pin<&mut impl Future<Output = Result<T, E>>>,
) -> Result<T, E> {
    poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Pending if call.is_some_and(LastCall::has_come) => Poll::Ready(Err(told().into())),
        polled => polled,
    })
    .await
}

/// What a request is told for which no time is left.
#[cold]
fn told() -> GatewayError {
    let detail = "The gateway ends, and has waited for an answer as long as it may.";
    GatewayError::new(Code::Overloaded, detail).retry_after(Duration::from_secs(1)).closing()
}

/// Somebody who listens for it.
pub struct Listening {
    heard: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    _there: watch::Receiver<bool>,
}

impl Listening {
    /// Ready once, when it comes.
    pub fn poll_called(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(heard) = &mut self.heard else { return Poll::Pending };
        std::task::ready!(heard.as_mut().poll(cx));
        self.heard = None;
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[tokio::test(start_paused = true)]
    async fn who_listens_hears_it_once_and_is_waited_for_no_longer_than_that() {
        let call = LastCall::default();
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let (mut one, other) = (call.listen(), call.listen());
        assert!(one.poll_called(&mut cx).is_pending() && !call.has_come());
        let clock = Clock::starting_at(Duration::ZERO);
        let began = clock.now();
        let heard = async {
            poll_fn(|cx| one.poll_called(cx)).await;
            assert!(one.poll_called(&mut cx).is_pending(), "once");
            drop(one);
        };
        tokio::join!(call.call(Duration::from_secs(1)), heard);
        assert_eq!(clock.now() - began, Duration::from_secs(1), "the other one has not gone");
        assert!(call.has_come());
        drop(other);
        let mut late = call.listen();
        assert!(late.poll_called(&mut cx).is_ready(), "who comes late hears it at once");
        drop(late);
        call.call(Duration::from_secs(1)).await;
        assert_eq!(clock.now() - began, Duration::from_secs(1), "nobody is left to wait for");
    }
}
