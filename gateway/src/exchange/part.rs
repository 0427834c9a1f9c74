//! The exchange of an aggregate's part: a call of the gateway's own on behalf of a request. It has the request's name,
//! client and identity, and deadlines of its own; it leaves no record, for the request's tells of all.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::uri::PathAndQuery;
use http::{Method, Uri};

use super::{Arrival, Exchange, Named};
use crate::network::Network;
use crate::response_body::Source;
use crate::telemetry::metrics::AttemptOutcome;
use crate::timer::Wait;

impl<N: Network> Exchange<N> {
    /// An exchange that asks the upstream of this route of the snapshot for the target, from now on: within the route's
    /// time, and what is left of this exchange's.
    pub fn part(&self, route: usize, target: &PathAndQuery) -> Box<Self> {
        let clock = self.shard.shared.clock.clone();
        let connection = Arc::new(self.connection.of_stream(clock, None));
        let arrival = Arrival { shard: Arc::clone(&self.shard), connection };
        let named = Named {
            snapshot: Arc::clone(&self.snapshot),
            request_id: self.request_id.clone(),
            trace: self.trace.clone(),
            client: self.client.clone(),
            peer_trusted: self.peer_trusted,
            secure: self.secure,
        };
        let mut part = Box::new(Self::new(arrival, (Method::GET, Uri::from(target.clone()), self.version), named));
        part.finished = true;
        part.route = Some(route);
        part.traced = self.traced;
        part.host.clone_from(&self.host);
        part.identity.clone_from(&self.identity);
        part.names.clone_from(&self.names);
        let given = part.route().and_then(|route| route.settings.timeout);
        let passed = part.started.saturating_duration_since(self.started);
        let left = self.timeout.map(|timeout| timeout.saturating_sub(passed));
        part.timeout = given.into_iter().chain(left).min();
        // What it was given little time for says nothing of who was asked.
        part.hurried = self.hurried || left.zip(given).is_some_and(|(left, given)| left < given / 2);
        part.connection.deadlines.set(Wait::Exchange, part.started, part.timeout);
        part
    }

    /// Attempts that were made, hedges included.
    pub fn attempts_made(&self) -> u32 {
        self.attempts + self.hedges.load(Ordering::Relaxed)
    }

    /// Tells the endpoint's breaker that it broke its answer off, or did not go on with it in a time that says so.
    pub fn blame(&self, source: &Source<N>, outcome: AttemptOutcome) {
        let says_nothing = outcome == AttemptOutcome::Timeout && self.hurried;
        if let Some(upstream) = self.upstream().filter(|_| !says_nothing) {
            upstream.broke_off(&source.selected, outcome, None, self.now());
        }
    }
}
