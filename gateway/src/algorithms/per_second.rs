//! How many of something may come in a second. Counted in whole seconds, from the first of each: cheap, and never more
//! than twice as many in any second.

use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);

/// A count.
#[derive(Debug)]
pub struct PerSecond {
    most: u32,
    count: u32,
    began: Option<Instant>,
}

impl PerSecond {
    /// So many.
    #[inline]
    pub fn new(most: u32) -> Self {
        Self { most, count: 0, began: None }
    }

    /// Counts one; `false` when it is one too many.
    pub fn take(&mut self, now: Instant) -> bool {
        if self.began.is_none_or(|began| now.saturating_duration_since(began) >= SECOND) {
            (self.began, self.count) = (Some(now), 0);
        }
        self.count = self.count.saturating_add(1);
        self.count <= self.most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_second_has_its_own() {
        let start = crate::clock::Clock::starting_at(Duration::ZERO).now();
        let mut few = PerSecond::new(2);
        assert!(few.take(start) && few.take(start + SECOND / 2) && !few.take(start + SECOND / 2));
        assert!(few.take(start + SECOND) && few.take(start + SECOND) && !few.take(start + SECOND));
        assert!((3..100).all(|second| few.take(start + second * SECOND)));
        assert!(!PerSecond::new(0).take(start));
    }
}
