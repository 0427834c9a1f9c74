//! HTTP/2 to upstreams: a request is the same whatever its client and its upstream speak, and framing stays exact.

use bytes::Bytes;
use http::{HeaderMap, Request};
use mocks::Rule;

use crate::support::h2::{Call, H2Client, get, head, post, rest};
use crate::support::h2_upstream::{H2Upstream, send};
use crate::support::{Authority, Gateway, echo, eventually, guarded, quoted};

/// One route to one upstream that speaks HTTP/2.
pub(crate) fn text(upstream: &str, route: &str, address: std::net::SocketAddr) -> String {
    format!(
        "[upstreams.up]\nendpoints = ['{address}']\nprotocol = 'http2'\n{upstream}\n\n\
         [[routes]]\nname = 'all'\npath = '/{{*rest}}'\nupstream = 'up'\n{route}\n"
    )
}

#[tokio::test]
async fn requests_share_one_connection_and_are_the_same_whatever_their_client_speaks() {
    let upstream = echo().await;
    let gateway = Gateway::start(&text("", "", upstream.addr())).await;
    let request = "GET /a?b=c HTTP/1.1\r\nhost: a.test\r\nx: 1\r\nx: 2\r\nte: trailers\r\nconnection: te, x-hop\r\n\
                   x-hop: 1\r\ncookie: a=1; b=2\r\n\r\n";
    let one = gateway.ask(request).await;
    let mut client = H2Client::connect(gateway.address).await;
    let mut asked = get("/a?b=c");
    for (name, value) in [("x", "1"), ("x", "2"), ("te", "trailers"), ("cookie", "a=1"), ("cookie", "b=2")] {
        asked.headers_mut().append(name, value.parse().unwrap());
    }
    let two = client.send(asked, "").await;
    for answer in [one, two] {
        assert!(answer.header("x-request-id").is_some() && answer.header("date").is_some());
        let echo = answer.echo();
        assert_eq!((echo.path(), echo.get("query")), ("/a", &"b=c".into()));
        assert_eq!((echo.all(":authority"), echo.all(":scheme")), (vec!["a.test"], vec!["http"]));
        assert_eq!((echo.all("host").len(), echo.all("x"), echo.all("te")), (0, vec!["1", "2"], vec!["trailers"]));
        assert_eq!(echo.all("cookie"), ["a=1; b=2"]);
        assert_eq!(echo.forwarded(), "for=127.0.0.1;host=a.test;proto=http");
        assert_eq!(echo.header("x-forwarded-host"), Some("a.test"));
        assert!(echo.header("traceparent").is_some() && echo.header("x-request-timeout-ms").is_some());
        for name in ["connection", "x-hop", "transfer-encoding", "content-length"] {
            assert_eq!(echo.header(name), None, "{name}");
        }
    }
    assert_eq!(upstream.counters().accepts, 1);
    eventually("both are over", || gateway.upstream_connections() == (1, 1)).await;
    assert_eq!(gateway.metric("gateway_upstream_connections{upstream=\"up\",state=\"idle\"}").await, Some(1.0));
    let shown = gateway.admin("GET", "/upstreams").await.json()["upstreams"][0].clone();
    assert_eq!(shown["protocol"], "HTTP/2");
}

#[tokio::test]
async fn requests_at_once_are_calls_on_one_connection() {
    let mut upstream = H2Upstream::start().await;
    let gateway = Gateway::start(&text("", "", upstream.address)).await;
    let mut client = H2Client::connect(gateway.address).await;
    let (mut calls, mut asked) = (Vec::new(), Vec::new());
    for n in 0..20 {
        calls.push(client.begin(get(&format!("/{n}")), true).await);
    }
    for _ in 0..20 {
        asked.push(upstream.next().await);
    }
    assert_eq!((upstream.accepted(), gateway.upstream_connections(), gateway.in_flight()), (1, (1, 0), 20));
    for asked in asked.into_iter().rev() {
        let path = asked.path().to_owned();
        asked.answer(&path);
    }
    for (n, call) in calls.into_iter().enumerate() {
        assert_eq!(call.answer().await.body, format!("/{n}").into_bytes());
    }
    gateway.at_rest().await;
}

#[tokio::test]
async fn the_host_is_whose_the_route_says() {
    let upstream = echo().await;
    for (route, expected) in [
        ("host = 'upstream'", upstream.addr().to_string()),
        ("host = 'b.test'", "b.test".to_owned()),
        ("request_headers = { set = { x-added = '1' } }", "a.test".to_owned()),
    ] {
        let gateway = Gateway::start(&text("", route, upstream.addr())).await;
        let echo = gateway.get("/").await.echo();
        assert_eq!(echo.all(":authority"), [expected], "{route}");
        assert_eq!(echo.header("x-added"), route.contains("x-added").then_some("1"));
    }
    let gateway = Gateway::start(&text("", "", upstream.addr())).await;
    let echo = gateway.ask("GET / HTTP/1.0\r\n\r\n").await.echo();
    assert_eq!(echo.all(":authority"), [upstream.addr().to_string()], "an old client names none");
}

#[tokio::test]
async fn large_bodies_pass_both_ways_with_their_length_or_without() {
    let upstream = echo().await;
    let gateway = Gateway::start(&text("", "", upstream.addr())).await;
    let body = "x".repeat(1_000_000);
    let mut client = gateway.client().await;
    let sized = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let echo = client.ask(sized).await.echo();
    assert_eq!((echo.get("body_bytes"), echo.header("content-length")), (&1_000_000.into(), Some("1000000")));
    let chunked = format!(
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
        body.len()
    );
    let echo = client.ask(chunked).await.echo();
    assert_eq!((echo.get("body_bytes"), echo.header("content-length")), (&1_000_000.into(), None));
    let echo = client.ask("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n").await.echo();
    assert_eq!((echo.get("body_bytes"), echo.header("content-length")), (&0.into(), Some("0")));
    let answer = client.ask("GET /bytes/1000000 HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!((answer.body.len(), answer.header("content-length"), answer.whole), (1_000_000, Some("1000000"), true));
    let answer = client.ask("GET /stream/3/1 HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!((answer.header("transfer-encoding"), answer.whole), (Some("chunked"), true));

    let mut client = H2Client::connect(gateway.address).await;
    let echo = client.send(post("/"), Bytes::from(body)).await.echo();
    assert_eq!(echo.get("body_bytes"), 1_000_000);
    let answer = client.get("/bytes/1000000").await;
    assert_eq!((answer.body.len(), answer.whole), (1_000_000, true));
    assert_eq!(upstream.counters().accepts, 1);
    assert_eq!(gateway.records(7).await[0]["bytes_in"], 1_000_000);
}

#[tokio::test]
async fn a_last_part_that_ends_its_stream_is_framed_exactly_whatever_its_size() {
    let mut upstream = H2Upstream::start().await;
    let gateway = Gateway::start(&text("", "", upstream.address)).await;
    let mut client = gateway.client().await;
    for size in [1, 8 * 1024, 8 * 1024 + 1, 16 * 1024, 40_000] {
        client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let mut stream = upstream.next().await.begin(200, &[]);
        assert!(send(&mut stream, Bytes::from(vec![b'x'; size]), true).await);
        let answer = client.answer().await;
        assert_eq!((answer.body.len(), answer.whole), (size, true));
        assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
    }
}

#[tokio::test]
async fn answers_without_a_body_have_none() {
    let mut upstream = H2Upstream::start().await;
    let gateway = Gateway::start(&text("", "", upstream.address)).await;
    let mut client = gateway.client().await;
    for (method, status, fields, expected) in [
        ("HEAD", 200, &[("content-length", "4096")][..], Some("4096")),
        ("GET", 304, &[("content-length", "7"), ("etag", "\"1\"")], Some("7")),
        ("GET", 204, &[], None),
        ("GET", 200, &[], Some("0")),
    ] {
        for separate_end in [false, true] {
            let request = format!("{method} / HTTP/1.1\r\nhost: a\r\n\r\n");
            client.send(request).await;
            let mut asked = upstream.next().await;
            if separate_end {
                asked.begin(status, fields).send_data(Bytes::new(), true).unwrap();
            } else {
                asked.head_only(status, fields);
            }
            let mut answer = client.head().await;
            assert_eq!(answer.status, status);
            if method == "GET" {
                client.body_of(&mut answer).await;
            }
            let length = answer.header("content-length");
            assert!(length == expected || separate_end && status == 200, "{method} {status}: {answer:?}");
            assert!(answer.body.is_empty() && answer.header("etag") == (status == 304).then_some("\"1\""));
        }
    }
    gateway.at_rest().await;
    assert_eq!(upstream.accepted(), 1);
}

#[tokio::test]
async fn trailers_pass_both_ways_and_are_screened() {
    let mut upstream = H2Upstream::start().await;
    let gateway = Gateway::start(&text("", "", upstream.address)).await;
    let mut one = gateway.client().await;
    let mut two = H2Client::connect(gateway.address).await;
    for over_http2 in [false, true] {
        let call = if over_http2 {
            let mut call = two.begin(post("/"), false).await;
            call.body.send_data("hello".into(), false).unwrap();
            let mut trailers = HeaderMap::new();
            trailers.insert("x-sum", "1".parse().unwrap());
            trailers.insert("content-type", "no".parse().unwrap());
            call.body.send_trailers(trailers).unwrap();
            Some(call)
        } else {
            one.send(
                "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\
                      x-sum: 1\r\ncontent-type: no\r\n\r\n",
            )
            .await;
            None
        };
        let mut asked = upstream.next().await;
        let (body, trailers) = asked.read().await.unwrap();
        let trailers = trailers.expect("trailers");
        assert_eq!((&body[..], trailers.len(), &trailers["x-sum"]), (&b"hello"[..], 1, &"1".parse().unwrap()));
        let mut stream = asked.begin(200, &[]);
        stream.send_data("world".into(), false).unwrap();
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().unwrap());
        trailers.insert("content-length", "9".parse().unwrap());
        stream.send_trailers(trailers).unwrap();
        let answer = match call {
            Some(call) => call.answer().await,
            None => one.answer().await,
        };
        assert_eq!((&answer.body[..], answer.whole), (&b"world"[..], true));
        assert_eq!(answer.trailers, [("grpc-status".to_owned(), "0".to_owned())]);
    }
}

#[tokio::test]
async fn an_answer_that_comes_early_is_passed_on_and_the_rest_of_the_request_is_not_wanted() {
    let mut upstream = H2Upstream::start().await;
    let gateway = Gateway::start(&text("", "", upstream.address)).await;
    let mut client = H2Client::connect(gateway.address).await;
    let mut call = client.begin(post("/"), false).await;
    call.body.send_data("a part".into(), false).unwrap();
    let mut asked = upstream.next().await;
    assert_eq!(guarded("a part", asked.request.body_mut().data()).await.unwrap().unwrap(), "a part");
    let mut stream = asked.begin(413, &[]);
    stream.send_data("no".into(), true).unwrap();
    // What is left of the request is not wanted: its stream is reset without blame.
    drop((stream, asked));
    let (mut answer, mut body) = head(call.answer).await.unwrap();
    assert_eq!(answer.status, 413);
    rest(&mut answer, &mut body).await.unwrap();
    assert_eq!(answer.body, b"no");
    assert_eq!(gateway.record().await["ended"], "complete");
    gateway.at_rest().await;
}

#[tokio::test]
async fn interim_answers_are_swallowed() {
    let mut upstream = H2Upstream::start().await;
    let gateway = Gateway::start(&text("", "", upstream.address)).await;
    let mut client = gateway.client().await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut asked = upstream.next().await;
    for _ in 0..40 {
        let early = http::Response::builder().status(103).header("link", "</a>").body(()).unwrap();
        asked.respond.send_informational(early).unwrap();
    }
    asked.answer("ok");
    let answer = client.answer().await;
    assert_eq!((answer.status, &answer.body[..]), (200, &b"ok"[..]));
}

#[tokio::test]
async fn d_a_slow_reader_holds_up_nobody_beside_it_and_little_is_held_for_it() {
    let mut upstream = H2Upstream::start().await;
    let gateway = Gateway::start(&text("", "", upstream.address)).await;
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(1000);
    let mut slow = H2Client::with(gateway.address, builder).await;
    // Each takes nothing beyond its first window; together they could fill a window that all share.
    let mut waiting = Vec::new();
    for n in 0..30 {
        let call = slow.begin(get(&format!("/slow/{n}")), true).await;
        let mut asked = upstream.next().await;
        let mut stream = asked.begin(200, &[]);
        waiting.push((
            call,
            tokio::spawn(async move {
                let _asked = asked;
                send(&mut stream, Bytes::from(vec![b'x'; 2_000_000]), true).await
            }),
        ));
    }
    let mut quick = gateway.client().await;
    for _ in 0..5 {
        quick.send("GET /quick HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let mut asked = upstream.next().await;
        assert_eq!(asked.connection, 0, "it is the connection that all share");
        let mut stream = asked.begin(200, &[]);
        assert!(send(&mut stream, Bytes::from(vec![b'y'; 500_000]), true).await);
        assert_eq!(quick.answer().await.body.len(), 500_000);
    }
    for (_, sending) in &waiting {
        assert!(!sending.is_finished(), "what the client does not take stays with the upstream");
    }
    let (call, sending) = waiting.pop().unwrap();
    assert_eq!(call.answer().await.body.len(), 2_000_000);
    assert!(sending.await.unwrap());
    drop(waiting);
    drop(slow);
    gateway.at_rest().await;
}

#[tokio::test]
async fn d_an_upstream_that_takes_no_body_stops_its_client_and_nobody_else() {
    let mut upstream = H2Upstream::start().await;
    let gateway = Gateway::start(&text("", "", upstream.address)).await;
    let mut client = H2Client::connect(gateway.address).await;
    let Call { answer, mut body } = client.begin(post("/"), false).await;
    let mut asked = upstream.next().await;
    let sending = tokio::spawn(async move { send(&mut body, Bytes::from(vec![b'x'; 3_000_000]), true).await });
    for _ in 0..5 {
        let beside = client.begin(get("/beside"), true).await;
        upstream.next().await.answer("ok");
        assert_eq!(beside.answer().await.status, 200);
    }
    assert!(!sending.is_finished());
    assert_eq!(asked.read().await.unwrap().0.len(), 3_000_000);
    asked.answer("done");
    assert!(sending.await.unwrap());
    assert_eq!(head(answer).await.unwrap().0.status, 200);
}

#[tokio::test]
async fn over_tls_the_handshake_comes_to_http_2() {
    let authority = Authority::new();
    let tls = format!("tls = {{ ca = {}, sni = 'up.test' }}", quoted(&authority.file()));
    let mut upstream = H2Upstream::over_tls(authority.server(&["up.test"]), &[b"h2", b"http/1.1"]).await;
    let gateway = Gateway::start(&text(&tls, "", upstream.address)).await;
    for _ in 0..3 {
        let mut client = gateway.client().await;
        client.send("GET / HTTP/1.1\r\nhost: a.test\r\n\r\n").await;
        let asked = upstream.next().await;
        assert_eq!(asked.request.uri().scheme_str(), Some("https"));
        asked.answer("ok");
        assert_eq!(client.answer().await.status, 200);
    }
    assert_eq!(upstream.accepted(), 1);

    for protocols in [&[][..], &[&b"http/1.1"[..]]] {
        let upstream = H2Upstream::over_tls(authority.server(&["up.test"]), protocols).await;
        let gateway = Gateway::start(&text(&tls, "", upstream.address)).await;
        let answer = gateway.get("/").await;
        assert_eq!((answer.status, answer.code().as_str()), (502, "upstream_connect"), "{protocols:?}");
    }
}

#[tokio::test]
async fn rules_of_retries_and_breakers_see_the_same_outcomes() {
    let upstream = echo().await;
    upstream.set_rules([Rule::any().status(503)]);
    let breaker = "breaker = { consecutive_failures = 3 }";
    let gateway = Gateway::start(&text(breaker, "retry = { attempts = 2 }", upstream.addr())).await;
    assert_eq!(gateway.get("/").await.status, 503);
    assert_eq!(gateway.record().await["attempts"], 2);
    assert_eq!(gateway.get("/").await.status, 503);
    assert_eq!(gateway.get("/").await.code(), "breaker_open");
    assert_eq!(upstream.counters().requests, 3);
}

#[tokio::test]
async fn bodies_that_may_go_again_do_so_byte_for_byte() {
    let mut upstream = H2Upstream::start().await;
    let gateway = Gateway::start(&text("", "retry = { attempts = 2, on = ['503'] }", upstream.address)).await;
    let mut client = gateway.client().await;
    client.send("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello").await;
    for status in [503, 200] {
        let mut asked = upstream.next().await;
        assert_eq!(asked.header("content-length"), Some("5"));
        assert_eq!(asked.read().await.unwrap().0, b"hello");
        asked.head_only(status, &[]);
    }
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn a_body_beyond_the_limit_never_looks_whole_upstream() {
    let mut upstream = H2Upstream::start().await;
    let gateway = Gateway::start(&text("", "max_body = '10B'", upstream.address)).await;
    let mut client = H2Client::connect(gateway.address).await;
    let Call { answer, mut body } = client.begin(post("/"), false).await;
    body.send_data("12345".into(), false).unwrap();
    let mut asked = upstream.next().await;
    assert_eq!(guarded("a part", asked.request.body_mut().data()).await.unwrap().unwrap(), "12345");
    body.send_data("678901".into(), true).unwrap();
    let (answer, _body) = head(answer).await.unwrap();
    assert_eq!(answer.status, 413);
    assert!(asked.read().await.is_err(), "it is reset");
    let beside = client.begin(Request::builder().uri("http://a.test/").body(()).unwrap(), true).await;
    upstream.next().await.answer("ok");
    assert_eq!((beside.answer().await.status, upstream.accepted()), (200, 1));
}
