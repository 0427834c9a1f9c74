//! Whether the gateway drains, as one connection asks it at every turn: a load while nothing has changed.
//!
//! A request may be on its way when a drain begins, on a connection that looks idle from here: it is waited for, and
//! answered. Closing at once would fail it.

use std::future::Future;
use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use tokio::sync::watch;

use crate::client::{ClientConnection, Phase};
use crate::clock::Clock;
use crate::network::Network;
use crate::timer::Wait;

/// How long a connection that is idle when a drain begins is kept for a request that is on its way.
const ON_ITS_WAY: Duration = Duration::from_millis(100);

/// How far a connection is with a drain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// None has begun, or the connection has not been looked at since.
    Open,
    /// The connection is idle, and is waited for a moment: `Wait::Idle` ends it.
    Waiting,
    /// The connection closes after the answer in flight.
    Closing,
}

/// The wait for the drain, registered once with the connection's task.
pub(super) struct Draining<'a, F> {
    wait: Pin<&'a mut F>,
    peek: watch::Receiver<bool>,
    registered: bool,
    begun: bool,
    stage: Stage,
}

/// Waits until the switch is thrown, or nobody is left to throw it.
pub(super) async fn wait(mut switch: watch::Receiver<bool>) {
    // Both ends mean the same to a connection: there is nobody who would let it live.
    let _ = switch.wait_for(|drain| *drain).await;
}

impl<'a, F: Future<Output = ()>> Draining<'a, F> {
    /// `wait` is a `wait` on the same switch as `peek`.
    pub(super) fn new(wait: Pin<&'a mut F>, peek: watch::Receiver<bool>) -> Self {
        Self { wait, peek, registered: false, begun: false, stage: Stage::Open }
    }

    /// Whether the connection is to be told now that its next answer is its last.
    pub(super) fn poll_closes<N: Network>(
        &mut self,
        connection: &ClientConnection<N>,
        clock: &Clock,
        cx: &mut Context<'_>,
    ) -> bool {
        if self.stage == Stage::Closing || !self.poll_begun(cx) {
            return false;
        }
        match connection.phase.get() {
            Phase::Idle => {
                if self.stage == Stage::Open {
                    self.stage = Stage::Waiting;
                    connection.deadlines.set(Wait::Idle, clock.now(), Some(ON_ITS_WAY));
                }
                false
            }
            // Half a head must not be thrown away: its request is still to come, and is answered.
            Phase::Head => {
                self.stage = Stage::Open;
                false
            }
            Phase::Serving => {
                self.stage = Stage::Closing;
                true
            }
        }
    }

    /// Whether the drain has begun; if not, the task is woken when it does.
    fn poll_begun(&mut self, cx: &mut Context<'_>) -> bool {
        let unchanged = self.registered && matches!(self.peek.has_changed(), Ok(false));
        if !self.begun && !unchanged {
            self.registered = true;
            self.begun = self.wait.as_mut().poll(cx).is_ready();
        }
        self.begun
    }
}
