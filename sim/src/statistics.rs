//! Estimates with intervals from paired rounds, without assuming any distribution.
//!
//! Rounds of a comparison are paired: both sides ran within seconds of each other. The logarithm of their ratio is one
//! observation. The Hodges-Lehmann estimate is the median of all pairwise means (Walsh averages), and the interval
//! comes from the exact distribution of Wilcoxon's signed-rank statistic (Hollander and Wolfe, Nonparametric
//! Statistical Methods, section 3.2 and 3.3).

/// A ratio with its interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RatioEstimate {
    /// The estimate.
    pub estimate: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// How often such an interval holds the true ratio; below the wanted 0.95 only when there are fewer than six
    /// rounds.
    pub coverage: f64,
}

/// The ratio of paired, positive values; `None` when there are none, or the sides differ in number.
#[must_use]
pub fn paired_ratio(ours: &[f64], theirs: &[f64]) -> Option<RatioEstimate> {
    let usable = |value: &f64| value.is_finite() && *value > 0.0;
    if ours.is_empty() || ours.len() != theirs.len() || !ours.iter().chain(theirs).all(usable) {
        return None;
    }
    let logs: Vec<f64> = ours.iter().zip(theirs).map(|(ours, theirs)| (ours / theirs).ln()).collect();
    let mut walsh: Vec<f64> = (0..logs.len())
        .flat_map(|i| (i..logs.len()).map(move |j| (i, j)))
        .map(|(i, j)| (logs[i] + logs[j]) / 2.0)
        .collect();
    walsh.sort_unstable_by(f64::total_cmp);
    let (rank, coverage) = wilcoxon_rank(logs.len());
    let (low, high) = (walsh[rank - 1], walsh[walsh.len() - rank]);
    Some(RatioEstimate { estimate: sorted_median(&walsh).exp(), low: low.exp(), high: high.exp(), coverage })
}

/// The median; `None` of nothing.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    (!sorted.is_empty()).then(|| sorted_median(&sorted))
}

fn sorted_median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) { (sorted[middle - 1] + sorted[middle]) / 2.0 } else { sorted[middle] }
}

/// Which Walsh average, from either end, bounds a 95 % interval, and its exact coverage.
///
/// With rank `c` the coverage is `1 - 2 P(T <= c - 1)`, `T` being the sum of the ranks with a positive sign when all
/// signs are equally likely.
fn wilcoxon_rank(rounds: usize) -> (usize, f64) {
    let most = rounds * (rounds + 1) / 2;
    // ways[t]: in how many ways the ranks 1..=rounds have a subset of sum t.
    let mut ways = vec![0.0_f64; most + 1];
    ways[0] = 1.0;
    for rank in 1..=rounds {
        for sum in (rank..=most).rev() {
            ways[sum] += ways[sum - rank];
        }
    }
    let all = 2.0_f64.powi(i32::try_from(rounds).unwrap_or(i32::MAX));
    let mut below = ways[0] / all;
    let mut rank = 1;
    while rank < most.div_ceil(2) && below + ways[rank] / all <= 0.025 {
        below += ways[rank] / all;
        rank += 1;
    }
    (rank, 1.0 - 2.0 * below)
}

#[cfg(test)]
mod tests {
    use rand_pcg::Pcg64;
    use rand_pcg::rand_core::{Rng, SeedableRng};

    use super::*;

    #[test]
    fn ranks_are_those_of_the_published_tables() {
        // Critical values of the signed-rank statistic, two-sided 5 %: n = 6: 0, n = 8: 3, n = 10: 8, n = 20: 52.
        for (rounds, critical) in [(6, 0), (8, 3), (10, 8), (20, 52)] {
            assert_eq!(wilcoxon_rank(rounds).0, critical + 1, "{rounds} rounds");
        }
        assert!((wilcoxon_rank(5).1 - (1.0 - 2.0 / 32.0)).abs() < 1e-12, "five rounds cannot give 95 %");
    }

    #[test]
    fn equal_sides_have_the_ratio_one() {
        let same = [3.0, 4.0, 5.0];
        let ratio = paired_ratio(&same, &same).unwrap();
        assert_eq!((ratio.estimate, ratio.low, ratio.high), (1.0, 1.0, 1.0));
        let double: Vec<f64> = same.iter().map(|value| value * 2.0).collect();
        assert!((paired_ratio(&double, &same).unwrap().estimate - 2.0).abs() < 1e-12);
    }

    #[test]
    fn what_has_no_ratio_has_none() {
        assert_eq!(paired_ratio(&[], &[]), None);
        assert_eq!(paired_ratio(&[1.0], &[1.0, 2.0]), None);
        assert_eq!(paired_ratio(&[0.0], &[1.0]), None);
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0]), Some(2.0));
    }

    #[test]
    fn intervals_hold_the_truth_as_often_as_they_say() {
        // 2,000 comparisons of nine rounds with a true ratio of 1.1 and noise of a few percent.
        let mut rng = Pcg64::seed_from_u64(9);
        let mut uniform = || (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        let mut held = 0;
        for _ in 0..2_000 {
            let mut noise = || 1.0 + 0.06 * (uniform() + uniform() - 1.0);
            let theirs: Vec<f64> = (0..9).map(|_| noise()).collect();
            let ours: Vec<f64> = (0..9).map(|_| 1.1 * noise()).collect();
            let ratio = paired_ratio(&ours, &theirs).unwrap();
            assert!(ratio.low <= ratio.estimate && ratio.estimate <= ratio.high);
            held += u32::from(ratio.low <= 1.1 && 1.1 <= ratio.high);
        }
        // 96.1 % is the exact coverage of nine rounds; standard deviation 0.43 points.
        assert!((1_890..=1_955).contains(&held), "{held} of 2000");
    }
}
