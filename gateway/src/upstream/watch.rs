//! What the upstreams of a process tell others, and the task that wakes their breakers.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Notify;

use super::closed::Closed;
use super::health::start_checks;
use super::registry::Registry;
use crate::clock::Clock;
use crate::network::Network;
use crate::plugins::Plugins;
use crate::telemetry::events::{Event, Events};

/// Time, the stream of events, and a bell for the task that keeps time. Shared by all upstreams.
#[derive(Debug)]
pub struct Surroundings {
    /// Time.
    pub clock: Clock,
    /// Where policies of balancing of the program's own are.
    pub(super) plugins: Arc<Plugins>,
    /// Where no connection leads.
    pub closed: Closed,
    events: Arc<Events>,
    /// Rings when something has a new time at which it is due.
    bell: Notify,
}

impl Surroundings {
    /// Of this process.
    pub fn new(clock: Clock, events: Arc<Events>, plugins: Arc<Plugins>) -> Self {
        Self { clock, plugins, closed: Closed::default(), events, bell: Notify::new() }
    }

    /// Tells of an event.
    pub(super) fn report(&self, at: Instant, event: Event) {
        self.events.report(self.clock.monotonic_ns(at), event);
    }

    /// Says that a deadline may have come closer.
    pub(super) fn ring(&self) {
        self.bell.notify_one();
    }
}

/// Moves breakers on when their time has come, also when nobody asks for anything, and starts the checks of endpoints
/// that are new. A pick does the same for the breakers that it looks at, so that none waits for this task.
pub async fn keep_watch<N: Network>(upstreams: &Registry<N>, network: &N) {
    let surroundings = upstreams.surroundings();
    loop {
        let now = surroundings.clock.now();
        let mut next = None;
        for upstream in upstreams.all() {
            upstream.tick(now);
            start_checks(&upstream, network);
            next = [next, upstream.deadline()].into_iter().flatten().min();
        }
        let rung = surroundings.bell.notified();
        match next {
            Some(next) => {
                // Either way it looks again.
                let _ = tokio::time::timeout_at(next.into(), rung).await;
            }
            None => rung.await,
        }
    }
}
