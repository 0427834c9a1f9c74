//! Lower-case hexadecimal by arithmetic and table: no formatting machinery on the request path.

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

/// The eight digits of a number, the highest first: each half byte is spread to a byte of its own, and all eight are
/// made digits at once. (Digits above 9 are those that carry when 6 is added; letters lie 39 beyond where digits end.)
#[inline]
pub(super) fn digits(number: u32) -> [u8; 8] {
    let mut spread = u64::from(number);
    spread = (spread << 16 | spread) & 0x0000_ffff_0000_ffff;
    spread = (spread << 8 | spread) & 0x00ff_00ff_00ff_00ff;
    spread = (spread << 4 | spread) & 0x0f0f_0f0f_0f0f_0f0f;
    let letters = (spread + 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101;
    (spread + 0x3030_3030_3030_3030 + letters * 39).to_be_bytes()
}

/// Writes two digits for each byte. `bytes` come in fours, and `out` is twice as long.
#[inline]
pub(super) fn encode(bytes: &[u8], out: &mut [u8]) {
    debug_assert!(bytes.len() * 2 == out.len() && bytes.len().is_multiple_of(4));
    for (four, eight) in bytes.chunks_exact(4).zip(out.chunks_exact_mut(8)) {
        eight.copy_from_slice(&digits(u32::from_be_bytes([four[0], four[1], four[2], four[3]])));
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
