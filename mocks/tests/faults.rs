//! Each fault, as a client sees it on the wire.

mod client;

use std::io::ErrorKind;
use std::net::TcpStream;
use std::time::Duration;

use client::Client;
use mocks::{Effect, Ended, Garbage, Hit, Mock, Reset, Rule};

fn mock(rule: Rule) -> Mock {
    Mock::builder().seed(1).rule(rule).launch().unwrap()
}

fn with(effect: Effect) -> Mock {
    mock(Rule::any().effect(effect))
}

const GET: &str = "GET /x HTTP/1.1\r\nHost: m\r\n\r\n";

#[test]
fn a_status_replaces_the_status_alone() {
    let mock = mock(Rule::on("/orders/*").method("GET").status(503));
    let mut client = Client::connect(mock.addr());
    let hit = client.get("/orders/7", "");
    assert_eq!((hit.status, hit.json()["path"].as_str()), (503, Some("/orders/7")));
    assert_eq!(client.get("/users/7", "").status, 200);
    let rules: Vec<Hit> = mock.journal().iter().map(|entry| entry.rule).collect();
    assert_eq!(rules, [Hit::Rule(0), Hit::None]);
}

#[test]
fn a_status_without_a_body_has_none() {
    let mock = Mock::builder().launch().unwrap();
    let mut client = Client::connect(mock.addr());
    for status in [204, 304] {
        let answer = client.get("/x", &format!("x-mock-fault: status={status}\r\n"));
        assert_eq!((answer.status, answer.header("content-length")), (status, None));
    }
    assert_eq!(client.get("/x", "").status, 200);
}

#[test]
fn a_delay_is_part_of_the_residence_time() {
    let mock = mock(Rule::any().delay(Duration::from_millis(30)));
    let answer = Client::connect(mock.addr()).get("/x", "");
    assert!(answer.header("x-mock-residence-ns").unwrap().parse::<u64>().unwrap() >= 30_000_000);
    let entry = &mock.journal()[0];
    assert!(entry.answer_ns.unwrap() - entry.arrival_ns >= 30_000_000);
}

#[test]
fn the_request_header_asks_for_one_fault() {
    let mock = Mock::builder().launch().unwrap();
    let mut client = Client::connect(mock.addr());
    assert_eq!(client.get("/x", "x-mock-fault: delay=1ms;status=503\r\n").status, 503);
    assert_eq!(client.get("/x", "").status, 200);
    assert_eq!(client.get("/x", "x-mock-fault: status=503\r\nx-mock-fault: delay=1ms\r\n").status, 503, "one list");
    assert_eq!(client.get("/x", "x-mock-fault: status=503\r\nX-Mock-Fault: status=500\r\n").status, 400, "twice");
    let bad = client.get("/x", "x-mock-fault: statis=503\r\n");
    assert_eq!(bad.status, 400);
    assert!(bad.json()["problems"][0].as_str().unwrap().contains("did you mean `status`"));
    assert_eq!(client.get("/x", "").status, 200, "the connection goes on");
    assert_eq!(mock.journal()[0].rule, Hit::Header);
}

#[tokio::test]
async fn a_hanging_request_gets_nothing_and_is_journaled() {
    let mock = with(Effect::Hang);
    let mut client = Client::connect(mock.addr());
    client.send(GET);
    mock.wait_for_requests(1).await;
    assert_eq!((mock.counters().in_flight, mock.counters().concurrent_max), (1, 1));
    let mut second = Client::connect(mock.addr());
    second.send(GET);
    mock.wait_for_requests(2).await;
    assert_eq!(mock.counters().concurrent_max, 2);
    client.stream.set_nonblocking(true).unwrap();
    assert_eq!(client.rest(), (vec![], Some(ErrorKind::WouldBlock)));
    assert!(mock.journal().is_empty(), "neither is over");
    drop((client, second));
    mock.wait_for_entries(2).await;
    let entry = &mock.journal()[0];
    assert_eq!((entry.status, entry.answer_ns, entry.rule), (None, None, Hit::Rule(0)));
    assert_eq!(entry.ended, Ended::Left);
    mock.set_rules([]);
    assert_eq!(Client::connect(mock.addr()).get("/x", "").status, 200);
}

#[test]
fn resets_come_where_they_are_asked_for() {
    let mut client = Client::connect(with(Effect::Reset(Reset::BeforeHeaders)).addr());
    drop(client);
    for (place, expected) in [(Reset::BeforeHeaders, 0), (Reset::InHeaders, 1), (Reset::InBody, 2)] {
        let mock = with(Effect::Reset(place));
        client = Client::connect(mock.addr());
        let bytes = String::from_utf8(client.send(GET).reset()).unwrap();
        match expected {
            0 => assert_eq!(bytes, ""),
            1 => assert!(bytes.starts_with("HTTP/1.1 200 OK\r\n") && !bytes.contains("\r\n\r\n"), "{bytes}"),
            _ => {
                let (head, body) = bytes.split_once("\r\n\r\n").unwrap();
                let length = head.split("content-length: ").nth(1).unwrap().split("\r\n").next().unwrap();
                assert_eq!(body.len(), length.parse::<usize>().unwrap() / 2);
            }
        }
    }
}

#[test]
fn a_truncated_answer_ends_in_order_and_early() {
    for (act, path, sent) in
        [("truncate", "/bytes/100", 50), ("truncate=10", "/bytes/100", 10), ("truncate=500", "/bytes/100", 99)]
    {
        let mock = Mock::builder().launch().unwrap();
        let mut client = Client::connect(mock.addr());
        client.send(format!("GET {path} HTTP/1.1\r\nHost: m\r\nx-mock-fault: {act}\r\n\r\n"));
        assert_eq!(client.head().header("content-length"), Some("100"));
        assert_eq!(client.closed().len(), sent, "{act}");
    }
}

#[test]
fn a_truncated_stream_lacks_its_last_chunk() {
    let mock = with(Effect::Truncate(None));
    let mut client = Client::connect(mock.addr());
    client.send("GET /stream/4/0 HTTP/1.1\r\nHost: m\r\n\r\n");
    assert_eq!(client.head().header("transfer-encoding"), Some("chunked"));
    let body = client.closed();
    assert!(!body.is_empty() && !body.ends_with(b"0\r\n\r\n"));
}

#[test]
fn a_slow_body_takes_its_time() {
    let mock = mock(Rule::any().slow_body(2000));
    let mut client = Client::connect(mock.addr());
    let started = mocks::clock::now_ns();
    assert_eq!(client.get("/bytes/100", "").body.len(), 100);
    let took_ms = (mocks::clock::now_ns() - started) / 1_000_000;
    // 100 bytes at 2,000 a second; the first slice of 40 leaves at once.
    assert!(took_ms >= 35, "{took_ms}");
}

#[test]
fn a_connection_is_closed_unannounced_after_its_nth_answer() {
    let mock = mock(Rule::any().close(2));
    let mut client = Client::connect(mock.addr());
    assert_eq!(client.get("/1", "").header("connection"), None);
    assert_eq!(client.get("/2", "").header("connection"), None);
    assert!(client.closed().is_empty());
    mock.set_rules([Rule::any().close(0)]);
    assert!(Client::connect(mock.addr()).send(GET).closed().is_empty(), "0 is: instead of an answer");
}

#[test]
fn garbage_is_what_its_name_says() {
    for (kind, sign) in [
        (Garbage::StatusLine, "HTTP/1.1 OK 200\r\n"),
        (Garbage::BareLf, "HTTP/1.1 200 OK\ncontent-length: 2\n\n"),
        (Garbage::Header, "content-length : 2"),
        (Garbage::ClTe, "content-length: 2\r\ntransfer-encoding: chunked\r\n"),
        (Garbage::TwoCl, "content-length: 2\r\ncontent-length: 3\r\n"),
        (Garbage::BadCl, "content-length: 0x2"),
        (Garbage::BadChunk, "\r\nzz\r\n"),
        (Garbage::Flood1xx, "\r\n\r\nHTTP/1.1 103 Early Hints\r\n"),
    ] {
        let mock = with(Effect::Garbage(kind));
        let bytes = String::from_utf8(Client::connect(mock.addr()).send(GET).closed()).unwrap();
        assert!(bytes.contains(sign), "{kind:?}: {bytes:.200}");
    }
    let bytes = |seed| {
        let mock =
            Mock::builder().seed(seed).rule(Rule::any().effect(Effect::Garbage(Garbage::Bytes))).launch().unwrap();
        Client::connect(mock.addr()).send(GET).closed()
    };
    assert!(bytes(1).len() > 200 && !bytes(1).starts_with(b"HTTP"));
    assert_eq!(bytes(1), bytes(1), "the same seed gives the same garbage");
    assert_ne!(bytes(1), bytes(2));
    let huge = with(Effect::Garbage(Garbage::HugeHead));
    assert!(Client::connect(huge.addr()).send(GET).closed().len() > 1 << 20);
}

#[tokio::test]
async fn a_refusing_endpoint_has_no_listener_and_resets_what_is_open() {
    let mock = Mock::builder().endpoints(2).launch().unwrap();
    let [first, second] = mock.addrs()[..] else { panic!("two endpoints") };
    let mut open = Client::connect(first);
    assert_eq!(open.get("/x", "").status, 200);
    mock.set_rules([Rule::any().endpoint(0).effect(Effect::Refuse)]);
    mock.settled().await;
    assert_eq!(TcpStream::connect(first).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    assert!(open.send(GET).reset().is_empty());
    assert_eq!(Client::connect(second).get("/x", "").status, 200);
    mock.set_rules([]);
    mock.settled().await;
    assert_eq!(Client::connect(first).get("/x", "").status, 200, "it is back on the same port");
}

#[test]
fn new_rules_hit_connections_that_are_open() {
    let mock = Mock::builder().launch().unwrap();
    let mut client = Client::connect(mock.addr());
    assert_eq!(client.get("/x", "").status, 200);
    mock.set_rules([Rule::any().status(500)]);
    assert_eq!(client.get("/x", "").status, 500);
    mock.set_rules([]);
    assert_eq!(client.get("/x", "").status, 200);
}

#[test]
fn the_same_seed_hits_the_same_requests() {
    let statuses = |seed| {
        let mock = Mock::builder().seed(seed).rule(Rule::any().share(0.5).status(503)).launch().unwrap();
        let mut client = Client::connect(mock.addr());
        (0..64).map(|_| client.get("/x", "").status).collect::<Vec<u16>>()
    };
    assert_eq!(statuses(7), statuses(7));
    assert_ne!(statuses(7), statuses(8));
    let failed = statuses(7).iter().filter(|status| **status == 503).count();
    assert!((20..44).contains(&failed), "{failed}");
}

#[test]
fn a_window_of_request_numbers_hits_those() {
    let mock = mock(Rule::any().requests(2..4).status(503));
    let mut client = Client::connect(mock.addr());
    assert_eq!([(); 4].map(|()| client.get("/x", "").status), [200, 503, 503, 200]);
}

#[test]
fn a_fault_hits_a_request_with_a_body_after_the_body() {
    let mock = mock(Rule::any().status(503));
    let mut client = Client::connect(mock.addr());
    let answer = client.send("PUT /x HTTP/1.1\r\nHost: m\r\nContent-Length: 5\r\n\r\nhello").answer();
    assert_eq!((answer.status, answer.json()["body_bytes"].as_u64()), (503, Some(5)));
    assert_eq!(client.get("/x", "").status, 503);
}

#[tokio::test]
async fn a_client_that_leaves_before_the_answer_is_told_of() {
    // An answer that is an hour away, and one whose body takes as long.
    for (rule, status) in [(Rule::any().delay(Duration::from_secs(3600)), None), (Rule::any().slow_body(1), Some(200))]
    {
        let mock = mock(rule);
        let mut client = Client::connect(mock.addr());
        client.send(GET);
        if status.is_some() {
            assert_eq!(client.head().status, 200);
        }
        drop(client);
        mock.wait_for_entries(1).await;
        let entry = &mock.journal()[0];
        assert_eq!((entry.ended, entry.status), (Ended::Left, status));
        assert!(entry.end_ns > entry.arrival_ns);
    }
}

#[tokio::test]
async fn the_journal_says_how_a_request_ended() {
    for (effect, ended) in [
        (Effect::None, Ended::Answered),
        (Effect::Reset(Reset::BeforeHeaders), Ended::Reset),
        (Effect::Reset(Reset::InBody), Ended::Reset),
        (Effect::Truncate(None), Ended::Truncated),
        (Effect::Garbage(Garbage::BareLf), Ended::Garbage),
    ] {
        let mock = with(effect);
        Client::connect(mock.addr()).send(GET).rest_of_one();
        mock.wait_for_entries(1).await;
        assert_eq!(mock.journal()[0].ended, ended, "{effect:?}");
    }
    let mock = mock(Rule::any().close(0));
    Client::connect(mock.addr()).send(GET).closed();
    assert_eq!((mock.journal()[0].ended, mock.journal()[0].status), (Ended::Closed, None));
}

#[tokio::test]
async fn an_answer_without_a_body_cannot_be_cut_short() {
    for (line, act) in [
        ("GET /a", "truncate;status=204"),
        ("GET /a", "truncate;status=304"),
        ("HEAD /a", "truncate"),
        ("GET /bytes/0", "truncate=10"),
    ] {
        let mock = Mock::builder().launch().unwrap();
        let mut client = Client::connect(mock.addr());
        client.send(format!("{line} HTTP/1.1\r\nHost: m\r\nx-mock-fault: {act}\r\n\r\n"));
        client.head();
        assert_eq!(client.closed().len(), 0, "{line} {act}");
        mock.wait_for_entries(1).await;
        assert_eq!(mock.journal()[0].ended, Ended::Answered, "{line} {act}");
    }
}

#[test]
fn what_was_sent_ahead_is_answered_after_a_wait() {
    let mock = mock(Rule::on("/first").delay(Duration::from_millis(20)));
    let mut client = Client::connect(mock.addr());
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: m\r\n\r\n");
    client.send(get("/first"));
    client.send(get("/second"));
    assert_eq!(client.answer().json()["path"], "/first");
    assert_eq!(client.answer().json()["path"], "/second");
}

#[tokio::test]
async fn a_flapping_endpoint_comes_and_goes() {
    let mock = Mock::builder().launch().unwrap();
    // The clock counts from the machine's start, which may be a few minutes ago.
    let minute = Duration::from_secs(60);
    mock.set_rules([Rule::any().flap(2 * minute, 0.5)]);
    mock.settled().await;
    assert_eq!(TcpStream::connect(mock.addr()).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    mock.set_rules([Rule::any().status(503).flap(2 * minute, 0.5)]);
    mock.settled().await;
    let mut client = Client::connect(mock.addr());
    assert_eq!(client.get("/x", "").status, 503);
    let origin = mocks::clock::now_ns() - 60_000_000_000;
    mock.set_rules_from([Rule::any().status(503).flap(2 * minute, 0.5)], mocks::Origin::At(origin));
    assert_eq!(client.get("/x", "").status, 200, "the second half of the period");
}

#[tokio::test]
async fn a_listener_flaps_by_itself() {
    let mock = Mock::builder().rule(Rule::any().flap(Duration::from_millis(40), 0.5)).launch().unwrap();
    // Both states come round: nobody has to ask the mock to change.
    for refused in [true, false, true, false] {
        let deadline = mocks::clock::now_ns() + 5_000_000_000;
        while TcpStream::connect(mock.addr()).is_err() != refused {
            assert!(mocks::clock::now_ns() < deadline, "it stays as it is");
            tokio::task::yield_now().await;
        }
    }
}
