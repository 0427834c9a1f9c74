//! The stage: names a request, then admits it or says why not.

use std::sync::Arc;

use http::header::{self, HeaderValue};
use http::{Method, Version};

use super::screen::screen_request_headers;
use super::survey::Survey;
use super::{
    AskedHost, Host, Peer, RequestId, TraceContext, client_address, forwarded, hops, http2, is_websocket, target,
};
use crate::algorithms::grpc_web::Web;
use crate::error::{Code, GatewayError};
use crate::exchange::{Arrival, Exchange, Named};
use crate::network::Network;
use crate::request_fields::RequestFields;
use crate::request_parts::RequestParts;
use crate::shard::Local;
use crate::telemetry::metrics::AuthResult;
use crate::tls::Secured;

/// Bytes of a head beside its method, its target and its fields, as HTTP/1.1 writes it. One of HTTP/2 is measured as if
/// it had been written so: the same request is too large in both, or in neither.
const BESIDE: usize = " ".len() + " HTTP/1.1\r\n".len() + "\r\n".len();

/// Begins the exchange of a request: gives it an id and a trace, and tells who sent it. Its headers go their own way.
/// What is in the parts is taken.
pub fn begin<N: Network>(
    snapshot: Arc<Local<N>>,
    arrival: Arrival<N>,
    parts: &mut RequestParts,
) -> (Box<Exchange<N>>, RequestFields) {
    let trusted = snapshot.trusts(&arrival.connection.peer);
    let [id_high, id_low, draws @ ..]: [u64; 5] = arrival.shard.draw();
    let request_id = RequestId::accept_or_mint(&parts.headers, trusted, [id_high, id_low]);
    let trace = TraceContext::continue_or_start(&parts.headers, &snapshot.trace_policy, trusted, draws);
    let client = client_address(&parts.headers, &arrival.connection.peer, &snapshot.trusted);
    let proxies = trusted.then_some(&snapshot.trusted);
    let secure = forwarded::is_secure(&parts.headers, &arrival.connection.peer, proxies);
    let named = Named { snapshot, request_id, trace, client, peer_trusted: trusted, secure };
    let keeps_names = named.snapshot.config.server.preserve_header_case;
    let records_heads = named.snapshot.records_heads;
    let line = (std::mem::take(&mut parts.method), std::mem::take(&mut parts.uri), parts.version);
    let mut exchange = Box::new(Exchange::new(arrival, line, named));
    exchange.begin_track();
    if keeps_names {
        exchange.names = parts.extensions.remove();
    }
    exchange.extensions = std::mem::take(&mut parts.extensions);
    if records_heads {
        exchange.record_sent(&parts.headers);
    }
    (exchange, std::mem::take(&mut parts.headers))
}

/// What later stages want to know of a head whose headers have been screened since.
#[derive(Debug, Clone, Copy)]
pub struct Admitted {
    /// The client asks for a WebSocket.
    pub websocket: bool,
    /// The body's length, where it is declared.
    pub declared_length: Option<u64>,
    /// It is for the gateway itself, whatever its target.
    pub goes_no_further: bool,
}

/// Checks what must hold of any request, and screens its headers.
///
/// # Errors
/// The problem to answer; after it the connection is closed wherever the request's end is in doubt.
pub fn admit<N: Network>(exchange: &mut Exchange<N>, headers: &mut RequestFields) -> Result<Admitted, GatewayError> {
    let survey = Survey::of(headers);
    exchange.traced = survey.traced;
    exchange.timed = survey.timed;
    let has_been_passed_on = survey.forwarded;
    // First of all: it decides how whatever follows is answered. A call is a POST, and nothing else is one, whatever it
    // says of itself: 200, by which a problem is told, would open a tunnel, or be kept by a cache as a GET's answer.
    exchange.is_grpc = survey.is_grpc && exchange.method == Method::POST;
    if survey.is_web && exchange.is_grpc {
        exchange.speech.web = of_page(headers);
    }
    let (declared_length, host) =
        check(exchange, headers, &survey).inspect_err(|_| tell_of_refused(exchange, &survey))?;
    let websocket = exchange.connection.websocket_key.is_some()
        || exchange.connection.can_switch
            && survey.upgrade.first.is_some()
            && is_websocket(&exchange.method, exchange.version, headers);
    exchange.asked_host = host;
    if exchange.uri.authority().is_some()
        && let Some(host) = exchange.host()
    {
        headers.insert(&header::HOST, &host.value);
    }
    if has_been_passed_on && let Some(own_name) = exchange.connection.peer.own_name {
        exchange.passes = own_name.passes(headers)?;
        exchange.is_doubtful = !exchange.passes.is_likely() && !is_vouched_for(exchange);
    }
    screen_request_headers(headers, &exchange.snapshot.header_rules, exchange.peer_trusted)?;
    if let Some(names) = &mut exchange.names {
        // A field of such a name that is there later is the gateway's, in its own letters.
        names.keep(headers);
    }
    let goes_no_further = exchange.method == Method::OPTIONS && hops::is_last(headers);
    Ok(Admitted { websocket, declared_length, goes_no_further })
}

impl<N: Network> Exchange<N> {
    /// The host that it asks for.
    #[inline]
    pub fn host(&self) -> Option<&Host> {
        self.connection.peer.known(self.asked_host.as_ref()?)
    }
}

/// How a web page writes its call of gRPC, and how it wants the answer.
#[cold]
fn of_page(headers: &RequestFields) -> Option<Web> {
    let accept = headers.get_all(&header::ACCEPT).iter().map(|value| value.as_bytes());
    Web::of(headers.get(&header::CONTENT_TYPE)?.as_bytes(), accept)
}

/// What its record tells of a request that is refused here.
#[cold]
fn tell_of_refused<N: Network>(exchange: &mut Exchange<N>, survey: &Survey<'_>) {
    exchange.asked_host = told_host(exchange, survey);
    if exchange.connection.secured.as_ref().is_some_and(|secured| secured.was_revoked()) {
        exchange.refused = Some(AuthResult::Revoked);
    }
}

/// Whether proxies that are trusted say for whom it comes, and that one is trusted too: a balancer passes on what a
/// stranger has written.
#[cold]
fn is_vouched_for<N: Network>(exchange: &Exchange<N>) -> bool {
    let client = &exchange.client;
    exchange.peer_trusted && !client.is_hidden && exchange.snapshot.trusted.contains(client.ip)
}

/// What must hold of any request; the body's length, where it is declared, and the host.
#[inline]
fn check<N: Network>(
    exchange: &Exchange<N>,
    headers: &RequestFields,
    survey: &Survey<'_>,
) -> Result<(Option<u64>, Option<AskedHost>), GatewayError> {
    http2::check(exchange.version, headers)?;
    let declared_length = target::check_framing(survey, exchange.version)?;
    check_sizes(exchange, headers.len(), survey.bytes)?;
    check_client(exchange)?;
    target::check_method_and_target(&exchange.method, &exchange.uri)?;
    if survey.expect.count > 0 {
        check_expectation(headers)?;
    }
    Ok((declared_length, host(exchange, survey)?))
}

/// The host that a request asked for which is refused: its record tells which, where that is beyond doubt.
#[cold]
fn told_host<N: Network>(exchange: &Exchange<N>, survey: &Survey<'_>) -> Option<AskedHost> {
    let value = target::host_of(survey, &exchange.uri, exchange.version).ok()??;
    Some(Peer::refused_host(&value))
}

/// The host, judged once for all requests of a connection that ask for the same.
fn host<N: Network>(exchange: &Exchange<N>, survey: &Survey<'_>) -> Result<Option<AskedHost>, GatewayError> {
    let peer = &exchange.connection.peer;
    let plain = survey.host.first.filter(|_| survey.host.count == 1 && exchange.uri.authority().is_none());
    // A proxy that is trusted speaks for many on one connection, whatever name it opens that by.
    let is_shared = exchange.version == Version::HTTP_2 || exchange.peer_trusted;
    if let Some(asked) = plain.and_then(|value| peer.recall(value.as_bytes())) {
        // Who was trusted then may be so no more.
        let secured = exchange.connection.secured.as_ref().filter(|_| !is_shared);
        let serves = |secured: &Secured| peer.known(&asked).is_some_and(|host| secured.serves(&host.name, false));
        if secured.is_none_or(|secured| serves(secured)) {
            return Ok(Some(asked));
        }
    }
    let value = target::host_of(survey, &exchange.uri, exchange.version)?;
    if let (Some(secured), Some(value)) = (&exchange.connection.secured, &value)
        && !secured.serves(&target::routing_host(value), is_shared)
    {
        return Err(GatewayError::new(Code::Misdirected, "This connection was opened for another host."));
    }
    Ok(value.map(|value| peer.host(&value)))
}

/// Who was believed when the connection began is believed still: a certificate's signer may have been taken out since,
/// or have taken the certificate back.
#[inline]
fn check_client<N: Network>(exchange: &Exchange<N>) -> Result<(), GatewayError> {
    let Some(secured) = &exchange.connection.secured else { return Ok(()) };
    if secured.is_believed(|| exchange.shard.shared.clock.unix_seconds(exchange.started)) {
        return Ok(());
    }
    let error = GatewayError::new(Code::Unauthorized, "The connection's certificate is not believed any more.");
    let error = if secured.was_revoked() { error.because("its certificate is revoked") } else { error };
    Err(error.challenging(HeaderValue::from_static("ClientCertificate")).closing())
}

/// `max_uri_bytes`, `max_headers`, `max_header_bytes`.
fn check_sizes<N: Network>(exchange: &Exchange<N>, fields: usize, bytes: usize) -> Result<(), GatewayError> {
    let server = &exchange.snapshot.config.server;
    let uri = &exchange.uri;
    let target = uri.path().len()
        + uri.query().map_or(0, |query| query.len() + 1)
        + uri.authority().map_or(0, |authority| authority.as_str().len());
    if target > server.max_uri_bytes {
        return Err(GatewayError::new(Code::UriTooLong, "The request target is too long.").closing());
    }
    if fields > server.max_headers {
        return Err(GatewayError::new(Code::HeadersTooLarge, "The request has too many header fields.").closing());
    }
    let head = exchange.method.as_str().len() + target + bytes + BESIDE;
    if head > server.max_header_bytes {
        return Err(GatewayError::new(Code::HeadersTooLarge, "The request head is too large.").closing());
    }
    Ok(())
}

/// Whether what a request expects is known.
///
/// Only `100-continue` is known (RFC 9110, section 10.1.1); the interim answer is sent when the body is first read, so
/// only after every check has passed.
///
/// # Errors
/// 417
#[cold]
pub(crate) fn check_expectation(headers: &RequestFields) -> Result<(), GatewayError> {
    let lines = headers.get_all(&header::EXPECT).iter().map(|value| value.as_bytes());
    let mut words = lines.flat_map(|line| line.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    // Elements of a list may be empty (RFC 9110, section 5.6.1).
    if words.all(|word| word.is_empty() || word.eq_ignore_ascii_case(b"100-continue")) {
        return Ok(());
    }
    Err(GatewayError::new(Code::ExpectationFailed, "Only 100-continue can be expected.").closing())
}
