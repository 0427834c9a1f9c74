//! The rules of the module above, one story each.

use http::{HeaderName, HeaderValue};
use proptest::prelude::*;

use super::*;
use crate::config::settings::identity::{HeaderPattern, IdentityHeaders};
use crate::config::settings::server::Underscores;
use crate::request_fields::KnownName;

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
        headers.append(&HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_static(value));
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

/// Names of all kinds: with numbers and without, of connections, of proxies, of identities, and what looks like them.
fn any_name() -> impl Strategy<Value = String> {
    let known: Vec<&str> = KnownName::all().map(KnownName::text).collect();
    let others = vec![
        "x-auth-subject",
        "x_auth_subject",
        "x.user",
        "x-users",
        "x-listed",
        "x-gw-timeout",
        "x-real-ip",
        "te_",
        "t.e",
        "content_length",
        "transfer.encoding",
        "x_request_id",
        "keep_alive",
        "x-custom",
        "connectio",
        "x-forwarded-port",
    ];
    prop_oneof![
        4 => prop::sample::select(known).prop_map(str::to_owned),
        3 => prop::sample::select(others).prop_map(str::to_owned),
        1 => "[a-z_.-]{1,9}",
    ]
}

/// As the rules are written down: by the bytes of each name, one after the other.
fn naively(headers: &RequestFields, rules: &HeaderRules, trusted: bool) -> Option<Vec<(String, String)>> {
    let text = |bytes: &[u8]| std::str::from_utf8(bytes).unwrap().to_owned();
    let all: Vec<(String, String)> = headers.iter().map(|(name, value)| (text(name), text(value.as_bytes()))).collect();
    let is_hop = |name: &str| matches!(kind(name.as_bytes()), Kind::Connection | Kind::Hop);
    if all.iter().any(|(name, _)| !is_hop(name) && rules.judge(name.as_bytes(), trusted) == Verdict::Refuse) {
        return None;
    }
    let listed = all.iter().filter(|(name, _)| name == "connection");
    let listed: Vec<String> = listed.flat_map(|(_, value)| value.split(", ").map(str::to_owned)).collect();
    // `host` and what the gateway writes cannot be named; `te` has a rule of its own.
    let is_named = |name: &str| {
        let may_be = !matches!(name, "te" | "host" | "forwarded" | "x-request-id" | "content-length");
        may_be && !name.starts_with("x-forwarded-") && listed.iter().any(|listed| listed == name)
    };
    let stays = |(name, _): &(String, String)| {
        name != "te" && !is_hop(name) && !is_named(name) && rules.judge(name.as_bytes(), trusted) == Verdict::Keep
    };
    Some(all.into_iter().filter(stays).collect())
}

proptest! {
    #[test]
    fn numbers_and_sets_of_names_screen_as_bytes_do(
        names in prop::collection::vec(any_name(), 0..12), listed in prop::collection::vec(any_name(), 0..4),
        trusted in any::<bool>(), underscores in 0_usize..3,
    ) {
        let underscores = [Underscores::Keep, Underscores::Drop, Underscores::Reject][underscores];
        let rules = rules(underscores);
        let mut headers = RequestFields::new();
        for name in &names {
            let value = if name == "connection" { listed.join(", ") } else { "v".to_owned() };
            // What is announced is another rule's.
            if name != "trailer" {
                headers.append(name, value);
            }
        }
        let expected = naively(&headers, &rules, trusted);
        let before = headers.clone();
        match screen_request_headers(&mut headers, &rules, trusted) {
            Err(Refused::Underscore) => {
                prop_assert_eq!(expected, None);
                prop_assert_eq!(headers, before);
            }
            Ok(()) => {
                let text = |bytes: &[u8]| std::str::from_utf8(bytes).unwrap().to_owned();
                let left: Vec<_> = headers.iter().map(|(name, value)| (text(name), text(value.as_bytes()))).collect();
                prop_assert_eq!(Some(left), expected);
            }
        }
    }
}

#[test]
fn whoever_names_thousands_takes_away_what_is_named_and_no_more() {
    let mut headers = RequestFields::new();
    let listed: Vec<String> = (0..4000).rev().map(|number| format!("x-{number}")).collect();
    headers.append("connection", listed.join(","));
    for number in 3990..4010 {
        headers.append(&format!("x-{number}"), "v");
    }
    screen_request_headers(&mut headers, &rules(Underscores::Keep), false).unwrap();
    let expected: Vec<String> = (4000..4010).map(|number| format!("x-{number}")).collect();
    assert!(headers.names().eq(expected.iter().map(String::as_bytes)));
}
