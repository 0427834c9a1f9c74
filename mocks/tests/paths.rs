//! What each path answers, and how HTTP is kept.

mod client;

use std::io::{ErrorKind, Write};
use std::net::Shutdown;
use std::time::Duration;

use client::Client;
use mocks::{Hit, Mock, Rule};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use sha2::{Digest, Sha256};

fn orders() -> Mock {
    Mock::builder().service("orders").launch().unwrap()
}

#[test]
fn an_echo_shows_the_request_as_it_was_received() {
    let mock = orders();
    let answer = Client::connect(mock.addr())
        .send("PATCH /a/b?x=1&y=%20 HTTP/1.1\r\nHOST: mock\r\nX-Case: MiXed \"q\"\r\nx-case: two\r\nContent-Length: 5\r\n\r\nhello")
        .answer();
    let port = mock.addr().port();
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("x-mock-service"), Some("orders"));
    assert_eq!(answer.header("x-mock-endpoint"), Some(port.to_string().as_str()));
    assert!(answer.header("x-mock-residence-ns").unwrap().parse::<u64>().unwrap() > 0);
    let digest: String = Sha256::digest(b"hello").iter().map(|byte| format!("{byte:02x}")).collect();
    let expected = format!(
        "{{\"service\":\"orders\",\"endpoint\":{port},\"method\":\"PATCH\",\"path\":\"/a/b\",\"query\":\"x=1&y=%20\",\
         \"headers\":[[\"HOST\",\"mock\"],[\"X-Case\",\"MiXed \\\"q\\\"\"],[\"x-case\",\"two\"],[\"Content-Length\",\"5\"]],\
         \"body_bytes\":5,\"body_sha256\":\"{digest}\"}}"
    );
    assert_eq!(String::from_utf8(answer.body).unwrap(), expected);
}

#[test]
fn chunked_bodies_and_trailers_are_echoed() {
    let mock = orders();
    let mut client = Client::connect(mock.addr());
    client.send("PUT /x HTTP/1.1\r\nHost: m\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    let answer = client.send("2;e=1\r\nde\r\n0\r\nX-Sum: 5\r\n\r\n").answer().json();
    assert_eq!(answer["body_bytes"], 5);
    assert_eq!(answer["trailers"], serde_json::json!([["X-Sum", "5"]]));
    let digest: String = Sha256::digest(b"abcde").iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(answer["body_sha256"], digest);
}

#[test]
fn a_large_body_is_hashed_as_it_comes() {
    let mock = orders();
    let body = vec![7u8; 3_000_000];
    let mut client = Client::connect(mock.addr());
    client.send(format!("PUT /x HTTP/1.1\r\nHost: m\r\nContent-Length: {}\r\n\r\n", body.len())).send(&body);
    let digest: String = Sha256::digest(&body).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(client.answer().json()["body_sha256"], digest);
    assert_eq!(client.get("/after", "").status, 200);
    assert!(mock.counters().bytes_in > 3_000_000);
}

#[test]
fn a_body_is_invited_when_the_client_expects_it() {
    let mock = orders();
    let mut client = Client::connect(mock.addr());
    client.send("PUT /x HTTP/1.1\r\nHost: m\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    assert_eq!(client.head().status, 100);
    assert_eq!(client.send("ok").answer().json()["body_bytes"], 2);
}

#[test]
fn bytes_have_their_length() {
    let mock = orders();
    let mut client = Client::connect(mock.addr());
    for count in [0, 1, 512, 4096, 4097, 300_000] {
        let answer = client.get(&format!("/bytes/{count}"), "");
        assert_eq!(answer.body.len(), count);
        assert_eq!(answer.header("content-length"), Some(count.to_string().as_str()));
        assert!(answer.body.iter().enumerate().all(|(at, byte)| usize::from(byte - b'a') == at % 26));
    }
}

#[test]
fn streams_come_in_chunks_and_events_as_events() {
    let mock = orders();
    let mut client = Client::connect(mock.addr());
    let stream = client.get("/stream/3/1", "");
    assert_eq!(stream.header("transfer-encoding"), Some("chunked"));
    assert_eq!(stream.body, b"{\"chunk\":1,\"of\":3}\n{\"chunk\":2,\"of\":3}\n{\"chunk\":3,\"of\":3}\n");
    let events = client.get("/sse/2/1", "");
    assert_eq!(events.header("content-type"), Some("text/event-stream"));
    assert_eq!(events.body, b"id: 1\ndata: {\"event\":1,\"of\":2}\n\nid: 2\ndata: {\"event\":2,\"of\":2}\n\n");
    assert_eq!(client.get("/stream/0/1", "").body, b"");
}

#[test]
fn health_and_openapi_are_json() {
    let mock = orders();
    let mut client = Client::connect(mock.addr());
    assert_eq!(client.get("/healthz", "").json()["status"], "ok");
    assert_eq!(client.get("/openapi.json", "").json()["openapi"], "3.1.0");
}

#[test]
fn head_has_the_length_and_no_body() {
    let mock = orders();
    let mut client = Client::connect(mock.addr());
    for path in ["/bytes/512", "/bytes/100000", "/echo", "/stream/3/1"] {
        client.send(format!("HEAD {path} HTTP/1.1\r\nHost: m\r\n\r\n"));
        let head = client.head();
        assert!(head.header("content-length").or(head.header("transfer-encoding")).is_some(), "{path}");
    }
    assert_eq!(client.get("/echo", "").json()["method"], "GET", "nothing was left over");
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let mock = orders();
    let mut client = Client::connect(mock.addr());
    let one = |n| format!("GET /n/{n} HTTP/1.1\r\nHost: m\r\n\r\n");
    let two = "PUT /n/body HTTP/1.1\r\nHost: m\r\nContent-Length: 2\r\n\r\nhi";
    client
        .send([one(1), two.to_owned(), one(2), "GET /stream/1/0 HTTP/1.1\r\nHost: m\r\n\r\n".into(), one(3)].concat());
    let paths = [(); 3].map(|()| client.answer().json()["path"].as_str().unwrap().to_owned());
    assert_eq!(paths, ["/n/1", "/n/body", "/n/2"]);
    assert_eq!(client.answer().body, b"{\"chunk\":1,\"of\":1}\n");
    assert_eq!(client.answer().json()["path"], "/n/3");
}

#[test]
fn a_request_may_come_byte_by_byte() {
    let mock = orders();
    let mut client = Client::connect(mock.addr());
    for byte in b"PUT /slow HTTP/1.1\r\nHost: m\r\nContent-Length: 2\r\n\r\nhi" {
        client.send([*byte]);
    }
    assert_eq!(client.answer().json()["body_bytes"], 2);
}

#[test]
fn old_clients_get_what_they_understand() {
    let mock = orders();
    let mut client = Client::connect(mock.addr());
    let kept = client.send("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").answer();
    assert_eq!(kept.header("connection"), Some("keep-alive"));
    let stream = client.send("GET /stream/2/0 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").answer();
    assert_eq!((stream.header("connection"), stream.header("transfer-encoding")), (Some("close"), None));
    assert_eq!(stream.body, b"{\"chunk\":1,\"of\":2}\n{\"chunk\":2,\"of\":2}\n");
    let closed = Client::connect(mock.addr()).send("GET /a HTTP/1.0\r\n\r\n").answer();
    assert_eq!(closed.header("connection"), Some("close"));
}

#[test]
fn close_is_obeyed() {
    let mock = orders();
    let mut client = Client::connect(mock.addr());
    assert_eq!(client.get("/a", "Connection: close\r\n").header("connection"), Some("close"));
    assert!(client.closed().is_empty());
}

#[test]
fn malformed_requests_are_refused_and_the_connection_closed() {
    let mock = orders();
    let long = format!("GET / HTTP/1.1\r\nHost: m\r\nX: {}\r\n\r\n", "x".repeat(70_000));
    let many = format!("GET / HTTP/1.1\r\nHost: m\r\n{}\r\n", "X: y\r\n".repeat(200));
    for (bad, status) in [
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("\x16\x03\x01\x02 garbage\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: m\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        ("PUT / HTTP/1.1\r\nHost: m\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        ("PRI * HTTP/2.0\r\n\r\nMS\r\n\r\n", 505),
        (long.as_str(), 431),
        (many.as_str(), 431),
    ] {
        let mut client = Client::connect(mock.addr());
        let answer = client.send(bad).answer();
        assert_eq!((answer.status, answer.header("connection")), (status, Some("close")), "{bad:.60}");
        assert!(answer.json()["detail"].is_string());
        client.closed();
    }
    assert_eq!((mock.counters().bad_requests, mock.counters().requests), (7, 0));
}

#[test]
fn the_journal_and_the_counters_tell_what_happened() {
    let mock = Mock::builder().service("a").endpoints(2).service("b").launch().unwrap();
    let [first, second, other] = mock.addrs()[..] else { panic!("three endpoints") };
    let mut client = Client::connect(first);
    client.get("/one?x=1", "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n");
    client.get("/two", "");
    Client::connect(second).get("/three", "");
    Client::connect(other).send("PUT /four HTTP/1.1\r\nHost: m\r\nContent-Length: 1\r\n\r\nx").answer();
    let journal = mock.journal();
    let told: Vec<_> = journal.iter().map(|e| (e.service.as_str(), e.endpoint, e.path.as_str(), e.request)).collect();
    let expected =
        [("a", first, "/one", 1), ("a", first, "/two", 2), ("a", second, "/three", 1), ("b", other, "/four", 1)];
    assert_eq!(told, expected.map(|(service, address, path, request)| (service, address.port(), path, request)));
    assert_eq!(journal[0].trace_id.as_deref(), Some("0af7651916cd43dd8448eb211c80319c"));
    assert_eq!((journal[0].status, journal[0].rule, journal[1].trace_id.as_deref()), (Some(200), Hit::None, None));
    assert_eq!(journal[0].connection, journal[1].connection);
    assert_ne!(journal[0].connection, journal[2].connection);
    assert!(journal.iter().all(|entry| entry.answer_ns.unwrap() > entry.arrival_ns));
    assert!(journal.windows(2).all(|pair| pair[0].arrival_ns < pair[1].arrival_ns));
    let counters = mock.counters_of(0);
    assert_eq!((counters.accepts, counters.requests, counters.concurrent_max), (1, 2, 1));
    assert_eq!(mock.counters().requests, 4);
}

#[test]
fn several_workers_serve_one_endpoint() {
    let mock = Mock::builder().threads(3).launch().unwrap();
    let mut clients: Vec<Client> = (0..6).map(|_| Client::connect(mock.addr())).collect();
    for _ in 0..3 {
        for client in &mut clients {
            assert_eq!(client.get("/x", "").status, 200);
        }
    }
    let journal = mock.journal();
    assert_eq!(journal.iter().map(|entry| entry.request).collect::<Vec<_>>(), (1..=18).collect::<Vec<_>>());
    assert_eq!((mock.counters().accepts, mock.counters().connections), (6, 6));
}

#[test]
fn whatever_arrives_the_next_client_is_served() {
    let mock = orders();
    let mut runner = TestRunner::new_with_rng(
        Config { cases: 200, ..Config::default() },
        TestRng::deterministic_rng(RngAlgorithm::ChaCha),
    );
    let hostile = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..300),
        "(GET|PUT) /(echo|bytes/9|stream/2/0|ws) HTTP/1\\.[01]\r\nHost: m\r\n(Content-Length: [0-9]{0,3}\r\n|Transfer-Encoding: chunked\r\n|x-mock-fault: [a-z=;0-9]{0,20}\r\n){0,2}\r\n[0-9a-f\r\n]{0,40}"
            .prop_map(String::into_bytes),
    ];
    let served = runner.run(&hostile, |bytes| {
        let mut client = Client::connect(mock.addr());
        // The mock may close before all is sent.
        let _ = client.stream.write_all(&bytes);
        let _ = client.stream.shutdown(Shutdown::Write);
        let (_, end) = client.rest();
        prop_assert_ne!(end, Some(ErrorKind::WouldBlock), "it ends");
        prop_assert_eq!(Client::connect(mock.addr()).get("/after", "").status, 200);
        Ok(())
    });
    served.unwrap();
}

#[test]
fn a_dropped_mock_closes_its_port_and_its_connections() {
    let mock = orders();
    let mut client = Client::connect(mock.addr());
    client.get("/x", "");
    let address = mock.addr();
    drop(mock);
    client.rest();
    assert!(std::net::TcpStream::connect(address).is_err());
}

#[test]
fn a_request_may_ask_to_be_shown_as_it_came() {
    let mock = Mock::builder().rule(Rule::on("/slow").delay(Duration::from_millis(1))).launch().unwrap();
    let mut client = Client::connect(mock.addr());
    for path in ["/echo", "/bytes/5", "/slow", "/healthz"] {
        let answer = client.get(path, "X-User: 7\r\nx-mock-show: x-user, x-role\r\n");
        let told = ["x-mock-saw-x-user", "x-mock-saw-x-role", "x-mock-show"].map(|name| answer.header(name));
        assert_eq!(told, [Some("7"), None, Some("x-user, x-role")], "{path}");
        let unasked = client.get(path, "X-User: 7\r\n");
        assert_eq!((unasked.header("x-mock-saw-x-user"), unasked.header("x-mock-show")), (None, None), "{path}");
    }
}
