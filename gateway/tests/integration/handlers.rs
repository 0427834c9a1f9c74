//! Handlers of the program around the gateway as routes: what holds for upstreams holds for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::{Body, Bytes};
use axum::extract::Path;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::IntoResponse;
use axum::routing::{any, get, post};
use axum::{Extension, Router};
use gateway::prelude::RequestInfo;

use crate::support::h2::H2Client;
use crate::support::{Gateway as Served, Issuer, eventually};

fn route(path: &str, handler: &str, keys: &str) -> String {
    format!("[[routes]]\nname = '{handler}'\npath = '{path}'\nhandler = '{handler}'\n{keys}\n")
}

/// What a handler was told, a line each.
async fn told(Extension(info): Extension<RequestInfo>, uri: Uri, headers: HeaderMap, body: Bytes) -> String {
    let parameters: Vec<String> = info.parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut lines = vec![
        format!("uri {uri}"),
        format!("route {} {}", info.route, parameters.join(",")),
        format!("subject {}", info.subject().unwrap_or("-")),
        format!("client {}", info.client),
        format!("body {}", body.len()),
    ];
    lines.extend(headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())));
    lines.join("\n")
}

#[tokio::test]
async fn a_handler_is_told_what_an_upstream_is_told_and_answers_like_one() {
    let text = "[server]\nown_headers = { x-own = 'gateway' }\n".to_owned()
        + &route(
            "/api/{id}/{*rest}",
            "told",
            "rewrite = { path = '/v2/{id}/{rest}' }\nrequest_headers = { set = { x-set = '1' }, remove = ['x-gone'] }\n\
             response_headers = { set = { x-answer = '1' } }",
        );
    let gateway = Served::built(&text, |builder| builder.handler("told", any(told))).await;
    let mut client = gateway.client().await;
    let request = "POST /api/a%20b/x/../y?q=1 HTTP/1.1\r\nhost: a.test\r\nx-auth-subject: forged\r\nx-gone: 1\r\n\
                   connection: x-hop\r\nx-hop: 1\r\nx-forwarded-for: 6.6.6.6\r\nx-request-id: forged\r\n\
                   content-length: 5\r\n\r\nhello";
    for _ in 0..2 {
        let answer = client.ask(request).await;
        let text = String::from_utf8(answer.body.clone()).unwrap();
        let has = |line: &str| text.lines().any(|other| other == line);
        for line in [
            "uri /v2/a%20b/y?q=1",
            "route told id=a%20b,rest=y",
            "subject -",
            "client 127.0.0.1",
            "body 5",
            "host: a.test",
            "x-set: 1",
            "x-forwarded-for: 127.0.0.1",
            "x-forwarded-host: a.test",
        ] {
            assert!(has(line), "{line:?} of\n{text}");
        }
        for gone in ["x-auth-subject", "x-gone", "x-hop", "connection", "forged", "6.6.6.6"] {
            assert!(!text.contains(gone), "{gone:?} of\n{text}");
        }
        assert!(text.contains("traceparent: 00-"), "{text}");
        let id = answer.header("x-request-id").unwrap();
        assert!(has(&format!("x-request-id: {id}")), "{text}");
        assert_eq!(
            (answer.status, answer.header("x-answer"), answer.header("x-own")),
            (200, Some("1"), Some("gateway"))
        );
        assert_eq!(answer.header("content-length"), Some(&*text.len().to_string()));
    }
    let record = gateway.records(2).await.remove(1);
    assert_eq!((&record["status"], &record["code"], &record["route"]), (&200.into(), &"ok".into(), &"told".into()));
    assert_eq!((&record["bytes_in"], &record["attempts"]), (&5.into(), &0.into()), "{record}");
    assert!(record["bytes_out"].as_u64() > Some(0) && record["upstream"].is_null(), "{record}");
    let count = gateway.metric("gateway_requests_total{route=\"told\",status_class=\"2xx\",code=\"ok\"}").await;
    assert_eq!(count, Some(2.0));
}

#[tokio::test]
async fn policies_of_its_route_hold_and_it_learns_who_asks() {
    let issuer = Issuer::new("k1");
    let text = issuer.provider("")
        + "\n[rate_limits.few]\nrate = '1/h'\nburst = 2\nkey = 'subject'\n"
        + &route("/{*rest}", "told", "auth = { providers = ['main'] }\nrate_limits = ['few']");
    let gateway = Served::built(&text, |builder| builder.handler("told", any(told))).await;
    assert_eq!(gateway.get("/x").await.status, 401);
    let token = issuer.token(&serde_json::json!({ "sub": "me" }));
    let ask = format!("GET /x HTTP/1.1\r\nhost: a.test\r\nauthorization: Bearer {token}\r\n\r\n");
    for left in ["1", "0"] {
        let answer = gateway.ask(&ask).await;
        let text = String::from_utf8(answer.body.clone()).unwrap();
        assert!(text.contains("\nsubject me\n") && text.contains("\nx-auth-subject: me"), "{text}");
        assert!(!text.contains(&token), "the credential stays with the gateway");
        assert!(answer.header("ratelimit").is_some_and(|state| state.contains(&format!("r={left}"))), "{answer:?}");
    }
    assert_eq!(gateway.ask(&ask).await.status, 429);
}

#[tokio::test]
async fn a_router_is_a_handler_too_and_sees_the_rewritten_path() {
    let router = Router::new()
        .route("/items/{id}", get(|Path(id): Path<String>| async move { format!("item {id}") }))
        .route("/items", post(|| async { (StatusCode::CREATED, "made") }));
    let text = route("/shop/{*rest}", "shop", "rewrite = { strip_prefix = '/shop' }");
    let gateway = Served::built(&text, |builder| builder.handler("shop", router)).await;
    assert_eq!(gateway.get("/shop/items/7").await.body, b"item 7");
    let made = gateway.ask("POST /shop/items HTTP/1.1\r\nhost: a.test\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!((made.status, &made.body[..]), (201, &b"made"[..]));
    let wrong = gateway.ask("DELETE /shop/items/7 HTTP/1.1\r\nhost: a.test\r\n\r\n").await;
    assert_eq!((wrong.status, wrong.header("allow")), (405, Some("GET,HEAD")));
    assert_eq!(gateway.get("/shop/other").await.status, 404);
    let records = gateway.records(4).await;
    assert!(records.iter().all(|record| record["code"] == "ok"), "it is the handler's own word: {records:?}");
}

/// Handlers that never answer: how many began, and how many were dropped.
#[derive(Clone, Default)]
struct Endless {
    began: Arc<AtomicUsize>,
    dropped: Arc<AtomicUsize>,
}

impl Drop for Endless {
    fn drop(&mut self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

impl Endless {
    fn handler(&self) -> axum::routing::MethodRouter {
        let (began, dropped) = (Arc::clone(&self.began), Arc::clone(&self.dropped));
        any(move || {
            began.fetch_add(1, Ordering::Relaxed);
            let held = Self { began: Arc::default(), dropped: Arc::clone(&dropped) };
            async move {
                let _held = held;
                std::future::pending::<String>().await
            }
        })
    }

    fn seen(&self) -> (usize, usize) {
        (self.began.load(Ordering::Relaxed), self.dropped.load(Ordering::Relaxed))
    }
}

fn posted(path: &str, body: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: a.test\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn a_handler_has_the_time_that_its_route_gives_and_no_longer_than_its_client_stays() {
    let endless = Endless::default();
    let text = route("/never", "never", "timeout = '50ms'") + &route("/forever", "forever", "timeout = '0s'");
    let gateway = Served::built(&text, |builder| {
        builder.handler("never", endless.handler()).handler("forever", endless.handler())
    })
    .await;
    let late = gateway.get("/never").await;
    assert_eq!((late.status, &*late.code()), (504, "upstream_timeout"));
    assert_eq!(endless.seen(), (1, 1), "nothing works for somebody who has been answered");

    let mut client = gateway.client().await;
    client.send("GET /forever HTTP/1.1\r\nhost: a.test\r\n\r\n").await;
    eventually("the handler is asked", || endless.seen().0 == 2).await;
    drop(client);
    eventually("its future is dropped", || endless.seen() == (2, 2)).await;
    let last = gateway.records(2).await.remove(1);
    assert_eq!((&last["status"], &last["ended"]), (&499.into(), &"client_left".into()), "{last}");
}

#[tokio::test]
async fn a_handler_gets_the_body_that_its_route_allows() {
    let text = route("/read", "read", "max_body = '10B'") + &route("/large", "large", "max_body = '4MiB'");
    let gateway = Served::built(&text, |builder| {
        builder
            .handler("read", any(|body: Result<Bytes, BytesRejection>| async move { body.is_ok().to_string() }))
            .handler("large", any(|body: Bytes| async move { body.len().to_string() }))
    })
    .await;
    assert_eq!(gateway.ask(posted("/read", "0123456789")).await.body, b"true");
    let declared = gateway.ask(posted("/read", "0123456789a")).await;
    assert_eq!((declared.status, &*declared.code()), (413, "body_too_large"));
    let chunked = "POST /read HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\n\r\n\
                   6\r\n012345\r\n6\r\n012345\r\n0\r\n\r\n";
    let streamed = gateway.ask(chunked).await;
    assert_eq!((streamed.status, &*streamed.code()), (413, "body_too_large"), "whatever the handler made of it");
    let malformed = "POST /read HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n";
    assert_eq!(gateway.ask(malformed).await.code(), "bad_request");
    let large = gateway.ask(posted("/large", &"b".repeat(3 << 20))).await;
    assert_eq!(large.body, (3 << 20).to_string().as_bytes(), "the route's limit holds, not axum's");
}

#[tokio::test]
async fn a_panic_costs_one_request_and_the_connection_goes_on() {
    async fn bad() -> String {
        panic!("a bug in the program")
    }
    let cut = || async {
        let first = futures_util::stream::once(async { Ok::<_, std::io::Error>(Bytes::from("first")) });
        let then = futures_util::stream::once(async { panic!("a bug behind the first byte") });
        Body::from_stream(futures_util::StreamExt::chain(first, then))
    };
    let text = route("/bad", "bad", "") + &route("/cut", "cut", "") + &route("/good", "good", "");
    let gateway = Served::built(&text, |builder| {
        builder.handler("bad", any(bad)).handler("cut", any(cut)).handler("good", any(|| async { "good" }))
    })
    .await;
    let mut client = gateway.client().await;
    let failed = client.ask("GET /bad HTTP/1.1\r\nhost: a.test\r\n\r\n").await;
    assert_eq!((failed.status, &*failed.code()), (500, "internal"));
    assert!(!failed.json().to_string().contains("a bug"), "nobody outside learns of it");
    assert_eq!(client.ask("GET /good HTTP/1.1\r\nhost: a.test\r\n\r\n").await.body, b"good");
    let cut = client.ask("GET /cut HTTP/1.1\r\nhost: a.test\r\n\r\n").await;
    assert_eq!((cut.status, cut.whole), (200, false), "a cut answer does not look like a whole one");
    assert_eq!(gateway.get("/good").await.body, b"good");
    assert_eq!(gateway.metric("gateway_panics_total").await, Some(2.0));
    let records = gateway.records(4).await;
    let codes: Vec<&str> = records.iter().map(|record| record["ended"].as_str().unwrap()).collect();
    assert_eq!(codes, ["complete", "complete", "upstream_cut", "complete"]);
    assert_eq!((&records[2]["code"], &records[2]["fault"]), (&"internal".into(), &"gateway".into()));
}

#[tokio::test]
async fn answers_are_framed_by_their_bodies_whatever_a_handler_says() {
    async fn lies() -> impl IntoResponse {
        let headers = [
            ("content-length", "999"),
            ("transfer-encoding", "gzip"),
            ("connection", "x-a"),
            ("x-a", "1"),
            ("x-b", "2"),
        ];
        (headers, "four")
    }
    let stream = || async {
        let parts = ["one", "two"].map(|part| Ok::<_, std::io::Error>(Bytes::from(part)));
        Body::from_stream(futures_util::stream::iter(parts))
    };
    let text = route("/lies", "lies", "")
        + &route("/stream", "stream", "")
        + &route("/none", "none", "")
        + &route("/switch", "switch", "");
    let gateway = Served::built(&text, |builder| {
        builder
            .handler("lies", any(lies))
            .handler("stream", any(stream))
            .handler("none", any(|| async { (StatusCode::NO_CONTENT, "not sent") }))
            .handler("switch", any(|| async { StatusCode::SWITCHING_PROTOCOLS }))
    })
    .await;
    let mut client = gateway.client().await;
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: a.test\r\n\r\n");
    let lies = client.ask(get("/lies")).await;
    assert_eq!((lies.header("content-length"), lies.header("transfer-encoding")), (Some("4"), None));
    assert_eq!((lies.header("x-a"), lies.header("x-b"), &lies.body[..]), (None, Some("2"), &b"four"[..]));
    let streamed = client.ask(get("/stream")).await;
    assert_eq!((streamed.header("transfer-encoding"), &streamed.body[..]), (Some("chunked"), &b"onetwo"[..]));
    client.send("HEAD /lies HTTP/1.1\r\nhost: a.test\r\n\r\n").await;
    assert_eq!(client.head().await.status, 200);
    let none = client.ask(get("/none")).await;
    assert_eq!((none.status, none.header("content-length")), (204, None));
    assert_eq!(client.ask(get("/switch")).await.status, 500, "nobody is at the other end of a tunnel");
    assert_eq!(client.ask(get("/lies")).await.body, b"four", "the connection is as it should be");
    let mut h2 = H2Client::connect(gateway.address).await;
    let answer = h2.get("/stream").await;
    assert_eq!((answer.status, &answer.body[..]), (200, &b"onetwo"[..]));
}

#[tokio::test]
async fn a_reload_may_name_only_what_is_registered() {
    let gateway = Served::built(&route("/a", "a", ""), |builder| builder.handler("a", any(|| async { "a" }))).await;
    gateway.rewrite(&route("/b", "b", ""));
    let report = gateway.reload().await;
    assert!(!report.ok);
    assert_eq!(report.problems[0].message, "no handler \"b\" is registered");
    assert_eq!(gateway.get("/a").await.body, b"a", "a bad configuration changes nothing");
    gateway.rewrite(&route("/b", "a", ""));
    assert!(gateway.reload().await.ok);
    assert_eq!(gateway.get("/b").await.body, b"a");
}
