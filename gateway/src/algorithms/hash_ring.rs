//! A ring of hashed points: each key has a home, and keeps it while other endpoints come and go.
//!
//! Source: Karger et al., "Consistent Hashing and Random Trees" (1997), with ketama's virtual nodes by weight.
//!
//! Invariants:
//! - An endpoint's points come from its name and its weight alone, so they are the same after a restart, on every
//!   machine, and beside whatever other endpoints. Removing an endpoint moves its own keys and no other.
//! - So that memory stays bounded, points are halved where the sum of the weights passes `MAX_POINTS / POINTS` (2048),
//!   and again at each doubling. Only a change of endpoints that crosses such a power of two moves more keys than its
//!   own: up to half of them, since the points kept are a prefix of the points before.
//! - Memory is at most `MAX_POINTS` points plus one for each endpoint, about 15 bytes each.

use super::rng::mix;

/// Points for each unit of weight. A share's relative error is about 1 / sqrt(points), so 4 % for an endpoint of weight
/// 1; half the error would cost four times the memory.
const POINTS: u64 = 512;

/// Points of a whole ring, about 16 MB.
const MAX_POINTS: u64 = 1 << 20;

/// Points for each slot of the index.
const POINTS_PER_SLOT: usize = 2;

/// A hash of bytes that never changes: over restarts, machines and versions. For keys and names on the ring, not for
/// secrets: whoever chooses keys can aim at one endpoint, and the bound on load is what protects that endpoint.
#[inline]
pub fn stable_hash(bytes: &[u8]) -> u64 {
    let mut hash = mix(bytes.len() as u64 ^ 0x706f_7274_6375_6c6c);
    let (words, tail) = bytes.as_chunks::<8>();
    for word in words {
        hash = mix(hash ^ u64::from_le_bytes(*word));
    }
    let mut last = [0_u8; 8];
    last[..tail.len()].copy_from_slice(tail);
    mix(hash.rotate_left(29) ^ u64::from_le_bytes(last))
}

/// The ring.
#[derive(Debug, Clone)]
pub struct HashRing {
    /// Sorted.
    points: Vec<u64>,
    /// The owner of each point.
    owners: Vec<u32>,
    /// For each value of a hash's upper bits, the first point at or after it; so that a look-up is O(1).
    index: Vec<u32>,
    /// How far a hash is shifted to become an index.
    shift: u32,
}

impl HashRing {
    /// A ring of endpoints, each a name and a weight. An endpoint of weight 0 has no points.
    pub fn new<'a>(endpoints: impl Iterator<Item = (&'a str, u32)> + Clone) -> Self {
        let mut pairs: Vec<(u64, u32)> = Vec::new();
        let scale = scale(endpoints.clone());
        for (owner, (name, weight)) in endpoints.enumerate() {
            let base = stable_hash(name.as_bytes());
            for number in 0..points(weight, scale) {
                pairs.push((mix(base ^ mix(number + 1)), owner as u32));
            }
        }
        // Points that fall together are ordered by name, so the order in which endpoints are listed says nothing; the
        // chance of one is below 2^-24 even on a full ring.
        pairs.sort_unstable();
        let (points, owners): (Vec<u64>, Vec<u32>) = pairs.into_iter().unzip();
        let bits = (points.len() / POINTS_PER_SLOT).next_power_of_two().trailing_zeros().max(1);
        let shift = 64 - bits;
        let index =
            (0..1_u64 << bits).map(|slot| points.partition_point(|&point| point < slot << shift) as u32).collect();
        Self { points, owners, index, shift }
    }

    /// The endpoint whose point is the first at or after this hash; `None` on a ring without points.
    #[inline]
    pub fn owner(&self, hash: u64) -> Option<usize> {
        let mut at = self.index[(hash >> self.shift) as usize] as usize;
        while at < self.points.len() && self.points[at] < hash {
            at += 1;
        }
        // Past the last point the ring begins again.
        self.owners.get(at).or_else(|| self.owners.first()).map(|&owner| owner as usize)
    }

    /// How many points there are.
    pub fn len(&self) -> usize {
        self.points.len()
    }

    /// Whether there is no point at all.
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }
}

/// By how much points are thinned out: a power of two, 1 up to a sum of weights of 2048.
fn scale<'a>(endpoints: impl Iterator<Item = (&'a str, u32)>) -> u64 {
    let total: u64 = endpoints.map(|endpoint| u64::from(endpoint.1)).sum();
    total.saturating_mul(POINTS).div_ceil(MAX_POINTS).max(1).next_power_of_two()
}

/// The number of points of an endpoint; at least one where it has weight.
fn points(weight: u32, scale: u64) -> u64 {
    if weight == 0 { 0 } else { (u64::from(weight) * POINTS / scale).max(1) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEYS: u64 = 100_000;

    fn ring(endpoints: &[(String, u32)]) -> HashRing {
        HashRing::new(endpoints.iter().map(|(name, weight)| (name.as_str(), *weight)))
    }

    fn equal(n: usize) -> Vec<(String, u32)> {
        (0..n).map(|i| (format!("10.0.0.{i}:8080"), 1)).collect()
    }

    #[test]
    fn a_hash_never_changes() {
        // Pinned: a change here moves the keys of everyone who upgrades.
        assert_eq!(stable_hash(b""), 3_313_111_984_327_154_765);
        assert_eq!(stable_hash(b"user-1"), 1_861_673_927_825_122_588);
        assert_eq!(stable_hash(b"a key that is longer than a word"), 10_071_120_912_150_733_054);
        assert_ne!(stable_hash(b"a"), stable_hash(b"a\0"));
    }

    #[test]
    fn removing_one_of_n_moves_its_keys_and_no_other() {
        for n in [2, 3, 10, 50] {
            let all = equal(n);
            let gone = n / 2;
            let fewer: Vec<_> = all.iter().filter(|(name, _)| *name != all[gone].0).cloned().collect();
            let (before, after) = (ring(&all), ring(&fewer));
            let mut moved = 0;
            for key in 0..KEYS {
                let hash = mix(key);
                let (old, new) = (before.owner(hash).unwrap(), after.owner(hash).unwrap());
                if all[old].0 != fewer[new].0 {
                    assert_eq!(old, gone, "key {key} left an endpoint that stayed");
                    moved += 1;
                }
            }
            let (share, ideal) = (f64::from(moved) / KEYS as f64, 1.0 / n as f64);
            assert!((share / ideal - 1.0).abs() < 0.15, "{n} endpoints: {share} moved");
        }
    }

    #[test]
    fn removing_the_heaviest_moves_no_other_key() {
        let mut all = equal(5);
        all[4].1 = 4;
        let (before, after) = (ring(&all), ring(&all[..4]));
        for key in 0..KEYS {
            let old = before.owner(mix(key)).unwrap();
            assert!(old == 4 || after.owner(mix(key)) == Some(old));
        }
    }

    #[test]
    fn shares_follow_weights() {
        let endpoints = [("a:1".to_owned(), 1), ("b:1".to_owned(), 2), ("c:1".to_owned(), 4), ("d:1".to_owned(), 0)];
        let ring = ring(&endpoints);
        let mut seen = [0_u32; 4];
        (0..KEYS).for_each(|key| seen[ring.owner(mix(key)).unwrap()] += 1);
        let shares = seen.map(|n| f64::from(n) * 100.0 / KEYS as f64);
        assert!((shares[0] - 14.3).abs() < 2.0 && (shares[1] - 28.6).abs() < 2.0, "{shares:?}");
        assert_eq!(seen[3], 0);
    }

    #[test]
    fn the_order_of_endpoints_says_nothing() {
        let all = equal(7);
        let turned: Vec<_> = all.iter().rev().cloned().collect();
        let (a, b) = (ring(&all), ring(&turned));
        assert!((0..KEYS).all(|key| all[a.owner(mix(key)).unwrap()].0 == turned[b.owner(mix(key)).unwrap()].0));
    }

    #[test]
    fn memory_is_bounded() {
        assert!(ring(&equal(5_000)).len() as u64 <= MAX_POINTS);
        assert!(ring(&[("a:1".into(), u32::MAX), ("b:1".into(), 1)]).len() as u64 <= MAX_POINTS + 1);
        assert!(ring(&[]).is_empty() && ring(&[]).owner(5).is_none());
    }

    proptest! {
        #[test]
        fn an_owner_is_the_naive_successor(n in 1_usize..8, weight in 1_u32..9, hashes: [u64; 32]) {
            let mut endpoints = equal(n);
            endpoints[0].1 = weight;
            let ring = ring(&endpoints);
            for hash in hashes {
                let naive = ring.points.iter().position(|&point| point >= hash).unwrap_or(0);
                prop_assert_eq!(ring.owner(hash), Some(ring.owners[naive] as usize));
            }
        }
    }
}
