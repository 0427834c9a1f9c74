//! `problems`: bodies of the operator's own, in place of the gateway's problem documents.

use std::fmt;
use std::path::PathBuf;

use bytes::Bytes;
use http::{HeaderValue, StatusCode};

use crate::error::Code;

/// Which problems a body is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProblemKey {
    /// `rate_limited`: those with this code.
    Code(Code),
    /// `404`: those with this status.
    Status(StatusCode),
    /// `4xx`, `5xx`: those whose status begins with this digit.
    Class(u16),
}

impl ProblemKey {
    /// Whether it names problems of this code, answered with this status.
    pub fn is_for(self, code: Code, status: StatusCode) -> bool {
        match self {
            Self::Code(own) => own == code,
            Self::Status(own) => own == status,
            Self::Class(digit) => status.as_u16() / 100 == digit,
        }
    }

    /// The most specific come first.
    fn rank(self) -> u8 {
        match self {
            Self::Code(_) => 0,
            Self::Status(_) => 1,
            Self::Class(_) => 2,
        }
    }
}

impl fmt::Display for ProblemKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => f.write_str(code.as_str()),
            Self::Status(status) => f.write_str(status.as_str()),
            Self::Class(digit) => write!(f, "{digit}xx"),
        }
    }
}

/// Bodies with what they are for, the most specific first; one at least.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(Box<[(ProblemKey, ProblemBody)]>);

impl Problems {
    /// These bodies; `None` where there is none.
    pub fn new(mut bodies: Vec<(ProblemKey, ProblemBody)>) -> Option<Self> {
        bodies.sort_by_key(|(key, _)| key.rank());
        (!bodies.is_empty()).then(|| Self(bodies.into()))
    }

    /// The body for a problem: of its code, else of its status, else of its class.
    pub fn find(&self, code: Code, status: StatusCode) -> Option<&ProblemBody> {
        self.0.iter().find(|(key, _)| key.is_for(code, status)).map(|(_, body)| body)
    }

    /// All of them with what they are for, in the order in which they are looked through.
    pub fn bodies(&self) -> impl Iterator<Item = &(ProblemKey, ProblemBody)> {
        self.0.iter()
    }

    /// The files that bodies were read from.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.0.iter().filter_map(|(_, body)| body.file.as_ref())
    }
}

/// A body in place of a problem document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProblemBody {
    /// What it is; `None` where it is empty.
    pub content_type: Option<HeaderValue>,
    /// The file that it was read from.
    pub file: Option<PathBuf>,
    pieces: Box<[Piece]>,
}

/// A piece of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    /// As it was written.
    Text(Bytes),
    /// What stands for something of the occurrence.
    Word(Word),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    RequestId,
    Status,
    Code,
}

/// What stands in a body for something of the occurrence. None of it can hold a character that means something in HTML,
/// JSON or XML: ids are letters, digits and `._~+/=-`, codes and statuses are the gateway's own.
const WORDS: [(&[u8], Word); 3] =
    [(b"{request_id}", Word::RequestId), (b"{status}", Word::Status), (b"{code}", Word::Code)];

impl ProblemBody {
    /// A body as it is written, perhaps in a file.
    pub fn new(content_type: Option<HeaderValue>, written: &Bytes, file: Option<PathBuf>) -> Self {
        Self { content_type, file, pieces: pieces(written).into() }
    }

    /// What a client is told in it.
    pub fn told(&self, code: Code, status: StatusCode, request_id: &[u8]) -> Bytes {
        if let [Piece::Text(whole)] = &*self.pieces {
            return whole.clone();
        }
        let mut out = Vec::new();
        for piece in &self.pieces {
            out.extend_from_slice(match piece {
                Piece::Text(text) => &text[..],
                Piece::Word(Word::RequestId) => request_id,
                Piece::Word(Word::Status) => status.as_str().as_bytes(),
                Piece::Word(Word::Code) => code.as_str().as_bytes(),
            });
        }
        out.into()
    }
}

fn pieces(written: &Bytes) -> Vec<Piece> {
    let (mut pieces, mut from, mut at) = (Vec::new(), 0, 0);
    while at < written.len() {
        let Some((written_so, word)) = WORDS.iter().find(|(word, _)| written[at..].starts_with(word)) else {
            at += 1;
            continue;
        };
        if from < at {
            pieces.push(Piece::Text(written.slice(from..at)));
        }
        pieces.push(Piece::Word(*word));
        at += written_so.len();
        from = at;
    }
    if from < at {
        pieces.push(Piece::Text(written.slice(from..)));
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(text: &'static str) -> ProblemBody {
        ProblemBody::new(None, &Bytes::from_static(text.as_bytes()), None)
    }

    fn told(text: &'static str) -> Bytes {
        body(text).told(Code::RateLimited, StatusCode::TOO_MANY_REQUESTS, b"id-1")
    }

    #[test]
    fn words_stand_for_the_occurrence_and_all_else_stays() {
        for (text, expected) in [
            ("", ""),
            ("plain", "plain"),
            ("{\"id\":\"{request_id}\",\"a\":{}}", "{\"id\":\"id-1\",\"a\":{}}"),
            ("{status}{code}", "429rate_limited"),
            ("{{status}} {Status} {request_id", "{429} {Status} {request_id"),
        ] {
            assert_eq!(told(text), expected, "{text}");
        }
    }

    #[test]
    fn the_code_comes_before_the_status_and_that_before_the_class() {
        let keys = [
            (ProblemKey::Class(4), "class"),
            (ProblemKey::Status(StatusCode::NOT_FOUND), "status"),
            (ProblemKey::Code(Code::ItemNotFound), "code"),
        ];
        let problems = Problems::new(keys.map(|(key, text)| (key, body(text))).into()).unwrap();
        for (code, expected) in [
            (Code::ItemNotFound, Some("code")),
            (Code::RouteNotFound, Some("status")),
            (Code::RateLimited, Some("class")),
            (Code::Internal, None),
        ] {
            let found = problems.find(code, code.status()).map(|body| body.told(code, code.status(), b""));
            assert_eq!(found.as_deref(), expected.map(str::as_bytes), "{code}");
        }
        // A part's own status counts, not that of the code.
        assert!(problems.find(Code::PartFailed, StatusCode::NOT_FOUND).is_some());
        assert!(Problems::new(Vec::new()).is_none());
    }
}
