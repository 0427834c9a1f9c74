//! WebSockets over HTTP/2 (RFC 8441): an extended CONNECT becomes HTTP/1's request to switch, and its stream a tunnel.

use h2::ext::Protocol;
use http::Request;
use mocks::raw::{Raw, Script};

use crate::support::h2::{Call, H2Client, get, head, rest};
use crate::support::{Answer, Gateway, echo, guarded, nowhere};

fn connect(protocol: &'static str, path: &str) -> Request<()> {
    let mut request = Request::builder().method("CONNECT").uri(format!("http://a.test{path}"));
    request = request.header("sec-websocket-version", "13").header("sec-websocket-key", "the client's own");
    request.extension(Protocol::from_static(protocol)).body(()).unwrap()
}

/// A text frame as a client sends it: masked (RFC 6455, section 5.3), here by zeros.
fn frame(text: &str) -> Vec<u8> {
    let mut frame = vec![0x81, 0x80 | u8::try_from(text.len()).unwrap(), 0, 0, 0, 0];
    frame.extend_from_slice(text.as_bytes());
    frame
}

async fn client(gateway: &Gateway) -> H2Client {
    let client = H2Client::connect(gateway.address).await;
    client.takes_extended_connect().await;
    client
}

/// What a request to connect is answered with, and its body as JSON.
async fn refused(gateway: &Gateway, request: Request<()>) -> Answer {
    client(gateway).await.begin(request, false).await.answer().await
}

#[tokio::test]
async fn messages_pass_both_ways_beside_other_requests() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    let mut client = client(&gateway).await;
    let Call { answer, mut body } = client.begin(connect("websocket", "/ws"), false).await;
    let (answer, mut reads) = head(answer).await.unwrap();
    assert_eq!(answer.status, 200);
    for name in ["upgrade", "connection", "sec-websocket-accept", "content-length"] {
        assert_eq!(answer.header(name), None, "{name}");
    }
    for text in ["one", "two", "three"] {
        body.send_data(frame(text).into(), false).unwrap();
        let mut echoed = Vec::new();
        while echoed.len() < 2 + text.len() {
            echoed.extend_from_slice(&guarded("an echo", reads.data()).await.unwrap().unwrap());
        }
        assert_eq!(&echoed[2..], text.as_bytes());
        assert_eq!(client.get("/beside").await.status, 200);
    }
    assert_eq!(gateway.in_flight(), 1, "a tunnel is in flight for as long as it lasts");
    body.send_data(vec![0x88, 0x80, 0, 0, 0, 0].into(), true).unwrap();
    let mut end = Answer::default();
    rest(&mut end, &mut reads).await.unwrap();
    assert_eq!(end.body, [0x88, 0], "the close is echoed too, and the stream ends");
    gateway.at_rest().await;
    let records = gateway.records(4).await;
    let tunnel = records.iter().find(|record| record["path"] == "/ws").unwrap();
    assert_eq!(
        (&tunnel["status"], &tunnel["ended"], &tunnel["protocol"]),
        (&101.into(), &"complete".into(), &"HTTP/2".into())
    );
    assert_eq!(tunnel["bytes_out"], 5 + 5 + 7 + 2);
}

#[tokio::test]
async fn b8_an_upstream_that_does_not_switch_or_proves_nothing_makes_no_tunnel() {
    let plain = Raw::script(Script::always("HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno")).await.unwrap();
    let gateway = Gateway::to(plain.addr()).await;
    let answer = refused(&gateway, connect("websocket", "/ws")).await;
    assert_eq!((answer.status, &answer.body[..]), (403, &b"no"[..]));
    let asked = String::from_utf8(plain.received().remove(0)).unwrap();
    assert!(asked.starts_with("GET /ws HTTP/1.1\r\n") && asked.contains("upgrade: websocket\r\n"), "{asked}");
    assert!(!asked.contains("the client's own"), "the key is the gateway's");

    let switch = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n";
    for switch in [
        // Of HTTP/2 this would be a tunnel.
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n".to_owned(),
        format!("{switch}\r\n"),
        format!("{switch}sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"),
    ] {
        let upstream = Raw::script(Script::new().read_head().send(switch).hang()).await.unwrap();
        let gateway = Gateway::to(upstream.addr()).await;
        let answer = refused(&gateway, connect("websocket", "/ws")).await;
        assert_eq!((answer.status, answer.code().as_str()), (502, "upstream_invalid"));
        gateway.at_rest().await;
    }
}

#[tokio::test]
async fn b8_only_routes_that_allow_it_and_only_websocket() {
    let upstream = echo().await;
    let gateway = Gateway::with_route("upgrades = []", upstream.addr()).await;
    let answer = refused(&gateway, connect("websocket", "/ws")).await;
    assert_eq!((answer.status, answer.code().as_str()), (405, "method_not_allowed"));
    let mut as_a_call = connect("websocket", "/ws");
    as_a_call.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
    let answer = refused(&gateway, as_a_call).await;
    assert_eq!(answer.status, 405, "a refusal of gRPC's is a 200, which opens a tunnel");
    let gateway = Gateway::to(upstream.addr()).await;
    let answer = refused(&gateway, connect("connect-udp", "/ws")).await;
    assert_eq!((answer.status, answer.code().as_str()), (405, "method_not_allowed"));
    assert_eq!(upstream.counters().requests, 0);
}

#[tokio::test]
async fn l10_a_client_that_leaves_its_tunnel_ends_it_and_no_other_request() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    let mut client = client(&gateway).await;
    let Call { answer, mut body } = client.begin(connect("websocket", "/ws"), false).await;
    let (answer, reads) = head(answer).await.unwrap();
    assert_eq!(answer.status, 200);
    body.send_reset(h2::Reason::CANCEL);
    drop(reads);
    assert_eq!(gateway.record().await["ended"], "client_left");
    gateway.at_rest().await;
    assert_eq!(client.send(get("/"), "").await.status, 200);
    assert_eq!(gateway.upstream_connections().0, 1, "the tunnel's connection is closed");
}

#[tokio::test]
async fn b8_a_route_that_answers_itself_opens_no_tunnel() {
    for own in ["answer = { body = 'x' }", "answer = { status = 204 }", "redirect = { path = '/elsewhere' }"] {
        let gateway = Gateway::start(&format!("[[routes]]\npath = '/ws'\n{own}\n")).await;
        let answer = refused(&gateway, connect("websocket", "/ws")).await;
        assert_eq!((answer.status, &*answer.code()), (405, "method_not_allowed"), "{own}");
        // Anybody else gets it.
        assert_ne!(client(&gateway).await.get("/ws").await.status, 405);
        let record = gateway.records(2).await.remove(0);
        assert_eq!((&record["status"], &record["protocol"]), (&405.into(), &"HTTP/2".into()));
    }
}

#[tokio::test]
async fn b8_what_stands_in_for_an_upstream_opens_no_tunnel() {
    let nowhere = nowhere();
    let plain = Raw::script(Script::always("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno")).await.unwrap();
    let other = format!("fallback = {{ upstream = 'cache' }}\n[upstreams.cache]\nendpoints = ['{}']", plain.addr());
    for (fallback, code) in [
        ("fallback = { status = 200, body = 'x' }", "upstream_connect"),
        ("fallback = { status = 204 }", "upstream_connect"),
        (&other, "upstream_invalid"),
    ] {
        let gateway = Gateway::with_route(fallback, nowhere).await;
        let answer = refused(&gateway, connect("websocket", "/ws")).await;
        assert_eq!((answer.status, &*answer.code()), (502, code), "{fallback}");
        // Anybody else gets it.
        assert!((200..300).contains(&client(&gateway).await.get("/ws").await.status));
    }
    let gateway = Gateway::with_route("fallback = { status = 404, body = 'x' }", nowhere).await;
    assert_eq!(refused(&gateway, connect("websocket", "/ws")).await.status, 404, "this one opens none");
}
