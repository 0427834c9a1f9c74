//! Whether what was expected holds, and what follows.

use reports::result::{Expectation, ResultFile, Verdict};
use serde_json::Value;

use crate::scenario::CAUSES;
use crate::scenario::model::ExpectPart;

/// Judges every expectation by the result's figures, and adds what every run has to hold.
pub(super) fn expectations(expected: &[ExpectPart], result: &ResultFile, died: &[usize]) -> Vec<Expectation> {
    let figures = serde_json::to_value(result).unwrap_or_default();
    let always = ["accounting.missing", "accounting.surplus", "virtual_time.anomalies"].map(|figure| ExpectPart {
        figure: figure.to_owned(),
        min: None,
        max: Some(0.0),
        above: None,
        per: None,
    });
    let always = always.into_iter().filter(|one| figure(&figures, &one.figure).is_some());
    let written = expected.iter().cloned();
    let mut judged: Vec<Expectation> = written.chain(always).map(|expected| judge(&expected, &figures)).collect();
    judged.dedup_by(|later, earlier| later.figure == earlier.figure && later.bound == earlier.bound);
    judged.extend(died.iter().map(|number| Expectation {
        figure: format!("gateway.{number}.up"),
        bound: "up to the end".to_owned(),
        value: None,
        holds: false,
    }));
    judged
}

/// What follows from validity and expectations.
pub(super) fn verdict(valid: bool, expectations: &[Expectation]) -> Verdict {
    match (valid, expectations.iter().all(|expectation| expectation.holds)) {
        (false, _) => Verdict::Invalid,
        (true, true) => Verdict::Pass,
        (true, false) => Verdict::Fail,
    }
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
        if is_of_nothing(at, key) {
            return None;
        }
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

/// Whether `at` has `key` for form's sake alone: the share of no arrivals that went well, a latency that nobody had,
/// the length of a journey that nobody went to its end.
fn is_of_nothing(at: &Value, key: &str) -> bool {
    match (key, at.get("outcome").and_then(Value::as_object)) {
        ("success_ratio", Some(outcome)) => outcome.values().all(|count| count.as_u64() == Some(0)),
        ("latency_us" | "service_us", Some(outcome)) => {
            outcome.iter().all(|(name, count)| name == "dropped" || count.as_u64() == Some(0))
        }
        ("duration_us", None) => at.get("completed").and_then(Value::as_u64) == Some(0),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
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
            json!({ "latency_us": { "p99": 0.0 }, "service_us": { "p99": 0.0 }, "success_ratio": 0.0,
                "outcome": { "ok": 0, "rejected": 0, "failed": 0, "dropped": dropped, "client_error": 0 } })
        };
        let journey = json!({ "completed": 0, "abandoned": 2, "duration_us": { "p50": 0.0 } });
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
    fn an_invalid_run_never_passes() {
        let holds = |holds| Expectation { figure: String::new(), bound: String::new(), value: None, holds };
        assert_eq!(verdict(true, &[holds(true)]), Verdict::Pass);
        assert_eq!(verdict(true, &[holds(true), holds(false)]), Verdict::Fail);
        assert_eq!(verdict(false, &[holds(true)]), Verdict::Invalid);
    }
}
