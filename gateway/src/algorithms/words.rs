//! Bytes that are looked at eight at a time, as one number: plain arithmetic, on any processor. For short texts, where
//! a call that sees more at once takes longer to begin than this takes to look.

const EACH: u64 = u64::from_ne_bytes([1; 8]);
/// The highest bit of each byte.
const HIGH: u64 = EACH << 7;

/// Where this byte stands first.
#[inline]
pub fn position(text: &[u8], byte: u8) -> Option<usize> {
    let (words, rest) = text.as_chunks();
    let mut at = 0;
    for eight in words {
        let found = equal(u64::from_le_bytes(*eight), byte);
        if found != 0 {
            return Some(at + place_of(found));
        }
        at += 8;
    }
    rest.iter().position(|other| *other == byte).map(|place| at + place)
}

/// Which byte the lowest bit is in.
#[inline]
fn place_of(found: u64) -> usize {
    (found.trailing_zeros() / 8) as usize
}

/// Letters of lower case, digits and dashes only: what nearly all names of fields are made of.
#[inline]
pub fn is_plain_name(name: &[u8]) -> bool {
    match name.last_chunk() {
        // The last eight overlap with those before them.
        Some(last) => name.chunks_exact(8).all(|eight| eight.try_into().is_ok_and(are_plain)) && are_plain(*last),
        None => name.iter().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-')),
    }
}

/// The same of eight bytes at once: the high bit of each byte of `from(b)` tells whether that byte is at least `b`, and
/// no sum carries into the next byte as long as all are ASCII.
#[inline]
fn are_plain(bytes: [u8; 8]) -> bool {
    let word = u64::from_le_bytes(bytes);
    let from = |least: u8| (word & !HIGH) + EACH * u64::from(0x80 - least);
    let letters = from(b'a') & !from(b'z' + 1);
    let digits = from(b'0') & !from(b'9' + 1);
    let dashes = from(b'-') & !from(b'-' + 1);
    (letters | digits | dashes) & !word & HIGH == HIGH
}

/// Eight bytes as a number, the first of them lowest; at the end fewer, and zeros.
#[inline]
pub fn word(text: &[u8], at: usize) -> Option<u64> {
    let rest = text.get(at..)?;
    Some(rest.first_chunk().map_or_else(|| short_word(rest), |eight| u64::from_le_bytes(*eight)))
}

#[cold]
fn short_word(rest: &[u8]) -> u64 {
    let mut eight = [0; 8];
    eight[..rest.len()].copy_from_slice(rest);
    u64::from_le_bytes(eight)
}

/// Sets the highest bit of each byte that is this one, up to the first one exactly: what is borrowed there may reach
/// those behind it.
#[inline]
fn equal(word: u64, byte: u8) -> u64 {
    let other = word ^ (EACH * u64::from(byte));
    other.wrapping_sub(EACH) & !other & HIGH
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_byte_is_found_where_it_stands_first(
            text in proptest::collection::vec(prop_oneof![0_u8..3, any::<u8>()], 0..40), byte in 0_u8..3,
        ) {
            prop_assert_eq!(position(&text, byte), text.iter().position(|other| *other == byte));
        }
    }
}
