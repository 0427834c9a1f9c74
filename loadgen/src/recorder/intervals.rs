//! Latency over time: a histogram for each second, of the requests that were to be sent in it. By when they ended, a
//! server that stood still for a second would look idle, and then twice as busy as ever.
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
    /// Of its requests, those that ended otherwise than expected.
    pub errors: u64,
    /// Requests that were to be sent in it, and have ended.
    pub requests: u64,
    /// Each latency that occurred, nanoseconds, and how often.
    values: Vec<(u64, u64)>,
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

    /// One more request, by the value that stands for its latency.
    fn add(&mut self, value_ns: u64, is_error: bool) {
        self.requests += 1;
        self.errors += u64::from(is_error);
        match self.values.binary_search_by_key(&value_ns, |(value, _)| *value) {
            Ok(at) => self.values[at].1 += 1,
            Err(at) => self.values.insert(at, (value_ns, 1)),
        }
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

    /// A request that was to be sent at `intended_ns` has ended. Most do so within the second, or soon after it; one
    /// that took longer is added to what is finished.
    pub(super) fn record(&mut self, intended_ns: u64, latency_ns: u64, is_error: bool) {
        while intended_ns >= self.from_ns.saturating_add(INTERVAL_NS) {
            self.close();
        }
        if intended_ns < self.from_ns {
            let back = (self.from_ns - intended_ns).div_ceil(INTERVAL_NS) as usize;
            // Nothing is recorded that was to be sent before the first.
            if let Some(index) = self.finished.len().checked_sub(back) {
                let value_ns = self.open.highest_equivalent(latency_ns.clamp(1, self.open.high()));
                self.finished[index].add(value_ns, is_error);
            }
            return;
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

    #[test]
    fn a_request_counts_in_the_second_in_which_it_was_to_be_sent_however_long_it_took() {
        let mut intervals = Intervals::new(0);
        intervals.record(2 * INTERVAL_NS, 1_000, false);
        for late_ns in [1_900_000_000, 1_900_000_100, 7_200_000_000_000] {
            intervals.record(INTERVAL_NS / 2, late_ns, late_ns % 200 == 100);
        }
        let all = intervals.all();
        let shape: Vec<_> = all.iter().map(|one| (one.requests, one.errors)).collect();
        assert_eq!(shape, [(3, 1), (0, 0), (1, 0)]);
        let mut expected = histogram();
        [1_900_000_000, 1_900_000_100].into_iter().for_each(|late_ns| record(&mut expected, late_ns));
        assert_eq!(all[0].latency().min(), expected.min());
        assert_eq!(all[0].latency().count_between(1, 2_000_000_000), 2);
    }
}
