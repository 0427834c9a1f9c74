//! An attempt that has ended, as others hear of it: the flight recorder, and who listens to events.

use std::sync::Arc;
use std::time::Instant;

use super::attempt::Manner;
use crate::exchange::Exchange;
use crate::network::Network;
use crate::telemetry::events::{Event, Kind};
use crate::telemetry::metrics::AttemptOutcome;
use crate::telemetry::recorder::AttemptNote;
use crate::upstream::{Endpoint, Upstream};

/// An attempt as the flight recorder is told of it.
pub(super) fn note<N: Network>(
    (upstream, endpoint): (&Upstream<N>, &Endpoint<N>),
    breaker: &'static str,
    (Manner { began, replayed, .. }, ended): (Manner, Instant),
    (outcome, status, grpc_status): (AttemptOutcome, Option<u16>, Option<u8>),
) -> AttemptNote {
    let backup = endpoint.is_backup();
    let (upstream, endpoint) = (Arc::clone(&upstream.name), Arc::clone(&endpoint.address));
    let (part, began) = (None, began.at);
    AttemptNote { part, upstream, endpoint, backup, breaker, began, ended, outcome, status, grpc_status, replayed }
}

/// Reports an attempt that has ended, where somebody asks for it.
pub(super) fn tell<N: Network>(
    exchange: &Exchange<N>,
    (endpoint, key): (&Endpoint<N>, u64),
    (began, now): (Instant, Instant),
    (outcome, status): (AttemptOutcome, Option<u16>),
) {
    let (shared, Some(upstream)) = (&exchange.shard.shared, exchange.upstream()) else { return };
    if shared.events.wants(Kind::Attempt) {
        let event = Event::Attempt {
            request_id: exchange.request_id.clone(),
            upstream: Arc::clone(&upstream.name),
            endpoint: Arc::clone(&endpoint.address),
            start_ns: shared.clock.monotonic_ns(began),
            end_ns: shared.clock.monotonic_ns(now),
            outcome,
            status,
            key,
        };
        shared.report(now, event);
    }
}
