//! The frames of a WebSocket as their bytes pass (RFC 6455, section 5.2), so far as it takes to know whether one side
//! has said that it closes. Nothing is kept, and nothing is refused: what is no frame is for the two ends to find out.

/// The head of a frame without its mask: two bytes, and eight of a long length.
const HEAD_BYTES: usize = 10;
/// The operation of a frame that closes.
const CLOSE: u8 = 8;
const MASK_BYTES: u64 = 4;

/// One direction.
#[derive(Debug, Default)]
pub(super) struct Frames {
    head: [u8; HEAD_BYTES],
    /// Bytes of the head that have come.
    come: usize,
    /// Bytes of the frame behind its head that have not.
    left: u64,
    has_closed: bool,
}

impl Frames {
    /// These bytes pass.
    pub(super) fn see(&mut self, mut bytes: &[u8]) {
        while let [first, rest @ ..] = bytes
            && !self.has_closed
        {
            if self.left > 0 {
                let passed = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
                self.left -= passed as u64;
                bytes = &bytes[passed..];
                continue;
            }
            self.head[self.come] = *first;
            self.come += 1;
            bytes = rest;
            if let Some(length) = self.length() {
                self.has_closed = self.head[0] & 0x0f == CLOSE;
                (self.left, self.come) = (length, 0);
            }
        }
    }

    /// Whether a frame has said that this side closes.
    pub(super) fn has_closed(&self) -> bool {
        self.has_closed
    }

    /// What follows the head, once that is whole.
    fn length(&self) -> Option<u64> {
        let [_, second, rest @ ..] = &self.head[..self.come] else { return None };
        let length = match second & 0x7f {
            126 => u16::from_be_bytes(rest.try_into().ok()?).into(),
            127 => u64::from_be_bytes(rest.try_into().ok()?),
            short => short.into(),
        };
        Some(length.saturating_add(if second & 0x80 == 0 { 0 } else { MASK_BYTES }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(operation: u8, length: usize, masked: bool) -> Vec<u8> {
        let mask = if masked { 0x80 } else { 0 };
        let mut frame = vec![0x80 | operation];
        match length {
            short @ 0..126 => frame.push(mask | short as u8),
            medium @ 126..65_536 => {
                frame.push(mask | 126);
                frame.extend((medium as u16).to_be_bytes());
            }
            long => {
                frame.push(mask | 127);
                frame.extend((long as u64).to_be_bytes());
            }
        }
        // What is inside looks like a frame that closes.
        frame.resize(frame.len() + if masked { 4 } else { 0 } + length, 0x88);
        frame
    }

    fn closes(bytes: &[u8], pieces: usize) -> bool {
        let mut frames = Frames::default();
        bytes.chunks(pieces.max(1)).for_each(|piece| frames.see(piece));
        frames.has_closed()
    }

    proptest! {
        #[test]
        fn a_close_is_seen_between_frames_and_never_within_one(
            before in prop::collection::vec((0_u8..3, 0_usize..300, any::<bool>()), 0..6),
            long in prop::option::of(65_536_usize..66_000),
            pieces in 1_usize..400,
        ) {
            let before = before.into_iter().flat_map(|(kind, length, masked)| frame(kind, length, masked));
            let mut bytes: Vec<u8> = before.collect();
            bytes.extend(long.into_iter().flat_map(|length| frame(2, length, false)));
            prop_assert!(!closes(&bytes, pieces));
            bytes.extend(frame(CLOSE, 2, true));
            prop_assert!(closes(&bytes, pieces));
        }

        #[test]
        fn any_bytes_may_pass(bytes in prop::collection::vec(any::<u8>(), 0..600), pieces in 1_usize..50) {
            prop_assert_eq!(closes(&bytes, pieces), closes(&bytes, usize::MAX));
        }
    }
}
