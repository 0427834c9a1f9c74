//! `cors`: which web pages of other origins may use a route.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};

/// `cors`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cors {
    /// Who may call; `None` is every origin.
    pub origins: Option<Vec<HeaderValue>>,
    /// With which methods; `None` is any.
    pub methods: Option<Vec<Method>>,
    /// With which headers, beside those that every page may send; `*` is any.
    pub headers: Vec<HeaderName>,
    /// With cookies and credentials; never together with every origin.
    pub credentials: bool,
    /// How long a browser may keep the answer to a preflight.
    pub max_age: Duration,
}

const EVERY: HeaderValue = HeaderValue::from_static("*");

impl Cors {
    /// What a page of this origin is answered as `access-control-allow-origin`; `None` where it may not call. The
    /// comparison is of bytes: browsers write an origin in one way (RFC 6454, section 6.2).
    pub fn allows(&self, origin: &HeaderValue) -> Option<HeaderValue> {
        match &self.origins {
            None => Some(EVERY),
            Some(origins) => origins.iter().find(|known| *known == origin).cloned(),
        }
    }

    /// Whether answers differ by who asks, so that caches have to tell them apart.
    pub fn varies(&self) -> bool {
        self.origins.is_some()
    }

    /// `access-control-allow-methods`
    pub fn methods_text(&self) -> String {
        match &self.methods {
            None => "*".to_owned(),
            Some(methods) => list(methods.iter().map(Method::as_str)),
        }
    }

    /// `access-control-allow-headers`; empty where there is none.
    pub fn headers_text(&self) -> String {
        list(self.headers.iter().map(HeaderName::as_str))
    }
}

fn list<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.collect::<Vec<_>>().join(", ")
}

impl std::fmt::Display for Cors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.origins {
            None => write!(f, "every origin")?,
            Some(origins) => write!(f, "{}", list(origins.iter().filter_map(|origin| origin.to_str().ok())))?,
        }
        let headers = if self.headers.is_empty() { "no further headers".to_owned() } else { self.headers_text() };
        let credentials = if self.credentials { "with" } else { "without" };
        write!(f, "; {}; {headers}; {credentials} credentials; kept {:?}", self.methods_text(), self.max_age)
    }
}
