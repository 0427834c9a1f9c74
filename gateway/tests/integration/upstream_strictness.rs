//! Answers that only a strict reader refuses (security.md, A14): ambiguous framing, bare line feeds, floods.

use mocks::raw::{Raw, Script};
use mocks::{Effect, Garbage, Rule};

use crate::support::{Gateway, echo, eventually};

async fn refused(garbage: Garbage) {
    let upstream = echo().await;
    upstream.set_rules([Rule::any().effect(Effect::Garbage(garbage))]);
    let gateway = Gateway::to(upstream.addr()).await;
    let answer = gateway.get("/").await;
    assert_eq!((answer.status, answer.code().as_str()), (502, "upstream_invalid"), "{garbage:?}");
    gateway.at_rest().await;
    assert_eq!(gateway.upstream_connections(), (0, 0), "{garbage:?}");
}

#[tokio::test]
async fn a14_an_answer_with_two_framings_is_502() {
    refused(Garbage::ClTe).await;
}

#[tokio::test]
async fn a14_an_answer_with_bare_line_feeds_is_502() {
    refused(Garbage::BareLf).await;
}

#[tokio::test]
async fn a14_a_flood_of_interim_answers_is_502() {
    refused(Garbage::Flood1xx).await;
}

#[tokio::test]
async fn a14_a_205_has_no_content() {
    let head = "HTTP/1.1 205 Reset Content\r\n";
    for (rest, status, kept) in [
        ("content-length: 0\r\n\r\n", 205, 1),
        ("content-length: 5\r\n\r\nhello", 502, 0),
        // What was announced by no length is left unread.
        ("transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 205, 0),
        ("\r\nhello", 205, 0),
    ] {
        let upstream = Raw::script(Script::new().read_request().send(format!("{head}{rest}")).hang()).await.unwrap();
        let gateway = Gateway::to(upstream.addr()).await;
        let answer = gateway.get("/").await;
        assert_eq!((answer.status, answer.whole), (status, true), "{rest}");
        if status == 205 {
            assert_eq!((answer.body.len(), answer.header("content-length")), (0, Some("0")), "{rest}");
        }
        eventually("its connection is kept, or not", || gateway.upstream_connections().0 == kept).await;
    }
}
