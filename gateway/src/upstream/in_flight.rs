//! Requests in flight, exact over all workers.
//!
//! One shared counter: an approximate one for each worker would let a limit be exceeded and would send a burst of
//! workers to the same endpoint. The permit gives its place back when it is dropped, whatever ended the request.
//! `tests/loom_in_flight.rs` checks every interleaving of this file.

use super::sync::{Arc, AtomicU32, Ordering};

/// A counter of what is in flight.
#[derive(Debug, Default)]
pub struct InFlight {
    count: AtomicU32,
}

impl InFlight {
    /// How many there are now.
    #[inline]
    pub fn count(&self) -> u32 {
        self.count.load(Ordering::Relaxed)
    }

    /// Takes a place.
    #[inline]
    pub fn enter(self: &Arc<Self>) -> Permit {
        self.count.fetch_add(1, Ordering::Relaxed);
        Permit { counter: Arc::clone(self) }
    }

    /// Takes a place if fewer than `limit` are taken; never lets more in, not even for a moment.
    #[inline]
    pub fn try_enter(self: &Arc<Self>, limit: u32) -> Option<Permit> {
        let mut now = self.count.load(Ordering::Relaxed);
        loop {
            if now >= limit {
                return None;
            }
            match self.count.compare_exchange_weak(now, now + 1, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Some(Permit { counter: Arc::clone(self) }),
                Err(changed) => now = changed,
            }
        }
    }
}

/// One place in flight, given back when dropped.
#[derive(Debug)]
pub struct Permit {
    counter: Arc<InFlight>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.counter.count.fetch_sub(1, Ordering::Relaxed);
    }
}
