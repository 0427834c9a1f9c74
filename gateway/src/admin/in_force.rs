//! `GET /config`: the configuration in force, every key of it with what holds, and without secrets.

use std::path::Path;
use std::sync::Arc;

use axum::Json;
use axum::extract::State as Shared;
use serde_json::{Value, json};
use tokio::runtime::Handle;

use super::State;
use super::view::{millis, route_list, upstreams_tls};
use crate::config::Config;
use crate::config::settings::target::NOT_SHOWN;
use crate::config::settings::telemetry::LogOutput;
use crate::diff::masked;
use crate::network::Network;

/// The configuration in force, secrets left out. What is here beside `effective` was here before it.
pub(super) async fn config<N: Network>(Shared(state): Shared<Arc<State<N>>>) -> Json<Value> {
    let snapshot = state.gateway.snapshot();
    let effective = effective(&snapshot.config, state.serves.is_some()).await;
    let server = &snapshot.config.server;
    // What is not looked at, as a program mounts the gateway, is not in force.
    let listeners = snapshot.config.listeners.iter().filter(|_| state.serves.is_some());
    let listeners: Vec<String> = listeners.map(|l| l.address.to_string()).collect();
    Json(json!({
        "version": snapshot.version,
        // A text of a program's may be in force, beside a file that is read when somebody asks.
        "file": snapshot.config.written.files().next().map(shown),
        "included": snapshot.config.written.files().skip(1).map(shown).collect::<Vec<_>>(),
        "needs_restart": state.reloader.needs_restart(),
        "server": {
            "workers": server.workers,
            "trusted_proxies": server.trusted_proxies.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "max_connections": server.max_connections,
            "max_connections_per_ip": server.max_connections_per_ip,
            "drain_timeout_ms": millis(server.drain_timeout),
            "drain_delay_ms": millis(server.drain_delay),
            "header_read_timeout_ms": millis(server.header_read_timeout),
            "idle_timeout_ms": millis(server.idle_timeout),
            "max_header_bytes": server.max_header_bytes,
            "max_headers": server.max_headers,
            "max_uri_bytes": server.max_uri_bytes,
            "max_body": server.max_body,
            "max_in_flight": server.max_in_flight,
            "shed_above_rss": server.shed_above_rss,
            "body_idle_timeout_ms": millis(server.body_idle_timeout),
            "body_total_timeout_ms": server.body_total_timeout.map(millis),
        },
        "listeners": listeners,
        "admin": snapshot.config.admin.as_ref().filter(|_| state.serves.is_some()).map(|admin| json!({
            "address": admin.address.to_string(),
            "token": admin.token.as_ref().map(|_| "(set)"),
        })),
        "routes": route_list(&snapshot),
        "upstreams": snapshot.config.upstreams.iter().map(|upstream| upstream.name.to_string()).collect::<Vec<_>>(),
        "upstreams_tls": upstreams_tls(&snapshot.config),
        "effective": effective,
    }))
}

/// What the configuration comes to, read anew from the texts that it was read from: off the loop, as there may be
/// thousands of routes.
async fn effective(config: &Arc<Config>, serves: bool) -> Value {
    let kept = Arc::clone(config);
    let tell = move || told(&kept, serves);
    match Handle::try_current() {
        Ok(runtime) => runtime.spawn_blocking(tell).await.unwrap_or_default(),
        // A program may drive the router by itself.
        Err(_) => tell(),
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn told(config: &Config, serves: bool) -> Value {
    let mut effective = masked(&config.written.effective());
    hide_written(&mut effective);
    if let (false, Some(all)) = (serves, effective.as_object_mut()) {
        // The program around the gateway listens, has its own admin address, and hears of records.
        all.retain(|key, _| !matches!(key.as_str(), "listeners" | "admin"));
        if config.telemetry.access_log.output == LogOutput::Off {
            all["telemetry"]["access_log"]["output"] = "off".into();
        }
    }
    effective
}

/// Hides what upstreams are sent of a file's own: whatever a header is called, it may be what they know the gateway by.
fn hide_written(value: &mut Value) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(hide_written),
        Value::Object(table) => {
            for (name, inner) in table.iter_mut() {
                if matches!(name.as_str(), "request_headers" | "request_query") {
                    hide_edits(inner);
                }
                // Also within these: it may be a route that is called so.
                hide_written(inner);
            }
        }
        _ => {}
    }
}

fn hide_edits(edits: &mut Value) {
    let Some(edits) = edits.as_object_mut() else { return };
    for key in ["set", "add"] {
        let Some(written) = edits.get_mut(key).and_then(Value::as_object_mut) else { continue };
        for value in written.values_mut().filter(|value| value.as_str().is_some_and(|text| !is_a_name(text))) {
            *value = NOT_SHOWN.into();
        }
    }
}

/// Whether a value is no more than the name of what stands there: `{client_ip}`, `${NAME}`, or nothing.
fn is_a_name(text: &str) -> bool {
    let inner = text.strip_prefix('$').unwrap_or(text).strip_prefix('{').and_then(|text| text.strip_suffix('}'));
    text.is_empty() || inner.is_some_and(|inner| !inner.contains(['{', '}']) && !inner.contains(":-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_upstreams_are_sent_is_shown_by_names_alone() {
        let set = json!({ "a": "{client_ip}", "b": "${KEY}", "c": "", "d": "s3cret", "e": "{id}s3cret{id}", "f": "${KEY:-s3cret}" });
        let called_so = json!({ "request_headers": { "set": { "a": "s3cret" } }, "path": "/" });
        let mut all = json!({
            "routes": { "request_headers": called_so, "r": { "request_headers": { "set": set, "remove": ["x"] }, "response_headers": { "set": { "x": "y" } } } },
            "aggregates": { "a": { "parts": [{ "request_query": { "add": { "v": "s3cret" } } }] } },
            "telemetry": { "access_log": { "request_headers": ["user-agent"] } },
        });
        hide_written(&mut all);
        assert!(!all.to_string().contains("s3cret"), "{all}");
        let edits = &all["routes"]["r"]["request_headers"];
        assert_eq!(
            (&edits["set"]["a"], &edits["set"]["b"], &edits["set"]["c"]),
            (&json!("{client_ip}"), &json!("${KEY}"), &json!(""))
        );
        assert_eq!(
            (&edits["remove"], &all["routes"]["r"]["response_headers"]["set"]["x"]),
            (&json!(["x"]), &json!("y"))
        );
        assert_eq!(all["telemetry"]["access_log"]["request_headers"], json!(["user-agent"]));
    }
}
