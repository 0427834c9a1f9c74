//! What the rules of its route came to for one request, and what its client is told of it.

use smallvec::SmallVec;

use super::cells::Place;
use super::key::ShortId;
use super::route::RouteLimits;
use super::rule::{Rule, Tier, seconds};
use crate::algorithms::gcra::Quota;
use crate::config::settings::rate_limit::OnFailure;
use crate::telemetry::recorder::Consulted;

/// What was taken for one request.
#[derive(Debug, Default)]
pub struct Applied {
    pub(super) charges: SmallVec<[Charge; 2]>,
    /// The rule that refused, by its place in the route.
    pub(super) refused: Option<usize>,
}

/// Where a request's tokens were taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Paid {
    /// Nothing was taken, or it was given back.
    Nothing,
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

/// A field's value; that of a rule or two is held without asking the allocator.
type Told = SmallVec<[u8; 96]>;

/// Values of the fields by which a client learns of its limits (draft-ietf-httpapi-ratelimit-headers-10).
#[derive(Debug, PartialEq, Eq)]
pub struct Fields {
    /// `ratelimit-policy`
    pub policy: Told,
    /// `ratelimit`
    pub state: Told,
}

/// Whether a rule lets nobody through while its store does not answer.
fn is_closed(rule: &Rule) -> bool {
    rule.settings.shared.as_ref().is_some_and(|shared| matches!(shared.on_failure, OnFailure::Closed))
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
                    Paid::Nothing if self.refused.is_some() => "given_back",
                    Paid::Nothing => "would_refuse",
                    Paid::Bucket(_) | Paid::Lease | Paid::Store(_) | Paid::Share(_) => "let_through",
                },
                remaining: (charge.paid != Paid::Unknown).then(|| charge.quota.remaining(charge.tat, charge.now)),
                taken_from: match charge.paid {
                    Paid::Nothing | Paid::Unknown => None,
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
        let mut fields = Fields { policy: Told::new(), state: Told::new() };
        for charge in &self.charges {
            let Some(rule) = limits.rules().get(charge.rule).filter(|rule| !rule.settings.shadow) else { continue };
            let between: &[u8] = if fields.policy.is_empty() { b"" } else { b", " };
            put(&mut fields.policy, [between, rule.policy(charge.tier).as_bytes()]);
            let remaining = charge.quota.remaining(charge.tat, charge.now);
            let full = seconds(charge.quota.full_in(charge.tat, charge.now));
            let (mut left, mut until) = (itoa::Buffer::new(), itoa::Buffer::new());
            let (left, until) = (left.format(remaining).as_bytes(), until.format(full).as_bytes());
            put(&mut fields.state, [between, b"\"", rule.settings.name.as_bytes(), b"\";r=", left, b";t=", until]);
        }
        (!fields.policy.is_empty()).then_some(fields)
    }
}

fn put<const PARTS: usize>(told: &mut Told, parts: [&[u8]; PARTS]) {
    for part in parts {
        told.extend_from_slice(part);
    }
}
