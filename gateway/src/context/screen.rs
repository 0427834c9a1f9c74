//! One walk over a request's header names: what belongs to one connection goes, what a client may not say goes, names
//! with underscores are treated as configured.
//!
//! Invariants: no client-sent identity header survives, from whatever peer, however it is spelled (security.md, B2 to
//! B4); the walk costs no allocation for a request that has nothing to remove; trailers pass the same rules.

use http::header::{CONNECTION, TRAILER};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::any_fields::AnyFields;
use super::header_rules::{HeaderRules, Verdict};
use super::hop_by_hop::{Found, Kind, Names, is_of_connection, kind, remove_named};
use super::names::is_own;
use crate::error::{Code, GatewayError};
use crate::http1::Fields;
use crate::request_fields::{NameSet, RequestFields};

/// Why a request is refused by its header names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// A name has an underscore, and `underscores_in_headers = "reject"`.
    Underscore,
}

impl From<Refused> for GatewayError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Underscore => {
                Self::new(Code::BadRequest, "Header names with an underscore are not accepted.").closing()
            }
        }
    }
}

/// Screens a request's headers in place. Read `upgrade`, `connection` and `expect` before, write the gateway's own
/// headers after.
///
/// # Errors
///
/// [`Refused`] when the request must be answered with 400; the headers are then as they came.
#[inline]
pub fn screen_request_headers(
    headers: &mut RequestFields,
    rules: &HeaderRules,
    peer_trusted: bool,
) -> Result<(), Refused> {
    let passing = rules.pass_at_once(peer_trusted);
    if headers.has_none_but(passing) {
        return Ok(());
    }
    screen_others(headers, rules, passing, peer_trusted)
}

/// The same where there are names that have to be looked at: all but those that pass.
fn screen_others(
    headers: &mut RequestFields,
    rules: &HeaderRules,
    passing: NameSet,
    peer_trusted: bool,
) -> Result<(), Refused> {
    let mut found = Found::default();
    let mut dooms = false;
    for (known, name) in headers.names_beside(passing) {
        if found.see(known) {
            dooms = true;
            continue;
        }
        match rules.judge(name, peer_trusted) {
            Verdict::Keep => {}
            Verdict::Remove => dooms = true,
            Verdict::Refuse => return Err(Refused::Underscore),
        }
    }
    found.act(headers);
    if dooms {
        headers.retain_names(|known, name| {
            known.is_some_and(|known| passing.contains(known))
                || !(is_of_connection(known) || rules.judge(name, peer_trusted) == Verdict::Remove)
        });
    }
    if found.trailer {
        announce_what_passes(headers, rules);
    }
    Ok(())
}

/// Screens trailers, of a request or a response, in place: names that frame, route, authenticate or describe the
/// message are dropped (RFC 9110, section 6.5.1), and so is all that a client may not say. A trailer cannot be refused
/// any more, so a name with an underscore is dropped unless it may be kept.
pub fn screen_trailers(trailers: &mut HeaderMap, rules: &HeaderRules) {
    let doomed: Names = trailers.keys().filter(|name| !may_be_trailer(name, rules)).cloned().collect();
    if trailers.contains_key(CONNECTION) {
        remove_named(trailers);
    }
    // What is of a connection, `te` too, is among them.
    doomed.iter().for_each(|name| drop(trailers.remove(name)));
}

/// Whether a field of this name passes behind a body.
fn may_be_trailer(name: &HeaderName, rules: &HeaderRules) -> bool {
    let text = name.as_str().as_bytes();
    kind(text) == Kind::EndToEnd && !is_for_heads(text) && !is_own(name) && rules.judge(text, false) == Verdict::Keep
}

/// Leaves of `trailer` the names that pass behind the body: who is told of others would wait for them in vain, or take
/// their announcement for the gateway's word.
#[cold]
pub fn announce_what_passes(headers: &mut impl AnyFields, rules: &HeaderRules) {
    match told_of(headers.values_of(&TRAILER), rules) {
        Told::AsItIs => {}
        Told::Less(told) => headers.set(&TRAILER, told),
        Told::Nothing => headers.remove_all(TRAILER.as_str()),
    }
}

/// The same of an upstream's answer.
#[cold]
pub fn announce_what_passes_in(fields: &mut Fields, rules: &HeaderRules) {
    match told_of(fields.all(&TRAILER), rules) {
        Told::AsItIs => {}
        Told::Less(told) => fields.edit(&[], &[(TRAILER, told)]),
        Told::Nothing => fields.edit(&[TRAILER], &[]),
    }
}

/// What of an announcement is left.
enum Told {
    AsItIs,
    Less(HeaderValue),
    Nothing,
}

fn told_of<'a>(values: impl Iterator<Item = &'a [u8]>, rules: &HeaderRules) -> Told {
    let passes = |name: &[u8]| HeaderName::from_bytes(name).is_ok_and(|name| may_be_trailer(&name, rules));
    let names: Vec<&[u8]> = values.flat_map(|value| value.split(|byte| *byte == b',')).collect();
    if names.iter().all(|name| passes(name.trim_ascii())) {
        return Told::AsItIs;
    }
    let told: Vec<&[u8]> = names.into_iter().map(<[u8]>::trim_ascii).filter(|name| passes(name)).collect();
    match HeaderValue::from_bytes(&told.join(&b", "[..])) {
        Ok(told) if !told.is_empty() => Told::Less(told),
        _ => Told::Nothing,
    }
}

/// Names that mean something only before a body.
fn is_for_heads(name: &[u8]) -> bool {
    matches!(
        name,
        b"age"
            | b"authorization"
            | b"cache-control"
            | b"content-encoding"
            | b"content-length"
            | b"content-range"
            | b"content-type"
            | b"cookie"
            | b"date"
            | b"expect"
            | b"expires"
            | b"host"
            | b"location"
            | b"max-forwards"
            | b"pragma"
            | b"proxy-authenticate"
            | b"proxy-authorization"
            | b"range"
            | b"ratelimit"
            | b"ratelimit-policy"
            | b"retry-after"
            | b"server"
            | b"set-cookie"
            | b"vary"
            | b"www-authenticate"
            | b"x-powered-by"
    )
}

#[cfg(test)]
mod tests;
