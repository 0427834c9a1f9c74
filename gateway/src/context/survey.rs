//! What the first checks ask of a request's headers. Which known names are there was found when they were read, so that
//! no name is looked at here.

use crate::request_fields::{FieldValue, KnownName, NameSet, RequestFields};

const TRACED: NameSet = NameSet::of(&[KnownName::TRACEPARENT, KnownName::TRACESTATE]);
const TIMED: NameSet = NameSet::of(&[KnownName::X_REQUEST_TIMEOUT_MS, KnownName::GRPC_TIMEOUT]);

/// A field that may be there once.
#[derive(Debug, Default, Clone, Copy)]
pub struct Single<'h> {
    /// How often it is there.
    pub count: usize,
    /// The first.
    pub first: Option<FieldValue<'h>>,
}

impl<'h> Single<'h> {
    #[inline]
    fn of(headers: &'h RequestFields, name: KnownName) -> Self {
        let first = headers.get(name);
        let count = if headers.repeats(name) { headers.get_all(name).count() } else { usize::from(first.is_some()) };
        Self { count, first }
    }
}

/// What a request without a body has none of, mostly.
const RARE: NameSet =
    NameSet::of(&[KnownName::CONTENT_LENGTH, KnownName::TRANSFER_ENCODING, KnownName::EXPECT, KnownName::UPGRADE]);

/// The fields of those names.
#[inline(never)]
fn rare(headers: &RequestFields) -> [Single<'_>; 4] {
    [KnownName::CONTENT_LENGTH, KnownName::TRANSFER_ENCODING, KnownName::EXPECT, KnownName::UPGRADE]
        .map(|name| Single::of(headers, name))
}

/// What the checks ask.
#[derive(Debug, Default, Clone, Copy)]
pub struct Survey<'h> {
    /// `host`
    pub host: Single<'h>,
    /// `content-length`
    pub content_length: Single<'h>,
    /// `transfer-encoding`
    pub transfer_encoding: Single<'h>,
    /// `expect`
    pub expect: Single<'h>,
    /// `upgrade`
    pub upgrade: Single<'h>,
    /// `traceparent` or `tracestate`
    pub traced: bool,
    /// `forwarded`
    pub forwarded: bool,
    /// `x-request-timeout-ms` or `grpc-timeout`
    pub timed: bool,
    /// `content-type: application/grpc`, or a form of it
    pub is_grpc: bool,
    /// The same as web pages send it: `application/grpc-web`, or a form of that
    pub is_web: bool,
    /// Bytes of all fields as on the wire: name, colon, space, value, line end.
    pub bytes: usize,
}

impl<'h> Survey<'h> {
    /// Asks the fields.
    #[inline]
    pub fn of(headers: &'h RequestFields) -> Self {
        let [content_length, transfer_encoding, expect, upgrade] =
            if headers.has_any(RARE) { rare(headers) } else { [Single::default(); 4] };
        let mut survey = Self {
            host: Single::of(headers, KnownName::HOST),
            content_length,
            transfer_encoding,
            expect,
            upgrade,
            traced: headers.has_any(TRACED),
            forwarded: headers.contains_key(KnownName::FORWARDED),
            timed: headers.has_any(TIMED),
            is_grpc: false,
            is_web: false,
            bytes: headers.line_bytes(),
        };
        if headers.contains_key(KnownName::CONTENT_TYPE) {
            headers.get_all(KnownName::CONTENT_TYPE).for_each(|value| survey.see_type(value.as_bytes()));
        }
        survey
    }

    fn see_type(&mut self, content_type: &[u8]) {
        if is_grpc(content_type) {
            self.is_grpc = true;
            self.is_web |= is_web(content_type);
        }
    }
}

/// `application/grpc`, with parameters, of some encoding (`+proto`), or as web pages send it (`-web`,
/// `-web-text+proto`).
#[inline]
pub fn is_grpc(content_type: &[u8]) -> bool {
    match content_type.strip_prefix(b"application/grpc") {
        Some([] | [b'+' | b';' | b' ' | b'\t', ..]) => true,
        Some(form) => form.starts_with(b"-web"),
        None => false,
    }
}

/// Whether a type of gRPC is one that web pages send.
pub fn is_web(content_type: &[u8]) -> bool {
    content_type.starts_with(b"application/grpc-web")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_types_of_grpc_are_grpc() {
        for form in ["", "+proto", "+json; charset=utf-8", ";a=b", " ; a=b", "-web", "-web+proto", "-web-text"] {
            assert!(is_grpc(format!("application/grpc{form}").as_bytes()), "{form:?}");
        }
        for other in ["application/grpcx", "application/grpc.json", "application/grp", "application/json", ""] {
            assert!(!is_grpc(other.as_bytes()), "{other:?}");
        }
    }

    #[test]
    fn every_field_is_seen_as_often_as_it_is_there() {
        let mut headers = RequestFields::new();
        for (name, value) in [("host", "a"), ("x", "1"), ("host", "b"), ("content-length", "5")] {
            headers.append(name, value);
        }
        let survey = Survey::of(&headers);
        assert_eq!((survey.host.count, survey.host.first.unwrap().as_bytes()), (2, &b"a"[..]));
        assert_eq!(survey.content_length.count, 1);
        assert_eq!((survey.expect.count, survey.upgrade.first), (0, None));
        assert_eq!(survey.bytes, "host: a\r\nx: 1\r\nhost: b\r\ncontent-length: 5\r\n".len());
    }
}
