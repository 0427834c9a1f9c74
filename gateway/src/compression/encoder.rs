//! The encoders: bytes go in, fewer come out, now or later.
//!
//! gzip is flate2 on zlib-rs, which is Rust; zstd is the reference library. An encoder takes hundreds of kilobytes that
//! would be cleared for each answer, so that each thread keeps a few for its next ones.

use std::cell::RefCell;

use flate2::{Compress, Compression, FlushCompress, Status};
use zstd::stream::raw::{CParameter, InBuffer, Operation, OutBuffer};

use crate::config::settings::compress::{Coding, Effort};

/// The room that is made at once for what comes out, bytes.
const ROOM: usize = 8 * 1024;
/// How many encoders a thread keeps for its next answers.
const KEPT: usize = 4;
/// gzip's largest window, 32 KiB.
const GZIP_WINDOW: u8 = 15;
/// zstd's window here, 256 KiB: what more would bring is little with answers as they are, and it is held by every
/// answer under way, here and at its client.
const ZSTD_WINDOW_LOG: u32 = 18;

thread_local! {
    static SPARE: RefCell<Vec<Encoder>> = const { RefCell::new(Vec::new()) };
}

/// An encoder would not go on. None does so with what can be asked of it here, but for want of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failed;

/// One answer's encoder.
pub struct Encoder {
    coding: Coding,
    effort: Effort,
    state: State,
}

enum State {
    Gzip(Compress),
    Zstd(zstd::stream::raw::Encoder<'static>),
}

impl Encoder {
    /// The most that one takes of memory, bytes. Of gzip: window, chains, heads and pending output of zlib's form; of
    /// zstd: as the library tells it of itself, rounded up.
    pub fn memory(coding: Coding, effort: Effort) -> usize {
        match (coding, effort) {
            (Coding::Gzip, _) => 384 << 10,
            (Coding::Zstd, Effort::Low) => 1152 << 10,
            (Coding::Zstd, Effort::Normal) => 1856 << 10,
            (Coding::Zstd, Effort::High) => 3712 << 10,
        }
    }

    /// One that is ready: a spare one of this thread, or a new one. `length` is what will go in, where that is known.
    ///
    /// # Errors
    /// There is no memory for it.
    pub fn lend(coding: Coding, effort: Effort, length: Option<u64>) -> Result<Box<Self>, Failed> {
        let spare = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            let at = spare.iter().rposition(|one| (one.coding, one.effort) == (coding, effort))?;
            Some(spare.swap_remove(at))
        });
        let mut encoder = match spare.ok().flatten() {
            Some(encoder) => Box::new(encoder),
            None => Box::new(Self { coding, effort, state: State::new(coding, effort)? }),
        };
        encoder.state.begin(length)?;
        Ok(encoder)
    }

    /// Keeps one for another answer, wherever it stopped.
    pub fn give_back(self: Box<Self>) {
        // A thread that ends has none any more.
        let _ = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < KEPT {
                spare.push(*self);
            }
        });
    }

    /// Takes bytes; what is ready comes out.
    ///
    /// # Errors
    /// It will not go on.
    pub fn write(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), Failed> {
        match &mut self.state {
            State::Gzip(gzip) => deflate(gzip, input, out, FlushCompress::None),
            State::Zstd(zstd) => {
                let mut input = InBuffer::around(input);
                while input.pos() < input.src.len() {
                    let before = (input.pos(), out.len());
                    zstd_step(out, |out| zstd.run(&mut input, out))?;
                    if (input.pos(), out.len()) == before {
                        return Err(Failed);
                    }
                }
                Ok(())
            }
        }
    }

    /// All that went in comes out, so that whoever reads it has it; a little is lost of what could be saved.
    ///
    /// # Errors
    /// It will not go on.
    pub fn flush(&mut self, out: &mut Vec<u8>) -> Result<(), Failed> {
        match &mut self.state {
            State::Gzip(gzip) => deflate(gzip, &[], out, FlushCompress::Sync),
            State::Zstd(zstd) => zstd_until_empty(out, |out| zstd.flush(out)),
        }
    }

    /// The end: the rest comes out. No more may go in.
    ///
    /// # Errors
    /// It will not go on.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Failed> {
        match &mut self.state {
            State::Gzip(gzip) => deflate(gzip, &[], out, FlushCompress::Finish),
            State::Zstd(zstd) => zstd_until_empty(out, |out| zstd.finish(out, false)),
        }
    }
}

impl State {
    fn new(coding: Coding, effort: Effort) -> Result<Self, Failed> {
        match coding {
            Coding::Gzip => {
                let level = match effort {
                    // Level 1 makes noise larger by a twentieth.
                    Effort::Low => 2,
                    Effort::Normal => 5,
                    Effort::High => 8,
                };
                Ok(Self::Gzip(Compress::new_gzip(Compression::new(level), GZIP_WINDOW)))
            }
            Coding::Zstd => {
                let mut zstd = zstd::stream::raw::Encoder::new(zstd_level(effort)).map_err(|_| Failed)?;
                zstd.set_parameter(CParameter::WindowLog(ZSTD_WINDOW_LOG)).map_err(|_| Failed)?;
                Ok(Self::Zstd(zstd))
            }
        }
    }

    fn begin(&mut self, length: Option<u64>) -> Result<(), Failed> {
        match self {
            Self::Gzip(gzip) => gzip.reset(),
            Self::Zstd(zstd) => {
                zstd.reinit().map_err(|_| Failed)?;
                zstd.set_pledged_src_size(length).map_err(|_| Failed)?;
            }
        }
        Ok(())
    }
}

/// Until all of it is in and, where something is to come out, out.
fn deflate(gzip: &mut Compress, mut input: &[u8], out: &mut Vec<u8>, flush: FlushCompress) -> Result<(), Failed> {
    loop {
        out.reserve(ROOM);
        let before = (gzip.total_in(), out.len());
        let status = gzip.compress_vec(input, out, flush).map_err(|_| Failed)?;
        let taken = usize::try_from(gzip.total_in() - before.0).map_err(|_| Failed)?;
        input = input.get(taken..).ok_or(Failed)?;
        let is_done = match flush {
            FlushCompress::Finish => status == Status::StreamEnd,
            // Where room is left, nothing more wanted out.
            _ => input.is_empty() && out.len() < out.capacity(),
        };
        if is_done {
            return Ok(());
        }
        if taken == 0 && out.len() == before.1 {
            return Err(Failed);
        }
    }
}

fn zstd_level(effort: Effort) -> i32 {
    match effort {
        Effort::Low => 1,
        Effort::Normal => 3,
        Effort::High => 6,
    }
}

fn zstd_step(
    out: &mut Vec<u8>,
    step: impl FnOnce(&mut OutBuffer<'_, Vec<u8>>) -> std::io::Result<usize>,
) -> Result<usize, Failed> {
    out.reserve(ROOM);
    let at = out.len();
    step(&mut OutBuffer::around_pos(out, at)).map_err(|_| Failed)
}

/// Until the library says that it holds nothing back.
fn zstd_until_empty(
    out: &mut Vec<u8>,
    mut step: impl FnMut(&mut OutBuffer<'_, Vec<u8>>) -> std::io::Result<usize>,
) -> Result<(), Failed> {
    loop {
        let before = out.len();
        if zstd_step(out, &mut step)? == 0 {
            return Ok(());
        }
        if out.len() == before {
            return Err(Failed);
        }
    }
}

#[cfg(test)]
mod tests;
