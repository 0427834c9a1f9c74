//! Breakers, limits, balance and retries, each beside what an oracle says.

use maud::{Markup, html};

use super::{cell, section as page_section, table};
use crate::quantity::{count, digits, duration, exact, percent};
use crate::result::{Balance, Breaker, Limiter, ResultFile};

/// One section for all that exists.
pub(super) fn section(result: &ResultFile) -> Option<Markup> {
    let nothing = result.breakers.is_empty() && result.limiters.is_empty() && result.balance.is_empty();
    if nothing && result.retries.is_none() {
        return None;
    }
    let body = html! {
        @if !result.breakers.is_empty() { h3 { "Breakers" } (breakers(result)) }
        @if !result.limiters.is_empty() { h3 { "Rate limits" } (limiters(result)) }
        @for (upstream, balance) in &result.balance { h3 { "Balance of " (upstream) } (shares(balance)) }
        @if let Some(retries) = &result.retries {
            h3 { "Retries" }
            p.note {
                (exact(retries.amplification)) " upstream attempts for each request"
                @if let Some(refused) = retries.budget_refused { "; the budget refused " (count(refused)) }
                "."
            }
        }
    };
    Some(page_section("Resilience, beside its oracle", &body))
}

fn or_none<T>(value: Option<T>, write: impl Fn(T) -> String) -> Markup {
    cell(value.map_or_else(|| "–".to_owned(), write))
}

fn ms(value: f64) -> String {
    duration(value * 1e3)
}

/// How long it took, or that it has not come to an end.
fn recovery(breaker: &Breaker) -> String {
    match breaker.recovery_ms {
        Some(took) => ms(took),
        None if breaker.never_closed.is_some() => "never closed".to_owned(),
        None => "–".to_owned(),
    }
}

fn breakers(result: &ResultFile) -> Markup {
    let head = [
        "endpoint",
        "trips",
        "trip time",
        "attempts to trip",
        "oracle",
        "leaked",
        "probes at once",
        "recovery",
        "oracle",
    ];
    let row = |(name, breaker): (&String, &Breaker)| {
        vec![
            cell(name),
            cell(count(breaker.trips)),
            or_none(breaker.trip_ms, ms),
            or_none(breaker.attempts_to_trip, count),
            or_none(breaker.oracle_attempts, count),
            cell(count(breaker.leaked_attempts)),
            cell(count(breaker.probes_max_concurrent)),
            cell(recovery(breaker)),
            or_none(breaker.recovery_oracle_ms, ms),
        ]
    };
    table(&head, &result.breakers.iter().map(row).collect::<Vec<_>>())
}

fn limiters(result: &ResultFile) -> Markup {
    let head = [
        "rule",
        "offered",
        "admitted",
        "oracle",
        "false admits",
        "false refusals",
        "above any window",
        "sustained error",
        "Retry-After off by",
        "fairness",
    ];
    let row = |(name, limiter): (&String, &Limiter)| {
        vec![
            cell(name),
            cell(count(limiter.offered)),
            cell(count(limiter.admitted)),
            cell(count(limiter.oracle_admitted)),
            or_none(limiter.false_admits, count),
            or_none(limiter.false_refusals, count),
            or_none(limiter.bound_violation, digits),
            or_none(limiter.sustained_error, percent),
            or_none(limiter.retry_after_error_ms, ms),
            or_none(limiter.fairness_jain, digits),
        ]
    };
    table(&head, &result.limiters.iter().map(row).collect::<Vec<_>>())
}

fn shares(balance: &Balance) -> Markup {
    let row = |(endpoint, share): (&String, &f64)| {
        let width = format!("width:{:.1}%", (share * 100.0).clamp(0.0, 100.0));
        let expected = balance.expected_share.get(endpoint).copied();
        vec![
            cell(endpoint),
            cell(percent(*share)),
            or_none(expected, percent),
            html! { div.bar { div style=(width) {} } },
        ]
    };
    let rows: Vec<Vec<Markup>> = balance.share.iter().map(row).collect();
    let regrets =
        [("sent to an unhealthy endpoint", balance.regret_bad), ("kept from a healthy one", balance.regret_idle)];
    let moved = balance.moved_keys.map(|keys| format!("keys that moved {}", digits(keys)));
    let told: Vec<String> = regrets
        .into_iter()
        .filter_map(|(name, value)| value.map(|value| format!("{name} {}", percent(value))))
        .chain(moved)
        .collect();
    html! {
        (table(&["endpoint", "share", "by weight", ""], &rows))
        @if !told.is_empty() { p.note { "Regret: " (told.join(", ")) "." } }
    }
}
