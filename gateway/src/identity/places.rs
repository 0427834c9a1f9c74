//! Tokens that may be elsewhere than in `Authorization` (`token_from`): in a cookie of a browser's session, or in a
//! header of their own.
//!
//! Nothing is taken out before it is known whose token it is, and then from all of a provider's places: an upstream is
//! told who asks, and sees the token nowhere. What else is in a `Cookie` field stays, byte for byte.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderName;
use http::header::COOKIE;

use super::access::{Presented, RouteAuth};
use super::credential::{self, Credential, Malformed};
use super::provider::{Place, Provider};
use crate::config::settings::identity::TokenPlace;
use crate::request_fields::{Edited, FieldName, FieldValue, KnownName, RequestFields};
use crate::tls::ClientCertificate;

/// Where bearer tokens are.
pub(super) const BEARER: &[TokenPlace] = &[TokenPlace::Bearer];

impl RouteAuth {
    /// As `present`, where some provider looks elsewhere than in `Authorization`.
    #[inline(never)]
    pub(super) fn present_anywhere(
        &self,
        headers: &mut RequestFields,
        certificate: Option<&Arc<ClientCertificate>>,
    ) -> Result<Option<Presented<'_>>, Malformed> {
        let mut first = None;
        for provider in &self.providers {
            let places = match provider.place() {
                Place::Bearer => BEARER,
                Place::Tokens(places) => places,
                Place::Header(name) => match credential::api_key(headers, name)? {
                    Some(key) => return Ok(Some((provider, key))),
                    None => continue,
                },
                Place::Password => match credential::basic(headers)? {
                    Some(pair) => return Ok(Some((provider, pair))),
                    None => continue,
                },
                Place::Handshake => match certificate {
                    Some(shown) => return Ok(Some((provider, Credential::Certificate(Arc::clone(shown))))),
                    None => continue,
                },
            };
            let Some(token) = find(headers, places)? else { continue };
            if !self.has_several_bearers || provider.may_have_issued(&token, self) {
                return Ok(Some(taken(headers, provider, places, token)));
            }
            first.get_or_insert((provider, places, token));
        }
        // A token that none of several looks to have issued is the first one's to refuse.
        Ok(first.map(|(provider, places, token)| taken(headers, provider, places, token)))
    }
}

/// A token that is this provider's, which is nobody else's business, unless the upstream is to see it.
fn taken<'p>(
    headers: &mut RequestFields,
    provider: &'p Arc<Provider>,
    places: &[TokenPlace],
    token: Credential,
) -> Presented<'p> {
    if !provider.forwards_token() {
        places.iter().for_each(|place| take_out(headers, place));
    }
    (provider, token)
}

/// Whether what these places have of a token is in cookies, and nowhere that a page has to write itself.
pub(super) fn is_in_cookies_alone(headers: &RequestFields, places: &[TokenPlace]) -> bool {
    let written: Vec<TokenPlace> =
        places.iter().filter(|place| !matches!(place, TokenPlace::Cookie(_))).cloned().collect();
    matches!(find(headers, &written), Ok(None))
}

/// The token in the first of these places that has one.
///
/// # Errors
/// A place has two, or there are different ones in two places.
fn find(headers: &RequestFields, places: &[TokenPlace]) -> Result<Option<Credential>, Malformed> {
    let mut first: Option<Credential> = None;
    for place in places {
        let found = match place {
            TokenPlace::Bearer => bearer(headers)?,
            TokenPlace::Header(name) => whole(headers, name)?,
            TokenPlace::Cookie(name) => cookie(headers, name)?,
        };
        match (&first, found) {
            (Some(first), Some(other)) if **first != *other => return Err(Malformed),
            (None, Some(found)) => first = Some(found),
            _ => {}
        }
    }
    Ok(first)
}

fn bearer(headers: &RequestFields) -> Result<Option<Credential>, Malformed> {
    let Some(field) = only(headers, KnownName::AUTHORIZATION)? else { return Ok(None) };
    let at = credential::bearer_at(field.as_bytes())?;
    Ok(at.map(|at| Credential::Bearer(Bytes::copy_from_slice(field.as_bytes()), at)))
}

/// The whole of a field, which is not empty.
fn whole(headers: &RequestFields, name: &HeaderName) -> Result<Option<Credential>, Malformed> {
    let Some(field) = only(headers, name)? else { return Ok(None) };
    if field.is_empty() {
        Err(Malformed)
    } else {
        Ok(Some(Credential::Within(Bytes::copy_from_slice(field.as_bytes()), 0..field.len())))
    }
}

/// The only field of this name.
fn only(headers: &RequestFields, name: impl FieldName) -> Result<Option<FieldValue<'_>>, Malformed> {
    let mut fields = headers.get_all(name).iter();
    let first = fields.next();
    if fields.next().is_some() { Err(Malformed) } else { Ok(first) }
}

/// The value of a cookie, which is there once: of two, each reader may take another one. An empty one is none, as
/// browsers have them after their session has ended.
fn cookie(headers: &RequestFields, name: &str) -> Result<Option<Credential>, Malformed> {
    let mut first = None;
    for field in headers.get_all(&COOKIE) {
        for pair in pairs(field.as_bytes()) {
            let Some(value) = value_of(field.as_bytes(), pair, name) else { continue };
            if first.replace((field, value)).is_some() {
                return Err(Malformed);
            }
        }
    }
    let first = first.filter(|(_, value)| !value.is_empty());
    Ok(first.map(|(field, value)| Credential::Within(Bytes::copy_from_slice(field.as_bytes()), value)))
}

/// Where the pairs of a `Cookie` field are, with the blanks around them (RFC 6265, section 4.2.1).
fn pairs(field: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    let ends = memchr::memchr_iter(b';', field).chain([field.len()]);
    ends.map(move |end| std::mem::replace(&mut start, end + 1)..end)
}

/// Where the value of a pair is, without quotes, where it is the one of this cookie.
fn value_of(field: &[u8], pair: Range<usize>, name: &str) -> Option<Range<usize>> {
    let text = &field[pair.clone()];
    let equals = memchr::memchr(b'=', text)?;
    if text[..equals].trim_ascii() != name.as_bytes() {
        return None;
    }
    let value = &text[equals + 1..];
    let (leading, value) = (value.len() - value.trim_ascii_start().len(), value.trim_ascii());
    let start = pair.start + equals + 1 + leading;
    Some(match value {
        [b'"', inner @ .., b'"'] => start + 1..start + 1 + inner.len(),
        value => start..start + value.len(),
    })
}

/// Takes away what a provider that was not asked would have looked at; not what the one that was passes on.
pub(super) fn strip(headers: &mut RequestFields, places: &[TokenPlace], proven_by: &Provider) {
    let kept = match proven_by.place() {
        _ if !proven_by.forwards_token() => &[],
        Place::Bearer | Place::Password => BEARER,
        Place::Tokens(places) => places,
        Place::Header(_) | Place::Handshake => &[],
    };
    places.iter().filter(|place| !kept.contains(place)).for_each(|place| take_out(headers, place));
}

/// Takes what is in a place out of what goes on.
fn take_out(headers: &mut RequestFields, place: &TokenPlace) {
    match place {
        TokenPlace::Bearer | TokenPlace::Header(_) => drop(headers.remove(place.header())),
        TokenPlace::Cookie(name) => without_cookie(headers, name),
    }
}

/// A place, for operators.
pub(super) fn shown(place: &TokenPlace) -> String {
    match place {
        TokenPlace::Bearer | TokenPlace::Header(_) => place.header().to_string(),
        TokenPlace::Cookie(name) => format!("cookie {name}"),
    }
}

/// Takes a cookie out of all `Cookie` fields; a field in which nothing else was goes with it.
fn without_cookie(headers: &mut RequestFields, name: &str) {
    headers.edit(&COOKIE, |field| {
        if !pairs(field).any(|pair| value_of(field, pair, name).is_some()) {
            return Edited::Stays;
        }
        others(field, name).map_or(Edited::Goes, Edited::Is)
    });
}

/// A `Cookie` field without one of its cookies; `None` where it has no other.
fn others(bytes: &[u8], name: &str) -> Option<Vec<u8>> {
    let mut kept = Vec::with_capacity(bytes.len());
    for pair in pairs(bytes).filter(|pair| value_of(bytes, pair.clone(), name).is_none()) {
        let text = &bytes[pair];
        if kept.is_empty() {
            kept.extend_from_slice(text.trim_ascii_start());
        } else {
            kept.push(b';');
            kept.extend_from_slice(text);
        }
    }
    Some(kept).filter(|kept| !kept.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use http::HeaderValue;

    fn headers(fields: &[(&str, &str)]) -> RequestFields {
        let field =
            |(name, value): &(&str, &str)| (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap());
        let mut headers = RequestFields::new();
        for (name, value) in fields.iter().map(field) {
            headers.append(&name, value);
        }
        headers
    }

    fn places() -> [TokenPlace; 3] {
        let own = TokenPlace::Header(HeaderName::from_static("x-token"));
        [TokenPlace::Bearer, TokenPlace::Cookie("s".into()), own]
    }

    fn found(fields: &[(&str, &str)]) -> Result<Option<String>, Malformed> {
        let found = find(&headers(fields), &places());
        found.map(|found| found.map(|token| String::from_utf8(token.to_vec()).unwrap()))
    }

    fn left(fields: &[(&str, &str)]) -> Vec<String> {
        let mut headers = headers(fields);
        places().iter().for_each(|place| take_out(&mut headers, place));
        let shown =
            |(name, value): (&[u8], FieldValue<'_>)| format!("{}: {}", name.escape_ascii(), value.to_str().unwrap());
        headers.iter().map(shown).collect()
    }

    #[test]
    fn a_token_is_found_in_its_places_and_two_different_ones_are_none() {
        let one = Ok(Some("abc".to_owned()));
        for fields in [
            &[("authorization", "Bearer abc")][..],
            &[("cookie", "s=abc")],
            &[("cookie", "a=1; s=abc; t=2")],
            &[("cookie", "a=1;s=abc;t=2")],
            &[("cookie", "a=\"x; s = \"abc\" ")],
            &[("cookie", "a=1"), ("cookie", "s=abc")],
            &[("x-token", "abc")],
            &[("authorization", "Bearer abc"), ("cookie", "s=abc"), ("x-token", "abc")],
            &[("authorization", "Basic eHg="), ("cookie", "s=abc")],
            &[("cookie", "s="), ("x-token", "abc")],
        ] {
            assert_eq!(found(fields), one, "{fields:?}");
        }
        for fields in [&[][..], &[("cookie", "S=abc; ss=abc; s; =s")], &[("cookie", "s=")], &[("cookie", "s=\"\"")]] {
            assert_eq!(found(fields), Ok(None), "{fields:?}");
        }
        for fields in [
            &[("authorization", "Bearer abc"), ("cookie", "s=abd")][..],
            &[("cookie", "s=abc"), ("x-token", "abcd")],
            &[("cookie", "s=abc; s=abc")],
            &[("cookie", "s=; s=abc")],
            &[("cookie", "s=abc"), ("cookie", "a=1; s=abc")],
            &[("x-token", "abc"), ("x-token", "abc")],
            &[("x-token", "")],
            &[("authorization", "Bearer a"), ("authorization", "Bearer a")],
            &[("authorization", "Bearer"), ("cookie", "s=abc")],
        ] {
            assert_eq!(found(fields), Err(Malformed), "{fields:?}");
        }
    }

    #[test]
    fn the_token_is_taken_out_and_all_else_stays_as_it_was() {
        assert_eq!(left(&[("cookie", "s=abc")]), [""; 0]);
        assert_eq!(left(&[("cookie", "a=1; s=abc; b=\"2\"")]), ["cookie: a=1; b=\"2\""]);
        assert_eq!(left(&[("cookie", "s=abc; a=1;b=2;;")]), ["cookie: a=1;b=2;;"]);
        assert_eq!(left(&[("cookie", "a=1 ;s=abc")]), ["cookie: a=1 "]);
        assert_eq!(left(&[("cookie", "a=1"), ("cookie", "s=x"), ("cookie", "b")]), ["cookie: a=1", "cookie: b"]);
        assert_eq!(left(&[("authorization", "Bearer abc"), ("x-token", "y"), ("x-a", "1")]), ["x-a: 1"]);
        assert_eq!(left(&[("cookie", " odd ;; x")]), ["cookie:  odd ;; x"], "what has no token is not touched");
    }

    proptest! {
        /// Whatever a field holds, no reader finds the token in what goes on, and every other pair is there unchanged.
        #[test]
        fn nothing_is_left_and_nothing_else_lost(text in "[sab=; \"]{0,24}") {
            let mut all = RequestFields::new();
            all.insert(&COOKIE, HeaderValue::from_str(&text).unwrap());
            let of = |headers: &RequestFields, own: bool| -> Vec<Vec<u8>> {
                let fields = headers.get_all(&COOKIE).iter().map(|value| value.as_bytes());
                let pairs = fields.flat_map(|field| pairs(field).map(move |pair| (field, pair)));
                let wanted = pairs.filter(|(field, pair)| value_of(field, pair.clone(), "s").is_some() == own);
                wanted.map(|(field, pair)| field[pair].trim_ascii().to_vec()).filter(|pair| !pair.is_empty()).collect()
            };
            let before = of(&all, false);
            without_cookie(&mut all, "s");
            prop_assert_eq!(of(&all, true), Vec::<Vec<u8>>::new());
            prop_assert_eq!(of(&all, false), before);
        }
    }
}
