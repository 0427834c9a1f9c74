//! Balancers under load: a queueing world of events with a fixed seed, to show the shares that the papers claim.
//!
//! Open world: requests come at random times at a given rate. Closed world: a fixed number is always in flight. An
//! endpoint serves all its requests at once, each for an exponential time, so `in flight` is what a gateway would see.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use super::*;
use crate::algorithms::hash_ring::stable_hash;
use crate::algorithms::peak_ewma::{Estimate, Sample};
use crate::algorithms::rng::Draws;
use crate::config::settings::upstream::{ConsistentHash as HashSettings, HashKey};

/// Microseconds that a request of an endpoint takes, on average.
type Means = &'static [f64];

/// What fails at once takes so long.
const FAILS_IN: Duration = Duration::from_micros(50);

enum Load {
    /// Requests in flight that one would see on average with equal endpoints of the first one's speed.
    Open(f64),
    /// Requests in flight, always.
    Closed(usize),
}

struct World {
    draws: Draws,
    active: Vec<u32>,
    /// When a request ends, where it is, and when it began.
    ends: BinaryHeap<Reverse<(u64, usize, u64)>>,
    seen: Vec<u64>,
    estimates: Vec<Estimate>,
    /// The endpoint whose requests fail at once, in so many of a hundred.
    failing: Option<(usize, u64)>,
    at_home: u64,
}

impl World {
    fn new(seed: u64, endpoints: usize) -> Self {
        let draws = Draws::new(seed);
        Self {
            draws,
            active: vec![0; endpoints],
            ends: BinaryHeap::new(),
            seen: vec![0; endpoints],
            estimates: vec![Estimate::default(); endpoints],
            failing: None,
            at_home: 0,
        }
    }

    fn exponential(&mut self, mean: f64) -> u64 {
        let unit = (self.draws.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        (-(1.0 - unit).ln() * mean) as u64 + 1
    }

    fn finish_until(&mut self, now: u64) {
        while self.ends.peek().is_some_and(|first| first.0.0 <= now) {
            self.finish_one();
        }
    }

    /// Ends the request that ends first, and tells of it.
    fn finish_one(&mut self) {
        let Some(Reverse((end, endpoint, began))) = self.ends.pop() else { return };
        self.active[endpoint] -= 1;
        let took = Duration::from_micros(end - began);
        // Nothing that is answered is as fast as what fails.
        let sample = if took <= FAILS_IN { Sample::Failed } else { Sample::Answered(took) };
        self.estimates[endpoint].hear(sample, end * 1000);
    }

    /// How long a request takes there.
    fn service(&mut self, endpoint: usize, means: Means) -> u64 {
        let fails = |part: (usize, u64), drawn: u64| part.0 == endpoint && drawn < part.1;
        let drawn = self.draws.below(100);
        match self.failing {
            Some(part) if fails(part, drawn) => FAILS_IN.as_micros() as u64,
            _ => self.exponential(means[endpoint]) + FAILS_IN.as_micros() as u64 + 1,
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
                    self.finish_one();
                }
                Load::Closed(_) => {}
            }
            let (bits, hash) = (self.draws.next_u64(), stable_hash(&self.draws.below(20_000).to_le_bytes()));
            let (active, estimates) = (&self.active, &self.estimates);
            let (in_flight, seen) = (|i: usize| active[i], |i: usize| estimates[i].at(now * 1000));
            let ask = Pick { bits, ticket, hash, in_flight: &in_flight, seen: &seen, eligible: &|_| true };
            let picked = balancer.pick(&ask).unwrap();
            self.active[picked] += 1;
            let end = now + self.service(picked, means);
            self.ends.push(Reverse((end, picked, now)));
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

fn by_peak_ewma(weights: &[u32], means: Means, load: &Load, failing: Option<(usize, u64)>) -> Vec<f64> {
    let mut world = World::new(1, weights.len());
    world.failing = failing;
    world.run(&Balancer::PeakEwma(PeakEwma::new(weights)), means, load, 200_000)
}

#[test]
fn peak_ewma_keeps_1_2_4_from_idle_to_heavy_load() {
    let ideal = [14.29, 28.57, 57.14];
    let loads = [0.01, 0.3, 1.0, 2.0, 4.0, 10.0, 30.0, 100.0].map(Load::Open);
    let closed = [1, 2, 3, 4, 8, 32, 256].map(Load::Closed);
    for (number, load) in loads.iter().chain(&closed).enumerate() {
        let seen = by_peak_ewma(&[1, 2, 4], &[1000.0; 3], load, None);
        for (share, ideal) in seen.iter().zip(ideal) {
            assert!((share - ideal).abs() <= 4.0, "load {number}: {seen:.1?}");
        }
    }
}

#[test]
fn peak_ewma_avoids_a_slow_one_also_where_nothing_else_is_in_flight() {
    let loads = [1, 2, 4, 16, 64].map(Load::Closed).into_iter().chain([0.1, 1.0, 4.0, 16.0].map(Load::Open));
    for (number, load) in loads.enumerate() {
        let seen = by_peak_ewma(&[1, 1], &[1000.0, 50_000.0], &load, None);
        assert!(seen[1] <= 2.5, "load {number}: {seen:.1?}");
    }
}

#[test]
fn who_fails_fast_never_gets_more_than_its_part() {
    for weights in [[1, 1, 1], [4, 1, 1]] {
        let part = 100.0 * f64::from(weights[0]) / f64::from(weights.iter().sum::<u32>());
        for percent in [1, 5, 20, 50, 90, 100] {
            for (number, load) in
                [Load::Open(0.3), Load::Open(3.0), Load::Open(30.0), Load::Closed(64)].iter().enumerate()
            {
                let seen = by_peak_ewma(&weights, &[10_000.0; 3], load, Some((0, percent)));
                assert!(seen[0] <= part + 0.5, "{percent} % fail, load {number}: {seen:.1?}");
                assert!(percent < 90 || seen[0] <= part / 10.0 + 1.0, "{percent} % fail, load {number}: {seen:.1?}");
            }
        }
    }
}

#[test]
fn an_endpoint_that_is_new_draws_no_herd_and_soon_has_its_part() {
    let balancer = Balancer::PeakEwma(PeakEwma::new(&[1; 4]));
    let mut world = World::new(4, 4);
    world.run(&balancer, &[5_000.0; 4], &Load::Open(40.0), 50_000);
    // One of four begins anew, and nothing is known of it. (Time begins anew too, and all are idle.)
    world.estimates[2] = Estimate::default();
    (world.active, world.seen) = (vec![0; 4], vec![0; 4]);
    world.ends.clear();
    let seen = world.run(&balancer, &[5_000.0; 4], &Load::Open(40.0), 2_000);
    assert!((21.0..29.0).contains(&seen[2]), "{seen:.1?}");
}
