//! The time as `Date` has it (RFC 9110, section 6.6.1), formatted once a second and not once an answer.

use std::sync::{Mutex, PoisonError};

/// `Mon, 23 Nov 2026 17:00:00 GMT`
pub type Date = [u8; 29];

/// The date of now, kept by whoever looks at the clock once a second.
#[derive(Debug)]
pub struct DateCell(Mutex<Date>);

impl DateCell {
    /// Begins with this date.
    pub fn new(date: Date) -> Self {
        Self(Mutex::new(date))
    }

    /// Moves on.
    pub fn set(&self, date: Date) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = date;
    }

    /// The date as it was last set.
    #[inline]
    pub fn get(&self) -> Date {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
