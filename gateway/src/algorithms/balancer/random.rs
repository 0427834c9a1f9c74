//! Random by weight: no state, no load, the baseline that others are compared with.

use crate::algorithms::rng::Draws;
use crate::algorithms::weighted_choice::WeightedChoice;

/// A weighted random pick, O(1) while most endpoints are eligible.
#[derive(Debug, Clone)]
pub struct Random {
    /// `None` when no endpoint has weight.
    choice: Option<WeightedChoice>,
}

impl Random {
    /// For endpoints of these weights.
    pub fn new(weights: &[u32]) -> Self {
        Self { choice: WeightedChoice::new(weights) }
    }

    /// An eligible endpoint, by weight among the eligible.
    #[inline]
    pub fn pick(&self, bits: u64, eligible: impl Fn(usize) -> bool) -> Option<usize> {
        self.choice.as_ref()?.pick_eligible(&mut Draws::new(bits), None, &eligible)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_follow_weights_among_the_eligible() {
        let random = Random::new(&[1, 2, 4, 0, 9]);
        let mut draws = Draws::new(5);
        let mut seen = [0_u32; 5];
        for _ in 0..70_000 {
            seen[random.pick(draws.next_u64(), |i| i != 4).unwrap()] += 1;
        }
        assert!((9_600..10_400).contains(&seen[0]) && (19_500..20_500).contains(&seen[1]), "{seen:?}");
        assert_eq!((seen[3], seen[4]), (0, 0));
        assert_eq!(random.pick(1, |i| i == 3), None, "weight 0 is never picked, not even alone");
    }
}
