//! What one request has to do with the cache: how it came by its answer, and what may become of the answer.

use std::fmt::Write as _;
use std::sync::Arc;

use super::asked::Asked;
use super::filling::Filling;
use super::key::Key;
use super::lease::Lease;
use super::route::RouteCache;
use super::store::{Place, Stamp, Stored};
use crate::exchange::Exchange;
use crate::network::Network;
use crate::request_fields::RequestFields;
use crate::telemetry::metrics::CacheUse;

/// One request's.
#[derive(Debug, Default)]
pub struct Caching {
    /// How it came by its answer.
    pub(super) came_by: Option<CacheUse>,
    /// The age that its client is told, seconds.
    pub(super) age: Option<u32>,
    /// What its client is told of the cache.
    pub(super) told: Told,
    /// What is needed when the upstream has answered.
    pub(super) asking: Option<Box<Asking>>,
    /// The answer as it is copied.
    pub(super) filling: Option<Box<Filling>>,
}

/// `Cache-Status` (RFC 9211).
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Told {
    /// Why the upstream was asked; `None`: it was not.
    pub(super) forward: Option<&'static str>,
    /// What it answered, where something else is given.
    pub(super) status: Option<u16>,
    /// For how long the answer is fresh, seconds.
    pub(super) ttl: Option<i64>,
    /// It is kept, if it comes whole.
    pub(super) stored: bool,
    /// Why it is not, or what else there is to say.
    pub(super) detail: Option<&'static str>,
}

/// A request that the upstream is asked for.
#[derive(Debug)]
pub(super) struct Asking {
    pub(super) route: Arc<RouteCache>,
    pub(super) key: Key,
    pub(super) place: Place,
    /// As it was before the upstream was asked.
    pub(super) stamp: Stamp,
    pub(super) asked: Asked,
    /// The request's headers as they came here.
    pub(super) headers: RequestFields,
    /// What is kept for it, and may not be given as it is.
    pub(super) kept: Option<Arc<Stored>>,
    /// The upstream is asked whether that still holds.
    pub(super) confirms: bool,
    pub(super) lease: Option<Lease>,
}

impl Asking {
    /// Others who wait are told that nothing comes for them.
    pub(super) fn is_in_vain(&mut self, now_ms: u64) {
        if let Some(lease) = self.lease.take() {
            lease.ends(false, now_ms);
        }
    }
}

impl Caching {
    /// How its request came by its answer.
    pub fn came_by(&self) -> Option<CacheUse> {
        self.came_by
    }

    /// The answer's age, where it was kept; and what the client is told of the cache, where the request is for one.
    pub fn fields(&self) -> (Option<u32>, Option<String>) {
        (self.age, self.came_by.map(|_| self.told.text()))
    }
}

impl Told {
    fn text(&self) -> String {
        let mut text = String::with_capacity(64);
        text.push_str("portcullis; ");
        // Writing to a string does not fail.
        let _ = match self.forward {
            None => write!(text, "hit"),
            Some(why) => write!(text, "fwd={why}"),
        };
        if let Some(status) = self.status {
            let _ = write!(text, "; fwd-status={status}");
        }
        if let Some(ttl) = self.ttl {
            let _ = write!(text, "; ttl={ttl}");
        }
        if self.stored {
            text.push_str("; stored");
        }
        if let Some(detail) = self.detail {
            let _ = write!(text, "; detail={detail}");
        }
        text
    }
}

impl<N: Network> Exchange<N> {
    /// A part of the upstream's answer has come.
    #[inline]
    pub(crate) fn keep_part(&mut self, data: &[u8]) {
        if self.cache.is_some() {
            self.keep_part_of(data);
        }
    }

    #[cold]
    fn keep_part_of(&mut self, data: &[u8]) {
        let now_ms = self.shard.shared.clock.ticks_ms(self.now());
        if let Some(cache) = &mut self.cache
            && let Some(filling) = &mut cache.filling
            && !filling.add(data)
            && let Some(filling) = cache.filling.take()
        {
            filling.give_up(now_ms);
        }
    }

    /// All of it has come.
    #[inline]
    pub(crate) fn keep_whole(&mut self) {
        if let Some(filling) = self.cache.as_mut().and_then(|cache| cache.filling.take()) {
            filling.finish(self.shard.shared.clock.ticks_ms(self.now()));
        }
    }

    /// Whether a copy of its answer is being taken.
    pub(crate) fn is_kept(&self) -> bool {
        self.cache.as_ref().is_some_and(|cache| cache.filling.is_some())
    }

    /// It is not kept after all.
    #[inline]
    pub(crate) fn keep_nothing(&mut self) {
        if let Some(filling) = self.cache.as_mut().and_then(|cache| cache.filling.take()) {
            filling.give_up(self.shard.shared.clock.ticks_ms(self.now()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_told_as_rfc_9211_has_it() {
        let told = Told { ttl: Some(-3), detail: Some("x"), ..Told::default() };
        assert_eq!(told.text(), "portcullis; hit; ttl=-3; detail=x");
        let told = Told { forward: Some("stale"), status: Some(304), stored: true, ..Told::default() };
        assert_eq!(told.text(), "portcullis; fwd=stale; fwd-status=304; stored");
    }
}
