//! When turning away began, and when it is over: two events for an overload, not one for each request.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::telemetry::metrics::ShedReason;

/// An episode is over when nothing was turned away for this long, milliseconds.
pub const QUIET_MS: u64 = 1_000;

/// Episodes of one place (the gateway, an upstream), by reason.
#[derive(Debug, Default)]
pub struct Episodes([Episode; ShedReason::ALL.len()]);

#[derive(Debug, Default)]
struct Episode {
    /// When something was turned away last, in milliseconds and one; 0 while there is no episode.
    last: AtomicU64,
    refused: AtomicU64,
}

impl Episodes {
    /// Something was turned away; whether an episode begins with it. `now_ms` is the time of any clock that all callers
    /// share.
    pub fn refused(&self, reason: ShedReason, now_ms: u64) -> bool {
        let episode = &self.0[reason as usize];
        episode.refused.fetch_add(1, Ordering::Relaxed);
        // Whoever finds nothing there begins it: exactly one does.
        episode.last.swap(now_ms + 1, Ordering::Relaxed) == 0
    }

    /// Those that are under way; for each how many were turned away so far.
    pub fn there(&self) -> impl Iterator<Item = (ShedReason, u64)> {
        ShedReason::ALL.into_iter().filter_map(|reason| {
            let episode = &self.0[reason as usize];
            let is_there = episode.last.load(Ordering::Relaxed) != 0;
            is_there.then(|| (reason, episode.refused.load(Ordering::Relaxed)))
        })
    }

    /// Ends what has been quiet; for each how many were turned away.
    pub fn end(&self, now_ms: u64) -> impl Iterator<Item = (ShedReason, u64)> {
        ShedReason::ALL.into_iter().filter_map(move |reason| {
            let episode = &self.0[reason as usize];
            let last = episode.last.load(Ordering::Relaxed);
            let quiet = last != 0 && now_ms + 1 >= last + QUIET_MS;
            // A refusal that comes in between goes on with the episode.
            let ended = quiet && episode.last.compare_exchange(last, 0, Ordering::Relaxed, Ordering::Relaxed).is_ok();
            ended.then(|| (reason, episode.refused.swap(0, Ordering::Relaxed)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_episode_begins_once_and_ends_when_it_has_been_quiet() {
        let episodes = Episodes::default();
        let reason = ShedReason::InFlight;
        assert!(episodes.refused(reason, 0));
        assert!(!episodes.refused(reason, 700));
        assert!(episodes.refused(ShedReason::Memory, 700), "each reason has its own");
        assert_eq!(episodes.there().collect::<Vec<_>>(), [(reason, 2), (ShedReason::Memory, 1)]);
        assert_eq!(episodes.end(1_600).count(), 0);
        assert_eq!(episodes.end(1_700).collect::<Vec<_>>(), [(reason, 2), (ShedReason::Memory, 1)]);
        assert_eq!(episodes.end(9_000).count(), 0);
        assert_eq!(episodes.there().count(), 0);
        assert!(episodes.refused(reason, 9_000), "the next one");
    }
}
