//! Smooth weighted round robin, exact over the process.
//!
//! nginx's smooth sequence (each step adds its weight to each endpoint, the greatest is taken and gives the sum back)
//! is computed once; a pick is a look-up by a ticket that all workers share, so shares are exact over the process and
//! not only within a worker.
//!
//! **Ineligible endpoints.** To go on to the next slot would give all of a dead endpoint's requests to whoever stands
//! behind it (of three equal ones, 1/3 and 2/3). Instead the tickets that fall on a dead endpoint are counted, by
//! arithmetic and without state, and the count is a ticket of its own into the same sequence. So a dead endpoint's
//! requests are themselves spread by smooth round robin. After `LEVELS` such steps (nearly all is dead) an eligible
//! endpoint is drawn by weight.
//!
//! **Memory.** A sequence has as many slots as the sum of the weights over their greatest common divisor, at most
//! `MAX_SLOTS` or twice the number of endpoints. Beyond it weights are scaled down: each share is then off by at most
//! 1 / slots (0.03 points of 100 at 4096), and no endpoint with weight loses its place.

use crate::algorithms::rng::Draws;
use crate::algorithms::weighted_choice::WeightedChoice;

/// Slots of a sequence: 32 KiB.
const MAX_SLOTS: u64 = 4096;

/// Steps over dead endpoints before a draw: with half of the weight dead, one pick in 256 is drawn.
const LEVELS: u32 = 8;

/// A precomputed smooth sequence.
#[derive(Debug, Clone)]
pub struct RoundRobin {
    slots: Vec<Slot>,
    /// How many slots each endpoint has.
    counts: Vec<u32>,
    /// For the rare draw; `None` when no endpoint has weight.
    choice: Option<WeightedChoice>,
}

/// A place in the sequence.
#[derive(Debug, Clone, Copy)]
struct Slot {
    endpoint: u32,
    /// How many slots of the same endpoint come before this one.
    earlier: u32,
}

impl RoundRobin {
    /// For endpoints of these weights.
    pub fn new(weights: &[u32]) -> Self {
        let counts = reduced(weights);
        Self { slots: sequence(&counts), counts, choice: WeightedChoice::new(weights) }
    }

    /// The endpoint of this ticket.
    #[inline]
    pub fn pick(&self, ticket: u64, eligible: impl Fn(usize) -> bool) -> Option<usize> {
        let period = self.slots.len() as u64;
        if period == 0 {
            return None;
        }
        let mut turn = ticket;
        for _ in 0..LEVELS {
            let Slot { endpoint, earlier } = self.slots[(turn % period) as usize];
            if eligible(endpoint as usize) {
                return Some(endpoint as usize);
            }
            // The number of earlier turns that fell on this endpoint.
            turn = (turn / period) * u64::from(self.counts[endpoint as usize]) + u64::from(earlier);
        }
        self.choice.as_ref()?.pick_eligible(&mut Draws::new(ticket), None, &eligible)
    }
}

/// Weights without their common divisor, scaled down where their sum is too large.
fn reduced(weights: &[u32]) -> Vec<u32> {
    let divisor = weights.iter().fold(0, |a, &b| gcd(a, b)).max(1);
    let reduced: Vec<u32> = weights.iter().map(|weight| weight / divisor).collect();
    let total: u64 = reduced.iter().map(|&weight| u64::from(weight)).sum();
    let bound = MAX_SLOTS.max(2 * weights.len() as u64);
    if total <= bound {
        return reduced;
    }
    // The remainder is carried on, so that rounding errors do not add up.
    let mut carried = 0;
    let scale = |&weight: &u32| {
        let exact = u64::from(weight) * bound + carried;
        let slots = (exact / total).max(u64::from(weight > 0));
        carried = exact.saturating_sub(slots * total);
        slots as u32
    };
    reduced.iter().map(scale).collect()
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The smooth sequence of these counts.
fn sequence(counts: &[u32]) -> Vec<Slot> {
    let total: i64 = counts.iter().map(|&count| i64::from(count)).sum();
    let mut current = vec![0_i64; counts.len()];
    let mut taken = vec![0_u32; counts.len()];
    let mut slots = Vec::with_capacity(usize::try_from(total).unwrap_or(0));
    for _ in 0..total {
        let mut best = None::<usize>;
        for (endpoint, &count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            current[endpoint] += i64::from(count);
            if best.is_none_or(|best| current[endpoint] > current[best]) {
                best = Some(endpoint);
            }
        }
        let Some(best) = best else { break };
        current[best] -= total;
        slots.push(Slot { endpoint: best as u32, earlier: taken[best] });
        taken[best] += 1;
    }
    slots
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn count(balancer: &RoundRobin, tickets: std::ops::Range<u64>, eligible: impl Fn(usize) -> bool) -> Vec<u64> {
        let mut seen = vec![0; balancer.counts.len()];
        for ticket in tickets {
            seen[balancer.pick(ticket, &eligible).unwrap()] += 1;
        }
        seen
    }

    #[test]
    fn the_sequence_is_smooth() {
        let balancer = RoundRobin::new(&[5, 1, 1]);
        let order: Vec<usize> = (0..7).map(|ticket| balancer.pick(ticket, |_| true).unwrap()).collect();
        assert_eq!(order, [0, 0, 1, 0, 2, 0, 0]);
    }

    #[test]
    fn shares_are_exact_from_any_ticket() {
        let balancer = RoundRobin::new(&[10, 20, 40]);
        assert_eq!(balancer.slots.len(), 7, "the common divisor is taken out");
        for start in [0, 3, 1_000_001] {
            assert_eq!(count(&balancer, start..start + 7_000, |_| true), [1_000, 2_000, 4_000]);
        }
    }

    #[test]
    fn a_dead_endpoints_requests_are_spread_over_all() {
        let balancer = RoundRobin::new(&[1, 1, 1]);
        let seen = count(&balancer, 0..30_000, |i| i != 1);
        assert!(seen[0].abs_diff(15_000) <= 8 && seen[2].abs_diff(15_000) <= 8, "{seen:?}");
        let balancer = RoundRobin::new(&[1, 2, 4]);
        let seen = count(&balancer, 0..70_000, |i| i != 2);
        assert!(seen[0].abs_diff(23_333) <= 230, "{seen:?}");
    }

    #[test]
    fn large_weights_are_scaled_within_the_stated_error() {
        let weights = [1_000_003, 2_000_003, 4_000_037, 1];
        let balancer = RoundRobin::new(&weights);
        let slots = balancer.slots.len() as u64;
        assert!(slots <= MAX_SLOTS + weights.len() as u64, "{slots}");
        let total: u32 = weights.iter().sum();
        for (seen, weight) in count(&balancer, 0..slots, |_| true).into_iter().zip(weights) {
            let (share, ideal) = (seen as f64 / slots as f64, f64::from(weight) / f64::from(total));
            assert!((share - ideal).abs() <= 1.0 / MAX_SLOTS as f64, "{weight}: {share} instead of {ideal}");
            assert!(seen > 0, "no endpoint with weight loses its place");
        }
    }

    proptest! {
        #[test]
        fn one_period_holds_each_weight(weights in prop::collection::vec(0_u32..20, 1..12), start in 0_u64..1 << 40) {
            let balancer = RoundRobin::new(&weights);
            let divisor = weights.iter().fold(0, |a, &b| gcd(a, b));
            if divisor > 0 {
                let period = balancer.slots.len() as u64;
                let seen = count(&balancer, start..start + period, |_| true);
                let ideal: Vec<u64> = weights.iter().map(|&weight| u64::from(weight / divisor)).collect();
                prop_assert_eq!(seen, ideal);
            }
        }
    }
}
