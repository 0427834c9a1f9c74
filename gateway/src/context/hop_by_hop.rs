//! Headers that speak of one connection only (RFC 9110, section 7.6.1): they end at the gateway, both ways.
//!
//! Gone are `connection`, every field that it names, `keep-alive`, `proxy-connection`, `te`, `transfer-encoding`,
//! `upgrade`, `http2-settings`, `expect` and the proxy's own authentication. `te: trailers` stays, which a head of
//! HTTP/1 names in a `connection` of its own, and so does `trailer`: trailers pass. A `Connection` field cannot name
//! what all hops need or what the gateway writes (see `may_be_named`). A caller that tunnels an upgrade reads it before
//! and writes it anew.

use std::cell::Cell;

use http::header::{CONNECTION, TE, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use smallvec::SmallVec;

use super::any_fields::AnyFields;
use crate::http1::Fields;
use crate::request_fields::{FieldValue, KnownName, NameSet, RequestFields};

/// Names to remove, gathered before any is removed; most messages have at most a few.
pub(super) type Names = SmallVec<[HeaderName; 4]>;

/// What a name is, as far as connections go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `connection`: names other fields.
    Connection,
    /// `te`: only `trailers` passes.
    Te,
    /// `trailer`: announces names behind the body.
    Trailer,
    /// Belongs to one connection.
    Hop,
    /// Goes on.
    EndToEnd,
}

impl Kind {
    /// Whether it goes on, in some form.
    pub(super) fn passes(self) -> bool {
        matches!(self, Self::EndToEnd | Self::Trailer)
    }
}

/// Names of one connection that pass in no form.
const HOP: NameSet = NameSet::of(&[
    KnownName::CONNECTION,
    KnownName::EXPECT,
    KnownName::HTTP2_SETTINGS,
    KnownName::KEEP_ALIVE,
    KnownName::PROXY_AUTHENTICATE,
    KnownName::PROXY_AUTHENTICATION_INFO,
    KnownName::PROXY_AUTHORIZATION,
    KnownName::PROXY_CONNECTION,
    KnownName::TRANSFER_ENCODING,
    KnownName::UPGRADE,
]);

/// Whether a name of a request is of one connection and passes in no form. All such names have numbers.
#[inline]
pub(super) fn is_of_connection(name: Option<KnownName>) -> bool {
    name.is_some_and(|name| HOP.contains(name))
}

/// Classifies a name, which case does not matter to.
#[inline]
pub(super) fn kind(name: &[u8]) -> Kind {
    classify(name.len(), |other| name[0] | 0x20 == other[0] && name.eq_ignore_ascii_case(other))
}

/// By length first, so that most names cost one jump. `is` is asked for names of that length alone.
#[inline(always)]
fn classify(length: usize, is: impl Fn(&[u8]) -> bool) -> Kind {
    let hop = match length {
        2 => return if is(b"te") { Kind::Te } else { Kind::EndToEnd },
        6 => is(b"expect"),
        7 if is(b"trailer") => return Kind::Trailer,
        7 => is(b"upgrade"),
        10 if is(b"connection") => return Kind::Connection,
        10 => is(b"keep-alive"),
        14 => is(b"http2-settings"),
        16 => is(b"proxy-connection"),
        17 => is(b"transfer-encoding"),
        18 => is(b"proxy-authenticate"),
        19 => is(b"proxy-authorization"),
        25 => is(b"proxy-authentication-info"),
        _ => false,
    };
    if hop { Kind::Hop } else { Kind::EndToEnd }
}

/// Whether `Connection` may name this field. Not what frames or routes the message, not what the gateway or a trusted
/// proxy before it wrote to say who is asking, and not `te`, whose `trailers` has a rule of its own.
fn may_be_named(name: &[u8]) -> bool {
    let kept = match name.len() {
        2 => name.eq_ignore_ascii_case(b"te"),
        4 => name.eq_ignore_ascii_case(b"host"),
        9 => name.eq_ignore_ascii_case(b"forwarded"),
        12 => name.eq_ignore_ascii_case(b"x-request-id"),
        14 => name.eq_ignore_ascii_case(b"content-length"),
        _ => false,
    };
    !kept && !name.get(..12).is_some_and(|start| start.eq_ignore_ascii_case(b"x-forwarded-"))
}

/// Removes the fields that the message's `Connection` values name.
#[cold]
pub(super) fn remove_named(headers: &mut impl AnyFields) {
    let mut named: SmallVec<[String; 2]> = SmallVec::new();
    for value in headers.values_of(&CONNECTION) {
        for name in value.split(|b| *b == b',').map(<[u8]>::trim_ascii) {
            let common = name.eq_ignore_ascii_case(b"keep-alive") || name.eq_ignore_ascii_case(b"close");
            if !common
                && may_be_named(name)
                && let Ok(name) = std::str::from_utf8(name)
            {
                named.push(name.to_ascii_lowercase());
            }
        }
    }
    // Whoever names thousands gets no more work done for each of them than has to be.
    named.sort_unstable();
    named.dedup();
    headers.remove_each(&named);
}

/// Leaves `te: trailers` where the message accepts trailers, and nothing else of `te`.
pub(super) fn reduce_te(headers: &mut RequestFields) {
    let accepts = |value: FieldValue<'_>| {
        value.as_bytes().split(|b| *b == b',').any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"trailers"))
    };
    if headers.get_all(KnownName::TE).iter().any(accepts) {
        headers.insert(KnownName::TE, "trailers");
    } else {
        headers.remove(KnownName::TE);
    }
}

/// What a walk over a message's names found to be of one connection only.
#[derive(Debug, Default)]
pub(super) struct Found {
    connection: bool,
    te: bool,
    /// Names are announced that come behind the body.
    pub(super) trailer: bool,
}

impl Found {
    /// Looks at the number of one name; `true` when it has to be removed.
    #[inline]
    pub(super) fn see(&mut self, name: Option<KnownName>) -> bool {
        self.connection |= name == Some(KnownName::CONNECTION);
        self.te |= name == Some(KnownName::TE);
        self.trailer |= name == Some(KnownName::TRAILER);
        is_of_connection(name)
    }

    /// Removes what `connection` names, and of `te` what does not pass. `connection` itself is removed with all others
    /// that are of a connection.
    #[inline]
    pub(super) fn act(&self, headers: &mut RequestFields) {
        if self.connection {
            remove_named(headers);
        }
        if self.te {
            reduce_te(headers);
        }
    }
}

/// Removes what ends here from an upstream's response, and what `also` names; whether it announces trailers. Requests
/// are screened by `screen::screen_request_headers`.
#[inline]
pub fn remove_from_response(fields: &mut Fields, also: impl Fn(&[u8]) -> bool) -> bool {
    let named = if fields.has_connection() { named_by_connection(fields) } else { Vec::new() };
    let announces = Cell::new(false);
    fields.retain(|name| {
        let kind = kind(name);
        if kind == Kind::Trailer {
            announces.set(true);
        }
        // A response has no use for `te`.
        kind.passes() && !also(name) && !named.iter().any(|other| name.eq_ignore_ascii_case(other))
    });
    announces.get()
}

/// Removes what ends here from an answer that did not come over the wire.
pub fn remove_from_answer(headers: &mut HeaderMap) {
    remove_named(headers);
    let doomed: Names = headers.keys().filter(|name| !kind(name.as_str().as_bytes()).passes()).cloned().collect();
    for name in &doomed {
        headers.remove(name);
    }
}

/// The fields that a response's `Connection` values name.
#[cold]
fn named_by_connection(fields: &Fields) -> Vec<Vec<u8>> {
    let values = fields.iter().filter(|(name, _)| kind(name) == Kind::Connection).map(|(_, value)| value);
    let names = values.flat_map(|value| value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii));
    names.filter(|name| may_be_named(name)).map(<[u8]>::to_vec).collect()
}

/// Whether a request asks for a WebSocket (RFC 6455, section 4.1).
pub fn is_websocket(method: &Method, version: Version, headers: &RequestFields) -> bool {
    let upgrade = headers.get(KnownName::UPGRADE);
    let names_upgrade = |value: FieldValue<'_>| {
        value.as_bytes().split(|b| *b == b',').any(|token| token.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
    };
    *method == Method::GET
        && version == Version::HTTP_11
        && upgrade.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
        && headers.get_all(KnownName::CONNECTION).iter().any(names_upgrade)
}

/// Marks a head as a switch to WebSocket (RFC 6455, section 4.1), after the fields of the connection behind are gone.
/// No trailers follow, and some servers read one line of `connection` alone.
pub fn mark_websocket(headers: &mut impl AnyFields) {
    headers.remove_all(TE.as_str());
    headers.set(&CONNECTION, HeaderValue::from_static("upgrade"));
    headers.set(&UPGRADE, HeaderValue::from_static("websocket"));
}

#[cfg(test)]
mod tests;
