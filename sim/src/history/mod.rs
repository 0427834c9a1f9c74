//! What happened in a run, as plain values on one monotonic clock.
//!
//! A run on sockets and a run in virtual time fill the same types, so oracles judge both with the same code, and they
//! judge hand-made stories in tests. Nothing here computes a score.
//!
//! - `name`: names of upstreams, endpoints, rules and keys, shared instead of copied;
//! - `client`: requests as their clients saw them; `attempt`: exchanges as the mocks saw them;
//! - `event`: what the gateway said of its own decisions, `limit`: those of rate limits; `record`: its access records;
//! - `window`: phases and faults; `story` (tests only): histories written by hand.
//!
//! Invariants: every time is in nanoseconds since the same instant, named `…_ns`; an absent time means that it did not
//! happen; [`History::sort`] puts each list in the order of its time, and keeps the order of what happened at once.

mod attempt;
mod client;
mod event;
pub mod limit;
mod name;
mod record;
#[cfg(test)]
pub(crate) mod story;
mod window;

pub use attempt::{Attempt, Ending, Hit};
pub use client::{ClientRequest, Outcome};
pub use event::{Asked, BreakerState, Event, EventKind, Seen};
pub use name::{Endpoint, Name};
pub use record::{AccessRecord, Ended};
pub use window::{FaultWindow, Phase};

/// Everything that is known of a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    /// Requests of clients, by the time at which the plan wanted them sent.
    pub clients: Vec<ClientRequest>,
    /// Exchanges as the mocks saw them, by arrival.
    pub attempts: Vec<Attempt>,
    /// What the gateway told of its decisions, in the order in which it took them. Empty for a gateway that tells
    /// nothing: oracles then use what clients and mocks saw.
    pub events: Vec<Event>,
    /// The gateway's access records, by the end of the request.
    pub records: Vec<AccessRecord>,
    /// The phases of the run, without gaps between them.
    pub phases: Vec<Phase>,
    /// When which fault was in force.
    pub faults: Vec<FaultWindow>,
}

impl History {
    /// Puts every list in the order of its time. Journals are merged by simply appending them first.
    pub fn sort(&mut self) {
        self.clients.sort_by_key(|request| request.intended_ns);
        self.attempts.sort_by_key(|attempt| attempt.arrival_ns);
        self.events.sort_by_key(|event| event.at_ns);
        self.records.sort_by_key(|record| record.ended_ns);
        self.phases.sort_by_key(|phase| phase.from_ns);
        self.faults.sort_by_key(|fault| fault.from_ns);
    }
}
