//! The gate's `result.json`.

use std::collections::BTreeMap;

use reports::result::{ResultFile, SCHEMA_VERSION};
use serde_json::{Value, json};

use super::{Report, lost, percent};
use crate::gate::counts::Counted;
use crate::gate::judge::Judged;
use crate::gate::metric::{Figures, Round};

pub(super) fn result_file(report: &Report<'_>) -> ResultFile {
    let recording = report.recording;
    let mut environment = recording.environment.clone();
    environment.versions =
        BTreeMap::from([("base".to_owned(), report.base.label()), ("head".to_owned(), report.head.label())]);
    environment.noise_aa = report.noise().map(|noise| round(noise, 1e5));
    let reasons = report.faults().into_iter().chain(report.troubles());
    let driver_share = recording.rounds.iter().map(|round| round.driver_share).fold(0.0, f64::max);
    let figures = || recording.rounds.iter().flat_map(|round| [&round.base, &round.head]);
    let lag_us = |of: fn(&Figures) -> f64| round(figures().map(of).fold(0.0, f64::max), 10.0);
    let judged = recording.judged.iter().map(|judged| (judged.metric.name(), metric(report, judged)));
    let counted = report.counts.iter().map(|count| (count.name.as_str(), exact(report, count)));
    let metrics: BTreeMap<&str, Value> = judged.chain(counted).collect();
    let document = json!({
        "schema_version": SCHEMA_VERSION,
        "kind": "gate",
        "name": "gate",
        "seed": report.options.seed,
        "commit": report.head.commit.clone().unwrap_or_default(),
        "started_at": report.started_at,
        "command": report.options.command,
        "environment": environment,
        "validity": {
            "valid": report.is_believed(),
            "reasons": reasons.collect::<Vec<_>>(),
            "notes": report.notes(),
            "dropped": recording.rounds.iter().map(|round| round.base.dropped + round.head.dropped).sum::<u64>(),
            "pacer_lag_us": {"p50": lag_us(|figures| figures.lag_us.0), "p99": lag_us(|figures| figures.lag_us.1)},
            "achieved_over_offered": 1.0,
            "client_cpu_ratio": driver_share,
            "steady_from_ms": 0,
        },
        "verdict": report.verdict(),
        "pairs": recording.rounds.iter().map(pair).collect::<Vec<_>>(),
        "metrics": metrics,
    });
    serde_json::from_value(document).unwrap_or_else(|error| unreachable!("it has the form of a result: {error}"))
}

fn pair(round: &Round) -> Value {
    let first = if round.order.first() == Some(&true) { "head" } else { "base" };
    json!({"round": round.number, "first": first, "base": side(&round.base), "head": side(&round.head)})
}

fn side(figures: &Figures) -> BTreeMap<&'static str, f64> {
    figures.values.iter().map(|(metric, value)| (metric.name(), round(*value, 1e3))).collect()
}

fn metric(report: &Report<'_>, judged: &Judged) -> Value {
    let tolerance = report.settings.metrics[&judged.metric];
    // Worded as in every other form; what has no end is left so, for whoever shows it.
    let in_percent = |log_ratio: f64| match log_ratio.is_finite() {
        true => round(lost(judged.metric, log_ratio), 1e3),
        false => round(percent(log_ratio), 1e3),
    };
    let mut metric = json!({
        "estimate_pct": in_percent(judged.estimate),
        "ci_low_pct": in_percent(judged.low),
        "ci_high_pct": in_percent(judged.high),
        "coverage": round(judged.coverage, 1e4),
        "mde_pct": in_percent(judged.found),
        "mde_with_twice_the_rounds_pct": in_percent(judged.found_with_twice),
        "tolerance_pct": in_percent(tolerance.tolerance()),
        "floor_pct": in_percent(tolerance.floor()),
        "rounds": judged.rounds,
        "p_value": judged.p_value,
        "verdict": report.said(judged.verdict),
        "base": round(judged.base, 1e3),
        "head": round(judged.head, 1e3),
    });
    if let Some(wanted) = judged.rounds_wanted(report.settings, &report.recording.looks) {
        metric["rounds_wanted"] = wanted.into();
    }
    metric
}

/// An exact figure has no interval, and one look at it is enough.
fn exact(report: &Report<'_>, count: &Counted) -> Value {
    let change = round(count.change_pct(), 1e3);
    json!({
        "estimate_pct": change,
        "ci_low_pct": change,
        "ci_high_pct": change,
        "mde_pct": 0.0,
        "tolerance_pct": count.tolerance_pct,
        "rounds": 1,
        "verdict": report.said_of_count(count),
        "base": count.base,
        "head": count.head,
        "budget": count.budget,
    })
}

/// Rounded to a share of one, which JSON shows without a tail of digits; what is not finite becomes the largest number,
/// since JSON has none for it.
fn round(value: f64, steps: f64) -> f64 {
    if value.is_finite() { (value * steps).round() / steps } else { f64::MAX.copysign(value) }
}
