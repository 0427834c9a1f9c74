//! `token_from` of a provider: where its tokens may be. Never a query: what is in one is in logs, histories and
//! `Referer` fields (RFC 6750, section 2.3; RFC 9700).

use std::fmt;

use http::{HeaderName, header};

/// A place in which a client may present a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenPlace {
    /// `header`: a bearer token in `Authorization`.
    Bearer,
    /// `header:NAME`: the whole of that field.
    Header(HeaderName),
    /// `cookie:NAME`: the value of that cookie.
    Cookie(Box<str>),
}

impl TokenPlace {
    /// The header that it is in.
    pub fn header(&self) -> &HeaderName {
        match self {
            Self::Bearer => &header::AUTHORIZATION,
            Self::Header(name) => name,
            Self::Cookie(_) => &header::COOKIE,
        }
    }
}

/// As it is written.
impl fmt::Display for TokenPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bearer => f.write_str("header"),
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Cookie(name) => write!(f, "cookie:{name}"),
        }
    }
}
