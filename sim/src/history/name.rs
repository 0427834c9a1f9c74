//! Names that many values share, and the name of an endpoint.

use std::fmt;
use std::sync::Arc;

/// A name of an upstream, a rule, a key or a request: cheap to copy.
pub type Name = Arc<str>;

/// An endpoint as scenarios name it: `orders/1` is the second one of the upstream `orders`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// The upstream's name.
    pub upstream: Name,
    /// The place in it, from 0.
    pub index: usize,
}

impl Endpoint {
    /// The endpoint at this place of an upstream.
    pub fn new(upstream: impl Into<Name>, index: usize) -> Self {
        Self { upstream: upstream.into(), index }
    }

    /// Reads `orders/1`.
    pub fn parse(text: &str) -> Option<Self> {
        let (upstream, index) = text.rsplit_once('/')?;
        let digits = !index.is_empty() && index.bytes().all(|byte| byte.is_ascii_digit());
        (digits && !upstream.is_empty()).then_some(())?;
        Some(Self::new(upstream, index.parse().ok()?))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.upstream, self.index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for name in ["orders/1", "a/b/20"] {
            assert_eq!(Endpoint::parse(name).unwrap().to_string(), name);
        }
        for wrong in ["orders", "orders/", "/1", "orders/+1", "orders/x", "orders/99999999999999999999999"] {
            assert_eq!(Endpoint::parse(wrong), None, "{wrong}");
        }
    }
}
