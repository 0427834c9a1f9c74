//! Another service says whether a request may pass (`forward_auth`): it is asked by a GET that tells method, URL and
//! some headers of the request. 2xx lets it pass, and some headers of that answer go on to the upstream, some to the
//! client; any other answer below 500 is the client's. Where it cannot be asked, or fails, the request is refused,
//! unless the route says otherwise. It has answered with its head: a no whose body is cut, late or too large is a no
//! without a body, and never a failure that lets the request pass.
//!
//! The service is an upstream like any: its endpoints are balanced, pooled and have breakers, so that one that is down
//! costs no request any waiting. What it is asked about is the path in its one form. Nothing that a client sends can
//! look like its word: the names that it may set were taken from every request before (`HeaderRules`).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::{HeaderName, HeaderValue, Method, header};

use super::attempt::{Failure, Manner, Tried, attempt};
use super::deadline;
use super::remembered::Remembered;
use crate::config::settings::forward_auth::ForwardAuth;
use crate::context::{names, passes, set_forwarded};
use crate::error::{Code, Fault, GatewayError};
use crate::exchange::Exchange;
use crate::fetch_failure::innermost;
use crate::http1::{RequestHead, ResponseHead, write_field};
use crate::network::Network;
use crate::request_body::RequestBody;
use crate::request_fields::RequestFields;
use crate::response_body::Source;
use crate::telemetry::metrics::WordResult;
use crate::upstream::stage::select_authority;
use crate::upstream::{Endpoint, Selected, Upstream};

const X_FORWARDED_METHOD: HeaderName = HeaderName::from_static("x-forwarded-method");
const X_FORWARDED_URI: HeaderName = HeaderName::from_static("x-forwarded-uri");

/// What an answer's head says of its body alone.
const OF_A_BODY: [&[u8]; 2] = [b"content-length", b"content-encoding"];

/// Headers of an answer, to be copied.
type Copied = Arc<[(HeaderName, HeaderValue)]>;

/// Who is asked.
pub struct Authority<N: Network> {
    /// As configured.
    pub settings: Arc<ForwardAuth>,
    /// The service.
    pub upstream: Arc<Upstream<N>>,
    remembered: Option<Mutex<Remembered<Copied>>>,
}

impl<N: Network> Authority<N> {
    /// Compiles it; nothing is remembered of an earlier configuration.
    pub fn new(settings: &Arc<ForwardAuth>, upstream: Arc<Upstream<N>>) -> Self {
        let remembered = settings.cache.map(|cache| Mutex::new(Remembered::new(cache.ttl, cache.max_bytes)));
        Self { settings: Arc::clone(settings), upstream, remembered }
    }
}

/// The client's answer, as the service gave it.
pub struct Refused {
    /// Its head.
    pub head: ResponseHead,
    /// Its body.
    pub body: Bytes,
}

/// Asks. `None`: the request passes, and its headers have what the service says.
///
/// # Errors
/// 503 where it cannot be asked, or fails: `authority_unavailable`, or `overloaded` where the gateway or its client is
/// what stands in the way.
#[cold]
pub async fn consult<N: Network>(
    exchange: &mut Exchange<N>,
    headers: &mut RequestFields,
) -> Result<Option<Box<Refused>>, Failure> {
    let Some(authority) = exchange.route().and_then(|route| route.authority.clone()) else { return Ok(None) };
    if headers.get_all(&header::AUTHORIZATION).iter().nth(1).is_some() {
        // The service may look at one of them, and the upstream at another (security.md, H8).
        return Err(GatewayError::new(Code::BadRequest, "The request has more than one credential.").into());
    }
    let sent = question(exchange, headers, &authority.settings);
    let key = authority.remembered.as_ref().map(|_| key(exchange, &sent));
    let began = exchange.now();
    if let Some(copied) = recall(&authority, key.as_deref(), began) {
        heard(exchange, WordResult::Remembered);
        add(headers, &copied);
        return Ok(None);
    }
    deadline::begin(exchange, headers);
    exchange.consults = true;
    let asked = ask_one_or_another(exchange, headers, &authority, sent).await;
    exchange.consults = false;
    exchange.awaited += exchange.now().saturating_duration_since(began);
    match asked {
        Ok((head, _)) if head.status.is_success() => {
            let copied = of_answer(&head, &authority.settings.response_headers);
            add(headers, &copied);
            let told = of_answer(&head, &authority.settings.client_headers);
            // What is said to one client is not said again to the next who asks the same.
            if told.is_empty() && !forbids_keeping(&head) && !exchange.is_doubtful {
                remember(&authority, key, copied, exchange.now());
            }
            exchange.told_client = (!told.is_empty()).then(|| Box::new(told.iter().cloned().collect()));
            heard(exchange, WordResult::Allowed);
            Ok(None)
        }
        Ok((head, body)) => {
            heard(exchange, WordResult::Refused);
            Ok(Some(Box::new(Refused { head, body })))
        }
        Err(error) => unheard(exchange, &authority, error),
    }
}

/// What becomes of a request of which the service has said nothing.
#[cold]
fn unheard<N: Network>(
    exchange: &mut Exchange<N>,
    authority: &Authority<N>,
    mut error: GatewayError,
) -> Result<Option<Box<Refused>>, Failure> {
    let is_out_of_time = exchange.is_out_of_time(exchange.now());
    // Not what a client can bring about, by asking much or by giving little time.
    let is_its_fault =
        error.shed.is_none() && error.code.fault() == Fault::Upstream && !(exchange.hurried && is_out_of_time);
    // A request whose own time is up does not pass unasked, whoever set the time.
    if is_its_fault && !is_out_of_time && authority.settings.allows_on_error {
        heard(exchange, WordResult::FailedOpen);
        return Ok(None);
    }
    heard(exchange, if is_its_fault { WordResult::Failed } else { WordResult::Unasked });
    exchange.count_shed(&mut error);
    let code = if is_its_fault { Code::AuthorityUnavailable } else { Code::Overloaded };
    let detail = "Whether this request may pass cannot be found out now.";
    let refused = GatewayError::new(code, detail).retry_after(Duration::from_secs(1));
    // Written down for the flight recorder alone, and not where it has no room for it.
    let refused =
        if exchange.has_room_for_failures() { refused.because(why_unheard(authority, &error)) } else { refused };
    Err(refused.into())
}

/// Why nobody said whether the request may pass, as operators may know it: who was to say it, and one reason.
#[cold]
fn why_unheard<N: Network>(authority: &Authority<N>, error: &GatewayError) -> String {
    let upstream = &authority.upstream;
    match error.code {
        Code::BreakerOpen | Code::NoEndpoint => upstream.and_what_is_wrong(None),
        _ => format!("{}: {}", upstream.name, reason(error)),
    }
}

/// The same where an endpoint was asked: where that is, without a query.
#[cold]
fn unheard_there<N: Network>(endpoint: &Endpoint<N>, settings: &ForwardAuth, error: GatewayError) -> GatewayError {
    let scheme = if endpoint.way().tls().is_some() { "https" } else { "http" };
    let why = format!("{scheme}://{}{}: {}", endpoint.address, settings.path.path(), reason(&error));
    error.because(why)
}

fn reason(error: &GatewayError) -> String {
    error.internal.as_ref().map_or_else(|| error.detail.to_string(), |internal| innermost(&**internal))
}

/// Counts what came of it.
fn heard<N: Network>(exchange: &Exchange<N>, result: WordResult) {
    if let Some(route) = exchange.route() {
        route.series.heard(exchange.shard.index, result);
    }
}

/// What the service is sent of the request, but for ids.
fn question<N: Network>(exchange: &Exchange<N>, headers: &RequestFields, settings: &ForwardAuth) -> RequestFields {
    let told = [&names::X_FORWARDED_FOR, &names::X_FORWARDED_PROTO, &names::X_FORWARDED_HOST, &names::FORWARDED];
    let told = told.into_iter().filter(|_| exchange.peer_trusted);
    let mut sent = RequestFields::with_capacity(settings.request_headers.len() + 8);
    for name in settings.request_headers.iter().chain(told) {
        if !sent.contains_key(name) {
            sent.copy_of(headers, name);
        }
    }
    let host = exchange.host().map(|host| &host.value);
    let trusted = exchange.peer_trusted.then_some(&exchange.snapshot.trusted);
    set_forwarded(&mut sent, &exchange.connection.peer, trusted, host);
    passes::tell(&mut sent, &exchange.connection.peer, exchange.passes);
    let query = exchange.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let uri = HeaderValue::try_from(format!("{}{query}", exchange.path()));
    for (name, value) in [(X_FORWARDED_METHOD, HeaderValue::from_str(exchange.method.as_str())), (X_FORWARDED_URI, uri)]
    {
        // A method and a target are made of characters that a value may have.
        if let Ok(value) = value {
            sent.insert(&name, value);
        }
    }
    sent
}

/// All that its answer may depend on, in a form in which no two questions look alike.
fn key<N: Network>(exchange: &Exchange<N>, sent: &RequestFields) -> Vec<u8> {
    let mut key = Vec::with_capacity(512);
    for (name, value) in sent {
        key.extend_from_slice(name);
        key.push(b':');
        key.extend_from_slice(value.as_bytes());
        key.push(b'\n');
    }
    if let Some(identity) = &exchange.identity {
        key.extend_from_slice(&identity.fields);
    }
    key
}

fn recall<N: Network>(authority: &Authority<N>, key: Option<&[u8]>, now: Instant) -> Option<Copied> {
    authority.remembered.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner).get(key?, now)
}

fn remember<N: Network>(authority: &Authority<N>, key: Option<Vec<u8>>, copied: Copied, now: Instant) {
    if let (Some(remembered), Some(key)) = (&authority.remembered, key) {
        let bytes = copied.iter().map(|(name, value)| name.as_str().len() + value.len() + 64).sum();
        remembered.lock().unwrap_or_else(PoisonError::into_inner).put(key, copied, bytes, now);
    }
}

fn forbids_keeping(head: &ResponseHead) -> bool {
    let mut lines = head.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case(b"cache-control"));
    lines.any(|(_, value)| names::lists(value, b"no-store"))
}

/// The fields of an answer that have one of these names.
fn of_answer(head: &ResponseHead, names: &[HeaderName]) -> Copied {
    let named = |(name, value): (&[u8], &[u8])| {
        let known = names.iter().find(|known| name.eq_ignore_ascii_case(known.as_str().as_bytes()))?;
        Some((known.clone(), HeaderValue::from_bytes(value).ok()?))
    };
    head.fields.iter().filter_map(named).collect()
}

fn add(headers: &mut RequestFields, copied: &[(HeaderName, HeaderValue)]) {
    headers.extend(copied.iter().map(|(name, value)| (name, value)));
}

/// Asks an endpoint of the service, and another one where that one could not be reached: the question changes nothing,
/// so it may be put twice.
async fn ask_one_or_another<N: Network>(
    exchange: &Exchange<N>,
    headers: &RequestFields,
    authority: &Authority<N>,
    mut sent: RequestFields,
) -> Result<(ResponseHead, Bytes), GatewayError> {
    let first = select_authority(exchange, headers, &authority.upstream, &[])?;
    let tried = [Arc::clone(&first.endpoint)];
    let asked = ask(exchange, first, &mut sent, &authority.settings).await;
    match asked {
        Err(error) if matches!(error.code, Code::UpstreamConnect | Code::UpstreamReset) => {
            match select_authority(exchange, headers, &authority.upstream, &tried) {
                Ok(other) if !Arc::ptr_eq(&other.endpoint, &tried[0]) => {
                    ask(exchange, other, &mut sent, &authority.settings).await
                }
                _ => Err(error),
            }
        }
        asked => asked,
    }
}

/// The service's answer, no 5xx, with its body; without one where that did not come whole. The headers are there as
/// before once it has been asked, but for those that each question has anew.
async fn ask<N: Network>(
    exchange: &Exchange<N>,
    selected: Selected<N>,
    sent: &mut RequestFields,
    settings: &ForwardAuth,
) -> Result<(ResponseHead, Bytes), GatewayError> {
    let mut headers = std::mem::take(sent);
    headers.insert(&header::HOST, &selected.endpoint.host);
    let mut lines = Vec::with_capacity(256);
    write_field(&mut lines, &names::X_REQUEST_ID, exchange.request_id.as_bytes());
    write_field(&mut lines, &names::TRACEPARENT, exchange.trace.as_bytes());
    if let Some(identity) = &exchange.identity {
        lines.extend_from_slice(&identity.fields);
    }
    let mut head =
        RequestHead { method: Method::GET, target: settings.path.clone().into(), headers, lines, names: None };
    let began = exchange.moment();
    let span = exchange.begin_attempt(&selected.endpoint, &mut head, began.at);
    let manner = Manner { began, most: Some(settings.timeout), switches: false, span, replayed: false };
    let endpoint = Arc::clone(&selected.endpoint);
    let tried: Tried<N> = Box::pin(attempt(exchange, selected, &head, RequestBody::Empty, manner)).await;
    *sent = head.headers;
    let answer = tried.map_err(|lost| match lost.failure {
        Failure::Problem(error) | Failure::Covered(error) => unheard_there(&endpoint, settings, *error),
        Failure::ClientLeft => GatewayError::new(Code::Internal, "The client left."),
    })?;
    if answer.head.status.is_server_error() {
        let failed = format!("it answered {}", answer.head.status.as_u16());
        let error = GatewayError::new(Code::UpstreamInvalid, "The service failed.").because(failed);
        return Err(unheard_there(&endpoint, settings, error));
    }
    let left = exchange.time_left(exchange.now()).unwrap_or(settings.timeout).min(settings.timeout);
    let read = tokio::time::timeout(left, body(exchange, answer.source, settings.max_response)).await;
    let (mut head, body) = (answer.head, read.ok().flatten());
    Ok(match body {
        Some(body) => (head, body),
        // What the head says holds, whatever becomes of the rest: of a yes nobody wants it, and a no stays one.
        None => {
            head.fields.retain(|name| !OF_A_BODY.iter().any(|own| name.eq_ignore_ascii_case(own)));
            (head, Bytes::new())
        }
    })
}

/// Reads a body to its end, and gives the connection back. `None` where it is cut or too large: then it is lost.
async fn body<N: Network>(exchange: &Exchange<N>, mut source: Source<N>, most: usize) -> Option<Bytes> {
    let mut bytes = BytesMut::new();
    while !source.leg.is_over() {
        match std::future::poll_fn(|cx| source.leg.poll_frame(cx)).await {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    if bytes.len() + data.len() > most {
                        return None;
                    }
                    bytes.extend_from_slice(data);
                }
            }
            Some(Err(_)) => return None,
            None => break,
        }
    }
    source.finish(exchange, exchange.now());
    Some(bytes.freeze())
}
