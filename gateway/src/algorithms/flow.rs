//! What passes somewhere, told from looks at counters that are kept anyway: how much begins and fails in a second, and
//! how long one stays.
//!
//! Nothing is timed. How many are there at each look, over time, divided by how many have come, is how long one stays
//! on the average (Little, "A Proof for the Queuing Formula: L = λW", 1961). So it is the better the more often
//! somebody looks, and the longer one stays.

use std::collections::VecDeque;

/// Nanoseconds.
const SECOND: u64 = 1_000_000_000;
/// So far is looked back.
const BACK: u64 = 10 * SECOND;

/// What counters say at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// When, nanoseconds of any clock that does not go back.
    pub at: u64,
    /// How many have come; goes round.
    pub begun: u32,
    /// How many are there.
    pub there: u32,
    /// How many have failed.
    pub failed: u64,
}

/// What passed in the last while.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Passed {
    /// How many came in a second.
    pub begun: f64,
    /// How many failed in a second.
    pub failed: f64,
    /// How long one stays on the average where as many go as come, seconds; `None` where none came, or that is longer
    /// than was looked.
    pub stays: Option<f64>,
}

/// Sums up to a moment.
#[derive(Debug, Clone, Copy, Default)]
struct Mark {
    at: u64,
    begun: u64,
    failed: u64,
    /// How many were there, by how long: nanoseconds.
    stayed: u128,
}

/// What passes somewhere.
#[derive(Debug, Default)]
pub struct Flow {
    last: Option<Look>,
    now: Mark,
    /// One about every second, the oldest first.
    marks: VecDeque<Mark>,
}

impl Flow {
    /// Takes what counters say now.
    pub fn look(&mut self, look: Look) {
        let last = self.last.replace(look);
        let before = last.map_or(0, |last| last.begun);
        if let Some(last) = last {
            let passed = look.at.saturating_sub(last.at);
            self.now.stayed += (u128::from(last.there) + u128::from(look.there)) * u128::from(passed) / 2;
        }
        self.now.begun += u64::from(look.begun.wrapping_sub(before));
        (self.now.at, self.now.failed) = (look.at, look.failed);
        if self.marks.back().is_none_or(|mark| look.at.saturating_sub(mark.at) >= SECOND) {
            self.marks.push_back(self.now);
        }
        while self.marks.get(1).is_some_and(|second| look.at.saturating_sub(second.at) >= BACK) {
            self.marks.pop_front();
        }
    }

    /// How many have come so far.
    pub fn begun(&self) -> u64 {
        self.now.begun
    }

    /// What passed in the last ten seconds, as far as there were looks; `None` before the second one.
    pub fn passed(&self) -> Option<Passed> {
        let (now, first) = (self.now, self.marks.front()?);
        let seconds = now.at.saturating_sub(first.at) as f64 / SECOND as f64;
        if seconds <= 0.0 {
            return None;
        }
        let begun = now.begun - first.begun;
        let stayed = (now.stayed - first.stayed) as f64 / SECOND as f64;
        Some(Passed {
            begun: begun as f64 / seconds,
            failed: now.failed.saturating_sub(first.failed) as f64 / seconds,
            // Where far more are there than came, as tunnels are, those who came tell nothing of how long.
            stays: (begun > 0 && stayed <= begun as f64 * seconds).then(|| stayed / begun as f64),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Looks ten times a second for so long at a queue to which one comes each `every` ns and stays `stays` ns; each
    /// hundredth fails.
    fn seen(every: u64, stays: u64, seconds: u64) -> Flow {
        let mut flow = Flow::default();
        for tick in 0..=seconds * 10 {
            let at = tick * SECOND / 10;
            let (begun, ended) = (at / every, at.saturating_sub(stays) / every);
            let there = u32::try_from(begun - ended).unwrap();
            flow.look(Look { at, begun: u32::try_from(begun).unwrap(), there, failed: begun / 100 });
        }
        flow
    }

    #[test]
    fn rates_and_how_long_one_stays_are_told_of_the_last_ten_seconds() {
        let flow = seen(SECOND / 50, 4 * SECOND / 5, 60);
        let passed = flow.passed().unwrap();
        assert!((passed.begun - 50.0).abs() < 1.0 && (passed.failed - 0.5).abs() < 0.15, "{passed:?}");
        assert!((passed.stays.unwrap() - 0.8).abs() < 0.05, "{passed:?}");
        assert_eq!(flow.begun(), 3_000);
        assert!(flow.marks.len() <= 12, "{}", flow.marks.len());
    }

    #[test]
    fn where_nothing_came_nothing_is_said_of_how_long_it_stays() {
        let mut flow = Flow::default();
        assert_eq!(flow.passed(), None);
        let look = |at, there| Look { at, begun: 3, there, failed: 0 };
        flow.look(look(5 * SECOND, 3));
        assert_eq!(flow.passed(), None, "one look is no time");
        flow.look(look(6 * SECOND, 3));
        assert_eq!(flow.passed(), Some(Passed { begun: 0.0, failed: 0.0, stays: None }));
        assert_eq!(flow.begun(), 3);
    }

    #[test]
    fn a_counter_that_goes_round_goes_on() {
        let mut flow = Flow::default();
        for (at, begun) in [(0, u32::MAX - 4), (SECOND, 5)] {
            flow.look(Look { at, begun, there: 0, failed: 0 });
        }
        assert_eq!(flow.passed().map(|passed| passed.begun), Some(10.0));
        assert_eq!(flow.begun(), u64::from(u32::MAX - 4) + 10);
    }

    proptest! {
        #[test]
        fn whatever_is_seen_is_no_nonsense_and_bounded(
            looks in proptest::collection::vec((0_u64..3 * SECOND, any::<u32>(), any::<u32>(), any::<u64>()), 0..200),
        ) {
            let (mut flow, mut now) = (Flow::default(), 0);
            for (passed, begun, there, failed) in looks {
                now += passed;
                flow.look(Look { at: now, begun, there, failed });
                if let Some(passed) = flow.passed() {
                    prop_assert!(passed.begun >= 0.0 && passed.failed >= 0.0);
                    prop_assert!(passed.stays.is_none_or(|stays| stays >= 0.0 && stays.is_finite()));
                }
                prop_assert!(flow.marks.len() <= 12);
            }
        }
    }
}
