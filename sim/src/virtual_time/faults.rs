//! The faults of a world: which of them hits a request, and how long an endpoint takes when none does.
//!
//! Draws depend on the seed, the endpoint and the number of the request there, and on nothing else; so a fault that is
//! taken away while a world is shrunk changes no other draw.

use std::time::Duration;

use mocks::{Act, Delay, Draws, Effect, Flap, Queue, Rule, Station};

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
    /// Where requests wait that it hits, if it is such a line.
    line: Option<Queue>,
}

impl Fault {
    /// Whether it holds now: one that comes and goes does so from its own beginning on, as at the mocks.
    fn is_on(&self, now_ns: u64) -> bool {
        self.window.contains(now_ns)
            && self.flapping().is_none_or(|(period_ns, on_ns)| (now_ns - self.window.from_ns) % period_ns < on_ns)
    }

    /// When it may begin or end, around this time.
    fn edges(&self, now_ns: u64) -> Vec<u64> {
        let mut edges = vec![self.window.from_ns, self.window.until_ns];
        if let Some((period_ns, on_ns)) = self.flapping().filter(|_| self.window.contains(now_ns)) {
            let begun_ns = now_ns - (now_ns - self.window.from_ns) % period_ns;
            edges.extend([begun_ns + on_ns, begun_ns + period_ns]);
        }
        edges
    }

    /// How often it comes, and for how long it stays.
    fn flapping(&self) -> Option<(u64, u64)> {
        let Flap { period, duty } = self.act.flap?;
        let period_ns = nanos(period).max(1);
        Some((period_ns, (period_ns as f64 * duty) as u64))
    }
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
                list.push(Fault { window, act: act.clone(), line: line(&act) });
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
                && fault.is_on(now_ns)
                && (fault.window.share >= 1.0 || self.draws(number, request, at * 2 + 1).unit() < fault.window.share)
        };
        self.list.iter().enumerate().find(hits).map(|(at, fault)| (at, &fault.act))
    }

    /// The line of the fault at this place in the list.
    pub(crate) fn line(&self, fault: usize) -> Option<&Queue> {
        self.list.get(fault)?.line.as_ref()
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
            refusing.filter(|fault| fault.window.endpoint == *endpoint)
        };
        let edges = of_it().flat_map(|fault| fault.edges(now_ns)).filter(|edge| *edge > now_ns);
        (of_it().any(|fault| fault.is_on(now_ns)), edges.min())
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

/// The line that an act lets requests stand in.
fn line(act: &Act) -> Option<Queue> {
    match &act.delay {
        Some(Delay::Queue(station)) => Some(Queue::new(Station::clone(station))),
        _ => None,
    }
}

/// A duration in nanoseconds.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn fault(act: &serde_json::Value) -> Faults {
        let endpoint = Endpoint::new("orders", 0);
        let window = FaultWindow { endpoint, from_ns: 30 * MS, until_ns: 80 * MS, share: 1.0, act: "".into() };
        Faults { seed: 1, list: vec![Fault { window, act: self::act(act), line: None }] }
    }

    #[test]
    fn a_flapping_fault_comes_and_goes_from_its_own_beginning_on() {
        let of = Endpoint::new("orders", 0);
        let fails = fault(&serde_json::json!({ "status": 503, "flap": { "period": "20ms", "duty": 0.25 } }));
        let on: Vec<u64> = (0..100).filter(|at| fails.hit(&of, 0, 0, at * MS).is_some()).collect();
        let expected: Vec<u64> = [30..35, 50..55, 70..75].into_iter().flatten().collect();
        assert_eq!(on, expected);
        let refuses = fault(&serde_json::json!({ "refuse": true, "flap": { "period": "20ms", "duty": 0.25 } }));
        let at = |ms: u64| refuses.refuses(&of, ms * MS);
        assert_eq!([at(0), at(31), at(40)], [(false, Some(30 * MS)), (true, Some(35 * MS)), (false, Some(50 * MS))]);
        assert_eq!([at(76), at(80)], [(false, Some(80 * MS)), (false, None)]);
    }
}
