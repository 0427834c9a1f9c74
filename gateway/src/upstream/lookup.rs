//! What the last lookup of an upstream's name came to, for whoever asks why it has no endpoints.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Lookups of one upstream's name.
#[derive(Debug, Default)]
pub struct Lookup {
    /// One has come to its end, whatever it came to.
    ended: AtomicBool,
    failed: Mutex<Option<FailedLookup>>,
}

/// A lookup that failed.
#[derive(Debug, Clone)]
pub struct FailedLookup {
    /// When.
    pub at: Instant,
    /// When the first of those failed that have failed since one went well.
    pub since: Instant,
    /// Why.
    pub why: String,
}

impl Lookup {
    /// Whether any has come to its end.
    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// The last one, if it failed.
    pub fn failed(&self) -> Option<FailedLookup> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps what one came to; whether it is of another kind than the one before it.
    pub(super) fn ended(&self, failed: Option<(Instant, String)>) -> bool {
        let mut kept = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let before = kept.as_ref().map(|before| before.since);
        *kept = failed.map(|(at, why)| FailedLookup { at, since: before.unwrap_or(at), why });
        self.ended.store(true, Ordering::Release);
        before.is_some() != kept.is_some()
    }

    /// Forgets what an earlier name came to.
    pub(super) fn forget(&self) {
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
