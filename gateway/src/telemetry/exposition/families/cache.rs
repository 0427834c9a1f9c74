//! The families of answers that are kept.

use crate::telemetry::exposition::format::{Kind, Page};
use crate::telemetry::metrics::{CacheUse, RouteTotals};

/// Answers that are kept (`cache` of routes).
#[derive(Debug, Default, Clone, Copy)]
pub struct KeptAnswers {
    /// How many there are.
    pub entries: u64,
    /// What they take, bytes.
    pub bytes: u64,
    /// How many had to make room.
    pub evicted: u64,
}

/// How requests came by their answers.
pub(super) fn requests(page: &mut Page, totals: &[(&str, RouteTotals)]) {
    page.family(
        "gateway_cache_requests_total",
        Kind::Counter,
        "Requests of routes whose answers are kept, by how they came by theirs.",
    );
    for (route, totals) in totals {
        for (by, count) in CacheUse::ALL.iter().zip(totals.cached).filter(|(_, count)| *count > 0) {
            page.number(&[("route", route), ("result", by.as_str())], count);
        }
    }
}

/// What is kept.
pub(super) fn render(page: &mut Page, kept: &KeptAnswers) {
    page.family("gateway_cache_entries", Kind::Gauge, "Answers that are kept, of all routes.");
    page.number(&[], kept.entries);
    page.family("gateway_cache_bytes", Kind::Gauge, "What kept answers take of `cache_memory`.");
    page.number(&[], kept.bytes);
    page.family("gateway_cache_evicted_total", Kind::Counter, "Kept answers that had to make room for others.");
    page.number(&[], kept.evicted);
}
