//! Whatever is asked for has one form or none, and the form stays itself: what is matched is what is sent.
//!
//! `cargo fuzz run -s none path` on stable; `fuzz/README.md` says more.
#![no_main]

use gateway::routing::{PathRules, normalise};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: (&str, bool, bool)| {
    let (path, keep_escaped_slash, merge_slashes) = data;
    let rules = PathRules { keep_escaped_slash, merge_slashes };
    if let Ok(once) = normalise(path, rules) {
        assert_eq!(normalise(&once, rules).as_deref(), Ok(&*once));
        assert!(once.starts_with('/') && !(merge_slashes && once.contains("//")));
        let decoded = once.replace("%2F", "/").replace("%5C", "/");
        assert!(!decoded.split('/').any(|segment| segment == "." || segment == ".."));
    }
});
