//! A ring with bounded load: a key goes home unless home is full or out.
//!
//! **Bound.** An endpoint is full when it already has `bound` times its part, by weight, of the requests in flight
//! (this one counted in). Below `bound_min` in flight it is never full, so that keys stay home at low load, where the
//! mean is a small number and chance alone passes the bound. Source: Mirrokni, Thorup, Zadimoghaddam, arXiv 1608.01350.
//!
//! **Where a key goes instead.** To the next on the ring, all that a full endpoint refuses would fall on its
//! successors, which then fill up in turn. So a key jumps: its hash is hashed again, and the new place on the ring is
//! tried (Chen, Coleman, Shrivastava, arXiv 1908.08762). The jumps of a key are always the same ones, so that it has a
//! second home and a third, which is what a cache wants. They serve for endpoints that are out as well: a dead one's
//! keys spread over all by weight, and return when it does, since the ring is never rebuilt for health.

use crate::algorithms::hash_ring::HashRing;
use crate::algorithms::rng::Draws;

/// Places tried before the endpoints are looked through in order. With half of the weight out or full, one pick in
/// 65,536 comes that far.
const JUMPS: u32 = 16;

/// `bound` is kept in thousandths, so that a pick needs no floats.
const BOUND_UNIT: u128 = 1000;

/// A ring, and how full an endpoint of it may be.
#[derive(Debug, Clone)]
pub struct ConsistentHash {
    ring: HashRing,
    weights: Vec<u32>,
    bound: u128,
    bound_min: u32,
}

impl ConsistentHash {
    /// For endpoints of these addresses and weights. `bound` below 1 is taken as 1: less would fill all endpoints.
    pub fn new(endpoints: &[(&str, u32)], bound: f64, bound_min: u32) -> Self {
        // Float to integer saturates, and NaN is 0.
        let bound = ((bound * BOUND_UNIT as f64).round() as u32).max(BOUND_UNIT as u32);
        Self {
            ring: HashRing::new(endpoints.iter().copied()),
            weights: endpoints.iter().map(|endpoint| endpoint.1).collect(),
            bound: u128::from(bound),
            bound_min,
        }
    }

    /// The endpoint that a key calls home, whatever its health and load.
    pub fn home(&self, hash: u64) -> Option<usize> {
        self.ring.owner(hash)
    }

    /// The first of the key's places that is eligible and not full. O(1) while its home has fewer than `bound_min` in
    /// flight, one look at each endpoint otherwise.
    #[inline]
    pub fn pick(&self, hash: u64, in_flight: impl Fn(usize) -> u32, eligible: impl Fn(usize) -> bool) -> Option<usize> {
        let home = self.ring.owner(hash)?;
        if eligible(home) && in_flight(home) < self.bound_min {
            return Some(home);
        }
        self.pick_bounded(hash, &in_flight, &eligible)
    }

    fn pick_bounded(
        &self,
        hash: u64,
        in_flight: &impl Fn(usize) -> u32,
        eligible: &impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let room = self.room(in_flight, eligible);
        let mut draws = Draws::new(hash);
        let mut place = hash;
        // The best that is eligible though full. Counts move while they are read, so all may seem full.
        let mut eligible_one = None;
        for _ in 0..JUMPS {
            let endpoint = self.ring.owner(place)?;
            if eligible(endpoint) {
                if room.has(self, endpoint, in_flight(endpoint)) {
                    return Some(endpoint);
                }
                eligible_one = eligible_one.or(Some(endpoint));
            }
            place = draws.next_u64();
        }
        let n = self.weights.len();
        let start = (place % n as u64) as usize;
        for endpoint in (start..n).chain(0..start) {
            if self.weights[endpoint] > 0 && eligible(endpoint) {
                if room.has(self, endpoint, in_flight(endpoint)) {
                    return Some(endpoint);
                }
                eligible_one = eligible_one.or(Some(endpoint));
            }
        }
        eligible_one
    }

    /// What the eligible endpoints bear now, this request counted in.
    fn room(&self, in_flight: &impl Fn(usize) -> u32, eligible: &impl Fn(usize) -> bool) -> Room {
        let mut room = Room { requests: 1, weight: 0 };
        for (endpoint, &weight) in self.weights.iter().enumerate() {
            if weight > 0 && eligible(endpoint) {
                room.requests += u128::from(in_flight(endpoint));
                room.weight += u128::from(weight);
            }
        }
        room
    }
}

struct Room {
    requests: u128,
    weight: u128,
}

impl Room {
    /// Whether an endpoint with so many in flight takes one more: `active < bound * requests * weight / weights`.
    /// Not all can be full: the sum of the right sides is at least all requests, this one included.
    fn has(&self, hash: &ConsistentHash, endpoint: usize, active: u32) -> bool {
        active < hash.bound_min
            || u128::from(active) * self.weight * BOUND_UNIT
                < hash.bound * self.requests * u128::from(hash.weights[endpoint])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algorithms::rng::mix;

    fn balancer(n: usize, bound_min: u32) -> ConsistentHash {
        let names: Vec<String> = (0..n).map(|i| format!("10.0.0.{i}:8080")).collect();
        let listed: Vec<(&str, u32)> = names.iter().map(|name| (name.as_str(), 1)).collect();
        ConsistentHash::new(&listed, 1.25, bound_min)
    }

    #[test]
    fn a_health_flip_moves_only_the_keys_of_who_is_out_and_spreads_them() {
        let balancer = balancer(10, 8);
        let mut moved = [0_u32; 10];
        for key in 0..100_000 {
            let home = balancer.home(mix(key)).unwrap();
            let picked = balancer.pick(mix(key), |_| 0, |i| i != 3).unwrap();
            if home != picked {
                assert_eq!(home, 3, "a key left a healthy home");
                moved[picked] += 1;
            }
        }
        let (least, most) = (moved.iter().enumerate().filter(|(i, _)| *i != 3))
            .fold((u32::MAX, 0), |(a, b), (_, &n)| (a.min(n), b.max(n)));
        assert!(most < least * 2, "the keys did not spread: {moved:?}");
    }

    #[test]
    fn the_same_key_has_the_same_second_home() {
        let balancer = balancer(10, 0);
        for key in 0..1_000 {
            let home = balancer.home(mix(key)).unwrap();
            let second = |others: u32| balancer.pick(mix(key), |i| if i == home { 900 } else { others }, |_| true);
            assert_ne!(second(1), Some(home));
            assert_eq!(second(1), second(2));
        }
    }

    #[test]
    fn one_hot_key_never_passes_the_bound() {
        let balancer = balancer(10, 8);
        let mut active = [0_u32; 10];
        for sent in 1..=10_000_u32 {
            let picked = balancer.pick(42, |i| active[i], |_| true).unwrap();
            active[picked] += 1;
            let cap = (f64::from(sent) * 1.25 / 10.0).ceil().max(8.0) as u32;
            assert!(active[picked] <= cap, "{sent} sent: {active:?}");
        }
    }

    #[test]
    fn below_the_minimum_a_key_stays_home() {
        let balancer = balancer(10, 8);
        for key in 0..1_000 {
            let home = balancer.home(mix(key)).unwrap();
            assert_eq!(balancer.pick(mix(key), |i| if i == home { 7 } else { 0 }, |_| true), Some(home));
            assert_ne!(balancer.pick(mix(key), |i| if i == home { 8 } else { 0 }, |_| true), Some(home));
        }
    }

    #[test]
    fn senseless_bounds_are_harmless() {
        for bound in [f64::NAN, -1.0, 0.0, f64::INFINITY] {
            let balancer = ConsistentHash::new(&[("a:1", u32::MAX), ("b:1", 1)], bound, 0);
            assert!(balancer.pick(7, |_| u32::MAX, |_| true).is_some());
        }
    }
}
