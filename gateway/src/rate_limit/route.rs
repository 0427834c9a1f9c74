//! The rules of one route: all of them let a request through, or none is charged.

use std::sync::Arc;
use std::time::Duration;

use super::applied::{Applied, Charge, Paid};
use super::in_flight::{Holding, RoutePlaces};
use super::key::Key;
use super::rule::Rule;
use super::{Phase, leases, shared};
use crate::error::{Code, GatewayError};
use crate::exchange::Exchange;
use crate::network::Network;
use crate::request_fields::RequestFields;
use crate::telemetry::metrics::LimitDecision;

/// The rules of a route, in its order.
pub struct RouteLimits {
    rules: Box<[Arc<Rule>]>,
    has: [Has; 2],
    /// How many requests may be under way.
    places: Option<RoutePlaces>,
}

/// What there is in a phase.
#[derive(Debug, Clone, Copy, Default)]
struct Has {
    rules: bool,
    stores: bool,
    places: bool,
}

impl RouteLimits {
    /// These rules and limits of requests at once; `None` where there are none.
    pub fn new(rules: Vec<Arc<Rule>>, places: Option<RoutePlaces>) -> Option<Box<Self>> {
        let mut has = [Has::default(); 2];
        for phase in [Phase::Edge, Phase::Proven] {
            has[phase as usize].places = places.as_ref().is_some_and(|places| places.has(phase));
        }
        for rule in &rules {
            let has = &mut has[rule.phase as usize];
            has.rules = true;
            has.stores |= rule.store.is_some();
        }
        (!rules.is_empty() || places.is_some()).then(|| Box::new(Self { rules: rules.into(), has, places }))
    }

    /// Whether any rule runs in this phase.
    #[inline]
    pub fn has(&self, phase: Phase) -> bool {
        self.has[phase as usize].rules
    }

    /// Whether any of them asks a store.
    #[inline]
    pub fn asks(&self, phase: Phase) -> bool {
        self.has[phase as usize].stores
    }

    /// Whether requests at once are counted in this phase.
    #[inline]
    pub fn holds(&self, phase: Phase) -> bool {
        self.has[phase as usize].places
    }

    /// Takes a request's places among those that are under way.
    ///
    /// # Errors
    /// 503 or 429 where there is none; nothing is held then, and nothing stays charged.
    pub(super) fn hold<N: Network>(
        &self,
        exchange: &Exchange<N>,
        headers: &RequestFields,
        phase: Phase,
        (holding, applied): (&mut Holding, Option<&mut Applied>),
    ) -> Result<(), GatewayError> {
        let Some(places) = &self.places else { return Ok(()) };
        let taken = places.take(exchange, headers, (phase, holding));
        if let (Err(_), Some(applied)) = (&taken, applied) {
            // By none of these rules.
            applied.refused = Some(self.rules.len());
            self.give_back(exchange, applied);
        }
        taken
    }

    /// The rules.
    pub fn rules(&self) -> &[Arc<Rule>] {
        &self.rules
    }

    /// Asks the rules of a phase whose buckets are here, and charges their keys.
    ///
    /// # Errors
    /// 429 with the exact time after which all rules of the phase would let the request through; nothing is charged
    /// then, of an earlier phase neither.
    pub(super) fn charge<N: Network>(
        &self,
        exchange: &Exchange<N>,
        headers: &RequestFields,
        phase: Phase,
        (applied, now): (&mut Applied, u64),
    ) -> Result<(), GatewayError> {
        let own = self.rules.iter().enumerate().filter(|(_, rule)| rule.phase == phase && rule.store.is_none());
        for (index, rule) in own {
            let (key, tier) = (Key::of(rule.settings.counted_by(), exchange, headers), rule.tier(exchange));
            let hash = rule.hash(&key, tier);
            rule.note(exchange, &key, hash);
            let (paid, quota) = (Paid::Nothing, *rule.quota(tier));
            let mut charge = Charge { rule: index, tier, hash, followed: None, paid, quota, tat: 0, now };
            match rule.take(hash, tier, now) {
                Ok(taken) => {
                    (charge.paid, charge.tat) = (Paid::Bucket(taken.place), taken.tat);
                    charge.followed = rule.decided(exchange, (&key, tier), LimitDecision::Admitted, (now, taken.tat));
                    applied.charges.push(charge);
                }
                Err(refused) => {
                    charge.tat = rule.cells().look(hash);
                    let shadow = rule.settings.shadow;
                    charge.paid = if shadow { Paid::Watched } else { Paid::Nothing };
                    let decision = if shadow { LimitDecision::ShadowRefused } else { LimitDecision::Refused };
                    rule.decided(exchange, (&key, tier), decision, (now, charge.tat));
                    applied.charges.push(charge);
                    if !shadow {
                        let wait = self.wait_for_all(exchange, headers, (phase, index), now).max(refused.wait);
                        return Err(self.refuse(exchange, applied, (index, wait)));
                    }
                }
            }
        }
        Ok(())
    }

    /// The longest wait of the rules behind the one that refused: coming back earlier would be in vain.
    fn wait_for_all<N: Network>(
        &self,
        exchange: &Exchange<N>,
        headers: &RequestFields,
        (phase, refused): (Phase, usize),
        now: u64,
    ) -> u64 {
        let behind = self.rules[refused + 1..].iter().filter(|rule| rule.phase == phase && !rule.settings.shadow);
        let wait = |rule: &Arc<Rule>| {
            let (key, tier) = (Key::of(rule.settings.counted_by(), exchange, headers), rule.tier(exchange));
            rule.quota(tier).wait(rule.cells().look(rule.hash(&key, tier)), now)
        };
        behind.map(wait).max().unwrap_or(0)
    }

    /// Refuses a request by a rule, for so long: nothing stays charged.
    pub(super) fn refuse<N: Network>(
        &self,
        exchange: &Exchange<N>,
        applied: &mut Applied,
        (index, wait): (usize, u64),
    ) -> GatewayError {
        applied.refused = Some(index);
        self.give_back(exchange, applied);
        let rule = self.rules.get(index).map_or("", |rule| &*rule.settings.name);
        let detail = format!("The limit {rule:?} is used up.");
        GatewayError::new(Code::RateLimited, detail).retry_after(Duration::from_nanos(wait))
    }

    /// Gives back what a request was charged: one that is refused costs nothing.
    pub(super) fn give_back<N: Network>(&self, exchange: &Exchange<N>, applied: &mut Applied) {
        for charge in &mut applied.charges {
            let Some(rule) = self.rules.get(charge.rule) else { continue };
            let worker = exchange.shard.index;
            if matches!(charge.paid, Paid::Watched | Paid::Unknown) {
                continue;
            }
            match std::mem::replace(&mut charge.paid, Paid::Nothing) {
                Paid::Nothing | Paid::Watched | Paid::Unknown => continue,
                Paid::Bucket(place) => rule.cells().refund(charge.hash, place, &charge.quota),
                Paid::Lease => leases::give_back(rule, charge.hash, charge.tier),
                Paid::Store(key) => shared::give_back(rule, worker, (key, charge.tier, charge.hash)),
                Paid::Share(key) => shared::strike_out(rule, worker, (key, charge.tier, charge.hash)),
            }
            charge.tat = charge.quota.refund(charge.tat);
            rule.tell(exchange, charge.followed, LimitDecision::Refunded, (charge.now, charge.tat));
        }
    }
}
