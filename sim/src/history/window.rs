//! Spans of time: the phases of a run, and its faults.

use super::{Endpoint, Name};

/// A phase of the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phase {
    /// `before`, `fault_1` to `fault_n`, `healed`.
    pub name: Name,
    /// Its first nanosecond.
    pub from_ns: u64,
    /// The first one after it.
    pub until_ns: u64,
}

/// A fault, from when the mock put it in force until it took it back.
#[derive(Debug, Clone, PartialEq)]
pub struct FaultWindow {
    /// The endpoint that has it; a fault on a whole service has a window for each endpoint.
    pub endpoint: Endpoint,
    /// Its first nanosecond.
    pub from_ns: u64,
    /// The first one after it.
    pub until_ns: u64,
    /// The share of requests that it hits, 0 to 1.
    pub share: f64,
    /// What it does, as the scenario says: `status = 503`.
    pub act: Name,
}

impl FaultWindow {
    /// The fault is in force at this time.
    pub fn contains(&self, at_ns: u64) -> bool {
        (self.from_ns..self.until_ns).contains(&at_ns)
    }
}
