//! What is counted of calls that would change the gateway by its admin API.

use std::sync::atomic::{AtomicU64, Ordering};

use super::seldom::Seldom;
use crate::labelled::labelled;

labelled! {
    /// What such a call asks for.
    pub enum AdminAction, "As in a label.";
    /// The configuration is loaded again.
    Reload = "reload";
    /// The drain begins.
    Drain = "drain";
    /// A breaker is held open.
    BreakerOpen = "breaker_open";
    /// A breaker is held closed.
    BreakerClose = "breaker_close";
    /// A breaker decides by itself again.
    BreakerAuto = "breaker_auto";
    /// Kept answers go.
    CachePurge = "cache_purge";
    /// Something that there is not.
    Other = "other";
}

labelled! {
    /// What came of it.
    pub enum AdminResult, "As in a label.";
    /// It was done.
    Done = "done";
    /// It was tried, and could not be done: a configuration that does not hold.
    Failed = "failed";
    /// Whoever asked may not.
    Refused = "refused";
    /// There is nothing of the kind, or of that name.
    NotFound = "not_found";
    /// Whoever asked left before the answer; it may have been done.
    Left = "left";
}

/// Of refused calls, one is told of in so many seconds: whoever guesses tokens asks often.
const TELL_EVERY: u64 = 1;

/// Counts by what was asked for and what came of it.
#[derive(Debug, Default)]
pub struct AdminSeries {
    writes: [[AtomicU64; AdminResult::ALL.len()]; AdminAction::ALL.len()],
    refused: Seldom<TELL_EVERY>,
}

impl AdminSeries {
    /// Counts a call.
    pub fn wrote(&self, action: AdminAction, result: AdminResult) {
        self.writes[action as usize][result as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How many came to this.
    pub fn total(&self, action: AdminAction, result: AdminResult) -> u64 {
        self.writes[action as usize][result as usize].load(Ordering::Relaxed)
    }

    /// Whether a call that was not let through in this second, from any moment, is to be told of: then how many were
    /// not since the last that was.
    pub fn may_tell(&self, second: u64) -> Option<u64> {
        self.refused.may_tell(second)
    }
}
