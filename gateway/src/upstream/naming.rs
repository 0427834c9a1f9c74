//! Whether an endpoint's name is resolved in time: a resolver that says nothing takes the time of a connection, and is
//! not to be taken for a service that does not accept one.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Lookups of one endpoint's name.
#[derive(Debug, Default)]
pub(super) struct Naming {
    under_way: AtomicU32,
    /// The last one that has ended was given up.
    given_up: AtomicBool,
}

/// A lookup under way. Dropped before it is done, it was given up.
struct UnderWay<'a> {
    naming: &'a Naming,
    is_done: bool,
}

impl Naming {
    /// Does a lookup, and notes how it ends.
    pub(super) async fn watch<T>(&self, lookup: impl Future<Output = T>) -> T {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        let mut under_way = UnderWay { naming: self, is_done: false };
        let outcome = lookup.await;
        under_way.is_done = true;
        outcome
    }

    /// Whether the last lookup was given up before it was done.
    pub(super) fn was_given_up(&self) -> bool {
        self.given_up.load(Ordering::Relaxed)
    }

    /// Whether one is under way still.
    pub(super) fn is_under_way(&self) -> bool {
        self.under_way.load(Ordering::Relaxed) > 0
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.naming.under_way.fetch_sub(1, Ordering::Relaxed);
        self.naming.given_up.store(!self.is_done, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;

    use super::*;

    #[tokio::test]
    async fn a_lookup_that_nobody_waits_for_any_more_was_given_up_until_another_is_done() {
        let naming = Naming::default();
        let mut silent = Box::pin(naming.watch(std::future::pending::<()>()));
        assert!(poll!(&mut silent).is_pending());
        assert!(naming.is_under_way() && !naming.was_given_up());
        drop(silent);
        assert!(!naming.is_under_way() && naming.was_given_up());
        assert_eq!(naming.watch(std::future::ready(1)).await, 1);
        assert!(!naming.is_under_way() && !naming.was_given_up());
    }
}
