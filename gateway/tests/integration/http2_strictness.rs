//! Requests of HTTP/2 that are none (security.md, A13): a stream error or 400, and nothing of them reaches an upstream.

use h2::Reason;

use crate::support::h2::{CONTINUATION, DATA, END_HEADERS, END_STREAM, Frames, GET, HEADERS, RST_STREAM, block, frame};
use crate::support::{Gateway, echo};

/// What came of a request.
#[derive(Debug, PartialEq, Eq)]
enum Came {
    Reset(Reason),
    Ended(Option<Reason>),
    /// The first byte of its block: a status of the static table, or a literal.
    Answer(u8),
}

/// Sends frames on a connection of their own, and sees what comes of the first stream.
async fn came(gateway: &Gateway, frames_to_send: &[Vec<u8>]) -> Came {
    let mut frames = Frames::connect(gateway.address).await;
    frames.send(frames_to_send.concat()).await;
    loop {
        match frames.next().await {
            None => return Came::Ended(None),
            Some(frame) if frame.kind == RST_STREAM => return Came::Reset(frame.code(0)),
            Some(frame) if frame.kind == crate::support::h2::GOAWAY => return Came::Ended(Some(frame.code(4))),
            Some(frame) if frame.kind == HEADERS => return Came::Answer(frame.payload[0]),
            Some(_) => {}
        }
    }
}

/// `:status 400` of HPACK's static table.
const BAD_REQUEST: Came = Came::Answer(0x8c);

fn whole(fields: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(fields))
}

fn with<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [&GET[..], more].concat()
}

#[tokio::test]
async fn a13_fields_that_http1_could_read_otherwise_are_stream_errors() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    for (name, value) in [
        ("transfer-encoding", "chunked"),
        ("connection", "x"),
        ("keep-alive", "1"),
        ("proxy-connection", "x"),
        ("upgrade", "websocket"),
        ("te", "gzip"),
        ("x", "a\r\nhost: b"),
        ("x", "a\nb"),
        ("x", "a\rb"),
        ("x", "a\0b"),
        ("x:y", "a"),
        ("x y", "a"),
        ("X-Upper", "a"),
        ("", "a"),
        ("x\r\ny", "a"),
        (":path", "/again"),
        (":method", "POST"),
        (":authority", "b.test"),
        (":unknown", "a"),
        (":status", "200"),
        ("content-length", "+5"),
        ("content-length", "5"),
    ] {
        // Behind it is a field within which the head may be cut: what was wrong before is wrong still.
        let all = block(&with(&[(name, value), ("x-last", "1")]));
        for cut in 0..all.len() {
            let frames = match all.split_at(cut) {
                (b"", all) => [frame(HEADERS, END_HEADERS | END_STREAM, 1, all), Vec::new()],
                (first, last) => [frame(HEADERS, END_STREAM, 1, first), frame(CONTINUATION, END_HEADERS, 1, last)],
            };
            let came = came(&gateway, &frames).await;
            let refused =
                matches!(came, Came::Reset(Reason::PROTOCOL_ERROR) | Came::Ended(Some(_))) || came == BAD_REQUEST;
            assert!(refused, "{name:?}: {value:?}, cut at {cut}: {came:?}");
        }
    }
    assert_eq!(upstream.counters().requests, 0);
}

#[tokio::test]
async fn a13_a_request_has_its_own_fields_once_and_first() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    let without = |name: &str| GET.into_iter().filter(|(known, _)| *known != name).collect::<Vec<_>>();
    let changed = |name: &str, value: &'static str| {
        GET.into_iter().map(|(known, old)| (known, if known == name { value } else { old })).collect::<Vec<_>>()
    };
    for fields in [
        without(":method"),
        without(":path"),
        without(":scheme"),
        [&[("x", "y")], &GET[..]].concat(),
        changed(":path", ""),
        changed(":path", "no-slash"),
        changed(":path", "/a b"),
        changed(":path", "http://b.test/"),
        changed(":path", "*"),
        changed(":path", "/?\u{e9}"),
        changed(":scheme", "ftp"),
        changed(":authority", "u@a.test"),
        changed(":authority", "a.test/path"),
        changed(":authority", "a.test,b.test"),
        changed(":authority", "a test"),
        changed(":authority", ""),
        without(":authority"),
        with(&[("host", "b.test")]),
        with(&[("host", "a.test"), ("host", "a.test")]),
        with(&[("x", " padded")]),
        with(&[("x", "padded\t")]),
        with(&[("content-length", "0"), ("content-length", "0")]),
    ] {
        let came = came(&gateway, &[whole(&fields)]).await;
        let refused = came == Came::Reset(Reason::PROTOCOL_ERROR) || came == BAD_REQUEST;
        assert!(refused, "{fields:?}: {came:?}");
    }
    assert_eq!(upstream.counters().requests, 0);
    let host = [&without(":authority")[..], &[("host", "a.test")]].concat();
    assert_eq!(came(&gateway, &[whole(&host)]).await, Came::Answer(0x88), "a host will do");
    assert_eq!(came(&gateway, &[whole(&with(&[("host", "A.test")]))]).await, Came::Answer(0x88));
}

#[tokio::test]
async fn a13_data_fits_the_length_that_was_declared() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    let post = |length: &'static str| {
        let fields = [(":method", "POST"), GET[1], GET[2], GET[3], ("content-length", length)];
        frame(HEADERS, END_HEADERS, 1, &block(&fields))
    };
    let data = |text: &[u8], flags| frame(DATA, flags, 1, text);
    for frames in [
        [post("5"), data(b"four", END_STREAM)],
        [post("3"), data(b"four", END_STREAM)],
        [post("3"), data(b"four", 0)],
        [post("5"), frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&[("x", "y")]))],
        [post("4"), [data(b"four", 0), data(b"more", END_STREAM)].concat()],
    ] {
        let came = came(&gateway, &frames).await;
        let refused = came == Came::Reset(Reason::PROTOCOL_ERROR) || came == BAD_REQUEST;
        assert!(refused, "{frames:?}: {came:?}");
    }
    let counters = upstream.counters();
    assert_eq!(counters.requests, 0, "none of them was a request to the upstream");
    assert_eq!(came(&gateway, &[post("4"), data(b"four", END_STREAM)]).await, Came::Answer(0x88));
    gateway.at_rest().await;
}

#[tokio::test]
async fn a13_a_head_in_pieces_is_one_head_and_nothing_comes_between() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    let all = block(&GET);
    let in_two = |cut: usize| {
        let (first, last) = all.split_at(cut);
        [frame(HEADERS, END_STREAM, 1, first), frame(CONTINUATION, END_HEADERS, 1, last)]
    };
    for cut in 0..=all.len() {
        assert_eq!(came(&gateway, &in_two(cut)).await, Came::Answer(0x88), "cut at {cut}");
    }
    let [begun, rest] = in_two(7);
    let last = &all[7..];
    for between in [frame(DATA, 0, 1, b"x"), frame(6, 0, 0, &[0; 8]), frame(CONTINUATION, END_HEADERS, 3, last)] {
        let came = came(&gateway, &[begun.clone(), between, rest.clone()]).await;
        assert_eq!(came, Came::Ended(Some(Reason::PROTOCOL_ERROR)));
    }
}
