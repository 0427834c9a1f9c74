//! Blocks cut anywhere, read in any steps: what goes on is the same block, and `h2` judges it as if it were whole.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use proptest::collection::vec;
use proptest::prelude::*;
use tokio::io::{AsyncRead, AsyncWrite};

use super::super::flood::Allowance;
use super::super::preface::PREFACE;
use super::super::watched::Watched;
use super::*;
use crate::clock::Clock;

const DATA: u8 = 0;
const SETTINGS: u8 = 4;
const END_STREAM: u8 = 0x1;

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
}

/// Fields as they are written out.
fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    fields.iter().flat_map(|(name, value)| [vec![0], text(name), text(value)].concat()).collect()
}

/// A stream that gives its bytes in steps, and then waits or ends. What is written to it is gone.
struct Steps {
    bytes: Vec<u8>,
    step: usize,
    ends: bool,
}

impl AsyncRead for Steps {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let count = this.step.min(this.bytes.len()).min(buffer.remaining());
        buffer.put_slice(&this.bytes[..count]);
        this.bytes.drain(..count);
        if count > 0 || this.ends { Poll::Ready(Ok(())) } else { Poll::Pending }
    }
}

impl AsyncWrite for Steps {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn watched(bytes: &[u8], step: usize, ends: bool) -> Watched<Steps> {
    let stream = Steps { bytes: bytes.to_vec(), step, ends };
    let (ahead, allowance) = (Bytes::new(), Allowance::new(1_000));
    Watched::new(stream, ahead, allowance, Clock::starting_at(Duration::ZERO)).0
}

/// What goes on of frames that come in these steps, up to the stream's end; the buffer is so large.
fn passed(frames: &[u8], step: usize, room: usize) -> Vec<u8> {
    let mut stream = watched(&[&PREFACE[..], frames].concat(), step, true);
    let (mut space, mut passed) = (vec![0; room], Vec::new());
    loop {
        let mut buffer = ReadBuf::new(&mut space);
        let polled = Pin::new(&mut stream).poll_read(&mut Context::from_waker(Waker::noop()), &mut buffer);
        assert!(matches!(polled, Poll::Ready(Ok(()))), "{polled:?}");
        if buffer.filled().is_empty() {
            return passed.strip_prefix(PREFACE).expect("the preface passes").to_vec();
        }
        passed.extend_from_slice(buffer.filled());
    }
}

/// Frames: kind, flags, the last byte of the stream, payload.
fn frames_of(mut bytes: &[u8]) -> Vec<(u8, u8, u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while let Some((head, rest)) = bytes.split_first_chunk() {
        let head = Head::of(head);
        let (payload, rest) = rest.split_at(head.length);
        frames.push((head.kind, head.flags, head.stream[3], payload.to_vec()));
        bytes = rest;
    }
    assert!(bytes.is_empty(), "half a head");
    frames
}

/// What a server makes of frames: the requests that it takes, by their path and fields, up to one of `/last`.
async fn taken(frames: &[u8], step: usize) -> Vec<(String, HeaderMap)> {
    let stream =
        watched(&[&PREFACE[..], &frame(SETTINGS, 0, 0, b""), frames, &request("/last", 3)].concat(), step, false);
    let mut server = h2::server::handshake(stream).await.expect("a handshake");
    let mut taken = Vec::new();
    while let Some(Ok((request, _respond))) = server.accept().await {
        if request.uri().path() == "/last" {
            break;
        }
        taken.push((request.uri().path().to_owned(), request.headers().clone()));
    }
    taken
}

const GET: [(&str, &str); 4] = [(":method", "GET"), (":scheme", "http"), (":path", "/a"), (":authority", "a.test")];

fn request(path: &str, stream: u8) -> Vec<u8> {
    let fields = [GET[0], GET[1], (":path", path), GET[3]];
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(&fields))
}

/// A block in three pieces.
fn in_pieces(block: &[u8], first: usize, second: usize) -> Vec<u8> {
    [
        frame(HEADERS, END_STREAM, 1, &block[..first]),
        frame(CONTINUATION, 0, 1, &block[first..second]),
        frame(CONTINUATION, END_HEADERS, 1, &block[second..]),
    ]
    .concat()
}

#[tokio::test]
async fn a13_a_good_head_is_the_same_wherever_it_is_cut() {
    let block = block(&[&GET[..], &[("x", "1"), ("y", ""), ("x", "2")]].concat());
    let whole = taken(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &block), 4096).await;
    assert_eq!(whole.len(), 1);
    for cut in 0..=block.len() {
        for step in [1, 7, 4096] {
            assert_eq!(taken(&in_pieces(&block, cut, (cut + 3).min(block.len())), step).await, whole, "cut at {cut}");
        }
    }
}

#[tokio::test]
async fn a13_a_bad_head_is_refused_wherever_it_is_cut() {
    for bad in [
        &[(":path", "/again")][..],
        &[(":method", "POST")],
        &[(":authority", "b.test")],
        &[(":scheme", "https")],
        &[("connection", "x")],
        &[("transfer-encoding", "chunked")],
        &[("upgrade", "h2c")],
        &[("keep-alive", "1")],
        &[("proxy-connection", "x")],
        &[("te", "gzip")],
        // `h2` takes a name of no bytes for the end of the bytes, and forgets what came before.
        &[("connection", "x"), ("", "y")],
        &[("", "y")],
    ] {
        let block = block(&[&GET[..], bad, &[("x", "1"), ("y", "2")]].concat());
        for first in 0..=block.len() {
            for second in [first, first + 1, first + 9, block.len()].map(|second| second.min(block.len())) {
                let taken = taken(&in_pieces(&block, first, second), 4096).await;
                let taken: Vec<_> = taken.iter().map(|(path, _)| path.as_str()).collect();
                assert!(taken.is_empty(), "{bad:?}, cut at {first} and {second}: {taken:?}");
            }
        }
    }
}

/// A field that is longer than a frame, behind a bad one: held back as far as that may be.
#[tokio::test]
async fn a13_a_long_field_hides_no_bad_one() {
    let long = |length: usize| {
        let (high, low) = (u8::try_from((length - 127) / 128).unwrap(), u8::try_from((length - 127) % 128).unwrap());
        assert!(high < 128);
        [&[0, 1, b'l', 127, low | 128, high][..], &vec![b'v'; length]].concat()
    };
    for (bad, expected) in [(&[("x", "1")][..], 1), (&[("connection", "x")], 0), (&[("", "x")], 0)] {
        for length in [16_000, 16_378, 16_379, 16_384] {
            let block = [&block(&GET)[..], &block(bad), &long(length), &block(bad), &block(&[("y", "2")])].concat();
            for tail in [1, 3, 20] {
                let pieces: Vec<&[u8]> = block[..block.len() - tail].chunks(MOST).collect();
                let mut frames = Vec::new();
                for (at, piece) in pieces.iter().enumerate() {
                    let (kind, flags) = if at == 0 { (HEADERS, END_STREAM) } else { (CONTINUATION, 0) };
                    frames.extend(frame(kind, flags, 1, piece));
                }
                frames.extend(frame(CONTINUATION, END_HEADERS, 1, &block[block.len() - tail..]));
                assert_eq!(taken(&frames, 4096).await.len(), expected, "{bad:?}, {length} bytes, {tail} at last");
            }
        }
    }
}

#[test]
fn what_no_field_has_ends_the_block_and_what_comes_between_is_not_hidden() {
    let begun = frame(HEADERS, 0, 1, &block(&[("x", "1")]));
    let more = frame(CONTINUATION, 0, 1, b"\x82\xff\xff\xff\xff\xff\x82");
    let frames = frames_of(&passed(&[&begun[..], &more, &frame(CONTINUATION, 0, 1, b"x")].concat(), 5, 64));
    assert_eq!(frames[1], (CONTINUATION, END_HEADERS, 1, b"\x82\xff\xff\xff\xff\xff".to_vec()));
    assert_eq!(frames[2], (CONTINUATION, 0, 1, b"x".to_vec()), "whatever it is now");
    for between in [frame(DATA, 0, 1, b"x"), frame(CONTINUATION, END_HEADERS, 3, b"\x82"), begun.clone()] {
        let half = frame(CONTINUATION, 0, 1, b"\x40");
        let passed = passed(&[&begun[..], &half, &between].concat(), 64, 64);
        let empty = frame(CONTINUATION, 0, 1, b"");
        assert!(passed.starts_with(&[&begun[..], &empty, &empty].concat()), "{passed:?}");
        assert_eq!(frames_of(&passed).len(), 4);
    }
    let other_bit = [&[0, 0, 1, CONTINUATION, END_HEADERS, 0x80, 0, 0, 1][..], b"\x82"].concat();
    assert_eq!(frames_of(&passed(&[&begun[..], &other_bit].concat(), 64, 64)).len(), 2, "the same stream");
}

#[test]
fn half_a_frame_goes_on_at_the_end() {
    let all = [frame(DATA, 0, 1, b"x"), frame(HEADERS, 0, 1, b"\x82\x83"), frame(CONTINUATION, 0, 1, b"\x84")].concat();
    for length in 0..=all.len() {
        for step in 1..=all.len() {
            assert_eq!(passed(&all[..length], step, 64), all[..length], "{length} bytes in steps of {step}");
        }
    }
}

#[test]
fn data_that_carries_nothing_and_ends_nothing_does_not_go_on_whatever_steps_it_comes_in() {
    let void = frame(DATA, 0, 1, b"");
    let others = [
        frame(DATA, 0, 1, b"x"),
        frame(DATA, PADDED, 1, &[0]),
        frame(DATA, END_STREAM, 1, b""),
        // These break a rule, and `h2` is to see that.
        frame(DATA, PADDED, 1, b""),
        frame(DATA, 0, 0, b""),
    ];
    let all: Vec<u8> = others.iter().flat_map(|other| [&void[..], other, &void].concat()).collect();
    for step in 1..=all.len() {
        for room in [1, 64] {
            assert_eq!(passed(&all, step, room), others.concat(), "in steps of {step}");
        }
    }
    let begun = frame(HEADERS, 0, 1, &block(&[("x", "1")]));
    let within = passed(&[&begun[..], &void].concat(), 64, 64);
    assert!(within.ends_with(&void), "nothing may come within a block: {within:?}");
}

#[tokio::test]
async fn h2_bears_more_data_that_carries_nothing_than_it_counts() {
    let fields = [(":method", "POST"), GET[1], GET[2], GET[3]];
    let post = frame(HEADERS, END_HEADERS, 1, &block(&fields));
    for step in [1, 7, 4096] {
        let frames = [&post[..], &frame(DATA, 0, 1, b"").repeat(200), &frame(DATA, END_STREAM, 1, b"")].concat();
        assert_eq!(taken(&frames, step).await.len(), 1, "in steps of {step}");
    }
}

/// A frame that is none of a block's, or a block, its pieces' ends, and what goes around.
#[derive(Debug, Clone)]
enum Sent {
    Plain(u8, Vec<u8>),
    Block { fields: Vec<Vec<u8>>, cuts: Vec<prop::sample::Index>, padding: Option<u8>, priority: bool },
}

fn field() -> impl Strategy<Value = Vec<u8>> {
    let written = |name: usize, value: usize| {
        let mut field = vec![0, u8::try_from(name).unwrap()];
        field.extend(vec![b'n'; name]);
        match value.checked_sub(127) {
            None => field.push(u8::try_from(value).unwrap()),
            Some(more) => {
                let [high, low] = [more / 128, more % 128].map(|part| u8::try_from(part).unwrap());
                field.extend(if high < 128 { vec![127, low | 128, high] } else { vec![127, low | 128, high | 128, 1] });
            }
        }
        field.extend(vec![b'v'; value]);
        field
    };
    prop_oneof![
        4 => (0x80_u8..0xff).prop_map(|byte| vec![byte]),
        4 => (1_usize..20, 0_usize..300).prop_map(move |(name, value)| written(name, value)),
        1 => (1_usize..20, 8_000_usize..16_400).prop_map(move |(name, value)| written(name, value)),
    ]
}

fn sent() -> impl Strategy<Value = Sent> {
    let kinds = prop::sample::select(vec![DATA, SETTINGS, 6, 8, 0x40]);
    let (cut, padding) = (any::<prop::sample::Index>(), proptest::option::of(any::<u8>()));
    prop_oneof![
        1 => (kinds, vec(any::<u8>(), 0..40)).prop_map(|(kind, payload)| Sent::Plain(kind, payload)),
        2 => (vec(field(), 0..12), vec(cut, 0..6), padding, any::<bool>()).prop_map(
            |(fields, cuts, padding, priority)| Sent::Block { fields, cuts, padding, priority }
        ),
    ]
}

/// The frames of a block, each of which fits.
fn cut(block: &[u8], cuts: &[prop::sample::Index], padding: Option<u8>, priority: bool) -> Vec<u8> {
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(block.len() + 1)).collect();
    ends.extend((1..=block.len() / 16_000).map(|number| number * 16_000));
    ends.push(block.len());
    ends.sort_unstable();
    let (mut frames, mut start, last) = (Vec::new(), 0, ends.len() - 1);
    for (number, end) in ends.into_iter().enumerate() {
        let flags = if number == last { END_HEADERS } else { 0 };
        let piece = &block[start..end];
        if number == 0 {
            let (mut before, mut around) = (Vec::new(), 0);
            if let Some(padding) = padding {
                before.push(padding);
                around |= PADDED;
            }
            if priority {
                before.extend([0, 0, 0, 0, 7]);
                around |= PRIORITY;
            }
            let padding = vec![0; usize::from(padding.unwrap_or(0))];
            frames.extend(frame(HEADERS, flags | around, 1, &[&before[..], piece, &padding].concat()));
        } else {
            frames.extend(frame(CONTINUATION, flags, 1, piece));
        }
        start = end;
    }
    frames
}

/// Compares a block that went on with the one that came: the same bytes and surroundings, and pieces that end where a
/// field does, if one ends in them.
fn agree(came: &[(u8, u8, u8, Vec<u8>)], went: &[(u8, u8, u8, Vec<u8>)], fields: &[Vec<u8>]) {
    let place = |(kind, flags, _, payload): &(u8, u8, u8, Vec<u8>)| match *kind {
        HEADERS => fragment_of(*flags, payload).unwrap(),
        _ => 0..payload.len(),
    };
    let whole = |frames: &[(u8, u8, u8, Vec<u8>)]| -> Vec<u8> {
        frames.iter().flat_map(|frame| frame.3[place(frame)].to_vec()).collect()
    };
    assert_eq!(whole(came), whole(went));
    assert!(went.len() >= came.len(), "{} of {}", went.len(), came.len());
    let (old, new) = (place(&came[0]), place(&went[0]));
    assert_eq!((came[0].0, came[0].1, &came[0].3[..old.start]), (went[0].0, went[0].1, &went[0].3[..new.start]));
    assert_eq!(came[0].3[old.end..], went[0].3[new.end..]);
    let (mut ends, mut at) = (Vec::new(), 0);
    for field in fields {
        at += field.len();
        ends.push(at);
    }
    let mut start = 0;
    for (number, frame) in went.iter().enumerate() {
        let end = start + place(frame).len();
        assert_eq!(frame.1 & END_HEADERS != 0, number == went.len() - 1);
        assert_eq!(frame.0, if number == 0 { HEADERS } else { CONTINUATION });
        assert!(frame.3.len() <= MOST);
        let met = ends.iter().any(|at| *at > start && *at <= end);
        assert!(!met || ends.contains(&end), "a piece from {start} to {end} ends in a field: {ends:?}");
        start = end;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn blocks_stay_what_they_are_and_so_does_all_else(
        all in vec(sent(), 0..6), step in prop_oneof![1_usize..30, 1_usize..40_000],
        room in prop_oneof![1_usize..30, 1_usize..40_000],
    ) {
        let frames: Vec<Vec<u8>> = all.iter().map(|sent| match sent {
            Sent::Plain(kind, payload) => frame(*kind, 0, 1, payload),
            Sent::Block { fields, cuts, padding, priority } => cut(&fields.concat(), cuts, *padding, *priority),
        }).collect();
        let passed = frames_of(&passed(&frames.concat(), step, room));
        let mut rest = &passed[..];
        for (sent, came) in all.iter().zip(&frames) {
            let came = frames_of(came);
            let count = match sent {
                Sent::Plain(kind, payload) => usize::from(!is_void(*kind, 0, payload.len())),
                Sent::Block { .. } => rest.iter().position(|frame| frame.1 & END_HEADERS != 0).unwrap() + 1,
            };
            let (went, others) = rest.split_at(count);
            match sent {
                Sent::Plain(..) => assert_eq!(&came[..count], went),
                Sent::Block { fields, .. } => agree(&came, went, fields),
            }
            rest = others;
        }
        assert!(rest.is_empty());
    }

    #[test]
    fn nothing_that_comes_breaks_it(
        bytes in vec(prop_oneof![Just(0_u8), Just(1), Just(9), any::<u8>()], 0..200), step in 1_usize..40,
    ) {
        passed(&bytes, step, 16);
    }
}
