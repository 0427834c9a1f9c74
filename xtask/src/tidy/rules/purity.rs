//! design.md, invariant 1: algorithms decide; they touch no network, clock, global randomness, log, file or
//! environment. Nor does the verifier of signatures.
//!
//! Test code may: a test of a decision at `now` has to get its first instant from somewhere.

use crate::tidy::paths::NamedPath;
use crate::tidy::tree::{Finding, Tree};

/// Folders that decide and do not act.
const PURE: &[&str] = &["gateway/src/algorithms/", "gateway/src/jws/"];

/// What a path may not begin with.
const FOREIGN: &[&str] = &[
    "tokio",
    "tokio_util",
    "hyper",
    "hyper_util",
    "axum",
    "reqwest",
    "socket2",
    "log",
    "tracing",
    "std::net",
    "core::net",
    "std::fs",
    "std::env",
    "std::process",
    "std::io",
    "std::thread",
];

/// What a path may not contain.
const IMPURE: &[&str] =
    &["Instant::now", "SystemTime", "UNIX_EPOCH", "thread_rng", "rand::rng", "rand::random", "OsRng", "SysRng"];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in PURE.iter().flat_map(|folder| tree.rust_in(folder)) {
        for (line, path) in file.paths_outside_tests().into_iter().filter(|(_, path)| is_impure(path)) {
            let advice =
                format!("`{}` in a pure folder: take time, randomness and addresses as parameters", path.text());
            findings.push(Finding::new(file, line, advice));
        }
    }
    findings
}

fn is_impure(path: &NamedPath) -> bool {
    // A lone `log` is a variable; `log::info` is the crate.
    let foreign = path.segments.len() > 1 && FOREIGN.iter().any(|name| path.starts_with(name));
    foreign || IMPURE.iter().any(|name| path.contains(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::samples::finds;

    #[test]
    fn algorithms_name_nothing_of_the_world() {
        let impure = "use std::{collections::HashMap, net::IpAddr};\nfn a() { Instant::now(); }\nuse tokio::sync::Mutex;\n\
                      fn b() { std::time::SystemTime::now(); log::info!(); rand::rng(); }";
        let places = ["1", "2", "3", "4", "4", "4"].map(|line| format!("gateway/src/algorithms/breaker.rs:{line}"));
        let places: Vec<&str> = places.iter().map(String::as_str).collect();
        finds(check, &[("gateway/src/algorithms/breaker.rs", impure)], &places);
        finds(check, &[("gateway/src/jws/key.rs", "use std::fs;")], &["gateway/src/jws/key.rs:1"]);
    }

    #[test]
    fn comments_texts_tests_and_other_folders_may() {
        let pure = "//! Not tokio::time.\nfn a(now: Instant, log: f64) { f(\"std::net\", log, x.log()) }\n\
                    #[cfg(test)]\nmod tests { fn b() { Instant::now(); } }";
        finds(check, &[("gateway/src/algorithms/a.rs", pure)], &[]);
        finds(check, &[("gateway/src/forward/a.rs", "use tokio::net::TcpStream;")], &[]);
    }
}
