//! design.md, invariant 2: in the gateway only `config/` reads files and the environment.

use std::fmt::Write as _;

use crate::tidy::tree::{Finding, Tree};

/// What reaches files or the environment.
const READS: &[&str] = &["std::fs", "tokio::fs", "fs::File", "fs::OpenOptions", "std::env", "libc::open"];

/// Who may, what, and why. A place is a file, or a folder that ends in a slash.
const ALLOWED: &[(&str, &str, &str)] = &[
    ("config/", "std::fs", "the one reader of files"),
    ("config/", "std::env", "the one reader of the environment"),
    ("main.rs", "std::env", "the command line's arguments"),
    ("cli.rs", "std::env", "the command line's arguments"),
    ("cli/", "std::env", "the command line's arguments"),
    ("cli.rs", "std::fs", "`init` writes a starter file"),
    ("cli/", "std::fs", "`init` writes a starter file"),
    ("telemetry/", "std::fs", "the access log's output, and /proc/self for the process's own figures"),
];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust_in("gateway/src/") {
        for (line, path) in file.paths_outside_tests() {
            let Some(read) = READS.iter().find(|read| path.starts_with(read)) else { continue };
            // Both spellings of the file system are one thing to the table.
            let kind = if read.contains("env") { "std::env" } else { "std::fs" };
            if !is_allowed(&file.path, kind) {
                let advice = format!("`{}`: let config/ read it, and take the value", path.text());
                findings.push(Finding::new(file, line, advice));
            }
        }
    }
    findings
}

fn is_allowed(path: &str, kind: &str) -> bool {
    let inner = path.strip_prefix("gateway/src/").unwrap_or(path);
    ALLOWED.iter().any(|(place, allowed, _)| {
        *allowed == kind && (inner == *place || place.ends_with('/') && inner.starts_with(place))
    })
}

/// The allowed places as text.
pub(super) fn table() -> String {
    let mut text = String::from("allowed to read:\n");
    for (place, kind, reason) in ALLOWED {
        let _ = writeln!(text, "  {place:<12} {kind:<9} {reason}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::samples::finds;

    const CODE: &str = "use std::fs;\nfn a() { std::env::args(); }\nfn b() { tokio::fs::read(); }";

    #[test]
    fn only_config_reads() {
        finds(check, &[("gateway/src/config/load.rs", CODE), ("loadgen/src/a.rs", CODE)], &[]);
        let places = ["gateway/src/identity/a.rs:1", "gateway/src/identity/a.rs:2", "gateway/src/identity/a.rs:3"];
        finds(check, &[("gateway/src/identity/a.rs", CODE)], &places);
    }

    #[test]
    fn an_exception_is_for_what_the_table_says_alone() {
        finds(check, &[("gateway/src/telemetry/log.rs", CODE)], &["gateway/src/telemetry/log.rs:2"]);
        finds(check, &[("gateway/src/main.rs", "fn a() { std::env::args(); }")], &[]);
        assert!(table().contains("/proc/self"));
    }
}
