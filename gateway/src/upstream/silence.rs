//! When an endpoint answered last, and which attempts clients have left there since.
//!
//! An answer costs a look at a flag, and a store once in a while; everything else is done by whoever looks: once a
//! second when idle connections are swept, when a client leaves, and when operators ask. So times of answers are as
//! exact as that.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// No time.
const NEVER: u64 = 0;

/// What is known of one endpoint's answers.
#[derive(Debug, Default)]
pub struct Answers {
    /// It has answered since somebody looked.
    has: AtomicBool,
    /// When it was seen to have answered, nanoseconds of the monotonic clock; `NEVER` where it never did.
    last: AtomicU64,
    /// Attempts that clients left before the first byte of an answer.
    left: AtomicU64,
    silence: Mutex<Option<Silence>>,
}

/// A time in which requests waited and none was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silence {
    /// Since when, nanoseconds of the monotonic clock.
    pub since: u64,
    /// How many clients have left since.
    pub left: u32,
    /// Answers of all its upstream's endpoints when the first of them was counted.
    pub answers_before: u64,
}

impl Answers {
    /// It has answered.
    #[inline]
    pub fn came(&self) {
        if !self.has.load(Ordering::Relaxed) {
            self.has.store(true, Ordering::Relaxed);
        }
    }

    /// Looks what has happened since somebody looked; `is_asked`: requests are in flight to it.
    pub fn look(&self, is_asked: bool, now: u64) -> Option<Silence> {
        let mut silence = self.silence();
        self.see(&mut silence, now);
        if silence.is_none() && is_asked {
            *silence = Some(Silence { since: now.max(1), left: 0, answers_before: 0 });
        }
        if !is_asked && silence.is_some_and(|silence| silence.left == 0) {
            *silence = None;
        }
        *silence
    }

    /// A client has left an attempt that began then, before the first byte of an answer. `answers` is how many all
    /// endpoints of the upstream have given so far.
    pub fn left(&self, began: u64, answers: u64, now: u64) -> Silence {
        self.left.fetch_add(1, Ordering::Relaxed);
        let mut silence = self.silence();
        self.see(&mut silence, now);
        let began = began.max(self.last.load(Ordering::Relaxed)).max(1);
        let before = silence.unwrap_or(Silence { since: began, left: 0, answers_before: answers });
        let is_first = before.left == 0;
        let now_silent = Silence {
            since: before.since.min(began),
            left: before.left.saturating_add(1),
            answers_before: if is_first { answers } else { before.answers_before },
        };
        *silence = Some(now_silent);
        now_silent
    }

    fn see(&self, silence: &mut Option<Silence>, now: u64) {
        if self.has.swap(false, Ordering::Relaxed) {
            self.last.store(now.max(1), Ordering::Relaxed);
            *silence = None;
        }
    }

    /// When it was seen to have answered, where it ever did.
    pub fn last(&self) -> Option<u64> {
        Some(self.last.load(Ordering::Relaxed)).filter(|last| *last != NEVER)
    }

    /// Attempts that clients left before the first byte of an answer.
    pub fn left_in_all(&self) -> u64 {
        self.left.load(Ordering::Relaxed)
    }

    fn silence(&self) -> MutexGuard<'_, Option<Silence>> {
        self.silence.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_silence_begins_with_the_first_attempt_that_was_left_and_ends_with_an_answer() {
        let answers = Answers::default();
        assert_eq!((answers.last(), answers.look(false, SECOND)), (None, None));
        answers.came();
        assert_eq!((answers.look(false, 2 * SECOND), answers.last()), (None, Some(2 * SECOND)), "it has answered");
        let silence = answers.left(3 * SECOND, 100, 6 * SECOND);
        assert_eq!(silence, Silence { since: 3 * SECOND, left: 1, answers_before: 100 });
        let silence = answers.left(7 * SECOND, 140, 10 * SECOND);
        assert_eq!(silence, Silence { since: 3 * SECOND, left: 2, answers_before: 100 });
        assert_eq!(answers.look(false, 11 * SECOND), Some(silence), "nobody waits there now, and it is silent still");
        answers.came();
        assert_eq!(answers.look(false, 12 * SECOND), None);
        assert_eq!((answers.left_in_all(), answers.last()), (2, Some(12 * SECOND)));
    }

    #[test]
    fn an_attempt_beside_which_others_were_answered_is_silent_only_since_then() {
        let answers = Answers::default();
        answers.came();
        let silence = answers.left(SECOND, 7, 4 * SECOND);
        assert_eq!(silence.since, 4 * SECOND, "it has answered meanwhile");
    }

    #[test]
    fn requests_that_wait_are_a_silence_though_nobody_leaves() {
        let answers = Answers::default();
        assert_eq!(answers.look(true, 5 * SECOND).map(|silence| silence.since), Some(5 * SECOND));
        assert_eq!(answers.look(true, 9 * SECOND).map(|silence| silence.since), Some(5 * SECOND));
        assert_eq!(answers.look(false, 10 * SECOND), None);
    }
}
