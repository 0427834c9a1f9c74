//! Whether something grows with time: the slope of Theil and Sen, the median of the slopes of all pairs of points (Sen,
//! Estimates of the regression coefficient based on Kendall's tau, 1968). A jump, or a stretch that is unlike the rest,
//! moves it little.

use super::{median, normal};

/// More points than this are thinned: of all pairs of more there are too many.
const POINTS_MOST: usize = 600;

/// A slope and its interval, in what the values are in by what the times are in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trend {
    /// The estimate.
    pub slope: f64,
    /// Lower end of its interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Trend {
    /// The trend of these points of time and value, in the order of time; the interval leaves out `outside` on each
    /// side.
    /// `None` of fewer than three points of time.
    #[must_use]
    pub fn of(points: &[(f64, f64)], outside: f64) -> Option<Self> {
        let step = points.len().div_ceil(POINTS_MOST).max(1);
        let points: Vec<(f64, f64)> = points.iter().copied().step_by(step).collect();
        let pairs = (0..points.len()).flat_map(|one| (one + 1..points.len()).map(move |other| (one, other)));
        let mut slopes: Vec<f64> = pairs
            .map(|(one, other)| (points[one], points[other]))
            .filter(|(one, other)| other.0 > one.0)
            .map(|(one, other)| (other.1 - one.1) / (other.0 - one.0))
            .collect();
        if slopes.len() < 3 {
            return None;
        }
        slopes.sort_by(f64::total_cmp);
        // Kendall's statistic under no trend has this variance (Kendall, Rank correlation methods), and by it so many
        // slopes stand within the interval.
        let (count, all) = (points.len() as f64, slopes.len() as f64);
        let deviation = (count * (count - 1.0) * (2.0 * count + 5.0) / 18.0).sqrt();
        let within = normal::quantile(1.0 - outside) * deviation;
        let rank = |rank: f64| slopes[(rank.max(0.0) as usize).min(slopes.len() - 1)];
        Some(Self {
            slope: median(&slopes)?,
            low: rank(((all - within) / 2.0).floor() - 1.0),
            high: rank(((all + within) / 2.0).ceil()),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand_pcg::Pcg64;
    use rand_pcg::rand_core::{Rng, SeedableRng};

    use super::*;

    /// Points each half second of a value around `shape`, with noise of up to one on each side.
    fn points(seed: u64, count: u32, shape: impl Fn(f64) -> f64) -> Vec<(f64, f64)> {
        let mut rng = Pcg64::seed_from_u64(seed);
        let mut noise = || (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64 * 2.0 - 1.0;
        (0..count).map(|index| f64::from(index) / 2.0).map(|at| (at, shape(at) + noise())).collect()
    }

    #[test]
    fn what_grows_is_found_and_what_jumps_once_is_not_growth() {
        let grows = Trend::of(&points(1, 300, |at| 50.0 + 0.1 * at), 0.025).unwrap();
        assert!((grows.slope - 0.1).abs() < 0.01 && grows.low > 0.09 && grows.high < 0.11, "{grows:?}");
        let jumps = Trend::of(&points(2, 300, |at| if at < 20.0 { 10.0 } else { 100.0 }), 0.025).unwrap();
        assert!(jumps.slope.abs() < 0.01 && jumps.low < 0.01, "{jumps:?}");
        let equal = Trend::of(&[(0.0, 1.0), (1.0, 1.0), (2.0, 1.0)], 0.025).unwrap();
        assert_eq!((equal.slope, equal.low, equal.high), (0.0, 0.0, 0.0));
        assert_eq!(Trend::of(&[(0.0, 1.0), (1.0, 2.0)], 0.025), None);
    }

    #[test]
    fn an_interval_leaves_the_truth_out_as_seldom_as_it_says() {
        let holds = (0..400).filter(|seed| {
            let trend = Trend::of(&points(*seed, 60, |at| 3.0 * at), 0.025).unwrap();
            (trend.low..=trend.high).contains(&3.0)
        });
        let holds = holds.count();
        assert!((370..=395).contains(&holds), "{holds} of 400");
    }

    proptest! {
        #[test]
        fn an_estimate_lies_in_its_interval(values in proptest::collection::vec(-100.0..100.0, 3..700)) {
            let points: Vec<(f64, f64)> = values.iter().enumerate().map(|(at, value)| (at as f64, *value)).collect();
            let trend = Trend::of(&points, 0.025).unwrap();
            prop_assert!(trend.low <= trend.slope && trend.slope <= trend.high, "{trend:?}");
        }
    }
}
