//! Compressed answers: who gets one, what its head says, and that its body is what the upstream sent.

use std::io::Read;

use bytes::Bytes;
use http::Response;
use mocks::raw::{Gate, Raw, Script};

use crate::support::h2::{H2Client, get, head};
use crate::support::h2_upstream::H2Upstream;
use crate::support::{Answer, Gateway, echo, eventually, one_route};

const TEXT: &str = "content-type: text/plain\r\n";

pub(crate) fn unpacked(answer: &Answer) -> Vec<u8> {
    let mut whole = Vec::new();
    match answer.header("content-encoding") {
        Some("gzip") => drop(flate2::read::GzDecoder::new(&answer.body[..]).read_to_end(&mut whole).unwrap()),
        Some("zstd") => whole = zstd::stream::decode_all(&answer.body[..]).unwrap(),
        other => panic!("coded with {other:?}"),
    }
    whole
}

/// What a reader has of a gzip stream that goes on.
pub(crate) fn so_far(bytes: &[u8]) -> String {
    let mut text = Vec::new();
    let _ = flate2::read::GzDecoder::new(bytes).read_to_end(&mut text);
    String::from_utf8(text).unwrap()
}

pub(crate) fn body(len: usize) -> String {
    (0..).map(|n| format!("line {n} of a text that says much the same. ")).take(len / 40 + 1).collect::<String>()
}

fn answer(fields: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{fields}content-length: {}\r\n\r\n{body}", body.len())
}

async fn answering(bytes: impl AsRef<[u8]>) -> Raw {
    Raw::script(Script::always(bytes)).await.unwrap()
}

async fn ask(gateway: &Gateway, accept: &str) -> Answer {
    gateway.ask(format!("GET / HTTP/1.1\r\nhost: a\r\naccept-encoding: {accept}\r\n\r\n")).await
}

fn as_it_is(answer: &Answer) -> bool {
    assert!(answer.whole);
    answer.header("content-encoding").is_none()
}

#[tokio::test]
async fn a_client_gets_what_it_likes_best_and_caches_are_told() {
    let text = body(30_000);
    let fields = format!("{TEXT}ETag: \"strong\"\r\naccept-ranges: bytes\r\n");
    let upstream = answering(answer(&fields, &text)).await;
    let gateway = Gateway::with_route("compress = true", upstream.addr()).await;
    for (accept, coding) in [
        ("gzip", "gzip"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("zstd;q=0.5, gzip;q=0.9", "gzip"),
        ("gzip;q=0, *", "zstd"),
        ("gzip, identity;q=0", "gzip"),
    ] {
        let answer = ask(&gateway, accept).await;
        assert_eq!(answer.header("content-encoding"), Some(coding), "{accept}");
        assert_eq!(answer.header("vary"), Some("accept-encoding"));
        assert_eq!(answer.header("etag"), Some("W/\"strong\""));
        assert_eq!((answer.header("content-length"), answer.header("accept-ranges")), (None, None));
        assert!(answer.whole && answer.body.len() < text.len() / 5);
        assert_eq!(unpacked(&answer), text.as_bytes());
    }
    for accept in ["br", "identity", "gzip;q=0, zstd;q=0", "gzip;q=0.1, identity", ""] {
        let answer = ask(&gateway, accept).await;
        assert!(as_it_is(&answer), "{accept}");
        assert_eq!((answer.header("vary"), answer.header("etag")), (Some("accept-encoding"), Some("\"strong\"")));
        assert_eq!((answer.header("accept-ranges"), &answer.body[..]), (Some("bytes"), text.as_bytes()));
    }
    let silent = gateway.get("/").await;
    assert!(as_it_is(&silent) && silent.header("vary").is_some());
    let http_10 = gateway.ask("GET / HTTP/1.0\r\nhost: a\r\naccept-encoding: gzip\r\n\r\n").await;
    assert!(as_it_is(&http_10), "its client could not tell a cut answer from a whole one");
    let records = gateway.records(12).await;
    let sizes: Vec<_> = records.iter().map(|record| record["bytes_out"].as_u64().unwrap()).collect();
    assert!(sizes[..5].iter().all(|size| *size < 6000) && sizes[5..].iter().all(|size| *size == text.len() as u64));
    let count = |coding| format!("gateway_compressed_answers_total{{route=\"all\",coding=\"{coding}\"}}");
    assert_eq!(gateway.metric(&count("gzip")).await, Some(3.0));
    assert_eq!(gateway.metric(&count("zstd")).await, Some(2.0));
    let bytes = |form| format!("gateway_compressed_bytes_total{{route=\"all\",coding=\"gzip\",form=\"{form}\"}}");
    assert_eq!(gateway.metric(&bytes("before")).await, Some(3.0 * text.len() as f64));
    let after = (sizes[0] + sizes[2] + sizes[4]) as f64;
    assert_eq!(gateway.metric(&bytes("after")).await, Some(after));
}

#[tokio::test]
async fn what_is_not_to_be_touched_is_not() {
    let text = body(5_000);
    for (fields, varies) in [
        ("content-type: image/png\r\n", false),
        ("content-type: text/event-stream\r\n", false),
        ("content-type: application/grpc\r\n", false),
        ("", false),
        (&*format!("{TEXT}content-encoding: br\r\n"), false),
        (&*format!("{TEXT}cache-control: private, no-transform\r\n"), false),
        (&*format!("{TEXT}content-digest: sha-256=:AA==:\r\n"), false),
    ] {
        let upstream = answering(answer(fields, &text)).await;
        let gateway = Gateway::with_route("compress = true", upstream.addr()).await;
        let answer = ask(&gateway, "gzip").await;
        assert_eq!(answer.body, text.as_bytes(), "{fields:?}");
        assert_eq!(answer.header("vary").is_some(), varies, "{fields:?}");
        assert_eq!(answer.header("content-length"), Some(&*text.len().to_string()));
    }
    for (status, fields) in [("206 Partial Content", "content-range: bytes 0-9/99\r\n"), ("416 No", "")] {
        let bytes = answer(&format!("{TEXT}{fields}"), &text).replacen("200 OK", status, 1);
        let upstream = answering(bytes).await;
        let gateway = Gateway::with_route("compress = true", upstream.addr()).await;
        assert_eq!(ask(&gateway, "gzip").await.body, text.as_bytes(), "{status}");
    }
    // A client may ask for it, too.
    let upstream = answering(answer(TEXT, &text)).await;
    let gateway = Gateway::with_route("compress = true", upstream.addr()).await;
    let request = "GET / HTTP/1.1\r\nhost: a\r\naccept-encoding: gzip\r\ncache-control: no-transform\r\n\r\n";
    assert!(as_it_is(&gateway.ask(request).await));
    // A route that does not compress says nothing.
    let plain = Gateway::to(upstream.addr()).await;
    let answer = ask(&plain, "gzip").await;
    assert!(as_it_is(&answer) && answer.header("vary").is_none());
}

#[tokio::test]
async fn a_small_answer_is_compressed_only_for_who_takes_no_other() {
    let upstream = answering(answer(TEXT, &body(900)[..900])).await;
    let gateway = Gateway::with_route("compress = true", upstream.addr()).await;
    let small = ask(&gateway, "gzip").await;
    assert!(as_it_is(&small));
    assert_eq!((small.header("vary"), small.body.len()), (Some("accept-encoding"), 900));
    let insisted = ask(&gateway, "gzip, identity;q=0").await;
    assert_eq!(unpacked(&insisted).len(), 900);
    let nothing = answering(answer(TEXT, "")).await;
    let none = Gateway::with_route("compress = { min_size = '0' }", nothing.addr()).await;
    let empty = ask(&none, "gzip, identity;q=0").await;
    assert!(as_it_is(&empty));
    assert_eq!(empty.header("content-length"), Some("0"));
    let exact = Gateway::with_route("compress = { min_size = '900B' }", upstream.addr()).await;
    assert_eq!(unpacked(&ask(&exact, "gzip").await).len(), 900);
}

#[tokio::test]
async fn head_and_304_say_what_get_would_say() {
    let fields = format!("{TEXT}etag: \"a\"\r\n");
    let upstream = answering(format!("HTTP/1.1 200 OK\r\n{fields}content-length: 5000\r\n\r\n")).await;
    let gateway = Gateway::with_route("compress = true", upstream.addr()).await;
    for (accept, tag, length) in [("gzip", "W/\"a\"", None), ("identity", "\"a\"", Some("5000"))] {
        let mut client = gateway.client().await;
        client.send(format!("HEAD / HTTP/1.1\r\nhost: a\r\naccept-encoding: {accept}\r\n\r\n")).await;
        let answer = client.head().await;
        assert_eq!((answer.header("etag"), answer.header("content-length")), (Some(tag), length), "{accept}");
        assert_eq!((answer.header("content-encoding"), answer.header("vary")), (None, Some("accept-encoding")));
    }
    let upstream = answering("HTTP/1.1 304 Not Modified\r\netag: \"a\"\r\n\r\n").await;
    let gateway = Gateway::with_route("compress = true", upstream.addr()).await;
    let known =
        |tag: &str| format!("GET / HTTP/1.1\r\nhost: a\r\naccept-encoding: gzip\r\nif-none-match: {tag}\r\n\r\n");
    let answer = gateway.ask(known("\"b\", W/\"a\"")).await;
    assert_eq!((answer.status, answer.header("etag")), (304, Some("W/\"a\"")));
    assert_eq!((answer.header("vary"), answer.header("content-encoding")), (Some("accept-encoding"), None));
    let answer = gateway.ask(known("\"a\"")).await;
    assert_eq!(
        (answer.status, answer.header("etag")),
        (304, Some("\"a\"")),
        "what the client has was never made smaller"
    );
    assert_eq!(answer.header("vary"), Some("accept-encoding"), "as its 200 says");
    let empty = answering("HTTP/1.1 204 No Content\r\ncontent-type: text/plain\r\n\r\n").await;
    let gateway = Gateway::with_route("compress = true", empty.addr()).await;
    let answer = ask(&gateway, "gzip").await;
    assert_eq!((answer.status, answer.header("vary")), (204, None));
}

#[tokio::test]
async fn vary_is_said_once_and_beside_what_was_said() {
    for (said, vary) in [
        ("Vary: Cookie\r\n", vec!["Cookie", "accept-encoding"]),
        ("vary: cookie, Accept-Encoding\r\n", vec!["cookie, Accept-Encoding"]),
        ("vary: *\r\n", vec!["*"]),
    ] {
        let upstream = answering(answer(&format!("{TEXT}{said}"), &body(2000))).await;
        let gateway = Gateway::with_route("compress = true", upstream.addr()).await;
        let answer = ask(&gateway, "gzip").await;
        let found: Vec<_> = answer.headers.iter().filter(|(name, _)| name == "vary").map(|(_, value)| value).collect();
        assert_eq!(found, vary);
        assert_eq!(unpacked(&answer), body(2000).as_bytes());
    }
    // What a route sets counts like what came.
    let set = "compress = true\nresponse_headers = { set = { vary = 'accept-encoding', content-type = 'text/css' } }";
    let upstream = answering(answer("content-type: image/png\r\n", &body(2000))).await;
    let answer = ask(&Gateway::with_route(set, upstream.addr()).await, "gzip").await;
    assert_eq!((answer.header("vary"), unpacked(&answer).len()), (Some("accept-encoding"), body(2000).len()));
}

#[tokio::test]
async fn events_are_there_when_they_come() {
    let gates = [Gate::new(), Gate::new()];
    let event = |n| format!("9\r\ndata: {n}\n\n\r\n");
    let script = Script::new()
        .read_request()
        .send("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        .send(event(1))
        .wait(&gates[0])
        .send(event(2))
        .wait(&gates[1])
        .send("0\r\n\r\n");
    let upstream = Raw::script(script).await.unwrap();
    let gateway = Gateway::with_route("compress = { types = ['text/event-stream'] }", upstream.addr()).await;
    let mut client = gateway.client().await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\naccept-encoding: gzip\r\n\r\n").await;
    let mut answer = client.head().await;
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    let mut bytes = Vec::new();
    for (n, expected) in ["data: 1\n\n", "data: 1\n\ndata: 2\n\n"].iter().enumerate() {
        while so_far(&bytes) != *expected {
            bytes.extend(client.raw_chunk().await);
        }
        gates[n].open();
    }
    client.body_of(&mut answer).await;
    bytes.append(&mut answer.body);
    assert!(answer.whole);
    assert_eq!(so_far(&bytes), "data: 1\n\ndata: 2\n\n");
}

#[tokio::test]
async fn over_http2_trailers_follow_and_the_body_is_the_same() {
    let mut upstream = H2Upstream::start().await;
    let route = "compress = true";
    let text = crate::upstream_http2::text("", route, upstream.address);
    let gateway = Gateway::start(&text).await;
    let mut client = H2Client::connect(gateway.address).await;
    let mut request = get("/");
    request.headers_mut().insert("accept-encoding", "zstd".parse().unwrap());
    let call = client.begin(request, true).await;
    let mut asked = upstream.next().await;
    assert_eq!(asked.header("accept-encoding"), Some("zstd"));
    let whole = Bytes::from(body(50_000));
    let response = Response::builder().header("content-type", "application/json").header("content-length", whole.len());
    let mut sending = asked.respond.send_response(response.body(()).unwrap(), false).unwrap();
    sending.send_data(whole.clone(), false).unwrap();
    let mut trailers = http::HeaderMap::new();
    trailers.insert("x-sum", "42".parse().unwrap());
    sending.send_trailers(trailers).unwrap();
    let answer = call.answer().await;
    assert_eq!((answer.header("content-encoding"), answer.header("content-length")), (Some("zstd"), None));
    assert_eq!(answer.trailers, [("x-sum".to_owned(), "42".to_owned())]);
    assert!(answer.whole);
    assert_eq!(unpacked(&answer), whole);
    let record = gateway.record().await;
    assert_eq!((&record["bytes_out"], &record["ended"]), (&answer.body.len().into(), &"complete".into()));
    // HTTP/1.1 has them behind its last chunk.
    let upstream = answering(format!(
        "HTTP/1.1 200 OK\r\n{TEXT}transfer-encoding: chunked\r\n\r\n{:x}\r\n{}\r\n0\r\nx-sum: 7\r\n\r\n",
        body(100).len(),
        body(100)
    ))
    .await;
    let gateway = Gateway::with_route(route, upstream.addr()).await;
    let answer = ask(&gateway, "gzip").await;
    assert_eq!((unpacked(&answer), answer.trailers.len()), (body(100).into_bytes(), 1));
}

#[tokio::test]
async fn an_answer_that_breaks_off_never_looks_like_a_whole_one() {
    let half = format!("HTTP/1.1 200 OK\r\n{TEXT}content-length: 100000\r\n\r\n{}", body(20_000));
    let upstream = Raw::script(Script::new().read_request().send(half)).await.unwrap();
    let gateway = Gateway::with_route("compress = true", upstream.addr()).await;
    let mut client = gateway.client().await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\naccept-encoding: gzip\r\n\r\n").await;
    let text = client.rest().await;
    assert!(!text.ends_with(b"0\r\n\r\n"));
    gateway.at_rest().await;
    let record = gateway.record().await;
    assert_eq!((&record["ended"], &record["fault"]), (&"upstream_cut".into(), &"upstream".into()));
    eventually("its encoder's memory is free", || gateway.inner().shards()[0].encoders.count() == 0).await;
}

#[tokio::test]
async fn encoders_take_no_more_than_they_may_and_the_rest_is_left_as_it_is() {
    let gate = Gate::new();
    let script = Script::new()
        .read_request()
        .send(format!("HTTP/1.1 200 OK\r\n{TEXT}transfer-encoding: chunked\r\n\r\n5\r\nbegin\r\n"))
        .wait(&gate)
        .send("3\r\nend\r\n0\r\n\r\n");
    let upstream = Raw::scripts(std::iter::repeat_n(script, 16)).await.unwrap();
    let text = one_route("compress_memory = '4MiB'", "compress = { codings = ['gzip'] }", upstream.addr());
    let gateway = Gateway::start(&text).await;
    let mut clients = Vec::new();
    for _ in 0..16 {
        let mut client = gateway.client().await;
        client.send("GET / HTTP/1.1\r\nhost: a\r\naccept-encoding: gzip\r\n\r\n").await;
        let answer = client.head().await;
        clients.push((client, answer));
    }
    let packed = clients.iter().filter(|(_, answer)| answer.header("content-encoding").is_some()).count();
    let shard = &gateway.inner().shards()[0];
    assert!((1..16).contains(&packed), "{packed}");
    assert!(shard.encoders.count() <= 4 << 20);
    gate.open();
    for (client, answer) in &mut clients {
        client.body_of(answer).await;
        assert!(answer.whole);
        assert_eq!(answer.header("vary"), Some("accept-encoding"));
        if answer.header("content-encoding").is_none() {
            assert_eq!(answer.body, b"beginend");
        } else {
            assert_eq!(unpacked(answer), b"beginend");
        }
    }
    eventually("all is given back", || shard.encoders.count() == 0).await;
    let left = gateway.metric("gateway_left_uncompressed_total{route=\"all\"}").await;
    assert_eq!(left, Some((16 - packed) as f64));
}

#[tokio::test]
async fn other_requests_have_their_turn_while_a_large_answer_is_compressed() {
    // It is compressed to so little that nothing but the worker's time keeps it from its end.
    let large = "x".repeat(32 << 20);
    let upstream = answering(answer(TEXT, &large)).await;
    let mock = echo().await;
    let text = format!(
        "[upstreams.large]\nendpoints = ['{}']\n[upstreams.up]\nendpoints = ['{}']\n\
         [[routes]]\npath = '/large'\nupstream = 'large'\ncompress = {{ codings = ['gzip'], effort = 'high' }}\n\
         [[routes]]\npath = '/{{*rest}}'\nupstream = 'up'\n",
        upstream.addr(),
        mock.addr()
    );
    let gateway = Gateway::start(&text).await;
    let mut slow = gateway.client().await;
    slow.send("GET /large HTTP/1.1\r\nhost: a\r\naccept-encoding: gzip\r\n\r\n").await;
    let mut answer = slow.head().await;
    let mut client = gateway.client().await;
    for _ in 0..20 {
        assert_eq!(client.ask("GET /small HTTP/1.1\r\nhost: a\r\n\r\n").await.status, 200);
    }
    let records = gateway.records(20).await;
    assert!(records.iter().all(|record| record["path"] == "/small"), "the large one is still under way");
    slow.body_of(&mut answer).await;
    assert_eq!(unpacked(&answer).len(), large.len());
}

#[tokio::test]
async fn a_client_that_leaves_frees_what_its_answer_held() {
    let endless = Raw::script(
        Script::new()
            .read_request()
            .send(format!("HTTP/1.1 200 OK\r\n{TEXT}transfer-encoding: chunked\r\n\r\n5\r\nbegin\r\n"))
            .hang(),
    )
    .await
    .unwrap();
    let gateway = Gateway::with_route("compress = true", endless.addr()).await;
    let mut client = gateway.client().await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\naccept-encoding: gzip\r\n\r\n").await;
    let _ = client.head().await;
    let shard = &gateway.inner().shards()[0];
    assert!(shard.encoders.count() > 0);
    client.reset();
    eventually("the encoder is given back", || shard.encoders.count() == 0).await;
    assert_eq!(gateway.record().await["ended"], "client_left");
}

#[tokio::test]
async fn an_http2_client_that_shuts_its_window_holds_one_piece_and_no_more() {
    let text = body(3_000_000);
    let upstream = answering(answer(TEXT, &text)).await;
    let gateway = Gateway::with_route("compress = { codings = ['gzip'] }", upstream.addr()).await;
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(1000);
    let mut client = H2Client::with(gateway.address, builder).await;
    let mut request = get("/");
    request.headers_mut().insert("accept-encoding", "gzip".parse().unwrap());
    let call = client.begin(request, true).await;
    let (mut answer, mut stream) = head(call.answer).await.unwrap();
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    crate::support::h2::rest(&mut answer, &mut stream).await.unwrap();
    assert_eq!(unpacked(&answer), text.as_bytes());
}

/// What came out waits for its client; that is not the silence of an upstream.
#[tokio::test]
async fn a_client_that_takes_its_time_is_not_taken_for_a_silent_upstream() {
    let gate = Gate::new();
    let text = body(4_000);
    let chunk = format!("{:x}\r\n{text}\r\n", text.len());
    let script = Script::new()
        .read_request()
        .send(format!("HTTP/1.1 200 OK\r\n{TEXT}transfer-encoding: chunked\r\n\r\n{chunk}"))
        .wait(&gate)
        .send(format!("{chunk}0\r\n\r\n"));
    let upstream = Raw::script(script).await.unwrap();
    let silent = Raw::script(Script::new().read_request().hang()).await.unwrap();
    let other = format!(
        "[upstreams.silent]\nendpoints = ['{}']\n[[routes]]\nname = 'slow'\npath = '/slow'\nupstream = 'silent'\n\
         timeout = '900ms'\n",
        silent.addr()
    );
    let one = one_route("", "compress = true\nidle_timeout = '300ms'", upstream.addr());
    let gateway = Gateway::start(&format!("{one}\n{other}")).await;
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(10);
    let mut client = H2Client::with(gateway.address, builder).await;
    let mut request = get("/");
    request.headers_mut().insert("accept-encoding", "gzip".parse().unwrap());
    let call = client.begin(request, true).await;
    let (mut answer, mut stream) = head(call.answer).await.unwrap();
    // Three times the route's patience passes, and the client has taken ten bytes.
    assert_eq!(gateway.get("/slow").await.status, 504);
    gate.open();
    crate::support::h2::rest(&mut answer, &mut stream).await.unwrap();
    assert_eq!(unpacked(&answer), format!("{text}{text}").as_bytes());
}

/// The bytes that somebody vouches for behind them are not changed; and nobody vouches for other bytes.
#[tokio::test]
async fn digests_in_trailers_are_digests_of_what_comes() {
    let text = body(3_000);
    let answer = |fields: &str| {
        let chunk = format!("{:x}\r\n{text}\r\n0\r\nrepr-digest: sha-256=:AA==:\r\nx-sum: 1\r\n\r\n", text.len());
        format!("HTTP/1.1 200 OK\r\n{TEXT}{fields}transfer-encoding: chunked\r\n\r\n{chunk}")
    };
    let told = answering(answer("trailer: Repr-Digest\r\n")).await;
    let gateway = Gateway::with_route("compress = true", told.addr()).await;
    assert!(as_it_is(&ask(&gateway, "gzip").await), "a digest is announced");
    let untold = answering(answer("")).await;
    let gateway = Gateway::with_route("compress = true", untold.addr()).await;
    let packed = ask(&gateway, "gzip").await;
    assert_eq!(unpacked(&packed), text.as_bytes());
    assert_eq!(packed.trailers, [("x-sum".to_owned(), "1".to_owned())]);
}
