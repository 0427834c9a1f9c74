//! Problem documents (RFC 9457): the one shape in which the gateway says that something went wrong, but where the
//! configuration has a body of its own for it.

use std::fmt::Write as _;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};

use super::own::{closing, tell_limits, whole_seconds};
use super::{close_while_draining, cross_origin, edited, secure_own};
use crate::context::names::X_REQUEST_ID;
use crate::error::{Code, GatewayError};
use crate::exchange::Exchange;
use crate::http1::spare;
use crate::network::Network;
use crate::reply::Reply;
use crate::response_body::ResponseBody;
use crate::telemetry::json;

const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");
/// Most documents are shorter, bytes.
const DOCUMENT: usize = 320;

/// What a problem is told with.
pub struct Said {
    body: Bytes,
    kind: Option<HeaderValue>,
}

impl Said {
    /// A problem document.
    #[inline]
    pub fn document(error: &GatewayError, request_id: Option<&[u8]>) -> Self {
        Self { body: document(error, request_id), kind: Some(PROBLEM_JSON) }
    }

    /// A body of the configuration's own, where it has one for this problem; else a document.
    #[inline]
    pub fn of<N: Network>(exchange: &Exchange<N>, error: &GatewayError) -> Self {
        let own = if exchange.snapshot.has_own_problems { Self::own(exchange, error) } else { None };
        own.unwrap_or_else(|| Self::document(error, Some(exchange.request_id.as_bytes())))
    }

    /// The route's word comes first, then the gateway's.
    #[cold]
    fn own<N: Network>(exchange: &Exchange<N>, error: &GatewayError) -> Option<Self> {
        let (code, status) = (error.code, error.status());
        // While it hangs on the body which route a request takes, the words of none hold.
        let route = exchange.route().filter(|_| !exchange.is_undecided);
        let route = route.and_then(|route| route.settings.problems.as_deref());
        let all = exchange.snapshot.config.server.problems.as_deref();
        let own = route.into_iter().chain(all).find_map(|problems| problems.find(code, status))?;
        let body = own.told(code, status, exchange.request_id.as_bytes());
        Some(Self { body, kind: own.content_type.clone() })
    }

    /// The body, and what it is.
    pub(super) fn into_parts(self) -> (Bytes, Option<HeaderValue>) {
        (self.body, self.kind)
    }
}

/// Turns a failure into the answer of its exchange: a document, or what callers of gRPC understand.
pub fn answer<N: Network>(mut exchange: Box<Exchange<N>>, error: &GatewayError) -> Reply<N> {
    let status = error.status();
    exchange.status = Some(status);
    exchange.code = Some(error.code);
    if let Some(reason) = error.shed {
        exchange.shed(reason);
    }
    if exchange.is_grpc {
        return super::grpc::answer(exchange, error);
    }
    let (body, kind) = Said::of(&exchange, error).into_parts();
    let head = exchange.method == http::Method::HEAD;
    // One that a request or an answer before it left, as a rule: under load, memory that is warm.
    let mut headers = spare::map();
    headers.reserve(7);
    headers.insert(X_REQUEST_ID.clone(), exchange.request_id.to_header_value());
    describe(&mut headers, error, (kind, body.len()));
    close_while_draining(&exchange, &mut headers);
    if let Some(allow) = &error.allow {
        headers.insert(header::ALLOW, allow.clone());
    }
    if let Some(challenge) = &error.challenge {
        headers.insert(header::WWW_AUTHENTICATE, (**challenge).clone());
    }
    tell_limits(&exchange, &mut headers);
    cross_origin::tell(&exchange, &mut headers);
    secure_own(&exchange, &mut headers);
    edited::problem(&exchange, &mut headers);
    exchange.note_answered(&headers);
    Reply::own(status, headers, ResponseBody::own(if head { Bytes::new() } else { body }, exchange))
}

/// The headers of a problem that is told with a body of this kind and length.
pub(super) fn describe(headers: &mut HeaderMap, error: &GatewayError, (kind, length): (Option<HeaderValue>, usize)) {
    if let Some(kind) = kind {
        headers.insert(header::CONTENT_TYPE, kind);
    }
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Some(after) = error.retry_after {
        headers.insert(header::RETRY_AFTER, whole_seconds(after));
    }
    if error.close {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
}

/// The document's bytes. Its `type` is a name, not a page that has to exist (RFC 9457, section 3.1.1, allows any URI).
///
/// Written by hand: under overload there are many, and a refusal has to be much cheaper than a
/// request that is served.
pub fn document(error: &GatewayError, request_id: Option<&[u8]>) -> Bytes {
    let mut out = Vec::with_capacity(DOCUMENT);
    let (code, status) = (error.code.as_str(), error.status());
    // Codes, titles and statuses are ours: nothing in them needs an escape.
    let parts = [
        "{\"type\":\"urn:portcullis:problem:",
        code,
        "\",\"title\":\"",
        error.code.title(),
        "\",\"status\":",
        status.as_str(),
        ",\"detail\":\"",
    ];
    for part in parts {
        out.extend_from_slice(part.as_bytes());
    }
    json::write_escaped(&mut out, error.detail.as_bytes());
    out.extend_from_slice(b"\",\"code\":\"");
    out.extend_from_slice(code.as_bytes());
    if let Some(id) = request_id {
        out.extend_from_slice(b"\",\"request_id\":\"");
        json::write_escaped(&mut out, id);
    }
    if let Some(part) = error.part.as_ref().filter(|part| !part.name.is_empty()) {
        out.extend_from_slice(b"\",\"part\":\"");
        json::write_escaped(&mut out, part.name.as_bytes());
    }
    out.push(b'"');
    if let Some(after) = error.retry_after {
        // Rounded up: who comes back then is not too early.
        let ms = u64::try_from(after.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        out.extend_from_slice(b",\"retry_after_ms\":");
        out.extend_from_slice(itoa::Buffer::new().format(ms).as_bytes());
    }
    out.push(b'}');
    Bytes::from(out)
}

/// The answer after a panic. Its exchange, and with it the record, went down with the panic.
pub fn after_panic<N: Network>() -> Reply<N> {
    Reply::own(Code::Internal.status(), closing(), ResponseBody::Empty)
}

/// A whole HTTP/1.1 answer in bytes, for a connection on which no request could be read, and how many of them are its
/// body; `more` of its fields. To HEAD it is the head alone.
pub fn raw(
    (error, said): (&GatewayError, Said),
    request_id: Option<&str>,
    more: &HeaderMap,
    head_only: bool,
) -> (Vec<u8>, usize) {
    let (body, kind) = said.into_parts();
    let status = error.code.status();
    let mut headers = HeaderMap::new();
    describe(&mut headers, error, (kind, body.len()));
    let mut head = format!("HTTP/1.1 {} {}\r\n", status.as_u16(), status.canonical_reason().unwrap_or(""));
    let more = more.iter().filter(|(name, _)| !headers.contains_key(*name));
    for (name, value) in headers.iter().chain(more) {
        let _ = write!(head, "{name}: {}\r\n", String::from_utf8_lossy(value.as_bytes()));
    }
    if let Some(id) = request_id {
        let _ = write!(head, "x-request-id: {id}\r\n");
    }
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    if head_only {
        return (bytes, 0);
    }
    bytes.extend_from_slice(&body);
    (bytes, body.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_document_has_what_the_contract_names_and_nothing_internal() {
        let error = GatewayError::new(Code::UpstreamConnect, "The upstream could not be reached.")
            .because("connection refused by 10.0.0.7:9001")
            .retry_after(Duration::from_millis(1500));
        let document: serde_json::Value = serde_json::from_slice(&document(&error, Some(b"id-1"))).unwrap();
        assert_eq!(document["type"], "urn:portcullis:problem:upstream_connect");
        assert_eq!(document["status"], 502);
        assert_eq!(document["code"], "upstream_connect");
        assert_eq!(document["request_id"], "id-1");
        assert_eq!(document["retry_after_ms"], 1500);
        assert!(!document.to_string().contains("10.0.0.7"));
    }

    #[test]
    fn whatever_a_detail_holds_the_document_is_json() {
        let error = GatewayError::new(Code::BadRequest, "A \"quote\", a \\ and a\nline.");
        let document: serde_json::Value = serde_json::from_slice(&document(&error, None)).unwrap();
        assert_eq!(document["detail"], "A \"quote\", a \\ and a\nline.");
        assert_eq!(document.as_object().unwrap().len(), 5, "{document}");
    }

    #[test]
    fn a_raw_answer_is_whole_http() {
        let error = GatewayError::new(Code::RequestTimeout, "The head took too long.").closing();
        let said = || Said::document(&error, Some(b"id-2"));
        let (bytes, length) = raw((&error, said()), Some("id-2"), &HeaderMap::new(), false);
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 408 Request Timeout\r\n"));
        assert!(head.contains("connection: close"));
        assert!(head.contains(&format!("content-length: {}", body.len())));
        assert_eq!(length, body.len());
        let (bytes, none) = raw((&error, said()), Some("id-2"), &HeaderMap::new(), true);
        let to_head = String::from_utf8(bytes).unwrap();
        assert_eq!((to_head.strip_suffix("\r\n\r\n"), none), (Some(head), 0));
    }

    #[test]
    fn retry_after_is_rounded_up_to_whole_seconds() {
        let mut headers = HeaderMap::new();
        let error = GatewayError::new(Code::Overloaded, "").retry_after(Duration::from_millis(1));
        describe(&mut headers, &error, (None, 0));
        assert_eq!(headers[header::RETRY_AFTER], "1");
    }
}
