//! A histogram of durations with two buckets to an octave, told apart by counting leading zeros.
//!
//! With a unit of u, the upper bounds are 2u, 3u, 4u, 6u, 8u, 12u, 16u, ... nanoseconds: a value's bucket is its octave
//! and the next bit below, so that nothing is searched and no float is touched. The relative width of a bucket is at
//! most a half. (The log-linear scheme of HdrHistogram with one bit of precision.)

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::exemplar::Exemplar;
use super::shards::Alone;

/// Counts of durations, written by one thread and read by any. `UNIT_NS` is half of the first bound; the last of
/// `SLOTS` buckets has no bound.
#[derive(Debug)]
pub struct Histogram<const UNIT_NS: u64, const SLOTS: usize> {
    counts: [AtomicU64; SLOTS],
    sum_ns: AtomicU64,
}

impl<const UNIT_NS: u64, const SLOTS: usize> Default for Histogram<UNIT_NS, SLOTS> {
    fn default() -> Self {
        Self { counts: [const { AtomicU64::new(0) }; SLOTS], sum_ns: AtomicU64::new(0) }
    }
}

impl<const UNIT_NS: u64, const SLOTS: usize> Histogram<UNIT_NS, SLOTS> {
    /// Counts one duration.
    #[inline]
    pub(super) fn record(&self, duration: Duration, alone: Alone) {
        let ns = duration.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(duration.subsec_nanos()));
        alone.bump(&self.counts[Self::slot(ns)], 1);
        alone.bump(&self.sum_ns, ns);
    }

    /// How many buckets there are.
    pub(super) const COUNT: usize = SLOTS;

    /// The number of a duration's bucket.
    pub(super) fn slot_of(duration: Duration) -> usize {
        Self::slot(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
    }

    /// The bucket of a duration: the first whose bound is not below it.
    #[inline]
    fn slot(ns: u64) -> usize {
        let units = ns.saturating_sub(1) / UNIT_NS;
        if units < 2 {
            return 0;
        }
        let octave = units.ilog2();
        let half = (units >> (octave - 1)) & 1;
        (2 * octave as usize - 1 + half as usize).min(SLOTS - 1)
    }

    /// The upper bound of a bucket, inclusive; `None` for the last, which has none.
    pub fn bound_ns(slot: usize) -> Option<u64> {
        if slot + 1 >= SLOTS {
            return None;
        }
        let step = if slot.is_multiple_of(2) { 2 } else { 3 };
        Some((UNIT_NS * step) << (slot / 2))
    }

    /// Adds what was counted here to a sum over shards.
    pub fn add_to(&self, totals: &mut HistogramTotals) {
        if totals.buckets.is_empty() {
            totals.buckets = (0..SLOTS).map(|slot| (Self::bound_ns(slot), 0)).collect();
        }
        for (count, (_, total)) in self.counts.iter().zip(&mut totals.buckets) {
            *total += count.load(Ordering::Relaxed);
        }
        totals.sum_ns = totals.sum_ns.wrapping_add(self.sum_ns.load(Ordering::Relaxed));
    }
}

/// A histogram as it is shown: the sum of its shards.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HistogramTotals {
    /// Upper bound (nanoseconds, inclusive; `None` for the last) and count of each bucket, not cumulated.
    pub buckets: Vec<(Option<u64>, u64)>,
    /// Sum of all durations, nanoseconds.
    pub sum_ns: u64,
    /// A traced request of each bucket, where there is one; empty where none was ever traced.
    pub exemplars: Vec<Option<Exemplar>>,
}

impl HistogramTotals {
    /// How many durations were counted. The sum of the buckets, so that it always agrees with them.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|(_, count)| count).sum()
    }

    /// A duration that this share of them did not exceed, nanoseconds: the bound of a bucket, so at most half too high.
    /// `None` where none was counted, or it is above the last bound.
    pub fn quantile_ns(&self, share: f64) -> Option<u64> {
        let rank = ((self.count() as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        let reached = |(_, count): &&(Option<u64>, u64)| {
            seen += count;
            seen >= rank
        };
        self.buckets.iter().find(reached)?.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{DurationHistogram, OverheadHistogram};
    use super::*;

    #[test]
    fn bounds_are_two_to_an_octave() {
        let micros: Vec<_> = (0..8).map(|slot| DurationHistogram::bound_ns(slot).unwrap() / 1000).collect();
        assert_eq!(micros, [50, 75, 100, 150, 200, 300, 400, 600]);
        assert_eq!(DurationHistogram::bound_ns(38), Some(26_214_400_000));
        assert_eq!(DurationHistogram::bound_ns(39), None);
        assert_eq!(OverheadHistogram::bound_ns(0), Some(5_000));
        assert_eq!(OverheadHistogram::bound_ns(28), Some(81_920_000));
        assert_eq!(OverheadHistogram::bound_ns(29), None);
    }

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        for slot in 0..39 {
            let bound = DurationHistogram::bound_ns(slot).unwrap();
            assert_eq!(DurationHistogram::slot(bound), slot);
            assert_eq!(DurationHistogram::slot(bound + 1), slot + 1);
        }
        assert_eq!(DurationHistogram::slot(0), 0);
        assert_eq!(DurationHistogram::slot(u64::MAX), 39);
    }

    #[test]
    fn shards_are_summed() {
        let (a, b) = (OverheadHistogram::default(), OverheadHistogram::default());
        a.record(Duration::from_micros(6), Alone::SHARED);
        a.record(Duration::MAX, Alone::SHARED);
        b.record(Duration::from_micros(6), Alone::SHARED);
        let mut totals = HistogramTotals::default();
        a.add_to(&mut totals);
        b.add_to(&mut totals);
        assert_eq!((totals.count(), totals.buckets[1].1, totals.buckets[29].1), (3, 2, 1));
        assert_eq!((totals.quantile_ns(0.5), totals.quantile_ns(0.99)), (totals.buckets[1].0, None));
        assert_eq!(HistogramTotals::default().quantile_ns(0.5), None, "nothing was counted");
    }

    proptest! {
        #[test]
        fn the_slot_is_what_a_search_finds(ns in prop_oneof![any::<u64>(), 0_u64..200_000, 0_u64..40_000_000_000]) {
            let holds = |slot: &usize| DurationHistogram::bound_ns(*slot).is_none_or(|bound| ns <= bound);
            let found = (0..40).find(holds).unwrap();
            prop_assert_eq!(DurationHistogram::slot(ns), found);
            let holds = |slot: &usize| OverheadHistogram::bound_ns(*slot).is_none_or(|bound| ns <= bound);
            let found = (0..30).find(holds).unwrap();
            prop_assert_eq!(OverheadHistogram::slot(ns), found);
        }
    }
}
