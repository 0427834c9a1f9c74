//! A task that nobody runs, for tests of who is woken, and how often.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Wake;

/// Counts how often it was woken.
#[derive(Debug, Default)]
pub(crate) struct Woken(AtomicU32);

impl Woken {
    /// How often.
    pub(crate) fn times(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}
