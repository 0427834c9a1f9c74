//! Keys on the hash ring while endpoints come and go, and what caches behind it find.

use std::collections::{HashMap, VecDeque};

use gateway::algorithms::hash_ring::{HashRing, stable_hash};
use gateway::algorithms::rng::Draws;
use serde_json::{Value, json};

use crate::study::experiment::Terms;

/// Keys that are followed.
const KEYS: u64 = 100_000;
/// Endpoints before one comes or goes.
const ENDPOINTS: usize = 10;
/// Different things that clients ask for, and how many of them an endpoint's cache holds.
const THINGS: u64 = 20_000;
const CACHED: usize = 1_000;
const REQUESTS: u64 = 200_000;

/// Which keys move, and how often caches have what is asked for.
pub(in crate::study) fn measured(terms: &Terms) -> Result<Value, String> {
    let (before, more, fewer) = (ring(ENDPOINTS), ring(ENDPOINTS + 1), ring(ENDPOINTS - 1));
    let added = moved(&before, &more, terms.seed, |_, to| to == ENDPOINTS)?;
    let removed = moved(&before, &fewer, terms.seed, |from, _| from == ENDPOINTS - 1)?;
    let hashed = hits(terms.seed, |thing, _| before.owner(hash(thing)).unwrap_or(0));
    let in_turn = hits(terms.seed, |_, number| number as usize % ENDPOINTS);
    let per = |share: f64, endpoints: usize| share * endpoints as f64;
    Ok(json!({
        "moved_share_added": added.0, "moved_of_fair_added": per(added.0, ENDPOINTS + 1), "needless_added": added.1,
        "moved_share_removed": removed.0, "moved_of_fair_removed": per(removed.0, ENDPOINTS), "needless_removed": removed.1,
        "hit_rate_hash": hashed, "hit_rate_round_robin": in_turn,
        // What a plain remainder of the hash does.
        "moved_share_modulo": modulo(terms.seed),
    }))
}

fn ring(endpoints: usize) -> HashRing {
    let names: Vec<String> = (0..endpoints).map(|number| format!("10.0.0.{number}:8080")).collect();
    HashRing::new(names.iter().map(|name| (name.as_str(), 1)))
}

fn hash(key: u64) -> u64 {
    stable_hash(&key.to_le_bytes())
}

fn keys(seed: u64) -> impl Iterator<Item = u64> {
    let mut draws = Draws::new(seed);
    (0..KEYS).map(move |_| draws.next_u64())
}

/// The share of keys that change their endpoint, and how many of them had no need to.
fn moved(
    before: &HashRing,
    after: &HashRing,
    seed: u64,
    has_to: impl Fn(usize, usize) -> bool,
) -> Result<(f64, u64), String> {
    let (mut moved, mut needless) = (0_u64, 0_u64);
    for key in keys(seed) {
        let owners = before.owner(hash(key)).zip(after.owner(hash(key)));
        let (from, to) = owners.ok_or("a ring has no points")?;
        if from != to {
            moved += 1;
            needless += u64::from(!has_to(from, to));
        }
    }
    Ok((moved as f64 / KEYS as f64, needless))
}

fn modulo(seed: u64) -> f64 {
    let differs = |key: &u64| hash(*key) % ENDPOINTS as u64 != hash(*key) % (ENDPOINTS as u64 + 1);
    keys(seed).filter(differs).count() as f64 / KEYS as f64
}

/// The share of requests whose endpoint has the answer in its cache, which forgets what was asked for longest ago.
fn hits(seed: u64, endpoint: impl Fn(u64, u64) -> usize) -> f64 {
    let mut caches: Vec<Cache> = (0..ENDPOINTS).map(|_| Cache::default()).collect();
    let mut draws = Draws::new(seed);
    let found = (0..REQUESTS).filter(|number| {
        // The square of a uniform draw: some things are asked for far more often than others.
        let draw = draws.next_u64() as f64 / u64::MAX as f64;
        let thing = ((draw * draw) * THINGS as f64) as u64;
        caches[endpoint(thing, *number)].asked(thing)
    });
    found.count() as f64 / REQUESTS as f64
}

/// A cache of the last things that were asked for.
#[derive(Default)]
struct Cache {
    asked: HashMap<u64, u64>,
    order: VecDeque<(u64, u64)>,
    now: u64,
}

impl Cache {
    fn asked(&mut self, thing: u64) -> bool {
        self.now += 1;
        let known = self.asked.insert(thing, self.now).is_some();
        self.order.push_back((thing, self.now));
        while self.asked.len() > CACHED {
            let Some((oldest, at)) = self.order.pop_front() else { break };
            // Asked for again since: its later place counts.
            if self.asked.get(&oldest) == Some(&at) {
                self.asked.remove(&oldest);
            }
        }
        known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_forgets_what_was_asked_for_longest_ago() {
        let mut cache = Cache::default();
        assert!(!cache.asked(1) && cache.asked(1));
        (2..=CACHED as u64).for_each(|thing| assert!(!cache.asked(thing)));
        assert!(cache.asked(1) && !cache.asked(5_000), "one more than fits");
        assert!(cache.asked(1) && !cache.asked(2), "2 was asked for longest ago");
    }

    #[test]
    fn what_is_drawn_is_the_same_for_the_same_seed() {
        let terms = Terms { seed: 3, is_quick: true };
        assert_eq!(measured(&terms).unwrap(), measured(&terms).unwrap());
    }
}
