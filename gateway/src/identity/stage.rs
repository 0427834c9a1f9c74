//! The stage: finds out who is asking, and whether that is enough for the route.
//!
//! In two steps, so that a request whose token is known pays for neither a future nor an allocation: [`recall`] looks,
//! [`prove`] verifies where nothing is known yet.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};

use super::access::RouteAuth;
use super::prove;
use super::proven::Identity;
use super::provider::{Known, Provider};
use crate::error::{Code, GatewayError};
use crate::exchange::Exchange;
use crate::network::Network;
use crate::telemetry::metrics::{AuthResult, CacheResult};

/// A credential of which nothing is known yet.
pub struct Unproven {
    auth: Arc<RouteAuth>,
    provider: Arc<Provider>,
    credential: Bytes,
}

/// Looks for a credential where the route asks for one, and whether it is known. What is granted is in the exchange
/// then; what is left to do is given back.
///
/// # Errors
/// 400 for what is not one credential, 401 without one that holds, 403 for one that is not enough.
#[inline]
pub fn recall<N: Network>(
    exchange: &mut Exchange<N>,
    headers: &mut HeaderMap,
) -> Result<Option<Box<Unproven>>, GatewayError> {
    let Some(auth) = exchange.route().and_then(|route| route.auth.clone()) else { return Ok(None) };
    let (provider, credential) = match auth.present(headers) {
        Ok(Some(found)) => found,
        Ok(None) if auth.settings.optional => return Ok(None),
        Ok(None) => return Err(refuse(exchange, &auth, None, AuthResult::Missing)),
        Err(_) => return Err(refuse(exchange, &auth, None, AuthResult::Malformed)),
    };
    let now = unix_seconds(exchange);
    let cache = exchange.shard.shared.metrics.token_cache();
    let worker = exchange.shard.index;
    let last = exchange.connection.identity.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let last = last.filter(|last| *last.credential == *credential && last.holds(provider.proof(), now));
    if let Some(identity) = last {
        cache.count(worker, CacheResult::Connection);
        return accept(exchange, headers, &auth, provider, identity).map(|()| None);
    }
    match provider.recall(worker, credential, now) {
        Known::Proven(identity) => {
            cache.count(worker, CacheResult::Hit);
            grant(exchange, headers, &auth, provider, identity).map(|()| None)
        }
        Known::Refused(why) => {
            cache.count(worker, CacheResult::Negative);
            Err(refuse(exchange, &auth, Some(provider), why))
        }
        Known::Nothing => {
            let provider = Arc::clone(provider);
            let credential = Bytes::copy_from_slice(credential);
            Ok(Some(Box::new(Unproven { auth, provider, credential })))
        }
    }
}

/// Proves a credential of which nothing is known.
///
/// # Errors
/// As [`recall`].
pub async fn prove<N: Network>(
    exchange: &mut Exchange<N>,
    headers: &mut HeaderMap,
    unproven: Box<Unproven>,
) -> Result<(), GatewayError> {
    let Unproven { auth, provider, credential } = *unproven;
    let shared = Arc::clone(&exchange.shard.shared);
    match prove::prove(&shared, exchange.shard.index, &provider, &credential).await {
        Ok(identity) => grant(exchange, headers, &auth, &provider, identity),
        Err(why) => Err(refuse(exchange, &auth, Some(&provider), why)),
    }
}

fn unix_seconds<N: Network>(exchange: &Exchange<N>) -> i64 {
    exchange.shard.shared.clock.unix_us(exchange.started).div_euclid(1_000_000)
}

/// The identity holds, and is the connection's last from here on: most connections bring the same one again.
#[inline]
fn grant<N: Network>(
    exchange: &mut Exchange<N>,
    headers: &mut HeaderMap,
    auth: &RouteAuth,
    provider: &Provider,
    identity: Arc<Identity>,
) -> Result<(), GatewayError> {
    if provider.remembers() {
        let mut last = exchange.connection.identity.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some(Arc::clone(&identity));
    }
    accept(exchange, headers, auth, provider, identity)
}

/// The identity holds: is it enough?
#[inline]
fn accept<N: Network>(
    exchange: &mut Exchange<N>,
    headers: &mut HeaderMap,
    auth: &RouteAuth,
    provider: &Provider,
    identity: Arc<Identity>,
) -> Result<(), GatewayError> {
    let enough = auth.check(&identity).and_then(|()| once(exchange, auth, &identity));
    exchange.identity = Some(identity);
    if let Err(why) = enough {
        return Err(refuse(exchange, auth, Some(provider), why));
    }
    provider.series.count(exchange.shard.index, AuthResult::Granted);
    auth.strip(headers, provider);
    exchange.passport = passport(exchange);
    Ok(())
}

/// The passport for the route's upstream, where passports are made.
#[inline]
fn passport<N: Network>(exchange: &Exchange<N>) -> Option<Arc<[u8]>> {
    let office = exchange.snapshot.passport.as_ref()?;
    let upstream = &exchange.route()?.settings.upstream;
    office.field(exchange.identity.as_ref()?, upstream, unix_seconds(exchange))
}

/// A token of a route that takes each once is used up here, when all else holds.
#[inline]
fn once<N: Network>(exchange: &Exchange<N>, auth: &RouteAuth, identity: &Identity) -> Result<(), AuthResult> {
    if !auth.settings.single_use {
        return Ok(());
    }
    exchange.shard.shared.identity.used().use_up(identity, unix_seconds(exchange))
}

/// What a client is told is what it may know (RFC 6750, section 3.1); why is in the record and the metrics.
#[cold]
fn refuse<N: Network>(
    exchange: &mut Exchange<N>,
    auth: &RouteAuth,
    provider: Option<&Provider>,
    why: AuthResult,
) -> GatewayError {
    exchange.refused = Some(why);
    // Who presents nothing is counted where the route looks first.
    if let Some(provider) = provider.or_else(|| auth.providers.first().map(|first| &**first)) {
        provider.series.count(exchange.shard.index, why);
    }
    let is_bearer = auth.challenge == "Bearer";
    let challenge =
        |error: &'static str| if is_bearer { HeaderValue::from_static(error) } else { auth.challenge.clone() };
    let (code, detail, challenge) = match why {
        AuthResult::Missing => (Code::Unauthorized, "This needs a credential.", auth.challenge.clone()),
        AuthResult::Malformed => {
            (Code::BadRequest, "The credential is malformed.", challenge("Bearer error=\"invalid_request\""))
        }
        AuthResult::Scope | AuthResult::ClaimRule => (
            Code::Forbidden,
            "The credential is not enough for this.",
            challenge("Bearer error=\"insufficient_scope\""),
        ),
        // It may hold: whoever could say so is not there.
        AuthResult::NoKeys | AuthResult::Unavailable => {
            let detail = "Credentials cannot be checked now.";
            return GatewayError::new(Code::Overloaded, detail).retry_after(Duration::from_secs(1));
        }
        _ => (Code::Unauthorized, "The credential does not hold.", challenge("Bearer error=\"invalid_token\"")),
    };
    GatewayError::new(code, detail).challenging(challenge)
}
