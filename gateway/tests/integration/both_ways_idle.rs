//! When an exchange is idle: before its answer, and once that has begun. In virtual time.

use std::time::Duration;

use bytes::Bytes;
use h2::client::Builder;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use crate::both_ways::{LENGTH, answers_at_length, pass, read_head_alone};
use crate::support::Client;
use crate::support::h2::{H2Client, head, post, rest};
use crate::support::inside::{Inside, Memory};

const MS: Duration = Duration::from_millis(1);
/// Shorter than what a request's body may stand still for before its answer, and long enough to pass that soon.
const PAUSE: Duration = Duration::from_millis(1500);
/// So often the one side speaks that does: for longer than each time-out.
const TURNS: usize = 8;

const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n";

/// One failure opens its endpoint's breaker.
fn world<F>(upstream: &str, route: &str, story: impl Fn(DuplexStream) -> F + Send + Sync + 'static) -> Inside<Memory>
where
    F: Future<Output = ()> + Send + 'static,
{
    let idle = if route.contains("idle_timeout") { "" } else { "idle_timeout = '5s'" };
    let text = format!(
        "[server]\nbody_idle_timeout = '2s'\n[upstreams.up]\nendpoints = ['up:9']\n\
         breaker = {{ min_requests = 1, open_for = '60s' }}\n{upstream}\n\
         [[routes]]\npath = '/{{*rest}}'\nupstream = 'up'\n{idle}\nretry = {{ attempts = 1 }}\n{route}\n"
    );
    Inside::in_memory(&text, story)
}

/// The one record: its code, whose fault it is, and how many tenths of a second it took.
fn told(world: &Inside<Memory>) -> (Value, Value, u64) {
    let record = &world.records()[0];
    (record["code"].clone(), record["fault"].clone(), record["total_us"].as_u64().unwrap() / 100_000)
}

/// Answers at once, then says something now and then; asks for nothing.
async fn ticks(mut stream: DuplexStream) {
    read_head_alone(&mut stream).await;
    stream.write_all(CHUNKED.as_bytes()).await.unwrap();
    for _ in 0..TURNS {
        pass(PAUSE).await;
        stream.write_all(b"4\r\ntick\r\n").await.unwrap();
    }
    stream.write_all(b"0\r\n\r\n").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stream_lives_while_its_upstream_speaks() {
    let world = world("", "", ticks);
    let answer = Client::on(world.connect()).ask(POST).await;
    assert_eq!((answer.body.len(), answer.whole), (4 * TURNS, true));
    assert_eq!(world.records()[0]["code"], "ok");
}

/// A call of gRPC as one who watches makes it: one message, and then those that come.
async fn calls(stream: DuplexStream) {
    let mut connection = h2::server::handshake(stream).await.unwrap();
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        tokio::spawn(async move {
            let response = http::Response::builder().header("content-type", "application/grpc").body(()).unwrap();
            let mut answer = respond.send_response(response, false).unwrap();
            for _ in 0..TURNS {
                pass(PAUSE).await;
                answer.send_data(Bytes::from_static(b"\0\0\0\0\0"), false).unwrap();
            }
            let mut trailers = http::HeaderMap::new();
            trailers.insert("grpc-status", "0".parse().unwrap());
            answer.send_trailers(trailers).unwrap();
            drop(request);
        });
    }
}

#[tokio::test(start_paused = true)]
async fn so_does_a_call_of_grpc() {
    let world = world("protocol = 'http2'", "", calls);
    let mut client = H2Client::on(world.connect(), Builder::new()).await;
    let mut request = post("/a.B/Watch");
    request.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
    request.headers_mut().insert("te", "trailers".parse().unwrap());
    let mut call = client.begin(request, false).await;
    call.body.send_data(Bytes::from_static(b"\0\0\0\0\0"), false).unwrap();
    let (mut answer, mut body) = head(call.answer).await.unwrap();
    rest(&mut answer, &mut body).await.unwrap();
    assert_eq!((answer.body.len(), answer.trailers.len()), (5 * TURNS, 1));
}

/// Answers at once, and ends its answer when all of the request is there.
async fn answers_early(mut stream: DuplexStream) {
    read_head_alone(&mut stream).await;
    stream.write_all(CHUNKED.as_bytes()).await.unwrap();
    let mut read = Vec::new();
    while !read.ends_with(b"0\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        read.push(byte);
    }
    stream.write_all(b"2\r\nok\r\n0\r\n\r\n").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_slow_upload_lives_though_its_answer_has_begun() {
    let world = world("", "", answers_early);
    let mut client = Client::on(world.connect());
    client.send(POST).await;
    for _ in 0..TURNS {
        pass(PAUSE).await;
        client.send("1\r\nx\r\n").await;
    }
    client.send("0\r\n\r\n").await;
    let answer = client.answer().await;
    assert_eq!((&answer.body[..], answer.whole), (&b"ok"[..], true));
    assert_eq!(world.breaker(), "closed");
}

/// Answers at once, and then no more. What comes is read.
async fn falls_silent(mut stream: DuplexStream) {
    read_head_alone(&mut stream).await;
    stream.write_all(CHUNKED.as_bytes()).await.unwrap();
    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
}

#[tokio::test(start_paused = true)]
async fn where_neither_side_speaks_it_ends_and_the_upstream_is_not_blamed_for_its_client() {
    for (last, code, fault, breaker) in [
        ("1\r\nx\r\n", "request_timeout", "client", "closed"),
        ("1\r\nx\r\n0\r\n\r\n", "upstream_timeout", "upstream", "open"),
    ] {
        let world = world("", "", falls_silent);
        let mut client = Client::on(world.connect());
        client.send(POST).await;
        assert_eq!(client.head().await.status, 200);
        pass(3000 * MS).await;
        client.send(last).await;
        client.closed().await;
        assert_eq!(told(&world), (code.into(), fault.into(), 80), "five seconds behind the last byte");
        assert_eq!((world.breaker(), world.in_flight()), (breaker, (0, 0)));
    }
}

/// Says what it has to say, in an answer of this type, and then no more. What comes is read.
async fn speaks_once(mut stream: DuplexStream, kind: &str) {
    read_head_alone(&mut stream).await;
    let typed = CHUNKED.replacen("\r\n", &format!("\r\ncontent-type: {kind}\r\n"), 1);
    stream.write_all(format!("{typed}4\r\ntick\r\n").as_bytes()).await.unwrap();
    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
}

/// Clients of quiet streams came back after each time-out, until their failures had opened the breaker of a service
/// that was well.
#[tokio::test(start_paused = true)]
async fn a_stream_that_has_nothing_to_say_ends_as_a_tunnel_does_and_nobody_is_to_blame() {
    let blamed: (Value, Value, u64) = ("upstream_timeout".into(), "upstream".into(), 50);
    for (kind, expected, breaker) in [
        ("text/event-stream", ("ok".into(), Value::Null, 50), "closed"),
        ("Application/X-NDJSON; charset=utf-8", ("ok".into(), Value::Null, 50), "closed"),
        ("text/plain", blamed.clone(), "open"),
    ] {
        let world = world("", "", move |stream| speaks_once(stream, kind));
        let answer = Client::on(world.connect()).ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!((answer.status, &answer.body[..], answer.whole), (200, &b"tick"[..], false), "{kind}");
        assert_eq!(told(&world), expected, "{kind}");
        assert_eq!(world.records()[0]["ended"], "timeout");
        assert_eq!((world.breaker(), world.in_flight()), (breaker, (0, 0)), "{kind}");
    }
    // What does not take its request is waited for, whatever its answer is.
    let world = world("", "timeout = '0s'", |mut stream| async move {
        read_head_alone(&mut stream).await;
        let typed = CHUNKED.replacen("\r\n", "\r\ncontent-type: text/event-stream\r\n", 1);
        stream.write_all(typed.as_bytes()).await.unwrap();
        std::future::pending::<()>().await;
    });
    upload(&world).await;
    assert_eq!((told(&world), world.breaker()), (blamed, "open"));
}

/// Sends these bytes of an answer of gRPC, and then no more.
async fn calls_fall_silent(stream: DuplexStream, bytes: &'static [u8]) {
    let mut connection = h2::server::handshake(stream).await.unwrap();
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        tokio::spawn(async move {
            let response = http::Response::builder().header("content-type", "application/grpc").body(()).unwrap();
            let mut answer = respond.send_response(response, false).unwrap();
            answer.send_data(Bytes::from_static(bytes), false).unwrap();
            std::future::pending::<()>().await;
            drop((request, answer));
        });
    }
}

#[tokio::test(start_paused = true)]
async fn nor_is_anybody_for_a_call_of_grpc_that_is_silent_between_two_messages() {
    let (between, within): (&[u8], &[u8]) = (b"\0\0\0\0\0", b"\0\0\0\0\x05a");
    for (bytes, code, breaker) in [(between, "ok", "closed"), (within, "upstream_timeout", "open")] {
        let world = world("protocol = 'http2'", "", move |stream| calls_fall_silent(stream, bytes));
        let mut client = H2Client::on(world.connect(), Builder::new()).await;
        let mut request = post("/grpc.health.v1.Health/Watch");
        request.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
        request.headers_mut().insert("te", "trailers".parse().unwrap());
        let mut call = client.begin(request, false).await;
        call.body.send_data(Bytes::from_static(between), true).unwrap();
        let (mut answer, mut body) = head(call.answer).await.unwrap();
        rest(&mut answer, &mut body).await.unwrap();
        let status = answer.trailers.iter().find(|(name, _)| name == "grpc-status").map(|(_, value)| &**value);
        assert_eq!((&answer.body[..], status), (bytes, Some("4")), "its caller is told why");
        let record = &world.records()[0];
        assert_eq!((&record["code"], &record["ended"], world.breaker()), (&code.into(), &"timeout".into(), breaker));
        assert_eq!(record["grpc_status"], 4, "that it was told");
        let page = String::from_utf8(gateway::admin::metrics_page(&world.gateway)).unwrap();
        let counted = page.lines().any(|line| {
            line.starts_with("gateway_grpc_answers_total{")
                && line.contains("grpc_status=\"4\"")
                && !line.ends_with(" 0")
        });
        assert_eq!(counted, code != "ok", "who has nothing to say has not failed");
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_limit_of_silence_nobody_has_to_speak() {
    let world = world("", "idle_timeout = '0s'", ticks_late);
    let answer = Client::on(world.connect()).ask(POST).await;
    assert_eq!((&answer.body[..], answer.whole), (&b"late"[..], true));
}

async fn ticks_late(mut stream: DuplexStream) {
    read_head_alone(&mut stream).await;
    stream.write_all(CHUNKED.as_bytes()).await.unwrap();
    pass(15_000 * MS).await;
    stream.write_all(b"4\r\nlate\r\n0\r\n\r\n").await.unwrap();
}

/// Takes the head and nothing of the body.
async fn takes_nothing(mut stream: DuplexStream) {
    read_head_alone(&mut stream).await;
    std::future::pending::<()>().await;
}

/// The same, behind an answer's head.
async fn answers_and_takes_nothing(mut stream: DuplexStream) {
    read_head_alone(&mut stream).await;
    stream.write_all(CHUNKED.as_bytes()).await.unwrap();
    std::future::pending::<()>().await;
}

/// Sends more than is taken, and reads whatever comes until the gateway closes.
async fn upload(world: &Inside<Memory>) -> String {
    let (mut reads, mut writes) = tokio::io::split(world.connect());
    let send = async {
        let _ = writes.write_all(upload_head().as_bytes()).await;
        let _ = writes.write_all(&vec![b'x'; LENGTH]).await;
    };
    let mut text = Vec::new();
    let read = async {
        let _ = reads.read_to_end(&mut text).await;
    };
    tokio::select! {
        ((), ()) = async { tokio::join!(send, read) } => {}
        () = pass(60_000 * MS) => {}
    }
    String::from_utf8(text).unwrap()
}

fn upload_head() -> String {
    format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {LENGTH}\r\n\r\n")
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_takes_nothing_of_a_request_is_given_up_also_where_nothing_else_ends_it() {
    let world = world("", "timeout = '0s'", takes_nothing);
    let text = upload(&world).await;
    assert!(text.starts_with("HTTP/1.1 504 ") && text.contains("upstream_timeout"), "{text}");
    assert_eq!(told(&world), ("upstream_timeout".into(), "upstream".into(), 50));
    assert_eq!((world.breaker(), world.in_flight()), ("open", (0, 0)));
}

#[tokio::test(start_paused = true)]
async fn so_is_one_that_has_answered() {
    let world = world("", "timeout = '0s'", answers_and_takes_nothing);
    let text = upload(&world).await;
    assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
    assert_eq!(told(&world), ("upstream_timeout".into(), "upstream".into(), 50));
    assert_eq!((world.breaker(), world.in_flight()), ("open", (0, 0)));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_in_mid_upload_is_not_kept_for_an_upstream_that_takes_nothing() {
    let world = world("", "timeout = '0s'", takes_nothing);
    let mut stream = world.connect();
    stream.write_all(upload_head().as_bytes()).await.unwrap();
    let body = vec![b'x'; LENGTH];
    tokio::select! {
        sent = stream.write_all(&body) => panic!("all of it is taken: {sent:?}"),
        () = pass(2000 * MS) => {}
    }
    assert_eq!(world.in_flight().0, 1);
    drop(stream);
    pass(4000 * MS).await;
    assert_eq!((world.in_flight(), world.records().len()), ((0, 0), 1));
}

/// More than is held on the way to an upstream, bytes.
const MANY_BITES: usize = 200 * 1024;

/// Takes a request in small bites for longer than silence is borne, then the rest, and answers.
async fn takes_little_by_little(mut stream: DuplexStream) {
    read_head_alone(&mut stream).await;
    let mut bite = [0; 4096];
    for _ in 0..TURNS {
        pass(PAUSE).await;
        stream.read_exact(&mut bite).await.unwrap();
    }
    let mut rest = vec![0; MANY_BITES - TURNS * bite.len()];
    stream.read_exact(&mut rest).await.unwrap();
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_takes_little_by_little_is_waited_for() {
    let world = world("", "timeout = '0s'", takes_little_by_little);
    let mut client = Client::on(world.connect());
    client.send(format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {MANY_BITES}\r\n\r\n")).await;
    client.send(vec![b'x'; MANY_BITES]).await;
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_has_all_of_a_request_is_waited_for_without_a_limit() {
    let world = world("", "timeout = '0s'", answers_late);
    let answer = Client::on(world.connect()).ask("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi").await;
    assert_eq!(answer.status, 200);
}

async fn answers_late(mut stream: DuplexStream) {
    read_head_alone(&mut stream).await;
    pass(15_000 * MS).await;
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_sends_is_not_left_for_what_it_has_not_read_yet() {
    let world = world("", "", answers_at_length);
    let mut client = Client::on(world.connect());
    client.send(POST).await;
    let mut answer = client.head().await;
    for _ in 0..TURNS {
        pass(PAUSE).await;
        client.send("1\r\nx\r\n").await;
    }
    client.send("0\r\n\r\n").await;
    client.body_of(&mut answer).await;
    assert_eq!((answer.body.len(), answer.whole), (LENGTH, true));
}

#[tokio::test(start_paused = true)]
async fn who_neither_sends_nor_reads_is_left() {
    let world = world("", "", answers_at_length);
    let mut client = Client::on(world.connect());
    client.send(POST).await;
    assert_eq!(client.head().await.status, 200);
    pass(PAUSE).await;
    client.send("1\r\nx\r\n").await;
    pass(3 * PAUSE).await;
    assert_eq!(world.in_flight(), (0, 0), "for twice two seconds at most");
}
