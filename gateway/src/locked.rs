//! Locks of the standard library, passed over a panic.
//!
//! A panic costs one request (`pipeline.rs` catches it). Whoever holds a lock meanwhile leaves what it guards in a
//! state in which others can go on: counts, maps, places. So a lock that a panic has poisoned is taken like any other.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Takes the lock.
#[inline]
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_who_held_it_is_no_reason_to_stop() {
        let count = Mutex::new(1);
        let holds = || {
            let _held = lock(&count);
            std::panic::resume_unwind(Box::new(()));
        };
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(holds)).is_err() && count.is_poisoned());
        assert_eq!(*lock(&count), 1);
    }
}
