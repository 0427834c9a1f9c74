//! What is under way on one connection, and how much may be.
//!
//! A connection is judged by what it answers in the order in which it was asked: whoever waits there behind others that
//! are being answered waits for no dead server.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::algorithms::send_window::SendWindow;
use crate::locked::lock;

/// However many are answered before them, calls are waited for no longer than so many times what they may take.
const LONGEST: u64 = 4;

/// One connection's.
#[derive(Debug)]
pub(super) struct Flow {
    window: Mutex<SendWindow>,
    under_way: AtomicUsize,
    /// When calls were last answered in time, nanoseconds; 0 where none ever were.
    answered_at: AtomicU64,
}

/// Calls that are under way, until they are answered or given up.
#[derive(Debug)]
pub(super) struct Load {
    flow: Arc<Flow>,
    calls: usize,
    /// What was under way when they left, with them.
    under_way: usize,
    departed: u64,
}

impl Flow {
    /// Nothing is under way; never more than this will be.
    pub(super) fn new(most: usize) -> Arc<Self> {
        let window = Mutex::new(SendWindow::new(most));
        let (under_way, answered_at) = (AtomicUsize::new(0), AtomicU64::new(0));
        Arc::new(Self { window, under_way, answered_at })
    }

    /// How many calls may leave now, together.
    pub(super) fn room(&self) -> usize {
        let under_way = self.under_way.load(Ordering::Relaxed);
        self.with(|window| window.room(under_way))
    }

    /// So many leave.
    pub(super) fn depart(self: &Arc<Self>, calls: usize, now: u64) -> Load {
        let under_way = self.under_way.fetch_add(calls, Ordering::Relaxed) + calls;
        Load { flow: Arc::clone(self), calls, under_way, departed: now }
    }

    fn with<T>(&self, look: impl FnOnce(&mut SendWindow) -> T) -> T {
        look(&mut lock(&self.window))
    }
}

impl Load {
    /// On which connection.
    pub(super) fn flow(&self) -> &Arc<Flow> {
        &self.flow
    }

    /// They were answered now.
    pub(super) fn answered(&self, now: u64, may_take: Duration) {
        self.flow.answered_at.fetch_max(now, Ordering::Relaxed);
        self.took(now, may_take);
    }

    /// They have not been answered in time.
    pub(super) fn are_late(&self, now: u64, may_take: Duration) {
        self.took(now, may_take);
    }

    fn took(&self, now: u64, may_take: Duration) {
        let took = now.saturating_sub(self.departed);
        self.flow.with(|window| window.took((self.calls, self.under_way), took, nanoseconds(may_take)));
    }

    /// For how long from now on they may still be waited for: those before them were answered a moment ago, after these
    /// had left.
    pub(super) fn patience(&self, now: u64, may_take: Duration) -> Duration {
        let answered_at = self.flow.answered_at.load(Ordering::Relaxed);
        if answered_at <= self.departed {
            return Duration::ZERO;
        }
        let until = self.departed.saturating_add(nanoseconds(may_take).saturating_mul(LONGEST));
        Duration::from_nanos(answered_at.saturating_add(nanoseconds(may_take)).min(until).saturating_sub(now))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.flow.under_way.fetch_sub(self.calls, Ordering::Relaxed);
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
