//! A document that an upstream is asked for beside all requests, on the control runtime: one connection, one GET, one
//! answer that is read within bounds. No breaker counts it, and no pool keeps its connection.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, HOST, USER_AGENT};
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderValue, StatusCode};

use super::check_http2;
use super::dial::{Dialled, dial};
use super::endpoint::Endpoint;
use super::open::opened;
use super::state::Upstream;
use super::transport::is_quiet;
use crate::algorithms::ejection::Place;
use crate::context::AnyFields;
use crate::http1::{Client, RequestHead};
use crate::network::Network;
use crate::request_body::RequestBody;
use crate::request_fields::RequestFields;

/// Who asks, to whoever reads the endpoint's log.
const ASKS: HeaderValue = HeaderValue::from_static("portcullis-documents");

/// Asks the first endpoint that is in balancing. The caller limits the time.
///
/// # Errors
/// There is no answer of status 200, or it is larger than `most` bytes.
pub async fn fetch<N: Network>(
    network: &N,
    upstream: &Upstream<N>,
    path: &PathAndQuery,
    most: usize,
) -> Result<Vec<u8>, String> {
    let endpoint = chosen(upstream).ok_or("the upstream has no endpoint")?;
    let endpoint = &*endpoint;
    let around = (&upstream.surroundings.clock, &*upstream.series);
    let way = endpoint.way();
    let within = upstream.active().settings.pool.connect_timeout;
    let dialled = dial(network, endpoint, &way, around, within).await;
    let Dialled { stream, .. } = dialled.map_err(|error| error.to_string())?;
    let (status, body) = if way.carriers.is_some() {
        let scheme = if stream.is_encrypted() { Scheme::HTTPS } else { Scheme::HTTP };
        let mut request = check_http2::request(&endpoint.host, scheme, path, false).ok_or("the path is no request")?;
        describe(request.headers_mut());
        let opened = opened(endpoint, stream, around).await.map_err(|error| error.to_string())?;
        let whole = opened.ask(request, Bytes::new(), most).await.map_err(|error| error.to_string())?;
        (whole.status, whole.body.to_vec())
    } else {
        let mut client = Client::new(stream, is_quiet::<N>);
        client.begin(&head(endpoint, path), RequestBody::Empty);
        let head = std::future::poll_fn(|cx| client.poll_head(cx)).await.map_err(|error| error.to_string())?;
        let mut body = Vec::new();
        while body.len() <= most && head.status == StatusCode::OK {
            let Some(frame) = std::future::poll_fn(|cx| client.poll_frame(cx)).await else { break };
            let frame = frame.map_err(|error| error.to_string())?;
            body.extend_from_slice(&frame.into_data().unwrap_or_default());
        }
        (head.status, body)
    };
    if status != StatusCode::OK {
        return Err(format!("the service answers {}", status.as_u16()));
    }
    if body.len() > most { Err(format!("the document is larger than {most} bytes")) } else { Ok(body) }
}

/// The first endpoint that nothing speaks against, a backup where there is no other; else the first.
fn chosen<N: Network>(upstream: &Upstream<N>) -> Option<Arc<Endpoint<N>>> {
    let active = upstream.active();
    let is_well = |endpoint: &&Arc<Endpoint<N>>| {
        endpoint.standing.place() == Place::In && endpoint.health.is_healthy() && endpoint.standing.guard.is_closed()
    };
    let well = active.endpoints.iter().filter(is_well).min_by_key(|endpoint| endpoint.is_backup());
    well.or_else(|| active.endpoints.first()).cloned()
}

fn describe(headers: &mut impl AnyFields) {
    headers.set(&USER_AGENT, ASKS);
    headers.set(&ACCEPT, HeaderValue::from_static("application/json, application/vnd.oai.openapi+json"));
    headers.set(&ACCEPT_ENCODING, HeaderValue::from_static("identity"));
}

fn head<N: Network>(endpoint: &Endpoint<N>, path: &PathAndQuery) -> RequestHead {
    let mut headers = RequestFields::with_capacity(4);
    headers.insert(&HOST, &endpoint.host);
    describe(&mut headers);
    RequestHead::alone(path.clone().into(), headers)
}
