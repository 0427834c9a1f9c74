//! The rules of the module above, one story each.

use proptest::prelude::*;

use super::*;

fn map(fields: &[(&str, &str)]) -> RequestFields {
    let mut headers = RequestFields::new();
    for (name, value) in fields {
        headers.append(&HeaderName::from_bytes(name.as_bytes()).unwrap(), value);
    }
    headers
}

/// What is left of a response's fields.
fn passed(fields: &[(&str, &str)]) -> HeaderMap {
    let mut fields = Fields::of_lines(fields);
    remove_from_response(&mut fields, |_| false);
    fields.to_map()
}

fn left(headers: &impl AnyFields) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| std::str::from_utf8(bytes).unwrap().to_owned();
    let mut fields: Vec<_> = headers.all().map(|(name, value)| (text(name), text(value))).collect();
    fields.sort();
    fields
}

/// The rule as the standard tells it, slowly.
fn model(fields: &[(&str, &str)]) -> Vec<(String, String)> {
    let named: Vec<String> = fields
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("connection"))
        .flat_map(|(_, value)| value.split(',').map(|token| token.trim().to_ascii_lowercase()))
        .filter(|token| !["host", "content-length", "forwarded", "x-request-id"].contains(&token.as_str()))
        .filter(|token| !token.starts_with("x-forwarded-"))
        .collect();
    let always = [
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "transfer-encoding",
        "upgrade",
        "http2-settings",
        "expect",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-authentication-info",
    ];
    let mut fields: Vec<_> = fields
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), (*value).to_owned()))
        .filter(|(name, _)| !always.contains(&name.as_str()) && !named.contains(name))
        .collect();
    fields.sort();
    fields
}

#[test]
fn an_ordinary_response_is_left_alone() {
    let fields =
        [("content-type", "text/plain"), ("set-cookie", "a=1"), ("set-cookie", "b=2"), ("trailer", "grpc-status")];
    let headers = passed(&fields);
    assert_eq!(left(&headers), model(&fields));
    assert_eq!(headers.len(), 4);
}

#[test]
fn what_connection_names_goes_but_never_what_all_need() {
    let headers = passed(&[
        ("connection", "close, X-Private ,content-length"),
        ("connection", "HOST, x-forwarded-for, ,\"quoted\""),
        ("x-private", "1"),
        ("x-private", "2"),
        ("host", "h"),
        ("content-length", "5"),
        ("x-forwarded-for", "192.0.2.1"),
    ]);
    let names: Vec<_> = left(&headers).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["content-length", "host", "x-forwarded-for"]);
}

#[test]
fn only_trailers_is_left_of_te() {
    for (values, expected) in [
        (&["trailers"][..], Some("trailers")),
        (&["gzip, Trailers"], Some("trailers")),
        (&["gzip", "trailers"], Some("trailers")),
        (&["gzip"], None),
        (&["xtrailers"], None),
        (&["trailers;q=0.5"], None),
        (&[""], None),
    ] {
        let fields: Vec<_> = values.iter().map(|value| ("te", *value)).collect();
        let mut headers = map(&fields);
        reduce_te(&mut headers);
        assert_eq!(headers.get(&TE).map(|value| value.to_str().unwrap()), expected, "{values:?}");
        assert!(headers.get_all(&TE).iter().count() <= 1);
    }
}

fn field() -> impl Strategy<Value = (&'static str, &'static str)> {
    let names = proptest::sample::select(vec![
        "connection",
        "Keep-Alive",
        "proxy-connection",
        "te",
        "Transfer-Encoding",
        "upgrade",
        "http2-settings",
        "expect",
        "proxy-authorization",
        "trailer",
        "host",
        "content-length",
        "x-a",
        "X-B",
        "x-c",
        "x-forwarded-for",
        "forwarded",
        "accept",
        "cookie",
        "proxy-authenticate",
        "expires",
        "upgrades",
    ]);
    let values = proptest::sample::select(vec![
        "",
        "x-a",
        "X-B, x-c",
        "close",
        "te, x-a",
        "host,content-length",
        "x-forwarded-for, accept",
        "keep-alive",
        "cookie,,  ,x-a",
        "a b",
        "connection",
        "upgrade, http2-settings",
    ]);
    (names, values)
}

proptest! {
    #[test]
    fn removal_agrees_with_the_naive_model(fields in proptest::collection::vec(field(), 0..16)) {
        let headers = passed(&fields);
        prop_assert_eq!(left(&headers), model(&fields));
    }
}

#[test]
fn all_names_of_a_connection_have_numbers() {
    for name in [
        "connection",
        "expect",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authentication-info",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ] {
        assert_ne!(kind(name.as_bytes()), Kind::EndToEnd, "{name}");
        assert!(KnownName::of(name.as_bytes()).is_some(), "{name}");
    }
    for known in KnownName::all() {
        let is_hop = matches!(kind(known.text().as_bytes()), Kind::Connection | Kind::Hop);
        assert_eq!(is_of_connection(Some(known)), is_hop, "{known:?}");
    }
    assert!(!is_of_connection(None));
}
