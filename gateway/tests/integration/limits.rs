//! Limits (security.md, group E): each at one below, exactly, and one above.

use h2::Reason;
use mocks::raw::{Gate, Raw, Script};

use crate::support::h2::{Frames, SETTINGS};
use crate::support::{Client, Gateway, echo, eventually};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test]
async fn e_max_headers() {
    let upstream = echo().await;
    let gateway = Gateway::with("max_headers = 20", upstream.addr()).await;
    for (fields, status) in [(19, 200), (20, 200), (21, 431), (40, 431)] {
        let more: String = (1..fields).map(|n| format!("x-{n}: 1\r\n")).collect();
        let answer = gateway.ask(format!("GET / HTTP/1.1\r\nhost: a\r\n{more}\r\n")).await;
        assert_eq!(answer.status, status, "{fields} fields");
        if status == 431 {
            assert_eq!((answer.code().as_str(), answer.header("connection")), ("headers_too_large", Some("close")));
        }
    }
}

#[tokio::test]
async fn a_head_far_beyond_every_limit_is_refused_before_it_is_whole_and_is_on_record() {
    let upstream = echo().await;
    let gateway =
        Gateway::with("max_headers = 20\nmax_header_bytes = '1KiB'\nmax_uri_bytes = '512B'", upstream.addr()).await;
    let many: String = (1..10_000).map(|n| format!("x-{n}: 1\r\n")).collect();
    let (long, value) = ("p".repeat(100_000), "v".repeat(100_000));
    for (head, status) in [
        (format!("GET /p HTTP/1.1\r\nhost: a\r\n{many}"), 431),
        (format!("GET /p HTTP/1.1\r\nhost: a\r\nx: {value}"), 431),
        (format!("GET /{long}"), 414),
    ] {
        let answer = gateway.ask(head).await;
        assert_eq!((answer.status, answer.header("connection")), (status, Some("close")));
    }
    assert_eq!(upstream.counters().requests, 0);
    let records = gateway.records(3).await;
    assert_eq!(records[0]["path"], "/p");
    assert_eq!(records.iter().map(|record| record["status"].clone()).collect::<Vec<_>>(), [431, 431, 414]);
}

#[tokio::test]
async fn e_max_header_bytes() {
    let upstream = echo().await;
    let gateway = Gateway::with("max_header_bytes = '1KiB'\nmax_uri_bytes = '512B'", upstream.addr()).await;
    // The whole head, as on the wire.
    for target in ["/", "/with/a/longer?target=1"] {
        for (bytes, status) in [(1023, 200), (1024, 200), (1025, 431)] {
            let head = |value: &str| format!("GET {target} HTTP/1.1\r\nhost: a\r\nx: {value}\r\n\r\n");
            let head = head(&"v".repeat(bytes - head("").len()));
            assert_eq!(head.len(), bytes);
            assert_eq!(gateway.ask(head).await.status, status, "{bytes} bytes");
        }
    }
}

#[tokio::test]
async fn e_max_uri_bytes() {
    let upstream = echo().await;
    let gateway = Gateway::with("max_uri_bytes = '256B'", upstream.addr()).await;
    for (bytes, status) in [(255, 200), (256, 200), (257, 414), (5000, 414)] {
        let answer = gateway.get(&format!("/p?{}", "q".repeat(bytes - 3))).await;
        assert_eq!(answer.status, status, "{bytes} bytes");
        if status == 414 {
            assert_eq!(answer.code(), "uri_too_long");
        }
    }
}

#[tokio::test]
async fn e_a_target_that_is_longer_than_any_can_be_is_too_long_and_not_malformed() {
    let upstream = echo().await;
    for limit in ["32KiB", "65534B", "128KiB"] {
        let server = format!("max_uri_bytes = '{limit}'\nmax_header_bytes = '256KiB'");
        let gateway = Gateway::with(&server, upstream.addr()).await;
        for bytes in [65_600, 70_000, 300_000] {
            let answer = gateway.get(&format!("/p?{}", "q".repeat(bytes - 3))).await;
            assert_eq!((answer.status, &*answer.code()), (414, "uri_too_long"), "{limit}, {bytes}");
        }
        // The longest that goes on; for the service it is too much of a head.
        let status = if limit == "32KiB" { 414 } else { 431 };
        assert_eq!(gateway.get(&format!("/p?{}", "q".repeat(65_531))).await.status, status, "{limit}");
    }
}

#[tokio::test]
async fn e_max_body_declared() {
    let upstream = echo().await;
    let gateway = Gateway::with("max_body = '1KiB'", upstream.addr()).await;
    for (bytes, status) in [(1023, 200), (1024, 200), (1025, 413)] {
        let body = "b".repeat(bytes);
        let answer = gateway.ask(format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {bytes}\r\n\r\n{body}")).await;
        assert_eq!(answer.status, status, "{bytes} bytes");
    }
    assert_eq!(upstream.counters().requests, 2, "the third never began");
}

#[tokio::test]
async fn e_max_body_chunked_is_counted_as_it_streams() {
    let upstream = echo().await;
    let gateway = Gateway::with("max_body = '1KiB'", upstream.addr()).await;
    for (bytes, status) in [(1023, 200), (1024, 200), (1025, 413)] {
        let mut client = gateway.client().await;
        client.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n").await;
        client.send(format!("3e8\r\n{}\r\n", "b".repeat(1000))).await;
        let left = bytes - 1000;
        let answer = client.ask(format!("{left:x}\r\n{}\r\n0\r\n\r\n", "b".repeat(left))).await;
        assert_eq!(answer.status, status, "{bytes} bytes");
        if status == 413 {
            assert_eq!(answer.code(), "body_too_large");
            client.closed().await;
        }
    }
    gateway.at_rest().await;
    assert_eq!(upstream.counters().requests, 2, "the third was aborted upstream too");
}

#[tokio::test]
async fn e_a_route_has_a_limit_of_its_own_or_none() {
    let upstream = echo().await;
    let text = format!(
        "[server]\nmax_body = '10B'\n[upstreams.up]\nendpoints = ['{}']\n\
         [[routes]]\npath = '/small'\nupstream = 'up'\nmax_body = '5B'\n\
         [[routes]]\npath = '/any'\nupstream = 'up'\nmax_body = '0'\n\
         [[routes]]\npath = '/default'\nupstream = 'up'\n",
        upstream.addr()
    );
    let gateway = Gateway::start(&text).await;
    for (path, bytes, status) in
        [("/small", 5, 200), ("/small", 6, 413), ("/any", 5000, 200), ("/default", 10, 200), ("/default", 11, 413)]
    {
        let head = format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: {bytes}\r\n\r\n{}", "b".repeat(bytes));
        assert_eq!(gateway.ask(head).await.status, status, "{path} {bytes}");
    }
}

async fn open(gateway: &Gateway) -> Client {
    let mut client = gateway.client().await;
    assert_eq!(client.ask(GET).await.status, 200);
    client
}

#[tokio::test]
async fn e_max_connections() {
    let upstream = echo().await;
    let gateway = Gateway::with("max_connections = 3", upstream.addr()).await;
    let mut kept = vec![open(&gateway).await, open(&gateway).await, open(&gateway).await];
    let mut fourth = gateway.client().await;
    let answer = fourth.answer().await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "overloaded"));
    assert!(answer.header("retry-after").is_some());
    fourth.closed().await;
    assert_eq!(gateway.metric("gateway_shed_total{reason=\"connections\"}").await, Some(1.0));
    assert_eq!(kept[0].ask(GET).await.status, 200, "who is in stays in");

    kept.pop();
    // The place is free when the gateway has seen the close.
    let mut turns = 0;
    loop {
        let mut client = gateway.client().await;
        if client.ask(GET).await.status == 200 {
            break;
        }
        turns += 1;
        assert!(turns < 1000, "the place was never given back");
    }
}

#[tokio::test]
async fn e_who_finds_no_place_is_told_under_an_id_and_leaves_a_record() {
    let upstream = echo().await;
    let gateway = Gateway::with("max_connections = 1", upstream.addr()).await;
    let _kept = open(&gateway).await;
    // Also who has not said anything yet.
    for asks in ["GET / HTTP/1.1\r\nhost: a\r\n\r\n", ""] {
        let mut client = gateway.client().await;
        let answer = client.ask(asks).await;
        assert_eq!((answer.status, answer.code().as_str()), (503, "overloaded"));
        assert!(answer.header("date").is_some() && answer.header("retry-after").is_some(), "{answer:?}");
        assert_eq!(answer.json()["request_id"].as_str(), answer.header("x-request-id"), "{answer:?}");
        client.closed().await;
        let count = if asks.is_empty() { 3 } else { 2 };
        let records = gateway.records(count).await;
        let record = &records[count - 1];
        assert_eq!(record["request_id"].as_str(), answer.header("x-request-id"), "{record}");
        let told = ["client", "status", "code", "fault", "ended"].map(|field| record[field].to_string());
        assert_eq!(told.join(" ").replace('"', ""), "127.0.0.1 503 overloaded gateway complete");
        assert_eq!(record["bytes_out"].as_u64(), Some(answer.body.len() as u64));
    }
    let counted = "gateway_requests_total{route=\"\",status_class=\"5xx\",code=\"overloaded\"}";
    assert_eq!(gateway.metric(counted).await, Some(2.0), "as there are records");
}

#[tokio::test]
async fn e_who_speaks_http2_and_finds_no_place_is_told_so_in_http2() {
    let upstream = echo().await;
    for (limit, reason) in
        [("max_connections = 1", Reason::NO_ERROR), ("max_connections_per_ip = 1", Reason::ENHANCE_YOUR_CALM)]
    {
        let gateway = Gateway::with(limit, upstream.addr()).await;
        let _kept = open(&gateway).await;
        // Whose preface is late is taken for one of HTTP/1, and comes again.
        let mut tries = 0;
        let told = loop {
            let mut frames = Frames::connect(gateway.address).await;
            if let Some(first) = frames.next().await.filter(|first| first.kind == SETTINGS) {
                assert_eq!((first.stream, first.flags), (0, 0));
                break frames.goaway().await;
            }
            tries += 1;
            assert!(tries < 1000, "it is never told");
        };
        assert_eq!(told, Some(reason), "{limit}");
        let records = gateway.records(2 + tries).await;
        let record = &records[1 + tries];
        assert_eq!((&record["protocol"], &record["status"]), (&"HTTP/2".into(), &503.into()), "{record}");
    }
}

#[tokio::test]
async fn e_a_flood_beyond_max_connections_is_closed_without_a_word_from_some_number_on() {
    let upstream = echo().await;
    let gateway = Gateway::with("max_connections = 1\nworkers = 1", upstream.addr()).await;
    let mut kept = open(&gateway).await;
    let mut flood = Vec::new();
    for _ in 0..1_000 {
        flood.push(gateway.client().await);
    }
    let mut answered = 0;
    for client in &mut flood {
        answered += usize::from(matches!(client.try_ask("").await, Ok(Some(answer)) if answer.status == 503));
    }
    assert!((1..1_000).contains(&answered), "{answered}");
    assert_eq!(kept.ask(GET).await.status, 200);
}

#[tokio::test]
async fn e_max_connections_per_ip() {
    let upstream = echo().await;
    let gateway = Gateway::with("max_connections_per_ip = 2", upstream.addr()).await;
    let _kept = [open(&gateway).await, open(&gateway).await];
    assert_eq!(gateway.client().await.answer().await.code(), "overloaded");
    assert_eq!(gateway.metric("gateway_shed_total{reason=\"connections_per_ip\"}").await, Some(1.0));
    // Another address of this machine has places of its own.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut other = Client::on(socket.connect(gateway.address).await.unwrap());
    assert_eq!(other.ask(GET).await.status, 200);
}

#[tokio::test]
async fn e_max_in_flight() {
    let gate = Gate::new();
    let upstream = Raw::script(Script::new().read_request().wait(&gate).send(OK).again()).await.unwrap();
    let gateway = Gateway::with("max_in_flight = 2", upstream.addr()).await;
    let mut held = [gateway.client().await, gateway.client().await];
    for client in &mut held {
        client.send(GET).await;
    }
    eventually("two requests in flight", || gateway.in_flight() == 2).await;
    let mut third = gateway.client().await;
    let answer = third.ask(GET).await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "overloaded"));
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(answer.json()["retry_after_ms"], 1000);
    gate.open();
    for client in &mut held {
        assert_eq!(client.answer().await.status, 200);
    }
    gateway.records(3).await;
    assert_eq!(third.ask(GET).await.status, 200, "the same connection, once there is room");
    assert_eq!(gateway.metric("gateway_shed_total{reason=\"in_flight\"}").await, Some(1.0));
}

#[tokio::test]
async fn e_an_upstreams_max_connections() {
    let gate = Gate::new();
    let upstream = Raw::script(Script::new().read_request().wait(&gate).send(OK).again()).await.unwrap();
    let text = format!(
        "[upstreams.up]\nendpoints = ['{}']\npool = {{ max_connections = 1 }}\n\
         [[routes]]\npath = '/{{*rest}}'\nupstream = 'up'",
        upstream.addr()
    );
    let gateway = Gateway::start(&text).await;
    let mut first = gateway.client().await;
    first.send(GET).await;
    eventually("the one connection", || gateway.upstream_connections().0 == 1).await;
    let answer = gateway.get("/").await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "overloaded"));
    gate.open();
    assert_eq!(first.answer().await.status, 200);
    assert_eq!(gateway.get("/").await.status, 200);
    assert_eq!(upstream.accepted(), 1);
}
