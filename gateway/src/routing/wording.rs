//! Conditions of routes in words, and what a request has instead. What may be a secret is for nobody's eyes, whether a
//! route wants it or a request has it.

use super::content::Unmet;
use super::pattern::Segment;
use crate::config::settings::route::{BodyMatch, HostPattern, ValueMatch};
use crate::config::settings::target::{NOT_SHOWN, may_be_secret};
use crate::request_fields::RequestFields;

/// The longest piece of a request that is repeated in a reason, in characters.
const MOST_QUOTED: usize = 80;

/// Listeners, by name.
pub(super) fn named(listeners: &[std::sync::Arc<str>]) -> String {
    let names: Vec<String> = listeners.iter().map(|name| format!("\"{name}\"")).collect();
    format!("the listener {}", names.join(" or "))
}

pub(super) fn unmet_text(unmet: Unmet<'_>, headers: &RequestFields) -> String {
    match unmet {
        // The request's value may be a secret, so it is not repeated.
        Unmet::Header(name, wanted) if headers.contains_key(name) => {
            let lines = headers.get_all(name).iter().count();
            let each = if lines > 1 { format!(" in each of its {lines} lines") } else { String::new() };
            format!("header {name} is there, but not {}{each}", value_text(name.as_str(), wanted))
        }
        Unmet::Header(name, _) => format!("header {name} is absent"),
        Unmet::Query(name, ValueMatch::Present) => format!("query {name} is absent"),
        Unmet::Query(name, wanted) => format!("query {name} is absent, or not {}", value_text(name, wanted)),
        Unmet::Body(wanted) => format!("body {} is absent, or not {}", wanted.pointer, body_text(wanted)),
    }
}

/// What is wanted of a header or a parameter: what variables filled in, or is called a secret, is for nobody's eyes.
pub(super) fn value_text(name: &str, value: &ValueMatch) -> String {
    match value {
        ValueMatch::Present => "present".to_owned(),
        ValueMatch::Hidden(_) => NOT_SHOWN.to_owned(),
        _ if may_be_secret(name) => NOT_SHOWN.to_owned(),
        ValueMatch::Exact(exact) => format!("\"{exact}\""),
        ValueMatch::Pattern(regex) => format!("like {}", regex.as_str()),
    }
}

/// The same of a place in the body.
pub(super) fn body_text(wanted: &BodyMatch) -> String {
    if wanted.may_be_secret() { NOT_SHOWN.to_owned() } else { wanted.value.to_string() }
}

pub(super) fn host_text(host: &HostPattern) -> String {
    match host {
        HostPattern::Exact(name) => name.clone(),
        HostPattern::Wildcard(suffix) => format!("*.{suffix}"),
    }
}

pub(super) fn kind(segment: &Segment) -> &'static str {
    match segment {
        Segment::Static(_) => "static",
        Segment::Param(_) => "a parameter",
        Segment::Rest(_) => "the rest",
    }
}

/// A piece of the request, cut to a length that fits a line.
pub(super) fn quoted(text: &str) -> String {
    match text.char_indices().nth(MOST_QUOTED) {
        None => format!("\"{text}\""),
        Some((end, _)) => format!("\"{}…\"", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue, Method};
    use serde_json::{Value, json};

    use super::super::content::Body;
    use super::super::explain::explain;
    use super::super::naive::route;
    use super::super::table::{Ask, RouteTable};
    use super::*;

    #[test]
    fn what_may_be_a_secret_is_not_shown() {
        let wanted = |text: &str| ValueMatch::Exact(text.into());
        let one = route("/a", |matches| {
            matches.headers = vec![
                (HeaderName::from_static("x-edge-secret"), wanted("hunter2")),
                (HeaderName::from_static("x-tenant"), wanted("blue")),
                (HeaderName::from_static("x-edge"), ValueMatch::Hidden(Box::new(wanted("hunter2")))),
            ];
            matches.query = vec![
                ("token".to_owned(), ValueMatch::Pattern(regex::Regex::new("hunter2").unwrap())),
                ("sig".to_owned(), ValueMatch::Present),
                ("edge".to_owned(), ValueMatch::Hidden(Box::new(wanted("hunter2")))),
            ];
            let at = |pointer: &str, value: &str| BodyMatch {
                pointer: pointer.into(),
                value: value.into(),
                is_hidden: pointer == "/word",
            };
            matches.body = vec![at("/login/password", "hunter2"), at("/word", "hunter2"), at("/kind", "b")];
        });
        let table = RouteTable::build(&[one]);
        let explained = |[secret, tenant, edge]: [&'static str; 3], query, body: &Value| {
            let mut headers = RequestFields::new();
            headers.insert("x-edge-secret", HeaderValue::from_static(secret));
            headers.insert("x-tenant", HeaderValue::from_static(tenant));
            headers.insert("x-edge", HeaderValue::from_static(edge));
            let body = Body::Json(body, 50);
            let (listener, host, method, client) = ("", "", &Method::POST, None);
            explain(&table, &Ask { listener, host, method, path: "/a", query, client, headers: &headers, body })
        };
        let body = |password: &str, word: &str| json!({ "login": { "password": password }, "word": word, "kind": "b" });
        let (good, query, fine) = (["hunter2", "blue", "hunter2"], Some("token=hunter2&sig=1&edge=hunter2"), "hunter2");
        let chosen = explained(good, query, &body(fine, fine));
        let shown = [
            "header x-edge-secret (not shown)",
            "header x-tenant \"blue\"",
            "header x-edge (not shown)",
            "query token (not shown)",
            "query sig present",
            "query edge (not shown)",
            "body /login/password (not shown)",
            "body /word (not shown)",
            "body /kind \"b\"",
        ];
        assert_eq!(chosen.because[3..], shown);
        for (headers, query, body, reason) in [
            (["guess", "blue", fine], query, body(fine, fine), "header x-edge-secret is there, but not (not shown)"),
            ([fine, "red", fine], query, body(fine, fine), "header x-tenant is there, but not \"blue\""),
            ([fine, "blue", "guess"], query, body(fine, fine), "header x-edge is there, but not (not shown)"),
            (good, None, body(fine, fine), "query token is absent, or not (not shown)"),
            (good, Some("token=hunter2&sig&edge=a"), body(fine, fine), "query edge is absent, or not (not shown)"),
            (good, query, body("guess", fine), "body /login/password is absent, or not (not shown)"),
            (good, query, body(fine, "guess"), "body /word is absent, or not (not shown)"),
        ] {
            let missed = explained(headers, query, &body);
            assert_eq!(missed.misses[0].reason, reason);
        }
    }
}
