//! What a client presents. In the `Authorization` header alone (RFC 6750, section 2.1): a token in a query or a form is
//! in logs and histories, and is not looked for.

use http::{HeaderMap, header};

use crate::jws::{decode_base64url, parse_json};

/// A credential that is not one: two, or nothing after the scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// The bearer token, where there is one. Another scheme is somebody else's credential.
///
/// # Errors
/// There are two `Authorization` fields, or the token is empty or has bytes that no token has.
#[inline]
pub(super) fn bearer(headers: &HeaderMap) -> Result<Option<&[u8]>, Malformed> {
    let mut fields = headers.get_all(header::AUTHORIZATION).iter();
    let Some(field) = fields.next() else { return Ok(None) };
    if fields.next().is_some() {
        return Err(Malformed);
    }
    let value = field.as_bytes();
    match value.split_at_checked(7) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"bearer ") => {
            let token = token.trim_ascii_start();
            if token.is_empty() { Err(Malformed) } else { Ok(Some(token)) }
        }
        _ if value.eq_ignore_ascii_case(b"bearer") => Err(Malformed),
        _ => Ok(None),
    }
}

/// Whether a token has the look of a signed one: three parts.
pub(super) fn looks_signed(token: &[u8]) -> bool {
    memchr::memchr_iter(b'.', token).count() == 2
}

/// Whether a token says that this issuer made it. That is not proven, and may be used for nothing but to choose whom to
/// ask.
pub(super) fn names_issuer(token: &[u8], issuer: &str) -> bool {
    let payload = token.split(|byte| *byte == b'.').nth(1).and_then(decode_base64url);
    let claims = payload.and_then(|payload| parse_json(&payload).ok());
    claims.is_some_and(|claims| claims.get("iss").and_then(serde_json::Value::as_str) == Some(issuer))
}

/// The key in a header of its own.
///
/// # Errors
/// There are two.
pub(super) fn api_key<'a>(headers: &'a HeaderMap, name: &http::HeaderName) -> Result<Option<&'a [u8]>, Malformed> {
    let mut fields = headers.get_all(name).iter();
    let first = fields.next();
    if fields.next().is_some() { Err(Malformed) } else { Ok(first.map(http::HeaderValue::as_bytes)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[&str]) -> Result<Option<String>, Malformed> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, value.parse().unwrap());
        }
        bearer(&headers).map(|token| token.map(|token| String::from_utf8(token.to_vec()).unwrap()))
    }

    #[test]
    fn h8_there_is_one_authorization_or_none() {
        assert_eq!(of(&[]), Ok(None));
        assert_eq!(of(&["Bearer abc"]), Ok(Some("abc".into())));
        assert_eq!(of(&["bEaReR   abc"]), Ok(Some("abc".into())));
        for other in ["Basic abc", "Bearerabc", "abc", "", "Bear abc", "Bearer\tabc"] {
            assert_eq!(of(&[other]), Ok(None), "{other}");
        }
        for malformed in [&["Bearer"][..], &["Bearer "], &["Bearer a", "Bearer a"], &["Basic a", "Bearer b"]] {
            assert_eq!(of(malformed), Err(Malformed), "{malformed:?}");
        }
    }
}
