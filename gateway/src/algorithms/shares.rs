//! Which of several a request goes to that share a route's requests by weight: by chance, by a key that stays with its
//! choice, or, where only some of them keep their clients, by both.
//!
//! Source of the choice by key: `rendezvous.rs`; of that by chance: `weighted_choice.rs`.
//!
//! Invariants: each gets its share of all requests, or of all keys, whatever the others keep; a key that comes to one
//! that keeps its clients comes to it each time; one of weight 0 gets nothing.

use super::rendezvous::Rendezvous;
use super::weighted_choice::WeightedChoice;

/// One of those that share.
#[derive(Debug, Clone, Copy)]
pub struct Share<'a> {
    /// Its name; unique.
    pub name: &'a str,
    /// Its weight.
    pub weight: u32,
    /// Whoever came to it by its key comes to it again.
    pub keeps: bool,
}

/// The choice among them.
#[derive(Debug, Clone)]
pub struct Shares {
    /// `None` where nobody keeps its clients.
    by_key: Option<Rendezvous>,
    keeps: Box<[bool]>,
    /// Among those that do not keep their clients; `None` where there are none with weight.
    by_chance: Option<WeightedChoice>,
}

impl Shares {
    /// The choice among these.
    pub fn new(shares: &[Share<'_>]) -> Self {
        // What is left to chance among one alone hangs on the key as well.
        let free = shares.iter().filter(|share| !share.keeps && share.weight > 0).count();
        let by_key = shares.iter().any(|share| share.keeps);
        let left: Vec<u32> = shares.iter().map(|share| if share.keeps { 0 } else { share.weight }).collect();
        Self {
            by_key: by_key.then(|| Rendezvous::new(shares.iter().map(|share| (share.name, share.weight)))),
            keeps: shares.iter().map(|share| share.keeps || (by_key && free == 1)).collect(),
            by_chance: WeightedChoice::new(&left),
        }
    }

    /// The one that a request goes to, by the hash of its key and by random bits; `None` where no one has weight.
    #[inline]
    pub fn pick(&self, key: u64, bits: u64) -> Option<usize> {
        match self.kept(key) {
            Some(kept) => Some(kept),
            None => self.by_chance.as_ref().map(|choice| choice.pick(bits)),
        }
    }

    /// The one that every request of this key goes to; `None` where chance decides.
    #[inline]
    pub fn kept(&self, key: u64) -> Option<usize> {
        let owner = self.by_key.as_ref()?.owner(key)?;
        self.keeps[owner].then_some(owner)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::algorithms::rng::mix;

    fn shares(all: &[(&str, u32, bool)]) -> Shares {
        let all: Vec<_> = all.iter().map(|&(name, weight, keeps)| Share { name, weight, keeps }).collect();
        Shares::new(&all)
    }

    /// Counts over keys, for each over bits that fall evenly in both their halves, which are the two that a draw by
    /// weight looks at: a sequence without luck.
    fn counts(shares: &Shares, entries: usize, keys: u64, fine: u64) -> Vec<u64> {
        let step = (1 << 32) / fine;
        let mut counts = vec![0; entries];
        for key in 0..keys {
            for (high, low) in (0..12).flat_map(|high| (0..fine).map(move |low| (high, low))) {
                let bits = (high * (1 << 32) / 12 + 1) << 32 | (low * step);
                counts[shares.pick(mix(key), bits).unwrap()] += 1;
            }
        }
        counts
    }

    #[test]
    fn by_chance_each_has_its_share_of_requests() {
        let all = shares(&[("a", 95, false), ("b", 5, false), ("c", 0, false)]);
        assert!(all.kept(7).is_none(), "no key is wanted");
        let counts = counts(&all, 3, 1, 1_000);
        // Of 12,000: each column of the table is off by one in a thousand at most.
        assert!(counts[0].abs_diff(11_400) <= 12 && counts[1].abs_diff(600) <= 12 && counts[2] == 0, "{counts:?}");
    }

    #[test]
    fn one_that_keeps_makes_two_stay() {
        let all = shares(&[("orders", 95, false), ("canary", 5, true)]);
        assert!((0..1_000).all(|key| all.kept(mix(key)).is_some()), "no chance is left beside one alone");
        let three = shares(&[("a", 60, false), ("b", 35, false), ("canary", 5, true)]);
        let stay = (0..1_000).filter(|key| three.kept(mix(*key)) == Some(2)).count();
        let chance = (0..1_000).filter(|key| three.kept(mix(*key)).is_none()).count();
        assert_eq!(stay + chance, 1_000, "only the canary keeps its clients");
        assert!((30..75).contains(&stay), "{stay}");
        let counts = counts(&three, 3, 1_000, 100);
        let rest = counts[0] + counts[1];
        assert!(counts[0].abs_diff(rest * 60 / 95) <= rest / 100, "the others have their ratio: {counts:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn shares_hold_whoever_keeps_its_clients(all in prop::collection::vec((0_u32..50, any::<bool>()), 1..5)) {
            let total: u32 = all.iter().map(|(weight, _)| weight).sum();
            prop_assume!(total > 0);
            let names: Vec<String> = (0..all.len()).map(|index| format!("up-{index}")).collect();
            let built: Vec<_> =
                all.iter().zip(&names).map(|(&(weight, keeps), name)| Share { name, weight, keeps }).collect();
            let (keys, fine) = (1_000_u32, 25);
            let counts = counts(&Shares::new(&built), all.len(), u64::from(keys), fine);
            let draws: u64 = counts.iter().sum();
            for (count, (weight, _)) in counts.iter().zip(&all) {
                let share = f64::from(*weight) / f64::from(total);
                // Five standard deviations of so many keys, and what so few draws cannot divide.
                let most = 5.0 * (share * (1.0 - share) / f64::from(keys)).sqrt() + 1.0 / fine as f64;
                prop_assert!((*count as f64 / draws as f64 - share).abs() <= most, "{:?} of {:?}", counts, all);
                prop_assert!(*weight > 0 || *count == 0);
            }
        }
    }
}
