//! Lower-case hexadecimal by table: no formatting machinery on the request path.

/// The two digits of each byte.
const PAIRS: [[u8; 2]; 256] = {
    let digits = *b"0123456789abcdef";
    let mut pairs = [[0_u8; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        pairs[byte] = [digits[byte >> 4], digits[byte & 15]];
        byte += 1;
    }
    pairs
};

/// The value of each lower-case digit; 255 for every other byte.
const VALUES: [u8; 256] = {
    let mut values = [255_u8; 256];
    let mut digit = 0;
    while digit < 10 {
        values[b'0' as usize + digit] = digit as u8;
        digit += 1;
    }
    while digit < 16 {
        values[b'a' as usize + digit - 10] = digit as u8;
        digit += 1;
    }
    values
};

/// Writes two digits for each byte. `out` is twice as long as `bytes`; what does not fit is left out.
#[inline]
pub(super) fn encode(bytes: &[u8], out: &mut [u8]) {
    debug_assert_eq!(bytes.len() * 2, out.len());
    for (byte, pair) in bytes.iter().zip(out.chunks_exact_mut(2)) {
        pair.copy_from_slice(&PAIRS[usize::from(*byte)]);
    }
}

/// Reads exactly `2 * N` lower-case digits; `None` for anything else.
#[inline]
pub(super) fn decode<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    if text.len() != 2 * N {
        return None;
    }
    let mut bytes = [0_u8; N];
    let mut bad = 0_u8;
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        let (high, low) = (VALUES[usize::from(pair[0])], VALUES[usize::from(pair[1])]);
        bad |= (high | low) & 0xf0;
        *byte = (high << 4) | (low & 0x0f);
    }
    (bad == 0).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_back(bytes in any::<[u8; 8]>()) {
            let mut text = [0_u8; 16];
            encode(&bytes, &mut text);
            let expected: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            prop_assert_eq!(&text[..], expected.as_bytes());
            prop_assert_eq!(decode::<8>(&text), Some(bytes));
        }

        #[test]
        fn only_lower_case_digits_are_read(text in any::<[u8; 4]>()) {
            let valid = text.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
            prop_assert_eq!(decode::<2>(&text).is_some(), valid);
        }
    }

    #[test]
    fn a_wrong_length_is_refused() {
        assert_eq!(decode::<2>(b"abc"), None);
        assert_eq!(decode::<2>(b"abcde"), None);
        assert_eq!(decode::<2>(b"ABCD"), None);
    }
}
