//! How the driver waits for the next planned time, and what that costs.
//!
//! Spinning (looking for news without sleeping) sends within some microseconds of the plan and sees answers as they
//! come, at the price of a core. Sleeping leaves the core to others, and the kernel's timers and the scheduler decide
//! how late it is. Time spent spinning is not work: it is measured apart, and a driver that only spins is idle.

use std::num::NonZeroU64;

use super::poller::Wait;

/// A sleep that ends later than this before the planned time is not begun: waking up takes some tens of microseconds
/// on a virtual machine, and a nearer time is reached by spinning.
const SPIN_AHEAD_NS: u64 = 200_000;
/// Sleeping for less costs more than it saves.
const WORTH_SLEEPING_NS: u64 = 3_000;
/// A look for news takes about half a microsecond. What takes longer than this was an interruption, not a look.
const LONGEST_LOOK_NS: u64 = 20_000;

/// How the driver waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pacing {
    /// Sleeps, by absolute times on the kernel's high-resolution timers. For a core that is shared.
    Sleep,
    /// Spins while an answer is awaited or the next planned time is near, and sleeps otherwise. For a core of its own.
    Spin,
}

impl Pacing {
    /// What suits this machine: spinning where the driver has a core of its own. That is so where there are four cores
    /// or more, where the process was pinned to some of the machine's cores, or where what it measures is elsewhere.
    #[must_use]
    pub fn choose(cores_allowed: usize, cores_online: usize, target_is_local: bool) -> Self {
        let pinned = cores_allowed < cores_online;
        if cores_allowed >= 4 || pinned || (!target_is_local && cores_allowed > 1) { Self::Spin } else { Self::Sleep }
    }

    /// How long to wait, when the next planned thing is at `next_ns` and something is in flight or not.
    pub(super) fn wait(self, now_ns: u64, next_ns: u64, in_flight: bool) -> Wait {
        let gap_ns = next_ns.saturating_sub(now_ns);
        let sleep_ns = match self {
            Self::Sleep => gap_ns,
            Self::Spin if in_flight => 0,
            Self::Spin => gap_ns.saturating_sub(SPIN_AHEAD_NS),
        };
        if sleep_ns < WORTH_SLEEPING_NS { Wait::Look } else { Wait::For(sleep_ns) }
    }
}

/// Makes the calling thread's sleeps end on time: by default the kernel lets them last 50 us longer.
pub(super) fn sleep_exactly() {
    // Only an unusual sandbox refuses it, and then sleeps are a little longer.
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
}

/// Adds up the time spent spinning.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Spun {
    ns: u64,
}

impl Spun {
    /// A turn that only looked took this long.
    pub(super) fn looked(&mut self, took_ns: u64) {
        // The thread did not run for the rest of it, so its CPU time does not hold the rest either.
        self.ns += took_ns.min(LONGEST_LOOK_NS);
    }

    pub(super) fn ns(self) -> u64 {
        self.ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_a_core_to_spare_spins() {
        for (allowed, online, local, expected) in [
            (8, 8, true, Pacing::Spin),
            (2, 2, true, Pacing::Sleep),
            (1, 2, true, Pacing::Spin),
            (2, 2, false, Pacing::Spin),
            (1, 1, false, Pacing::Sleep),
        ] {
            assert_eq!(Pacing::choose(allowed, online, local), expected, "{allowed} of {online}, local: {local}");
        }
    }

    #[test]
    fn a_spinning_driver_sleeps_only_when_nothing_is_near() {
        assert_eq!(Pacing::Spin.wait(0, 10_000_000, false), Wait::For(9_800_000));
        assert_eq!(Pacing::Spin.wait(0, 10_000_000, true), Wait::Look);
        assert_eq!(Pacing::Spin.wait(0, 150_000, false), Wait::Look);
        assert_eq!(Pacing::Sleep.wait(0, 150_000, true), Wait::For(150_000));
        assert_eq!(Pacing::Sleep.wait(0, 2_000, false), Wait::Look);
        assert_eq!(Pacing::Sleep.wait(5, 0, false), Wait::Look, "late already");
    }

    #[test]
    fn an_interruption_is_no_spinning() {
        let mut spun = Spun::default();
        spun.looked(500);
        spun.looked(4_000_000);
        assert_eq!(spun.ns(), 500 + LONGEST_LOOK_NS);
    }
}
