//! HTTP/2 by prior knowledge, as hyper's client sees it.

mod client;

use std::time::Duration;

use bytes::Bytes;
use client::Client;
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http2::{Connection, SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use mocks::{Calls, Effect, Ended, Garbage, Hit, Mock, Protocol, Reset, Rule};
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

type Body = http_body_util::combinators::BoxBody<Bytes, hyper::Error>;

/// A connection, and the task that ends with it.
async fn connect(mock: &Mock) -> (SendRequest<Body>, JoinHandle<bool>) {
    let stream = TcpStream::connect(mock.addr()).await.unwrap();
    let (sender, connection): (_, Connection<_, _, _>) =
        handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    (sender, tokio::spawn(async move { connection.await.is_ok() }))
}

fn body(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed()
}

fn request(method: Method, path: &str, content: Body) -> Request<Body> {
    Request::builder().method(method).uri(format!("http://mock.test{path}")).body(content).unwrap()
}

async fn get(sender: &mut SendRequest<Body>, path: &str) -> Response<Incoming> {
    sender.send_request(request(Method::GET, path, body(""))).await.unwrap()
}

async fn read(response: Response<Incoming>) -> Bytes {
    response.into_body().collect().await.unwrap().to_bytes()
}

async fn json(response: Response<Incoming>) -> serde_json::Value {
    serde_json::from_slice(&read(response).await).unwrap()
}

#[tokio::test]
async fn an_echo_shows_the_request_as_it_was_received() {
    let mock = Mock::builder().service("orders").launch().unwrap();
    let (mut sender, _connection) = connect(&mock).await;
    let frames =
        [Ok(Frame::data(Bytes::from("hel"))), Ok(Frame::data(Bytes::from("lo"))), Ok(Frame::trailers(trailers()))];
    let streamed = StreamBody::new(futures_util::stream::iter(frames)).boxed();
    let mut asked = request(Method::PATCH, "/a/b?x=1", streamed);
    asked.headers_mut().insert("x-request-id", HeaderValue::from_static("4a1b"));
    let answer = sender.send_request(asked).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["x-mock-service"], "orders");
    assert_eq!(answer.headers()["x-mock-endpoint"], mock.addr().port().to_string());
    assert!(answer.headers()["x-mock-residence-ns"].to_str().unwrap().parse::<u64>().unwrap() > 0);
    let echo = json(answer).await;
    let told = ["service", "method", "path", "query"].map(|key| echo[key].as_str().unwrap());
    assert_eq!(told, ["orders", "PATCH", "/a/b", "x=1"]);
    let line =
        |name: &str, value: &str| echo["headers"].as_array().unwrap().contains(&serde_json::json!([name, value]));
    assert!(line(":authority", "mock.test") && line(":scheme", "http") && line("x-request-id", "4a1b"), "{echo}");
    let digest: String = Sha256::digest(b"hello").iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!((&echo["body_bytes"], &echo["body_sha256"]), (&5.into(), &digest.into()));
    assert_eq!(echo["trailers"], serde_json::json!([["x-sum", "5"]]));
    let entry = &mock.journal()[0];
    assert_eq!((entry.protocol, entry.status, entry.ended), (Protocol::Http2, Some(200), Ended::Answered));
    assert_eq!(entry.request_id.as_deref(), Some("4a1b"));
    assert_eq!((mock.counters().accepts, mock.counters().requests, mock.counters().in_flight), (1, 1, 0));
}

fn trailers() -> HeaderMap {
    HeaderMap::from_iter([(http::HeaderName::from_static("x-sum"), HeaderValue::from_static("5"))])
}

#[tokio::test]
async fn the_paths_give_what_they_give_over_http_1() {
    let mock = Mock::builder().launch().unwrap();
    let (mut sender, _connection) = connect(&mock).await;
    for count in [0, 1, 4096, 3_000_000] {
        let answer = get(&mut sender, &format!("/bytes/{count}")).await;
        assert_eq!(answer.headers()["content-length"], count.to_string());
        assert_eq!(read(answer).await.len(), count);
    }
    let stream = get(&mut sender, "/stream/2/1").await;
    assert_eq!(stream.headers()["content-type"], "application/x-ndjson");
    assert_eq!(read(stream).await, "{\"chunk\":1,\"of\":2}\n{\"chunk\":2,\"of\":2}\n");
    assert_eq!(read(get(&mut sender, "/sse/1/0").await).await, "id: 1\ndata: {\"event\":1,\"of\":1}\n\n");
    assert_eq!(json(get(&mut sender, "/healthz").await).await["status"], "ok");
    let head = sender.send_request(request(Method::HEAD, "/bytes/512", body(""))).await.unwrap();
    assert_eq!(head.headers()["content-length"], "512");
    assert_eq!(read(head).await, "");
    assert_eq!(mock.counters().accepts, 1);
}

#[tokio::test]
async fn streams_of_a_connection_do_not_wait_for_each_other() {
    let mock = Mock::builder().rule(Rule::on("/slow").effect(Effect::Hang)).launch().unwrap();
    let (mut sender, _connection) = connect(&mock).await;
    let slow = tokio::spawn(sender.send_request(request(Method::GET, "/slow", body(""))));
    mock.wait_for_requests(1).await;
    let quick = (0..100).map(|n| {
        let answer = sender.send_request(request(Method::GET, &format!("/n/{n}"), body("")));
        async move { json(answer.await.unwrap()).await["path"].clone() }
    });
    let paths: Vec<_> = quick.collect();
    for (n, path) in paths.into_iter().enumerate() {
        assert_eq!(path.await, format!("/n/{n}"));
    }
    assert_eq!((mock.counters().accepts, mock.counters().requests), (1, 101));
    slow.abort();
    mock.wait_for_entries(101).await;
    let left: Vec<_> = mock.journal().into_iter().filter(|entry| entry.ended == Ended::Left).collect();
    assert_eq!((left.len(), left[0].path.as_str(), left[0].rule), (1, "/slow", Hit::Rule(0)), "its stream was reset");
}

#[tokio::test]
async fn rules_and_the_request_header_hit() {
    let mock = Mock::builder().rule(Rule::on("/orders/*").status(503)).launch().unwrap();
    let (mut sender, _connection) = connect(&mock).await;
    assert_eq!(get(&mut sender, "/orders/7").await.status(), 503);
    mock.set_rules([]);
    assert_eq!(get(&mut sender, "/orders/7").await.status(), 200, "on a connection that is open");
    let mut with = async |fault: &'static str| {
        let mut asked = request(Method::GET, "/x", body(""));
        asked.headers_mut().insert("x-mock-fault", HeaderValue::from_static(fault));
        sender.send_request(asked).await.unwrap()
    };
    assert_eq!(with("delay=1ms;status=204").await.status(), 204);
    assert_eq!(with("etag=v1;cache_control=no-cache").await.headers()["etag"], "\"v1\"");
    let written = with("body={\"keys\":[]};status=203").await;
    assert_eq!((written.status().as_u16(), read(written).await), (203, "{\"keys\":[]}".into()));
    let bad = with("statis=503").await;
    assert_eq!(bad.status(), 400);
    assert!(json(bad).await["problems"][0].as_str().unwrap().contains("did you mean `status`"));
    // An echo is longer than 200 bytes; 40 leave at once, then 40 each 20 ms.
    let started = mocks::clock::now_ns();
    assert!(read(with("slow_body=2000").await).await.len() > 200);
    assert!(mocks::clock::now_ns() - started >= 80_000_000);
}

#[tokio::test]
async fn a_reset_is_that_of_the_stream() {
    let mock = Mock::builder().launch().unwrap();
    let (mut sender, _connection) = connect(&mock).await;
    for (effect, ended) in [
        (Effect::Reset(Reset::BeforeHeaders), Ended::Reset),
        (Effect::Reset(Reset::InHeaders), Ended::Reset),
        (Effect::Garbage(Garbage::Bytes), Ended::Garbage),
    ] {
        mock.set_rules([Rule::any().effect(effect)]);
        assert!(sender.send_request(request(Method::GET, "/x", body(""))).await.is_err(), "{effect:?}");
        assert_eq!(mock.journal().last().unwrap().ended, ended);
    }
    for (effect, ended) in
        [(Effect::Reset(Reset::InBody), Ended::Reset), (Effect::Truncate(Some(10)), Ended::Truncated)]
    {
        mock.set_rules([Rule::any().effect(effect)]);
        let answer = get(&mut sender, "/bytes/100").await;
        assert_eq!((answer.status().as_u16(), &answer.headers()["content-length"]), (200, &HeaderValue::from(100)));
        assert!(answer.into_body().collect().await.is_err(), "{effect:?}");
        assert_eq!(mock.journal().last().unwrap().ended, ended);
    }
    mock.set_rules([]);
    assert_eq!(get(&mut sender, "/x").await.status(), 200, "the connection goes on");
}

#[tokio::test]
async fn a_connection_is_closed_when_a_rule_says_so() {
    let mock = Mock::builder().rule(Rule::any().close(2)).launch().unwrap();
    let (mut sender, connection) = connect(&mock).await;
    assert_eq!(get(&mut sender, "/1").await.status(), 200);
    assert_eq!(get(&mut sender, "/2").await.status(), 200);
    assert!(connection.await.unwrap(), "GOAWAY is an orderly end");
    for (rule, ended) in [(Rule::any().close(0), Ended::Closed), (Rule::any().effect(Effect::Refuse), Ended::Reset)] {
        mock.set_rules([]);
        mock.settled().await;
        let (mut sender, connection) = connect(&mock).await;
        assert_eq!(get(&mut sender, "/x").await.status(), 200);
        mock.set_rules([rule]);
        assert!(sender.send_request(request(Method::GET, "/x", body(""))).await.is_err());
        connection.await.unwrap();
        assert_eq!(mock.journal().last().unwrap().ended, ended);
    }
}

#[tokio::test]
async fn queues_and_calls_are_those_of_http_1() {
    let behind = Mock::builder().launch().unwrap();
    let orders = Mock::builder()
        .service_time(mocks::Delay::Fixed(Duration::from_millis(1)))
        .servers(1)
        .calls(Calls::on("/checkout", &["/stock"]))
        .gateway(behind.addr());
    let mock = orders.launch().unwrap();
    let (mut sender, _connection) = connect(&mock).await;
    let echo = json(get(&mut sender, "/checkout").await).await;
    assert_eq!((&echo["calls"][0]["to"], &echo["calls"][0]["status"]), (&"/stock".into(), &200.into()));
    assert_eq!(mock.journal()[0].waited_ns, Some(0));
    assert_eq!(behind.journal()[0].path, "/stock");
}

#[tokio::test]
async fn what_is_no_http_2_ends_and_the_next_client_is_served() {
    let mock = Mock::builder().launch().unwrap();
    for rest in [&b"garbage that is no frame at all............................."[..], b""] {
        let mut hostile = Client::connect(mock.addr());
        hostile.send([b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", rest].concat()).rest_of_one();
    }
    let (mut sender, _connection) = connect(&mock).await;
    assert_eq!(get(&mut sender, "/x").await.status(), 200);
    let mut slowly = Client::connect(mock.addr());
    for byte in b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00" {
        slowly.send([*byte]);
    }
    // The server's first frame is its settings.
    assert_eq!(slowly.exactly(9)[3], 4);
}

/// A message with gRPC's prefix.
fn message(text: &str) -> Vec<u8> {
    let inner = [&[0x0a, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    [&[0, 0, 0, 0, u8::try_from(inner.len()).unwrap()], inner.as_slice()].concat()
}

/// Body, and the status wherever it stands.
async fn call(sender: &mut SendRequest<Body>, path: &str, content: Vec<u8>, fault: &str) -> (Bytes, Option<String>) {
    let mut asked = request(Method::POST, path, body(content));
    asked.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc+proto"));
    if !fault.is_empty() {
        asked.headers_mut().insert("x-mock-fault", HeaderValue::from_str(fault).unwrap());
    }
    let answer = sender.send_request(asked).await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["content-type"]),
        (200, &"application/grpc".parse().unwrap())
    );
    let in_head = answer.headers().get("grpc-status").cloned();
    let collected = answer.into_body().collect().await.unwrap();
    let in_trailers = collected.trailers().and_then(|trailers| trailers.get("grpc-status").cloned());
    let status = in_head.or(in_trailers).map(|status| status.to_str().unwrap().to_owned());
    (collected.to_bytes(), status)
}

#[tokio::test]
async fn grpc_echoes_one_message_or_many() {
    let mock = Mock::builder().service("orders").launch().unwrap();
    let (mut sender, _connection) = connect(&mock).await;
    let ok = |bytes: Vec<u8>| (Bytes::from(bytes), Some("0".to_owned()));
    assert_eq!(call(&mut sender, "/mocks.Echo/Unary", message("hi"), "").await, ok(message("hi")));
    let many = [message("a"), message(""), message("ccc")].concat();
    assert_eq!(call(&mut sender, "/mocks.Echo/Stream", many.clone(), "").await, ok(many.clone()));
    assert_eq!(call(&mut sender, "/mocks.Echo/Stream", vec![], "").await, ok(vec![]));
    let failed = |code: &str| (Bytes::new(), Some(code.to_owned()));
    assert_eq!(call(&mut sender, "/mocks.Echo/Unary", many, "").await, failed("3"));
    assert_eq!(call(&mut sender, "/mocks.Echo/Unary", vec![0, 0, 0], "").await, failed("3"));
    assert_eq!(call(&mut sender, "/mocks.Echo/Other", message("hi"), "").await, failed("12"));
    assert_eq!(call(&mut sender, "/mocks.Echo/Unary", vec![1, 0, 0, 0, 0], "").await, failed("12"));
    let codes: Vec<_> = mock.journal().iter().map(|entry| entry.grpc_status.unwrap()).collect();
    assert_eq!(codes, [0, 0, 0, 3, 3, 12, 12]);
}

#[tokio::test]
async fn a_grpc_stream_answers_each_message_as_it_comes() {
    let mock = Mock::builder().launch().unwrap();
    let (mut sender, _connection) = connect(&mock).await;
    let (feed, fed) = tokio::sync::mpsc::channel::<Bytes>(1);
    let stream = futures_util::stream::unfold(fed, |mut fed| async {
        let bytes = fed.recv().await?;
        Some((Ok(Frame::data(bytes)), fed))
    });
    let mut asked = request(Method::POST, "/mocks.Echo/Stream", StreamBody::new(stream).boxed());
    asked.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    let answer = sender.send_request(asked).await.unwrap();
    let mut incoming = answer.into_body();
    for text in ["one", "two"] {
        feed.send(message(text).into()).await.unwrap();
        assert_eq!(incoming.frame().await.unwrap().unwrap().into_data().unwrap(), message(text));
    }
    drop(feed);
    let end = incoming.frame().await.unwrap().unwrap().into_trailers().unwrap();
    assert_eq!(end["grpc-status"], "0");
}

#[tokio::test]
async fn grpc_calls_fail_as_rules_say() {
    let mock = Mock::builder().launch().unwrap();
    let (mut sender, _connection) = connect(&mock).await;
    let mut failing = async |fault: &str| call(&mut sender, "/mocks.Echo/Unary", message("hi"), fault).await;
    assert_eq!(failing("delay=1ms;grpc_status=14").await, (Bytes::new(), Some("14".into())));
    assert_eq!(failing("truncate").await, (message("hi").into(), None), "no trailers");
    assert_eq!(mock.journal().last().unwrap().ended, Ended::Truncated);
    mock.set_rules([Rule::any().status(503)]);
    let mut asked = request(Method::POST, "/mocks.Echo/Unary", body(message("hi")));
    asked.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    let refused = sender.send_request(asked).await.unwrap();
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["content-type"]),
        (503, &"application/json".parse().unwrap())
    );
}

#[tokio::test]
async fn grpc_health_is_that_of_the_services_that_are_there() {
    let mock = Mock::builder().service("orders").launch().unwrap();
    let (mut sender, _connection) = connect(&mock).await;
    let serving = (Bytes::from_static(&[0, 0, 0, 0, 2, 8, 1]), Some("0".to_owned()));
    for (service, expected) in [("", 0), ("orders", 0), ("mocks.Echo", 0), ("users", 5)] {
        let content = if service.is_empty() { vec![0; 5] } else { message(service) };
        let told = call(&mut sender, "/grpc.health.v1.Health/Check", content, "").await;
        match expected {
            0 => assert_eq!(told, serving, "{service}"),
            code => assert_eq!(told.1, Some(code.to_string()), "{service}"),
        }
    }
}
