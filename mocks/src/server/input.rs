//! A connection's read buffer.
//!
//! Requests are parsed where they lie. The buffer is larger than a usual head, so a read rarely fills it, which spares
//! the runtime a second read that would find nothing.

use std::io;

use tokio::io::AsyncReadExt;

use super::stream::Stream;
use crate::clock::now_ns;
use crate::http1::head::MAX_HEAD;

/// The size at first: several usual heads, and small enough for ten thousand connections.
const FIRST: usize = 8 * 1024;

/// Bytes read and not yet used: `bytes[start..end]`.
#[derive(Debug)]
pub(crate) struct Input {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// When the byte at `start` was read.
    pub first_byte_ns: u64,
    last_read_ns: u64,
}

impl Input {
    pub(crate) fn new() -> Self {
        Self { bytes: vec![0; FIRST], start: 0, end: 0, first_byte_ns: 0, last_read_ns: 0 }
    }

    /// What was read and is not used.
    #[inline]
    pub(crate) fn unused(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Marks bytes as used. What is left came with the last read, since requests are used as soon as they are whole.
    #[inline]
    pub(crate) fn used(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
        self.first_byte_ns = self.last_read_ns;
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Forgets everything but the first `keep` bytes.
    pub(crate) fn truncate(&mut self, keep: usize) {
        self.end = self.end.min(self.start + keep);
    }

    /// Removes the bytes between `from` and `to`, counted from the first unused byte.
    pub(crate) fn cut(&mut self, from: usize, to: usize) {
        self.bytes.copy_within(self.start + to..self.end, self.start + from);
        self.end -= to - from;
    }

    /// Reads more: the bytes read, 0 at the end of the stream.
    #[inline]
    pub(crate) async fn fill(&mut self, stream: &mut Stream) -> io::Result<usize> {
        if self.end == self.bytes.len() {
            self.make_room();
        }
        let read = stream.read(&mut self.bytes[self.end..]).await?;
        self.last_read_ns = now_ns();
        if self.start == self.end {
            self.first_byte_ns = self.last_read_ns;
        }
        self.end += read;
        Ok(read)
    }

    /// A body that is not whole will need more than a few reads; a larger buffer makes them fewer.
    pub(crate) fn expect_more(&mut self) {
        if self.bytes.len() < MAX_HEAD {
            self.bytes.resize(MAX_HEAD, 0);
        }
    }

    /// Less is kept than a head may have, so the buffer can take more.
    pub(crate) fn has_room(&self) -> bool {
        self.end - self.start < MAX_HEAD
    }

    fn make_room(&mut self) {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        // Heads are refused at their bound, and bodies are used as they come, so twice the bound is never reached.
        if self.end * 2 > self.bytes.len() && self.bytes.len() < 2 * MAX_HEAD {
            self.bytes.resize(self.bytes.len() * 2, 0);
        }
    }

    /// Takes all that is unused.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let unused = self.unused().to_vec();
        self.used(unused.len());
        unused
    }
}
