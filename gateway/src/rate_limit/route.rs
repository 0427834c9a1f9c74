//! The rules of one route: all of them let a request through, or none is charged.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;

use super::Phase;
use super::applied::{Applied, Charge};
use super::key::Key;
use super::rule::Rule;
use crate::error::{Code, GatewayError};
use crate::exchange::Exchange;
use crate::network::Network;
use crate::telemetry::metrics::LimitDecision;

/// The rules of a route, in its order.
#[derive(Debug)]
pub struct RouteLimits {
    rules: Box<[Arc<Rule>]>,
    edge: bool,
    proven: bool,
}

impl RouteLimits {
    /// These rules; `None` where there are none.
    pub fn new(rules: Vec<Arc<Rule>>) -> Option<Box<Self>> {
        let has = |phase| rules.iter().any(|rule| rule.phase == phase);
        let (edge, proven) = (has(Phase::Edge), has(Phase::Proven));
        (!rules.is_empty()).then(|| Box::new(Self { rules: rules.into(), edge, proven }))
    }

    /// Whether any rule runs in this phase.
    #[inline]
    pub fn has(&self, phase: Phase) -> bool {
        match phase {
            Phase::Edge => self.edge,
            Phase::Proven => self.proven,
        }
    }

    /// The rules.
    pub fn rules(&self) -> &[Arc<Rule>] {
        &self.rules
    }

    /// Asks the rules of a phase, and charges their keys.
    ///
    /// # Errors
    /// 429 with the exact time after which all rules of the phase would let the request through; nothing is charged
    /// then, of an earlier phase neither.
    pub(super) fn charge<N: Network>(
        &self,
        exchange: &Exchange<N>,
        headers: &HeaderMap,
        phase: Phase,
        (applied, now): (&mut Applied, u64),
    ) -> Result<(), GatewayError> {
        let of_phase = self.rules.iter().enumerate().filter(|(_, rule)| rule.phase == phase);
        for (index, rule) in of_phase {
            let (key, tier) = (Key::of(&rule.settings, exchange, headers), rule.tier());
            let hash = rule.hash(&key, tier);
            let shown = || key.shown(&rule.settings.name).into();
            rule.state.busiest.note(exchange.shard.index, exchange.shard.random(), hash, shown);
            let mut charge = Charge { rule: index, tier, hash, place: None, tat: 0, now };
            match rule.take(hash, tier, now) {
                Ok(taken) => {
                    (charge.place, charge.tat) = (Some(taken.place), taken.tat);
                    rule.decided(exchange, (&key, tier), LimitDecision::Admitted, (now, taken.tat));
                    applied.charges.push(charge);
                }
                Err(refused) => {
                    charge.tat = rule.cells().look(hash);
                    let shadow = rule.settings.shadow;
                    let decision = if shadow { LimitDecision::ShadowRefused } else { LimitDecision::Refused };
                    rule.decided(exchange, (&key, tier), decision, (now, charge.tat));
                    applied.charges.push(charge);
                    if !shadow {
                        applied.refused = Some(index);
                        let wait = self.wait_for_all(exchange, headers, (phase, index), now).max(refused.wait);
                        self.give_back(exchange, headers, applied);
                        return Err(refusal(&rule.settings.name, wait));
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
        headers: &HeaderMap,
        (phase, refused): (Phase, usize),
        now: u64,
    ) -> u64 {
        let behind = self.rules[refused + 1..].iter().filter(|rule| rule.phase == phase && !rule.settings.shadow);
        let wait = |rule: &Arc<Rule>| {
            let (key, tier) = (Key::of(&rule.settings, exchange, headers), rule.tier());
            rule.quota(tier).wait(rule.cells().look(rule.hash(&key, tier)), now)
        };
        behind.map(wait).max().unwrap_or(0)
    }

    /// Gives back what a request was charged: one that is refused costs nothing.
    fn give_back<N: Network>(&self, exchange: &Exchange<N>, headers: &HeaderMap, applied: &mut Applied) {
        for charge in &mut applied.charges {
            let (rule, Some(place)) = (&self.rules[charge.rule], charge.place.take()) else { continue };
            let quota = rule.quota(charge.tier);
            rule.cells().refund(charge.hash, place, quota);
            charge.tat = quota.refund(charge.tat);
            let key = Key::of(&rule.settings, exchange, headers);
            rule.decided(exchange, (&key, charge.tier), LimitDecision::Refunded, (charge.now, charge.tat));
        }
    }
}

fn refusal(rule: &str, wait: u64) -> GatewayError {
    let detail = format!("The limit {rule:?} is used up.");
    GatewayError::new(Code::RateLimited, detail).retry_after(Duration::from_nanos(wait))
}
