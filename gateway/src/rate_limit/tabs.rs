//! What this gateway owes to buckets of a store, by key ([`crate::algorithms::tab`]).
//!
//! There is a tab only for keys that were let through while the store did not answer, until that is paid: as long as a
//! store is well this is one look at a counter.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

use super::cells::AsItIs;
use super::rule::Tier;
use crate::algorithms::gcra::{Quota, Refused};
use crate::algorithms::tab::Tab;
use crate::locked::lock;

/// Locks that keys are spread over.
const SHARDS: usize = 64;
/// Keys without a place share so many tabs in each shard.
const OVERFLOW: u64 = 64;

/// What is owed for a key, and where: `None` for a tab that several keys share.
#[derive(Debug, Clone, Default)]
struct Entry {
    tab: Tab,
    bucket: Option<Bucket>,
}

/// A bucket in a store.
#[derive(Debug, Clone)]
pub struct Bucket {
    /// What it is called there.
    pub name: Box<str>,
    /// Of whom it is.
    pub tier: Tier,
}

/// What is to be paid to a bucket.
#[derive(Debug)]
pub struct Due {
    /// The key's hash.
    pub hash: u64,
    /// Where it is paid.
    pub bucket: Bucket,
    /// How much; it is held until it is [`Tabs::settle`]d.
    pub amount: u64,
}

type Shard = HashMap<u64, Entry, BuildHasherDefault<AsItIs>>;

/// The tabs of one rule.
#[derive(Debug)]
pub struct Tabs {
    shards: Box<[Mutex<Shard>]>,
    /// Tabs that there are.
    count: AtomicUsize,
}

/// Where a bucket stands: what was last seen of it, and the time.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    /// Its TAT; 0 where it was never seen.
    pub known: u64,
    /// The time.
    pub now: u64,
}

impl Default for Tabs {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), count: AtomicUsize::new(0) }
    }
}

impl Tabs {
    fn shard(&self, hash: u64) -> MutexGuard<'_, Shard> {
        lock(&self.shards[(hash >> 32) as usize % SHARDS])
    }

    /// Whether nobody owes anything.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.count.load(Ordering::Relaxed) == 0
    }

    /// Tabs that there are.
    pub fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Takes a request's tokens from this gateway's share, and holds them back from being paid where `holds`: the store
    /// may turn out to have taken them. Where `most` keys have tabs, those beyond share some.
    ///
    /// # Errors
    /// There are not enough.
    pub fn take(
        &self,
        hash: u64,
        (quota, parts): (&Quota, u64),
        seen: Seen,
        (most, holds): (usize, bool),
        bucket: impl FnOnce() -> Bucket,
    ) -> Result<u64, Refused> {
        let mut shard = self.shard(hash);
        let has_room = shard.len() < most.div_ceil(SHARDS).max(1);
        let key = if has_room || shard.contains_key(&hash) { hash } else { hash % OVERFLOW };
        let known = shard.get_mut(&key);
        let is_new = known.is_none();
        let mut new = Entry::default();
        let entry = known.unwrap_or(&mut new);
        let tat = entry.tab.take(quota, parts, seen.known, seen.now)?;
        if holds && key == hash {
            entry.tab.hold(quota.cost());
        }
        if is_new {
            new.bucket = (key == hash).then(bucket);
            shard.insert(key, new);
            self.count.fetch_add(1, Ordering::Relaxed);
        }
        Ok(tat)
    }

    /// What is owed for a key.
    pub fn owed(&self, hash: u64, seen: Seen) -> u64 {
        if self.is_empty() {
            return 0;
        }
        self.shard(hash).get(&hash).map_or(0, |entry| entry.tab.owed(seen.known, seen.now))
    }

    /// What is owed for a key, after what has come back by now is forgotten: what is seen of its bucket from now on
    /// says nothing of the time before.
    pub fn bring_to(&self, hash: u64, seen: Seen) -> u64 {
        let mut shard = self.shard(hash);
        let Some(Entry { tab, .. }) = shard.get_mut(&hash) else { return 0 };
        tab.credit(0, seen.known, seen.now);
        let owed = tab.owed(seen.known, seen.now);
        if tab.is_settled(seen.known, seen.now) {
            shard.remove(&hash);
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
        owed
    }

    /// When the share of a key is full again.
    pub fn tat(&self, hash: u64, seen: Seen) -> u64 {
        let tat = |entry: &Entry| entry.tab.tat(seen.known, seen.now);
        let shard = self.shard(hash);
        shard.get(&hash).or_else(|| shard.get(&(hash % OVERFLOW))).map_or(seen.known.max(seen.now), tat)
    }

    /// What is to be paid for a key before anything else; it is held until it is [`Self::settle`]d.
    pub fn pay(&self, hash: u64, seen: Seen) -> u64 {
        if self.is_empty() {
            return 0;
        }
        self.shard(hash).get_mut(&hash).map_or(0, |entry| entry.tab.pay(seen.known, seen.now))
    }

    /// What is to be paid for keys that nobody asks about just now, at most so much at once. `known` tells what was
    /// last seen of a bucket.
    pub fn due(&self, now: u64, most: usize, known: impl Fn(u64) -> u64) -> Vec<Due> {
        let mut due = Vec::new();
        for shard in &self.shards {
            for (hash, Entry { tab, bucket }) in lock(shard).iter_mut() {
                if due.len() >= most {
                    return due;
                }
                let Some(bucket) = bucket else { continue };
                let amount = tab.pay(known(*hash), now);
                if amount > 0 {
                    due.push(Due { hash: *hash, bucket: bucket.clone(), amount });
                }
            }
        }
        due
    }

    /// Frees what was held, of which so much was paid; what was paid too much, since others had paid it meanwhile.
    pub fn settle(&self, hash: u64, (held, paid): (u64, u64), seen: Seen) -> u64 {
        let mut rest = paid;
        self.change(hash, seen, |tab| {
            tab.release(held);
            rest = tab.credit(paid, seen.known, seen.now);
        });
        rest
    }

    /// So much was taken from the bucket for nothing: it pays for what is owed; what is left over comes back.
    pub fn credit(&self, hash: u64, amount: u64, seen: Seen) -> u64 {
        if self.is_empty() {
            return amount;
        }
        let mut rest = amount;
        self.change(hash, seen, |tab| rest = tab.credit(amount, seen.known, seen.now));
        rest
    }

    fn change(&self, hash: u64, seen: Seen, change: impl FnOnce(&mut Tab)) {
        let mut shard = self.shard(hash);
        let key = if shard.contains_key(&hash) { hash } else { hash % OVERFLOW };
        let Some(Entry { tab, .. }) = shard.get_mut(&key) else { return };
        change(tab);
        if tab.is_settled(seen.known, seen.now) {
            shard.remove(&key);
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Brings tabs to other quotas, by tier.
    pub fn rescale(&self, from: &[Quota; 2], to: &[Quota; 2]) {
        for shard in &self.shards {
            for (hash, Entry { tab, .. }) in lock(shard).iter_mut() {
                let tier = (hash & 1) as usize;
                tab.rescale(&from[tier], &to[tier]);
            }
        }
    }

    /// Lets go of what has come back by itself. `known` tells what was last seen of a bucket.
    pub fn sweep(&self, now: u64, known: impl Fn(u64) -> u64) {
        if self.is_empty() {
            return;
        }
        for shard in &self.shards {
            let mut shard = lock(shard);
            let before = shard.len();
            shard.retain(|hash, entry| !entry.tab.is_settled(known(*hash), now));
            self.count.fetch_sub(before - shard.len(), Ordering::Relaxed);
            if shard.capacity() > 8 * shard.len().max(8) {
                shard.shrink_to_fit();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn what_has_come_back_is_not_owed_again_whatever_is_seen_of_the_bucket_later() {
        let (tabs, quota) = (Tabs::default(), Quota::new(10, Duration::from_secs(1), 50, 1));
        let seen = |known: u64, now: u64| Seen { known: known * MS, now: now * MS };
        for key in [1, 2] {
            let bucket = || Bucket { name: "it".into(), tier: Tier::Own };
            assert!(tabs.take(key, (&quota, 1), seen(0, 1000), (1_000, false), bucket).is_ok());
        }
        assert_eq!(tabs.bring_to(1, seen(0, 1040)), 60 * MS, "of a token that takes 100 ms");
        assert_eq!(tabs.bring_to(1, seen(9000, 2000)), 60 * MS, "it waits until the bucket is full");
        assert_eq!((tabs.bring_to(2, seen(0, 1200)), tabs.len()), (0, 1), "the other is done with");
        assert_eq!((tabs.bring_to(2, seen(9000, 1200)), tabs.bring_to(3, seen(0, 1200))), (0, 0));
        assert_eq!(tabs.credit(1, 60 * MS, seen(9000, 2000)), 0);
        assert!(tabs.is_empty());
    }
}
