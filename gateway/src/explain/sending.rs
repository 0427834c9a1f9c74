//! How a route sends a request on: the host, the edits of the query and of headers both ways, and what becomes of an
//! attempt that fails.

use std::time::Duration;

use http::{HeaderName, Method};
use serde::Serialize;

use crate::algorithms::breaker::{Policy, WHOLE};
use crate::config::settings::Route;
use crate::config::settings::header_edits::HeaderEdits;
use crate::config::settings::route::{HostPolicy, Retry};
use crate::config::settings::split::percent;
use crate::config::settings::upstream::{Breaker, Failures};
use crate::config::show_duration;

/// What a route says of the sending. Of values that headers are set to nothing is shown: they may be secrets.
#[derive(Debug, Default, Serialize)]
pub struct Sending {
    /// The `Host` that the upstream is sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Edits of the request's headers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_headers: Option<String>,
    /// Edits of the query.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_query: Option<String>,
    /// Edits of the answer's headers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_headers: Option<String>,
    /// When it is sent again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<String>,
    /// A breaker for the route alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub breaker: Option<String>,
    /// The longest silence in an answer's body, an event stream or a tunnel, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_timeout_ms: Option<u64>,
}

impl Sending {
    /// Of a request of this method. Where the gateway answers itself, or puts an answer together, there is nothing to
    /// be sent on.
    pub(super) fn of(route: &Route, method: &Method) -> Self {
        let response_headers = edits(&route.response_headers);
        if route.own_answer.is_some() || route.aggregate.is_some() {
            return Self { response_headers, ..Self::default() };
        }
        let host = match &route.host {
            HostPolicy::Client => "as the client asked for it".to_owned(),
            HostPolicy::Upstream => "the endpoint's address".to_owned(),
            HostPolicy::Fixed(host) => String::from_utf8_lossy(host.as_bytes()).into_owned(),
        };
        Self {
            host: Some(host),
            request_headers: edits(&route.request_headers),
            request_query: Some(route.request_query.to_string()).filter(|told| !told.is_empty()),
            response_headers,
            // What a batch sends is its own call, whatever its requests are.
            retry: Some(retry(&route.retry, route.batch.as_ref().map_or(method, |batch| &batch.method))),
            breaker: route.breaker.as_ref().map(breaker),
            idle_timeout_ms: route.idle_timeout.map(milliseconds),
        }
    }
}

/// A time as the answer gives it.
pub(super) fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// `sets x-a, x-b; adds via; removes server; without x-c of [defaults.route]`
fn edits(edits: &HeaderEdits) -> Option<String> {
    let names = |verb: &str, names: Vec<&str>| (!names.is_empty()).then(|| format!("{verb} {}", names.join(", ")));
    let set = names("sets", edits.names_set().map(HeaderName::as_str).collect());
    let added = names("adds", edits.names_added().map(HeaderName::as_str).collect());
    let removed = names("removes", edits.remove.iter().map(HeaderName::as_str).collect());
    let lost = (!edits.lost.is_empty()).then(|| format!("without {} of [defaults.route]", edits.lost.join(", ")));
    let told: Vec<String> = set.into_iter().chain(added).chain(removed).chain(lost).collect();
    (!told.is_empty()).then(|| told.join("; "))
}

fn retry(retry: &Retry, method: &Method) -> String {
    let (mut told, each) = if retry.attempts <= 1 {
        ("never: one attempt".to_owned(), "it has")
    } else {
        (format!("{} attempts at most, on {}", retry.attempts, ways(&retry.on)), "each")
    };
    if retry.attempts > 1 && !retry.methods.contains(method) {
        told.push_str("; this method only where nothing of it was sent");
    }
    if let Some(longest) = retry.per_try_timeout {
        told.push_str(&format!("; {each} {} at most", show_duration(longest)));
    }
    told
}

fn breaker(breaker: &Breaker) -> String {
    let policy = &breaker.policy;
    let share = |millionths: u32| percent(f64::from(millionths) / f64::from(WHOLE));
    let mut opens = Vec::new();
    if let Some(count) = policy.consecutive_failures {
        opens.push(format!("{count} failures in a row"));
    }
    if policy.min_requests < Policy::NEVER {
        opens.push(format!("{} of {} requests or more failed", share(policy.failure_share), policy.min_requests));
        if let Some((slow_share, slow_call)) = policy.slow_share.zip(breaker.slow_call) {
            opens.push(format!("{} of them took {}", share(slow_share), show_duration(slow_call)));
        }
    }
    if opens.is_empty() {
        return "the route's own, which nothing opens".to_owned();
    }
    format!("the route's own: opens on {} (failures: {})", opens.join(", or "), ways(&breaker.failures))
}

/// Ways to fail, as they are written.
fn ways(failures: &Failures) -> String {
    let named = [("connect", failures.connect), ("reset", failures.reset), ("timeout", failures.timeout)];
    let named = named.into_iter().filter(|(_, counts)| *counts).map(|(name, _)| name.to_owned());
    let statuses = failures.statuses.chunk_by(|one, next| one + 1 == *next).map(|run| match run {
        [first, _, _, _, .., last] => format!("{first} to {last}"),
        few => few.iter().map(u16::to_string).collect::<Vec<_>>().join(", "),
    });
    let all: Vec<String> = named.chain(statuses).collect();
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Purpose, load_text};

    fn told(keys: &str, method: &Method) -> Sending {
        let text = format!("[[routes]]\npath = '/{{*rest}}'\nupstream = 'http://127.0.0.1:1'\n{keys}\n");
        let loaded = load_text(&text, Path::new("a.toml"), Purpose::Check).unwrap();
        Sending::of(&loaded.config.routes[0], method)
    }

    #[test]
    fn what_is_not_written_is_told_as_it_holds() {
        let sending = told("", &Method::GET);
        assert_eq!(sending.host.as_deref(), Some("as the client asked for it"));
        assert_eq!(sending.retry.as_deref(), Some("2 attempts at most, on connect, reset, 502, 503, 504"));
        assert_eq!(sending.idle_timeout_ms, Some(60_000));
        assert_eq!((sending.request_headers, sending.response_headers, sending.breaker), (None, None, None));
        let posted = told("", &Method::POST).retry.unwrap();
        assert!(posted.ends_with("; this method only where nothing of it was sent"), "{posted}");
    }

    #[test]
    fn what_is_written_is_told() {
        let sending = told(
            "host = 'upstream'\nidle_timeout = '0s'\n\
             request_headers = { set = { x-key = 'secret' }, add = { via = '1.1 gw' }, remove = ['x-b', 'x-c'] }\n\
             response_headers = { remove = ['server'] }\n\
             retry = { attempts = 3, on = ['timeout', '429'], methods = ['POST'], per_try_timeout = '2s' }\n\
             breaker = { consecutive_failures = 4, min_requests = 8, failures = ['connect'] }",
            &Method::POST,
        );
        assert_eq!(sending.host.as_deref(), Some("the endpoint's address"));
        assert_eq!(sending.request_headers.as_deref(), Some("sets x-key; adds via; removes x-b, x-c"));
        assert_eq!(sending.response_headers.as_deref(), Some("removes server"));
        assert_eq!(sending.retry.as_deref(), Some("3 attempts at most, on timeout, 429; each 2s at most"));
        let opens = "opens on 4 failures in a row, or 50 % of 8 requests or more failed (failures: connect)";
        assert_eq!(sending.breaker.unwrap(), format!("the route's own: {opens}"));
        assert_eq!(sending.idle_timeout_ms, None);
        let fixed = told("host = 'shop.example'\nretry = { attempts = 1 }", &Method::GET);
        assert_eq!(fixed.host.as_deref(), Some("shop.example"));
        assert_eq!(fixed.retry.as_deref(), Some("never: one attempt"));
        let short = told("retry = { attempts = 1, per_try_timeout = '100ms' }", &Method::GET);
        assert_eq!(short.retry.as_deref(), Some("never: one attempt; it has 100ms at most"));
    }

    #[test]
    fn what_all_share_and_a_route_puts_away_is_told() {
        let text = "[defaults.route]\nresponse_headers.set = { x-a = '1', x-b = '2' }\n[[routes]]\npath = '/'\n\
                    upstream = 'http://127.0.0.1:1'\nresponse_headers.set = { x-b = '3' }\n";
        let loaded = load_text(text, Path::new("a.toml"), Purpose::Check).unwrap();
        let sending = Sending::of(&loaded.config.routes[0], &Method::GET);
        assert_eq!(sending.response_headers.as_deref(), Some("sets x-b; without x-a of [defaults.route]"));
    }

    #[test]
    fn what_the_gateway_answers_itself_is_not_sent_on() {
        let text = "[[routes]]\npath = '/'\nanswer = { status = 200 }\nresponse_headers = { set = { x-a = '1' } }\n";
        let loaded = load_text(text, Path::new("a.toml"), Purpose::Check).unwrap();
        let sending = Sending::of(&loaded.config.routes[0], &Method::GET);
        assert_eq!(sending.response_headers.as_deref(), Some("sets x-a"));
        assert_eq!((sending.host, sending.retry, sending.idle_timeout_ms), (None, None, None));
    }
}
