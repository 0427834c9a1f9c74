//! A request's head as HTTP/2 has it: `host` is `:authority`, nothing speaks of a connection, and one length at most.

use http::header::{CONTENT_LENGTH, HOST};
use http::uri::{Authority, Parts, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};

use super::OF_CONNECTIONS;
use super::opened::FIELD_BYTES;
use crate::context::names;
use crate::http1::RequestHead;

/// Names that the gateway writes as lines, and whether each request has a value of its own. The tables that both sides
/// keep of fields (RFC 7541, section 2.3.2) would be filled with such values, which never come again and drive out
/// those that do.
static WRITTEN: [(&HeaderName, bool); 9] = [
    (&names::X_REQUEST_ID, true),
    (&names::TRACEPARENT, true),
    (&names::X_REQUEST_TIMEOUT_MS, true),
    (&names::GRPC_TIMEOUT, true),
    (&names::TRACESTATE, false),
    (&names::FORWARDED, false),
    (&names::X_FORWARDED_FOR, false),
    (&names::X_FORWARDED_PROTO, false),
    (&names::X_FORWARDED_HOST, false),
];

/// What the request says of its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Declared {
    /// There is none.
    Nothing,
    /// So many bytes.
    Length(u64),
    /// It ends when its stream does.
    Unknown,
}

/// The request for `h2`. One that asks to switch to WebSocket becomes an extended CONNECT (RFC 8441, section 5.1).
///
/// # Errors
/// The head is none that HTTP/2 can carry.
pub(super) fn request(head: &RequestHead, declared: Declared, encrypted: bool) -> Result<Request<()>, h2::Error> {
    let mut headers = HeaderMap::with_capacity(head.headers.len() + 8);
    let (mut authority, mut had_length, mut switches) = (None, false, false);
    if let Some(host) = head.headers.get(&HOST) {
        authority = Authority::try_from(host.as_bytes()).ok();
    }
    head.headers.append_to(&mut headers, |name| {
        had_length |= *name == CONTENT_LENGTH;
        switches |= *name == http::header::UPGRADE;
        !(*name == HOST || *name == CONTENT_LENGTH || OF_CONNECTIONS.contains(name))
    });
    append_lines(&mut headers, &head.lines);
    match declared {
        Declared::Length(length) => drop(headers.insert(CONTENT_LENGTH, HeaderValue::from(length))),
        // RFC 9110, section 8.6: a method that anticipates a body says that there is none.
        Declared::Nothing if had_length || anticipates_body(&head.method) => {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(0));
        }
        Declared::Nothing | Declared::Unknown => {}
    }
    let mut parts = Parts::default();
    parts.scheme = Some(if encrypted { Scheme::HTTPS } else { Scheme::HTTP });
    // Every request that goes out has a host, and one that was judged.
    parts.authority = Some(authority.ok_or(h2::Reason::INTERNAL_ERROR)?);
    parts.path_and_query = Some(head.target.to_library());
    let mut request = Request::new(());
    *request.uri_mut() = Uri::from_parts(parts).map_err(|_| h2::Reason::INTERNAL_ERROR)?;
    *request.method_mut() = head.method.clone();
    *request.version_mut() = Version::HTTP_2;
    if switches {
        *request.method_mut() = Method::CONNECT;
        headers.remove(http::header::SEC_WEBSOCKET_KEY);
        request.extensions_mut().insert(h2::ext::Protocol::from_static("websocket"));
    }
    *request.headers_mut() = headers;
    Ok(request)
}

/// What the fields of a request come to as a peer may bound them, bytes: names and values, and a sum for each (RFC
/// 9113, section 6.5.2). What stands before the fields counts like them.
pub(super) fn list_bytes(request: &Request<()>) -> usize {
    let (uri, protocol) = (request.uri(), request.extensions().get::<h2::ext::Protocol>());
    let before = [
        (":method", Some(request.method().as_str())),
        (":scheme", uri.scheme_str()),
        (":authority", uri.authority().map(Authority::as_str)),
        (":path", uri.path_and_query().map(http::uri::PathAndQuery::as_str)),
        (":protocol", protocol.map(h2::ext::Protocol::as_str)),
    ];
    let before = before.iter().filter_map(|(name, value)| Some(name.len() + (*value)?.len() + FIELD_BYTES));
    before.sum::<usize>() + fields_bytes(request.headers())
}

/// The same of fields alone.
pub(super) fn fields_bytes(fields: &HeaderMap) -> usize {
    fields.iter().map(|(name, value)| name.as_str().len() + value.len() + FIELD_BYTES).sum()
}

/// Whether they are those of a call of gRPC.
pub(super) fn is_grpc(fields: &HeaderMap) -> bool {
    const GRPC: &[u8] = b"application/grpc";
    let kind = fields.get(http::header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    kind.and_then(|kind| kind.get(..GRPC.len())).is_some_and(|kind| kind.eq_ignore_ascii_case(GRPC))
}

/// A field whose name ends as those of gRPC's binary values do, and that holds none: values in base64, between commas
/// ("gRPC over HTTP2", Custom-Metadata). grpc-java decodes them while it reads a head, and ends the connection for one
/// that it cannot, which is others' connection, too.
pub(super) fn misfit(fields: &HeaderMap) -> Option<&HeaderName> {
    let odd = |(name, value): &(&HeaderName, &HeaderValue)| {
        name.as_str().ends_with("-bin") && !value.as_bytes().split(|byte| *byte == b',').all(is_base64)
    };
    fields.iter().find(odd).map(|(name, _)| name)
}

/// Whether this is base64 (RFC 4648, section 4), whose padding may be left out.
fn is_base64(text: &[u8]) -> bool {
    let padding = text.iter().rev().take(2).take_while(|byte| **byte == b'=').count();
    let digits = &text[..text.len() - padding];
    let is_whole = if padding == 0 { digits.len() % 4 != 1 } else { text.len().is_multiple_of(4) };
    is_whole && digits.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
}

/// Trailers without what speaks of a connection.
pub(super) fn trailers(mut trailers: HeaderMap) -> HeaderMap {
    for name in &OF_CONNECTIONS {
        trailers.remove(name);
    }
    trailers
}

/// Fields that were written as lines. They are the gateway's own, so that what could be no field is left out rather
/// than sent.
fn append_lines(headers: &mut HeaderMap, lines: &[u8]) {
    for line in lines.split(|byte| *byte == b'\n').filter_map(|line| line.strip_suffix(b"\r")) {
        let Some(colon) = memchr::memchr(b':', line) else { continue };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        let known = WRITTEN.iter().find(|(known, _)| known.as_str().as_bytes() == name);
        let name = known.map_or_else(|| HeaderName::from_bytes(name).ok(), |(known, _)| Some((*known).clone()));
        if let (Some(name), Ok(mut value)) = (name, HeaderValue::from_bytes(value)) {
            // `h2` says such fields in full, and keeps none of them (RFC 7541, section 6.2.3).
            value.set_sensitive(known.is_some_and(|(_, its_own)| *its_own));
            headers.append(name, value);
        }
    }
}

fn anticipates_body(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH)
}

#[cfg(test)]
mod tests {
    use http::header;

    use super::*;

    fn head(method: Method, fields: &[(&'static str, &'static str)]) -> RequestHead {
        let field = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        RequestHead {
            method,
            target: "/p?q".parse().unwrap(),
            headers: fields.iter().map(field).collect(),
            lines: b"x-request-id: 1\r\nforwarded: for=127.0.0.1;host=\"a:1\"\r\n".to_vec(),
            names: None,
        }
    }

    #[test]
    fn the_host_is_the_authority_and_lines_are_fields() {
        let head = head(Method::GET, &[("host", "a.test:8443"), ("x", "1"), ("x", "2"), ("te", "trailers")]);
        let request = request(&head, Declared::Nothing, true).unwrap();
        assert_eq!(request.uri(), "https://a.test:8443/p?q");
        assert_eq!(request.version(), Version::HTTP_2);
        let headers = request.headers();
        assert_eq!(headers.get_all("x").iter().collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(headers["x-request-id"], "1");
        assert_eq!(headers["te"], "trailers");
        assert_eq!(headers["forwarded"], "for=127.0.0.1;host=\"a:1\"");
        assert!(!headers.contains_key(HOST) && !headers.contains_key(CONTENT_LENGTH));
    }

    #[test]
    fn what_only_this_request_has_is_kept_in_no_table() {
        let request = request(&head(Method::GET, &[("host", "a")]), Declared::Nothing, false).unwrap();
        let kept: Vec<_> = request.headers().iter().filter(|(_, value)| !value.is_sensitive()).collect();
        assert_eq!(kept, [(&names::FORWARDED, &HeaderValue::from_static("for=127.0.0.1;host=\"a:1\""))]);
    }

    #[test]
    fn b1_what_speaks_of_a_connection_stays_here() {
        let fields = [("host", "a"), ("connection", "close"), ("keep-alive", "1"), ("transfer-encoding", "chunked")];
        let request = request(&head(Method::GET, &fields), Declared::Unknown, false).unwrap();
        assert_eq!(request.headers().len(), 2, "{:?}", request.headers());
        assert_eq!(request.uri().scheme_str(), Some("http"));
    }

    #[test]
    fn one_length_at_most_and_it_is_the_bodys() {
        let length = |method, fields: &[_], declared| {
            let request = request(&head(method, fields), declared, false).unwrap();
            let all: Vec<_> = request.headers().get_all(CONTENT_LENGTH).iter().cloned().collect();
            assert!(all.len() < 2);
            all.first().map(|value| value.to_str().unwrap().to_owned())
        };
        let told = &[("host", "a"), ("content-length", "9")][..];
        let untold = &told[..1];
        assert_eq!(length(Method::POST, told, Declared::Length(4)).as_deref(), Some("4"));
        assert_eq!(length(Method::POST, told, Declared::Unknown), None);
        assert_eq!(length(Method::POST, untold, Declared::Nothing).as_deref(), Some("0"));
        assert_eq!(length(Method::GET, told, Declared::Nothing).as_deref(), Some("0"));
        assert_eq!(length(Method::GET, untold, Declared::Nothing), None);
    }

    #[test]
    fn a_request_to_switch_is_an_extended_connect() {
        let fields = [("host", "a"), ("connection", "upgrade"), ("upgrade", "websocket"), ("sec-websocket-key", "k")];
        let request = request(&head(Method::GET, &fields), Declared::Unknown, false).unwrap();
        assert_eq!(*request.method(), Method::CONNECT);
        let protocol = request.extensions().get::<h2::ext::Protocol>();
        assert_eq!(protocol.map(h2::ext::Protocol::as_str), Some("websocket"));
        assert!(!request.headers().contains_key(header::SEC_WEBSOCKET_KEY), "nobody proves anything by it here");
        assert_eq!(request.uri(), "http://a/p?q");
    }

    #[test]
    fn whatever_may_be_a_host_is_an_authority() {
        for host in ["a.test", "A_b-c.test:8443", "a:", "127.0.0.1:65535", "[::1]", "[2001:db8::1]:80", "7"] {
            let request = request(&head(Method::GET, &[("host", host)]), Declared::Nothing, false).unwrap();
            assert_eq!(request.uri().authority().map(Authority::as_str), Some(host));
        }
    }

    #[test]
    fn what_a_peer_may_bound_is_each_field_with_32_bytes_for_its_cost() {
        let fields = [("host", "a.test"), ("x", "1"), ("x", "22")];
        let request = request(&head(Method::GET, &fields), Declared::Nothing, false).unwrap();
        let pseudo = [(":method", "GET"), (":scheme", "http"), (":authority", "a.test"), (":path", "/p?q")];
        let plain = [("x", "1"), ("x", "22"), ("x-request-id", "1"), ("forwarded", "for=127.0.0.1;host=\"a:1\"")];
        let bytes =
            |fields: &[(&str, &str)]| fields.iter().map(|(name, value)| name.len() + value.len() + 32).sum::<usize>();
        assert_eq!(fields_bytes(request.headers()), bytes(&plain));
        assert_eq!(list_bytes(&request), bytes(&[pseudo, plain].concat()));
    }

    #[test]
    fn a_field_of_binary_values_holds_base64() {
        let misfit = |name: &'static str, value: &'static str| {
            let fields = [(HeaderName::from_static("x"), "-"), (HeaderName::from_static(name), value)];
            let fields = fields.map(|(name, value)| (name, HeaderValue::from_static(value)));
            misfit(&HeaderMap::from_iter(fields)).map(|name| name.as_str().to_owned())
        };
        for value in ["", "AA", "AA==", "AAA", "AAA=", "AAAA", "+/+/", "AAA,BBB=", "AAAA,,BB"] {
            assert_eq!(misfit("x-b-bin", value), None, "{value}");
        }
        for value in ["1", "AAAAA", "%%%", "a b", "-_8", "AA=", "A===", "=", "====", "AA==A", "AAA, BBB"] {
            assert_eq!(misfit("x-b-bin", value).as_deref(), Some("x-b-bin"), "{value}");
            assert_eq!(misfit("x-binary", value), None, "{value}");
        }
    }

    #[test]
    fn a_call_of_grpc_is_known_by_its_type() {
        for (kind, is_call) in [("application/grpc", true), ("Application/GRPC+proto", true), ("text/plain", false)] {
            let fields = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(kind))]);
            assert_eq!(is_grpc(&fields), is_call, "{kind}");
        }
        assert!(!is_grpc(&HeaderMap::new()));
    }

    #[test]
    fn a_request_without_a_host_is_none() {
        assert!(request(&head(Method::GET, &[]), Declared::Nothing, false).is_err());
        assert!(request(&head(Method::GET, &[("host", "a b")]), Declared::Nothing, false).is_err());
    }
}
