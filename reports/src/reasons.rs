//! By which words a reason against a run is told from the others: the page marks the figure that it is about.
//!
//! Whoever measures writes reasons in sentences of its own, with names and numbers in them. Each that is about one of
//! these figures holds its words and no other's; `sim` has a test that makes every one of them.

/// Arrivals were not sent.
pub const DROPPED: &str = "arrivals were dropped";
/// Less ended than was offered.
pub const SHORT: &str = "of the offered requests were achieved";
/// The driver sent later than was planned.
pub const LATE: &str = "the pacer's p99 lag was";
/// The driver, or who shared its thread, had no time left.
pub const BUSY: &str = "busy for";
/// The machine was not the run's own.
pub const STOLEN: &str = "the host took";

/// All of them.
pub const ALL: [&str; 5] = [DROPPED, SHORT, LATE, BUSY, STOLEN];
