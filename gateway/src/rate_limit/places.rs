//! How many requests of each key are under way: a bounded map of counts. Pure.
//!
//! A key is there while it has requests, so the map is as large as the traffic of one moment. Where there is no room
//! for another key, it shares one of a few counts with others by its hash: such keys get less than they should, never
//! more.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use super::cells::AsItIs;

/// Counts that keys share for which there is no room.
const OVERFLOW: usize = 64;
/// A map that had so many times the keys that it has gives its room back.
const ROOMY: usize = 8;
/// Below so many keys it does not.
const SMALL: usize = 64;

/// Where a request is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spot {
    /// With its own key's.
    Own,
    /// With those of other keys.
    Shared,
}

/// Counts by the hash of the key.
#[derive(Debug, Default)]
pub(super) struct Places {
    counts: HashMap<u64, u32, BuildHasherDefault<AsItIs>>,
    overflow: Option<Box<[u32; OVERFLOW]>>,
    /// Requests so far that were counted with those of other keys.
    pub(super) overflowed: u64,
}

impl Places {
    /// Requests that count as this key's.
    #[cfg(test)]
    pub(super) fn of(&self, hash: u64) -> u32 {
        self.counts.get(&hash).map_or(0, |count| *count).saturating_add(self.shared(hash))
    }

    fn shared(&self, hash: u64) -> u32 {
        self.overflow.as_ref().map_or(0, |shared| shared[at(hash)])
    }

    /// Counts one more, where fewer than `most` are counted; `max_keys` keys have a count of their own.
    pub(super) fn take(&mut self, hash: u64, most: u32, max_keys: usize) -> Option<Spot> {
        let shared = self.shared(hash);
        if let Some(count) = self.counts.get_mut(&hash) {
            return (count.saturating_add(shared) < most).then(|| {
                *count += 1;
                Spot::Own
            });
        }
        if shared >= most {
            return None;
        }
        if self.counts.len() < max_keys {
            self.counts.insert(hash, 1);
            return Some(Spot::Own);
        }
        self.overflowed += 1;
        self.overflow.get_or_insert_with(|| Box::new([0; OVERFLOW]))[at(hash)] += 1;
        Some(Spot::Shared)
    }

    /// A request that was counted has ended.
    pub(super) fn give_back(&mut self, hash: u64, spot: Spot) {
        match spot {
            Spot::Own => {
                let left = self.counts.get_mut(&hash).map(|count| {
                    *count = count.saturating_sub(1);
                    *count
                });
                if left == Some(0) {
                    self.counts.remove(&hash);
                    let keys = self.counts.len().max(SMALL);
                    if self.counts.capacity() > ROOMY * keys {
                        self.counts.shrink_to(2 * keys);
                    }
                }
            }
            Spot::Shared => {
                if let Some(shared) = &mut self.overflow {
                    shared[at(hash)] = shared[at(hash)].saturating_sub(1);
                }
            }
        }
    }

    /// Keys that have a count of their own.
    pub(super) fn keys(&self) -> usize {
        self.counts.len()
    }

    /// Requests that are counted, of all keys.
    pub(super) fn held(&self) -> u64 {
        let shared = self.overflow.iter().flat_map(|shared| shared.iter());
        self.counts.values().chain(shared).map(|count| u64::from(*count)).sum()
    }
}

fn at(hash: u64) -> usize {
    hash as usize % OVERFLOW
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_has_as_many_as_it_may_and_is_forgotten_with_its_last() {
        let mut places = Places::default();
        let taken: Vec<_> = (0..3).map(|_| places.take(7, 2, 9)).collect();
        assert_eq!(taken, [Some(Spot::Own), Some(Spot::Own), None]);
        assert_eq!(places.take(8, 2, 9), Some(Spot::Own), "another key has its own");
        places.give_back(7, Spot::Own);
        assert_eq!((places.of(7), places.keys(), places.held()), (1, 2, 2));
        places.give_back(7, Spot::Own);
        places.give_back(8, Spot::Own);
        assert_eq!((places.keys(), places.held()), (0, 0));
    }

    #[test]
    fn without_room_keys_get_less_and_never_more() {
        let mut places = Places::default();
        assert_eq!(places.take(1, 2, 1), Some(Spot::Own));
        assert_eq!(places.take(2, 2, 1), Some(Spot::Shared));
        assert_eq!(places.take(2 + 64, 2, 1), Some(Spot::Shared), "they share a count");
        assert_eq!(places.take(2, 2, 1), None);
        // With room for its own count, what is under way of it is not forgotten.
        places.give_back(1, Spot::Own);
        assert_eq!(places.take(2, 2, 1), None);
        places.give_back(66, Spot::Shared);
        assert_eq!((places.take(2, 2, 1), places.of(2)), (Some(Spot::Own), 2));
        assert_eq!(places.overflowed, 2);
    }

    #[test]
    fn a_flood_of_keys_leaves_no_room_taken() {
        let mut places = Places::default();
        let taken: Vec<_> = (0..10_000).map(|hash| (hash, places.take(hash, 1, 10_000).unwrap())).collect();
        taken.into_iter().for_each(|(hash, spot)| places.give_back(hash, spot));
        assert!(places.counts.capacity() <= ROOMY * SMALL, "{}", places.counts.capacity());
    }

    proptest! {
        #[test]
        fn nobody_has_more_than_allowed_and_all_comes_back(
            steps in prop::collection::vec((0_u64..200, any::<bool>(), any::<prop::sample::Index>()), 0..400),
            most in 1_u32..4,
            max_keys in 0_usize..5,
        ) {
            let mut places = Places::default();
            let mut held: Vec<(u64, Spot)> = Vec::new();
            for (hash, comes, which) in steps {
                if comes {
                    held.extend(places.take(hash, most, max_keys).map(|spot| (hash, spot)));
                } else if !held.is_empty() {
                    let (hash, spot) = held.swap_remove(which.index(held.len()));
                    places.give_back(hash, spot);
                }
                prop_assert!(places.keys() <= max_keys);
                prop_assert_eq!(places.held(), held.len() as u64);
                let own = held.iter().filter(|(other, _)| *other == hash).count();
                prop_assert!(own <= most as usize);
            }
            held.into_iter().for_each(|(hash, spot)| places.give_back(hash, spot));
            prop_assert_eq!((places.keys(), places.held()), (0, 0));
        }
    }
}
