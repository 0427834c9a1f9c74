//! The data plane in a simulated world (turmoil): the same code, another network, virtual time.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gateway::clock::Clock;
use gateway::config::{Purpose, load_text};
use gateway::gateway::{Gateway, World};
use gateway::listener::connection;
use gateway::network::Network;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use turmoil::net::{TcpListener, TcpStream};

/// turmoil's network.
#[derive(Clone)]
pub(crate) struct Simulated;

impl Network for Simulated {
    type Stream = TcpStream;

    async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        TcpStream::connect(address).await
    }

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(vec![SocketAddr::new(turmoil::lookup(host), port)])
    }

    fn adopt(&self, stream: TcpStream) -> io::Result<TcpStream> {
        Ok(stream)
    }
}

pub(crate) const ANYWHERE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// A gateway of one worker in the world that the caller is simulated in.
pub(crate) fn gateway(text: &str) -> Result<Gateway<Simulated>, Box<dyn std::error::Error>> {
    let config = load_text(text, Path::new("simulated"), Purpose::Run)?.config;
    let clock = Clock::starting_at(Duration::from_secs(1_700_000_000));
    Ok(Gateway::new(config, World { network: Simulated, clock, seed: 7, shards: 1 })?)
}

/// Serves clients on port 8080 for as long as the world lasts.
pub(crate) async fn serve(gateway: &Gateway<Simulated>) -> turmoil::Result {
    let shard = Arc::clone(&gateway.shards()[0]);
    let listener = TcpListener::bind((ANYWHERE, 8080)).await?;
    let (_never, drain) = watch::channel(false);
    loop {
        let (stream, peer) = listener.accept().await?;
        tokio::spawn(connection::serve(Arc::clone(&shard), stream, peer, drain.clone(), ()));
    }
}

async fn run_gateway(route: &'static str) -> turmoil::Result {
    let text = format!(
        "[telemetry.access_log]\noutput = 'off'\n[[routes]]\npath = '/{{*rest}}'\nupstream = 'http://upstream:9000'\n{route}"
    );
    serve(&gateway(&text)?).await
}

/// Answers each request on a connection after `delay` with the head that it was sent.
async fn run_upstream(delay: Duration) -> turmoil::Result {
    let listener = TcpListener::bind((ANYWHERE, 9000)).await?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            let (mut head, mut buffer) = (Vec::new(), [0; 1024]);
            while let Ok(n @ 1..) = stream.read(&mut buffer).await {
                head.extend_from_slice(&buffer[..n]);
                if head.ends_with(b"\r\n\r\n") {
                    // Virtual time: it passes as soon as nobody has anything else to do.
                    let _ = tokio::time::timeout(delay, std::future::pending::<()>()).await;
                    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", head.len());
                    let _ = stream.write_all(answer.as_bytes()).await;
                    let _ = stream.write_all(&head).await;
                    head.clear();
                }
            }
        });
    }
}

/// Runs a world with one client that asks twice on a connection; what it got, and the virtual time it took.
fn world(seed: u64, route: &'static str, delay: Duration) -> (String, Duration) {
    let got = Arc::new(Mutex::new((String::new(), Duration::ZERO)));
    let told = Arc::clone(&got);
    let mut builder = turmoil::Builder::new();
    let mut sim = builder.rng_seed(seed).simulation_duration(Duration::from_secs(120)).build();
    sim.host("upstream", move || run_upstream(delay));
    sim.host("gateway", move || run_gateway(route));
    sim.client("client", async move {
        let mut stream = TcpStream::connect(("gateway", 8080)).await?;
        stream.write_all(b"GET /one HTTP/1.1\r\nhost: a\r\n\r\n").await?;
        let mut buffer = vec![0; 4096];
        let mut text = String::new();
        let mut asked_again = false;
        loop {
            let n = stream.read(&mut buffer).await?;
            text.push_str(std::str::from_utf8(&buffer[..n])?);
            if n == 0 {
                break;
            }
            let whole = text.rsplit_once("\r\n\r\n").is_some_and(|(_, last)| last.is_empty() || last.ends_with('}'));
            if whole && !asked_again {
                asked_again = true;
                stream.write_all(b"GET /two HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await?;
            }
        }
        *told.lock().unwrap() = (text, turmoil::sim_elapsed().unwrap());
        Ok(())
    });
    sim.run().unwrap();
    got.lock().unwrap().clone()
}

#[test]
fn requests_pass_through_the_data_plane_in_a_simulated_world() {
    let (text, _) = world(1, "", Duration::from_millis(5));
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 2, "{text}");
    assert!(text.contains("GET /one HTTP/1.1") && text.contains("GET /two HTTP/1.1"), "{text}");
    assert!(text.contains("x-forwarded-for: 192.168."), "{text}");
}

#[test]
fn the_same_seed_gives_the_same_world_byte_for_byte() {
    let first = world(3, "", Duration::from_millis(5));
    assert_eq!(first, world(3, "", Duration::from_millis(5)));
    assert_ne!(first.1, Duration::ZERO);
}

#[test]
fn an_hour_of_an_upstream_costs_the_routes_timeout_in_virtual_time() {
    let (text, elapsed) = world(1, "timeout = '15s'", Duration::from_secs(3600));
    assert_eq!(text.matches("HTTP/1.1 504 ").count(), 2, "{text}");
    assert!((30..32).contains(&elapsed.as_secs()), "two timeouts of 15 s and the ways between: {elapsed:?}");
}
