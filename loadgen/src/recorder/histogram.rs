//! The one shape of histogram: nanoseconds with three significant digits, up to an hour.

use hdrhistogram::Histogram;

/// One hour: longer than any request that a run waits for.
const HIGHEST_NS: u64 = 3_600_000_000_000;
/// Three significant digits: at most 0.1 % off.
const DIGITS: u8 = 3;

pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, HIGHEST_NS, DIGITS)
        .unwrap_or_else(|error| unreachable!("the bounds are constants that hold: {error}"))
}

/// Records, with what is beyond the histogram's range at its end.
pub(super) fn record(histogram: &mut Histogram<u64>, value_ns: u64) {
    histogram.saturating_record(value_ns.max(1));
}
