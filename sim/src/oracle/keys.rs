//! How often keys were fetched: what their server saw, whatever the gateway says of it.
//!
//! A gateway may ask again for a key that it lacks once a cooldown, and clients cannot make it ask more often
//! (security.md, H9). Of several gateways all fetches are counted together: the server does not see whose they are.

use std::collections::BTreeMap;

use serde::Serialize;

use super::policy::Tolerance;
use crate::history::Phase;

/// One request to the key server. Times are nanoseconds from t = 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fetch {
    /// When it came.
    pub at_ns: u64,
    /// Whether it was answered whole, with status 200.
    pub is_answered: bool,
}

/// Fetches of a phase.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct PhaseFetches {
    /// All.
    pub fetches: u64,
    /// Without a whole answer with status 200.
    pub failed: u64,
}

/// How keys were fetched.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct KeyScore {
    /// All fetches.
    pub fetches: u64,
    /// Without a whole answer with status 200.
    pub failed: u64,
    /// The most in any stretch as long as the cooldown.
    pub most_in_cooldown: u64,
    /// By the phase in which they began.
    pub phases: BTreeMap<String, PhaseFetches>,
}

/// Judges fetches in the order of their times. What leaves a cooldown after another may come a transit sooner than
/// that: the server's clock, not the gateway's, is read.
#[must_use]
pub fn judge(fetches: &[Fetch], cooldown_ns: u64, phases: &[Phase], tolerance: Tolerance) -> KeyScore {
    let window_ns = cooldown_ns.saturating_sub(tolerance.transit_ns);
    let (mut first, mut most) = (0, 0);
    for (last, fetch) in fetches.iter().enumerate() {
        while fetch.at_ns - fetches[first].at_ns >= window_ns.max(1) {
            first += 1;
        }
        most = most.max(last - first + 1);
    }
    let failed = fetches.iter().filter(|fetch| !fetch.is_answered).count() as u64;
    let of = |phase: &Phase| {
        let within = |fetch: &&Fetch| (phase.from_ns..phase.until_ns).contains(&fetch.at_ns);
        fetches.iter().filter(within).fold(PhaseFetches::default(), |sum, fetch| PhaseFetches {
            fetches: sum.fetches + 1,
            failed: sum.failed + u64::from(!fetch.is_answered),
        })
    };
    KeyScore {
        fetches: fetches.len() as u64,
        failed,
        most_in_cooldown: most as u64,
        phases: phases.iter().map(|phase| (phase.name.to_string(), of(phase))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::history::Name;

    const MS: u64 = 1_000_000;
    const COOLDOWN: u64 = 1_000 * MS;
    const TOLERANCE: Tolerance = Tolerance { transit_ns: 5 * MS, stamp_ns: MS };

    fn fetches(times_ms: &[u64]) -> Vec<Fetch> {
        times_ms.iter().map(|ms| Fetch { at_ns: ms * MS, is_answered: true }).collect()
    }

    fn most(times_ms: &[u64]) -> u64 {
        judge(&fetches(times_ms), COOLDOWN, &[], TOLERANCE).most_in_cooldown
    }

    #[test]
    fn one_fetch_a_cooldown_passes() {
        assert_eq!((most(&[]), most(&[300])), (0, 1));
        assert_eq!(most(&[300, 1_300, 2_300, 9_000]), 1, "exactly a cooldown apart");
        assert_eq!(most(&[300, 1_296, 2_293]), 1, "they came a little sooner than they left");
    }

    #[test]
    fn a_second_fetch_within_a_cooldown_fails() {
        assert_eq!(most(&[300, 1_200]), 2);
        assert_eq!(most(&[300, 1_300, 1_301]), 2, "two at once, a cooldown after the first");
        assert_eq!(most(&[0, 10, 20, 5_000]), 3);
    }

    #[test]
    fn fetches_count_in_the_phase_in_which_they_began() {
        let phase =
            |name: &str, from, until| Phase { name: Name::from(name), from_ns: from * MS, until_ns: until * MS };
        let phases = [phase("before", 0, 1_000), phase("fault_1", 1_000, 2_000)];
        let mut made = fetches(&[0, 999, 1_000, 1_500]);
        made[2].is_answered = false;
        let score = judge(&made, COOLDOWN, &phases, TOLERANCE);
        assert_eq!((score.fetches, score.failed), (4, 1));
        assert_eq!(score.phases["before"], PhaseFetches { fetches: 2, failed: 0 });
        assert_eq!(score.phases["fault_1"], PhaseFetches { fetches: 2, failed: 1 });
    }

    proptest! {
        /// A window that holds the most begins with a fetch.
        #[test]
        fn the_most_is_that_of_the_naive_count(mut times in proptest::collection::vec(0_u64..10_000, 0..60)) {
            times.sort_unstable();
            let within = |from: u64| times.iter().filter(|at| **at >= from && **at < from + 995).count() as u64;
            let naive = times.iter().map(|from| within(*from)).max().unwrap_or(0);
            prop_assert_eq!(most(&times), naive);
        }
    }
}
