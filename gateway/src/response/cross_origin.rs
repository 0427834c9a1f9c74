//! What a browser is told of who may read an answer (Fetch, "CORS protocol"), on routes that say so.
//!
//! The route decides: what an upstream says of it is replaced. But for which headers a page may read, which only the
//! upstream knows; the gateway adds its own to them, and what the route names.

use bytes::Bytes;
use http::header::{
    self, ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::{close_while_draining, grpc_web, secure_own};
use crate::config::settings::Cors;
use crate::context::names::X_REQUEST_ID;
use crate::exchange::Exchange;
use crate::http1::Fields;
use crate::network::Network;
use crate::reply::Reply;
use crate::response_body::ResponseBody;

/// What a route decides, and nobody else.
const DECIDED: [HeaderName; 5] = [
    ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_ALLOW_CREDENTIALS,
    ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_HEADERS,
    ACCESS_CONTROL_MAX_AGE,
];

/// The gateway's own headers that are of use to a page.
const OWN: &str = "x-request-id, retry-after, ratelimit, ratelimit-policy, www-authenticate";

/// The value of `vary` of an answer that is not the same for every page.
const BY_ORIGIN: HeaderValue = HeaderValue::from_static("origin");

/// Answers a preflight; whether the page may go on is for the browser to see.
pub fn preflight<N: Network>(mut exchange: Box<Exchange<N>>) -> Reply<N> {
    exchange.status = Some(StatusCode::NO_CONTENT);
    let mut headers = HeaderMap::with_capacity(8);
    if let Some(cors) = exchange.route().and_then(|route| route.settings.cors.as_deref()) {
        // Browsers remember all of a list, and would ask no more for what only one of several routes allows.
        let agreed = exchange.page.as_ref().and_then(|page| page.lists.clone());
        let [methods, names] = agreed.unwrap_or_else(|| [cors.methods_text(), cors.headers_text()]);
        let lists = [(ACCESS_CONTROL_ALLOW_METHODS, methods), (ACCESS_CONTROL_ALLOW_HEADERS, names)];
        let lists = lists.into_iter().filter(|(_, text)| !text.is_empty());
        headers.extend(lists.filter_map(|(name, text)| Some((name, HeaderValue::try_from(text).ok()?))));
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from(cors.max_age.as_secs()));
        allow(&exchange, cors, |name, value| {
            headers.insert(name, value);
        });
    }
    headers.insert(X_REQUEST_ID.clone(), exchange.request_id.to_header_value());
    secure_own(&exchange, &mut headers);
    close_while_draining(&exchange, &mut headers);
    exchange.record_answered(&headers);
    Reply::own(StatusCode::NO_CONTENT, headers, ResponseBody::own(Bytes::new(), exchange))
}

/// Whether the exchange's route says something of it.
#[inline]
pub(super) fn is_told<N: Network>(exchange: &Exchange<N>) -> bool {
    exchange.route().is_some_and(|route| route.settings.cors.is_some())
}

/// Tells it in an answer of the gateway's own.
pub(super) fn tell<N: Network>(exchange: &Exchange<N>, headers: &mut HeaderMap) {
    let Some(cors) = exchange.route().and_then(|route| route.settings.cors.as_deref()) else { return };
    let append = |name, value| {
        headers.append(name, value);
    };
    if allow(exchange, cors, append) {
        headers.append(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(OWN));
        if let Some(exposed) = &cors.exposed {
            headers.append(ACCESS_CONTROL_EXPOSE_HEADERS, exposed.clone());
        }
    }
}

/// Tells it in an answer of the program's own, or in one that its stages have seen.
pub(super) fn tell_instead<N: Network>(exchange: &Exchange<N>, headers: &mut HeaderMap) {
    if !is_told(exchange) {
        return;
    }
    for name in &DECIDED {
        headers.remove(name);
    }
    let varies_already = headers.get_all(VARY).iter().any(|value| names_origin(value.as_bytes()));
    let mut own = HeaderMap::new();
    tell(exchange, &mut own);
    if varies_already {
        own.remove(VARY);
    }
    for (name, value) in &own {
        headers.append(name, value.clone());
    }
}

/// Tells it in an upstream's answer.
#[inline(never)]
pub(super) fn tell_in<N: Network>(exchange: &Exchange<N>, fields: &mut Fields) {
    let Some(cors) = exchange.route().and_then(|route| route.settings.cors.as_deref()) else { return };
    fields.retain(|name| !DECIDED.iter().any(|decided| name.eq_ignore_ascii_case(decided.as_str().as_bytes())));
    let varies_already = fields.iter().any(|(name, value)| name.eq_ignore_ascii_case(b"vary") && names_origin(value));
    let mut lines = Vec::with_capacity(4);
    if allow(exchange, cors, |name, value| lines.push((name, value))) {
        lines.push((ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(OWN)));
        lines.extend(cors.exposed.clone().map(|exposed| (ACCESS_CONTROL_EXPOSE_HEADERS, exposed)));
        if exchange.speech.web.is_some() && exchange.translated().is_some() {
            lines.push((ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(grpc_web::READABLE)));
        }
    }
    lines.retain(|(name, _)| !(varies_already && *name == VARY));
    let lines: Vec<_> = lines.iter().filter_map(|(name, value)| Some((name, value.to_str().ok()?))).collect();
    fields.push_more(&lines);
}

/// Says again that an answer varies by origin, where edits took that away: a cache keeps one answer for all, and would
/// show one page what another was told.
pub(super) fn vary<N: Network>(exchange: &Exchange<N>, headers: &mut HeaderMap) {
    if varies(exchange) && !headers.get_all(VARY).iter().any(|value| names_origin(value.as_bytes())) {
        headers.append(VARY, BY_ORIGIN);
    }
}

/// The same in an upstream's answer.
pub(super) fn vary_in<N: Network>(exchange: &Exchange<N>, fields: &mut Fields) {
    if varies(exchange) && !fields.all(&VARY).any(names_origin) {
        fields.push_more(&[(&VARY, header::ORIGIN.as_str())]);
    }
}

fn varies<N: Network>(exchange: &Exchange<N>) -> bool {
    exchange.route().and_then(|route| route.settings.cors.as_deref()).is_some_and(Cors::varies)
}

/// Whether a value of `vary` says that the origin matters.
fn names_origin(value: &[u8]) -> bool {
    value
        .split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
        .any(|one| one == b"*" || one.eq_ignore_ascii_case(b"origin"))
}

/// Who may read it; whether the page that asks may.
fn allow<N: Network>(exchange: &Exchange<N>, cors: &Cors, mut set: impl FnMut(HeaderName, HeaderValue)) -> bool {
    if cors.varies() {
        set(VARY, BY_ORIGIN);
    }
    let Some(page) = &exchange.page else { return false };
    set(ACCESS_CONTROL_ALLOW_ORIGIN, page.allowed.clone());
    if page.credentials {
        set(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_found_in_whatever_list() {
        for (value, named) in
            [("Origin", true), ("accept-encoding, origin", true), ("*", true), ("x-origin", false), ("", false)]
        {
            assert_eq!(names_origin(value.as_bytes()), named, "{value}");
        }
    }
}
