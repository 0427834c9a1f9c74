//! Streams of a client whose answers have begun and not come to their end: of each, the client may cancel the rest.
//!
//! Only the last head of an answer begins it. An interim one (RFC 9110, section 15.2) looks the same from outside,
//! since fields are packed: who sends it says so before it goes.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Streams that are remembered, of either kind. A client has hardly ever as many open; beyond, the oldest is forgotten.
const REMEMBERED: usize = 1000;

/// Streams of which an interim head is on its way.
#[derive(Debug, Default)]
pub struct Interim {
    /// How many there are: mostly none, and then nobody has to look.
    count: AtomicUsize,
    streams: Mutex<Vec<u32>>,
}

impl Interim {
    /// The next head of this stream is none that begins an answer. To be said before it is sent.
    pub fn announce(&self, stream: u32) {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        put(&mut streams, stream);
        self.count.store(streams.len(), Ordering::Relaxed);
    }

    /// Whether the head that goes out on this stream is one; it is forgotten with that.
    pub fn take(&self, stream: u32) -> bool {
        if self.count.load(Ordering::Relaxed) == 0 {
            return false;
        }
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        let was_there = take(&mut streams, stream);
        self.count.store(streams.len(), Ordering::Relaxed);
        was_there
    }
}

/// The streams.
#[derive(Debug, Default)]
pub(super) struct Begun {
    streams: Vec<u32>,
    pub(super) interim: Arc<Interim>,
}

impl Begun {
    /// A head went out on this stream, and more follows.
    pub(super) fn head_went(&mut self, stream: u32) {
        if !self.interim.take(stream) {
            put(&mut self.streams, stream);
        }
    }

    /// The stream has come to its end, by whoever's doing. Whether its answer had begun, and was not over.
    pub(super) fn ended(&mut self, stream: u32) -> bool {
        // Those of which h2 let go with the stream are many.
        while self.interim.take(stream) {}
        take(&mut self.streams, stream)
    }
}

fn put(streams: &mut Vec<u32>, stream: u32) {
    if streams.len() == REMEMBERED {
        streams.remove(0);
    }
    streams.push(stream);
}

/// From the end: most answers go out together with their heads.
fn take(streams: &mut Vec<u32>, stream: u32) -> bool {
    let place = streams.iter().rposition(|one| *one == stream);
    place.map(|place| streams.remove(place)).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d_an_answer_is_under_way_from_its_last_head_to_its_end() {
        let mut begun = Begun::default();
        begun.head_went(1);
        begun.head_went(3);
        assert!(begun.ended(1) && !begun.ended(1), "once");
        assert!(!begun.ended(5), "nothing went out on it");
        begun.interim.announce(5);
        begun.head_went(5);
        assert!(!begun.ended(5), "a 100 is no answer");
        begun.interim.announce(7);
        begun.head_went(7);
        begun.head_went(7);
        assert!(begun.ended(7) && begun.ended(3));
    }

    #[test]
    fn d_no_more_are_remembered_than_a_client_has() {
        let mut begun = Begun::default();
        let most = u32::try_from(REMEMBERED).unwrap();
        for stream in 0..=most {
            begun.head_went(stream);
        }
        assert!(!begun.ended(0), "forgotten");
        assert!((1..=most).all(|stream| begun.ended(stream)));
        for stream in 0..=most {
            begun.interim.announce(stream);
        }
        assert!(!begun.interim.take(0) && begun.interim.take(1));
    }

    #[test]
    fn d_what_was_announced_ends_with_its_stream_however_many_there_were() {
        let mut begun = Begun::default();
        for stream in [7, 5, 7, 7] {
            begun.interim.announce(stream);
        }
        assert!(!begun.ended(7), "h2 let go of them, and no answer had begun");
        assert!(begun.interim.take(5));
        assert_eq!(begun.interim.count.load(Ordering::Relaxed), 0, "nobody has to look any more");
    }
}
