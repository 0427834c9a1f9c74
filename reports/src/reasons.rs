//! By which words a reason against a run is told from the others, and by which bounds runs are judged: the page marks
//! the figure that a reason is about.
//!
//! Whoever measures writes reasons in sentences of its own, with names and numbers in them. Each that is about one of
//! these figures holds its words and no other's; `sim` has a test that makes every one of them.

/// Achieved and offered may differ by this share.
pub const MOST_MISSED: f64 = 0.01;
/// However quick the answers are, so much lag is no harm, microseconds.
pub const MOST_LAG_US: f64 = 200.0;
/// The driver's thread may not be busier than this, or it is what was measured.
pub const MOST_BUSY: f64 = 0.7;
/// Share of time that the host may take.
pub const MOST_STOLEN: f64 = 0.01;

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
