//! A policy of somebody else's. Whatever it picks, an endpoint that may be picked is found whenever there is one.

use std::fmt;
use std::sync::Arc;

use super::{LeastRequest, Pick};

/// Picks an endpoint for each attempt, for upstreams with `balance = { policy = "custom", name = "NAME" }`.
///
/// A decision, made at once: it neither waits nor blocks. It may keep state of its own, which all threads share. A
/// closure is one:
///
/// ```
/// use gateway::prelude::Candidates;
///
/// // The first that can take it: the others are spare.
/// let first = |candidates: &Candidates<'_>| candidates.eligible().next();
/// # let _ = gateway::gateway::Gateway::builder().balancer("first", first);
/// ```
pub trait BalancePolicy: Send + Sync + 'static {
    /// The place of the endpoint that is to be asked. `None`, and one that is not eligible, leave it to
    /// `least_request`.
    fn pick(&self, candidates: &Candidates<'_>) -> Option<usize>;
}

impl<F: Fn(&Candidates<'_>) -> Option<usize> + Send + Sync + 'static> BalancePolicy for F {
    fn pick(&self, candidates: &Candidates<'_>) -> Option<usize> {
        self(candidates)
    }
}

/// The endpoints of an upstream, by their places, at the moment of a pick.
pub struct Candidates<'a> {
    endpoints: &'a [(Box<str>, u32)],
    ask: &'a Pick<'a>,
}

impl Candidates<'_> {
    /// How many there are, those among them that cannot be picked.
    pub fn len(&self) -> usize {
        self.endpoints.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.endpoints.is_empty()
    }

    /// The places of those that may be picked, in the order of the configuration.
    pub fn eligible(&self) -> impl Iterator<Item = usize> {
        (0..self.endpoints.len()).filter(|place| self.is_eligible(*place))
    }

    /// Whether one may be picked: it has a weight, is well, its breaker lets it, and it was not asked before for this
    /// request.
    pub fn is_eligible(&self, place: usize) -> bool {
        self.weight(place) > 0 && (self.ask.eligible)(place)
    }

    /// Its address, as configured or found.
    pub fn address(&self, place: usize) -> &str {
        self.endpoints.get(place).map_or("", |(address, _)| address)
    }

    /// Its weight; 0 of a backup where a primary is picked, and of a primary where a backup is.
    pub fn weight(&self, place: usize) -> u32 {
        self.endpoints.get(place).map_or(0, |(_, weight)| *weight)
    }

    /// Requests in flight to it, over the whole process.
    pub fn in_flight(&self, place: usize) -> u32 {
        if place < self.endpoints.len() { (self.ask.in_flight)(place) } else { 0 }
    }

    /// 64 random bits, new for each pick.
    pub fn random(&self) -> u64 {
        self.ask.bits
    }
}

/// A policy of somebody else's, for a set of endpoints.
#[derive(Clone)]
pub struct Custom {
    policy: Arc<dyn BalancePolicy>,
    endpoints: Box<[(Box<str>, u32)]>,
    otherwise: LeastRequest,
}

impl fmt::Debug for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Custom").field("endpoints", &self.endpoints).finish_non_exhaustive()
    }
}

impl Custom {
    /// For endpoints of these addresses and weights.
    pub fn new(policy: Arc<dyn BalancePolicy>, endpoints: &[(&str, u32)]) -> Self {
        let weights: Vec<u32> = endpoints.iter().map(|endpoint| endpoint.1).collect();
        let endpoints = endpoints.iter().map(|(address, weight)| (Box::from(*address), *weight)).collect();
        Self { policy, endpoints, otherwise: LeastRequest::new(&weights) }
    }

    /// The endpoint for this request.
    pub fn pick(&self, ask: &Pick<'_>) -> Option<usize> {
        let candidates = Candidates { endpoints: &self.endpoints, ask };
        let picked = self.policy.pick(&candidates).filter(|place| candidates.is_eligible(*place));
        picked.or_else(|| self.otherwise.pick(ask.bits, ask.in_flight, ask.eligible))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algorithms::balancer::Balancer;
    use crate::algorithms::peak_ewma::Estimate;

    #[test]
    fn what_a_policy_picks_is_taken_where_it_may_be() {
        let endpoints = [("a:1", 1), ("b:1", 0), ("c:1", 1)];
        for (picks, eligible, expected) in [
            (Some(2), [true, true, true], Some(2)),
            (Some(1), [true, true, false], Some(0)),
            (Some(2), [true, true, false], Some(0)),
            (Some(9), [false, true, true], Some(2)),
            (None, [false, true, true], Some(2)),
            (Some(0), [false, true, false], None),
        ] {
            let policy = move |candidates: &Candidates<'_>| {
                assert_eq!((candidates.len(), candidates.address(2), candidates.weight(1)), (3, "c:1", 0));
                assert_eq!((candidates.in_flight(0), candidates.in_flight(9)), (7, 0));
                picks
            };
            let balancer = Balancer::custom(Arc::new(policy), &endpoints);
            let seen = |_: usize| Estimate::default().at(0);
            let ask = Pick {
                bits: 3,
                ticket: 0,
                hash: 0,
                in_flight: &|_| 7,
                seen: &seen,
                eligible: &|place| eligible[place],
            };
            assert_eq!(balancer.pick(&ask), expected, "{picks:?} of {eligible:?}");
        }
    }
}
