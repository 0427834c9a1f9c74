//! Latency over time: a histogram for each second, of the requests that ended in it.
//!
//! A finished interval is kept as the few values that occurred, not as a histogram's whole table: an hour of intervals
//! takes some megabytes, and closing one takes some tens of microseconds.

use hdrhistogram::Histogram;

use super::histogram::{histogram, record};

/// The length of an interval.
pub(super) const INTERVAL_NS: u64 = 1_000_000_000;

/// One finished interval.
#[derive(Debug, Clone)]
pub struct Interval {
    /// Its start, nanoseconds of the run's clock.
    pub from_ns: u64,
    /// Requests that ended otherwise than expected.
    pub errors: u64,
    /// Requests that ended.
    pub requests: u64,
    /// Each latency that occurred, nanoseconds, and how often.
    values: Box<[(u64, u64)]>,
}

impl Interval {
    /// Its latencies as a histogram.
    #[must_use]
    pub fn latency(&self) -> Histogram<u64> {
        let mut latency = histogram();
        for (value_ns, count) in &self.values {
            latency.saturating_record_n(*value_ns, *count);
        }
        latency
    }
}

/// The intervals of a run, the last one open.
#[derive(Debug, Clone)]
pub(super) struct Intervals {
    finished: Vec<Interval>,
    from_ns: u64,
    open: Histogram<u64>,
    errors: u64,
}

impl Intervals {
    pub(super) fn new(from_ns: u64) -> Self {
        Self { finished: Vec::new(), from_ns, open: histogram(), errors: 0 }
    }

    /// A request ended at `end_ns`. Ends come in order, but for the clock's grain.
    pub(super) fn record(&mut self, end_ns: u64, latency_ns: u64, is_error: bool) {
        while end_ns >= self.from_ns.saturating_add(INTERVAL_NS) {
            self.close();
        }
        record(&mut self.open, latency_ns);
        self.errors += u64::from(is_error);
    }

    /// All intervals, with what is in the open one.
    pub(super) fn all(&self) -> Vec<Interval> {
        let mut all = self.finished.clone();
        if !self.open.is_empty() {
            all.push(self.current());
        }
        all
    }

    fn current(&self) -> Interval {
        let values = self.open.iter_recorded().map(|step| (step.value_iterated_to(), step.count_at_value())).collect();
        Interval { from_ns: self.from_ns, errors: self.errors, requests: self.open.len(), values }
    }

    fn close(&mut self) {
        self.finished.push(self.current());
        self.from_ns += INTERVAL_NS;
        self.errors = 0;
        self.open.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_second_has_its_own_requests_and_silence_has_none() {
        let mut intervals = Intervals::new(500);
        intervals.record(600, 100, false);
        intervals.record(INTERVAL_NS + 499, 300, true);
        intervals.record(3 * INTERVAL_NS + 500, 5_000, false);
        let all = intervals.all();
        let shape: Vec<_> = all.iter().map(|one| (one.from_ns, one.requests, one.errors)).collect();
        let expected =
            [(500, 2, 1), (INTERVAL_NS + 500, 0, 0), (2 * INTERVAL_NS + 500, 0, 0), (3 * INTERVAL_NS + 500, 1, 0)];
        assert_eq!(shape, expected);
        assert_eq!((all[0].latency().max(), all[0].latency().min()), (300, 100));
    }
}
