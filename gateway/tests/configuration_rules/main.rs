//! Each rule with a value that breaks it: (what is written, what is said, with its place).

mod aggregates;
mod api_documents;
mod batches;
mod clients;
mod early_hints;
mod edge;
mod grpc_web;
mod habits;
mod header_edits;
mod identity;
mod limits;
mod listeners;
mod mirrors;
mod mounted;
mod one_mistake;
mod other_origins;
mod own_words;
mod plugins;
mod policies;
mod query_edits;
mod right_forms;
mod services;
mod shared_edits;
mod splits;
mod turned_off;
mod upstream_tls;
mod values;

use std::path::Path;
use std::sync::Arc;

use gateway::config::settings::Route;
use gateway::config::{Environment, Purpose, Severity, load_text_with};

struct NoEnvironment;

impl Environment for NoEnvironment {
    fn get(&self, _: &str) -> Option<String> {
        None
    }
}

/// Every error of a text, as `line:column: message`.
fn errors(text: &str) -> Vec<String> {
    match load_text_with(text, Path::new("gateway.toml"), Purpose::Check, &NoEnvironment) {
        Ok(_) => Vec::new(),
        Err(problems) => problems
            .iter()
            .filter(|problem| problem.severity == Severity::Error)
            .map(|problem| format!("{}:{}: {}", problem.line, problem.column, problem.message))
            .collect(),
    }
}

/// Every warning of a text that holds, as `line:column: message (help)`.
fn warnings(text: &str) -> Vec<String> {
    let loaded = load_text_with(text, Path::new("gateway.toml"), Purpose::Check, &NoEnvironment);
    let told = |warning: &gateway::config::Problem| {
        let help = warning.help.as_deref().unwrap_or("");
        format!("{}:{}: {} ({help})", warning.line, warning.column, warning.message)
    };
    loaded.unwrap_or_else(|problems| panic!("{problems:?}")).warnings.iter().map(told).collect()
}

/// The first route of a text that holds.
fn built(text: &str) -> Arc<Route> {
    let loaded = load_text_with(text, Path::new("gateway.toml"), Purpose::Check, &NoEnvironment);
    Arc::clone(&loaded.unwrap_or_else(|problems| panic!("{problems:?}")).config.routes[0])
}

/// The names of all routes of a text that holds.
fn names(text: &str) -> Vec<String> {
    let loaded = load_text_with(text, Path::new("gateway.toml"), Purpose::Check, &NoEnvironment);
    let config = loaded.unwrap_or_else(|problems| panic!("{problems:?}")).config;
    config.routes.iter().map(|route| route.name.to_string()).collect()
}

#[track_caller]
fn check(input: &str, expected: &[&str]) {
    assert_eq!(errors(input), expected, "\n{input}");
}

/// The same for the keys of a route that is right but for them; they begin on line 4.
#[track_caller]
fn check_route(keys: &str, expected: &[&str]) {
    check(&format!("[[routes]]\npath = \"/a/{{id}}\"\nupstream = \"http://127.0.0.1:1\"\n{keys}"), expected);
}

/// The same for the keys of an upstream; they begin on line 3.
#[track_caller]
fn check_upstream(keys: &str, expected: &[&str]) {
    check(&format!("[upstreams.a]\nendpoints = [\"127.0.0.1:1\"]\n{keys}"), expected);
}
