//! Identities that were proven lately, by their whole credential. Pure: whoever asks says what still holds.
//!
//! Two generations, each half of the bound: what is asked for moves to the young one, and when that is full, the old
//! one is dropped whole. That keeps what is in use, costs nothing for each entry, and bounds memory whatever comes.

use std::collections::HashSet;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use ahash::{AHasher, RandomState};

use super::proven::{ByCredential, Identity};

/// What a cache's bound counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Measure {
    /// Memory: what issuers sign is large, and ends in its signature.
    Bytes,
    /// Identities: tokens of any form, which may all have one end.
    Entries,
}

impl Measure {
    fn of(self, identity: &Identity) -> usize {
        match self {
            Self::Bytes => identity.bytes(),
            Self::Entries => 1,
        }
    }

    /// Bytes of a credential that its hash covers, from its end.
    fn hashed(self) -> usize {
        match self {
            Self::Bytes => SIGNED,
            Self::Entries => usize::MAX,
        }
    }
}

/// The last bytes of what is signed are its signature's, as good as random.
const SIGNED: usize = 32;

/// Hashes a credential's length and its end, of so many bytes, with a key of its own. Only proven credentials are kept,
/// and nobody can make two with one signature; the whole of a token of 800 bytes would cost 600 instructions more.
#[derive(Debug, Clone)]
struct Ends(RandomState, usize);

/// See [`Ends`].
struct EndHasher(AHasher, usize);

impl BuildHasher for Ends {
    type Hasher = EndHasher;

    fn build_hasher(&self) -> EndHasher {
        EndHasher(self.0.build_hasher(), self.1)
    }
}

impl Hasher for EndHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.write(&bytes[bytes.len().saturating_sub(self.1)..]);
    }

    fn write_usize(&mut self, length: usize) {
        self.0.write_usize(length);
    }

    fn finish(&self) -> u64 {
        self.0.finish()
    }
}

/// A bounded cache. The hash is keyed, so that nobody can choose credentials that meet; what it finds is compared
/// whole, so that a meeting would find nothing.
#[derive(Debug)]
pub(super) struct Cache {
    young: HashSet<ByCredential, Ends>,
    old: HashSet<ByCredential, Ends>,
    /// What the young ones come to.
    young_sum: usize,
    /// What each generation may come to.
    most: usize,
    measure: Measure,
}

impl Cache {
    /// A cache that holds so much; nothing at all keeps nothing.
    pub(super) fn new(most: usize, measure: Measure) -> Self {
        let hasher = Ends(RandomState::new(), measure.hashed());
        Self {
            young: HashSet::with_hasher(hasher.clone()),
            old: HashSet::with_hasher(hasher),
            young_sum: 0,
            most: most / 2,
            measure,
        }
    }

    /// The identity of this credential, if `holds` says that it still does; else it is forgotten.
    pub(super) fn find(&mut self, credential: &[u8], holds: impl Fn(&Identity) -> bool) -> Option<Arc<Identity>> {
        if let Some(found) = self.young.get(credential) {
            if holds(&found.0) {
                return Some(Arc::clone(&found.0));
            }
            self.young_sum -= self.measure.of(&found.0);
            self.young.remove(credential);
            return None;
        }
        let found = self.old.take(credential)?.0;
        if !holds(&found) {
            return None;
        }
        self.keep(Arc::clone(&found));
        Some(found)
    }

    /// Keeps an identity, if it fits at all.
    pub(super) fn keep(&mut self, identity: Arc<Identity>) {
        let size = self.measure.of(&identity);
        if size > self.most {
            return;
        }
        if self.young_sum + size > self.most {
            std::mem::swap(&mut self.young, &mut self.old);
            self.young = HashSet::with_hasher(self.old.hasher().clone());
            self.young_sum = 0;
        }
        if let Some(before) = self.young.replace(ByCredential(identity)) {
            self.young_sum -= self.measure.of(&before.0);
        }
        self.young_sum += size;
    }

    /// How many are kept.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn identity(credential: &str, until: i64) -> Arc<Identity> {
        Arc::new(Identity {
            subject: Some(credential.into()),
            until,
            ends: until,
            credential: credential.as_bytes().into(),
            ..Identity::unnamed()
        })
    }

    #[test]
    fn what_is_used_stays_and_what_is_not_goes() {
        let mut cache = Cache::new(20 * identity("000", 0).bytes(), Measure::Bytes);
        for number in 0..100 {
            cache.keep(identity(&format!("{number:03}"), 1));
            assert!(cache.find(b"000", |_| true).is_some(), "it was in use all the time: {number}");
        }
        assert!(cache.find(b"050", |_| true).is_none());
        assert!(cache.find(b"099", |_| true).is_some());
        assert!(cache.len() <= 20);
        assert!(cache.find(b"099", |_| false).is_none(), "it does not hold any more");
        assert!(cache.find(b"099", |_| true).is_none(), "and is forgotten");
    }

    #[test]
    fn tokens_of_any_form_are_told_apart_by_all_of_them() {
        let cache = Cache::new(1000, Measure::Entries);
        let hash = |number: u32| cache.young.hasher().hash_one(format!("{number:04}{}", "x".repeat(64)).as_bytes());
        let hashes: HashSet<u64> = (0..1000).map(hash).collect();
        assert_eq!(hashes.len(), 1000, "though all have one end");
    }

    #[test]
    fn what_does_not_fit_is_not_kept() {
        let mut cache = Cache::new(0, Measure::Bytes);
        cache.keep(identity("a", 1));
        assert!(cache.find(b"a", |_| true).is_none());
    }

    proptest! {
        /// Whatever comes, what is found is what was asked for, and the bound holds.
        #[test]
        fn it_finds_nothing_else_and_stays_within_its_bound(
            asked in proptest::collection::vec((0_u8..40, any::<bool>()), 0..300),
        ) {
            let each = identity("x00", 0).bytes();
            let mut cache = Cache::new(10 * each, Measure::Bytes);
            for (name, keep) in asked {
                let name = format!("x{name:02}");
                match cache.find(name.as_bytes(), |_| true) {
                    Some(found) => prop_assert_eq!(found.subject.as_deref(), Some(&*name)),
                    None if keep => cache.keep(identity(&name, 1)),
                    None => {}
                }
                prop_assert!(cache.len() <= 10);
                prop_assert_eq!(cache.young_sum, cache.young.len() * each);
            }
        }
    }
}
