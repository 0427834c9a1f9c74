//! Limits of requests at once.

use crate::telemetry::exposition::format::{Kind, Page};
use crate::telemetry::metrics::{HeldPlaces, LimitDecision, Registry};

/// Requests at once: where they are limited, how many there are, and what became of those beyond.
pub(super) fn render(page: &mut Page, registry: &Registry, held: &[HeldPlaces]) {
    page.family(
        "gateway_limit_in_flight_decisions_total",
        Kind::Counter,
        "What limits of requests at once decided, by rule and decision.",
    );
    for series in registry.in_flight_limits() {
        for (decision, count) in LimitDecision::ALL.iter().zip(series.totals()).filter(|(_, count)| *count > 0) {
            page.number(&[("rule", series.name()), ("decision", decision.as_str())], count);
        }
    }
    page.family("gateway_limit_in_flight", Kind::Gauge, "Requests that a limit of requests at once counts now.");
    for held in held.iter().filter(|held| !held.is_route) {
        page.number(&[("rule", &held.name)], held.requests);
    }
    page.family("gateway_route_in_flight", Kind::Gauge, "Requests of a route with `max_in_flight` that are under way.");
    for held in held.iter().filter(|held| held.is_route) {
        page.number(&[("route", &held.name)], held.requests);
    }
}
