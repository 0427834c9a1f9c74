//! Which of its upstreams a request of a split route goes to (`split`).
//!
//! It is chosen once for a request, when all is known of who asks, and the request is the chosen one's from then on:
//! its retries, its hedges, its breakers and its budget. The choice itself is pure (`algorithms/shares.rs`): the same
//! in all gateways and after every reload, as long as names and weights are the same.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::belonging::cookie;
use crate::algorithms::hash_ring::stable_hash;
use crate::algorithms::shares::Shares;
use crate::config::settings::split::{self as settings, StickyKey};
use crate::exchange::Exchange;
use crate::network::Network;
use crate::request_fields::RequestFields;
use crate::telemetry::metrics::{Registry as Metrics, ShareSeries};

/// The upstreams of a route that has several.
pub struct Split {
    settings: Arc<settings::Split>,
    choice: Shares,
    /// Among the snapshot's routes, the place of the one for the first upstream; those for the others follow it.
    first: usize,
    /// Of each upstream.
    series: Box<[Arc<ShareSeries>]>,
}

impl Split {
    /// Compiles it for the route of this name; the routes for its upstreams begin at `first`.
    pub fn new(route: &str, settings: &Arc<settings::Split>, first: usize, metrics: &Metrics) -> Self {
        let series = settings.shares.iter().map(|share| metrics.share(route, &share.route.upstream));
        Self { choice: settings.choice(), first, series: series.collect(), settings: Arc::clone(settings) }
    }
}

/// Chooses one of the upstreams of the exchange's route; what holds for its requests is the exchange's route from then
/// on. False where the route has no split.
#[cold]
pub fn choose<N: Network>(exchange: &mut Exchange<N>, headers: &RequestFields) -> bool {
    let Some(split) = exchange.route().and_then(|route| route.split.as_deref()) else { return false };
    let key = match &split.settings.key {
        Some(key) => hash(key, &Shown::of(exchange, headers)).unwrap_or_default(),
        None => 0,
    };
    let Some(chosen) = split.choice.pick(key, exchange.shard.random()) else { return false };
    split.series[chosen].chosen(exchange.shard.index);
    exchange.route = Some(split.first + chosen);
    true
}

/// What is known of who asks.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a> {
    /// The client's address, as trusted proxies tell it.
    pub client: Option<IpAddr>,
    /// The proven subject.
    pub subject: Option<&'a str>,
    /// The proven claims.
    pub claims: Option<&'a Map<String, Value>>,
    /// The request's headers.
    pub headers: &'a RequestFields,
}

impl<'a> Shown<'a> {
    fn of<N: Network>(exchange: &'a Exchange<N>, headers: &'a RequestFields) -> Self {
        let identity = exchange.identity.as_deref();
        Self {
            client: Some(exchange.client.ip),
            subject: identity.and_then(|identity| identity.subject.as_deref()),
            claims: identity.map(|identity| &identity.claims),
            headers,
        }
    }
}

/// The hash of a request's key; of its client's address where what the key names is missing. `None` where neither is
/// known.
pub fn hash(key: &StickyKey, shown: &Shown<'_>) -> Option<u64> {
    let value: Option<Cow<'_, [u8]>> = match key {
        StickyKey::ClientIp => None,
        StickyKey::Subject => shown.subject.map(|subject| subject.as_bytes().into()),
        StickyKey::Claim(name) => shown.claims.and_then(|claims| of_claim(claims.get(&**name)?)),
        StickyKey::Header(name) => shown.headers.get(name).map(|value| value.as_bytes().into()),
        StickyKey::Cookie(name) => cookie(shown.headers, name).map(|value| value.as_bytes().into()),
    };
    value.or_else(|| shown.client.map(|client| of_address(client).into())).map(|value| stable_hash(&value))
}

/// A claim that is one value; lists and objects are none.
fn of_claim(claim: &Value) -> Option<Cow<'_, [u8]>> {
    match claim {
        Value::String(text) => Some(text.as_bytes().into()),
        Value::Number(_) | Value::Bool(_) => Some(claim.to_string().into_bytes().into()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A client of IPv6 has a network, and moves within it.
fn of_address(address: IpAddr) -> Vec<u8> {
    match address.to_canonical() {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets()[..8].to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(key: &StickyKey, address: &str, headers: &[(&'static str, &'static str)]) -> u64 {
        let headers = headers.iter().copied().collect();
        let claims = serde_json::json!({ "tenant": "blue", "org": 7, "roles": ["a"] });
        let shown = Shown {
            client: Some(address.parse().unwrap()),
            subject: Some("ada"),
            claims: claims.as_object(),
            headers: &headers,
        };
        hash(key, &shown).unwrap()
    }

    #[test]
    fn a_client_is_known_by_its_key_and_by_its_address_where_that_is_missing() {
        let (here, there) = ("10.0.0.1", "10.0.0.2");
        let header = StickyKey::Header("x-user".parse().unwrap());
        let by_header = |address, user| key(&header, address, &[("x-user", user)]);
        assert_eq!(by_header(here, "1"), by_header(there, "1"));
        assert_ne!(by_header(here, "1"), by_header(here, "2"));
        assert_eq!(key(&header, here, &[]), key(&StickyKey::ClientIp, here, &[]));
        let cookie = StickyKey::Cookie("session".into());
        assert_eq!(key(&cookie, here, &[("cookie", "a=b; session=s")]), stable_hash(b"s"));
        assert_eq!(key(&StickyKey::Subject, here, &[]), stable_hash(b"ada"));
        assert_eq!(key(&StickyKey::Claim("tenant".into()), here, &[]), stable_hash(b"blue"));
        assert_eq!(key(&StickyKey::Claim("org".into()), here, &[]), stable_hash(b"7"));
        for missing in ["roles", "none"] {
            assert_eq!(key(&StickyKey::Claim(missing.into()), here, &[]), key(&StickyKey::ClientIp, here, &[]));
        }
    }

    #[test]
    fn a_client_that_moves_within_its_network_stays_where_it_is() {
        let of = |address| key(&StickyKey::ClientIp, address, &[]);
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
    }
}
