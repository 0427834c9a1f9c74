//! The tool's own clock: monotonic nanoseconds from a start, and the CPU time of the calling thread.
//!
//! The one module of this crate that names a system clock (clippy.toml bans them elsewhere).

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// A monotonic clock that counts nanoseconds from the moment it was started.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// Starts a clock at zero.
    #[expect(clippy::disallowed_methods, reason = "this module is where the tool reads the clock")]
    #[must_use]
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// Nanoseconds since the start. 64 bits last for 584 years.
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        #[expect(clippy::disallowed_methods, reason = "this module is where the tool reads the clock")]
        let since_start = self.start.elapsed();
        duration_ns(since_start)
    }
}

/// The machine's monotonic clock, which all of its processes read, nanoseconds.
#[must_use]
pub fn monotonic_ns() -> u64 {
    time_ns(ClockId::Monotonic)
}

/// CPU time, user and system, that this process has used, in nanoseconds.
#[must_use]
pub fn process_cpu_ns() -> u64 {
    time_ns(ClockId::ProcessCPUTime)
}

/// CPU time, user and system, that the calling thread has used, in nanoseconds.
#[must_use]
pub fn thread_cpu_ns() -> u64 {
    time_ns(ClockId::ThreadCPUTime)
}

fn time_ns(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}

/// Seconds since the Unix epoch on the wall clock, for the `started_at` of a result; never used to measure.
#[expect(clippy::disallowed_methods, reason = "this module is where the tool reads the clock")]
#[must_use]
pub fn unix_seconds() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A duration in nanoseconds, the longest that 64 bits hold at most.
#[must_use]
pub fn duration_ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// RFC 3339 text of Unix seconds, in UTC (`2026-01-31T09:30:00Z`).
///
/// The date is worked out with the civil-from-days algorithm of Howard Hinnant ("chrono-compatible low-level date
/// algorithms").
#[must_use]
pub fn rfc3339(unix_seconds: u64) -> String {
    let (days, in_day) = (unix_seconds / 86_400, unix_seconds % 86_400);
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (in_day / 3_600, in_day / 60 % 60, in_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_as_rfc_3339() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(951_827_696), "2000-02-29T12:34:56Z");
        assert_eq!(rfc3339(1_798_761_599), "2026-12-31T23:59:59Z");
    }

    #[test]
    fn the_clock_never_goes_back_and_cpu_time_grows_with_work() {
        let clock = Clock::start();
        let (before, cpu_before) = (clock.now_ns(), thread_cpu_ns());
        let mut sum = 0_u64;
        while thread_cpu_ns() == cpu_before {
            sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(1));
        }
        assert!(clock.now_ns() > before);
    }
}
