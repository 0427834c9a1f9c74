//! How far admissions went beyond the bound, over every window of time.
//!
//! In a window of length `w` a key may be admitted at most `burst + rate * w` tokens. The figure is the largest excess
//! over all windows that begin and end with an admission (no other window is worse), in tokens; below zero when the
//! bound was never reached. One pass: the worst window that ends now began where `admitted before - rate * t` was
//! smallest.

use crate::oracle::policy::LimitPolicy;

/// `(time, tokens)` of each admission of one key, in the order of time; `None` when there was none.
pub(crate) fn worst_excess(limit: &LimitPolicy, admissions: impl IntoIterator<Item = (u64, u64)>) -> Option<f64> {
    // In tokens times `per_ns`, so that nothing is rounded.
    let unit = i128::from(limit.per_ns.max(1));
    let (mut sum, mut lowest, mut worst) = (0_i128, i128::MAX, None);
    for (at_ns, cost) in admissions {
        let drained = i128::from(at_ns) * i128::from(limit.tokens);
        lowest = lowest.min(sum - drained);
        sum += i128::from(cost) * unit;
        let excess = (sum - drained) - lowest - i128::from(limit.burst) * unit;
        worst = worst.max(Some(excess));
    }
    worst.map(|excess| excess as f64 / unit as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn naive(limit: &LimitPolicy, admissions: &[(u64, u64)]) -> Option<f64> {
        let window = |from: usize, to: usize| {
            let tokens: u64 = admissions[from..=to].iter().map(|one| one.1).sum();
            let length = (admissions[to].0 - admissions[from].0) as f64;
            tokens as f64 - limit.burst as f64 - length * limit.tokens as f64 / limit.per_ns as f64
        };
        let all = (0..admissions.len()).flat_map(|to| (0..=to).map(move |from| (from, to)));
        all.map(|(from, to)| window(from, to)).reduce(f64::max)
    }

    #[test]
    fn a_burst_too_many() {
        let limit = LimitPolicy { tokens: 1, per_ns: 10, burst: 2, shadow: false };
        assert_eq!(worst_excess(&limit, [(0, 1), (0, 1), (10, 1)]), Some(0.0));
        assert_eq!(worst_excess(&limit, [(0, 1), (100, 1), (100, 1), (105, 1)]), Some(0.5));
        assert_eq!(worst_excess(&limit, []), None);
        assert_eq!(worst_excess(&limit, [(7, 1)]), Some(-1.0));
    }

    proptest! {
        #[test]
        fn it_is_the_worst_of_all_windows(
            tokens in 1u64..20, per_ns in 1u64..100, burst in 1u64..10,
            steps in proptest::collection::vec((0u64..50, 1u64..4), 0..60),
        ) {
            let limit = LimitPolicy { tokens, per_ns, burst, shadow: false };
            let mut at = 0;
            let admissions: Vec<(u64, u64)> = steps.iter().map(|(step, cost)| { at += step; (at, *cost) }).collect();
            match (worst_excess(&limit, admissions.iter().copied()), naive(&limit, &admissions)) {
                (Some(fast), Some(slow)) => prop_assert!((fast - slow).abs() < 1e-6, "{fast} {slow}"),
                (fast, slow) => prop_assert_eq!(fast, slow),
            }
        }
    }
}
