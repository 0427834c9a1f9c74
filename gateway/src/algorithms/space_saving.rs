//! The busiest of many keys, in a memory that does not grow: SpaceSaving.
//!
//! So many keys are counted. One that is not among them takes the place, and the count, of the least busy one: so no
//! count is too low, and none too high by more than its `error`. Every key with more than `total / capacity` is there.
//! Sketches are read together in the same sense: what a full one does not hold, it may have counted as often as its
//! least busy one (Agarwal et al., "Mergeable Summaries", 2012).
//!
//! Source: Metwally, Agrawal, El Abbadi, "Efficient Computation of Frequent and Top-k Elements in Data Streams" (2005).

/// A key, what it is called, and how busy it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted<T> {
    /// The key.
    pub key: u64,
    /// What was told of it when it came in.
    pub about: T,
    /// Never too low.
    pub count: u64,
    /// Too high by at most this.
    pub error: u64,
}

/// The sketch. A look-up reads all keys: meant for some dozens.
#[derive(Debug, Clone)]
pub struct SpaceSaving<T> {
    capacity: usize,
    keys: Vec<u64>,
    counted: Vec<Counted<T>>,
    total: u64,
}

impl<T: Clone> SpaceSaving<T> {
    /// A sketch of so many keys, at least one.
    pub fn new(capacity: usize) -> Self {
        Self { capacity: capacity.max(1), keys: Vec::new(), counted: Vec::new(), total: 0 }
    }

    /// Counts a key so many times; what it is called is asked only where it comes in.
    pub fn add(&mut self, key: u64, by: u64, about: impl FnOnce() -> T) {
        self.total = self.total.saturating_add(by);
        if let Some(at) = self.keys.iter().position(|known| *known == key) {
            self.counted[at].count = self.counted[at].count.saturating_add(by);
        } else if self.keys.len() < self.capacity {
            self.keys.push(key);
            self.counted.push(Counted { key, about: about(), count: by, error: 0 });
        } else if let Some(at) = (0..self.counted.len()).min_by_key(|at| self.counted[*at].count) {
            let least = self.counted[at].count;
            self.keys[at] = key;
            self.counted[at] = Counted { key, about: about(), count: least.saturating_add(by), error: least };
        }
    }

    /// Counts of late weigh more: all are halved.
    pub fn fade(&mut self) {
        self.total /= 2;
        for counted in &mut self.counted {
            counted.count /= 2;
            counted.error /= 2;
        }
    }

    /// All that was counted, faded as the keys are.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The busiest keys of several sketches together, the busiest first.
    pub fn busiest<'a>(sketches: impl IntoIterator<Item = &'a Self>, most: usize) -> Vec<Counted<T>>
    where
        T: 'a,
    {
        let sketches: Vec<&Self> = sketches.into_iter().collect();
        let mut all: Vec<Counted<T>> = Vec::new();
        for counted in sketches.iter().flat_map(|sketch| &sketch.counted) {
            match all.iter_mut().find(|known| known.key == counted.key) {
                Some(known) => {
                    known.count = known.count.saturating_add(counted.count);
                    known.error = known.error.saturating_add(counted.error);
                }
                None => all.push(counted.clone()),
            }
        }
        for sketch in sketches.iter().filter(|sketch| sketch.keys.len() == sketch.capacity) {
            let least = sketch.counted.iter().map(|counted| counted.count).min().unwrap_or(0);
            for counted in all.iter_mut().filter(|counted| !sketch.keys.contains(&counted.key)) {
                counted.count = counted.count.saturating_add(least);
                counted.error = counted.error.saturating_add(least);
            }
        }
        all.sort_by(|a, b| b.count.cmp(&a.count).then(a.key.cmp(&b.key)));
        all.truncate(most);
        all
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn counts_are_never_too_low_and_too_high_by_their_error_at_most(
            keys in prop::collection::vec(prop_oneof![0u64..5, 0u64..200], 1..500), capacity in 1usize..20,
        ) {
            let mut sketch = SpaceSaving::new(capacity);
            let mut exact: HashMap<u64, u64> = HashMap::new();
            for key in &keys {
                sketch.add(*key, 1, || key.to_string());
                *exact.entry(*key).or_default() += 1;
            }
            let busiest = SpaceSaving::busiest([&sketch], usize::MAX);
            prop_assert!(busiest.len() <= capacity);
            for counted in &busiest {
                let real = exact[&counted.key];
                prop_assert!(counted.count >= real && counted.count - counted.error <= real);
                prop_assert_eq!(&counted.about, &counted.key.to_string());
            }
            for (key, count) in exact {
                let is_there = busiest.iter().any(|counted| counted.key == key);
                prop_assert!(is_there || count <= sketch.total() / capacity as u64);
            }
        }
    }

    proptest! {
        #[test]
        fn counts_of_several_sketches_are_never_too_low_and_too_high_by_their_error_at_most(
            keys in prop::collection::vec((prop_oneof![0u64..5, 0u64..50], 0usize..3), 1..300), capacity in 1usize..10,
        ) {
            let mut sketches = [(); 3].map(|()| SpaceSaving::new(capacity));
            let mut exact: HashMap<u64, u64> = HashMap::new();
            for (key, worker) in &keys {
                sketches[*worker].add(*key, 1, || ());
                *exact.entry(*key).or_default() += 1;
            }
            for counted in SpaceSaving::busiest(&sketches, usize::MAX) {
                let real = exact[&counted.key];
                prop_assert!(counted.count >= real && counted.count - counted.error <= real);
            }
        }
    }

    #[test]
    fn sketches_are_read_together_and_fade() {
        let (mut a, mut b) = (SpaceSaving::new(4), SpaceSaving::new(4));
        a.add(1, 6, || "one");
        a.add(2, 4, || "two");
        b.add(2, 8, || "two");
        let both = SpaceSaving::busiest([&a, &b], 1);
        assert_eq!((both[0].about, both[0].count), ("two", 12));
        b.fade();
        assert_eq!((SpaceSaving::busiest([&b], 9)[0].count, b.total()), (4, 4));
    }
}
