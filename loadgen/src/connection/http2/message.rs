//! Requests as HTTP/1.1 bytes, turned into what h2 sends; and what is known of an answer's head.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri};

use crate::request::{ExpectedHeader, header};
use crate::response::{Call, Head, Refusal};

/// As many as templates may reasonably hold.
const MAX_HEADERS: usize = 128;
/// What HTTP/2 has other means for (RFC 9113, section 8.2.2), and `host`, which becomes `:authority`.
const LEFT_OUT: [&str; 6] = ["host", "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"];

/// A request for h2.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) request: Request<()>,
    pub(super) body: Bytes,
}

impl Message {
    /// Reads a whole request; `None` when its parts are not valid ones.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut head = httparse::Request::new(&mut headers);
        let httparse::Status::Complete(length) = head.parse(bytes).ok()? else { return None };
        let named = |name: &str| head.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        let authority = named("host")?.value;
        let uri = Uri::builder().scheme("http").authority(authority).path_and_query(head.path?).build().ok()?;
        let mut request = Request::new(());
        *request.method_mut() = Method::from_bytes(head.method?.as_bytes()).ok()?;
        *request.uri_mut() = uri;
        *request.version_mut() = http::Version::HTTP_2;
        for header in head.headers.iter() {
            let is_other_te = header.name.eq_ignore_ascii_case("te") && !header.value.eq_ignore_ascii_case(b"trailers");
            if !is_other_te && !LEFT_OUT.iter().any(|name| header.name.eq_ignore_ascii_case(name)) {
                let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
                request.headers_mut().append(name, HeaderValue::from_bytes(header.value).ok()?);
            }
        }
        Some(Self { request, body: Bytes::copy_from_slice(&bytes[length..]) })
    }
}

/// What is known of an answer, held against the headers that are expected.
pub(super) fn head_of<T>(response: &Response<T>, expected: Option<&[ExpectedHeader]>) -> Head {
    let number = |name: &str| response.headers().get(name)?.to_str().ok()?.parse::<u64>().ok();
    let call = if is_of_grpc(response.headers()) { call_of(response.headers()) } else { Call::No };
    let text = |name: &str| response.headers().get(name).map(HeaderValue::as_bytes);
    let head = Head {
        status: response.status().as_u16(),
        keep_alive: true,
        residence_ns: number("x-mock-residence-ns"),
        endpoint: number("x-mock-endpoint").and_then(|port| u16::try_from(port).ok()),
        refusal: Refusal::of(response.status().as_u16(), text("x-request-id"), text("retry-after")),
        call,
        wrong_header: false,
    };
    let lines = || response.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let wrong_header = expected.is_some_and(|expected| header::lacks(expected, head.is_of_mock(), lines));
    Head { wrong_header, ..head }
}

/// `application/grpc`, with the name of a codec or a parameter behind it; gRPC-Web is another protocol.
fn is_of_grpc(fields: &HeaderMap) -> bool {
    let kind = fields.get("content-type").and_then(|kind| kind.as_bytes().strip_prefix(b"application/grpc"));
    kind.is_some_and(|rest| rest.first().is_none_or(|byte| matches!(byte, b'+' | b';' | b' ')))
}

/// What a head or trailers say of how a call ended.
pub(super) fn call_of(fields: &HeaderMap) -> Call {
    let status = fields.get("grpc-status").and_then(|status| status.to_str().ok()?.parse().ok());
    status.map_or(Call::Untold, Call::Ended)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_grpc_says_how_its_call_ended() {
        let call = |kind: &str, status: Option<&str>| {
            let mut answer = Response::builder().header("content-type", kind);
            if let Some(status) = status {
                answer = answer.header("grpc-status", status);
            }
            head_of(&answer.body(()).unwrap(), None).call
        };
        for (kind, status, expected) in [
            ("application/grpc", Some("0"), Call::Ended(0)),
            ("application/grpc+proto", Some("14"), Call::Ended(14)),
            ("application/grpc;charset=x", None, Call::Untold),
            ("application/grpc", Some("fine"), Call::Untold),
            ("application/grpc-web", Some("14"), Call::No),
            ("application/json", Some("14"), Call::No),
        ] {
            assert_eq!(call(kind, status), expected, "{kind} {status:?}");
        }
        assert_eq!(head_of(&Response::new(()), None).call, Call::No);
        let told = [Call::No, Call::Untold, Call::Ended(0), Call::Ended(5), Call::Ended(8), Call::Ended(14)]
            .map(|call| (call.is_failed(), call.is_refused()));
        assert_eq!(told, [(false, false), (true, false), (false, false), (true, false), (true, true), (true, true)]);
    }

    #[test]
    fn a_request_keeps_its_parts_and_loses_what_is_about_the_connection() {
        let bytes = b"POST /a?b=c HTTP/1.1\r\nhost: h:81\r\nConnection: close\r\nX-A: 1\r\nTE: gzip\r\nx-a: 2\r\ncontent-length: 2\r\n\r\nhi";
        let Message { request, body } = Message::parse(bytes).unwrap();
        assert_eq!((request.method().as_str(), request.uri().to_string().as_str()), ("POST", "http://h:81/a?b=c"));
        let headers: Vec<_> = request.headers().iter().map(|(name, value)| format!("{name}: {value:?}")).collect();
        assert_eq!(headers, ["x-a: \"1\"", "x-a: \"2\"", "content-length: \"2\""]);
        assert_eq!(&body[..], b"hi");
        assert!(Message::parse(b"GET /<> HTTP/1.1\r\nhost: h\r\n\r\n").is_none(), "no URI");
        assert!(Message::parse(b"GET / HTTP/1.1\r\n\r\n").is_none(), "without a host there is no authority");
        assert!(Message::parse(b"GET / HTTP/1.1\r\nhost: h\r\n").is_none(), "not whole");
    }
}
