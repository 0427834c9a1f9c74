//! A connection to an upstream, from the preface to its settings. Only then is anything asked: what the upstream allows
//! is known, and that it speaks HTTP/2 at all.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use h2::client::{Builder, Connection, SendRequest};
use http::{HeaderMap, Request, StatusCode};

use super::heard::{Heard, Hearing};
use super::small_frames::frame_budget;
use crate::clock::Clock;
use crate::http1::{MAX_FIELDS, MAX_HEAD_BYTES};
use crate::network::ByteStream;

/// Calls that share a connection at most, whatever the upstream allows.
pub const MOST_CALLS: usize = 100;

/// What an upstream may send of an answer that its client does not take, bytes.
const CALL_WINDOW: u32 = 64 * 1024;

/// Each call has room for its window, so that one whose client is slow never holds the others up.
const CONNECTION_WINDOW: u32 = CALL_WINDOW * MOST_CALLS as u32;

/// The smallest frames of which every call's window may be full: gRPC's shortest message. Beyond the budget `h2` ends
/// the connection, and with it the calls of those who do read. It is what holds memory, too: `h2` spends some 250 bytes
/// on a frame of any size.
const LEAST_FRAME: usize = 5;
const FRAME_BUDGET: usize = frame_budget(CONNECTION_WINDOW as usize, LEAST_FRAME);

/// Calls given up of late that are remembered, so that what the upstream had on its way for them is dropped in silence.
const REMEMBERED: usize = 16 * MOST_CALLS;

/// What comes for a call that is forgotten is answered by a reset, and counted as long as the connection lives. An
/// honest upstream causes them too, by answers that are late; a bound there must be, since resets wait in memory where
/// the upstream reads none.
const LATE_FRAMES: usize = 1_000_000;

/// What one call holds of a request that the upstream does not take, bytes; its client is not read meanwhile.
const SEND_BYTES: usize = 64 * 1024;

/// No number of streams that an upstream could allow: it has not said yet.
const UNTOLD: usize = usize::MAX - 1;

/// What a field costs beside its bytes (RFC 9113, section 6.5.2).
pub(crate) const FIELD_BYTES: usize = 32;

/// An open connection.
pub struct Opened<S> {
    /// Where calls begin.
    pub requests: SendRequest<Bytes>,
    /// Moves bytes; to be polled to its end.
    pub connection: Connection<Heard<S>, Bytes>,
    /// What is known of it beside.
    pub hearing: Arc<Hearing>,
}

/// Why a connection is none of HTTP/2.
#[derive(Debug)]
pub enum Unspoken {
    /// It broke.
    Broken(io::Error),
    /// What came is not HTTP/2.
    Other(h2::Error),
    /// It was not agreed on in the handshake.
    NotAgreed,
}

impl fmt::Display for Unspoken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(error) => write!(f, "HTTP/2: the connection broke before the settings came: {error}"),
            Self::Other(error) => write!(f, "HTTP/2: the endpoint does not speak it ({error})"),
            Self::NotAgreed => f.write_str("HTTP/2: the endpoint's TLS did not agree on it (ALPN has no \"h2\")"),
        }
    }
}

impl std::error::Error for Unspoken {}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder
        .enable_push(false)
        .initial_max_send_streams(UNTOLD)
        .initial_window_size(CALL_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(u32::try_from(MAX_HEAD_BYTES + FIELD_BYTES * MAX_FIELDS).unwrap_or(u32::MAX))
        .data_frame_budget(FRAME_BUDGET)
        .max_concurrent_reset_streams(REMEMBERED)
        .max_local_error_reset_streams(Some(LATE_FRAMES))
        .max_send_buffer_size(SEND_BYTES);
    builder
}

/// Says that HTTP/2 is spoken, and waits until the upstream has said so too. The caller limits the time.
///
/// # Errors
/// As [`Unspoken`].
pub async fn open<S: ByteStream>(stream: S, clock: Clock) -> Result<Opened<S>, Unspoken> {
    let (stream, hearing) = Heard::new(stream, clock);
    let told = |error: h2::Error| match hearing.take_error() {
        Some(error) => Unspoken::Broken(error),
        None if error.is_io() => Unspoken::Broken(io::Error::other(error)),
        None => Unspoken::Other(error),
    };
    let (requests, mut connection) = builder().handshake::<_, Bytes>(stream).await.map_err(told)?;
    let settings = poll_fn(|cx| match Pin::new(&mut connection).poll(cx) {
        Poll::Ready(Err(error)) => Poll::Ready(Err(told(error))),
        Poll::Ready(Ok(())) => Poll::Ready(Err(Unspoken::Broken(io::ErrorKind::UnexpectedEof.into()))),
        Poll::Pending if connection.max_concurrent_send_streams() == UNTOLD => Poll::Pending,
        Poll::Pending => Poll::Ready(Ok(())),
    });
    settings.await?;
    Ok(Opened { requests, connection, hearing })
}

/// A whole answer.
#[derive(Debug)]
pub struct Whole {
    /// The status.
    pub status: StatusCode,
    /// The fields.
    pub headers: HeaderMap,
    /// The body, as far as it was wanted.
    pub body: BytesMut,
    /// What came behind it.
    pub trailers: HeaderMap,
}

impl<S: ByteStream> Opened<S> {
    /// Asks one thing, and reads the answer, but no more than `most` bytes of its body: of 0 the head alone is awaited.
    /// For checks, whose connection is their own.
    ///
    /// # Errors
    /// `h2`'s.
    pub async fn ask(self, request: Request<()>, body: Bytes, most: usize) -> Result<Whole, h2::Error> {
        let Self { mut requests, mut connection, .. } = self;
        let asking = async move {
            let (answer, mut stream) = requests.send_request(request, body.is_empty())?;
            if !body.is_empty() {
                stream.send_data(body, true)?;
            }
            let (parts, mut stream) = answer.await?.into_parts();
            let mut whole = Whole {
                status: parts.status,
                headers: parts.headers,
                body: BytesMut::new(),
                trailers: HeaderMap::new(),
            };
            if most == 0 {
                return Ok(whole);
            }
            while let Some(data) = stream.data().await {
                let data = data?;
                stream.flow_control().release_capacity(data.len())?;
                whole.body.extend_from_slice(&data);
                if whole.body.len() > most {
                    return Ok(whole);
                }
            }
            whole.trailers = stream.trailers().await?.unwrap_or_default();
            Ok(whole)
        };
        let mut asking = std::pin::pin!(asking);
        let mut over = false;
        poll_fn(|cx| {
            if let Poll::Ready(answer) = asking.as_mut().poll(cx) {
                return Poll::Ready(answer);
            }
            if !over && Pin::new(&mut connection).poll(cx).is_ready() {
                // What it has read is there to be taken; what has not come is an error.
                over = true;
                return asking.as_mut().poll(cx);
            }
            Poll::Pending
        })
        .await
    }
}
