//! Schemes of authentication that prove who is at a connection, and not who sends a request: NTLM, and Negotiate, which
//! may be NTLM within (RFC 4559).
//!
//! Whoever speaks on such a connection next is taken for who proved it. So it carries no exchange behind the one in
//! which such a scheme was spoken of: nobody is lent who somebody else is (RFC 4559, section 6).

/// The schemes.
const SCHEMES: [&[u8]; 2] = [b"negotiate", b"ntlm"];

/// Whether credentials, or one of a list of challenges, are of such a scheme. A quoted text with a comma may look like
/// one: then a connection is closed that could have been kept.
pub(super) fn is_of_connection(value: &[u8]) -> bool {
    value.split(|byte| *byte == b',').any(|one| {
        let scheme = one.trim_ascii_start().split(u8::is_ascii_whitespace).next().unwrap_or_default();
        SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes_are_known_in_any_letters_and_among_others() {
        for (value, expected) in [
            ("NTLM TlRMTVNTUAABAAAA", true),
            ("negotiate", true),
            ("Basic realm=\"a\", NEGOTIATE YII", true),
            ("Basic bnRsbQ==", false),
            ("Bearer ntlm", false),
            ("NTLMv2 x", false),
            ("", false),
        ] {
            assert_eq!(is_of_connection(value.as_bytes()), expected, "{value}");
        }
    }
}
