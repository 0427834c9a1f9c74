//! One event: what it says, and its text.

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::{Value, json};

use super::admin_write::AdminWrite;
use super::failure::LastFailure;
use super::kind::Kind;
use crate::algorithms::breaker::{Counts, State, Transition};
use crate::algorithms::ejection::Place;
use crate::algorithms::tiers::Serving;
use crate::context::RequestId;
use crate::telemetry::metrics::{AttemptOutcome, HandshakeResult, LimitDecision, ShedReason};
use crate::telemetry::timestamp::rfc3339;
use crate::tls::expiry::Held;

/// What happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// A reload came to its end.
    Reload {
        /// The version in force.
        version: u64,
        /// Whether the file is in force.
        ok: bool,
        /// What asked for it: `signal`, `file`, `admin`, `program`.
        cause: &'static str,
        /// What is wrong, one line each.
        problems: Vec<String>,
    },
    /// A drain began.
    Drain,
    /// An exchange with an endpoint ended.
    Attempt {
        /// The request's id.
        request_id: RequestId,
        /// The upstream's name.
        upstream: Arc<str>,
        /// The endpoint's address.
        endpoint: Arc<str>,
        /// When it began, nanoseconds of the machine's monotonic clock.
        start_ns: u64,
        /// When it ended; the same clock.
        end_ns: u64,
        /// How it ended.
        outcome: AttemptOutcome,
        /// The answer's status, where there was an answer.
        status: Option<u16>,
        /// The hash of the key that the endpoint was picked by, the same in every gateway; 0 where it was not.
        key: u64,
    },
    /// A breaker changed its state.
    Breaker {
        /// The upstream's name.
        upstream: Arc<str>,
        /// The endpoint's address.
        endpoint: Arc<str>,
        /// The route whose breaker it is, where it is not the upstream's.
        route: Option<Arc<str>>,
        /// From what to what, and why.
        transition: Transition,
        /// What the endpoint failed with last, where it opens.
        failure: Option<LastFailure>,
    },
    /// What the breakers of an upstream's endpoints come to together changed.
    RollUp {
        /// The upstream's name.
        upstream: Arc<str>,
        /// The route whose breakers they are, where they are not the upstream's.
        route: Option<Arc<str>>,
        /// From this.
        from: State,
        /// To this.
        to: State,
        /// Where it opens, the endpoints with what keeps requests from each.
        out: Vec<String>,
    },
    /// Backups of an upstream take requests from now on, or do not any more.
    Backup {
        /// The upstream's name.
        upstream: Arc<str>,
        /// The route for which they do, where that has a breaker of its own.
        route: Option<Arc<str>>,
        /// Whose turn it was.
        from: Serving,
        /// Whose turn it is.
        to: Serving,
        /// Where backups take requests, the endpoints with what keeps requests from each.
        out: Vec<String>,
    },
    /// An endpoint changed its place in balancing.
    Ejection {
        /// The upstream's name.
        upstream: Arc<str>,
        /// The endpoint's address.
        endpoint: Arc<str>,
        /// The route for which it did, where that has a breaker of its own.
        route: Option<Arc<str>>,
        /// Its place from now on.
        place: Place,
        /// What is wrong with it, or `recovered`.
        reason: &'static str,
    },
    /// Something happened to a provider's keys.
    Keys {
        /// The provider's name.
        provider: Arc<str>,
        /// What.
        what: KeysEvent,
    },
    /// Checks of an endpoint have come to another verdict.
    Health {
        /// The upstream's name.
        upstream: Arc<str>,
        /// The endpoint's address.
        endpoint: Arc<str>,
        /// The verdict.
        healthy: bool,
        /// What the last check came to.
        detail: Arc<str>,
    },
    /// A rate limit decided.
    Limit {
        /// The rule's name.
        rule: Arc<str>,
        /// The key's hash, the same in every gateway.
        key: u128,
        /// What it decided.
        decision: LimitDecision,
        /// When the key's bucket is full again, by the clock of `ts_ns`; in the past where it is.
        tat_ns: u64,
        /// Whose request it was about.
        request_id: RequestId,
    },
    /// Requests or connections are turned away, or are not any more.
    Shed {
        /// Why.
        reason: ShedReason,
        /// The upstream for whose sake, where it is not the gateway's own.
        upstream: Option<Arc<str>>,
        /// Whether it begins.
        active: bool,
        /// How many were turned away since it began.
        refused: u64,
    },
    /// A store answered for the first time, died or healed.
    Store {
        /// Its name.
        store: Arc<str>,
        /// `exact`, `degraded` or `healed`.
        mode: &'static str,
        /// What it last failed with, where it died.
        reason: Option<String>,
    },
    /// A collector does not take all spans, or does again.
    Tracing {
        /// Why not.
        failed: Option<String>,
    },
    /// An upstream's name cannot be resolved, or can be again.
    Discovery {
        /// The upstream's name.
        upstream: Arc<str>,
        /// The name, and why not.
        failed: Option<String>,
    },
    /// A client's TLS handshake failed; of many, one now and then.
    Handshake {
        /// The listener's name.
        listener: Arc<str>,
        /// The client, as its connection, or a balancer in front of it, tells it.
        client: SocketAddr,
        /// What it came to.
        result: HandshakeResult,
        /// Why.
        detail: String,
        /// Those of this listener that were not told of since the last one that was.
        untold: u64,
    },
    /// An issuer does not say whether tokens hold, and is left alone for a while; or it does again.
    Issuer {
        /// The provider's name.
        provider: Arc<str>,
        /// Why not.
        failed: Option<String>,
    },
    /// The admin API was asked to change something.
    Admin(Box<AdminWrite>),
    /// A listener's certificate, or its list of revoked ones, ends soon, or has ended: each day once.
    Certificate {
        /// Which.
        held: Held,
        /// How long it lasts, seconds; not above 0 where it has ended.
        left: i64,
    },
    /// The system's clock was set.
    ClockStep {
        /// By so much; below zero where it was set back.
        stepped_ms: i64,
    },
    /// The program around the gateway does not say whose requests are: once, at the first that comes so.
    ClientUnknown {
        /// What works in another way for it, and what to do.
        detail: String,
    },
    /// The access log cannot be written, or can be again.
    Log {
        /// Where it is written, and why not.
        failed: Option<(String, String)>,
    },
}

/// What happened to a provider's keys.
#[derive(Debug, Clone)]
pub enum KeysEvent {
    /// They were fetched, or could not be.
    Fetch {
        /// Why not.
        failed: Option<String>,
    },
    /// They are others than before.
    Rotate {
        /// The names of all that are used.
        kids: Vec<String>,
        /// Those that were not before, or were another key; none where these are the first.
        came: Vec<String>,
        /// Those that are used no more.
        went: Vec<String>,
        /// Those that are not used though they are meant for signatures, and why.
        left_out: Vec<String>,
    },
    /// They can be fetched no more, and are used on.
    Stale,
}

impl KeysEvent {
    fn fields(&self, provider: &str) -> Value {
        match self {
            Self::Fetch { failed: None } => json!({ "provider": provider, "what": "fetch", "ok": true }),
            Self::Fetch { failed: Some(why) } => {
                json!({ "provider": provider, "what": "fetch", "ok": false, "detail": why })
            }
            Self::Rotate { kids, came, went, left_out } => json!({
                "provider": provider, "what": "rotate", "kids": kids, "came": came, "went": went, "left_out": left_out,
            }),
            Self::Stale => json!({ "provider": provider, "what": "stale" }),
        }
    }
}

impl Event {
    /// What it is about.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Reload { .. } => Kind::Reload,
            Self::Drain => Kind::Drain,
            Self::Attempt { .. } => Kind::Attempt,
            Self::Breaker { .. } | Self::RollUp { .. } => Kind::Breaker,
            Self::Backup { .. } => Kind::Backup,
            Self::Ejection { .. } => Kind::Ejection,
            Self::Health { .. } => Kind::Health,
            Self::Keys { .. } => Kind::Keys,
            Self::Limit { .. } => Kind::Limit,
            Self::Shed { .. } => Kind::Shed,
            Self::Store { .. } => Kind::Store,
            Self::Tracing { .. } => Kind::Tracing,
            Self::Discovery { .. } => Kind::Discovery,
            Self::Handshake { .. } => Kind::Handshake,
            Self::Issuer { .. } => Kind::Issuer,
            Self::Admin(_) => Kind::Admin,
            Self::Certificate { .. } => Kind::Certificate,
            Self::Log { .. } => Kind::Log,
            Self::ClockStep { .. } => Kind::ClockStep,
            Self::ClientUnknown { .. } => Kind::ClientUnknown,
        }
    }

    /// The same of what the gateway stands on.
    fn of_machine(&self) -> Value {
        match self {
            Self::Certificate { held, left } => json!({
                "listener": &*held.listener,
                held.what.as_str(): &*held.names,
                "ends": rfc3339(held.ends_unix.saturating_mul(1_000_000)),
                "expires_in": left.max(&0),
            }),
            Self::ClockStep { stepped_ms } => json!({ "stepped_ms": stepped_ms }),
            Self::ClientUnknown { detail } => json!({ "detail": detail }),
            Self::Log { failed } => {
                let (output, detail) = failed.as_ref().map(|(output, why)| (&**output, &**why)).unzip();
                with(with(json!({ "failing": failed.is_some() }), "output", output), "detail", detail)
            }
            _ => json!({}),
        }
    }

    /// The same of where endpoints stand.
    fn of_balancing(&self) -> Value {
        match self {
            Self::Breaker { upstream, endpoint, route, transition, failure } => {
                let fields = changed(of_endpoint(upstream, endpoint, route.as_deref()), transition);
                with(fields, "failure", failure.as_ref().map(ToString::to_string))
            }
            Self::RollUp { upstream, route, from, to, out } => {
                together((&**upstream, route.as_deref()), (*from, *to), out)
            }
            Self::Backup { upstream, route, from, to, out } => {
                turned((&**upstream, route.as_deref()), (*from, *to), out)
            }
            Self::Ejection { upstream, endpoint, route, place, reason } => {
                let mut fields = of_endpoint(upstream, endpoint, route.as_deref());
                fields["reason"] = (*reason).into();
                fields["ejected"] = (*place == Place::Ejected).into();
                fields["capped"] = (*place == Place::Capped).into();
                fields
            }
            _ => json!({}),
        }
    }

    pub(super) fn fields(&self) -> Value {
        match self {
            Self::Reload { version, ok, cause, problems } => {
                json!({ "version": version, "ok": ok, "cause": cause, "problems": problems })
            }
            Self::Drain => json!({}),
            Self::Attempt { request_id, upstream, endpoint, start_ns, end_ns, outcome, status, key } => {
                let fields = json!({
                    "request_id": request_id.as_str(),
                    "upstream": &**upstream,
                    "endpoint": &**endpoint,
                    "start_ns": start_ns,
                    "end_ns": end_ns,
                    "outcome": outcome.as_str(),
                });
                let fields = with(fields, "status", *status);
                with(fields, "key", (*key != 0).then(|| format!("{key:016x}")))
            }
            Self::Breaker { .. } | Self::RollUp { .. } | Self::Backup { .. } | Self::Ejection { .. } => {
                self.of_balancing()
            }
            Self::Keys { provider, what } => what.fields(provider),
            Self::Health { upstream, endpoint, healthy, detail } => {
                let fields = with(of_endpoint(upstream, endpoint, None), "healthy", Some(*healthy));
                with(fields, "detail", Some(&**detail))
            }
            Self::Store { store, mode, reason } => {
                with(json!({ "store": &**store, "mode": mode }), "reason", reason.as_deref())
            }
            Self::Tracing { failed } => with(json!({ "failing": failed.is_some() }), "detail", failed.as_deref()),
            Self::Discovery { upstream, failed } => {
                with(json!({ "upstream": &**upstream, "failing": failed.is_some() }), "detail", failed.as_deref())
            }
            Self::Issuer { provider, failed } => {
                with(json!({ "provider": &**provider, "failing": failed.is_some() }), "detail", failed.as_deref())
            }
            Self::Admin(write) => write.fields(),
            Self::Certificate { .. } | Self::ClockStep { .. } | Self::ClientUnknown { .. } | Self::Log { .. } => {
                self.of_machine()
            }
            Self::Handshake { listener, client, result, detail, untold } => {
                let fields =
                    json!({ "listener": &**listener, "client": client.to_string(), "result": result.as_str() });
                with(with(fields, "detail", Some(&**detail)), "untold", Some(*untold))
            }
            Self::Limit { rule, key, decision, tat_ns, request_id } => json!({
                "rule": &**rule,
                "key": format!("{key:032x}"),
                "decision": decision.as_str(),
                "tat_ns": tat_ns,
                "request_id": request_id.as_str(),
            }),
            Self::Shed { reason, upstream, active, refused } => {
                let mut fields = with(json!({ "reason": reason.as_str() }), "upstream", upstream.as_deref());
                fields["active"] = (*active).into();
                fields["refused"] = (*refused).into();
                fields
            }
        }
    }
}

fn of_endpoint(upstream: &str, endpoint: &str, route: Option<&str>) -> Value {
    with(json!({ "upstream": upstream, "endpoint": endpoint }), "route", route)
}

/// What all of an upstream's breakers come to together; what each endpoint is out for stands beside it.
fn together((upstream, route): (&str, Option<&str>), (from, to): (State, State), out: &[String]) -> Value {
    let mut fields = with(json!({ "upstream": upstream }), "route", route);
    fields["from"] = from.as_str().into();
    fields["to"] = to.as_str().into();
    fields["cause"] = if out.is_empty() { "endpoints" } else { "all_endpoints_out" }.into();
    with(fields, "endpoints", (!out.is_empty()).then(|| out.to_vec()))
}

/// Whose turn it is from now on; what the others are out for stands beside it.
fn turned((upstream, route): (&str, Option<&str>), (from, to): (Serving, Serving), out: &[String]) -> Value {
    let mut fields = with(json!({ "upstream": upstream }), "route", route);
    fields["from"] = from.as_str().into();
    fields["to"] = to.as_str().into();
    with(fields, "endpoints", (!out.is_empty()).then(|| out.to_vec()))
}

/// Fields with what became of a breaker.
fn changed(mut fields: Value, transition: &Transition) -> Value {
    fields["from"] = transition.from.as_str().into();
    fields["to"] = transition.to.as_str().into();
    fields["cause"] = transition.cause.as_str().into();
    fields["window"] = counts(&transition.counts);
    fields
}

/// Adds a field that is there.
pub(super) fn with(mut fields: Value, name: &str, value: Option<impl Into<Value>>) -> Value {
    if let Some(value) = value {
        fields[name] = value.into();
    }
    fields
}

/// What a breaker's window holds, as events and the admin API show it.
pub fn counts(counts: &Counts) -> Value {
    json!({
        "requests": counts.requests,
        "failures": counts.failures,
        "slow": counts.slow,
        "consecutive_failures": counts.consecutive,
    })
}

/// An event with its number and time.
#[derive(Debug)]
pub struct Stamped {
    /// Counts from 1, without gaps.
    pub seq: u64,
    /// Nanoseconds of the machine's monotonic clock.
    pub ts_ns: u64,
    /// What happened.
    pub event: Event,
}

impl Stamped {
    /// One JSON object: `ts_ns`, `kind`, then what the kind has.
    pub fn to_json(&self) -> String {
        let mut object = json!({ "ts_ns": self.ts_ns, "kind": self.event.kind().as_str() });
        if let (Value::Object(object), Value::Object(fields)) = (&mut object, self.event.fields()) {
            object.extend(fields);
        }
        object.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_object_that_begins_with_its_time_and_kind() {
        let event = Event::Reload { version: 3, ok: false, cause: "file", problems: vec!["a\nb".to_owned()] };
        let text = Stamped { seq: 9, ts_ns: 17, event }.to_json();
        assert_eq!(text, r#"{"ts_ns":17,"kind":"reload","version":3,"ok":false,"cause":"file","problems":["a\nb"]}"#);
    }
}
