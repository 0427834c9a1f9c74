//! Peak EWMA: weighted power of two choices on how slow, how busy and how sick endpoints are, in O(1).
//!
//! Two distinct endpoints are drawn by weight and compared (`algorithms::peak_ewma`). The second is taken with a
//! chance of the square of how much worse the first does, for certain above one; for unequal weights corrected by
//! what is left to draw from beside each. This is Metropolis' sampler with the weights for its target: where all
//! endpoints do equally well, whether idle or busy, each gets exactly its part; a strict comparison would give an
//! idle upstream's requests to whichever endpoint had the luckier last second, weights or not. Where one does worse
//! by a factor, it keeps at most the square of that.
//!
//! Sources: Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing" (2001); Metropolis et al., "Equation
//! of State Calculations by Fast Computing Machines" (1953). `simulation.rs` shows the shares.

use crate::algorithms::peak_ewma::{Seen, compare};
use crate::algorithms::rng::Draws;
use crate::algorithms::weighted_choice::WeightedChoice;

/// Weighted power of two choices on latency, failures and requests in flight.
#[derive(Debug, Clone)]
pub struct PeakEwma {
    /// `None` when no endpoint has weight.
    choice: Option<WeightedChoice>,
    /// The mean of the weights above zero.
    mean: f64,
}

impl PeakEwma {
    /// For endpoints of these weights.
    pub fn new(weights: &[u32]) -> Self {
        let choice = WeightedChoice::new(weights);
        let count = weights.iter().filter(|weight| **weight > 0).count();
        let total = choice.as_ref().map_or(0, WeightedChoice::total);
        Self { choice, mean: total as f64 / count.max(1) as f64 }
    }

    /// The better of two eligible endpoints, or the only one.
    #[inline]
    pub fn pick(
        &self,
        bits: u64,
        in_flight: impl Fn(usize) -> u32,
        seen: impl Fn(usize) -> Seen,
        eligible: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let choice = self.choice.as_ref()?;
        let mut draws = Draws::new(bits);
        let first = choice.pick_eligible(&mut draws, None, &eligible)?;
        let Some(second) = choice.pick_eligible(&mut draws, Some(first), &eligible) else { return Some(first) };
        let weight = |endpoint: usize| f64::from(choice.weights()[endpoint]);
        // In flight, as if all had the mean weight.
        let busy = |endpoint: usize| f64::from(in_flight(endpoint)) * self.mean / weight(endpoint);
        let ratio = compare((seen(first), busy(first)), (seen(second), busy(second)));
        let total = choice.total() as f64;
        let chance = ratio * ratio * (total - weight(first)) / (total - weight(second));
        // 53 bits are what a float holds exactly.
        let drawn = (draws.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        Some(if drawn < chance { second } else { first })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::algorithms::peak_ewma::{Estimate, Sample};

    fn seen(ms: u64, failing: bool) -> Seen {
        let mut estimate = Estimate::default();
        // For a minute, so that also what is fast is believed.
        (0..60).for_each(|second| estimate.hear(Sample::Answered(Duration::from_millis(ms)), second * 1_000_000_000));
        let now = 60_000_000_000;
        estimate.hear(Sample::Answered(Duration::from_millis(ms)), now);
        if failing {
            (0..50).for_each(|_| estimate.hear(Sample::Failed, now));
        }
        estimate.at(now)
    }

    fn shares(weights: &[u32], in_flight: &[u32], seen: &[Seen]) -> Vec<f64> {
        let (balancer, mut draws) = (PeakEwma::new(weights), Draws::new(5));
        let mut counts = vec![0_u32; weights.len()];
        for _ in 0..100_000 {
            counts[balancer.pick(draws.next_u64(), |i| in_flight[i], |i| seen[i], |_| true).unwrap()] += 1;
        }
        counts.into_iter().map(|count| f64::from(count) / 1_000.0).collect()
    }

    #[test]
    fn equals_are_shared_by_weight_whatever_the_weights_are() {
        for weights in [[1, 1, 1], [1, 2, 4], [1, 1, 98], [3, 0, 7]] {
            let total: u32 = weights.iter().sum();
            let found = shares(&weights, &[0; 3], &[seen(7, false); 3]);
            for (share, weight) in found.iter().zip(weights) {
                assert!((share - f64::from(weight * 100) / f64::from(total)).abs() < 0.6, "{weights:?}: {found:?}");
            }
        }
    }

    #[test]
    fn a_slow_one_a_busy_one_and_a_failing_one_get_little() {
        let slow = shares(&[1, 1], &[0, 0], &[seen(100, false), seen(2, false)]);
        assert!(slow[0] < 0.5, "{slow:?}");
        let busy = shares(&[1, 1], &[40, 1], &[seen(2, false); 2]);
        assert!(busy[0] < 1.5, "{busy:?}");
        let failing = shares(&[1, 1], &[0, 20], &[seen(2, true), seen(2, false)]);
        assert!(failing[0] < 0.5, "it is idle for being fast to fail: {failing:?}");
    }

    #[test]
    fn weights_and_loads_of_any_size_are_harmless() {
        let balancer = PeakEwma::new(&[u32::MAX, 1]);
        let unknown = Estimate::default().at(u64::MAX);
        for bits in 0..200 {
            assert!(balancer.pick(bits, |_| u32::MAX, |i| [unknown, seen(0, true)][i], |_| true).is_some());
        }
        assert_eq!(PeakEwma::new(&[0, 0]).pick(1, |_| 0, |_| unknown, |_| true), None);
    }
}
