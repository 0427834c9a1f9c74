//! Whether the gateway drains, as one connection asks it at every turn: a load while nothing has changed.

use std::future::Future;
use std::pin::Pin;
use std::task::Context;

use tokio::sync::watch;

/// The wait for the drain, registered once with the connection's task.
pub(super) struct Draining<'a, F> {
    wait: Pin<&'a mut F>,
    peek: watch::Receiver<bool>,
    registered: bool,
    begun: bool,
}

/// Waits until the switch is thrown, or nobody is left to throw it.
pub(super) async fn wait(mut switch: watch::Receiver<bool>) {
    // Both ends mean the same to a connection: there is nobody who would let it live.
    let _ = switch.wait_for(|drain| *drain).await;
}

impl<'a, F: Future<Output = ()>> Draining<'a, F> {
    /// `wait` is a `wait` on the same switch as `peek`.
    pub(super) fn new(wait: Pin<&'a mut F>, peek: watch::Receiver<bool>) -> Self {
        Self { wait, peek, registered: false, begun: false }
    }

    /// Whether the drain has begun; if not, the task is woken when it does.
    pub(super) fn poll_begun(&mut self, cx: &mut Context<'_>) -> bool {
        let unchanged = self.registered && matches!(self.peek.has_changed(), Ok(false));
        if !self.begun && !unchanged {
            self.registered = true;
            self.begun = self.wait.as_mut().poll(cx).is_ready();
        }
        self.begun
    }
}
