//! The data plane as a tower `Service`: what an axum program mounts, as a route or a fallback.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Extensions, Request, Response, Version};
use http_body::{Body, Frame, SizeHint};

use crate::client::ClientConnection;
use crate::client_info::{ClientInfo, peer_without, what_suffers};
use crate::clock::Clock;
use crate::context::{Peer, to_http1_form};
use crate::exchange::Arrival;
use crate::gateway::Gateway;
use crate::network::Network;
use crate::pipeline;
use crate::request_body::{BodyFault, BoxError, Source};
use crate::response_body::ResponseBody;
use crate::shard::Shard;
use crate::telemetry::events::Event;
use crate::timer::{Deadlines, Wait, Watch};

/// The gateway as a service. Cheap to clone.
pub struct GatewayService<N: Network> {
    gateway: Arc<Gateway<N>>,
}

impl<N: Network> Clone for GatewayService<N> {
    fn clone(&self) -> Self {
        Self { gateway: Arc::clone(&self.gateway) }
    }
}

impl<N: Network> Gateway<N> {
    /// The data plane as a service for `axum::Router::fallback_service` and the like. Each thread of the program uses a
    /// shard of its own. Whose a request is, and whether it came over TLS, is read from the [`ClientInfo`] among its
    /// extensions, else the client's address alone from axum's `ConnectInfo<SocketAddr>`. Without either it is not
    /// known, which is told once, as an event; routes with `addresses` answer 500 `client_unknown` then. WebSockets
    /// need the gateway's own listeners: here a request to switch is a request like any other.
    pub fn into_service(self: Arc<Self>) -> GatewayService<N> {
        GatewayService { gateway: self }
    }
}

impl<N, B> tower_service::Service<Request<B>> for GatewayService<N>
where
    N: Network,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<ServiceBody<N>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let shards = self.gateway.shards();
        let shard = Arc::clone(&shards[thread_number() % shards.len()]);
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            if parts.version == Version::HTTP_2 {
                to_http1_form(&mut parts);
            }
            let connection = Arc::new(connection(&shard, &parts.extensions));
            let deadlines = Arc::clone(&connection.deadlines);
            let mut watch = Watch::new(Arc::clone(&deadlines));
            let (clock, patience) = (shard.shared.clock.clone(), shard.snapshot().config.server.body_idle_timeout);
            let body = http_body_util::BodyExt::map_err(body, |error| fault_of(&error.into()));
            let source = Source::Boxed(Box::pin(body));
            let shared = Arc::clone(&shard.shared);
            let mut serving = Box::pin(pipeline::serve(Arrival { shard, connection }, parts, source, None));
            let mut reply =
                std::future::poll_fn(|cx| watch.poll_with(cx, |cx| pipeline::poll(&shared, serving.as_mut(), cx)))
                    .await;
            // Nobody would go on with it.
            drop(reply.take_tunnel());
            Ok(reply.into_response(|inner| ServiceBody { inner, watch, deadlines, clock, patience }))
        })
    }
}

/// Why a body of the program's broke off: a layer around the gateway may hold a limit of its own.
fn fault_of(error: &BoxError) -> BodyFault {
    let error: &(dyn std::error::Error + 'static) = &**error;
    let mut causes = std::iter::successors(Some(error), |cause| cause.source());
    if causes.any(|cause| cause.is::<http_body_util::LengthLimitError>()) {
        BodyFault::TooLarge
    } else {
        BodyFault::ClientLeft
    }
}

/// The connection of a request with these extensions, as far as the program tells of it.
fn connection<N: Network>(shard: &Shard<N>, extensions: &Extensions) -> ClientConnection {
    let told = extensions.get::<ClientInfo>();
    let peer = told.map_or_else(|| peer_without(extensions), ClientInfo::peer);
    if peer.is_unknown {
        tell_of_unknown(shard, &peer);
    }
    let listener = told.and_then(ClientInfo::listener_name);
    ClientConnection {
        peer: Arc::new(peer.named(shard.shared.own_name)),
        listener: listener.and_then(|name| shard.snapshot().listener_number(name)),
        secured: told.and_then(ClientInfo::secured),
        deadlines: Deadlines::new(shard.shared.clock.clone()),
        phase: Arc::default(),
        idle_timeout: None,
        identity: Mutex::new(None),
        websocket_key: None,
        // The program's server has the bytes, and goes on with them as it does behind any answer.
        can_switch: false,
        // A service gives one answer.
        hints: None,
    }
}

/// Says once that nobody says whose requests are, and what works in another way for it.
fn tell_of_unknown<N: Network>(shard: &Shard<N>, peer: &Peer) {
    let is_told = &shard.shared.tells_of_unknown;
    // A look first: it is asked of each such request, by every thread.
    if is_told.load(Ordering::Relaxed) {
        return;
    }
    let snapshot = shard.snapshot();
    // Where it is trusted, whoever it may be, its headers tell.
    if snapshot.trusts(peer) || is_told.swap(true, Ordering::Relaxed) {
        return;
    }
    let detail = what_suffers(&snapshot.config);
    shard.shared.report(shard.shared.clock.now(), Event::ClientUnknown { detail });
}

/// A number for each thread that serves requests, in the order of their first.
fn thread_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static NUMBER: usize = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    NUMBER.with(|number| *number)
}

/// A response's body, with the timer that watches it.
pub struct ServiceBody<N: Network> {
    inner: ResponseBody<N>,
    watch: Watch,
    deadlines: Arc<Deadlines>,
    clock: Clock,
    /// How long a client of the gateway's own listeners may take for what it was handed. Nobody is cut off for it here:
    /// a server asks for more when all that it holds is written, which of a slow client that reads steadily is late.
    patience: Duration,
}

impl<N: Network> ServiceBody<N> {
    /// What was handed out is on its way to the client until more is asked for: the program's server asks when it has
    /// room for more, and that is all that can be seen of it from here.
    fn hand_out(&self) {
        if !self.inner.is_end_stream() {
            self.deadlines.set(Wait::Write, self.clock.now(), Some(self.patience));
        }
    }
}

impl<N: Network> Body for ServiceBody<N> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let body = self.get_mut();
        let (inner, deadlines) = (&mut body.inner, &body.deadlines);
        let polled = body.watch.poll_with(cx, |cx| {
            let polled = Pin::new(&mut *inner).poll_frame(cx);
            // Not before: whoever is polled for the first time since asks how long it was.
            deadlines.clear(Wait::Write);
            polled
        });
        if let Poll::Ready(Some(Ok(_))) = &polled {
            body.hand_out();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
