//! What was read of a body and waits to go out on a stream. Small pieces that are there together become one frame; one
//! behind which nothing comes goes out at once.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;

use super::small_frames::{SMALL_BYTES, SmallFrames};

/// A piece from this size on is not copied behind a small one.
const COPY_BYTES: usize = 8 * 1024;

/// How a body came to its end.
#[derive(Debug)]
pub enum End {
    /// With its last byte.
    Whole,
    /// With trailers.
    Trailers(Box<HeaderMap>),
}

/// What waits.
#[derive(Debug, Default)]
pub struct Gathered {
    /// Goes out first; or `joined` does, never both.
    first: Bytes,
    joined: Vec<u8>,
    /// A large piece behind that.
    behind: Bytes,
    end: Option<End>,
    small: SmallFrames,
}

impl Gathered {
    /// Whether the body is to be read on before something goes out.
    #[inline]
    pub fn wants_more(&self) -> bool {
        self.end.is_none() && self.behind.is_empty() && self.len() < SMALL_BYTES
    }

    /// Whether nothing waits but the end.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that may go out next.
    #[inline]
    pub fn len(&self) -> usize {
        self.first.len() + self.joined.len()
    }

    /// Bytes that wait, in all.
    pub fn held(&self) -> usize {
        self.len() + self.behind.len()
    }

    /// Puts a piece behind what waits; more must be wanted.
    #[inline]
    pub fn push(&mut self, piece: Bytes) {
        if self.is_empty() {
            self.first = piece;
        } else {
            self.join(piece);
        }
    }

    fn join(&mut self, piece: Bytes) {
        if piece.len() >= COPY_BYTES {
            self.behind = piece;
            return;
        }
        if self.joined.is_empty() {
            self.joined.reserve(2 * (self.first.len() + piece.len()));
            self.joined.extend_from_slice(&std::mem::take(&mut self.first));
        }
        self.joined.extend_from_slice(&piece);
    }

    /// Nothing comes behind what waits, but trailers where there are some.
    pub fn end(&mut self, trailers: Option<HeaderMap>) {
        self.end = Some(trailers.map_or(End::Whole, |trailers| End::Trailers(Box::new(trailers))));
    }

    /// The next frame, of so many bytes at most; something must wait. Pending while `h2` holds as many small ones as it
    /// may: what is read meanwhile is joined.
    pub fn poll_take(&mut self, room: usize, cx: &Context<'_>) -> Poll<Bytes> {
        let is_small = room.min(self.len()) < SMALL_BYTES;
        if is_small {
            ready!(self.small.poll_room(cx));
        }
        if !self.joined.is_empty() {
            self.first = Bytes::from(std::mem::take(&mut self.joined));
        }
        let piece = self.first.split_to(room.min(self.first.len()));
        if self.first.is_empty() {
            self.first = std::mem::take(&mut self.behind);
        }
        Poll::Ready(if is_small { self.small.frame(piece) } else { piece })
    }

    /// Whether the frame that was taken is the body's last.
    #[inline]
    pub fn is_over(&self) -> bool {
        self.is_empty() && matches!(self.end, Some(End::Whole))
    }

    /// The end, once nothing else waits.
    pub fn take_end(&mut self) -> Option<End> {
        if self.is_empty() { self.end.take() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn take(gathered: &mut Gathered, room: usize) -> Bytes {
        let Poll::Ready(frame) = gathered.poll_take(room, &Context::from_waker(Waker::noop())) else {
            panic!("too many small frames wait")
        };
        frame
    }

    #[test]
    fn small_pieces_become_one_frame_and_large_ones_are_not_copied() {
        let mut gathered = Gathered::default();
        for _ in 0..SMALL_BYTES {
            assert!(gathered.wants_more());
            gathered.push(Bytes::from_static(b"x"));
        }
        assert!(!gathered.wants_more());
        assert_eq!(take(&mut gathered, usize::MAX), vec![b'x'; SMALL_BYTES]);
        assert!(gathered.is_empty() && gathered.wants_more() && !gathered.is_over());

        let (small, large) = (Bytes::from_static(b"small"), Bytes::from(vec![b'y'; COPY_BYTES]));
        gathered.push(small.clone());
        gathered.push(large.clone());
        assert!(!gathered.wants_more());
        assert_eq!(take(&mut gathered, usize::MAX).as_ptr(), small.as_ptr());
        assert_eq!(take(&mut gathered, usize::MAX).as_ptr(), large.as_ptr());
        assert!(gathered.is_empty());
    }

    #[test]
    fn what_finds_no_room_waits_in_order_and_the_end_behind_it() {
        let mut gathered = Gathered::default();
        for piece in [&b"one"[..], b"two", b"three"] {
            gathered.push(Bytes::from_static(piece));
        }
        assert_eq!(take(&mut gathered, 4), "onet");
        gathered.push(Bytes::from_static(b"four"));
        gathered.end(None);
        assert!(!gathered.wants_more() && gathered.take_end().is_none() && !gathered.is_over());
        assert_eq!((gathered.len(), take(&mut gathered, usize::MAX)), (11, "wothreefour".into()));
        assert!(gathered.is_over() && matches!(gathered.take_end(), Some(End::Whole)));

        let mut gathered = Gathered::default();
        gathered.push(Bytes::new());
        assert!(gathered.is_empty() && gathered.wants_more());
        gathered.end(Some(HeaderMap::new()));
        assert!(!gathered.is_over() && matches!(gathered.take_end(), Some(End::Trailers(_))));
    }

    #[test]
    fn d_pieces_that_come_one_by_one_are_joined_while_many_small_frames_wait() {
        let cx = Context::from_waker(Waker::noop());
        let (mut gathered, mut waiting) = (Gathered::default(), Vec::new());
        for _ in 0..10_000 {
            gathered.push(Bytes::from_static(b"x"));
            if let Poll::Ready(frame) = gathered.poll_take(usize::MAX, &cx) {
                waiting.push(frame);
            }
        }
        assert!(waiting.len() < 100, "{} frames", waiting.len());
        waiting.pop();
        waiting.remove(waiting.len() - 20);
        assert!(gathered.poll_take(1, &cx).is_ready(), "one has left");
        let sent: usize = waiting.iter().map(Bytes::len).sum();
        assert!(sent > 8_000 && gathered.len() < SMALL_BYTES);
    }
}
