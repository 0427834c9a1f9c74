//! Outcomes of the last while, in buckets of a tenth of it: a bucket falls out whole. So the window reaches back over
//! nine tenths at least and ten at most, with exact counts and constant memory.

use std::time::{Duration, Instant};

/// Buckets of a window; linkerd2-proxy and Envoy's older ring use as many.
pub(super) const BUCKETS: usize = 10;

#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    requests: u32,
    failures: u32,
    slow: u32,
}

/// Counts of the last while.
#[derive(Debug, Clone)]
pub(super) struct Window {
    buckets: [Bucket; BUCKETS],
    head: usize,
    /// The number of the newest bucket, of all that there ever were.
    number: u32,
    /// When the newest bucket ends.
    head_end: Instant,
    /// Time of a bucket, at least a nanosecond.
    width: Duration,
    total: Bucket,
}

impl Window {
    /// An empty window of this length. Buckets begin at `now`.
    pub(super) fn new(length: Duration, now: Instant) -> Self {
        let width = (length / BUCKETS as u32).max(Duration::from_nanos(1));
        Self { buckets: Default::default(), head: 0, number: 0, head_end: now + width, width, total: Bucket::default() }
    }

    /// An empty window of another length, to which nothing before belongs.
    pub(super) fn after(&self, length: Duration, now: Instant) -> Self {
        let number = self.number.wrapping_add(BUCKETS as u32);
        Self { number, ..Self::new(length, now) }
    }

    /// The number of the bucket that outcomes of now count in.
    #[inline]
    pub(super) fn number(&mut self, now: Instant) -> u32 {
        self.advance(now);
        self.number
    }

    /// Whether this bucket still counts.
    pub(super) fn reaches_back_to(&mut self, number: u32, now: Instant) -> bool {
        self.number(now).wrapping_sub(number) < BUCKETS as u32
    }

    /// Adds an outcome; the number of the bucket that it counts in. One from before the newest bucket counts in that.
    #[inline]
    pub(super) fn add(&mut self, now: Instant, failure: bool, slow: bool) -> u32 {
        self.advance(now);
        for bucket in [&mut self.buckets[self.head], &mut self.total] {
            bucket.requests = bucket.requests.saturating_add(1);
            // Most are neither.
            if failure || slow {
                bucket.failures = bucket.failures.saturating_add(u32::from(failure));
                bucket.slow = bucket.slow.saturating_add(u32::from(slow));
            }
        }
        self.number
    }

    /// Counts one of the successes as a failure after all, if there is one.
    pub(super) fn turn(&mut self, now: Instant) {
        self.advance(now);
        if self.total.failures < self.total.requests {
            self.buckets[self.head].failures += 1;
            self.total.failures += 1;
        }
    }

    /// Requests, failures and slow answers by now.
    #[inline]
    pub(super) fn totals(&mut self, now: Instant) -> (u32, u32, u32) {
        self.advance(now);
        self.counted()
    }

    /// The same when it was last looked at.
    #[inline]
    pub(super) fn counted(&self) -> (u32, u32, u32) {
        (self.total.requests, self.total.failures, self.total.slow)
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.buckets = Default::default();
        self.total = Bucket::default();
    }

    #[inline]
    fn advance(&mut self, now: Instant) {
        if now >= self.head_end {
            self.turn_over(now);
        }
    }

    #[cold]
    fn turn_over(&mut self, now: Instant) {
        let late = now.saturating_duration_since(self.head_end).as_nanos();
        let steps = late / self.width.as_nanos() + 1;
        if steps >= BUCKETS as u128 {
            self.clear();
        } else {
            for _ in 0..steps {
                self.head = (self.head + 1) % BUCKETS;
                let old = std::mem::take(&mut self.buckets[self.head]);
                self.total.requests -= old.requests.min(self.total.requests);
                self.total.failures -= old.failures.min(self.total.failures);
                self.total.slow -= old.slow.min(self.total.slow);
            }
        }
        // It may go round: what is held against it is as old as an answer gets.
        self.number = self.number.wrapping_add(steps as u32);
        // In two factors: a gap may have more buckets than 32 bits count.
        let gap = self.width.as_nanos() * steps;
        self.head_end += Duration::from_nanos(u64::try_from(gap).unwrap_or(u64::MAX / 2));
    }
}
