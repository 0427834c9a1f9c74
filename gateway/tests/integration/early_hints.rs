//! 103 Early Hints of an upstream (RFC 8297) reach its client while the answer is made, where the route says so.

use std::future::poll_fn;

use http::Response;
use mocks::raw::{Gate, Raw, Script};

use crate::support::h2::{Call, H2Client, get};
use crate::support::h2_upstream::H2Upstream;
use crate::support::{Gateway, guarded};

const GET: &str = "GET / HTTP/1.1\r\nhost: a.test\r\n\r\n";
const HINT: &str = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\nserver: x\r\nset-cookie: a=1\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nlink: </b.js>; rel=preload\r\n\r\nok";

fn link() -> (String, String) {
    ("link".into(), "</a.css>; rel=preload".into())
}

/// The next interim answer to a call.
async fn interim(call: &mut Call) -> Option<Response<()>> {
    guarded("an interim answer", poll_fn(|cx| call.answer.poll_informational(cx))).await.map(Result::unwrap)
}

#[tokio::test]
async fn a_hint_reaches_a_client_of_http_1_before_there_is_an_answer() {
    let gate = Gate::new();
    let script = Script::new().read_request().send(HINT).wait(&gate).send(OK).again();
    let upstream = Raw::script(script).await.unwrap();
    let gateway = Gateway::with_route("early_hints = 'all'", upstream.addr()).await;
    let mut client = gateway.client().await;
    client.send(GET).await;
    let hint = client.head().await;
    assert_eq!((hint.status, hint.headers), (103, vec![link()]), "what clients heed, and nothing else");
    gate.open();
    let answer = client.answer().await;
    assert_eq!(
        (answer.status, answer.body.as_slice(), answer.header("link")),
        (200, &b"ok"[..], Some("</b.js>; rel=preload"))
    );
    // The connection's next request, whose hint comes together with its answer.
    client.send(GET).await;
    assert_eq!((client.head().await.status, client.answer().await.status), (103, 200));
    let records = gateway.records(2).await;
    assert!(records.iter().all(|record| (&record["status"], &record["ended"]) == (&200.into(), &"complete".into())));
}

#[tokio::test]
async fn a_hint_reaches_a_client_of_http_2_before_there_is_an_answer() {
    let gate = Gate::new();
    let upstream = Raw::script(Script::new().read_request().send(HINT).wait(&gate).send(OK).again()).await.unwrap();
    let gateway = Gateway::with_route("early_hints = 'http2'", upstream.addr()).await;
    let mut client = H2Client::connect(gateway.address).await;
    let mut call = client.begin(get("/"), true).await;
    let hint = interim(&mut call).await.unwrap();
    assert_eq!((hint.status().as_u16(), hint.headers().len()), (103, 1));
    assert_eq!(hint.headers()["link"], "</a.css>; rel=preload");
    gate.open();
    assert_eq!(call.answer().await.status, 200);
    // The hint comes together with the answer, and the connection goes on.
    assert_eq!(client.get("/").await.status, 200);
}

#[tokio::test]
async fn a_hint_of_an_upstream_of_http_2_reaches_clients_of_either_version() {
    let mut upstream = H2Upstream::start().await;
    let text = crate::upstream_http2::text("", "early_hints = 'all'", upstream.address);
    let gateway = Gateway::start(&text).await;
    let hint = || Response::builder().status(103).header("link", "</a.css>; rel=preload").header("x-own", "1");
    let mut client = gateway.client().await;
    client.send(GET).await;
    let mut asked = upstream.next().await;
    asked.respond.send_informational(hint().body(()).unwrap()).unwrap();
    let hinted = client.head().await;
    assert_eq!((hinted.status, hinted.headers), (103, vec![link()]));
    asked.answer("ok");
    assert_eq!(client.answer().await.status, 200);
    let mut client = H2Client::connect(gateway.address).await;
    let mut call = client.begin(get("/"), true).await;
    let mut asked = upstream.next().await;
    asked.respond.send_informational(hint().body(()).unwrap()).unwrap();
    assert_eq!(interim(&mut call).await.unwrap().headers().len(), 1);
    asked.answer("ok");
    assert_eq!(call.answer().await.status, 200);
}

#[tokio::test]
async fn nobody_is_hinted_who_may_not_be() {
    let old = "GET / HTTP/1.0\r\nhost: a.test\r\n\r\n";
    for (route, request) in [
        ("", GET),
        ("early_hints = 'off'", GET),
        ("early_hints = 'http2'", GET),
        ("early_hints = 'all'", old),
        // What others may get too.
        ("early_hints = 'all'\ncoalesce = true", GET),
        ("early_hints = 'all'\nresponse_headers = { remove = ['link'] }", GET),
    ] {
        let upstream = Raw::script(Script::new().read_request().send(HINT).send(OK).again()).await.unwrap();
        let gateway = Gateway::with_route(route, upstream.addr()).await;
        assert_eq!(gateway.ask(request).await.status, 200, "{route}");
    }
}

#[tokio::test]
async fn a_kept_answer_comes_without_a_hint() {
    let upstream = Raw::script(Script::new().read_request().send(HINT).send(OK).again()).await.unwrap();
    let route = "early_hints = 'all'\ncache = { default_ttl = '60s' }";
    let gateway = Gateway::with_route(route, upstream.addr()).await;
    let mut client = gateway.client().await;
    client.send(GET).await;
    assert_eq!((client.head().await.status, client.answer().await.status), (103, 200), "it was asked for");
    assert_eq!(client.ask(GET).await.status, 200, "it is kept");
    let asked = String::from_utf8(upstream.received().concat()).unwrap();
    assert_eq!(asked.matches("GET / ").count(), 1, "{asked}");
}

#[tokio::test]
async fn e_a_client_gets_so_many_hints_of_so_many_bytes() {
    let long = format!("HTTP/1.1 103 Early Hints\r\nlink: <{}>\r\n\r\n", "x".repeat(20_000));
    let script = Script::new().read_request().send(long).send(HINT.repeat(20)).send(OK).hang();
    let upstream = Raw::script(script).await.unwrap();
    let gateway = Gateway::with_route("early_hints = 'all'", upstream.addr()).await;
    let mut client = gateway.client().await;
    client.send(GET).await;
    let mut hints = 0;
    loop {
        match client.answer().await.status {
            103 => hints += 1,
            status => break assert_eq!(status, 200),
        }
    }
    // At once or one by one: those of one turn have their own bound.
    assert!((1..=8).contains(&hints), "{hints}");
}

#[tokio::test]
async fn whoever_answers_may_be_another_than_who_hinted() {
    let upstream = Raw::script(Script::new().read_request().send(HINT)).await.unwrap();
    let route = "early_hints = 'all'\nfallback = { status = 503, body = 'later' }";
    let gateway = Gateway::with_route(route, upstream.addr()).await;
    let mut client = gateway.client().await;
    client.send(GET).await;
    assert_eq!(client.head().await.status, 103);
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.body.as_slice()), (503, &b"later"[..]));
    assert_eq!(gateway.record().await["code"], "upstream_reset");
}

#[tokio::test]
async fn a_client_that_leaves_behind_a_hint_has_left() {
    let upstream = Raw::script(Script::new().read_request().send(HINT).hang()).await.unwrap();
    let gateway = Gateway::with_route("early_hints = 'all'", upstream.addr()).await;
    let mut client = gateway.client().await;
    client.send(GET).await;
    assert_eq!(client.head().await.status, 103);
    drop(client);
    gateway.at_rest().await;
    assert_eq!(gateway.record().await["ended"], "client_left");
}
