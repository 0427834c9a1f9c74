//! The time as `Date` has it (RFC 9110, section 6.6.1), formatted once a second and not once an answer.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

/// `Mon, 23 Nov 2026 17:00:00 GMT`
pub(super) type Date = [u8; 29];

/// The date of now, kept by whoever looks at the clock once a second.
#[derive(Debug)]
pub struct DateCell(Mutex<Date>);

impl DateCell {
    /// The date of this time, microseconds since the Unix epoch.
    pub fn new(unix_us: i64) -> Self {
        Self(Mutex::new(format(unix_us)))
    }

    /// Moves on to this time.
    pub fn set(&self, unix_us: i64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = format(unix_us);
    }

    /// The date as it was last set.
    #[inline]
    pub fn get(&self) -> Date {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn format(unix_us: i64) -> Date {
    let since = Duration::from_micros(u64::try_from(unix_us).unwrap_or(0));
    let text = httpdate::fmt_http_date(UNIX_EPOCH + since.min(LAST));
    text.as_bytes().try_into().unwrap_or(*b"Thu, 01 Jan 1970 00:00:00 GMT")
}

/// `Date` has four digits for a year.
const LAST: Duration = Duration::from_secs(253_402_300_799);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_has_the_fixed_length_of_its_form_at_any_time() {
        let cell = DateCell::new(784_111_777_000_000);
        assert_eq!(&cell.get(), b"Sun, 06 Nov 1994 08:49:37 GMT");
        cell.set(-5);
        assert_eq!(&cell.get(), b"Thu, 01 Jan 1970 00:00:00 GMT");
        cell.set(i64::MAX);
        assert_eq!(&cell.get()[12..16], b"9999");
    }
}
