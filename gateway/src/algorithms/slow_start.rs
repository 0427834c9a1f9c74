//! How large a share of its requests an endpoint takes while it is new, or just back: caches are cold, pools are empty.

use std::time::Duration;

use crate::algorithms::rng::mix;

/// The share that it begins with, in millionths: with none it would never warm up. Envoy's default.
const LEAST: u64 = 100_000;
const WHOLE: u64 = 1_000_000;

/// Whether a request may go to an endpoint that is `age` old. Its share grows in a straight line over `over`, from a
/// tenth. `bits` are the request's random bits; `endpoint` tells endpoints apart that it is asked about.
pub fn admits(age: Duration, over: Duration, bits: u64, endpoint: usize) -> bool {
    if age >= over {
        return true;
    }
    // Both fit: `over` is at most an hour.
    let grown = (age.as_nanos() * u128::from(WHOLE) / over.as_nanos().max(1)) as u64;
    let draw = (u128::from(mix(bits ^ mix(endpoint as u64 + 1))) * u128::from(WHOLE)) >> 64;
    (draw as u64) < grown.max(LEAST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algorithms::rng::Draws;

    #[test]
    fn the_share_grows_with_age() {
        let mut draws = Draws::new(1);
        for (age, expected) in [(0, 0.1), (5, 0.1), (30, 0.3), (50, 0.5), (90, 0.9), (100, 1.0), (1000, 1.0)] {
            let (age, over) = (Duration::from_secs(age), Duration::from_secs(100));
            let admitted = (0..20_000).filter(|_| admits(age, over, draws.next_u64(), 3)).count();
            let share = admitted as f64 / 20_000.0;
            assert!((share - expected).abs() < 0.015, "{age:?}: {share} instead of {expected}");
        }
    }

    #[test]
    fn endpoints_are_drawn_apart() {
        let (age, over) = (Duration::from_secs(50), Duration::from_secs(100));
        let mut draws = Draws::new(2);
        let both = (0..20_000).map(|_| draws.next_u64());
        let both = both.filter(|bits| admits(age, over, *bits, 0) && admits(age, over, *bits, 1)).count();
        assert!((4_600..5_400).contains(&both), "a quarter: {both}");
    }
}
