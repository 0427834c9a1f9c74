//! The only place that names a system clock.
//!
//! Monotonic time comes from tokio, so that a paused or simulated runtime moves it; wall-clock time is the time at
//! which the clock was made plus monotonic time since, re-read from the system now and then by the control runtime
//! (`Clock::resync`), never on the request path.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use tokio::sync::Notify;

use crate::http1::Date;

/// An HTTP date has four digits for a year.
const LAST_HTTP_DATE: Duration = Duration::from_secs(253_402_300_799);

/// How far wall clocks of this process are off on purpose, microseconds.
static OFF_BY_US: AtomicI64 = AtomicI64::new(0);

/// Tells that it is another amount now.
static OFF_BY_ANOTHER: Notify = Notify::const_new();

/// Lets the wall clock of this process's gateway be off by so many microseconds from now on. Monotonic time is as it
/// was.
///
/// For simulations of hosts that disagree about the time. No option, variable or file of the gateway leads here, so
/// that only a program that carries the gateway inside can ask for it.
pub fn be_off_by(us: i64) {
    OFF_BY_US.store(us, Ordering::Relaxed);
    OFF_BY_ANOTHER.notify_one();
}

/// Waits until the wall clock has to be off by another amount.
pub(crate) async fn told_to_be_off() {
    OFF_BY_ANOTHER.notified().await;
}

/// A source of time for one gateway. Cheap to clone; all clones agree.
#[derive(Debug, Clone)]
pub struct Clock {
    origin: Instant,
    /// Microseconds since the Unix epoch at `origin`; moves when the system's clock is stepped.
    origin_unix_us: Arc<AtomicI64>,
    /// The machine's monotonic clock at `origin`, nanoseconds; 0 for a simulated clock.
    origin_ns: u64,
    /// When the system's clock was last seen to have been set, as a tick, and by how much, milliseconds.
    last_step: Arc<(AtomicU64, AtomicI64)>,
}

/// An instant as a clock counts: how long after its beginning it was. To find that out is most of what a time costs, so
/// whoever tells one in several forms asks once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Since(Duration);

impl Since {
    /// So much later.
    #[inline]
    #[must_use]
    pub fn plus(self, later: Duration) -> Self {
        Self(self.0.saturating_add(later))
    }

    /// How long it was after an earlier one; nothing where it was not.
    #[inline]
    pub fn after(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// Milliseconds since the clock was made.
    #[inline]
    pub fn ticks_ms(self) -> u64 {
        self.0.as_secs().saturating_mul(1000).saturating_add(u64::from(self.0.subsec_millis()))
    }
}

/// An instant, and how the clock counts it: how long one was after another is a subtraction then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Monotonic time.
    pub at: Instant,
    /// The same as the clock counts.
    pub since: Since,
}

impl Moment {
    /// How long it was after an earlier one; nothing where it was not.
    #[inline]
    pub fn after(self, earlier: Self) -> Duration {
        self.since.after(earlier.since)
    }
}

impl Clock {
    /// A clock of this machine.
    pub fn system() -> Self {
        let mut clock = Self::starting_at(Duration::ZERO);
        let machine = clock_gettime(ClockId::Monotonic);
        clock.origin_ns = u64::try_from(machine.tv_sec).unwrap_or(0) * 1_000_000_000;
        clock.origin_ns += u64::try_from(machine.tv_nsec).unwrap_or(0);
        clock.resync();
        clock
    }

    /// A clock whose wall time begins at this time since the Unix epoch, for simulations.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the system's clock")]
    pub fn starting_at(unix: Duration) -> Self {
        let us = i64::try_from(unix.as_micros()).unwrap_or(i64::MAX);
        Self {
            origin: tokio::time::Instant::now().into_std(),
            origin_unix_us: Arc::new(AtomicI64::new(us)),
            origin_ns: 0,
            last_step: Arc::new((AtomicU64::new(u64::MAX), AtomicI64::new(0))),
        }
    }

    /// Monotonic time.
    #[inline]
    pub fn now(&self) -> Instant {
        Self::monotonic()
    }

    /// The same for those who have no clock at hand: all clocks agree on it.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the system's clock")]
    #[inline]
    pub(crate) fn monotonic() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    /// An instant as this clock counts.
    #[inline]
    pub fn since(&self, at: Instant) -> Since {
        Since(at.saturating_duration_since(self.origin))
    }

    /// The same with the instant.
    #[inline]
    pub fn moment(&self, at: Instant) -> Moment {
        Moment { at, since: self.since(at) }
    }

    /// Milliseconds since this clock was made.
    #[inline]
    pub fn ticks_ms(&self, at: Instant) -> u64 {
        self.since(at).ticks_ms()
    }

    /// The instant of a tick.
    pub fn at_tick(&self, ms: u64) -> Instant {
        self.origin + Duration::from_millis(ms)
    }

    /// Wall-clock time of an instant, in microseconds since the Unix epoch.
    #[inline]
    pub fn unix_us(&self, at: Instant) -> i64 {
        self.unix_us_of(self.since(at))
    }

    /// The same of what this clock has counted.
    #[inline]
    pub fn unix_us_of(&self, since: Since) -> i64 {
        // Seconds and their parts by themselves: a sum of 128 bits is four times as dear.
        let us = since.0.as_secs().saturating_mul(1_000_000).saturating_add(u64::from(since.0.subsec_micros()));
        let since = i64::try_from(us).unwrap_or(i64::MAX);
        self.origin_unix_us.load(Ordering::Relaxed).saturating_add(since)
    }

    /// The same in whole seconds.
    #[inline]
    pub fn unix_seconds(&self, at: Instant) -> i64 {
        self.unix_seconds_of(self.since(at))
    }

    /// The same of what this clock has counted.
    #[inline]
    pub fn unix_seconds_of(&self, since: Since) -> i64 {
        self.unix_us_of(since).div_euclid(1_000_000)
    }

    /// Wall-clock time of a time on the machine's monotonic clock, as [`Clock::monotonic_ns`] gives it; microseconds
    /// since the Unix epoch.
    pub fn unix_us_at(&self, monotonic_ns: u64) -> i64 {
        let us = |ns: u64| i64::try_from(ns / 1_000).unwrap_or(i64::MAX);
        let since = us(monotonic_ns).saturating_sub(us(self.origin_ns));
        self.origin_unix_us.load(Ordering::Relaxed).saturating_add(since)
    }

    /// An instant on the machine's monotonic clock (`CLOCK_MONOTONIC`), nanoseconds: comparable with what other
    /// processes of the machine measure. A simulated clock counts from its start.
    pub fn monotonic_ns(&self, at: Instant) -> u64 {
        self.monotonic_ns_of(self.since(at))
    }

    /// The same of what this clock has counted.
    #[inline]
    pub fn monotonic_ns_of(&self, since: Since) -> u64 {
        let since = since.0.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(since.0.subsec_nanos()));
        self.origin_ns.saturating_add(since)
    }

    /// Wall-clock time of an instant, as an HTTP date.
    pub fn http_date(&self, at: Instant) -> Date {
        let since = Duration::from_micros(u64::try_from(self.unix_us(at)).unwrap_or(0));
        let text = httpdate::fmt_http_date(std::time::UNIX_EPOCH + since.min(LAST_HTTP_DATE));
        text.as_bytes().try_into().unwrap_or(*b"Thu, 01 Jan 1970 00:00:00 GMT")
    }

    /// How long it is until this HTTP date: nothing where it is past, `None` where it is no date.
    pub fn until_http_date(&self, text: &str, now: Instant) -> Option<Duration> {
        let date = httpdate::parse_http_date(text).ok()?;
        let since = date.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Some(since.saturating_sub(Duration::from_micros(u64::try_from(self.unix_us(now)).unwrap_or(0))))
    }

    /// Notes that the system's clock was set by so many milliseconds, as was found out just now.
    pub fn note_step(&self, stepped_ms: i64) {
        self.last_step.1.store(stepped_ms, Ordering::Relaxed);
        self.last_step.0.store(self.ticks_ms(self.now()), Ordering::Release);
    }

    /// How long ago the system's clock was last found to have been set, and by how many milliseconds.
    pub fn last_step(&self, now: Instant) -> Option<(Duration, i64)> {
        let at = self.last_step.0.load(Ordering::Acquire);
        let ago = Duration::from_millis(self.ticks_ms(now).saturating_sub(at));
        (at != u64::MAX).then(|| (ago, self.last_step.1.load(Ordering::Relaxed)))
    }

    /// Reads the system's wall clock again; by how much it has moved since, microseconds. A clock made by `starting_at`
    /// is not meant to be re-read.
    pub fn resync(&self) -> i64 {
        self.read_wall_clock(OFF_BY_US.load(Ordering::Relaxed))
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that reads the system's clock")]
    fn read_wall_clock(&self, off_us: i64) -> i64 {
        let unix = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let since = self.now().saturating_duration_since(self.origin);
        let origin = unix.saturating_sub(since);
        let origin_us = i64::try_from(origin.as_micros()).unwrap_or(i64::MAX);
        let origin_us = origin_us.saturating_add(off_us);
        origin_us.saturating_sub(self.origin_unix_us.swap(origin_us, Ordering::Relaxed))
    }
}

/// Seconds since the Unix epoch by the system's clock: for what is held against dates when a configuration is read.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the system's clock")]
pub fn unix_seconds() -> i64 {
    let unix = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    unix.as_secs().cast_signed()
}

/// An HTTP date in seconds since the Unix epoch; `None` where it is none.
pub fn http_date_seconds(text: &[u8]) -> Option<i64> {
    let date = httpdate::parse_http_date(std::str::from_utf8(text).ok()?.trim()).ok()?;
    let since = date.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_secs()).ok()
}

#[cfg(test)]
mod http_dates {
    use super::*;

    #[test]
    fn a_clock_that_is_to_be_off_is_so_by_that_much() {
        let clock = Clock::system();
        let now = clock.now();
        let right_us = clock.unix_us(now);
        // The process's own is left alone: other tests read it meanwhile.
        let stepped_us = clock.read_wall_clock(3_600_000_000);
        assert!((stepped_us - 3_600_000_000).abs() < 60_000_000, "{stepped_us} us");
        let off_us = clock.unix_us(now) - right_us;
        assert!((off_us - 3_600_000_000).abs() < 60_000_000, "{off_us} us");
    }

    #[test]
    fn a_step_is_remembered() {
        let clock = Clock::starting_at(Duration::ZERO);
        let now = clock.now();
        assert_eq!(clock.last_step(now), None);
        clock.note_step(-7_200_000);
        let (ago, ms) = clock.last_step(clock.now() + Duration::from_secs(30)).unwrap();
        assert!(ago >= Duration::from_secs(30) && ms == -7_200_000, "{ago:?}");
    }

    #[test]
    fn the_longest_time_that_a_client_can_give_has_a_tick() {
        let clock = Clock::starting_at(Duration::ZERO);
        let at = clock.origin + Duration::from_mins(1) + Duration::from_millis(u64::MAX);
        assert_eq!(clock.ticks_ms(at), u64::MAX);
        assert_eq!(clock.ticks_ms(clock.origin + Duration::from_millis(1_234)), 1_234);
    }

    proptest::proptest! {
        #[test]
        fn whole_seconds_are_those_of_the_microseconds(origin_us: u32, later_us in 0_u64..10_000_000_000) {
            let clock = Clock::starting_at(Duration::from_micros(u64::from(origin_us)));
            let at = clock.origin + Duration::from_micros(later_us);
            proptest::prop_assert_eq!(clock.unix_seconds(at), clock.unix_us(at).div_euclid(1_000_000));
        }
    }

    #[test]
    fn a_date_has_the_fixed_length_of_its_form_at_any_time() {
        let at = |unix: Duration| {
            let clock = Clock::starting_at(unix);
            String::from_utf8(clock.http_date(clock.origin).to_vec()).unwrap()
        };
        assert_eq!(at(Duration::from_secs(784_111_777)), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(at(Duration::ZERO), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert!(at(Duration::MAX).contains(" 9999 "));
    }
}
