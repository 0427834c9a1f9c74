//! Whatever a key server sends is a set of keys that can be used, or an error, without a panic.
//!
//! `cargo fuzz run -s none key_set` on stable; `fuzz/README.md` says more.
#![no_main]

use gateway::jws::KeySet;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok((set, _)) = KeySet::parse(data) {
        for key in set.keys() {
            assert!(key.algorithms().count() > 0, "a key that is kept verifies something");
        }
    }
});
