//! Heap allocations of a hundred exchanges on a warm keep-alive connection, against `budgets.toml`.
//!
//! Counts those of the thread that serves, not those of the log's writer. A buffer that grows counts as an allocation.
//! Also the bytes that keys of a rate limit take, at their most: while a shard's table grows, the old one is there too.
//! Exit code 1 above a budget. Under `cargo test` it runs as well, with fewer keys: it takes no time and needs nothing.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the counts are what it is for")]

use std::process::ExitCode;
use std::time::Duration;

use allocation_counter::{AllocationInfo, measure};
use benches::budget;
use benches::codec::Codec;
use benches::messages::{answer, clean_headers};
use benches::world::{Log, Token, World};
use gateway::algorithms::gcra::Quota;
use gateway::algorithms::rng::mix;
use gateway::rate_limit::Cells;

/// As in the instruction counts.
const OPERATIONS: u64 = 100;

fn pipeline(log: Log) -> AllocationInfo {
    let mut world = World::new(log);
    measure(|| world.exchanges(OPERATIONS))
}

fn presenting(token: Token) -> AllocationInfo {
    let mut world = World::with_token(Log::Off, token);
    measure(|| world.exchanges(OPERATIONS))
}

fn limited() -> AllocationInfo {
    let mut world = World::limited(Log::Off);
    measure(|| world.exchanges(OPERATIONS))
}

fn codec() -> AllocationInfo {
    let mut codec = Codec::new(answer(), clean_headers());
    let mut exchanges = || (0..OPERATIONS).for_each(|_| assert!(codec.exchange() > 0, "a body"));
    exchanges();
    measure(exchanges)
}

/// Bytes a key of a local limit with so many keys, at the most that there were while they came, and at the end.
fn bytes_a_key(keys: u64) -> (u64, u64) {
    let quota = Quota::new(1, Duration::from_secs(3_600), 100, 1);
    let mut cells = None;
    let info = measure(|| {
        let cells = cells.insert(Cells::new(keys as usize));
        assert!((0..keys).all(|key| cells.take(mix(key), 1, &quota).is_ok()), "there are tokens");
    });
    let kept = cells.map_or(0, |cells| cells.fill().keys as u64);
    assert_eq!(kept, keys, "each has a bucket of its own");
    (info.bytes_max / keys, info.bytes_current.unsigned_abs() / keys)
}

fn main() -> ExitCode {
    let counted = [
        ("allocations_pipeline_log_off", pipeline(Log::Off)),
        ("allocations_pipeline_log_on", pipeline(Log::Kept)),
        ("allocations_token_carried", presenting(Token::Carried)),
        ("allocations_token_proven", presenting(Token::Proven)),
        ("allocations_limited_pipeline_log_off", limited()),
        ("allocations_codec_plain", codec()),
    ];
    let mut code = ExitCode::SUCCESS;
    for (name, info) in counted {
        println!("{name} = {}   # {} bytes", info.count_total, info.bytes_total);
        if info.count_total > budget(name) {
            eprintln!("{name}: {} allocations, above its budget of {}", info.count_total, budget(name));
            code = ExitCode::FAILURE;
        }
    }
    let many = if cfg!(debug_assertions) { 100_000 } else { 10_000_000 };
    let [fewer, more] = [many / 10, many].map(|keys| (keys, bytes_a_key(keys)));
    let most = fewer.1.0.max(more.1.0);
    println!("bytes_a_limited_key = {most}   # keys: (at most, in the end) {fewer:?} {more:?}");
    if most > budget("bytes_a_limited_key") {
        eprintln!("bytes_a_limited_key: {most}, above its budget of {}", budget("bytes_a_limited_key"));
        code = ExitCode::FAILURE;
    }
    code
}
