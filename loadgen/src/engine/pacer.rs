//! Wakes the event loop at the next planned time, to some microseconds, without spinning.
//!
//! epoll itself rounds to milliseconds. A `timerfd` is an event like any other and fires on the kernel's
//! high-resolution timer. It is armed once for each wake-up, never read: setting it clears what had expired.

use std::os::fd::{AsRawFd, OwnedFd};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

/// Setting a timer and waiting for it costs about this much; a nearer time is not worth it.
const WORTH_WAITING_NS: u64 = 3_000;

/// A timer in the event loop.
#[derive(Debug)]
pub(super) struct Pacer {
    timer: OwnedFd,
    /// What it is armed for, on the run's clock; not armed again for the same.
    armed_ns: Option<u64>,
}

impl Pacer {
    /// A timer that reports to `token`.
    pub(super) fn new(registry: &Registry, token: Token) -> std::io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        registry.register(&mut SourceFd(&timer.as_raw_fd()), token, Interest::READABLE)?;
        Ok(Self { timer, armed_ns: None })
    }

    /// Arms the timer for `at_ns`, both on the run's clock; whether waiting makes sense at all.
    pub(super) fn arm(&mut self, at_ns: u64, now_ns: u64) -> std::io::Result<bool> {
        let in_ns = at_ns.saturating_sub(now_ns);
        if in_ns < WORTH_WAITING_NS {
            return Ok(false);
        }
        if self.armed_ns == Some(at_ns) {
            return Ok(true);
        }
        let it_value = Timespec {
            tv_sec: i64::try_from(in_ns / 1_000_000_000).unwrap_or(i64::MAX),
            tv_nsec: i64::try_from(in_ns % 1_000_000_000).unwrap_or(0),
        };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once)?;
        self.armed_ns = Some(at_ns);
        Ok(true)
    }
}
