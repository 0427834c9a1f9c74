//! How long to wait before an attempt is made again.
//!
//! Full jitter: any time between none and a limit that doubles. Of the ways to spread retries it ends the most
//! contention with the least work (Brooker, "Exponential Backoff And Jitter", 2015).

use std::time::Duration;

use crate::algorithms::rng::Draws;

/// The wait before the attempt that follows `failed` failed ones; `failed` is at least 1.
pub fn wait(failed: u32, first: Duration, most: Duration, bits: u64) -> Duration {
    let factor = 1_u32.checked_shl(failed.saturating_sub(1)).unwrap_or(u32::MAX);
    let limit = first.checked_mul(factor).unwrap_or(most).min(most);
    let nanos = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX - 1);
    Duration::from_nanos(Draws::new(bits).below(nanos + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_spread_evenly_under_a_limit_that_doubles() {
        let (first, most) = (Duration::from_millis(25), Duration::from_millis(250));
        for (failed, limit) in [(1, 25), (2, 50), (3, 100), (4, 200), (5, 250), (99, 250)] {
            let waits: Vec<u64> = (0..10_000).map(|bits| wait(failed, first, most, bits).as_micros() as u64).collect();
            let mean = waits.iter().sum::<u64>() / 10_000;
            assert!(waits.iter().all(|wait| *wait <= limit * 1000), "{failed}");
            assert!(mean.abs_diff(limit * 500) < limit * 20, "{failed}: {mean}");
        }
        assert_eq!(wait(1, Duration::ZERO, most, 7), Duration::ZERO);
    }
}
