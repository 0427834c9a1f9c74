//! One ring of what was written down: bounded in number and bytes, the oldest goes first.

use std::collections::VecDeque;
use std::sync::Arc;

/// What an entry takes beside its text, about.
const OVERHEAD: usize = 64;

/// One request.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// What it is of note for: bits of [`super::Wanted`].
    pub(super) wanted: u8,
    /// When it ended, microseconds of the monotonic clock.
    pub(super) ended_us: i64,
    /// A hash of its id.
    pub(super) id: u64,
    /// One JSON object.
    pub(super) text: Arc<[u8]>,
}

/// The last requests of one kind and one worker.
#[derive(Debug, Default)]
pub(super) struct Ring {
    entries: VecDeque<Entry>,
    bytes: usize,
}

impl Ring {
    /// Adds an entry; whether there is room for it at all.
    pub(super) fn push(&mut self, entry: Entry, (most, most_bytes): (usize, usize)) -> bool {
        let size = entry.text.len() + OVERHEAD;
        if size > most_bytes || most == 0 {
            return false;
        }
        self.shrink(most - 1, most_bytes - size);
        self.bytes += size;
        self.entries.push_back(entry);
        true
    }

    /// Lets the oldest go until so many are left, in so many bytes.
    pub(super) fn shrink(&mut self, most: usize, most_bytes: usize) {
        while self.entries.len() > most || self.bytes > most_bytes {
            let Some(oldest) = self.entries.pop_front() else { return };
            self.bytes -= oldest.text.len() + OVERHEAD;
        }
        if self.entries.is_empty() {
            self.entries = VecDeque::new();
        }
    }

    /// What is there, the oldest first.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.entries.iter()
    }

    /// How many, and their bytes.
    pub(super) fn fill(&self) -> (usize, usize) {
        (self.entries.len(), self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(number: i64, length: usize) -> Entry {
        Entry { wanted: 1, ended_us: number, id: 0, text: vec![b'x'; length].into() }
    }

    proptest! {
        #[test]
        fn the_newest_that_fit_are_kept(
            lengths in proptest::collection::vec(0_usize..300, 0..60), most in 0_usize..10, most_bytes in 0_usize..2000,
        ) {
            let mut ring = Ring::default();
            let mut model: Vec<(i64, usize)> = Vec::new();
            for (number, length) in lengths.into_iter().enumerate() {
                let number = number as i64;
                let fits = most > 0 && length + OVERHEAD <= most_bytes;
                prop_assert_eq!(ring.push(entry(number, length), (most, most_bytes)), fits);
                if fits {
                    model.push((number, length + OVERHEAD));
                    while model.len() > most || model.iter().map(|(_, size)| size).sum::<usize>() > most_bytes {
                        model.remove(0);
                    }
                }
                let kept: Vec<i64> = ring.iter().map(|entry| entry.ended_us).collect();
                prop_assert_eq!(kept, model.iter().map(|(number, _)| *number).collect::<Vec<_>>());
                prop_assert_eq!(ring.fill(), (model.len(), model.iter().map(|(_, size)| size).sum()));
            }
        }
    }

    #[test]
    fn a_ring_that_shrinks_to_nothing_gives_its_memory_back() {
        let mut ring = Ring::default();
        for number in 0..100 {
            assert!(ring.push(entry(number, 10), (100, 1 << 20)));
        }
        ring.shrink(0, 0);
        assert_eq!((ring.fill(), ring.entries.capacity()), ((0, 0), 0));
    }
}
