//! The end: not ready, then no more connections, then answers finish, then exit.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::connections::Connections;
use crate::gateway::Gateway;
use crate::network::Network;

/// How often it is looked whether connections are left.
const LOOK: Duration = Duration::from_millis(10);

/// The longest that those are waited for who are told at `drain_timeout` that they get no answer.
const LAST_CALL: Duration = Duration::from_secs(1);

/// The switches that a drain throws, in order.
pub struct Switches {
    /// Stop accepting. Who accepts keeps a receiver until it has handed over the last connection that was queued.
    pub stop_accepting: watch::Sender<bool>,
    /// Close connections after the answer in flight.
    pub close_idle: watch::Sender<bool>,
    /// End the workers.
    pub stop_workers: watch::Sender<bool>,
}

/// How a drain ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// Every connection ended by itself.
    Clean,
    /// So many were cut at `drain_timeout`.
    Cut(usize),
    /// So many were cut because the drain was told to hurry.
    Hurried(usize),
}

/// Drains: `/readyz` turns 503 at once, accepting goes on for `drain_delay`, then answers in flight finish. At
/// `drain_timeout` requests without an answer get 503, for a moment (`LAST_CALL`), and the rest is cut. When `hurry` is
/// ready, whatever is left is cut at once.
pub async fn drain<N: Network>(
    gateway: &Arc<Gateway<N>>,
    switches: &Switches,
    connections: &Connections,
    hurry: impl Future<Output = ()>,
) -> Drained {
    gateway.begin_drain();
    let mut hurry = pin!(hurry);
    let mut outcome = tokio::select! {
        outcome = finish(gateway, switches, connections) => outcome,
        () = &mut hurry => {
            switches.stop_accepting.send_replace(true);
            Drained::Hurried(connections.open())
        }
    };
    gateway.begin_cut();
    if let Drained::Cut(_) = outcome {
        tokio::select! {
            () = gateway.shared().last_call.call(LAST_CALL) => {}
            () = hurry => outcome = Drained::Hurried(connections.open()),
        }
    }
    switches.stop_workers.send_replace(true);
    outcome
}

async fn finish<N: Network>(gateway: &Arc<Gateway<N>>, switches: &Switches, connections: &Connections) -> Drained {
    let snapshot = gateway.snapshot();
    let (delay, timeout) = (snapshot.config.server.drain_delay, snapshot.config.server.drain_timeout);
    let shared = gateway.shared();
    shared.roll_call.drain_ends(shared.clock.now() + delay + timeout);
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    switches.stop_accepting.send_replace(true);
    // Before connections are woken: who waits says so then.
    shared.roll_call.begin();
    switches.close_idle.send_replace(true);
    let all_gone = async {
        // A count of none says nothing before: what the kernel has accepted may still be in its queue.
        switches.stop_accepting.closed().await;
        while connections.open() > 0 {
            tokio::time::sleep(LOOK).await;
        }
    };
    match tokio::time::timeout(timeout, all_gone).await {
        Ok(()) => Drained::Clean,
        Err(_) => Drained::Cut(connections.open()),
    }
}
