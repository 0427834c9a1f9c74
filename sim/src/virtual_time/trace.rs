//! A number that stands for everything that happened in a run, in its order.
//!
//! Two runs that differ anywhere (a byte, a millisecond, the order of two things) have different numbers, as far as 64
//! bits go. FNV-1a over words (Fowler, Noll, Vo), followed by the finalizer of SplitMix64, which spreads the last
//! words.

/// The number so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Trace(u64);

const PRIME: u64 = 0x0100_0000_01b3;

impl Default for Trace {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Trace {
    /// Something happened; what is said of it are these words.
    pub(crate) fn note(&mut self, words: &[u64]) {
        for word in words {
            self.word(*word);
        }
        // Otherwise `[1], [2]` and `[1, 2]` would be one.
        self.word(words.len() as u64 ^ (1 << 63));
    }

    /// The same of text.
    pub(crate) fn note_bytes(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.word(u64::from_le_bytes(*word));
        }
        for byte in rest {
            self.word(u64::from(*byte));
        }
        self.word(bytes.len() as u64 ^ (1 << 62));
    }

    fn word(&mut self, word: u64) {
        // A rotation, since a product alone never carries high bits down.
        self.0 = (self.0 ^ word).wrapping_mul(PRIME).rotate_left(29);
    }

    /// The number.
    pub(crate) fn finish(self) -> u64 {
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(notes: &[&[u64]]) -> u64 {
        let mut trace = Trace::default();
        notes.iter().for_each(|note| trace.note(note));
        trace.finish()
    }

    #[test]
    fn order_and_boundaries_count() {
        assert_eq!(of(&[&[1, 2], &[3]]), of(&[&[1, 2], &[3]]));
        let different = [of(&[&[1, 2, 3]]), of(&[&[1], &[2, 3]]), of(&[&[2, 1], &[3]]), of(&[&[3], &[1, 2]]), of(&[])];
        for (at, one) in different.iter().enumerate() {
            assert!(!different[..at].contains(one) && *one != of(&[&[1, 2], &[3]]), "{different:?}");
        }
    }

    #[test]
    fn every_byte_counts() {
        let text = |bytes: &[u8]| {
            let mut trace = Trace::default();
            trace.note_bytes(bytes);
            trace.finish()
        };
        let whole = b"0123456789abcdef-xyz";
        for at in 0..whole.len() {
            let mut other = *whole;
            other[at] ^= 0x80;
            assert_ne!(text(whole), text(&other), "{at}");
        }
        assert_ne!(text(b"ab\0"), text(b"ab"));
    }
}
