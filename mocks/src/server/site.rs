//! What a connection knows of its surroundings, and the decision what a request gets.

use std::sync::Arc;

use super::routes::Route;
use crate::clock::now_ns;
use crate::faults::{Act, Asked, Draws, Problems, act_from_header};
use crate::http1::head::{Facts, Head};
use crate::journal::{Hit, Record};
use crate::world::{Endpoint, World};

/// The place of a connection.
#[derive(Debug)]
pub(crate) struct Site {
    pub endpoint: Arc<Endpoint>,
    pub world: Arc<World>,
    /// The worker that serves the connection.
    pub worker: usize,
    /// The connection's number in the process, from 1.
    pub number: u64,
}

/// What a request gets.
#[derive(Debug)]
pub(crate) struct Decision {
    pub route: Route,
    /// The request's number at its endpoint, from 1.
    pub request: u64,
    pub arrival_ns: u64,
    pub hit: Hit,
    /// The fault; boxed, since most requests have none.
    pub fault: Option<Box<Fault>>,
}

/// A fault that hits a request, and its randomness.
#[derive(Debug)]
pub(crate) struct Fault {
    pub act: Act,
    pub draws: Draws,
}

impl Site {
    /// Counts and numbers the request, finds its route and the fault that hits it.
    #[inline]
    pub(crate) fn decide(&self, head: &Head<'_, '_>, facts: &Facts, arrival_ns: u64) -> Result<Decision, Problems> {
        let request = self.endpoint.live.next_request();
        let (hit, fault) = self.fault(head, facts, request, arrival_ns)?;
        Ok(Decision { route: Route::of(head), request, arrival_ns, hit, fault })
    }

    #[inline]
    fn fault(
        &self,
        head: &Head<'_, '_>,
        facts: &Facts,
        request: u64,
        now_ns: u64,
    ) -> Result<(Hit, Option<Box<Fault>>), Problems> {
        let rules = self.world.rules.load();
        let place = self.endpoint.place();
        if let Some(line) = facts.fault {
            let act = act_from_header(&String::from_utf8_lossy(head.headers[line].value))?;
            let fault = Fault { act, draws: rules.draws(place.number, request, None) };
            return Ok((Hit::Header, Some(Box::new(fault))));
        }
        Ok(match rules.find(place, request, now_ns, head) {
            None => (Hit::None, None),
            Some((index, rule)) => {
                let draws = rules.draws(place.number, request, Some(index));
                (Hit::Rule(index), Some(Box::new(Fault { act: rule.act.clone(), draws })))
            }
        })
    }

    /// Journals a request. Status 0: no right head was sent; `answer_ns` 0: nothing was.
    #[inline]
    pub(crate) fn journal(&self, head: &Head<'_, '_>, facts: &Facts, decision: &Decision, status: u16, answer_ns: u64) {
        let record = Record {
            arrival_ns: decision.arrival_ns,
            answer_ns,
            endpoint: self.endpoint.number,
            connection: self.number,
            request: decision.request,
            method: head.method,
            path: head.path_and_query().0,
            status,
            hit: decision.hit,
            trace_id: facts.trace_id,
        };
        self.world.journal.record(self.worker, &record);
        self.world.progressed();
    }

    /// Now, at least a nanosecond after the request's arrival.
    #[inline]
    pub(crate) fn answer_ns(arrival_ns: u64) -> u64 {
        now_ns().max(arrival_ns + 1)
    }
}

impl Asked for Head<'_, '_> {
    fn path(&self) -> &str {
        self.path_and_query().0
    }

    fn method(&self) -> &str {
        self.method
    }

    fn has_header(&self, name: &str, value: &str) -> bool {
        self.values(name).any(|found| value == "*" || found == value.as_bytes())
    }
}
