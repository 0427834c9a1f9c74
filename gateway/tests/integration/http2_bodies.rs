//! Bodies over HTTP/2, both ways: framing stays exact, nothing is held that the other side does not take.

use bytes::Bytes;
use http::{HeaderMap, Request};
use mocks::raw::{Gate, Raw, Script};

use crate::support::h2::{
    Call, DATA, END_HEADERS, END_STREAM, Frames, GET, H2Client, HEADERS, block, frame, head, post, rest,
};
use crate::support::{Gateway, echo, guarded};

#[tokio::test]
async fn a_body_goes_on_with_its_length_or_in_chunks() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    let mut client = H2Client::connect(gateway.address).await;
    let mut sized = post("/");
    sized.headers_mut().insert("content-length", "5".parse().unwrap());
    let echo = client.send(sized, "hello").await.echo();
    assert_eq!((echo.header("content-length"), echo.header("transfer-encoding")), (Some("5"), None));
    assert_eq!(echo.get("body_bytes"), 5);
    let echo = client.send(post("/"), "hello").await.echo();
    assert_eq!((echo.header("content-length"), echo.header("transfer-encoding")), (None, Some("chunked")));
    assert_eq!(echo.get("body_bytes"), 5);
    assert_eq!(upstream.counters().accepts, 1);
    assert_eq!(gateway.records(2).await[1]["bytes_in"], 5);
}

#[tokio::test]
async fn large_bodies_pass_both_ways_through_small_windows() {
    let upstream = echo().await;
    let server = "h2_stream_window = '1KiB'\nh2_connection_window = '65535B'";
    let gateway = Gateway::with(server, upstream.addr()).await;
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(1000);
    let mut client = H2Client::with(gateway.address, builder).await;
    let answer = client.get("/bytes/300000").await;
    assert_eq!((answer.body.len(), answer.header("content-length"), answer.whole), (300_000, Some("300000"), true));
    let body = Bytes::from(vec![b'x'; 300_000]);
    let echo = client.send(post("/"), body).await.echo();
    assert_eq!(echo.get("body_bytes"), 300_000);
}

#[tokio::test]
async fn a_body_in_small_pieces_goes_on_in_few_frames() {
    let pieces = "1\r\nx\r\n".repeat(20_000);
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let upstream = Raw::script(Script::always(format!("{head}{pieces}0\r\n\r\n"))).await.unwrap();
    let gateway = Gateway::to(upstream.addr()).await;
    let mut client = Frames::connect(gateway.address).await;
    client.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&GET))).await;
    let (mut frames, mut bytes, mut over) = (0, 0, false);
    while !over {
        let data = client.next_of(DATA).await.expect("more of the answer");
        (frames, bytes, over) = (frames + 1, bytes + data.payload.len(), data.flags & END_STREAM != 0);
    }
    assert_eq!(bytes, 20_000);
    assert!(frames < 1000, "{frames} frames");
}

#[tokio::test]
async fn answers_without_a_body_have_none() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    let mut client = H2Client::connect(gateway.address).await;
    let head = Request::builder().method("HEAD").uri("http://a.test/bytes/4096").body(()).unwrap();
    let answer = client.send(head, "").await;
    assert_eq!((answer.status, answer.header("content-length"), answer.body.len()), (200, Some("4096"), 0));
    let nowhere = Gateway::start(&format!("[[routes]]\npath = '/a'\nupstream = 'http://{}'", upstream.addr())).await;
    let head = Request::builder().method("HEAD").uri("http://a.test/none").body(()).unwrap();
    let answer = H2Client::connect(nowhere.address).await.send(head, "").await;
    assert_eq!((answer.status, answer.body.len(), answer.whole), (404, 0, true));

    for (head, length) in [("204 No Content", None), ("304 Not Modified\r\ncontent-length: 7", Some("7"))] {
        let upstream = Raw::script(Script::always(format!("HTTP/1.1 {head}\r\netag: \"1\"\r\n\r\n"))).await.unwrap();
        let gateway = Gateway::to(upstream.addr()).await;
        let answer = H2Client::connect(gateway.address).await.get("/").await;
        assert_eq!(answer.status.to_string(), head[..3]);
        assert_eq!((answer.header("etag"), answer.header("content-length")), (Some("\"1\""), length));
        assert!(answer.whole && answer.body.is_empty());
    }
}

#[tokio::test]
async fn interim_answers_are_swallowed_and_chunks_become_data() {
    let early = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n";
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: x-gone\r\nx-gone: 1\r\n\r\n";
    let script = Script::always(format!("{early}{head}5\r\nhello\r\n0\r\nx-sum: 7\r\ncontent-type: no\r\n\r\n"));
    let upstream = Raw::script(script).await.unwrap();
    let gateway = Gateway::to(upstream.addr()).await;
    let answer = H2Client::connect(gateway.address).await.get("/").await;
    assert_eq!((answer.status, &answer.body[..], answer.whole), (200, &b"hello"[..], true));
    assert_eq!(answer.trailers, [("x-sum".to_owned(), "7".to_owned())], "trailers are screened");
    for name in ["transfer-encoding", "connection", "x-gone", "content-length"] {
        assert_eq!(answer.header(name), None, "{name}");
    }
}

#[tokio::test]
async fn b1_trailers_of_a_request_are_screened_and_pass() {
    let upstream = Raw::script(Script::always("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")).await.unwrap();
    let gateway = Gateway::to(upstream.addr()).await;
    let mut client = H2Client::connect(gateway.address).await;
    let mut call = client.begin(post("/"), false).await;
    call.body.send_data("hello".into(), false).unwrap();
    let mut trailers = HeaderMap::new();
    for (name, value) in [("x-sum", "7"), ("x-forwarded-for", "1.1.1.1"), ("content-length", "3"), ("host", "b")] {
        trailers.insert(name, value.parse().unwrap());
    }
    call.body.send_trailers(trailers).unwrap();
    assert_eq!(call.answer().await.status, 200);
    let sent = String::from_utf8(upstream.received().remove(0)).unwrap();
    assert!(sent.ends_with("5\r\nhello\r\n0\r\nx-sum: 7\r\n\r\n"), "{sent}");
}

#[tokio::test]
async fn an_answer_streams_while_its_request_still_does() {
    let (first, second) = (Gate::new(), Gate::new());
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let script = Script::new()
        .read_head()
        .wait(&first)
        .send(format!("{chunked}3\r\none\r\n"))
        .wait(&second)
        .send("3\r\ntwo\r\n0\r\n\r\n");
    let upstream = Raw::script(script).await.unwrap();
    let gateway = Gateway::to(upstream.addr()).await;
    let mut client = H2Client::connect(gateway.address).await;
    let mut call = client.begin(post("/"), false).await;
    call.body.send_data("a".into(), false).unwrap();
    first.open();
    let Call { answer, body: mut sender } = call;
    let (mut answer, mut body) = head(answer).await.unwrap();
    let data = guarded("the first part", body.data()).await.unwrap().unwrap();
    assert_eq!((answer.status, &data[..]), (200, &b"one"[..]));
    sender.send_data("b".into(), true).unwrap();
    second.open();
    rest(&mut answer, &mut body).await.unwrap();
    assert_eq!(&answer.body[..], b"two");
}

#[tokio::test]
async fn a11_a_client_that_waits_is_told_to_continue() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    let mut client = H2Client::connect(gateway.address).await;
    let mut request = post("/");
    request.headers_mut().insert("expect", "100-continue".parse().unwrap());
    let mut call = client.begin(request, false).await;
    let told = guarded("a 100", std::future::poll_fn(|cx| call.answer.poll_informational(cx))).await;
    assert_eq!(told.unwrap().unwrap().status(), 100);
    call.body.send_data("hello".into(), true).unwrap();
    let echo = call.answer().await.echo();
    assert_eq!((echo.get("body_bytes"), echo.header("expect")), (&5.into(), None));
}

#[tokio::test]
async fn e_a_body_beyond_its_limit_is_413_and_the_connection_goes_on() {
    let upstream = echo().await;
    let gateway = Gateway::with("max_body = '4B'", upstream.addr()).await;
    let mut client = H2Client::connect(gateway.address).await;
    assert_eq!(client.send(post("/"), "four").await.status, 200);
    let answer = client.send(post("/"), "five5").await;
    assert_eq!((answer.status, answer.code().as_str()), (413, "body_too_large"));
    let mut sized = post("/");
    sized.headers_mut().insert("content-length", "5".parse().unwrap());
    let answer = client.begin(sized, false).await.answer().await;
    assert_eq!((answer.status, answer.code().as_str()), (413, "body_too_large"), "before a byte of it came");
    assert_eq!(client.get("/").await.status, 200);
    gateway.records(4).await;
}
