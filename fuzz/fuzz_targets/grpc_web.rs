//! `cargo xtask fuzz`; what has to hold is in `fuzz/src/grpc_web.rs`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| fuzz::grpc_web::check(data));
