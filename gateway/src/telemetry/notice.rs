//! What the process says on standard error about itself: one JSON line an event with its time, or plain text where a
//! person has to act. Not on the request path. Events wait for nobody who reads them: a thread of its own writes them,
//! one for all gateways of the process.
//!
//! A gateway in a program that speaks for itself ([`Voice::Program`]) says nothing there. Most lines stand beside an
//! event, which such a program takes as that; the others are told to it as events of their own.

mod printer;

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use serde_json::{Value, json};

use self::printer::Printer;
use super::access_log::WriteFailure;
use super::timestamp::{rfc3339, write_rfc3339};
use super::told::Voice;
use crate::clock::Clock;
use crate::config::Problem;
use crate::reload::ReloadReport;
use crate::tls::expiry::Held;

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

/// A line beside an event: the program around the gateway has that.
fn beside_its_event(voice: &Voice, line: Value) {
    match voice {
        Voice::StandardError => event(line),
        Voice::Program(_) => {}
    }
}

/// A line that nothing else tells.
fn by_itself(voice: &Voice, mut line: Value) {
    match voice {
        Voice::StandardError => event(line),
        Voice::Program(None) => {}
        Voice::Program(Some(takes)) => {
            let kind = line.as_object_mut().and_then(|line| line.shift_remove("event"));
            takes.tell_of(kind.as_ref().and_then(Value::as_str).unwrap_or_default(), line);
        }
    }
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

/// Waits until all that was said on standard error is written, a second at most: before the process may end. Blocks.
pub fn flush() {
    if let Some(printer) = &*PRINTER {
        printer.flush(FLUSH);
    }
}

/// The gateway serves.
pub fn ready(voice: &Voice, listeners: &[SocketAddr], admin: Option<SocketAddr>) {
    let listeners: Vec<String> = listeners.iter().map(ToString::to_string).collect();
    let mut ready = json!({ "event": "ready", "listeners": listeners });
    if let Some(admin) = admin {
        ready["admin"] = admin.to_string().into();
    }
    by_itself(voice, ready);
}

/// Something that it needs is not there; `why` is one line with the remedy.
pub fn could_not_start(why: &str) {
    line(&format!("gateway: {why}"));
}

/// The configuration holds, but.
pub fn warning(voice: &Voice, problem: &Problem) {
    match voice {
        Voice::StandardError => line(&problem.to_string()),
        Voice::Program(None) => {}
        Voice::Program(Some(takes)) => takes.tell_of("warning", serde_json::to_value(problem).unwrap_or_default()),
    }
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
pub fn unknown_signal(voice: &Voice, name: &str) {
    by_itself(
        voice,
        json!({ "event": "signal", "signal": name, "detail": "says nothing here: docs/operating.md lists those that do" }),
    );
}

/// A reload, and what came of it.
pub fn reload(voice: &Voice, report: &ReloadReport) {
    let mut reload = json!({ "event": "reload" });
    if let (Value::Object(fields), Ok(Value::Object(told))) = (&mut reload, serde_json::to_value(report)) {
        fields.extend(told);
    }
    beside_its_event(voice, reload);
}

/// The admin API was asked to change something: these fields, behind the event's name.
pub fn admin_write(voice: &Voice, fields: Value) {
    let mut write = json!({ "event": "admin" });
    if let (Value::Object(write), Value::Object(fields)) = (&mut write, fields) {
        write.extend(fields);
    }
    beside_its_event(voice, write);
}

/// A drain has begun; `cause` is `signal` or `admin`.
pub fn draining(voice: &Voice, cause: &str) {
    beside_its_event(voice, json!({ "event": "drain", "cause": cause }));
}

/// A drain had to cut connections; `why` is `drain_timeout` or `second_signal`.
pub fn cut(voice: &Voice, why: &str, connections: usize) {
    by_itself(voice, json!({ "event": why, "connections_cut": connections }));
}

/// The process ends; `after` is `drain`, `drain_timeout` or `second_signal`. So many access records of its life were
/// never written. Waits until it is said, as [`flush`].
pub fn stopped(voice: &Voice, after: &str, records_lost: u64) {
    let mut stopped = json!({ "event": "stopped", "after": after });
    if records_lost > 0 {
        stopped["records_lost"] = records_lost.into();
    }
    by_itself(voice, stopped);
    if matches!(voice, Voice::StandardError) {
        flush();
    }
}

/// A service's document cannot be had, or can be again.
pub fn document(voice: &Voice, upstream: &str, path: &str, failed: Option<&str>) {
    begins_or_ends(voice, by_itself, json!({ "event": "document", "upstream": upstream, "path": path }), failed);
}

/// An upstream's name cannot be resolved, or can be again.
pub fn discovery(voice: &Voice, upstream: &str, failed: Option<&str>) {
    begins_or_ends(voice, beside_its_event, json!({ "event": "discovery", "upstream": upstream }), failed);
}

/// A provider's keys cannot be fetched, or can be again.
pub fn keys(voice: &Voice, provider: &str, failed: Option<&str>) {
    begins_or_ends(voice, beside_its_event, json!({ "event": "keys", "provider": provider }), failed);
}

/// A provider's keys are others than before: the names of those that came and of those that went.
pub fn keys_rotated(voice: &Voice, provider: &str, came: &[String], went: &[String]) {
    let line = json!({ "event": "keys", "provider": provider, "what": "rotate", "came": came, "went": went });
    beside_its_event(voice, line);
}

/// Keys of a provider's that has others than before are meant for signatures, and cannot be used: which, and why.
pub fn keys_left_out(voice: &Voice, provider: &str, left_out: &[String]) {
    beside_its_event(voice, json!({ "event": "keys", "provider": provider, "what": "left_out", "left_out": left_out }));
}

/// A provider's issuer is left alone as it does not say whether tokens hold, and why; or it does again.
pub fn issuer(voice: &Voice, provider: &str, failed: Option<&str>) {
    begins_or_ends(voice, beside_its_event, json!({ "event": "issuer", "provider": provider }), failed);
}

/// What fails now, and why; or does no more.
fn begins_or_ends(voice: &Voice, say: fn(&Voice, Value), mut told: Value, failed: Option<&str>) {
    told["failing"] = failed.is_some().into();
    if let Some(why) = failed {
        told["detail"] = why.into();
    }
    say(voice, told);
}

/// A folder of the configuration's files cannot be watched, so that they are looked at every few seconds; or it can be
/// again.
pub fn files(voice: &Voice, failed: Option<&str>) {
    begins_or_ends(voice, by_itself, json!({ "event": "files" }), failed);
}

/// The access log cannot be written, where and why; or it can be again.
pub fn access_log(voice: &Voice, failing: bool, write_failures: u64, last: Option<WriteFailure>) {
    let mut told = json!({ "event": "access_log", "failing": failing, "write_failures": write_failures });
    if let Some(WriteFailure { output, detail }) = last.filter(|_| failing) {
        told["output"] = output.into();
        told["detail"] = detail.into();
    }
    beside_its_event(voice, told);
}

/// The file of `--events` cannot be written, or not be opened anew, and why; or it can be again.
pub fn event_file(voice: &Voice, path: &Path, failed: Option<&str>) {
    let told = json!({ "event": "event_file", "output": path.display().to_string() });
    begins_or_ends(voice, by_itself, told, failed);
}

/// Records were dropped since this was told last, and so many since the start.
pub fn records_dropped(voice: &Voice, dropped: u64, in_all: u64) {
    by_itself(voice, json!({ "event": "access_log", "dropped": dropped, "dropped_in_all": in_all }));
}

/// A store that limits share does not answer, or does again; `reason` is what it last failed with.
pub fn store(voice: &Voice, name: &str, degraded: bool, reason: Option<&str>) {
    let mut told = json!({ "event": "store", "store": name, "mode": if degraded { "degraded" } else { "healed" } });
    if let Some(reason) = reason.filter(|_| degraded) {
        told["reason"] = reason.into();
    }
    beside_its_event(voice, told);
}

/// A collector does not take spans, and why; or it does again.
pub fn tracing(voice: &Voice, failed: Option<&str>) {
    begins_or_ends(voice, beside_its_event, json!({ "event": "tracing" }), failed);
}

/// An upstream is down or back, an endpoint's checks have come to another verdict, or it takes requests though it
/// should not: the line without its time.
pub fn upstream(line: Value) {
    event(line);
}

/// What happens beside requests has panicked, with these words; it begins again.
pub(crate) fn panicked(voice: &Voice, task: &str, why: &str) {
    by_itself(voice, json!({ "event": "panic", "task": task, "detail": why }));
}

/// The system's clock was set, by so much.
pub fn clock(voice: &Voice, stepped_ms: i64) {
    beside_its_event(voice, json!({ "event": "clock", "stepped_ms": stepped_ms }));
}

/// A certificate of a listener, or a list of revoked ones, ends soon, or has ended: so many seconds are left.
pub fn ends(voice: &Voice, held: &Held, left: i64) {
    let Held { what, listener, names, ends_unix, .. } = held;
    let ends = rfc3339(ends_unix.saturating_mul(1_000_000));
    let (what, listener, names) = (what.as_str(), &**listener, &**names);
    let line = json!({ "event": "tls", "listener": listener, what: names, "ends": ends, "expires_in": left.max(0) });
    beside_its_event(voice, line);
}

/// A listener's certificates could not be put in force; those before stay, and without any it closes connections.
pub fn tls_not_applied(voice: &Voice, listener: SocketAddr, why: &str) {
    by_itself(voice, json!({ "event": "tls", "listener": listener.to_string(), "applied": false, "detail": why }));
}
