//! Blocks of header fields in pieces, cut anew on their way to `h2`: each piece that it gets ends where a field ends.
//!
//! A block may be cut anywhere (RFC 9113, section 4.3), and `h2` forgets that it was malformed when a piece ends within
//! a later field: two `:path`, or fields of connections, would pass. So what has begun is held back, and put before
//! what comes next. The bytes of the block stay the same, and so does every other frame.
//!
//! - A piece in which a field ends, ends with that field or a later one. A field that is longer than a frame fills
//!   frames of its own but for its end.
//! - For each frame of a block at least one goes on, so that `h2` still sees floods of them; more, where one would be
//!   too long.
//! - What is held back fits into a frame. What no field has ends its block, and `h2` refuses it there and then.
//! - Connections without such blocks pass, uncopied.
//!
//! DATA that carries nothing and ends nothing does not go on: `h2` bears a hundred of them in a connection's life, and
//! there are honest peers that send one with each message. Who counts floods has seen them before.

use std::mem;
use std::ops::Range;

use bytes::BytesMut;
use tokio::io::ReadBuf;

use super::fields::{Fields, Met};
use super::frames::{CONTINUATION, END_HEADERS, HEAD, HEADERS, PADDED, Walk, is_void};

const PRIORITY: u8 = 0x20;

/// Bytes of a stream's priority.
const PRIORITY_BYTES: usize = 5;

/// The longest payload: nobody announces more, and `h2` refuses more.
const MOST: usize = 16_384;

/// What stands between a stream and `h2`; nothing, as a rule.
#[derive(Debug, Default)]
pub(super) struct Recut(Option<Box<Pieces>>);

impl Recut {
    /// Hands out what is ready; whether there was any.
    pub(super) fn hands_out(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        let Some(pieces) = &mut self.0 else { return false };
        let count = pieces.ready.len().min(buffer.remaining());
        buffer.put_slice(&pieces.ready.split_to(count));
        if pieces.is_idle() {
            self.0 = None;
        }
        count > 0
    }

    /// Looks at what was read behind `before`, and puts there what is to go on; whether there is any, or the stream has
    /// come to its end. `walk` has been over it, and had `left` bytes of a payload before it then.
    pub(super) fn passes(&mut self, walk: &Walk, left: usize, before: usize, buffer: &mut ReadBuf<'_>) -> bool {
        if self.0.is_none() && walk.is_plain() {
            return true;
        }
        let pieces = self.0.get_or_insert_with(|| Box::new(Pieces::within(left)));
        let read = &buffer.filled()[before..];
        if read.is_empty() {
            if buffer.remaining() > 0 {
                pieces.end();
            }
            self.hands_out(buffer);
            return true;
        }
        pieces.take(read);
        buffer.set_filled(before);
        self.hands_out(buffer)
    }
}

/// A direction of a connection while a block is on its way, or the head of a frame.
#[derive(Debug, Default)]
struct Pieces {
    /// Bytes of a payload that pass.
    passing: usize,
    /// A frame's head as far as it has come; of a block, all of it.
    frame: Vec<u8>,
    block: Option<Block>,
    /// To be handed out.
    ready: BytesMut,
}

impl Pieces {
    /// Within a payload of which so many bytes are to come; behind a frame, if none are.
    fn within(left: usize) -> Self {
        Self { passing: left, ..Self::default() }
    }

    /// Whether the bytes that come next may pass.
    fn is_idle(&self) -> bool {
        self.frame.is_empty() && self.block.is_none() && self.ready.is_empty()
    }

    /// Nothing more comes: a frame that is cut goes on as it is.
    fn end(&mut self) {
        self.ready.extend_from_slice(&mem::take(&mut self.frame));
        self.block = None;
    }

    fn take(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let wanted = if self.passing > 0 { self.passing } else { self.frame_length() - self.frame.len() };
            let (part, rest) = bytes.split_at(wanted.min(bytes.len()));
            bytes = rest;
            if self.passing > 0 {
                self.ready.extend_from_slice(part);
                self.passing -= part.len();
            } else {
                self.frame.extend_from_slice(part);
                self.judge();
            }
        }
    }

    /// How long the frame is, as far as that is known.
    fn frame_length(&self) -> usize {
        HEAD + self.frame.first_chunk().map_or(0, |head| Head::of(head).length)
    }

    /// Sends the frame on its way, when it is clear what it is.
    fn judge(&mut self) {
        let Some((head, payload)) = self.frame.split_first_chunk() else { return };
        let head = Head::of(head);
        if self.is_of_block(head) {
            if payload.len() == head.length {
                let frame = mem::take(&mut self.frame);
                self.recut(head, &frame);
            }
            return;
        }
        if self.block.is_none() && head.is_void() {
            self.frame.clear();
            return;
        }
        if let Some(block) = self.block.take() {
            // Nothing may come between, and `h2` says so; but where it has refused the beginning of a block, only to
            // what goes on with it.
            put_head(&mut self.ready, 0, CONTINUATION, 0, block.stream);
        }
        self.ready.extend_from_slice(&mem::take(&mut self.frame));
        self.passing = head.length;
    }

    fn is_of_block(&self, head: Head) -> bool {
        let is_of_block = match &self.block {
            None => head.kind == HEADERS && head.flags & END_HEADERS == 0,
            Some(block) => head.kind == CONTINUATION && same_stream(head.stream, block.stream),
        };
        is_of_block && head.length <= MOST
    }

    fn recut(&mut self, head: Head, frame: &[u8]) {
        let payload = &frame[HEAD..];
        let mut fragment = payload;
        let mut block = match self.block.take() {
            Some(block) => block,
            None => match fragment_of(head.flags, payload) {
                Some(place) => {
                    fragment = &payload[place.clone()];
                    Block::new(head, &payload[..place.start], &payload[place.end..])
                }
                // `h2` refuses it.
                None => return self.ready.extend_from_slice(frame),
            },
        };
        let goes_on = block.take(fragment, head.flags & END_HEADERS != 0, &mut self.ready);
        self.block = goes_on.then_some(block);
    }
}

/// A block that has begun.
#[derive(Debug)]
struct Block {
    stream: [u8; 4],
    /// The frame of its first piece, until that has gone on.
    first: Option<First>,
    /// At the end of what is held back.
    fields: Fields,
    /// What is held back.
    held: Vec<u8>,
    /// Where the last field ends in it.
    whole: usize,
}

/// What a first frame has beside its piece.
#[derive(Debug)]
struct First {
    flags: u8,
    before: Vec<u8>,
    padding: Vec<u8>,
}

impl Block {
    fn new(head: Head, before: &[u8], padding: &[u8]) -> Self {
        let first = First { flags: head.flags, before: before.to_vec(), padding: padding.to_vec() };
        Self { stream: head.stream, first: Some(first), fields: Fields::new(), held: Vec::new(), whole: 0 }
    }

    /// Passes on what has come to the end of a field; whether the block goes on.
    fn take(&mut self, fragment: &[u8], mut last: bool, out: &mut BytesMut) -> bool {
        let (mut start, mut at) = (0, self.held.len());
        self.held.extend_from_slice(fragment);
        while at < self.held.len() {
            let (walked, met) = self.fields.walk(&self.held[at..]);
            at += walked;
            while at - start > MOST {
                let end = if self.whole > start { self.whole } else { start + MOST };
                self.pass(start..end, 0, out);
                start = end;
            }
            match met {
                Met::End => self.whole = at,
                Met::More => {}
                Met::NoField => {
                    self.held.truncate(at);
                    last = true;
                }
            }
        }
        if last {
            self.pass(start..at, END_HEADERS, out);
            return false;
        }
        if start == 0 {
            start = self.whole;
            self.pass(0..start, 0, out);
        }
        self.held.drain(..start);
        self.whole = self.whole.saturating_sub(start);
        true
    }

    fn pass(&mut self, piece: Range<usize>, flags: u8, out: &mut BytesMut) {
        let piece = &self.held[piece];
        if let Some(First { flags: own, before, padding }) = self.first.take() {
            put_head(out, before.len() + piece.len() + padding.len(), HEADERS, own | flags, self.stream);
            out.extend_from_slice(&[&before, piece, &padding].concat());
        } else {
            put_head(out, piece.len(), CONTINUATION, flags, self.stream);
            out.extend_from_slice(piece);
        }
    }
}

/// The head of a frame.
#[derive(Debug, Clone, Copy)]
struct Head {
    length: usize,
    kind: u8,
    flags: u8,
    stream: [u8; 4],
}

impl Head {
    fn of(&[a, b, c, kind, flags, ref stream @ ..]: &[u8; HEAD]) -> Self {
        let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        Self { length, kind, flags, stream: *stream }
    }

    /// Whether it is of no use to anybody. On the connection's own stream it breaks a rule, and `h2` is to say so.
    fn is_void(self) -> bool {
        is_void(self.kind, self.flags, self.length) && !same_stream(self.stream, [0; 4])
    }
}

fn put_head(out: &mut BytesMut, length: usize, kind: u8, flags: u8, stream: [u8; 4]) {
    let [.., a, b, c] = length.to_be_bytes();
    out.extend_from_slice(&[a, b, c, kind, flags]);
    out.extend_from_slice(&stream);
}

/// The first bit says nothing (RFC 9113, section 4.1).
fn same_stream(one: [u8; 4], other: [u8; 4]) -> bool {
    (u32::from_be_bytes(one) ^ u32::from_be_bytes(other)) << 1 == 0
}

/// Where the piece of a block is in the payload of its first frame; `None` when there is no room for what goes around.
fn fragment_of(flags: u8, payload: &[u8]) -> Option<Range<usize>> {
    let (mut start, mut padding) = (0, 0);
    if flags & PADDED != 0 {
        padding = usize::from(*payload.first()?);
        start = 1;
    }
    if flags & PRIORITY != 0 {
        start += PRIORITY_BYTES;
    }
    let end = payload.len().checked_sub(padding)?;
    (start <= end).then_some(start..end)
}

#[cfg(test)]
mod tests;
