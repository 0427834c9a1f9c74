//! What a gateway did to a scenario, seen from outside: from the clients' and the mocks' journals alone, so that the
//! same code judges every gateway. Pure.
//!
//! Nobody but the gateway itself knows the state of its breakers. What everybody sees is that an endpoint is *left
//! alone*: requests that came at a steady rate come no more. A gap between arrivals at an endpoint is a *silence* when
//! it is so long that, at the rate from before the fault, it would come about by chance once in a million gaps.
//! Gateways that probe break a silence with a probe, and what comes between two silences beyond the probes that are
//! configured has leaked.
//!
//! - [`outage`]: when an endpoint was left alone, what leaked meanwhile, and when it was taken back;
//! - [`events`]: requests that failed at a reload or a drain;
//! - [`limit`]: admissions above a rate limit.

mod events;
mod limit;
mod outage;

use std::collections::BTreeMap;

use reports::result::{Compared, Phase, ResultFile};

pub(super) use limit::OneKey;

use crate::history::{History, Name};
use crate::run::Happened;

/// How many outages showed too little to tell when an endpoint was left alone.
pub(super) const NOT_MEASURABLE: &str = "outages_not_measurable";

/// What a history is held against.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked {
    /// Attempts at once with which each upstream may try whether an endpoint is back.
    pub(super) probes: BTreeMap<Name, u64>,
    /// The rate limit that every request is held against, where there is one.
    pub(super) limit: Option<OneKey>,
}

/// Scores one gateway. `result` is of its run.
pub(super) fn score(asked: &Asked, history: &History, happened: &[Happened], result: &ResultFile) -> Compared {
    let outages = outage::all(history, &asked.probes);
    let events = events::count(history, happened);
    let mut one = Compared {
        // Of the outages that can be measured; the figures tell how many cannot.
        trip_ms: worst(outages.iter().filter(|outage| outage.is_measurable).map(|outage| outage.trip_ns)),
        leaked_attempts: outages.iter().filter_map(|outage| outage.leaked).reduce(|sum, more| sum + more),
        recovery_ms: worst(outages.iter().filter(|outage| outage.shows_silences).map(|outage| outage.recovery_ns)),
        reload_failures: events.at_reload,
        drain_failures: events.at_drain,
        success_ratio: success(result),
        added_us: added(result),
        ..Compared::default()
    };
    let figures = &mut one.figures;
    if !outages.is_empty() {
        figures.insert("outages".to_owned(), outages.len() as f64);
        let never = outages.iter().filter(|outage| outage.is_measurable && outage.trip_ns.is_none()).count();
        figures.insert("outages_never_left_alone".to_owned(), never as f64);
        let unknown = outages.iter().filter(|outage| !outage.is_measurable).count();
        figures.insert(NOT_MEASURABLE.to_owned(), unknown as f64);
        let reached: u64 = outages.iter().map(|outage| outage.attempts).sum();
        figures.insert("attempts_at_sick_endpoints".to_owned(), reached as f64);
    }
    if let Some((limit, over)) = asked.limit.as_ref().and_then(|limit| Some((limit, limit.over_admission(history)?))) {
        one.over_admission = Some(round(over.share, 1e4));
        figures.insert(format!("limit.{}.worst_window_excess", limit.name), round(over.worst_excess, 10.0));
    }
    of_result(result, figures);
    one
}

/// Figures that every run has.
fn of_result(result: &ResultFile, figures: &mut BTreeMap<String, f64>) {
    for (name, load) in &result.load {
        for (phase_name, phase) in load.phases_in_order() {
            let name = if result.load.len() == 1 { phase_name.to_owned() } else { format!("{name}.{phase_name}") };
            // Of nothing there is neither, and of what was not sent no latency.
            if let Some(success) = phase.success() {
                figures.insert(format!("success.{name}"), round(success, 1e5));
            }
            if let Some(latency) = phase.latency() {
                figures.insert(format!("p99_ms.{name}"), round(latency.p99 / 1e3, 1e3));
            }
        }
    }
    if let Some(retries) = &result.retries {
        figures.insert("retry_amplification".to_owned(), retries.amplification);
    }
    if let Some(cpu_us) = result.gateway.get("0").and_then(|gateway| gateway.cpu_us_per_request) {
        figures.insert("cpu_us_per_request".to_owned(), cpu_us);
    }
    for (upstream, balance) in &result.balance {
        figures.extend(balance.regret_bad.map(|regret| (format!("regret_bad.{upstream}"), regret)));
    }
}

/// The longest, milliseconds; `None` where one of them never came to an end, or there are none.
fn worst(times: impl Iterator<Item = Option<u64>>) -> Option<f64> {
    let all: Option<Vec<u64>> = times.collect();
    all?.into_iter().max().map(|ns| round(ns as f64 / 1e6, 1e3))
}

/// The share of all arrivals that ended as wanted. The histories of clients do not know what never was sent, which a
/// gateway that stalls makes many of.
fn success(result: &ResultFile) -> Option<f64> {
    let phases = || result.load.values().flat_map(|load| load.phases.values());
    let (ok, all) =
        (phases().map(|phase| phase.outcome("ok")).sum::<u64>(), phases().map(Phase::arrivals).sum::<u64>());
    (all > 0).then(|| round(ok as f64 / all as f64, 1e6))
}

/// Latency added before anything went wrong; of several loads that with the largest p99.
fn added(result: &ResultFile) -> Option<reports::result::AddedQuantiles> {
    let first =
        result.load.values().filter_map(|load| load.phases_in_order().first().and_then(|(_, one)| one.added_us));
    first.max_by(|one, other| one.p99.total_cmp(&other.p99))
}

fn round(value: f64, steps: f64) -> f64 {
    (value * steps).round() / steps
}

#[cfg(test)]
mod tests {
    use reports::result::Load;

    use super::*;
    use crate::history::story::Story;

    #[test]
    fn the_worst_outage_counts_and_one_without_an_end_has_no_figure() {
        assert_eq!(worst([Some(1_500_000), Some(9_000_000)].into_iter()), Some(9.0));
        assert_eq!(worst([Some(1), None].into_iter()), None);
        assert_eq!(worst(std::iter::empty()), None);
    }

    #[test]
    fn a_quiet_run_has_no_outage_and_all_the_rest() {
        let history = Story::new().answered("orders/0", 200, 1).at_ms(4).refused(503).end();
        let one = score(&Asked::default(), &history, &[], &ResultFile::default());
        assert_eq!((one.trip_ms, one.leaked_attempts, one.recovery_ms), (None, None, None));
        assert_eq!((one.reload_failures, one.success_ratio), (None, None), "the result tells of no load");
        assert!(!one.figures.contains_key("outages"));
    }

    #[test]
    fn what_was_dropped_did_not_succeed() {
        let phase = |counts: [(&str, u64); 3]| Phase {
            outcome: counts.map(|(name, count)| (name.to_owned(), count)).into(),
            ..Phase::default()
        };
        let phases = [
            ("before", phase([("ok", 60), ("failed", 0), ("dropped", 0)])),
            ("fault_1", phase([("ok", 30), ("failed", 0), ("dropped", 10)])),
        ];
        let phases = phases.map(|(name, phase)| (name.to_owned(), phase)).into();
        let mut result = ResultFile::default();
        result.load.insert("main".to_owned(), Load { phases, ..Load::default() });
        assert_eq!(success(&result), Some(0.9));
    }

    #[test]
    fn an_outage_that_cannot_be_measured_is_counted_and_hides_no_other() {
        // A request each millisecond to both in turns; the second endpoint has a long fault and one of 30 ms.
        let story = Story::new().fault("orders/1", 1_000, 2_000, "status = 503").fault("orders/1", 3_000, 3_030, "x");
        let is_sick = |at: u64| (1_000..2_000).contains(&at) || (3_000..3_030).contains(&at);
        let history = story.each(0..4_000, |story, at| match (at % 2, (1_020..2_300).contains(&at)) {
            (1, false) => story.at_ms(at).answered("orders/1", if is_sick(at) { 503 } else { 200 }, 0),
            _ => story.at_ms(at).answered("orders/0", 200, 0),
        });
        let one = score(&Asked::default(), &history.end(), &[], &ResultFile::default());
        let figure = |name: &str| one.figures[name];
        assert_eq!((figure("outages"), figure(NOT_MEASURABLE), figure("outages_never_left_alone")), (2.0, 1.0, 0.0));
        assert_eq!((one.trip_ms, one.recovery_ms.is_some()), (Some(18.0), true));
    }
}
