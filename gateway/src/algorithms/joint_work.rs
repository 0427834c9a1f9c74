//! Work that several wait for: who begins it, who joins, and when it is nobody's any more.
//!
//! Invariants: of one key there is at most one work that can be joined; it can be joined until it is done, until the
//! last one who waits for it has left, or until it is old; what is kept is bounded, and who finds no room works alone.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// What is under way, by key.
#[derive(Debug)]
pub struct JointWork<K, V> {
    entries: BTreeMap<K, Entry<V>>,
    most: usize,
    next: u64,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    number: u64,
    waiting: usize,
    began: Instant,
}

/// What became of somebody who asked for work to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Joined<V> {
    /// It begins with this one; its number.
    First(u64, V),
    /// It is under way; its number.
    Another(u64, V),
    /// There is no room for more.
    Full,
}

impl<K: Ord + Clone, V: Clone> JointWork<K, V> {
    /// Nothing is under way; at most so much will be at once.
    pub fn new(most: usize) -> Self {
        Self { entries: BTreeMap::new(), most, next: 0 }
    }

    /// Joins the work of this key if it is younger than `oldest`, or begins it. `begin` says when it began: before now,
    /// where it is a part of what others do already. An older one goes on for those who wait for it, and is handed out
    /// as the second value: whoever drops the last copy of it may take time for that.
    pub fn join(
        &mut self,
        key: &K,
        now: Instant,
        oldest: Duration,
        begin: impl FnOnce() -> (V, Instant),
    ) -> (Joined<V>, Option<V>) {
        if let Some(entry) = self.entries.get_mut(key)
            && now.saturating_duration_since(entry.began) < oldest
        {
            entry.waiting += 1;
            return (Joined::Another(entry.number, entry.value.clone()), None);
        }
        if self.entries.len() >= self.most && !self.entries.contains_key(key) {
            return (Joined::Full, None);
        }
        let (number, (value, began)) = (self.next, begin());
        self.next += 1;
        let entry = Entry { value: value.clone(), number, waiting: 1, began };
        let old = self.entries.insert(key.clone(), entry).map(|entry| entry.value);
        (Joined::First(number, value), old)
    }

    /// The work of this number is done: nobody joins it any more.
    pub fn done(&mut self, key: &K, number: u64) -> Option<V> {
        self.entries.get(key).filter(|entry| entry.number == number)?;
        self.entries.remove(key).map(|entry| entry.value)
    }

    /// One who waited for the work of this number has left. Work that nobody waits for is given up: it is handed out.
    pub fn leave(&mut self, key: &K, number: u64) -> Option<V> {
        let entry = self.entries.get_mut(key).filter(|entry| entry.number == number)?;
        entry.waiting = entry.waiting.saturating_sub(1);
        if entry.waiting > 0 {
            return None;
        }
        self.entries.remove(key).map(|entry| entry.value)
    }

    /// How much is under way that can be joined.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many wait for what can be joined.
    pub fn waiting(&self) -> usize {
        self.entries.values().map(|entry| entry.waiting).sum()
    }

    /// Whether nothing is.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OLDEST: Duration = Duration::from_secs(5);

    /// One who waits, as a list of all who came remembers it.
    #[derive(Debug, Clone)]
    struct Waiter {
        key: u8,
        work: u64,
    }

    /// The same by looking through everything.
    #[derive(Debug, Default)]
    struct Naive {
        /// Key, number, age, and whether it can be joined.
        works: Vec<(u8, u64, u64, bool)>,
        waiting: Vec<Waiter>,
    }

    impl Naive {
        fn open(&self, key: u8) -> Option<usize> {
            self.works.iter().position(|work| work.0 == key && work.3)
        }

        fn join(&mut self, key: u8, (now, age): (u64, u64), most: usize) -> Option<(u64, bool)> {
            let joined = match self.open(key) {
                Some(at) if now - self.works[at].2 < OLDEST.as_secs() => (self.works[at].1, false),
                Some(at) => {
                    self.works[at].3 = false;
                    self.begin(key, now - age)
                }
                None if self.works.iter().filter(|work| work.3).count() >= most => return None,
                None => self.begin(key, now - age),
            };
            self.waiting.push(Waiter { key, work: joined.0 });
            Some(joined)
        }

        fn begin(&mut self, key: u8, now: u64) -> (u64, bool) {
            let number = self.works.len() as u64;
            self.works.push((key, number, now, true));
            (number, true)
        }

        fn leave(&mut self, at: usize) {
            let Waiter { work, .. } = self.waiting.remove(at);
            if !self.waiting.iter().any(|other| other.work == work) {
                self.works[work as usize].3 = false;
            }
        }
    }

    #[derive(Debug, Clone)]
    enum Step {
        /// With a key; what begins with it is so old already.
        Join(u8, u64),
        Leave(prop::sample::Index),
        Done(prop::sample::Index),
        Pass(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0..4_u8, prop_oneof![3 => Just(0), 1 => 0..7_u64]).prop_map(|(key, age)| Step::Join(key, age)),
            2 => any::<prop::sample::Index>().prop_map(Step::Leave),
            1 => any::<prop::sample::Index>().prop_map(Step::Done),
            1 => (0..4_u64).prop_map(Step::Pass),
        ];
        prop::collection::vec(step, 0..60)
    }

    #[expect(clippy::disallowed_methods, reason = "an origin for a time that is moved by hand")]
    fn origin() -> Instant {
        Instant::now()
    }

    proptest! {
        #[test]
        fn it_does_what_a_list_of_all_does(steps in steps(), most in 1..4_usize) {
            let (mut work, mut naive) = (JointWork::new(most), Naive::default());
            // Late enough for what is old at the beginning.
            let (start, mut now) = (origin(), 10);
            for step in steps {
                match step {
                    Step::Join(key, age) => {
                        let at = start + Duration::from_secs(now);
                        let next = work.next;
                        let (joined, _) = work.join(&key, at, OLDEST, || (next, at - Duration::from_secs(age)));
                        let expected = match naive.join(key, (now, age), most) {
                            None => Joined::Full,
                            Some((number, true)) => Joined::First(number, number),
                            Some((number, false)) => Joined::Another(number, number),
                        };
                        prop_assert_eq!(joined, expected);
                    }
                    Step::Leave(at) if !naive.waiting.is_empty() => {
                        let at = at.index(naive.waiting.len());
                        let Waiter { key, work: number } = naive.waiting[at].clone();
                        let was_open = naive.works[number as usize].3;
                        naive.leave(at);
                        let given_up = work.leave(&key, number);
                        prop_assert_eq!(given_up.is_some(), was_open && !naive.works[number as usize].3);
                    }
                    Step::Done(at) if !naive.waiting.is_empty() => {
                        let Waiter { key, work: number } = naive.waiting[at.index(naive.waiting.len())].clone();
                        let was_open = std::mem::take(&mut naive.works[number as usize].3);
                        prop_assert_eq!(work.done(&key, number), was_open.then_some(number));
                    }
                    Step::Leave(_) | Step::Done(_) => {}
                    Step::Pass(seconds) => now += seconds,
                }
                prop_assert_eq!(work.len(), naive.works.iter().filter(|work| work.3).count());
                let open = |waiter: &&Waiter| naive.works[waiter.work as usize].3;
                prop_assert_eq!(work.waiting(), naive.waiting.iter().filter(open).count());
                prop_assert!(work.len() <= most);
            }
        }
    }
}
