//! Walks over the frames of one direction of a connection (RFC 9113, section 4.1): plain state over bytes, whatever
//! pieces they come in. Payloads are skipped, but for the codes of a reset and of a last word, and a setting.

use super::preface::PREFACE;

/// Bytes of a frame's head.
pub(super) const HEAD: usize = 9;

const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;

const END_STREAM: u8 = 0x1;
const ACK: u8 = 0x1;
pub(super) const PADDED: u8 = 0x8;
pub(super) const END_HEADERS: u8 = 0x4;

/// Bytes of one setting: two of its name, four of its value (RFC 9113, section 6.5.1).
const SETTING: usize = 6;
/// The setting that says how large the fields may be that its sender is sent (RFC 9113, section 6.5.2).
const MAX_HEADER_LIST_SIZE: u16 = 6;

/// Bytes of a GOAWAY's payload up to the end of its code (RFC 9113, section 6.8); text may follow.
const LEFT_CODE_ENDS: usize = 8;

/// DATA that carries nothing, not even padding, and ends nothing: no part of any message.
pub(super) fn is_void(kind: u8, flags: u8, length: usize) -> bool {
    kind == DATA && length == 0 && flags & (END_STREAM | PADDED) == 0
}

/// What is told of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// A stream was reset, with this code.
    Reset { stream: u32, code: u32 },
    /// A frame that carries nothing of a request or an answer: settings, answers to pings, priorities, unknown kinds,
    /// and DATA that is empty and ends nothing.
    Idle,
    /// A ping; carries nothing either.
    Pinged,
    /// An update of a window; carries nothing either, but who reads much sends many.
    Widened,
    /// DATA that carries something, or ends its stream; so many bytes, padding included.
    Carried { stream: u32, ends: bool, bytes: u32 },
    /// A block of header fields began: of a new stream, or trailers; whether nothing follows it.
    Opened { stream: u32, ends: bool },
    /// The settings of the other side were taken note of; carries nothing either.
    Acknowledged,
    /// The sender takes no more streams, and says why with this code; carries nothing either.
    Left { code: u32 },
    /// The sender takes fields of so many bytes at most; told beside the settings that it is one of.
    Bounded { fields: u32 },
}

/// The place in a direction.
#[derive(Debug, Default)]
pub(super) struct Walk {
    /// A frame's head as far as it has come.
    head: [u8; HEAD],
    has: usize,
    /// Bytes of payload that are still to come.
    left: usize,
    kind: u8,
    flags: u8,
    /// The last four bytes that have come of a reset's payload, or of a last word's as far as its code.
    code: u32,
    /// The last eight bytes that have come of settings.
    setting: u64,
    /// A block of header fields has begun, and not come to its end.
    in_block: bool,
    /// A block that one frame does not end began in what was walked over last, or a frame in it is not to go on.
    goes_on: bool,
}

impl Walk {
    /// What a server sends.
    pub(super) fn of_server() -> Self {
        Self::default()
    }

    /// What a client sends: its preface comes before the frames, as if it were a payload.
    pub(super) fn of_client() -> Self {
        Self { left: PREFACE.len(), kind: DATA, ..Self::default() }
    }

    /// Whether a block of header fields has begun, and not come to its end.
    pub(super) fn in_block(&self) -> bool {
        self.in_block
    }

    /// Bytes of a payload that are still to come.
    pub(super) fn left(&self) -> usize {
        self.left
    }

    /// Whether all of what was walked over last may go on as it is: no block that one frame does not end began in it,
    /// no frame in it is void, and it has no half of a frame's head.
    pub(super) fn is_plain(&self) -> bool {
        !self.goes_on && self.has == 0
    }

    /// Walks over the next bytes.
    pub(super) fn over(&mut self, mut bytes: &[u8], mut each: impl FnMut(Seen)) {
        self.goes_on = false;
        while !bytes.is_empty() {
            if self.left > 0 {
                let (payload, rest) = bytes.split_at(self.left.min(bytes.len()));
                bytes = rest;
                match self.kind {
                    RST_STREAM | GOAWAY => self.read_code(payload),
                    SETTINGS => self.read_settings(payload, &mut each),
                    _ => {}
                }
                self.left -= payload.len();
                if self.left == 0 {
                    self.end(&mut each);
                }
                continue;
            }
            let (part, rest) = bytes.split_at((HEAD - self.has).min(bytes.len()));
            bytes = rest;
            self.head[self.has..self.has + part.len()].copy_from_slice(part);
            self.has += part.len();
            if self.has == HEAD {
                self.has = 0;
                self.begin(&mut each);
            }
        }
    }

    /// Reads on in a payload that has a code, of which these bytes are the next.
    #[cold]
    fn read_code(&mut self, payload: &[u8]) {
        let ends = if self.kind == GOAWAY { LEFT_CODE_ENDS } else { usize::MAX };
        let had = self.length() - self.left;
        let read = payload.iter().take(ends.saturating_sub(had));
        self.code = read.fold(self.code, |code, byte| code << 8 | u32::from(*byte));
    }

    /// Reads on in settings, of which these bytes are the next.
    #[cold]
    fn read_settings(&mut self, payload: &[u8], each: &mut impl FnMut(Seen)) {
        let had = self.length() - self.left;
        for (place, byte) in (had + 1..).zip(payload) {
            self.setting = self.setting << 8 | u64::from(*byte);
            let [_, _, name @ .., a, b, c, d] = self.setting.to_be_bytes();
            if place % SETTING == 0 && u16::from_be_bytes(name) == MAX_HEADER_LIST_SIZE {
                each(Seen::Bounded { fields: u32::from_be_bytes([a, b, c, d]) });
            }
        }
    }

    /// Bytes of the payload of the frame whose head came last.
    fn length(&self) -> usize {
        let [a, b, c, ..] = self.head;
        usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c)
    }

    /// The stream of the frame whose head came last. The first bit says nothing (RFC 9113, section 4.1).
    fn stream(&self) -> u32 {
        let [.., a, b, c, d] = self.head;
        u32::from_be_bytes([a, b, c, d]) & (u32::MAX >> 1)
    }

    /// DATA whose payload is all to come.
    fn carried(&self) -> Seen {
        let bytes = u32::try_from(self.left).unwrap_or(u32::MAX);
        Seen::Carried { stream: self.stream(), ends: self.flags & END_STREAM != 0, bytes }
    }

    fn begin(&mut self, each: &mut impl FnMut(Seen)) {
        let [_, _, _, kind, flags, ..] = self.head;
        self.left = self.length();
        (self.kind, self.flags) = (kind, flags);
        self.goes_on |= is_void(kind, flags, self.left);
        match kind {
            HEADERS => {
                self.in_block = true;
                self.goes_on |= flags & END_HEADERS == 0;
                each(Seen::Opened { stream: self.stream(), ends: flags & END_STREAM != 0 });
            }
            CONTINUATION => self.in_block = true,
            SETTINGS if flags & ACK != 0 => each(Seen::Acknowledged),
            DATA if self.left > 0 || flags & END_STREAM != 0 => each(self.carried()),
            PING if flags & ACK == 0 => each(Seen::Pinged),
            RST_STREAM | GOAWAY => self.code = 0,
            WINDOW_UPDATE => each(Seen::Widened),
            _ => each(Seen::Idle),
        }
        if self.left == 0 {
            self.end(each);
        }
    }

    fn end(&mut self, each: &mut impl FnMut(Seen)) {
        match self.kind {
            HEADERS | CONTINUATION if self.flags & END_HEADERS != 0 => self.in_block = false,
            RST_STREAM => each(Seen::Reset { stream: self.stream(), code: self.code }),
            GOAWAY => each(Seen::Left { code: self.code }),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, 1], payload].concat()
    }

    #[test]
    fn frames_are_told_whatever_pieces_they_come_in() {
        let bytes = [
            PREFACE.to_vec(),
            frame(SETTINGS, 0, b"\0\x04\0\0\0\x06\0\x06\0\0\x20\0\0\x06\0\0\x40\0"),
            frame(SETTINGS, ACK, b""),
            frame(HEADERS, END_HEADERS, b"block"),
            frame(DATA, 0, b"\0\0\0\x03\0"),
            frame(DATA, 0, b""),
            frame(DATA, END_STREAM, b""),
            frame(WINDOW_UPDATE, 0, &[0, 0, 0, 1]),
            frame(RST_STREAM, 0, &[0, 0, 0, 8]),
            frame(PING, 0, &[0; 8]),
            frame(GOAWAY, 0, b"\0\0\0\x01\0\0\0\x0bwhy"),
            frame(PING, ACK, &[0; 8]),
            frame(0x40, 0, b""),
        ]
        .concat();
        for step in 1..=bytes.len() {
            let (mut walk, mut seen) = (Walk::of_client(), Vec::new());
            for piece in bytes.chunks(step) {
                walk.over(piece, |one| seen.push(one));
            }
            let carried = |bytes, ends| Seen::Carried { stream: 1, ends, bytes };
            let (idle, reset) = (Seen::Idle, Seen::Reset { stream: 1, code: 8 });
            let bounds = [idle, Seen::Bounded { fields: 8192 }, Seen::Bounded { fields: 16_384 }];
            let settled = [Seen::Acknowledged, Seen::Opened { stream: 1, ends: false }, carried(5, false)];
            let data = [idle, carried(0, true)];
            let last = [Seen::Widened, reset, Seen::Pinged, Seen::Left { code: 11 }, idle, idle];
            let all = [&bounds[..], &settled, &data, &last].concat();
            assert_eq!(seen, all, "in steps of {step}");
        }
    }

    #[test]
    fn a_block_is_open_until_its_last_byte() {
        let mut walk = Walk::of_server();
        let mut then = |bytes: &[u8]| {
            walk.over(bytes, |_| {});
            walk.in_block()
        };
        assert!(!then(&frame(DATA, 0, b"x")));
        assert!(then(&frame(HEADERS, 0, b"ab")), "more is to come in CONTINUATION");
        let last = frame(CONTINUATION, END_HEADERS, b"cd");
        assert!(then(&last[..10]));
        assert!(!then(&last[10..]));
        assert!(!then(&frame(HEADERS, END_HEADERS, b"")));
    }

    #[test]
    fn what_is_plain_has_no_block_that_goes_on_and_no_half_a_head() {
        let mut walk = Walk::of_client();
        let mut then = |bytes: &[u8]| {
            walk.over(bytes, |_| {});
            (walk.is_plain(), walk.left())
        };
        assert_eq!(then(&PREFACE[..20]), (true, 4));
        assert_eq!(then(&PREFACE[20..]), (true, 0));
        let settings = frame(SETTINGS, 0, &[0; 6]);
        assert_eq!(then(&settings[..8]), (false, 0));
        assert_eq!(then(&settings[8..10]), (true, 5));
        assert_eq!(then(&settings[10..]), (true, 0));
        assert_eq!(then(&frame(HEADERS, END_HEADERS, b"block")), (true, 0));
        let begun = frame(HEADERS, 0, b"block");
        assert_eq!(then(&[&begun[..], &settings].concat()), (false, 0));
        assert_eq!(then(&frame(DATA, 0, b"x")), (true, 0));
        assert_eq!(then(&[frame(DATA, 0, b""), frame(DATA, 0, b"x")].concat()), (false, 0), "one is not to go on");
        assert_eq!(then(&[frame(DATA, END_STREAM, b""), frame(DATA, PADDED, &[0])].concat()), (true, 0));
    }
}
