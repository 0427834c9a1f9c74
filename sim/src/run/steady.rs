//! When a warm-up has become steady, from figures of equal stretches of time. Pure.
//!
//! Two questions. How much of the beginning has to go: MSER-5 (White, Cobb and Spratt, A comparison of five
//! steady-state truncation heuristics, 2000), the truncation within the first half that makes the standard error of the
//! rest the least; one that is all of the first half says that the beginning may not be over. And whether what is left
//! still drifts:
//! Mann and Kendall's test of a trend, with the slope of Theil and Sen, so that one strange stretch decides nothing.

/// Stretches that make one batch, as in MSER-5.
pub(super) const PER_BATCH: usize = 5;
/// Fewest batches that are judged: three seconds of the longest stretches, of which half may go.
const LEAST: usize = 6;
/// Fewest figures that are judged.
pub(super) const FEWEST: usize = LEAST * PER_BATCH;
/// A trend is believed beyond this many standard deviations: one in a hundred by chance.
const BELIEVED: f64 = 2.58;
/// A drift over the whole rest below this share of its median is none that matters.
const TOLERATED: f64 = 0.05;

/// What is known of a warm-up so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Steadiness {
    /// Steady since this stretch.
    Since(usize),
    /// Not so far.
    NotYet,
}

/// Judges the stretches' figures, the oldest first.
pub(super) fn judge(figures: &[f64]) -> Steadiness {
    let batches: Vec<f64> =
        figures.chunks_exact(PER_BATCH).map(|batch| batch.iter().sum::<f64>() / PER_BATCH as f64).collect();
    let Some(truncated) = mser(&batches) else { return Steadiness::NotYet };
    let rest = &batches[truncated..];
    if truncated == batches.len() / 2 || drifts(rest) {
        return Steadiness::NotYet;
    }
    Steadiness::Since(truncated * PER_BATCH)
}

/// How many batches go: the truncation `d` with the least `s^2(d) / (n - d)`; `None` of too few.
fn mser(batches: &[f64]) -> Option<usize> {
    let error = |truncated: usize| {
        let rest = &batches[truncated..];
        let count = rest.len() as f64;
        let mean = rest.iter().sum::<f64>() / count;
        rest.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count * count)
    };
    if batches.len() < LEAST {
        return None;
    }
    (0..=batches.len() / 2).min_by(|one, other| error(*one).total_cmp(&error(*other)))
}

/// Whether there is a trend that is believed and matters.
fn drifts(values: &[f64]) -> bool {
    let count = values.len() as f64;
    let pairs = || (0..values.len()).flat_map(|i| (i + 1..values.len()).map(move |j| (i, j)));
    let rises: f64 =
        pairs().map(|(i, j)| (values[j] - values[i]).partial_cmp(&0.0).map_or(0.0, |o| o as i8 as f64)).sum();
    // Kendall's statistic under no trend has this variance (Kendall, Rank correlation methods); ties make it less.
    let deviation = (count * (count - 1.0) * (2.0 * count + 5.0) / 18.0).sqrt();
    let slopes: Vec<f64> = pairs().map(|(i, j)| (values[j] - values[i]) / (j - i) as f64).collect();
    let (Some(slope), Some(middle)) = (crate::statistics::median(&slopes), crate::statistics::median(values)) else {
        return false;
    };
    rises.abs() - 1.0 > BELIEVED * deviation && (slope * (count - 1.0)).abs() > TOLERATED * middle.abs()
}

#[cfg(test)]
mod tests {
    use rand_pcg::Pcg64;
    use rand_pcg::rand_core::{Rng, SeedableRng};

    use super::*;

    /// Figures around 100 with a tenth of noise, times a shape.
    fn figures(seed: u64, count: usize, shape: impl Fn(usize) -> f64) -> Vec<f64> {
        let mut rng = Pcg64::seed_from_u64(seed);
        let mut noise = || (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64 * 20.0 - 10.0;
        (0..count).map(|index| (100.0 + noise()) * shape(index)).collect()
    }

    #[test]
    fn what_is_steady_from_the_start_is_seen_as_such() {
        // A warm-up asks again and again, so that one look in ten that doubts costs some tenths of a second.
        let steady = (0..1_000).filter(|seed| judge(&figures(*seed, 60, |_| 1.0)) != Steadiness::NotYet).count();
        assert!(steady >= 880, "{steady} of 1000");
    }

    #[test]
    fn a_slow_start_is_cut_off() {
        // Ten stretches at five times the level, then steady.
        let shape = |index| if index < 10 { 5.0 } else { 1.0 };
        let from = (0..100).map(|seed| judge(&figures(seed, 60, shape)));
        let since: Vec<usize> = from
            .filter_map(|judged| match judged {
                Steadiness::Since(from) => Some(from),
                Steadiness::NotYet => None,
            })
            .collect();
        assert!(since.len() >= 75 && since.iter().all(|from| *from >= 10), "{since:?}");
    }

    #[test]
    fn what_grows_without_end_is_never_steady() {
        for seed in 0..100 {
            assert_eq!(judge(&figures(seed, 60, |index| 1.0 + index as f64 / 10.0)), Steadiness::NotYet, "seed {seed}");
        }
    }

    #[test]
    fn too_little_says_nothing_and_no_variance_is_steady() {
        assert_eq!(judge(&[1.0; 29]), Steadiness::NotYet);
        assert_eq!(judge(&[1.0; 30]), Steadiness::Since(0));
    }

    proptest::proptest! {
        #[test]
        fn the_truncation_is_that_of_the_definition(batches in proptest::collection::vec(0.0f64..100.0, 6..30)) {
            let naive = |d: usize| {
                let rest = &batches[d..];
                let mean = rest.iter().sum::<f64>() / rest.len() as f64;
                let squares: f64 = rest.iter().map(|value| (value - mean) * (value - mean)).sum();
                let variance = squares / rest.len() as f64;
                variance / rest.len() as f64
            };
            let found = mser(&batches).unwrap();
            for other in 0..=batches.len() / 2 {
                proptest::prop_assert!(naive(found) <= naive(other) + 1e-9);
            }
        }
    }
}
