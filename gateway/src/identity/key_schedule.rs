//! When keys are fetched. Pure: time comes in.
//!
//! Before they grow old, at once when somebody needs a key that is not there, and after a failure again and again, more
//! slowly each time. Two fetches for missing keys are at least a cooldown apart, whatever clients send; the first of
//! all, at the start, was for no client and holds none up.

use std::time::{Duration, Instant};

/// The wait after a first failure; each further one doubles it.
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// The longest wait after failures.
const LAST_RETRY: Duration = Duration::from_secs(60);

/// The times of one key source.
#[derive(Debug)]
pub(super) struct Schedule {
    refresh: Duration,
    cooldown: Duration,
    /// When the last one began, if those for missing keys keep away from it.
    began: Option<Instant>,
    next: Instant,
    failures: u32,
    /// None has ended.
    is_first: bool,
}

impl Schedule {
    /// The first fetch is due now.
    pub(super) fn new(now: Instant, refresh: Duration, cooldown: Duration) -> Self {
        Self { refresh, cooldown, began: None, next: now, failures: 0, is_first: true }
    }

    /// When the next fetch is due by itself.
    pub(super) fn next(&self) -> Instant {
        self.next
    }

    /// When it may be, now that somebody needs a key that is not there.
    pub(super) fn next_wanted(&self, now: Instant) -> Instant {
        self.began.map_or(now, |began| began + self.cooldown).min(self.next)
    }

    /// A fetch begins.
    pub(super) fn begin(&mut self, now: Instant) {
        self.began = Some(now);
    }

    /// It brought keys, which their server calls fresh for this long: believed between the cooldown and `refresh`.
    pub(super) fn succeeded(&mut self, now: Instant, fresh_for: Option<Duration>) {
        self.failures = 0;
        if std::mem::take(&mut self.is_first) {
            self.began = None;
        }
        // A little before they would be stale, so that nobody ever waits for it.
        let fresh_for = fresh_for.map_or(self.refresh, |fresh| fresh / 10 * 9);
        self.next = now + fresh_for.clamp(self.cooldown.min(self.refresh), self.refresh);
    }

    /// It brought none. Whether keys before it are still used is not for the schedule to say.
    pub(super) fn failed(&mut self, now: Instant) {
        let wait = FIRST_RETRY * 2_u32.pow(self.failures.min(6));
        self.failures = self.failures.saturating_add(1);
        self.is_first = false;
        self.next = now + wait.min(LAST_RETRY).min(self.refresh);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock::Clock;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn keys_are_fetched_before_they_grow_old_and_their_server_is_heard_within_bounds() {
        let start = Clock::system().now();
        let mut schedule = Schedule::new(start, 600 * SECOND, 5 * SECOND);
        assert_eq!(schedule.next(), start);
        for (fresh_for, expected) in [(None, 600), (Some(100), 90), (Some(0), 5), (Some(1), 5), (Some(86_400), 600)] {
            schedule.begin(start);
            schedule.succeeded(start, fresh_for.map(Duration::from_secs));
            assert_eq!(schedule.next(), start + expected * SECOND, "{fresh_for:?}");
        }
    }

    #[test]
    fn after_failures_it_is_tried_more_and_more_slowly() {
        let now = Clock::system().now();
        let mut schedule = Schedule::new(now, 600 * SECOND, 5 * SECOND);
        let waits: Vec<u64> = (0..9)
            .map(|_| {
                schedule.begin(now);
                schedule.failed(now);
                (schedule.next() - now).as_secs()
            })
            .collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        schedule.succeeded(now, None);
        schedule.failed(now);
        assert_eq!(schedule.next(), now + SECOND, "a success forgets them");
    }

    #[test]
    fn h9_a_missing_key_is_looked_for_at_once_and_then_not_for_a_cooldown() {
        let start = Clock::system().now();
        let mut schedule = Schedule::new(start, 600 * SECOND, 5 * SECOND);
        schedule.begin(start);
        schedule.succeeded(start, None);
        assert!(schedule.next_wanted(start + SECOND) <= start + SECOND, "the one at the start was for nobody");
        let later = start + 60 * SECOND;
        assert!(schedule.next_wanted(later) <= later);
        schedule.begin(later);
        schedule.succeeded(later, None);
        assert_eq!(schedule.next_wanted(later + SECOND), later + 5 * SECOND);
    }

    proptest! {
        /// However often keys are wanted, fetches for it are a cooldown apart.
        #[test]
        fn h9_a_flood_of_unknown_keys_makes_one_fetch_a_cooldown(
            gaps in proptest::collection::vec(0_u64..3_000, 1..200),
        ) {
            let (mut now, cooldown) = (Clock::system().now(), 5 * SECOND);
            let mut schedule = Schedule::new(now, 600 * SECOND, cooldown);
            schedule.begin(now);
            schedule.succeeded(now, None);
            let mut last: Option<Instant> = None;
            for gap in gaps {
                now += Duration::from_millis(gap);
                if schedule.next_wanted(now) <= now {
                    if let Some(last) = last {
                        prop_assert!(now - last >= cooldown);
                    }
                    last = Some(now);
                    schedule.begin(now);
                    schedule.succeeded(now, None);
                }
            }
        }
    }
}
