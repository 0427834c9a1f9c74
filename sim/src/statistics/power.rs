//! The smallest effect that a number of rounds would find, and how many rounds an effect needs.
//!
//! Effects and deviations are of log-ratios: 0.03 is about 3 %.

use super::student;

/// More rounds than anybody waits for: some hours of them.
const ROUNDS_MOST: u32 = 5_000;

/// What a test promises.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Promise {
    /// How often it may find what is not there, in the direction that it looks.
    pub false_alarm: f64,
    /// How often it must find what is there.
    pub power: f64,
}

/// The fewest rounds that can tell anything at this level. Verdicts are of signed ranks, and the strongest evidence
/// that `n` of them can give, all rounds on one side, has a chance of `2^-n` (Wilcoxon, 1945).
#[must_use]
pub fn fewest_rounds(level: f64) -> usize {
    let halvings = -level.clamp(f64::MIN_POSITIVE, 1.0).log2();
    // A level of exactly 2^-n is reached by n rounds, whatever its logarithm is rounded to.
    (1..=ROUNDS_MOST as usize).find(|rounds| *rounds as f64 >= halvings - 1e-9).unwrap_or(ROUNDS_MOST as usize)
}

/// The smallest log-ratio that is found with this promise in `rounds` rounds of which the log-ratios deviate by
/// `deviation`: `(t(1 - a, n - 1) + t(power, n - 1)) * s / sqrt(n)`. Infinite below [`fewest_rounds`], and below two.
#[must_use]
pub fn smallest_found(deviation: f64, rounds: usize, promise: Promise) -> f64 {
    if rounds < fewest_rounds(promise.false_alarm).max(2) {
        return f64::INFINITY;
    }
    let rounds = u32::try_from(rounds).unwrap_or(u32::MAX);
    let t = |chance| student::quantile(chance, rounds - 1);
    (t(1.0 - promise.false_alarm) + t(promise.power)) * deviation / f64::from(rounds).sqrt()
}

/// The fewest rounds in which a log-ratio of `effect` is found with this promise; `None` when no number of rounds that
/// anybody waits for is enough.
#[must_use]
pub fn rounds_needed(deviation: f64, effect: f64, promise: Promise) -> Option<usize> {
    let enough = |rounds: u32| smallest_found(deviation, rounds as usize, promise) <= effect;
    if !enough(ROUNDS_MOST) {
        return None;
    }
    let (mut low, mut high) = (2, ROUNDS_MOST);
    while low < high {
        let middle = u32::midpoint(low, high);
        if enough(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Some(low as usize)
}

/// The deviation of single rounds that an interval of half width `half_width` with `outside` left out on each side
/// stands for. An interval from ranks is not moved by a few wild rounds, so neither is this.
#[must_use]
pub fn deviation_of(half_width: f64, rounds: usize, outside: f64) -> f64 {
    let rounds = u32::try_from(rounds).unwrap_or(u32::MAX);
    if rounds < 2 {
        return f64::INFINITY;
    }
    half_width * f64::from(rounds).sqrt() / student::quantile(1.0 - outside, rounds - 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::statistics::signed_rank::SignedRank;

    const USUAL: Promise = Promise { false_alarm: 0.025, power: 0.9 };

    #[test]
    fn effects_are_those_of_the_published_table() {
        // The table of docs/benchmarking.md: percent by deviation and rounds, two-sided 5 %, power 90 %.
        let table = [(0.01, [1.4, 1.0, 0.8, 0.6]), (0.03, [4.1, 3.1, 2.3, 1.9]), (0.10, [14.3, 10.8, 8.0, 6.3])];
        for (deviation, row) in table {
            for (rounds, percent) in [8, 12, 20, 30].into_iter().zip(row) {
                let found = smallest_found(deviation, rounds, USUAL).exp_m1() * 100.0;
                assert!((found - percent).abs() <= 0.06, "{deviation} {rounds}: {found}");
            }
        }
        assert_eq!(smallest_found(0.01, 1, USUAL), f64::INFINITY);
        assert_eq!(rounds_needed(1.0, 1e-6, USUAL), None);
    }

    #[test]
    fn what_no_number_of_ranks_can_show_is_not_found() {
        for (level, fewest) in [(0.5, 1), (0.25, 2), (0.025, 6), (0.002, 9), (0.0008, 11)] {
            assert_eq!(fewest_rounds(level), fewest, "{level}");
            let strongest = |rounds| SignedRank::new(rounds).at_most(0);
            assert!(strongest(fewest) <= level && (fewest == 1 || strongest(fewest - 1) > level), "{level}");
        }
        let promise = Promise { false_alarm: 0.002, power: 0.9 };
        assert_eq!(smallest_found(0.001, 8, promise), f64::INFINITY);
        assert!(smallest_found(0.001, 9, promise) < 0.01);
        assert!(rounds_needed(0.001, 5.0, promise).is_some_and(|rounds| rounds == 9));
    }

    proptest! {
        #[test]
        fn the_fewest_rounds_are_enough_and_one_less_is_not(deviation in 0.001..0.1, effect in 0.005..0.2) {
            let rounds = rounds_needed(deviation, effect, USUAL).unwrap();
            prop_assert!(smallest_found(deviation, rounds, USUAL) <= effect);
            prop_assert!(rounds == 2 || smallest_found(deviation, rounds - 1, USUAL) > effect);
        }

        #[test]
        fn a_deviation_is_what_made_its_interval(deviation in 0.001..0.2, rounds in 2_usize..60) {
            let t = student::quantile(0.975, u32::try_from(rounds).unwrap() - 1);
            let half_width = t * deviation / (rounds as f64).sqrt();
            let ratio: f64 = deviation_of(half_width, rounds, 0.025) / deviation;
            prop_assert!((ratio - 1.0).abs() < 1e-9);
        }
    }
}
