//! The only place of this crate that names a system clock.
//!
//! Times are nanoseconds of the machine's monotonic clock (`CLOCK_MONOTONIC`), not of a clock of this process, so that
//! the journal's times can be compared with those of a load generator or a gateway on the same machine.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Now, in nanoseconds of the machine's monotonic clock.
#[inline]
pub fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(now.tv_nsec).unwrap_or(0);
    seconds * 1_000_000_000 + nanos
}

/// The time between two instants, zero when `from` is the later one.
pub(crate) fn between(from_ns: u64, to_ns: u64) -> Duration {
    Duration::from_nanos(to_ns.saturating_sub(from_ns))
}
