//! Request heads on the wire.
//!
//! The head is written anew from its parts: one framing field that fits the body, CRLF, token names (security.md, A9).

use http::{HeaderName, Method, header};

use super::bound_auth::proves_connection;
use super::spare;
use super::wire_names::WireNames;
use super::write_queue::Framing;

use crate::request_fields::{KnownName, NameSet, RequestFields};
use crate::request_target::PathQuery;

/// A request without its body. Kept by the caller while it is sent, so that it can be sent again.
#[derive(Debug, Clone)]
pub struct RequestHead {
    /// The method.
    pub method: Method,
    /// The target, in origin-form.
    pub target: PathQuery,
    /// The fields; those that frame the body are left to the codec.
    pub headers: RequestFields,
    /// Further fields as they are written, each with its line end; made by `write_field`.
    pub lines: Vec<u8>,
    /// How the client wrote the names, where they are kept.
    pub names: Option<WireNames>,
}

impl RequestHead {
    /// A GET beside all requests, on a connection of its own that ends with it.
    pub fn alone(target: PathQuery, headers: RequestFields) -> Self {
        Self { method: Method::GET, target, headers, lines: b"connection: close\r\n".to_vec(), names: None }
    }

    /// Appends the head, its empty line included. Whether it proves who is at the connection: then that is no other
    /// request's.
    pub(super) fn write(&self, framing: Framing, out: &mut Vec<u8>) -> bool {
        out.extend_from_slice(self.method.as_str().as_bytes());
        out.push(b' ');
        out.extend_from_slice(self.target.as_str().as_bytes());
        out.extend_from_slice(b" HTTP/1.1\r\n");
        match &self.names {
            None => self.headers.write_lines(out, FRAMES),
            Some(names) => {
                for (spelled, name, value) in names.spell(&self.headers) {
                    if !KnownName::of(name).is_some_and(|name| FRAMES.contains(name)) {
                        write_line(out, spelled, value.as_bytes());
                    }
                }
            }
        }
        let had_length = self.headers.contains_key(KnownName::CONTENT_LENGTH);
        let has_te = self.headers.contains_key(KnownName::TE);
        let binds = self.headers.values_of_any(PROVES).any(proves_connection);
        if has_te {
            // RFC 9110, section 10.1.4: it is of this connection, whatever it says.
            self.write_own(out, &header::CONNECTION, b"te");
        }
        out.extend_from_slice(&self.lines);
        match framing {
            // RFC 9110, section 8.6: a method that anticipates a body says that there is none.
            Framing::None if had_length || self.anticipates_body() => {
                self.write_own(out, &header::CONTENT_LENGTH, b"0");
            }
            // A request's body never ends with its connection (RFC 9112, section 6.3).
            Framing::None | Framing::UntilClose => {}
            Framing::Length(length) => {
                self.write_own(out, &header::CONTENT_LENGTH, itoa::Buffer::new().format(length).as_bytes());
            }
            Framing::Chunked => self.write_own(out, &header::TRANSFER_ENCODING, b"chunked"),
        }
        out.extend_from_slice(b"\r\n");
        binds
    }

    /// Keeps what it took for another request.
    #[inline]
    pub fn recycle(&mut self) {
        spare::keep_request_fields(std::mem::take(&mut self.headers));
        spare::keep_write_buffer(std::mem::take(&mut self.lines));
    }

    fn write_own(&self, out: &mut Vec<u8>, name: &HeaderName, value: &[u8]) {
        let spelled = self.names.as_ref().map_or(name.as_str().as_bytes(), |names| names.first(name));
        write_line(out, spelled, value);
    }

    fn anticipates_body(&self) -> bool {
        matches!(self.method, Method::POST | Method::PUT | Method::PATCH)
    }
}

/// Names of what frames the body, and so is written by itself.
const FRAMES: NameSet = NameSet::of(&[KnownName::CONTENT_LENGTH, KnownName::TRANSFER_ENCODING]);
/// Names of what may prove who is at the connection.
const PROVES: NameSet = NameSet::of(&[KnownName::AUTHORIZATION, KnownName::PROXY_AUTHORIZATION]);

/// Appends one field as a line. The value must be one that `HeaderValue` would take.
#[inline]
pub fn write_field(out: &mut Vec<u8>, name: &HeaderName, value: &[u8]) {
    write_line(out, name.as_str().as_bytes(), value);
}

#[inline]
fn write_line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn written(method: Method, fields: &[(&'static str, &'static str)], framing: Framing) -> String {
        write(method, fields, framing).0
    }

    fn write(method: Method, fields: &[(&'static str, &'static str)], framing: Framing) -> (String, bool) {
        let mut headers = RequestFields::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let (target, lines) = (PathQuery::from_static("/a?b=c"), b"y: 3\r\n".to_vec());
        let head = RequestHead { method, target, headers, lines, names: None };
        let mut out = Vec::new();
        let binds = head.write(framing, &mut out);
        (String::from_utf8(out).unwrap(), binds)
    }

    #[test]
    fn what_proves_who_is_at_the_connection_is_told() {
        for (name, value, expected) in [
            ("authorization", "NTLM TlRM", true),
            ("proxy-authorization", "negotiate YII", true),
            ("authorization", "Basic x", false),
            ("accept-charset", "NTLM x", false),
        ] {
            assert_eq!(write(Method::GET, &[(name, value)], Framing::None).1, expected, "{name}: {value}");
        }
    }

    #[test]
    fn a9_a_head_has_one_framing_field_whatever_the_fields_say() {
        let fields = [("host", "a"), ("content-length", "9"), ("transfer-encoding", "gzip"), ("x", "1"), ("x", "2")];
        assert_eq!(
            written(Method::POST, &fields, Framing::Length(3)),
            "POST /a?b=c HTTP/1.1\r\nhost: a\r\nx: 1\r\nx: 2\r\ny: 3\r\ncontent-length: 3\r\n\r\n"
        );
        assert_eq!(
            written(Method::POST, &fields, Framing::Chunked),
            "POST /a?b=c HTTP/1.1\r\nhost: a\r\nx: 1\r\nx: 2\r\ny: 3\r\ntransfer-encoding: chunked\r\n\r\n"
        );
    }

    #[test]
    fn b1_what_trailers_a_connection_takes_is_said_to_be_of_the_connection() {
        assert_eq!(
            written(Method::GET, &[("host", "a"), ("te", "trailers"), ("dnt", "1")], Framing::None),
            "GET /a?b=c HTTP/1.1\r\nhost: a\r\nte: trailers\r\ndnt: 1\r\nconnection: te\r\ny: 3\r\n\r\n"
        );
    }

    #[test]
    fn no_body_is_said_where_one_could_be_expected() {
        assert_eq!(
            written(Method::GET, &[("host", "a")], Framing::None),
            "GET /a?b=c HTTP/1.1\r\nhost: a\r\ny: 3\r\n\r\n"
        );
        assert!(written(Method::PUT, &[("host", "a")], Framing::None).contains("content-length: 0\r\n"));
        assert!(written(Method::DELETE, &[("content-length", "0")], Framing::None).contains("content-length: 0\r\n"));
    }
}
