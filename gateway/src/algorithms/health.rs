//! Whether an endpoint is healthy, from a row of checks, and when it is checked next.

use std::time::Duration;

use crate::algorithms::rng::Draws;

/// How many checks in a row decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thresholds {
    /// Good ones that bring it back; at least 1.
    pub healthy_after: u32,
    /// Bad ones that take it out; at least 1.
    pub unhealthy_after: u32,
}

/// What checks have come to. An endpoint is taken to be healthy until they say otherwise: requests that fail are the
/// breaker's matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Health {
    unhealthy: bool,
    /// Checks in a row that contradict the verdict.
    against: u32,
}

impl Health {
    /// Whether it is healthy.
    pub fn is_healthy(&self) -> bool {
        !self.unhealthy
    }

    /// A check came out; the new verdict, if it is another.
    pub fn observe(&mut self, good: bool, thresholds: Thresholds) -> Option<bool> {
        if good != self.unhealthy {
            self.against = 0;
            return None;
        }
        self.against += 1;
        let needed = if good { thresholds.healthy_after } else { thresholds.unhealthy_after };
        (self.against >= needed).then(|| {
            *self = Self { unhealthy: !good, against: 0 };
            good
        })
    }
}

/// The wait before the next check: the interval, off by a tenth either way, so that gateways that started together do
/// not check together.
pub fn next_wait(interval: Duration, draws: &mut Draws) -> Duration {
    let tenth = u64::try_from(interval.as_nanos() / 10).unwrap_or(u64::MAX / 4);
    let spread = Duration::from_nanos(draws.below(tenth.saturating_mul(2).saturating_add(1)));
    interval - Duration::from_nanos(tenth) + spread
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const THRESHOLDS: Thresholds = Thresholds { healthy_after: 2, unhealthy_after: 3 };

    #[test]
    fn a_row_decides_and_a_break_in_it_does_not() {
        let mut health = Health::default();
        let changes: Vec<Option<bool>> =
            "ggbbgbbbbgbggg".chars().map(|check| health.observe(check == 'g', THRESHOLDS)).collect();
        let at = |index: usize| changes[index];
        assert_eq!((at(7), at(12)), (Some(false), Some(true)), "{changes:?}");
        assert_eq!(changes.iter().flatten().count(), 2, "{changes:?}");
    }

    proptest! {
        /// The verdict is that of the last row that was long enough.
        #[test]
        fn the_verdict_is_that_of_the_last_long_row(checks in prop::collection::vec(any::<bool>(), 0..60)) {
            let mut health = Health::default();
            for good in &checks { health.observe(*good, THRESHOLDS); }
            let is_row = |end: usize, length: u32, good: bool| {
                end + 1 >= length as usize && checks[end + 1 - length as usize..=end].iter().all(|check| *check == good)
            };
            let verdict = (0..checks.len()).rev().find_map(|end| {
                if is_row(end, THRESHOLDS.healthy_after, true) { return Some(true) }
                is_row(end, THRESHOLDS.unhealthy_after, false).then_some(false)
            });
            prop_assert_eq!(health.is_healthy(), verdict.unwrap_or(true));
        }

        #[test]
        fn waits_stay_within_a_tenth(ms in 1_u64..100_000, seed: u64) {
            let interval = Duration::from_millis(ms);
            let wait = next_wait(interval, &mut Draws::new(seed));
            prop_assert!(wait >= interval * 9 / 10 && wait <= interval * 11 / 10, "{:?} of {:?}", wait, interval);
        }
    }
}
