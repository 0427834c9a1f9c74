//! Proving a credential of which nothing is known: by its signature, with keys that may have to be fetched first, or by
//! asking its issuer.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::asked::Part;
use super::claims::Claims;
use super::credential::{self, Credential};
use super::introspection::Issuer;
use super::key_keeper::kid_of;
use super::key_store::Looked;
use super::password::{self, Passwords};
use super::proven::Identity;
use super::provider::{Kind, Known, Provider};
use crate::config::settings::identity::ProviderKind;
use crate::network::Network;
use crate::plugins::{AnyIdentityProvider, Around, Denied, Granted, IdentityRequest, What, guarded};
use crate::shard::Shared;
use crate::telemetry::metrics::{AuthResult, CacheResult};
use crate::threads::off_the_loop;

/// Proves a credential of a client at this address, for this request, on a worker; nobody waits for it any more after
/// `until`.
///
/// # Errors
/// Why it does not hold.
pub(super) async fn prove<N: Network>(
    shared: &Shared<N>,
    worker: usize,
    provider: &Arc<Provider>,
    ((credential, client), until): ((&Credential, IpAddr), Option<Instant>),
    request: IdentityRequest<'_>,
) -> Result<Arc<Identity>, AuthResult> {
    match &provider.kind {
        Kind::Signed(_) => by_signature(shared, worker, provider, (credential, until)).await,
        Kind::Opaque(issuer) => by_asking(shared, worker, (provider, issuer), credential).await,
        Kind::Password(passwords) => by_password(shared, worker, (provider, passwords), (credential, client)).await,
        Kind::Custom(own) => by_program(shared, worker, (provider, own.as_deref()), (credential, request)).await,
        Kind::ApiKey | Kind::Certificate(_) => provider.prove(worker, credential, now(shared)),
    }
}

/// Seconds since the Unix epoch.
fn now<N: Network>(shared: &Shared<N>) -> i64 {
    shared.clock.unix_seconds(shared.clock.now())
}

/// What another request has found out meanwhile.
fn again<N: Network>(
    shared: &Shared<N>,
    worker: usize,
    provider: &Provider,
    credential: &[u8],
) -> Option<Result<Arc<Identity>, AuthResult>> {
    let (result, found) = match provider.known(worker, credential, now(shared)) {
        Known::Proven(identity) => (CacheResult::Hit, Some(Ok(identity))),
        Known::Refused(why) => (CacheResult::Negative, Some(Err(why))),
        Known::Nothing => (CacheResult::Miss, None),
    };
    shared.metrics.token_cache().count(worker, result);
    found
}

async fn by_signature<N: Network>(
    shared: &Shared<N>,
    worker: usize,
    provider: &Provider,
    (credential, until): (&Credential, Option<Instant>),
) -> Result<Arc<Identity>, AuthResult> {
    if let Some(found) = again(shared, worker, provider, credential) {
        return found;
    }
    let first = provider.prove(worker, credential, now(shared));
    let (Err(AuthResult::UnknownKey | AuthResult::NoKeys), Some(store)) = (&first, provider.store()) else {
        return first;
    };
    let (kid, came) = (kid_of(credential), shared.clock.now());
    let mut proven = first;
    // The second time the fetch is one that began later than the token came.
    for _ in 0..2 {
        let began = match (store.fetched_again(&kid, shared.clock.now()).await, &proven) {
            (Looked::Again { began }, _) => began,
            (Looked::Unable, Err(AuthResult::UnknownKey)) => return Err(AuthResult::Unavailable),
            (Looked::Unable | Looked::Enough, _) => return proven,
        };
        // Out of time: whatever would be found out is for nobody.
        let turn = shared.identity.turns(worker).take(&shared.clock, until).await;
        turn.map_err(|_| AuthResult::Unavailable)?;
        proven = provider.prove(worker, credential, now(shared));
        if !matches!(proven, Err(AuthResult::UnknownKey)) {
            return proven;
        }
        // Its issuer may have begun to use it, as long as nobody could be asked about that.
        if store.is_failing() {
            store.not_there(&kid);
            return Err(AuthResult::Unavailable);
        }
        if began >= Some(came) {
            store.not_there(&kid);
            return proven;
        }
    }
    proven
}

/// Asks beside the worker, to the end: what comes of it is remembered also when whoever asked has left, and is
/// everybody's who brings the token meanwhile.
async fn by_asking<N: Network>(
    shared: &Shared<N>,
    worker: usize,
    (provider, issuer): (&Arc<Provider>, &Arc<Issuer>),
    credential: &[u8],
) -> Result<Arc<Identity>, AuthResult> {
    let text = credential::opaque(credential)?;
    let token = Bytes::copy_from_slice(credential);
    let turn = loop {
        match issuer.asked.join(worker, &token) {
            Part::Asks(turn) => break turn,
            Part::Waits(waiting) => {
                if let Some(outcome) = waiting.outcome().await {
                    let result = if outcome.is_ok() { CacheResult::Hit } else { CacheResult::Negative };
                    shared.metrics.token_cache().count(worker, result);
                    return outcome;
                }
            }
        }
    };
    if let Some(found) = again(shared, worker, provider, &token) {
        return turn.tell(found);
    }
    let proof = provider.proof();
    let Some((client, control)) = shared.identity.outside() else { return turn.tell(Err(AuthResult::Unavailable)) };
    let question = match issuer.question(client, text, (&shared.clock, &shared.events)) {
        Ok(question) => question,
        Err(why) => return turn.tell(Err(why)),
    };
    let (provider, clock) = (Arc::clone(provider), shared.clock.clone());
    let asked = control.spawn(async move {
        let judged = question.ask().await;
        turn.tell(provider.remember(worker, &token, (proof, clock.unix_seconds(clock.now())), judged))
    });
    asked.await.unwrap_or(Err(AuthResult::Unavailable))
}

/// Hashes beside the worker, once for all who bring the same name and password meanwhile on whichever worker, and to
/// the end: what comes of it is remembered also when whoever brought it has left.
async fn by_password<N: Network>(
    shared: &Shared<N>,
    worker: usize,
    (provider, passwords): (&Arc<Provider>, &Arc<Passwords>),
    (credential, client): (&[u8], IpAddr),
) -> Result<Arc<Identity>, AuthResult> {
    let mark = passwords.mark(credential);
    let cache = |result: CacheResult| shared.metrics.token_cache().count(worker, result);
    match provider.known(worker, &mark, now(shared)) {
        Known::Proven(identity) => {
            cache(CacheResult::Hit);
            return Ok(identity);
        }
        Known::Refused(why) => {
            cache(CacheResult::Negative);
            return Err(why);
        }
        Known::Nothing => {}
    }
    let pair = password::pair(credential)?;
    let mark = Bytes::copy_from_slice(&mark);
    let turn = loop {
        match passwords.asked.join(worker, &mark) {
            Part::Asks(turn) => break turn,
            Part::Waits(waiting) => {
                if let Some(outcome) = waiting.outcome().await {
                    cache(if outcome.is_ok() { CacheResult::Hit } else { CacheResult::Negative });
                    return outcome;
                }
            }
        }
    };
    if let Some(found) = again(shared, worker, provider, &mark) {
        return turn.tell(found);
    }
    let Some(place) = shared.identity.hashing().place(client).await else {
        // Nothing is told: that this network has too many waits says nothing of others, who ask by their own.
        return Err(AuthResult::Unavailable);
    };
    let (provider, passwords, clock) = (Arc::clone(provider), Arc::clone(passwords), shared.clock.clone());
    let proof = provider.proof();
    let hashed = off_the_loop(move || {
        let judged = passwords.judge(&pair);
        let outcome = provider.remember(worker, &mark, (proof, clock.unix_seconds(clock.now())), judged);
        drop(place);
        turn.tell(outcome)
    });
    hashed.await.unwrap_or(Err(AuthResult::Unavailable))
}

async fn by_program<N: Network>(
    shared: &Shared<N>,
    worker: usize,
    (provider, own): (&Provider, Option<&dyn AnyIdentityProvider>),
    (credential, request): (&[u8], IdentityRequest<'_>),
) -> Result<Arc<Identity>, AuthResult> {
    if let Some(found) = again(shared, worker, provider, credential) {
        return found;
    }
    let ProviderKind::Custom(settings) = &provider.settings.kind else { return Err(AuthResult::Unavailable) };
    let own = own.ok_or(AuthResult::Unavailable)?;
    let text = std::str::from_utf8(credential).map_err(|_| AuthResult::Malformed)?;
    let proof = provider.proof();
    let around = Around::of_ids(What::Identity, &settings.name, request.ids());
    let asking = tokio::time::timeout(settings.timeout, around.future(own.identify(text, &request)));
    let asked = guarded(shared, asking, || None::<()>).await;
    let judged = match asked {
        Ok(Ok(Ok(granted))) => believed(granted, settings.positive, now(shared)),
        Ok(Ok(Err(Denied::Invalid))) => Err(AuthResult::Inactive),
        // It panicked, has no time left, or cannot say.
        Ok(Ok(Err(Denied::Unavailable)) | Err(_)) | Err(_) => Err(AuthResult::Unavailable),
    };
    provider.remember(worker, credential, (proof, now(shared)), judged)
}

/// What the program's own code grants, for as long as it is believed.
fn believed(granted: Granted, most: Duration, now: i64) -> Result<Claims, AuthResult> {
    let after = |time: Duration| now.saturating_add(i64::try_from(time.as_secs()).unwrap_or(i64::MAX));
    let ends = granted.good_for.map_or(i64::MAX, after);
    Claims::of_program(granted.subject, granted.scopes, granted.claims, (ends.min(after(most)), ends))
}
