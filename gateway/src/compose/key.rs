//! Which requests are alike.

use smallvec::SmallVec;

use crate::context::names::lists;
use crate::exchange::Exchange;
use crate::network::Network;
use crate::request_fields::RequestFields;
use crate::request_target::PathQuery;

/// Headers that tell one client, or one request, from another that asks for the same. Everything else has to be alike.
const APART: [&str; 22] = [
    "cache-control",
    "content-length",
    "date",
    "dnt",
    "pragma",
    "priority",
    "referer",
    "sec-ch-ua",
    "sec-ch-ua-mobile",
    "sec-ch-ua-platform",
    "sec-fetch-dest",
    "sec-fetch-mode",
    "sec-fetch-site",
    "sec-fetch-storage-access",
    "sec-fetch-user",
    "te",
    "traceparent",
    "tracestate",
    "upgrade-insecure-requests",
    "user-agent",
    "x-forwarded-for",
    "x-request-id",
];

/// Whether a request wants what no other may have: an answer only if a cache has it. One that would take trailers
/// (`te`, which Firefox sends with each over HTTP/2) does without them like any other (RFC 9110, section 6.5.1).
pub(super) fn is_for_itself(headers: &RequestFields) -> bool {
    let values = headers.get_all(&http::header::CACHE_CONTROL);
    values.iter().any(|value| lists(value.as_bytes(), b"only-if-cached"))
}

/// Whether requests that differ in this header share a call.
fn tells_apart(name: &[u8]) -> bool {
    APART.iter().any(|apart| apart.as_bytes().eq_ignore_ascii_case(name))
}

/// Whether an answer that hangs on this header is one request's: those that share a call differ in it, or it names its
/// client once the gateway has added its own `forwarded` to what is compared.
pub(super) fn is_ones_own(name: &[u8]) -> bool {
    tells_apart(name) || name.eq_ignore_ascii_case(b"forwarded")
}

/// All that an answer may hang on, in a form in which no two requests look alike that are not.
pub(super) fn of<N: Network>(exchange: &Exchange<N>, headers: &RequestFields, target: &PathQuery) -> Box<[u8]> {
    let snapshot = exchange.snapshot.version.to_be_bytes();
    let route = exchange.route.unwrap_or(usize::MAX).to_be_bytes();
    let secure: &[u8] = if exchange.secure { b"s" } else { b"c" };
    let host = exchange.host().map_or(&[][..], |host| host.value.as_bytes());
    // The subject, its scopes and its claims, as upstreams are told of them.
    let identity = exchange.identity.as_ref().map_or(&[][..], |identity| &identity.fields);
    let is_proven: &[u8] = if exchange.identity.is_some() { b"i" } else { b"-" };
    let passport = exchange.passport.as_deref().unwrap_or_default();
    let path = exchange.path().as_bytes();
    let (method, target) = (exchange.method.as_str().as_bytes(), target.as_str().as_bytes());
    // Told to the upstream: who makes one up has it for itself.
    let passes = exchange.passes.to_bytes();
    let about = [&snapshot[..], &route, secure, method, host, path, target, is_proven, identity, passport, &passes];
    if exchange.made.is_none() {
        return written(&about, headers);
    }
    // Values of the request that the route's edits send on; one that is not sent is like no other.
    let made = exchange.made_for_upstream().iter();
    let made = made.map(|value| value.as_ref().map_or(&[][..], |value| value.as_bytes()));
    written(&about.into_iter().chain(made).collect::<Vec<_>>(), headers)
}

/// The same of requests that share a call for many, whatever each asks for: `others` are the parameters of the path
/// that are no id. Who asks says nothing where subjects share calls, which carry nobody's identity then.
pub(super) fn of_batch<'p, N: Network>(
    exchange: &Exchange<N>,
    headers: &RequestFields,
    others: impl Iterator<Item = &'p str>,
    across_subjects: bool,
) -> Box<[u8]> {
    let snapshot = exchange.snapshot.version.to_be_bytes();
    let route = exchange.route.unwrap_or(usize::MAX).to_be_bytes();
    let secure: &[u8] = if exchange.secure { b"s" } else { b"c" };
    let host = exchange.host().map_or(&[][..], |host| host.value.as_bytes());
    let identity = exchange.identity.as_ref().filter(|_| !across_subjects);
    let is_proven: &[u8] = if identity.is_some() { b"i" } else { b"-" };
    let passport = exchange.passport.as_deref().filter(|_| !across_subjects).unwrap_or_default();
    let identity = identity.map_or(&[][..], |identity| &identity.fields);
    let passes = exchange.passes.to_bytes();
    let alone = if exchange.is_doubtful { exchange.request_id.as_bytes() } else { &[] };
    let about = [&snapshot[..], &route, secure, host, is_proven, identity, passport, &passes, alone];
    let mut about: SmallVec<[&[u8]; 12]> = about.into_iter().collect();
    about.extend(others.map(|value| value.as_bytes()));
    written(&about, headers)
}

fn written(about: &[&[u8]], headers: &RequestFields) -> Box<[u8]> {
    let mut key = Vec::with_capacity(512);
    about.iter().for_each(|part| add(&mut key, part));
    let mut fields: Vec<(&[u8], &[u8])> =
        headers.iter().map(|(name, value)| (name, value.as_bytes())).filter(|(name, _)| !tells_apart(name)).collect();
    // Their order among each other means nothing; that of one name's values does, and stays.
    fields.sort_by_key(|(name, _)| *name);
    for (name, value) in fields {
        add(&mut key, name);
        add(&mut key, value);
    }
    key.into_boxed_slice()
}

/// Its length first: no two lists come to the same bytes.
fn add(key: &mut Vec<u8>, part: &[u8]) {
    key.extend_from_slice(&(part.len() as u64).to_be_bytes());
    key.extend_from_slice(part);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use http::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    use super::*;

    fn map(fields: &[(String, String)]) -> RequestFields {
        let field = |(name, value): &(String, String)| {
            (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap())
        };
        fields.iter().map(field).fold(RequestFields::new(), |mut map, (name, value)| {
            map.append(&name, value);
            map
        })
    }

    /// What has to be alike, name by name.
    fn alike(fields: &[(String, String)]) -> BTreeMap<&str, Vec<&str>> {
        let mut all: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, value) in fields.iter().filter(|(name, _)| !APART.contains(&name.as_str())) {
            all.entry(name).or_default().push(value);
        }
        all
    }

    fn fields() -> impl Strategy<Value = Vec<(String, String)>> {
        let name = "a|b|ab|cookie|authorization|accept|user-agent|traceparent";
        prop::collection::vec((name.prop_map(String::from), "[ab]{0,2}"), 0..5)
    }

    proptest! {
        #[test]
        fn keys_are_alike_where_requests_are_and_nowhere_else(
            one in fields(),
            other in fields(),
            about in prop::collection::vec("[ab]{0,2}", 2),
            more in prop::collection::vec("[ab]{0,2}", 2),
        ) {
            let bytes = |about: &[String]| about.iter().map(|part| part.as_bytes().to_vec()).collect::<Vec<_>>();
            let key = |about: &[String], fields: &[(String, String)]| {
                let about = bytes(about);
                written(&about.iter().map(Vec::as_slice).collect::<Vec<_>>(), &map(fields))
            };
            prop_assert_eq!(key(&about, &one) == key(&more, &other), about == more && alike(&one) == alike(&other));
            let mut turned = one.clone();
            turned.sort_by(|a, b| b.0.cmp(&a.0));
            prop_assert_eq!(key(&about, &one), key(&about, &turned), "the order of names says nothing");
        }
    }
}
