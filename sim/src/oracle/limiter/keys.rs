//! What each key of a rule was given: the bound over every window, the sustained rate, fairness between keys.

use std::collections::BTreeMap;

use super::LimiterPhase;
use super::replay::Decision;
use super::window::worst_excess;
use crate::history::Phase;
use crate::oracle::policy::LimitPolicy;

/// One key of one rule.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Key {
    /// Time and cost of every request.
    pub offered: Vec<(u64, u64)>,
    /// Of those that were admitted.
    pub admitted: Vec<(u64, u64)>,
    /// When this rule refused.
    pub refused: Vec<u64>,
    /// Another rule refused some of its requests, so this one did not decide alone.
    pub shared: bool,
}

/// The keys of a rule, by name.
pub(crate) fn of_rule<'a>(decisions: &[Decision<'a>], rule: &str) -> BTreeMap<&'a str, Key> {
    let mut keys: BTreeMap<&str, Key> = BTreeMap::new();
    for decision in decisions {
        for asked in decision.asked.iter().filter(|asked| &*asked.rule == rule) {
            let key = keys.entry(&asked.key).or_default();
            key.offered.push((decision.at_ns, asked.cost));
            match decision.refused_by {
                None => key.admitted.push((decision.at_ns, asked.cost)),
                Some(by) if &**by == rule => key.refused.push(decision.at_ns),
                Some(_) => key.shared = true,
            }
        }
    }
    keys
}

/// The largest excess over the bound, of any key in any window.
pub(crate) fn bound_violation<'k>(limit: &LimitPolicy, keys: impl IntoIterator<Item = &'k Key>) -> Option<f64> {
    keys.into_iter().filter_map(|key| worst_excess(limit, key.admitted.iter().copied())).reduce(f64::max)
}

/// A key's admitted rate is known to the price of a request, so this many of them must have been due: 5 %.
const LEAST_DUE: f64 = 20.0;

/// How far the admitted rate was from the configured one, where at least twice as much was offered: `(A / T - r) / r`,
/// over all such keys together. `T` runs from behind a key's first refusal to its last, when there is less than the
/// price of a request left at both ends, so that the burst does not count, also where it has the stamp of that refusal;
/// where that was too short to tell, the key is left out.
pub(crate) fn sustained_error<'k>(limit: &LimitPolicy, keys: impl IntoIterator<Item = &'k Key>) -> Option<f64> {
    let (mut admitted, mut due) = (0.0, 0.0);
    for key in keys.into_iter().filter(|key| !key.shared) {
        let (Some(first), Some(last)) = (key.refused.first(), key.refused.last()) else { continue };
        let seconds = (last - first) as f64 / 1e9;
        let within = |list: &[(u64, u64)]| -> u64 {
            list.iter().filter(|(at, _)| first < at && at <= last).map(|(_, cost)| cost).sum()
        };
        let (of_key, dearest) = (limit.rate() * seconds, key.offered.iter().map(|(_, cost)| cost).max());
        let is_long = of_key >= LEAST_DUE * dearest.map_or(1.0, |cost| *cost as f64);
        if is_long && within(&key.offered) as f64 >= 2.0 * of_key {
            admitted += within(&key.admitted) as f64;
            due += of_key;
        }
    }
    (due > 0.0).then(|| (admitted - due) / due)
}

/// What keys were given in a phase.
pub(crate) fn of_phase<'k>(
    limit: &LimitPolicy,
    keys: impl IntoIterator<Item = &'k Key>,
    phase: &Phase,
) -> LimiterPhase {
    let due = limit.rate() * phase.until_ns.saturating_sub(phase.from_ns) as f64 / 1e9;
    let (mut seen, mut given, mut owed) = (LimiterPhase::default(), 0.0, 0.0);
    for key in keys {
        // They are in the order of time.
        let within = |list: &[(u64, u64)]| {
            let from = list.partition_point(|(at, _)| *at < phase.from_ns);
            let until = list.partition_point(|(at, _)| *at < phase.until_ns).max(from);
            ((until - from) as u64, list[from..until].iter().map(|(_, cost)| cost).sum::<u64>() as f64)
        };
        let (offered, admitted) = (within(&key.offered), within(&key.admitted));
        seen.offered += offered.0;
        seen.admitted += admitted.0;
        if offered.1 >= due && due > 0.0 && !key.shared {
            given += admitted.1;
            owed += due;
        }
    }
    LimiterPhase { of_rate: (owed > 0.0).then(|| given / owed), ..seen }
}

/// Jain's index of how keys were treated: each key's admitted tokens over what it could have had, the smaller of what
/// it asked for and `burst + rate * time`. 1 is fair; 1/n when one of n has everything.
pub(crate) fn fairness<'k>(limit: &LimitPolicy, keys: impl IntoIterator<Item = &'k Key>) -> Option<f64> {
    let share = |key: &Key| {
        let (first, last) = (key.offered.first()?.0, key.offered.last()?.0);
        let asked: u64 = key.offered.iter().map(|(_, cost)| cost).sum();
        let entitled = limit.burst as f64 + limit.rate() * (last - first) as f64 / 1e9;
        let given: u64 = key.admitted.iter().map(|(_, cost)| cost).sum();
        Some(given as f64 / entitled.min(asked as f64))
    };
    let shares: Vec<f64> = keys.into_iter().filter_map(share).collect();
    jain(&shares)
}

/// Jain's fairness index (Jain, Chiu, Hawe 1984); `None` for no shares at all, 1 when all are zero.
pub(crate) fn jain(shares: &[f64]) -> Option<f64> {
    let sum: f64 = shares.iter().sum();
    let squares: f64 = shares.iter().map(|share| share * share).sum();
    match shares {
        [] => None,
        _ if squares == 0.0 => Some(1.0),
        _ => Some(sum * sum / (shares.len() as f64 * squares)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(offered_each_ms: u64, admitted_each_ms: u64) -> Key {
        let each = |step: u64| (0..10_000).step_by(step as usize).map(|ms| (ms * 1_000_000, 1)).collect::<Vec<_>>();
        let (offered, admitted) = (each(offered_each_ms), each(admitted_each_ms));
        let refused = offered.iter().filter(|one| !admitted.contains(one)).map(|one| one.0).collect();
        Key { offered, admitted, refused, shared: false }
    }

    #[test]
    fn a_burst_at_the_stamp_of_the_first_refusal_is_left_out_too() {
        let mut key = key(10, 100);
        key.admitted.splice(0..1, [(0, 1); 5]);
        key.offered.splice(0..1, [(0, 1); 6]);
        key.refused.insert(0, 0);
        let error = sustained_error(&LimitPolicy::per_second(10, 5), [&key]).unwrap();
        assert!(error.abs() < 0.011, "{error}");
    }

    #[test]
    fn the_sustained_rate_leaves_the_burst_out() {
        let limit = LimitPolicy::per_second(10, 1);
        let error = |key: Key| sustained_error(&limit, [&key]);
        assert!(error(key(10, 100)).unwrap().abs() < 0.011, "100 requests a second, 10 admitted");
        assert!((error(key(10, 50)).unwrap() - 1.0).abs() < 0.02, "twice too many");
        assert_eq!(error(key(80, 100)), None, "less than twice the rate offered");
        let mut burst = key(10, 100);
        burst.admitted.splice(0..0, (0..50).map(|at| (at, 1)));
        burst.refused.retain(|at| *at > 1_000_000);
        assert!(error(burst).unwrap().abs() < 0.011);
        assert_eq!(error(Key { shared: true, ..key(10, 100) }), None);
    }

    #[test]
    fn a_key_that_was_refused_for_a_moment_says_nothing_of_the_rate() {
        let limit = LimitPolicy::per_second(10, 1);
        let ms = |at: u64| at * 1_000_000;
        // Two refusals 16 ms apart, once the limit at most: nothing was due, so nothing is missing.
        let moment = Key {
            offered: [0, 50, 66, 110].map(|at| (ms(at), 1)).to_vec(),
            admitted: [0, 110].map(|at| (ms(at), 1)).to_vec(),
            refused: [50, 66].map(ms).to_vec(),
            shared: false,
        };
        assert_eq!(sustained_error(&limit, [&moment]), None);
        let steady = key(10, 100);
        let alone = sustained_error(&limit, [&steady]);
        assert!(alone.is_some());
        assert_eq!(sustained_error(&limit, [&moment, &steady]), alone);
        let mut dear = steady;
        dear.offered.iter_mut().chain(&mut dear.admitted).for_each(|one| one.1 = 5);
        assert_eq!(sustained_error(&limit, [&dear]), None, "of requests that cost five, too few were due");
    }

    #[test]
    fn a_phase_is_held_against_the_rate_by_keys_that_asked_for_it() {
        let limit = LimitPolicy::per_second(10, 1);
        let phase = |from_ms: u64, until_ms: u64| Phase {
            name: "fault_1".into(),
            from_ns: from_ms * 1_000_000,
            until_ns: until_ms * 1_000_000,
        };
        let (greedy, modest) = (key(10, 50), key(500, 500));
        let seen = of_phase(&limit, [&greedy, &modest], &phase(2_000, 6_000));
        assert_eq!((seen.offered, seen.admitted, seen.of_rate), (408, 88, Some(2.0)), "twice the rate of one key");
        assert_eq!(of_phase(&limit, [&modest], &phase(2_000, 6_000)).of_rate, None, "it asked for less");
        assert_eq!(of_phase(&limit, [&greedy], &phase(6_000, 6_000)).of_rate, None, "no time");
    }

    #[test]
    fn jains_index_is_one_when_all_get_the_same() {
        assert_eq!(jain(&[0.5, 0.5, 0.5]), Some(1.0));
        assert_eq!(jain(&[1.0, 0.0, 0.0, 0.0]), Some(0.25));
        assert_eq!((jain(&[]), jain(&[0.0, 0.0])), (None, Some(1.0)));
    }

    #[test]
    fn who_asks_for_little_and_gets_it_is_treated_as_well_as_who_asks_for_much() {
        let limit = LimitPolicy::per_second(10, 1);
        let (greedy, modest, starved) = (key(10, 100), key(500, 500), key(10, 5_000));
        assert!(fairness(&limit, [&greedy, &modest]).unwrap() > 0.999);
        assert!(fairness(&limit, [&greedy, &starved]).unwrap() < 0.6);
    }
}
