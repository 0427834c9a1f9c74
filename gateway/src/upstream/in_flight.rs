//! Requests in flight, exact over all workers; and, for nothing, how many there ever were.
//!
//! One shared counter: an approximate one for each worker would let a limit be exceeded and would send a burst of
//! workers to the same endpoint. The permit gives its place back when it is dropped, whatever ended the request.
//! `tests/loom_in_flight.rs` checks every interleaving of this file.

use super::sync::{Arc, AtomicU64, Ordering};

/// A place that is taken, in the lower half of the counter, and one more that ever was, in the upper half, which goes
/// round: one addition does both.
const PLACE: u64 = 1;
const EVER: u64 = 1 << 32;

/// A counter of what is in flight.
#[derive(Debug, Default)]
pub struct InFlight {
    count: AtomicU64,
}

impl InFlight {
    /// How many there are now.
    #[inline]
    pub fn count(&self) -> u32 {
        there(self.count.load(Ordering::Relaxed))
    }

    /// How many there ever were, which goes round, and how many there are now, at one moment.
    #[inline]
    pub fn ever_and_now(&self) -> (u32, u32) {
        let both = self.count.load(Ordering::Relaxed);
        (there(both >> 32), there(both))
    }

    /// Takes a place.
    #[inline]
    pub fn enter(self: &Arc<Self>) -> Permit {
        self.come();
        Permit { counter: Arc::clone(self) }
    }

    /// The same for who has what holds this counter anyway, and gives the place back himself, whatever happens.
    #[inline]
    pub fn come(&self) {
        self.count.fetch_add(EVER + PLACE, Ordering::Relaxed);
    }

    /// Takes such a place again that was given back: it is no other request.
    pub fn come_back(&self) {
        self.count.fetch_add(PLACE, Ordering::Relaxed);
    }

    /// Gives such a place back.
    #[inline]
    pub fn leave(&self) {
        self.count.fetch_sub(PLACE, Ordering::Relaxed);
    }

    /// Takes a place if fewer than `limit` are taken; never lets more in, not even for a moment.
    #[inline]
    pub fn try_enter(self: &Arc<Self>, limit: u32) -> Option<Permit> {
        let mut now = self.count.load(Ordering::Relaxed);
        loop {
            if there(now) >= limit {
                return None;
            }
            match self.count.compare_exchange_weak(now, taken(now), Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Some(Permit { counter: Arc::clone(self) }),
                Err(changed) => now = changed,
            }
        }
    }
}

/// The lower half.
#[inline]
fn there(count: u64) -> u32 {
    count as u32
}

/// With one more.
#[inline]
fn taken(count: u64) -> u64 {
    count.wrapping_add(EVER + PLACE)
}

/// One place in flight, given back when dropped.
#[derive(Debug)]
pub struct Permit {
    counter: Arc<InFlight>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.counter.leave();
    }
}
