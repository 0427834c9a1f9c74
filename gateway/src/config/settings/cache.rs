//! `cache` of a route: which answers of its upstream are kept, and for how long.

use std::fmt;
use std::time::Duration;

/// Statuses whose answers are kept where they, or the route, say for how long.
pub const KEPT_STATUSES: [u16; 10] = [200, 203, 204, 300, 301, 302, 307, 308, 404, 410];

/// `cache`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    /// How long an answer holds that does not say so itself; zero = it is not kept.
    pub default_ttl: Duration,
    /// The same by status, in place of `default_ttl`; zero = it is not kept.
    pub status_ttl: Vec<(u16, Duration)>,
    /// The longest time for which an answer is fresh.
    pub max_ttl: Duration,
    /// The largest body that is kept, bytes.
    pub max_body: usize,
    /// How long a stale answer is given while a new one is asked for, where it does not say so itself.
    pub stale_while_revalidate: Duration,
    /// How long a stale answer is given where none can be had, where it does not say so itself.
    pub stale_if_error: Duration,
    /// Answers to one URI that are kept, by what else they hang on; at least 1.
    pub vary_limit: usize,
    /// An answer that says that it is anybody's is given to all subjects.
    pub shared: bool,
    /// What clients say of fresh answers (`no-cache`, `max-age`, `min-fresh`) changes nothing.
    pub ignore_client_directives: bool,
}

impl fmt::Display for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.default_ttl {
            Duration::ZERO => write!(f, "answers that say for how long, for at most {:?}", self.max_ttl)?,
            ttl => write!(f, "answers for as long as they say, others for {ttl:?}; for at most {:?}", self.max_ttl)?,
        }
        for (status, ttl) in &self.status_ttl {
            match *ttl {
                Duration::ZERO => write!(f, "; {status} not without its own word")?,
                ttl => write!(f, "; {status} for {ttl:?}")?,
            }
        }
        write!(f, ", up to {} bytes", self.max_body)?;
        for (what, time) in
            [("while a new one is asked for", self.stale_while_revalidate), ("if none can be had", self.stale_if_error)]
        {
            if !time.is_zero() {
                write!(f, "; {time:?} longer {what}")?;
            }
        }
        if self.shared {
            write!(f, "; public ones for all subjects")?;
        }
        if self.ignore_client_directives {
            write!(f, "; whatever clients say")?;
        }
        Ok(())
    }
}
