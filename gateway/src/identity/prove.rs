//! Proving a credential of which nothing is known: by its signature, with keys that may have to be fetched first, or by
//! asking its issuer.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::introspection::Issuer;
use super::key_keeper::kid_of;
use super::key_store::Looked;
use super::proven::Identity;
use super::provider::{Kind, Known, Provider};
use crate::network::Network;
use crate::shard::Shared;
use crate::telemetry::metrics::{AuthResult, CacheResult};

/// Proves a credential on a worker; nobody waits for it any more after `until`.
///
/// # Errors
/// Why it does not hold.
pub(super) async fn prove<N: Network>(
    shared: &Shared<N>,
    worker: usize,
    provider: &Provider,
    (credential, until): (&[u8], Option<Instant>),
) -> Result<Arc<Identity>, AuthResult> {
    match &provider.kind {
        Kind::Signed(_) => by_signature(shared, worker, provider, (credential, until)).await,
        Kind::Opaque(issuer) => {
            let credential = &Bytes::copy_from_slice(credential);
            let turn = issuer.turn(worker, credential);
            let proven = {
                let _mine = turn.lock().await;
                by_asking(shared, worker, (provider, issuer), credential).await
            };
            issuer.end_turn(worker, credential, &turn);
            proven
        }
        Kind::ApiKey | Kind::Certificate => provider.prove(worker, credential, now(shared)),
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
    let (result, found) = match provider.recall(worker, credential, now(shared)) {
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
    (credential, until): (&[u8], Option<Instant>),
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

async fn by_asking<N: Network>(
    shared: &Shared<N>,
    worker: usize,
    (provider, issuer): (&Provider, &Issuer),
    credential: &Bytes,
) -> Result<Arc<Identity>, AuthResult> {
    if let Some(found) = again(shared, worker, provider, credential) {
        return found;
    }
    let proof = provider.proof();
    let judged = match shared.identity.outside() {
        Some((client, control)) => issuer.ask((client, &control), credential, &shared.clock).await,
        None => Err(AuthResult::Unavailable),
    };
    provider.remember(worker, credential, (proof, now(shared)), judged)
}
