//! The faults of a world: which of them hits a request, and how long an endpoint takes when none does.
//!
//! Draws depend on the seed, the endpoint and the number of the request there, and on nothing else; so a fault that is
//! taken away while a world is shrunk changes no other draw.

use std::time::Duration;

use mocks::{Act, Delay, Draws, Effect, Rule};

use crate::history::{Endpoint, FaultWindow};
use crate::scenario::Scenario;

/// Everything that mocks do beside answering.
#[derive(Debug)]
pub(crate) struct Faults {
    seed: u64,
    list: Vec<Fault>,
}

/// One fault at one endpoint.
#[derive(Debug)]
struct Fault {
    window: FaultWindow,
    act: Act,
}

/// The stream of draws of an endpoint's own times; faults have the streams after it.
const SERVICE: u64 = 0;

impl Faults {
    /// The faults of a scenario.
    pub(crate) fn of(scenario: &Scenario) -> Self {
        let length = scenario.length();
        let mut list = Vec::new();
        for part in &scenario.faults {
            let endpoints =
                scenario.mocks.iter().find(|mock| mock.name == part.service).map_or(0, |mock| mock.endpoints);
            let act = act(&part.act);
            for index in (0..endpoints).filter(|index| part.endpoint.is_none_or(|only| only == *index)) {
                let window = FaultWindow {
                    endpoint: Endpoint::new(part.service.as_str(), index),
                    from_ns: nanos(part.at),
                    until_ns: nanos(part.until(length)),
                    share: part.share.unwrap_or(1.0),
                    act: part.act.to_string().into(),
                };
                list.push(Fault { window, act: act.clone() });
            }
        }
        Self { seed: scenario.seed, list }
    }

    /// The windows, for the history.
    pub(crate) fn windows(&self) -> Vec<FaultWindow> {
        self.list.iter().map(|fault| fault.window.clone()).collect()
    }

    /// The first fault that hits this request of an endpoint, with its place in the list.
    pub(crate) fn hit(&self, endpoint: &Endpoint, number: u64, request: u64, now_ns: u64) -> Option<(usize, &Act)> {
        let hits = |(at, fault): &(usize, &Fault)| {
            fault.window.endpoint == *endpoint
                && fault.window.contains(now_ns)
                && (fault.window.share >= 1.0 || self.draws(number, request, at * 2 + 1).unit() < fault.window.share)
        };
        self.list.iter().enumerate().find(hits).map(|(at, fault)| (at, &fault.act))
    }

    /// The draws that a fault makes for a request.
    pub(crate) fn draws_of(&self, number: u64, request: u64, fault: usize) -> Draws {
        self.draws(number, request, fault * 2 + 2)
    }

    /// How long the endpoint itself takes for a request.
    pub(crate) fn service(&self, delay: &Delay, number: u64, request: u64) -> Duration {
        delay.sample(&mut Draws::new(self.seed, number, request, SERVICE))
    }

    /// Whether the endpoint's listener is closed at this time, and when that may change next.
    pub(crate) fn refuses(&self, endpoint: &Endpoint, now_ns: u64) -> (bool, Option<u64>) {
        let of_it = || {
            let refusing = self.list.iter().filter(|fault| fault.act.effect == Effect::Refuse);
            refusing.map(|fault| &fault.window).filter(|window| window.endpoint == *endpoint)
        };
        let edges = of_it().flat_map(|window| [window.from_ns, window.until_ns]).filter(|edge| *edge > now_ns);
        (of_it().any(|window| window.contains(now_ns)), edges.min())
    }

    fn draws(&self, number: u64, request: u64, stream: usize) -> Draws {
        Draws::new(self.seed, number, request, stream as u64)
    }
}

/// What the mocks make of an act; the scenario's reader has asked them already, so it is one.
fn act(act: &serde_json::Value) -> Act {
    let rules = serde_json::json!({ "rules": [{ "act": act }] });
    let rules = Rule::from_json(rules.to_string().as_bytes()).unwrap_or_default();
    rules.into_iter().next().map(|rule| rule.act).unwrap_or_default()
}

/// A duration in nanoseconds.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
