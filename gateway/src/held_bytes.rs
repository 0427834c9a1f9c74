//! What bodies that were read for routing, or encoders of answers, take of a worker's memory, all of them together:
//! counted, so that it is bounded.
//!
//! A share is taken as the bytes come, never for what a client only announces, and is given back when the last copy of
//! them is dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

/// The least that is taken at once, bytes.
const STEP: usize = 1024;

/// What all of a worker's hold, bytes.
#[derive(Debug, Default)]
pub struct HeldBytes(AtomicUsize);

impl HeldBytes {
    /// Takes so many bytes for as long as what is returned lives; `None` where all would then hold more than `most`.
    pub fn take(self: &Arc<Self>, bytes: usize, most: usize) -> Option<Kept> {
        let mut share = Share { of: Arc::clone(self), bytes: 0 };
        share.grow(bytes, most).then(|| Kept(Arc::new(share)))
    }

    /// What is held right now, bytes.
    pub fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// One body's part of it.
#[derive(Debug)]
struct Share {
    of: Arc<HeldBytes>,
    bytes: usize,
}

impl Share {
    /// Takes so much more, unless all would then hold more than `most`.
    fn grow(&mut self, more: usize, most: usize) -> bool {
        let before = self.of.0.fetch_add(more, Ordering::Relaxed);
        if before.saturating_add(more) > most {
            self.of.0.fetch_sub(more, Ordering::Relaxed);
            return false;
        }
        self.bytes += more;
        true
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.of.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Bytes of one body, gathered in one piece: a client that sends them one by one takes no more than another.
#[derive(Debug)]
pub struct Gathered {
    bytes: Vec<u8>,
    share: Share,
    most: usize,
}

/// What keeps a body's share while a copy of it lives.
#[derive(Debug, Clone)]
pub struct Kept(#[expect(dead_code, reason = "held for its drop")] Arc<Share>);

impl Kept {
    /// A body that keeps its share until the last of those who get a part of it has written it.
    pub fn hold(self, body: Bytes) -> Bytes {
        Bytes::from_owner(Held { body, _share: self })
    }
}

/// A body with its share.
struct Held {
    body: Bytes,
    _share: Kept,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

impl Gathered {
    /// Nothing yet; all of a worker's may hold `most` bytes.
    pub fn new(of: &Arc<HeldBytes>, most: usize) -> Self {
        Self { bytes: Vec::new(), share: Share { of: Arc::clone(of), bytes: 0 }, most }
    }

    /// Adds bytes; false where there is no room for them.
    pub fn add(&mut self, bytes: &[u8]) -> bool {
        let needed = self.bytes.len() + bytes.len();
        if needed > self.bytes.capacity() {
            let capacity = needed.next_power_of_two().max(STEP);
            if !self.share.grow(capacity - self.share.bytes, self.most) {
                return false;
            }
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
        self.bytes.extend_from_slice(bytes);
        true
    }

    /// The bytes, and what to keep for as long as they are there.
    pub fn into_parts(self) -> (Bytes, Kept) {
        (self.bytes.into(), Kept(Arc::new(self.share)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_at_once_is_held_as_long_as_it_is_kept() {
        let all = Arc::new(HeldBytes::default());
        let one = all.take(600, 1000).unwrap();
        assert!(all.take(401, 1000).is_none());
        let other = all.take(400, 1000).unwrap();
        assert_eq!(all.count(), 1000);
        drop(one);
        assert_eq!(all.count(), 400);
        drop(other);
        assert_eq!(all.count(), 0);
    }

    #[test]
    fn shares_are_of_what_came_and_end_with_the_last_copy() {
        let all = Arc::new(HeldBytes::default());
        let (mut one, mut other) = (Gathered::new(&all, 3 * STEP), Gathered::new(&all, 3 * STEP));
        assert_eq!(all.count(), 0);
        assert!((0..STEP).all(|_| one.add(b"x")), "byte by byte");
        assert_eq!(all.count(), STEP);
        assert!(other.add(&[0; 2 * STEP]));
        assert!(!one.add(b"x"), "no room while the other is there");
        drop(other);
        assert!(one.add(b"y"));
        assert_eq!(all.count(), 2 * STEP);
        let (bytes, kept) = one.into_parts();
        assert_eq!((bytes.len(), bytes.last()), (STEP + 1, Some(&b'y')));
        let copy = kept.clone();
        drop(kept);
        assert_eq!(all.count(), 2 * STEP);
        drop(copy);
        assert_eq!(all.count(), 0);
    }
}
