//! Everything recovers: when all faults of a service are over, and the time that its configuration allows has passed,
//! its requests succeed, and none of its endpoints is left out.
//!
//! That an endpoint is back shows where requests would have come to it: not where a key or a memory of slowness keeps
//! them elsewhere, and not where there were too few. A breaker that has had enough good answers since must be closed.

use super::{MS, World};
use crate::explore::facts::{Policy, Service};
use crate::history::{Attempt, BreakerState, Ending, Endpoint, EventKind, Outcome};

/// So many attempts for each endpoint at a service, and each of them has had one.
const ENOUGH: usize = 60;

/// What does not hold.
pub(super) fn judge(world: &World<'_>, add: &mut impl FnMut(&str, String)) {
    for load in &world.facts.loads {
        let Some(well_ns) = world.facts.asked_by(load).filter_map(|service| well_from(world, service)).max() else {
            continue;
        };
        let late = world.history.clients.iter().filter(|one| *one.load == *load.name && one.intended_ns > well_ns);
        for request in late.filter(|request| load.patient && request.outcome != Outcome::Ok) {
            add("not_recovered", format!("all was to be well from {} ms on: {request:?}", well_ns / MS));
        }
    }
    for service in &world.facts.services {
        let of_it = |attempt: &&Attempt| *attempt.endpoint.upstream == service.name && !attempt.health_check;
        let Some(well_ns) = well_from(world, service) else { continue };
        let since = world.history.attempts.iter().filter(of_it);
        let since: Vec<&Attempt> = since.filter(|one| one.arrival_ns > well_ns).collect();
        for index in 0..service.weights.len() {
            let endpoint = Endpoint::new(service.name.as_str(), index);
            let state = last_state(world, &endpoint);
            let at_it = since.iter().filter(|attempt| attempt.endpoint == endpoint);
            let good = at_it.clone().filter(|attempt| matches!(attempt.ending, Ending::Answered(200..=399))).count();
            let is_left_out = at_it.count() == 0
                && service.weights[index] > 0
                && service.policy != Policy::Keyed
                && since.len() >= ENOUGH * service.weights.iter().sum::<u64>() as usize;
            // A hedge that loses is answered at the mock, and says nothing to the breaker.
            let is_stuck = !service.gets_more && state != BreakerState::Closed && good as u64 > service.probes;
            if is_left_out || is_stuck {
                add("not_back", format!("{endpoint} is {state:?} at the end, {good} good answers since it was well"));
            }
        }
    }
}

/// From when on nothing of the faults of a service may be felt; `None` where there was none.
fn well_from(world: &World<'_>, service: &Service) -> Option<u64> {
    let of_it = world.history.faults.iter().filter(|fault| *fault.endpoint.upstream == service.name);
    of_it.map(|fault| fault.until_ns.saturating_add(service.recovers_ns)).max()
}

fn last_state(world: &World<'_>, of: &Endpoint) -> BreakerState {
    let changes = world.history.events.iter().rev().filter_map(|event| match &event.kind {
        EventKind::Breaker { endpoint: Some(endpoint), to, .. } if endpoint == of => Some(*to),
        _ => None,
    });
    changes.take(1).next().unwrap_or(BreakerState::Closed)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{fair, kinds};
    use crate::history::BreakerState::{Closed, HalfOpen, Open};

    #[test]
    fn what_fails_long_after_the_last_fault_has_not_recovered() {
        let failing = |at| fair().fault("orders/1", 100, 200, "hang").at_ms(at).refused(503);
        assert!(!kinds(failing(1_100)).contains(&"not_recovered".to_owned()));
        assert!(kinds(failing(1_300)).contains(&"not_recovered".to_owned()));
        assert!(!kinds(fair().fault("users/1", 100, 200, "hang")).contains(&"not_recovered".to_owned()));
    }

    #[test]
    fn an_endpoint_that_nobody_asks_again_is_not_back() {
        let since = |to: &'static [&'static str]| {
            let story = fair().fault("orders/1", 100, 200, "hang");
            story.each(0..240, move |story, at| {
                story.at_ms(1_300 + at).answered(to[usize::try_from(at).unwrap() % to.len()], 200, 1)
            })
        };
        let not_back = |story| kinds(story).contains(&"not_back".to_owned());
        assert!(not_back(since(&["orders/0"])));
        assert!(!not_back(since(&["orders/0", "orders/1"])));
        let tripped = |story: crate::history::story::Story| {
            story.at_ms(150).breaker("orders/1", Closed, Open).at_ms(250).breaker("orders/1", Open, HalfOpen)
        };
        assert!(not_back(tripped(since(&["orders/0", "orders/1"]))), "it has had what would close it");
        let closed = tripped(since(&["orders/0", "orders/1"])).at_ms(1_310).breaker("orders/1", HalfOpen, Closed);
        assert!(!not_back(closed));
    }
}
