//! base64url as RFC 7515, appendix C has it: no padding, no white space, no other alphabet, no bits that are not used.
//!
//! The last is what makes a token one text: with loose bits, several texts would decode to one signature, and whoever
//! keeps tokens by their text (a list of revoked ones, a cache) could be passed by.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Decodes the one canonical form; anything else is `None`.
pub fn decode(text: &[u8]) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Encodes.
pub(super) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn h5_only_the_canonical_form_is_read() {
        assert_eq!(decode(b"AQAB").as_deref(), Some(&[1, 0, 1][..]));
        assert_eq!(decode(b"").as_deref(), Some(&[][..]));
        assert_eq!(decode(b"-_8").as_deref(), Some(&[0xfb, 0xff][..]));
        for odd in [
            "AQ==",
            "AQ=",
            "+_8",
            "-/8",
            "AQ AB",
            " AQAB",
            "AQAB\n",
            "AQAB\0",
            "AR",
            "AQC",
            "A",
            "AQABA",
            "\u{c4}AQA",
            "AQ.B",
        ] {
            assert_eq!(decode(odd.as_bytes()), None, "{odd:?}");
        }
    }

    proptest! {
        #[test]
        fn bytes_have_one_text(
            bytes in proptest::collection::vec(any::<u8>(), 0..60),
            at in any::<proptest::sample::Index>(),
            other in any::<u8>(),
        ) {
            let text = encode(&bytes);
            prop_assert_eq!(decode(text.as_bytes()), Some(bytes.clone()));
            let mut changed = text.clone().into_bytes();
            if !changed.is_empty() {
                let at = at.index(changed.len());
                changed[at] = other;
                let same = changed == text.as_bytes();
                prop_assert_eq!(decode(&changed) == Some(bytes), same);
            }
        }
    }
}
