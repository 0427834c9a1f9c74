//! How far a drain is: since when it lasts, until when at most, and what it waits for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::State;
use crate::clock::Clock;
use crate::network::Network;
use crate::roll_call::{Present, RollCall, Times};
use crate::telemetry::timestamp::rfc3339;

/// Requests that are shown; more are counted.
const MOST_SHOWN: usize = 50;
/// Routes that one sentence names.
const MOST_NAMED: usize = 5;

/// A drain at a moment.
#[derive(Debug)]
pub(super) struct Progress {
    times: Times,
    now: Instant,
    /// `None` where they are the program's around the gateway.
    connections: Option<usize>,
    /// Requests that have said that they are there, the oldest first, with calls on their behalf.
    present: Vec<Arc<Present>>,
    /// Connections are told to close: before, requests are not asked whether they are there.
    is_closing: bool,
    /// What each endpoint has in flight: the upstream's name, the address.
    endpoints: Vec<(Arc<str>, Arc<str>, u32)>,
}

/// How far the drain is, where one has begun.
pub(super) fn progress<N: Network>(state: &State<N>) -> Option<Progress> {
    let shared = state.gateway.shared();
    let times = shared.roll_call.drain()?;
    let mut endpoints = Vec::new();
    for upstream in state.gateway.upstreams() {
        for endpoint in &upstream.active().endpoints {
            let in_flight = endpoint.in_flight.count();
            if in_flight > 0 {
                endpoints.push((Arc::clone(&upstream.name), Arc::clone(&endpoint.address), in_flight));
            }
        }
    }
    Some(Progress {
        times,
        now: shared.clock.now(),
        connections: connections(state),
        present: shared.roll_call.look(),
        is_closing: shared.roll_call.is_on(),
        endpoints,
    })
}

/// The connections of clients that are open; `None` where they are those of the program around the gateway.
pub(super) fn connections<N: Network>(state: &State<N>) -> Option<usize> {
    state.serves.as_ref().map(|serves| serves.connections.open())
}

impl Progress {
    /// The connections of clients that were open then, where the gateway has them.
    pub(super) fn connections(&self) -> Option<usize> {
        self.connections
    }

    /// When it began.
    pub(super) fn since(&self) -> Instant {
        self.times.since
    }

    /// Whether connections are those of the program around the gateway, which also says when it ends.
    pub(super) fn is_of_program(&self) -> bool {
        self.connections.is_none()
    }

    /// As JSON.
    pub(super) fn told(&self, clock: &Clock) -> Value {
        let day = |at: Instant| rfc3339(clock.unix_us(at));
        let route = |(route, counted): (&str, (usize, Instant))| {
            let (requests, oldest) = counted;
            json!({ "route": route, "requests": requests, "oldest_ms": millis(self.age(oldest)) })
        };
        let endpoint = |one: &(Arc<str>, Arc<str>, u32)| {
            let (upstream, endpoint, in_flight) = one;
            json!({ "upstream": &**upstream, "endpoint": &**endpoint, "in_flight": in_flight })
        };
        json!({
            "since": day(self.times.since),
            "until": self.times.until.map(day),
            "left_ms": self.left().map(millis),
            "closing": self.is_closing,
            "connections": self.connections,
            // Before connections close nobody is asked.
            "requests": self.is_closing.then(|| self.requests().count()),
            "routes": self.routes().into_iter().map(route).collect::<Vec<_>>(),
            "endpoints": self.endpoints.iter().map(endpoint).collect::<Vec<_>>(),
            "oldest": self.present.iter().take(MOST_SHOWN).map(|one| self.one(one)).collect::<Vec<_>>(),
            "more": self.present.len().saturating_sub(MOST_SHOWN),
        })
    }

    /// In a sentence, for the list of what is wrong.
    pub(super) fn in_words(&self) -> String {
        let left = self.left().map(|left| format!(", and has {} s left", left.as_secs())).unwrap_or_default();
        let requests = self.requests().count();
        let connections =
            self.connections.map(|open| format!(" on {}", counted(open, "connection"))).unwrap_or_default();
        let mut routes: Vec<_> = self.routes().into_iter().collect();
        routes.sort_by_key(|(_, (requests, oldest))| (std::cmp::Reverse(*requests), *oldest));
        let more = if routes.len() > MOST_NAMED { ", and more" } else { "" };
        let named: Vec<String> =
            routes.iter().take(MOST_NAMED).map(|(route, (requests, _))| format!("{requests} of {route}")).collect();
        let named = if named.is_empty() { String::new() } else { format!(" ({}{more})", named.join(", ")) };
        if !self.is_closing {
            return format!("it is not ready any more, and goes on to accept{connections}{left}");
        }
        // Requests that wait for nobody, as streams of HTTP/2 that are silent, do not say that they are there.
        let least = if RollCall::is_full(self.present.len()) { "at least " } else { "" };
        let requests = format!("{least}{}", counted(requests, "request"));
        format!("it waits for {requests}{named}{connections}{left}")
    }

    /// Those of clients.
    fn requests(&self) -> impl Iterator<Item = &Arc<Present>> {
        self.present.iter().filter(|one| !one.is_part)
    }

    /// How many there are of each route, and when the oldest began.
    fn routes(&self) -> BTreeMap<&str, (usize, Instant)> {
        let mut routes = BTreeMap::new();
        for one in self.requests() {
            let (requests, _) = routes.entry(one.route.as_deref().unwrap_or("no route")).or_insert((0, one.began));
            *requests += 1;
        }
        routes
    }

    fn left(&self) -> Option<Duration> {
        self.times.until.map(|until| until.saturating_duration_since(self.now))
    }

    fn age(&self, began: Instant) -> Duration {
        self.now.saturating_duration_since(began)
    }

    fn one(&self, one: &Present) -> Value {
        let (upstream, endpoint) = one.asked().unzip();
        json!({
            "request_id": one.request_id.as_str(),
            "age_ms": millis(self.age(one.began)),
            "route": one.route.as_deref(),
            "upstream": upstream.as_deref(),
            "endpoint": endpoint.as_deref(),
            "method": one.method.as_str(),
            "path": &*one.path,
            "client": one.client.to_string(),
            "part": one.is_part,
        })
    }
}

fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::Mutex;

    use http::Method;

    use super::*;
    use crate::context::RequestId;

    fn present(route: Option<&str>, began: Instant, is_part: bool) -> Arc<Present> {
        Arc::new(Present {
            request_id: RequestId::mint([1, 2]),
            route: route.map(Arc::from),
            method: Method::GET,
            path: "/a".into(),
            client: IpAddr::from([127, 0, 0, 1]),
            began,
            is_part,
            asks: Mutex::new(is_part.then(|| ("up".into(), "127.0.0.1:1".into()))),
        })
    }

    #[test]
    fn what_a_drain_waits_for_is_told_by_route_and_one_by_one() {
        let clock = Clock::starting_at(Duration::ZERO);
        let start = clock.now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let progress = Progress {
            times: Times { since: at(60), until: Some(at(90)) },
            now: at(70),
            connections: Some(7),
            present: vec![
                present(Some("bytes"), at(10), false),
                present(Some("board"), at(20), false),
                present(Some("board/user"), at(21), true),
                present(Some("bytes"), at(30), false),
            ],
            is_closing: true,
            endpoints: vec![("up".into(), "127.0.0.1:1".into(), 3)],
        };
        let told = progress.told(&clock);
        assert_eq!((&told["left_ms"], &told["requests"], &told["connections"]), (&json!(20_000), &json!(3), &json!(7)));
        let routes = json!([
            { "route": "board", "requests": 1, "oldest_ms": 50_000 },
            { "route": "bytes", "requests": 2, "oldest_ms": 60_000 },
        ]);
        assert_eq!(told["routes"], routes, "parts are none of their own");
        assert_eq!(told["endpoints"], json!([{ "upstream": "up", "endpoint": "127.0.0.1:1", "in_flight": 3 }]));
        let (oldest, part) = (&told["oldest"][0], &told["oldest"][2]);
        assert_eq!(
            (&oldest["route"], &oldest["age_ms"], &oldest["endpoint"]),
            (&json!("bytes"), &json!(60_000), &Value::Null)
        );
        assert_eq!((&part["endpoint"], &part["part"]), (&json!("127.0.0.1:1"), &json!(true)));
        let words = "it waits for 3 requests (2 of bytes, 1 of board) on 7 connections, and has 20 s left";
        assert_eq!(progress.in_words(), words);
    }
}
