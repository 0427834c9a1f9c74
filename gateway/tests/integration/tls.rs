//! TLS towards clients: certificates by name, clients' own, reloads, and whoever speaks something else. Tests of
//! security.md's group G carry its letter.

use std::sync::Arc;

use gateway::telemetry::metrics::HandshakeResult;
use mocks::Mock;
use mocks::raw::{Gate, Raw, Script};
use rustls::{HandshakeKind, ProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::h2::H2Client;
use crate::support::{Authority, Client, Events, Gateway, TlsClient, echo, eventually, guarded, one_route, quoted};

const GET: &str = "GET / HTTP/1.1\r\nhost: a.test\r\n\r\n";

fn pair((cert, key): &(std::path::PathBuf, std::path::PathBuf)) -> String {
    format!("cert = {}, key = {}", quoted(cert), quoted(key))
}

/// A configuration whose only listener has this `tls`.
fn text(tls: &str, server: &str, upstream: &Mock) -> String {
    format!("[[listeners]]\naddress = '127.0.0.1:0'\ntls = {{ {tls} }}\n\n{}", one_route(server, "", upstream.addr()))
}

/// Waits until so many handshakes came to this; more are a failure. They are counted once their connection is gone.
async fn handshakes(gateway: &Gateway, result: HandshakeResult, count: u64) {
    let listeners = gateway.inner().shared().metrics.listeners();
    let counted = || listeners.iter().map(|listener| listener.handshakes(result)).sum::<u64>();
    eventually(&format!("{count} handshakes {}", result.as_str()), || counted() >= count).await;
    assert_eq!(counted(), count);
}

#[tokio::test]
async fn requests_come_over_tls_one_after_the_other_and_the_upstream_is_told() {
    let (upstream, authority) = (echo().await, Authority::new());
    let gateway = Gateway::start(&text(&pair(&authority.write("a", &["a.test"])), "", &upstream)).await;
    let mut config = authority.client();
    config.alpn_protocols = vec![b"spdy/1".to_vec(), b"http/1.1".to_vec()];
    let mut client = TlsClient::over_tls(gateway.address, config, "a.test").await.unwrap();
    {
        let connection = client.stream().get_ref().1;
        assert_eq!(connection.protocol_version(), Some(ProtocolVersion::TLSv1_3));
        assert_eq!(connection.alpn_protocol(), Some(&b"http/1.1"[..]));
    }
    for _ in 0..3 {
        let echo = client.ask(GET).await.echo();
        assert_eq!(echo.header("x-forwarded-proto"), Some("https"));
        assert_eq!(echo.forwarded(), "for=127.0.0.1;host=a.test;proto=https");
    }
    gateway.records(3).await;
    handshakes(&gateway, HandshakeResult::Ok, 1).await;
    let listener = gateway.address;
    let sample = format!("gateway_tls_handshakes_total{{listener=\"{listener}\",result=\"ok\"}}");
    assert_eq!(gateway.metric(&sample).await, Some(1.0));
    let listener = "gateway_tls_certificate_expiry_seconds{listener=\"127.0.0.1:0\"}";
    assert!(gateway.metric(listener).await.unwrap() > 2e9, "rcgen's certificates last for long");
}

#[tokio::test]
async fn a_connection_that_was_idle_for_too_long_is_told_its_end() {
    let (upstream, authority) = (echo().await, Authority::new());
    let (pair, server) = (pair(&authority.write("a", &["a.test"])), "idle_timeout = '1s'");
    let gateway = Gateway::start(&text(&pair, server, &upstream)).await;
    let mut client = TlsClient::over_tls(gateway.address, authority.client(), "a.test").await.unwrap();
    assert_eq!(client.ask(GET).await.status, 200);
    // Without a close_notify it would be an error, since anybody can end a connection of TCP.
    let read = guarded("the end", client.stream().read(&mut [0; 1])).await;
    assert_eq!(read.unwrap(), 0);
}

#[tokio::test]
async fn a_drain_does_not_wait_for_who_never_begins_a_handshake() {
    let (upstream, authority) = (echo().await, Authority::new());
    let pair = pair(&authority.write("a", &["a.test"]));
    let server = "tls_handshake_timeout = '10m'\ndrain_timeout = '30s'";
    let gateway = Gateway::start(&text(&pair, server, &upstream)).await;
    let mut silent = Client::connect(gateway.address).await;
    let (drained, _folder) = guarded("the drain", gateway.drain()).await;
    assert_eq!(drained, gateway::shutdown::Drained::Clean);
    silent.closed().await;
}

#[tokio::test]
async fn large_bodies_pass_both_ways_and_pipelined_requests_are_answered_in_order() {
    let (upstream, authority) = (echo().await, Authority::new());
    let server = "max_body = '64MiB'";
    let gateway = Gateway::start(&text(&pair(&authority.write("a", &["a.test"])), server, &upstream)).await;
    let mut client = TlsClient::over_tls(gateway.address, authority.client(), "a.test").await.unwrap();
    let body = vec![b'x'; 3_000_000];
    let head = format!("POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: {}\r\n\r\n", body.len());
    assert_eq!(client.ask([head.as_bytes(), &body].concat()).await.echo().get("body_bytes"), &body.len());
    let answer = client.ask("GET /bytes/3000000 HTTP/1.1\r\nhost: a.test\r\n\r\n").await;
    assert_eq!((answer.status, answer.body.len(), answer.whole), (200, 3_000_000, true));
    client.send("GET /1 HTTP/1.1\r\nhost: a.test\r\n\r\nGET /2 HTTP/1.1\r\nhost: a.test\r\n\r\n").await;
    for path in ["/1", "/2"] {
        assert_eq!(client.answer().await.echo().path(), path);
    }
}

#[tokio::test]
async fn the_certificate_is_the_names_and_g_a_request_for_another_host_is_misdirected() {
    let (upstream, authority) = (echo().await, Authority::new());
    let [one, both, rest] = [("a", ["a.test", "x.test"]), ("b", ["b.test", "*.b.test"]), ("r", ["r.test", "s.test"])]
        .map(|(file, names)| pair(&authority.write(file, &names)));
    let tls = format!(
        "{rest}, certificates = [ {{ names = ['a.test'], {one} }}, {{ names = ['B.test.', '*.b.test.'], {both} }} ]"
    );
    let gateway = Gateway::start(&text(&tls, "", &upstream)).await;
    // A client refuses a certificate that does not name whom it asked for.
    for name in ["a.test", "b.test", "any.b.test", "r.test", "s.test"] {
        let client = TlsClient::over_tls(gateway.address, authority.client(), name).await;
        let answer = client.unwrap().ask(format!("GET / HTTP/1.1\r\nhost: {name}:8443\r\n\r\n")).await;
        assert_eq!(answer.status, 200, "{name}");
    }
    let mut client = TlsClient::over_tls(gateway.address, authority.client(), "a.test").await.unwrap();
    let mut status = async |host: &str| client.ask(format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n")).await;
    // Also one that has just been refused.
    let others = ["b.test", "b.test", "127.0.0.1", "evil.a.test", "x.test"];
    for host in others {
        let answer = status(host).await;
        assert_eq!((answer.status, &*answer.code()), (421, "misdirected"), "{host}");
    }
    assert_eq!(status("a.test.").await.status, 200);
    assert_eq!(status("A.TEST:8443").await.status, 200);
    // Browsers ask for several hosts on one connection of HTTP/2 where its certificate holds for them.
    let mut shared = H2Client::over_tls(gateway.address, authority.client(), "a.test").await;
    for (host, expected) in [("a.test", 200), ("x.test", 200), ("b.test", 421)] {
        let request = http::Request::builder().uri(format!("https://{host}/")).body(()).unwrap();
        assert_eq!(shared.send(request, "").await.status, expected, "{host}");
    }
    let records = gateway.records(5 + others.len() + 2 + 3).await;
    let refused: Vec<&str> = records
        .iter()
        .filter(|record| record["status"] == 421 && record["protocol"] == "HTTP/1.1")
        .map(|record| record["host"].as_str().unwrap())
        .collect();
    assert_eq!(refused, others);
}

#[tokio::test]
async fn a_reload_shows_new_certificates_and_no_connection_ends() {
    let (upstream, authority) = (echo().await, Authority::new());
    let tls = pair(&authority.write("a", &["a.test"]));
    let gateway = Gateway::start(&text(&tls, "", &upstream)).await;
    let config = Arc::new(authority.client());
    let mut before = TlsClient::over_tls(gateway.address, Arc::clone(&config), "a.test").await.unwrap();
    assert_eq!(before.ask(GET).await.status, 200);
    // The same files with another certificate, as a renewal writes them.
    authority.write("a", &["b.test"]);
    let reload = gateway.admin("POST", "/reload").await;
    assert_eq!((reload.status, &reload.json()["needs_restart"]), (200, &serde_json::json!([])));
    assert_eq!(before.ask(GET).await.status, 200, "who is connected stays so");
    TlsClient::over_tls(gateway.address, authority.client(), "b.test").await.unwrap();
    TlsClient::over_tls(gateway.address, authority.client(), "a.test").await.err().unwrap();
    let mut after = TlsClient::over_tls(gateway.address, config, "a.test").await.unwrap();
    assert_eq!(after.stream().get_ref().1.handshake_kind(), Some(HandshakeKind::Resumed), "no session is forgotten");
    assert_eq!(after.ask(GET).await.status, 200);

    // A pair that does not fit is refused whole, and what was in force stays.
    let (_, others) = authority.write("b", &["a.test"]);
    std::fs::copy(others, authority.file().with_file_name("a.key")).unwrap();
    let refused = gateway.admin("POST", "/reload").await;
    assert_eq!(refused.status, 422);
    let message = refused.json()["problems"][0]["message"].as_str().unwrap().to_owned();
    assert!(message.ends_with("a.key\": it is not the key of the certificate"), "{message}");
    TlsClient::over_tls(gateway.address, authority.client(), "b.test").await.unwrap();
}

#[tokio::test]
async fn a_listener_that_comes_to_stand_before_another_keeps_no_certificate_from_it() {
    let (upstream, authority) = (echo().await, Authority::new());
    let listener = |address: &str, tls: &str| format!("[[listeners]]\naddress = '{address}'\ntls = {{ {tls} }}\n\n");
    let own = listener("127.0.0.2:0", &pair(&authority.write("a", &["a.test"])));
    let rest = one_route("", "", upstream.addr());
    let gateway = Gateway::start(&format!("{own}{rest}")).await;
    authority.write("a", &["b.test"]);
    let other = listener("127.0.0.1:0", &pair(&authority.write("c", &["c.test"])));
    gateway.rewrite(&format!("{other}{own}{rest}"));
    let reload = gateway.admin("POST", "/reload").await;
    assert_eq!((reload.status, &reload.json()["needs_restart"]), (200, &serde_json::json!(["listeners"])));
    TlsClient::over_tls(gateway.address, authority.client(), "b.test").await.unwrap();
    TlsClient::over_tls(gateway.address, authority.client(), "a.test").await.err().unwrap();
}

#[tokio::test]
async fn a_certificate_of_the_clients_own_is_wanted_and_one_that_does_not_hold_ends_the_connection() {
    let (upstream, authority, stranger) = (echo().await, Authority::new(), Authority::new());
    let own = pair(&authority.write("a", &["a.test"]));
    for (client_auth, without) in [("required", false), ("optional", true)] {
        let tls = format!("{own}, client_ca = {}, client_auth = '{client_auth}'", quoted(&authority.file()));
        let gateway = Gateway::start(&text(&tls, "", &upstream)).await;
        let served = async |config| {
            let Ok(mut client) = TlsClient::over_tls(gateway.address, config, "a.test").await else { return false };
            // In TLS 1.3 the client is done before it hears whether it was believed.
            matches!(client.try_ask(GET).await, Ok(Some(answer)) if answer.status == 200)
        };
        assert!(served(authority.client_as(&authority, "job.test")).await);
        assert!(!served(authority.client_as(&stranger, "job.test")).await);
        assert_eq!(served(authority.client()).await, without);
        handshakes(&gateway, HandshakeResult::UnknownCa, 1).await;
        handshakes(&gateway, HandshakeResult::NoCertificate, u64::from(!without)).await;
        let mut events = Events::of(&gateway, "?kinds=handshake&after=0").await;
        let told = events.next(1).await.remove(0);
        let listener = gateway.address.to_string();
        assert_eq!((&told["listener"], &told["result"]), (&listener.into(), &"unknown_ca".into()), "{told}");
        assert!(told["client"].as_str().unwrap().starts_with("127.0.0.1:"), "{told}");
        assert!(!told["detail"].as_str().unwrap().is_empty(), "{told}");
    }
}

#[tokio::test]
async fn a_client_that_does_not_believe_the_listener_is_told_apart() {
    let (upstream, authority, stranger) = (echo().await, Authority::new(), Authority::new());
    let gateway = Gateway::start(&text(&pair(&authority.write("a", &["a.test"])), "", &upstream)).await;
    assert!(TlsClient::over_tls(gateway.address, stranger.client(), "a.test").await.is_err());
    handshakes(&gateway, HandshakeResult::ClientRefused, 1).await;
    let mut events = Events::of(&gateway, "?kinds=handshake&after=0").await;
    let told = events.next(1).await.remove(0);
    assert_eq!((&told["result"], &told["untold"]), (&"client_refused".into(), &0.into()), "{told}");
    // Who only looks whether somebody listens is no event.
    drop(Client::connect(gateway.address).await);
    handshakes(&gateway, HandshakeResult::Failed, 1).await;
    assert_eq!(gateway.inner().shared().metrics.listeners()[0].may_tell(u64::MAX), Some(0));
}

#[tokio::test]
async fn g_a_session_of_an_open_listener_opens_none_that_wants_certificates() {
    let (upstream, authority) = (echo().await, Authority::new());
    let own = pair(&authority.write("a", &["a.test"]));
    let open = format!("[[listeners]]\naddress = '127.0.0.1:0'\ntls = {{ {own} }}\n");
    let closed = format!("{own}, client_ca = {}, client_auth = 'required'", quoted(&authority.file()));
    let gateway = Gateway::start(&(open + &text(&closed, "", &upstream))).await;
    let [open, closed] = gateway.addresses()[..] else { panic!("two listeners") };
    let config = Arc::new(authority.client());
    let mut client = TlsClient::over_tls(open, Arc::clone(&config), "a.test").await.unwrap();
    assert_eq!(client.ask(GET).await.status, 200);
    // The client has a ticket for this name now, and offers it.
    if let Ok(mut client) = TlsClient::over_tls(closed, config, "a.test").await {
        assert!(!matches!(client.try_ask(GET).await, Ok(Some(_))), "nobody is let in by a ticket from elsewhere");
    }
    assert_eq!(upstream.counters().requests, 1);
}

#[tokio::test]
async fn who_speaks_in_the_clear_is_told_and_who_says_nothing_is_cut() {
    let (upstream, authority) = (echo().await, Authority::new());
    let tls = pair(&authority.write("a", &["a.test"]));
    let gateway = Gateway::start(&text(&tls, "tls_handshake_timeout = '200ms'", &upstream)).await;
    let mut events = Events::of(&gateway, "?kinds=handshake").await;
    let answer = gateway.ask(GET).await;
    assert_eq!((answer.status, &*answer.code()), (400, "bad_request"));
    assert!(answer.json()["detail"].as_str().unwrap().contains("https://"), "{answer:?}");
    handshakes(&gateway, HandshakeResult::PlainHttp, 1).await;
    assert_eq!(events.next(1).await[0]["result"], "plain_http");

    let mut garbage = Client::connect(gateway.address).await;
    garbage.send([0, 1, 2, 3]).await;
    garbage.closed().await;
    // A record that is no hello is answered by an alert, and the connection closed.
    let mut nonsense = Client::connect(gateway.address).await;
    nonsense.send([22, 3, 1, 0, 4, 9, 0, 0, 0]).await;
    assert_eq!(nonsense.rest().await.first(), Some(&21));
    handshakes(&gateway, HandshakeResult::Failed, 2).await;

    // One says nothing; one says a part of a hello.
    let mut silent = Client::connect(gateway.address).await;
    let mut slow = Client::connect(gateway.address).await;
    slow.stream().write_all(&[22, 3, 1, 2, 0, 1]).await.unwrap();
    silent.closed().await;
    slow.closed().await;
    handshakes(&gateway, HandshakeResult::Timeout, 2).await;
    assert_eq!(upstream.counters().requests, 0);
}

#[tokio::test]
async fn g_older_versions_are_answered_by_an_alert() {
    let (upstream, authority) = (echo().await, Authority::new());
    let gateway = Gateway::start(&text(&pair(&authority.write("a", &["a.test"])), "", &upstream)).await;
    // SSL 3.0, TLS 1.0 and 1.1: a hello with a random, no session, two suites of their time, and no extension.
    for minor in [0_u8, 1, 2] {
        let mut hello = vec![22, 3, minor.min(1), 0, 47, 1, 0, 0, 43, 3, minor];
        hello.extend([7; 32]);
        hello.extend([0, 0, 4, 0xc0, 0x14, 0, 0x2f, 1, 0]);
        let mut client = Client::connect(gateway.address).await;
        client.send(hello).await;
        let answer = client.rest().await;
        assert_eq!((answer.first(), answer.get(5)), (Some(&21), Some(&2)), "a fatal alert: {answer:?}");
    }
    handshakes(&gateway, HandshakeResult::Ok, 0).await;
    assert_eq!(upstream.counters().requests, 0);
}

#[tokio::test]
async fn a_websocket_and_a_stream_pass_over_tls() {
    let (upstream, authority) = (echo().await, Authority::new());
    let gateway = Gateway::start(&text(&pair(&authority.write("a", &["a.test"])), "", &upstream)).await;
    let mut client = TlsClient::over_tls(gateway.address, authority.client(), "a.test").await.unwrap();
    let answer = client
        .ask(
            "GET /ws HTTP/1.1\r\nhost: a.test\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        )
        .await;
    assert_eq!(answer.status, 101);
    client.send([0x81, 0x82, 0, 0, 0, 0, b'h', b'i']).await;
    assert_eq!(client.bytes(4).await, [0x81, 2, b'h', b'i']);
    let mut client = TlsClient::over_tls(gateway.address, authority.client(), "a.test").await.unwrap();
    client.send("GET /sse/5/10 HTTP/1.1\r\nhost: a.test\r\n\r\n").await;
    let answer = client.answer().await;
    assert!(answer.whole && answer.status == 200, "{answer:?}");
}

#[tokio::test]
async fn a_client_that_was_told_the_end_of_its_websocket_has_not_left() {
    let (gate, authority) = (Gate::new(), Authority::new());
    let last = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n\x88\0";
    let upstream = Raw::script(Script::new().read_head().send(last).wait(&gate)).await.unwrap();
    let tls = pair(&authority.write("a", &["a.test"]));
    let route = one_route("", "", upstream.addr());
    let gateway =
        Gateway::start(&format!("[[listeners]]\naddress = '127.0.0.1:0'\ntls = {{ {tls} }}\n\n{route}")).await;
    let mut client = TlsClient::over_tls(gateway.address, authority.client(), "a.test").await.unwrap();
    let asks = "GET /ws HTTP/1.1\r\nhost: a.test\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
                sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    assert_eq!(client.ask(asks).await.status, 101);
    assert_eq!(client.bytes(2).await, [0x88, 0]);
    gate.open();
    client.closed().await;
    // Without a `close_notify`, as many clients do it.
    drop(client);
    let record = gateway.record().await;
    assert_eq!((&record["ended"], record.get("fault")), (&"complete".into(), None), "{record}");
}

/// One connection of it carries what many clients ask for, whatever name it opened that by.
#[tokio::test]
async fn g_a_proxy_that_is_trusted_no_more_is_let_in_by_its_own_name_alone() {
    let (upstream, authority) = (echo().await, Authority::new());
    let tls = pair(&authority.write("a", &["a.test", "b.test", "c.test"]));
    let of = |server: &str| text(&tls, server, &upstream);
    let gateway = Gateway::start(&of("trusted_proxies = ['127.0.0.1/32']")).await;
    let mut client = TlsClient::over_tls(gateway.address, authority.client(), "a.test").await.unwrap();
    let mut status = async |host: &str| client.ask(format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n")).await.status;
    for host in ["b.test", "c.test", "a.test"] {
        assert_eq!(status(host).await, 200, "{host}");
    }
    gateway.rewrite(&of(""));
    assert!(gateway.reload().await.ok);
    for (host, expected) in [("b.test", 421), ("c.test", 421), ("a.test", 200)] {
        assert_eq!(status(host).await, expected, "{host}");
    }
}
