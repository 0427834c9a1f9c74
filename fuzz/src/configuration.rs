//! Whatever a file holds is a configuration or a list of problems with their places, and both can be shown.

use std::path::Path;

use gateway::config::{Purpose, load_text};

/// The text of a file.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match load_text(text, Path::new("gateway.toml"), Purpose::Check) {
        Ok(loaded) => assert!(!loaded.config.listeners.is_empty()),
        Err(problems) => {
            assert!(!problems.is_empty());
            assert!(!problems.render(false).is_empty());
        }
    }
}
