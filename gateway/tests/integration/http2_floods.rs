//! What a client may do to a connection of HTTP/2 without asking for anything (security.md, group D): each is bounded,
//! ends in GOAWAY, and is counted; the gateway serves on.

use h2::Reason;
use mocks::{Effect, Rule};

use crate::support::h2::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, Frames, GET, HEADERS, PING, PREFACE, RST_STREAM, SETTINGS,
    WINDOW_UPDATE, block, frame,
};
use crate::support::h2_upstream::FramesUpstream;
use crate::support::{Gateway, echo, eventually, guarded};
use crate::upstream_http2::text;

fn ask(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(&GET))
}

fn post(stream: u32) -> Vec<u8> {
    let fields = [(":method", "POST"), GET[1], GET[2], GET[3]];
    frame(HEADERS, END_HEADERS, stream, &block(&fields))
}

/// The stream of the request of this number.
fn stream(number: u32) -> u32 {
    2 * number + 1
}

/// Sends a flood, and sees that it is ended; whether it was counted as one.
async fn is_stopped(gateway: &Gateway, flood: Vec<u8>) -> bool {
    let before = floods(gateway).await;
    let mut frames = Frames::connect(gateway.address).await;
    frames.send(flood).await;
    let code = frames.goaway().await;
    assert_eq!(code, Some(Reason::ENHANCE_YOUR_CALM));
    assert_eq!(gateway.get("/").await.status, 200, "others are served");
    gateway.at_rest().await;
    floods(gateway).await > before
}

async fn floods(gateway: &Gateway) -> f64 {
    gateway.metric("gateway_shed_total{reason=\"h2_flood\"}").await.unwrap_or(0.0)
}

/// Waits until so many were counted: a client may be told, and left, a moment before.
async fn counted(gateway: &Gateway, expected: f64) {
    guarded("the floods are counted", async {
        while floods(gateway).await != expected {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn d_rapid_resets_end_the_connection() {
    let upstream = echo().await;
    let gateway = Gateway::with("h2_max_resets_per_second = 10", upstream.addr()).await;
    let reset = |number| [ask(stream(number)), frame(RST_STREAM, 0, stream(number), &[0, 0, 0, 8])].concat();
    assert!(is_stopped(&gateway, (0..1000).flat_map(reset).collect()).await);

    // One at a time, each after its request is being served.
    upstream.set_rules([Rule::on("/").effect(Effect::Hang)]);
    let mut frames = Frames::connect(gateway.address).await;
    for number in 0..10 {
        frames.send(ask(stream(number))).await;
        eventually("it is in flight", || gateway.in_flight() == 1).await;
        frames.send(frame(RST_STREAM, 0, stream(number), &[0, 0, 0, 8])).await;
        gateway.at_rest().await;
    }
    frames.is_alive().await;
    let more: Vec<u8> = (10..30).flat_map(reset).collect();
    frames.send(more).await;
    assert_eq!(frames.goaway().await, Some(Reason::ENHANCE_YOUR_CALM));
    gateway.at_rest().await;
}

#[tokio::test]
async fn d_calls_whose_deadlines_pass_do_not_end_the_connection_of_those_beside_them() {
    let upstream = echo().await;
    upstream.set_rules([Rule::on("/hang").effect(Effect::Hang)]);
    let gateway = Gateway::with("h2_max_resets_per_second = 5", upstream.addr()).await;
    let mut frames = Frames::connect(gateway.address).await;
    let slow = [GET[0], GET[1], (":path", "/hang"), GET[3]];
    let hang = |number| frame(HEADERS, END_HEADERS | END_STREAM, stream(number), &block(&slow));
    let reset = |number| frame(RST_STREAM, 0, stream(number), &[0, 0, 0, 8]);
    frames.send((0..40).flat_map(hang).collect::<Vec<_>>()).await;
    eventually("they are in flight", || gateway.in_flight() == 40).await;
    // What the gateway answers after so long says that all of them have lasted.
    let timed = [&slow[..], &[("x-request-timeout-ms", "150")]].concat();
    frames.send(frame(HEADERS, END_HEADERS | END_STREAM, stream(40), &block(&timed))).await;
    assert_eq!(frames.next_of(HEADERS).await.expect("an answer").stream, stream(40));
    frames.send((0..39).flat_map(reset).collect::<Vec<_>>()).await;
    eventually("the one beside them goes on", || gateway.in_flight() == 1).await;
    frames.is_alive().await;
    assert_eq!(floods(&gateway).await, 0.0);

    let rapid = |number| [hang(number), reset(number)].concat();
    frames.send((50..250).flat_map(rapid).collect::<Vec<_>>()).await;
    assert_eq!(frames.goaway().await, Some(Reason::ENHANCE_YOUR_CALM));
    counted(&gateway, 1.0).await;
}

#[tokio::test]
async fn d_a_burst_of_resets_within_the_allowance_ends_nothing() {
    let upstream = echo().await;
    let gateway = Gateway::with("h2_max_resets_per_second = 300", upstream.addr()).await;
    let mut frames = Frames::connect(gateway.address).await;
    let reset = |number| [ask(stream(number)), frame(RST_STREAM, 0, stream(number), &[0, 0, 0, 8])].concat();
    frames.send((0..200).flat_map(reset).collect::<Vec<_>>()).await;
    frames.is_alive().await;
    frames.send(ask(stream(200))).await;
    loop {
        let answer = frames.next_of(HEADERS).await.expect("an answer");
        if answer.stream == stream(200) {
            break;
        }
    }
    gateway.at_rest().await;
    gateway.records(201).await;
}

#[tokio::test]
async fn d_heads_that_went_out_buy_no_rapid_resets_of_other_streams() {
    let upstream = echo().await;
    upstream.set_rules([Rule::on("/hang").effect(Effect::Hang)]);
    let gateway = Gateway::with("h2_max_resets_per_second = 10", upstream.addr()).await;
    let reset = |number| frame(RST_STREAM, 0, stream(number), &[0, 0, 0, 8]);
    let answers = async |frames: &mut Frames, count: usize| {
        for _ in 0..count {
            frames.next_of(HEADERS).await.expect("a head");
        }
    };

    // The head of an answer that is over, and then others that are none of its matter.
    let hang = [GET[0], GET[1], (":path", "/hang"), GET[3]];
    let hang = |number| frame(HEADERS, END_HEADERS | END_STREAM, stream(number), &block(&hang));
    let rapid = |number| [hang(number), reset(number)].concat();
    let mut frames = Frames::connect(gateway.address).await;
    frames.send((0..30).flat_map(|number| ask(stream(number))).collect::<Vec<_>>()).await;
    answers(&mut frames, 30).await;
    frames.send((30..60).flat_map(rapid).collect::<Vec<_>>()).await;
    assert_eq!(frames.goaway().await, Some(Reason::ENHANCE_YOUR_CALM));

    // Nor is a 100 an answer, whatever its stream is.
    let waits = [(":method", "POST"), GET[1], (":path", "/hang"), GET[3], ("expect", "100-continue")];
    let waits = |number| frame(HEADERS, END_HEADERS, stream(number), &block(&waits));
    let mut frames = Frames::connect(gateway.address).await;
    frames.send((0..30).flat_map(waits).collect::<Vec<_>>()).await;
    answers(&mut frames, 30).await;
    frames.send((0..30).flat_map(reset).collect::<Vec<_>>()).await;
    assert_eq!(frames.goaway().await, Some(Reason::ENHANCE_YOUR_CALM));
    counted(&gateway, 2.0).await;
}

#[tokio::test]
async fn d_downloads_that_are_cancelled_end_nothing() {
    let upstream = echo().await;
    let gateway = Gateway::with("h2_max_resets_per_second = 1", upstream.addr()).await;
    let mut frames = Frames::connect(gateway.address).await;
    let large = [GET[0], GET[1], (":path", "/bytes/1000000"), GET[3]];
    for number in 0..30 {
        frames.send(frame(HEADERS, END_HEADERS | END_STREAM, stream(number), &block(&large))).await;
        while frames.next_of(HEADERS).await.expect("a head").stream != stream(number) {}
        frames.send(frame(RST_STREAM, 0, stream(number), &[0, 0, 0, 8])).await;
    }
    frames.is_alive().await;
    assert_eq!(floods(&gateway).await, 0.0);
}

#[tokio::test]
async fn d_resets_that_the_client_makes_the_gateway_send_count_as_its_own() {
    let upstream = echo().await;
    upstream.set_rules([Rule::on("/hang").effect(Effect::Hang)]);
    let gateway = Gateway::with("h2_max_resets_per_second = 10", upstream.addr()).await;
    // A window that grows beyond all bounds is an error of the stream.
    let beyond =
        |number| [post(stream(number)), frame(WINDOW_UPDATE, 0, stream(number), &[0x7f, 0xff, 0xff, 0xff])].concat();
    assert!(is_stopped(&gateway, (0..50).flat_map(beyond).collect()).await);
    // Heads that are none.
    let malformed = |number| {
        let fields = [&GET[..], &[("connection", "x")]].concat();
        frame(HEADERS, END_HEADERS | END_STREAM, stream(number), &block(&fields))
    };
    assert!(is_stopped(&gateway, (0..50).flat_map(malformed).collect()).await);
}

#[tokio::test]
async fn d_frames_that_carry_nothing_end_the_connection() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    let times = |frame: Vec<u8>, count: usize| frame.repeat(count);
    assert!(is_stopped(&gateway, times(frame(PING, 0, 0, &[0; 8]), 5000)).await);
    assert!(is_stopped(&gateway, times(frame(PING, 1, 0, &[0; 8]), 5000)).await);
    assert!(is_stopped(&gateway, times(frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 9]), 5000)).await);
    assert!(is_stopped(&gateway, times(frame(0x2, 0, 1, &[0, 0, 0, 0, 9]), 5000)).await);
    assert!(is_stopped(&gateway, times(frame(0xfe, 0, 0, b""), 5000)).await);
    assert!(is_stopped(&gateway, times(frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]), 5000)).await);
}

#[tokio::test]
async fn d_a_client_that_opens_its_windows_for_each_piece_that_it_reads_is_no_flood() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    let mut frames = Frames::connect(gateway.address).await;
    let large = [GET[0], GET[1], (":path", "/bytes/10000000"), GET[3]];
    frames.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&large))).await;
    let (mut updates, mut ended) = (0, false);
    while !ended {
        let data = frames.next_of(DATA).await.expect("more of the answer");
        ended = data.flags & END_STREAM != 0;
        // As one that reads four kilobytes at once, and says so of the stream and of the connection.
        let pieces = data.payload.chunks(4096).map(|piece| u32::try_from(piece.len()).unwrap());
        let opened: Vec<u8> = pieces
            .flat_map(|piece| {
                updates += 2;
                [0, 1].map(|stream| frame(WINDOW_UPDATE, 0, stream, &piece.to_be_bytes())).concat()
            })
            .collect();
        frames.send(opened).await;
    }
    assert!(updates >= 4000, "{updates} updates");
    frames.is_alive().await;
    assert_eq!(floods(&gateway).await, 0.0);
}

#[tokio::test]
async fn d_a_client_that_pings_for_each_frame_that_it_gets_is_no_flood() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    let mut frames = Frames::connect(gateway.address).await;
    frames.send(frame(SETTINGS, 0, 0, &[0, 4, 0x7f, 0xff, 0xff, 0xff])).await;
    frames.send(frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0, 0, 0])).await;
    let large = [(":method", "GET"), (":scheme", "http"), (":path", "/bytes/20000000"), (":authority", "a.test")];
    frames.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&large))).await;
    let mut came = 0;
    while frames.next_of(DATA).await.expect("more of the answer").flags & END_STREAM == 0 {
        came += 1;
    }
    assert!(came >= 1000, "{came} frames");
    // One for each of a thousand, as late as can be, and some of its own.
    let ping = frame(PING, 0, 0, &[0; 8]);
    frames.send(ping.repeat(1900)).await;
    frames.is_alive().await;
    assert_eq!(floods(&gateway).await, 0.0);
    frames.send(ping.repeat(2500)).await;
    assert_eq!(frames.goaway().await, Some(Reason::ENHANCE_YOUR_CALM));
    counted(&gateway, 1.0).await;
}

#[tokio::test]
async fn d_small_data_that_its_upstream_does_not_take_yet_ends_nobodys_connection() {
    let upstream = FramesUpstream::start().await;
    let gateway = Gateway::start(&text("", "", upstream.address)).await;
    let mut client = Frames::connect(gateway.address).await;
    client.next_of(WINDOW_UPDATE).await.expect("a window of more than 64 KiB");
    let streams = [1, 3, 5, 7];
    client.send(streams.map(post).concat()).await;
    let mut asked = upstream.accept(b"").await;
    // All that the streams' windows allow. The upstream opens no window.
    client.send(streams.map(|stream| frame(DATA, 0, stream, &[b'x'; 40]).repeat(1600)).concat()).await;
    client.is_alive().await;
    asked.send(frame(WINDOW_UPDATE, 0, 0, &[0, 4, 0, 0])).await;
    client.send(streams.map(|stream| frame(DATA, END_STREAM, stream, b"")).concat()).await;
    let (mut ended, mut bytes) = (0, 0);
    while ended < streams.len() {
        let data = asked.next_of(DATA).await.expect("more of a body");
        bytes += data.payload.len();
        if data.flags & END_STREAM != 0 {
            ended += 1;
            let ok = block(&[(":status", "200")]);
            asked.send(frame(HEADERS, END_HEADERS | END_STREAM, data.stream, &ok)).await;
        }
    }
    assert_eq!(bytes, streams.len() * 64_000);
    for _ in streams {
        client.next_of(HEADERS).await.expect("an answer");
    }
    client.is_alive().await;
    assert_eq!(floods(&gateway).await, 0.0);
}

#[tokio::test]
async fn d_empty_data_within_the_allowance_is_no_part_of_a_message_and_ends_nothing() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    let mut client = Frames::connect(gateway.address).await;
    for number in 0..3 {
        // More than `h2` bears in a connection's life; fewer than may come in a second.
        let (stream, empty) = (stream(number), frame(DATA, 0, stream(number), b"").repeat(200));
        let body = [&empty[..], &frame(DATA, 0, stream, b"x"), &empty[..9], &frame(DATA, END_STREAM, stream, b"")];
        client.send([&post(stream)[..], &body.concat()].concat()).await;
        let answer = client.next_of(HEADERS).await.expect("an answer");
        assert_eq!((answer.stream, answer.payload[0]), (stream, 0x88), "200, by its place in the static table");
    }
    client.is_alive().await;
    assert_eq!(floods(&gateway).await, 0.0);
}

#[tokio::test]
async fn d_empty_data_ends_the_connection_whether_it_is_read_or_not() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    assert!(is_stopped(&gateway, [post(1), frame(DATA, 0, 1, b"").repeat(20_000)].concat()).await);
    upstream.set_rules([Rule::on("/never").effect(Effect::Hang)]);
    let padded = frame(DATA, 8, 1, &[3, 0, 0, 0]);
    is_stopped(&gateway, [post(1), padded.repeat(20_000)].concat()).await;
}

#[tokio::test]
async fn d_a_head_without_end_is_bounded() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    for piece in [&b""[..], &[0, 1, b'x', 0].repeat(4000)] {
        let mut frames = Frames::connect(gateway.address).await;
        let begun = frame(HEADERS, END_STREAM, 1, &block(&GET));
        frames.send_while_taken(&[begun, frame(CONTINUATION, 0, 1, piece).repeat(2000)].concat()).await;
        let code = frames.goaway().await;
        assert!(matches!(code, Some(Reason::ENHANCE_YOUR_CALM | Reason::COMPRESSION_ERROR)), "{code:?}");
    }
    assert_eq!(upstream.counters().requests, 0);
    assert_eq!(gateway.get("/").await.status, 200);
}

#[tokio::test]
async fn d_e_a_list_of_fields_that_unpacks_to_much_is_431_or_the_end() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    // One field of 3,000 bytes goes into the table; each byte that follows is that field again.
    let mut bomb = block(&GET);
    bomb.extend_from_slice(&[0x40, 1, b'x', 0x7f, 0xb9, 0x16]);
    bomb.extend_from_slice(&[b'a'; 3000]);
    for again in [15, 30] {
        let mut frames = Frames::connect(gateway.address).await;
        let much = [&bomb[..], &vec![0xbe; again]].concat();
        frames.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &much)).await;
        let answer = frames.next_of(HEADERS).await.expect("an answer");
        // `:status` by its place in the static table, and three characters: plain, or packed into three bytes.
        let status = &answer.payload[1..5];
        assert!(status == b"\x03431" || status[0] & 0x80 != 0, "{answer:?}");
        frames.is_alive().await;
    }
    assert!(
        is_stopped(&gateway, frame(HEADERS, END_HEADERS | END_STREAM, 1, &[&bomb[..], &[0xbe; 2000]].concat())).await
    );
    assert_eq!(upstream.counters().requests, 1, "only the request that shows that others are served");
}

#[tokio::test]
async fn d_streams_beyond_the_most_are_refused_and_the_others_served() {
    let upstream = echo().await;
    upstream.set_rules([Rule::any().effect(Effect::Hang)]);
    let gateway = Gateway::with("h2_max_concurrent_streams = 5", upstream.addr()).await;
    let mut frames = Frames::connect(gateway.address).await;
    frames.send((0..7).flat_map(|number| ask(stream(number))).collect::<Vec<_>>()).await;
    for number in [5, 6] {
        let reset = frames.next_of(RST_STREAM).await.expect("a refusal");
        assert_eq!((reset.stream, reset.code(0)), (stream(number), Reason::REFUSED_STREAM));
    }
    eventually("five are in flight", || gateway.in_flight() == 5).await;
    frames.is_alive().await;
}

#[tokio::test]
async fn d_who_has_not_seen_the_settings_may_open_many_streams_and_is_not_taken_for_a_flood() {
    let upstream = echo().await;
    let gateway = Gateway::with("h2_max_concurrent_streams = 5\nh2_max_resets_per_second = 20", upstream.addr()).await;
    upstream.set_rules([Rule::on("/hang").effect(Effect::Hang)]);
    // The preface and three hundred requests with bodies go out before anything is read.
    let mut frames = Frames::silent(gateway.address).await;
    let body = |number| frame(DATA, END_STREAM, stream(number), b"body");
    let early: Vec<u8> = (0..300).flat_map(|number| [post(stream(number)), body(number)].concat()).collect();
    frames.send([PREFACE.to_vec(), frame(SETTINGS, 0, 0, b""), early, frame(SETTINGS, 1, 0, b"")].concat()).await;
    let (mut refused, mut answered) = (0, 0);
    while refused + answered < 300 {
        match frames.next().await.expect("the connection goes on") {
            one if one.kind == RST_STREAM && one.code(0) == Reason::REFUSED_STREAM => refused += 1,
            one if one.kind == HEADERS => answered += 1,
            _ => {}
        }
    }
    assert!(refused > 20 && answered >= 5, "{refused} refused, {answered} answered");
    frames.is_alive().await;
    assert_eq!(floods(&gateway).await, 0.0);
    // From here on it knows how many it may have.
    let busy = [(":method", "GET"), (":scheme", "http"), (":path", "/hang"), (":authority", "a.test")];
    let late = |number| frame(HEADERS, END_HEADERS | END_STREAM, stream(number), &block(&busy));
    frames.send((1000..1400).flat_map(late).collect::<Vec<_>>()).await;
    assert_eq!(frames.goaway().await, Some(Reason::ENHANCE_YOUR_CALM));
    counted(&gateway, 1.0).await;
}
