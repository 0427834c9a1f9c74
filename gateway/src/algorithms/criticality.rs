//! How much a request matters, and how much of a limit its class may use.
//!
//! Whoever matters more finds places that whoever matters less may not take: the least important is refused first, and
//! the most important only at the limit itself. The headroom is a share of the limit, as with the partitions of
//! Netflix's concurrency-limits, but ordered, as criticality is in "Handling Overload" (Site Reliability Engineering,
//! chapter 21).

/// How much a request matters; the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(u8)]
pub enum Criticality {
    /// Refused first: batches, prefetches.
    Low,
    /// What a route is unless it says otherwise.
    #[default]
    Normal,
    /// People wait for it.
    High,
    /// Refused last.
    Critical,
}

impl Criticality {
    /// How many classes there are.
    pub const COUNT: usize = 4;
    /// Every class, the least important first.
    pub const ALL: [Self; Self::COUNT] = [Self::Low, Self::Normal, Self::High, Self::Critical];

    /// As written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// The class of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == name)
    }

    /// How much of a limit on requests it may fill, in percent.
    pub fn share(self) -> u32 {
        match self {
            Self::Low => 60,
            Self::Normal => 80,
            Self::High => 90,
            Self::Critical => 100,
        }
    }

    /// Up to which part of the memory that the gateway may take it is served, in percent. Closer to the limit than
    /// `share`: what a process takes at rest is a part of it.
    pub fn memory_share(self) -> u32 {
        match self {
            Self::Low => 90,
            Self::Normal => 95,
            Self::High => 98,
            Self::Critical => 100,
        }
    }

    /// How many places of a limit it may fill, rounded up, so that a small limit shuts nobody out. `highest` is the
    /// most important class that shares the limit: nothing is kept free for a class that nobody has, so where all are
    /// alike each may fill all of it.
    #[inline]
    pub fn places(self, limit: u32, highest: Self) -> u32 {
        if self >= highest {
            return limit;
        }
        let part = u64::from(limit) * u64::from(self.share());
        u32::try_from(part.div_ceil(100)).unwrap_or(limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_important_has_the_fewest_places_and_the_most_important_has_all() {
        let places = |limit| Criticality::ALL.map(|class| class.places(limit, Criticality::Critical));
        assert_eq!(places(100), [60, 80, 90, 100]);
        assert_eq!(places(10), [6, 8, 9, 10]);
        assert_eq!(places(1), [1, 1, 1, 1], "a small limit shuts nobody out");
        assert_eq!(places(0), [0, 0, 0, 0]);
        assert_eq!(places(u32::MAX)[3], u32::MAX);
        for limit in 0..1_000 {
            assert!(places(limit).is_sorted(), "{limit}: {:?}", places(limit));
        }
    }

    #[test]
    fn nothing_is_kept_free_for_a_class_that_nobody_has() {
        assert_eq!(Criticality::Normal.places(100, Criticality::Normal), 100);
        assert_eq!(Criticality::Low.places(100, Criticality::Normal), 60);
        assert_eq!(Criticality::Critical.places(100, Criticality::Normal), 100);
    }

    #[test]
    fn every_class_is_found_by_its_name() {
        assert!(Criticality::ALL.into_iter().all(|class| Criticality::parse(class.as_str()) == Some(class)));
        assert_eq!(Criticality::parse("urgent"), None);
        assert_eq!(Criticality::default(), Criticality::Normal);
    }
}
