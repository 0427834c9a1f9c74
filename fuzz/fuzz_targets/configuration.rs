//! Whatever a file holds is a configuration or a list of problems with their places, and both can be shown.
//!
//! `cargo fuzz run -s none configuration` on stable; `fuzz/README.md` says more.
#![no_main]

use std::path::Path;

use gateway::config::{Purpose, load_text};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match load_text(text, Path::new("gateway.toml"), Purpose::Check) {
        Ok(loaded) => assert!(!loaded.config.listeners.is_empty()),
        Err(problems) => {
            assert!(!problems.is_empty());
            assert!(!problems.render(false).is_empty());
        }
    }
});
