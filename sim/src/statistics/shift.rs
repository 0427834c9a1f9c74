//! By how much paired observations are shifted from zero: the Hodges-Lehmann estimate, its interval, its p-values.
//!
//! The estimate is the median of all pairwise means (Walsh averages). The interval ends and p-values come from the
//! exact distribution of Wilcoxon's signed-rank statistic, which is the number of Walsh averages above zero (Hollander
//! and Wolfe, Nonparametric Statistical Methods, sections 3.2 and 3.3). It is exact for any symmetric noise, also one
//! whose size changes from round to round; ties make it careful, never careless.

use super::signed_rank::SignedRank;

/// The shift of a set of observations.
#[derive(Debug, Clone)]
pub struct Shift {
    walsh: Vec<f64>,
    null: SignedRank,
}

/// An interval of a shift.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Chance that the truth is outside on one side; above what was wanted only when there are too few observations.
    pub outside: f64,
}

impl Shift {
    /// The shift of observations; `None` of none, or where one is not finite.
    #[must_use]
    pub fn of(observations: &[f64]) -> Option<Self> {
        if observations.is_empty() || observations.iter().any(|value| !value.is_finite()) {
            return None;
        }
        let count = observations.len();
        let mut walsh: Vec<f64> = (0..count)
            .flat_map(|i| (i..count).map(move |j| (i, j)))
            .map(|(i, j)| f64::midpoint(observations[i], observations[j]))
            .collect();
        walsh.sort_unstable_by(f64::total_cmp);
        Some(Self { walsh, null: SignedRank::new(count) })
    }

    /// The Hodges-Lehmann estimate.
    #[must_use]
    pub fn estimate(&self) -> f64 {
        sorted_median(&self.walsh)
    }

    /// The interval that leaves out `outside` on each side, or the widest that the observations give.
    #[must_use]
    pub fn interval(&self, outside: f64) -> Interval {
        let rank = self.null.count_within(outside).clamp(1, self.walsh.len().div_ceil(2));
        let (low, high) = (self.walsh[rank - 1], self.walsh[self.walsh.len() - rank]);
        Interval { low, high, outside: self.null.at_most(rank - 1) }
    }

    /// The one-sided p-value against a shift of at most `value`: small when the shift is above it.
    #[must_use]
    pub fn p_above(&self, value: f64) -> f64 {
        let not_above = self.walsh.partition_point(|walsh| *walsh <= value);
        self.null.at_most(not_above)
    }

    /// The one-sided p-value against a shift of at least `value`: small when the shift is below it.
    #[cfg(test)]
    #[must_use]
    pub fn p_below(&self, value: f64) -> f64 {
        let below = self.walsh.partition_point(|walsh| *walsh < value);
        self.null.at_most(self.walsh.len() - below)
    }
}

/// The median of a sorted slice, which must not be empty.
pub(super) fn sorted_median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) { f64::midpoint(sorted[middle - 1], sorted[middle]) } else { sorted[middle] }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The p-value by going through all signs of the observations' sizes, after ranking them.
    fn enumerated_p_above(observations: &[f64]) -> f64 {
        let mut sizes: Vec<f64> = observations.iter().map(|value| value.abs()).collect();
        sizes.sort_unstable_by(f64::total_cmp);
        let rank = |value: f64| sizes.iter().position(|size| *size == value.abs()).unwrap() + 1;
        let positive = |signs: u32| -> usize {
            (0..observations.len()).filter(|i| signs >> i & 1 == 1).map(|i| rank(observations[i])).sum()
        };
        let actual = (0..observations.len()).filter(|i| observations[*i] > 0.0).fold(0, |signs, i| signs | 1 << i);
        let all = 1_u32 << observations.len();
        (0..all).filter(|signs| positive(*signs) >= positive(actual)).count() as f64 / f64::from(all)
    }

    #[test]
    fn an_example_of_the_literature_comes_out_the_same() {
        // Hollander and Wolfe, example 3.1 (depression scores): estimate -0.46, P(T+ <= 5) = 0.0195, and the interval
        // of 96.1 % (-0.786, -0.010).
        let differences = [-0.952, 0.147, -1.022, -0.430, -0.620, -0.590, -0.490, 0.080, -0.010];
        let shift = Shift::of(&differences).unwrap();
        assert!((shift.estimate() + 0.46).abs() < 1e-9, "{}", shift.estimate());
        assert!((shift.p_below(0.0) - 0.0195).abs() < 1e-4, "{}", shift.p_below(0.0));
        let interval = shift.interval(0.025);
        assert!((interval.low + 0.786).abs() < 1e-9 && (interval.high + 0.010).abs() < 1e-9, "{interval:?}");
        assert!((1.0 - 2.0 * interval.outside - 0.961).abs() < 5e-4);
    }

    #[test]
    fn nothing_and_what_is_no_number_have_no_shift() {
        assert!(Shift::of(&[]).is_none() && Shift::of(&[1.0, f64::NAN]).is_none());
        let one = Shift::of(&[2.0]).unwrap();
        assert_eq!((one.estimate(), one.interval(0.025)), (2.0, Interval { low: 2.0, high: 2.0, outside: 0.5 }));
    }

    #[test]
    fn equal_sides_are_never_evidence() {
        let same = Shift::of(&[0.0; 12]).unwrap();
        assert_eq!((same.p_above(0.0), same.p_below(0.0)), (1.0, 1.0));
    }

    proptest! {
        #[test]
        fn p_values_are_those_of_all_signs(observations in prop::collection::vec(-100.0_f64..100.0, 1..10)) {
            let mut sizes: Vec<u64> = observations.iter().map(|value| value.abs().to_bits()).collect();
            sizes.sort_unstable();
            sizes.dedup();
            // Ties and zeros have no ranks of their own; there the p-value is larger than by any ranking.
            prop_assume!(sizes.len() == observations.len() && sizes[0] != 0);
            let shift = Shift::of(&observations).unwrap();
            prop_assert!((shift.p_above(0.0) - enumerated_p_above(&observations)).abs() < 1e-12);
            let turned: Vec<f64> = observations.iter().map(|value| -value).collect();
            prop_assert!((shift.p_below(0.0) - enumerated_p_above(&turned)).abs() < 1e-12);
        }

        #[test]
        fn an_interval_leaves_out_what_its_level_refuses(
            observations in prop::collection::vec(-1.0_f64..1.0, 6..30),
            level in 0.02..0.2,
        ) {
            let shift = Shift::of(&observations).unwrap();
            let interval = shift.interval(level);
            prop_assert!(interval.low <= shift.estimate() && shift.estimate() <= interval.high);
            prop_assert!(interval.outside <= level);
            // What is just below the lower end is refused at the level; what is just above is not.
            prop_assert!(shift.p_above(interval.low - 1e-9) <= level);
            prop_assert!(shift.p_above(interval.low + 1e-9) > level || interval.low == interval.high);
        }

        #[test]
        fn moving_every_observation_moves_the_estimate(
            observations in prop::collection::vec(-1.0_f64..1.0, 1..20),
            by in -1.0_f64..1.0,
        ) {
            let moved: Vec<f64> = observations.iter().map(|value| value + by).collect();
            let (before, after) = (Shift::of(&observations).unwrap(), Shift::of(&moved).unwrap());
            prop_assert!((after.estimate() - before.estimate() - by).abs() < 1e-12);
        }
    }
}
