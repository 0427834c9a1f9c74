//! A check over HTTP/2: a GET as over HTTP/1, or gRPC's own question (`grpc.health.v1.Health`, "GRPC Health Checking
//! Protocol"), where its path is what is asked for; `?service=NAME` says of which service.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, TE, USER_AGENT};
use http::uri::{Authority, Parts, PathAndQuery, Scheme};
use http::{HeaderValue, Method, Request, Uri, Version};
use percent_encoding::percent_decode_str;

use super::endpoint::Endpoint;
use super::health;
use super::open::opened;
use super::transport::Transport;
use crate::clock::Clock;
use crate::config::settings::upstream::{GRPC_CHECK, Health};
use crate::http2::Whole;
use crate::network::Network;
use crate::telemetry::metrics::UpstreamSeries;

/// An answer is read up to this size.
const MOST_BYTES: usize = 4096;

/// `SERVING` of `HealthCheckResponse.ServingStatus`.
const SERVING: u64 = 1;

/// Asks, on a stream of its own.
///
/// # Errors
/// What is wrong with the endpoint.
pub(super) async fn ask<N: Network>(
    endpoint: &Endpoint<N>,
    stream: Transport<N::Stream>,
    around: (&Clock, &UpstreamSeries),
    settings: &Health,
) -> Result<(), Arc<str>> {
    let path = &settings.path;
    let scheme = if stream.is_encrypted() { Scheme::HTTPS } else { Scheme::HTTP };
    let opened = opened(endpoint, stream, around).await.map_err(told)?;
    let service = (path.path() == GRPC_CHECK).then(|| service(path.query().unwrap_or_default()));
    let host = settings.host.as_ref().unwrap_or(&endpoint.host);
    let request = request(host, scheme, path, service.is_some()).ok_or("the check is no request")?;
    let body = service.as_deref().map(question).unwrap_or_default();
    // What is judged by its status says it in the head, as over HTTP/1.
    let most = if service.is_some() { MOST_BYTES } else { 0 };
    let whole = opened.ask(request, body, most).await.map_err(told)?;
    if service.is_some() { judge_grpc(&whole) } else { settings.judge(whole.status) }
}

fn told(error: impl std::fmt::Display) -> Arc<str> {
    Arc::from(error.to_string())
}

/// The name in `service=NAME`.
fn service(query: &str) -> String {
    let named = query.split('&').find_map(|pair| pair.strip_prefix("service=")).unwrap_or_default();
    percent_decode_str(named).decode_utf8_lossy().into_owned()
}

pub(super) fn request(host: &HeaderValue, scheme: Scheme, path: &PathAndQuery, is_grpc: bool) -> Option<Request<()>> {
    let mut parts = Parts::default();
    parts.scheme = Some(scheme);
    parts.authority = Some(Authority::from_maybe_shared(host.clone()).ok()?);
    parts.path_and_query = Some(if is_grpc { PathAndQuery::from_static(GRPC_CHECK) } else { path.clone() });
    let mut request = Request::new(());
    *request.uri_mut() = Uri::from_parts(parts).ok()?;
    *request.version_mut() = Version::HTTP_2;
    request.headers_mut().insert(USER_AGENT, health::USER_AGENT);
    if is_grpc {
        *request.method_mut() = Method::POST;
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        request.headers_mut().insert(TE, HeaderValue::from_static("trailers"));
    }
    Some(request)
}

/// `HealthCheckRequest { service }`, as gRPC frames it: not compressed, its length, its bytes.
fn question(service: &str) -> Bytes {
    let mut message = BytesMut::new();
    if !service.is_empty() {
        // Field 1, a string.
        message.put_u8(0x0a);
        put_number(&mut message, service.len());
        message.put_slice(service.as_bytes());
    }
    let mut framed = BytesMut::with_capacity(message.len() + 5);
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    framed.put_slice(&message);
    framed.freeze()
}

fn put_number(out: &mut BytesMut, mut number: usize) {
    while number >= 0x80 {
        out.put_u8(0x80 | (number & 0x7f) as u8);
        number >>= 7;
    }
    out.put_u8(number as u8);
}

fn judge_grpc(whole: &Whole) -> Result<(), Arc<str>> {
    if !whole.status.is_success() {
        return Err(told(format_args!("status {}", whole.status.as_u16())));
    }
    let status = whole.trailers.get("grpc-status").or_else(|| whole.headers.get("grpc-status"));
    match status.map(HeaderValue::as_bytes) {
        Some(b"0") => {}
        Some(other) => return Err(told(format_args!("grpc-status {}", String::from_utf8_lossy(other)))),
        None => return Err(Arc::from("no grpc-status")),
    }
    match serving(&whole.body) {
        Some(SERVING) => Ok(()),
        Some(0) => Err(Arc::from("the service says UNKNOWN")),
        Some(2) => Err(Arc::from("the service says NOT_SERVING")),
        Some(3) => Err(Arc::from("the service is unknown there")),
        Some(other) => Err(told(format_args!("the service's status is {other}"))),
        None => Err(Arc::from("what came is no HealthCheckResponse")),
    }
}

/// The status in a framed `HealthCheckResponse`; `None` where it is none. Fields of later versions are passed over.
fn serving(framed: &[u8]) -> Option<u64> {
    let (head, message) = framed.split_at_checked(5)?;
    let length = u32::from_be_bytes(head[1..].try_into().ok()?);
    if head[0] != 0 || usize::try_from(length).ok()? != message.len() {
        return None;
    }
    let (mut rest, mut status) = (message, 0);
    while !rest.is_empty() {
        let key = take_number(&mut rest)?;
        let skipped = match key & 7 {
            0 => {
                let value = take_number(&mut rest)?;
                if key >> 3 == 1 {
                    status = value;
                }
                0
            }
            1 => 8,
            2 => usize::try_from(take_number(&mut rest)?).ok()?,
            5 => 4,
            _ => return None,
        };
        rest = rest.get(skipped..)?;
    }
    Some(status)
}

/// A number of seven bits a byte, the lowest first.
fn take_number(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, behind) = rest.split_first()?;
        *rest = behind;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn framed(message: &[u8]) -> Vec<u8> {
        [&[0], &u32::try_from(message.len()).unwrap().to_be_bytes()[..], message].concat()
    }

    #[test]
    fn the_question_names_the_service_or_none() {
        assert_eq!(&question("")[..], framed(b""));
        assert_eq!(&question("a.B")[..], framed(b"\x0a\x03a.B"));
        let long = "s".repeat(300);
        assert_eq!(&question(&long)[..], framed(&[b"\x0a\xac\x02", long.as_bytes()].concat()));
        assert_eq!(service("service=orders.v1.Orders"), "orders.v1.Orders");
        assert_eq!(service("x=1&service=a%20b"), "a b");
        assert_eq!(service(""), "");
    }

    #[test]
    fn the_status_is_read_whatever_stands_around_it() {
        assert_eq!(serving(&framed(b"\x08\x01")), Some(1));
        assert_eq!(serving(&framed(b"")), Some(0), "what is 0 is left out");
        assert_eq!(serving(&framed(b"\x12\x02ab\x08\x02\x1d\0\0\0\0\x21\0\0\0\0\0\0\0\0")), Some(2));
        for bad in [&b""[..], b"\x01\0\0\0\0", b"\0\0\0\0\x03\x08\x01", &framed(b"\x08"), &framed(b"\x12\x09a")] {
            assert_eq!(serving(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn no_answer_breaks_it(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = serving(&bytes);
            let _ = serving(&framed(&bytes));
        }
    }
}
