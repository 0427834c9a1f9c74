//! A gateway inside the test itself, without listeners: on sockets, or on a network of streams in memory, for stories
//! in virtual time, where whoever is connected to does what the story says.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use gateway::clock::Clock;
use gateway::config::{Purpose, load_text};
use gateway::gateway::{Gateway, World};
use gateway::listener::connection;
use gateway::network::{ByteStream, Network, Sockets};
use gateway::service::ServiceBody;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, DuplexStream, duplex};
use tokio::sync::watch;
use tower::ServiceExt;

/// What a stream holds, bytes.
const PIPE: usize = 64 * 1024;

type Upstream = dyn Fn(DuplexStream) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync;

/// The network.
#[derive(Clone)]
pub(crate) struct Memory(Arc<Upstream>);

impl Network for Memory {
    type Stream = Box<dyn ByteStream>;

    async fn connect(&self, _: SocketAddr) -> io::Result<Self::Stream> {
        let (ours, theirs) = duplex(PIPE);
        tokio::spawn((self.0)(theirs));
        Ok(Box::new(ours))
    }

    async fn resolve(&self, _: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(vec![SocketAddr::from((Ipv4Addr::LOCALHOST, port))])
    }

    fn adopt(&self, stream: Self::Stream) -> io::Result<Self::Stream> {
        Ok(stream)
    }
}

/// Reads a request's head.
pub(crate) async fn read_head(stream: &mut DuplexStream) {
    let (mut head, mut buffer) = (Vec::new(), [0; 1024]);
    while !head.ends_with(b"\r\n\r\n") {
        let read = stream.read(&mut buffer).await.unwrap();
        assert_ne!(read, 0, "a whole head");
        head.extend_from_slice(&buffer[..read]);
    }
}

/// A gateway inside a program, with its access log in a folder of its own.
pub(crate) struct Inside<N: Network> {
    pub(crate) gateway: Arc<Gateway<N>>,
    folder: TempDir,
}

impl Inside<Memory> {
    /// With this configuration, and an upstream that does so on each connection.
    pub(crate) fn in_memory<F>(text: &str, upstream: impl Fn(DuplexStream) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::of_workers(1, text, upstream)
    }

    /// The same, with so many workers.
    pub(crate) fn of_workers<F>(
        workers: usize,
        text: &str,
        upstream: impl Fn(DuplexStream) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let network = Memory(Arc::new(move |stream| Box::pin(upstream(stream))));
        Self::new(text, network, Clock::starting_at(Duration::from_secs(1_700_000_000)), workers)
    }

    /// A client's connection to it, which the gateway's own code for connections serves.
    pub(crate) fn connect(&self) -> DuplexStream {
        self.connect_to(0)
    }

    /// The same, to this worker.
    pub(crate) fn connect_to(&self, worker: usize) -> DuplexStream {
        let (ours, theirs) = duplex(PIPE);
        let shard = Arc::clone(&self.gateway.shards()[worker]);
        let (never, drain) = watch::channel(false);
        let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        tokio::spawn(async move {
            connection::serve(shard, Box::new(theirs), peer, drain, ()).await;
            drop(never);
        });
        ours
    }

    /// The state of the first endpoint's breaker.
    pub(crate) fn breaker(&self) -> &'static str {
        self.gateway.upstreams()[0].active().endpoints[0].standing.guard.state().as_str()
    }
}

impl Inside<Sockets> {
    /// With this configuration, on sockets.
    pub(crate) fn on_sockets(text: &str) -> Self {
        Self::new(text, Sockets, Clock::system(), 1)
    }
}

impl<N: Network> Inside<N> {
    fn new(text: &str, network: N, clock: Clock, shards: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = format!("[telemetry.access_log]\noutput = '{}'\n{text}", folder.path().join("log").display());
        let config = load_text(&text, Path::new("inside"), Purpose::Run).unwrap().config;
        let gateway = Arc::new(Gateway::new(config, World { network, clock, seed: 7, shards }).unwrap());
        Self { gateway, folder }
    }

    /// Asks it as the program does.
    pub(crate) async fn ask(&self, request: http::Request<Body>) -> http::Response<ServiceBody<N>> {
        Arc::clone(&self.gateway).into_service().oneshot(request).await.unwrap()
    }

    /// Requests that endpoints work on, and connections to them.
    pub(crate) fn in_flight(&self) -> (u32, u32) {
        let (mut requests, mut connections) = (0, 0);
        for upstream in self.gateway.upstreams() {
            for endpoint in &upstream.active().endpoints {
                requests += endpoint.in_flight.count();
                connections += endpoint.connections.count();
            }
        }
        (requests, connections)
    }

    /// Access records so far.
    pub(crate) fn records(&self) -> Vec<Value> {
        self.gateway.shared().log.flush(Duration::from_secs(5));
        let text = std::fs::read_to_string(self.folder.path().join("log")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}
