//! What the rules of its route came to for one request, and what its client is told of it.

use std::sync::Arc;

use smallvec::SmallVec;

use super::cells::Place;
use super::key::ShortId;
use super::route::RouteLimits;
use super::rule::{Rule, Tier, seconds};
use crate::algorithms::gcra::Quota;
use crate::config::settings::rate_limit::OnFailure;
use crate::exchange::Exchange;
use crate::network::Network;
use crate::store::Store;
use crate::telemetry::recorder::Consulted;

/// What was taken for one request.
#[derive(Debug, Default)]
pub struct Applied {
    pub(super) charges: SmallVec<[Charge; 2]>,
    /// The rule that refused, by its place in the route.
    pub(super) refused: Option<usize>,
    /// Stores that this request has asked in vain.
    pub(super) in_vain: SmallVec<[Arc<Store>; 1]>,
}

/// Where a request's tokens were taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Paid {
    /// Nothing was taken, or it was given back.
    Nothing,
    /// Nothing was taken: the rule only watches, and would have refused.
    Watched,
    /// Nothing was asked: the store does not answer, and nobody knows what its bucket holds.
    Unknown,
    /// A bucket of this process.
    Bucket(Place),
    /// A chunk that had been taken from a store.
    Lease,
    /// A store, where the key is called this.
    Store(ShortId),
    /// What this gateway may let through while the store does not answer.
    Share(ShortId),
}

/// What one rule decided. The request's headers may be others by the time that it is given back: a key is taken out of
/// them once it is known whose it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Charge {
    /// The rule, by its place in the route.
    pub(super) rule: usize,
    pub(super) tier: Tier,
    pub(super) hash: u64,
    /// What the key is called to who follows decisions, where anybody does.
    pub(super) followed: Option<u128>,
    pub(super) paid: Paid,
    /// The quota that held.
    pub(super) quota: Quota,
    /// The bucket's TAT from then on.
    pub(super) tat: u64,
    pub(super) now: u64,
}

/// Values of the fields by which a client learns of its limits (draft-ietf-httpapi-ratelimit-headers-10).
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Fields {
    /// `ratelimit-policy`
    pub policy: Vec<u8>,
    /// `ratelimit`
    pub state: Vec<u8>,
}

/// Whether a rule lets nobody through while its store does not answer.
fn is_closed(rule: &Rule) -> bool {
    rule.settings.shared.as_ref().is_some_and(|shared| matches!(shared.on_failure, OnFailure::Closed))
}

impl<N: Network> Exchange<N> {
    /// What its limits came to, and those, where it has some.
    #[inline]
    pub fn limited(&self) -> Option<(&Applied, &RouteLimits)> {
        Some((self.limits.as_deref()?, self.route()?.limits.as_deref()?))
    }
}

impl Applied {
    /// The rule that refused.
    pub fn refused<'a>(&self, limits: &'a RouteLimits) -> Option<&'a Rule> {
        limits.rules().get(self.refused?).map(|rule| &**rule)
    }

    /// What each rule that was asked came to.
    pub fn consulted<'a>(&self, limits: &'a RouteLimits) -> Vec<Consulted<'a>> {
        let of = |charge: &Charge| {
            let rule = limits.rules().get(charge.rule)?;
            Some(Consulted {
                rule: &rule.settings.name,
                decision: match charge.paid {
                    Paid::Unknown if is_closed(rule) => "store_down",
                    Paid::Unknown => "open",
                    _ if self.refused == Some(charge.rule) => "refused",
                    Paid::Watched => "would_refuse",
                    Paid::Nothing => "given_back",
                    Paid::Bucket(_) | Paid::Lease | Paid::Store(_) | Paid::Share(_) => "let_through",
                },
                remaining: (charge.paid != Paid::Unknown).then(|| charge.quota.remaining(charge.tat, charge.now)),
                taken_from: match charge.paid {
                    Paid::Nothing | Paid::Watched | Paid::Unknown => None,
                    Paid::Bucket(_) => Some("gateway"),
                    Paid::Lease => Some("lease"),
                    Paid::Store(_) => Some("store"),
                    Paid::Share(_) => Some("share"),
                },
            })
        };
        self.charges.iter().filter_map(of).collect()
    }

    /// What the client is told: of each rule that could refuse it, how much there is, how much is left, and when all of
    /// it will be there again. `None` where there is nothing to tell.
    pub fn fields(&self, limits: &RouteLimits) -> Option<Fields> {
        let mut fields = Fields::default();
        self.tell_policy(limits, |part| fields.policy.extend_from_slice(part));
        self.tell_state(limits, |part| fields.state.extend_from_slice(part));
        self.is_told(limits).then_some(fields)
    }

    /// Whether there is something to tell.
    #[inline]
    pub fn is_told(&self, limits: &RouteLimits) -> bool {
        self.told(limits).next().is_some()
    }

    /// Tells, part by part, how much there is.
    #[inline]
    pub fn tell_policy(&self, limits: &RouteLimits, mut put: impl FnMut(&[u8])) {
        for (place, (rule, charge)) in self.told(limits).enumerate() {
            if place > 0 {
                put(b", ");
            }
            put(rule.policy(charge.tier).as_bytes());
        }
    }

    /// Tells, part by part, how much is left, and when all of it will be there again.
    #[inline]
    pub fn tell_state(&self, limits: &RouteLimits, mut put: impl FnMut(&[u8])) {
        for (place, (rule, charge)) in self.told(limits).enumerate() {
            if place > 0 {
                put(b", ");
            }
            put(rule.state_begins().as_bytes());
            let mut digits = itoa::Buffer::new();
            put(digits.format(charge.quota.remaining(charge.tat, charge.now)).as_bytes());
            put(b";t=");
            put(digits.format(seconds(charge.quota.full_in(charge.tat, charge.now))).as_bytes());
        }
    }

    /// The rules that could refuse the request, each with its charge.
    #[inline]
    fn told<'a>(&'a self, limits: &'a RouteLimits) -> impl Iterator<Item = (&'a Rule, &'a Charge)> {
        let of = move |charge: &'a Charge| Some((&**limits.rules().get(charge.rule)?, charge));
        self.charges.iter().filter_map(of).filter(|(rule, _)| !rule.settings.shadow)
    }
}
