//! What has passed of a request's body, kept so that it can be sent again.
//!
//! Bounded: a body that grows beyond the bound is not kept, and streams on as if nobody had asked. What was kept and is
//! more than is wanted passes once more, and is let go of part by part. What is replayed is byte for byte what passed,
//! trailers included. Small parts are copied together: each would else keep all of the
//! buffer that it was read into, and a client chooses how small they are.

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Frame, SizeHint};

use crate::held_bytes::{Gathered, Kept};

/// A part below this is copied behind the one before it, into pieces of up to this size; a larger one is kept as it is,
/// in the buffer that it was read into, which has at most a few times its size.
const COPIED_BYTES: usize = 16 * 1024;

/// The beginning of a body, or all of it.
#[derive(Debug)]
pub struct Replay {
    parts: Vec<Part>,
    /// Small parts behind those, copied together; none of them while something is replayed.
    tail: BytesMut,
    bytes: usize,
    most: usize,
    /// The next part to be replayed; the number of parts where none is.
    next: usize,
    /// What passes again is kept no longer.
    lets_go: bool,
    /// Some of it has been let go of.
    is_broken: bool,
    /// The body has come to its end.
    ended: bool,
    /// What was known of its length before a byte was read.
    hint: SizeHint,
    /// Data that is gathered before any of it is passed on.
    gathered: Option<Gathered>,
    /// There was no room to gather all that has passed.
    is_crowded: bool,
    /// The share of a worker's memory that was taken for it.
    kept: Option<Kept>,
}

#[derive(Debug, Clone)]
enum Part {
    Data(Bytes),
    Trailers(Box<HeaderMap>),
}

impl Replay {
    /// Keeps up to so many bytes of a body of which this is known.
    pub fn new(most: usize, hint: SizeHint) -> Self {
        Self {
            parts: Vec::new(),
            tail: BytesMut::new(),
            bytes: 0,
            most,
            next: 0,
            lets_go: false,
            is_broken: false,
            ended: false,
            hint,
            gathered: None,
            is_crowded: false,
            kept: None,
        }
    }

    /// All of a body, which has not passed yet.
    pub fn whole(bytes: Bytes) -> Self {
        let length = bytes.len();
        let hint = SizeHint::with_exact(length as u64);
        Self { parts: vec![Part::Data(bytes)], bytes: length, ended: true, ..Self::new(usize::MAX, hint) }
    }

    /// Gathers a body of which this is known in one piece, for as long as there is room.
    pub fn gathering(gathered: Gathered, hint: SizeHint) -> Self {
        Self { gathered: Some(gathered), ..Self::new(usize::MAX, hint) }
    }

    /// Whether a body of which this is known may fit.
    pub fn may_hold(most: usize, hint: &SizeHint) -> bool {
        hint.lower() <= most as u64
    }

    /// The next part that passed before and has to pass again.
    pub fn again(&mut self) -> Option<Frame<Bytes>> {
        let part = self.parts.get_mut(self.next)?;
        self.next += 1;
        Some(match part {
            Part::Data(data) if self.lets_go => {
                self.is_broken = true;
                let data = std::mem::take(data);
                // What was gathered is the first part; its share lasts until it is written.
                Frame::data(match self.kept.take() {
                    Some(kept) => kept.hold(data),
                    None => data,
                })
            }
            Part::Data(data) => Frame::data(data.clone()),
            Part::Trailers(trailers) => Frame::trailers((**trailers).clone()),
        })
    }

    /// Whether all of it can pass again.
    pub fn is_whole(&self) -> bool {
        !self.is_broken
    }

    /// Whether it will be whole when it has passed again.
    pub fn stays(&self) -> bool {
        !self.lets_go
    }

    /// Whether nobody has anything to expect of it any more.
    pub fn is_done(&self) -> bool {
        self.lets_go && self.is_even()
    }

    /// Whether nothing has to pass again.
    pub fn is_even(&self) -> bool {
        self.next == self.parts.len()
    }

    /// Keeps a part that passes for the first time; false when it does not fit, and then all is to be forgotten, or
    /// what was gathered is to pass again (`overflow`).
    pub fn keep(&mut self, frame: &Frame<Bytes>) -> bool {
        if let Some(data) = frame.data_ref() {
            self.bytes = self.bytes.saturating_add(data.len());
            if let Some(gathered) = &mut self.gathered {
                return gathered.add(data);
            }
            if self.bytes > self.most {
                return false;
            }
            self.keep_data(data);
        } else if let Some(trailers) = frame.trailers_ref() {
            self.push(Part::Trailers(Box::new(trailers.clone())));
        }
        true
    }

    /// Ends the gathering behind a part for which there was no room: it passes again behind what was gathered. False
    /// where nothing was being gathered.
    pub fn overflow(&mut self, frame: &Frame<Bytes>) -> bool {
        if self.gathered.is_none() {
            return false;
        }
        self.gathered();
        self.is_crowded = true;
        if let Some(data) = frame.data_ref() {
            self.push(Part::Data(data.clone()));
        }
        true
    }

    /// Whether there was no room to gather all that has passed.
    pub fn is_crowded(&self) -> bool {
        self.is_crowded
    }

    fn keep_data(&mut self, data: &Bytes) {
        if data.len() >= COPIED_BYTES {
            self.push(Part::Data(data.clone()));
            return;
        }
        if self.tail.len() + data.len() > COPIED_BYTES {
            self.settle();
        }
        self.tail.extend_from_slice(data);
    }

    /// Puts a part behind all that was kept.
    fn push(&mut self, part: Part) {
        self.settle();
        self.parts.push(part);
        self.next = self.parts.len();
    }

    /// Makes a part of what was copied together.
    fn settle(&mut self) {
        if !self.tail.is_empty() {
            self.parts.push(Part::Data(std::mem::take(&mut self.tail).freeze()));
            self.next = self.parts.len();
        }
    }

    /// Bytes that were kept.
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Ends the gathering: what was gathered is one part from here on.
    pub fn gathered(&mut self) -> Bytes {
        let Some(gathered) = self.gathered.take() else { return Bytes::new() };
        let (bytes, kept) = gathered.into_parts();
        if !bytes.is_empty() {
            // Trailers come behind it.
            self.parts.insert(0, Part::Data(bytes.clone()));
            self.next = self.parts.len();
        }
        self.kept = Some(kept);
        bytes
    }

    /// All of it, where it has come to its end and is one piece already.
    pub fn as_one(&self) -> Option<Bytes> {
        let is_over = self.ended && !self.is_broken && self.gathered.is_none() && self.tail.is_empty();
        match self.parts.as_slice() {
            [Part::Data(data)] if is_over => Some(data.clone()),
            _ => None,
        }
    }

    /// Changes how much is kept. Where that is less than what was kept before, that is let go of as it passes again.
    pub fn keep_up_to(&mut self, most: usize) {
        self.most = most.max(self.bytes);
        self.lets_go = self.is_broken || self.bytes > most;
    }

    /// The body has come to its end.
    pub fn end(&mut self) {
        self.ended = true;
        self.settle();
    }

    /// The same body once more, from its beginning; it has come to its end.
    pub fn copy(&self) -> Self {
        let mut parts = self.parts.clone();
        if !self.tail.is_empty() {
            parts.push(Part::Data(Bytes::copy_from_slice(&self.tail)));
        }
        Self { parts, kept: self.kept.clone(), bytes: self.bytes, ended: true, ..Self::new(self.most, self.hint) }
    }

    /// Whether it has.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// From the beginning again, unless some of it has been let go of.
    pub fn rewind(&mut self) {
        self.settle();
        if !self.is_broken {
            self.next = 0;
        }
    }

    /// What is known of the body's length: all, once it has come to its end, and else what was known before a byte was
    /// read. Behind a length there is no room for trailers.
    pub fn hint(&self) -> SizeHint {
        let has_trailers = self.parts.iter().any(|part| matches!(part, Part::Trailers(_)));
        let is_known = self.ended && !self.is_broken && !has_trailers;
        if is_known { SizeHint::with_exact(self.bytes as u64) } else { self.hint }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(replay: &mut Replay) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some(frame) = replay.again() {
            match frame.into_data() {
                Ok(data) => all.extend_from_slice(&data),
                Err(frame) => all.extend_from_slice(format!("{:?}", frame.into_trailers().unwrap()).as_bytes()),
            }
        }
        all
    }

    #[test]
    fn trailers_pass_again_too() {
        let mut replay = Replay::new(10, SizeHint::default());
        assert!(replay.keep(&Frame::data(Bytes::from_static(b"abc"))));
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", http::HeaderValue::from_static("1"));
        assert!(replay.keep(&Frame::trailers(trailers)));
        assert!(replay.is_even());
        replay.rewind();
        assert_eq!(text(&mut replay), b"abc{\"x-sum\": \"1\"}");
    }

    #[test]
    fn how_long_it_is_is_known_at_its_end_unless_trailers_follow() {
        let mut replay = Replay::new(10, SizeHint::default());
        assert!(replay.keep(&Frame::data(Bytes::from_static(b"abc"))));
        assert_eq!(replay.hint().exact(), None);
        let mut trailed = replay.copy();
        trailed.end();
        replay.end();
        assert_eq!((replay.hint().exact(), replay.copy().hint().exact()), (Some(3), Some(3)));
        assert!(trailed.keep(&Frame::trailers(HeaderMap::new())));
        assert_eq!(trailed.hint().exact(), None);
        let mut none = Replay::new(10, SizeHint::default());
        none.end();
        assert_eq!(none.hint().exact(), Some(0));
    }

    #[test]
    fn what_is_wanted_no_more_passes_again_if_it_must_and_ends_with_the_next_part() {
        let mut replay = Replay::new(10, SizeHint::default());
        assert!(replay.keep(&Frame::data(Bytes::from_static(b"abc"))));
        replay.rewind();
        replay.keep_up_to(0);
        assert_eq!(text(&mut replay), b"abc");
        assert!(!replay.keep(&Frame::data(Bytes::from_static(b"d"))));
    }

    #[test]
    fn what_is_let_go_of_gives_its_room_back_once_it_was_written() {
        let all = std::sync::Arc::new(crate::held_bytes::HeldBytes::default());
        let gathered = |most: usize| {
            let mut replay = Replay::gathering(Gathered::new(&all, 1 << 20), SizeHint::default());
            assert!(replay.keep(&Frame::data(Bytes::from_static(b"abc"))));
            replay.gathered();
            replay.end();
            replay.rewind();
            replay.keep_up_to(most);
            replay
        };
        let mut replay = gathered(2);
        assert!(replay.is_whole() && !replay.stays() && !replay.is_done(), "nothing of it has passed yet");
        let part = replay.again().unwrap().into_data().unwrap();
        assert!(replay.is_done() && !replay.is_whole());
        replay.keep_up_to(3);
        assert!(!replay.stays(), "too late");
        replay.rewind();
        assert!(replay.again().is_none());
        drop(replay);
        assert!(all.count() > 0, "it is still being written");
        assert_eq!(part, "abc");
        drop(part);
        assert_eq!(all.count(), 0);

        // What may have to go again, and is no more than what is kept for that, stays.
        let mut replay = gathered(3);
        for _ in 0..2 {
            assert_eq!(text(&mut replay), b"abc");
            replay.rewind();
        }
        assert!(replay.stays() && all.count() > 0);
    }

    #[test]
    fn what_finds_no_room_passes_again_behind_what_did() {
        let all = std::sync::Arc::new(crate::held_bytes::HeldBytes::default());
        let mut replay = Replay::gathering(Gathered::new(&all, 1024), SizeHint::default());
        assert!(replay.keep(&Frame::data(Bytes::from_static(b"abc"))) && !replay.is_crowded());
        let large = Frame::data(Bytes::from(vec![b'd'; 2000]));
        assert!(!replay.keep(&large) && replay.overflow(&large) && replay.is_crowded());
        assert!(replay.keep(&Frame::data(Bytes::from_static(b"e"))), "nothing is gathered any more");
        assert!(!Replay::new(1, SizeHint::default()).overflow(&large));
        replay.rewind();
        assert_eq!(text(&mut replay), [b"abc", &vec![b'd'; 2000][..], b"e"].concat());
    }

    #[test]
    fn what_comes_byte_by_byte_is_kept_in_a_few_pieces_that_hold_nothing_else() {
        const MOST: usize = 4 * COPIED_BYTES;
        let mut replay = Replay::new(MOST, SizeHint::default());
        let read = Bytes::from(vec![b'x'; 8192]);
        for at in 0..MOST {
            let byte = at % read.len();
            assert!(replay.keep(&Frame::data(read.slice(byte..=byte))));
            assert!(replay.keep(&Frame::data(Bytes::new())), "what is empty takes nothing");
        }
        assert!(read.is_unique(), "nothing keeps what was read");
        assert_eq!(replay.copy().parts.len(), 4);
        replay.rewind();
        assert_eq!(replay.parts.len(), 4);
        assert_eq!(text(&mut replay).len(), MOST);
        assert!(size_of::<Part>() <= size_of::<Bytes>() + size_of::<usize>());
    }

    #[test]
    fn a_large_part_is_kept_as_it_is_in_its_place() {
        let large = Bytes::from(vec![b'l'; COPIED_BYTES]);
        let mut replay = Replay::new(usize::MAX, SizeHint::default());
        for data in [Bytes::from_static(b"ab"), large.clone(), Bytes::from_static(b"c"), Bytes::from_static(b"d")] {
            assert!(replay.keep(&Frame::data(data)));
        }
        assert!(replay.is_even());
        let mut twin = replay.copy();
        replay.rewind();
        assert_eq!(text(&mut replay), [b"ab", &large[..], b"cd"].concat());
        assert_eq!(text(&mut twin), [b"ab", &large[..], b"cd"].concat());
        assert!(replay.keep(&Frame::data(Bytes::from_static(b"e"))) && replay.is_even(), "it goes on behind them");
        replay.rewind();
        assert_eq!(text(&mut replay), [b"ab", &large[..], b"cde"].concat());
        let part = match &replay.parts[1] {
            Part::Data(data) => data.as_ptr(),
            Part::Trailers(_) => unreachable!(),
        };
        assert_eq!(part, large.as_ptr());
    }

    /// Mostly small ones.
    fn part() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            4 => prop::collection::vec(any::<u8>(), 0..20),
            1 => (COPIED_BYTES - 1..=COPIED_BYTES, any::<u8>()).prop_map(|(length, byte)| vec![byte; length]),
        ]
    }

    proptest! {
        /// However often it is begun again, and wherever that was broken off, the bytes are the same.
        #[test]
        fn a_replay_is_byte_exact(
            parts in prop::collection::vec(part(), 0..10),
            breaks in prop::collection::vec(0_usize..12, 0..5),
        ) {
            let all: Vec<u8> = parts.concat();
            let mut replay = Replay::new(all.len(), SizeHint::default());
            for part in &parts {
                prop_assert!(replay.keep(&Frame::data(Bytes::from(part.clone()))));
            }
            for at in breaks {
                replay.rewind();
                for _ in 0..at { replay.again(); }
            }
            replay.rewind();
            prop_assert_eq!(text(&mut replay), all);
            prop_assert!(!replay.keep(&Frame::data(Bytes::from_static(b"x"))), "one byte more than the bound");
        }
    }
}
