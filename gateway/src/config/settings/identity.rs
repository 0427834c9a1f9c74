//! `[identity]`: the headers that only the gateway may set.

use http::HeaderName;

/// `[identity]`, as far as headers go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityHeaders {
    /// Removed from every client request on every route. The subject, scopes, claim and passport headers are always
    /// among them.
    pub strip: Vec<HeaderPattern>,
    /// Carries the proven subject to the upstream.
    pub subject_header: HeaderName,
    /// Carries the granted scopes to the upstream.
    pub scopes_header: HeaderName,
}

/// A header's name, or every name that begins so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderPattern {
    /// `x-user`
    Exact(HeaderName),
    /// `x-auth-*`; held without the star, in lower case.
    Prefix(String),
}
