//! Seeded randomness for one request: the same seed, endpoint, request number and rule give the same draws.
//!
//! No state is kept between requests, so requests that are served in another order draw the same. The generator is
//! SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014), whose finalizer also mixes
//! the four parts of the key.

use std::f64::consts::TAU;

const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// A stream of random numbers that its key determines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draws {
    state: u64,
}

impl Draws {
    /// The stream of one rule for one request of one endpoint.
    pub fn new(seed: u64, endpoint: u64, request: u64, rule: u64) -> Self {
        let mut state = seed;
        for part in [endpoint, request, rule] {
            state = mix(state.wrapping_add(GAMMA)) ^ part.wrapping_mul(GAMMA);
        }
        Self { state: mix(state) }
    }

    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GAMMA);
        mix(self.state)
    }

    /// A number in `0.0..1.0`, with 53 random bits.
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// A standard normal number (Box and Muller, 1958).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (TAU * self.unit()).cos()
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_key_gives_the_same_stream_and_each_part_of_it_counts() {
        let stream = |seed, endpoint, request, rule| {
            let mut draws = Draws::new(seed, endpoint, request, rule);
            [draws.next_u64(), draws.next_u64()]
        };
        assert_eq!(stream(1, 2, 3, 4), stream(1, 2, 3, 4));
        for other in [stream(2, 2, 3, 4), stream(1, 3, 3, 4), stream(1, 2, 4, 4), stream(1, 2, 3, 5)] {
            assert_ne!(stream(1, 2, 3, 4), other);
        }
    }

    #[test]
    fn first_draws_of_consecutive_requests_are_uniform() {
        let mean = (0..100_000).map(|n| Draws::new(7, 0, n, 0).unit()).sum::<f64>() / 100_000.0;
        assert!((mean - 0.5).abs() < 0.005, "{mean}");
        let low = (0..100_000).filter(|n| Draws::new(7, 0, *n, 0).unit() < 0.1).count();
        assert!((9_700..10_300).contains(&low), "{low}");
    }
}
