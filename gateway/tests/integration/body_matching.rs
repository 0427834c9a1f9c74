//! Routes that look into the body: which one is taken, and that the upstream gets what the client sent, byte for byte.

use mocks::raw::{Gate, Raw, Script};

use crate::support::h2::{H2Client, post as over_http_2};
use crate::support::{Client, Gateway, Issuer, echo, eventually};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// Refunds have a route of their own, and what is paid twice another; the rest is `any`.
fn text(upstream: std::net::SocketAddr, server: &str, keys: &str) -> String {
    let route = |name: &str, more: &str| {
        format!(
            "[[routes]]\nname = '{name}'\npath = '/pay'\nupstream = 'up'\n\
             response_headers = {{ set = {{ x-route = '{name}' }} }}\n{more}\n"
        )
    };
    format!(
        "[server]\n{server}\n[upstreams.up]\nendpoints = ['{upstream}']\n{}{}{}",
        route("refund", &format!("body = {{ '/type' = 'refund' }}\nbody_match_limit = '64B'\n{keys}")),
        route("twice", &format!("body = {{ '/type' = 'refund', '/times' = 2 }}\nbody_match_limit = '32B'\n{keys}")),
        route("any", ""),
    )
}

fn post(body: &str) -> String {
    format!("POST /pay HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn chunked(parts: &[&str]) -> String {
    let chunks: String = parts.iter().map(|part| format!("{:x}\r\n{part}\r\n", part.len())).collect();
    format!("POST /pay HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{chunks}0\r\n\r\n")
}

async fn upstream() -> Raw {
    Raw::script(Script::new().read_request().send(OK).again()).await.unwrap()
}

/// The route that answers, and the body as the upstream read it.
async fn taken(gateway: &Gateway, upstream: &Raw, client: &mut Client, request: &str) -> (String, String) {
    let before: usize = upstream.received().iter().map(Vec::len).sum();
    let answer = client.ask(request).await;
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    gateway.at_rest().await;
    let all = String::from_utf8(upstream.received().concat()).unwrap();
    let (_, body) = all[before..].split_once("\r\n\r\n").unwrap();
    (answer.header("x-route").unwrap().to_owned(), body.to_owned())
}

#[tokio::test]
async fn the_body_decides_and_the_upstream_gets_it_whole() {
    let upstream = upstream().await;
    let gateway = Gateway::start(&text(upstream.addr(), "", "")).await;
    let mut client = gateway.client().await;
    for (body, route) in [
        ("{\"type\":\"refund\"}", "refund"),
        (" { \"type\" : \"refund\" , \"x\" : [1, 2] } ", "refund"),
        ("{\"type\":\"refund\",\"times\":2}", "twice"),
        ("{\"type\":\"refund\",\"times\":2.0}", "twice"),
        ("{\"type\":\"refund\", \"times\":2      }", "refund"),
        ("{\"type\":\"charge\"}", "any"),
        ("{\"type\":[\"refund\"]}", "any"),
        ("", "any"),
        ("no json", "any"),
        ("{\"type\":\"refund\"", "any"),
        // Whoever reads on could take the other one.
        ("{\"type\":\"refund\",\"type\":\"charge\"}", "any"),
        ("[{\"type\":\"refund\"}]", "any"),
    ] {
        let answered = taken(&gateway, &upstream, &mut client, &post(body)).await;
        assert_eq!(answered, (route.to_owned(), body.to_owned()));
    }
    let answered = taken(&gateway, &upstream, &mut client, &chunked(&["{\"type\":", "\"refund\"", "}"])).await;
    assert_eq!(answered, ("refund".to_owned(), "{\"type\":\"refund\"}".to_owned()), "its length is known by then");
    assert_eq!(upstream.accepted(), 1, "no connection is lost by it");
    let record = &gateway.records(13).await[0];
    assert_eq!((&record["route"], &record["bytes_in"]), (&"refund".into(), &17.into()));
}

#[tokio::test]
async fn e_what_is_longer_than_a_route_looks_is_not_looked_into_and_streams_on() {
    let upstream = upstream().await;
    let gateway = Gateway::start(&text(upstream.addr(), "", "")).await;
    let mut client = gateway.client().await;
    for (length, route) in [(63, "refund"), (64, "refund"), (65, "any"), (200_000, "any")] {
        let body = format!("{{\"type\":\"refund\"{}}}", " ".repeat(length - 17));
        assert_eq!(taken(&gateway, &upstream, &mut client, &post(&body)).await, (route.to_owned(), body.clone()));
        let (answered, sent) = taken(&gateway, &upstream, &mut client, &chunked(&[&body[..30], &body[30..]])).await;
        assert_eq!(answered, route, "{length} bytes in chunks");
        let data: usize = sent.split("\r\n").map(str::len).filter(|line| *line > 6).sum();
        assert_eq!(data, length);
    }
}

#[tokio::test]
async fn a_client_that_waits_to_be_asked_is_asked() {
    let upstream = upstream().await;
    let gateway = Gateway::start(&text(upstream.addr(), "", "")).await;
    let mut client = gateway.client().await;
    client.send("POST /pay HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 17\r\n\r\n").await;
    assert_eq!(client.head().await.status, 100);
    let answer = client.ask("{\"type\":\"refund\"}").await;
    assert_eq!((answer.status, answer.header("x-route")), (200, Some("refund")));
}

#[tokio::test]
async fn f_a_body_that_does_not_come_is_waited_for_as_long_as_any() {
    let upstream = echo().await;
    let gateway = Gateway::start(&text(upstream.addr(), "body_idle_timeout = '50ms'", "")).await;
    let answer = gateway.ask("POST /pay HTTP/1.1\r\nhost: a\r\ncontent-length: 17\r\n\r\n{\"type\":").await;
    assert_eq!((answer.status, &*answer.code()), (408, "request_timeout"));
    // One that comes slowly ends with the route's time.
    let gateway = Gateway::start(&text(upstream.addr(), "", "timeout = '50ms'")).await;
    let answer = gateway.ask("POST /pay HTTP/1.1\r\nhost: a\r\ncontent-length: 17\r\n\r\n{").await;
    assert_eq!(answer.status, 408);
    assert_eq!(upstream.counters().requests, 0);
}

#[tokio::test]
async fn a4_a_malformed_body_is_the_clients_fault_here_too() {
    let upstream = echo().await;
    let gateway = Gateway::start(&text(upstream.addr(), "", "")).await;
    let head = "POST /pay HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    let answer = gateway.ask(format!("{head}5\r\n{{\"typ\r\nzz\r\n")).await;
    assert_eq!((answer.status, &*answer.code(), answer.header("connection")), (400, "bad_request", Some("close")));
    // A client that leaves in the middle is nobody's fault.
    let mut client = gateway.client().await;
    client.send(format!("{head}5\r\n{{\"typ\r\n")).await;
    client.reset();
    let records = gateway.records(2).await;
    assert_eq!((&records[1]["status"], &records[1]["ended"]), (&499.into(), &"client_left".into()));
    assert_eq!(upstream.counters().requests, 0);
}

#[tokio::test]
async fn e_the_routes_own_limit_of_bodies_holds_for_what_was_read() {
    let upstream = echo().await;
    let gateway = Gateway::start(&text(upstream.addr(), "", "max_body = '20B'")).await;
    let long = "{\"type\":\"refund\", \"a\":1}";
    for request in [post(long), chunked(&[long])] {
        let answer = gateway.ask(request).await;
        assert_eq!((answer.status, &*answer.code()), (413, "body_too_large"));
    }
    assert_eq!(gateway.ask(post("{\"type\":\"refund\"}")).await.status, 200);
}

#[tokio::test]
async fn what_was_read_can_be_sent_again() {
    let fails = Script::new().read_request().reset();
    let upstream = Raw::scripts([fails, Script::new().read_request().send(OK).again()]).await.unwrap();
    let retry = "retry = { attempts = 2, methods = ['POST'], on = ['reset'] }";
    let gateway = Gateway::start(&text(upstream.addr(), "", retry)).await;
    let body = "{\"type\":\"refund\"}";
    let answer = gateway.ask(post(body)).await;
    assert_eq!((answer.status, answer.header("x-route")), (200, Some("refund")));
    for received in upstream.received() {
        assert!(received.ends_with(body.as_bytes()));
    }
    assert_eq!((upstream.accepted(), &gateway.record().await["attempts"]), (2, &2.into()));
}

#[tokio::test]
async fn over_http_2_the_body_decides_in_the_same_way() {
    let upstream = upstream().await;
    let gateway = Gateway::start(&text(upstream.addr(), "body_idle_timeout = '100ms'", "")).await;
    let mut client = H2Client::connect(gateway.address).await;
    for (body, route) in [("{\"type\":\"refund\"}", "refund"), ("{\"type\":\"charge\"}", "any")] {
        let answer = client.send(over_http_2("/pay"), body).await;
        assert_eq!((answer.status, answer.header("x-route")), (200, Some(route)));
    }
    // A stream whose body does not come holds up no other.
    let slow = client.begin(over_http_2("/pay"), false).await;
    assert_eq!(client.send(over_http_2("/pay"), "{}").await.header("x-route"), Some("any"));
    let answer = slow.answer().await;
    assert_eq!((answer.status, &*answer.code()), (408, "request_timeout"));
}

#[tokio::test]
async fn e_all_bodies_that_are_read_together_take_no_more_than_they_may() {
    let gate = Gate::new();
    let upstream = Raw::script(Script::new().read_request().wait(&gate).send(OK)).await.unwrap();
    let text = text(upstream.addr(), "body_match_memory = '4MiB'\nh2_max_concurrent_streams = 0", "");
    let gateway = Gateway::start(&text.replace("'64B'", "'1MiB'")).await;
    let held = || gateway.inner().shards()[0].held.count();
    let part = "{\"type\":".to_owned() + &" ".repeat(1_000_000);
    let head = format!("POST /pay HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", part.len() + 9);
    // What a client announces takes nothing.
    let mut silent = gateway.client().await;
    silent.send(&head).await;
    let mut clients = Vec::new();
    for number in 1..=4 {
        let mut client = gateway.client().await;
        client.send(format!("{head}{part}")).await;
        eventually("its body is held", || held() == number << 20).await;
        clients.push(client);
    }
    let answer = gateway.ask(post("{\"type\":\"refund\"}")).await;
    assert_eq!((answer.status, &*answer.code(), answer.header("retry-after")), (503, "overloaded", Some("1")));
    assert_eq!(gateway.metric("gateway_shed_total{reason=\"routing_bodies\"}").await, Some(1.0));
    // Who leaves makes room, and what is read is held until it is sent.
    clients.pop().unwrap().reset();
    eventually("there is room", || held() == 3 << 20).await;
    let mut client = clients.pop().unwrap();
    client.send("\"refund\"}").await;
    upstream.wait_for_accepts(1).await;
    gate.open();
    assert_eq!(client.answer().await.header("x-route"), Some("refund"));
    eventually("it is given back", || held() == 2 << 20).await;
    drop((clients, silent));
    eventually("all is given back", || held() == 0).await;
}

#[tokio::test]
async fn a11_a_body_is_not_asked_for_where_no_route_would_let_its_request_in() {
    let (upstream, issuer) = (upstream().await, Issuer::new("k1"));
    let auth = "auth = { providers = ['main'] }";
    let text = format!("{}\n{auth}\n{}", text(upstream.addr(), "", auth), issuer.provider(""));
    let gateway = Gateway::start(&text).await;
    let head = "POST /pay HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 17\r\n";
    for (fields, status) in [("", 401), ("authorization: Bearer a\r\nauthorization: Bearer b\r\n", 400)] {
        let answer = gateway.ask(format!("{head}{fields}\r\n")).await;
        assert_eq!((answer.status, answer.header("connection")), (status, Some("close")), "not 100");
    }
    // Something that may be a credential is looked at when the route is known.
    let mut client = gateway.client().await;
    client.send(format!("{head}authorization: Bearer x.y.z\r\n\r\n")).await;
    assert_eq!(client.head().await.status, 100);
    assert_eq!(client.ask("{\"type\":\"refund\"}").await.status, 401);
    let mut client = gateway.client().await;
    let token = issuer.token(&serde_json::json!({}));
    client.send(format!("{head}authorization: Bearer {token}\r\n\r\n")).await;
    assert_eq!(client.head().await.status, 100);
    let answer = client.ask("{\"type\":\"refund\"}").await;
    assert_eq!((answer.status, answer.header("x-route")), (200, Some("refund")));
    assert_eq!(upstream.accepted(), 1);
}

#[tokio::test]
async fn a11_one_route_that_takes_everybody_is_reason_enough_to_read() {
    let (upstream, issuer) = (upstream().await, Issuer::new("k1"));
    let auth = "auth = { providers = ['main'] }";
    let gateway = Gateway::start(&format!("{}\n{}", text(upstream.addr(), "", auth), issuer.provider(""))).await;
    let mut client = gateway.client().await;
    client.send("POST /pay HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 17\r\n\r\n").await;
    assert_eq!(client.head().await.status, 100);
    assert_eq!(client.ask("{\"type\":\"charge\"}").await.header("x-route"), Some("any"));
    assert_eq!(gateway.ask(post("{\"type\":\"refund\"}")).await.status, 401);
    // A body that is longer than its routes look is no reason to read any of it, however far others look.
    assert_eq!(gateway.ask(post(&"x".repeat(65))).await.header("x-route"), Some("any"));
}

#[tokio::test]
async fn a11_a_body_of_an_address_that_no_route_lets_in_is_not_asked_for() {
    let upstream = upstream().await;
    let keys = "addresses = { allow = ['192.0.2.0/24'] }";
    let gateway = Gateway::start(&format!("{}\n{keys}", text(upstream.addr(), "", keys))).await;
    let head = "POST /pay HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 17\r\n\r\n";
    assert_eq!(gateway.ask(head).await.status, 403, "not 100");
    assert_eq!(upstream.accepted(), 0);
}

#[tokio::test]
async fn a_request_in_the_clear_that_every_route_sends_to_tls_is_sent_there_before_its_body_is_asked_for() {
    let upstream = upstream().await;
    let shared = "[defaults.route]\nretry = { attempts = 1 }\nhttps = 'redirect'\n";
    let all = shared.to_owned() + &text(upstream.addr(), "https_port = 8443", "");
    let head = "POST /pay?x=1 HTTP/1.1\r\nhost: a.test\r\nexpect: 100-continue\r\ncontent-length: 17\r\n\r\n";
    let gateway = Gateway::start(&all).await;
    let answer = gateway.ask(head).await;
    assert_eq!((answer.status, answer.header("location")), (308, Some("https://a.test:8443/pay?x=1")));
    // One of them serves it in the clear: which it is, the body says.
    let some = text(upstream.addr(), "https_port = 8443", "https = 'redirect'");
    let gateway = Gateway::start(&some).await;
    let mut client = gateway.client().await;
    client.send(head).await;
    assert_eq!(client.head().await.status, 100);
    assert_eq!(client.ask("{\"type\":\"refund\"}").await.status, 308);
    let answer = gateway.ask(post("{\"type\":\"charge\"}")).await;
    assert_eq!((answer.status, answer.header("x-route")), (200, Some("any")));
}

#[tokio::test]
async fn what_was_read_for_nothing_is_a_body_where_none_is_taken() {
    let upstream = upstream().await;
    let board = "[[aggregates]]\nname = 'board'\npath = '/board'\nmethods = ['GET']\n\
                 parts = [{ name = 'a', upstream = 'up', path = '/' }]\n";
    let route = "[[routes]]\nname = 'other'\npath = '/board'\nupstream = 'up'\nbody = { '/type' = 'refund' }\n";
    let gateway = Gateway::start(&format!("{}{route}{board}", text(upstream.addr(), "", ""))).await;
    let ask = |body: &[&str]| chunked(body).replace("POST /pay", "GET /board");
    assert_eq!(gateway.ask(ask(&["{\"type\":1}"])).await.status, 413);
    assert_eq!(upstream.accepted(), 0);
}
