//! How many tokens to take from a shared bucket at once.
//!
//! A chunk should last for about as long as it takes to fetch some: when it was used up sooner the next is twice as
//! large, when it lasted much longer half as large. So a key that is asked for seldom strands nothing, and one that is
//! asked for often costs few round trips.

/// A chunk that was used up within this time was too small, nanoseconds.
const SHORT: u64 = 50_000_000;
/// One that lasted longer than this was too large.
const LONG: u64 = 200_000_000;

/// The most tokens that a gateway may take at once: together, gateways hold at most half of a burst.
pub fn most(burst: u64, gateways: u64, configured: u64) -> u64 {
    (burst / gateways.saturating_mul(2).max(1)).min(configured).max(1)
}

/// What one gateway holds of a key's tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chunk {
    tokens: u64,
    /// The size of the next one.
    size: u64,
    taken_at: Option<u64>,
}

impl Chunk {
    /// Tokens that are left.
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// Uses tokens, if there are so many.
    pub fn spend(&mut self, tokens: u64) -> bool {
        let enough = self.tokens >= tokens;
        self.tokens -= if enough { tokens } else { 0 };
        enough
    }

    /// Puts tokens back that were not used after all.
    pub fn return_unused(&mut self, tokens: u64) {
        self.tokens = self.tokens.saturating_add(tokens);
    }

    /// Everything, to be given back.
    pub fn take_all(&mut self) -> u64 {
        std::mem::take(&mut self.tokens)
    }

    /// How many to ask for: enough for a request of this cost together with what is left, and never so many that more
    /// than `most` would be held.
    pub fn wanted(&mut self, cost: u64, most: u64, now: u64) -> u64 {
        match self.taken_at.map(|at| now.saturating_sub(at)) {
            Some(lasted) if lasted < SHORT => self.size = self.size.saturating_mul(2),
            Some(lasted) if lasted > LONG => self.size /= 2,
            _ => {}
        }
        let most = most.max(cost);
        self.size = self.size.clamp(cost, most);
        self.size.min(most.saturating_sub(self.tokens)).max(cost.saturating_sub(self.tokens))
    }

    /// Tokens came.
    pub fn receive(&mut self, tokens: u64, now: u64) {
        self.tokens = self.tokens.saturating_add(tokens);
        self.taken_at = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_chunk_never_holds_more_than_it_may_and_always_enough_for_one(
            steps in prop::collection::vec((0u64..400, any::<bool>()), 1..200), cost in 1u64..5, most in 1u64..50,
        ) {
            let (mut chunk, mut now) = (Chunk::default(), 0);
            for (gap, granted) in steps {
                now += gap * 1_000_000;
                if !chunk.spend(cost) {
                    let wanted = chunk.wanted(cost, most, now);
                    prop_assert!(wanted >= 1 && chunk.tokens() + wanted >= cost);
                    prop_assert!(chunk.tokens() + wanted <= most.max(cost));
                    chunk.receive(if granted { wanted } else { 0 }, now);
                    prop_assert_eq!(chunk.spend(cost), granted);
                }
            }
        }
    }

    /// Asks each `gap` milliseconds; the size of the last chunk.
    fn size_at(gap: u64) -> u64 {
        let (mut chunk, mut last) = (Chunk::default(), 0);
        for number in 0..2_000 {
            let now = number * gap * 1_000_000;
            if !chunk.spend(1) {
                last = chunk.wanted(1, 20, now);
                chunk.receive(last, now);
                chunk.spend(1);
            }
        }
        last
    }

    #[test]
    fn chunks_follow_the_rate() {
        assert_eq!(size_at(1), 20, "a thousand a second: as large as it may be");
        assert!((4..=16).contains(&size_at(10)), "a hundred a second: some: {}", size_at(10));
        assert_eq!(size_at(300), 1, "three a second: nothing is held");
    }

    #[test]
    fn gateways_together_hold_at_most_half_of_a_burst() {
        assert_eq!(most(1000, 4, 20), 20);
        assert_eq!(most(100, 4, 20), 12);
        assert_eq!(most(1, 8, 20), 1);
        assert_eq!(most(100, 0, 500), 100);
    }
}
