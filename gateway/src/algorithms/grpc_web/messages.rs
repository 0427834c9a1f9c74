//! Messages of gRPC as they follow each other: what each is and how long, in five bytes before it (gRPC over HTTP/2,
//! "Length-Prefixed-Message"). Nothing of them is kept.

/// Bytes before a message: what it is, and its length.
pub(super) const PREFIX: u8 = 5;

/// Follows a body's bytes from message to message.
#[derive(Debug, Default, Clone, Copy)]
pub struct Messages {
    /// How many bytes of a prefix have come.
    prefix: u8,
    /// While a prefix comes, the length as far as it is known; else the bytes of the message that are still to come.
    left: u32,
}

impl Messages {
    /// These come; where among them the last message ended, if one did.
    pub fn follow(&mut self, bytes: &[u8]) -> Option<usize> {
        let (mut at, mut ended) = (0, None);
        while at < bytes.len() {
            if self.prefix == 0 && self.left > 0 {
                let there = u32::try_from(bytes.len() - at).unwrap_or(u32::MAX);
                let came = self.left.min(there);
                (self.left, at) = (self.left - came, at + came as usize);
            } else {
                // The first byte says what it is, and is shifted out.
                self.left = self.left << 8 | u32::from(bytes[at]);
                (self.prefix, at) = ((self.prefix + 1) % PREFIX, at + 1);
                if self.prefix > 0 {
                    continue;
                }
            }
            if self.left == 0 {
                ended = Some(at);
            }
        }
        ended
    }

    /// Whether they stand between two messages, where another one can follow, or the end.
    pub fn is_between(&self) -> bool {
        self.prefix == 0 && self.left == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_ends_where_its_prefix_says_in_whatever_pieces_it_comes() {
        let bytes = [&[0, 0, 0, 0, 2, 7, 7][..], &[0x80, 0, 0, 0, 0], &[1, 0, 0, 1, 0], &[9; 256]].concat();
        for piece in [1, 2, 3, 7, 1000] {
            let (mut messages, mut came, mut ends) = (Messages::default(), 0, Vec::new());
            for part in bytes.chunks(piece) {
                ends.extend(messages.follow(part).map(|at| came + at));
                came += part.len();
            }
            assert_eq!(ends.last(), Some(&bytes.len()), "pieces of {piece}");
            assert!(messages.is_between());
            if piece == 1 {
                assert_eq!(ends, [7, 12, bytes.len()]);
            }
        }
        let mut longest = Messages::default();
        assert_eq!(longest.follow(&[0, 0xff, 0xff, 0xff, 0xff]), None);
        assert_eq!(longest.follow(&[0; 4096]), None);
        assert!(!longest.is_between());
    }
}
