//! The PROXY protocol: balancers that pass bytes on say whose they are, and nobody else does. What is trusted, and what
//! strangers can choose, is security.md's B3.

use std::net::Ipv4Addr;

use gateway::telemetry::metrics::Announcement;
use mocks::Mock;
use tokio::net::TcpSocket;

use crate::support::{Authority, Client, Gateway, TlsClient, echo, eventually, one_route, quoted};

const GET: &str = "GET / HTTP/1.1\r\nhost: a.test\r\n\r\n";
const LINE: &str = "PROXY TCP4 203.0.113.7 10.0.0.1 51234 443\r\n";

/// The test's own address is a balancer.
const TRUSTED: &str = "trusted_proxies = ['127.0.0.1/32']";

async fn gateway(server: &str, listener: &str, upstream: &Mock) -> Gateway {
    let listener = format!("[[listeners]]\naddress = '127.0.0.1:0'\nproxy_protocol = true\n{listener}\n\n");
    Gateway::start(&format!("{listener}{}", one_route(server, "", upstream.addr()))).await
}

/// Version 2, on behalf of 2001:db8::7 port 51234, with fields that nobody asked for.
fn binary() -> Vec<u8> {
    let addresses = [[0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7], [0; 16]].concat();
    let body = [&*addresses, &51234u16.to_be_bytes(), &443u16.to_be_bytes(), &[4, 0, 3, 1, 2, 3]].concat();
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n\x21\x21", &length[..], &body].concat()
}

async fn announced(gateway: &Gateway, what: Announcement, count: u64) {
    let listeners = gateway.inner().shared().metrics.listeners();
    let counted = || listeners.iter().map(|listener| listener.announcements(what)).sum::<u64>();
    eventually(&format!("{count} connections {}", what.as_str()), || counted() >= count).await;
    assert_eq!(counted(), count);
}

#[tokio::test]
async fn the_client_that_a_balancer_names_is_the_client_everywhere() {
    let upstream = echo().await;
    let gateway = gateway(TRUSTED, "", &upstream).await;
    for (header, client, forwarded) in [
        (LINE.as_bytes(), "203.0.113.7", "for=203.0.113.7;host=a.test;proto=http"),
        (&binary(), "2001:db8::7", "for=\"[2001:db8::7]\";host=a.test;proto=http"),
    ] {
        let mut connection = gateway.client().await;
        // The whole connection is that client's, and what comes in one packet with the header is not lost.
        connection.send([header, GET.as_bytes()].concat()).await;
        for _ in 0..2 {
            let echo = connection.answer().await.echo();
            assert_eq!(echo.header("x-forwarded-for"), Some(client));
            assert_eq!(echo.forwarded(), forwarded);
            connection.send(GET).await;
        }
    }
    let records = gateway.records(6).await;
    assert_eq!(records.iter().filter(|record| record["client"] == "203.0.113.7").count(), 3);
    assert_eq!(records.iter().filter(|record| record["client"] == "2001:db8::7").count(), 3);
    let sample = format!("gateway_proxy_protocol_total{{listener=\"{}\",result=\"client\"}}", gateway.address);
    assert_eq!(gateway.metric(&sample).await, Some(2.0));
}

#[tokio::test]
async fn b3_what_the_named_client_says_of_others_is_not_believed() {
    let upstream = echo().await;
    let gateway = gateway(TRUSTED, "", &upstream).await;
    let request = "GET / HTTP/1.1\r\nhost: a.test\r\nx-forwarded-for: 198.51.100.9\r\nx-request-id: mine\r\n\r\n";
    // Somebody whose address is not known is no balancer either, although no other address is known.
    for (header, client) in [(LINE, "203.0.113.7"), ("PROXY UNKNOWN\r\n", "127.0.0.1")] {
        let echo = gateway.ask(format!("{header}{request}")).await.echo();
        assert_eq!(echo.header("x-forwarded-for"), Some(client));
        assert_ne!(echo.header("x-request-id"), Some("mine"));
    }
    // The balancer itself, and a trusted proxy in front of it, are believed.
    let local = [b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00", request.as_bytes()].concat();
    let echo = gateway.ask(local).await.echo();
    assert_eq!(echo.header("x-forwarded-for"), Some("198.51.100.9, 127.0.0.1"));
    let echo = gateway.ask(format!("PROXY TCP4 127.0.0.1 10.0.0.1 1 2\r\n{request}")).await.echo();
    assert_eq!(echo.header("x-request-id"), Some("mine"));
    for what in [Announcement::Unknown, Announcement::Local] {
        announced(&gateway, what, 1).await;
    }
    announced(&gateway, Announcement::Client, 2).await;
}

#[tokio::test]
async fn b3_a_stranger_who_names_a_client_is_turned_away() {
    let upstream = echo().await;
    let gateway = gateway("trusted_proxies = ['192.0.2.0/24']", "", &upstream).await;
    for begin in [LINE, ""] {
        let mut stranger = gateway.client().await;
        stranger.send(format!("{begin}{GET}")).await;
        stranger.closed().await;
    }
    announced(&gateway, Announcement::Untrusted, 2).await;
    assert_eq!(upstream.counters().requests, 0);
    eventually("no connection is left", || gateway.inner().shared().metrics.listeners()[0].open() == 0).await;
}

#[tokio::test]
async fn a_balancer_that_says_nothing_or_nonsense_is_turned_away() {
    let upstream = echo().await;
    let gateway = gateway(&format!("{TRUSTED}\nheader_read_timeout = '500ms'"), "", &upstream).await;
    for (sent, what) in [
        (GET, Announcement::Absent),
        ("PROXY TCP4 203.0.113.7 10.0.0.1 99999 443\r\n", Announcement::Malformed),
        ("PROXY TCP4 203.0.113.7 ", Announcement::Timeout),
        ("", Announcement::Timeout),
    ] {
        let mut balancer = gateway.client().await;
        balancer.send(sent).await;
        balancer.closed().await;
        eventually(what.as_str(), || gateway.inner().shared().metrics.listeners()[0].announcements(what) > 0).await;
    }
    // A look whether the port is open.
    drop(gateway.client().await);
    announced(&gateway, Announcement::Closed, 1).await;
    assert_eq!(upstream.counters().requests, 0);
    assert_eq!(gateway.ask(format!("{LINE}{GET}")).await.status, 200, "all others are served");
}

#[tokio::test]
async fn the_header_comes_before_the_handshake() {
    let (upstream, authority) = (echo().await, Authority::new());
    let (cert, key) = authority.write("a", &["a.test"]);
    let tls = format!("tls = {{ cert = {}, key = {} }}", quoted(&cert), quoted(&key));
    let gateway = gateway(TRUSTED, &tls, &upstream).await;
    for header in [LINE.as_bytes(), &binary()] {
        let mut plain = gateway.client().await;
        plain.send(header).await;
        let mut client = TlsClient::handshake(plain, authority.client(), "a.test").await.unwrap();
        let echo = client.ask(GET).await.echo();
        assert_eq!(echo.header("x-forwarded-proto"), Some("https"));
        assert_ne!(echo.header("x-forwarded-for"), Some("127.0.0.1"));
    }
}

#[tokio::test]
async fn e_connections_count_for_the_clients_and_not_for_their_balancer() {
    let upstream = echo().await;
    let gateway = gateway(&format!("{TRUSTED}\nmax_connections_per_ip = 2"), "", &upstream).await;
    let mut kept = Vec::new();
    for client in [1, 1, 2, 2, 3] {
        let mut connection = gateway.client().await;
        let answer = connection.ask(format!("PROXY TCP4 203.0.113.{client} 10.0.0.1 1 2\r\n{GET}")).await;
        assert_eq!(answer.status, 200);
        kept.push(connection);
    }
    let third = gateway.ask(format!("{LINE}{GET}").replace("113.7", "113.1")).await;
    assert_eq!((third.status, &*third.code()), (503, "overloaded"));
    let sample = "gateway_shed_total{reason=\"connections_per_ip\"}";
    assert_eq!(gateway.metric(sample).await, Some(1.0));
    // A place that is given back can be taken again.
    drop(kept.remove(0));
    eventually("four are open", || gateway.inner().shared().metrics.listeners()[0].open() == 4).await;
    assert_eq!(gateway.ask(format!("{LINE}{GET}").replace("113.7", "113.1")).await.status, 200);
}

#[tokio::test]
async fn limits_count_by_the_client_that_is_named() {
    let upstream = echo().await;
    let rule = "[rate_limits.few]\nrate = '1/h'\nburst = 1\nkey = 'client_ip'\n\n";
    let listener = "[[listeners]]\naddress = '127.0.0.1:0'\nproxy_protocol = true\n\n";
    let route = one_route(TRUSTED, "rate_limits = ['few']", upstream.addr());
    let gateway = Gateway::start(&format!("{listener}{rule}{route}")).await;
    for (client, status) in [(1, 200), (2, 200), (1, 429), (3, 200)] {
        let answer = gateway.ask(format!("PROXY TCP4 203.0.113.{client} 10.0.0.1 1 2\r\n{GET}")).await;
        assert_eq!(answer.status, status, "client {client}");
    }
}

#[tokio::test]
async fn one_listener_asks_for_it_and_another_does_not() {
    let upstream = echo().await;
    let listeners = "[[listeners]]\naddress = '127.0.0.1:0'\nproxy_protocol = true\n\n\
                     [[listeners]]\naddress = '127.0.0.1:0'\n\n";
    let gateway = Gateway::start(&format!("{listeners}{}", one_route(TRUSTED, "", upstream.addr()))).await;
    assert_eq!(Client::connect(gateway.addresses()[1]).await.ask(GET).await.status, 200);
    assert_eq!(Client::connect(gateway.addresses()[0]).await.ask(format!("{LINE}{GET}")).await.status, 200);
    // Where it is not asked for it is no request.
    let answer = Client::connect(gateway.addresses()[1]).await.ask(format!("{LINE}{GET}")).await;
    assert_eq!((answer.status, &*answer.code()), (400, "bad_request"));
    // Another address of this machine is a stranger's.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::new(127, 0, 0, 9), 0).into()).unwrap();
    let mut stranger = Client::on(socket.connect(gateway.addresses()[0]).await.unwrap());
    stranger.send(format!("{LINE}{GET}")).await;
    stranger.closed().await;
    announced(&gateway, Announcement::Untrusted, 1).await;
}
