//! Upstreams that break the rules of HTTP/2, or of HTTP: security.md, A14. What they send never reaches a client as a
//! whole answer, and never another client's request.

use h2::Reason;

use crate::support::h2::{
    CONTINUATION, Call, DATA, END_HEADERS, END_STREAM, Frames, H2Client, HEADERS, RST_STREAM, block, frame, get, head,
    rest,
};
use crate::support::h2_upstream::FramesUpstream;
use crate::support::{Gateway, eventually};
use crate::upstream_http2::text;

/// A block whose fields may be as long as one likes.
fn long_block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            let mut length = text.len();
            if length < 127 {
                block.push(u8::try_from(length).unwrap());
            } else {
                block.push(127);
                length -= 127;
                while length >= 128 {
                    block.push(u8::try_from(length % 128).unwrap() | 128);
                    length /= 128;
                }
                block.push(u8::try_from(length).unwrap());
            }
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

async fn world() -> (FramesUpstream, Gateway) {
    let upstream = FramesUpstream::start().await;
    let gateway = Gateway::start(&text("", "", upstream.address)).await;
    (upstream, gateway)
}

#[tokio::test]
async fn a14_heads_that_break_a_rule_are_502_and_cost_their_stream_alone() {
    let (upstream, gateway) = world().await;
    let mut client = H2Client::connect(gateway.address).await;
    let beside = client.begin(get("/beside"), true).await;
    let mut frames = upstream.accept(b"").await;
    let beside_stream = frames.next_of(HEADERS).await.unwrap().stream;
    for (what, fields) in [
        ("a field of a connection", &[(":status", "200"), ("connection", "close")][..]),
        ("a transfer coding", &[(":status", "200"), ("transfer-encoding", "chunked")]),
        ("no status", &[("x", "1")]),
        ("two lengths", &[(":status", "200"), ("content-length", "1"), ("content-length", "2")]),
        ("one length twice", &[(":status", "200"), ("content-length", "1"), ("content-length", "1")]),
        ("a list of lengths", &[(":status", "200"), ("content-length", "1, 1")]),
        ("a signed length", &[(":status", "200"), ("content-length", "+1")]),
        ("a switch", &[(":status", "101")]),
    ] {
        let call = client.begin(get("/"), true).await;
        let stream = frames.next_of(HEADERS).await.unwrap().stream;
        frames.send(frame(HEADERS, END_HEADERS, stream, &block(fields))).await;
        let answer = call.answer().await;
        assert_eq!((answer.status, answer.code().as_str()), (502, "upstream_invalid"), "{what}");
        assert_eq!(frames.next_of(RST_STREAM).await.unwrap().stream, stream, "{what}");
    }
    frames.send(frame(HEADERS, END_HEADERS | END_STREAM, beside_stream, &block(&[(":status", "204")]))).await;
    assert_eq!(beside.answer().await.status, 204);
    gateway.at_rest().await;
}

#[tokio::test]
async fn a14_heads_that_break_a_rule_are_502_wherever_they_are_cut() {
    let upstream = FramesUpstream::start().await;
    let text = text("[upstreams.up.breaker]\nfailures = []", "", upstream.address);
    let gateway = Gateway::start(&text).await;
    let mut client = H2Client::connect(gateway.address).await;
    for (what, field) in [
        ("a second status", (":status", "204")),
        ("a field of a connection", ("connection", "close")),
        ("a transfer coding", ("transfer-encoding", "chunked")),
        ("a switch", ("upgrade", "h2c")),
    ] {
        let head = block(&[(":status", "200"), field, ("x", "1")]);
        // Each byte is tried in memory, where no connection has to be made.
        for cut in (3..head.len()).step_by(9) {
            let call = client.begin(get("/"), true).await;
            let mut frames = upstream.accept(b"").await;
            let stream = frames.next_of(HEADERS).await.unwrap().stream;
            let (first, last) = head.split_at(cut);
            let first = frame(HEADERS, END_STREAM, stream, first);
            frames.send([first, frame(CONTINUATION, END_HEADERS, stream, last)].concat()).await;
            assert_eq!(call.answer().await.status, 502, "{what}, cut at {cut}");
            // Where the first piece was refused, the second one costs the connection; else it would be used again.
            drop(frames);
            eventually("it is closed", || gateway.upstream_connections() == (0, 0)).await;
        }
    }
    gateway.at_rest().await;
}

#[tokio::test]
async fn a14_bodies_that_differ_from_what_was_said_are_cut() {
    let (upstream, gateway) = world().await;
    let mut client = H2Client::connect(gateway.address).await;
    let mut frames = None;
    for (what, status, length, data) in [
        ("longer", "200", Some("3"), &[(&b"four"[..], END_STREAM)][..]),
        ("shorter", "200", Some("9"), &[(b"four", END_STREAM)]),
        ("longer, in parts", "200", Some("3"), &[(b"on", 0), (b"ce", END_STREAM)]),
        ("a body where there is none", "204", None, &[(b"x", END_STREAM)]),
        ("a body of what has not changed", "304", None, &[(b"x", END_STREAM)]),
    ] {
        let call = client.begin(get("/"), true).await;
        if frames.is_none() {
            frames = Some(upstream.accept(b"").await);
        }
        let frames = frames.as_mut().unwrap();
        let stream = frames.next_of(HEADERS).await.unwrap().stream;
        let length = length.map(|length| ("content-length", length));
        let fields: Vec<(&str, &str)> = [(":status", status)].into_iter().chain(length).collect();
        frames.send(frame(HEADERS, END_HEADERS, stream, &block(&fields))).await;
        let Call { answer, body: _body } = call;
        let (mut answer, mut body) = head(answer).await.unwrap();
        for (bytes, flags) in data {
            frames.send(frame(DATA, *flags, stream, bytes)).await;
        }
        assert!(rest(&mut answer, &mut body).await.is_err(), "{what}");
    }
    eventually("one connection", || gateway.upstream_connections().0 == 1).await;
}

#[tokio::test]
async fn a14_heads_beyond_the_limits_are_502() {
    let (upstream, gateway) = world().await;
    let mut client = H2Client::connect(gateway.address).await;
    let long = "x".repeat(70_000);
    let names: Vec<String> = (0..129).map(|at| format!("x-{at}")).collect();
    let many: Vec<(&str, &str)> =
        std::iter::once((":status", "200")).chain(names.iter().map(|name| (&**name, ""))).collect();
    let mut frames = None;
    for fields in [&[(":status", "200"), ("x", &*long)][..], &many] {
        let call = client.begin(get("/"), true).await;
        if frames.is_none() {
            frames = Some(upstream.accept(b"").await);
        }
        let frames: &mut Frames = frames.as_mut().unwrap();
        let stream = frames.next_of(HEADERS).await.unwrap().stream;
        let head = long_block(fields);
        let mut parts = head.chunks(16_000).peekable();
        let mut kind = HEADERS;
        while let Some(part) = parts.next() {
            let flags = if parts.peek().is_none() { END_HEADERS } else { 0 };
            frames.send(frame(kind, flags, stream, part)).await;
            kind = CONTINUATION;
        }
        assert_eq!(call.answer().await.code(), "upstream_invalid");
        assert_eq!(frames.next_of(RST_STREAM).await.unwrap().stream, stream);
    }
    let just_fits: Vec<(&str, &str)> = many[..129].to_vec();
    let call = client.begin(get("/"), true).await;
    let frames = frames.as_mut().unwrap();
    let stream = frames.next_of(HEADERS).await.unwrap().stream;
    frames.send(frame(HEADERS, END_HEADERS | END_STREAM, stream, &long_block(&just_fits))).await;
    assert_eq!(call.answer().await.status, 200);
}

#[tokio::test]
async fn a14_interim_answers_without_end_are_502() {
    let (upstream, gateway) = world().await;
    let mut client = H2Client::connect(gateway.address).await;
    let call = client.begin(get("/"), true).await;
    let mut frames = upstream.accept(b"").await;
    let stream = frames.next_of(HEADERS).await.unwrap().stream;
    frames.send(frame(HEADERS, END_HEADERS, stream, &block(&[(":status", "103")])).repeat(200)).await;
    assert_eq!(call.answer().await.code(), "upstream_invalid");
    assert_eq!(frames.next_of(RST_STREAM).await.unwrap().code(0), Reason::CANCEL);
}

#[tokio::test]
async fn a14_a_connection_that_breaks_a_rule_is_closed_and_its_calls_are_502() {
    let (upstream, gateway) = world().await;
    let head = |fields: &[(&str, &str)]| frame(HEADERS, END_HEADERS, 1, &block(fields));
    for nonsense in [
        frame(DATA, 0, 99, b"x"),
        frame(HEADERS, END_HEADERS, 2, &block(&[(":status", "200")])),
        vec![0xff; 30],
        // `h2` takes what can be no field for a fault in what packs the fields.
        head(&[(":status", "2x0")]),
        head(&[(":status", "200"), ("X-Big", "1")]),
        head(&[(":status", "200"), ("x", "a\r\nset-cookie: b")]),
    ] {
        let mut client = H2Client::connect(gateway.address).await;
        let call = client.begin(get("/"), true).await;
        let mut frames = upstream.accept(b"").await;
        frames.next_of(HEADERS).await.unwrap();
        frames.send(nonsense).await;
        // Whichever call it was: all that the connection carried end with it, and nobody tells them apart.
        assert_eq!(call.answer().await.code(), "upstream_reset");
        assert!(frames.goaway().await.is_some());
        eventually("it is closed", || gateway.upstream_connections() == (0, 0)).await;
    }
}

/// Some servers send one before the trailers of each answer.
#[tokio::test]
async fn d_empty_data_of_an_upstream_ends_nobodys_connection() {
    let (upstream, gateway) = world().await;
    let mut client = H2Client::connect(gateway.address).await;
    let mut frames = None;
    for number in 0..3 {
        let call = client.begin(get("/"), true).await;
        if frames.is_none() {
            frames = Some(upstream.accept(b"").await);
        }
        let frames = frames.as_mut().unwrap();
        let stream = frames.next_of(HEADERS).await.expect("the same connection").stream;
        let empty = frame(DATA, 0, stream, b"").repeat(200);
        let begun = frame(HEADERS, END_HEADERS, stream, &block(&[(":status", "200")]));
        let trailers = frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(&[("x-sum", "1")]));
        frames.send([begun, frame(DATA, 0, stream, b"one"), empty, trailers].concat()).await;
        let answer = call.answer().await;
        assert_eq!((answer.status, &answer.body[..]), (200, &b"one"[..]), "{number}");
    }
}

#[tokio::test]
async fn d_an_upstream_that_floods_its_connection_loses_it_and_its_calls_are_502() {
    let (upstream, gateway) = world().await;
    let mut client = H2Client::connect(gateway.address).await;
    let call = client.begin(get("/"), true).await;
    let mut frames = upstream.accept(b"").await;
    frames.next_of(HEADERS).await.unwrap();
    // Of a kind that nobody knows: to be ignored (RFC 9113, section 5.5), but not for ever.
    let flood = frame(0x40, 0, 0, b"").repeat(1_000);
    let (mut answer, mut sent) = (std::pin::pin!(call.answer()), 0);
    let answer = loop {
        tokio::select! {
            answer = &mut answer => break answer,
            () = frames.send(flood.clone()), if sent < 1_000 => sent += 1,
        }
    };
    assert_eq!(answer.code(), "upstream_reset");
    let call = client.begin(get("/"), true).await;
    let mut next = upstream.accept(b"").await;
    let stream = next.next_of(HEADERS).await.unwrap().stream;
    next.send(frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(&[(":status", "204")]))).await;
    assert_eq!(call.answer().await.status, 204);
}
