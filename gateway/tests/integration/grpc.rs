//! gRPC through the gateway, as a client library of others speaks it (tonic), to services that speak it too.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use futures_util::stream;
use http::uri::PathAndQuery;
use mocks::{Effect, Mock, Rule};
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status, Streaming};

use crate::support::h2::{H2Client, post};
use crate::support::h2_upstream::H2Upstream;
use crate::support::{Gateway, eventually, guarded};
use crate::upstream_http2::text;

/// Messages as their bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plain;

impl Codec for Plain {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Plain {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(item);
        Ok(())
    }
}

impl Decoder for Plain {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, message: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(message.copy_to_bytes(message.remaining())))
    }
}

pub(crate) async fn client(gateway: SocketAddr) -> Grpc<Channel> {
    let channel = Endpoint::from_shared(format!("http://{gateway}")).unwrap();
    let mut client = Grpc::new(guarded("a channel", channel.connect()).await.unwrap());
    client.ready().await.unwrap();
    client
}

pub(crate) async fn unary(client: &mut Grpc<Channel>, request: Request<Bytes>) -> Result<Response<Bytes>, Status> {
    client.ready().await.unwrap();
    let path = PathAndQuery::from_static("/mocks.Echo/Unary");
    guarded("an answer", client.unary(request, path, Plain)).await
}

pub(crate) fn message(text: &str) -> Request<Bytes> {
    Request::new(Bytes::copy_from_slice(text.as_bytes()))
}

async fn world(upstream: &str, route: &str) -> (Mock, Gateway) {
    let mock = Mock::builder().service("up").start().await.unwrap();
    let gateway = Gateway::start(&text(upstream, route, mock.addr())).await;
    (mock, gateway)
}

pub(crate) async fn next(messages: &mut Streaming<Bytes>) -> Option<Bytes> {
    guarded("a message", messages.message()).await.unwrap()
}

#[tokio::test]
async fn unary_calls_pass_with_their_metadata_and_trailers() {
    let (mock, gateway) = world("", "").await;
    let mut client = client(gateway.address).await;
    for n in 0..5 {
        let mut request = message(&format!("hello {n}"));
        request.metadata_mut().insert("x-tenant", "a".parse().unwrap());
        let answer = unary(&mut client, request).await.unwrap();
        assert!(answer.metadata().get("x-request-id").is_some());
        assert_eq!(answer.into_inner(), format!("hello {n}"));
    }
    assert_eq!(mock.counters().accepts, 1);
    let large = "x".repeat(500_000);
    assert_eq!(unary(&mut client, message(&large)).await.unwrap().into_inner(), large);
    let records = gateway.records(6).await;
    assert!(records.iter().all(|record| record["status"] == 200 && record["protocol"] == "HTTP/2"));
}

#[tokio::test]
async fn streams_pass_message_by_message_both_ways_at_once() {
    let (_mock, gateway) = world("", "").await;
    let mut client = client(gateway.address).await;
    let (sender, receiver) = tokio::sync::mpsc::channel::<Bytes>(8);
    let outgoing = stream::unfold(receiver, |mut receiver| async move { Some((receiver.recv().await?, receiver)) });
    let path = PathAndQuery::from_static("/mocks.Echo/Stream");
    sender.send("first".into()).await.unwrap();
    let answer = guarded("an answer", client.streaming(Request::new(outgoing), path, Plain)).await.unwrap();
    let mut messages = answer.into_inner();
    assert_eq!(next(&mut messages).await.unwrap(), "first");
    for n in 0..100 {
        sender.send(format!("{n}").into()).await.unwrap();
        assert_eq!(next(&mut messages).await.unwrap(), format!("{n}"), "each before the next is sent");
    }
    drop(sender);
    assert_eq!(next(&mut messages).await, None);
    assert!(messages.trailers().await.unwrap().is_some());
    gateway.at_rest().await;
}

#[tokio::test]
async fn a_server_streams_to_a_client_that_asked_once() {
    let mut upstream = H2Upstream::start().await;
    let gateway = Gateway::start(&text("", "", upstream.address)).await;
    let mut client = client(gateway.address).await;
    let serving = tokio::spawn(async move {
        let mut asked = upstream.next().await;
        assert_eq!(asked.header("te"), Some("trailers"));
        assert_eq!(asked.header("content-type"), Some("application/grpc"));
        asked.read().await.unwrap();
        let mut stream = asked.begin(200, &[("content-type", "application/grpc")]);
        for n in 0..50_u8 {
            stream.send_data(Bytes::copy_from_slice(&[0, 0, 0, 0, 1, n]), false).unwrap();
        }
        let mut trailers = http::HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().unwrap());
        stream.send_trailers(trailers).unwrap();
        upstream
    });
    let path = PathAndQuery::from_static("/a.B/List");
    let answer = guarded("an answer", client.server_streaming(message("all"), path, Plain)).await.unwrap();
    let mut messages = answer.into_inner();
    for n in 0..50_u8 {
        assert_eq!(&next(&mut messages).await.unwrap()[..], [n]);
    }
    assert_eq!(next(&mut messages).await, None);
    drop(serving.await.unwrap());
}

#[tokio::test]
async fn what_the_service_says_is_what_the_client_hears() {
    let (mock, gateway) = world("", "").await;
    let mut client = client(gateway.address).await;
    for (code, expected) in [(5, Code::NotFound), (14, Code::Unavailable), (16, Code::Unauthenticated)] {
        mock.set_rules([Rule::any().grpc_status(code)]);
        assert_eq!(unary(&mut client, message("x")).await.unwrap_err().code(), expected);
    }
    mock.set_rules([]);
    let path = PathAndQuery::from_static("/mocks.Echo/Nothing");
    client.ready().await.unwrap();
    assert_eq!(client.unary(message("x"), path, Plain).await.unwrap_err().code(), Code::Unimplemented);
}

#[tokio::test]
async fn a_deadline_holds_at_the_gateway_and_goes_on_to_the_service() {
    let mut upstream = H2Upstream::start().await;
    let gateway = Gateway::start(&text("", "timeout = '10s'", upstream.address)).await;
    let mut client = H2Client::connect(gateway.address).await;
    let mut request = post("/mocks.Echo/Unary");
    for (name, value) in [("content-type", "application/grpc"), ("te", "trailers"), ("grpc-timeout", "500m")] {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    let call = client.begin(request, true).await;
    let mut asked = upstream.next().await;
    let told = asked.header("grpc-timeout").unwrap().strip_suffix('m').unwrap().parse::<u32>().unwrap();
    assert!((1..=500).contains(&told), "{told}");
    let answer = call.answer().await;
    assert_eq!((answer.status, answer.header("grpc-status")), (200, Some("4")));
    asked.was_reset().await;
    assert_eq!(gateway.record().await["code"], "upstream_timeout");

    // The route's own, where the client gives more.
    let (mock, gateway) = world("", "timeout = '60ms'").await;
    mock.set_rules([Rule::any().effect(Effect::Hang)]);
    let mut client = self::client(gateway.address).await;
    let mut request = message("x");
    request.set_timeout(Duration::from_secs(20));
    assert_eq!(unary(&mut client, request).await.unwrap_err().code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn a_service_hears_of_no_deadline_but_the_clients_so_that_streams_outlive_the_routes_timeout() {
    let mut upstream = H2Upstream::start().await;
    let gateway = Gateway::start(&text("", "timeout = '10s'", upstream.address)).await;
    let mut client = H2Client::connect(gateway.address).await;
    let few = ("x-request-timeout-ms", "5000");
    for (given, least, beside) in [
        (None, 0, None),
        (Some("20S"), 10_001, None),
        (Some("99999999H"), 99_999_999, None),
        // As a gateway in front tells its own route's time.
        (None, 0, Some(few)),
        (Some("20S"), 10_001, Some(few)),
    ] {
        let mut request = post("/mocks.Echo/ServerStream");
        for (name, value) in [("content-type", "application/grpc"), ("te", "trailers")] {
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        let given_too = given.map(|given| ("grpc-timeout", given));
        for (name, value) in given_too.into_iter().chain(beside) {
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        let _call = client.begin(request, true).await;
        let asked = upstream.next().await;
        let told = asked.header("grpc-timeout").map(|told| told.strip_suffix('m').unwrap().parse::<u32>().unwrap());
        assert_eq!(told.is_some(), given.is_some(), "{given:?}");
        assert!(told.unwrap_or(0) >= least, "{told:?}");
        // Until its head it has the route's time, as any request has.
        assert!(asked.header("x-request-timeout-ms").unwrap().parse::<u32>().unwrap() <= 10_000);
    }
}

#[tokio::test]
async fn what_goes_wrong_before_the_service_is_told_in_grpcs_words() {
    let gateway = Gateway::start(&text("", "", "127.0.0.1:9".parse().unwrap())).await;
    let mut client = client(gateway.address).await;
    let status = unary(&mut client, message("x")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(gateway.record().await["code"], "upstream_connect");

    let mut upstream = H2Upstream::start().await;
    let gateway = Gateway::start(&text("", "", upstream.address)).await;
    let mut client = self::client(gateway.address).await;
    let cutting = tokio::spawn(async move {
        upstream.next().await.cut();
        upstream
    });
    assert_eq!(unary(&mut client, message("x")).await.unwrap_err().code(), Code::Unavailable);
    drop(cutting.await.unwrap());
}

#[tokio::test]
async fn what_only_looks_like_a_call_is_refused_with_a_status_that_caches_understand() {
    let gateway = Gateway::start("[[routes]]\npath = '/other'\nupstream = 'http://127.0.0.1:9'\n").await;
    let ask = async |method: &str, kind: &str| {
        let fields = format!("host: a\r\ncontent-type: {kind}\r\ncontent-length: 0\r\n");
        gateway.ask(format!("{method} /s/m HTTP/1.1\r\n{fields}\r\n")).await
    };
    for (method, kind) in [("GET", "application/grpc"), ("PUT", "application/grpc"), ("POST", "application/grpcx")] {
        assert_eq!(ask(method, kind).await.code(), "route_not_found", "{method} {kind}");
    }
    let answer = ask("POST", "application/grpc-web+proto").await;
    assert_eq!((answer.status, answer.header("grpc-status")), (200, Some("12")));
}

#[tokio::test]
async fn a_client_that_gives_up_its_call_ends_it_at_the_service() {
    let mut upstream = H2Upstream::start().await;
    let gateway = Gateway::start(&text("", "", upstream.address)).await;
    let mut client = client(gateway.address).await;
    let calling = tokio::spawn(async move { unary(&mut client, message("x")).await });
    let mut asked = upstream.next().await;
    calling.abort();
    assert_eq!(asked.was_reset().await, h2::Reason::CANCEL);
    assert_eq!(gateway.record().await["ended"], "client_left");
}

#[tokio::test]
async fn health_is_asked_in_grpcs_way() {
    let mock = Mock::builder().service("up").endpoints(2).start().await.unwrap();
    mock.set_rules([Rule::on("/grpc.health.v1.Health/Check").endpoint(0).grpc_status(14)]);
    let endpoints: Vec<String> = mock.addrs().iter().map(|address| format!("'{address}'")).collect();
    let with = |path: &str| {
        format!(
            "[upstreams.up]\nendpoints = [{}]\nprotocol = 'http2'\n\
             health = {{ path = '{path}', interval = '100ms', healthy_after = 1, unhealthy_after = 1 }}\n\
             [[routes]]\npath = '/{{*rest}}'\nupstream = 'up'\n",
            endpoints.join(", ")
        )
    };
    let last = |gateway: &Gateway, endpoint: usize| {
        gateway.inner().upstreams()[0].active().endpoints[endpoint].health.last().map(|told| told.to_string())
    };
    let gateway = Gateway::start(&with("/grpc.health.v1.Health/Check?service=up")).await;
    eventually("both are asked", || last(&gateway, 0).is_some() && last(&gateway, 1).is_some()).await;
    assert_eq!(last(&gateway, 0).as_deref(), Some("grpc-status 14"));
    assert_eq!(last(&gateway, 1).as_deref(), Some("ok"));
    mock.set_rules([]);
    eventually("it is back", || last(&gateway, 0).as_deref() == Some("ok")).await;

    let gateway = Gateway::start(&with("/grpc.health.v1.Health/Check?service=nobody")).await;
    eventually("it is asked", || last(&gateway, 1).is_some()).await;
    assert_eq!(last(&gateway, 1).as_deref(), Some("grpc-status 5"));
    let gateway = Gateway::start(&with("/healthz")).await;
    eventually("it is asked", || last(&gateway, 1).is_some()).await;
    assert_eq!(last(&gateway, 1).as_deref(), Some("ok"), "and any other path by GET");
}
