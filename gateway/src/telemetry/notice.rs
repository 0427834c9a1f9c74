//! What the process says on standard error about itself: one JSON line an event, or plain text where a person has to
//! act. Not on the request path.

use std::io::Write as _;
use std::net::SocketAddr;

use serde_json::json;

use crate::config::{LoadError, Problem};
use crate::reload::ReloadReport;

fn line(text: &str) {
    // Nobody is left to be told that standard error is gone.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// The gateway serves.
pub fn ready(listeners: &[SocketAddr], admin: Option<SocketAddr>) {
    let listeners: Vec<String> = listeners.iter().map(ToString::to_string).collect();
    let mut event = json!({ "event": "ready", "listeners": listeners });
    if let Some(admin) = admin {
        event["admin"] = admin.to_string().into();
    }
    line(&event.to_string());
}

/// The file is refused, or cannot be read.
pub fn config_refused(error: &LoadError) {
    match error {
        LoadError::Invalid(problems) => line(&problems.render(false)),
        other => line(&format!("gateway: {other}")),
    }
}

/// Something that it needs is not there; `why` is one line with the remedy.
pub fn could_not_start(why: &str) {
    line(&format!("gateway: {why}"));
}

/// The configuration holds, but.
pub fn warning(problem: &Problem) {
    line(&problem.to_string());
}

/// A reload, and what came of it.
pub fn reload(report: &ReloadReport) {
    let mut event = serde_json::to_value(report).unwrap_or_default();
    event["event"] = "reload".into();
    line(&event.to_string());
}

/// A drain has begun.
pub fn draining() {
    line(&json!({ "event": "drain" }).to_string());
}

/// A drain ran out of time.
pub fn cut(connections: usize) {
    line(&json!({ "event": "drain_timeout", "connections_cut": connections }).to_string());
}
