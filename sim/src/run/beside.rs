//! Figures of what is beside the loads: hostile clients, gateways at rest, and their own metrics.

use std::collections::BTreeMap;

use reports::result::ResultFile;
use serde_json::{Map, Value, json};

use super::instance::Held;
use super::score::Findings;
use crate::hostile;
use crate::metrics_page::Wanted;
use crate::scenario::model::ExpectPart;
use crate::statistics::trend::Trend;

/// Nanoseconds of an hour.
const NS_PER_HOUR: f64 = 3.6e12;
/// What the interval of a growth leaves out on each side.
const OUTSIDE: f64 = 0.025;

impl Findings<'_> {
    /// What is beside the loads: hostile clients, gateways at rest, and samples of metrics that are expected.
    pub(super) fn beside(&self, result: &mut ResultFile) {
        let measured = &self.measured;
        let parts = self.scenario.hostile.iter().zip(&measured.hostile).zip(&self.records.hostile);
        let hostile: Map<String, Value> =
            parts.map(|((part, seen), records)| (part.name.clone(), hostile::figures(seen, *records))).collect();
        let rest: Map<String, Value> = (0..measured.held.0.len().min(measured.held.1.len()))
            .map(|number| {
                let mut rest = at_rest(measured.held.0[number], measured.held.1[number]);
                rest["rss_growth"] = growth(&measured.memory[number].seen);
                (number.to_string(), rest)
            })
            .collect();
        let mut metrics: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
        for figure in self.scenario.expectations.iter().flat_map(ExpectPart::figures) {
            let Some((number, sample)) = figure.strip_prefix("prometheus.").and_then(|rest| rest.split_once('.'))
            else {
                continue;
            };
            let value = number.parse().ok().map(|number| self.grown(sample, number));
            metrics.entry(number).or_default().insert(sample.to_owned(), json!(value));
        }
        let (alone, routes) = (json!(self.alone()), json!(self.routes));
        let sections = [("hostile", json!(hostile)), ("rest", json!(rest)), ("prometheus", json!(metrics))];
        for (section, figures) in sections.into_iter().chain([("alone", alone), ("routes", routes)]) {
            if figures.as_object().is_some_and(|figures| !figures.is_empty()) {
                result.other.insert(section.to_owned(), figures);
            }
        }
    }

    /// By how much a gateway's own counter has grown since t = 0; what a gauge was at the end.
    /// `None` where its page could not be read, or what it counted ended with a process of it.
    pub(super) fn grown(&self, sample: &str, number: usize) -> Option<f64> {
        let (before, after) = &self.measured.metrics;
        let restarted = self.measured.restarted.get(number).copied().unwrap_or(false);
        grown(&Wanted::parse(sample).ok()?, before.get(number)?.as_deref(), after.get(number)?.as_deref(), restarted)
    }
}

fn grown(wanted: &Wanted<'_>, before: Option<&str>, after: Option<&str>, restarted: bool) -> Option<f64> {
    let at_the_end = wanted.sum(after?);
    match wanted.is_counter() {
        true if restarted => None,
        // A sample may have gone with what it was of.
        true => Some((at_the_end - wanted.sum(before?)).max(0.0)),
        false => Some(at_the_end),
    }
}

/// What a gateway held before and after, and how that compares.
fn at_rest(before: Held, after: Held) -> Value {
    let compared = |before: u64, after: u64| {
        let ratio = (after as f64 / before.max(1) as f64 * 1e4).round() / 1e4;
        json!({ "before": before, "after": after, "grown": after as f64 - before as f64, "ratio": ratio })
    };
    json!({
        "rss_bytes": compared(before.rss_bytes, after.rss_bytes),
        "descriptors": compared(before.descriptors, after.descriptors),
    })
}

/// How fast memory grew over the second half of the measured part, bytes an hour. In the first half caches fill, and
/// the allocator keeps what the worst moment took.
fn growth(seen: &[(u64, u64)]) -> Value {
    let second_half = &seen[seen.len() / 2..];
    let points: Vec<(f64, f64)> =
        second_half.iter().map(|(at_ns, rss)| (*at_ns as f64 / NS_PER_HOUR, *rss as f64)).collect();
    match Trend::of(&points, OUTSIDE) {
        Some(trend) => json!({ "per_hour": trend.slope.round(), "low": trend.low.round(), "high": trend.high.round() }),
        None => json!({ "per_hour": null, "low": null, "high": null }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_grows_is_told_by_the_hour_and_what_filled_at_first_is_not_growth() {
        let each_second = |rss: fn(u64) -> u64| (0..300).map(|at| (at * 1_000_000_000, rss(at))).collect::<Vec<_>>();
        let filled = growth(&each_second(|at| 20_000_000 + at.min(100) * 100_000));
        assert_eq!((&filled["per_hour"], &filled["low"]), (&json!(0.0), &json!(0.0)));
        let leaks = growth(&each_second(|at| 20_000_000 + at * 1_000));
        assert_eq!(leaks["per_hour"], json!(3_600_000.0));
        assert!(leaks["low"].as_f64().unwrap() > 3_500_000.0, "{leaks}");
        assert_eq!(growth(&[])["low"], Value::Null);
    }

    #[test]
    fn a_page_that_is_not_there_has_no_value() {
        let counter = |before, after, restarted| {
            grown(&Wanted::parse("gateway_requests_total").unwrap(), before, after, restarted)
        };
        let (few, many) =
            (Some("gateway_requests_total{route=\"a\"} 2\n"), Some("gateway_requests_total{route=\"a\"} 7\n"));
        assert_eq!(counter(few, many, false), Some(5.0));
        assert_eq!(counter(few, few, false), Some(0.0));
        assert_eq!(counter(few, None, false), None, "it is down");
        assert_eq!(counter(few, many, true), None, "it began anew");
        let gauge = |after| grown(&Wanted::parse("process_open_fds").unwrap(), None, after, true);
        assert_eq!((gauge(Some("process_open_fds 9\n")), gauge(None)), (Some(9.0), None));
    }

    #[test]
    fn what_is_held_at_rest_is_compared() {
        let held = |rss_bytes, descriptors| Held { rss_bytes, descriptors };
        let figures = at_rest(held(20_000_000, 30), held(19_000_000, 33));
        assert_eq!(figures["rss_bytes"]["ratio"], 0.95);
        assert_eq!(figures["rss_bytes"]["grown"], -1_000_000.0);
        assert_eq!(figures["descriptors"], json!({ "before": 30, "after": 33, "grown": 3.0, "ratio": 1.1 }));
    }
}
