//! Wilcoxon's signed-rank statistic `T` when nothing differs: the sum of those of the ranks 1 to `n` that carry a
//! positive sign, all signs being equally likely (Hollander and Wolfe, Nonparametric Statistical Methods, section 3.1).
//!
//! Exact up to [`EXACT_MOST`] rounds, the normal approximation with continuity correction beyond.

use super::normal;

/// More rounds than this use the normal approximation, whose error is then below 0.001.
pub const EXACT_MOST: usize = 100;

/// The distribution of `T` for a number of rounds.
#[derive(Debug, Clone, PartialEq)]
pub struct SignedRank {
    rounds: usize,
    /// `P(T <= t)` for each `t`; empty when approximated.
    at_most: Vec<f64>,
}

impl SignedRank {
    /// The distribution for this many rounds.
    #[must_use]
    pub fn new(rounds: usize) -> Self {
        let mut chances = vec![0.0_f64; if rounds <= EXACT_MOST { largest(rounds) + 1 } else { 0 }];
        if let Some(none) = chances.first_mut() {
            *none = 1.0;
        }
        if !chances.is_empty() {
            for rank in 1..=rounds {
                // With even chances the rank is in the sum or not.
                for sum in (0..chances.len()).rev() {
                    let with = if sum >= rank { chances[sum - rank] } else { 0.0 };
                    chances[sum] = 0.5 * (chances[sum] + with);
                }
            }
        }
        let mut total = 0.0;
        let at_most = chances.iter().map(|chance| {
            total += chance;
            total
        });
        Self { rounds, at_most: at_most.collect() }
    }

    /// The largest value of `T`.
    #[must_use]
    pub fn largest(&self) -> usize {
        largest(self.rounds)
    }

    /// `P(T <= t)`; by symmetry also `P(T >= largest - t)`.
    #[must_use]
    pub fn at_most(&self, t: usize) -> f64 {
        if t >= self.largest() {
            return 1.0;
        }
        if let Some(chance) = self.at_most.get(t) {
            return *chance;
        }
        let rounds = self.rounds as f64;
        let mean = rounds * (rounds + 1.0) / 4.0;
        let variance = mean * (2.0 * rounds + 1.0) / 6.0;
        normal::cdf((t as f64 + 0.5 - mean) / variance.sqrt())
    }

    /// How many values from 0 on have together at most the chance `level`; 0 when even `T = 0` is likelier.
    #[must_use]
    pub fn count_within(&self, level: f64) -> usize {
        // at_most grows with t, so the first value above the level is found by halving.
        let (mut below, mut above) = (0, self.largest() + 1);
        while below < above {
            let middle = usize::midpoint(below, above);
            if self.at_most(middle) <= level {
                below = middle + 1;
            } else {
                above = middle;
            }
        }
        below
    }
}

fn largest(rounds: usize) -> usize {
    rounds * (rounds + 1) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `P(T <= t)` by going through all signs.
    fn enumerated(rounds: usize, t: usize) -> f64 {
        let sum = |signs: u32| (1..=rounds).filter(|rank| signs >> (rank - 1) & 1 == 1).sum::<usize>();
        let all = 1_u32 << rounds;
        (0..all).filter(|signs| sum(*signs) <= t).count() as f64 / f64::from(all)
    }

    #[test]
    fn it_is_what_all_signs_give() {
        for rounds in 0..=10 {
            let null = SignedRank::new(rounds);
            for t in 0..=null.largest() {
                assert!((null.at_most(t) - enumerated(rounds, t)).abs() < 1e-12, "{rounds} rounds, {t}");
            }
        }
    }

    #[test]
    fn critical_values_are_those_of_the_published_tables() {
        // Critical values c, that is the largest with P(T <= c) within the level, of Wilcoxon and Wilcox (1964):
        // (rounds, two-sided 5 %, two-sided 2 %, two-sided 1 %).
        let table = [(8, 3, 1, 0), (10, 8, 5, 3), (12, 13, 9, 7), (15, 25, 19, 15), (20, 52, 43, 37), (25, 89, 76, 68)];
        for (rounds, five, two, one) in table {
            let null = SignedRank::new(rounds);
            for (level, critical) in [(0.025, five), (0.01, two), (0.005, one)] {
                assert_eq!(null.count_within(level), critical + 1, "{rounds} rounds at {level}");
            }
        }
        assert_eq!(SignedRank::new(5).count_within(0.025), 0, "five rounds cannot give 95 %");
        assert_eq!(SignedRank::new(6).count_within(0.025), 1);
    }

    #[test]
    fn the_approximation_goes_on_where_the_exact_form_ends() {
        let exact = SignedRank::new(EXACT_MOST);
        let approximated = SignedRank { rounds: EXACT_MOST, at_most: Vec::new() };
        for level in [0.001, 0.01, 0.025, 0.2] {
            let t = exact.count_within(level) - 1;
            let off = (exact.at_most(t) - approximated.at_most(t)).abs();
            assert!(off < 0.001, "{off} at {level}");
        }
        let beyond = SignedRank::new(EXACT_MOST + 1);
        assert!((beyond.at_most(beyond.largest() / 2) - 0.5).abs() < 0.01);
    }
}
