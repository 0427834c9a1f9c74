//! Calls that share a connection of HTTP/2 to an upstream: what one client does, or does not, is no other's loss.

use bytes::Bytes;
use h2::Reason;

use crate::support::h2::{
    Call, DATA, END_HEADERS, END_STREAM, Frames, H2Client, HEADERS, RST_STREAM, WINDOW_UPDATE, block, frame, get, head,
    post,
};
use crate::support::h2_upstream::FramesUpstream;
use crate::support::{Gateway, eventually};
use crate::upstream_http2::text;

const OK: [(&str, &str); 1] = [(":status", "200")];

/// A client that takes little of each answer, and then no more.
async fn slow(gateway: &Gateway) -> H2Client {
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(1000).data_frame_budget(usize::MAX);
    H2Client::with(gateway.address, builder).await
}

/// Takes a request, and answers it whole.
async fn serve(frames: &mut Frames) {
    let stream = frames.next_of(HEADERS).await.expect("a request").stream;
    frames.send(frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(&OK))).await;
}

/// Reads so many bytes of a request's body.
async fn read_body(frames: &mut Frames, stream: u32, mut bytes: usize) {
    while bytes > 0 {
        let data = frames.next_of(DATA).await.expect("more of a body");
        assert_eq!(data.stream, stream);
        bytes -= data.payload.len();
    }
}

#[tokio::test]
async fn d_many_slow_readers_of_small_messages_end_nobodys_connection() {
    let upstream = FramesUpstream::start().await;
    let gateway = Gateway::start(&text("", "", upstream.address)).await;
    let mut slow = slow(&gateway).await;
    let mut waiting = vec![slow.begin(get("/ticks"), true).await];
    let mut frames = upstream.accept(b"").await;
    for _ in 1..30 {
        waiting.push(slow.begin(get("/ticks"), true).await);
    }
    // As many ticks as a window holds.
    for _ in 0..30 {
        let stream = frames.next_of(HEADERS).await.unwrap().stream;
        let mut ticks = frame(HEADERS, END_HEADERS, stream, &block(&OK));
        for _ in 0..64 * 1024 / 20 {
            ticks.extend_from_slice(&frame(DATA, 0, stream, &[b't'; 20]));
        }
        frames.send(ticks).await;
    }
    frames.is_alive().await;
    let mut quick = gateway.client().await;
    quick.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    serve(&mut frames).await;
    assert_eq!(quick.answer().await.status, 200);
    for call in waiting {
        assert_eq!(head(call.answer).await.unwrap().0.status, 200);
    }
}

#[tokio::test]
async fn d_clients_that_leave_as_their_answers_come_end_nobodys_connection() {
    let upstream = FramesUpstream::start().await;
    let settings = "[server]\nh2_max_resets_per_second = 100000\n";
    let gateway = Gateway::start(&format!("{settings}{}", text("", "", upstream.address))).await;
    let mut client = H2Client::connect(gateway.address).await;
    let beside = client.begin(get("/beside"), true).await;
    let mut frames = upstream.accept(b"").await;
    let beside_stream = frames.next_of(HEADERS).await.unwrap().stream;
    for _ in 0..20 {
        let (mut calls, mut late) = (Vec::new(), Vec::new());
        for _ in 0..80 {
            calls.push(client.begin(get("/"), true).await);
            let stream = frames.next_of(HEADERS).await.unwrap().stream;
            late.extend_from_slice(&frame(HEADERS, END_HEADERS, stream, &block(&OK)));
            late.extend_from_slice(&frame(DATA, 0, stream, b"late"));
        }
        for Call { answer, mut body } in calls {
            body.send_reset(Reason::CANCEL);
            drop(answer);
        }
        for _ in 0..80 {
            assert_eq!(frames.next_of(RST_STREAM).await.unwrap().code(0), Reason::CANCEL);
        }
        eventually("they are gone", || gateway.in_flight() == 1).await;
        frames.send(late).await;
        frames.is_alive().await;
    }
    frames.send(frame(HEADERS, END_HEADERS | END_STREAM, beside_stream, &block(&OK))).await;
    assert_eq!(beside.answer().await.status, 200);
    assert_eq!(gateway.upstream_connections().0, 1);
}

#[tokio::test]
async fn d_a_client_that_takes_no_answer_keeps_no_window_from_those_who_send() {
    let upstream = FramesUpstream::start().await;
    let gateway = Gateway::start(&text("", "", upstream.address)).await;
    let mut client = H2Client::connect(gateway.address).await;
    let mut first = client.begin(post("/"), false).await;
    let mut frames = upstream.accept(b"").await;
    let stream = frames.next_of(HEADERS).await.unwrap().stream;
    // Of the window that all share 40,000 bytes are left.
    first.body.send_data(Bytes::from(vec![b'x'; 25_535]), true).unwrap();
    read_body(&mut frames, stream, 25_535).await;
    frames.send(frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(&OK))).await;
    assert_eq!(first.answer().await.status, 200);

    // One client sends more than that, and takes nothing of an answer that has begun.
    let mut stuck_client = slow(&gateway).await;
    let Call { answer, mut body } = stuck_client.begin(post("/stuck"), false).await;
    for _ in 0..5 {
        body.send_data(Bytes::from(vec![b'x'; 10_000]), false).unwrap();
    }
    let stuck = frames.next_of(HEADERS).await.unwrap().stream;
    read_body(&mut frames, stuck, 40_000).await;
    frames.send(frame(HEADERS, END_HEADERS, stuck, &block(&OK))).await;
    for _ in 0..4 {
        frames.send(frame(DATA, 0, stuck, &[b'y'; 10_000])).await;
    }
    let (_head, _answer) = head(answer).await.unwrap();
    frames.is_alive().await;

    // There is room for a little more than the rest of its body, which goes on: none is set aside for what it may send.
    frames.send(frame(WINDOW_UPDATE, 0, 0, &12_000_u32.to_be_bytes())).await;
    frames.is_alive().await;
    let mut beside = client.begin(post("/beside"), false).await;
    beside.body.send_data(Bytes::from(vec![b'z'; 1_000]), true).unwrap();
    let stream = frames.next_of(HEADERS).await.unwrap().stream;
    let mut left = 1_000;
    while left > 0 {
        let data = frames.next_of(DATA).await.expect("the body of who reads");
        left -= if data.stream == stream { data.payload.len() } else { 0 };
    }
    frames.send(frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(&OK))).await;
    assert_eq!(beside.answer().await.status, 200);
}

#[tokio::test]
async fn a_body_in_small_pieces_goes_on_in_few_frames() {
    let upstream = FramesUpstream::start().await;
    let gateway = Gateway::start(&text("", "", upstream.address)).await;
    let mut client = gateway.client().await;
    let pieces = "1\r\nx\r\n".repeat(20_000);
    let head = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    let (mut asked, ()) = tokio::join!(upstream.accept(b""), client.send(format!("{head}{pieces}0\r\n\r\n")));
    let (mut frames, mut bytes, mut over, mut stream) = (0, 0, false, 0);
    while !over {
        let data = asked.next_of(DATA).await.expect("more of the body");
        (frames, bytes, over) = (frames + 1, bytes + data.payload.len(), data.flags & END_STREAM != 0);
        stream = data.stream;
    }
    assert_eq!(bytes, 20_000);
    assert!(frames < 1000, "{frames} frames");
    asked.send(frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(&OK))).await;
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn an_answer_is_complete_with_its_last_byte_though_its_end_is_not_told_yet() {
    let upstream = FramesUpstream::start().await;
    let gateway = Gateway::start(&text("", "", upstream.address)).await;
    let mut client = gateway.client().await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut frames = upstream.accept(b"").await;
    let stream = frames.next_of(HEADERS).await.unwrap().stream;
    let fields = [(":status", "200"), ("content-length", "5")];
    frames.send(frame(HEADERS, END_HEADERS, stream, &block(&fields))).await;
    frames.send(frame(DATA, 0, stream, b"whole")).await;
    assert_eq!(client.answer().await.body, b"whole");
    drop(client);
    let record = gateway.record().await;
    assert_eq!((&record["ended"], &record["bytes_out"]), (&"complete".into(), &5.into()));
    frames.send(frame(DATA, END_STREAM, stream, b"")).await;
    frames.is_alive().await;
    gateway.at_rest().await;
}

#[tokio::test]
async fn d_uploads_that_wait_for_the_window_are_sent_in_frames_of_some_size() {
    let upstream = FramesUpstream::start().await;
    let gateway = Gateway::start(&format!("[server]\nworkers = 1\n{}", text("", "", upstream.address))).await;
    let body = "x".repeat(50_000);
    let request = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 50000\r\n\r\n{body}");
    let mut clients = Vec::new();
    for _ in 0..8 {
        let mut client = gateway.client().await;
        client.send(&request).await;
        clients.push(client);
    }
    let mut frames = upstream.accept(b"").await;
    // The window that all share is used up, and most calls wait for more of it.
    let (mut calls, mut left) = (0, 65_535);
    while calls < 8 || left > 0 {
        let next = frames.next().await.expect("heads and bodies");
        calls += usize::from(next.kind == HEADERS);
        left -= if next.kind == DATA { next.payload.len() } else { 0 };
    }
    frames.is_alive().await;
    frames.send(frame(WINDOW_UPDATE, 0, 0, &60_000_u32.to_be_bytes())).await;
    let (mut sizes, mut left) = (Vec::new(), 60_000);
    while left > 0 {
        let data = frames.next_of(DATA).await.expect("more of the bodies");
        sizes.push(data.payload.len());
        left -= data.payload.len();
    }
    // The last one takes what is left of the window.
    sizes.pop();
    assert!(sizes.iter().all(|size| *size > 1_000), "{sizes:?}");
}
