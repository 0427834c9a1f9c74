//! An upstream's stream on its way to `h2`: it tells whether anything has come of late, keeps the error that broke it,
//! of which `h2` passes on the words alone, keeps what the upstream takes of fields, which `h2` tells nobody, and
//! breaks when the upstream floods it with frames that carry nothing.
//! Blocks in pieces are cut anew (`recut`).

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::flood::UpstreamAllowance;
use super::frames::{Seen, Walk};
use super::recut::Recut;
use crate::clock::Clock;
use crate::network::ByteStream;

/// Why a connection was broken by the gateway.
const FLOOD: &str = "the upstream floods its connection with frames that carry nothing";

/// The code of a GOAWAY that tells no error (RFC 9113, section 7).
const NO_ERROR: u32 = 0;

/// What is known of a connection beside its requests.
#[derive(Debug)]
pub struct Hearing {
    reads: AtomicU64,
    broke: Mutex<Option<io::Error>>,
    most_fields: AtomicU32,
    has_complained: AtomicBool,
}

impl Default for Hearing {
    fn default() -> Self {
        let (most_fields, has_complained) = (AtomicU32::new(u32::MAX), AtomicBool::new(false));
        Self { reads: AtomicU64::new(0), broke: Mutex::new(None), most_fields, has_complained }
    }
}

impl Hearing {
    /// How large the fields of a request may be, as its other side says (SETTINGS_MAX_HEADER_LIST_SIZE, RFC 9113,
    /// section 6.5.2), bytes; `u32::MAX` where it says nothing.
    pub fn most_fields(&self) -> u32 {
        self.most_fields.load(Ordering::Relaxed)
    }

    /// Whether the other side has said that it ends the connection for an error (RFC 9113, section 6.8).
    pub fn has_complained(&self) -> bool {
        self.has_complained.load(Ordering::Relaxed)
    }

    /// Keeps what is to be known of a frame.
    fn note(&self, seen: Seen) {
        match seen {
            Seen::Bounded { fields } => self.most_fields.store(fields, Ordering::Relaxed),
            Seen::Left { code } if code != NO_ERROR => self.has_complained.store(true, Ordering::Relaxed),
            _ => {}
        }
    }

    /// How often something has come. Two equal counts: nothing came between them.
    pub fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    /// The error that broke the connection.
    pub(super) fn take_error(&self) -> Option<io::Error> {
        self.broke.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn keep<T>(&self, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match polled {
            Poll::Ready(Err(error)) => {
                let told = io::Error::new(error.kind(), error.to_string());
                *self.broke.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                Poll::Ready(Err(told))
            }
            polled => polled,
        }
    }
}

/// The stream.
#[derive(Debug)]
pub struct Heard<S> {
    stream: S,
    hearing: Arc<Hearing>,
    came: Walk,
    recut: Recut,
    allowance: UpstreamAllowance,
    clock: Clock,
}

impl<S: ByteStream> Heard<S> {
    /// Listens to a stream.
    pub(super) fn new(stream: S, clock: Clock) -> (Self, Arc<Hearing>) {
        let hearing = Arc::<Hearing>::default();
        let (came, recut, allowance) = (Walk::of_server(), Recut::default(), UpstreamAllowance::new());
        (Self { stream, hearing: Arc::clone(&hearing), came, recut, allowance, clock }, hearing)
    }

    /// Whether what came is within what may come.
    fn is_calm(&mut self, bytes: &[u8]) -> bool {
        let Self { came, allowance, clock, hearing, .. } = self;
        let mut calm = true;
        came.over(bytes, |seen| {
            hearing.note(seen);
            calm &= allowance.came(seen, || clock.now());
        });
        calm
    }
}

impl<S: ByteStream> AsyncRead for Heard<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.recut.hands_out(buffer) {
                return Poll::Ready(Ok(()));
            }
            let (before, left) = (buffer.filled().len(), this.came.left());
            let mut polled = Pin::new(&mut this.stream).poll_read(cx, buffer);
            if buffer.filled().len() > before {
                this.hearing.reads.fetch_add(1, Ordering::Relaxed);
                if !this.is_calm(&buffer.filled()[before..]) {
                    polled = Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, FLOOD)));
                }
            }
            ready!(this.hearing.keep(polled))?;
            if this.recut.passes(&this.came, left, before, buffer) {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: ByteStream> AsyncWrite for Heard<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.hearing.keep(polled)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_write_vectored(cx, buffers);
        this.hearing.keep(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_flush(cx);
        this.hearing.keep(polled)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Settings that say nothing.
    const FRAME: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];

    #[tokio::test]
    async fn what_the_other_side_takes_of_fields_is_known_and_whether_it_ends_for_an_error() {
        const SETTINGS: [u8; 15] = [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0x20, 0];
        let (near, mut far) = tokio::io::duplex(1024);
        let (mut heard, hearing) = Heard::new(near, Clock::starting_at(Duration::ZERO));
        assert_eq!((hearing.most_fields(), hearing.has_complained()), (u32::MAX, false));
        for (code, complains) in [(0, false), (1, true)] {
            let bytes = [&SETTINGS[..], &[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, code]].concat();
            far.write_all(&bytes).await.unwrap();
            heard.read_exact(&mut vec![0; bytes.len()]).await.unwrap();
            assert_eq!((hearing.most_fields(), hearing.has_complained()), (8192, complains));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn d_frames_of_an_upstream_that_carry_nothing_are_borne_up_to_a_number_a_second() {
        let (near, mut far) = tokio::io::duplex(64 * 1024);
        let (mut heard, hearing) = Heard::new(near, Clock::starting_at(Duration::ZERO));
        let mut piece = [0; FRAME.len() * 100];
        for second in 0..3 {
            for _ in 0..100 {
                far.write_all(&FRAME.repeat(100)).await.unwrap();
                heard.read_exact(&mut piece).await.unwrap_or_else(|error| panic!("second {second}: {error}"));
            }
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        let flood = FRAME.repeat(10_001);
        let (sent, error) = tokio::join!(far.write_all(&flood), async {
            loop {
                if let Err(error) = heard.read(&mut piece).await {
                    break error;
                }
            }
        });
        assert!(sent.is_ok());
        assert_eq!((error.kind(), error.to_string().as_str()), (io::ErrorKind::InvalidData, FLOOD));
        assert!(hearing.take_error().is_some());
    }
}
