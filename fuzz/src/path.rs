//! Whatever is asked for has one form or none, and the form stays itself: what is matched is what is sent.

use gateway::routing::{PathRules, normalise};

/// The first byte holds the rules, the rest is the path.
pub fn check(data: &[u8]) {
    let Some((first, path)) = data.split_first() else { return };
    let Ok(path) = std::str::from_utf8(path) else { return };
    let merge_slashes = first & 2 != 0;
    let rules = PathRules { keep_escaped_slash: first & 1 != 0, merge_slashes };
    if let Ok(once) = normalise(path, rules) {
        assert_eq!(normalise(&once, rules).as_deref(), Ok(&*once));
        assert!(once.starts_with('/') && !(merge_slashes && once.contains("//")));
        let decoded = once.replace("%2F", "/").replace("%5C", "/");
        assert!(!decoded.split('/').any(|segment| segment == "." || segment == ".."));
    }
}
