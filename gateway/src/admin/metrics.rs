//! `/metrics`: Prometheus text, or OpenMetrics for a scraper that asks for it.

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};

use super::State;
use crate::network::Network;
use crate::telemetry::exposition::{Format, ScrapeInputs, render};
use crate::telemetry::metrics::EndpointInFlight;
use crate::telemetry::process::ProcessStats;

pub(super) async fn metrics<N: Network>(Shared(state): Shared<Arc<State<N>>>, headers: HeaderMap) -> Response {
    let format = Format::negotiate(headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()));
    let shared = state.gateway.shared();
    let mut endpoints = Vec::new();
    for upstream in state.gateway.upstreams() {
        for endpoint in &upstream.active().endpoints {
            endpoints.push(EndpointInFlight {
                upstream: Arc::clone(&upstream.name),
                endpoint: Arc::clone(&endpoint.address),
                in_flight: endpoint.in_flight.count().into(),
            });
        }
    }
    let inputs = ScrapeInputs { endpoints, log_dropped: shared.log.dropped(), process: ProcessStats::read() };
    let body = render(format, &shared.metrics, &inputs);
    ([(header::CONTENT_TYPE, format.content_type())], body).into_response()
}
