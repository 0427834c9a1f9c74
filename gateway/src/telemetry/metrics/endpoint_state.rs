//! In which state an upstream's endpoints are, so that an alert can count those that are left; and whether the name
//! behind which they are can be resolved.

use std::sync::Arc;

use crate::algorithms::breaker::State;
use crate::algorithms::ejection::Place;
use crate::labelled::labelled;

labelled! {
    /// Whether an endpoint takes requests, and why not. Each endpoint is in one of them.
    pub enum EndpointState, "As written in metrics.";
    /// It takes requests, and nothing is wrong with it.
    In = "in";
    /// Its breaker has let it go, and waits for a request that tries it out; nothing else is known against it.
    HalfOpen = "half_open";
    /// It takes none: its breaker is open, or an operator holds it open.
    Ejected = "ejected";
    /// Its breaker speaks against it, and it takes requests all the same: too many others are out.
    Capped = "capped";
    /// Its health checks fail, whether it takes requests (as the last one does) or not.
    Unhealthy = "unhealthy";
}

impl EndpointState {
    /// Of an endpoint with this place in balancing, this breaker, and this verdict of its checks.
    pub fn of(place: Place, breaker: State, healthy: bool) -> Self {
        match (healthy, place, breaker) {
            (false, ..) => Self::Unhealthy,
            (true, Place::In, _) => Self::In,
            (true, _, State::HalfOpen) => Self::HalfOpen,
            (true, Place::Capped, _) => Self::Capped,
            (true, Place::Ejected, _) => Self::Ejected,
        }
    }
}

/// An upstream whose endpoints are discovered; read when somebody scrapes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discovered {
    /// The upstream's name.
    pub upstream: Arc<str>,
    /// Its name could not be resolved when that was tried last.
    pub failing: bool,
}

/// An upstream that has backups; read when somebody scrapes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackedUp {
    /// The upstream's name.
    pub upstream: Arc<str>,
    /// Backups take requests, of all routes or of one that has a breaker of its own.
    pub serving: bool,
}

/// The endpoints of one upstream by their states; read when somebody scrapes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointStates {
    /// The upstream's name.
    pub upstream: Arc<str>,
    /// How many are in each, in the order of [`EndpointState::ALL`].
    pub endpoints: [u64; EndpointState::ALL.len()],
}

impl EndpointStates {
    /// Of an upstream whose endpoints are in these states.
    pub fn new(upstream: Arc<str>, states: impl IntoIterator<Item = EndpointState>) -> Self {
        let mut endpoints = [0; EndpointState::ALL.len()];
        for state in states {
            endpoints[state as usize] += 1;
        }
        Self { upstream, endpoints }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_that_is_down_is_so_wherever_it_stands_and_one_that_waits_for_a_probe_is_not() {
        for (place, breaker, healthy, state) in [
            (Place::In, State::Closed, true, "in"),
            (Place::Capped, State::Closed, false, "unhealthy"),
            (Place::Ejected, State::Open, false, "unhealthy"),
            (Place::Ejected, State::Open, true, "ejected"),
            (Place::Ejected, State::HalfOpen, true, "half_open"),
            (Place::Capped, State::HalfOpen, true, "half_open"),
            (Place::Capped, State::Open, true, "capped"),
        ] {
            assert_eq!(EndpointState::of(place, breaker, healthy).as_str(), state, "{place:?} {breaker:?} {healthy}");
        }
        let states = EndpointStates::new("u".into(), [EndpointState::In, EndpointState::Unhealthy, EndpointState::In]);
        assert_eq!(states.endpoints, [2, 0, 0, 0, 1]);
    }
}
