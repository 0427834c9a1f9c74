//! WebSockets to upstreams that speak HTTP/2 (RFC 8441): an extended CONNECT where the upstream takes it, else a
//! clear no.

use bytes::Bytes;
use h2::ext::Protocol;
use http::Request;

use crate::support::Gateway;
use crate::support::h2::{Call, H2Client, head, rest};
use crate::support::h2_upstream::{Asked, H2Upstream};
use crate::upstream_http2::text;

const ASK: &str = "GET /ws HTTP/1.1\r\nhost: a.test\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
                   sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

async fn upstream() -> H2Upstream {
    let mut builder = h2::server::Builder::new();
    builder.enable_connect_protocol();
    H2Upstream::with(builder).await
}

/// Takes the tunnel and sends back what comes, to its end.
async fn echo(mut asked: Asked) {
    let mut stream = asked.begin(200, &[("sec-websocket-protocol", "chat")]);
    let body = asked.request.body_mut();
    while let Some(Ok(data)) = body.data().await {
        let _ = body.flow_control().release_capacity(data.len());
        stream.send_data(data, false).unwrap();
    }
    stream.send_data(Bytes::new(), true).unwrap();
}

#[tokio::test]
async fn clients_of_either_version_get_their_tunnel() {
    let mut upstream = upstream().await;
    let gateway = Gateway::start(&text("", "", upstream.address)).await;
    let mut one = gateway.client().await;
    one.send(ASK).await;
    let asked = upstream.next().await;
    assert_eq!((asked.request.method().as_str(), asked.path()), ("CONNECT", "/ws"));
    assert_eq!(asked.request.extensions().get::<Protocol>().map(Protocol::as_str), Some("websocket"));
    assert_eq!((asked.header("sec-websocket-key"), asked.header("sec-websocket-version")), (None, Some("13")));
    let serving = tokio::spawn(echo(asked));
    let answer = one.head().await;
    assert_eq!((answer.status, answer.header("upgrade")), (101, Some("websocket")));
    assert_eq!(answer.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_eq!(answer.header("sec-websocket-protocol"), Some("chat"));
    one.send("hello").await;
    assert_eq!(one.bytes(5).await, b"hello");
    one.finish().await;
    serving.await.unwrap();
    one.closed().await;

    let mut two = H2Client::connect(gateway.address).await;
    two.takes_extended_connect().await;
    let request = Request::builder().method("CONNECT").uri("http://a.test/ws").header("sec-websocket-version", "13");
    let request = request.extension(Protocol::from_static("websocket")).body(()).unwrap();
    let Call { answer, mut body } = two.begin(request, false).await;
    tokio::spawn(echo(upstream.next().await));
    let (mut answer, mut reads) = head(answer).await.unwrap();
    assert_eq!((answer.status, answer.header("sec-websocket-accept")), (200, None));
    body.send_data("hello".into(), true).unwrap();
    rest(&mut answer, &mut reads).await.unwrap();
    assert_eq!(answer.body, b"hello");
    gateway.at_rest().await;
    assert_eq!(upstream.accepted(), 1);
    let records = gateway.records(2).await;
    for record in records {
        assert_eq!(
            (&record["status"], &record["ended"], &record["bytes_in"]),
            (&101.into(), &"complete".into(), &5.into())
        );
    }
}

#[tokio::test]
async fn b8_where_the_upstream_takes_none_nothing_is_asked_and_nobody_is_blamed() {
    let mut upstream = H2Upstream::start().await;
    let gateway = Gateway::start(&text("breaker = { consecutive_failures = 1 }", "", upstream.address)).await;
    for _ in 0..3 {
        let answer = gateway.ask(ASK).await;
        assert_eq!((answer.status, answer.code().as_str()), (405, "method_not_allowed"));
    }
    assert!(upstream.is_quiet());
    let mut client = gateway.client().await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    upstream.next().await.answer("ok");
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn b8_an_upstream_that_says_no_is_heard() {
    let mut upstream = upstream().await;
    let gateway = Gateway::start(&text("", "", upstream.address)).await;
    let mut client = gateway.client().await;
    client.send(ASK).await;
    let mut asked = upstream.next().await;
    asked.begin(403, &[]).send_data("no".into(), true).unwrap();
    let answer = client.answer().await;
    assert_eq!((answer.status, &answer.body[..]), (403, &b"no"[..]));
}
