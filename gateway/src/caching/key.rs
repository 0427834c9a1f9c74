//! What an answer is kept under: all that goes upstream and of which two requests must not share an answer.
//!
//! The part about the URI comes first, so that all that is kept of one can be found at once; then what the route sends
//! of a request beside it; then who asks. No two lists of parts come to the same bytes.

use super::asked::Asked;
use crate::context::{ToldOfUrl, told_of_url};
use crate::exchange::Exchange;
use crate::network::Network;
use crate::request_fields::RequestFields;
use crate::request_target::PathQuery;

/// A key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    bytes: Vec<u8>,
    /// How much of it is about the URI.
    uri: usize,
    /// How much is about anything but who asks.
    common: usize,
}

impl Key {
    /// Of nothing but a URI: what all that is kept of it begins with.
    pub fn of_uri<N: Network>(exchange: &Exchange<N>, (tag, target): (u64, &PathQuery)) -> Self {
        let mut bytes = Vec::with_capacity(256);
        bytes.extend_from_slice(&tag.to_be_bytes());
        add(&mut bytes, exchange.host().map_or(&[], |host| host.value.as_bytes()));
        add(&mut bytes, target.as_str().as_bytes());
        Self { uri: bytes.len(), common: bytes.len(), bytes }
    }

    /// Of this request's answers.
    pub fn of<N: Network>(
        exchange: &Exchange<N>,
        (tag, target): (u64, &PathQuery),
        (asked, headers): (&Asked, &RequestFields),
    ) -> Self {
        let Self { mut bytes, uri, .. } = Self::of_uri(exchange, (tag, target));
        bytes.push(u8::from(exchange.secure));
        // Which of a split's upstreams.
        add(&mut bytes, exchange.upstream().map_or(&[], |upstream| upstream.name.as_bytes()));
        for made in exchange.made_for_upstream() {
            // One that is not sent is like no other.
            bytes.push(u8::from(made.is_some()));
            add(&mut bytes, made.as_ref().map_or(&[], |value| value.as_bytes()));
        }
        let authority = exchange.route().and_then(|route| route.authority.as_deref());
        let told = authority.into_iter().flat_map(|authority| &authority.settings.response_headers);
        for name in asked.elsewhere.iter().chain(told) {
            for value in headers.get_all(name) {
                add(&mut bytes, name.as_str().as_bytes());
                add(&mut bytes, value.as_bytes());
            }
        }
        for (element, pair) in told_by_proxies(exchange, headers) {
            add(&mut bytes, b"forwarded");
            bytes.push(element);
            add(&mut bytes, pair);
        }
        // Told to the upstream: who makes one up has it for itself.
        add(&mut bytes, &exchange.passes.to_bytes());
        let common = bytes.len();
        if let Some(identity) = &exchange.identity {
            add(&mut bytes, identity.likeness());
        }
        Self { bytes, uri, common }
    }

    /// The whole.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What all that is kept of its URI begins with.
    pub fn uri(&self) -> &[u8] {
        &self.bytes[..self.uri]
    }

    /// The same for whoever asks; `None` where nobody was proven, as it is the whole then.
    pub fn common(&self) -> Option<&[u8]> {
        (self.common < self.bytes.len()).then(|| &self.bytes[..self.common])
    }
}

/// What trusted proxies say of the host and the scheme that were asked for (RFC 7239, section 5), of which upstreams
/// are told in older words too, each with the number of its element: upstreams may read any. For whom and by whom is
/// each client's own. What cannot be read is told as it is, and is in the key as it is.
fn told_by_proxies<'h, N: Network>(exchange: &Exchange<N>, headers: &'h RequestFields) -> ToldOfUrl<'h> {
    if !exchange.peer_trusted {
        return ToldOfUrl::new();
    }
    let lines = headers.get_all(&http::header::FORWARDED).iter();
    told_of_url(headers).unwrap_or_else(|| lines.map(|line| (u8::MAX, line.as_bytes())).collect())
}

/// The route's tag, and the path and query, of a key's bytes.
pub(super) fn read(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (tag, rest) = bytes.split_first_chunk::<8>()?;
    let (_, rest) = part(rest)?;
    let (target, _) = part(rest)?;
    Some((u64::from_be_bytes(*tag), target))
}

fn part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

/// Its length first.
fn add(bytes: &mut Vec<u8>, part: &[u8]) {
    // What a head can hold is far below this.
    let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(part);
}

#[cfg(test)]
impl Key {
    /// As of a request for this path by this subject.
    pub(super) fn plain(tag: u64, target: &str, subject: &str) -> Self {
        let mut bytes = tag.to_be_bytes().to_vec();
        add(&mut bytes, b"a.test");
        add(&mut bytes, target.as_bytes());
        let uri = bytes.len();
        add(&mut bytes, b"up");
        let common = bytes.len();
        if !subject.is_empty() {
            add(&mut bytes, subject.as_bytes());
        }
        Self { bytes, uri, common }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn keys_are_alike_where_all_their_parts_are(
            one in prop::collection::vec("[ab]{0,3}", 2),
            other in prop::collection::vec("[ab]{0,3}", 2),
            tags in (0_u64..2, 0_u64..2),
        ) {
            let key = |tag, parts: &[String]| Key::plain(tag, &parts[0], &parts[1]);
            let (first, second) = (key(tags.0, &one), key(tags.1, &other));
            prop_assert_eq!(first == second, one == other && tags.0 == tags.1);
            prop_assert_eq!(read(first.bytes()), Some((tags.0, one[0].as_bytes())));
            prop_assert_eq!(second.bytes().starts_with(first.uri()), tags.0 == tags.1 && one[0] == other[0]);
            prop_assert_eq!(first.common().is_some(), !one[1].is_empty());
        }
    }
}
