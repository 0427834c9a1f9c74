//! What is known of a body while it streams: how much has passed, and whose time it takes.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::BodyFault;
use crate::clock::Clock;

/// The client is being waited for.
const STILL: u64 = u64::MAX;

/// Shared by the body and the exchange that waits for it.
#[derive(Debug, Default)]
pub struct BodyProgress {
    bytes: AtomicU64,
    /// Until when the client was waited for last, in nanoseconds of monotonic time; [`STILL`] while it is.
    awaited_until: AtomicU64,
    /// The answer has begun, and the two are timed as one.
    answered: AtomicBool,
    /// Why it broke off, where it has.
    fault: OnceLock<BodyFault>,
}

impl BodyProgress {
    /// Bytes of data that passed.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Until when the client was waited for last, in nanoseconds of monotonic time, 0 where it never was; `None` while
    /// it is being waited for.
    pub fn awaited_until(&self) -> Option<u64> {
        Some(self.awaited_until.load(Ordering::Relaxed)).filter(|until| *until != STILL)
    }

    /// Why it broke off, where it has, whoever read it.
    pub fn fault(&self) -> Option<BodyFault> {
        self.fault.get().copied()
    }

    /// The answer begins.
    pub fn answer_begins(&self) {
        self.answered.store(true, Ordering::Relaxed);
    }

    /// Whether the answer has begun.
    pub(super) fn is_answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }

    /// It has broken off.
    pub(super) fn fail(&self, fault: BodyFault) {
        // What came first is why.
        let _ = self.fault.set(fault);
    }

    /// So many bytes pass; how many have, with these.
    pub(super) fn pass(&self, bytes: u64) -> u64 {
        self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes
    }

    /// The client is to send more.
    pub(super) fn wait(&self) {
        self.awaited_until.store(STILL, Ordering::Relaxed);
    }

    /// It has, or there is no more.
    pub(super) fn go_on(&self, clock: &Clock) {
        if self.awaited_until.load(Ordering::Relaxed) == STILL {
            self.awaited_until.store(clock.monotonic_ns(clock.now()), Ordering::Relaxed);
        }
    }
}
