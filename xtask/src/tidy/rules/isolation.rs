//! design.md, invariant 3: stages import no sibling stage; only those that put the whole together know all.
//!
//! An import is any path through `crate::` or enough `super::` to reach the top. Test code may cross: a story of two
//! stages is told where it is understood.

use crate::tidy::paths::NamedPath;
use crate::tidy::tree::{File, Finding, Tree};

/// The folders of the request's way.
const STAGES: &[&str] = &[
    "listener",
    "context",
    "routing",
    "rate_limit",
    "identity",
    "upstream",
    "forward",
    "compose",
    "caching",
    "response",
    "telemetry",
    "admin",
];

/// Stages that offer what all others need: the request's state, the answer's errors, the handles of records.
const OPEN_STAGES: &[&str] = &["context", "response", "telemetry"];

/// Who may import every module: what puts the whole together, and what is made of parts of several stages.
const KNOWS_ALL: &[&str] = &[
    "lib",
    "main",
    "cli",
    "startup",
    "running",
    "shutdown",
    "builder",
    "mounted",
    "prelude",
    "pipeline", // the whole
    "gateway",
    "worker",
    "service",
    "reload",
    "explain", // its forms, and what asks about it
    "snapshot",
    "shard", // one configuration, one worker: every stage's part of it
    "exchange",
    "client",
    "response_body", // one request's state over all stages
];

/// Who puts the whole together and may not be imported by a stage.
const TOP: &[&str] = &["lib", "main", "cli", "startup", "running", "shutdown", "pipeline"];

/// Further allowed imports, and why.
const EDGES: &[(&str, &str, &str)] = &[
    ("forward", "upstream", "each attempt asks for an endpoint and its connection"),
    ("admin", "upstream", "breakers are shown as they are, and moved by hand"),
    ("admin", "rate_limit", "limits are shown as they are"),
    ("openapi", "upstream", "services are asked for their documents, beside all requests"),
    ("config", "routing", "a rewrite is tried where it is checked"),
    ("diff", "routing", "whether the order of two routes decides is the table's to say"),
    ("listener", "pipeline", "a connection hands each of its requests over"),
    ("plugins", "identity", "the program's own code is told who asks"),
];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust_in("gateway/src/") {
        let module = module_of(&file.path);
        let own = module.first().copied().unwrap_or("lib");
        for (line, path) in file.paths_outside_tests() {
            let Some(target) = top_module(&path, module.len()) else { continue };
            if !is_allowed(own, target) && !is_plain_settings(&path) {
                findings.push(Finding::new(file, line, advice(file, own, target)));
            }
        }
    }
    findings
}

fn advice(file: &File, own: &str, target: &str) -> String {
    let name = file.path.rsplit('/').next().unwrap_or("");
    let how = match own {
        "algorithms" => "pass in what it needs as plain values",
        _ => "share through RequestContext, or let pipeline.rs hand it over",
    };
    format!("`{own}` ({name}) imports `{target}`: {how}")
}

/// The module path of a file of the gateway: `gateway/src/forward/pool.rs` is `["forward", "pool"]`.
fn module_of(path: &str) -> Vec<&str> {
    let inner = path.strip_prefix("gateway/src/").and_then(|path| path.strip_suffix(".rs")).unwrap_or("");
    let mut segments: Vec<&str> = inner.split('/').collect();
    if segments.last() == Some(&"mod") {
        segments.pop();
    }
    if segments == ["lib"] {
        segments.pop();
    }
    segments
}

/// The top-level module that a path reaches, written in a module of this depth.
fn top_module(path: &NamedPath, depth: usize) -> Option<&str> {
    let first = path.segments.first()?;
    if first == "crate" {
        return path.segments.get(1).map(String::as_str);
    }
    let ups = path.segments.iter().take_while(|segment| *segment == "super").count();
    (ups > 0 && ups == depth).then(|| path.segments.get(ups).map(String::as_str)).flatten()
}

/// Validated settings are plain values; an algorithm may be chosen and sized by them.
fn is_plain_settings(path: &NamedPath) -> bool {
    path.starts_with("crate::config::settings")
}

fn is_allowed(own: &str, target: &str) -> bool {
    if own == target || KNOWS_ALL.contains(&own) {
        return true;
    }
    if own == "algorithms" {
        return false;
    }
    let is_closed = STAGES.contains(&target) || TOP.contains(&target);
    !is_closed || OPEN_STAGES.contains(&target) || EDGES.iter().any(|(from, to, _)| (*from, *to) == (own, target))
}

/// What may import what, as text.
pub(super) fn table() -> String {
    let edges: Vec<String> = EDGES.iter().map(|(from, to, why)| format!("  {from} -> {to}: {why}")).collect();
    format!(
        "allowed imports:\n  {} -> everything\n  algorithms -> itself and config::settings\n  everything else -> itself, {}, \
         and modules that are no stage (algorithms, clock, config, error, ...)\n{}\n",
        KNOWS_ALL.join(", "),
        OPEN_STAGES.join(", "),
        edges.join("\n"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::samples::finds;

    #[test]
    fn a_stage_imports_no_sibling() {
        let code = "use crate::{clock::Clock, routing::Table};\nfn a() { crate::identity::verify(); }";
        let place = "gateway/src/forward/exchange.rs";
        finds(check, &[(place, code)], &["gateway/src/forward/exchange.rs:1", "gateway/src/forward/exchange.rs:2"]);
        finds(check, &[("gateway/src/upstream/a.rs", "use crate::forward::X;")], &["gateway/src/upstream/a.rs:1"]);
        finds(check, &[("gateway/src/admin/a.rs", "use crate::startup::X;")], &["gateway/src/admin/a.rs:1"]);
    }

    #[test]
    fn super_reaches_a_sibling_too() {
        finds(check, &[("gateway/src/routing/mod.rs", "use super::identity::X;")], &["gateway/src/routing/mod.rs:1"]);
        finds(
            check,
            &[("gateway/src/routing/a.rs", "use super::super::identity::X;")],
            &["gateway/src/routing/a.rs:1"],
        );
        finds(check, &[("gateway/src/routing/a.rs", "use super::identity::X;")], &[]);
    }

    #[test]
    fn what_the_design_allows_passes() {
        let open = "use crate::{context::A, telemetry::B, response::C, config::D, error::E, clock::F, algorithms::G};";
        finds(check, &[("gateway/src/forward/a.rs", open)], &[]);
        finds(check, &[("gateway/src/forward/a.rs", "use crate::upstream::Pool;")], &[]);
        let all = "use crate::{routing::A, upstream::B, startup::C};";
        finds(check, &[("gateway/src/pipeline.rs", all), ("gateway/src/lib.rs", all)], &[]);
        finds(check, &[("gateway/src/forward/a.rs", "#[cfg(test)]\nmod tests { use crate::routing::A; }")], &[]);
    }

    #[test]
    fn algorithms_import_nothing_and_foundations_no_stage() {
        finds(check, &[("gateway/src/algorithms/a.rs", "use crate::clock::C;")], &["gateway/src/algorithms/a.rs:1"]);
        finds(check, &[("gateway/src/algorithms/a.rs", "use crate::algorithms::b::C;\nuse super::b::C;")], &[]);
        finds(check, &[("gateway/src/config/a.rs", "use crate::forward::C;")], &["gateway/src/config/a.rs:1"]);
    }

    #[test]
    fn algorithms_may_take_settings_but_not_what_reads_them() {
        finds(check, &[("gateway/src/algorithms/a.rs", "use crate::config::settings::upstream::Balance;")], &[]);
        finds(
            check,
            &[("gateway/src/algorithms/a.rs", "use crate::config::load;")],
            &["gateway/src/algorithms/a.rs:1"],
        );
    }

    #[test]
    fn the_table_names_each_exception() {
        assert!(table().contains("forward -> upstream: each attempt"));
    }
}
