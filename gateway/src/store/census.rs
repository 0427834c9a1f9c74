//! How many gateways share a store, as far as this one knows.
//!
//! Each gateway says in the store that it is alive, and hears how many do. A store that lost its memory, or a replica
//! that is behind, has heard of few at first: were it believed at once, each gateway would take the whole limit for its
//! share as soon as the store fails again. So more gateways are believed at once, and fewer only when nothing else was
//! heard for as long as the silence of one that is gone.

use std::time::{Duration, Instant};

/// What was heard.
#[derive(Debug)]
pub(super) struct Census {
    /// What is believed.
    gateways: u64,
    /// Since when fewer are heard of, and the most of those.
    fewer: Option<(Instant, u64)>,
    /// How long that has to last.
    patience: Duration,
}

impl Census {
    /// So many are believed in at first. `patience`: after this silence a gateway is gone.
    pub(super) fn new(gateways: u64, patience: Duration) -> Self {
        Self { gateways, fewer: None, patience }
    }

    /// The store knows of so many; how many to believe in.
    pub(super) fn heard(&mut self, gateways: u64, now: Instant) -> u64 {
        if gateways >= self.gateways {
            (self.gateways, self.fewer) = (gateways, None);
            return gateways;
        }
        let (since, most) = self.fewer.get_or_insert((now, gateways));
        *most = gateways.max(*most);
        if now.saturating_duration_since(*since) >= self.patience {
            (self.gateways, self.fewer) = ((*most).max(1), None);
        }
        self.gateways
    }

    /// The store did not answer: who was alive then is taken to live.
    pub(super) fn lost(&mut self) {
        self.fewer = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is believed after each of these, a second apart; `None`: no answer.
    fn believed(heard: &[Option<u64>]) -> Vec<u64> {
        let (mut census, begin) = (Census::new(1, Duration::from_secs(5)), crate::clock::Clock::system().now());
        let mut believed = Vec::new();
        for (second, heard) in heard.iter().enumerate() {
            match heard {
                Some(gateways) => drop(census.heard(*gateways, begin + Duration::from_secs(second as u64))),
                None => census.lost(),
            }
            believed.push(census.gateways);
        }
        believed
    }

    #[test]
    fn more_are_believed_at_once_and_fewer_after_a_while() {
        let heard = [1, 4, 3, 3, 3, 3, 3, 3, 5].map(Some);
        assert_eq!(believed(&heard), [1, 4, 4, 4, 4, 4, 4, 3, 5]);
    }

    #[test]
    fn a_store_that_forgot_hears_of_all_again_before_it_is_believed() {
        assert_eq!(believed(&[4, 1, 2, 3, 4, 4].map(Some)), [4; 6]);
    }

    #[test]
    fn the_most_of_the_fewer_counts() {
        assert_eq!(believed(&[8, 1, 2, 5, 5, 5, 5].map(Some)), [8, 8, 8, 8, 8, 8, 5]);
    }

    #[test]
    fn who_lived_before_a_silence_is_taken_to_live_after_it() {
        let heard = [Some(4), Some(1), None, None, None, None, None, Some(1), Some(4)];
        assert_eq!(believed(&heard), [4; 9]);
    }
}
