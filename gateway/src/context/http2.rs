//! A request of HTTP/2 in the form that HTTP/1 gives it, so that one set of rules judges both (security.md, A13).
//!
//! What cannot be brought into that form is left as it came, and is refused by the rules that follow.

use http::header::{COOKIE, HOST};
use http::request::Parts;
use http::uri::Scheme;
use http::{HeaderMap, HeaderValue, Uri, Version};

use crate::error::{Code, GatewayError};
use crate::http2::OF_CONNECTIONS;
use crate::request_fields::RequestFields;

/// Brings a request into the form of HTTP/1: `:authority` becomes `host`, the target a path, and a cookie that came in
/// crumbs is whole again (RFC 9113, sections 8.3.1 and 8.2.3).
pub fn to_http1_form(parts: &mut Parts) {
    host_from_authority(parts);
    join_cookies(&mut parts.headers);
}

fn host_from_authority(parts: &mut Parts) {
    let Some(authority) = parts.uri.authority() else { return };
    let known = parts.uri.scheme().is_none_or(|scheme| *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS);
    let mut hosts = parts.headers.get_all(HOST).iter();
    let same = match (hosts.next(), hosts.next()) {
        (None, _) => true,
        (Some(host), None) => host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes()),
        (Some(_), Some(_)) => false,
    };
    let (Ok(value), Some(target)) = (HeaderValue::from_str(authority.as_str()), parts.uri.path_and_query()) else {
        return;
    };
    // An absolute target that stays one is held against `host` and `http` by the rules for HTTP/1.
    if known && same {
        let target = target.clone();
        parts.headers.insert(HOST, value);
        parts.uri = Uri::from(target);
    }
}

fn join_cookies(headers: &mut HeaderMap) {
    let crumbs = headers.get_all(COOKIE);
    if crumbs.iter().nth(1).is_none() {
        return;
    }
    let (mut whole, mut is_sensitive) = (Vec::new(), false);
    for crumb in crumbs {
        is_sensitive |= crumb.is_sensitive();
        if !whole.is_empty() {
            whole.extend_from_slice(b"; ");
        }
        whole.extend_from_slice(crumb.as_bytes());
    }
    // Values joined by a separator that a value may hold are one.
    if let Ok(mut whole) = HeaderValue::from_bytes(&whole) {
        whole.set_sensitive(is_sensitive);
        headers.insert(COOKIE, whole);
    }
}

/// What must hold of a request's fields that HTTP/1's reader sees to on its own.
///
/// # Errors
/// 400.
#[inline]
pub(super) fn check(version: Version, headers: &RequestFields) -> Result<(), GatewayError> {
    if version == Version::HTTP_2 { check_fields(headers) } else { Ok(()) }
}

fn check_fields(headers: &RequestFields) -> Result<(), GatewayError> {
    let is_blank = |byte: Option<&u8>| byte.is_some_and(|byte| matches!(byte, b' ' | b'\t'));
    for (name, value) in headers {
        let bytes = value.as_bytes();
        // RFC 9113, section 8.2.1
        if is_blank(bytes.first()) || is_blank(bytes.last()) {
            return Err(GatewayError::new(Code::BadRequest, "A header field's value begins or ends with a blank."));
        }
        let is_of_connection = OF_CONNECTIONS.iter().any(|known| known.as_str().as_bytes() == name);
        if is_of_connection || (name == b"te" && bytes != b"trailers") {
            return Err(GatewayError::new(Code::BadRequest, "A header field speaks of a connection of HTTP/1."));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn formed(uri: &str, fields: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().uri(uri).version(Version::HTTP_2);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        to_http1_form(&mut parts);
        parts
    }

    fn host(parts: &Parts) -> Vec<&str> {
        parts.headers.get_all(HOST).iter().map(|value| value.to_str().unwrap()).collect()
    }

    #[test]
    fn a13_an_authority_becomes_the_host() {
        let parts = formed("https://a.test:8443/p?q", &[]);
        assert_eq!((parts.uri.to_string(), host(&parts)), ("/p?q".into(), vec!["a.test:8443"]));
        let parts = formed("http://a.test/", &[("host", "A.test")]);
        assert_eq!((parts.uri.to_string(), host(&parts)), ("/".into(), vec!["a.test"]));
        let parts = formed("/p", &[("host", "a.test")]);
        assert_eq!((parts.uri.to_string(), host(&parts)), ("/p".into(), vec!["a.test"]), "there need not be one");
    }

    #[test]
    fn a13_what_contradicts_itself_is_left_for_the_rules_to_refuse() {
        for (uri, fields) in [
            ("http://a.test/", &[("host", "b.test")][..]),
            ("http://a.test/", &[("host", "a.test"), ("host", "a.test")]),
            ("ftp://a.test/", &[]),
        ] {
            assert_eq!(formed(uri, fields).uri, uri, "{fields:?}");
        }
    }

    #[test]
    fn a13_crumbs_of_a_cookie_are_one_field() {
        let parts = formed("/", &[("cookie", "a=1"), ("x", "y"), ("cookie", "b=2"), ("cookie", "c=3")]);
        assert_eq!(parts.headers.get_all(COOKIE).iter().collect::<Vec<_>>(), ["a=1; b=2; c=3"]);
        assert_eq!(parts.headers["x"], "y");
    }

    #[test]
    fn a13_fields_of_connections_and_blanks_around_values_are_refused() {
        for (name, value) in [
            ("connection", "close"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("keep-alive", "1"),
            ("proxy-connection", "x"),
            ("te", "gzip"),
            ("x", " a"),
            ("x", "a\t"),
        ] {
            let parts = formed("/", &[(name, value)]);
            assert!(check(Version::HTTP_2, &RequestFields::from(&parts.headers)).is_err(), "{name}: {value:?}");
            assert!(check(Version::HTTP_11, &RequestFields::from(&parts.headers)).is_ok(), "its own reader decides");
        }
        assert!(
            check(Version::HTTP_2, &RequestFields::from(&formed("/", &[("te", "trailers"), ("x", "")]).headers))
                .is_ok()
        );
    }
}
