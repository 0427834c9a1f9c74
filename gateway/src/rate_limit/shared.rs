//! Rules whose buckets are in a store: what a request asks of it, and what holds when it does not answer.
//!
//! What a store last said of a bucket is kept here too ([`super::cells`]). A bucket that was empty is refused from that
//! memory until the exact time at which it is not. Each call tells the store what its bucket lacks at least, so a store
//! that forgot gives nobody another burst; and when the store is down, this gateway's share begins there.

use std::sync::Arc;

use http::HeaderMap;
use smallvec::SmallVec;

use super::Phase;
use super::applied::{Applied, Charge, Paid};
use super::key::{Key, short_id};
use super::leases;
use super::route::RouteLimits;
use super::rule::{Rule, Tier};
use crate::algorithms::gcra::Quota;
use crate::config::settings::rate_limit::{Mode, OnFailure, Shared};
use crate::config::settings::store::Servers;
use crate::error::{Code, GatewayError};
use crate::exchange::Exchange;
use crate::network::Network;
use crate::store::{Call, Down, Script, Store};
use crate::telemetry::metrics::LimitDecision;

/// A rule that waits for its turn to be asked.
struct Pending<'a> {
    index: usize,
    rule: &'a Rule,
    store: &'a Arc<Store>,
    key: Key<'a>,
    tier: Tier,
    hash: u64,
}

/// One request's way through the rules of its route that are in stores.
pub(super) struct Asking<'a, N: Network> {
    pub(super) limits: &'a RouteLimits,
    pub(super) exchange: &'a Exchange<N>,
    pub(super) headers: &'a HeaderMap,
    pub(super) applied: &'a mut Applied,
    pub(super) now: u64,
}

impl<'a, N: Network> Asking<'a, N> {
    /// Asks the rules of a phase: those that lease first, since most of them ask nobody; then the others, those that
    /// share a slot in one step.
    ///
    /// # Errors
    /// 429; 503 where a store is down and its rule says closed. Nothing is charged then.
    pub(super) async fn ask(&mut self, phase: Phase) -> Result<(), GatewayError> {
        let mut exact: SmallVec<[Pending<'a>; 2]> = SmallVec::new();
        for (index, rule) in self.limits.rules().iter().enumerate().filter(|(_, rule)| rule.phase == phase) {
            let (Some(store), Some(shared)) = (&rule.store, &rule.settings.shared) else { continue };
            let (key, tier) = (Key::of(&rule.settings, self.exchange, self.headers), rule.tier(self.exchange));
            let hash = rule.hash(&key, tier);
            rule.note(self.exchange, &key, hash);
            let pending = Pending { index, rule, store, key, tier, hash };
            match shared.mode {
                Mode::Leased(most) if self.lease(&pending, most).await? => {}
                Mode::Exact if self.is_known_empty(&pending)? => {}
                Mode::Exact | Mode::Leased(_) => exact.push(pending),
            }
        }
        while let Some(first) = exact.first() {
            let (store, tag) = (Arc::clone(first.store), tag(first));
            let (together, others): (SmallVec<[_; 2]>, SmallVec<[_; 2]>) = exact
                .into_iter()
                .partition(|other| Arc::ptr_eq(other.store, &store) && tag_of(other, tag.is_some()) == tag);
            exact = others;
            self.exact(&store, &together).await?;
        }
        Ok(())
    }

    /// Whether the bucket was empty when it was last seen, and still is. A rule that may, refuses.
    fn is_known_empty(&mut self, pending: &Pending<'a>) -> Result<bool, GatewayError> {
        let (quota, tat) = (*pending.rule.quota(pending.tier), pending.rule.cells().known(pending.hash));
        let tat = tat.unwrap_or(0);
        let wait = quota.wait(tat, self.now);
        if wait == 0 || !pending.store.health.is_up() {
            return Ok(false);
        }
        self.refused(pending, quota, tat, wait)?;
        Ok(true)
    }

    /// Whether there was room to keep a chunk; without it the request is to ask for itself.
    async fn lease(&mut self, pending: &Pending<'a>, most: u64) -> Result<bool, GatewayError> {
        let who = (&pending.key, pending.tier, pending.hash);
        match leases::take(pending.rule, self.exchange.shard.index, who, most, self.now).await {
            Ok(None) => Ok(false),
            Ok(Some(outcome)) => {
                let quota = *pending.rule.quota(pending.tier);
                if outcome.taken {
                    self.admitted(pending, Paid::Lease, quota, outcome.tat);
                    return Ok(true);
                }
                self.refused(pending, quota, outcome.tat, quota.wait(outcome.tat, self.now).max(1))?;
                Ok(true)
            }
            Err(Down) => self.without_store(pending).map(|()| true),
        }
    }

    /// One atomic step in a store for all of these.
    async fn exact(&mut self, store: &Arc<Store>, together: &[Pending<'a>]) -> Result<(), GatewayError> {
        let mut call = Call::new(Script::Charge);
        for pending in together {
            call.keys.push(pending.rule.name_in_store(&pending.key, pending.tier));
            let quota = pending.rule.quota(pending.tier);
            let floor = pending.rule.cells().known(pending.hash).unwrap_or(0).saturating_sub(self.now);
            let enforced = u64::from(!pending.rule.settings.shadow);
            call.numbers.extend([quota.cost(), quota.window(), floor, enforced].map(number));
        }
        match store.ask(self.exchange.shard.index, call).await.map(|answer| self.judge(&answer, together)) {
            Ok(Some(judged)) => judged,
            Ok(None) | Err(Down) => together.iter().try_for_each(|pending| self.without_store(pending)),
        }
    }

    /// What the store's answer means; `None` where it is none.
    fn judge(&mut self, answer: &[i64], together: &[Pending<'a>]) -> Option<Result<(), GatewayError>> {
        let [refused, _time, debts @ ..] = answer else { return None };
        if debts.len() != together.len() {
            return None;
        }
        let mut first = None;
        let mut longest = 0;
        for (pending, debt) in together.iter().zip(debts) {
            let watched = *debt < 0;
            let debt = if watched { -(*debt + 1) } else { *debt }.unsigned_abs();
            let (quota, tat) = (*pending.rule.quota(pending.tier), self.now.saturating_add(debt));
            pending.rule.cells().raise(pending.hash, self.now, tat);
            if *refused != 0 {
                let wait = if pending.rule.settings.shadow { 0 } else { quota.wait(tat, self.now) };
                longest = longest.max(wait);
                if wait > 0 && first.is_none() {
                    first = Some((pending, quota, tat));
                }
            } else if watched {
                // It only watches, so nobody is refused.
                let _ = self.refused(pending, quota, tat, 0);
            } else {
                self.admitted(pending, Paid::Store, quota, tat);
            }
        }
        if *refused == 0 {
            return Some(Ok(()));
        }
        let refused = usize::try_from(*refused).ok().and_then(|number| together.get(number.checked_sub(1)?));
        let of = |pending: &Pending<'a>| {
            let (quota, tat) = (*pending.rule.quota(pending.tier), pending.rule.cells().look(pending.hash));
            (quota, tat)
        };
        let (pending, (quota, tat)) = match (first, refused) {
            (Some((pending, quota, tat)), _) => (pending, (quota, tat)),
            (None, Some(pending)) => (pending, of(pending)),
            (None, None) => return None,
        };
        Some(self.refused(pending, quota, tat, longest.max(1)))
    }

    /// What holds while the store is down.
    fn without_store(&mut self, pending: &Pending<'a>) -> Result<(), GatewayError> {
        let rule = pending.rule;
        match rule.settings.shared.as_ref().map(|shared: &Shared| shared.on_failure) {
            Some(OnFailure::Open) | None => {
                let quota = *rule.quota(pending.tier);
                self.decided(pending, LimitDecision::Open, (Paid::Nothing, quota, self.now));
                Ok(())
            }
            Some(OnFailure::Closed) => {
                let quota = *rule.quota(pending.tier);
                self.decided(pending, LimitDecision::Closed, (Paid::Nothing, quota, self.now));
                if rule.settings.shadow {
                    return Ok(());
                }
                self.applied.refused = Some(pending.index);
                self.limits.give_back(self.exchange, self.headers, self.applied);
                let detail = "The limit's store does not answer.";
                Err(GatewayError::new(Code::LimitStoreDown, detail).retry_after(pending.store.settings.open_for))
            }
            Some(OnFailure::LocalShare) => {
                let quota = rule.quota(pending.tier).share(pending.store.gateways());
                match rule.cells().take(pending.hash, self.now, &quota) {
                    Ok(taken) => {
                        self.admitted(pending, Paid::Bucket(taken.place), quota, taken.tat);
                        Ok(())
                    }
                    Err(refused) => {
                        let tat = rule.cells().look(pending.hash);
                        self.refused(pending, quota, tat, refused.wait)
                    }
                }
            }
        }
    }

    fn admitted(&mut self, pending: &Pending<'a>, paid: Paid, quota: Quota, tat: u64) {
        self.decided(pending, LimitDecision::Admitted, (paid, quota, tat));
    }

    fn refused(&mut self, pending: &Pending<'a>, quota: Quota, tat: u64, wait: u64) -> Result<(), GatewayError> {
        let shadow = pending.rule.settings.shadow;
        let decision = if shadow { LimitDecision::ShadowRefused } else { LimitDecision::Refused };
        self.decided(pending, decision, (Paid::Nothing, quota, tat));
        if shadow {
            return Ok(());
        }
        Err(self.limits.refuse(self.exchange, self.headers, self.applied, (pending.index, wait)))
    }

    fn decided(&mut self, pending: &Pending<'a>, decision: LimitDecision, (paid, quota, tat): (Paid, Quota, u64)) {
        let Pending { index, tier, hash, .. } = *pending;
        pending.rule.decided(self.exchange, (&pending.key, tier), decision, (self.now, tat));
        self.applied.charges.push(Charge { rule: index, tier, hash, paid, quota, tat, now: self.now });
    }
}

/// Gives tokens back to the store that they were taken from.
pub(super) fn give_back(rule: &Rule, worker: usize, (key, tier, hash): (&Key<'_>, Tier, u64)) {
    let (Some(store), quota) = (&rule.store, rule.quota(tier)) else { return };
    let mut call = Call::new(Script::Charge);
    call.keys.push(rule.name_in_store(key, tier));
    call.numbers.extend([-number(quota.cost()), number(quota.window()), 0, 1]);
    rule.cells().lower(hash, quota.cost());
    store.tell(worker, call);
}

/// A number of nanoseconds or tokens, which all are far below 2^63.
pub(super) fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// In a cluster: what decides the slot.
fn tag(pending: &Pending<'_>) -> Option<String> {
    tag_of(pending, matches!(pending.store.settings.servers, Servers::Cluster(_)))
}

fn tag_of(pending: &Pending<'_>, clustered: bool) -> Option<String> {
    clustered.then(|| short_id(&pending.key))
}
