//! `mirror`: a copy of some requests to another upstream.

use std::sync::Arc;

use http::{HeaderName, Method};

use super::route::Route;
use super::split::percent;

/// What tells the upstream that a request is a copy. The host stays as it was: what is appended to it, as Envoy does,
/// leads to other virtual hosts, other certificates and other routes.
pub static MARK: HeaderName = HeaderName::from_static("x-shadow-request");

/// Copies of a route's requests.
#[derive(Debug, Clone)]
pub struct Mirror {
    /// The share of requests that is copied; above 0, at most 1.
    pub fraction: f64,
    /// Methods that are copied; empty = all that the route takes.
    pub methods: Box<[Method]>,
    /// The largest body that is copied, bytes.
    pub max_body: usize,
    /// What holds for copies: the route with this upstream, which no request matches, and without what is the
    /// client's or the first upstream's.
    pub route: Arc<Route>,
}

impl std::fmt::Display for Mirror {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of ", percent(self.fraction))?;
        if self.methods.is_empty() {
            f.write_str("all requests")?;
        } else {
            let names: Vec<&str> = self.methods.iter().map(Method::as_str).collect();
            f.write_str(&names.join(", "))?;
        }
        write!(f, " to {}, with bodies up to {} bytes", self.route.upstream, self.max_body)
    }
}
