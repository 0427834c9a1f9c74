//! What the process says on standard error about itself: one JSON line an event with its time, or plain text where a
//! person has to act. Not on the request path. Events wait for nobody who reads them: a thread of its own writes them,
//! one for all gateways of the process.

mod printer;

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::Duration;

use serde_json::{Value, json};

use self::printer::Printer;
use super::access_log::WriteFailure;
use super::timestamp::{rfc3339, write_rfc3339};
use crate::clock::Clock;
use crate::config::Problem;
use crate::reload::ReloadReport;
use crate::tls::expiry::Certificate;

/// The longest that the last lines are waited for.
const FLUSH: Duration = Duration::from_secs(1);

/// None where the system gives no thread for it.
static PRINTER: LazyLock<Option<Printer>> = LazyLock::new(|| Printer::start(std::io::stderr()).ok());

/// Text for a person at the start, while nothing is served: written where it is said, behind the events before it.
fn line(text: &str) {
    flush();
    write_now(&format!("{text}\n"));
}

fn write_now(line: &str) {
    // Nobody is left to be told that standard error is gone.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// An event, the time added as its last field.
fn event(mut event: Value) {
    let clock = Clock::system();
    let mut ts = Vec::new();
    write_rfc3339(&mut ts, clock.unix_us(clock.now()));
    let mut line = move |lost: u64| {
        if lost > 0 {
            event["lines_lost"] = lost.into();
        }
        event["ts"] = String::from_utf8_lossy(&ts).into();
        format!("{event}\n")
    };
    match &*PRINTER {
        Some(printer) => printer.say(line),
        None => write_now(&line(0)),
    }
}

/// Waits until all that was said is written, a second at most: before the process may end. Blocks.
pub fn flush() {
    if let Some(printer) = &*PRINTER {
        printer.flush(FLUSH);
    }
}

/// The gateway serves.
pub fn ready(listeners: &[SocketAddr], admin: Option<SocketAddr>) {
    let listeners: Vec<String> = listeners.iter().map(ToString::to_string).collect();
    let mut ready = json!({ "event": "ready", "listeners": listeners });
    if let Some(admin) = admin {
        ready["admin"] = admin.to_string().into();
    }
    event(ready);
}

/// Something that it needs is not there; `why` is one line with the remedy.
pub fn could_not_start(why: &str) {
    line(&format!("gateway: {why}"));
}

/// The configuration holds, but.
pub fn warning(problem: &Problem) {
    line(&problem.to_string());
}

/// The process may have fewer file descriptors than clients, and the connections that serve them, may take.
pub fn few_descriptors(most: u64, max_connections: usize) {
    let detail = format!(
        "{most} file descriptors, and [server] max_connections = {max_connections}: a request takes two; \
         raise `ulimit -n` (systemd: LimitNOFILE) to twice as many, or lower max_connections"
    );
    event(json!({ "event": "descriptors", "limit": most, "max_connections": max_connections, "detail": detail }));
}

/// A signal that says nothing to the gateway.
pub fn unknown_signal(name: &str) {
    event(
        json!({ "event": "signal", "signal": name, "detail": "says nothing here: docs/operating.md lists those that do" }),
    );
}

/// A reload, and what came of it.
pub fn reload(report: &ReloadReport) {
    let mut reload = json!({ "event": "reload" });
    if let (Value::Object(fields), Ok(Value::Object(told))) = (&mut reload, serde_json::to_value(report)) {
        fields.extend(told);
    }
    event(reload);
}

/// The admin API was asked to change something: these fields, behind the event's name.
pub fn admin_write(fields: Value) {
    let mut write = json!({ "event": "admin" });
    if let (Value::Object(write), Value::Object(fields)) = (&mut write, fields) {
        write.extend(fields);
    }
    event(write);
}

/// A drain has begun; `cause` is `signal` or `admin`.
pub fn draining(cause: &str) {
    event(json!({ "event": "drain", "cause": cause }));
}

/// A drain had to cut connections; `why` is `drain_timeout` or `second_signal`.
pub fn cut(why: &str, connections: usize) {
    event(json!({ "event": why, "connections_cut": connections }));
}

/// The process ends; `after` is `drain`, `drain_timeout` or `second_signal`. So many access records of its life were
/// never written. Waits until it is said, as [`flush`].
pub fn stopped(after: &str, records_lost: u64) {
    let mut stopped = json!({ "event": "stopped", "after": after });
    if records_lost > 0 {
        stopped["records_lost"] = records_lost.into();
    }
    event(stopped);
    flush();
}

/// A service's document cannot be had, or can be again.
pub fn document(upstream: &str, path: &str, failed: Option<&str>) {
    begins_or_ends(json!({ "event": "document", "upstream": upstream, "path": path }), failed);
}

/// An upstream's name cannot be resolved, or can be again.
pub fn discovery(upstream: &str, failed: Option<&str>) {
    begins_or_ends(json!({ "event": "discovery", "upstream": upstream }), failed);
}

/// A provider's keys cannot be fetched, or can be again.
pub fn keys(provider: &str, failed: Option<&str>) {
    begins_or_ends(json!({ "event": "keys", "provider": provider }), failed);
}

/// A provider's keys are others than before: the names of those that came and of those that went.
pub fn keys_rotated(provider: &str, came: &[String], went: &[String]) {
    event(json!({ "event": "keys", "provider": provider, "what": "rotate", "came": came, "went": went }));
}

/// A provider's issuer is left alone as it does not say whether tokens hold, and why; or it does again.
pub fn issuer(provider: &str, failed: Option<&str>) {
    begins_or_ends(json!({ "event": "issuer", "provider": provider }), failed);
}

/// What fails now, and why; or does no more.
fn begins_or_ends(mut told: Value, failed: Option<&str>) {
    told["failing"] = failed.is_some().into();
    if let Some(why) = failed {
        told["detail"] = why.into();
    }
    event(told);
}

/// A folder of the configuration's files cannot be watched, so that they are looked at every few seconds; or it can be
/// again.
pub fn files(failed: Option<&str>) {
    begins_or_ends(json!({ "event": "files" }), failed);
}

/// The access log cannot be written, where and why; or it can be again.
pub fn access_log(failing: bool, write_failures: u64, last: Option<WriteFailure>) {
    let mut told = json!({ "event": "access_log", "failing": failing, "write_failures": write_failures });
    if let Some(WriteFailure { output, detail }) = last.filter(|_| failing) {
        told["output"] = output.into();
        told["detail"] = detail.into();
    }
    event(told);
}

/// Records were dropped since this was told last, and so many since the start.
pub fn records_dropped(dropped: u64, in_all: u64) {
    event(json!({ "event": "access_log", "dropped": dropped, "dropped_in_all": in_all }));
}

/// A store that limits share does not answer, or does again; `reason` is what it last failed with.
pub fn store(name: &str, degraded: bool, reason: Option<&str>) {
    let mut told = json!({ "event": "store", "store": name, "mode": if degraded { "degraded" } else { "healed" } });
    if let Some(reason) = reason.filter(|_| degraded) {
        told["reason"] = reason.into();
    }
    event(told);
}

/// A collector does not take spans, and why; or it does again.
pub fn tracing(failed: Option<&str>) {
    begins_or_ends(json!({ "event": "tracing" }), failed);
}

/// An upstream is down or back, an endpoint's checks have come to another verdict, or it takes requests though it
/// should not: the line without its time.
pub fn upstream(line: Value) {
    event(line);
}

/// The system's clock was set, by so much.
pub fn clock(stepped_ms: i64) {
    event(json!({ "event": "clock", "stepped_ms": stepped_ms }));
}

/// A certificate of a listener ends soon, or has ended: so many seconds are left.
pub fn certificate(certificate: &Certificate, left: i64) {
    let Certificate { listener, names, ends_unix } = certificate;
    let ends = rfc3339(ends_unix.saturating_mul(1_000_000));
    let (listener, names) = (&**listener, &**names);
    event(
        json!({ "event": "tls", "listener": listener, "certificate": names, "ends": ends, "expires_in": left.max(0) }),
    );
}

/// A listener's certificates could not be put in force; those before stay, and without any it closes connections.
pub fn tls_not_applied(listener: SocketAddr, why: &str) {
    event(json!({ "event": "tls", "listener": listener.to_string(), "applied": false, "detail": why }));
}
