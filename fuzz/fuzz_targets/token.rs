//! `cargo xtask fuzz`; what has to hold is in `fuzz/src/token.rs`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| fuzz::token::check(data));
