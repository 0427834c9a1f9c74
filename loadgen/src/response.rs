//! Reads one HTTP/1.1 answer from pieces of any size, to the end of its body.
//!
//! Bodies are counted, not kept: a megabyte costs no copy. Strict where it matters to a measurement: an answer is done
//! only when its framing says so, and both framings at once, a second length or a bad chunk is malformed.

mod chunked;
mod refusal;

use std::sync::Arc;

use crate::request::{ExpectedHeader, header};
use chunked::Chunked;
pub use refusal::{Refusal, finer_wait_ns, request_id_of};

/// More than any server here sends; beyond it the answer is malformed.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// As many headers as the gateway itself accepts from an upstream, and some more for what it adds.
const MAX_HEADERS: usize = 128;

/// What is known of an answer after its head.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Head {
    /// The status.
    pub status: u16,
    /// Whether the connection may carry another request after this answer.
    pub keep_alive: bool,
    /// `x-mock-residence-ns`, when present and a number.
    pub residence_ns: Option<u64>,
    /// `x-mock-endpoint`, when present and a port.
    pub endpoint: Option<u16>,
    /// What it says where it refuses: complete when the answer is.
    pub refusal: Option<Refusal>,
    /// What it says as the answer to a gRPC call; over HTTP/2 alone.
    pub call: Call,
    /// It lacks a header that was expected, or has one that was not to be there.
    pub wrong_header: bool,
}

impl Head {
    /// Whether a mock gave this answer, and not who stands before it: mocks say so, others do not.
    #[must_use]
    pub const fn is_of_mock(&self) -> bool {
        self.endpoint.is_some() || self.residence_ns.is_some()
    }
}

/// How a gRPC call ended, which its answer says beside the HTTP status: in its trailers, or in its head when it has
/// nothing else to say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Call {
    /// It is no answer to a call.
    #[default]
    No,
    /// It is one, and has not told its status.
    Untold,
    /// `grpc-status`.
    Ended(u32),
}

impl Call {
    /// What `unavailable` and `resource exhausted` are called: someone refused to do the work.
    const REFUSED: [u32; 2] = [8, 14];

    /// Whether someone refused to do the work.
    #[must_use]
    pub fn is_refused(self) -> bool {
        matches!(self, Self::Ended(status) if Self::REFUSED.contains(&status))
    }

    /// Whether it is a call that ended otherwise than well, or did not tell.
    #[must_use]
    pub fn is_failed(self) -> bool {
        !matches!(self, Self::No | Self::Ended(0))
    }
}

/// Where reading stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The answer goes on; every byte was used.
    More,
    /// The answer is whole; this many bytes of the piece belonged to it.
    Done(usize),
}

/// The bytes are no HTTP/1.1 answer, or one with ambiguous framing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the answer is not well formed")]
pub struct Malformed;

#[derive(Debug, Clone, Copy)]
enum State {
    Head,
    Length(u64),
    Chunked(Chunked),
    ToClose,
    Done,
}

/// Reader of one answer at a time; [`ResponseReader::reset`] makes it ready for the next.
#[derive(Debug)]
pub struct ResponseReader {
    state: State,
    is_head_request: bool,
    /// The headers that the answer is held against.
    expected: Option<Arc<[ExpectedHeader]>>,
    /// A head that came in more than one piece; empty otherwise.
    partial: Vec<u8>,
    head: Head,
    body_bytes: u64,
    /// Whether to keep body bytes, and those kept.
    kept: Option<Vec<u8>>,
    /// What is looked at of the body of a refusal.
    problem: Vec<u8>,
}

impl ResponseReader {
    /// A reader that counts body bytes and keeps none.
    #[must_use]
    pub fn new() -> Self {
        let (state, head) = (State::Head, Head::default());
        Self {
            state,
            is_head_request: false,
            expected: None,
            partial: Vec::new(),
            head,
            body_bytes: 0,
            kept: None,
            problem: Vec::new(),
        }
    }

    /// A reader that keeps the body, for callers that want to read it.
    #[must_use]
    pub fn keeping() -> Self {
        Self { kept: Some(Vec::new()), ..Self::new() }
    }

    /// Makes ready for the next answer; `is_head_request` says that its request was a HEAD, so that it has no body.
    /// Of its headers nothing is expected.
    pub fn reset(&mut self, is_head_request: bool) {
        self.state = State::Head;
        self.is_head_request = is_head_request;
        self.expected = None;
        self.partial.clear();
        self.problem.clear();
        self.head = Head::default();
        self.body_bytes = 0;
        if let Some(kept) = &mut self.kept {
            kept.clear();
        }
    }

    /// Holds the next answer against these headers, after a reset.
    pub fn expect(&mut self, headers: Option<Arc<[ExpectedHeader]>>) {
        self.expected = headers;
    }

    /// The head, once [`ResponseReader::has_head`].
    #[must_use]
    pub fn head(&self) -> Head {
        self.head
    }

    /// Whether the (final) head was read.
    #[must_use]
    pub fn has_head(&self) -> bool {
        !matches!(self.state, State::Head)
    }

    /// Body bytes read so far.
    #[must_use]
    pub fn body_bytes(&self) -> u64 {
        self.body_bytes
    }

    /// The body kept so far; empty unless made by [`ResponseReader::keeping`].
    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.kept.as_deref().unwrap_or_default()
    }

    /// Reads a piece.
    ///
    /// # Errors
    /// [`Malformed`] when the bytes are no answer; the connection cannot be used any more.
    pub fn feed(&mut self, piece: &[u8]) -> Result<Progress, Malformed> {
        let mut used = 0;
        loop {
            let rest = &piece[used..];
            match self.state {
                State::Head => match self.feed_head(rest)? {
                    Some(taken) => used += taken,
                    None => return Ok(Progress::More),
                },
                State::Length(left) => {
                    let taken = usize::try_from(left).map_or(rest.len(), |left| left.min(rest.len()));
                    self.count_body(&rest[..taken]);
                    let left = left - taken as u64;
                    self.state = if left == 0 { State::Done } else { State::Length(left) };
                    used += taken;
                    if left > 0 {
                        return Ok(Progress::More);
                    }
                }
                State::Chunked(mut chunked) => {
                    let (body_bytes, kept, problem) = (&mut self.body_bytes, &mut self.kept, &mut self.problem);
                    let refuses = self.head.refusal.is_some();
                    let taken = chunked.feed(rest, |data| {
                        *body_bytes += data.len() as u64;
                        if let Some(kept) = kept {
                            kept.extend_from_slice(data);
                        }
                        if refuses {
                            Refusal::keep(problem, data);
                        }
                    })?;
                    used += taken;
                    self.state = if chunked.is_done() { State::Done } else { State::Chunked(chunked) };
                    if !chunked.is_done() {
                        return Ok(Progress::More);
                    }
                }
                State::ToClose => {
                    self.count_body(rest);
                    return Ok(Progress::More);
                }
                State::Done => {
                    self.finish();
                    return Ok(Progress::Done(used));
                }
            }
        }
    }

    /// The peer closed the connection: whether that completes the answer (a body without framing of its own).
    #[must_use]
    pub fn closed(&mut self) -> bool {
        let complete = matches!(self.state, State::ToClose);
        if complete {
            self.state = State::Done;
            self.finish();
        }
        complete
    }

    fn count_body(&mut self, data: &[u8]) {
        self.body_bytes += data.len() as u64;
        if let Some(kept) = &mut self.kept {
            kept.extend_from_slice(data);
        }
        if self.head.refusal.is_some() {
            Refusal::keep(&mut self.problem, data);
        }
    }

    /// The answer is whole.
    fn finish(&mut self) {
        self.head.refusal = self.head.refusal.and_then(|refusal| refusal.with(&self.problem));
    }

    /// Reads a head; how many bytes of `piece` it took, or `None` when it goes on.
    fn feed_head(&mut self, piece: &[u8]) -> Result<Option<usize>, Malformed> {
        if self.partial.is_empty() {
            let Some((state, head, taken)) = self.parse_head(piece)? else {
                self.partial.extend_from_slice(piece);
                return if self.partial.len() > MAX_HEAD_BYTES { Err(Malformed) } else { Ok(None) };
            };
            (self.state, self.head) = (state, head);
            return Ok(Some(taken));
        }
        let before = self.partial.len();
        self.partial.extend_from_slice(piece);
        let Some((state, head, taken)) = self.parse_head(&self.partial)? else {
            return if self.partial.len() > MAX_HEAD_BYTES { Err(Malformed) } else { Ok(None) };
        };
        self.partial.clear();
        (self.state, self.head) = (state, head);
        // The head was not whole before, so it ends inside this piece.
        taken.checked_sub(before).map(Some).ok_or(Malformed)
    }

    fn parse_head(&self, bytes: &[u8]) -> Result<Option<(State, Head, usize)>, Malformed> {
        parse_head(bytes, self.is_head_request, self.expected.as_deref())
    }
}

impl Default for ResponseReader {
    fn default() -> Self {
        Self::new()
    }
}

/// Parses a head: the state that follows, what it says, and its length; `None` when it is not whole.
fn parse_head(
    bytes: &[u8],
    is_head_request: bool,
    expected: Option<&[ExpectedHeader]>,
) -> Result<Option<(State, Head, usize)>, Malformed> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(length) = response.parse(bytes).map_err(|_| Malformed)? else {
        return Ok(None);
    };
    let status = response.code.ok_or(Malformed)?;
    if (100..200).contains(&status) && status != 101 {
        // An interim answer: the final one follows.
        return Ok(Some((State::Head, Head::default(), length)));
    }
    let mut head = Head { status, keep_alive: response.version == Some(1), ..Head::default() };
    let mut content_length = None;
    let mut chunked = false;
    let (mut request_id, mut retry_after) = (None, None);
    for header in response.headers.iter() {
        // Names are told apart by length first: most headers cost one comparison.
        match header.name.len() {
            14 if header.name.eq_ignore_ascii_case("content-length") => {
                let length = parse_number(header.value).ok_or(Malformed)?;
                if content_length.replace(length).is_some_and(|known| known != length) {
                    return Err(Malformed);
                }
            }
            17 if header.name.eq_ignore_ascii_case("transfer-encoding") => {
                if chunked || !header.value.trim_ascii().eq_ignore_ascii_case(b"chunked") {
                    return Err(Malformed);
                }
                chunked = true;
            }
            10 if header.name.eq_ignore_ascii_case("connection") => {
                let mut words = header.value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
                if words.any(|word| word.eq_ignore_ascii_case(b"close")) {
                    head.keep_alive = false;
                }
            }
            12 if status == 429 && header.name.eq_ignore_ascii_case("x-request-id") => request_id = Some(header.value),
            11 if status == 429 && header.name.eq_ignore_ascii_case("retry-after") => retry_after = Some(header.value),
            15 if header.name.eq_ignore_ascii_case("x-mock-endpoint") => {
                head.endpoint = parse_number(header.value).and_then(|port| u16::try_from(port).ok());
            }
            19 if header.name.eq_ignore_ascii_case("x-mock-residence-ns") => {
                head.residence_ns = parse_number(header.value);
            }
            _ => {}
        }
    }
    head.refusal = Refusal::of(status, request_id, retry_after);
    if let Some(expected) = expected {
        let lines = || response.headers.iter().map(|header| (header.name, header.value));
        head.wrong_header = header::lacks(expected, head.is_of_mock(), lines);
    }
    let state = match (chunked, content_length) {
        _ if is_head_request || matches!(status, 204 | 304) => State::Done,
        (true, Some(_)) => return Err(Malformed),
        (true, None) => State::Chunked(Chunked::new()),
        (false, Some(0)) => State::Done,
        (false, Some(length)) => State::Length(length),
        (false, None) => {
            head.keep_alive = false;
            State::ToClose
        }
    };
    Ok(Some((state, head, length)))
}

fn parse_number(value: &[u8]) -> Option<u64> {
    let digits = value.trim_ascii();
    // 19 digits always fit 64 bits.
    if digits.is_empty() || digits.len() > 19 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests;
