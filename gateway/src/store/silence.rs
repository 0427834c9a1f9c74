//! Whether a connection has fallen silent: calls are under way on it, and nothing has come back for longer than usual.
//!
//! A store answers in the order in which it was asked, so who asks a silent one waits behind those who wait already. A
//! request that can be decided without it need not: a few find out that the store is gone, and nobody else waits.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// So many times what answers usually take is silence.
const UNUSUAL: u64 = 4;
/// And at least this part of what a command may take.
const PART: u32 = 4;

/// What is under way on one connection.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(super) struct Silence {
    under_way: AtomicU32,
    /// When it last began, or said something; nanoseconds.
    since: AtomicU64,
    /// What answers usually take, nanoseconds.
    usual: AtomicU64,
}

impl Silence {
    /// Calls went out.
    pub(super) fn departed(&self, now: u64) -> UnderWay<'_> {
        if self.under_way.fetch_add(1, Ordering::Relaxed) == 0 {
            self.since.store(now, Ordering::Relaxed);
        }
        UnderWay { silence: self, since: now }
    }

    /// What answers usually take, and half as much again; a command may take so long.
    pub(super) fn usually(&self, command_timeout: Duration) -> Duration {
        let usual = Duration::from_nanos(self.usual.load(Ordering::Relaxed));
        // Whoever asks now is always asked for, whatever was usual.
        (usual + usual / 2).min(command_timeout / 4 * 3)
    }

    /// Whether it is silent; a command may take so long.
    pub(super) fn lasts(&self, now: impl FnOnce() -> u64, command_timeout: Duration) -> bool {
        if self.under_way.load(Ordering::Relaxed) == 0 {
            return false;
        }
        let least = u64::try_from((command_timeout / PART).as_nanos()).unwrap_or(u64::MAX);
        let most = self.usual.load(Ordering::Relaxed).saturating_mul(UNUSUAL).max(least);
        now().saturating_sub(self.since.load(Ordering::Relaxed)) > most
    }
}

/// Calls that are under way. Dropped when nobody waits for them any more, or the connection broke.
#[derive(Debug)]
pub(super) struct UnderWay<'a> {
    silence: &'a Silence,
    since: u64,
}

impl UnderWay<'_> {
    /// Their answers came.
    pub(super) fn answered(self, now: u64) {
        let (silence, took) = (self.silence, now.saturating_sub(self.since));
        silence.since.store(now, Ordering::Relaxed);
        // One thread writes this; one who reads it meanwhile sees the one or the other.
        let usual = silence.usual.load(Ordering::Relaxed);
        silence.usual.store(if usual == 0 { took } else { usual - usual / 8 + took / 8 }, Ordering::Relaxed);
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.silence.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn lasts(silence: &Silence, now_ms: u64) -> bool {
        silence.lasts(|| now_ms * MS, Duration::from_millis(20))
    }

    #[test]
    fn a_connection_is_silent_while_what_was_asked_is_not_answered() {
        let silence = Silence::default();
        assert!(!lasts(&silence, 1_000), "nobody asks");
        let (first, second) = (silence.departed(1_000 * MS), silence.departed(1_003 * MS));
        assert!(!lasts(&silence, 1_005) && lasts(&silence, 1_006));
        first.answered(1_001 * MS);
        assert!(!lasts(&silence, 1_006) && lasts(&silence, 1_007), "of two calls one is answered");
        drop(second);
        assert!(!lasts(&silence, 2_000), "nobody waits");
        let _third = silence.departed(3_000 * MS);
        assert!(!lasts(&silence, 3_005) && lasts(&silence, 3_006), "it begins anew");
    }

    #[test]
    fn a_store_that_is_far_away_is_not_taken_for_silent() {
        let silence = Silence::default();
        for call in 0..40 {
            silence.departed(call * 100 * MS).answered((call * 100 + 12) * MS);
        }
        let _one = silence.departed(9_000 * MS);
        assert!(!lasts(&silence, 9_045) && lasts(&silence, 9_050));
    }
}
