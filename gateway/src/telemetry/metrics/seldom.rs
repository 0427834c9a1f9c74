//! Of what may come in floods one is told of now and then, with how many there were since.

use std::sync::atomic::{AtomicU64, Ordering};

/// What is told of once in so many seconds. Any thread may ask.
#[derive(Debug, Default)]
pub(super) struct Seldom<const SECONDS: u64> {
    /// The turn of so many seconds after which one may be told of again.
    told: AtomicU64,
    /// Those that were not told of since.
    untold: AtomicU64,
}

impl<const SECONDS: u64> Seldom<SECONDS> {
    /// Whether what happened in this second, from any moment, is to be told of: then how many were not since the last
    /// that was.
    pub(super) fn may_tell(&self, second: u64) -> Option<u64> {
        let turn = second / SECONDS + 1;
        if self.told.fetch_max(turn, Ordering::Relaxed) < turn {
            return Some(self.untold.swap(0, Ordering::Relaxed));
        }
        self.untold.fetch_add(1, Ordering::Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_flood_one_is_told_of_now_and_then_with_how_many_there_were() {
        let (each, fifth) = (Seldom::<1>::default(), Seldom::<5>::default());
        assert_eq!(
            [7, 7, 7, 8, 8, 60].map(|second| each.may_tell(second)),
            [Some(0), None, None, Some(2), None, Some(1)]
        );
        assert_eq!(
            [0, 0, 4, 5, 9, 60].map(|second| fifth.may_tell(second)),
            [Some(0), None, None, Some(2), None, Some(1)]
        );
    }
}
