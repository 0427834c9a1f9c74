//! A connection on which no request is read: beyond the limit, or not of the kind that is spoken there. It is told so,
//! and closed.
//!
//! Who is told that there is no place for its connection leaves a record, as who asks does; of a flood so many a
//! second, and all are counted.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{HeaderMap, Version};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::connection::{self, linger};
use crate::connections::Full;
use crate::context::{Caller, Peer, RequestId, Scheme};
use crate::error::{Code, GatewayError};
use crate::exchange::Arrival;
use crate::http2::{self, Reason};
use crate::network::Network;
use crate::pipeline;
use crate::response::{self, problem};
use crate::shard::Shard;

/// Beyond this a client that does not read is cut off.
const WRITE_TIME: Duration = Duration::from_secs(1);
/// How long it is waited for what a client speaks. Who has asked by then, as nearly all have, is answered at once.
const SPEAKS_WITHIN: Duration = Duration::from_millis(250);
/// What is read to find out.
const FIRST_BYTES: usize = 64;
/// Connections of a worker that leave a record in a second: what a flood may write.
const MOST_RECORDED: u64 = 100;

/// Answers 503 without reading a request, and closes.
pub(crate) async fn overloaded<S: AsyncRead + AsyncWrite + Unpin>(stream: S) {
    close_with(stream, no_place().closing(), &HeaderMap::new()).await;
}

fn no_place() -> GatewayError {
    let detail = "The gateway has as many connections as it may have.";
    GatewayError::new(Code::Overloaded, detail).retry_after(Duration::from_secs(1))
}

/// The same for a client of the gateway's, who comes by the listener of this number: in the protocol that it speaks,
/// under an id, and with a record.
pub(crate) async fn turn_away<N: Network, S: AsyncRead + AsyncWrite + Unpin>(
    shard: Arc<Shard<N>>,
    mut stream: S,
    (caller, listener): (Caller, Option<u16>),
    full: Full,
) {
    let may_be_http2 = shard.snapshot().config.server.h2.is_spoken();
    let spoken = tokio::time::timeout(SPEAKS_WITHIN, speaks_http2(&mut stream)).await;
    let version = match spoken {
        // It has gone.
        Ok(Err(_)) => return,
        Ok(Ok(true)) if may_be_http2 => Version::HTTP_2,
        Ok(Ok(_)) | Err(_) => Version::HTTP_11,
    };
    let said = told(&shard, (caller, listener), version);
    let bytes = if version == Version::HTTP_2 { http2::farewell(reason(full), &no_place().detail) } else { said };
    write(stream, &bytes).await;
}

/// Whether a client's first bytes are those of HTTP/2, once that can be told.
///
/// # Errors
/// It closes without a word.
async fn speaks_http2<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<bool> {
    let mut first = [0; FIRST_BYTES];
    let mut length = 0;
    loop {
        match stream.read(&mut first[length..]).await? {
            0 if length == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            0 => return Ok(false),
            more => length += more,
        }
        let begun = &first[..length];
        if http2::begins_like_preface(begun) {
            return Ok(true);
        }
        if !http2::may_become_preface(begun) {
            return Ok(false);
        }
    }
}

/// Why a connection of HTTP/2 ends: who has too many of its own is to have fewer.
fn reason(full: Full) -> Reason {
    match full {
        Full::Address => Reason::ENHANCE_YOUR_CALM,
        Full::Total | Full::Descriptors => Reason::NO_ERROR,
    }
}

/// Records and counts the connection, and says what it is answered in HTTP/1.
fn told<N: Network>(shard: &Arc<Shard<N>>, (caller, listener): (Caller, Option<u16>), version: Version) -> Vec<u8> {
    let error = no_place().closing();
    let now = shard.shared.clock.now();
    if shard.recorded.may_record(shard.shared.clock.ticks_ms(now) / 1000) {
        let peer = Peer::of(caller, Scheme::Http).named(shard.shared.own_name);
        let connection = connection::client(shard, (peer, listener), None);
        let arrival = Arrival { shard: Arc::clone(shard), connection };
        return pipeline::turn_away(arrival, version, &error);
    }
    // Counted as any other, as a request is whose record is left out by `sample`.
    let status = error.status().as_u16();
    shard.snapshot().unrouted.record(shard.index, status, Some(error.code), Duration::ZERO, None);
    let id = RequestId::mint(shard.draw());
    let said = problem::Said::document(&error, Some(id.as_bytes()));
    problem::raw((&error, said), Some(id.as_str()), &response::dated(&shard.date), false).0
}

/// Answers without reading a request, with `more` fields, and closes.
pub(super) async fn close_with<S: AsyncRead + AsyncWrite + Unpin>(stream: S, error: GatewayError, more: &HeaderMap) {
    let error = error.closing();
    let said = problem::Said::document(&error, None);
    let (bytes, _) = problem::raw((&error, said), None, more, false);
    write(stream, &bytes).await;
}

async fn write<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, bytes: &[u8]) {
    if let Ok(Ok(())) = tokio::time::timeout(WRITE_TIME, stream.write_all(bytes)).await {
        linger(stream).await;
    }
}

/// How many connections that were turned away have left a record of late.
#[derive(Debug, Default)]
pub(crate) struct Recorded {
    /// The second, and how many there were in it.
    of_second: AtomicU64,
}

impl Recorded {
    /// Whether one more leaves a record, in this second from any moment.
    fn may_record(&self, second: u64) -> bool {
        let next = |known: u64| match (known >> 32 == second & u64::from(u32::MAX), known & u64::from(u32::MAX)) {
            (true, count) if count >= MOST_RECORDED => None,
            (true, _) => Some(known + 1),
            (false, _) => Some(second << 32 | 1),
        };
        self.of_second.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_writes_so_many_records_a_second_and_no_more() {
        let recorded = Recorded::default();
        for second in [0, 7, 8] {
            let count = (0..10 * MOST_RECORDED).filter(|_| recorded.may_record(second)).count();
            assert_eq!(count as u64, MOST_RECORDED, "second {second}");
        }
    }

    async fn spoken(pieces: &[&[u8]]) -> Option<bool> {
        let (mut ours, mut theirs) = tokio::io::duplex(1024);
        let send = async {
            for piece in pieces {
                theirs.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            drop(theirs);
        };
        let (spoken, ()) = tokio::join!(speaks_http2(&mut ours), send);
        spoken.ok()
    }

    #[tokio::test]
    async fn what_a_client_speaks_shows_in_its_first_bytes_however_they_come() {
        const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        assert_eq!(spoken(&[PREFACE]).await, Some(true));
        let by_byte: Vec<&[u8]> = PREFACE.chunks(1).collect();
        assert_eq!(spoken(&by_byte).await, Some(true));
        assert_eq!(spoken(&[b"GET / HTTP/1.1\r\n"]).await, Some(false));
        assert_eq!(spoken(&[b"P", b"OST / HTTP/1.1\r\n"]).await, Some(false));
        assert_eq!(spoken(&[b"PRI * HTTP/1.1\r\n\r\n"]).await, Some(false));
        assert_eq!(spoken(&[b"PRI"]).await, Some(false), "it sends no more");
        assert_eq!(spoken(&[]).await, None, "it has gone");
    }
}
