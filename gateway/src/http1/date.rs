//! The time as `Date` has it (RFC 9110, section 6.6.1), formatted once a second and not once an answer.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

/// `Mon, 23 Nov 2026 17:00:00 GMT`
pub type Date = [u8; 29];

/// The date of now, kept by whoever looks at the clock once a second.
#[derive(Debug)]
pub struct DateCell {
    /// Counts how often it was set.
    turn: AtomicU32,
    date: Mutex<Date>,
}

/// A date as it was last looked at, kept by whoever writes dates: while it stands, no lock is taken.
#[derive(Debug, Clone, Copy)]
pub struct KnownDate {
    turn: u32,
    date: Date,
}

impl DateCell {
    /// Begins with this date.
    pub fn new(date: Date) -> Self {
        Self { turn: AtomicU32::new(0), date: Mutex::new(date) }
    }

    /// Moves on.
    pub fn set(&self, date: Date) {
        *self.date.lock().unwrap_or_else(PoisonError::into_inner) = date;
        self.turn.fetch_add(1, Ordering::Release);
    }

    /// The date as it was last set, for who looks again.
    pub fn known(&self) -> KnownDate {
        let turn = self.turn.load(Ordering::Acquire);
        KnownDate { turn, date: *self.date.lock().unwrap_or_else(PoisonError::into_inner) }
    }

    /// The date as it was last set.
    #[inline]
    pub fn refresh<'k>(&self, known: &'k mut KnownDate) -> &'k Date {
        if known.turn != self.turn.load(Ordering::Acquire) {
            *known = self.known();
        }
        &known.date
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_knows_a_date_learns_of_the_next() {
        let cell = DateCell::new([b'1'; 29]);
        let mut known = cell.known();
        assert_eq!(*cell.refresh(&mut known), [b'1'; 29]);
        cell.set([b'2'; 29]);
        assert_eq!(*cell.refresh(&mut known), [b'2'; 29]);
    }
}
