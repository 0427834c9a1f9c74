//! Whatever a client sends over HTTP/2, in whatever pieces: frames are counted the same, a flood ends the reading, and
//! nothing panics, in the gateway's walk over frames or in h2 behind it.

use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use gateway::clock::Clock;
use gateway::http2::{Allowance, Watched};
use tokio::io::{AsyncRead, ReadBuf};

use super::wire::Wire;

/// Resets that are allowed: few, so that a flood is short.
const RESETS: u32 = 5;
/// Frames without use that are allowed a second, updates of windows among them where nothing was read
/// (`gateway/src/http2/flood.rs`).
const IDLE: usize = 1_000;
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What the walk says after all bytes: whether they were a flood, and whether a head is open.
fn walked(bytes: &[u8], piece: usize) -> (bool, bool) {
    let mut cx = Context::from_waker(Waker::noop());
    let clock = Clock::starting_at(Duration::ZERO);
    let (mut watched, pulse) = Watched::new(Wire::new(bytes, piece), Bytes::new(), Allowance::new(RESETS), clock);
    let mut buffer = [0; 1024];
    loop {
        let mut buffer = ReadBuf::new(&mut buffer);
        match Pin::new(&mut watched).poll_read(&mut cx, &mut buffer) {
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => break,
            Poll::Ready(Err(error)) => panic!("the stream has no errors: {error}"),
            // Nothing more is read of a flood; what is much lets others have their turn.
            Poll::Pending if pulse.is_flooded() => break,
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
    }
    (pulse.is_flooded(), pulse.is_in_block())
}

/// The same by a naive reader of RFC 9113, section 4.1; `None` for the open head of what is cut in a frame's head.
fn naive(bytes: &[u8]) -> (bool, bool) {
    let mut rest = bytes.get(PREFACE.len()..).unwrap_or_default();
    let (mut resets, mut idle, mut open) = (0, 0, false);
    while let Some((head, behind)) = rest.split_at_checked(9) {
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let (kind, flags) = (head[3], head[4]);
        let whole = behind.len() >= length;
        match kind {
            0 if length > 0 || flags & 1 != 0 => {}
            1 | 9 => open = !(whole && flags & 4 != 0),
            // No answer has begun, and no time passes: none is excused.
            3 => resets += u32::from(whole),
            _ => idle += 1,
        }
        rest = behind.get(length..).unwrap_or_default();
    }
    (resets > RESETS || idle > IDLE, open)
}

/// The first byte says in what pieces the rest comes.
pub fn check(data: &[u8]) {
    let Some((first, bytes)) = data.split_first() else { return };
    let piece = usize::from(*first) + 1;
    let walk = walked(bytes, usize::MAX);
    let (flooded, open) = naive(bytes);
    assert_eq!(walk.0, flooded, "resets and frames that carry nothing are counted");
    if !flooded {
        assert_eq!(walk, (flooded, open));
        assert_eq!(walk, walked(bytes, piece), "in pieces of {piece}");
    }
    serve(bytes, piece);
}

/// Lets h2 read it through the walk, as a connection does.
fn serve(bytes: &[u8], piece: usize) {
    let clock = Clock::starting_at(Duration::ZERO);
    let (watched, _pulse) = Watched::new(Wire::new(bytes, piece), Bytes::new(), Allowance::new(RESETS), clock);
    let mut cx = Context::from_waker(Waker::noop());
    let served = async {
        let Ok(mut connection) = h2::server::handshake(watched).await else { return };
        while let Some(Ok((_, mut respond))) = connection.accept().await {
            // One that was reset meanwhile has no answer.
            let _ = respond.send_response(http::Response::new(()), true);
        }
    };
    let mut served = pin!(served);
    // Each turn takes at least a piece, or is the last.
    let _ = (0..bytes.len() + 16).find(|_| served.as_mut().poll(&mut cx).is_ready());
}
