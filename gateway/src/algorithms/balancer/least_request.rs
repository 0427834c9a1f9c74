//! Least request: weighted power of two choices, in O(1).
//!
//! Two distinct endpoints are drawn by weight; the second is taken if `(active_b + part) / weight_b <= active_a /
//! weight_a`, where `part` is a random share of this request, between an eighth and all of it. An idle upstream is so
//! shared exactly by weight, and a busy one by what each endpoint can bear. Compared in integers, by
//! cross-multiplication.
//!
//! Source of the two choices: Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing" (2001).
//! - Distinct, because with replacement one of two endpoints that is 50 times slower still gets 25 %.
//! - A whole request for `part` takes too much from small weights where few are in flight: with two always in flight,
//!   weights 1:2:4 get 13/24/64. None at all takes it from large ones. A random part accepts the second about in the
//!   ratio of the weights, as in Metropolis' sampler, which keeps the shares: at most 2.5 points off from idle to heavy
//!   load. Among equal weights the part changes nothing, since counts are whole.
//!
//! `simulation.rs` shows these shares.

use crate::algorithms::rng::Draws;
use crate::algorithms::weighted_choice::WeightedChoice;

/// A whole request, in the units of the comparison.
const REQUEST: u64 = 1 << 16;

/// The most that a part lacks to a whole request; the eighth that is left was chosen by simulation.
const MOST_LACKING: u64 = REQUEST / 8 * 7;

/// Weighted power of two choices on requests in flight.
#[derive(Debug, Clone)]
pub struct LeastRequest {
    /// `None` when no endpoint has weight.
    choice: Option<WeightedChoice>,
}

impl LeastRequest {
    /// For endpoints of these weights.
    pub fn new(weights: &[u32]) -> Self {
        Self { choice: WeightedChoice::new(weights) }
    }

    /// The less busy of two eligible endpoints, or the only one.
    #[inline]
    pub fn pick(&self, bits: u64, in_flight: impl Fn(usize) -> u32, eligible: impl Fn(usize) -> bool) -> Option<usize> {
        let choice = self.choice.as_ref()?;
        let mut draws = Draws::new(bits);
        let first = choice.pick_eligible(&mut draws, None, &eligible)?;
        let active = in_flight(first);
        if active == 0 {
            // No other can be less busy.
            return Some(first);
        }
        let Some(second) = choice.pick_eligible(&mut draws, Some(first), &eligible) else { return Some(first) };
        let weight = |endpoint: usize| u128::from(choice.weights()[endpoint]);
        let part = u128::from(REQUEST - draws.below(MOST_LACKING));
        let second_is_no_busier = (u128::from(in_flight(second)) * u128::from(REQUEST) + part) * weight(first)
            <= u128::from(active) * u128::from(REQUEST) * weight(second);
        Some(if second_is_no_busier { second } else { first })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_less_busy_of_two_is_taken() {
        let balancer = LeastRequest::new(&[1, 1]);
        for bits in 0..200 {
            assert_eq!(balancer.pick(bits, |i| [5, 2][i], |_| true), Some(1));
            assert_eq!(balancer.pick(bits, |i| [5, 2][i], |i| i == 0), Some(0), "the other is not eligible");
        }
    }

    #[test]
    fn counts_are_compared_by_weight_without_overflow() {
        let balancer = LeastRequest::new(&[u32::MAX, 1]);
        for bits in 0..200 {
            assert_eq!(balancer.pick(bits, |i| [u32::MAX, u32::MAX][i], |_| true), Some(0));
            assert_eq!(balancer.pick(bits, |i| [100, 1][i], |_| true), Some(0));
        }
    }

    #[test]
    fn an_idle_upstream_is_shared_by_weight() {
        let balancer = LeastRequest::new(&[1, 2, 4]);
        let mut draws = Draws::new(3);
        let mut seen = [0_u32; 3];
        for _ in 0..70_000 {
            seen[balancer.pick(draws.next_u64(), |_| 0, |_| true).unwrap()] += 1;
        }
        assert!((9_600..10_400).contains(&seen[0]) && (39_400..40_600).contains(&seen[2]), "{seen:?}");
    }
}
