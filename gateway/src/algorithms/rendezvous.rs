//! One of n by weight and by a key, so that a key keeps its choice while weights change: weighted rendezvous hashing.
//!
//! Source: Schindelhauer and Schomaker, "Weighted Distributed Hash Tables" (2005), the logarithmic method: each entry
//! draws an exponential time from the key and its own name, at a rate that is its weight, and the first one wins.
//!
//! Invariants:
//! - An entry's time comes from its name, its weight and the key alone. So a change of one weight moves keys only
//!   towards that entry or away from it, as few as the shares need; the order of entries says nothing; and the choice
//!   is the same after a restart and on every machine.
//! - An entry of weight 0 is never chosen. A choice allocates nothing, and costs a logarithm for each entry.

use super::hash_ring::stable_hash;
use super::rng::mix;

/// 2^-53: what makes a fraction of 53 bits.
const UNIT: f64 = 1.0 / (1_u64 << 53) as f64;

/// Entries to choose from.
#[derive(Debug, Clone, Default)]
pub struct Rendezvous {
    entries: Box<[Entry]>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    seed: u64,
    weight: f64,
}

impl Rendezvous {
    /// A choice among these: names, which are unique, and weights.
    pub fn new<'a>(entries: impl Iterator<Item = (&'a str, u32)>) -> Self {
        let entry = |(name, weight): (&str, u32)| Entry { seed: stable_hash(name.as_bytes()), weight: weight.into() };
        Self { entries: entries.map(entry).collect() }
    }

    /// The entry of the key with this hash; `None` where no entry has weight.
    #[inline]
    pub fn owner(&self, key: u64) -> Option<usize> {
        let mut first: Option<(usize, f64)> = None;
        for (index, entry) in self.entries.iter().enumerate().filter(|(_, entry)| entry.weight > 0.0) {
            let time = -uniform(mix(entry.seed ^ key)).ln() / entry.weight;
            if first.is_none_or(|(_, earliest)| time < earliest) {
                first = Some((index, time));
            }
        }
        first.map(|(index, _)| index)
    }
}

/// Above 0 and below 1.
fn uniform(bits: u64) -> f64 {
    ((bits >> 11) as f64 + 0.5) * UNIT
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEYS: u64 = 100_000;

    fn of(entries: &[(&str, u32)]) -> Rendezvous {
        Rendezvous::new(entries.iter().copied())
    }

    fn named(weights: &[u32]) -> Vec<(String, u32)> {
        weights.iter().enumerate().map(|(index, weight)| (format!("up-{index}"), *weight)).collect()
    }

    fn owners(entries: &[(String, u32)], keys: u64) -> Vec<Option<String>> {
        let all = Rendezvous::new(entries.iter().map(|(name, weight)| (name.as_str(), *weight)));
        (0..keys).map(|key| all.owner(mix(key)).map(|owner| entries[owner].0.clone())).collect()
    }

    #[test]
    fn a_choice_never_changes() {
        // Pinned: a change here moves clients of everyone who upgrades from one version of their service to another.
        let all = of(&[("stable", 95), ("canary", 5)]);
        let canary: Vec<u64> =
            (0..100).filter(|key| all.owner(stable_hash(format!("user-{key}").as_bytes())) == Some(1)).collect();
        assert_eq!(canary, [27, 49, 56, 60, 88]);
    }

    #[test]
    fn from_five_to_ten_percent_moves_five_points_and_all_of_them_to_the_canary() {
        let (before, after) = (of(&[("stable", 95), ("canary", 5)]), of(&[("stable", 90), ("canary", 10)]));
        let (mut were, mut moved) = (0, 0);
        for key in 0..KEYS {
            match (before.owner(mix(key)), after.owner(mix(key))) {
                (Some(1), now) => {
                    assert_eq!(now, Some(1), "who was with the canary stays with it");
                    were += 1;
                }
                (_, Some(1)) => moved += 1,
                _ => {}
            }
        }
        // Three standard deviations of KEYS draws with these chances.
        assert!((4_790..5_210).contains(&were) && (4_790..5_210).contains(&moved), "{were} were, {moved} moved");
    }

    #[test]
    fn shares_follow_weights() {
        let all = of(&[("a", 1), ("b", 2), ("c", 97), ("d", 0)]);
        let mut seen = [0_i64; 4];
        (0..KEYS).for_each(|key| seen[all.owner(mix(key)).unwrap()] += 1);
        for (count, (share, most)) in seen.iter().zip([(1_000, 100), (2_000, 140), (97_000, 170), (0, 0)]) {
            assert!((count - share).abs() <= most, "{seen:?}");
        }
    }

    proptest! {
        #[test]
        fn a_changed_weight_moves_keys_only_to_or_from_its_entry(
            weights in prop::collection::vec(0_u32..100, 1..6), which: prop::sample::Index, to in 0_u32..100,
        ) {
            let (before, changed) = (named(&weights), which.index(weights.len()));
            let mut after = before.clone();
            after[changed].1 = to;
            let name = Some(before[changed].0.clone());
            for (was, is) in owners(&before, 2_000).into_iter().zip(owners(&after, 2_000)) {
                if was != is {
                    let grew = to > weights[changed];
                    prop_assert_eq!(if grew { is } else { was }, name.clone(), "{} to {}", weights[changed], to);
                }
            }
        }

        #[test]
        fn what_matters_is_the_ratio_of_weights_and_not_their_order(
            weights in prop::collection::vec(0_u32..100, 1..6), factor in 1_u32..1_000,
        ) {
            let one = named(&weights);
            let larger = |(name, weight): &(String, u32)| (name.clone(), weight * factor);
            let mut other: Vec<(String, u32)> = one.iter().map(larger).collect();
            other.reverse();
            prop_assert_eq!(owners(&one, 500), owners(&other, 500));
        }

        #[test]
        fn somebody_is_chosen_where_anybody_has_weight(weights in prop::collection::vec(0_u32..2, 0..5), key: u64) {
            let entries = named(&weights);
            let all = Rendezvous::new(entries.iter().map(|(name, weight)| (name.as_str(), *weight)));
            let owner = all.owner(key);
            prop_assert_eq!(owner.is_some(), weights.iter().any(|weight| *weight > 0));
            prop_assert!(owner.is_none_or(|owner| weights[owner] > 0));
        }
    }
}
