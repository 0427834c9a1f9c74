//! The stage: finds out who is asking, and whether that is enough for the route.
//!
//! In steps, so that a request whose token is known pays for neither a future nor an allocation: [`recall`] looks,
//! `prove` verifies where nothing is known yet, and asks stores where tokens are taken back there. Where tokens hold
//! once, [`use_up`] comes when nothing else stands in the request's way.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderValue;

use super::access::RouteAuth;
use super::credential::{self, Credential};
use super::ledger::Ledger;
use super::passport::passport;
use super::prove;
use super::proven::Identity;
use super::provider::{Known, Provider};
use crate::error::{Code, GatewayError};
use crate::exchange::Exchange;
use crate::network::Network;
use crate::plugins::IdentityRequest;
use crate::request_fields::{KnownName, RequestFields};
use crate::telemetry::metrics::{AuthResult, CacheResult, ShedReason};
use crate::timer::Wait;

/// A credential about which something has to be found out.
pub struct Unproven {
    auth: Arc<RouteAuth>,
    provider: Arc<Provider>,
    what: What,
}

/// What has to be found out.
enum What {
    /// Everything.
    Credential(Credential),
    /// Whether the identity that is known still holds, which a store has to say.
    Identity(Arc<Identity>),
}

/// What is known of who asks.
enum Recalled {
    /// The route lets everybody in, and nobody says who asks.
    Anybody,
    /// Who asks is known, and may.
    Granted(Arc<Identity>),
    /// Something has to be found out.
    Unproven(Box<Unproven>),
}

/// Who is not let in, and why.
struct Denied {
    auth: Arc<RouteAuth>,
    provider: Option<Arc<Provider>>,
    /// Who it is, where that was proven.
    identity: Option<Arc<Identity>>,
    why: AuthResult,
}

impl Denied {
    #[cold]
    fn of(auth: &Arc<RouteAuth>, provider: Option<&Arc<Provider>>, why: AuthResult) -> Box<Self> {
        Box::new(Self { auth: Arc::clone(auth), provider: provider.cloned(), identity: None, why })
    }

    /// The same for somebody who is known. Who is not at the other end of this connection is nobody here.
    #[cold]
    fn known(auth: &Arc<RouteAuth>, provider: &Arc<Provider>, identity: Arc<Identity>, why: AuthResult) -> Box<Self> {
        let identity = (why != AuthResult::NotHolder).then_some(identity);
        Box::new(Self { identity, ..*Self::of(auth, Some(provider), why) })
    }

    /// What the client is told; operators may know which rule it is.
    #[cold]
    fn tell<N: Network>(self, exchange: &mut Exchange<N>) -> GatewayError {
        let Self { auth, provider, identity, why } = self;
        let lack = identity.as_deref().and_then(|identity| auth.lacks(identity));
        let lack = lack.filter(|lack| lack.result() == why).map(|lack| format!("it lacks {lack}"));
        if identity.is_some() {
            exchange.identity = identity;
        }
        let refused = refuse(exchange, &auth, provider.as_deref(), why);
        match lack {
            Some(lack) => refused.because(lack),
            None => refused,
        }
    }
}

/// Looks for a credential where the route asks for one, and whether it is known. What is granted is in the exchange
/// then; what is left to do is given back.
///
/// # Errors
/// 400 for what is not one credential, 401 without one that holds, 403 for one that is not enough.
#[inline]
pub fn recall<N: Network>(
    exchange: &mut Exchange<N>,
    headers: &mut RequestFields,
) -> Result<Option<Box<Unproven>>, GatewayError> {
    match recalled(exchange, headers) {
        Ok(Recalled::Granted(identity)) => {
            grant(exchange, identity);
            Ok(None)
        }
        Ok(Recalled::Anybody) => Ok(None),
        Ok(Recalled::Unproven(unproven)) => {
            if unproven.is_verified_here() {
                let_in(exchange)?;
            }
            Ok(Some(unproven))
        }
        Err(denied) => Err(denied.tell(exchange)),
    }
}

/// The same with the exchange as it is: what the route asks for is borrowed from there.
#[inline]
fn recalled<N: Network>(exchange: &Exchange<N>, headers: &mut RequestFields) -> Result<Recalled, Box<Denied>> {
    let Some(auth) = exchange.route().and_then(|route| route.auth.as_ref()) else { return Ok(Recalled::Anybody) };
    if let Some(provider) = auth.one_bearer() {
        return recalled_bearer(exchange, headers, auth, provider);
    }
    let certificate = exchange.connection.secured.as_ref().and_then(|secured| secured.client());
    let is_sensitive = headers.is_sensitive(KnownName::AUTHORIZATION);
    let (provider, credential) = match auth.present(headers, certificate) {
        Ok(Some(found)) => found,
        Ok(None) => return nobody(auth),
        Err(_) => return Err(Denied::of(auth, None, AuthResult::Malformed)),
    };
    if provider.forwards_token() {
        credential.put_back(headers, is_sensitive);
    }
    match known(exchange, provider, &credential) {
        Known::Proven(identity) => judged(exchange, headers, (auth, provider), identity),
        Known::Refused(why) => Err(Denied::of(auth, Some(provider), why)),
        Known::Nothing => Ok(Unproven::of(auth, provider, What::Credential(credential))),
    }
}

/// The same of a route that takes tokens in `Authorization` alone: one that is known is compared where it stands.
#[inline]
fn recalled_bearer<N: Network>(
    exchange: &Exchange<N>,
    headers: &mut RequestFields,
    auth: &Arc<RouteAuth>,
    provider: &Arc<Provider>,
) -> Result<Recalled, Box<Denied>> {
    let credential::Standing { place, field, at } = match credential::bearer_in(headers) {
        Ok(Some(found)) => found,
        Ok(None) => return nobody(auth),
        Err(_) => return Err(Denied::of(auth, None, AuthResult::Malformed)),
    };
    let known = known(exchange, provider, &field[at..]);
    // What somebody has yet to prove is kept; of what is known nobody needs more than that.
    let unproven = matches!(known, Known::Nothing).then(|| Credential::Bearer(Bytes::copy_from_slice(field), at));
    if !provider.forwards_token() {
        headers.remove_only(KnownName::AUTHORIZATION, place);
    }
    match (known, unproven) {
        (Known::Proven(identity), _) => judged(exchange, headers, (auth, provider), identity),
        (Known::Refused(why), _) => Err(Denied::of(auth, Some(provider), why)),
        (Known::Nothing, Some(credential)) => Ok(Unproven::of(auth, provider, What::Credential(credential))),
        (Known::Nothing, None) => nobody(auth),
    }
}

/// Nobody says who asks.
#[cold]
fn nobody(auth: &Arc<RouteAuth>) -> Result<Recalled, Box<Denied>> {
    if auth.settings.optional { Ok(Recalled::Anybody) } else { Err(Denied::of(auth, None, AuthResult::Missing)) }
}

/// Whether somebody who is known may.
#[inline]
fn judged<N: Network>(
    exchange: &Exchange<N>,
    headers: &mut RequestFields,
    (auth, provider): (&Arc<RouteAuth>, &Arc<Provider>),
    identity: Arc<Identity>,
) -> Result<Recalled, Box<Denied>> {
    if auth.ledger(provider).is_some_and(Ledger::revokes) {
        return Ok(Unproven::of(auth, provider, What::Identity(identity)));
    }
    if let Err(why) = is_enough(exchange, auth, &identity, Ok(())) {
        return Err(Denied::known(auth, provider, identity, why));
    }
    passes(exchange, headers, (auth, provider));
    Ok(Recalled::Granted(identity))
}

/// Looks, before a body is read that decides which of these routes is taken, whether any of them could let the request
/// in: it takes everybody, or finds something that may be a credential. Nothing is verified here, or taken out: limits
/// that need no identity come before that, and they hang on the route.
///
/// # Errors
/// What the best of the routes answers, where none could.
#[cold]
pub fn look<N: Network>(
    exchange: &mut Exchange<N>,
    headers: &RequestFields,
    routes: &[usize],
) -> Result<(), GatewayError> {
    let certificate = exchange.connection.secured.as_ref().and_then(|secured| secured.client().cloned());
    let mut first = None;
    for index in routes {
        let Some(auth) = exchange.snapshot.routes[*index].auth.clone() else { return Ok(()) };
        let why = match auth.present(&mut headers.clone(), certificate.as_ref()) {
            Ok(Some(_)) => return Ok(()),
            Ok(None) if auth.settings.optional => return Ok(()),
            Ok(None) => AuthResult::Missing,
            Err(_) => AuthResult::Malformed,
        };
        first.get_or_insert((auth, why));
    }
    match first {
        Some((auth, why)) => Err(refuse(exchange, &auth, None, why).closing()),
        None => Ok(()),
    }
}

impl Unproven {
    #[cold]
    fn of(auth: &Arc<RouteAuth>, provider: &Arc<Provider>, what: What) -> Recalled {
        Recalled::Unproven(Box::new(Self { auth: Arc::clone(auth), provider: Arc::clone(provider), what }))
    }

    /// Whether it takes the worker's own time.
    fn is_verified_here(&self) -> bool {
        matches!(self.what, What::Credential(_)) && self.provider.verifies_here()
    }
}

/// Finds out what [`recall`] left open, in the time that the exchange has, which is watched already.
///
/// # Errors
/// As [`recall`]; 503 where that time is over first.
pub async fn prove<N: Network>(
    exchange: &mut Exchange<N>,
    headers: &mut RequestFields,
    unproven: Box<Unproven>,
) -> Result<(), GatewayError> {
    let Unproven { auth, provider, what } = *unproven;
    let identity = match what {
        What::Identity(identity) => identity,
        What::Credential(credential) => {
            let proven = in_time(exchange, judge(exchange, &provider, &credential)).await??;
            let identity = proven.map_err(|why| {
                let refused = refuse(exchange, &auth, Some(&provider), why);
                match provider.why_silent(why) {
                    Some(cause) => refused.because(cause),
                    None => refused,
                }
            })?;
            keep(exchange, &provider, &identity);
            identity
        }
    };
    let asked = match auth.ledger(&provider) {
        Some(ledger) => in_time(exchange, ledger.not_revoked(exchange.by(), &identity)).await?,
        None => Ok(()),
    };
    if let Err(why) = is_enough(exchange, &auth, &identity, asked) {
        return Err(Denied::known(&auth, &provider, identity, why).tell(exchange));
    }
    passes(exchange, headers, (&auth, &provider));
    grant(exchange, identity);
    Ok(())
}

/// What becomes of a credential, by whoever has to say; an error where nobody is asked.
async fn judge<N: Network>(
    exchange: &Exchange<N>,
    provider: &Arc<Provider>,
    credential: &Credential,
) -> Result<Result<Arc<Identity>, AuthResult>, GatewayError> {
    let until = exchange.timeout.and_then(|timeout| exchange.started.checked_add(timeout));
    if provider.verifies_here() {
        turn(exchange, until).await?;
    }
    let shard = &exchange.shard;
    let (of, request) = ((credential, exchange.client.ip), IdentityRequest::of(exchange));
    Ok(prove::prove(&shard.shared, shard.index, provider, (of, until), request).await)
}

/// Waits as long as the exchange has time: whoever is asked may take longer, and is not broken off by it.
async fn in_time<N: Network, T>(exchange: &Exchange<N>, work: impl Future<Output = T>) -> Result<T, GatewayError> {
    let (mut work, deadlines) = (pin!(work), &exchange.connection.deadlines);
    let waited = poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Pending if deadlines.has_expired(Wait::Exchange) => Poll::Ready(None),
        polled => {
            exchange.answer_roll_call(None);
            polled.map(Some)
        }
    });
    waited.await.ok_or_else(out_of_time)
}

/// Nobody waits any more, and no upstream would be asked.
#[cold]
fn out_of_time() -> GatewayError {
    GatewayError::shed(ShedReason::Deadline, "The request's time ran out before it was let in.")
}

/// Verifying takes the worker's time: where too many wait for theirs, some are turned away before any of it is spent.
#[inline]
fn let_in<N: Network>(exchange: &Exchange<N>) -> Result<(), GatewayError> {
    let turns = exchange.shard.shared.identity.turns(exchange.shard.index);
    if turns.refuses(exchange.criticality(), exchange.shard.random()) {
        let detail = "The gateway has more credentials to verify than it can.";
        return Err(GatewayError::shed(ShedReason::Verification, detail));
    }
    Ok(())
}

/// Waits for a turn to verify in. Whose time is over when it comes gets none of the worker's: upstreams would not be
/// asked any more.
async fn turn<N: Network>(exchange: &Exchange<N>, until: Option<Instant>) -> Result<(), GatewayError> {
    let shared = &exchange.shard.shared;
    let turn = shared.identity.turns(exchange.shard.index).take(&shared.clock, until).await;
    turn.map_err(|_| out_of_time())
}

/// What is known of a credential, by whom that is known first; it is counted.
#[inline]
fn known<N: Network>(exchange: &Exchange<N>, provider: &Provider, credential: &[u8]) -> Known {
    let now = exchange.shard.shared.clock.unix_seconds_of(exchange.since);
    let cache = exchange.shard.shared.metrics.token_cache();
    let worker = exchange.shard.index;
    if let Some(identity) = last(exchange, provider, credential, now) {
        cache.count(worker, CacheResult::Connection);
        return Known::Proven(identity);
    }
    let known = provider.recall(worker, credential, now);
    match &known {
        Known::Proven(identity) => {
            cache.count(worker, CacheResult::Hit);
            keep(exchange, provider, identity);
        }
        Known::Refused(_) => cache.count(worker, CacheResult::Negative),
        Known::Nothing => {}
    }
    known
}

/// The connection's last identity, where it is this credential's and still holds.
#[inline]
fn last<N: Network>(exchange: &Exchange<N>, provider: &Provider, credential: &[u8], now: i64) -> Option<Arc<Identity>> {
    let last = exchange.connection.identity.lock().unwrap_or_else(PoisonError::into_inner);
    last.as_ref().filter(|last| *last.credential == *credential && last.holds(provider.proof(), now)).cloned()
}

/// An identity that holds is the connection's last from here on: most connections bring the same one again.
#[inline]
fn keep<N: Network>(exchange: &Exchange<N>, provider: &Provider, identity: &Arc<Identity>) {
    if provider.remembers() {
        let mut last = exchange.connection.identity.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some(Arc::clone(identity));
    }
}

/// The identity holds, as far as it is known here; `asked` is what stores said. Is it enough?
#[inline]
fn is_enough<N: Network>(
    exchange: &Exchange<N>,
    auth: &RouteAuth,
    identity: &Identity,
    asked: Result<(), AuthResult>,
) -> Result<(), AuthResult> {
    if !identity.is_held_with(|| exchange.connection.secured.as_ref()?.client()) {
        return Err(AuthResult::NotHolder);
    }
    asked.and_then(|()| auth.check(identity)).and_then(|()| unused(exchange, auth, identity))
}

/// It is enough: counts that, and takes away what else could say who asks.
#[inline]
fn passes<N: Network>(
    exchange: &Exchange<N>,
    headers: &mut RequestFields,
    (auth, provider): (&RouteAuth, &Arc<Provider>),
) {
    // One that holds once is granted when it is used up.
    if !auth.settings.single_use {
        provider.series.count(exchange.shard.index, AuthResult::Granted);
    }
    auth.strip(headers, provider);
}

/// It is this one's request from here on.
#[inline]
fn grant<N: Network>(exchange: &mut Exchange<N>, identity: Arc<Identity>) {
    exchange.identity = Some(identity);
    exchange.passport = passport(exchange);
}

/// A token of a route that takes each once has a `jti`, and was not used before, as far as this process knows: what was
/// counts against nobody's limits, and nobody is asked about it.
#[inline]
fn unused<N: Network>(exchange: &Exchange<N>, auth: &RouteAuth, identity: &Identity) -> Result<(), AuthResult> {
    if !auth.settings.single_use {
        return Ok(());
    }
    exchange.shard.shared.identity.used().was_unused(identity)
}

/// Uses up the token of a route that takes each once, now that nothing else stands in the request's way. The exchange's
/// time is watched already.
///
/// # Errors
/// 401 where it was used before, or has ended since it was proven; 503 where nobody can say in time.
#[cold]
pub async fn use_up<N: Network>(exchange: &mut Exchange<N>) -> Result<(), GatewayError> {
    let Some(auth) = exchange.route().and_then(|route| route.auth.clone()) else { return Ok(()) };
    // Nobody has no token.
    let Some(identity) = exchange.identity.clone().filter(|_| auth.settings.single_use) else { return Ok(()) };
    let provider = auth.providers.iter().find(|provider| *provider.name() == identity.provider);
    let shared = &exchange.shard.shared;
    let (used, now) = (shared.identity.used(), shared.clock.unix_seconds(exchange.now()));
    let ledger = provider.and_then(|provider| auth.ledger(provider)).filter(|ledger| ledger.remembers());
    let is_own = ledger.is_none();
    let result = match ledger {
        // What is remembered of it may have gone with its end.
        _ if now >= identity.until => Err(AuthResult::Expired),
        Some(ledger) => {
            let asked = ledger.use_up(exchange.by(), &identity, (used.name_of_use(), now));
            let result = in_time(exchange, asked).await?;
            if matches!(result, Ok(()) | Err(AuthResult::Replayed)) {
                used.note(&identity, now);
            }
            result
        }
        None => used.use_up(&identity, now),
    };
    if let Err(why) = result {
        let mut refused = refuse(exchange, &auth, provider.map(|provider| &**provider), why);
        // What this process remembers of tokens is full: that is nobody else's outage.
        if is_own && why == AuthResult::Unavailable {
            refused.code = Code::Overloaded;
        }
        return Err(refused);
    }
    if let Some(provider) = provider {
        provider.series.count(exchange.shard.index, AuthResult::Granted);
    }
    Ok(())
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
    // Who decided says how to try again: errors of RFC 6750 are for tokens.
    let scheme = provider.map_or_else(|| auth.challenge.clone(), Provider::challenge);
    let challenge = |error: &'static str| {
        if scheme.as_bytes().starts_with(b"Bearer") { HeaderValue::from_static(error) } else { scheme.clone() }
    };
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
            // That too many passwords wait to be hashed is nobody's outage.
            let code = if provider.is_some_and(Provider::hashes) { Code::Overloaded } else { why.code() };
            return GatewayError::new(code, detail).retry_after(Duration::from_secs(1));
        }
        _ => (Code::Unauthorized, "The credential does not hold.", challenge("Bearer error=\"invalid_token\"")),
    };
    GatewayError::new(code, detail).challenging(challenge)
}
