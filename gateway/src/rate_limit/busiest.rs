//! The busiest keys of a rule: a sketch for each worker, read together when somebody asks.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::algorithms::space_saving::{Counted, SpaceSaving};
use crate::locked::lock;

/// Keys that a worker counts.
const KEPT: usize = 32;
/// With so many requests counted, only some are looked at: one of [`SAMPLE`], which weighs as much.
const BUSY_AT: u64 = 1 << 10;
/// One request of so many; a power of two.
const SAMPLE: u64 = 16;
/// With so many requests counted, all counts are halved: what was busy long ago is forgotten.
const FADE_AT: u64 = 1 << 17;

/// A key for operators' eyes.
#[derive(Debug, PartialEq, Eq)]
pub struct Shown {
    /// The key.
    pub key: Box<str>,
    /// Of a subject, the provider that says so: another one's of the same name is another key.
    pub provider: Option<Box<str>>,
}

/// The busiest keys of one rule.
#[derive(Debug)]
pub struct Busiest {
    workers: Box<[Worker]>,
}

/// One worker's, alone on its cache lines.
#[derive(Debug)]
#[repr(align(64))]
struct Worker {
    busy: AtomicBool,
    sketch: Mutex<SpaceSaving<Arc<Shown>>>,
}

impl Busiest {
    /// Sketches for so many workers.
    pub fn new(workers: usize) -> Self {
        let worker = |_| Worker { busy: AtomicBool::new(false), sketch: Mutex::new(SpaceSaving::new(KEPT)) };
        Self { workers: (0..workers.max(1)).map(worker).collect() }
    }

    /// Counts a request of a key. `bits` are random; `shown` is asked where the key was not among the busiest.
    #[inline]
    pub fn note(&self, worker: usize, bits: u64, key: u64, shown: impl FnOnce() -> Shown) {
        let worker = &self.workers[worker % self.workers.len()];
        let busy = worker.busy.load(Ordering::Relaxed);
        if !busy || bits.is_multiple_of(SAMPLE) {
            worker.count(key, if busy { SAMPLE } else { 1 }, shown);
        }
    }

    /// The busiest keys, the busiest first.
    pub fn top(&self, most: usize) -> Vec<Counted<Arc<Shown>>> {
        // Copies, so that no worker waits for a reader.
        let sketches: Vec<_> = self.workers.iter().map(Worker::copy).collect();
        SpaceSaving::busiest(&sketches, most)
    }
}

impl Worker {
    #[inline(never)]
    fn count(&self, key: u64, by: u64, shown: impl FnOnce() -> Shown) {
        let mut sketch = lock(&self.sketch);
        sketch.add(key, by, || Arc::new(shown()));
        if sketch.total() >= FADE_AT {
            sketch.fade();
        }
        self.busy.store(sketch.total() >= BUSY_AT, Ordering::Relaxed);
    }

    fn copy(&self) -> SpaceSaving<Arc<Shown>> {
        lock(&self.sketch).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algorithms::rng::Draws;

    fn shown(key: &str) -> Shown {
        Shown { key: key.into(), provider: None }
    }

    #[test]
    fn a_greedy_client_among_a_hundred_fair_ones_is_seen_with_its_share() {
        let (busiest, mut draws) = (Busiest::new(2), Draws::new(7));
        for number in 0..100_000_u64 {
            let key = if number % 2 == 0 { 1000 } else { draws.below(100) };
            busiest.note((number / 2) as usize, draws.next_u64(), key, || shown(&key.to_string()));
        }
        let top = busiest.top(3);
        assert_eq!(&*top[0].about.key, "1000");
        assert!((45_000..55_000).contains(&top[0].count), "{top:?}");
        assert!(top[1].count < 10_000 && top.len() == 3);
    }

    #[test]
    fn the_first_requests_are_all_counted() {
        let busiest = Busiest::new(1);
        for _ in 0..3 {
            busiest.note(0, 1, 5, || shown("a"));
        }
        assert_eq!(busiest.top(9), [Counted { key: 5, about: Arc::new(shown("a")), count: 3, error: 0 }]);
    }
}
