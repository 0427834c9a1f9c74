//! `[upstreams.*]`.

use std::collections::HashSet;

use crate::config::check::{Context, Reader};
use crate::config::problem::quoted;
use crate::config::settings::upstream::GRPC_CHECK;
use crate::config::tree::Value;

/// Endpoints are written or discovered, not both.
pub(crate) fn one_source(context: &mut Context<'_>, upstream: &Reader<'_>) {
    // A URL is its own endpoint.
    if !upstream.is_written() {
        return;
    }
    match (upstream.get("endpoints"), upstream.get("discovery")) {
        (None, None) => {
            let help = "endpoints = [\"127.0.0.1:9001\"]";
            context.report.error_with(upstream.at, "an upstream needs `endpoints` or `discovery`", help);
        }
        (Some(_), Some(discovery)) => {
            context.report.error(discovery.at, "an upstream has `endpoints` or `discovery`, not both");
        }
        _ => {}
    }
}

/// Each address once, and one at least that gets requests and is no backup.
pub(crate) fn distinct_endpoints(context: &mut Context<'_>, upstream: &Reader<'_>) {
    let mut seen = HashSet::new();
    // Whether anybody gets requests, and anybody who is no backup.
    let (mut any_weight, mut any_primary) = (false, false);
    for node in upstream.nodes("endpoints") {
        let address = node.table().map_or(Some(node), |table| table.get("address"));
        let Some(address) = address else { return };
        let said = |key: &str| node.table().and_then(|table| table.get(key)).map(|said| &said.value);
        let has_weight = !matches!(said("weight"), Some(Value::Integer(0)));
        any_weight |= has_weight;
        any_primary |= has_weight && !matches!(said("backup"), Some(Value::Bool(true)));
        let Some(text) = address.text() else { return };
        if !seen.insert(text.to_ascii_lowercase()) {
            context.report.error(address.at, format!("the endpoint {} is there twice", quoted(address.shown())));
        }
    }
    if !seen.is_empty() && !any_weight {
        context.report.error(upstream.at("endpoints"), "every endpoint has weight 0");
    } else if !seen.is_empty() && !any_primary {
        let help = "leave `backup` out of one: backups stand behind endpoints that are none, and have a weight";
        context.report.error_with(upstream.at("endpoints"), "every endpoint that gets requests is a backup", help);
    }
}

/// Keys of the hash ring do nothing for other policies.
pub(crate) fn hash_keys_need_hash(context: &mut Context<'_>, balance: &Reader<'_>) {
    if balance.text("policy") == "consistent_hash" {
        if balance.get("key").is_none() {
            let help = "key = \"client_ip\", \"path\", \"header:NAME\" or \"cookie:NAME\"";
            context.report.error_with(balance.at, "consistent_hash needs a `key`", help);
        }
        return;
    }
    for key in ["key", "bound", "bound_min"] {
        if let Some(node) = balance.get(key) {
            context.report.error(node.at, format!("`{key}` is for the policy consistent_hash"));
        }
    }
}

/// The short form of consistent_hash has no room for its key.
pub(crate) fn short_form_has_no_key(context: &mut Context<'_>, upstream: &Reader<'_>) {
    let Some(node) = upstream.get("balance") else { return };
    if node.text() == Some("custom") {
        let help = "balance = { policy = \"custom\", name = \"NAME\" }";
        context.report.error_with(node.at, "custom needs the `name` of what is registered in code", help);
    }
    if node.text() == Some("consistent_hash") {
        let help = "balance = { policy = \"consistent_hash\", key = \"header:x-user\" }";
        context.report.error_with(node.at, "consistent_hash needs a `key`", help);
    }
}

/// What is asked by gRPC's own check speaks gRPC, which HTTP/1 cannot carry.
pub(crate) fn grpc_checks_need_http2(context: &mut Context<'_>, upstream: &Reader<'_>) {
    let health = upstream.table("health");
    let asks_grpc = health.text("path").split('?').next() == Some(GRPC_CHECK);
    if asks_grpc && upstream.text("protocol") != "http2" {
        let why = "the health check of gRPC needs an upstream that speaks HTTP/2";
        context.report.error_with(health.at("path"), why, "protocol = \"http2\"");
    }
    if let Some(status) = health.own("status").filter(|_| asks_grpc) {
        let help = "leave `status` out: gRPC says in its own words whether it serves";
        context.report.error_with(status.at, "`status` is for checks that are a GET", help);
    }
}

/// Of two times, the first is no longer than the other, which bounds it.
pub(super) fn in_order(context: &mut Context<'_>, table: &Reader<'_>, [first, longest]: [&'static str; 2]) {
    if table.duration(first) > table.duration(longest) {
        context.report.error(table.at_own([first, longest]), format!("{first} is above {longest}"));
    }
}

/// The first opening is no longer than the longest.
pub(crate) fn breaker_order(context: &mut Context<'_>, breaker: &Reader<'_>) {
    in_order(context, breaker, ["open_for", "max_open_for"]);
}

/// The secret is one, and the path is one that a cookie can have.
pub(crate) fn affinity(context: &mut Context<'_>, affinity: &Reader<'_>) {
    const SHORTEST: usize = 16;
    let secret = affinity.get("key_env").and_then(|node| Some((node, context.environment.get(node.text()?)?)));
    if let Some((node, _)) = secret.filter(|(_, secret)| secret.len() < SHORTEST) {
        let message = format!("the secret in {} has less than {SHORTEST} characters", quoted(node.shown()));
        context.report.error_with(node.at, message, "make one: `openssl rand -base64 32`");
    }
    if affinity.text("path").contains(';') {
        context.report.error(affinity.at("path"), "a cookie's path has no semicolon");
    }
}
