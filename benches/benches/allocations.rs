//! Heap allocations of a hundred exchanges on a warm keep-alive connection, against `budgets.toml`.
//!
//! Counts those of the thread that serves, not those of the log's writer. A buffer that grows counts as an allocation.
//! Exit code 1 above a budget. Under `cargo test` it runs as well: it takes no time and needs nothing.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the counts are what it is for")]

use std::process::ExitCode;

use allocation_counter::{AllocationInfo, measure};
use benches::budget;
use benches::codec::Codec;
use benches::messages::{answer, clean_headers};
use benches::world::{Log, Token, World};

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

fn codec() -> AllocationInfo {
    let mut codec = Codec::new(answer(), clean_headers());
    let mut exchanges = || (0..OPERATIONS).for_each(|_| assert!(codec.exchange() > 0, "a body"));
    exchanges();
    measure(exchanges)
}

fn main() -> ExitCode {
    let counted = [
        ("allocations_pipeline_log_off", pipeline(Log::Off)),
        ("allocations_pipeline_log_on", pipeline(Log::Kept)),
        ("allocations_token_carried", presenting(Token::Carried)),
        ("allocations_token_proven", presenting(Token::Proven)),
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
    code
}
