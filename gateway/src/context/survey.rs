//! What the first checks ask of a request's headers, gathered in one walk: a look-up by name for each question would
//! hash a dozen names a request.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::names::{GRPC_TIMEOUT, TRACEPARENT, TRACESTATE, X_REQUEST_TIMEOUT_MS};

/// A field that may be there once.
#[derive(Debug, Default, Clone, Copy)]
pub struct Single<'h> {
    /// How often it is there.
    pub count: usize,
    /// The first.
    pub first: Option<&'h HeaderValue>,
}

impl<'h> Single<'h> {
    fn see(&mut self, value: &'h HeaderValue) {
        self.count += 1;
        self.first = self.first.or(Some(value));
    }
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
    /// Walks over the fields once.
    pub fn of(headers: &'h HeaderMap) -> Self {
        const HOST: HeaderName = header::HOST;
        const CONTENT_LENGTH: HeaderName = header::CONTENT_LENGTH;
        const TRANSFER_ENCODING: HeaderName = header::TRANSFER_ENCODING;
        const EXPECT: HeaderName = header::EXPECT;
        const UPGRADE: HeaderName = header::UPGRADE;
        const CONTENT_TYPE: HeaderName = header::CONTENT_TYPE;
        const FORWARDED: HeaderName = header::FORWARDED;
        let mut survey = Self::default();
        for (name, value) in headers {
            survey.bytes += name.as_str().len() + value.len() + 4;
            match *name {
                HOST => survey.host.see(value),
                CONTENT_LENGTH => survey.content_length.see(value),
                TRANSFER_ENCODING => survey.transfer_encoding.see(value),
                EXPECT => survey.expect.see(value),
                UPGRADE => survey.upgrade.see(value),
                FORWARDED => survey.forwarded = true,
                CONTENT_TYPE => survey.see_type(value.as_bytes()),
                _ => {
                    survey.traced |= *name == TRACEPARENT || *name == TRACESTATE;
                    survey.timed |= *name == X_REQUEST_TIMEOUT_MS || *name == GRPC_TIMEOUT;
                }
            }
        }
        survey
    }

    #[inline]
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
        let mut headers = HeaderMap::new();
        for (name, value) in [("host", "a"), ("x", "1"), ("host", "b"), ("content-length", "5")] {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let survey = Survey::of(&headers);
        assert_eq!((survey.host.count, survey.host.first.unwrap()), (2, &HeaderValue::from_static("a")));
        assert_eq!(survey.content_length.count, 1);
        assert_eq!((survey.expect.count, survey.upgrade.first), (0, None));
        assert_eq!(survey.bytes, "host: a\r\nx: 1\r\nhost: b\r\ncontent-length: 5\r\n".len());
    }
}
