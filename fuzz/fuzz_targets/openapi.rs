//! `cargo xtask fuzz`; what has to hold is in `fuzz/src/openapi.rs`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| fuzz::openapi::check(data));
