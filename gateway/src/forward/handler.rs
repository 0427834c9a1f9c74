//! A handler, asked in place of an upstream: with the same headers, the same body, and no more time.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use axum::body::Body as AnyBody;
use axum::extract::DefaultBodyLimit;
use axum::response::Response;
use bytes::Bytes;
use http::request::Parts;
use http_body::{Body, Frame, SizeHint};

use super::attempt::{Failure, body_failure};
use super::deadline::waits_for_client;
use crate::error::{Code, GatewayError};
use crate::exchange::Exchange;
use crate::network::Network;
use crate::plugins::{Handler, Lost, RequestInfo, guarded};
use crate::request_body::{BodyFault, RequestBody};
use crate::timer::Wait;

/// Asks a handler.
///
/// # Errors
/// 500 after a panic, 504 where there is no time left; what a client is told whose body failed.
pub async fn ask<N: Network>(
    exchange: &mut Exchange<N>,
    handler: &Handler,
    (mut parts, info): (Parts, RequestInfo),
    body: RequestBody,
) -> Result<Response, Failure> {
    let fault = Arc::new(OnceLock::new());
    parts.extensions.insert(info);
    let body = AnyBody::new(Watched { body, fault: Arc::clone(&fault) });
    let mut request = http::Request::from_parts(parts, body);
    if exchange.route().is_some_and(|route| route.max_body.is_some()) {
        // The route's limit holds, in place of axum's own.
        DefaultBodyLimit::disable().apply(&mut request);
    }
    let began = exchange.now();
    exchange.upstream_began = Some(began);
    let deadlines = Arc::clone(&exchange.connection.deadlines);
    let stop = || {
        let failed = fault.get().is_some() || deadlines.has_expired(Wait::Exchange);
        (failed || deadlines.has_expired(Wait::RequestBody) || deadlines.has_expired(Wait::RequestTotal)).then_some(())
    };
    // Within: a service may do something, and panic, before it gives a future.
    let answering = async { handler.answer(request).await };
    let answered = guarded(&exchange.shard.shared, answering, stop).await;
    if let Some(fault) = fault.get() {
        return Err(body_failure(*fault));
    }
    match answered {
        Ok(response) => {
            deadlines.clear(Wait::Exchange);
            exchange.upstream_head = Some(exchange.now());
            Ok(response)
        }
        Err(Lost::Panicked) => Err(GatewayError::new(Code::Internal, "The handler failed.").into()),
        Err(Lost::Stopped(())) if waits_for_client(exchange) => Err(body_failure(BodyFault::Stalled)),
        Err(Lost::Stopped(())) => {
            Err(GatewayError::new(Code::UpstreamTimeout, "The handler did not answer in time.").into())
        }
    }
}

/// A request body that tells why it failed beside whoever reads it.
struct Watched {
    body: RequestBody,
    fault: Arc<OnceLock<BodyFault>>,
}

impl Body for Watched {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Err(fault))) = &polled {
            let _ = self.fault.set(*fault);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
