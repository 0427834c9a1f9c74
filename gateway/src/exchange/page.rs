//! The page that a request comes from, where its route says which may (CORS).

use http::HeaderValue;

/// A web page of another origin that the route lets in.
pub struct Page {
    /// What its browser is told.
    pub allowed: HeaderValue,
    /// It may send cookies and credentials, whichever route takes what it sends.
    pub credentials: bool,
    /// It asks whether it may, and no more: a preflight.
    pub asks: bool,
    /// The methods and the headers that it is granted where several routes may take what it sends: what it asked for.
    /// `None` is the route's own lists.
    pub lists: Option<[String; 2]>,
}
