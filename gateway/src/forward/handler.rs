//! A handler, asked in place of an upstream: with the same headers, the same body, and no more time.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body as AnyBody;
use axum::extract::DefaultBodyLimit;
use axum::response::Response;
use bytes::Bytes;
use http::request::Parts;
use http_body::{Body, Frame, SizeHint};

use super::attempt::{Failure, body_failure};
use crate::error::{Code, GatewayError};
use crate::exchange::Exchange;
use crate::network::Network;
use crate::plugins::{Around, Handler, Lost, RequestInfo, What, guarded};
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
    let around = Around::of(What::Handler, &handler.name, &info);
    parts.extensions.insert(info);
    let mut request = http::Request::from_parts(parts, AnyBody::new(Given(body)));
    if exchange.route().is_some_and(|route| route.max_body.is_some()) {
        // The route's limit holds, in place of axum's own.
        DefaultBodyLimit::disable().apply(&mut request);
    }
    exchange.upstream_began = Some(exchange.moment());
    // Within: a service may do something, and panic, before it gives a future.
    let answering = around.future(async { handler.answer(request).await });
    let answered = guarded(&exchange.shard.shared, answering, || why_stopped(exchange)).await;
    if let Some(fault) = fault(exchange) {
        return Err(body_failure(fault));
    }
    match answered {
        Ok(response) => {
            exchange.connection.deadlines.clear(Wait::Exchange);
            exchange.upstream_head = Some(exchange.moment());
            Ok(response)
        }
        Err(Lost::Panicked) => Err(GatewayError::new(Code::Internal, "The handler failed.").into()),
        Err(Lost::Stopped(Stopped::Client)) => Err(body_failure(BodyFault::Stalled)),
        Err(Lost::Stopped(Stopped::Handler)) => {
            Err(GatewayError::new(Code::UpstreamTimeout, "The handler did not answer in time.").into())
        }
    }
}

/// Who took too long.
enum Stopped {
    /// The client, for whose body the handler waits.
    Client,
    /// The handler.
    Handler,
}

/// Whether a handler is stopped before it has answered. Asked while the body is still where it reads it: one that was
/// dropped is waited for by nobody.
fn why_stopped<N: Network>(exchange: &Exchange<N>) -> Option<Stopped> {
    exchange.answer_roll_call(None);
    let deadlines = &exchange.connection.deadlines;
    let waits = exchange.waits_for_client();
    let body_is_late = deadlines.has_expired(Wait::RequestBody) || deadlines.has_expired(Wait::RequestTotal);
    let is_over = deadlines.has_expired(Wait::Exchange) || fault(exchange).is_some();
    (is_over || waits && body_is_late).then_some(if waits { Stopped::Client } else { Stopped::Handler })
}

/// Why the request's body broke off, where it has.
fn fault<N: Network>(exchange: &Exchange<N>) -> Option<BodyFault> {
    exchange.request_body.as_ref()?.fault()
}

/// A request body in a handler's hands, which may drop it long before it answers.
struct Given(RequestBody);

impl Drop for Given {
    fn drop(&mut self) {
        self.0.let_go();
    }
}

impl Body for Given {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}
