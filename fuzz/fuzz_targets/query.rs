//! `cargo xtask fuzz`; what has to hold is in `fuzz/src/query.rs`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| fuzz::query::check(data));
