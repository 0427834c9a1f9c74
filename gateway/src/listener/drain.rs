//! How one connection takes part in a drain. Asked at every turn: a load while nothing has changed.

use std::future::Future;
use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::coop::has_budget_remaining;

use crate::client::{ClientConnection, Phase};
use crate::clock::Clock;
use crate::timer::Wait;

/// When a drain begins, a request may be on its way already, on a connection that looks idle from here. It is waited
/// for this long, and answered; closing at once would fail it.
pub(super) const ON_ITS_WAY: Duration = Duration::from_millis(100);

/// A connection's part in the drain.
pub(super) struct Draining<'a, F> {
    /// The wait for the drain, registered once with the connection's task.
    wait: Pin<&'a mut F>,
    peek: watch::Receiver<bool>,
    registered: bool,
    state: State,
}

/// How far a connection is with a drain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// None has begun.
    NotYet,
    /// It has begun; while the connection is idle, it is waited for a moment.
    Begun,
    /// The connection closes after the answer in flight.
    Closing,
}

/// Waits until the switch is thrown, or nobody is left to throw it.
pub(super) async fn wait(mut switch: watch::Receiver<bool>) {
    // Both ends mean the same to a connection: there is nobody who would let it live.
    let _ = switch.wait_for(|drain| *drain).await;
}

/// The same, and for so long after that: what is under way then may come to its end.
pub(super) async fn wait_and(switch: watch::Receiver<bool>, more: Duration) {
    wait(switch).await;
    tokio::time::sleep(more).await;
}

impl<'a, F: Future<Output = ()>> Draining<'a, F> {
    /// `wait` is a `wait` on the same switch as `peek`.
    pub(super) fn new(wait: Pin<&'a mut F>, peek: watch::Receiver<bool>) -> Self {
        Self { wait, peek, registered: false, state: State::NotYet }
    }

    /// Whether the connection is to be told now that its next answer is its last. An idle one is never told: its
    /// `Wait::Idle` runs out soon instead. While no drain has begun, the task is woken when one does.
    pub(super) fn poll_closes(&mut self, cx: &mut Context<'_>, connection: &ClientConnection, clock: &Clock) -> bool {
        if self.state == State::NotYet && !self.poll_begun(cx) {
            return false;
        }
        match (connection.phase.get(), self.state) {
            // Half a head must not be thrown away: its request is still to come, and is answered.
            (_, State::NotYet | State::Closing) | (Phase::Head, State::Begun) => false,
            (Phase::Idle, State::Begun) => {
                // An answer that has ended since then has set it anew.
                let (deadlines, now) = (&connection.deadlines, clock.now());
                if deadlines.left(Wait::Idle, now).is_none_or(|left| left > 2 * ON_ITS_WAY) {
                    deadlines.set(Wait::Idle, now, Some(ON_ITS_WAY));
                }
                false
            }
            (Phase::Serving, State::Begun) => {
                self.state = State::Closing;
                true
            }
        }
    }

    /// Whether a drain is known to have begun.
    #[inline]
    pub(super) fn has_begun(&self) -> bool {
        self.state != State::NotYet
    }

    /// What tells of the drain.
    pub(super) fn follow(&self) -> watch::Receiver<bool> {
        self.peek.clone()
    }

    /// Whether a drain has begun; until then the task is woken when it does.
    pub(super) fn poll_has_begun(&mut self, cx: &mut Context<'_>) -> bool {
        self.state != State::NotYet || self.poll_begun(cx)
    }

    fn poll_begun(&mut self, cx: &mut Context<'_>) -> bool {
        if self.registered && matches!(self.peek.has_changed(), Ok(false)) {
            return false;
        }
        let begun = self.wait.as_mut().poll(cx).is_ready();
        // A task whose turn is used up is sent to the queue's end, and is registered nowhere.
        self.registered = has_budget_remaining();
        if begun {
            self.state = State::Begun;
        }
        begun
    }
}
