//! Failures in a row, where an outcome may still turn: what was a success by its head becomes a failure in its own
//! place when the answer breaks off behind it.
//!
//! Every outcome shifts the last 64 along. Beyond them only failures in an unbroken row are counted, so that a row is
//! exact however long it is.

/// Outcomes that may still turn.
pub(super) const TURNS: u32 = 64;

/// Outcomes, one after another.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Row {
    /// How many there were, which is the place of the newest.
    places: u32,
    /// The last 64, the newest in the lowest bit; failures are 1.
    recent: u64,
    /// Failures in a row right before those.
    before: u32,
}

impl Row {
    /// Adds an outcome.
    #[inline]
    pub(super) fn add(&mut self, failure: bool) {
        let leaves = self.recent >> (TURNS - 1) == 1;
        self.before = if leaves { self.before.saturating_add(1) } else { 0 };
        self.recent = self.recent << 1 | u64::from(failure);
        self.places = self.places.wrapping_add(1);
    }

    /// The place of the newest outcome.
    #[inline]
    pub(super) fn place(&self) -> u32 {
        self.places
    }

    /// The outcome in this place was a failure after all, if it is one of the last.
    pub(super) fn turn(&mut self, place: u32) {
        let back = self.places.wrapping_sub(place);
        if back < TURNS {
            self.recent |= 1 << back;
        }
    }

    /// Failures in a row up to now.
    #[inline]
    pub(super) fn failures(&self) -> u32 {
        match self.recent.trailing_ones() {
            TURNS => self.before.saturating_add(TURNS),
            recent => recent,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Outcomes, some of which turn at once or later, against all of them in a list.
        #[test]
        fn it_is_the_end_of_a_list(steps in prop::collection::vec((0_u32..100, 0_usize..90), 0..400)) {
            let (mut row, mut list) = (Row::default(), Vec::new());
            for (chance, back) in steps {
                match chance {
                    0..40 => {
                        let Some(at) = list.len().checked_sub(back + 1) else { continue };
                        row.turn(u32::try_from(at + 1).unwrap());
                        if back < TURNS as usize {
                            list[at] = true;
                        }
                    }
                    _ => {
                        row.add(chance < 97);
                        list.push(chance < 97);
                    }
                }
                prop_assert_eq!(row.place() as usize, list.len());
                prop_assert_eq!(row.failures() as usize, list.iter().rev().take_while(|failed| **failed).count());
            }
        }
    }
}
