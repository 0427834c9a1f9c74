//! `request_headers`, `response_headers` of a route: what becomes of a message's fields.

use http::{HeaderName, HeaderValue};

/// Edits of headers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeaderEdits {
    /// Set, replacing what is there.
    pub set: Vec<(HeaderName, EditValue)>,
    /// Added to what is there, each as a line of its own.
    pub add: Vec<(HeaderName, EditValue)>,
    /// Removed.
    pub remove: Vec<HeaderName>,
    /// What `[defaults.route]` edits and this does not, since what is written here stands in its place: for whoever
    /// asks why.
    pub lost: Vec<Box<str>>,
}

impl HeaderEdits {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.add.is_empty() && self.remove.is_empty()
    }

    /// The names of fields that go, and that nothing is written under.
    pub fn names_gone(&self) -> impl Iterator<Item = &HeaderName> {
        let is_written =
            move |name: &HeaderName| self.names_set().chain(self.names_added()).any(|written| written == name);
        self.remove.iter().filter(move |name| !is_written(name))
    }

    /// The names of fields that are set.
    pub fn names_set(&self) -> impl Iterator<Item = &HeaderName> {
        self.set.iter().map(|(name, _)| name)
    }

    /// The names of fields that are added.
    pub fn names_added(&self) -> impl Iterator<Item = &HeaderName> {
        self.add.iter().map(|(name, _)| name)
    }
}

/// What an edit writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EditValue {
    /// Always the same.
    Fixed(HeaderValue),
    /// Made of values of the request.
    Made(Box<[ValuePiece]>),
}

/// A piece of a value that is made for each request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValuePiece {
    /// Copied as it is.
    Literal(Box<str>),
    /// A parameter of the route's path: its place among those.
    Param(usize),
    /// Something that is known of every request.
    Known(KnownValue),
    /// A header of the client's request, as it was let in.
    Header(HeaderName),
}

/// What is known of every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KnownValue {
    /// The client's address, as trusted proxies tell it.
    ClientIp,
    /// `http` or `https`: how the client speaks, as trusted proxies tell it.
    Scheme,
    /// The host that was asked for, without its port.
    Host,
    /// The port that was asked for; the scheme's where none was named.
    Port,
    /// The method.
    Method,
    /// Path and query, as they were received.
    Uri,
    /// The path in its one form, by which the route was found.
    Path,
    /// The request's id.
    RequestId,
}

impl KnownValue {
    /// Every one, in the order in which people are told of them.
    pub const ALL: [Self; 8] =
        [Self::ClientIp, Self::Scheme, Self::Host, Self::Port, Self::Method, Self::Uri, Self::Path, Self::RequestId];

    /// As written between braces.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClientIp => "client_ip",
            Self::Scheme => "scheme",
            Self::Host => "host",
            Self::Port => "port",
            Self::Method => "method",
            Self::Uri => "uri",
            Self::Path => "path",
            Self::RequestId => "request_id",
        }
    }

    /// The one of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == name)
    }
}
