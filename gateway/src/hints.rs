//! Early hints (RFC 8297) of a request, on their way from its attempts to whoever writes to its client.
//!
//! Whoever forwards puts them here, and whoever polls him looks here after each poll, in the same task: nobody has to
//! be woken. However often a request is tried, and whatever its upstreams send: so many hints of so many bytes go out.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use http::HeaderMap;

/// Hints that a request's client gets.
const MOST: usize = 8;
/// Bytes of all their fields. A page has some dozen links.
const MOST_BYTES: usize = 16 * 1024;
/// What a field takes beside its name and value, in whatever version.
const FIELD_BYTES: usize = 32;

/// Those of the request that a connection serves.
#[derive(Debug, Default)]
pub struct Hints {
    are_waiting: AtomicBool,
    /// `None` for a request without any, as most are.
    kept: Mutex<Option<Box<Kept>>>,
}

#[derive(Debug, Default)]
struct Kept {
    waiting: Vec<HeaderMap>,
    /// Of the whole request, those that have gone out too.
    number: usize,
    bytes: usize,
}

impl Hints {
    /// Puts one behind those that wait; one that is too many, or with which they are too large, goes nowhere.
    #[cold]
    pub fn put(&self, hint: HeaderMap) {
        let bytes: usize = hint.iter().map(|(name, value)| name.as_str().len() + value.len() + FIELD_BYTES).sum();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = kept.get_or_insert_default();
        if kept.number < MOST && kept.bytes + bytes <= MOST_BYTES {
            kept.number += 1;
            kept.bytes += bytes;
            kept.waiting.push(hint);
            self.are_waiting.store(true, Ordering::Relaxed);
        }
    }

    /// Whether some wait to be written.
    #[inline]
    pub fn are_waiting(&self) -> bool {
        self.are_waiting.load(Ordering::Relaxed)
    }

    /// Takes those that wait.
    #[cold]
    pub fn take(&self) -> Vec<HeaderMap> {
        self.are_waiting.store(false, Ordering::Relaxed);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.as_mut().map(|kept| std::mem::take(&mut kept.waiting)).unwrap_or_default()
    }

    /// Forgets them: the connection's next request has its own.
    #[cold]
    pub fn forget(&self) {
        self.are_waiting.store(false, Ordering::Relaxed);
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::LINK;

    use super::*;

    fn hint(length: usize) -> HeaderMap {
        HeaderMap::from_iter([(LINK, HeaderValue::from_str(&"x".repeat(length)).unwrap())])
    }

    #[test]
    fn a_request_has_so_many_hints_however_they_are_taken() {
        let hints = Hints::default();
        assert!(!hints.are_waiting() && hints.take().is_empty());
        let mut taken = 0;
        for _ in 0..3 * MOST {
            hints.put(hint(10));
            taken += hints.take().len();
            assert!(!hints.are_waiting());
        }
        assert_eq!(taken, MOST);
        hints.forget();
        hints.put(hint(10));
        assert!(hints.are_waiting(), "the next request has its own");
        hints.forget();
        assert!(!hints.are_waiting() && hints.take().is_empty());
    }

    #[test]
    fn a_request_has_so_many_bytes_of_hints() {
        let hints = Hints::default();
        hints.put(hint(MOST_BYTES));
        assert!(!hints.are_waiting(), "one is too large");
        hints.put(hint(MOST_BYTES / 2));
        hints.put(hint(MOST_BYTES / 2));
        hints.put(hint(100));
        assert_eq!(hints.take().iter().map(|hint| hint[LINK].len()).collect::<Vec<_>>(), [MOST_BYTES / 2, 100]);
    }
}
