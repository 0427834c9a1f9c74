//! Answers that only a strict reader refuses (security.md, A14): ambiguous framing, bare line feeds, floods.

use mocks::{Effect, Garbage, Rule};

use crate::support::{Gateway, echo};

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
