//! Balancers under load: a queueing world of events with a fixed seed, to show the shares that the papers claim.
//!
//! Open world: requests come at random times at a given rate. Closed world: a fixed number is always in flight. An
//! endpoint serves all its requests at once, each for an exponential time, so `in flight` is what a gateway would see.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::*;
use crate::algorithms::hash_ring::stable_hash;
use crate::algorithms::rng::Draws;
use crate::config::settings::upstream::{ConsistentHash as HashSettings, HashKey};

/// Microseconds that a request of an endpoint takes, on average.
type Means = &'static [f64];

enum Load {
    /// Requests in flight that one would see on average with equal endpoints of the first one's speed.
    Open(f64),
    /// Requests in flight, always.
    Closed(usize),
}

struct World {
    draws: Draws,
    active: Vec<u32>,
    /// When a request ends, and where it is.
    ends: BinaryHeap<Reverse<(u64, usize)>>,
    seen: Vec<u64>,
    at_home: u64,
}

impl World {
    fn new(seed: u64, endpoints: usize) -> Self {
        let draws = Draws::new(seed);
        Self { draws, active: vec![0; endpoints], ends: BinaryHeap::new(), seen: vec![0; endpoints], at_home: 0 }
    }

    fn exponential(&mut self, mean: f64) -> u64 {
        let unit = (self.draws.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        (-(1.0 - unit).ln() * mean) as u64 + 1
    }

    fn finish_until(&mut self, now: u64) {
        while let Some(&Reverse((end, endpoint))) = self.ends.peek()
            && end <= now
        {
            self.ends.pop();
            self.active[endpoint] -= 1;
        }
    }

    /// The shares in points of 100, counted after the first fifth.
    fn run(&mut self, balancer: &Balancer, means: Means, load: &Load, requests: u64) -> Vec<f64> {
        let mut now = 0;
        for ticket in 0..requests {
            match *load {
                Load::Open(in_flight) => {
                    now += self.exponential(means[0] / in_flight);
                    self.finish_until(now);
                }
                Load::Closed(in_flight) if self.ends.len() >= in_flight => {
                    now = self.ends.peek().map_or(now, |first| first.0.0);
                    let Reverse((_, endpoint)) = self.ends.pop().unwrap();
                    self.active[endpoint] -= 1;
                }
                Load::Closed(_) => {}
            }
            let (bits, hash) = (self.draws.next_u64(), stable_hash(&self.draws.below(20_000).to_le_bytes()));
            let active = &self.active;
            let ask = Pick { bits, ticket, hash, in_flight: &|i| active[i], eligible: &|_| true };
            let picked = balancer.pick(&ask).unwrap();
            self.active[picked] += 1;
            let end = now + self.exponential(means[picked]);
            self.ends.push(Reverse((end, picked)));
            if ticket * 5 > requests {
                self.seen[picked] += 1;
            }
            if let Balancer::ConsistentHash(ring) = balancer {
                self.at_home += u64::from(ring.home(hash) == Some(picked));
            }
        }
        let total: u64 = self.seen.iter().sum();
        self.seen.iter().map(|&n| n as f64 * 100.0 / total as f64).collect()
    }
}

fn shares(weights: &[u32], means: Means, load: &Load) -> Vec<f64> {
    let balancer = Balancer::LeastRequest(LeastRequest::new(weights));
    World::new(1, weights.len()).run(&balancer, means, load, 200_000)
}

#[test]
fn least_request_keeps_1_2_4_from_idle_to_heavy_load() {
    let ideal = [14.29, 28.57, 57.14];
    let loads = [0.01, 0.3, 1.0, 2.0, 4.0, 10.0, 30.0, 100.0, 1_000.0].map(Load::Open);
    let closed = [1, 2, 3, 4, 8, 32, 256].map(Load::Closed);
    for (number, load) in loads.iter().chain(&closed).enumerate() {
        let seen = shares(&[1, 2, 4], &[1000.0; 3], load);
        for (share, ideal) in seen.iter().zip(ideal) {
            assert!((share - ideal).abs() <= 2.5, "load {number}: {seen:.1?}");
        }
    }
}

#[test]
fn least_request_avoids_a_slow_twin() {
    // With one request in flight there is nothing to compare; from two in flight on there is.
    let loads = [4, 8, 16, 64, 256].map(Load::Closed).into_iter().chain([1.0, 2.0, 4.0, 16.0, 64.0].map(Load::Open));
    for (number, load) in loads.enumerate() {
        let seen = shares(&[1, 1], &[1000.0, 50_000.0], &load);
        assert!(seen[1] <= 8.0, "load {number}: {seen:.1?}");
    }
}

#[test]
fn consistent_hash_keeps_keys_home_at_low_load_and_bounds_a_busy_one() {
    let names: Vec<String> = (0..10).map(|i| format!("10.0.0.{i}:8080")).collect();
    let listed: Vec<(&str, u32)> = names.iter().map(|name| (name.as_str(), 1)).collect();
    let settings = HashSettings { key: HashKey::ClientIp, bound: 1.25, bound_min: 8 };
    let balancer = Balancer::new(&Balance::ConsistentHash(settings), &listed);
    for (in_flight, least) in [(1.0, 99.9), (10.0, 99.0), (30.0, 97.0)] {
        let mut world = World::new(2, 10);
        world.run(&balancer, &[1000.0; 10], &Load::Open(in_flight), 100_000);
        let home = world.at_home as f64 / 1_000.0;
        assert!(home >= least, "{in_flight} in flight: {home} % at home");
    }
}
