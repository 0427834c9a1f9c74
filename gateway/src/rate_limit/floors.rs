//! What a store is told that a bucket lacks at least, as this gateway saw it.
//!
//! A store that was away may have forgotten what it was told, so calls say what they know. But what a gateway saw
//! counts requests that another rule refuses, and whose tokens are being given back at that moment: said again and
//! again, it would undo what was given back, and a client that one rule refuses could empty another one's bucket. So a
//! store that stays there is told nothing (`crate::store::Call`), and one that came back is told of each bucket until
//! it has kept that once.

use std::collections::HashSet;
use std::hash::BuildHasherDefault;
use std::sync::{Mutex, MutexGuard};

use super::cells::AsItIs;
use super::tabs::Seen;
use crate::locked::lock;

/// Locks that keys are spread over.
const SHARDS: usize = 64;
/// Room for so many keys of a shard is always kept.
const ROOM: usize = 8;

/// Of one rule. Bounded by the rule's `max_keys`; beyond them, a store is told once more.
#[derive(Debug)]
pub struct Floors {
    shards: Box<[Mutex<Told>]>,
}

/// The keys of which a store has been told since it came back.
#[derive(Debug, Default)]
struct Told {
    back_at: u64,
    keys: HashSet<u64, BuildHasherDefault<AsItIs>>,
}

/// When a store came back, and for how long after that it may still have forgotten what matters for a bucket.
#[derive(Debug, Clone, Copy)]
pub struct Back {
    /// The time.
    pub at: u64,
    /// The time in which the bucket fills.
    pub window: u64,
}

impl Back {
    fn matters(self, now: u64) -> bool {
        now.saturating_sub(self.at) < self.window
    }
}

impl Default for Floors {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }
}

impl Floors {
    fn shard(&self, hash: u64) -> MutexGuard<'_, Told> {
        lock(&self.shards[(hash >> 32) as usize % SHARDS])
    }

    /// What to tell of a key, should the store have been away by the time that the call leaves.
    #[inline]
    pub fn of(&self, hash: u64, seen: Seen, back: Back) -> u64 {
        let lacks = seen.known.saturating_sub(seen.now);
        if lacks > 0 && back.matters(seen.now) && self.shard(hash).knows(hash, back.at) { 0 } else { lacks }
    }

    /// A store that had come back at that time has taken tokens from the bucket, and so kept what it was told of it. To
    /// be called before what its answer says is seen.
    #[inline]
    pub fn told(&self, hash: u64, now: u64, back: Back, max_keys: usize) {
        if back.matters(now) {
            self.shard(hash).add(hash, back.at, max_keys.div_ceil(SHARDS));
        }
    }

    /// Lets go of keys whose buckets are full again; `known` tells what was last seen of one.
    pub fn sweep(&self, now: u64, known: impl Fn(u64) -> u64) {
        for shard in &self.shards {
            let mut told = lock(shard);
            told.keys.retain(|hash| known(*hash) > now);
            if told.keys.capacity() > 8 * told.keys.len().max(ROOM) {
                told.keys.shrink_to_fit();
            }
        }
    }
}

impl Told {
    fn knows(&self, hash: u64, back_at: u64) -> bool {
        self.back_at == back_at && self.keys.contains(&hash)
    }

    fn add(&mut self, hash: u64, back_at: u64, most: usize) {
        if self.back_at < back_at {
            self.keys.clear();
            self.back_at = back_at;
        }
        if self.back_at == back_at && self.keys.len() < most {
            self.keys.insert(hash);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: u64 = 7;

    fn at(at: u64) -> Back {
        Back { at, window: 100 }
    }

    fn seen(now: u64) -> Seen {
        Seen { known: 150, now }
    }

    #[test]
    fn a_store_is_told_until_it_has_kept_it_once() {
        let floors = Floors::default();
        assert_eq!(floors.of(KEY, seen(20), at(10)), 130);
        floors.told(KEY, 30, at(10), 1_000);
        assert_eq!(floors.of(KEY, seen(40), at(10)), 0);
        assert_eq!(floors.of(KEY + 1, seen(40), at(10)), 110, "of another key it was told nothing");
        // It was away again. What answers to an earlier call says nothing about that.
        assert_eq!(floors.of(KEY, seen(60), at(50)), 90);
        floors.told(KEY, 60, at(50), 1_000);
        floors.told(KEY + 1, 60, at(10), 1_000);
        assert_eq!([KEY, KEY + 1].map(|key| floors.of(key, seen(70), at(50))), [0, 80]);
    }

    #[test]
    fn what_is_kept_is_bounded_and_goes_when_buckets_are_full() {
        let floors = Floors::default();
        for key in 0..10 {
            floors.told(key, 20, at(10), 2 * SHARDS);
        }
        let kept = || (0..10).filter(|key| floors.of(*key, seen(20), at(10)) == 0).count();
        assert_eq!(kept(), 2, "all are in one shard");
        floors.told(11, 110, at(10), 1_000);
        assert_eq!(floors.of(11, seen(50), at(10)), 100, "in the end nothing has to be told, and nothing is kept");
        floors.sweep(30, |_| 30);
        assert_eq!(kept(), 0);
    }
}
