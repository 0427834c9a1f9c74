//! When a rule holds: windows of time from an origin, and flapping.
//!
//! Time is nanoseconds of the machine's monotonic clock. Windows are half open, so that two which touch never hold
//! both. Before the origin no rule holds that names a time or flaps.

use std::time::Duration;

use super::Rule;

/// From when the times and request numbers of rules count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Origin {
    /// Both from the moment at which the rules are set.
    #[default]
    Now,
    /// Both as before: rules that are added in the course of a run keep to its clock.
    Keep,
    /// Times from this moment of the machine's monotonic clock, in nanoseconds, past or to come; request numbers from
    /// when the rules are set.
    At(u64),
}

impl Rule {
    /// Does the rule hold at this time?
    pub(super) fn holds_at(&self, origin_ns: u64, now_ns: u64) -> bool {
        let m = &self.matches;
        if m.from.is_none() && m.until.is_none() && self.act.flap.is_none() {
            return true;
        }
        let Some(since) = now_ns.checked_sub(origin_ns).map(Duration::from_nanos) else {
            // Only a window without a beginning reaches before the origin.
            return m.from.is_none() && self.act.flap.is_none();
        };
        let within = m.from.is_none_or(|from| since >= from) && m.until.is_none_or(|until| since < until);
        within && self.act.flap.is_none_or(|flap| phase(since - m.from.unwrap_or_default(), flap.period) < flap.on())
    }

    /// The next time after this one at which `holds_at` may change.
    pub(super) fn next_edge(&self, origin_ns: u64, now_ns: u64) -> Option<u64> {
        let m = &self.matches;
        let from = m.from.unwrap_or_default();
        let mut edges: Vec<Duration> = [m.from, m.until].into_iter().flatten().collect();
        if let Some(flap) = self.act.flap {
            let since = now_ns.checked_sub(origin_ns).map(Duration::from_nanos);
            match since.and_then(|since| since.checked_sub(from)) {
                None => edges.push(from),
                Some(into) => {
                    let begun = from + (into - phase(into, flap.period));
                    edges.extend([begun + flap.on(), begun + flap.period]);
                }
            }
        }
        let times =
            edges.into_iter().map(|edge| origin_ns.saturating_add(u64::try_from(edge.as_nanos()).unwrap_or(u64::MAX)));
        times.filter(|edge| *edge > now_ns).min()
    }
}

/// How far into its present period a flap is.
fn phase(since: Duration, period: Duration) -> Duration {
    Duration::from_nanos(u64::try_from(since.as_nanos() % period.as_nanos().max(1)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ORIGIN: u64 = 1_000;
    const fn ns(count: u64) -> Duration {
        Duration::from_nanos(count)
    }

    fn held(rule: &Rule) -> Vec<u64> {
        (0..60).filter(|at| rule.holds_at(ORIGIN, ORIGIN + at)).collect()
    }

    #[test]
    fn a_flap_holds_at_the_beginning_of_each_period_within_its_window() {
        let rule = Rule::any().status(503).flap(ns(20), 0.25).between(ns(5), ns(50));
        assert_eq!(held(&rule), [5, 6, 7, 8, 9, 25, 26, 27, 28, 29, 45, 46, 47, 48, 49]);
    }

    #[test]
    fn before_the_origin_nothing_holds_that_names_a_time() {
        let before = |rule: Rule| rule.holds_at(ORIGIN, ORIGIN - 1);
        assert!(before(Rule::any()));
        assert!(!before(Rule::any().between(ns(0), ns(5))));
        assert!(!before(Rule::any().flap(ns(20), 0.5)));
    }

    proptest! {
        #[test]
        fn between_two_edges_nothing_changes(
            window in proptest::option::of((0u64..50, 1u64..100)),
            flap in proptest::option::of((2u64..30, 0.1f64..0.9)),
            start in 0u64..2_000,
        ) {
            let mut rule = Rule::any().status(503);
            if let Some((from, length)) = window {
                rule = rule.between(ns(from), ns(from + length));
            }
            if let Some((period, duty)) = flap {
                rule = rule.flap(ns(period), duty);
            }
            let next = rule.next_edge(ORIGIN, start);
            let holds = rule.holds_at(ORIGIN, start);
            for at in start..next.unwrap_or(start + 200) {
                prop_assert_eq!(rule.holds_at(ORIGIN, at), holds);
            }
        }
    }
}
