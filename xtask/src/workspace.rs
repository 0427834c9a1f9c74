//! Where things are: the workspace's root, its target directory, the cache of tools.

use std::env::{current_dir, var_os};
use std::path::PathBuf;

/// The workspace's root. `cargo run` says where this package is; a copied binary takes the place of its build.
pub(crate) fn root() -> PathBuf {
    let package = variable("CARGO_MANIFEST_DIR").unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
    package.parent().map_or_else(|| PathBuf::from("."), PathBuf::from)
}

/// Where cargo builds: `CARGO_TARGET_DIR`, or `target` in the root.
pub(crate) fn target_dir() -> PathBuf {
    match variable("CARGO_TARGET_DIR") {
        // A relative one is relative to where cargo was called.
        Some(dir) => current_dir().unwrap_or_default().join(dir),
        None => root().join("target"),
    }
}

/// Where tools that this program builds are kept. Outside `target`, so that `cargo clean` does not cost their build.
pub(crate) fn tools_dir() -> PathBuf {
    variable("PORTCULLIS_TOOLS")
        .or_else(|| variable("XDG_CACHE_HOME").map(|dir| dir.join("portcullis-tools")))
        .or_else(|| variable("HOME").map(|dir| dir.join(".cache/portcullis-tools")))
        .unwrap_or_else(|| target_dir().join("tools"))
}

/// A variable of the environment that is set and not empty.
pub(crate) fn variable(name: &str) -> Option<PathBuf> {
    let value = var_os(name)?;
    (!value.is_empty()).then(|| PathBuf::from(value))
}

/// The version that Cargo.lock names for a package.
pub(crate) fn locked_version(lock: &str, package: &str) -> Option<String> {
    let name = format!("name = \"{package}\"");
    lock.split("[[package]]")
        .find(|entry| entry.lines().any(|line| line == name))?
        .lines()
        .find_map(|line| line.strip_prefix("version = \"")?.strip_suffix('"').map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_holds_the_lock_file() {
        assert!(root().join("Cargo.lock").is_file());
    }

    #[test]
    fn a_locked_version_is_that_of_the_package_with_exactly_this_name() {
        let lock = "version = 4\n\n[[package]]\nname = \"tool-runner\"\nversion = \"9.9.9\"\n\n\
                    [[package]]\nname = \"tool\"\nversion = \"1.2.3\"\ndependencies = [\n \"tool-runner\",\n]\n";
        assert_eq!(locked_version(lock, "tool").as_deref(), Some("1.2.3"));
        assert_eq!(locked_version(lock, "tool-runner").as_deref(), Some("9.9.9"));
        assert_eq!(locked_version(lock, "too"), None);
    }
}
