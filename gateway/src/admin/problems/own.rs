//! What is wrong with what the gateway works with: stores, keys, issuers, the collector, its log, certificates, lists
//! of revoked ones, its configuration, and what it turns away for its own sake.

use std::sync::Arc;

use super::board::{Feels, Problem, Rising, Severity};
use super::upstreams::ns;
use crate::admin::drain::Progress;
use crate::clock::Clock;
use crate::config;
use crate::network::Network;
use crate::reload::ReloadReport;
use crate::shard::Shared;
use crate::store::Store;
use crate::telemetry::access_log::AccessLog;
use crate::telemetry::events::Events;
use crate::telemetry::metrics::ShedReason;
use crate::tls::expiry::What;

/// A log that failed so lately fails still, nanoseconds: it is written each moment, and tried again every two seconds.
const STILL_FAILING: i64 = 5_000_000_000;
/// Records that were dropped so lately are a problem of now.
const STILL_DROPPING: i64 = 60_000_000_000;

/// What is known of the log only by looking again.
#[derive(Debug, Default)]
pub(super) struct LogWatch {
    failures: Rising,
    dropped: Rising,
}

pub(super) fn of_store(store: &Store, clock: &Clock) -> Option<Problem> {
    let since = store.health.down_since()?;
    let why = store.health.last_failure().map_or_else(|| "it does not answer".to_owned(), |(_, reason)| reason);
    Some(Problem {
        what: "store",
        name: store.settings.name.to_string(),
        severity: Severity::Bad,
        since: Some(ns(clock.monotonic_ns(since))),
        why: format!("{}: {why}", store.settings.servers),
        feels: Feels::Store(Arc::clone(&store.settings.name)),
        remedy: "look at the store: limits do meanwhile what their `on_store_failure` says",
    })
}

pub(super) fn of_identity<N: Network>(shared: &Shared<N>, found: &mut Vec<Problem>) {
    for failing in shared.identity.failing() {
        let (what, remedy) = if failing.is_issuer {
            ("issuer", "look at the issuer: until it answers, only tokens that are remembered are believed")
        } else if failing.has_keys {
            ("keys", "look at the server of the keys: those that were fetched are used on for a while")
        } else {
            ("keys", "look at the server of the keys: until they are there, no token of this provider is believed")
        };
        found.push(Problem {
            what,
            name: failing.provider.to_string(),
            severity: if !failing.is_issuer && failing.has_keys { Severity::Warn } else { Severity::Bad },
            since: None,
            why: failing.why,
            feels: Feels::Provider(failing.provider),
            remedy,
        });
    }
}

pub(super) fn of_tracing<N: Network>(shared: &Shared<N>) -> Option<Problem> {
    let (since, why) = shared.tracer.failing()?;
    Some(Problem {
        what: "tracing",
        name: "collector".to_owned(),
        severity: Severity::Warn,
        since: Some(ns(shared.clock.monotonic_ns(since))),
        why,
        feels: Feels::Nobody,
        remedy: "look at the collector: no request waits for it, and spans that it does not take are lost",
    })
}

pub(super) fn of_log(log: &AccessLog, watch: &mut LogWatch, now: i64, found: &mut Vec<Problem>) {
    let last = log.last_failure();
    let output = last.as_ref().map_or_else(|| "access log".to_owned(), |last| last.output.clone());
    // A record that was written between two tries heals nothing.
    if watch.failures.look(log.write_failures(), STILL_FAILING, now) || log.is_failing() {
        found.push(Problem {
            what: "access_log",
            name: output.clone(),
            severity: Severity::Bad,
            since: None,
            why: last.map_or_else(|| "it cannot be written".to_owned(), |last| last.detail),
            feels: Feels::Nobody,
            remedy: "make room, or let it be written: what waits is written then, and beyond the queue it is dropped",
        });
    }
    if watch.dropped.look(log.dropped(), STILL_DROPPING, now) {
        found.push(Problem {
            what: "access_log_drops",
            name: output,
            severity: Severity::Bad,
            since: None,
            why: "its queue is full".to_owned(),
            feels: Feels::Nobody,
            remedy: "what reads or holds the log is too slow: a faster disk, or fewer records by `sample`",
        });
    }
}

/// The file that `--events` names.
pub(super) fn of_event_file(events: &Events) -> Option<Problem> {
    let (path, why) = events.file_fails()?;
    Some(Problem {
        what: "event_file",
        name: path.display().to_string(),
        severity: Severity::Warn,
        since: None,
        why,
        feels: Feels::Nobody,
        remedy: "make room, or let it be written: events that it does not take are counted there, and no more",
    })
}

/// When it was by the monotonic clock, of a time of day in seconds.
fn monotonic((now, unix_us): (i64, i64), at_unix: i64) -> i64 {
    now.saturating_add(at_unix.saturating_mul(1_000_000).saturating_sub(unix_us).saturating_mul(1_000))
}

pub(super) fn of_certificates<N: Network>(shared: &Shared<N>, now: (i64, i64), found: &mut Vec<Problem>) {
    let now_unix = now.1.div_euclid(1_000_000);
    for held in shared.tls.held() {
        let Some((began, is_urgent)) = held.ending(now_unix) else { continue };
        found.push(Problem {
            what: held.what.as_str(),
            name: format!("{} at {}", held.names, held.listener),
            severity: if is_urgent { Severity::Bad } else { Severity::Warn },
            since: Some(monotonic(now, began)),
            why: held.in_words(now_unix),
            feels: Feels::All,
            remedy: match held.what {
                What::Certificate => {
                    "put a new one into its file: it is in force at once, and no connection ends by that"
                }
                What::RevocationList => "put its issuer's next list into its file: it is in force at once",
            },
        });
    }
}

pub(super) fn of_reload(refused: Option<&ReloadReport>, file: &str, now: (i64, i64)) -> Option<Problem> {
    let refused = refused?;
    // What is only perhaps not meant was no reason to refuse it.
    let mut errors = refused.problems.iter().filter(|problem| problem.severity == config::Severity::Error);
    let first = errors.next().map(|first| {
        let more = errors.count();
        let more = if more > 0 { format!(", and {more} more") } else { String::new() };
        let help = first.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
        format!("{}:{}:{}: {}{help}{more}", first.file.display(), first.line, first.column, first.message)
    });
    Some(Problem {
        what: "reload",
        name: file.to_owned(),
        severity: Severity::Bad,
        since: Some(monotonic(now, refused.at_unix)),
        why: refused.error.clone().or(first).unwrap_or_default(),
        feels: Feels::Nobody,
        remedy: "mend the file: what was in force before stays so until then",
    })
}

/// What is configured and not in force, since a reload cannot put it there.
pub(super) fn of_restart(needed: &[&'static str]) -> Option<Problem> {
    (!needed.is_empty()).then(|| Problem {
        what: "restart",
        name: needed.join(", "),
        severity: Severity::Warn,
        since: None,
        why: "what the file says of it is in force only after a restart".to_owned(),
        feels: Feels::Nobody,
        remedy: "start the gateway anew, or take the change back",
    })
}

pub(super) fn of_drain(progress: &Progress, clock: &Clock) -> Problem {
    Problem {
        what: "drain",
        name: "this gateway".to_owned(),
        severity: Severity::Warn,
        since: Some(ns(clock.monotonic_ns(progress.since()))),
        why: progress.in_words(),
        feels: Feels::Nobody,
        remedy: if progress.is_of_program() {
            "look at what it waits for: GET /status, `drain`; the program around the gateway ends when it thinks fit"
        } else {
            "wait, or look at what it waits for: GET /status, `drain`; a second SIGTERM cuts it at once"
        },
    }
}

/// What is turned away is not turned away to protect the gateway: it is a route that has its fill, or one client.
fn of_some_clients(reason: ShedReason) -> Option<Problem> {
    let (why, remedy) = match reason {
        ShedReason::RouteInFlight => (
            "requests of a route beyond its `max_in_flight` are turned away",
            "GET /limits, `in_flight`, says of which: raise its `max_in_flight`, or look at what holds its places",
        ),
        ShedReason::ConnectionsPerIp | ShedReason::Http2Flood => (
            "a client is turned away that takes too much",
            "GET /events says who: nothing is to be done, unless it is a proxy that is missing in `trusted_proxies`",
        ),
        _ => return None,
    };
    Some(Problem {
        what: "overload",
        name: reason.as_str().to_owned(),
        severity: Severity::Warn,
        since: None,
        why: why.to_owned(),
        feels: Feels::Nobody,
        remedy,
    })
}

pub(super) fn of_overload<N: Network>(shared: &Shared<N>, found: &mut Vec<Problem>) {
    for (reason, _) in shared.episodes.there() {
        // Who drains knows it.
        if reason == ShedReason::Draining {
            continue;
        }
        if let Some(problem) = of_some_clients(reason) {
            found.push(problem);
            continue;
        }
        let is_short = reason == ShedReason::Sockets;
        found.push(Problem {
            what: if is_short { "descriptors" } else { "overload" },
            name: reason.as_str().to_owned(),
            severity: Severity::Bad,
            since: None,
            why: if is_short {
                "the machine gives no socket for connections: descriptors or memory are short".to_owned()
            } else {
                "requests or connections are turned away to protect the gateway".to_owned()
            },
            feels: Feels::All,
            remedy: if is_short {
                "raise the limit of open files (ulimit -n, LimitNOFILE), or lower `max_connections` of [server]"
            } else {
                "more gateways, or a higher limit in [server] where the machine has room: GET /status, `overload`"
            },
        });
    }
}
