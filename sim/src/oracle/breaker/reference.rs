//! The smallest prefix of a sequence of outcomes that satisfies a policy.
//!
//! Three rules, each enough: failures in a row; the share of failures in the window; the share of slow answers in the
//! window. The last two need `min_requests` in the window. The window is ten buckets, as [`BreakerPolicy`] says.

use super::outcomes::Judged;
use crate::oracle::policy::{BUCKETS, BreakerPolicy};

#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    /// Which stretch of time it counts for; an older one is empty.
    number: u64,
    total: u64,
    failed: u64,
    slow: u64,
}

/// Reads outcomes one by one, in constant time each.
#[derive(Debug)]
pub(crate) struct Reference<'a> {
    policy: &'a BreakerPolicy,
    buckets: [Bucket; BUCKETS as usize],
    in_a_row: u64,
}

impl<'a> Reference<'a> {
    pub(crate) fn new(policy: &'a BreakerPolicy) -> Self {
        Self { policy, buckets: [Bucket::default(); BUCKETS as usize], in_a_row: 0 }
    }

    /// One more outcome is known; does the sequence up to here satisfy the policy?
    pub(crate) fn push(&mut self, outcome: &Judged) -> bool {
        let number = bucket_of(self.policy, outcome.end_ns);
        let bucket = &mut self.buckets[(number % BUCKETS) as usize];
        if bucket.number != number {
            *bucket = Bucket { number, ..Bucket::default() };
        }
        bucket.total += 1;
        bucket.failed += u64::from(outcome.failed);
        bucket.slow += u64::from(outcome.slow);
        self.in_a_row = if outcome.failed { self.in_a_row + 1 } else { 0 };
        let row = self.policy.consecutive_failures;
        (row > 0 && self.in_a_row >= row) || self.window_satisfies(number)
    }

    fn window_satisfies(&self, now: u64) -> bool {
        let (mut total, mut failed, mut slow) = (0, 0, 0);
        for bucket in self.buckets.iter().filter(|bucket| bucket.number + BUCKETS > now && bucket.number <= now) {
            total += bucket.total;
            failed += bucket.failed;
            slow += bucket.slow;
        }
        window_satisfies(self.policy, total, failed, slow)
    }
}

/// Buckets are numbered from 1, so that a bucket that was never used is older than all.
fn bucket_of(policy: &BreakerPolicy, at_ns: u64) -> u64 {
    let width = policy.bucket_ns();
    // From the bucket's begin before zero, so that no time is before the first bucket.
    (at_ns + (width - policy.buckets_from_ns % width)) / width + BUCKETS
}

fn window_satisfies(policy: &BreakerPolicy, total: u64, failed: u64, slow: u64) -> bool {
    // In millionths, so that a third of nine is three.
    let millionths = |ratio: f64| u128::from((ratio * 1e6).round() as u64);
    let reaches =
        |count: u64, ratio: f64| count > 0 && u128::from(count) * 1_000_000 >= millionths(ratio) * u128::from(total);
    total >= policy.min_requests
        && (reaches(failed, policy.failure_ratio)
            || (policy.slow_call_ns.is_some() && reaches(slow, policy.slow_ratio)))
}

/// How many outcomes the smallest prefix has that satisfies the policy; `None` when none does.
pub(crate) fn smallest_prefix(policy: &BreakerPolicy, outcomes: &[Judged]) -> Option<usize> {
    let mut reference = Reference::new(policy);
    outcomes.iter().position(|outcome| reference.push(outcome)).map(|at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The same, read off the definition for each prefix anew.
    fn naive(policy: &BreakerPolicy, outcomes: &[Judged]) -> Option<usize> {
        (1..=outcomes.len()).find(|length| {
            let prefix = &outcomes[..*length];
            let row = usize::try_from(policy.consecutive_failures).unwrap();
            let last = &prefix[length.saturating_sub(row)..];
            let now = prefix[length - 1].end_ns;
            let width = policy.window_ns / 10;
            let first = ((now + width) / width).saturating_sub(10) * width;
            let window: Vec<_> = prefix.iter().filter(|one| one.end_ns >= first).collect();
            let share = |count: usize| count as f64 / window.len() as f64;
            let failed = window.iter().filter(|one| one.failed).count();
            let slow = window.iter().filter(|one| one.slow).count();
            let enough = window.len() as u64 >= policy.min_requests;
            (row > 0 && *length >= row && last.iter().all(|one| one.failed))
                || (enough && failed > 0 && share(failed) >= policy.failure_ratio)
                || (enough && slow > 0 && policy.slow_call_ns.is_some() && share(slow) >= policy.slow_ratio)
        })
    }

    fn outcome(at_ms: u64, failed: bool) -> Judged {
        Judged { start_ns: at_ms * 1_000_000, end_ns: at_ms * 1_000_000, failed, slow: false }
    }

    #[test]
    fn ten_failures_in_a_row() {
        let policy = BreakerPolicy::default();
        let mut outcomes: Vec<Judged> = (0..9).map(|at| outcome(at, true)).collect();
        outcomes.push(outcome(9, false));
        assert_eq!(smallest_prefix(&policy, &outcomes), None, "nine and a success");
        outcomes.extend((10..20).map(|at| outcome(at, true)));
        assert_eq!(smallest_prefix(&policy, &outcomes), Some(20), "half of 20, and ten in a row");
    }

    #[test]
    fn half_of_twenty_in_the_window() {
        let policy = BreakerPolicy { consecutive_failures: 0, ..BreakerPolicy::default() };
        let near: Vec<Judged> = (0..30).map(|at| outcome(at, at % 2 == 0)).collect();
        assert_eq!(smallest_prefix(&policy, &near), Some(20));
        let far: Vec<Judged> = (0..30).map(|at| outcome(at * 1_000, at % 2 == 0)).collect();
        assert_eq!(smallest_prefix(&policy, &far), None, "ten requests in each window");
    }

    /// The gateway's own breaker, asked one outcome at a time; it and the oracle share no code.
    fn of_the_gateway(policy: &BreakerPolicy, outcomes: &[Judged]) -> Option<usize> {
        use gateway::algorithms::breaker::{Breaker, Policy, Verdict};
        use std::time::Duration;
        let zero = gateway::clock::Clock::starting_at(Duration::ZERO).at_tick(0);
        let millionths = |ratio: f64| (ratio * 1e6).round() as u32;
        let configured = Policy {
            window: Duration::from_nanos(policy.window_ns),
            min_requests: policy.min_requests as u32,
            failure_share: millionths(policy.failure_ratio),
            consecutive_failures: (policy.consecutive_failures > 0).then_some(policy.consecutive_failures as u32),
            slow_share: policy.slow_call_ns.map(|_| millionths(policy.slow_ratio)),
            open_for: Duration::from_secs(1),
            max_open_for: Duration::from_secs(1),
            probes: 1,
            probe_timeout: Duration::from_secs(1),
        };
        let mut breaker = Breaker::new(configured, zero);
        let trips = |one: &Judged| {
            let at = zero + Duration::from_nanos(one.end_ns);
            let ticket = breaker.admit(at).0.unwrap();
            let verdict = match (one.failed, one.slow) {
                (true, _) => Verdict::Failure,
                (false, true) => Verdict::Slow,
                (false, false) => Verdict::Success,
            };
            breaker.settle(ticket, verdict, at).is_some()
        };
        outcomes.iter().position(trips).map(|at| at + 1)
    }

    proptest! {
        #[test]
        fn it_is_what_the_definition_says(
            steps in proptest::collection::vec((0u64..400, any::<bool>(), any::<bool>()), 0..120),
            min_requests in 1u64..8, ratio in 1u32..10, slow_ratio in 1u32..10, row in 0u64..6,
            slow_call in proptest::option::of(Just(1u64)),
        ) {
            let policy = BreakerPolicy {
                window_ns: 1_000, min_requests, failure_ratio: f64::from(ratio) / 10.0,
                slow_ratio: f64::from(slow_ratio) / 10.0, consecutive_failures: row, slow_call_ns: slow_call,
                ..BreakerPolicy::default()
            };
            let mut now = 0;
            let outcomes: Vec<Judged> = steps.iter().map(|(step, failed, slow)| {
                now += step;
                Judged { start_ns: now, end_ns: now, failed: *failed, slow: *slow && !failed }
            }).collect();
            let found = smallest_prefix(&policy, &outcomes);
            prop_assert_eq!(found, naive(&policy, &outcomes));
            prop_assert_eq!(found, of_the_gateway(&policy, &outcomes), "the gateway trips exactly there");
        }
    }
}
