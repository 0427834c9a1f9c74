//! Aggregates: one request, several upstream calls, one JSON document (security.md, C5).

use std::net::SocketAddr;

use mocks::raw::{Gate, Raw, Script};
use mocks::{Mock, Rule};

use crate::support::h2::H2Client;
use crate::support::{Answer, Gateway, Issuer, echo};

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

pub(crate) fn status(status: u16, fields: &str) -> String {
    format!("HTTP/1.1 {status} No\r\n{fields}content-length: 2\r\n\r\nno")
}

pub(crate) async fn always(answer: &str) -> Raw {
    Raw::script(Script::always(answer)).await.unwrap()
}

pub(crate) async fn json(body: &str) -> Raw {
    always(&ok(body)).await
}

/// Sends so much, and no more.
pub(crate) async fn stalls_after(bytes: &str) -> Raw {
    Raw::script(Script::new().read_request().send(bytes).hang()).await.unwrap()
}

/// Upstreams `a`, `b` and so on, and an aggregate `board` at `/board/{id}` with these keys and parts.
pub(crate) fn text(upstreams: &[SocketAddr], keys: &str, parts: &[&str]) -> String {
    let upstream = |(number, address): (usize, &SocketAddr)| {
        let name = char::from(b'a' + u8::try_from(number).unwrap());
        format!(
            "[upstreams.{name}]\nendpoints = ['{address}']\n\
             breaker = {{ consecutive_failures = 2, open_for = '60s' }}\n"
        )
    };
    let upstreams: String = upstreams.iter().enumerate().map(upstream).collect();
    let parts: Vec<String> = parts.iter().map(|part| format!("  {{ {part} }},\n")).collect();
    format!(
        "{upstreams}[[aggregates]]\nname = 'board'\npath = '/board/{{id}}'\n{keys}\nparts = [\n{}]\n",
        parts.concat()
    )
}

pub(crate) async fn counted(gateway: &Gateway, part: &str, result: &str) -> Option<f64> {
    let labels = format!("aggregate=\"board\",part=\"{part}\",result=\"{result}\"");
    gateway.metric(&format!("gateway_aggregate_parts_total{{{labels}}}")).await
}

/// What an upstream was asked, one head each.
pub(crate) fn asked(upstream: &Raw) -> Vec<String> {
    let all = String::from_utf8(upstream.received().concat()).unwrap();
    all.split("\r\n\r\n").filter(|head| !head.is_empty()).map(str::to_owned).collect()
}

pub(crate) fn body(answer: &Answer) -> &str {
    std::str::from_utf8(&answer.body).unwrap()
}

/// The name of the part that a problem document is about.
pub(crate) fn failed_part(answer: &Answer) -> String {
    answer.json()["part"].as_str().expect("it names the part").to_owned()
}

#[tokio::test]
async fn parts_become_one_document_byte_for_byte() {
    let (a, b, c) = (json(" {\"n\": 1.0e0,\n\"n\":\"\\u00e9\"}\n").await, json("[]").await, json("7").await);
    let parts = [
        "name = 'user', upstream = 'a', path = '/users/{id}', required = true",
        "name = 'orders', upstream = 'b', path = '/orders?user={id}&all=1'",
        "name = 'x.y', upstream = 'c', path = '/'",
    ];
    let gateway = Gateway::start(&text(&[a.addr(), b.addr(), c.addr()], "", &parts)).await;
    let fields =
        "accept: text/html\r\naccept-encoding: gzip\r\nif-none-match: \"x\"\r\nrange: bytes=0-1\r\nx-mine: 1\r\n";
    let mut client = gateway.client().await;
    for _ in 0..2 {
        let answer = client.ask(format!("GET /board/42 HTTP/1.1\r\nhost: a.test\r\n{fields}\r\n")).await;
        let expected = "{\"user\": {\"n\": 1.0e0,\n\"n\":\"\\u00e9\"}\n,\"orders\":[],\"x.y\":7}";
        assert_eq!((answer.status, body(&answer)), (200, expected));
        assert_eq!(answer.header("content-length"), Some(&*expected.len().to_string()), "each length was known");
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!((answer.header("cache-control"), answer.header("x-aggregate-missing")), (Some("no-store"), None));
        assert!(answer.header("x-request-id").is_some());
    }
    let head = asked(&b).remove(0);
    assert!(head.starts_with("GET /orders?user=42&all=1 HTTP/1.1\r\n"), "{head}");
    for line in ["host: a.test", "x-mine: 1", "accept: application/json", "accept-encoding: identity", "x-request-id: "]
    {
        assert!(head.contains(&format!("\r\n{line}")), "{line} in {head}");
    }
    for absent in ["if-none-match", "range", "text/html", "gzip"] {
        assert!(!head.contains(absent), "{absent} in {head}");
    }
    assert_eq!((a.accepted(), b.accepted(), c.accepted()), (1, 1, 1), "connections are used again");
    let record = gateway.records(2).await.remove(0);
    assert_eq!((&record["route"], &record["parts"], &record["attempts"]), (&"board".into(), &3.into(), &3.into()));
    assert_eq!((&record["ended"], &record["code"]), (&"complete".into(), &"ok".into()));
    assert!(record["upstream_us"].is_u64() && record.get("upstream").is_none());
    assert_eq!(counted(&gateway, "x.y", "ok").await, Some(2.0));
    assert_eq!(gateway.in_flight(), 0);
}

#[tokio::test]
async fn a_part_that_needs_anothers_value_is_asked_with_it() {
    let (a, b) = (json("{\"tier\":\"go&ld=1/..\",\"team\":{\"ids\":[3,7]}}").await, json("true").await);
    let parts = [
        "name = 'more', upstream = 'b', path = '/teams/{user.team.ids.1}/{id}?tier={user.tier}&x=1'",
        "name = 'user', upstream = 'a', path = '/users/{id}', required = true",
    ];
    let gateway = Gateway::start(&text(&[a.addr(), b.addr()], "", &parts)).await;
    let answer = gateway.get("/board/a%3Fb").await;
    assert_eq!(body(&answer), "{\"more\":true,\"user\":{\"tier\":\"go&ld=1/..\",\"team\":{\"ids\":[3,7]}}}");
    let head = asked(&b).remove(0);
    assert!(head.starts_with("GET /teams/7/a%3Fb?tier=go%26ld%3D1%2F..&x=1 HTTP/1.1\r\n"), "{head}");
    assert!(asked(&a)[0].starts_with("GET /users/a%3Fb HTTP/1.1\r\n"));
}

#[tokio::test]
async fn c5_no_value_changes_what_an_upstream_is_asked_for() {
    for value in ["..", ".", "", "../admin", ".;x"] {
        let (a, b) = (json(&format!("{{\"name\":\"{value}\"}}")).await, json("1").await);
        let parts = [
            "name = 'user', upstream = 'a', path = '/users/{id}', required = true",
            "name = 'more', upstream = 'b', path = '/of/{user.name}/x', fallback = '[]'",
        ];
        let gateway = Gateway::start(&text(&[a.addr(), b.addr()], "", &parts)).await;
        let answer = gateway.get("/board/7&admin=true;x").await;
        assert_eq!((answer.status, &answer.json()["more"]), (200, &serde_json::json!([])), "{value:?}");
        assert_eq!(answer.header("x-aggregate-missing"), None, "its fallback is its answer");
        assert_eq!(gateway.record().await["parts_missing"], "more");
        assert_eq!((b.accepted(), counted(&gateway, "more", "unasked").await), (0, Some(1.0)));
        assert!(asked(&a)[0].starts_with("GET /users/7%26admin%3Dtrue%3Bx HTTP/1.1\r\n"));
    }
}

#[tokio::test]
async fn a_part_whose_values_are_needed_is_judged_before_the_answer_begins() {
    let (b, no_json) = (json("1").await, json("{\"a\":1").await);
    let cut =
        Raw::script(Script::new().read_request().send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{")).await.unwrap();
    let slow = stalls_after("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{").await;
    for (upstream, result) in [(no_json.addr(), "invalid"), (cut.addr(), "failed"), (slow.addr(), "timeout")] {
        let parts = [
            "name = 'a', upstream = 'a', path = '/', timeout = '200ms'",
            "name = 'b', upstream = 'b', path = '/?x={a.a}'",
        ];
        let gateway = Gateway::start(&text(&[upstream, b.addr()], "", &parts)).await;
        let answer = gateway.get("/board/1").await;
        assert_eq!((answer.status, body(&answer)), (200, "{\"a\":null,\"b\":null}"));
        assert_eq!(
            (counted(&gateway, "a", result).await, counted(&gateway, "b", "unasked").await),
            (Some(1.0), Some(1.0))
        );
    }
}

#[tokio::test]
async fn no_answer_is_larger_than_it_may_be() {
    let large = format!("\"{}\"", "x".repeat(3000));
    let chunked = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nbba\r\n{large}\r\n0\r\n\r\n");
    let (a, b) = (json(&large).await, always(&chunked).await);
    let keys = "max_response = '4000B'";
    let part = |upstream: &str, required: bool| {
        format!("name = '{upstream}', upstream = '{upstream}', path = '/', required = {required}")
    };
    // One is enough; of two, one that may be left out is.
    for (required, expected) in [(false, 200), (true, 502)] {
        let parts = ["name = 'one', upstream = 'a', path = '/', required = true".to_owned(), part("a", required)];
        let gateway = Gateway::start(&text(&[a.addr(), b.addr()], keys, &[&parts[0], &parts[1]])).await;
        let answer = gateway.get("/board/1").await;
        assert_eq!(answer.status, expected);
        if required {
            assert_eq!(answer.code(), "upstream_invalid");
        } else {
            assert_eq!(body(&answer), format!("{{\"one\":{large},\"a\":null}}"));
            assert_eq!(answer.header("x-aggregate-missing"), Some("a"));
        }
    }
    // A length that nobody told is counted.
    let parts = [part("a", true), part("b", true)];
    let gateway = Gateway::start(&text(&[a.addr(), b.addr()], keys, &[&parts[0], &parts[1]])).await;
    let answer = gateway.get("/board/1").await;
    assert_eq!((answer.status, answer.whole), (200, false));
    assert!(answer.body.len() <= 4000);
    assert_eq!(gateway.record().await["code"], "upstream_invalid");
    // A single part that is larger than the whole may be.
    let gateway = Gateway::start(&text(&[a.addr()], "max_response = '2000B'", &[&part("a", true)])).await;
    let answer = gateway.get("/board/1").await;
    assert_eq!((answer.status, &*answer.code(), &*failed_part(&answer)), (502, "upstream_invalid", "a"));
}

#[tokio::test]
async fn large_parts_stream_while_others_are_on_their_way() {
    let (large, gate) = (format!("[\"{}\"]", "é".repeat(200_000)), Gate::new());
    let a = json(&large).await;
    let late =
        Script::new().read_request().send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ntr").wait(&gate).send("ue");
    let b = Raw::script(late).await.unwrap();
    let parts = ["name = 'a', upstream = 'a', path = '/'", "name = 'b', upstream = 'b', path = '/'"];
    let gateway = Gateway::start(&text(&[a.addr(), b.addr()], "timeout = '60s'", &parts)).await;
    let mut client = gateway.client().await;
    client.send("GET /board/1 HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let head = client.head().await;
    let length: usize = head.header("content-length").unwrap().parse().unwrap();
    let expected = format!("{{\"a\":{large},\"b\":true}}");
    assert_eq!(length, expected.len());
    let first = client.bytes(length - 10).await;
    assert_eq!(first, expected.as_bytes()[..length - 10], "it is there before the other's body is");
    gate.open();
    assert_eq!(client.bytes(10).await, expected.as_bytes()[length - 10..]);
}

#[tokio::test]
async fn identity_and_limits_are_the_aggregates_and_each_part_is_told_who_asks() {
    let (a, b, issuer) = (json("1").await, json("2").await, Issuer::new("k1"));
    let parts = ["name = 'a', upstream = 'a', path = '/'", "name = 'b', upstream = 'b', path = '/'"];
    let keys = "auth = { providers = ['main'], scopes = ['read'] }\nrate_limits = ['two']";
    let limit = "[rate_limits.two]\nrate = '2/h'\nburst = 2\nkey = 'subject'\n";
    let text = format!("{}{limit}{}", text(&[a.addr(), b.addr()], keys, &parts), issuer.provider(""));
    let gateway = Gateway::start(&text).await;
    assert_eq!(gateway.get("/board/1").await.code(), "unauthorized");
    let of = |scope: &str| issuer.token(&serde_json::json!({ "sub": "ada", "scope": scope }));
    let request = |token: &str| {
        format!("GET /board/1 HTTP/1.1\r\nhost: a\r\nx-auth-subject: root\r\nauthorization: Bearer {token}\r\n\r\n")
    };
    assert_eq!(gateway.ask(request(&of("none"))).await.code(), "forbidden");
    let token = of("read");
    for _ in 0..2 {
        let answer = gateway.ask(request(&token)).await;
        assert_eq!((answer.status, body(&answer)), (200, "{\"a\":1,\"b\":2}"));
        assert!(answer.header("ratelimit").is_some());
    }
    assert_eq!(gateway.ask(request(&token)).await.code(), "rate_limited");
    for upstream in [&a, &b] {
        let heads = asked(upstream);
        assert_eq!(heads.len(), 2);
        for head in heads {
            assert!(head.contains("\r\nx-auth-subject: ada\r\n") && !head.contains("root"), "{head}");
            assert!(!head.contains("authorization"), "{head}");
        }
    }
}

#[tokio::test]
async fn a_part_is_tried_again_like_any_call() {
    let flaky = Raw::scripts([Script::new().read_request().reset(), Script::always(ok("1"))]).await.unwrap();
    let parts = ["name = 'a', upstream = 'a', path = '/', required = true"];
    let gateway = Gateway::start(&text(&[flaky.addr()], "", &parts)).await;
    assert_eq!(body(&gateway.get("/board/1").await), "{\"a\":1}");
    assert_eq!(gateway.record().await["attempts"], 2);
    assert_eq!(gateway.metric("gateway_retries_total{upstream=\"a\",result=\"ok\"}").await, Some(1.0));
}

#[tokio::test]
async fn it_is_the_same_over_http_2_on_both_sides() {
    let (a, b) = (echo().await, json("[1]").await);
    let parts = ["name = 'a', upstream = 'a', path = '/a'", "name = 'b', upstream = 'b', path = '/'"];
    let text = text(&[a.addr(), b.addr()], "", &parts).replacen("breaker", "protocol = 'http2'\nbreaker", 1);
    let gateway = Gateway::start(&text).await;
    let mut client = H2Client::connect(gateway.address).await;
    for _ in 0..2 {
        let answer = client.get("/board/1").await;
        assert_eq!(answer.status, 200);
        let document = answer.json();
        assert_eq!((&document["a"]["path"], &document["b"]), (&"/a".into(), &serde_json::json!([1])));
    }
    assert_eq!(gateway.get("/board/1").await.status, 200);
}

#[tokio::test]
async fn each_part_has_its_own_edits_of_headers() {
    let (a, b) = (json("1").await, json("2").await);
    let parts = [
        "name = 'a', upstream = 'a', path = '/', request_headers = { set = { x-view = 'short' }, remove = ['cookie'] }",
        "name = 'b', upstream = 'b', path = '/'",
    ];
    let gateway = Gateway::start(&text(&[a.addr(), b.addr()], "", &parts)).await;
    let answer = gateway.ask("GET /board/1 HTTP/1.1\r\nhost: a\r\ncookie: s=1\r\nx-view: long\r\n\r\n").await;
    assert_eq!((answer.status, body(&answer)), (200, "{\"a\":1,\"b\":2}"));
    let [to_a, to_b] = [&a, &b].map(|up| asked(up)[0].to_lowercase());
    assert!(to_a.contains("\nx-view: short") && !to_a.contains("cookie") && !to_a.contains("long"), "{to_a}");
    assert!(to_b.contains("\nx-view: long") && to_b.contains("\ncookie: s=1"), "{to_b}");
    for head in [&to_a, &to_b] {
        assert!(head.contains("\naccept-encoding: identity") && head.contains("\nx-request-id: "), "{head}");
    }
    let told = gateway.admin("GET", "/routes").await.json()["routes"][0]["parts"][0].clone();
    assert_eq!(told, "a: GET / of a, optional, sets x-view, without cookie, within 2s");
}

#[tokio::test]
async fn a_part_is_told_values_of_the_request() {
    let a = json("1").await;
    let part = "name = 'a', upstream = 'a', path = '/x', request_headers = { add = { via = '1.1 gw' }, \
                set = { x-board = '{id}', x-uri = '{uri}', x-lang = '{header:accept-language}' } }";
    let gateway = Gateway::start(&text(&[a.addr()], "", &[part])).await;
    let fields = "accept-language: de\r\nx-board: 8\r\nvia: 1.0 me\r\n";
    assert_eq!(gateway.ask(format!("GET /board/7?x=1 HTTP/1.1\r\nhost: a\r\n{fields}\r\n")).await.status, 200);
    let sent = asked(&a)[0].to_lowercase();
    assert!(sent.starts_with("get /x "), "{sent}");
    for line in ["x-board: 7", "x-uri: /board/7?x=1", "x-lang: de", "via: 1.0 me", "via: 1.1 gw"] {
        assert!(sent.lines().any(|sent| sent == line), "{line}: {sent}");
    }
    assert!(!sent.contains("x-board: 8"), "{sent}");
    let told = gateway.admin("GET", "/routes").await.json()["routes"][0]["parts"][0].clone();
    assert_eq!(told, "a: GET /x of a, optional, sets x-board and x-uri and x-lang, adds via, within 2s");
}

#[tokio::test]
async fn operators_see_what_it_is_put_together_of() {
    let upstream = Mock::builder().rule(Rule::any().status(200)).start().await.unwrap();
    let parts = [
        "name = 'user', upstream = 'a', path = '/users/{id}', required = true, timeout = '500ms'",
        "name = 'more', upstream = 'a', path = '/more?t={user.tier}', fallback = '[]'",
    ];
    let gateway = Gateway::start(&text(&[upstream.addr()], "", &parts)).await;
    let expected = serde_json::json!([
        "user: GET /users/{id} of a, required, within 500ms",
        "more: GET /more?t={user.tier} of a, optional, within 2s, else 2 bytes of JSON",
    ]);
    let routes = gateway.admin("GET", "/routes").await.json();
    assert_eq!((routes["routes"].as_array().unwrap().len(), &routes["routes"][0]["parts"]), (1, &expected));
    let explained = gateway.admin("GET", "/explain?method=GET&url=/board/1").await.json();
    assert_eq!((&explained["routing"]["route"], &explained["policies"]["parts"]), (&"board".into(), &expected));
}
