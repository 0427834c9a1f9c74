//! The ratio of two paired columns, with an interval of 95 %, and medians.

use super::shift::{Shift, sorted_median};

/// Left out on each side of an interval.
const OUTSIDE: f64 = 0.025;

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
    if ours.len() != theirs.len() || !ours.iter().chain(theirs).all(usable) {
        return None;
    }
    let logs: Vec<f64> = ours.iter().zip(theirs).map(|(ours, theirs)| (ours / theirs).ln()).collect();
    let shift = Shift::of(&logs)?;
    let interval = shift.interval(OUTSIDE);
    Some(RatioEstimate {
        estimate: shift.estimate().exp(),
        low: interval.low.exp(),
        high: interval.high.exp(),
        coverage: 1.0 - 2.0 * interval.outside,
    })
}

/// The median; `None` of nothing.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    (!sorted.is_empty()).then(|| sorted_median(&sorted))
}

#[cfg(test)]
mod tests {
    use rand_pcg::Pcg64;
    use rand_pcg::rand_core::{Rng, SeedableRng};

    use super::*;

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
