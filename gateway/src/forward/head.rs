//! The request head as the upstream is sent it: the client's, less what must not pass, plus what the gateway vouches
//! for.

use axum::extract::MatchedPath;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Request, Uri, Version, header};

use super::{deadline, grpc_web};
use crate::config::settings::route::HostPolicy;
use crate::context::{names, passes, set_forwarded, via};
use crate::exchange::Exchange;
use crate::http1::spare::keep_request_fields;
use crate::http1::{RequestHead, write_buffer, write_field};
use crate::network::Network;
use crate::request_body::RequestBody;
use crate::request_fields::{KnownName, RequestFields};
use crate::request_target::PathQuery;
use crate::upstream::{Endpoint, Selected};

/// Enough for the usual context without growing.
const LINES_BYTES: usize = 448;

/// A request as it goes to the upstream.
pub struct Outgoing {
    /// Kept until there is an answer: a request may have to go out again.
    pub head: RequestHead,
    /// The body as it streams.
    pub body: RequestBody,
}

/// The request for the upstream. The client's headers were screened before: what is added here is the gateway's own,
/// and no `Connection` header of a client can name it away.
pub fn build<N: Network>(
    exchange: &mut Exchange<N>,
    selected: &Selected<N>,
    mut headers: RequestFields,
    target: PathQuery,
    body: RequestBody,
) -> Outgoing {
    deadline::read(exchange, &mut headers);
    if exchange.speech.web.is_some() {
        grpc_web::address(exchange, &mut headers);
    }
    if let Some(name) = &exchange.snapshot.config.server.via {
        tell_via(name, exchange.version, &mut headers);
    }
    let mut lines = add_context(exchange, &mut headers);
    if let Some(identity) = &exchange.identity {
        // Their names are the gateway's alone: nothing of the client's, and no edit, has them.
        lines.extend_from_slice(&identity.fields);
        if let Some(passport) = &exchange.passport {
            lines.extend_from_slice(passport);
        }
    }
    if let Some(route) = exchange.route() {
        if let HostPolicy::Fixed(host) = &route.settings.host {
            headers.insert(&header::HOST, host);
        }
        if let Some(edits) = &route.edits.request {
            edits.apply(&mut headers, exchange.made_for_upstream());
        }
    }
    name_endpoint(exchange, &mut headers, &selected.endpoint);
    let mut names = exchange.names.clone();
    if let (Some(names), Some(route)) = (&mut names, exchange.route()) {
        let own = [&names::X_REQUEST_ID, &names::TRACEPARENT, &names::TRACESTATE];
        own.into_iter().chain(route.settings.request_headers.names_set()).for_each(|name| names.forget(name));
    }
    Outgoing { head: RequestHead { method: exchange.method.clone(), target, headers, lines, names }, body }
}

/// Names the endpoint that is asked now as the host, where its route says so, or nobody has said another: an HTTP/1.0
/// client may leave it out, and an HTTP/1.1 request must have one. No edit has to do with it.
pub(super) fn name_endpoint<N: Network>(exchange: &Exchange<N>, headers: &mut RequestFields, endpoint: &Endpoint<N>) {
    let is_named = match exchange.route().map(|route| &route.settings.host) {
        Some(HostPolicy::Upstream) => true,
        Some(HostPolicy::Fixed(_)) => false,
        Some(HostPolicy::Client) | None => exchange.asked_host.is_none(),
    };
    if is_named {
        headers.insert(&header::HOST, &endpoint.host);
    }
}

/// Says that the gateway has passed it on, behind all who have before.
#[cold]
fn tell_via(name: &str, version: Version, headers: &mut RequestFields) {
    if let Some(value) = via(name, version) {
        headers.append(&header::VIA, value);
    }
}

/// Puts the passport for the upstream that is asked now in the place of the one that was there `before`, among the
/// first `plain` bytes of the head's lines, of which there may be more or fewer then.
pub(super) fn renew_passport<N: Network>(
    exchange: &Exchange<N>,
    head: &mut RequestHead,
    plain: &mut usize,
    before: Option<&[u8]>,
) {
    head.lines.truncate(*plain);
    if let Some(before) = before
        && let Some(at) = memchr::memmem::find(&head.lines, before)
    {
        head.lines.drain(at..at + before.len());
    }
    head.lines.extend_from_slice(exchange.passport.as_deref().unwrap_or_default());
    *plain = head.lines.len();
}

/// Another passport for the same upstream where the head's is old by now: what was tried before may have taken all of
/// its time.
pub(super) fn keep_passport_fresh<N: Network>(exchange: &mut Exchange<N>, head: &mut RequestHead, plain: &mut usize) {
    let Some(before) = exchange.passport.clone() else { return };
    exchange.renew_passport();
    if exchange.passport.as_ref() != Some(&before) {
        renew_passport(exchange, head, plain, Some(&before));
    }
}

/// The request for a handler, in the form of `http`, with what the program and its stages have put beside it.
pub fn for_handler<N: Network>(exchange: &mut Exchange<N>, mut headers: RequestFields, target: &PathQuery) -> Parts {
    deadline::read(exchange, &mut headers);
    add_to_headers(exchange, &mut headers);
    if let Some(host) = exchange.host().filter(|_| !headers.contains_key(&header::HOST)) {
        headers.insert(&header::HOST, &host.value);
    }
    if let Some(edits) = exchange.route().and_then(|route| route.edits.request.as_ref()) {
        edits.apply(&mut headers, exchange.made_for_upstream());
    }
    // As upstreams have it: no edit takes it away.
    let identity = exchange.identity.as_ref().map(|identity| &identity.fields[..]);
    headers.extend(identity.into_iter().flat_map(written));
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.method = exchange.method.clone();
    parts.uri = Uri::from(target.to_library());
    parts.version = exchange.version;
    parts.headers = headers.to_map();
    keep_request_fields(headers);
    parts.extensions = std::mem::take(&mut exchange.extensions);
    // It is of the router around the gateway: a handler that is a router would take itself for nested in that one.
    parts.extensions.remove::<MatchedPath>();
    parts
}

/// Fields that were written as lines.
fn written(lines: &[u8]) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    let field = |line: &[u8]| {
        let (name, value) = line.split_at_checked(memchr::memchr(b':', line)?)?;
        let name = HeaderName::from_bytes(name).ok()?;
        Some((name, HeaderValue::from_bytes(value.get(1..)?.trim_ascii()).ok()?))
    };
    lines.split(|byte| *byte == b'\n').filter_map(move |line| field(line.strip_suffix(b"\r")?))
}

fn is_edited<N: Network>(exchange: &Exchange<N>) -> bool {
    exchange.route().is_some_and(|route| route.edits.request.is_some())
}

/// Adds what the gateway says of a request. As plain lines, which cost no look-ups, wherever nothing is there that they
/// have to be merged with; else among the headers.
fn add_context<N: Network>(exchange: &Exchange<N>, headers: &mut RequestFields) -> Vec<u8> {
    if exchange.peer_trusted || is_edited(exchange) {
        add_to_headers(exchange, headers);
        return Vec::new();
    }
    // The client's own were removed when it was screened, but for these two, which were read since.
    if exchange.traced {
        headers.remove(KnownName::TRACEPARENT);
        headers.remove(KnownName::TRACESTATE);
    }
    let mut lines = write_buffer();
    lines.reserve(LINES_BYTES);
    write_field(&mut lines, &names::X_REQUEST_ID, exchange.request_id.as_bytes());
    write_field(&mut lines, &names::TRACEPARENT, exchange.trace.as_bytes());
    if let Some(state) = &exchange.trace.tracestate {
        write_field(&mut lines, &names::TRACESTATE, state.as_bytes());
    }
    match exchange.host() {
        Some(host) => lines.extend_from_slice(&host.lines),
        None => lines.extend_from_slice(&exchange.connection.peer.lines_without_host()),
    }
    if !exchange.passes.is_first() {
        exchange.passes.tell_in_lines(&mut lines, &exchange.connection.peer);
    }
    lines
}

fn add_to_headers<N: Network>(exchange: &Exchange<N>, headers: &mut RequestFields) {
    headers.insert(KnownName::X_REQUEST_ID, exchange.request_id.as_bytes());
    headers.insert(KnownName::TRACEPARENT, exchange.trace.as_bytes());
    match &exchange.trace.tracestate {
        Some(state) => headers.insert(KnownName::TRACESTATE, state),
        None => drop(headers.remove(KnownName::TRACESTATE)),
    }
    let host = exchange.host().map(|host| &host.value);
    let trusted = exchange.peer_trusted.then_some(&exchange.snapshot.trusted);
    set_forwarded(headers, &exchange.connection.peer, trusted, host);
    passes::tell(headers, &exchange.connection.peer, exchange.passes);
}
