//! What the gateways tell of their own decisions: followed from `GET /events`, for oracles and timelines.
//!
//! One thread for each gateway reads server-sent events as they come, since the gateway keeps only the last ones. It
//! does no more than that, and seldom: the driver, which has to be in time, may be on the same core. What was read is
//! understood when the run is over. A gateway that has no such stream tells nothing, and is judged by what clients and
//! mocks saw.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use loadgen::response::request_id_of;
use serde_json::Value;

use super::gather::Upstreams;
use super::limits::request_name;
use crate::history::limit::{Decided, Word};
use crate::history::{Asked, BreakerState, Endpoint, Event, EventKind, Name, Seen};

/// Bytes that are kept of one gateway's stream: an attempt takes about 300.
const MOST_KEPT: usize = 600 << 20;
/// How often a stream is read, and how much at once: 50 MB a second.
const READ_EVERY: Duration = Duration::from_millis(20);
const PIECE: usize = 1 << 20;
/// What is always asked for.
const KINDS: &str = "breaker,ejection,reload,drain";
/// What rate limits decide is told only while somebody asks, too: asked for where there are limits.
const LIMITS: &str = ",limit";
/// Attempts are told only while somebody asks, and telling of each costs the gateway time: not asked for where nothing
/// goes wrong, so that cost is measured as it is.
const WITH_ATTEMPTS: &str = "breaker,ejection,reload,drain,attempt";
/// How often it is looked whether more has come, and how many times at most.
const LOOK_EVERY: Duration = Duration::from_millis(100);
const LOOKS: usize = 20;
/// Longest wait for the answer's head.
const PATIENCE: Duration = Duration::from_secs(2);

/// A gateway's stream that is being followed.
#[derive(Debug)]
pub(super) struct Follower {
    gateway: usize,
    told: Arc<Mutex<Vec<u8>>>,
    /// The same, understood.
    values: OnceLock<Vec<Value>>,
    /// To end it with; `None` in tests.
    stream: Option<TcpStream>,
}

impl Follower {
    /// Follows a gateway, its attempts and its rate limits too when asked to; `None` when it tells nothing. The thread
    /// ends with the gateway.
    pub(super) fn follow(gateway: usize, admin: SocketAddr, attempts: bool, limits: bool) -> Option<Self> {
        let kinds = if attempts { WITH_ATTEMPTS } else { KINDS };
        let kinds = format!("{kinds}{}", if limits { LIMITS } else { "" });
        let request = format!(
            "GET /events?kinds={kinds} HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\naccept: text/event-stream\r\n\r\n"
        );
        let mut stream = TcpStream::connect_timeout(&admin, PATIENCE).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        stream.write_all(request.as_bytes()).ok()?;
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if line.split(' ').nth(1) != Some("200") {
            return None;
        }
        // From now on the end of the stream is the end of the gateway.
        reader.get_ref().set_read_timeout(None).ok()?;
        let stream = reader.get_ref().try_clone().ok()?;
        let told = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&told);
        std::thread::spawn(move || read(reader, &into));
        Some(Self { gateway, told, values: OnceLock::new(), stream: Some(stream) })
    }

    /// Ends it, when nothing more has come for a moment: what was decided last has to travel.
    pub(super) fn end(&self) {
        let count = || self.told.lock().unwrap_or_else(PoisonError::into_inner).len();
        let mut before = usize::MAX;
        for _ in 0..LOOKS {
            let now = count();
            if now == before {
                break;
            }
            before = now;
            std::thread::sleep(LOOK_EVERY);
        }
        if let Some(stream) = &self.stream {
            // It may have ended with its gateway.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// What was told since t = 0, in its order.
    pub(super) fn events(&self, upstreams: &Upstreams, zero_ns: u64) -> Vec<Event> {
        self.values().iter().filter_map(|told| event(told, self.gateway, upstreams, zero_ns)).collect()
    }

    /// How many events were missed.
    pub(super) fn missed(&self) -> u64 {
        let missed = self.values().iter().filter(|event| event["kind"] == "missed");
        let missed = missed.filter_map(|event| event["events"].as_u64()).sum::<u64>();
        missed + u64::from(self.told.lock().unwrap_or_else(PoisonError::into_inner).len() >= MOST_KEPT)
    }

    /// What was told, when nothing more is to come.
    fn values(&self) -> &[Value] {
        self.values.get_or_init(|| understood(&self.told.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl Follower {
    /// What rate limits decided, from the first that was told; times are those of the machine's monotonic clock. `cost`
    /// says what a request takes of a rule, `is_shared` whether its buckets are those of all gateways, in a store.
    pub(super) fn decided(&self, cost: impl Fn(&str) -> u64, is_shared: impl Fn(&str) -> bool) -> Vec<Decided> {
        let one = |told: &Value| {
            let text = |key: &str| told[key].as_str();
            let rule = text("rule").filter(|_| told["kind"] == "limit")?;
            let key = text("key")?;
            let key = if is_shared(rule) { key.to_owned() } else { format!("{}/{key}", self.gateway) };
            let key = Name::from(key);
            let asked = Asked { rule: Name::from(rule), key, cost: cost(rule) };
            let word = Word::parse(text("decision")?)?;
            let request_id = text("request_id").and_then(|id| request_id_of(id.as_bytes())).map(request_name);
            Some(Decided { at_ns: told["ts_ns"].as_u64()?, gateway: self.gateway, request_id, asked, word })
        };
        self.values().iter().filter_map(one).collect()
    }
}

/// Reads a stream to its end.
fn read(mut reader: impl Read, told: &Mutex<Vec<u8>>) {
    let mut piece = vec![0; PIECE];
    while let Ok(count @ 1..) = reader.read(&mut piece) {
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() < MOST_KEPT {
            told.extend_from_slice(&piece[..count]);
        }
        drop(told);
        std::thread::sleep(READ_EVERY);
    }
}

/// The events of `data:` lines; chunk sizes and everything else are passed over.
fn understood(told: &[u8]) -> Vec<Value> {
    let data = told.split(|byte| *byte == b'\n').filter_map(|line| line.strip_prefix(b"data:"));
    data.filter_map(|data| serde_json::from_slice(data).ok()).collect()
}

/// An event as oracles know it; `None` of what came before t = 0, and of what they do not ask about.
fn event(told: &Value, gateway: usize, upstreams: &Upstreams, zero_ns: u64) -> Option<Event> {
    let text = |key: &str| told[key].as_str();
    let name = |key: &str| text(key).map(Name::from);
    let at_ns = told["ts_ns"].as_u64()?.checked_sub(zero_ns)?;
    let endpoint = || -> Option<Endpoint> { upstreams.by_address(text("upstream")?, text("endpoint")?) };
    let kind = match text("kind")? {
        // A route's own breaker is another than the endpoint's.
        "breaker" | "ejection" if !told["route"].is_null() => return None,
        "breaker" => EventKind::Breaker {
            upstream: name("upstream")?,
            endpoint: match told["endpoint"].is_null() {
                true => None,
                false => Some(endpoint()?),
            },
            from: BreakerState::parse(text("from")?)?,
            to: BreakerState::parse(text("to")?)?,
            cause: name("cause").unwrap_or_else(|| Name::from("")),
        },
        "ejection" => EventKind::Ejection {
            endpoint: endpoint()?,
            out: told["ejected"].as_bool().unwrap_or(false),
            capped: told["capped"].as_bool().unwrap_or(false),
            reason: name("reason").unwrap_or_else(|| Name::from("")),
        },
        "attempt" => EventKind::Attempt {
            request_id: name("request_id"),
            endpoint: endpoint()?,
            start_ns: told["start_ns"].as_u64()?.saturating_sub(zero_ns),
            seen: seen(text("outcome")?, told["status"].as_u64()),
            key: name("key"),
        },
        "reload" => EventKind::Reload { version: told["version"].as_u64()?, ok: told["ok"].as_bool().unwrap_or(false) },
        "drain" => EventKind::Drain,
        _ => return None,
    };
    // An attempt counts when it was over.
    let at_ns = match told["end_ns"].as_u64() {
        Some(end_ns) => end_ns.checked_sub(zero_ns)?,
        None => at_ns,
    };
    Some(Event { at_ns, gateway, kind })
}

fn seen(outcome: &str, status: Option<u64>) -> Seen {
    match (outcome, status.and_then(|status| u16::try_from(status).ok())) {
        ("connect" | "connect_timeout", _) => Seen::Connect,
        ("timeout", _) => Seen::Timeout,
        ("cancelled", _) => Seen::Cancelled,
        ("ok" | "status_5xx", Some(status)) => Seen::Status(status),
        _ => Seen::Reset,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn upstreams() -> Upstreams {
        Upstreams::hand_made([("127.0.0.1:9001", "orders", 0), ("127.0.0.1:9002", "orders", 1)])
    }

    #[test]
    fn a_stream_is_read_as_it_comes() {
        let stream = "date: now\r\n\r\n2d\r\n: events\n\nid: 1\nevent: drain\ndata: {\"ts_ns\":5,\"kind\":\"drain\"}\n\n\r\n\
                      event: missed\ndata: {\"kind\":\"missed\",\"events\":3}\n\ndata: not json\n\n";
        let told = Arc::new(Mutex::new(Vec::new()));
        read(stream.as_bytes(), &told);
        let follower = Follower { gateway: 0, told, values: OnceLock::new(), stream: None };
        let events = follower.events(&upstreams(), 0);
        assert_eq!((events, follower.missed()), (vec![Event { at_ns: 5, gateway: 0, kind: EventKind::Drain }], 3));
    }

    #[test]
    fn what_a_gateway_tells_is_what_oracles_know() {
        let of = |told: Value| event(&told, 1, &upstreams(), 100);
        let endpoint = Endpoint::new("orders", 1);
        let breaker = of(json!({ "ts_ns": 150, "kind": "breaker", "upstream": "orders", "endpoint": "127.0.0.1:9002",
            "from": "closed", "to": "open", "cause": "consecutive_failures" }));
        assert!(matches!(breaker, Some(Event { at_ns: 50, gateway: 1, kind: EventKind::Breaker {
            endpoint: Some(of), to: BreakerState::Open, .. } }) if of == endpoint));
        let attempt = of(json!({ "ts_ns": 190, "kind": "attempt", "request_id": "r", "upstream": "orders",
            "endpoint": "127.0.0.1:9002", "start_ns": 120, "end_ns": 180, "outcome": "status_5xx", "status": 503,
            "key": "0a" }));
        let kind = EventKind::Attempt {
            request_id: Some("r".into()),
            endpoint,
            start_ns: 20,
            seen: Seen::Status(503),
            key: Some("0a".into()),
        };
        assert_eq!(attempt, Some(Event { at_ns: 80, gateway: 1, kind }));
        assert_eq!(of(json!({ "ts_ns": 99, "kind": "drain" })), None, "before t = 0");
        assert_eq!(of(json!({ "ts_ns": 150, "kind": "breaker", "route": "a", "upstream": "orders" })), None);
    }

    #[test]
    fn decisions_of_rate_limits_are_read_with_the_gateway_that_took_them() {
        let line = json!({ "ts_ns": 7, "kind": "limit", "rule": "each", "key": "0a", "decision": "refused", "tat_ns": 9,
            "request_id": "1ae8e66f-ab13-4619-9aa4-9238b53017af" });
        let told = format!("data: {line}\n\ndata: {}\n\n", json!({ "ts_ns": 8, "kind": "drain" }));
        let told = Arc::new(Mutex::new(told.into_bytes()));
        let follower = Follower { gateway: 1, told, values: OnceLock::new(), stream: None };
        for (is_shared, key) in [(false, "1/0a"), (true, "0a")] {
            let asked = Asked { rule: "each".into(), key: key.into(), cost: 3 };
            let expected = [Decided {
                at_ns: 7,
                gateway: 1,
                request_id: Some("1ae8e66fab1346199aa49238b53017af".into()),
                asked,
                word: Word::Refused,
            }];
            assert_eq!(follower.decided(|_| 3, |_| is_shared), expected);
        }
    }

    #[test]
    fn outcomes_without_a_status_are_told_apart() {
        let all = ["connect_timeout", "timeout", "cancelled", "reset", "invalid"].map(|outcome| seen(outcome, None));
        assert_eq!(all, [Seen::Connect, Seen::Timeout, Seen::Cancelled, Seen::Reset, Seen::Reset]);
    }
}
