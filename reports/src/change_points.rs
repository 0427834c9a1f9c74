//! Where a series changed its level, and which values stand outside of what is usual.
//!
//! **Change points** are found by binary segmentation. Each possible border splits the series in two; the statistic is
//! the standardised rank sum of the part before it (Mann and Whitney), the largest over all borders counts. How often
//! chance alone does as well is asked of the series itself: it is shuffled many times (from a fixed seed), as
//! E-divisive does. A border counts when that happens at most once in 200 times and the medians differ by at least one
//! percent (of figures that are percentages of something else themselves: by one point, see [`Measure`]); then both
//! parts are searched in turn. Ranks make no assumption of a distribution and let no single value decide.
//!
//! **Outliers** are judged by the values before them on the same level, as rustc-perf does: outside of the quartiles by
//! more than three times their distance, and by one percent of the median, or one point, at least.

use rand_pcg::Pcg64;
use rand_pcg::rand_core::{Rng, SeedableRng};

/// A level holds at least so many values: fewer cannot be told from a bad day.
const SHORTEST: usize = 4;
/// How often a series is shuffled.
const SHUFFLES: u32 = 1_999;
/// How often a shuffled series may do as well.
const MOST_AS_GOOD: u32 = SHUFFLES.div_ceil(200);
/// Smaller changes of a size are of no interest, as a share.
const LEAST_CHANGE: f64 = 0.01;
/// Smaller changes of a difference are of no interest, points.
const LEAST_POINTS: f64 = 1.0;
/// Values before an outlier that it is judged by.
const LEAST_BEFORE: usize = 16;

/// What the values of a series are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Sizes: a change is a share of what there was.
    Size,
    /// Differences in percent, which may be about zero: a change is in points, and a share of nothing.
    Difference,
}

impl Measure {
    /// The least change that is of interest, of this level.
    fn least(self, level: f64) -> f64 {
        match self {
            Self::Size => LEAST_CHANGE * level.abs(),
            Self::Difference => LEAST_POINTS,
        }
    }
}

/// A stretch of equal level.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Level {
    /// Its first value.
    pub from: usize,
    /// The value after its last.
    pub until: usize,
    /// Its median.
    pub median: f64,
}

/// The levels of a series, in order; one when it never changed, none when it is empty.
///
/// Values must be finite. The same series gives the same levels, always.
#[must_use]
pub fn levels(values: &[f64], measure: Measure) -> Vec<Level> {
    let mut borders = Vec::new();
    let mut rng = Pcg64::seed_from_u64(values.len() as u64);
    search(values, measure, 0, &mut borders, &mut rng);
    borders.sort_unstable();
    let starts = std::iter::once(0).chain(borders.iter().copied());
    let ends = borders.iter().copied().chain(std::iter::once(values.len()));
    let level = |(from, until)| Level { from, until, median: median(&values[from..until]) };
    if values.is_empty() { Vec::new() } else { starts.zip(ends).map(level).collect() }
}

/// Values that stand outside of what those before them on the same level make usual.
#[must_use]
pub fn outliers(values: &[f64], levels: &[Level], measure: Measure) -> Vec<usize> {
    let of_level = |level: &Level| {
        let from = level.from;
        let is_one = move |index: &usize| is_outside(&values[from..*index], values[*index], measure);
        (from + LEAST_BEFORE..level.until).filter(is_one)
    };
    levels.iter().flat_map(of_level).collect()
}

fn is_outside(before: &[f64], value: f64, measure: Measure) -> bool {
    let [lower, middle, upper] = [0.25, 0.5, 0.75].map(|share| quantile(before, share));
    let fence = 3.0 * (upper - lower);
    let is_beyond = value > upper + fence || value < lower - fence;
    is_beyond && (value - middle).abs() > measure.least(middle)
}

fn search(values: &[f64], measure: Measure, offset: usize, borders: &mut Vec<usize>, rng: &mut Pcg64) {
    if values.len() < 2 * SHORTEST {
        return;
    }
    let mut ranks = ranks(values);
    let (border, statistic) = best_border(&ranks);
    let mut as_good = 0;
    for _ in 0..SHUFFLES {
        shuffle(&mut ranks, rng);
        as_good += u32::from(best_border(&ranks).1 >= statistic - 1e-9);
        if as_good > MOST_AS_GOOD {
            return;
        }
    }
    let (before, after) = values.split_at(border);
    let (old, new) = (median(before), median(after));
    if (new - old).abs() < measure.least(old) {
        return;
    }
    borders.push(offset + border);
    search(before, measure, offset, borders, rng);
    search(after, measure, offset + border, borders, rng);
}

/// The border with the largest standardised rank sum.
fn best_border(ranks: &[f64]) -> (usize, f64) {
    let all = ranks.len() as f64;
    let mut best = (SHORTEST, 0.0);
    let mut sum: f64 = ranks[..SHORTEST - 1].iter().sum();
    for border in SHORTEST..=ranks.len() - SHORTEST {
        sum += ranks[border - 1];
        let before = border as f64;
        let deviation = (before * (all - before) * (all + 1.0) / 12.0).sqrt();
        let statistic = (sum - before * (all + 1.0) / 2.0).abs() / deviation;
        if statistic > best.1 {
            best = (border, statistic);
        }
    }
    best
}

/// Ranks from 1; equal values share the middle of theirs.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|one, other| values[*one].total_cmp(&values[*other]));
    let mut ranks = vec![0.0; values.len()];
    let mut from = 0;
    while from < order.len() {
        let equal = order[from..].iter().take_while(|index| values[**index] == values[order[from]]).count();
        for index in &order[from..from + equal] {
            ranks[*index] = from as f64 + (equal as f64 + 1.0) / 2.0;
        }
        from += equal;
    }
    ranks
}

/// Fisher and Yates.
fn shuffle(values: &mut [f64], rng: &mut Pcg64) {
    for last in (1..values.len()).rev() {
        values.swap(last, (rng.next_u64() % (last as u64 + 1)) as usize);
    }
}

/// The median; 0 of nothing.
pub(crate) fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// A quantile with linear interpolation; 0 of nothing.
fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let place = share * sorted.len().saturating_sub(1) as f64;
    let at = |index: usize| sorted.get(index).copied().unwrap_or(0.0);
    let (below, part) = (place.floor() as usize, place.fract());
    if part > 0.0 { at(below) + (at(below + 1) - at(below)) * part } else { at(below) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Values around levels, with noise of this share.
    fn series(levels: &[(usize, f64)], noise: f64, seed: u64) -> Vec<f64> {
        let mut rng = Pcg64::seed_from_u64(seed);
        let mut uniform = || (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        let mut values = Vec::new();
        for (length, level) in levels {
            values.extend((0..*length).map(|_| level * (1.0 + noise * (uniform() + uniform() - 1.0))));
        }
        values
    }

    #[test]
    fn a_step_is_found_where_it_is() {
        let found = levels(&series(&[(15, 12.4), (12, 13.1)], 0.03, 1), Measure::Size);
        assert_eq!(found.iter().map(|level| level.from).collect::<Vec<_>>(), [0, 15]);
        assert!((found[1].median / found[0].median - 1.056).abs() < 0.01);
        let found = levels(&series(&[(12, 10.0), (10, 12.0), (12, 9.0)], 0.02, 2), Measure::Size);
        assert_eq!(found.iter().map(|level| level.from).collect::<Vec<_>>(), [0, 12, 22]);
    }

    #[test]
    fn noise_is_seldom_taken_for_a_change() {
        let found = (0..200).filter(|seed| levels(&series(&[(30, 10.0)], 0.1, *seed), Measure::Size).len() > 1).count();
        assert!(found <= 4, "{found} of 200, where one was to be expected");
    }

    #[test]
    fn a_change_too_small_to_matter_is_none_however_clear() {
        assert_eq!(levels(&series(&[(15, 10.0), (15, 10.05)], 0.0, 1), Measure::Size).len(), 1);
        assert_eq!(levels(&[5.0; 40], Measure::Size).len(), 1);
    }

    #[test]
    fn a_difference_about_zero_changes_by_points_and_not_by_shares_of_nothing() {
        let values = |before: f64, after: f64| {
            let noise = |number: usize| (number % 3) as f64 * 0.01;
            (0..24).map(|number| noise(number) + if number < 12 { before } else { after }).collect::<Vec<f64>>()
        };
        let small = values(0.02, 0.06);
        assert_eq!(levels(&small, Measure::Size).len(), 2, "three times as much, of next to nothing");
        assert_eq!(levels(&small, Measure::Difference).len(), 1);
        assert_eq!(levels(&values(-0.5, 1.2), Measure::Difference).len(), 2);
        let mut quiet = values(0.0, 0.0);
        quiet[20] = 0.6;
        let of = |values: &[f64], measure| outliers(values, &levels(values, measure), measure);
        assert_eq!((of(&quiet, Measure::Size), of(&quiet, Measure::Difference)), (vec![20], Vec::new()));
        quiet[20] = 3.0;
        assert_eq!(of(&quiet, Measure::Difference), [20]);
    }

    #[test]
    fn one_bad_day_is_an_outlier_and_no_level() {
        let mut values = series(&[(24, 10.0)], 0.04, 3);
        values[20] = 14.0;
        let levels = levels(&values, Measure::Size);
        assert_eq!((levels.len(), outliers(&values, &levels, Measure::Size)), (1, vec![20]));
    }

    proptest! {
        #[test]
        fn levels_cover_the_series_without_gaps(values in proptest::collection::vec(-1e6..1e6_f64, 0..40)) {
            let levels = levels(&values, Measure::Size);
            prop_assert_eq!(levels.last().map_or(0, |level| level.until), values.len());
            prop_assert!(levels.windows(2).all(|pair| pair[0].until == pair[1].from));
            prop_assert!(levels.len() < 2 || levels.iter().all(|level| level.until - level.from >= SHORTEST));
        }

        #[test]
        fn ranks_are_those_of_a_naive_count(values in proptest::collection::vec(0_u8..9, 1..30)) {
            let values: Vec<f64> = values.into_iter().map(f64::from).collect();
            for (value, rank) in values.iter().zip(ranks(&values)) {
                let below = values.iter().filter(|other| *other < value).count() as f64;
                let equal = values.iter().filter(|other| *other == value).count() as f64;
                prop_assert_eq!(rank, below + (equal + 1.0) / 2.0);
            }
        }
    }
}
