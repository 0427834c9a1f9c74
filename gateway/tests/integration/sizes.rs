//! What one request, and one idle connection, costs in memory: futures stay small, cold branches are boxed.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use gateway::client::ClientConnection;
use gateway::clock::Clock;
use gateway::config::{Purpose, load_text};
use gateway::context::{Peer, Scheme};
use gateway::exchange::Arrival;
use gateway::gateway::{Gateway, World};
use gateway::network::Sockets;
use gateway::request_body::Source;
use gateway::timer::Deadlines;
use gateway::{listener, pipeline};

/// A request's future, bytes.
const REQUEST: usize = 2304;
/// A connection's task, the request's future within it included.
const CONNECTION: usize = 2 * 1024;

fn gateway() -> Gateway<Sockets> {
    let text = "[telemetry.access_log]\noutput = 'off'\n[[routes]]\npath = '/'\nupstream = 'http://127.0.0.1:9'\n";
    let config = load_text(text, Path::new("sizes"), Purpose::Run).unwrap().config;
    Gateway::new(config, World { network: Sockets, clock: Clock::system(), seed: 1, shards: 1 }).unwrap()
}

#[tokio::test]
async fn a_requests_future_is_small() {
    let gateway = gateway();
    let shard = Arc::clone(&gateway.shards()[0]);
    let connection = Arc::new(ClientConnection {
        peer: Arc::new(Peer::new(SocketAddr::from(([127, 0, 0, 1], 1)), Scheme::Http)),
        listener: None,
        secured: None,
        deadlines: Deadlines::new(shard.shared.clock.clone()),
        phase: Arc::default(),
        idle_timeout: None,
        identity: Mutex::new(None),
        websocket_key: None,
        can_switch: true,
        hints: None,
    });
    let (parts, ()) = http::Request::new(()).into_parts();
    let future = pipeline::serve(Arrival { shard, connection }, parts, Source::Empty, None);
    let size = size_of_val(&future);
    assert!(size <= REQUEST, "{size} bytes, {REQUEST} allowed");
}

#[tokio::test]
async fn a_connections_task_is_small() {
    let gateway = gateway();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (client, accepted) =
        tokio::join!(tokio::net::TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    let ((stream, peer), _client) = (accepted.unwrap(), client.unwrap());
    let (_open, drain) = tokio::sync::watch::channel(false);
    let future = listener::connection::serve(Arc::clone(&gateway.shards()[0]), stream, peer, drain, ());
    let size = size_of_val(&future);
    assert!(size <= CONNECTION, "{size} bytes, {CONNECTION} allowed");
}
