//! The buckets of one rule, by key: a bounded map that all workers share.
//!
//! A key is kept as a keyed hash of 64 bits and one number, its bucket's TAT. Keys are spread over shards, each behind
//! a lock of its own that is held for the time of one look-up: two workers meet only where they look at the same shard
//! at the same moment, and what they contend for then is the one cache line of that shard's lock.
//!
//! What is full again says nothing that an absent key does not say, so only such buckets are evicted: no client gets a
//! burst again before its time. Where there is no room at all, keys share the shard's overflow buckets by their hash.
//! They get less than they should, never more; and one that finds room later begins with what its shared bucket lacks.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Mutex, MutexGuard};

use crate::algorithms::gcra::{Quota, Refused};
use crate::locked::lock;

/// Shards of a large map. Small ones have fewer.
const SHARDS: usize = 256;
/// Keys of a shard: with so many, hashes spread evenly enough.
const SHARD_KEYS: usize = 4096;
/// A shard may have this part more than its share of the keys, so that none is full long before the others.
const SLACK: usize = 16;
/// Overflow buckets of a shard.
const OVERFLOW: usize = 64;
/// A shard without room looks for room this often at most, nanoseconds: a look reads all of its keys.
const LOOK_EVERY: u64 = 100_000_000;
/// Keys that a shard takes in before it looks for the first time whether some can go.
const FIRST_SWEEP: usize = 64;

/// Hashes are hashed already.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Not reached: keys are `u64`.
        self.0 = bytes.iter().fold(self.0, |sum, byte| sum.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// Where a key's tokens were taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Its own bucket.
    Own,
    /// A bucket that it shares with other keys.
    Shared,
}

/// Tokens that were taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// The bucket's TAT from now on.
    pub tat: u64,
    /// Where from.
    pub place: Place,
}

/// The buckets of one rule.
#[derive(Debug)]
pub struct Cells {
    shards: Box<[Shard]>,
    max_keys: usize,
}

/// Alone on its cache lines.
#[derive(Debug)]
#[repr(align(64))]
struct Shard(Mutex<Slots>);

#[derive(Debug)]
struct Slots {
    tats: HashMap<u64, u64, BuildHasherDefault<AsItIs>>,
    /// Keys that may be kept.
    limit: usize,
    /// With so many keys it is looked whether some can go.
    sweep_at: usize,
    /// Until then there is no use in looking, or it is not worth its price.
    full_until: u64,
    overflow: Option<Box<[u64; OVERFLOW]>>,
    /// Requests that shared a bucket.
    overflowed: u64,
}

/// How full the map is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fill {
    /// Keys that have a bucket of their own.
    pub keys: usize,
    /// Requests so far whose key had to share one.
    pub overflowed: u64,
}

impl Cells {
    /// Buckets for at most so many keys; in a map of several shards for a sixteenth more, where keys are spread
    /// unevenly.
    pub fn new(max_keys: usize) -> Self {
        let max_keys = max_keys.max(1);
        let shards = (max_keys / SHARD_KEYS).next_power_of_two().min(SHARDS);
        let share = max_keys.div_ceil(shards);
        let limit = if shards == 1 { max_keys } else { share + share / SLACK };
        Self { shards: (0..shards).map(|_| Shard(Mutex::new(Slots::new(limit)))).collect(), max_keys }
    }

    /// The bound.
    pub fn max_keys(&self) -> usize {
        self.max_keys
    }

    #[inline]
    fn shard(&self, hash: u64) -> MutexGuard<'_, Slots> {
        // The map below uses the lowest and the highest bits.
        let at = (hash >> 32) as usize & (self.shards.len() - 1);
        lock(&self.shards[at].0)
    }

    /// Takes a request's tokens.
    ///
    /// # Errors
    /// There are not enough; nothing is taken.
    #[inline]
    pub fn take(&self, hash: u64, now: u64, quota: &Quota) -> Result<Taken, Refused> {
        let mut slots = self.shard(hash);
        if let Some(tat) = slots.tats.get_mut(&hash) {
            *tat = quota.take(*tat, now)?;
            return Ok(Taken { tat: *tat, place: Place::Own });
        }
        slots.take_absent(hash, now, quota)
    }

    /// Gives the tokens of one request back.
    pub fn refund(&self, hash: u64, place: Place, quota: &Quota) {
        let mut slots = self.shard(hash);
        let slots = &mut *slots;
        let tat = match place {
            Place::Own => slots.tats.get_mut(&hash),
            Place::Shared => slots.overflow.as_mut().map(|cells| &mut cells[overflow_of(hash)]),
        };
        // A key that is gone has a full bucket.
        if let Some(tat) = tat {
            *tat = quota.refund(*tat);
        }
    }

    /// The bucket's TAT.
    pub fn look(&self, hash: u64) -> u64 {
        let slots = self.shard(hash);
        slots.tats.get(&hash).copied().unwrap_or_else(|| slots.shared(hash))
    }

    /// The TAT of the key's own bucket; `None` where it has none, which may be for want of room.
    pub fn known(&self, hash: u64) -> Option<u64> {
        self.shard(hash).tats.get(&hash).copied()
    }

    /// Sets the TAT of the key's own bucket to at least this, as somebody else knows it. Without room for it nothing is
    /// kept: strangers are not to pay for what is only remembered. Whether it is kept.
    pub fn raise(&self, hash: u64, now: u64, tat: u64) -> bool {
        let mut slots = self.shard(hash);
        if let Some(known) = slots.tats.get_mut(&hash) {
            *known = tat.max(*known);
            return true;
        }
        let keeps = tat > now && slots.has_room(now);
        if keeps {
            let tat = tat.max(slots.shared(hash));
            slots.tats.insert(hash, tat);
        }
        keeps || tat <= now
    }

    /// Gives back so much time: what the bucket lacks less.
    pub fn lower(&self, hash: u64, by: u64) {
        if let Some(tat) = self.shard(hash).tats.get_mut(&hash) {
            *tat = tat.saturating_sub(by);
        }
    }

    /// Brings every bucket to another quota; `change` tells the new TAT from hash and old TAT.
    pub fn rescale(&self, change: impl Fn(u64, u64) -> u64) {
        for shard in &self.shards {
            let mut slots = lock(&shard.0);
            for (hash, tat) in &mut slots.tats {
                *tat = change(*hash, *tat);
            }
            for (at, tat) in slots.overflow.iter_mut().flat_map(|cells| cells.iter_mut()).enumerate() {
                *tat = change(at as u64, *tat);
            }
        }
    }

    /// The same buckets in a map with another bound; those beyond it share from now on.
    pub fn resized(&self, max_keys: usize, now: u64) -> Self {
        let other = Self::new(max_keys);
        for shard in &self.shards {
            let slots = lock(&shard.0);
            for (hash, tat) in &slots.tats {
                if !other.raise(*hash, now, *tat) {
                    other.shard(*hash).share(*hash, |shared| shared.max(*tat));
                }
            }
        }
        // Shards are told apart by the lowest bits of the same part of a hash.
        let common = self.shards.len().min(other.shards.len()) - 1;
        for (number, shard) in self.shards.iter().enumerate() {
            let old = lock(&shard.0);
            let heirs = other.shards.iter().enumerate().filter(|(heir, _)| heir & common == number & common);
            for (heir, shard) in heirs {
                let mut slots = lock(&shard.0);
                slots.take_over(&old, heir < self.shards.len());
            }
        }
        other
    }

    /// Lets go of what is full again, and of room that nobody needs. For who has time: it locks one shard after the
    /// other.
    pub fn sweep(&self, now: u64) {
        for shard in &self.shards {
            let mut slots = lock(&shard.0);
            slots.sweep(now);
            let keys = slots.tats.len();
            if slots.tats.capacity() > 8 * keys.max(FIRST_SWEEP) {
                slots.tats.shrink_to(2 * keys);
            }
        }
    }

    /// How full it is.
    pub fn fill(&self) -> Fill {
        self.shards.iter().fold(Fill::default(), |sum, shard| {
            let slots = lock(&shard.0);
            Fill { keys: sum.keys + slots.tats.len(), overflowed: sum.overflowed + slots.overflowed }
        })
    }
}

/// The lowest bits: keys of two tiers, which the lowest tells apart, never share.
fn overflow_of(hash: u64) -> usize {
    hash as usize % OVERFLOW
}

impl Slots {
    fn new(limit: usize) -> Self {
        let sweep_at = limit.min(FIRST_SWEEP);
        Self { tats: HashMap::default(), limit, sweep_at, full_until: 0, overflow: None, overflowed: 0 }
    }

    #[cold]
    fn take_absent(&mut self, hash: u64, now: u64, quota: &Quota) -> Result<Taken, Refused> {
        let tat = quota.take(self.shared(hash), now)?;
        if self.has_room(now) {
            self.tats.insert(hash, tat);
            return Ok(Taken { tat, place: Place::Own });
        }
        self.overflowed += 1;
        self.share(hash, |_| tat);
        Ok(Taken { tat, place: Place::Shared })
    }

    /// The TAT of the bucket that this key would share.
    fn shared(&self, hash: u64) -> u64 {
        self.overflow.as_ref().map_or(0, |cells| cells[overflow_of(hash)])
    }

    fn share(&mut self, hash: u64, change: impl FnOnce(u64) -> u64) {
        let cell = &mut self.overflow.get_or_insert_with(|| Box::new([0; OVERFLOW]))[overflow_of(hash)];
        *cell = change(*cell);
    }

    /// Takes over what keys lack that have no place in another shard. Which keys those are nobody knows, so each that
    /// could be one of them begins with what the bucket lacks that it would have shared. One heir takes over the count.
    fn take_over(&mut self, old: &Self, counts: bool) {
        if counts {
            self.overflowed += old.overflowed;
        }
        for (at, tat) in old.overflow.iter().flat_map(|cells| cells.iter().enumerate()) {
            self.share(at as u64, |shared| shared.max(*tat));
        }
    }

    /// Whether another key may come in, after those have gone that can.
    fn has_room(&mut self, now: u64) -> bool {
        if self.tats.len() < self.sweep_at {
            return true;
        }
        if self.tats.len() >= self.limit && now < self.full_until {
            return false;
        }
        self.sweep(now);
        self.tats.len() < self.limit
    }

    fn sweep(&mut self, now: u64) {
        let mut earliest = u64::MAX;
        self.tats.retain(|_, tat| {
            earliest = earliest.min(if *tat > now { *tat } else { u64::MAX });
            *tat > now
        });
        // The next look comes when as many have come as stayed: looking costs each key a constant.
        self.sweep_at = (2 * self.tats.len()).max(FIRST_SWEEP).min(self.limit);
        let is_full = self.tats.len() >= self.limit;
        // Where too many stayed for that, a look for each key that can go would cost all of them each time.
        let is_dear = self.tats.len() > self.limit / 2 && self.limit > 2 * FIRST_SWEEP;
        let after_a_while = now.saturating_add(LOOK_EVERY);
        self.full_until = match (is_full, is_dear) {
            (true, _) => earliest.max(after_a_while),
            (false, true) => after_a_while,
            (false, false) => 0,
        };
    }
}

#[cfg(test)]
mod tests;
