//! Answers that are remembered for a while, by the whole question: bounded in time and bytes, the oldest go first.
//! Plain state; time comes in.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ahash::RandomState;

/// What an entry takes beside its question and its answer, bytes.
const ENTRY: usize = 160;

/// The answers.
#[derive(Debug)]
pub(super) struct Remembered<V> {
    ttl: Duration,
    most: usize,
    bytes: usize,
    known: HashMap<Arc<[u8]>, Known<V>, RandomState>,
    /// Each question once, in the order in which they came.
    order: VecDeque<(Arc<[u8]>, Instant)>,
}

#[derive(Debug)]
struct Known<V> {
    value: V,
    until: Instant,
    bytes: usize,
}

impl<V: Clone> Remembered<V> {
    /// Nothing yet.
    pub(super) fn new(ttl: Duration, most: usize) -> Self {
        Self { ttl, most, bytes: 0, known: HashMap::default(), order: VecDeque::new() }
    }

    /// The answer to a question, while it holds.
    pub(super) fn get(&self, question: &[u8], now: Instant) -> Option<V> {
        self.known.get(question).filter(|known| now < known.until).map(|known| known.value.clone())
    }

    /// Remembers an answer that takes so many bytes.
    pub(super) fn put(&mut self, question: Vec<u8>, value: V, bytes: usize, now: Instant) {
        let bytes = question.len() + bytes + ENTRY;
        let Some(until) = now.checked_add(self.ttl).filter(|_| bytes <= self.most) else { return };
        self.forget(|until, _| until <= now);
        self.bytes += bytes;
        if let Some(known) = self.known.get_mut(&*question) {
            // Asked twice at once. It has its place in the order, and keeps its end.
            self.bytes -= known.bytes;
            (known.value, known.bytes) = (value, bytes);
        } else {
            let question: Arc<[u8]> = question.into();
            self.known.insert(Arc::clone(&question), Known { value, until, bytes });
            self.order.push_back((question, until));
        }
        let most = self.most;
        self.forget(|_, bytes| bytes > most);
    }

    /// Forgets the oldest as long as this holds of its end and of all bytes.
    fn forget(&mut self, goes: impl Fn(Instant, usize) -> bool) {
        while self.order.front().is_some_and(|(_, until)| goes(*until, self.bytes)) {
            let gone = self.order.pop_front().and_then(|(question, _)| self.known.remove(&question));
            self.bytes -= gone.map_or(0, |gone| gone.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// What is remembered is what was last said to that question, and not for longer than it holds; it never takes
        /// more than it may.
        #[test]
        fn an_answer_is_the_last_one_and_not_too_old(
            turns in prop::collection::vec((0_u8..6, any::<bool>(), 0_u64..40), 0..200),
        ) {
            let start = crate::clock::Clock::starting_at(Duration::ZERO).now();
            let (ttl, most) = (Duration::from_secs(50), 4 * (1 + ENTRY));
            let mut remembered = Remembered::new(ttl, most);
            let mut said: HashMap<u8, (usize, Instant)> = HashMap::new();
            let mut now = start;
            for (turn, (question, asks, pause)) in turns.into_iter().enumerate() {
                now += Duration::from_secs(pause);
                if asks {
                    if let Some(value) = remembered.get(&[question], now) {
                        let (last, at) = said[&question];
                        prop_assert_eq!(value, last);
                        prop_assert!(now < at + ttl);
                    }
                } else {
                    remembered.put(vec![question], turn, 0, now);
                    said.insert(question, (turn, now));
                    prop_assert_eq!(remembered.get(&[question], now), Some(turn));
                }
                prop_assert!(remembered.bytes <= most);
                prop_assert_eq!(remembered.known.values().map(|known| known.bytes).sum::<usize>(), remembered.bytes);
                prop_assert_eq!(remembered.order.len(), remembered.known.len());
            }
        }
    }
}
