//! Instruction counts under valgrind: the same on every run, so that a small regression shows. Each benchmark fails
//! above its budget (`budgets.toml`). Needs `gungraun-runner` of the same version as the library, and valgrind.
//!
//! Each counts a hundred operations; what is measured is made, and warmed up, outside of the count, and never freed.

#![allow(unused_qualifications, missing_docs, reason = "the macros of gungraun expand to it")]

use std::hint::black_box;

use benches::{Lookups, RULES, balancer, budget, policies, ring};
use gateway::algorithms::balancer::{Balancer, Pick};
use gateway::algorithms::hash_ring::{HashRing, stable_hash};
use gateway::algorithms::rng::mix;
use gateway::routing::normalise;
use gungraun::prelude::*;
use gungraun::{Callgrind, EventKind};

/// Operations in a count.
const OPERATIONS: u64 = 100;

const CLEAN: &str = "/api/service-17/users/123456/files/a/b.txt";
const DIRTY: &str = "/api//service-17/./x/../%75sers/a%c3%a9";

fn within(name: &str) -> LibraryBenchmarkConfig {
    let mut config = LibraryBenchmarkConfig::default();
    config.tool(Callgrind::default().hard_limits([(EventKind::Ir, budget(name))]));
    config
}

fn lookups(routes: usize) -> &'static Lookups {
    let lookups = Box::leak(Box::new(Lookups::new(routes)));
    assert!(lookups.find(0), "a request finds its route");
    lookups
}

#[library_benchmark(setup = lookups)]
#[bench::routes_1(args = (1), config = within("match_1"))]
#[bench::routes_100(args = (100), config = within("match_100"))]
#[bench::routes_10000(args = (10_000), config = within("match_10000"))]
fn matching(lookups: &'static Lookups) -> usize {
    (0..OPERATIONS as usize).filter(|&number| black_box(lookups).find(black_box(number))).count()
}

#[library_benchmark]
#[bench::clean(args = (CLEAN), config = within("normalise_clean"))]
#[bench::dirty(args = (DIRTY), config = within("normalise_dirty"))]
fn normalising(path: &'static str) -> usize {
    (0..OPERATIONS).filter(|_| normalise(black_box(path), RULES).is_ok()).count()
}

fn balancer_of(policy: usize) -> &'static Balancer {
    Box::leak(Box::new(balancer(&policies()[policy].1, 10)))
}

#[library_benchmark(setup = balancer_of)]
#[bench::round_robin(args = (0), config = within("round_robin"))]
#[bench::least_request(args = (1), config = within("least_request"))]
#[bench::random(args = (2), config = within("random"))]
#[bench::consistent_hash(args = (3), config = within("consistent_hash"))]
fn picking(balancer: &'static Balancer) -> usize {
    let pick = |ticket| {
        let (bits, in_flight) = (mix(ticket), |endpoint: usize| endpoint as u32 % 5);
        let ask = Pick { bits, ticket, hash: bits, in_flight: &in_flight, eligible: &|_| true };
        black_box(balancer).pick(black_box(&ask))
    };
    (0..OPERATIONS).filter_map(pick).sum()
}

fn ring_of(endpoints: usize) -> &'static HashRing {
    Box::leak(Box::new(ring(endpoints)))
}

#[library_benchmark(setup = ring_of)]
#[bench::endpoints_1000(args = (1000), config = within("ring_1000"))]
fn ring_lookup(ring: &'static HashRing) -> usize {
    (0..OPERATIONS).filter_map(|key| black_box(ring).owner(mix(black_box(key)))).sum()
}

#[library_benchmark]
#[bench::uuid(args = (b"3f0c2c1e-5d8a-4a52-9a3e-0d6f6f0f9b11"), config = within("key_hash"))]
fn key_hash(key: &'static [u8; 36]) -> u64 {
    (0..OPERATIONS).fold(0, |sum, _| sum ^ stable_hash(black_box(key)))
}

library_benchmark_group!(name = routing, benchmarks = [matching, normalising]);
library_benchmark_group!(name = balancing, benchmarks = [picking, ring_lookup, key_hash]);
main!(library_benchmark_groups = [routing, balancing]);
