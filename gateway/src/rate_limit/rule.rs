//! One rule as a configuration has it, with the state that its name keeps.

use std::sync::Arc;

use super::Phase;
use super::cells::{Cells, Taken};
use super::key::{Key, ShortId, stable_id};
use super::registry::RuleState;
use crate::algorithms::gcra::{Quota, Refused};
use crate::config::settings::RateLimit;
use crate::config::settings::rate_limit::{OnFailure, Rate};
use crate::exchange::Exchange;
use crate::network::Network;
use crate::store::Store;
use crate::telemetry::events::{Event, Kind};
use crate::telemetry::metrics::LimitDecision;

/// Which of a rule's rates holds. Buckets of the two are apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    /// The rule's own.
    Own,
    /// `anonymous`.
    Anonymous,
}

/// A rule.
pub struct Rule {
    /// As configured.
    pub settings: Arc<RateLimit>,
    /// What its name keeps over reloads.
    pub state: Arc<RuleState>,
    /// When it runs.
    pub phase: Phase,
    quotas: [Quota; 2],
    cells: Arc<Cells>,
    /// Where its buckets are, where that is not here.
    pub store: Option<Arc<Store>>,
    /// What `ratelimit-policy` says of it, by tier.
    policies: [Box<str>; 2],
    /// What `ratelimit` says of it, up to what is left.
    state_begins: Box<str>,
}

/// The quotas of a rule, by tier.
pub(super) fn quotas(settings: &RateLimit) -> [Quota; 2] {
    let quota = |rate: Rate| Quota::new(rate.tokens, rate.period, rate.burst, settings.cost);
    [quota(settings.rate), quota(settings.anonymous.unwrap_or(settings.rate))]
}

impl Rule {
    /// A rule with the state of its name.
    pub fn new(settings: Arc<RateLimit>, state: Arc<RuleState>, cells: Arc<Cells>, store: Option<Arc<Store>>) -> Self {
        let policy = |rate: Rate| {
            let window = Quota::new(rate.tokens, rate.period, rate.burst, 1).window();
            format!("\"{}\";q={};w={}", settings.name, rate.burst, seconds(window)).into_boxed_str()
        };
        Self {
            phase: if settings.is_identity_free() { Phase::Edge } else { Phase::Proven },
            quotas: quotas(&settings),
            policies: [policy(settings.rate), policy(settings.anonymous.unwrap_or(settings.rate))],
            state_begins: format!("\"{}\";r=", settings.name).into_boxed_str(),
            cells,
            store,
            state,
            settings,
        }
    }

    /// The rate that holds for a request.
    pub fn tier<N: Network>(&self, exchange: &Exchange<N>) -> Tier {
        let anonymous = self.settings.anonymous.is_some() && exchange.identity.is_none();
        if anonymous { Tier::Anonymous } else { Tier::Own }
    }

    /// How much a key of this tier may do.
    #[inline]
    pub fn quota(&self, tier: Tier) -> &Quota {
        &self.quotas[tier as usize]
    }

    /// What `ratelimit-policy` says.
    pub fn policy(&self, tier: Tier) -> &str {
        &self.policies[tier as usize]
    }

    /// How `ratelimit` begins, before what is left.
    pub fn state_begins(&self) -> &str {
        &self.state_begins
    }

    /// Whether this gateway has a share of it that it gives while the store does not answer.
    pub fn has_share(&self) -> bool {
        self.settings.shared.as_ref().is_some_and(|shared| shared.on_failure == OnFailure::LocalShare)
    }

    /// The buckets.
    #[inline]
    pub fn cells(&self) -> &Cells {
        &self.cells
    }

    /// A key's hash; its lowest bit tells the tiers apart.
    #[inline]
    pub fn hash(&self, key: &Key<'_>, tier: Tier) -> u64 {
        key.hash_with(&self.state.hasher) & !1 | tier as u64
    }

    /// What a key's bucket is called in a store. In a cluster, what stands in braces decides the slot: buckets of one
    /// key share it, whatever their rules.
    pub fn name_in_store(&self, key: ShortId, tier: Tier) -> String {
        let tier = if tier == Tier::Anonymous { ":anonymous" } else { "" };
        format!("limit:{{{}}}:{}{tier}", key, self.settings.name)
    }

    /// Takes a request's tokens.
    ///
    /// # Errors
    /// There are not enough.
    #[inline]
    pub fn take(&self, hash: u64, tier: Tier, now: u64) -> Result<Taken, Refused> {
        self.cells.take(hash, now, self.quota(tier))
    }

    /// Counts a request among its key's.
    #[inline]
    pub fn note<N: Network>(&self, exchange: &Exchange<N>, key: &Key<'_>, hash: u64) {
        let shown = || key.told(&self.settings.name);
        self.state.busiest.note(exchange.shard.index, exchange.shard.random(), hash, shown);
    }

    /// Counts a decision, and tells who follows; what the key is called to them, if anybody does.
    #[inline]
    pub(super) fn decided<N: Network>(
        &self,
        exchange: &Exchange<N>,
        (key, tier): (&Key<'_>, Tier),
        decision: LimitDecision,
        at: (u64, u64),
    ) -> Option<u128> {
        let followed = exchange.shard.shared.events.wants(Kind::Limit).then(|| {
            let tier = self.settings.anonymous.map(|_| if tier == Tier::Own { "own" } else { "anonymous" });
            stable_id(&self.settings.name, tier, key)
        });
        self.tell(exchange, followed, decision, at);
        followed
    }

    /// The same of a key that was told before.
    pub(super) fn tell<N: Network>(
        &self,
        exchange: &Exchange<N>,
        followed: Option<u128>,
        decision: LimitDecision,
        (now, tat): (u64, u64),
    ) {
        self.state.series.decided(exchange.shard.index, decision);
        if let Some(key) = followed {
            let rule = Arc::clone(&self.settings.name);
            let event = Event::Limit { rule, key, decision, tat_ns: tat, request_id: exchange.request_id.clone() };
            exchange.shard.shared.events.report(now, event);
        }
    }
}

/// Whole seconds, rounded up.
pub(super) fn seconds(nanoseconds: u64) -> u64 {
    nanoseconds.div_ceil(1_000_000_000)
}
