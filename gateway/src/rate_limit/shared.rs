//! Rules whose buckets are in a store: what a request asks of it, and what holds when it does not answer.
//!
//! What a store last said of a bucket is kept here too ([`super::cells`]). A bucket that was empty is refused from that
//! memory until the exact time at which it is not. A store that was away is told what its buckets lack at least
//! ([`super::floors`]), so one that forgot gives nobody another burst; and when the store is down, this gateway's share
//! begins there. What was let through by shares is paid when the store is back ([`super::tabs`]).

use std::sync::Arc;

use smallvec::SmallVec;

use super::Phase;
use super::applied::{Applied, Charge, Paid};
use super::flight::{Asked, Charged, Flight, refund};
use super::key::{Key, ShortId};
use super::leases::{self, Missed};
use super::route::RouteLimits;
use super::rule::{Rule, Tier};
use super::tabs::Seen;
use crate::algorithms::gcra::{Quota, Refused};
use crate::config::settings::rate_limit::{Mode, OnFailure, Shared};
use crate::config::settings::store::Servers;
use crate::error::{Code, GatewayError};
use crate::exchange::Exchange;
use crate::network::Network;
use crate::request_fields::RequestFields;
use crate::store::{Down, Store};
use crate::telemetry::metrics::LimitDecision;

/// One request's way through the rules of its route that are in stores.
pub(super) struct Asking<'a, N: Network> {
    pub(super) limits: &'a RouteLimits,
    pub(super) exchange: &'a Exchange<N>,
    pub(super) headers: &'a RequestFields,
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
        let mut exact: SmallVec<[Asked<'a>; 2]> = SmallVec::new();
        for (index, rule) in self.limits.rules().iter().enumerate().filter(|(_, rule)| rule.phase == phase) {
            let (Some(store), Some(shared)) = (&rule.store, &rule.settings.shared) else { continue };
            let (key, tier) =
                (Key::of(rule.settings.counted_by(), self.exchange, self.headers), rule.tier(self.exchange));
            let hash = rule.hash(&key, tier);
            rule.note(self.exchange, &key, hash);
            let asked = Asked { index, rule, store, key, id: None, tier, hash };
            match shared.mode {
                Mode::Leased(most) if self.lease(&asked, most).await? => {}
                Mode::Exact if self.is_known_empty(&asked)? => {}
                Mode::Exact | Mode::Leased(_) => exact.push(Asked { id: Some(asked.id()), ..asked }),
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
    fn is_known_empty(&mut self, asked: &Asked<'a>) -> Result<bool, GatewayError> {
        let (quota, tat) = (*asked.rule.quota(asked.tier), asked.rule.cells().known(asked.hash));
        let tat = tat.unwrap_or(0);
        let wait = quota.wait(tat, self.now);
        if wait == 0 || !asked.store.health.is_up() {
            return Ok(false);
        }
        self.refused(asked, quota, tat, wait)?;
        Ok(true)
    }

    /// Whether this request has waited for the store in vain: once is enough, whatever its rules say.
    fn is_in_vain(&self, store: &Arc<Store>) -> bool {
        self.applied.in_vain.iter().any(|one| Arc::ptr_eq(one, store))
    }

    /// It was waited for: whom a share helps does not wait for who is silent, which says nothing to who would wait. Nor
    /// does it of a cluster: another server may have the next slot.
    #[cold]
    fn asked_in_vain(&mut self, store: &Arc<Store>) {
        if !matches!(store.settings.servers, Servers::Cluster(_)) {
            self.applied.in_vain.push(Arc::clone(store));
        }
    }

    /// Whether there was room to keep a chunk; without it the request is to ask for itself.
    async fn lease(&mut self, asked: &Asked<'a>, most: u64) -> Result<bool, GatewayError> {
        let who = (&asked.key, asked.tier, asked.hash);
        let taken = if self.is_in_vain(asked.store) {
            leases::take_held(asked.rule, who, self.now)
        } else {
            leases::take(asked.rule, self.exchange.by(), who, most, self.now).await
        };
        match taken {
            Ok(None) => Ok(false),
            Ok(Some(outcome)) => {
                // It may have waited: what is left, and for how long, is told by the time of the answer.
                self.now = self.now.max(outcome.now);
                let quota = *asked.rule.quota(asked.tier);
                if outcome.taken {
                    self.admitted(asked, Paid::Lease, quota, outcome.tat);
                    return Ok(true);
                }
                self.refused(asked, quota, outcome.tat, quota.wait(outcome.tat, self.now).max(1))?;
                Ok(true)
            }
            Err(missed) => {
                if missed == Missed::InVain {
                    self.asked_in_vain(asked.store);
                }
                self.without_store(asked, |now| asked.take_share(now, false)).map(|()| true)
            }
        }
    }

    /// One atomic step in a store for all of these.
    async fn exact(&mut self, store: &Arc<Store>, together: &[Asked<'a>]) -> Result<(), GatewayError> {
        let alone = |asking: &mut Self| {
            together.iter().try_for_each(|asked| asking.without_store(asked, |now| asked.take_share(now, false)))
        };
        let (is_in_vain, has_share) = (self.is_in_vain(store), together.iter().all(|asked| asked.rule.has_share()));
        // What a share has decided is told to the store all the same, as far as it listens.
        if is_in_vain && !has_share {
            return alone(self);
        }
        let Ok(mut flight) = Flight::start(store, self.exchange.by(), together, self.now) else { return alone(self) };
        // Behind others that wait in vain nobody waits whom this gateway's share can help.
        let skips = is_in_vain || has_share && store.is_silent(self.exchange.shard.index);
        let landed = if skips { Err(Down) } else { flight.land(self.now).await };
        match landed {
            Ok(charged) => self.judge(&charged, together),
            Err(Down) => {
                if !skips {
                    self.asked_in_vain(store);
                }
                flight.decided_alone();
                let mut each = together.iter().enumerate();
                each.try_for_each(|(at, asked)| self.without_store(asked, |now| flight.take_share(at, now)))
            }
        }
    }

    /// What the store's answer means.
    fn judge(&mut self, charged: &Charged, together: &[Asked<'a>]) -> Result<(), GatewayError> {
        let mut first = None;
        let mut longest = 0;
        for (asked, (debt, watched)) in together.iter().zip(&charged.debts) {
            let (quota, tat) = (*asked.rule.quota(asked.tier), self.now.saturating_add(*debt));
            if charged.refused != 0 {
                let wait = quota.wait(tat, self.now);
                if asked.rule.settings.shadow {
                    // What it would have done is told, whoever refuses.
                    if wait > 0 {
                        let _ = self.refused(asked, quota, tat, 0);
                    }
                    continue;
                }
                longest = longest.max(wait);
                if wait > 0 && first.is_none() {
                    first = Some((asked, quota, tat));
                }
            } else if *watched {
                // It only watches, so nobody is refused.
                let _ = self.refused(asked, quota, tat, 0);
            } else {
                self.admitted(asked, Paid::Store(asked.id()), quota, tat);
            }
        }
        let Some(refused) = charged.refused.checked_sub(1).and_then(|at| together.get(at)) else { return Ok(()) };
        let (asked, quota, tat) = first
            .unwrap_or_else(|| (refused, *refused.rule.quota(refused.tier), refused.rule.cells().look(refused.hash)));
        self.refused(asked, quota, tat, longest.max(1))
    }

    /// What holds while the store does not answer; `take_share` takes the request's tokens from this gateway's share.
    fn without_store(
        &mut self,
        asked: &Asked<'a>,
        take_share: impl FnOnce(u64) -> Result<u64, Refused>,
    ) -> Result<(), GatewayError> {
        let rule = asked.rule;
        // It may have waited.
        self.now = self.now.max(asked.store.now_ns());
        match rule.settings.shared.as_ref().map(|shared: &Shared| shared.on_failure) {
            Some(OnFailure::Open) | None => {
                let quota = *rule.quota(asked.tier);
                self.decided(asked, LimitDecision::Open, (Paid::Unknown, quota, self.now));
                Ok(())
            }
            Some(OnFailure::Closed) => {
                let quota = *rule.quota(asked.tier);
                self.decided(asked, LimitDecision::Closed, (Paid::Unknown, quota, self.now));
                if rule.settings.shadow {
                    return Ok(());
                }
                // Whatever the bucket has there, its client gets none of it.
                if let Some(charge) = self.applied.charges.last_mut() {
                    charge.tat = quota.empty(self.now);
                }
                self.applied.refused = Some(asked.index);
                self.limits.give_back(self.exchange, self.applied);
                let detail = "The limit's store does not answer.";
                let error = GatewayError::new(Code::LimitStoreDown, detail).because(asked.store.why_silent());
                Err(error.retry_after(asked.store.settings.open_for))
            }
            Some(OnFailure::LocalShare) => {
                let quota = rule.quota(asked.tier).share(asked.store.gateways());
                match take_share(self.now) {
                    Ok(tat) => {
                        self.admitted(asked, Paid::Share(asked.id()), quota, tat);
                        Ok(())
                    }
                    Err(refused) => {
                        let tat = rule.state.tabs.tat(asked.hash, asked.seen(self.now));
                        self.refused(asked, quota, tat, refused.wait)
                    }
                }
            }
        }
    }

    fn admitted(&mut self, asked: &Asked<'a>, paid: Paid, quota: Quota, tat: u64) {
        self.decided(asked, LimitDecision::Admitted, (paid, quota, tat));
    }

    fn refused(&mut self, asked: &Asked<'a>, quota: Quota, tat: u64, wait: u64) -> Result<(), GatewayError> {
        let shadow = asked.rule.settings.shadow;
        let decision = if shadow { LimitDecision::ShadowRefused } else { LimitDecision::Refused };
        self.decided(asked, decision, (if shadow { Paid::Watched } else { Paid::Nothing }, quota, tat));
        if shadow {
            return Ok(());
        }
        Err(self.limits.refuse(self.exchange, self.applied, (asked.index, wait)))
    }

    fn decided(&mut self, asked: &Asked<'a>, decision: LimitDecision, (paid, quota, tat): (Paid, Quota, u64)) {
        let Asked { index, tier, hash, .. } = *asked;
        let followed = asked.rule.decided(self.exchange, (&asked.key, tier), decision, (self.now, tat));
        self.applied.charges.push(Charge { rule: index, tier, hash, followed, paid, quota, tat, now: self.now });
    }
}

/// Gives tokens back to the store that they were taken from.
pub(super) fn give_back(rule: &Rule, worker: usize, (key, tier, hash): (ShortId, Tier, u64)) {
    let (Some(store), quota) = (&rule.store, rule.quota(tier)) else { return };
    rule.cells().lower(hash, quota.cost());
    refund(store, worker, rule.name_in_store(key, tier), (quota.cost(), quota));
}

/// Takes a request off the tab. Where the store has been paid for it meanwhile, that goes back.
pub(super) fn strike_out(rule: &Rule, worker: usize, (key, tier, hash): (ShortId, Tier, u64)) {
    let (Some(store), quota) = (&rule.store, rule.quota(tier)) else { return };
    let seen = Seen { known: rule.cells().known(hash).unwrap_or(0), now: store.now_ns() };
    let rest = rule.state.tabs.credit(hash, quota.cost(), seen);
    if rest > 0 {
        rule.cells().lower(hash, rest);
        refund(store, worker, rule.name_in_store(key, tier), (rest, quota));
    }
}

/// In a cluster: what decides the slot.
fn tag(asked: &Asked<'_>) -> Option<ShortId> {
    tag_of(asked, matches!(asked.store.settings.servers, Servers::Cluster(_)))
}

fn tag_of(asked: &Asked<'_>, clustered: bool) -> Option<ShortId> {
    clustered.then(|| asked.id())
}
