//! Schemes of authentication that prove who is at a connection, and not who sends a request: NTLM, and Negotiate, which
//! may be NTLM within (RFC 4559).
//!
//! Whoever speaks on such a connection next is taken for who proved it. So it carries no exchange behind the one in
//! which such a scheme was spoken of: nobody is lent who somebody else is (RFC 4559, section 6).

/// The schemes.
const SCHEMES: [&[u8]; 2] = [b"negotiate", b"ntlm"];

/// Whether credentials are of such a scheme, which is their first word.
pub(super) fn proves_connection(credentials: &[u8]) -> bool {
    let credentials = credentials.trim_ascii_start();
    SCHEMES.iter().any(|known| match credentials.split_at_checked(known.len()) {
        Some((scheme, rest)) => {
            scheme.eq_ignore_ascii_case(known)
                && rest.first().is_none_or(|byte| byte.is_ascii_whitespace() || *byte == b',')
        }
        None => false,
    })
}

/// Whether one of a list of challenges is. A quoted text with a comma may look like one: then a connection is closed
/// that could have been kept.
pub(super) fn asks_connection(challenges: &[u8]) -> bool {
    challenges.split(|byte| *byte == b',').any(proves_connection)
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
            assert_eq!(asks_connection(value.as_bytes()), expected, "{value}");
            let is_first = expected && !value.starts_with("Basic");
            assert_eq!(proves_connection(value.as_bytes()), is_first, "{value}");
        }
    }
}
