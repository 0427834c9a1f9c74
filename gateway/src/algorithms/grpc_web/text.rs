//! base64 as pages send it (RFC 4648, section 4), in whatever pieces it comes: four characters are three bytes, or less
//! where they end in padding, which may be anywhere, as each message may be a text of its own.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Stands for what is no character of the alphabet.
const NONE: u8 = 0xff;

/// What each character stands for.
static VALUES: [u8; 256] = values();

const fn values() -> [u8; 256] {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut values = [NONE; 256];
    let mut value = 0;
    while value < 64 {
        values[ALPHABET[value as usize] as usize] = value;
        value += 1;
    }
    values
}

/// What came is no base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotText;

/// Decodes as it comes. It keeps three characters at most.
#[derive(Debug, Default)]
pub struct FromText {
    begun: [u8; 4],
    length: usize,
}

impl FromText {
    /// Appends what these characters end.
    ///
    /// # Errors
    /// A character that is none, or padding where there can be none. What is decoded from then on means nothing.
    pub fn decode(&mut self, mut text: &[u8], out: &mut Vec<u8>) -> Result<(), NotText> {
        out.reserve((self.length + text.len()) / 4 * 3);
        if self.length > 0 {
            let (first, rest) = text.split_at(text.len().min(4 - self.length));
            self.begun[self.length..self.length + first.len()].copy_from_slice(first);
            self.length += first.len();
            if self.length < 4 {
                return Ok(());
            }
            self.length = 0;
            decode_four(self.begun, out)?;
            text = rest;
        }
        let (fours, rest) = text.as_chunks::<4>();
        for four in fours {
            decode_four(*four, out)?;
        }
        self.begun[..rest.len()].copy_from_slice(rest);
        self.length = rest.len();
        Ok(())
    }

    /// Whether nothing is begun: the text may end here.
    pub fn is_even(&self) -> bool {
        self.length == 0
    }
}

fn decode_four(four: [u8; 4], out: &mut Vec<u8>) -> Result<(), NotText> {
    let (count, read) = match four {
        [a, b, b'=', b'='] => (1, [a, b, b'A', b'A']),
        [a, b, c, b'='] => (2, [a, b, c, b'A']),
        all => (3, all),
    };
    let [a, b, c, d] = read.map(|character| VALUES[usize::from(character)]);
    if (a | b | c | d) == NONE {
        return Err(NotText);
    }
    // Bits that padding leaves over say nothing, whatever they are.
    let bytes = [a << 2 | b >> 4, b << 4 | c >> 2, c << 6 | d];
    out.extend_from_slice(&bytes[..count]);
    Ok(())
}

/// Encodes as it comes: no padding stands but where somebody says that what came so far ends. It keeps two bytes at
/// most.
#[derive(Debug, Default)]
pub(super) struct IntoText {
    begun: [u8; 3],
    length: usize,
}

impl IntoText {
    /// Appends the text of these bytes; all of it, padded, where it `ends` here.
    pub(super) fn encode(&mut self, mut bytes: &[u8], ends: bool, out: &mut Vec<u8>) {
        if self.length > 0 {
            let (first, rest) = bytes.split_at(bytes.len().min(3 - self.length));
            self.begun[self.length..self.length + first.len()].copy_from_slice(first);
            self.length += first.len();
            if self.length < 3 && !ends {
                return;
            }
            append(&self.begun[..self.length], out);
            self.length = 0;
            bytes = rest;
        }
        let whole = if ends { bytes.len() } else { bytes.len() / 3 * 3 };
        let (whole, rest) = bytes.split_at(whole);
        append(whole, out);
        self.begun[..rest.len()].copy_from_slice(rest);
        self.length = rest.len();
    }
}

fn append(bytes: &[u8], out: &mut Vec<u8>) {
    let at = out.len();
    out.resize(at + bytes.len().div_ceil(3) * 4, 0);
    // There is room for all of it.
    let _ = STANDARD.encode_slice(bytes, &mut out[at..]);
}

#[cfg(test)]
mod tests {
    use base64::alphabet;
    use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
    use proptest::prelude::*;

    use super::*;

    /// All at once, four characters after the other, by another's code.
    fn naive(text: &[u8]) -> Option<Vec<u8>> {
        let loose = GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true);
        let engine = GeneralPurpose::new(&alphabet::STANDARD, loose);
        let four = |four: &[u8]| engine.decode(four).ok().filter(|_| four.len() == 4);
        text.chunks(4).map(four).collect::<Option<Vec<_>>>().map(|parts| parts.concat())
    }

    fn decoded(text: &[u8], piece: usize) -> Option<Vec<u8>> {
        let (mut from, mut out) = (FromText::default(), Vec::new());
        for piece in text.chunks(piece) {
            from.decode(piece, &mut out).ok()?;
        }
        from.is_even().then_some(out)
    }

    #[test]
    fn padding_stands_where_a_message_ends_and_the_text_goes_on_behind_it() {
        assert_eq!(decoded(b"QQ==QUI=QUJD", 1).as_deref(), Some(&b"AABABC"[..]));
        assert_eq!(decoded(b"", 1).as_deref(), Some(&b""[..]));
        for none in ["Q", "QQ", "QQ=", "Q===", "====", "QQ=Q", "QQ==Q", "QUJ\n", "QUJ-", "QU JD", "QUJ\u{e4}"] {
            assert_eq!(decoded(none.as_bytes(), 2), None, "{none:?}");
        }
    }

    fn likely() -> impl Strategy<Value = Vec<u8>> {
        let character = prop_oneof![8 => prop::sample::select(b"AQz0+/9b".to_vec()), 2 => Just(b'='), 1 => any::<u8>()];
        prop::collection::vec(character, 0..24)
    }

    proptest! {
        #[test]
        fn text_is_what_it_is_all_at_once_in_whatever_pieces(text in likely(), piece in 1_usize..9) {
            prop_assert_eq!(decoded(&text, piece), naive(&text));
        }

        #[test]
        fn what_is_encoded_is_decoded_wherever_it_was_ended(
            parts in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..20), any::<bool>()), 0..8),
            piece in 1_usize..9,
        ) {
            let (mut into, mut text, mut bytes) = (IntoText::default(), Vec::new(), Vec::new());
            let mut ended = 0;
            for (part, ends) in &parts {
                bytes.extend_from_slice(part);
                into.encode(part, *ends, &mut text);
                if *ends {
                    prop_assert!(into.length == 0 && text.len() % 4 == 0);
                    ended = text.len();
                }
                prop_assert!(into.length < 3 && !text[ended..].contains(&b'='), "no padding but at an end");
            }
            into.encode(b"", true, &mut text);
            prop_assert_eq!(decoded(&text, piece), Some(bytes));
        }
    }
}
