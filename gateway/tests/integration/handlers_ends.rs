//! Handlers and their clients' bodies: whose fault it is that an answer is late, or breaks off.

use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request};
use axum::response::IntoResponse;
use axum::routing::{any, get};
use futures_util::stream::{self, StreamExt as _};
use http::header::CONTENT_TYPE;
use http_body::Body as _;
use http_body_util::BodyExt;
use serde_json::Value;

use crate::support::Gateway;

fn text(server: &str, route: &str) -> String {
    format!("[server]\n{server}\n[[routes]]\nname = 'all'\npath = '/{{*rest}}'\nhandler = 'it'\n{route}\n")
}

/// Looks whether anything of the body is there, and lets go of it.
async fn lets_go(request: Request) -> String {
    let mut body = request.into_body();
    assert!(poll_fn(|cx| Poll::Ready(Pin::new(&mut body).poll_frame(cx).is_pending())).await);
    drop(body);
    pending().await
}

/// Waits for a body that does not come.
async fn waits(request: Request) -> String {
    let _ = request.into_body().collect().await;
    pending().await
}

const HEAD: &str = "PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n";

#[tokio::test]
async fn a_handler_that_lets_go_of_its_clients_body_waits_for_nobody() {
    for server in ["", "body_idle_timeout = '50ms'", "body_total_timeout = '50ms'"] {
        let text = text(server, "timeout = '200ms'");
        let gateway = Gateway::built(&text, |builder| builder.handler("it", any(lets_go))).await;
        let answer = gateway.ask(HEAD).await;
        assert_eq!((answer.status, answer.code().as_str()), (504, "upstream_timeout"), "{server}");
    }
}

#[tokio::test]
async fn a_handler_that_waits_for_its_clients_body_is_not_late() {
    for server in ["", "body_idle_timeout = '50ms'", "body_total_timeout = '50ms'"] {
        let text = text(server, "timeout = '200ms'");
        let gateway = Gateway::built(&text, |builder| builder.handler("it", any(waits))).await;
        let answer = gateway.ask(HEAD).await;
        assert_eq!((answer.status, answer.code().as_str()), (408, "request_timeout"), "{server}");
    }
}

/// Answers with what comes, as it comes.
async fn returns(request: Request) -> Body {
    Body::from_stream(request.into_body().into_data_stream())
}

const CHUNKED: &str = "PUT / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";

#[tokio::test]
async fn an_answer_made_of_a_request_that_breaks_off_is_the_clients_end() {
    for (route, rest, ended, code) in [
        ("", None, "client_left", "ok"),
        ("idle_timeout = '50ms'", Some(""), "timeout", "request_timeout"),
        ("", Some("4\r\nmuch\r\n"), "timeout", "body_too_large"),
        ("", Some("nonsense\r\n"), "timeout", "bad_request"),
    ] {
        let text = text("", &format!("max_body = '6B'\n{route}"));
        let gateway = Gateway::built(&text, |builder| builder.handler("it", any(returns))).await;
        let mut client = gateway.client().await;
        client.send(format!("{CHUNKED}4\r\nhalf\r\n")).await;
        assert_eq!(client.head().await.status, 200);
        match rest {
            None => client.reset(),
            Some(rest) => {
                client.send(rest).await;
                let _ = client.rest().await;
            }
        }
        let record = gateway.record().await;
        assert_eq!((&record["ended"], &record["code"]), (&ended.into(), &code.into()), "{route} {rest:?}: {record}");
        assert_eq!(record["fault"], "client", "{route} {rest:?}");
    }
}

/// Says one thing, of the type that its path names, and then nothing.
async fn falls_silent(Path(kind): Path<String>) -> impl IntoResponse {
    let said = stream::once(async { Ok::<_, Infallible>("tick") }).chain(stream::pending());
    ([(CONTENT_TYPE, format!("text/{kind}"))], Body::from_stream(said))
}

#[tokio::test]
async fn a_handlers_stream_that_has_nothing_to_say_is_nobodys_fault() {
    let text = text("", "idle_timeout = '50ms'");
    let app = Router::new().route("/{kind}", get(falls_silent));
    let gateway = Gateway::built(&text, |builder| builder.handler("it", app)).await;
    for (kind, code, fault) in [("event-stream", "ok", Value::Null), ("plain", "upstream_timeout", "upstream".into())] {
        let answer = gateway.get(&format!("/{kind}")).await;
        assert_eq!((answer.status, &answer.body[..], answer.whole), (200, &b"tick"[..], false));
        let records = gateway.records(if fault.is_null() { 1 } else { 2 }).await;
        let record = records.last().unwrap();
        assert_eq!((&record["code"], &record["ended"], &record["fault"]), (&code.into(), &"timeout".into(), &fault));
    }
}

#[tokio::test]
async fn an_answer_made_of_a_whole_request_is_whole() {
    let gateway = Gateway::built(&text("", "max_body = '6B'"), |builder| builder.handler("it", any(returns))).await;
    let answer = gateway.ask(format!("{CHUNKED}4\r\nhalf\r\n0\r\n\r\n")).await;
    assert_eq!((answer.status, &answer.body[..], answer.whole), (200, &b"half"[..], true));
    let record = gateway.record().await;
    assert_eq!((&record["ended"], &record["fault"]), (&"complete".into(), &Value::Null));
}
