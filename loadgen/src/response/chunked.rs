//! The chunked coding of RFC 9112, section 7.1, decoded from pieces of any size.

use super::Malformed;

/// Extensions and trailers longer than this are malformed.
const MAX_LINE_BYTES: u32 = 8 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In the size's digits; whether one came yet.
    Size {
        any: bool,
    },
    /// After the size, before the line's end.
    Extension,
    /// The line feed that ends the size line.
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// At the start of a trailer line, or of the empty line that ends it all.
    TrailerStart,
    Trailer,
    TrailerLf,
    EndLf,
    Done,
}

/// A decoder of one body.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chunked {
    state: State,
    /// Size of the chunk so far, then its bytes left.
    left: u64,
    line_bytes: u32,
}

impl Chunked {
    pub(super) fn new() -> Self {
        Self { state: State::Size { any: false }, left: 0, line_bytes: 0 }
    }

    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Decodes a piece and gives each run of data to `sink`; how many bytes belonged to the body.
    pub(super) fn feed(&mut self, piece: &[u8], mut sink: impl FnMut(&[u8])) -> Result<usize, Malformed> {
        let mut used = 0;
        while used < piece.len() && self.state != State::Done {
            if self.state == State::Data {
                let room = piece.len() - used;
                let taken = usize::try_from(self.left).map_or(room, |left| left.min(room));
                sink(&piece[used..used + taken]);
                used += taken;
                self.left -= taken as u64;
                if self.left == 0 {
                    self.state = State::DataCr;
                }
            } else {
                self.state = self.step(piece[used])?;
                used += 1;
            }
        }
        Ok(used)
    }

    fn step(&mut self, byte: u8) -> Result<State, Malformed> {
        self.line_bytes += 1;
        if self.line_bytes > MAX_LINE_BYTES {
            return Err(Malformed);
        }
        let next = match (self.state, byte) {
            (State::Size { .. }, digit) if digit.is_ascii_hexdigit() => {
                // Seventeen digits would overflow.
                if self.left >> 60 != 0 {
                    return Err(Malformed);
                }
                let value = (digit as char).to_digit(16).unwrap_or(0);
                self.left = self.left << 4 | u64::from(value);
                State::Size { any: true }
            }
            (State::Size { any: true } | State::Extension, b'\r') => State::SizeLf,
            (State::Size { any: true }, b';' | b' ' | b'\t') => State::Extension,
            (State::Extension, other) if other != b'\n' => State::Extension,
            (State::SizeLf, b'\n') if self.left == 0 => self.new_line(State::TrailerStart),
            (State::SizeLf, b'\n') => self.new_line(State::Data),
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => self.new_line(State::Size { any: false }),
            (State::TrailerStart, b'\r') => State::EndLf,
            (State::Trailer, b'\r') => State::TrailerLf,
            (State::TrailerStart | State::Trailer, other) if other != b'\n' => State::Trailer,
            (State::TrailerLf, b'\n') => State::TrailerStart,
            (State::EndLf, b'\n') => State::Done,
            _ => return Err(Malformed),
        };
        Ok(next)
    }

    fn new_line(&mut self, next: State) -> State {
        self.line_bytes = 0;
        next
    }
}
