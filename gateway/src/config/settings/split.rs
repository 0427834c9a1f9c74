//! `split`: several upstreams that share a route's requests by weight.

use std::sync::Arc;

use http::HeaderName;

use super::route::Route;
use crate::algorithms::shares::{self, Shares};

/// The upstreams of a route that has several.
#[derive(Debug, Clone)]
pub struct Split {
    /// What clients are kept by; `None` = chance alone decides.
    pub key: Option<StickyKey>,
    /// Who shares, in the order of the file: at least one, names are unique, and one has a weight above 0.
    pub shares: Vec<Share>,
}

/// An upstream and its share.
#[derive(Debug, Clone)]
pub struct Share {
    /// Its weight, of the sum of all.
    pub weight: u32,
    /// Clients that came to it by their key come to it again.
    pub sticky: bool,
    /// What holds for the requests that it gets: the route with this upstream alone, which no request matches.
    pub route: Arc<Route>,
}

/// `sticky`: what tells clients apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StickyKey {
    /// The client's address, as trusted proxies tell it; of IPv6 its network of 64 bits.
    ClientIp,
    /// Who is asking; the client's address where that was not proven.
    Subject,
    /// A claim of the identity; the client's address where there is none.
    Claim(Arc<str>),
    /// A header's first value; the client's address where there is none.
    Header(HeaderName),
    /// A cookie's value; the client's address where there is none.
    Cookie(Arc<str>),
}

impl StickyKey {
    /// Whether it hangs on who was proven to ask.
    pub fn needs_identity(&self) -> bool {
        matches!(self, Self::Subject | Self::Claim(_))
    }
}

impl std::fmt::Display for StickyKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::ClientIp => f.write_str("client_ip"),
            Self::Subject => f.write_str("subject"),
            Self::Claim(name) => write!(f, "claim:{name}"),
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Cookie(name) => write!(f, "cookie:{name}"),
        }
    }
}

impl Split {
    /// The choice among its upstreams.
    pub fn choice(&self) -> Shares {
        let shares = self.shares.iter();
        let shares: Vec<shares::Share<'_>> = shares
            .map(|share| shares::Share { name: &share.route.upstream, weight: share.weight, keeps: share.sticky })
            .collect();
        Shares::new(&shares)
    }

    /// Each upstream in a line, for people: `canary 5 %, by subject`.
    pub fn described(&self) -> Vec<String> {
        let total: u64 = self.shares.iter().map(|share| u64::from(share.weight)).sum();
        let describe = |share: &Share| {
            let key = self.key.as_ref().filter(|_| share.sticky).map(|key| format!(", by {key}")).unwrap_or_default();
            let percent = percent(share.weight as f64 / total.max(1) as f64);
            format!("{} {percent}{key}", share.route.upstream)
        };
        self.shares.iter().map(describe).collect()
    }
}

/// A share as people write it: `5 %`, `0.25 %`.
pub fn percent(share: f64) -> String {
    let text = format!("{:.4}", share * 100.0);
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{text} %")
}

#[cfg(test)]
mod tests {
    use super::percent;

    #[test]
    fn shares_are_written_without_noughts() {
        let written: Vec<String> = [1.0, 0.05, 0.0025, 0.1, 0.0, 1.0 / 3.0].into_iter().map(percent).collect();
        assert_eq!(written, ["100 %", "5 %", "0.25 %", "10 %", "0 %", "33.3333 %"]);
    }
}
