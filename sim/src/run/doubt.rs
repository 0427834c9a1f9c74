//! What the reasons against a run may have caused, and what they cannot have.
//!
//! A machine that is busy makes a driver late, and latencies, rates and CPU times worthless: such a run is not valid,
//! and never passes. It makes no gateway end, lose an access record or let a request beyond a limit pass. So an
//! expectation that is missed beyond everything that the reasons can explain fails the run all the same: whoever looks
//! at exit codes alone is not told "invalid" of a gateway that died. Pure.

use reports::result::Expectation;
use serde_json::Value;

use super::verdict::figure;
use crate::scenario::model::ExpectPart;

/// A driver that is later than this shares its machine with so much that requests may fail for it, milliseconds.
const MOST_LATE_MS: f64 = 50.0;
/// A share of requests that went otherwise than expected, beyond what falls into another phase by being late.
const BEYOND_SHARE: f64 = 0.05;
/// A time beyond its bound by so much, milliseconds, and by this many times what the driver was late, is no lateness.
const BEYOND_MS: f64 = 100.0;
const BEYOND_LAGS: f64 = 10.0;

/// What the reasons against a run say of it; nothing of a valid one.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Doubt {
    /// Somebody ended it. Then nothing follows from it at all.
    pub(super) interrupted: bool,
    /// Something of what happened is not known, or an event did not happen.
    pub(super) lost: bool,
    /// The driver gave up its plan.
    pub(super) unsent: bool,
    /// Mocks, gateways or users had too little of the machine, which no driver's lateness tells.
    pub(super) starved: bool,
    /// Limits are kept in a Redis, which shares the machine too: a decision is counted there as much later as it is
    /// busy.
    pub(super) shared: bool,
    /// How late the driver was, p99, milliseconds.
    pub(super) late_ms: f64,
}

/// Of which kind a figure is, as far as doubts go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Whether a process lives.
    Life,
    /// Counted one by one, by journals that each keep their own time.
    Exact,
    /// Exact too, but journals of several processes are put side by side.
    Compared,
    /// What limits decided: stamped by one thread when a request came, and counted when its turn came.
    Limited,
    /// How many requests a limit let pass.
    Admitted,
    /// A share of requests that went as expected.
    Share,
    /// A count of requests that ended in one way.
    Count,
    /// A time that a breaker took.
    Time,
    /// Everything else.
    Figure,
}

impl Kind {
    fn of(name: &str) -> Self {
        let last = name.rsplit('.').next().unwrap_or_default();
        let section = name.split('.').next().unwrap_or_default();
        match (section, last) {
            ("gateway", "up") => Self::Life,
            // No clock has a part in what an answer says.
            ("accounting", "missing" | "surplus") | ("virtual_time", "anomalies") | ("load", "wrong_headers") => {
                Self::Exact
            }
            ("limiters", "false_admits" | "false_refusals" | "bound_violation") => Self::Limited,
            ("limiters", "admitted") => Self::Admitted,
            ("breakers", "leaked_attempts" | "never_closed") | ("load", "answered") => Self::Compared,
            ("breakers", "trip_ms" | "recovery_ms") => Self::Time,
            ("load", "success_ratio") => Self::Share,
            ("load", "rejected" | "failed" | "client_error") if name.contains(".outcome.") => Self::Count,
            ("load", _) if name.contains(".status.") || name.contains(".failures.") => Self::Count,
            _ => Self::Figure,
        }
    }
}

impl Doubt {
    /// Whether an expectation is judged though the run is not valid; `part` is its written form, where it has one.
    pub(super) fn leaves(&self, judged: &Expectation, part: Option<&ExpectPart>, figures: &Value) -> bool {
        if self.interrupted {
            return false;
        }
        let beside = part.is_some_and(|part| part.above.is_some() || part.per.is_some());
        let is_near = !self.lost && !self.starved && self.late_ms <= MOST_LATE_MS;
        match Kind::of(&judged.figure) {
            Kind::Life => true,
            _ if beside => false,
            Kind::Exact => !self.lost,
            Kind::Compared => is_near,
            Kind::Limited => is_near && !self.shared,
            // A late driver brings requests later, and no limit to let more of them pass.
            Kind::Admitted => {
                let offered = part.and_then(|part| figure(figures, &offered(&part.figure))).unwrap_or(f64::INFINITY);
                is_near && !self.shared && is_beyond(judged, part, BEYOND_SHARE * offered)
            }
            Kind::Share => is_near && !self.unsent && is_beyond(judged, part, BEYOND_SHARE),
            Kind::Count => {
                let requests = part.map_or(0.0, |part| requests(&part.figure, figures));
                is_near && !self.unsent && is_beyond(judged, part, BEYOND_SHARE * requests)
            }
            // What never came is later than any bound.
            Kind::Time if judged.value.is_none() => {
                is_near && !self.unsent && part.is_some_and(|part| part.max.is_some())
            }
            Kind::Time => is_near && !self.unsent && is_beyond(judged, part, BEYOND_MS + BEYOND_LAGS * self.late_ms),
            Kind::Figure => false,
        }
    }
}

/// Whether a value misses its bound by more than this.
fn is_beyond(judged: &Expectation, part: Option<&ExpectPart>, by: f64) -> bool {
    let (Some(part), Some(value)) = (part, judged.value) else { return false };
    let above = part.max.is_some_and(|max| value > max + by);
    let below = part.min.is_some_and(|min| value < min - by);
    match Kind::of(&judged.figure) {
        Kind::Share => below,
        // Too few refusals are a limit that is lost.
        Kind::Count => above || below,
        // A breaker that tripped early is no sign of anything.
        _ => above,
    }
}

/// What was held against the limit of which a figure tells how much it let pass.
fn offered(admitted: &str) -> String {
    admitted.strip_suffix("admitted").map_or_else(String::new, |rule| format!("{rule}offered"))
}

/// All requests of the phase that a figure is about.
fn requests(name: &str, figures: &Value) -> f64 {
    let Some((load, rest)) = name.split_once(".phases.") else { return f64::INFINITY };
    let phase = rest.split('.').next().unwrap_or_default();
    let outcomes = ["ok", "rejected", "failed", "dropped", "client_error"];
    outcomes.iter().filter_map(|one| figure(figures, &format!("{load}.phases.{phase}.outcome.{one}"))).sum()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const LATE: Doubt =
        Doubt { interrupted: false, lost: false, unsent: false, starved: false, shared: false, late_ms: 7.2 };

    fn leaves(doubt: Doubt, name: &str, bounds: (Option<f64>, Option<f64>), value: f64) -> bool {
        let outcome = json!({ "ok": 900, "rejected": 0, "failed": 100, "dropped": 0, "client_error": 0 });
        let figures = json!({ "load": { "a": { "phases": { "before": { "outcome": outcome } } } } });
        let part = ExpectPart { figure: name.to_owned(), min: bounds.0, max: bounds.1, above: None, per: None };
        let judged = Expectation { figure: name.to_owned(), bound: String::new(), value: Some(value), holds: false };
        doubt.leaves(&judged, Some(&part), &figures)
    }

    fn most(max: f64) -> (Option<f64>, Option<f64>) {
        (None, Some(max))
    }

    #[test]
    fn what_hangs_on_no_clock_is_judged_on_a_busy_machine() {
        for name in ["accounting.missing", "limiters.each.false_admits", "breakers.a/1.leaked_attempts", "gateway.0.up"]
        {
            assert!(leaves(LATE, name, most(0.0), 1.0), "{name}");
            assert!(leaves(LATE, name, most(0.0), 0.0), "{name} is judged where it holds, too");
        }
        for name in ["load.a.phases.before.latency_us.p99", "gateway.0.cpu_us_per_request", "load.a.achieved_rps"] {
            assert!(!leaves(LATE, name, most(0.0), 1e9), "{name}");
        }
    }

    #[test]
    fn what_lateness_may_move_is_judged_where_it_is_missed_by_far() {
        let trip = |value| leaves(LATE, "breakers.a/1.trip_ms", most(250.0), value);
        assert_eq!((trip(1_110.7), trip(400.0), trip(200.0)), (true, false, false));
        let share = |value| leaves(LATE, "load.a.phases.before.success_ratio", (Some(0.99), None), value);
        assert_eq!((share(0.5), share(0.95), share(1.0)), (true, false, false));
        let status = |value| leaves(LATE, "load.a.phases.before.status.503", most(0.0), value);
        assert_eq!((status(100.0), status(50.0)), (true, false), "of a thousand requests");
    }

    #[test]
    fn what_never_came_is_judged_as_what_came_late() {
        let never = |doubt: Doubt, (min, max)| {
            let figure = "breakers.a/1.trip_ms".to_owned();
            let part = ExpectPart { figure: figure.clone(), min, max, above: None, per: None };
            let judged = Expectation { figure, bound: String::new(), value: None, holds: false };
            doubt.leaves(&judged, Some(&part), &json!({}))
        };
        assert!(never(LATE, most(250.0)), "a breaker that is switched off");
        assert!(!never(LATE, (Some(10.0), None)) && !never(Doubt { lost: true, ..LATE }, most(250.0)));
        assert!(leaves(LATE, "breakers.a/1.never_closed", most(0.0), 1.0));
        let refused = |value| leaves(LATE, "load.a.phases.before.status.429", (Some(100.0), None), value);
        assert_eq!((refused(0.0), refused(60.0)), (true, false), "a limit that is lost, of a thousand requests");
        assert!(!leaves(LATE, "load.a.status.429", (Some(100.0), None), 0.0), "of who knows how many");
    }

    #[test]
    fn lost_evidence_leaves_only_that_a_gateway_died_and_an_interrupt_leaves_nothing() {
        let lost = Doubt { lost: true, ..LATE };
        assert!(leaves(lost, "gateway.0.up", most(0.0), 0.0) && !leaves(lost, "accounting.missing", most(0.0), 9.0));
        let ended = Doubt { interrupted: true, ..LATE };
        assert!(!leaves(ended, "gateway.0.up", most(0.0), 0.0));
    }

    #[test]
    fn what_was_not_sent_or_was_much_too_late_is_no_failure_of_a_gateway() {
        let doubts =
            [Doubt { unsent: true, ..LATE }, Doubt { starved: true, ..LATE }, Doubt { late_ms: 400.0, ..LATE }];
        for doubt in doubts {
            assert!(!leaves(doubt, "load.a.phases.before.success_ratio", (Some(0.99), None), 0.0));
            assert!(leaves(doubt, "accounting.missing", most(0.0), 9.0), "it is the gateway's own count");
        }
    }

    #[test]
    fn a_limit_that_lets_far_too_many_pass_is_judged_on_a_busy_machine() {
        let figures =
            json!({ "limiters": { "all": { "offered": 2_000, "phases": { "before": { "offered": 400 } } } } });
        let judged = |doubt: Doubt, figure: &str, value: f64| {
            let figure = figure.to_owned();
            let part =
                ExpectPart { figure: figure.clone(), min: Some(500.0), max: Some(521.0), above: None, per: None };
            doubt.leaves(
                &Expectation { figure, bound: String::new(), value: Some(value), holds: false },
                Some(&part),
                &figures,
            )
        };
        let of = |value| judged(LATE, "limiters.all.admitted", value);
        assert_eq!([of(1_013.0), of(600.0), of(0.0)], [true, false, false], "of two thousand");
        assert!(judged(LATE, "limiters.all.phases.before.admitted", 545.0), "of four hundred");
        for doubt in [Doubt { shared: true, ..LATE }, Doubt { lost: true, ..LATE }, Doubt { late_ms: 400.0, ..LATE }] {
            assert!(!judged(doubt, "limiters.all.admitted", 1_013.0), "{doubt:?}");
        }
        assert!(!judged(LATE, "limiters.other.admitted", 1_013.0), "of who knows how many");
    }

    #[test]
    fn limits_are_judged_where_no_decision_waits_for_a_machine() {
        let judged = |doubt| leaves(doubt, "limiters.each.bound_violation", most(2.0), 8.0);
        assert!(judged(LATE) && judged(Doubt { unsent: true, ..LATE }));
        assert!(!judged(Doubt { shared: true, ..LATE }), "the Redis is as late as the machine is busy");
        assert!(!judged(Doubt { late_ms: 400.0, ..LATE }), "so are the gateway's own threads");
    }
}
