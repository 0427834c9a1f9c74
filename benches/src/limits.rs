//! A rate limit's check beside that of the crate `governor`: a keyed hash of the client's address, the key's bucket,
//! the decision. Both are told the time.

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use ahash::RandomState;
use gateway::algorithms::gcra::Quota;
use gateway::rate_limit::{Cells, Key};
use governor::clock::FakeRelativeClock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota as Theirs, RateLimiter};

/// Keys that are known.
pub const KEYS: u32 = 100_000;

fn address(number: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + number.wrapping_mul(2_654_435_761) % KEYS))
}

/// The gateway's.
pub struct Ours {
    hasher: RandomState,
    cells: Cells,
    quota: Quota,
}

impl Ours {
    /// Buckets of all keys, each with some tokens taken.
    pub fn new() -> Self {
        let ours = Self {
            hasher: RandomState::with_seeds(1, 2, 3, 4),
            cells: Cells::new(1_000_000),
            quota: Quota::new(1, Duration::from_secs(3600), 1_000, 1),
        };
        assert!((0..KEYS).all(|number| ours.check(number)), "there are tokens");
        ours
    }

    /// Takes a token of a key.
    #[inline]
    pub fn check(&self, number: u32) -> bool {
        let hash = Key::Address(address(number)).hash_with(&self.hasher);
        self.cells.take(hash, 1_000_000, &self.quota).is_ok()
    }
}

impl Default for Ours {
    fn default() -> Self {
        Self::new()
    }
}

/// `governor`'s keyed limiter, as it comes.
pub struct Governor(Limiter);

type Limiter = RateLimiter<IpAddr, DashMapStateStore<IpAddr>, FakeRelativeClock, NoOpMiddleware<Nanos>>;

impl Governor {
    /// The same buckets.
    pub fn new() -> Self {
        let quota = Theirs::per_hour(NonZeroU32::MIN).allow_burst(NonZeroU32::new(1_000).unwrap_or(NonZeroU32::MIN));
        let theirs = Self(RateLimiter::dashmap_with_clock(quota, FakeRelativeClock::default()));
        assert!((0..KEYS).all(|number| theirs.check(number)), "there are tokens");
        theirs
    }

    /// Takes a token of a key.
    #[inline]
    pub fn check(&self, number: u32) -> bool {
        self.0.check_key(&address(number)).is_ok()
    }
}

impl Default for Governor {
    fn default() -> Self {
        Self::new()
    }
}
