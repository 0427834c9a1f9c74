//! Bodies: chunked, trailers, none, interim answers, and how much of them is ever held.

use mocks::raw::{Gate, Raw, Script};
use tokio::io::AsyncWriteExt;

use crate::support::{Gateway, echo, eventually, guarded};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test]
async fn a_chunked_request_streams_through() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    let mut client = gateway.client().await;
    client.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n").await;
    client.send("6\r\n world\r\n").await;
    let echo = client.ask("0\r\n\r\n").await.echo();
    assert_eq!(echo.get("body_bytes"), 11);
    assert_eq!(echo.header("transfer-encoding"), Some("chunked"));
    assert_eq!(echo.header("content-length"), None);
    assert_eq!(gateway.record().await["bytes_in"], 11);
}

#[tokio::test]
async fn a_chunked_answer_streams_through_while_it_is_made() {
    let gate = Gate::new();
    let first = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n";
    let upstream =
        Raw::script(Script::new().read_request().send(first).wait(&gate).send("6\r\n world\r\n0\r\n\r\n").again());
    let upstream = upstream.await.unwrap();
    let gateway = Gateway::to(upstream.addr()).await;
    let mut client = gateway.client().await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut answer = client.head().await;
    assert_eq!(client.bytes(10).await, b"5\r\nhello\r\n", "the first chunk is there before the second is made");
    gate.open();
    client.body_of(&mut answer).await;
    assert_eq!((&answer.body[..], answer.whole), (&b" world"[..], true));
}

#[tokio::test]
async fn trailers_pass_both_ways_but_for_what_may_not_be_said_there() {
    let answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum, content-length\r\n\r\n\
                  2\r\nok\r\n0\r\nx-sum: 42\r\ncontent-length: 7\r\n\r\n";
    let upstream = Raw::script(Script::always(answer)).await.unwrap();
    let gateway = Gateway::to(upstream.addr()).await;
    let head = "POST / HTTP/1.1\r\nhost: a\r\nte: trailers\r\ntrailer: x-count, x-auth-subject\r\n\
                transfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nx-count: 7\r\nx-auth-subject: root\r\n\r\n";
    let answer = gateway.ask(head).await;
    assert_eq!(answer.header("trailer"), Some("x-sum"), "of what does not come nobody is told");
    assert_eq!(answer.trailers, [("x-sum".to_owned(), "42".to_owned())]);
    let sent = String::from_utf8(upstream.received().concat()).unwrap();
    assert!(sent.ends_with("0\r\nx-count: 7\r\n\r\n"), "{sent}");
}

#[tokio::test]
async fn head_is_answered_without_a_body_and_with_its_length() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    let mut client = gateway.client().await;
    for _ in 0..2 {
        client.send("HEAD /bytes/4096 HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let head = client.head().await;
        assert_eq!((head.status, head.header("content-length")), (200, Some("4096")));
    }
    // Had a body come, it would stand here.
    assert_eq!(client.ask("GET /bytes/3 HTTP/1.1\r\nhost: a\r\n\r\n").await.body.len(), 3);
    assert_eq!(upstream.counters().accepts, 1, "the connection is used again after HEAD");
    assert_eq!(gateway.records(3).await[0]["bytes_out"], 0);
}

#[tokio::test]
async fn a_gateways_own_answer_to_head_has_no_body_either() {
    let upstream = echo().await;
    let gateway = Gateway::start(&format!("[[routes]]\npath = '/a'\nupstream = 'http://{}'", upstream.addr())).await;
    let mut client = gateway.client().await;
    client.send("HEAD /nowhere HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let head = client.head().await;
    assert_eq!(head.status, 404);
    assert_eq!(client.ask("GET /a HTTP/1.1\r\nhost: a\r\n\r\n").await.status, 200, "nothing came after the head");
}

#[tokio::test]
async fn answers_without_a_body_by_their_status_are_whole_and_keep_both_connections() {
    for status in ["204 No Content", "304 Not Modified"] {
        let upstream = Raw::script(Script::always(format!("HTTP/1.1 {status}\r\netag: \"1\"\r\n\r\n"))).await.unwrap();
        let gateway = Gateway::to(upstream.addr()).await;
        let mut client = gateway.client().await;
        for _ in 0..3 {
            let answer = client.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
            assert_eq!(answer.status.to_string(), status[..3]);
            assert_eq!(answer.header("etag"), Some("\"1\""));
            assert_eq!(answer.header("transfer-encoding"), None);
        }
        assert_eq!(upstream.accepted(), 1, "{status}");
    }
}

#[tokio::test]
async fn a_length_that_204_has_no_right_to_is_left_out_to_head_too() {
    let upstream = Raw::script(Script::always("HTTP/1.1 204 No Content\r\ncontent-length: 4\r\n\r\n")).await.unwrap();
    let gateway = Gateway::to(upstream.addr()).await;
    for method in ["GET", "HEAD"] {
        let mut client = gateway.client().await;
        client.send(format!("{method} / HTTP/1.1\r\nhost: a\r\n\r\n")).await;
        let head = client.head().await;
        assert_eq!((head.status, head.header("content-length")), (204, None), "{method}");
    }
}

#[tokio::test]
async fn interim_answers_of_the_upstream_are_swallowed() {
    let early = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n";
    // A sign of life each few seconds comes to as many as that.
    let processing = "HTTP/1.1 102 Processing\r\n\r\n".repeat(40);
    let script = Script::always(format!("{early}{processing}HTTP/1.1 100 Continue\r\n\r\n{OK}"));
    let upstream = Raw::script(script).await.unwrap();
    let gateway = Gateway::to(upstream.addr()).await;
    let mut client = gateway.client().await;
    for _ in 0..2 {
        let answer = client.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!((answer.status, answer.header("link")), (200, None));
    }
}

#[tokio::test]
async fn a11_a_client_that_waits_is_told_to_continue_and_then_answered() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    let mut client = gateway.client().await;
    let head = "POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n";
    assert_eq!(client.ask(head).await.status, 100);
    let echo = client.ask("hello").await.echo();
    assert_eq!(echo.get("body_bytes"), 5);
    assert_eq!(echo.header("expect"), None, "the gateway has answered it");
}

#[tokio::test]
async fn a11_an_expectation_is_a_list() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    for lines in ["expect: 100-continue,", "expect: , 100-Continue , 100-continue", "expect:\r\nexpect: 100-continue"] {
        let mut client = gateway.client().await;
        let head = format!("POST / HTTP/1.1\r\nhost: a\r\n{lines}\r\ncontent-length: 5\r\n\r\n");
        assert_eq!(client.ask(head).await.status, 100, "{lines}");
        assert_eq!(client.ask("hello").await.echo().get("body_bytes"), 5, "{lines}");
    }
    let nothing = gateway.ask("POST / HTTP/1.1\r\nhost: a\r\nexpect:\r\ncontent-length: 5\r\n\r\nhello").await;
    assert_eq!(nothing.status, 200, "no element expects nothing");
}

#[tokio::test]
async fn a11_nobody_is_told_to_continue_whose_request_is_refused() {
    let upstream = echo().await;
    let server = "max_body = '4B'\nmax_in_flight = 100";
    let gateway = Gateway::with(server, upstream.addr()).await;
    let mut client = gateway.client().await;
    let head = "POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n";
    let answer = client.ask(head).await;
    assert_eq!((answer.status, answer.code().as_str()), (413, "body_too_large"), "the first answer is the last");
    client.closed().await;
    assert_eq!(upstream.counters().requests, 0);
}

#[tokio::test]
async fn a11_any_other_expectation_is_417() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    for lines in ["expect: a-miracle", "expect: 100-continue\r\nexpect: a-miracle", "expect: 100-continue, a-miracle"] {
        let mut client = gateway.client().await;
        let answer = client.ask(format!("GET / HTTP/1.1\r\nhost: a\r\n{lines}\r\n\r\n")).await;
        assert_eq!((answer.status, answer.code().as_str()), (417, "expectation_failed"), "{lines}");
    }
    assert_eq!(upstream.counters().requests, 0);
}

#[tokio::test]
async fn a10_an_early_answer_passes_and_the_rest_of_the_body_is_never_a_request() {
    let early = Script::new().read_head().send("HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno").hang();
    let upstream = Raw::script(early).await.unwrap();
    let gateway = Gateway::to(upstream.addr()).await;
    let mut client = gateway.client().await;
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 60\r\n\r\n").await;
    let answer = client.answer().await;
    assert_eq!((answer.status, &answer.body[..]), (403, &b"no"[..]));
    // What looks like a request inside of the body must not be taken for one; what comes behind it is one.
    client.send(format!("{:<60}", "GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n")).await;
    let next = client.ask("GET /next HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(next.status, 403);
    let paths: Vec<_> = gateway.records(2).await.iter().map(|record| record["path"].clone()).collect();
    assert_eq!(paths, ["/", "/next"]);
}

#[tokio::test]
async fn a10_an_early_answer_says_that_the_connection_closes_where_much_of_the_body_is_to_come() {
    for (status, framing, sent) in [
        ("403 Forbidden", "content-length: 5000000", "x"),
        ("403 Forbidden", "transfer-encoding: chunked", "1\r\nx\r\n"),
        ("200 OK", "content-length: 5000000", "x"),
    ] {
        let early = Script::new().read_head().send(format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\nno")).hang();
        let upstream = Raw::script(early).await.unwrap();
        let gateway = Gateway::to(upstream.addr()).await;
        let mut client = gateway.client().await;
        client.send(format!("POST / HTTP/1.1\r\nhost: a\r\n{framing}\r\n\r\n{sent}")).await;
        let answer = client.answer().await;
        assert_eq!((&answer.body[..], answer.header("connection")), (&b"no"[..], Some("close")), "{status} {framing}");
        client.closed().await;
    }
}

#[tokio::test]
async fn a10_a_refused_body_is_drained_or_cut_but_never_parsed() {
    let upstream = echo().await;
    let gateway = Gateway::with("max_body = '10B'", upstream.addr()).await;
    let mut client = gateway.client().await;
    let inner = "GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n";
    let answer =
        client.ask(format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{inner}", inner.len())).await;
    assert_eq!((answer.status, answer.header("connection")), (413, Some("close")));
    client.closed().await;
    assert_eq!((upstream.counters().requests, gateway.records(1).await.len()), (0, 1));
}

#[tokio::test]
async fn a_client_that_sends_a_large_body_to_its_end_reads_why_it_was_refused() {
    const LONG: usize = 20 * 1024 * 1024;
    let upstream = echo().await;
    let gateway = Gateway::with("max_body = '10B'", upstream.addr()).await;
    let (body, length) = (vec![b'x'; LONG], format!("content-length: {LONG}"));
    let mut chunked = format!("{LONG:x}\r\n").into_bytes();
    chunked.extend_from_slice(&body);
    chunked.extend_from_slice(b"\r\n0\r\n\r\n");
    for (target, framing, body, status) in [
        ("/", &*length, &body, 413),
        ("/", "transfer-encoding: chunked", &chunked, 413),
        ("/%2f", &*length, &body, 400),
    ] {
        let mut client = gateway.client().await;
        client.send(format!("POST {target} HTTP/1.1\r\nhost: a\r\n{framing}\r\n\r\n")).await;
        guarded("its body is taken", client.stream().write_all(body)).await.unwrap();
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.header("connection")), (status, Some("close")), "{target} {framing}");
        client.closed().await;
    }
    gateway.records(3).await;
}

/// Large enough that no socket buffer holds it.
const BIG: u64 = 256 * 1024 * 1024;

#[tokio::test]
async fn an_upstream_is_not_read_faster_than_its_client_reads() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    let mut client = gateway.client().await;
    client.send(format!("GET /bytes/{BIG} HTTP/1.1\r\nhost: a\r\n\r\n")).await;
    assert_eq!(client.head().await.status, 200);
    // Nothing is read. What the upstream could send fills the socket buffers, and then it is at a standstill.
    let written = standstill(|| upstream.counters().bytes_out).await;
    assert!(written < BIG / 4, "{written} bytes were taken from the upstream for a client that reads none");
    client.reset();
    gateway.at_rest().await;
}

#[tokio::test]
async fn a_client_is_not_read_faster_than_its_upstream_reads() {
    let upstream = Raw::script(Script::new().read_head().wait(&Gate::new())).await.unwrap();
    let gateway = Gateway::with("max_body = '0'", upstream.addr()).await;
    let mut client = gateway.client().await;
    client.send(format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {BIG}\r\n\r\n")).await;
    upstream.wait_for_accepts(1).await;
    let (mut written, chunk) = (0, vec![0; 64 * 1024]);
    // Each write that is taken at once goes on; the first that is not, for a hundred turns, is the standstill.
    let mut idle_turns = 0;
    let mut turns = tokio::time::interval(std::time::Duration::from_millis(2));
    while idle_turns < 100 {
        match client.stream().try_write(&chunk) {
            Ok(taken) => {
                written += taken as u64;
                idle_turns = 0;
            }
            Err(_) => {
                idle_turns += 1;
                turns.tick().await;
            }
        }
        assert!(written < BIG / 4, "{written} bytes were taken for an upstream that reads none");
    }
}

/// The value at which a counter stays for a hundred looks.
async fn standstill(counter: impl Fn() -> u64) -> u64 {
    let (mut last, mut same) = (counter(), 0);
    eventually("a standstill", || {
        let now = counter();
        same = if now == last && now > 0 { same + 1 } else { 0 };
        last = now;
        same >= 100
    })
    .await;
    last
}

#[tokio::test]
async fn large_bodies_pass_whole_both_ways() {
    let upstream = echo().await;
    let gateway = Gateway::with("max_body = '64MiB'", upstream.addr()).await;
    let mut client = gateway.client().await;
    let size: usize = 20 * 1024 * 1024;
    client.send(format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {size}\r\n\r\n")).await;
    guarded("the body is taken", client.stream().write_all(&vec![7; size])).await.unwrap();
    assert_eq!(client.answer().await.echo().get("body_bytes"), size);

    let answer = client.ask(format!("GET /bytes/{size} HTTP/1.1\r\nhost: a\r\n\r\n")).await;
    assert_eq!((answer.body.len(), answer.whole), (size, true));
    let records = gateway.records(2).await;
    assert_eq!((&records[0]["bytes_in"], &records[1]["bytes_out"]), (&size.into(), &size.into()));
}

#[tokio::test]
async fn events_arrive_one_by_one() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    let mut client = gateway.client().await;
    client.send("GET /sse/3/1 HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut answer = client.head().await;
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    client.body_of(&mut answer).await;
    assert_eq!(String::from_utf8(answer.body).unwrap().matches("data:").count(), 3);
    let mut rest = [0; 1];
    assert!(client.stream().try_read(&mut rest).is_err(), "the connection stays open, with nothing more on it");
}
