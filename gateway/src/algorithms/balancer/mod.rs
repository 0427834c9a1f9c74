//! Which endpoint gets the next request.
//!
//! A `Balancer` is built once for a set of endpoints and never changes: load, health, randomness and the ticket come
//! in with each pick. So a health flip rebuilds nothing, and a reload forgets nothing. A pick allocates nothing, and
//! finds an eligible endpoint of weight above 0 whenever there is one. Weight 0 gets no new requests.

mod consistent_hash;
mod custom;
mod least_request;
mod peak_ewma;
mod random;
mod round_robin;
#[cfg(test)]
mod simulation;
mod tiered;

pub use consistent_hash::ConsistentHash;
pub use custom::{BalancePolicy, Candidates, Custom};
pub use least_request::LeastRequest;
pub use peak_ewma::PeakEwma;
pub use random::Random;
pub use round_robin::RoundRobin;
pub use tiered::Backups;

use std::sync::Arc;

use crate::algorithms::peak_ewma::Seen;
use crate::config::settings::upstream::Balance;

/// What a pick is told. Endpoints are numbers, in the order in which the balancer was given them.
#[derive(Clone, Copy)]
pub struct Pick<'a> {
    /// 64 random bits, new for each pick.
    pub bits: u64,
    /// The number of this pick over the process: one shared counter, taken and increased once for each pick.
    pub ticket: u64,
    /// The hash of the request's key (`hash_ring::stable_hash`); only a consistent hash looks at it.
    pub hash: u64,
    /// Requests in flight to an endpoint, over the process.
    pub in_flight: &'a dyn Fn(usize) -> u32,
    /// How slow and how sick an endpoint has been lately; only peak EWMA looks at it.
    pub seen: &'a dyn Fn(usize) -> Seen,
    /// Whether an endpoint may be picked: healthy, breaker not open, not tried by this request already.
    pub eligible: &'a dyn Fn(usize) -> bool,
}

/// A policy and what it precomputed for its endpoints.
#[derive(Debug, Clone)]
pub enum Balancer {
    /// Smooth weighted round robin.
    RoundRobin(RoundRobin),
    /// Weighted power of two choices.
    LeastRequest(LeastRequest),
    /// The same on latency and failures as well.
    PeakEwma(PeakEwma),
    /// By weight.
    Random(Random),
    /// A ring with bounded load.
    ConsistentHash(Box<ConsistentHash>),
    /// Somebody else's.
    Custom(Box<Custom>),
}

impl Balancer {
    /// The policy of these settings, for endpoints of these addresses and weights.
    pub fn new(balance: &Balance, endpoints: &[(&str, u32)]) -> Self {
        let weights: Vec<u32> = endpoints.iter().map(|endpoint| endpoint.1).collect();
        match balance {
            Balance::RoundRobin => Self::RoundRobin(RoundRobin::new(&weights)),
            // Whose own policy is not there is served by the one that holds where nothing is said.
            Balance::LeastRequest | Balance::Custom(_) => Self::LeastRequest(LeastRequest::new(&weights)),
            Balance::PeakEwma => Self::PeakEwma(PeakEwma::new(&weights)),
            Balance::Random => Self::Random(Random::new(&weights)),
            Balance::ConsistentHash(hash) => {
                Self::ConsistentHash(Box::new(ConsistentHash::new(endpoints, hash.bound, hash.bound_min)))
            }
        }
    }

    /// A policy of somebody else's, for such endpoints.
    pub fn custom(policy: Arc<dyn BalancePolicy>, endpoints: &[(&str, u32)]) -> Self {
        Self::Custom(Box::new(Custom::new(policy, endpoints)))
    }

    /// The endpoint for this request; `None` only when no endpoint of weight above 0 is eligible.
    #[inline]
    pub fn pick(&self, ask: &Pick<'_>) -> Option<usize> {
        match self {
            Self::RoundRobin(balancer) => balancer.pick(ask.ticket, ask.eligible),
            Self::LeastRequest(balancer) => balancer.pick(ask.bits, ask.in_flight, ask.eligible),
            Self::PeakEwma(balancer) => balancer.pick(ask.bits, ask.in_flight, ask.seen, ask.eligible),
            Self::Random(balancer) => balancer.pick(ask.bits, ask.eligible),
            Self::ConsistentHash(balancer) => balancer.pick(ask.hash, ask.in_flight, ask.eligible),
            Self::Custom(balancer) => balancer.pick(ask),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::algorithms::peak_ewma::{Estimate, Sample};
    use crate::config::settings::upstream::{ConsistentHash as HashSettings, HashKey};

    fn policies() -> [Balance; 5] {
        let hash = HashSettings { key: HashKey::ClientIp, bound: 1.25, bound_min: 8 };
        [Balance::RoundRobin, Balance::LeastRequest, Balance::PeakEwma, Balance::Random, Balance::ConsistentHash(hash)]
    }

    proptest! {
        /// Whatever load and health are, each policy finds an endpoint that may be used, and no other.
        #[test]
        fn an_eligible_endpoint_is_found(
            endpoints in prop::collection::vec((0_u32..5, any::<bool>(), 0_u32..100), 0..12),
            heard in prop::collection::vec(prop::option::of(0_u64..5_000), 12),
            bits: u64, ticket: u64, hash: u64,
        ) {
            let names: Vec<String> = (0..endpoints.len()).map(|i| format!("10.0.0.{i}:80")).collect();
            let weights = endpoints.iter().map(|endpoint| endpoint.0);
            let listed: Vec<(&str, u32)> = names.iter().map(String::as_str).zip(weights).collect();
            let usable = |i: usize| endpoints[i].0 > 0 && endpoints[i].1;
            for balance in policies() {
                let balancer = Balancer::new(&balance, &listed);
                let seen = |i: usize| {
                    let mut estimate = Estimate::default();
                    let sample = heard[i].map_or(Sample::Failed, |ms| Sample::Answered(Duration::from_millis(ms)));
                    estimate.hear(sample, 1);
                    estimate.at(ticket)
                };
                let (in_flight, eligible) = (|i: usize| endpoints[i].2, |i: usize| endpoints[i].1);
                let ask = Pick { bits, ticket, hash, in_flight: &in_flight, seen: &seen, eligible: &eligible };
                match balancer.pick(&ask) {
                    Some(picked) => prop_assert!(usable(picked), "{:?} picked {}", balance, picked),
                    None => prop_assert!(!(0..endpoints.len()).any(usable), "{:?} found none", balance),
                }
            }
        }
    }
}
