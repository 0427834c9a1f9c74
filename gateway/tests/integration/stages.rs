//! Stages of the program around the gateway: what they see of requests and answers, and what they cannot do.

use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use axum::body::{Body, to_bytes};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use gateway::prelude::{RequestInfo, Stage, StageRequest};
use http::{HeaderName, HeaderValue, StatusCode};
use mocks::Rule;

use crate::support::{Client, Gateway, Issuer, echo, eventually};

#[path = "../../examples/stage.rs"]
mod stage;
#[path = "../../examples/transform.rs"]
mod transform;

const GET: &str = "GET /a?q HTTP/1.1\r\nhost: a.test\r\n\r\n";

#[tokio::test]
async fn the_example_of_a_stage_tells_services_whose_request_it_is() {
    let upstream = echo().await;
    let running = stage::program(&upstream.url(""), "127.0.0.1:0").start().await.unwrap();
    let mut client = Client::connect(running.listeners[0]).await;
    let known = client.ask("GET /acme/x HTTP/1.1\r\nhost: a\r\nx-tenant: t-2\r\n\r\n").await;
    assert_eq!((known.header("x-route"), known.echo().all("x-tenant")), (Some("customers"), vec!["t-1"]));
    let unknown = client.ask("GET /evil/x HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!((unknown.status, &unknown.body[..]), (404, &b"no such customer\n"[..]));
    running.drain().await;
}

#[tokio::test]
async fn the_example_of_a_transformation_takes_a_field_out() {
    let upstream = echo().await;
    upstream.set_rules([
        Rule::on("/large").body(&format!("{{\"card\":\"{}\"}}", "1".repeat(70_000))),
        Rule::any().body("{\"id\":7,\"card\":\"1234\"}"),
    ]);
    let running = transform::program(&upstream.url(""), "127.0.0.1:0").start().await.unwrap();
    let mut client = Client::connect(running.listeners[0]).await;
    let answer = client.ask("GET /a HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!((answer.status, &answer.body[..]), (200, &b"{\"id\":7}"[..]));
    assert_eq!(answer.header("content-length"), Some("8"));
    let large = client.ask("GET /large HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!((large.status, large.code().as_str()), (502, "upstream_invalid"), "what is not seen is not passed on");
    running.drain().await;
}

#[tokio::test]
async fn the_example_of_a_transformation_knows_json_however_it_is_named_and_coded() {
    let body = b"{\"id\":7,\"card\":\"1234\"}";
    let zstd = zstd::stream::encode_all(&body[..], 3).unwrap();
    for (kind, coding, body) in
        [("application/json; charset=utf-8", "identity", &body[..]), ("Application/JSON ;charset=UTF-8", "zstd", &zstd)]
    {
        let fields = format!("content-type: {kind}\r\ncontent-encoding: {coding}\r\ncontent-length: {}", body.len());
        let answer = [format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n").as_bytes(), body].concat();
        let upstream = mocks::raw::Raw::script(mocks::raw::Script::always(&answer)).await.unwrap();
        let url = format!("http://{}", upstream.addr());
        let running = transform::program(&url, "127.0.0.1:0").start().await.unwrap();
        let mut client = Client::connect(running.listeners[0]).await;
        let answer = client.ask("GET /a HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!((answer.status, &answer.body[..]), (200, &b"{\"id\":7}"[..]), "{kind}");
        running.drain().await;
    }
}

fn text(upstream: &mocks::Mock, stages: &str, keys: &str) -> String {
    format!(
        "[[routes]]\nname = 'all'\npath = '/{{*rest}}'\nupstream = 'http://{}'\nstages = [{stages}]\n{keys}\n",
        upstream.addr()
    )
}

/// Notes what it sees, and marks what passes.
struct Noting(&'static str, Arc<Mutex<Vec<String>>>);

impl Noting {
    fn note(&self, what: &str) {
        self.1.lock().unwrap().push(format!("{} {what}", self.0));
    }
}

impl Stage for Noting {
    async fn request(&self, request: &mut StageRequest<'_>) -> ControlFlow<Response> {
        self.note(&format!("{} {} {:?}", request.method(), request.path(), request.query()));
        for refused in ["x-auth-subject", "content-length", "connection", "host", "x-forwarded-for", "traceparent"] {
            let name = HeaderName::from_static(refused);
            assert!(request.set_header(name.clone(), HeaderValue::from_static("1")).is_err(), "{refused}");
            assert!(request.remove_header(&name).is_err(), "{refused}");
        }
        request.set_header(HeaderName::from_static("x-last"), HeaderValue::from_static(self.0)).unwrap();
        if request.headers().contains_key("x-stop") && self.0 == "second" {
            return ControlFlow::Break((StatusCode::IM_A_TEAPOT, "stopped").into_response());
        }
        ControlFlow::Continue(())
    }

    async fn response(&self, _: &RequestInfo, mut response: Response) -> Response {
        self.note(response.status().as_str());
        response.headers_mut().append("x-seen", HeaderValue::from_static(self.0));
        response
    }
}

#[tokio::test]
async fn stages_see_requests_in_their_order_and_answers_in_the_other() {
    let upstream = echo().await;
    let seen = Arc::default();
    let gateway = Gateway::built(&text(&upstream, "'first', 'second'", ""), |builder| {
        builder.stage("first", Noting("first", Arc::clone(&seen))).stage("second", Noting("second", Arc::clone(&seen)))
    })
    .await;
    let mut client = gateway.client().await;
    let answer = client.ask("GET /a/../b?q HTTP/1.1\r\nhost: a.test\r\nx-auth-subject: forged\r\n\r\n").await;
    assert_eq!(answer.echo().header("x-last"), Some("second"));
    assert_eq!(answer.echo().all("x-auth-subject"), [""; 0]);
    let marks: Vec<&str> =
        answer.headers.iter().filter(|(name, _)| name == "x-seen").map(|(_, value)| value.as_str()).collect();
    assert_eq!(marks, ["second", "first"]);
    assert_eq!(
        std::mem::take(&mut *seen.lock().unwrap()),
        ["first GET /b Some(\"q\")", "second GET /b Some(\"q\")", "second 200", "first 200"]
    );
    let stopped = client.ask("GET /b HTTP/1.1\r\nhost: a.test\r\nx-stop: 1\r\n\r\n").await;
    assert_eq!((stopped.status, &stopped.body[..], stopped.header("x-seen")), (418, &b"stopped"[..], Some("first")));
    assert!(stopped.header("x-request-id").is_some());
    assert_eq!(upstream.journal().len(), 1, "who answers in an upstream's place asks none");
    let records = gateway.records(2).await;
    assert_eq!((&records[0]["upstream_us"].is_null(), &records[0]["status"]), (&false, &200.into()));
    assert_eq!((&records[1]["status"], &records[1]["bytes_out"]), (&418.into(), &7.into()));
    gateway.at_rest().await;
    assert_eq!(gateway.upstream_connections(), (1, 1), "the connection is there to be used again");
}

/// Changes every answer.
enum Change {
    Body,
    Drop,
    Panic,
    Hang,
}

impl Stage for Change {
    async fn response(&self, _: &RequestInfo, response: Response) -> Response {
        match self {
            Self::Body => {
                let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap_or_default();
                (StatusCode::CREATED, format!("{} bytes", bytes.len())).into_response()
            }
            Self::Drop => StatusCode::ACCEPTED.into_response(),
            Self::Panic => panic!("a bug in the program"),
            Self::Hang => std::future::pending().await,
        }
    }
}

#[tokio::test]
async fn whatever_a_stage_makes_of_an_answer_its_record_says_what_was_given() {
    for (change, status, body, code) in [
        (Change::Body, 201, "5 bytes", "ok"),
        (Change::Drop, 202, "", "ok"),
        (Change::Panic, 500, "The gateway failed", "internal"),
        (Change::Hang, 504, "upstream_timeout", "upstream_timeout"),
    ] {
        let time = if matches!(change, Change::Hang) { "timeout = '200ms'" } else { "" };
        let upstream = echo().await;
        upstream.set_rules([Rule::any().body("12345")]);
        let gateway =
            Gateway::built(&text(&upstream, "'change'", time), |builder| builder.stage("change", change)).await;
        let mut client = gateway.client().await;
        let answer = client.ask(GET).await;
        let given = String::from_utf8(answer.body.clone()).unwrap();
        assert_eq!(answer.status, status, "{given}");
        assert!(given.contains(body), "{given}");
        assert_eq!(client.ask(GET).await.status, status, "the connection goes on");
        let records = gateway.records(2).await;
        for record in records {
            let told = (&record["status"], record["code"].as_str(), &record["bytes_out"]);
            assert_eq!(told, (&status.into(), Some(code), &given.len().into()), "{record}");
            assert_eq!(
                (&record["upstream"], &record["ended"]),
                (&upstream.addr().to_string().into(), &"complete".into())
            );
        }
        gateway.at_rest().await;
    }
}

#[tokio::test]
async fn a_body_streams_through_and_a_client_that_leaves_ends_it() {
    struct Passing;
    impl Stage for Passing {}
    let upstream = echo().await;
    let large = "b".repeat(1 << 20);
    upstream.set_rules([Rule::any().body(&large)]);
    let gateway = Gateway::built(&text(&upstream, "'passing'", ""), |builder| builder.stage("passing", Passing)).await;
    let answer = gateway.ask(GET).await;
    assert!(answer.body == large.as_bytes());
    assert_eq!(answer.header("content-length"), Some("1048576"));
    upstream.set_rules([Rule::any().body(&large).slow_body(1 << 16)]);
    let mut client = gateway.client().await;
    client.send(GET).await;
    client.head().await;
    client.reset();
    gateway.at_rest().await;
    let left = gateway.records(2).await.remove(1);
    assert_eq!((&left["status"], &left["ended"]), (&200.into(), &"client_left".into()), "{left}");
}

#[tokio::test]
async fn a_stage_learns_who_asks_and_sees_handlers_too_but_not_what_the_gateway_answers() {
    let issuer = Issuer::new("k1");
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    struct Who(Arc<Mutex<Vec<String>>>);
    impl Stage for Who {
        async fn request(&self, request: &mut StageRequest<'_>) -> ControlFlow<Response> {
            let told = format!("{:?} {:?}", request.info().subject(), request.info().parameter("rest"));
            assert!(!request.headers().contains_key("authorization"));
            self.0.lock().unwrap().push(told);
            ControlFlow::Continue(())
        }
        async fn response(&self, _: &RequestInfo, response: Response) -> Response {
            response.map(|_| Body::from("changed"))
        }
    }
    let text = issuer.provider("")
        + "[[routes]]\nname = 'all'\npath = '/{*rest}'\nhandler = 'h'\nstages = ['who']\nauth = { providers = ['main'] }\n";
    let gateway = Gateway::built(&text, |builder| {
        builder.stage("who", Who(Arc::clone(&seen))).handler("h", any(|| async { "handler" }))
    })
    .await;
    assert_eq!(gateway.get("/x").await.code(), "unauthorized");
    let token = issuer.token(&serde_json::json!({ "sub": "me" }));
    let answer = gateway.ask(format!("GET /x/y HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\n\r\n")).await;
    assert_eq!(answer.body, b"changed");
    assert_eq!(*seen.lock().unwrap(), ["Some(\"me\") Some(\"x/y\")"]);
}

/// Says of who may read an answer what services say of it by themselves.
struct OpenToAll;

impl Stage for OpenToAll {
    async fn response(&self, _: &RequestInfo, mut response: Response) -> Response {
        response.headers_mut().insert("access-control-allow-origin", HeaderValue::from_static("*"));
        response.headers_mut().insert("access-control-allow-credentials", HeaderValue::from_static("true"));
        response.headers_mut().insert("vary", HeaderValue::from_static("Origin"));
        response
    }
}

#[tokio::test]
async fn who_may_read_an_answer_is_said_once_and_by_the_route_alone() {
    let upstream = echo().await;
    let cors = "cors = { origins = ['https://app.example'] }";
    let gateway = Gateway::built(&text(&upstream, "'open'", cors), |builder| builder.stage("open", OpenToAll)).await;
    let mut client = gateway.client().await;
    for (origin, allowed) in [("https://app.example", vec!["https://app.example"]), ("https://evil.example", vec![])] {
        let answer = client.ask(format!("GET / HTTP/1.1\r\nhost: a\r\norigin: {origin}\r\n\r\n")).await;
        let all = |name: &str| -> Vec<&str> {
            answer.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
        };
        assert_eq!((answer.status, all("access-control-allow-origin")), (200, allowed));
        assert_eq!((all("access-control-allow-credentials").len(), all("vary").len()), (0, 1));
    }
}

/// Reads the whole body, or answers without it.
struct Whole;

impl Stage for Whole {
    async fn response(&self, _: &RequestInfo, response: Response) -> Response {
        let (parts, body) = response.into_parts();
        match to_bytes(body, 1 << 20).await {
            Ok(whole) => Response::from_parts(parts, Body::from(whole)),
            Err(_) => (StatusCode::BAD_GATEWAY, "it broke off").into_response(),
        }
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_within_a_stage_is_recorded_as_what_the_client_got() {
    let upstream = echo().await;
    upstream.set_rules([Rule::any().effect(mocks::Effect::Truncate(Some(10)))]);
    let gateway = Gateway::built(&text(&upstream, "'whole'", ""), |builder| builder.stage("whole", Whole)).await;
    let answer = gateway.ask(GET).await;
    assert_eq!((answer.status, &answer.body[..]), (502, &b"it broke off"[..]));
    let record = gateway.record().await;
    assert_eq!((&record["status"], &record["ended"]), (&502.into(), &"complete".into()), "{record}");
    gateway.at_rest().await;
}

/// Answers with its own body, whatever came.
struct Instead<B>(Mutex<Option<B>>);

impl<B: http_body::Body<Data = bytes::Bytes, Error = std::convert::Infallible> + Send + 'static> Stage for Instead<B> {
    async fn response(&self, _: &RequestInfo, _: Response) -> Response {
        Body::new(self.0.lock().unwrap().take().unwrap()).into_response()
    }
}

#[tokio::test]
async fn what_takes_an_answers_place_keeps_no_upstream_waiting() {
    let (sender, told) = tokio::sync::oneshot::channel::<&str>();
    let later = async move { Ok(http_body::Frame::data(told.await.unwrap().into())) };
    let body = http_body_util::StreamBody::new(futures_util::stream::once(later));
    let upstream = echo().await;
    upstream.set_rules([Rule::any().body(&"b".repeat(1 << 20)).slow_body(1 << 10)]);
    let stage = Instead(Mutex::new(Some(body)));
    let gateway = Gateway::built(&text(&upstream, "'instead'", ""), |builder| builder.stage("instead", stage)).await;
    let mut client = gateway.client().await;
    client.send(GET).await;
    eventually("the upstream is let go", || upstream.journal().len() == 1 && gateway.upstream_connections() == (0, 0))
        .await;
    sender.send("later").unwrap();
    assert_eq!(client.answer().await.body, b"later");
    let record = gateway.record().await;
    assert_eq!(
        (&record["status"], &record["ended"], &record["bytes_out"]),
        (&200.into(), &"complete".into(), &5.into())
    );
    gateway.at_rest().await;
}

/// Has given all that it promised, and does not say that this was the end.
struct NoEnd(Option<&'static str>);

impl http_body::Body for NoEnd {
    type Data = bytes::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<bytes::Bytes>, Self::Error>>> {
        self.0.take().map_or(Poll::Pending, |text| Poll::Ready(Some(Ok(http_body::Frame::data(text.into())))))
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(self.0.map_or(0, |text| text.len() as u64))
    }
}

#[tokio::test]
async fn who_leaves_with_the_last_byte_had_the_whole_answer() {
    let upstream = echo().await;
    let stage = Instead(Mutex::new(Some(NoEnd(Some("whole")))));
    let gateway = Gateway::built(&text(&upstream, "'instead'", ""), |builder| builder.stage("instead", stage)).await;
    assert_eq!(gateway.ask(GET).await.body, b"whole");
    let record = gateway.record().await;
    assert_eq!((&record["ended"], &record["bytes_out"]), (&"complete".into(), &5.into()), "{record}");
}

#[tokio::test]
async fn callers_of_grpc_learn_in_its_words_that_a_stage_failed() {
    let call = "POST /s/m HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc\r\ncontent-length: 0\r\n\r\n";
    let upstream = echo().await;
    let stages = text(&upstream, "'change'", "");
    let gateway = Gateway::built(&stages, |builder| builder.stage("change", Change::Panic)).await;
    let answer = gateway.ask(call).await;
    assert_eq!((answer.status, answer.header("grpc-status"), answer.body.len()), (200, Some("13"), 0));
    let record = gateway.record().await;
    assert_eq!((&record["status"], &record["code"]), (&500.into(), &"internal".into()), "{record}");
    gateway.at_rest().await;
}
