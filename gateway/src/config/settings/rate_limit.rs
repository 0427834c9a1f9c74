//! `[rate_limits.NAME]`: how many requests a key may make.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;

/// One `[rate_limits.NAME]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimit {
    /// Its name; buckets are kept by it over reloads.
    pub name: Arc<str>,
    /// What is counted by.
    pub key: LimitKey,
    /// How much; of those whose identity was proven, where `anonymous` says something else.
    pub rate: Rate,
    /// How much where no identity was proven.
    pub anonymous: Option<Rate>,
    /// Tokens that a request takes; at least 1, at most any burst.
    pub cost: u64,
    /// Addresses of one IPv6 network of this prefix count as one; 1 to 128.
    pub ipv6_prefix: u8,
    /// Counts and reports, never refuses.
    pub shadow: bool,
    /// Keys kept at once.
    pub max_keys: usize,
    /// The store that its buckets are in; `None`: this process.
    pub shared: Option<Shared>,
}

/// `in_flight` of a `[rate_limits.NAME]`, or `max_in_flight` of a route: how many requests a key may have at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InFlightLimit {
    /// The name of the limit, or of the route; counts are kept by it over reloads.
    pub name: Arc<str>,
    /// What is counted by.
    pub key: LimitKey,
    /// Requests at once; at least 1.
    pub most: u32,
    /// Addresses of one IPv6 network of this prefix count as one; 1 to 128.
    pub ipv6_prefix: u8,
    /// Counts and reports, never refuses.
    pub shadow: bool,
    /// Keys that have a count of their own at once.
    pub max_keys: usize,
}

impl InFlightLimit {
    /// That of a route: all of its requests together.
    pub fn of_route(name: &Arc<str>, most: u32) -> Self {
        Self { name: Arc::clone(name), key: LimitKey::Route, most, ipv6_prefix: 64, shadow: false, max_keys: 1 }
    }

    /// What is counted by, and the prefix of IPv6 networks that count as one client.
    pub fn counted_by(&self) -> (&LimitKey, u8) {
        (&self.key, self.ipv6_prefix)
    }
}

/// `store`, `mode`, `on_store_failure`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shared {
    /// The name of a store in the same configuration.
    pub store: Arc<str>,
    /// How tokens are taken.
    pub mode: Mode,
    /// What holds while the store is down.
    pub on_failure: OnFailure,
}

/// `mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Each request takes its own.
    Exact,
    /// So many at once, at most.
    Leased(u64),
}

/// `on_store_failure`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// Every request passes.
    Open,
    /// None does.
    Closed,
    /// The rate over the last known number of gateways.
    LocalShare,
}

/// `rate` and `burst`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Tokens that come back in each period; at least 1.
    pub tokens: u64,
    /// The period.
    pub period: Duration,
    /// Tokens that can be there at most; at least 1.
    pub burst: u64,
}

impl std::fmt::Display for Rate {
    /// As a rate is written: `100/s`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let unit = match self.period.as_secs() {
            1 => "s",
            60 => "m",
            _ => "h",
        };
        write!(f, "{}/{unit}", self.tokens)
    }
}

/// `key`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LimitKey {
    /// The client's address, as trusted proxies tell it.
    ClientIp,
    /// Who is asking; the client's address where that was not proven.
    Subject,
    /// All requests of a route.
    Route,
    /// All requests.
    Global,
    /// A header's first value; the client's address where there is none.
    Header(HeaderName),
    /// A claim of the identity; the client's address where there is none.
    Claim(Arc<str>),
    /// What the program has registered under this name says; the client's address where it says nothing.
    Custom(Arc<str>),
}

impl LimitKey {
    /// Whether it hangs on who was proven to ask.
    pub fn needs_identity(&self) -> bool {
        matches!(self, Self::Subject | Self::Claim(_) | Self::Custom(_))
    }
}

impl std::fmt::Display for LimitKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::ClientIp => f.write_str("client_ip"),
            Self::Subject => f.write_str("subject"),
            Self::Route => f.write_str("route"),
            Self::Global => f.write_str("global"),
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Claim(name) => write!(f, "claim:{name}"),
            Self::Custom(name) => write!(f, "custom:{name}"),
        }
    }
}

impl RateLimit {
    /// What is counted by, and the prefix of IPv6 networks that count as one client.
    pub fn counted_by(&self) -> (&LimitKey, u8) {
        (&self.key, self.ipv6_prefix)
    }

    /// Whether it can be decided before anybody's identity is proven.
    pub fn is_identity_free(&self) -> bool {
        !self.key.needs_identity() && self.anonymous.is_none()
    }
}
