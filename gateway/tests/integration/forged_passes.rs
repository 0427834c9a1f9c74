//! How often a request has come by is told in a header that anybody can write (`context/passes.rs`): who makes it up
//! harms nobody else.

use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use mocks::Mock;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::support::{Client, Gateway, echo, eventually};

/// A service that asks another one by the gateway, `/inner`, or the aggregate `/board`, with the `forwarded` that it
/// got, and says 502 where that fails. To `/fails` it says 504.
struct Service {
    address: SocketAddr,
    gateway: Arc<OnceLock<SocketAddr>>,
    /// Until it is open, nothing is answered.
    gate: watch::Sender<bool>,
}

impl Service {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let gateway = Arc::<OnceLock<SocketAddr>>::default();
        let (gate, opened) = watch::channel(true);
        let asks = Arc::clone(&gateway);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&asks), opened.clone()));
            }
        });
        Self { address, gateway, gate }
    }
}

/// Serves a connection, request by request.
async fn serve(mut stream: TcpStream, gateway: Arc<OnceLock<SocketAddr>>, mut opened: watch::Receiver<bool>) {
    let mut head = String::new();
    loop {
        head.clear();
        while !head.ends_with("\r\n\r\n") {
            let mut bytes = [0; 4096];
            let Ok(count @ 1..) = stream.read(&mut bytes).await else { return };
            head.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
        }
        let _ = opened.wait_for(|is_open| *is_open).await;
        let forwarded = head.lines().find(|line| line.to_ascii_lowercase().starts_with("forwarded:")).unwrap_or("x: y");
        let status = if head.contains("/fails") {
            504
        } else {
            let inner = if head.contains("/board") { "/board" } else { "/inner" };
            let inner = format!("GET {inner} HTTP/1.1\r\nhost: inner.test\r\n{forwarded}\r\n\r\n");
            let answer = Client::connect(*gateway.get().unwrap()).await.ask(inner).await;
            if answer.status == 200 { 200 } else { 502 }
        };
        let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 2\r\n\r\nok");
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

struct World {
    gateway: Gateway,
    service: Service,
    /// What the gateway calls itself.
    name: String,
    _inner: Mock,
}

/// A gateway with a route to such a service, `/svc`, one by which its calls are shared, `/co`, and one to the other.
async fn world(server: &str, breaker: &str) -> World {
    let (inner, service) = (echo().await, Service::start().await);
    let text = format!(
        "[server]\nworkers = 1\n{server}\n[upstreams.inner]\nendpoints = ['{}']\n[upstreams.service]\nendpoints = ['{}']\n\
         breaker = {{ {breaker} }}\nconcurrency = {{ adaptive = true }}\n\
         [[routes]]\nname = 'inner'\npath = '/inner'\nupstream = 'inner'\n\
         [[routes]]\nname = 'svc'\npath = '/svc/{{*rest}}'\nupstream = 'service'\nretry = {{ attempts = 1 }}\n\
         [[routes]]\nname = 'co'\npath = '/co/{{*rest}}'\nupstream = 'service'\ncoalesce = true\n\
         [[aggregates]]\npath = '/board'\nparts = [{{ name = 'a', upstream = 'inner', path = '/a' }}]\n",
        inner.addr(),
        service.address
    );
    let gateway = Gateway::start(&text).await;
    service.gateway.set(gateway.address).unwrap();
    // Any service that shows headers tells it.
    let echo = gateway.get("/inner").await.echo();
    let name = echo.header("forwarded").unwrap().rsplit_once("by=").unwrap().1.to_owned();
    World { gateway, service, name, _inner: inner }
}

impl World {
    /// A request that claims to have come by so often.
    fn forged(&self, path: &str, passes: impl Display) -> String {
        let name = &self.name;
        format!("GET {path} HTTP/1.1\r\nhost: a.test\r\nforwarded: for=127.0.0.1;by={name}.{passes}\r\n\r\n")
    }

    async fn ask_forged(&self, path: &str, passes: impl Display) -> u16 {
        self.gateway.ask(self.forged(path, passes)).await.status
    }
}

const SENSITIVE: &str = "consecutive_failures = 3, open_for = '60s'";

#[tokio::test]
async fn a_forged_count_opens_no_breaker() {
    let world = world("", SENSITIVE).await;
    for passes in [9, 5] {
        for _ in 0..5 {
            // The service's own call is the last pass of what looks like a circle; or it fails at what it is asked.
            let path = if passes == 9 { "/svc/a" } else { "/svc/fails" };
            assert!(matches!(world.ask_forged(path, passes).await, 502 | 504));
            assert_eq!(world.gateway.get("/svc/a").await.status, 200);
        }
    }
    let failures = "gateway_endpoint_failures_total{upstream=\"service\"";
    let told = world.gateway.admin("GET", "/metrics").await;
    let told = String::from_utf8_lossy(&told.body).into_owned();
    assert!(told.lines().filter(|line| line.starts_with(failures)).all(|line| line.ends_with(" 0")), "{told}");
    assert_eq!(world.ask_forged("/svc/a", 10).await, 508, "it is refused as ever");
}

#[tokio::test]
async fn a_lower_count_is_counted_on_and_no_service_fails_by_it() {
    let world = world("", SENSITIVE).await;
    for passes in 1..=8 {
        assert_eq!(world.ask_forged("/svc/a", passes).await, 200, "{passes}");
    }
    // Of a chain of calls that may be honest, failures are failures.
    for _ in 0..3 {
        assert_eq!(world.ask_forged("/svc/fails", 4).await, 504);
    }
    assert_eq!(world.gateway.get("/svc/a").await.code(), "breaker_open");
}

#[tokio::test]
async fn a_forged_count_of_what_became_several_calls_opens_no_breaker_either() {
    let world = world("", SENSITIVE).await;
    for _ in 0..5 {
        assert_eq!(world.ask_forged("/svc/board", "4.2").await, 502, "the aggregate is refused to the service");
        assert_eq!(world.gateway.get("/svc/board").await.status, 200);
        // A count of passes is none of that: the service may ask for what the gateway puts together.
        assert_eq!(world.ask_forged("/svc/board", 4).await, 200);
    }
}

#[tokio::test]
async fn whoever_is_trusted_speaks_for_its_chain_and_not_for_strangers() {
    let trusting = world("trusted_proxies = ['127.0.0.0/8']", SENSITIVE).await;
    for (node, opens) in [("203.0.113.9", false), ("unknown", false), ("127.0.0.1", true)] {
        for _ in 0..3 {
            let forged = trusting.forged("/svc/fails", 5).replace("for=127.0.0.1", &format!("for={node}"));
            assert_eq!(trusting.gateway.ask(forged).await.status, 504, "{node}");
        }
        assert_eq!(trusting.gateway.get("/svc/a").await.status == 503, opens, "{node}");
    }
}

#[tokio::test]
async fn who_tries_an_endpoint_out_with_a_forged_count_gives_the_place_back() {
    let world = world("", "consecutive_failures = 1, open_for = '50ms', probes = 1").await;
    for _ in 0..3 {
        assert_eq!(world.gateway.get("/svc/fails").await.status, 504);
        // Until its time is over.
        while world.ask_forged("/svc/fails", 9).await == 503 {}
        assert_eq!(world.gateway.get("/svc/a").await.status, 200, "the next one tries it out, and it is well");
    }
}

#[tokio::test]
async fn a_forged_count_is_shared_with_nobody() {
    for passes in [9, 4] {
        let world = world("", SENSITIVE).await;
        world.service.gate.send_replace(false);
        let mut forger = world.gateway.client().await;
        forger.send(world.forged("/co/hot", passes)).await;
        eventually("it is asked", || world.gateway.in_flight() == 1).await;
        let mut others = Vec::new();
        for _ in 0..3 {
            let mut client = world.gateway.client().await;
            client.send("GET /co/hot HTTP/1.1\r\nhost: a.test\r\n\r\n").await;
            others.push(client);
        }
        let flights = &world.gateway.inner().shards()[0].flights;
        let shares = if passes == 9 { 3 } else { 4 };
        eventually("they wait", || flights.waiting() == shares).await;
        world.service.gate.send_replace(true);
        for client in &mut others {
            assert_eq!(client.answer().await.status, 200, "{passes}");
        }
        assert_eq!(forger.answer().await.status, if passes == 9 { 502 } else { 200 });
    }
}
