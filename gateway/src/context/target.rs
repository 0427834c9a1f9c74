//! The request's target and host, by RFC 9112 section 3.2: what a request is about, or why it cannot be told.

use std::net::Ipv6Addr;

use http::uri::{Authority, Scheme};
use http::{HeaderValue, Method, Version};

use super::survey::Survey;
use crate::error::{Code, GatewayError};
use crate::http1::decimal;
use crate::request_target::RequestTarget;

/// Beyond this a method is not one of anybody's (security.md, A8).
const MAX_METHOD_BYTES: usize = 32;

/// What a method is that is one of nobody's here: which of these a path takes is looked at later.
const SERVED: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH");

/// Checks the method and the form of the target.
///
/// # Errors
/// 405 for CONNECT, TRACE and over-long methods; 400 for a target that is none of origin-form, absolute-form, and `*`
/// with OPTIONS, or whose query has bytes above ASCII. Those of a path are routing's to judge.
pub fn check_method_and_target(method: &Method, uri: &RequestTarget) -> Result<(), GatewayError> {
    if *method == Method::CONNECT || *method == Method::TRACE || method.as_str().len() > MAX_METHOD_BYTES {
        return Err(GatewayError::unserved_method("This gateway does not serve the method.", SERVED).closing());
    }
    let path = uri.path();
    if path == "*" && *method == Method::OPTIONS {
        return Ok(());
    }
    if !path.starts_with('/') {
        return Err(bad("The request target is neither a path nor an absolute URL."));
    }
    if uri.query().is_some_and(|query| !query.is_ascii()) {
        return Err(bad("The request target has bytes above ASCII, which are written with percent signs."));
    }
    match uri.scheme() {
        Some(scheme) if *scheme != Scheme::HTTP && *scheme != Scheme::HTTPS => {
            Err(bad("The request target's scheme is neither http nor https."))
        }
        _ => Ok(()),
    }
}

/// The host that a request is for. With an absolute target that is the target's; the caller then writes it into the
/// `host` header.
///
/// # Errors
/// 400 where it is absent (but in HTTP/1.0), repeated, malformed, or differs from an absolute-form target. A request of
/// HTTP/1.1 states it also where its target has it (RFC 9112, section 3.2); over HTTP/2 the target alone may.
pub fn host_of(
    survey: &Survey<'_>,
    uri: &RequestTarget,
    version: Version,
) -> Result<Option<HeaderValue>, GatewayError> {
    if survey.host.count > 1 {
        return Err(bad("The host header is repeated."));
    }
    let stated = match survey.host.first {
        Some(value) if is_host(value.as_bytes()) => Some(value),
        Some(_) => return Err(bad("The host header is malformed.")),
        None => None,
    };
    match (uri.authority(), stated) {
        (None, Some(stated)) => Ok(Some(stated.to_header_value())),
        (None, None) if version == Version::HTTP_10 => Ok(None),
        (None, None) => Err(bad("The host header is missing.")),
        (Some(_), None) if version == Version::HTTP_11 => Err(bad("The host header is missing.")),
        (Some(authority), stated) => {
            let target = host_of_authority(authority)?;
            if stated.is_some_and(|stated| !are_alike(stated.as_bytes(), target.as_bytes(), uri.scheme())) {
                return Err(bad("The host header differs from the target's host."));
            }
            Ok(Some(target))
        }
    }
}

/// Whether two hosts are one (RFC 9110, section 4.2.3): in whatever letters, and with the port that the scheme has
/// anyway, or without it.
fn are_alike(one: &[u8], other: &[u8], scheme: Option<&Scheme>) -> bool {
    if one.eq_ignore_ascii_case(other) {
        return true;
    }
    let usual = scheme.map(|scheme| if *scheme == Scheme::HTTPS { "443" } else { "80" });
    let [one, other] = [one, other].map(split_port);
    let [port, other_port] = [one, other].map(|(_, port)| port.filter(|port| !port.is_empty()));
    let usual = usual.map(str::as_bytes);
    one.0.eq_ignore_ascii_case(other.0) && usual.is_some() && port.or(usual) == other_port.or(usual)
}

/// Whether this may be a host, as `host_of` has it.
///
/// # Errors
/// 400: it is malformed.
pub fn check_host(host: &HeaderValue) -> Result<(), GatewayError> {
    if is_host(host.as_bytes()) { Ok(()) } else { Err(bad("The host header is malformed.")) }
}

fn host_of_authority(authority: &Authority) -> Result<HeaderValue, GatewayError> {
    if !is_host(authority.as_str().as_bytes()) {
        return Err(bad("The target's host is malformed."));
    }
    HeaderValue::from_str(authority.as_str()).map_err(|_| bad("The target's host is malformed."))
}

/// `host [ ":" port ]` (RFC 9110, section 7.2): a name, an IPv4 address, or an IPv6 address in brackets; no userinfo,
/// no list, no path.
#[inline]
fn is_host(host: &[u8]) -> bool {
    let (name, port) = split_port(host);
    let port_ok = port.is_none_or(is_port);
    let name_ok = match name {
        [b'[', inner @ .., b']'] => is_ipv6(inner),
        // Without a branch for each byte: every request passes here.
        name => !name.is_empty() && name.iter().fold(true, |all, b| all & IS_HOST[usize::from(*b)]),
    };
    port_ok && name_ok
}

/// `*DIGIT` (RFC 3986, section 3.2.3), and one that there is; no digit at all is the scheme's own.
fn is_port(port: &[u8]) -> bool {
    let number = || std::str::from_utf8(port).ok()?.parse::<u16>().ok();
    port.is_empty() || (port.len() <= 5 && port.iter().all(u8::is_ascii_digit) && number().is_some())
}

fn is_ipv6(address: &[u8]) -> bool {
    std::str::from_utf8(address).is_ok_and(|address| address.parse::<Ipv6Addr>().is_ok())
}

/// Bytes of a host's name.
static IS_HOST: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        table[byte] = b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
        byte += 1;
    }
    table
};

/// A host without its port.
#[inline]
fn split_port(host: &[u8]) -> (&[u8], Option<&[u8]>) {
    let after_bracket = match host {
        [b'[', ..] => host.iter().rposition(|b| *b == b']').map_or(0, |at| at + 1),
        _ => 0,
    };
    match memchr::memchr(b':', &host[after_bracket..]) {
        Some(at) => (&host[..after_bracket + at], Some(&host[after_bracket + at + 1..])),
        None => (host, None),
    }
}

/// The port that a host names, where it names one.
pub fn port(host: &HeaderValue) -> Option<&str> {
    let port = std::str::from_utf8(split_port(host.as_bytes()).1?).ok()?;
    Some(port).filter(|port| !port.is_empty())
}

/// The name that routing compares: without port, in lower case, without a trailing dot.
#[inline]
pub fn routing_host(host: &HeaderValue) -> std::borrow::Cow<'_, str> {
    // A host has been found to be ASCII before it is routed by.
    let host = host.to_str().unwrap_or("");
    let name = &host[..split_port(host.as_bytes()).0.len()];
    let name = name.strip_suffix('.').unwrap_or(name);
    let upper = name.bytes().fold(false, |any, b| any | b.is_ascii_uppercase());
    if upper { name.to_ascii_lowercase().into() } else { name.into() }
}

/// Checks what says how long the body is (RFC 9112, section 6.3); the length that is declared.
///
/// # Errors
/// 400, and the connection is closed: where framing is in doubt, the next byte might be anybody's.
pub fn check_framing(survey: &Survey<'_>, version: Version) -> Result<Option<u64>, GatewayError> {
    if survey.content_length.count > 1 {
        return Err(bad("Content-Length is repeated."));
    }
    let declared = match survey.content_length.first.map(|value| value.as_bytes()) {
        None => None,
        Some(digits) if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) => {
            return Err(bad("Content-Length is not a number."));
        }
        Some(digits) => Some(decimal(digits).ok_or_else(|| bad("Content-Length is not a number, or too large."))?),
    };
    if let Some(coding) = survey.transfer_encoding.first {
        if declared.is_some() {
            return Err(bad("Content-Length and Transfer-Encoding are both there."));
        }
        if version == Version::HTTP_10 {
            return Err(bad("Transfer-Encoding has no place in HTTP/1.0."));
        }
        if survey.transfer_encoding.count > 1 || !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
            return Err(bad("Transfer-Encoding is not exactly chunked."));
        }
    }
    Ok(declared)
}

fn bad(detail: &'static str) -> GatewayError {
    GatewayError::new(Code::BadRequest, detail).closing()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request_fields::RequestFields;
    use http::{Uri, header};

    fn host(uri: &str, hosts: &[&str], version: Version) -> Result<Option<String>, Code> {
        let mut headers = RequestFields::new();
        for host in hosts {
            headers.append(&header::HOST, HeaderValue::from_str(host).unwrap());
        }
        let uri: Uri = uri.parse().unwrap();
        match host_of(&Survey::of(&headers), &uri.into(), version) {
            Ok(found) => Ok(found.map(|value| value.to_str().unwrap().to_owned())),
            Err(error) => Err(error.code),
        }
    }

    #[test]
    fn a6_a_host_is_there_once_and_is_a_host() {
        for good in ["example.com", "example.com:65535", "127.0.0.1", "[::1]:80", "a_b.internal", "example.com.", "a:"]
        {
            assert_eq!(host("/", &[good], Version::HTTP_11), Ok(Some(good.to_owned())), "{good}");
        }
        for bad in ["", "a,b", "user@host", "host/path", "a b", "host:port", "host:123456", "[::1", "[]", "a:1:2"] {
            assert_eq!(host("/", &[bad], Version::HTTP_11), Err(Code::BadRequest), "{bad}");
        }
        for bad in ["host:65536", "host:99999", "host:+1", "[1]", "[::1%25eth0]", "[127.0.0.1]", "[:::]"] {
            assert_eq!(host("/", &[bad], Version::HTTP_11), Err(Code::BadRequest), "{bad}");
        }
        assert_eq!(host("/", &[], Version::HTTP_11), Err(Code::BadRequest));
        assert_eq!(host("/", &[], Version::HTTP_10), Ok(None));
        assert_eq!(host("/", &["a", "a"], Version::HTTP_11), Err(Code::BadRequest));
    }

    #[test]
    fn a6_an_absolute_target_decides_and_must_not_differ_from_the_header() {
        assert_eq!(host("http://a.example/x", &["a.example"], Version::HTTP_11), Ok(Some("a.example".into())));
        assert_eq!(host("http://a.example/x", &["A.EXAMPLE"], Version::HTTP_11), Ok(Some("a.example".into())));
        assert_eq!(host("http://a.example/x", &["b.example"], Version::HTTP_11), Err(Code::BadRequest));
        for needs_none in [Version::HTTP_10, Version::HTTP_2] {
            assert_eq!(host("http://a.example/x", &[], needs_none), Ok(Some("a.example".into())));
        }
        assert_eq!(host("http://a.example/x", &[], Version::HTTP_11), Err(Code::BadRequest), "RFC 9112, section 3.2");
        assert_eq!(host("http://u@a.example/x", &["a.example"], Version::HTTP_11), Err(Code::BadRequest));
        for (target, stated, alike) in [
            ("http://a.example:80/", "A.example", true),
            ("http://a.example/", "a.example:80", true),
            ("http://a.example/", "a.example:", true),
            ("https://a.example:443/", "a.example", true),
            ("http://[::1]:80/", "[::1]", true),
            ("http://a.example:443/", "a.example", false),
            ("https://a.example:80/", "a.example", false),
            ("http://a.example:80/", "b.example", false),
            ("http://a.example:8080/", "a.example:80", false),
            ("http://[::1]/", "[::2]:80", false),
        ] {
            let found = host(target, &[stated], Version::HTTP_11);
            assert_eq!(found.is_ok(), alike, "{target}, {stated}");
            assert!(found.is_err() || target.contains(&found.unwrap().unwrap()), "the target decides");
        }
    }

    #[test]
    fn an_absolute_target_is_http_or_https() {
        let judged = |uri: &str| check_method_and_target(&Method::GET, &uri.parse::<Uri>().unwrap().into()).is_ok();
        for good in ["/x", "http://a.example/x", "HTTPS://a.example/"] {
            assert!(judged(good), "{good}");
        }
        for bad in ["ftp://a.example/x", "ws://a.example/", "file:///etc/passwd", "gopher://a.example:70/"] {
            assert!(bad.parse::<Uri>().is_err() || !judged(bad), "{bad}");
        }
    }

    #[test]
    fn routing_compares_names_without_port_case_or_trailing_dot() {
        for (given, wanted) in [("Example.COM:80", "example.com"), ("a.b.", "a.b"), ("[::1]:8080", "[::1]")] {
            assert_eq!(routing_host(&HeaderValue::from_static(given)), wanted);
        }
    }

    #[test]
    fn a1_a2_a3_framing_in_doubt_is_refused() {
        let framing = |fields: &[(&str, &str)], version| {
            let mut headers = RequestFields::new();
            for (name, value) in fields {
                headers.append(
                    &http::HeaderName::from_bytes(name.as_bytes()).unwrap(),
                    HeaderValue::from_str(value).unwrap(),
                );
            }
            check_framing(&Survey::of(&headers), version).is_ok()
        };
        assert!(framing(&[("content-length", "5")], Version::HTTP_11));
        assert!(framing(&[("transfer-encoding", "Chunked")], Version::HTTP_11));
        assert!(framing(&[], Version::HTTP_11));
        for bad in ["5, 5", "+5", "-0", "0x5", "5_0", "", "5 5"] {
            assert!(!framing(&[("content-length", bad)], Version::HTTP_11), "{bad}");
        }
        assert!(!framing(&[("content-length", "5"), ("content-length", "5")], Version::HTTP_11));
        assert!(!framing(&[("content-length", "5"), ("transfer-encoding", "chunked")], Version::HTTP_11));
        for bad in ["xchunked", "chunked, chunked", ",chunked", "chunked;q", "identity", "gzip, chunked"] {
            assert!(!framing(&[("transfer-encoding", bad)], Version::HTTP_11), "{bad}");
        }
        assert!(!framing(&[("transfer-encoding", "chunked")], Version::HTTP_10));
    }

    #[test]
    fn a7_a8_methods_and_targets_that_nobody_serves() {
        let check = |method: &str, uri: &str| {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            check_method_and_target(&method, &uri.parse::<Uri>().unwrap().into()).map_err(|error| error.code)
        };
        assert_eq!(check("GET", "/a"), Ok(()));
        assert_eq!(check("OPTIONS", "*"), Ok(()));
        assert_eq!(check("GET", "*"), Err(Code::BadRequest));
        assert_eq!(check("GET", "/a?b=%C3%A9"), Ok(()));
        assert_eq!(check("GET", "/a?b=\u{e9}"), Err(Code::BadRequest));
        assert_eq!(check("CONNECT", "example.com:443"), Err(Code::MethodNotAllowed));
        assert_eq!(check("TRACE", "/"), Err(Code::MethodNotAllowed));
        assert_eq!(check(&"A".repeat(33), "/"), Err(Code::MethodNotAllowed));
    }
}
