//! Exemplars: for each bucket of a histogram the last request that was traced and fell into it, so that who sees a slow
//! bucket finds a trace of one (OpenMetrics, "Exemplars").
//!
//! Only traced requests pay for it. Memory is taken when the first comes, and is bounded by the number of buckets.

use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use super::{DurationHistogram, HistogramTotals};

use crate::locked::lock;

/// A request that was traced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exemplar {
    /// Its trace, 32 digits.
    pub trace_id: [u8; 32],
    /// Its own span there, 16 digits.
    pub span_id: [u8; 16],
    /// How long it took, nanoseconds.
    pub took_ns: u64,
    /// When it ended, microseconds since the Unix epoch.
    pub ended_us: i64,
}

/// The last exemplar of each bucket.
#[derive(Debug, Default)]
pub(super) struct Exemplars(OnceLock<Box<Mutex<Vec<Option<Exemplar>>>>>);

impl Exemplars {
    /// Keeps one, in place of the one before it in its bucket.
    pub(super) fn keep(&self, exemplar: Exemplar) {
        let slot = DurationHistogram::slot_of(Duration::from_nanos(exemplar.took_ns));
        let mut kept = lock(self.0.get_or_init(|| Box::new(Mutex::new(vec![None; DurationHistogram::COUNT]))));
        kept[slot] = Some(exemplar);
    }

    /// Adds them to what is shown of their histogram.
    pub(super) fn add_to(&self, totals: &mut HistogramTotals) {
        if let Some(kept) = self.0.get() {
            totals.exemplars.clone_from(&lock(kept));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bucket_keeps_the_last_that_fell_into_it() {
        let exemplars = Exemplars::default();
        let mut totals = HistogramTotals::default();
        exemplars.add_to(&mut totals);
        assert!(totals.exemplars.is_empty(), "no memory before the first");
        let of = |number: u8, took_us: u64| Exemplar {
            trace_id: [number; 32],
            span_id: [number; 16],
            took_ns: took_us * 1000,
            ended_us: 1,
        };
        for (number, took_us) in [(1, 50), (2, 51), (3, 49), (4, 60_000_000)] {
            exemplars.keep(of(number, took_us));
        }
        exemplars.add_to(&mut totals);
        let kept: Vec<_> = totals.exemplars.iter().map(|it| it.map_or(0, |it| it.trace_id[0])).collect();
        assert_eq!((kept[0], kept[1], *kept.last().unwrap()), (3, 2, 4));
        assert_eq!(kept.iter().filter(|number| **number > 0).count(), 3);
    }
}
