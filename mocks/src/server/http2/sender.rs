//! Sends a body under flow control, and holds its last piece back until the request is journaled.

use std::future::poll_fn;

use bytes::Bytes;
use h2::SendStream;

use super::exchange::Left;

/// An answer's body.
pub(super) struct Sender {
    stream: SendStream<Bytes>,
    held: Bytes,
}

impl Sender {
    pub(super) fn new(stream: SendStream<Bytes>) -> Self {
        Self { stream, held: Bytes::new() }
    }

    /// Sends what is held and holds this instead.
    pub(super) async fn put(&mut self, piece: Bytes) -> Result<(), Left> {
        self.flush().await?;
        self.held = piece;
        Ok(())
    }

    /// Sends all that is held.
    pub(super) async fn flush(&mut self) -> Result<(), Left> {
        while !self.held.is_empty() {
            let room = self.room().await?;
            let part = self.held.split_to(room.min(self.held.len()));
            self.stream.send_data(part, false).map_err(|_| Left)?;
        }
        Ok(())
    }

    /// Sends so much that the rest can be sent at once.
    pub(super) async fn prepare_end(&mut self) -> Result<(), Left> {
        while !self.held.is_empty() {
            let room = self.room().await?;
            if room >= self.held.len() {
                return Ok(());
            }
            let part = self.held.split_to(room);
            self.stream.send_data(part, false).map_err(|_| Left)?;
        }
        Ok(())
    }

    /// Sends the rest, and that it is the last.
    pub(super) fn end(mut self) {
        // An error is that the client left, which it may at any time.
        let _ = self.stream.send_data(self.held, true);
    }

    /// Sends the rest, then trailers.
    pub(super) fn end_with(mut self, trailers: http::HeaderMap) {
        if !self.held.is_empty() {
            let _ = self.stream.send_data(self.held, false);
        }
        let _ = self.stream.send_trailers(trailers);
    }

    /// Resets the stream.
    pub(super) fn reset(mut self) {
        self.stream.send_reset(h2::Reason::INTERNAL_ERROR);
    }

    /// Waits for this, unless the client resets the stream meanwhile.
    pub(super) async fn unless_left<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Left> {
        tokio::select! {
            biased;
            done = work => Ok(done),
            _ = poll_fn(|cx| self.stream.poll_reset(cx)) => Err(Left),
        }
    }

    /// How many bytes may be sent now, at least one.
    async fn room(&mut self) -> Result<usize, Left> {
        self.stream.reserve_capacity(self.held.len());
        while self.stream.capacity() == 0 {
            match poll_fn(|cx| self.stream.poll_capacity(cx)).await {
                Some(Ok(_)) => {}
                None | Some(Err(_)) => return Err(Left),
            }
        }
        Ok(self.stream.capacity())
    }
}
