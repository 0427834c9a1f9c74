//! What a client presents: in the `Authorization` header (RFC 6750, section 2.1), or where `places.rs` finds it. A
//! token in a query or a form is in logs and histories, and is not looked for.

use std::ops::{Deref, Range};
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, header};

use crate::jws::{decode_base64url, parse_json};
use crate::request_fields::{FieldAt, KnownName, RequestFields};
use crate::telemetry::metrics::AuthResult;
use crate::tls::ClientCertificate;

/// About a longer token no issuer is asked: as many bytes as `max_token_bytes` allows a signed one.
const MAX_OPAQUE_BYTES: usize = 8192;

/// A credential that is not one: two, nothing after the scheme, or something else than a blank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// A credential, taken out of the headers that carried it: an upstream is told who it is, not how that was proven.
pub(super) enum Credential {
    /// The token of an `Authorization` field, or its name and password, and where that begins there.
    Bearer(Bytes, usize),
    /// A token in another field, and where it is there.
    Within(Bytes, Range<usize>),
    /// The whole field.
    Key(Bytes),
    /// The client's certificate, which its handshake has verified.
    Certificate(Arc<ClientCertificate>),
}

impl Credential {
    /// Puts it back where it is in `Authorization`, for an upstream that is to see it, marked as it was. Another one
    /// was left where it was.
    pub(super) fn put_back(&self, headers: &mut RequestFields, is_sensitive: bool) {
        if let Self::Bearer(field, _) = self {
            headers.insert_marked(KnownName::AUTHORIZATION, field, is_sensitive);
        }
    }
}

impl Deref for Credential {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match self {
            Self::Bearer(field, at) => &field[*at..],
            Self::Within(field, at) => &field[at.clone()],
            Self::Key(field) => field,
            Self::Certificate(certificate) => certificate.der(),
        }
    }
}

/// Takes the bearer token out, where there is one. Another scheme is somebody else's credential, and stays. What the
/// token is made of is looked at where it is verified, or before somebody is asked about it ([`opaque`]).
///
/// # Errors
/// There are two `Authorization` fields, the token is empty, or its scheme does not end where it begins: other parsers
/// find a token there, so it passes for no other scheme, whose credentials go on unverified.
pub(super) fn bearer(headers: &mut RequestFields) -> Result<Option<Credential>, Malformed> {
    let Some(Standing { at, .. }) = bearer_in(headers)? else { return Ok(None) };
    Ok(headers.take_bytes(KnownName::AUTHORIZATION).map(|field| Credential::Bearer(field, at)))
}

/// A token where it stands.
pub(super) struct Standing<'h> {
    /// The field's.
    pub(super) place: FieldAt,
    /// The field's value.
    pub(super) field: &'h [u8],
    /// Where the token begins in it.
    pub(super) at: usize,
}

/// The token as [`bearer`] finds it; it is left where it is.
///
/// # Errors
/// As there.
#[inline]
pub(super) fn bearer_in(headers: &RequestFields) -> Result<Option<Standing<'_>>, Malformed> {
    let Some((place, field)) = headers.only(KnownName::AUTHORIZATION).map_err(|_| Malformed)? else { return Ok(None) };
    Ok(bearer_at(field)?.map(|at| Standing { place, field, at }))
}

/// Whether there is at most one field of this name.
///
/// # Errors
/// There are two.
#[inline]
fn check_once(headers: &RequestFields, name: &HeaderName) -> Result<(), Malformed> {
    if headers.repeats(name) { Err(Malformed) } else { Ok(()) }
}

/// Where the bearer token begins in the one `Authorization` field.
#[inline]
pub(super) fn bearer_at(value: &[u8]) -> Result<Option<usize>, Malformed> {
    match value.split_at_checked(7) {
        // As nearly all write it, which is one comparison.
        Some((scheme, token)) if scheme == b"Bearer " || scheme.eq_ignore_ascii_case(b"bearer ") => {
            let token = token.trim_ascii_start();
            if token.is_empty() { Err(Malformed) } else { Ok(Some(value.len() - token.len())) }
        }
        Some((scheme, _)) if scheme[..6].eq_ignore_ascii_case(b"bearer") && !is_tchar(scheme[6]) => Err(Malformed),
        _ if value.eq_ignore_ascii_case(b"bearer") => Err(Malformed),
        _ => Ok(None),
    }
}

/// Takes a name and a password out, where there are some; as [`bearer`] does a token.
///
/// # Errors
/// As there.
pub(super) fn basic(headers: &mut RequestFields) -> Result<Option<Credential>, Malformed> {
    check_once(headers, &header::AUTHORIZATION)?;
    let Some(value) = headers.get(KnownName::AUTHORIZATION).map(|value| value.as_bytes()) else { return Ok(None) };
    let Some((scheme, rest)) = value.split_at_checked(5) else { return Ok(None) };
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return Ok(None);
    }
    match rest.split_first() {
        Some((b' ', pair)) => {
            let pair = pair.trim_ascii_start();
            let at = value.len() - pair.len();
            if pair.is_empty() {
                return Err(Malformed);
            }
            Ok(headers.take_bytes(KnownName::AUTHORIZATION).map(|field| Credential::Bearer(field, at)))
        }
        Some((byte, _)) if is_tchar(*byte) => Ok(None),
        _ => Err(Malformed),
    }
}

/// Whether a scheme's name may have this byte (RFC 9110, section 5.6.2).
fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The text of a token that an issuer may be asked about: visible ASCII (RFC 6749, appendix A.12; many issuers use more
/// of it than the `b64token` of RFC 6750), and no longer than a signed one may be.
///
/// # Errors
/// It is too long, or no token.
pub(super) fn opaque(token: &[u8]) -> Result<&str, AuthResult> {
    if token.len() > MAX_OPAQUE_BYTES {
        return Err(AuthResult::TooLarge);
    }
    let is_one = !token.is_empty() && token.iter().all(u8::is_ascii_graphic);
    std::str::from_utf8(token).ok().filter(|_| is_one).ok_or(AuthResult::Malformed)
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

/// Takes the key out that has a header of its own.
///
/// # Errors
/// There are two.
pub(super) fn api_key(headers: &mut RequestFields, name: &HeaderName) -> Result<Option<Credential>, Malformed> {
    check_once(headers, name)?;
    Ok(headers.take_bytes(name).map(Credential::Key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[&str]) -> Result<Option<String>, Malformed> {
        let mut headers = RequestFields::new();
        for value in values {
            headers.append(&header::AUTHORIZATION, value);
        }
        bearer(&mut headers).map(|token| token.map(|token| String::from_utf8(token.to_vec()).unwrap()))
    }

    #[test]
    fn h8_there_is_one_authorization_or_none() {
        assert_eq!(of(&[]), Ok(None));
        assert_eq!(of(&["Bearer abc"]), Ok(Some("abc".into())));
        assert_eq!(of(&["bEaReR   abc"]), Ok(Some("abc".into())));
        for other in ["Basic abc", "Bearerabc", "abc", "", "Bear abc", "Bearer-x abc", "Bearer2 abc", "bearer. abc"] {
            assert_eq!(of(&[other]), Ok(None), "{other}");
        }
        for malformed in [&["Bearer"][..], &["Bearer "], &["Bearer a", "Bearer a"], &["Basic a", "Bearer b"]] {
            assert_eq!(of(malformed), Err(Malformed), "{malformed:?}");
        }
        for odd in ["Bearer\tabc", "bearer,abc", "Bearer=abc", "BEARER:abc", "Bearer\"abc\"", "bearer/abc", "Bearer,"] {
            assert_eq!(of(&[odd]), Err(Malformed), "{odd}");
        }
    }

    #[test]
    fn h8_a_name_and_password_are_there_once_or_not_at_all() {
        let of = |values: &[&str]| {
            let mut headers = RequestFields::new();
            for value in values {
                headers.append(&header::AUTHORIZATION, value);
            }
            let found = basic(&mut headers).map(|pair| pair.map(|pair| String::from_utf8(pair.to_vec()).unwrap()));
            found.inspect(|found| assert_ne!(found.is_some(), headers.contains_key(&header::AUTHORIZATION)))
        };
        assert_eq!(of(&["Basic YTpi"]), Ok(Some("YTpi".into())));
        assert_eq!(of(&["bAsIc   YTpi"]), Ok(Some("YTpi".into())));
        for other in ["Bearer abc", "Basical YTpi", "Basic-x YTpi", "Bas", "x"] {
            assert_eq!(of(&[other]), Ok(None), "{other}");
        }
        for odd in [&["Basic"][..], &["Basic "], &["basic\tYTpi"], &["Basic,YTpi"], &["Basic YTpi", "Basic YTpi"]] {
            assert_eq!(of(odd), Err(Malformed), "{odd:?}");
        }
    }

    #[test]
    fn an_issuer_is_asked_about_tokens_alone() {
        let longest = "a".repeat(MAX_OPAQUE_BYTES);
        for token in ["a", "aZ09-._~+/", "abc==", "a.b.c", "00D!AQw", "1|abc", "{a}", &longest] {
            assert_eq!(opaque(token.as_bytes()), Ok(token));
        }
        for odd in ["", "a b", "a\tb", "a\u{7f}", "\u{fc}"] {
            assert_eq!(opaque(odd.as_bytes()), Err(AuthResult::Malformed), "{odd:?}");
        }
        assert_eq!(opaque(b"a\xff"), Err(AuthResult::Malformed));
        assert_eq!(opaque(format!("{longest}a").as_bytes()), Err(AuthResult::TooLarge));
    }
}
