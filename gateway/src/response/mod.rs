//! Answers on their way to the client. Only this module writes error bodies.

mod composed;
mod compress;
mod cross_origin;
mod edited;
mod grpc;
mod grpc_web;
mod handled;
mod intercept;
mod own;
pub mod problem;
mod redirect;
mod relay;

use std::sync::atomic::Ordering;

use http::{HeaderMap, HeaderName, HeaderValue, Version, header};

use crate::config::settings::upstream::Protocol;
use crate::context::names::CACHE_STATUS;
use crate::context::via;
use crate::exchange::Exchange;
use crate::http1::{DateCell, Fields};
use crate::network::Network;

pub use composed::{composed, item};
pub use compress::note_accepted;
pub use cross_origin::preflight;
pub use grpc::trailers;
pub use handled::{handled, lend, lost};
pub use intercept::intercepted;
pub use own::{client_left, fallback, options};
pub(crate) use redirect::{location, over_tls};
pub use redirect::{own, to_https};
pub use relay::{given, refused, relay, relay_behind, switch};

fn is_draining<N: Network>(exchange: &Exchange<N>) -> bool {
    exchange.shard.shared.draining.load(Ordering::Relaxed)
}

/// While the gateway drains, every answer is its connection's last.
fn close_while_draining<N: Network>(exchange: &Exchange<N>, headers: &mut HeaderMap) {
    if is_draining(exchange) {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
}

const HSTS: HeaderName = header::STRICT_TRANSPORT_SECURITY;

/// What every answer of the gateway's own says: `own_headers`, where it does not say it itself, and over TLS `hsts`
/// (RFC 6797, section 7.2: never in the clear).
#[inline]
fn secure_own<N: Network>(exchange: &Exchange<N>, headers: &mut HeaderMap) {
    let server = &exchange.snapshot.config.server;
    for (name, value) in &server.own_headers {
        headers.entry(name).or_insert_with(|| value.clone());
    }
    if let Some(hsts) = server.hsts.as_ref().filter(|_| exchange.secure) {
        headers.insert(HSTS, hsts.clone());
    }
    tell_client(exchange, headers);
    if let Some(told) = exchange.cache.as_ref().and_then(|cache| HeaderValue::from_str(&cache.fields().1?).ok()) {
        headers.insert(CACHE_STATUS.clone(), told);
    }
}

/// What the service says to the client that let the request pass (`client_headers`): beside what is there, since each
/// cookie has a field of its own.
fn tell_client<N: Network>(exchange: &Exchange<N>, headers: &mut HeaderMap) {
    for (name, value) in exchange.told_client.iter().flat_map(|told| told.iter()) {
        headers.append(name, value.clone());
    }
}

/// The same of an upstream's answer: its own word stands. It says that the gateway has passed it on, where it has a
/// name for that.
#[cold]
fn add_to_relayed<N: Network>(exchange: &Exchange<N>, fields: &mut Fields) {
    if let Some(via) = passed_by(exchange).as_ref().and_then(|via| via.to_str().ok()) {
        fields.push_more(&[(&header::VIA, via)]);
    }
    let hsts = exchange.snapshot.config.server.hsts.as_ref().and_then(|hsts| hsts.to_str().ok());
    if let Some(hsts) = hsts.filter(|_| exchange.secure && fields.get(HSTS.as_str()).is_none()) {
        fields.push_more(&[(&HSTS, hsts)]);
    }
}

/// What the gateway adds to `Via` of an upstream's answer, where it adds anything. A kept one came in the version that
/// the upstream speaks, whenever that was.
fn passed_by<N: Network>(exchange: &Exchange<N>) -> Option<HeaderValue> {
    let name = exchange.snapshot.config.server.via.as_deref()?;
    let protocol = exchange.upstream().map(|upstream| upstream.active().settings.protocol);
    via(name, if protocol == Some(Protocol::Http2) { Version::HTTP_2 } else { Version::HTTP_11 })
}

/// The same of one that stages have seen.
fn secure_seen<N: Network>(exchange: &Exchange<N>, headers: &mut HeaderMap) {
    if let Some(via) = passed_by(exchange) {
        headers.append(header::VIA, via);
    }
    if let Some(hsts) = exchange.snapshot.config.server.hsts.as_ref().filter(|_| exchange.secure) {
        headers.entry(HSTS).or_insert_with(|| hsts.clone());
    }
    tell_client(exchange, headers);
}

/// The date, as the first field of an answer that is put together by itself (RFC 9110, section 6.6.1).
pub fn dated(date: &DateCell) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Ok(date) = HeaderValue::from_bytes(date.refresh(&mut date.known())) {
        headers.insert(header::DATE, date);
    }
    headers
}

/// What an answer to something that is no request says beside the problem.
pub fn secured<N: Network>(exchange: &Exchange<N>) -> HeaderMap {
    let mut headers = dated(&exchange.shard.date);
    secure_own(exchange, &mut headers);
    headers
}
