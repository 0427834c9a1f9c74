//! Picking an endpoint for one attempt.

use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderMap;

use super::endpoint::Endpoint;
use super::in_flight::Permit;
use super::state::{Active, Upstream};
use crate::algorithms::balancer::{Balancer, Pick};
use crate::algorithms::hash_ring::stable_hash;
use crate::config::settings;
use crate::config::settings::upstream::HashKey;
use crate::error::{Code, GatewayError};
use crate::network::Network;

/// What a pick may depend on.
pub struct Ask<'a> {
    /// The client's address, as trusted proxies tell it.
    pub client: IpAddr,
    /// The request's headers.
    pub headers: &'a HeaderMap,
    /// The normalised path.
    pub path: &'a str,
    /// Random bits.
    pub bits: u64,
}

/// An endpoint, with a place in flight for as long as this is kept.
pub struct Selected<N: Network> {
    /// The endpoint.
    pub endpoint: Arc<Endpoint<N>>,
    /// Settings that were in force when it was picked.
    pub settings: Arc<settings::Upstream>,
    /// Its place in flight.
    pub permit: Permit,
}

/// Picks an endpoint.
///
/// # Errors
/// `no_endpoint` when there is none.
pub fn select<N: Network>(upstream: &Upstream<N>, ask: &Ask<'_>) -> Result<Selected<N>, GatewayError> {
    let active = upstream.active();
    let in_flight = |index: usize| active.endpoints[index].in_flight.count();
    let pick = Pick {
        bits: ask.bits,
        ticket: if matches!(active.balancer, Balancer::RoundRobin(_)) { upstream.next_ticket() } else { 0 },
        hash: hash_of(&active, ask),
        in_flight: &in_flight,
        eligible: &|_| true,
    };
    let index = active
        .balancer
        .pick(&pick)
        .ok_or_else(|| GatewayError::new(Code::NoEndpoint, "The upstream has no endpoint that can take requests."))?;
    let endpoint = Arc::clone(&active.endpoints[index]);
    let permit = endpoint.in_flight.enter();
    Ok(Selected { endpoint, settings: Arc::clone(&active.settings), permit })
}

fn hash_of<N: Network>(active: &Active<N>, ask: &Ask<'_>) -> u64 {
    let settings::upstream::Balance::ConsistentHash(hash) = &active.settings.balance else { return 0 };
    match &hash.key {
        HashKey::ClientIp => hash_address(ask.client),
        HashKey::Path => stable_hash(ask.path.as_bytes()),
        HashKey::Header(name) => match ask.headers.get(name) {
            Some(value) => stable_hash(value.as_bytes()),
            None => hash_address(ask.client),
        },
        HashKey::Cookie(name) => match cookie(ask.headers, name) {
            Some(value) => stable_hash(value.as_bytes()),
            None => hash_address(ask.client),
        },
    }
}

fn hash_address(address: IpAddr) -> u64 {
    match address {
        IpAddr::V4(v4) => stable_hash(&v4.octets()),
        IpAddr::V6(v6) => stable_hash(&v6.octets()),
    }
}

/// The value of a cookie (RFC 6265, section 4.2.1), the first where it is repeated.
fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers
        .get_all(http::header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .find_map(|pair| pair.trim().split_once('=').filter(|(key, _)| *key == name).map(|(_, value)| value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn a_cookie_is_found_among_others_and_only_by_its_whole_name() {
        let mut headers = HeaderMap::new();
        headers.append(http::header::COOKIE, HeaderValue::from_static("a=1; session=xyz; session2=no"));
        headers.append(http::header::COOKIE, HeaderValue::from_static("late=2"));
        assert_eq!(cookie(&headers, "session"), Some("xyz"));
        assert_eq!(cookie(&headers, "late"), Some("2"));
        assert_eq!(cookie(&headers, "sess"), None);
    }
}
