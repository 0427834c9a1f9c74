//! What to send: request templates, compiled once, and a seeded choice among them by weight.
//!
//! Paths, header values and bodies may hold placeholders (`{zipf(1000)}`, `{uuid}`; see [`Template`]). What they become
//! depends on the seed and the request's number alone: the same seed gives the same requests, whatever the answers do.

mod compiled;
mod draws;
pub mod header;
mod mix;
mod pattern;
mod text;
mod token;

use std::collections::BTreeSet;

use crate::target::Target;
pub(crate) use compiled::Prepared;
pub use header::ExpectedHeader;
pub use mix::{Mix, Protocol};
pub use pattern::PatternError;
pub use text::{Dice, Text};
pub use token::{KeyError, TokenKey, TokenSettings};

/// A request to send many times.
///
/// The target's path, header values and the body may hold placeholders:
///
/// | placeholder | becomes |
/// |---|---|
/// | `{zipf(1000)}` | a number from 1 to 1000, the k-th as often as 1/k; `{zipf(1000, 1.2)}` as 1/k^1.2 |
/// | `{int(1, 6)}` | a number of the range, each as often as any other |
/// | `{choice(a, b)}` | one of the texts, which may hold placeholders themselves |
/// | `{seq}` | the request's number in the run, from 0 |
/// | `{uuid}` | a random UUID (version 4) |
/// | `{token(subject=user-{zipf(100)})}` | a signed token with these claims; `key=NAME` says which key signs |
/// | `{value(session)}` | in journeys alone: what the user was given at its start, or took from an earlier answer |
///
/// A brace that no letter follows stands for itself, as in JSON; `{{` before a letter is one brace.
#[derive(Debug, Clone)]
pub struct Template {
    /// Its name in results.
    pub name: String,
    /// Where it goes.
    pub target: Target,
    /// The method (a token, upper case by custom).
    pub method: String,
    /// More headers, in order. `host` and `content-length` are written for you; a `host` given here replaces ours.
    pub headers: Vec<(String, String)>,
    /// The body; empty means none. Placeholders count only where all of it is UTF-8.
    pub body: Vec<u8>,
    /// Its share of a mix, relative to the others'; zero is never sent.
    pub weight: u32,
    /// What answer it expects.
    pub expect: Expectation,
}

/// The answer that a request expects; anything else is counted as an outcome of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expectation {
    /// The statuses that are right; empty means 200 to 399.
    pub statuses: Vec<u16>,
    /// The exact length of the body, where it is known.
    pub body_bytes: Option<u64>,
    /// Headers of each answer whose status is right.
    pub headers: Vec<ExpectedHeader>,
}

impl Expectation {
    /// Whether a status is one of those expected.
    #[must_use]
    pub fn accepts_status(&self, status: u16) -> bool {
        if self.statuses.is_empty() { (200..400).contains(&status) } else { self.statuses.contains(&status) }
    }
}

/// Why a template cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// Characters that HTTP does not allow there.
    #[error("request `{name}`: {what} `{text}` holds characters that HTTP does not allow there")]
    Characters {
        /// The template's name.
        name: String,
        /// Which part.
        what: &'static str,
        /// The part.
        text: String,
    },
    /// A placeholder that cannot be read.
    #[error("request `{name}`: {what}: {error}")]
    Pattern {
        /// The template's name.
        name: String,
        /// Which part.
        what: &'static str,
        /// What is wrong, and where.
        error: PatternError,
    },
    /// A value that only the user of a journey has.
    #[error("request `{name}`: {what}: {{value({value})}} is for journeys, whose users have values")]
    Value {
        /// The template's name.
        name: String,
        /// Which part.
        what: &'static str,
        /// The value's name.
        value: String,
    },
    /// Tokens that cannot be minted.
    #[error("request `{name}`: {error}")]
    Token {
        /// The template's name.
        name: String,
        /// What is wrong.
        error: KeyError,
    },
    /// Nothing to choose from.
    #[error("a mix needs at least one request with a weight above zero")]
    Empty,
}

impl Template {
    /// A `GET` of the target, weight one, expecting any 2xx or 3xx.
    #[must_use]
    pub fn get(name: &str, target: Target) -> Self {
        let expect = Expectation::default();
        let (name, method) = (name.to_owned(), "GET".to_owned());
        Self { name, target, method, headers: Vec::new(), body: Vec::new(), weight: 1, expect }
    }

    /// Which keys its tokens are signed with, by their names in `{token(key=NAME, ...)}`; `None` is the run's own.
    /// Empty when it holds no tokens.
    ///
    /// # Errors
    /// As [`Template::encode`], tokens aside.
    pub fn token_keys(&self) -> Result<BTreeSet<Option<String>>, TemplateError> {
        compiled::token_keys(self)
    }

    /// The bytes on the wire of the first request that it makes.
    ///
    /// # Errors
    /// When a part holds characters that would end it early (a space in the path, a line break in a header), or
    /// placeholders that cannot be read, or tokens.
    pub fn encode(&self) -> Result<Vec<u8>, TemplateError> {
        let prepared = Prepared::compile(self, 0, None)?;
        let (mut body, mut bytes) = (Vec::new(), Vec::new());
        prepared.render(0, 0, &mut body, &mut bytes);
        Ok(prepared.fixed().map_or(bytes, <[u8]>::to_vec))
    }
}

/// `token` of RFC 9110, section 5.6.2.
pub(crate) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests;
