//! Against a bucket that is counted naively, against `governor`, and against what a rate promises.

use std::num::NonZeroU32;

use governor::clock::FakeRelativeClock;
use governor::{Quota as Theirs, RateLimiter};
use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// Tokens counted as such: parts of a token are nanoseconds of its interval.
struct Naive {
    quota: Quota,
    level: u64,
    at: u64,
}

impl Naive {
    fn new(quota: Quota) -> Self {
        Self { quota, level: quota.window, at: 0 }
    }

    fn fill(&mut self, now: u64) {
        self.level = (self.level + (now - self.at)).min(self.quota.window);
        self.at = now;
    }

    fn take(&mut self, now: u64) -> bool {
        self.fill(now);
        let enough = self.level >= self.quota.cost;
        self.level -= if enough { self.quota.cost } else { 0 };
        enough
    }
}

/// Gaps between requests: many at once, many near one interval, some long ones.
fn gaps(interval: u64) -> impl Strategy<Value = Vec<u64>> {
    let near = interval.saturating_sub(2)..=interval + 2;
    prop::collection::vec(prop_oneof![Just(0), near, 0..=interval, 0..=interval * 20], 1..200)
}

fn quotas() -> impl Strategy<Value = (u64, u64, u64)> {
    (1u64..2_000, 1u64..60).prop_flat_map(|(rate, burst)| (Just(rate), Just(burst), 1..=burst))
}

fn schedules() -> impl Strategy<Value = ((u64, u64, u64), Vec<u64>)> {
    quotas().prop_flat_map(|quota| (Just(quota), gaps(Quota::new(quota.0, SECOND, quota.1, 1).interval)))
}

proptest! {
    #[test]
    fn it_decides_as_counted_tokens_do(((rate, burst, cost), gaps) in schedules()) {
        let quota = Quota::new(rate, SECOND, burst, cost);
        let (mut naive, mut tat, mut now) = (Naive::new(quota), 0, 1_000);
        naive.at = now;
        for gap in gaps {
            now += gap;
            let expected = naive.take(now);
            match quota.take(tat, now) {
                Ok(next) => {
                    prop_assert!(expected);
                    prop_assert_eq!(quota.wait(tat, now), 0);
                    tat = next;
                }
                Err(Refused { wait }) => {
                    prop_assert!(!expected);
                    prop_assert_eq!(wait, quota.wait(tat, now));
                    // The promise is exact: a nanosecond earlier it is refused, at the time it passes.
                    prop_assert!(quota.take(tat, now + wait - 1).is_err());
                    prop_assert!(quota.take(tat, now + wait).is_ok());
                }
            }
            prop_assert_eq!(quota.remaining(tat, now), naive.level / quota.interval);
            prop_assert_eq!(quota.full_in(tat, now), quota.window - naive.level);
        }
    }

    #[test]
    fn it_decides_as_governor_does(((rate, burst, cost), gaps) in schedules()) {
        let quota = Quota::new(rate, SECOND, burst, cost);
        let number = |number: u64| NonZeroU32::new(u32::try_from(number).unwrap()).unwrap();
        let theirs = Theirs::with_period(Duration::from_nanos(quota.interval)).unwrap().allow_burst(number(burst));
        let clock = FakeRelativeClock::default();
        let limiter = RateLimiter::direct_with_clock(theirs, clock.clone());
        let (mut tat, mut now) = (0, 0);
        for gap in gaps {
            now += gap;
            clock.advance(Duration::from_nanos(gap));
            let expected = limiter.check_n(number(cost)).unwrap();
            match (quota.take(tat, now), expected) {
                (Ok(next), Ok(())) => tat = next,
                (Err(Refused { wait }), Err(until)) => {
                    let at = governor::clock::Clock::now(&clock);
                    prop_assert_eq!(u128::from(wait), until.wait_time_from(at).as_nanos());
                }
                (ours, theirs) => prop_assert!(false, "ours {:?}, governor {:?}", ours, theirs.is_ok()),
            }
        }
    }

    #[test]
    fn no_span_of_time_lets_more_through_than_rate_and_burst_say(((rate, burst, cost), gaps) in schedules()) {
        let quota = Quota::new(rate, SECOND, burst, cost);
        let (mut tat, mut now, mut passed) = (0, 0, Vec::<u64>::new());
        for gap in gaps {
            now += gap;
            if let Ok(next) = quota.take(tat, now) {
                tat = next;
                passed.push(now);
                for (position, since) in passed.iter().enumerate() {
                    let tokens = (passed.len() - position) as u128 * u128::from(cost);
                    let bound = u128::from(burst) * 1_000_000_000 + u128::from(now - since) * u128::from(rate);
                    prop_assert!(tokens * 1_000_000_000 <= bound);
                }
            }
        }
    }

    #[test]
    fn what_is_refunded_was_never_taken(((rate, burst, cost), gaps) in schedules(), each in 1usize..5) {
        let quota = Quota::new(rate, SECOND, burst, cost);
        let (mut with, mut without, mut now) = (0, 0, 0);
        for (number, gap) in gaps.into_iter().enumerate() {
            now += gap;
            if number % each == 0 {
                // Taken and given back: no trace is left of it.
                if let Ok(taken) = quota.take(with, now) {
                    with = quota.refund(taken);
                }
                continue;
            }
            let (first, second) = (quota.take(with, now), quota.take(without, now));
            prop_assert_eq!(first, second);
            (with, without) = (first.unwrap_or(with), second.unwrap_or(without));
        }
    }

    #[test]
    fn another_rate_keeps_the_tokens_that_are_missing(
        (rate, burst, taken) in quotas(), other in 1u64..2_000, larger in 1u64..100, now in 0u64..1 << 50,
    ) {
        let (old, new) = (Quota::new(rate, SECOND, burst, 1), Quota::new(other, SECOND, larger, 1));
        let tat = (0..taken).fold(0, |tat, _| old.take(tat, now).unwrap());
        let moved = new.rescale(tat, now, &old);
        prop_assert_eq!(new.remaining(moved, now), larger.saturating_sub(taken));
        prop_assert!(moved <= new.empty(now));
    }

    #[test]
    fn shares_together_are_at_most_the_whole((rate, burst, cost) in quotas(), parts in 1u64..9) {
        let quota = Quota::new(rate, SECOND, burst, cost);
        let share = quota.share(parts);
        prop_assert!(u128::from(share.interval) >= u128::from(quota.interval) * u128::from(parts));
        // A bucket that cannot hold one request's tokens would refuse for ever.
        prop_assert!(share.take(0, 0).is_ok());
        prop_assert!(share.burst() * parts <= quota.burst() || share.burst() == cost);
    }
}

#[test]
fn numbers_at_the_edge_overflow_nothing() {
    let slow = Quota::new(1, Duration::from_secs(3600), 1_000_000_000, 1_000_000_000);
    let now = 1 << 62;
    let tat = slow.take(0, now).unwrap();
    assert!(slow.take(tat, now).is_err());
    assert_eq!(slow.share(1_000_000).take(0, now).map(|_| ()), Ok(()));
    let fast = Quota::new(1_000_000_000, SECOND, 1, 1);
    assert_eq!((fast.interval(), fast.take(0, 5)), (1, Ok(6)));
    assert!(Quota::is_countable(1, Duration::from_secs(3600), 600_000));
    assert!(!Quota::is_countable(1, Duration::from_secs(3600), 1_000_000_000));
    assert!(Quota::is_countable(1_000_000_000, SECOND, 1_000_000_000));
}
