//! Whether what was expected holds, and what follows.

use std::time::Duration;

use reports::result::{Expectation, ResultFile, Verdict};
use serde_json::Value;

use super::doubt::Doubt;
use crate::scenario::CAUSES;
use crate::scenario::model::ExpectPart;

/// An expectation with what came of it.
#[derive(Debug, Clone)]
pub(super) struct Judged {
    pub(super) told: Expectation,
    /// It is judged though the run is not valid: nothing that makes the run so can have caused it.
    pub(super) stands: bool,
}

/// A gateway that ended though nobody told it to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Death {
    pub(super) gateway: usize,
    /// How, as in "by signal 9".
    pub(super) how: String,
    /// When that was seen, from t = 0; `None` where it was seen at the end.
    pub(super) at: Option<Duration>,
}

/// Judges every expectation by the result's figures, and adds what every run has to hold.
pub(super) fn expectations(expected: &[ExpectPart], result: &ResultFile, died: &[Death], doubt: &Doubt) -> Vec<Judged> {
    let figures = serde_json::to_value(result).unwrap_or_default();
    let always = ["accounting.missing", "accounting.surplus", "virtual_time.anomalies"].map(|figure| ExpectPart {
        figure: figure.to_owned(),
        min: None,
        max: Some(0.0),
        above: None,
        per: None,
    });
    // What the scenario itself expects is told once, wherever it stands among the others.
    let is_added = |one: &ExpectPart| figure(&figures, &one.figure).is_some() && !expected.contains(one);
    let always = always.into_iter().filter(is_added);
    let written = expected.iter().cloned();
    let one = |expected: ExpectPart| {
        let told = judge(&expected, &figures);
        let stands = doubt.leaves(&told, Some(&expected), &figures);
        Judged { told, stands }
    };
    let mut judged: Vec<Judged> = written.chain(always).map(one).collect();
    let never =
        died.iter().map(Death::told).chain(unanswered(expected, &figures)).chain(wrong_headers(expected, &figures));
    judged.extend(never.map(|told| Judged { stands: doubt.leaves(&told, None, &figures), told }));
    judged
}

impl Death {
    fn told(&self) -> Expectation {
        let Self { gateway, how, at } = self;
        let when = at.map_or_else(String::new, |at| format!(" at {:.1} s", at.as_secs_f64()));
        Expectation {
            figure: format!("gateway.{gateway}.up"),
            bound: format!("up to the end, and it ended {how}{when}"),
            value: None,
            holds: false,
        }
    }
}

/// Loads of which requests ended and none as expected, unless the scenario expects something of how they end: a run
/// whose every request fails is hardly one that was meant.
fn unanswered(expected: &[ExpectPart], figures: &Value) -> Vec<Expectation> {
    let outcomes = [".success_ratio", ".outcome.", ".status.", ".failures.", ".completed", ".abandoned"];
    let Some(loads) = figures.get("load").and_then(Value::as_object) else { return Vec::new() };
    let count = |phase: &Value, name: &str| phase["outcome"][name].as_u64().unwrap_or(0);
    let mut found = Vec::new();
    for (name, load) in loads {
        let prefix = format!("load.{name}.");
        let says_so = expected
            .iter()
            .flat_map(ExpectPart::figures)
            .any(|figure| figure.starts_with(&prefix) && outcomes.iter().any(|outcome| figure.contains(outcome)));
        let phases = || load["phases"].as_object().into_iter().flatten().map(|(_, phase)| phase);
        let ok: u64 = phases().map(|phase| count(phase, "ok")).sum();
        let others = ["rejected", "failed", "client_error"];
        let not_ok: u64 = phases().flat_map(|phase| others.map(|name| count(phase, name))).sum();
        if !says_so && ok == 0 && not_ok > 0 {
            let bound = "at least 1 request as expected".to_owned();
            found.push(Expectation { figure: format!("load.{name}.answered"), bound, value: Some(0.0), holds: false });
        }
    }
    found
}

/// Loads of which answers lacked headers that they expect, unless the scenario expects something of how many: who names
/// a header means it.
fn wrong_headers(expected: &[ExpectPart], figures: &Value) -> Vec<Expectation> {
    let Some(loads) = figures.get("load").and_then(Value::as_object) else { return Vec::new() };
    let mut found = Vec::new();
    for (name, load) in loads {
        let prefix = format!("load.{name}.");
        let says_so = |figure: &String| figure.starts_with(&prefix) && figure.ends_with(".failures.header");
        let phases = load["phases"].as_object().into_iter().flatten();
        let wrong: u64 = phases.filter_map(|(_, phase)| phase["failures"]["header"].as_u64()).sum();
        if wrong > 0 && !expected.iter().flat_map(ExpectPart::figures).any(says_so) {
            let (figure, bound) = (format!("load.{name}.wrong_headers"), "at most 0".to_owned());
            found.push(Expectation { figure, bound, value: Some(wrong as f64), holds: false });
        }
    }
    found
}

/// What follows from validity and expectations. A run that is not valid never passes; it fails where a miss stands
/// whatever made it so.
pub(super) fn verdict(valid: bool, judged: &[Judged]) -> Verdict {
    let missed = |one: &Judged| !one.told.holds && (valid || one.stands);
    match (valid, judged.iter().any(missed)) {
        (_, true) => Verdict::Fail,
        (false, false) => Verdict::Invalid,
        (true, false) => Verdict::Pass,
    }
}

/// What a result tells of its expectations: all of them, but of a run that fails though it is not valid only those that
/// are judged. The others are named in a sentence.
pub(super) fn told(verdict: Verdict, valid: bool, judged: Vec<Judged>) -> (Vec<Expectation>, Option<String>) {
    if valid || verdict != Verdict::Fail {
        return (judged.into_iter().map(|one| one.told).collect(), None);
    }
    let (stand, left): (Vec<Judged>, Vec<Judged>) = judged.into_iter().partition(|one| one.stands);
    let names: Vec<String> = left.into_iter().map(|one| one.told.figure).collect();
    let left = (!names.is_empty()).then(|| format!("not judged, since the run is not valid: {}", names.join(", ")));
    (stand.into_iter().map(|one| one.told).collect(), left)
}

fn judge(expected: &ExpectPart, figures: &Value) -> Expectation {
    let above = expected.above.as_ref().map_or(Some(0.0), |above| figure(figures, above));
    let per = expected.per.as_ref().map_or(Some(1.0), |per| figure(figures, per).filter(|per| *per > 0.0));
    let value = figure(figures, &expected.figure).zip(above).map(|(value, above)| value - above);
    let value = value.zip(per).map(|(value, per)| value / per);
    let holds = value.is_some_and(|value| {
        expected.min.is_none_or(|min| value >= min) && expected.max.is_none_or(|max| value <= max)
    });
    let mut bound = match (expected.min, expected.max) {
        (Some(min), Some(max)) => format!("from {min} to {max}"),
        (Some(min), None) => format!("at least {min}"),
        (None, Some(max)) => format!("at most {max}"),
        (None, None) => String::new(),
    };
    if let Some(above) = &expected.above {
        bound += &format!(" above {above}");
    }
    if let Some(per) = &expected.per {
        bound += &format!(" per {per}");
    }
    Expectation { figure: expected.figure.clone(), bound, value, holds }
}

/// The figure with this dotted name. What was not counted of a status or a cause is zero; a share or a latency of no
/// requests is not there.
pub(crate) fn figure(figures: &Value, name: &str) -> Option<f64> {
    let mut keys = name.split('.');
    let mut at = figures;
    while let Some(key) = keys.next() {
        match at.get(key) {
            Some(inner) => at = inner,
            None => return (is_scored(at, name) && is_zero(name, key, keys.next())).then_some(0.0),
        }
    }
    at.as_f64()
}

/// Whether `at`, in which a figure is missing, could have it: where no breaker was scored there are none at all.
fn is_scored(at: &Value, name: &str) -> bool {
    !name.starts_with("breakers.") || at.as_object().is_some_and(|all| !all.is_empty())
}

/// Whether what is missing from `key` on was never counted, and so is zero.
fn is_zero(name: &str, key: &str, next: Option<&str>) -> bool {
    let of_breakers = name.starts_with("breakers.");
    match next {
        None if key == "never_closed" => of_breakers,
        None => name.contains(".status.") || name.contains(".goaway.") || CAUSES.contains(&key),
        // All breakers of an upstream together are told of where they ever changed.
        Some(next) => of_breakers && key != "breakers" && next == "trips",
    }
}

#[cfg(test)]
mod tests {
    use loadgen::recorder::Recorder;
    use loadgen::result::PhaseResult;
    use loadgen::sample::Observer;
    use serde_json::json;

    use super::*;

    fn one(figure: &str, min: Option<f64>, max: Option<f64>) -> Expectation {
        let figures = json!({ "load": { "main": { "requests": 10, "phases": { "before": {
            "status": { "200": 9, "503": 1 }, "failures": {}, "success_ratio": 0.9, "added_us": null } } } } });
        judge(&ExpectPart { figure: figure.to_owned(), min, max, above: None, per: None }, &figures)
    }

    #[test]
    fn a_figure_is_held_against_another() {
        let figures = json!({ "before": { "p99": 500.0 }, "fault_1": { "p99": 1_400.0 } });
        let judge = |above: &str, max: f64| {
            let (figure, above) = ("fault_1.p99".to_owned(), Some(above.to_owned()));
            judge(&ExpectPart { figure, min: None, max: Some(max), above, per: None }, &figures)
        };
        let judged = judge("before.p99", 1_000.0);
        assert_eq!((judged.holds, judged.value), (true, Some(900.0)));
        assert_eq!(judged.bound, "at most 1000 above before.p99");
        assert!(!judge("before.p99", 899.0).holds && !judge("after.p99", 1_000.0).holds);
    }

    #[test]
    fn a_figure_is_held_per_another() {
        let figures = json!({ "requests": 1_200.0, "calls": 80.0, "none": 0.0 });
        let judge = |per: &str, min: f64| {
            let (figure, per) = ("requests".to_owned(), Some(per.to_owned()));
            judge(&ExpectPart { figure, min: Some(min), max: None, above: None, per }, &figures)
        };
        let judged = judge("calls", 10.0);
        assert_eq!((judged.holds, judged.value), (true, Some(15.0)));
        assert_eq!(judged.bound, "at least 10 per calls");
        assert!(!judge("calls", 15.1).holds);
        assert!(!judge("none", 0.0).holds && !judge("nothing", 0.0).holds, "nothing goes into nothing");
    }

    #[test]
    fn bounds_hold_with_their_ends() {
        let requests = "load.main.requests";
        assert!(one(requests, Some(10.0), None).holds && one(requests, None, Some(10.0)).holds);
        assert!(!one(requests, Some(10.1), None).holds && !one(requests, None, Some(9.9)).holds);
        assert_eq!(one(requests, Some(1.0), Some(20.0)).bound, "from 1 to 20");
    }

    #[test]
    fn what_was_not_counted_is_zero_and_what_is_not_there_never_holds() {
        assert!(one("load.main.phases.before.status.503", Some(1.0), Some(1.0)).holds);
        assert!(one("load.main.phases.before.status.502", None, Some(0.0)).holds);
        assert!(one("load.main.phases.before.failures.closed", None, Some(0.0)).holds);
        let added = one("load.main.phases.before.added_us.p99", None, Some(1e9));
        assert!(!added.holds && added.value.is_none());
    }

    #[test]
    fn a_breaker_that_always_closed_never_failed_to() {
        let figures =
            json!({ "breakers": { "orders/1": { "trips": 1 }, "orders/0": { "trips": 2, "never_closed": 1 } } });
        let value = |name: &str| figure(&figures, name);
        assert_eq!(value("breakers.orders/1.never_closed"), Some(0.0));
        assert_eq!(value("breakers.orders/0.never_closed"), Some(1.0));
        assert_eq!(value("breakers.orders.trips"), Some(0.0), "all together never tripped");
        assert_eq!((value("breakers.orders/1.recovery_ms"), value("breakers.orders.trip_ms")), (None, None));
        for unscored in [json!({}), json!({ "breakers": {} })] {
            for name in ["breakers.orders/1.never_closed", "breakers.orders/1.trips", "breakers.orders.trips"] {
                assert_eq!(figure(&unscored, name), None, "breakers were not scored");
            }
        }
    }

    #[test]
    fn of_no_requests_there_is_neither_a_share_nor_a_latency() {
        let nothing = |dropped: u64| {
            let mut recorder = Recorder::new("late", 0);
            (0..dropped).for_each(|at_ns| recorder.dropped(at_ns));
            PhaseResult::of(&recorder.phases()[0])
        };
        let journey = reports::result::Journey { abandoned: 2, ..Default::default() };
        let figures = json!({ "late": nothing(0), "full": nothing(7), "shop": journey });
        let value = |figure: &str| {
            let at_most = ExpectPart { figure: figure.to_owned(), min: None, max: Some(1e9), above: None, per: None };
            let judged = judge(&at_most, &figures);
            assert_eq!(judged.holds, judged.value.is_some(), "{figure}");
            judged.value
        };
        for figure in ["late.success_ratio", "late.latency_us.p99", "late.service_us.p99", "shop.duration_us.p50"] {
            assert_eq!(value(figure), None, "{figure}");
        }
        assert_eq!(value("late.outcome.ok"), Some(0.0), "a count is one");
        assert_eq!((value("full.success_ratio"), value("full.latency_us.p99")), (Some(0.0), None), "drops arrived");
    }

    #[test]
    fn what_a_scenario_expects_itself_is_told_once_wherever_it_stands() {
        let expect = |figure: &str| {
            let (figure, max) = (figure.to_owned(), Some(0.0));
            ExpectPart { figure, min: None, max, above: None, per: None }
        };
        let mut result = ResultFile::default();
        result.other.insert("accounting".to_owned(), json!({ "missing": 0, "surplus": 0 }));
        let figures = |expected: &[ExpectPart]| {
            let judged = expectations(expected, &result, &[], &Doubt::default());
            judged.into_iter().map(|one| one.told.figure).collect::<Vec<_>>()
        };
        assert_eq!(figures(&[]), ["accounting.missing", "accounting.surplus"]);
        let own = [expect("accounting.missing"), expect("events.failed")];
        assert_eq!(figures(&own), ["accounting.missing", "events.failed", "accounting.surplus"]);
        let looser = ExpectPart { max: Some(5.0), ..expect("accounting.missing") };
        assert_eq!(figures(&[looser]).len(), 3, "another bound is another expectation");
    }

    fn judged(holds: bool, stands: bool) -> Judged {
        let told = Expectation { figure: "a.b".to_owned(), bound: String::new(), value: None, holds };
        Judged { told, stands }
    }

    #[test]
    fn an_invalid_run_never_passes_and_fails_by_what_stands() {
        assert_eq!(verdict(true, &[judged(true, false)]), Verdict::Pass);
        assert_eq!(verdict(true, &[judged(true, false), judged(false, false)]), Verdict::Fail);
        assert_eq!(verdict(false, &[judged(true, true)]), Verdict::Invalid);
        assert_eq!(verdict(false, &[judged(false, false)]), Verdict::Invalid);
        assert_eq!(verdict(false, &[judged(false, false), judged(false, true)]), Verdict::Fail);
    }

    #[test]
    fn of_an_invalid_run_that_fails_only_what_stands_is_told() {
        let all = || vec![judged(true, true), judged(false, false), judged(false, true)];
        let (shown, left) = told(Verdict::Fail, false, all());
        assert_eq!((shown.len(), left.as_deref()), (2, Some("not judged, since the run is not valid: a.b")));
        assert_eq!(told(Verdict::Invalid, false, all()).0.len(), 3);
        assert_eq!(told(Verdict::Fail, true, all()).0.len(), 3);
    }

    #[test]
    fn a_gateway_that_was_killed_fails_a_run_whose_driver_was_late() {
        let death = Death { gateway: 0, how: "by signal 9".to_owned(), at: Some(Duration::from_millis(1_700)) };
        let late = Doubt { late_ms: 7.0, ..Doubt::default() };
        let judged = expectations(&[], &ResultFile::default(), &[death], &late);
        assert_eq!(verdict(false, &judged), Verdict::Fail);
        assert_eq!(judged[0].told.bound, "up to the end, and it ended by signal 9 at 1.7 s");
    }

    #[test]
    fn a_load_of_which_nothing_succeeds_fails_unless_the_scenario_says_so() {
        let phase = |ok: u64, failed: u64| json!({ "outcome": { "ok": ok, "failed": failed, "client_error": 1 } });
        let figures =
            |ok: u64| json!({ "load": { "a": { "phases": { "before": phase(0, 9), "healed": phase(ok, 0) } } } });
        let expect =
            |figure: &str| ExpectPart { figure: figure.to_owned(), min: None, max: None, above: None, per: None };
        let found = |expected: &[ExpectPart], ok| unanswered(expected, &figures(ok)).len();
        assert_eq!((found(&[], 0), found(&[], 1)), (1, 0));
        assert_eq!(found(&[expect("load.a.requests"), expect("load.b.phases.before.status.404")], 0), 1);
        assert_eq!(found(&[expect("load.a.phases.before.status.404")], 0), 0, "it is said that they fail");
        assert!(unanswered(&[], &json!({ "load": { "a": { "phases": {} } } })).is_empty(), "nobody asked");
    }
}
