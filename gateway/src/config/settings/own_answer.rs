//! Routes that the gateway answers itself, and what a route asks of where a request comes from.

use std::sync::Arc;

use http::StatusCode;
use ipnet::IpNet;

use super::route::FixedAnswer;

/// What a route answers without an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnAnswer {
    /// `redirect`. A new path of it is the route's `rewrite`.
    Redirect(Redirect),
    /// `answer`
    Fixed(FixedAnswer),
    /// `handler`: what the program has registered under this name.
    Handler(Arc<str>),
}

/// `redirect`: which parts of the URL change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// 301, 302, 303, 307 or 308.
    pub status: StatusCode,
    /// `true` = https, `false` = http; `None` = as it came.
    pub secure: Option<bool>,
    /// Without a port; `None` = as asked for.
    pub host: Option<Box<str>>,
    /// `None` = the usual one where scheme or host change, else as asked for.
    pub port: Option<u16>,
    /// The query is left out.
    pub strip_query: bool,
}

impl std::fmt::Display for OwnAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Fixed(answer) => answer.fmt(f),
            Self::Handler(name) => write!(f, "handler {name}"),
            Self::Redirect(redirect) => write!(f, "redirect with {}", redirect.status.as_u16()),
        }
    }
}

/// What a route asks of where a request comes from; never empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Origin {
    /// What becomes of a request that came in the clear.
    pub https: Https,
    /// Networks that may use it; empty = any.
    pub allow: Vec<IpNet>,
    /// Networks that may not.
    pub deny: Vec<IpNet>,
}

/// `https`: what becomes of a request that came in the clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Https {
    /// It is served.
    #[default]
    Any,
    /// It is sent to the same URL over TLS.
    Redirect,
    /// It is refused.
    Require,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let list = |nets: &[IpNet]| nets.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let https = match self.https {
            Https::Any => None,
            Https::Redirect => Some("in the clear: sent to https".to_owned()),
            Https::Require => Some("in the clear: refused".to_owned()),
        };
        let allow = (!self.allow.is_empty()).then(|| format!("only {}", list(&self.allow)));
        let deny = (!self.deny.is_empty()).then(|| format!("not {}", list(&self.deny)));
        let parts: Vec<String> = [https, allow, deny].into_iter().flatten().collect();
        f.write_str(&parts.join("; "))
    }
}
