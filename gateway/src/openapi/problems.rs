//! Problem documents: which ones a route can answer with, and what they look like.

use std::collections::BTreeMap;

use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::limits;
use crate::config::settings::identity::{Auth, Keys, ProviderKind};
use crate::config::settings::own_answer::{Https, OwnAnswer};
use crate::config::settings::rate_limit::OnFailure;
use crate::config::settings::route::Fallback;
use crate::config::settings::{Config, Route};
use crate::error::Code;

/// The media type of a problem document.
pub(super) const KIND: &str = "application/problem+json";
/// The schema of a problem document, among the components.
pub(super) const SCHEMA: &str = "Problem";

/// The codes that a route's own policies and its upstream can come to, with this method.
pub(super) fn codes(config: &Config, route: &Route, method: &Method) -> Vec<Code> {
    let mut codes = vec![Code::BadRequest];
    let is_asked = route.forward_auth.is_some();
    if route.auth.is_some() || is_asked {
        codes.push(Code::Unauthorized);
    }
    let asks_more = route.auth.as_ref().is_some_and(|auth| !auth.scopes.is_empty() || !auth.claims.is_empty());
    let asks_where = route
        .origin
        .as_ref()
        .is_some_and(|origin| origin.https == Https::Require || !origin.allow.is_empty() || !origin.deny.is_empty());
    if asks_more || asks_where || is_asked {
        codes.push(Code::Forbidden);
    }
    if route.batch.is_some() {
        codes.push(Code::ItemNotFound);
    }
    if !is_fixed(route) && brings_body(method) {
        codes.push(Code::RequestTimeout);
        if max_body(config, route).is_some() {
            codes.push(Code::BodyTooLarge);
        }
    }
    let rules = limits::of_route(config, route);
    let at_once = limits::at_once(config, route);
    if rules.iter().any(|rule| !rule.shadow) || at_once.iter().any(|rule| !rule.shadow) {
        codes.push(Code::RateLimited);
    }
    upstream_codes(route, &mut codes);
    codes.push(Code::Overloaded);
    let is_closed = |rule: &&crate::config::settings::RateLimit| {
        !rule.shadow && rule.shared.as_ref().is_some_and(|shared| shared.on_failure == OnFailure::Closed)
    };
    if rules.iter().any(is_closed) {
        codes.push(Code::LimitStoreDown);
    }
    if route.auth.as_ref().is_some_and(|auth| asks_others(config, auth)) {
        codes.push(Code::IdentityUnavailable);
    }
    if is_asked {
        codes.push(Code::AuthorityUnavailable);
    }
    codes
}

/// Whether anybody else has to be asked to prove who a client is: a server of keys, an issuer, a store, the program.
fn asks_others(config: &Config, auth: &Auth) -> bool {
    let mut used = config.providers.iter().filter(|provider| auth.providers.contains(&provider.name));
    used.any(|provider| match &provider.kind {
        ProviderKind::Jwt(jwt) => {
            matches!(jwt.keys, Some(Keys::Fetched(_)))
                || jwt.revocation.is_some()
                || auth.single_use && jwt.replay_store.is_some()
        }
        ProviderKind::Introspection(_) | ProviderKind::Custom(_) => true,
        ProviderKind::ApiKey(_) | ProviderKind::Basic(_) | ProviderKind::Mtls(_) => false,
    })
}

/// What a route answers in the status of others: of a part without which there is no answer, of a call for many, or of
/// an error of which nothing else is passed on.
pub(super) fn of_others(route: &Route) -> Vec<(&'static str, Value)> {
    let needs_a_part = route.aggregate.as_ref().is_some_and(|it| it.parts.iter().any(|part| part.required));
    let (code, statuses, words) = if needs_a_part {
        (Code::PartFailed, ["4XX", "5XX"], ["A required part was answered so; `part` names it"; 2])
    } else if route.batch.is_some() {
        let by_client = "The call for all items was answered with 401, 403 or 429";
        (Code::BatchFailed, ["4XX", "5XX"], [by_client, "The call for all items was answered so"])
    } else if route.intercept.is_some() {
        (Code::UpstreamError, ["4XX", "5XX"], ["The service answered so; what it said is not passed on"; 2])
    } else {
        return Vec::new();
    };
    let may_come = |statuses: &str| {
        let digit = if statuses == "4XX" { 4 } else { 5 };
        route.intercept.as_ref().is_none_or(|intercept| intercept.has_some_of(digit))
    };
    let response = |words: &str| {
        json!({
            "description": format!("{words} (`{code}`)."),
            "headers": { "x-request-id": { "$ref": "#/components/headers/x-request-id" } },
            "content": { KIND: { "schema": { "$ref": format!("#/components/schemas/{SCHEMA}") } } },
        })
    };
    statuses.into_iter().zip(words.map(response)).filter(|(statuses, _)| may_come(statuses)).collect()
}

/// Whether a route has one answer, which nobody else is asked for and no body is read for.
pub(super) fn is_fixed(route: &Route) -> bool {
    matches!(route.own_answer.as_deref(), Some(OwnAnswer::Fixed(_) | OwnAnswer::Redirect(_)))
}

/// What a failing upstream comes to; nothing where a fixed answer stands in for it.
fn upstream_codes(route: &Route, codes: &mut Vec<Code>) {
    if route.cache.is_some() {
        codes.push(Code::NotCached);
    }
    if is_fixed(route) || matches!(route.fallback, Some(Fallback::Answer(_))) {
        return;
    }
    if route.own_answer.is_some() {
        // A handler is late, or panics.
        codes.extend([Code::UpstreamTimeout, Code::Internal]);
        return;
    }
    if route.intercept.is_some() {
        codes.push(Code::UpstreamError);
    }
    if route.aggregate.is_some() {
        codes.push(Code::PartFailed);
    }
    if route.batch.is_some() {
        codes.push(Code::BatchFailed);
    }
    codes.extend([Code::UpstreamConnect, Code::UpstreamReset, Code::UpstreamInvalid]);
    codes.extend([Code::NoEndpoint, Code::BreakerOpen, Code::ConnectTimeout, Code::UpstreamTimeout]);
}

/// Whether requests of this method have a body, as a rule.
pub(super) fn brings_body(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::DELETE | Method::OPTIONS | Method::TRACE)
}

/// The largest body of a request, bytes.
pub(super) fn max_body(config: &Config, route: &Route) -> Option<u64> {
    route.max_body.unwrap_or(config.server.max_body)
}

/// The component for a status.
pub(super) fn name(status: StatusCode) -> String {
    status.canonical_reason().unwrap_or("Problem").split([' ', '-']).collect()
}

/// What a route answers with one status.
pub(super) struct Told {
    /// The status.
    pub(super) status: StatusCode,
    /// Which codes these are.
    pub(super) words: String,
    /// All of it: a reference to the component for the status, where nothing is told in the operator's own words.
    pub(super) response: Value,
    /// What bodies are.
    pub(super) content: Map<String, Value>,
}

/// Codes by their status.
pub(super) fn responses(config: &Config, route: &Route, codes: &[Code]) -> Vec<Told> {
    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in codes {
        by_status.entry(code.status().as_u16()).or_default().push(*code);
    }
    let response = |(_, codes): (u16, Vec<Code>)| {
        let status = codes.first()?.status();
        let words = in_words(&codes);
        let (content, is_document) = content(config, route, &codes);
        let description = format!("{words}.");
        let response = if is_document {
            let reference = format!("#/components/responses/{}", name(status));
            json!({ "$ref": reference, "description": description })
        } else {
            json!({ "description": description, "headers": headers_with(status), "content": content })
        };
        Some(Told { status, words, response, content })
    };
    by_status.into_iter().filter_map(response).collect()
}

/// What bodies of these codes are, and whether each is a problem document.
fn content(config: &Config, route: &Route, codes: &[Code]) -> (Map<String, Value>, bool) {
    let (mut content, mut is_document) = (Map::new(), true);
    for code in codes {
        let mut own = route.problems.iter().chain(&config.server.problems);
        let Some(body) = own.find_map(|problems| problems.find(*code, code.status())) else {
            let schema = json!({ "$ref": format!("#/components/schemas/{SCHEMA}") });
            content.entry(KIND).or_insert_with(|| json!({ "schema": schema }));
            continue;
        };
        is_document = false;
        if let Some(kind) = body.content_type.as_ref().and_then(|kind| kind.to_str().ok()) {
            content.entry(kind).or_insert_with(|| json!({}));
        }
    }
    (content, is_document)
}

/// Codes with what they mean, in one sentence.
fn in_words(codes: &[Code]) -> String {
    let said = |(at, code): (usize, &Code)| {
        let mut title = code.title().to_owned();
        if let Some(first) = title.get_mut(..1).filter(|_| at > 0) {
            first.make_ascii_lowercase();
        }
        format!("{title} (`{code}`)")
    };
    codes.iter().enumerate().map(said).collect::<Vec<_>>().join("; or ")
}

/// The schema that all problem documents have.
pub(super) fn schema() -> Value {
    let codes: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    json!({
        "type": "object",
        "description": "What went wrong (RFC 9457), as the gateway says it.",
        "required": ["type", "title", "status", "detail", "code"],
        "properties": {
            "type": { "type": "string", "format": "uri", "examples": ["urn:portcullis:problem:rate_limited"] },
            "title": { "type": "string", "description": "The same for each occurrence of the code." },
            "status": { "type": "integer", "minimum": 400, "maximum": 599 },
            "detail": { "type": "string", "description": "This occurrence, in a sentence." },
            "code": { "type": "string", "description": "Stable.", "enum": codes },
            "request_id": { "type": "string", "description": "That of the header `x-request-id`." },
            "part": { "type": "string", "description": "The part of an aggregate that failed." },
            "retry_after_ms": { "type": "integer", "minimum": 0, "description": "When it is worth trying again." },
        },
    })
}

/// The components for all statuses of problems.
pub(super) fn components() -> Map<String, Value> {
    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in Code::ALL {
        by_status.entry(code.status().as_u16()).or_default().push(*code);
    }
    let component = |codes: Vec<Code>| {
        let status = codes.first()?.status();
        Some((name(status), response(status, &codes)))
    };
    by_status.into_values().filter_map(component).collect()
}

fn response(status: StatusCode, codes: &[Code]) -> Value {
    let titles = in_words(codes);
    // A part, a call for many, or the one call there was, may have come to any status.
    let of_others =
        [Code::PartFailed, Code::BatchFailed, Code::UpstreamError].into_iter().filter(|code| !codes.contains(code));
    let words: Vec<&str> = codes.iter().copied().chain(of_others).map(Code::as_str).collect();
    json!({
        "description": format!("{titles}."),
        "headers": headers_with(status),
        "content": { KIND: { "schema": {
            "allOf": [{ "$ref": format!("#/components/schemas/{SCHEMA}") }],
            "properties": { "code": { "enum": words } },
        } } },
    })
}

/// The headers of a problem with this status.
fn headers_with(status: StatusCode) -> Value {
    let reference = |name: &str| json!({ "$ref": format!("#/components/headers/{name}") });
    let mut headers = json!({ "x-request-id": reference("x-request-id") });
    match status {
        StatusCode::UNAUTHORIZED => headers["www-authenticate"] = reference("www-authenticate"),
        StatusCode::METHOD_NOT_ALLOWED => headers["allow"] = reference("allow"),
        StatusCode::SERVICE_UNAVAILABLE => headers["retry-after"] = reference("retry-after"),
        StatusCode::TOO_MANY_REQUESTS => {
            for name in ["retry-after", "ratelimit", "ratelimit-policy"] {
                headers[name] = reference(name);
            }
        }
        _ => {}
    }
    headers
}

fn header(description: &str, kind: &str, example: Value) -> Value {
    let mut header = json!({ "description": description, "schema": { "type": kind } });
    header["example"] = example;
    header
}

/// Headers that the gateway writes.
pub(super) fn headers() -> Map<String, Value> {
    let limits = "draft-ietf-httpapi-ratelimit-headers-10";
    Map::from_iter([
        (
            "x-request-id".to_owned(),
            header("The request's id, as in records.", "string", "0f0c9a3e-7f5b-4c0e-9f7e-5f1d8f7f1a11".into()),
        ),
        (
            "ratelimit-policy".to_owned(),
            header(
                &format!("Each limit: `q` tokens in `w` seconds ({limits})."),
                "string",
                "\"public\";q=250;w=5".into(),
            ),
        ),
        (
            "ratelimit".to_owned(),
            header(
                &format!("What is left of each limit, and the seconds until all is there again ({limits})."),
                "string",
                "\"public\";r=249;t=1".into(),
            ),
        ),
        ("retry-after".to_owned(), header("Seconds until it is worth trying again.", "integer", 1.into())),
        ("www-authenticate".to_owned(), header("How to prove who asks.", "string", "Bearer realm=\"gateway\"".into())),
        ("allow".to_owned(), header("The methods of this path.", "string", "GET, HEAD".into())),
        ("x-aggregate-missing".to_owned(), header("The parts that failed, and are null.", "string", "offers".into())),
    ])
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Purpose, load_text};

    #[test]
    fn every_code_has_a_component_under_the_name_of_its_status() {
        let components = components();
        for code in Code::ALL {
            let response = &components[&name(code.status())];
            let codes = &response["content"][KIND]["schema"]["properties"]["code"]["enum"];
            assert!(codes.as_array().is_some_and(|codes| codes.contains(&code.as_str().into())), "{code}");
        }
        assert!(components.contains_key("TooManyRequests") && components.contains_key("BadGateway"));
    }

    #[test]
    fn a_part_may_fail_with_any_status() {
        let components = components();
        for name in ["Forbidden", "TooManyRequests", "BadGateway", "ServiceUnavailable"] {
            let codes = &components[name]["content"][KIND]["schema"]["properties"]["code"]["enum"];
            let count = |code: &str| codes.as_array().unwrap().iter().filter(|it| *it == code).count();
            assert_eq!((count("part_failed"), count("batch_failed")), (1, 1), "{name}: {codes}");
        }
    }

    #[test]
    fn codes_of_one_status_are_one_answer_that_names_them() {
        let text = "[[routes]]\npath = '/'\nanswer = {}\n";
        let loaded = load_text(text, Path::new("gateway.toml"), Purpose::Check).unwrap();
        let codes = [Code::NoEndpoint, Code::BadRequest, Code::BreakerOpen];
        let told = responses(&loaded.config, &loaded.config.routes[0], &codes);
        let statuses: Vec<u16> = told.iter().map(|told| told.status.as_u16()).collect();
        assert_eq!(statuses, [400, 503]);
        let said = told[1].response["description"].as_str().unwrap();
        assert!(said.contains("no_endpoint") && said.contains("breaker_open"), "{said}");
    }
}
