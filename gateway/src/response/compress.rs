//! Which answers are compressed, on routes and aggregates that say so, and what their heads say of it: an upstream's
//! head, or one that is made here.
//!
//! An answer whose bytes somebody vouches for (a digest, a range of them, `no-transform`) is left as it is, and so is
//! one that has a coding already: its upstream knew better. Whatever could have been compressed says that it varies,
//! to each client, as a cache keeps one answer for all.

use http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
    IF_NONE_MATCH, TRAILER, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};

use crate::compression::{Accepted, DIGESTS, Encoder};
use crate::config::settings::Compress;
use crate::context::names::lists;
use crate::exchange::Exchange;
use crate::http1::Fields;
use crate::network::Network;
use crate::request_fields::{FieldValue, RequestFields};
use crate::response_body::Packing;

/// Notes which coding the client takes: its fields are gone when the answer comes.
///
/// HTTP/1.0 has no chunks: its client could not tell a whole answer from a cut one.
#[cold]
pub fn note_accepted<N: Network>(exchange: &mut Exchange<N>, headers: &RequestFields) {
    let Some(compress) = exchange.route().and_then(|route| route.settings.compress.as_deref()) else { return };
    let is_to_stay = headers.get_all(&CACHE_CONTROL).iter().any(|value| lists(value.as_bytes(), b"no-transform"));
    if exchange.version != Version::HTTP_10 && !is_to_stay {
        let lines = headers.get_all(&ACCEPT_ENCODING).map(|value| value.as_bytes());
        exchange.accepts = Accepted::choose(lines, &compress.codings);
        let weak = |value: FieldValue<'_>| value.as_bytes().windows(3).any(|part| part == b"W/\"");
        exchange.accepts.has_weak_tag = headers.get_all(&IF_NONE_MATCH).iter().any(weak);
    }
}

/// A head as far as this is about it. Names are looked for in any letters.
pub(super) trait Head {
    /// All values under a name.
    fn all<'a>(&'a self, name: &'a HeaderName) -> impl Iterator<Item = &'a [u8]>;
    /// Adds a field behind those of its name.
    fn add(&mut self, name: &HeaderName, value: &'static str);
    /// Takes fields away, and puts others in the place of those of their name. None of them frames the answer.
    fn edit(&mut self, gone: &[HeaderName], set: &[(HeaderName, HeaderValue)]);
    /// Its length was that of other bytes than those that come.
    fn drop_length(&mut self);
}

impl Head for Fields {
    fn all<'a>(&'a self, name: &'a HeaderName) -> impl Iterator<Item = &'a [u8]> {
        self.all(name)
    }

    fn add(&mut self, name: &HeaderName, value: &'static str) {
        self.push_more(&[(name, value)]);
    }

    fn edit(&mut self, gone: &[HeaderName], set: &[(HeaderName, HeaderValue)]) {
        self.edit(gone, set);
    }

    fn drop_length(&mut self) {
        self.retain(|name| !name.eq_ignore_ascii_case(CONTENT_LENGTH.as_str().as_bytes()));
    }
}

impl Head for HeaderMap {
    fn all<'a>(&'a self, name: &'a HeaderName) -> impl Iterator<Item = &'a [u8]> {
        self.get_all(name).iter().map(HeaderValue::as_bytes)
    }

    fn add(&mut self, name: &HeaderName, value: &'static str) {
        self.append(name, HeaderValue::from_static(value));
    }

    fn edit(&mut self, gone: &[HeaderName], set: &[(HeaderName, HeaderValue)]) {
        for name in gone {
            self.remove(name);
        }
        for (name, value) in set {
            self.insert(name, value.clone());
        }
    }

    fn drop_length(&mut self) {
        self.remove(CONTENT_LENGTH);
    }
}

/// Says in the head what is done with the body, and how to do it; `None` where it passes as it is. Of the body it is
/// told how long it is, where that is known, and whether it has ended.
#[cold]
pub(super) fn prepare<N: Network>(
    exchange: &Exchange<N>,
    status: StatusCode,
    head: &mut impl Head,
    (length_left, is_over): (Option<u64>, bool),
) -> Option<Packing> {
    let route = exchange.route()?;
    let compress = route.settings.compress.as_deref()?;
    if exchange.is_grpc || !may_differ(compress, status, head) {
        return None;
    }
    if !head.all(&VARY).any(|value| value.trim_ascii() == b"*" || lists(value, b"accept-encoding")) {
        head.add(&VARY, "accept-encoding");
    }
    let coding = exchange.accepts.coding?;
    if status == StatusCode::NOT_MODIFIED {
        // It speaks of an answer that the client has. Whether that was made smaller is told by the tag that it came
        // with.
        if exchange.accepts.has_weak_tag {
            weaken(head);
            head.drop_length();
        }
        return None;
    }
    let is_head = exchange.method == Method::HEAD;
    let length = if is_head { told_length(head) } else { length_left };
    if length == Some(0) || (length.is_some_and(|length| length < compress.min_size) && !exchange.accepts.only) {
        return None;
    }
    if is_head {
        // As GET would say it (RFC 9110, section 8.6: else nothing is said of the length).
        weaken(head);
        head.drop_length();
        head.edit(&[ACCEPT_RANGES], &[]);
        return None;
    }
    if is_over {
        return None;
    }
    let (effort, most) = (compress.effort, exchange.snapshot.config.server.compress_memory);
    let room = exchange.shard.encoders.take(Encoder::memory(coding, effort), most);
    let (Some(room), Ok(encoder)) = (room, Encoder::lend(coding, effort, length)) else {
        route.series.left_uncompressed(exchange.shard.index);
        return None;
    };
    weaken(head);
    head.drop_length();
    // Events are not to wait for others, however many were announced.
    let length = length.filter(|_| !is_event_stream(head));
    // A range would be one of other bytes.
    head.edit(&[ACCEPT_RANGES], &[(CONTENT_ENCODING, HeaderValue::from_static(coding.as_str()))]);
    Some(Packing { coding, encoder, room, length })
}

/// Whether such an answer is compressed for some client.
fn may_differ(compress: &Compress, status: StatusCode, head: &impl Head) -> bool {
    let is_not_modified = status == StatusCode::NOT_MODIFIED;
    let has_body = !matches!(
        status,
        StatusCode::NO_CONTENT
            | StatusCode::RESET_CONTENT
            | StatusCode::PARTIAL_CONTENT
            | StatusCode::RANGE_NOT_SATISFIABLE
    );
    let is_plain = head.all(&CONTENT_ENCODING).all(|value| value.trim_ascii().eq_ignore_ascii_case(b"identity"));
    let covered = match head.all(&CONTENT_TYPE).next() {
        Some(value) => std::str::from_utf8(value).is_ok_and(|value| compress.covers(value)),
        // A 304 need not say it, and says what its 200 would of what that varies by (RFC 9110, section 15.4.5).
        None => is_not_modified,
    };
    (has_body || is_not_modified)
        && is_plain
        && covered
        && head.all(&CONTENT_RANGE).next().is_none()
        && !head.all(&CACHE_CONTROL).any(|value| lists(value, b"no-transform"))
        && DIGESTS.iter().all(|digest| head.all(digest).next().is_none())
        && !head.all(&TRAILER).any(|value| DIGESTS.iter().any(|digest| lists(value, digest.as_str().as_bytes())))
}

fn is_event_stream(head: &impl Head) -> bool {
    head.all(&CONTENT_TYPE).any(|value| value.to_ascii_lowercase().starts_with(b"text/event-stream"))
}

fn told_length(head: &impl Head) -> Option<u64> {
    std::str::from_utf8(head.all(&CONTENT_LENGTH).next()?).ok()?.trim().parse().ok()
}

/// A tag that stood for each byte stands for what they mean (RFC 9110, section 8.8.1).
fn weaken(head: &mut impl Head) {
    let Some(tag) = head.all(&ETAG).next().filter(|tag| tag.starts_with(b"\"")) else { return };
    if let Ok(weak) = HeaderValue::from_bytes(&[b"W/", tag].concat()) {
        head.edit(&[], &[(ETAG, weak)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::compress::{Coding, Effort, MediaRange};

    fn text() -> Compress {
        let types = vec![MediaRange::parse("text/*").unwrap()];
        Compress { codings: vec![Coding::Gzip], types, min_size: 0, effort: Effort::Low }
    }

    fn differs(status: u16, lines: &[(&str, &str)]) -> bool {
        may_differ(&text(), StatusCode::from_u16(status).unwrap(), &Fields::of_lines(lines))
    }

    #[test]
    fn what_is_vouched_for_or_coded_or_no_whole_is_left_as_it_is() {
        let html = ("Content-Type", "text/html; charset=utf-8");
        assert!(differs(200, &[html]) && differs(404, &[html]) && differs(503, &[html]));
        for status in [204, 205, 206, 416] {
            assert!(!differs(status, &[html]), "{status}");
        }
        assert!(differs(304, &[]) && differs(304, &[html]) && !differs(304, &[("content-type", "image/png")]));
        assert!(!differs(200, &[]) && !differs(200, &[("content-type", "image/png")]));
        for (name, value, differ) in [
            ("Content-Encoding", "br", false),
            ("Content-Encoding", "identity", true),
            ("Content-Range", "bytes 0-1/9", false),
            ("Cache-Control", "max-age=1, No-Transform", false),
            ("Cache-Control", "no-transformation", true),
            ("Content-Digest", "sha-256=:x=:", false),
            ("Repr-Digest", "sha-256=:x=:", false),
            ("Digest", "md5=x", false),
            ("Content-MD5", "x", false),
            ("Trailer", "x-a, Repr-Digest", false),
            ("Trailer", "x-a", true),
        ] {
            assert_eq!(differs(200, &[html, (name, value)]), differ, "{name}: {value}");
        }
    }

    #[test]
    fn a_strong_tag_is_made_weak_and_no_other_is_touched() {
        for (tag, made) in [("\"a\"", "W/\"a\""), ("W/\"a\"", "W/\"a\""), ("a", "a")] {
            let mut fields = Fields::of_lines(&[("ETag", tag)]);
            weaken(&mut fields);
            assert_eq!(fields.all(&ETAG).collect::<Vec<_>>(), [made.as_bytes()]);
        }
        let mut none = Fields::of_lines(&[("Date", "now")]);
        weaken(&mut none);
        assert_eq!(none.all(&ETAG).count(), 0);
    }
}
