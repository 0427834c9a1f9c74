//! The rules of the module above, one story each.

use http::{HeaderName, HeaderValue};
use proptest::prelude::*;

use super::*;
use crate::config::settings::identity::{HeaderPattern, IdentityHeaders};
use crate::config::settings::server::Underscores;

fn rules(underscores: Underscores) -> HeaderRules {
    let identity = IdentityHeaders {
        strip: vec![HeaderPattern::Prefix("x-auth-".into()), HeaderPattern::Exact(HeaderName::from_static("x-user"))],
        ..IdentityHeaders::usual()
    };
    HeaderRules::new(&identity, underscores)
}

fn map(names: &[&str]) -> RequestFields {
    let mut headers = RequestFields::new();
    for name in names {
        let value = if *name == "connection" { "x-listed, host, x-auth-subject" } else { "v" };
        headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_static(value));
    }
    headers
}

#[track_caller]
fn check(names: &[&str], trusted: bool, expected: &[&str]) {
    let mut headers = map(names);
    screen_request_headers(&mut headers, &rules(Underscores::Keep), trusted).unwrap();
    let mut left: Vec<_> = headers.names().map(|name| std::str::from_utf8(name).unwrap()).collect();
    left.sort_unstable();
    assert_eq!(left, expected);
}

#[test]
fn an_ordinary_request_is_left_alone() {
    check(&["host", "accept", "user-agent", "x-custom"], false, &["accept", "host", "user-agent", "x-custom"]);
}

#[test]
fn what_only_proxies_say_is_believed_from_trusted_peers_only() {
    let names = ["host", "x-forwarded-for", "forwarded", "x-real-ip", "x-request-id", "x-gw-timeout", "X-Auth-Subject"];
    check(&names, false, &["host"]);
    check(&names, true, &["forwarded", "host", "x-forwarded-for", "x-gw-timeout", "x-real-ip", "x-request-id"]);
    let certificates = ["host", "x-forwarded-client-cert", "Client-Cert", "client-cert-chain"];
    check(&certificates, false, &["host"]);
    check(&certificates, true, &["client-cert", "client-cert-chain", "host", "x-forwarded-client-cert"]);
}

#[test]
fn connection_takes_what_it_names_along() {
    check(&["connection", "x-listed", "host", "upgrade", "te", "accept"], false, &["accept", "host"]);
}

#[test]
fn underscores_are_treated_as_configured() {
    let names = ["host", "x_custom"];
    let mut headers = map(&names);
    assert_eq!(screen_request_headers(&mut headers, &rules(Underscores::Reject), true), Err(Refused::Underscore));
    assert_eq!(headers.len(), 2);
    screen_request_headers(&mut headers, &rules(Underscores::Keep), false).unwrap();
    assert_eq!(headers.len(), 2);
    screen_request_headers(&mut headers, &rules(Underscores::Drop), false).unwrap();
    assert_eq!(headers.len(), 1);
    let error = GatewayError::from(Refused::Underscore);
    assert_eq!((error.code, error.close), (Code::BadRequest, true));
}

#[test]
fn trailers_pass_without_framing_and_identity() {
    let trailers = map(&[
        "grpc-status",
        "grpc-message",
        "x-checksum",
        "x-auth-subject",
        "content-length",
        "transfer-encoding",
        "connection",
        "x-listed",
        "host",
        "te",
        "x_odd",
        "x-forwarded-for",
        "authorization",
        "date",
        "retry-after",
        "ratelimit",
        "server",
        "traceparent",
        "x-request-timeout-ms",
    ]);
    let mut trailers = trailers.to_map();
    screen_trailers(&mut trailers, &rules(Underscores::Reject));
    let mut left: Vec<_> = trailers.keys().map(HeaderName::as_str).collect();
    left.sort_unstable();
    assert_eq!(left, ["grpc-message", "grpc-status", "x-checksum"]);
}

/// Spellings of names, with separators of all sorts and both cases.
#[test]
fn b2_only_trailers_that_may_come_are_announced() {
    for (sent, told) in [
        ("x-sum", Some("x-sum")),
        ("X-Sum ,grpc-status", Some("X-Sum ,grpc-status")),
        ("x-t, x-auth-subject", Some("x-t")),
        ("X-Auth-Subject", None),
        ("x-user, content-length, host, te, trailer, connection, x-request-id, x-forwarded-for", None),
        ("x_user, x-a, x.user,, \"b\", x-c", Some("x-a, x-c")),
    ] {
        for trusted in [false, true] {
            let mut headers = RequestFields::new();
            headers.insert("trailer", HeaderValue::from_static(sent));
            screen_request_headers(&mut headers, &rules(Underscores::Drop), trusted).unwrap();
            assert_eq!(headers.get("trailer").map(|value| value.to_str().unwrap()), told, "{sent}");
        }
        let mut fields = Fields::of_lines(&[("x-first", "1"), ("Trailer", sent), ("x-last", "2")]);
        announce_what_passes_in(&mut fields, &rules(Underscores::Drop));
        assert_eq!(fields.to_map().get("trailer").map(|value| value.to_str().unwrap()), told, "in an answer: {sent}");
        assert_eq!(fields.to_map().len(), 2 + usize::from(told.is_some()));
    }
    // However many lines say it.
    let mut headers = RequestFields::new();
    for value in ["x-a", "x-auth-scopes", "x-b"] {
        headers.append("trailer", HeaderValue::from_static(value));
    }
    screen_request_headers(&mut headers, &rules(Underscores::Keep), false).unwrap();
    assert_eq!(headers.get_all("trailer").iter().collect::<Vec<_>>(), ["x-a, x-b"]);
}

fn spelled() -> impl Strategy<Value = String> {
    let names = proptest::sample::select(vec![
        "x-auth-subject",
        "x-auth-anything",
        "x-user",
        "x-forwarded-for",
        "accept",
        "x-custom",
        "content-length",
        "x-users",
        "transfer-encoding",
        "connection",
        "te",
    ]);
    (names, any::<[u8; 24]>()).prop_map(|(name, dice)| {
        let marks = ['-', '_', '.', '~', '-', '-'];
        let spell = |(at, c): (usize, char)| match c {
            '-' => marks[usize::from(dice[at]) % marks.len()],
            c if dice[at] & 0x80 != 0 => c.to_ascii_uppercase(),
            c => c,
        };
        name.chars().enumerate().map(spell).collect()
    })
}

proptest! {
    #[test]
    fn no_identity_header_survives(names in proptest::collection::vec(spelled(), 0..12), trusted in any::<bool>(),
                                   trailers in any::<bool>(), drop in any::<bool>()) {
        let rules = rules(if drop { Underscores::Drop } else { Underscores::Keep });
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut headers = map(&names);
        if trailers {
            let mut map = headers.to_map();
            screen_trailers(&mut map, &rules);
            headers = map.into();
        } else {
            screen_request_headers(&mut headers, &rules, trusted).unwrap();
        }
        for name in headers.header_names() {
            // What a CGI-like server would call the variable.
            let variable: String =
                name.as_str().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
            prop_assert!(!variable.starts_with("x_auth_"), "{name}");
            prop_assert!(variable != "x_user" && variable != "transfer_encoding" && variable != "connection", "{name}");
            prop_assert!(trusted || variable != "x_forwarded_for", "{name}");
            prop_assert!(!drop || !name.as_str().contains('_'), "{name}");
        }
        // And what nobody forbids is still there.
        let harmless = names.iter().any(|name| name.eq_ignore_ascii_case("accept") || name.eq_ignore_ascii_case("x-users"));
        prop_assert!(!harmless || headers.contains_key("accept") || headers.contains_key("x-users"));
    }
}
