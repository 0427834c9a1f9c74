//! HTTP/2 from clients: how a connection comes to speak it, and that a request is the same whatever it came by.

use http::Request;
use mocks::raw::{Gate, Raw, Script};
use mocks::{Effect, Rule};

use crate::support::h2::{
    END_HEADERS, END_STREAM, Frames, GET, H2Client, HEADERS, PREFACE, SETTINGS, block, frame, get, post,
};
use crate::support::{Authority, Client, Gateway, TlsClient, echo, one_route, quoted};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test]
async fn both_versions_are_spoken_on_one_port() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    let mut client = H2Client::connect(gateway.address).await;
    for path in ["/a?b=c", "/d"] {
        let answer = client.get(path).await;
        assert!(answer.header("x-request-id").is_some() && answer.header("date").is_some());
        assert_eq!((answer.header("connection"), answer.header("transfer-encoding")), (None, None));
        let echo = answer.echo();
        assert_eq!(echo.path(), path.split('?').next().unwrap());
        assert_eq!(echo.header("host"), Some("a.test"));
        assert_eq!(echo.forwarded(), "for=127.0.0.1;host=a.test;proto=http");
        assert_eq!(echo.header("x-forwarded-host"), Some("a.test"));
    }
    assert_eq!(gateway.get("/e").await.status, 200);
    let records = gateway.records(3).await;
    assert_eq!((&records[0]["protocol"], &records[0]["host"]), (&"HTTP/2".into(), &"a.test".into()));
    assert_eq!((&records[0]["path"], &records[0]["ended"]), (&"/a".into(), &"complete".into()));
    assert_eq!(records[2]["protocol"], "HTTP/1.1");
    assert_eq!(upstream.counters().accepts, 1, "all three went by one connection to the upstream");
}

#[tokio::test]
async fn a_preface_is_known_in_whatever_pieces_it_comes() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    let first =
        [PREFACE, &frame(SETTINGS, 0, 0, b""), &frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&GET))].concat();
    for at in [1, 3, 11, 12, 13, 18, 23, 24, 30, 40, first.len()] {
        let mut frames = Frames::silent(gateway.address).await;
        frames.send(&first[..at]).await;
        // What was sent has been read when another connection has been served by the same worker.
        assert_eq!(gateway.get("/").await.status, 200);
        frames.send(&first[at..]).await;
        let answer = frames.next_of(HEADERS).await.expect("an answer");
        assert_eq!(answer.stream, 1, "cut at {at}");
    }
}

#[tokio::test]
async fn a12_a_preface_where_http2_is_off_or_too_late_is_refused() {
    let upstream = echo().await;
    let off = Gateway::with("h2_max_concurrent_streams = 0", upstream.addr()).await;
    let answer = off.ask(PREFACE).await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "bad_request"));

    let on = Gateway::to(upstream.addr()).await;
    let mut client = on.client().await;
    assert_eq!(client.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.status, 200);
    let answer = client.ask(PREFACE).await;
    assert_eq!(answer.status, 400, "a connection does not change what it speaks");
    client.closed().await;
}

#[tokio::test]
async fn over_tls_the_handshake_decides() {
    let (upstream, authority) = (echo().await, Authority::new());
    let (cert, key) = authority.write("a", &["a.test"]);
    let tls = format!("tls = {{ cert = {}, key = {} }}", quoted(&cert), quoted(&key));
    let text = |server: &str| {
        format!("[[listeners]]\naddress = '127.0.0.1:0'\n{tls}\n\n{}", one_route(server, "", upstream.addr()))
    };
    let gateway = Gateway::start(&text("")).await;
    let mut client = H2Client::over_tls(gateway.address, authority.client(), "a.test").await;
    let request = Request::builder().uri("https://a.test/p").body(()).unwrap();
    let echo = client.send(request, "").await.echo();
    assert_eq!((echo.header("x-forwarded-proto"), echo.header("host")), (Some("https"), Some("a.test")));

    // A name that the connection was not opened for, and that its certificate does not hold for.
    let request = Request::builder().uri("https://b.test/").body(()).unwrap();
    let answer = client.send(request, "").await;
    assert_eq!((answer.status, answer.code().as_str()), (421, "misdirected"));

    let offering = |names: &[&[u8]]| {
        let mut config = authority.client();
        config.alpn_protocols = names.iter().map(|name| name.to_vec()).collect();
        config
    };
    for names in [&[&b"http/1.1"[..]][..], &[]] {
        let mut client = TlsClient::over_tls(gateway.address, offering(names), "a.test").await.unwrap();
        assert_eq!(client.ask("GET / HTTP/1.1\r\nhost: a.test\r\n\r\n").await.status, 200);
        let mut client = TlsClient::over_tls(gateway.address, offering(names), "a.test").await.unwrap();
        assert_eq!(client.ask(PREFACE).await.status, 400, "what was not agreed on is not spoken");
    }
    let off = Gateway::start(&text("h2_max_concurrent_streams = 0")).await;
    let offer = offering(&[b"h2", b"http/1.1"]);
    let mut client = TlsClient::over_tls(off.address, offer, "a.test").await.unwrap();
    assert_eq!(client.stream().get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    assert_eq!(client.ask("GET / HTTP/1.1\r\nhost: a.test\r\n\r\n").await.status, 200);
}

#[tokio::test]
async fn a_slow_answer_holds_no_other_up() {
    let gate = Gate::new();
    let slow = Raw::script(Script::new().read_request().wait(&gate).send(OK)).await.unwrap();
    let upstream = echo().await;
    let text = format!(
        "[[routes]]\npath = '/slow'\nupstream = 'http://{}'\n[[routes]]\npath = '/{{*rest}}'\nupstream = 'http://{}'\n",
        slow.addr(),
        upstream.addr()
    );
    let gateway = Gateway::start(&text).await;
    let mut client = H2Client::connect(gateway.address).await;
    let waiting = client.begin(get("/slow"), true).await;
    slow.wait_for_accepts(1).await;
    for _ in 0..20 {
        assert_eq!(client.get("/quick").await.status, 200);
    }
    gate.open();
    let answer = waiting.answer().await;
    assert_eq!((answer.status, &answer.body[..]), (200, &b"ok"[..]));
    gateway.records(21).await;
    gateway.at_rest().await;
}

/// The status that a request gets in both versions, and the problem's code.
async fn both(gateway: &Gateway, method: &str, path: &str, fields: &[(&str, &str)]) -> [(u16, Option<String>); 2] {
    let code = |answer: &crate::support::Answer| {
        let problem = answer.header("content-type") == Some("application/problem+json");
        (answer.status, problem.then(|| answer.code()))
    };
    let lines: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let one = gateway.ask(format!("{method} {path} HTTP/1.1\r\nhost: a.test\r\n{lines}\r\n")).await;
    let mut request = Request::builder().method(method).uri(format!("http://a.test{path}"));
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let two = H2Client::connect(gateway.address).await.send(request.body(()).unwrap(), "").await;
    [code(&one), code(&two)]
}

#[tokio::test]
async fn a13_both_forms_of_a_request_come_to_the_same_decision() {
    let upstream = echo().await;
    let server = "max_headers = 20\nmax_header_bytes = '2KiB'\nmax_uri_bytes = '64B'";
    let gateway = Gateway::start(&one_route(server, "methods = ['GET', 'POST']", upstream.addr())).await;
    let long = "a".repeat(3000);
    // As much as the whole head may be, by HTTP/1's measure, and a byte more.
    let most = 2048 - "GET / HTTP/1.1\r\nhost: a.test\r\nx: \r\n\r\n".len();
    let (fits, exceeds) = ("a".repeat(most), "a".repeat(most + 1));
    let path = format!("/{}", "p".repeat(64));
    let many: Vec<(String, String)> = (0..25).map(|at| (format!("x-{at}"), String::new())).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (&**name, &**value)).collect();
    for (method, path, fields, status) in [
        ("GET", "/plain", &[][..], 200),
        ("GET", "/a/../b", &[], 200),
        ("GET", "//merged", &[], 200),
        ("GET", "/a%2fb", &[], 400),
        ("GET", "/a%5cb", &[], 400),
        ("GET", "/%00", &[], 400),
        ("GET", "/a%2f..%2fb", &[], 400),
        ("GET", "/", &[("x_user_id", "1")], 400),
        ("GET", "/", &[("expect", "tea")], 417),
        ("GET", "/", &[("x", &fits)], 200),
        ("GET", "/", &[("x", &exceeds)], 431),
        ("GET", "/", &[("x", &long)], 431),
        ("GET", "/", &many, 431),
        ("GET", &path, &[], 414),
        ("DELETE", "/", &[], 405),
        ("TRACE", "/", &[], 405),
        ("UNKNOWN", "/", &[], 405),
    ] {
        let [one, two] = both(&gateway, method, path, fields).await;
        assert_eq!(one, two, "{method} {path} {fields:?}");
        assert_eq!(one.0, status, "{method} {path} {fields:?}");
    }
}

#[tokio::test]
async fn b_what_a_client_may_not_say_is_gone_here_too() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    let mut client = H2Client::connect(gateway.address).await;
    let mut request = Request::builder().uri("http://a.test/");
    for (name, value) in [
        ("x-forwarded-for", "203.0.113.9"),
        ("forwarded", "for=203.0.113.9"),
        ("x-real-ip", "203.0.113.9"),
        ("x-gw-timeout", "1"),
        ("proxy-authorization", "x"),
        ("cookie", "a=1"),
        ("cookie", "b=2"),
        ("te", "trailers"),
        ("x-kept", "1"),
    ] {
        request = request.header(name, value);
    }
    let echo = client.send(request.body(()).unwrap(), "").await.echo();
    assert_eq!(echo.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(echo.forwarded(), "for=127.0.0.1;host=a.test;proto=http");
    for name in ["x-real-ip", "x-gw-timeout", "proxy-authorization"] {
        assert_eq!(echo.header(name), None, "{name}");
    }
    assert_eq!(echo.header("cookie"), Some("a=1; b=2"), "crumbs are one field to HTTP/1.1");
    assert_eq!((echo.header("te"), echo.header("x-kept")), (Some("trailers"), Some("1")));
}

#[tokio::test]
async fn options_of_the_gateway_itself_and_connect_are_answered_by_it() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    let connect = Request::builder().method("CONNECT").uri("a.test:443").body(()).unwrap();
    let answer = H2Client::connect(gateway.address).await.send(connect, "").await;
    assert_eq!((answer.status, answer.code().as_str()), (405, "method_not_allowed"));
    let mut frames = Frames::connect(gateway.address).await;
    let options = [(":method", "OPTIONS"), (":scheme", "http"), (":path", "*"), (":authority", "a.test")];
    frames.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&options))).await;
    let answer = frames.next_of(HEADERS).await.expect("an answer");
    assert_eq!((answer.flags & END_STREAM, answer.payload[0]), (END_STREAM, 0x89), "204 of the static table");
    assert_eq!(upstream.counters().requests, 0);
}

#[tokio::test]
async fn callers_of_grpc_are_told_in_their_own_words() {
    let upstream = echo().await;
    upstream.set_rules([Rule::any().effect(Effect::Hang)]);
    let text = format!(
        "[[routes]]\npath = '/s/Slow'\nupstream = 'http://{0}'\ntimeout = '50ms'\n\
         [[routes]]\npath = '/s/Dead'\nupstream = 'http://127.0.0.1:9'\n",
        upstream.addr()
    );
    let gateway = Gateway::start(&text).await;
    let mut client = H2Client::connect(gateway.address).await;
    for (path, status, code) in [
        ("/s/Nobody", "12", "route_not_found"),
        ("/s/Slow", "4", "upstream_timeout"),
        ("/s/Dead", "14", "upstream_connect"),
    ] {
        let mut request = post(path);
        request.headers_mut().insert("content-type", "application/grpc+proto".parse().unwrap());
        request.headers_mut().insert("te", "trailers".parse().unwrap());
        let answer = client.send(request, "").await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/grpc")));
        assert_eq!(answer.header("grpc-status"), Some(status), "{path}");
        assert!(answer.header("grpc-message").is_some_and(|message| !message.is_empty()));
        assert!(answer.body.is_empty() && answer.header("x-request-id").is_some());
        assert_eq!(answer.header("cache-control"), Some("no-store"), "a refusal that says 200 is nobody's to keep");
        let records = gateway.records(gateway_records(path)).await;
        assert_eq!(records.last().unwrap()["code"], code);
        assert_ne!(records.last().unwrap()["status"], 200, "the record says what others would have got");
    }
    assert_eq!(client.get("/s/Nobody").await.code(), "route_not_found", "and others get a document");
}

/// Records that there are after the call of this path.
fn gateway_records(path: &str) -> usize {
    ["/s/Nobody", "/s/Slow", "/s/Dead"].iter().position(|known| *known == path).unwrap() + 1
}

#[tokio::test]
async fn limits_of_connections_hold_whatever_is_spoken() {
    let upstream = echo().await;
    let gateway = Gateway::with("max_connections = 1", upstream.addr()).await;
    let mut first = H2Client::connect(gateway.address).await;
    assert_eq!(first.get("/").await.status, 200);
    let mut second = Client::connect(gateway.address).await;
    assert_eq!(second.answer().await.status, 503);
    assert_eq!(first.get("/").await.status, 200);
}

#[tokio::test]
async fn b3_the_client_that_a_balancer_announces_is_every_requests_client() {
    let upstream = echo().await;
    let listener = "[[listeners]]\naddress = '127.0.0.1:0'\nproxy_protocol = true\n\n";
    let route = one_route("trusted_proxies = ['127.0.0.1/32']", "", upstream.addr());
    let gateway = Gateway::start(&format!("{listener}{route}")).await;
    let mut frames = Frames::silent(gateway.address).await;
    let ask = |stream| frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(&GET));
    let line = b"PROXY TCP4 203.0.113.7 10.0.0.1 51234 443\r\n";
    frames.send([line, PREFACE, &frame(SETTINGS, 0, 0, b""), &ask(1), &ask(3)].concat()).await;
    for _ in 0..2 {
        frames.next_of(HEADERS).await.expect("an answer");
    }
    let records = gateway.records(2).await;
    let is_theirs = |record: &serde_json::Value| record["client"] == "203.0.113.7" && record["protocol"] == "HTTP/2";
    assert!(records.iter().all(is_theirs), "{records:?}");
}
