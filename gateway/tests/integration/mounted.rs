//! A gateway that is mounted in a program: what the program says of its clients' connections, and what becomes of
//! requests of which it says nothing.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use gateway::gateway::Gateway;
use gateway::network::Sockets;
use gateway::prelude::{Builder, ClientInfo, GatewayService};
use gateway::telemetry::events::{Event, Kind};
use mocks::Mock;
use serde_json::Value;
use tower::ServiceExt;

use crate::support::{Authority, Client, Echo, TlsClient, echo, quoted};

#[path = "../../examples/tls.rs"]
mod tls;

const CLIENT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7)), 50_000);

/// The example on two ports of this machine: in the clear, and over TLS.
async fn example(upstream: &Mock, authority: &Authority) -> (SocketAddr, SocketAddr) {
    let program = tls::program(&upstream.url("")).unwrap();
    let mut addresses = Vec::new();
    for config in [None, Some(Arc::new(authority.server(&["a.test", "b.test"])))] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        addresses.push(listener.local_addr().unwrap());
        tokio::spawn(tls::serve(listener, config, program.clone()));
    }
    (addresses[0], addresses[1])
}

#[tokio::test]
async fn the_example_serves_over_its_own_tls_and_the_gateway_knows_it() {
    let (upstream, authority) = (echo().await, Authority::new());
    let (clear, encrypted) = example(&upstream, &authority).await;
    let mut client = Client::connect(clear).await;
    let sent_on = client.ask("GET /x?y HTTP/1.1\r\nhost: a.test:8080\r\nx-forwarded-proto: https\r\n\r\n").await;
    assert_eq!((sent_on.status, sent_on.header("location")), (308, Some("https://a.test:8443/x?y")));
    assert_eq!(sent_on.header("strict-transport-security"), None);
    let mut client = TlsClient::over_tls(encrypted, authority.client(), "a.test").await.unwrap();
    for _ in 0..2 {
        let answer = client.ask("GET /x HTTP/1.1\r\nhost: a.test\r\n\r\n").await;
        assert!(answer.header("strict-transport-security").is_some_and(|told| told.contains("max-age=3600")));
        assert_eq!(answer.echo().header("x-forwarded-proto"), Some("https"));
        assert_eq!(answer.echo().forwarded(), "for=127.0.0.1;host=a.test;proto=https");
    }
    let own = client.ask("GET /hello HTTP/1.1\r\nhost: a.test\r\n\r\n").await;
    assert_eq!(own.body, b"hello from the program\n");
    let other = client.ask("GET /x HTTP/1.1\r\nhost: b.test\r\n\r\n").await;
    assert_eq!(other.code(), "misdirected", "the program has not said what it has shown");
}

/// A gateway of this configuration, in which `up` is an upstream that echoes.
async fn mounted(text: &str, with: impl FnOnce(Builder) -> Builder) -> (Mock, Arc<Gateway<Sockets>>) {
    let upstream = echo().await;
    let text = format!(
        "{text}\n[telemetry.access_log]\noutput = 'off'\n[upstreams.up]\nendpoints = ['{}']\n",
        upstream.addr()
    );
    let gateway = with(Gateway::builder().config_text(text)).build().unwrap_or_else(|error| panic!("{error}"));
    (upstream, gateway)
}

fn told(builder: Builder) -> Builder {
    builder.with_client_info()
}

fn get(path: &str) -> http::Request<Body> {
    http::Request::get(path).header("host", "a.test").body(Body::empty()).unwrap()
}

/// The same, on such a connection.
fn by(client: &ClientInfo, mut request: http::Request<Body>) -> http::Request<Body> {
    request.extensions_mut().insert(client.clone());
    request
}

/// An answer's status, its head, and its body.
async fn ask(
    gateway: &Arc<Gateway<Sockets>>,
    request: http::Request<Body>,
) -> (u16, http::HeaderMap, axum::body::Bytes) {
    let service: GatewayService<Sockets> = Arc::clone(gateway).into_service();
    let (head, body) = service.oneshot(request).await.unwrap().into_parts();
    (head.status.as_u16(), head.headers, to_bytes(Body::new(body), 1 << 20).await.unwrap())
}

async fn code(gateway: &Arc<Gateway<Sockets>>, request: http::Request<Body>) -> (u16, String) {
    let (status, _, body) = ask(gateway, request).await;
    let problem: Value = serde_json::from_slice(&body).unwrap_or_default();
    (status, problem["code"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn what_hangs_on_tls_is_right_where_the_program_tells_of_it() {
    let text = "[server]\nhsts = { max_age = '1h' }\n\
                [[routes]]\npath = '/{*rest}'\nupstream = 'up'\nhttps = 'require'\n\
                request_headers = { set = { x-scheme = '{scheme}', x-port = '{port}' } }\n";
    let (_upstream, gateway) = mounted(text, told).await;
    let clear = ClientInfo::new(CLIENT);
    assert_eq!(code(&gateway, by(&clear, get("/"))).await, (403, "forbidden".to_owned()));
    let (status, head, body) = ask(&gateway, by(&clear.clone().tls(), get("/"))).await;
    assert_eq!((status, head.contains_key("strict-transport-security")), (200, true));
    let echo = Echo::of(&body);
    assert_eq!((echo.header("x-scheme"), echo.header("x-port")), (Some("https"), Some("443")));
    assert_eq!((echo.header("x-forwarded-proto"), echo.header("x-forwarded-for")), (Some("https"), Some("192.0.2.7")));
    // Nothing that a client sends stands for it.
    let mut forged = get("/");
    for (name, value) in [("x-forwarded-proto", "https"), ("forwarded", "for=10.0.0.1;proto=https")] {
        forged.headers_mut().insert(name, value.parse().unwrap());
    }
    assert_eq!(ask(&gateway, forged).await.0, 403);
    // It comes before what axum tells.
    let mut both = by(&clear.tls(), get("/"));
    both.extensions_mut().insert(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 1))));
    assert_eq!(Echo::of(&ask(&gateway, both).await.2).header("x-forwarded-for"), Some("192.0.2.7"));
}

#[tokio::test]
async fn a_certificate_that_the_program_has_verified_says_who_asks() {
    let (ours, partners) = (Authority::new(), Authority::new());
    let text = format!(
        "[identity.providers.any]\nkind = 'mtls'\n[identity.providers.ours]\nkind = 'mtls'\nca = {}\n\
         [[routes]]\npath = '/any'\nupstream = 'up'\nauth = {{ providers = ['any'] }}\n\
         [[routes]]\npath = '/ours'\nupstream = 'up'\nauth = {{ providers = ['ours'] }}\n",
        quoted(&ours.file())
    );
    let (_upstream, gateway) = mounted(&text, told).await;
    let of = |signer: &Authority| ClientInfo::new(CLIENT).certificates([ours.client_shown(signer, "job.test").1]);
    for (client, path, status) in [
        (of(&ours), "/any", 200),
        (of(&ours), "/ours", 200),
        (of(&partners), "/any", 200),
        (of(&partners), "/ours", 401),
        (ClientInfo::new(CLIENT).tls(), "/any", 401),
    ] {
        let (answered, _, body) = ask(&gateway, by(&client, get(path))).await;
        assert_eq!(answered, status, "{path} {client:?}");
        if status == 200 {
            assert_eq!(Echo::of(&body).header("x-auth-subject"), Some("job.test"));
        }
    }
}

#[tokio::test]
async fn a_connection_is_for_the_host_that_was_asked_for_or_that_its_certificate_names() {
    let (_upstream, gateway) = mounted("[[routes]]\npath = '/'\nupstream = 'up'\n", told).await;
    let shown = rcgen::generate_simple_self_signed(["a.test".to_owned(), "b.test".to_owned()]).unwrap();
    let named = |name| ClientInfo::new(CLIENT).server_name(name);
    let whole = named("b.test").own_certificate(shown.cert.der());
    for (client, over_http1, over_http2) in [
        (named("a.test"), 200, 200),
        (named("A.TEST"), 200, 200),
        (ClientInfo::new(CLIENT).server_name(None), 200, 200),
        (named("b.test"), 421, 421),
        // Connections of HTTP/2 are shared by the hosts of their certificate.
        (whole.clone(), 421, 200),
        (whole.server_name("c.test"), 421, 200),
    ] {
        for (version, status) in [(http::Version::HTTP_11, over_http1), (http::Version::HTTP_2, over_http2)] {
            let mut request = by(&client, get("/"));
            *request.version_mut() = version;
            assert_eq!(ask(&gateway, request).await.0, status, "{version:?} {client:?}");
        }
    }
}

#[tokio::test]
async fn routes_for_one_listener_are_reached_by_what_the_program_calls_so() {
    let text = "[[listeners]]\nname = 'public'\naddress = '127.0.0.1:1'\n\
                [[listeners]]\nname = 'inner'\naddress = '127.0.0.1:2'\n\
                [[routes]]\npath = '/{*rest}'\nanswer = { body = 'public' }\nlisteners = ['public']\n\
                [[routes]]\npath = '/metrics'\nanswer = { body = 'inner' }\nlisteners = ['inner']\n";
    let (_upstream, gateway) = mounted(text, told).await;
    for (listener, path, expected) in [
        (Some("public"), "/metrics", (200, "public")),
        (Some("inner"), "/metrics", (200, "inner")),
        (Some("inner"), "/x", (404, "")),
        (Some("another"), "/metrics", (404, "")),
        (Some(""), "/metrics", (404, "")),
        (None, "/metrics", (404, "")),
    ] {
        let client = ClientInfo::new(CLIENT);
        let client = listener.into_iter().fold(client, |client, name| client.listener(name));
        let (status, _, body) = ask(&gateway, by(&client, get(path))).await;
        let body = if status == 200 { String::from_utf8_lossy(&body).into_owned() } else { String::new() };
        assert_eq!((status, &*body), expected, "{listener:?} {path}");
    }
}

#[tokio::test]
async fn whose_address_nobody_tells_uses_no_route_that_asks_for_it() {
    let text = "[[routes]]\nname = 'denied'\npath = '/denied'\nupstream = 'up'\n\
                addresses = { deny = ['192.0.2.0/24'] }\n\
                [[routes]]\nname = 'allowed'\npath = '/allowed'\nupstream = 'up'\n\
                addresses = { allow = ['0.0.0.0/0'] }\n\
                [[routes]]\npath = '/read'\nbody = { '/kind' = 'a' }\nupstream = 'up'\nmethods = ['POST']\n\
                addresses = { allow = ['0.0.0.0/0'] }\n\
                [rate_limits.each]\nrate = '1/h'\nburst = 2\nkey = 'client_ip'\n\
                [[routes]]\npath = '/counted'\nupstream = 'up'\nrate_limits = ['each']\n";
    let (upstream, gateway) = mounted(text, |builder| builder).await;
    let kinds = [Kind::ClientUnknown].into_iter().collect();
    let mut events = gateway.shared().events.follow(kinds, Some(0));
    let unknown = || (500, "client_unknown".to_owned());
    assert_eq!(code(&gateway, get("/denied")).await, unknown(), "nobody is let in for want of an address");
    assert_eq!(code(&gateway, get("/allowed")).await, unknown(), "0.0.0.0 stands for nobody");
    let read = http::Request::post("/read").header("host", "a").header("content-type", "application/json");
    let read = read.header("content-length", "12").body(Body::from("{\"kind\":\"a\"}")).unwrap();
    assert_eq!(code(&gateway, read).await, unknown(), "nor is its body read");
    assert_eq!(upstream.counters().requests, 0);
    // A limit by address counts them together, which turns away too many and never too few.
    let counted = [ask(&gateway, get("/counted")).await.0, ask(&gateway, get("/counted")).await.0];
    assert_eq!((counted, ask(&gateway, get("/counted")).await.0), ([200, 200], 429));
    let told = events.next().await.events;
    let [told] = &told[..] else { panic!("told once: {told:?}") };
    let Event::ClientUnknown { detail } = &told.event else { panic!("{told:?}") };
    assert!(detail.contains("routes with `addresses` refuse them: /read, allowed, denied; "), "{detail}");
    assert!(detail.contains("limits by `client_ip` count all clients as one: each. "), "{detail}");
    // With an address, however it is told, the lists hold.
    let mut by_axum = get("/allowed");
    by_axum.extensions_mut().insert(ConnectInfo(CLIENT));
    assert_eq!(ask(&gateway, by_axum).await.0, 200);
    assert_eq!(code(&gateway, by(&ClientInfo::new(CLIENT), get("/denied"))).await, (403, "forbidden".to_owned()));
}

#[tokio::test]
async fn a_proxy_that_is_trusted_tells_of_clients_though_nobody_tells_of_it() {
    let text = "[server]\ntrusted_proxies = ['0.0.0.0/0']\n\
                [[routes]]\npath = '/'\nupstream = 'up'\naddresses = { allow = ['203.0.113.0/24'] }\n";
    let (_upstream, gateway) = mounted(text, |builder| builder).await;
    let mut request = get("/");
    request.headers_mut().insert("x-forwarded-for", "203.0.113.9".parse().unwrap());
    assert_eq!(ask(&gateway, request).await.0, 200);
    assert!(!gateway.shared().tells_of_unknown.load(std::sync::atomic::Ordering::Relaxed));
}

/// What is warned of, by its first words.
fn warnings(builder: &Builder) -> Vec<String> {
    builder.check().unwrap().into_iter().map(|problem| problem.message).collect()
}

#[test]
fn what_a_mounted_gateway_cannot_know_is_warned_of_until_the_program_tells_it() {
    let authority = Authority::new();
    let (cert, key) = authority.write("a", &["a.test"]);
    let text = "[server]\nhsts = { max_age = '1h' }\n[identity.providers.certs]\nkind = 'mtls'\n\
                [[routes]]\npath = '/'\nupstream = 'http://127.0.0.1:9'\nhttps = 'redirect'\n\
                auth = { providers = ['certs'] }\n[telemetry.access_log]\noutput = 'off'\n";
    let builder = || Gateway::builder().config_text(text);
    let said = warnings(&builder());
    assert_eq!(said.len(), 3, "{said:?}");
    for part in ["every client is redirected, for ever", "no answer has `hsts`", "prove anything by one"] {
        assert!(said.iter().any(|message| message.contains(part)), "{part:?} of {said:?}");
    }
    assert_eq!(warnings(&builder().with_client_info()), [""; 0]);
    // One that listens sees for itself.
    let listener = format!(
        "[[listeners]]\naddress = '127.0.0.1:0'\n\
         tls = {{ cert = {}, key = {}, client_ca = {}, client_auth = 'optional' }}\n",
        quoted(&cert),
        quoted(&key),
        quoted(&authority.file())
    );
    let seen = warnings(&Gateway::builder().config_text(format!("{listener}{text}")));
    assert!(!seen.iter().any(|message| message.contains("mounted")), "{seen:?}");
}
