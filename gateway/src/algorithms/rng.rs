//! Seeded randomness: the finaliser of splitmix64, and the generator made of it.
//!
//! Source: Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators" (OOPSLA 2014), with Stafford's
//! variant 13 of the constants. Not for secrets.

/// The step of the generator: 2^64 divided by the golden ratio, made odd.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Spreads each bit of `value` over all 64. A bijection: distinct inputs give distinct outputs; `mix(0) == 0`.
#[inline]
pub fn mix(value: u64) -> u64 {
    let mut z = value;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A stream of random words from one seed. The same seed gives the same words on every machine.
#[derive(Debug, Clone)]
pub struct Draws {
    state: u64,
}

impl Draws {
    /// A stream that begins with this seed.
    #[inline]
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next 64 random bits.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        mix(self.state)
    }

    /// The next number in `0..bound`, 0 when `bound` is 0. Off from even by at most `bound` / 2^64 (Lemire's multiply
    /// without the rejection step, which would make the cost unbounded).
    #[inline]
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_the_published_one() {
        // First outputs of splitmix64 for seed 1234567, as in the reference implementation's test vectors.
        let mut draws = Draws::new(1_234_567);
        let words: Vec<u64> = (0..3).map(|_| draws.next_u64()).collect();
        assert_eq!(words, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn below_is_even_and_in_range() {
        let mut draws = Draws::new(7);
        let mut seen = [0_u32; 6];
        for _ in 0..60_000 {
            seen[draws.below(6) as usize] += 1;
        }
        assert!(seen.iter().all(|&n| (9_600..10_400).contains(&n)), "{seen:?}");
        assert_eq!(draws.below(0), 0);
    }
}
