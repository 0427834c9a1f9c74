//! Framing (security.md, group A): what is not one request beyond doubt is refused, and nothing of it goes on.

use mocks::Mock;

use crate::support::{Answer, Client, Gateway, echo};

/// Sends these bytes, ends the client's side, and gives all that comes back until the close.
async fn raw_answer(gateway: &Gateway, bytes: &[u8]) -> String {
    let mut client = gateway.client().await;
    client.send(bytes).await;
    String::from_utf8_lossy(&client.rest().await).into_owned()
}

/// Refused: this status, the connection is closed, nothing reaches the upstream.
async fn refused(gateway: &Gateway, upstream: &Mock, request: impl AsRef<[u8]>, status: u16) {
    let request = request.as_ref();
    let text = raw_answer(gateway, request).await;
    let shown = String::from_utf8_lossy(request);
    assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{shown:?} was answered {text:?}");
    assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "{shown:?} was answered {text:?}");
    let seen = upstream.counters();
    assert_eq!((seen.requests, seen.bad_requests), (0, 0), "{shown:?} reached the upstream");
}

/// The same, with a problem document.
async fn refused_with(gateway: &Gateway, upstream: &Mock, request: impl AsRef<[u8]>, status: u16, code: &str) {
    let mut client = gateway.client().await;
    let answer: Answer = client.ask(request.as_ref()).await;
    let shown = String::from_utf8_lossy(request.as_ref());
    assert_eq!((answer.status, answer.code().as_str()), (status, code), "{shown:?}");
    assert_eq!(answer.header("connection"), Some("close"), "{shown:?}");
    client.closed().await;
    assert_eq!(upstream.counters().requests, 0, "{shown:?} reached the upstream");
}

async fn pair() -> (Mock, Gateway) {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    (upstream, gateway)
}

#[tokio::test]
async fn a1_a_length_beside_a_transfer_coding_is_refused() {
    let (upstream, gateway) = pair().await;
    for fields in
        ["content-length: 4\r\ntransfer-encoding: chunked\r\n", "transfer-encoding: chunked\r\ncontent-length: 4\r\n"]
    {
        let smuggled = "0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n";
        let request = format!("POST / HTTP/1.1\r\nhost: a\r\n{fields}\r\n{smuggled}");
        refused(&gateway, &upstream, request, 400).await;
    }
}

#[tokio::test]
async fn a2_a_length_that_is_no_number_is_refused() {
    let (upstream, gateway) = pair().await;
    for length in
        ["5, 6", "", "+5", "-0", "0x5", "5_0", "5 0", "5;a", "99999999999999999999", "9223372036854775808", "\u{a0}5"]
    {
        refused(
            &gateway,
            &upstream,
            format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\nhello"),
            400,
        )
        .await;
    }
    let two = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!";
    refused(&gateway, &upstream, two, 400).await;
}

#[tokio::test]
async fn a2_a_repeated_length_is_refused_even_if_equal() {
    let (upstream, gateway) = pair().await;
    for fields in ["content-length: 5\r\ncontent-length: 5\r\n", "content-length: 5, 5\r\n"] {
        let request = format!("POST / HTTP/1.1\r\nhost: a\r\n{fields}\r\nhello");
        refused_with(&gateway, &upstream, request, 400, "bad_request").await;
    }
}

#[tokio::test]
async fn a3_a_transfer_coding_that_is_not_exactly_chunked_is_refused() {
    let (upstream, gateway) = pair().await;
    for coding in [
        "xchunked",
        "chunked, chunked",
        ",chunked",
        "chunked;q=1",
        "identity",
        "gzip",
        "gzip, chunked",
        "\x0bchunked",
        "chunked\x0c",
        "chun\0ked",
        "",
    ] {
        let head = format!("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: {coding}\r\n\r\n0\r\n\r\n");
        refused(&gateway, &upstream, head, 400).await;
    }
    for fields in [
        "transfer-encoding : chunked",
        "transfer-encoding:\r\n chunked",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
    ] {
        refused(&gateway, &upstream, format!("POST / HTTP/1.1\r\nhost: a\r\n{fields}\r\n\r\n0\r\n\r\n"), 400).await;
    }
    refused(&gateway, &upstream, "POST / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400)
        .await;
}

#[tokio::test]
async fn a3_chunked_in_any_case_is_chunked() {
    let (_upstream, gateway) = pair().await;
    let head = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: ChUnKeD\r\n\r\n2\r\nhi\r\n0\r\n\r\n";
    assert_eq!(gateway.ask(head).await.echo().get("body_bytes"), 2);
}

/// Bodies that break the rules of chunks.
const BROKEN_CHUNKS: [&str; 10] = [
    "0x5\r\nhello\r\n0\r\n\r\n",
    "+5\r\nhello\r\n0\r\n\r\n",
    "5_0\r\nhello\r\n0\r\n\r\n",
    "g\r\nhello\r\n0\r\n\r\n",
    "11111111111111111\r\nhello\r\n0\r\n\r\n",
    "5\r\nhello!\r\n0\r\n\r\n",
    "5\r\nhelloX\n0\r\n\r\n",
    "5\rhello\r\n0\r\n\r\n",
    "5\nhello\r\n0\r\n\r\n",
    "-1\r\nhello\r\n0\r\n\r\n",
];

#[tokio::test]
async fn a4_a_malformed_chunk_is_the_clients_400_and_never_a_502() {
    for body in BROKEN_CHUNKS {
        let (upstream, gateway) = pair().await;
        let mut client = gateway.client().await;
        let head = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
        let answer = client.ask(format!("{head}{body}")).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "bad_request"), "{body:?}");
        client.closed().await;
        gateway.at_rest().await;
        let record = gateway.record().await;
        assert_eq!((&record["fault"], &record["code"]), (&"client".into(), &"bad_request".into()), "{body:?}");
        assert_eq!(upstream.counters().requests, 0, "the upstream never saw a whole request: {body:?}");
        let (open, idle) = gateway.upstream_connections();
        assert_eq!((open, idle), (0, 0), "the connection in the middle of a request is gone: {body:?}");
        for outcome in ["reset", "invalid", "connect", "timeout", "5xx"] {
            let sample = format!("gateway_upstream_attempts_total{{upstream=\"up\",outcome=\"{outcome}\"}}");
            assert!(gateway.metric(&sample).await.unwrap_or(0.0) == 0.0, "{body:?} counts against the upstream");
        }
    }
}

#[tokio::test]
async fn a4_a_chunk_that_breaks_late_is_still_the_clients_400() {
    let (_upstream, gateway) = pair().await;
    let mut client = gateway.client().await;
    client.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n").await;
    crate::support::eventually("the upstream has the request's head", || gateway.in_flight() == 1).await;
    let answer = client.ask("zz\r\n").await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "bad_request"));
}

#[tokio::test]
async fn a4_a_bare_cr_behind_a_chunks_size_waits_for_no_line_feed() {
    let (_upstream, gateway) = pair().await;
    let mut client = gateway.client().await;
    let answer = client.ask("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\rhello\r0\r\r").await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "bad_request"));
    client.closed().await;
}

#[tokio::test]
async fn a4_who_ends_within_its_body_and_still_reads_is_told() {
    for framing in ["content-length: 10\r\n\r\nabc", "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n"] {
        let (_upstream, gateway) = pair().await;
        let mut client = gateway.client().await;
        client.send(format!("POST / HTTP/1.1\r\nhost: a\r\n{framing}")).await;
        client.finish().await;
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "bad_request"), "{framing}");
        assert_eq!(answer.json()["request_id"].as_str(), answer.header("x-request-id"));
        client.closed().await;
        // One that has left looks the same.
        let record = gateway.record().await;
        assert_eq!((&record["status"], &record["ended"]), (&499.into(), &"client_left".into()), "{record}");
        assert_eq!(record["request_id"].as_str(), answer.header("x-request-id"));
    }
}

#[tokio::test]
async fn a6_an_absolute_target_without_a_host_is_refused() {
    let (upstream, gateway) = pair().await;
    refused(&gateway, &upstream, "GET http://a.example/p HTTP/1.1\r\n\r\n", 400).await;
    assert_eq!(gateway.ask("GET http://a.example/p HTTP/1.1\r\nhost: a.example\r\n\r\n").await.status, 200);
    assert_eq!(gateway.ask("GET http://a.example/p HTTP/1.0\r\n\r\n").await.status, 200);
}

#[tokio::test]
async fn a5_fields_that_are_no_fields_are_refused() {
    let (upstream, gateway) = pair().await;
    for field in [
        "x-a: 1\r\n folded",
        "x-a: 1\r\n\tfolded",
        "x-a : 1",
        " x-a: 1",
        ": empty",
        "x(a): 1",
        "x a: 1",
        "no-colon",
        "x-a: b\0c",
        "x-a: b\x01c",
        "x-a: b\rc",
        "x-a: b\x7fc",
        "x\0a: 1",
    ] {
        refused(&gateway, &upstream, format!("GET / HTTP/1.1\r\nhost: a\r\n{field}\r\n\r\n"), 400).await;
    }
}

#[tokio::test]
async fn a5_a_bare_line_feed_is_refused_wherever_it_stands() {
    let (upstream, gateway) = pair().await;
    for request in [
        "GET /lf HTTP/1.1\nhost: a\nx-a: 1\n\n",
        "GET /lf HTTP/1.1\nhost: a\r\n\r\n",
        "GET /lf HTTP/1.1\r\nhost: a\nx-a: 1\r\n\r\n",
        "GET /lf HTTP/1.1\r\nhost: a\r\n\n",
        "\nGET /lf HTTP/1.1\r\nhost: a\r\n\r\n",
    ] {
        refused_with(&gateway, &upstream, request, 400, "bad_request").await;
    }
}

#[tokio::test]
async fn a12_bytes_that_are_no_request_are_told_at_once_and_on_record() {
    let (upstream, gateway) = pair().await;
    // Not a whole head, and never to become one: no time-out is waited for.
    for bytes in [&b"\x16\x03\x01\x02"[..], b"GET /\r\n", b"GET / HTTP/3.0\r\n"] {
        refused_with(&gateway, &upstream, bytes, 400, "bad_request").await;
    }
    let records = gateway.records(3).await;
    assert!(records.iter().all(|record| record["status"] == 400 && record["fault"] == "client"), "{records:?}");
    assert!(records[0].get("method").is_none(), "what is unknown is absent: {}", records[0]);
}

#[tokio::test]
async fn what_is_refused_unread_has_a_date_and_to_head_no_body() {
    let (_upstream, gateway) = pair().await;
    // Each is refused by the codec: no part of the target is a fragment, and no name has a blank.
    for refused in ["/a#b HTTP/1.1\r\nhost: a", "/ HTTP/1.1\r\nhost: a\r\nx y: z"] {
        let mut client = gateway.client().await;
        let answer = client.ask(format!("GET {refused}\r\n\r\n")).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "bad_request"));
        assert!(answer.header("date").is_some_and(|date| date.ends_with(" GMT")), "{answer:?}");

        let mut client = gateway.client().await;
        client.send(format!("HEAD {refused}\r\n\r\n")).await;
        let head = client.head().await;
        let length = head.header("content-length").and_then(|length| length.parse::<usize>().ok());
        assert_eq!((head.status, length), (400, Some(answer.body.len())));
        assert!(head.header("date").is_some());
        client.closed().await;
    }
    assert_eq!(gateway.records(4).await[1]["method"], "HEAD");
}

#[tokio::test]
async fn requests_sent_ahead_are_answered_in_order_however_they_are_cut() {
    let (upstream, gateway) = pair().await;
    let get = |n: usize| format!("GET /echo/{n} HTTP/1.1\r\nhost: a\r\n\r\n");
    let post = |n: usize| format!("POST /echo/{n} HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\n\r\n\r\n");
    let all: String = (0..40).map(|n| if n % 3 == 0 { post(n) } else { get(n) }).collect();
    for size in [1, 7, 100, all.len()] {
        let mut client = gateway.client().await;
        for piece in all.as_bytes().chunks(size) {
            client.send(piece).await;
        }
        for n in 0..40 {
            assert_eq!(client.answer().await.echo().path(), format!("/echo/{n}"), "{size} bytes at once");
        }
    }
    assert_eq!(upstream.counters().bad_requests, 0);
}

#[tokio::test]
async fn a6_a_host_is_there_once_and_is_a_host() {
    let (upstream, gateway) = pair().await;
    let bad = "bad_request";
    refused_with(&gateway, &upstream, "GET / HTTP/1.1\r\nx: y\r\n\r\n", 400, bad).await;
    refused_with(&gateway, &upstream, "GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n", 400, bad).await;
    for host in ["", "a, b", "user@a", "a/b", "a b", "a:port", "a:123456", "[::1", "a?b", "a#b", "é"] {
        refused_with(&gateway, &upstream, format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n"), 400, bad).await;
    }
}

#[tokio::test]
async fn a6_an_absolute_target_decides_and_must_agree_with_the_host() {
    let (upstream, gateway) = pair().await;
    let differs = "GET http://a.test/x HTTP/1.1\r\nhost: b.test\r\n\r\n";
    refused_with(&gateway, &upstream, differs, 400, "bad_request").await;
    let other = "GET http://a.test:81/x HTTP/1.1\r\nhost: a.test\r\n\r\n";
    refused_with(&gateway, &upstream, other, 400, "bad_request").await;
    let userinfo = "GET http://user@a.test/x HTTP/1.1\r\nhost: a.test\r\n\r\n";
    refused_with(&gateway, &upstream, userinfo, 400, "bad_request").await;
    let echo = gateway.ask("GET http://A.test/x?y HTTP/1.1\r\nhost: a.test\r\n\r\n").await.echo();
    assert_eq!((echo.path(), echo.header("host")), ("/x", Some("A.test")));
    // The port that the scheme has anyway is no other host.
    for (target, host) in [("http://a.test:80/x", "a.test"), ("http://a.test/x", "a.test:80")] {
        let echo = gateway.ask(format!("GET {target} HTTP/1.1\r\nhost: {host}\r\n\r\n")).await.echo();
        assert_eq!(echo.path(), "/x", "{target}");
    }
}

#[tokio::test]
async fn a_request_for_options_goes_as_far_as_it_says() {
    let (upstream, gateway) = pair().await;
    let ask = async |method: &str, left: &str| {
        gateway.ask(format!("{method} /x HTTP/1.1\r\nhost: a\r\nmax-forwards: {left}\r\n\r\n")).await
    };
    let own = ask("OPTIONS", "0").await;
    assert_eq!((own.status, own.body.len(), upstream.counters().requests), (204, 0, 0));
    assert_eq!(ask("OPTIONS", "5").await.echo().header("max-forwards"), Some("4"));
    assert_eq!(ask("GET", "0").await.echo().header("max-forwards"), Some("0"), "it says nothing there");
}

#[tokio::test]
async fn a7_methods_and_targets_that_nobody_serves_are_refused() {
    let (upstream, gateway) = pair().await;
    refused_with(&gateway, &upstream, "CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\n\r\n", 405, "method_not_allowed").await;
    refused_with(&gateway, &upstream, "TRACE / HTTP/1.1\r\nhost: a\r\n\r\n", 405, "method_not_allowed").await;
    refused_with(&gateway, &upstream, "GET * HTTP/1.1\r\nhost: a\r\n\r\n", 400, "bad_request").await;
    for target in ["/a b", "a/b", "/\u{e9}", "/?\u{e9}", "/?a=b\u{10ffff}", "http://a/?\u{e9}", "/a\\b", "/\x01"] {
        refused(&gateway, &upstream, format!("GET {target} HTTP/1.1\r\nhost: a\r\n\r\n"), 400).await;
    }
}

#[tokio::test]
async fn a7_a_fragment_is_refused() {
    let (upstream, gateway) = pair().await;
    refused_with(&gateway, &upstream, "GET /a#b HTTP/1.1\r\nhost: a\r\n\r\n", 400, "bad_request").await;
    assert_eq!(gateway.record().await["path"], "/a");
}

#[tokio::test]
async fn a7_options_star_is_the_gateways_own() {
    let (upstream, gateway) = pair().await;
    let answer = gateway.ask("OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!((answer.status, answer.body.len()), (204, 0));
    assert_eq!(upstream.counters().requests, 0);
    assert_eq!(gateway.record().await["status"], 204);
}

#[tokio::test]
async fn a8_an_overlong_method_is_405_and_an_unknown_one_is_the_routes_matter() {
    let (upstream, gateway) = pair().await;
    let long = format!("{} / HTTP/1.1\r\nhost: a\r\n\r\n", "M".repeat(33));
    refused_with(&gateway, &upstream, long, 405, "method_not_allowed").await;
    assert_eq!(gateway.ask("BREW /pot HTTP/1.1\r\nhost: a\r\n\r\n").await.echo().get("method"), "BREW");
}

#[tokio::test]
async fn a12_what_is_not_http_1_is_never_answered_with_success() {
    let (upstream, gateway) = pair().await;
    for bytes in [
        "\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n",
        "GET /\r\n\r\n",
        "GET / HTTP/1.2\r\nhost: a\r\n\r\n",
        "GET / HTTP/3.0\r\nhost: a\r\n\r\n",
        "GET / http/1.1\r\nhost: a\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
        "SSH-2.0-x\r\n\r\n",
        "{\"json\": true}\r\n\r\n",
    ] {
        let text = raw_answer(&gateway, bytes.as_bytes()).await;
        assert!(!text.starts_with("HTTP/1.1 2"), "{bytes:?} was answered {text:?}");
        assert_eq!(upstream.counters().requests, 0, "{bytes:?}");
    }
}

#[tokio::test]
async fn a_refused_request_takes_what_follows_on_its_connection_with_it() {
    let (upstream, gateway) = pair().await;
    let mut client: Client = gateway.client().await;
    let bad = "GET / HTTP/1.1\r\n\r\n";
    let good = "GET /after HTTP/1.1\r\nhost: a\r\n\r\n";
    assert_eq!(client.ask(format!("{bad}{good}")).await.status, 400);
    client.closed().await;
    assert_eq!(upstream.counters().requests, 0);
}
