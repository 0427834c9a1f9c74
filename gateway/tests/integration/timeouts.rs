//! Timeouts (security.md, group F): each test drives exactly the stall that its timeout is for.

use mocks::raw::{Gate, Raw, Script};
use mocks::{Effect, Rule};
use tokio::net::TcpListener;

use crate::support::{Gateway, echo};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

#[tokio::test]
async fn an_upstream_that_does_not_answer_is_504_after_the_routes_timeout() {
    let upstream = echo().await;
    upstream.set_rules([Rule::any().effect(Effect::Hang)]);
    let gateway = Gateway::with_route("timeout = '100ms'", upstream.addr()).await;
    let mut client = gateway.client().await;
    let answer = client.ask(GET).await;
    assert_eq!((answer.status, answer.code().as_str()), (504, "upstream_timeout"));
    let record = gateway.record().await;
    assert_eq!((&record["fault"], &record["ended"]), (&"upstream".into(), &"complete".into()));
    assert!(record["total_us"].as_u64().unwrap() >= 100_000);
    gateway.at_rest().await;
    assert_eq!(gateway.upstream_connections(), (0, 0), "the connection with a request on it is closed");
    upstream.set_rules([]);
    assert_eq!(client.ask(GET).await.status, 200, "the client's connection goes on");
}

#[tokio::test]
async fn an_answer_in_good_time_lifts_the_routes_timeout() {
    let gate = Gate::new();
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nha";
    let upstream = Raw::script(Script::new().read_request().send(head).wait(&gate).send("lf").again()).await.unwrap();
    let slow = echo().await;
    slow.set_rules([Rule::any().effect(Effect::Hang)]);
    let text = format!(
        "[[routes]]\npath = '/a'\nupstream = 'http://{}'\ntimeout = '1s'\n\
         [[routes]]\npath = '/b'\nupstream = 'http://{}'\ntimeout = '1200ms'\n",
        upstream.addr(),
        slow.addr()
    );
    let gateway = Gateway::start(&text).await;
    let mut client = gateway.client().await;
    client.send("GET /a HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut answer = client.head().await;
    // Another request, begun later, runs out of a longer time: by then the first one's is long over.
    assert_eq!(gateway.get("/b").await.status, 504);
    gate.open();
    client.body_of(&mut answer).await;
    assert_eq!((&answer.body[..], answer.whole), (&b"half"[..], true));
}

#[tokio::test]
async fn a_connection_that_is_not_accepted_is_504_after_connect_timeout() {
    // A listener whose queue is full: the system answers no more handshakes.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let mut waiting = Vec::new();
    for _ in 0..8 {
        let one = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        one.set_nonblocking(true).unwrap();
        let _ = one.connect(&address.into());
        waiting.push(one);
    }
    let text = format!(
        "[upstreams.up]\nendpoints = ['{address}']\npool = {{ connect_timeout = '100ms' }}\n\
         [[routes]]\npath = '/{{*rest}}'\nupstream = 'up'"
    );
    let gateway = Gateway::start(&text).await;
    let answer = gateway.get("/").await;
    assert_eq!((answer.status, answer.code().as_str()), (504, "connect_timeout"));
    assert_eq!((gateway.in_flight(), gateway.upstream_connections().0), (0, 0));
}

#[tokio::test]
async fn a_request_body_that_stops_is_408() {
    let upstream = echo().await;
    let gateway = Gateway::with("body_idle_timeout = '100ms'", upstream.addr()).await;
    let mut client = gateway.client().await;
    let answer = client.ask("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhalf").await;
    assert_eq!((answer.status, answer.code().as_str()), (408, "request_timeout"));
    client.closed().await;
    gateway.at_rest().await;
    assert_eq!(gateway.record().await["fault"], "client");
    assert_eq!(upstream.counters().requests, 0);
}

#[tokio::test]
async fn a_request_body_that_takes_too_long_in_all_is_408() {
    let upstream = echo().await;
    let gateway = Gateway::with("body_idle_timeout = '10s'\nbody_total_timeout = '100ms'", upstream.addr()).await;
    let mut client = gateway.client().await;
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\n").await;
    // A byte now and then keeps it moving, until the answer comes.
    let mut turns = tokio::time::interval(std::time::Duration::from_millis(5));
    let mut probe = [0];
    while client.stream().try_write(b"x").is_ok() {
        turns.tick().await;
        if matches!(tokio::time::timeout(std::time::Duration::ZERO, client.stream().peek(&mut probe)).await, Ok(Ok(_)))
        {
            break;
        }
    }
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.code().as_str()), (408, "request_timeout"));
}

#[tokio::test]
async fn a_head_that_does_not_come_whole_is_408_counted_from_its_first_byte() {
    let upstream = echo().await;
    let gateway = Gateway::with("header_read_timeout = '150ms'\nidle_timeout = '10s'", upstream.addr()).await;
    let mut lengths = Vec::new();
    for half in ["G", "GET / HTTP/1.1\r\nhost: a\r\nx-slow: "] {
        let mut client = gateway.client().await;
        let answer = client.ask(half).await;
        lengths.push(answer.body.len());
        assert_eq!((answer.status, answer.code().as_str()), (408, "request_timeout"), "{half:?}");
        assert_eq!(answer.header("connection"), Some("close"));
        client.closed().await;
    }
    let records = gateway.records(2).await;
    for (record, length) in records.iter().zip(lengths) {
        // Its answer is whole, as any 408 is.
        assert_eq!((&record["status"], &record["ended"]), (&408.into(), &"complete".into()), "{record}");
        assert_eq!((&record["fault"], &record["bytes_out"]), (&"client".into(), &length.into()), "{record}");
    }
}

#[tokio::test]
async fn a_byte_now_and_then_does_not_keep_a_head_alive() {
    let upstream = echo().await;
    let gateway = Gateway::with("header_read_timeout = '150ms'\nidle_timeout = '10s'", upstream.addr()).await;
    let mut client = gateway.client().await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\nx-slow: ").await;
    let mut turns = tokio::time::interval(std::time::Duration::from_millis(10));
    let mut probe = [0];
    loop {
        turns.tick().await;
        let _ = client.stream().try_write(b"x");
        if matches!(tokio::time::timeout(std::time::Duration::ZERO, client.stream().peek(&mut probe)).await, Ok(Ok(_)))
        {
            break;
        }
    }
    assert_eq!(client.answer().await.status, 408);
    assert_eq!(gateway.record().await["status"], 408);
}

#[tokio::test]
async fn the_second_head_of_a_connection_is_timed_like_the_first() {
    let upstream = echo().await;
    let gateway = Gateway::with("header_read_timeout = '150ms'\nidle_timeout = '10s'", upstream.addr()).await;
    let mut client = gateway.client().await;
    assert_eq!(client.ask(GET).await.status, 200);
    assert_eq!(client.ask("GET / HT").await.status, 408);
}

#[tokio::test]
async fn an_idle_connection_is_closed_without_an_answer() {
    let upstream = echo().await;
    let gateway = Gateway::with("idle_timeout = '1s'", upstream.addr()).await;
    let mut fresh = gateway.client().await;
    fresh.closed().await;
    let mut used = gateway.client().await;
    assert_eq!(used.ask(GET).await.status, 200);
    used.closed().await;
    assert_eq!(gateway.records(1).await.len(), 1, "an idle end is no request");
}

#[tokio::test]
async fn a_long_request_is_not_an_idle_connection() {
    let upstream = echo().await;
    upstream.set_rules([Rule::any().delay(std::time::Duration::from_millis(1500))]);
    let gateway = Gateway::with("idle_timeout = '1s'\nheader_read_timeout = '1s'", upstream.addr()).await;
    let mut client = gateway.client().await;
    assert_eq!(client.ask(GET).await.status, 200);
}

#[tokio::test]
async fn a_response_body_that_stops_is_cut_after_the_routes_idle_timeout() {
    let half = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf";
    let upstream = Raw::script(Script::new().read_request().send(half).hang()).await.unwrap();
    let gateway = Gateway::with_route("idle_timeout = '100ms'", upstream.addr()).await;
    let mut client = gateway.client().await;
    let answer = client.ask(GET).await;
    assert_eq!((answer.status, answer.whole, &answer.body[..]), (200, false, &b"half"[..]));
    client.closed().await;
    let record = gateway.record().await;
    assert_eq!((&record["ended"], &record["fault"]), (&"timeout".into(), &"upstream".into()));
    let counted = "gateway_requests_total{route=\"all\",status_class=\"2xx\",code=\"upstream_timeout\"}";
    assert_eq!(gateway.metric(counted).await, Some(1.0));
    assert_eq!(gateway.upstream_connections(), (0, 0));
}

#[tokio::test]
async fn a_client_that_does_not_take_its_answer_is_cut() {
    let upstream = echo().await;
    let gateway = Gateway::with("body_idle_timeout = '150ms'", upstream.addr()).await;
    let mut client = gateway.client().await;
    client.send("GET /bytes/1000000000 HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(client.head().await.status, 200);
    gateway.at_rest().await;
    let record = gateway.record().await;
    assert_eq!((&record["status"], &record["code"]), (&200.into(), &"request_timeout".into()));
    assert_eq!((&record["ended"], &record["fault"]), (&"timeout".into(), &"client".into()));
    let counted = "gateway_requests_total{route=\"all\",status_class=\"2xx\",code=\"request_timeout\"}";
    assert_eq!(gateway.metric(counted).await, Some(1.0));
    assert_eq!(gateway.upstream_connections(), (0, 0), "the upstream is not kept waiting either");
}

#[tokio::test]
async fn slow_clients_do_not_disturb_others() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    let mut slow = Vec::new();
    for _ in 0..20 {
        let mut head = gateway.client().await;
        head.send("GET / HTTP/1.1\r\nx-slow: ").await;
        let mut body = gateway.client().await;
        body.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nx").await;
        slow.push((head, body));
    }
    let mut client = gateway.client().await;
    for _ in 0..20 {
        for (head, body) in &mut slow {
            head.send("x").await;
            body.send("x").await;
        }
        assert_eq!(client.ask(GET).await.status, 200);
    }
    for (mut head, _) in slow {
        assert_eq!(head.ask("\r\nhost: a\r\n\r\n").await.status, 200, "slow, but in time");
    }
}

#[tokio::test]
async fn an_idle_upstream_connection_is_closed_after_its_own_timeout() {
    let upstream = echo().await;
    let text = format!(
        "[upstreams.up]\nendpoints = ['{}']\npool = {{ idle_timeout = '100ms' }}\n\
         [[routes]]\npath = '/{{*rest}}'\nupstream = 'up'",
        upstream.addr()
    );
    let gateway = Gateway::start(&text).await;
    assert_eq!(gateway.get("/").await.status, 200);
    crate::support::eventually("the idle connection is closed", || upstream.counters().connections == 0).await;
    assert_eq!(gateway.upstream_connections(), (0, 0));
    assert_eq!(gateway.get("/").await.status, 200);
}

#[tokio::test]
async fn a_connect_to_a_listener_that_accepts_but_never_reads_ends_with_the_routes_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = Gateway::with_route("timeout = '100ms'", listener.local_addr().unwrap()).await;
    assert_eq!(gateway.get("/").await.code(), "upstream_timeout");
}
