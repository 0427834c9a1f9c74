//! Each benchmark counts a hundred operations and fails above its budget (`budgets.toml`), which has the same name:
//! the function's and the case's. Needs `gungraun-runner` of the same version as the library, and valgrind.
//!
//! What is measured is made, and warmed up, outside of the count, and never freed.

#![allow(unused_qualifications, missing_docs, unreachable_pub, reason = "the macros of gungraun expand to it")]

use std::hint::black_box;

use benches::codec::{Bare, Codec};
use benches::headers::{From, Headers, REWRITTEN, Rewriting};
use benches::limits::{Governor, Ours};
use benches::messages::{answer, chunked_answer, clean_headers, hostile_headers, proxied_headers, wide_answer};
use benches::world::{Log, Token, World};
use benches::{Lookups, RULES, balancer, budget, policies, ring};
use gateway::algorithms::balancer::{Balancer, Pick};
use gateway::algorithms::hash_ring::{HashRing, stable_hash};
use gateway::algorithms::rng::mix;
use gateway::request_fields::RequestFields;
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
    // The allocator gives memory back by the clock: when that fell into a count, it was a part in a hundred of it.
    config.env("MIMALLOC_PURGE_DELAY", "-1");
    config
}

fn lookups(routes: usize) -> &'static Lookups {
    let lookups = Box::leak(Box::new(Lookups::new(routes)));
    assert!(lookups.find(0), "a request finds its route");
    lookups
}

#[library_benchmark(setup = lookups)]
#[bench::routes_1(args = (1), config = within("matching_routes_1"))]
#[bench::routes_100(args = (100), config = within("matching_routes_100"))]
#[bench::routes_10000(args = (10_000), config = within("matching_routes_10000"))]
fn matching(lookups: &'static Lookups) -> usize {
    (0..OPERATIONS as usize).filter(|&number| black_box(lookups).find(black_box(number))).count()
}

#[library_benchmark]
#[bench::clean(args = (CLEAN), config = within("normalising_clean"))]
#[bench::dirty(args = (DIRTY), config = within("normalising_dirty"))]
fn normalising(path: &'static str) -> usize {
    (0..OPERATIONS).filter(|_| normalise(black_box(path), RULES).is_ok()).count()
}

fn balancer_of(policy: usize) -> &'static Balancer {
    Box::leak(Box::new(balancer(&policies()[policy].1, 10)))
}

#[library_benchmark(setup = balancer_of)]
#[bench::round_robin(args = (0), config = within("picking_round_robin"))]
#[bench::least_request(args = (1), config = within("picking_least_request"))]
#[bench::random(args = (2), config = within("picking_random"))]
#[bench::consistent_hash(args = (3), config = within("picking_consistent_hash"))]
#[bench::peak_ewma(args = (4), config = within("picking_peak_ewma"))]
fn picking(balancer: &'static Balancer) -> usize {
    let pick = |ticket| {
        let (bits, in_flight) = (mix(ticket), |endpoint: usize| endpoint as u32 % 5);
        let ask = Pick { bits, ticket, hash: bits, in_flight: &in_flight, seen: &benches::seen, eligible: &|_| true };
        black_box(balancer).pick(black_box(&ask))
    };
    (0..OPERATIONS).filter_map(pick).sum()
}

fn ring_of(endpoints: usize) -> &'static HashRing {
    Box::leak(Box::new(ring(endpoints)))
}

#[library_benchmark(setup = ring_of)]
#[bench::endpoints_1000(args = (1000), config = within("ring_lookup_endpoints_1000"))]
fn ring_lookup(ring: &'static HashRing) -> usize {
    (0..OPERATIONS).filter_map(|key| black_box(ring).owner(mix(black_box(key)))).sum()
}

#[library_benchmark]
#[bench::uuid(args = (b"3f0c2c1e-5d8a-4a52-9a3e-0d6f6f0f9b11"), config = within("key_hash_uuid"))]
fn key_hash(key: &'static [u8; 36]) -> u64 {
    (0..OPERATIONS).fold(0, |sum, _| sum ^ stable_hash(black_box(key)))
}

/// As many copies as there are operations: a step that changes its headers meets each of them once.
type Copies = (&'static Headers, &'static mut [RequestFields], From);

fn copies(made: fn() -> RequestFields, from: From) -> Copies {
    let headers = Box::leak(Box::new(Headers::default()));
    (headers, (0..OPERATIONS).map(|_| made()).collect::<Vec<_>>().leak(), from)
}

#[library_benchmark(setup = copies)]
#[bench::clean(args = (clean_headers, From::Client), config = within("screening_clean"))]
#[bench::hostile(args = (hostile_headers, From::Client), config = within("screening_hostile"))]
fn screening((headers, copies, from): Copies) -> usize {
    copies.iter_mut().filter_map(|copy| headers.screen(black_box(copy), from).then_some(1)).sum()
}

#[library_benchmark(setup = copies)]
#[bench::client(args = (clean_headers, From::Client), config = within("forwarded_client"))]
#[bench::proxy(args = (proxied_headers, From::Proxy), config = within("forwarded_proxy"))]
fn forwarded((headers, copies, from): Copies) -> usize {
    copies.iter_mut().map(|copy| headers.forwarded(black_box(copy), from)).sum()
}

#[library_benchmark(setup = copies)]
#[bench::minted(args = (clean_headers, From::Client), config = within("request_id_minted"))]
#[bench::accepted(args = (proxied_headers, From::Proxy), config = within("request_id_accepted"))]
fn request_id((headers, copies, from): Copies) -> usize {
    (1..).zip(&*copies).map(|(seed, copy)| headers.request_id(black_box(copy), from, seed).len()).sum()
}

#[library_benchmark(setup = copies)]
#[bench::started(args = (clean_headers, From::Client), config = within("trace_started"))]
#[bench::continued(args = (proxied_headers, From::Proxy), config = within("trace_continued"))]
fn trace((headers, copies, from): Copies) -> usize {
    (1..).zip(&*copies).map(|(seed, copy)| headers.trace(black_box(copy), from, seed).0.len()).sum()
}

fn rewriting(path: &'static str) -> &'static Rewriting {
    let headers: &'static Headers = Box::leak(Box::new(Headers::default()));
    Box::leak(Box::new(headers.rewrite(path)))
}

#[library_benchmark(setup = rewriting)]
#[bench::prefix(args = (REWRITTEN[0]), config = within("rewrite_prefix"))]
#[bench::template(args = (REWRITTEN[1]), config = within("rewrite_template"))]
fn rewrite(rewriting: &'static Rewriting) -> usize {
    (0..OPERATIONS).filter(|_| black_box(rewriting).apply().is_some()).count()
}

fn ours() -> &'static Ours {
    Box::leak(Box::default())
}

#[library_benchmark(setup = ours)]
#[bench::ours(config = within("limit_check_ours"))]
fn limit_check(limits: &'static Ours) -> usize {
    (0..OPERATIONS as u32).filter(|&number| black_box(limits).check(black_box(number))).count()
}

fn governor() -> &'static Governor {
    Box::leak(Box::default())
}

// What the gateway's check is measured against: at most 1.2 times this.
#[library_benchmark(setup = governor)]
#[bench::keyed(config = within("limit_governor_keyed"))]
fn limit_governor(limits: &'static Governor) -> usize {
    (0..OPERATIONS as u32).filter(|&number| black_box(limits).check(black_box(number))).count()
}

fn codec_of(answer: fn() -> &'static [u8]) -> &'static mut Codec {
    let codec = Box::leak(Box::new(Codec::new(answer(), clean_headers())));
    for _ in 0..OPERATIONS {
        codec.exchange();
    }
    codec
}

#[library_benchmark(setup = codec_of)]
#[bench::plain(args = (answer), config = within("codec_plain"))]
#[bench::wide_head(args = (wide_answer), config = within("codec_wide_head"))]
#[bench::chunked(args = (chunked_answer), config = within("codec_chunked"))]
fn codec(codec: &'static mut Codec) -> usize {
    (0..OPERATIONS).map(|_| codec.exchange()).sum()
}

fn world(log: Log) -> &'static mut World {
    Box::leak(Box::new(World::new(log)))
}

#[library_benchmark(setup = world)]
#[bench::log_off(args = (Log::Off), config = within("pipeline_log_off"))]
#[bench::log_on(args = (Log::Kept), config = within("pipeline_log_on"))]
fn pipeline(world: &'static mut World) {
    world.exchanges(OPERATIONS);
}

fn unguarded(log: Log) -> &'static mut World {
    Box::leak(Box::new(World::without_breakers(log)))
}

// What breakers cost is the difference to `pipeline`: at most one part in a hundred.
#[library_benchmark(setup = unguarded)]
#[bench::log_off(args = (Log::Off), config = within("unguarded_pipeline_log_off"))]
fn unguarded_pipeline(world: &'static mut World) {
    world.exchanges(OPERATIONS);
}

fn limited(log: Log) -> &'static mut World {
    Box::leak(Box::new(World::limited(log)))
}

// What a limit costs whose keys are here is the difference to `pipeline`: the charge, and what the client is told.
#[library_benchmark(setup = limited)]
#[bench::log_off(args = (Log::Off), config = within("limited_pipeline_log_off"))]
fn limited_pipeline(world: &'static mut World) {
    world.exchanges(OPERATIONS);
}

fn traced(log: Log) -> &'static mut World {
    Box::leak(Box::new(World::traced(log)))
}

// What a traced request costs its worker is the difference to `pipeline`; at 1 % that is a hundredth of it for each.
#[library_benchmark(setup = traced)]
#[bench::log_off(args = (Log::Off), config = within("traced_pipeline_log_off"))]
fn traced_pipeline(world: &'static mut World) {
    world.exchanges(OPERATIONS);
}

fn refusing(log: Log) -> &'static mut World {
    Box::leak(Box::new(World::refusing(log)))
}

// A request that is turned away because the worker's loop is late. Over `pipeline` it is what overload costs, r: at m
// times its capacity a core has (1 - m r)/(1 - r) of its goodput left.
#[library_benchmark(setup = refusing)]
#[bench::log_off(args = (Log::Off), config = within("refusal_log_off"))]
#[bench::log_on(args = (Log::Kept), config = within("refusal_log_on"))]
fn refusal(world: &'static mut World) {
    world.exchanges(OPERATIONS);
}

fn presenting(token: Token) -> &'static mut World {
    Box::leak(Box::new(World::with_token(Log::Off, token)))
}

// What the connection's last token costs is the difference of the two.
#[library_benchmark(setup = presenting)]
#[bench::carried(args = (Token::Carried), config = within("token_carried"))]
#[bench::proven(args = (Token::Proven), config = within("token_proven"))]
fn token(world: &'static mut World) {
    world.exchanges(OPERATIONS);
}

fn presenting_in_turn(token: Token) -> &'static mut World {
    Box::leak(Box::new(World::with_tokens_in_turn(Log::Off, token)))
}

// What a token of the worker's cache costs is the difference of the two: half as many exchanges of two requests each.
#[library_benchmark(setup = presenting_in_turn)]
#[bench::carried(args = (Token::Carried), config = within("tokens_in_turn_carried"))]
#[bench::proven(args = (Token::Proven), config = within("tokens_in_turn_proven"))]
fn tokens_in_turn(world: &'static mut World) {
    world.exchanges(OPERATIONS / 2);
}

fn bare() -> &'static mut Bare {
    Box::leak(Box::default())
}

#[library_benchmark(setup = bare)]
#[bench::alone(config = within("network_alone"))]
fn network(bare: &'static mut Bare) -> usize {
    (0..OPERATIONS).map(|_| black_box(&mut *bare).exchange()).sum()
}

library_benchmark_group!(name = routing, benchmarks = [matching, normalising, rewrite]);
library_benchmark_group!(name = balancing, benchmarks = [picking, ring_lookup, key_hash]);
library_benchmark_group!(name = headers, benchmarks = [screening, forwarded, request_id, trace]);
library_benchmark_group!(
    name = whole,
    benchmarks = [
        limit_check,
        limit_governor,
        codec,
        pipeline,
        unguarded_pipeline,
        limited_pipeline,
        traced_pipeline,
        refusal,
        token,
        tokens_in_turn,
        network
    ]
);
main!(library_benchmark_groups = [routing, balancing, headers, whole]);

/// What `main!` makes of it.
pub(crate) fn run() {
    main();
}
