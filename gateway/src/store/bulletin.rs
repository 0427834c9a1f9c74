//! What operators are told of a store: whether it is given up, since when, and when it is well again.
//!
//! Requests ask it again as soon as the task that watches it was answered. That task has a connection of its own, made
//! long ago perhaps, and asks for one key of its own: a server that takes no more connections, or a cluster that lost a
//! part of its keys, answers it well and the requests not at all. So nobody is told that a store is well before calls
//! of requests were answered by it; where none comes, after some time in which none failed, nor can be about to. One
//! that is given up again shortly after that has to be well for longer each time. For the same reason the task is not
//! believed while calls fail; but a single one that failed long ago says nothing any more. Pure: time is a parameter.

use std::time::{Duration, Instant};

/// Without calls of requests: so long without trouble, at least.
const QUIET: Duration = Duration::from_secs(2);
/// A store that is given up again within this time was not well.
const STEADY: Duration = Duration::from_secs(30);
/// The longest that one has to be well before it is told.
const LONGEST: Duration = Duration::from_secs(30);
/// For so long a call that failed says more than the task that watches.
const TELLING: Duration = Duration::from_secs(30);

/// What is told of a store.
#[derive(Debug)]
pub(super) struct Bulletin {
    /// Without calls of requests: so long without trouble.
    quiet: Duration,
    /// Since when it is told to be given up; `None` while it is told to be well.
    down_since: Option<Instant>,
    /// Since when requests may ask it again, and none of their calls failed.
    calm_since: Option<Instant>,
    /// When the last call of a request failed, where none came to anything else since.
    failed_at: Option<Instant>,
    /// When it was last told to be well again.
    healed_at: Option<Instant>,
    /// How often in a row that did not last.
    relapses: u32,
}

impl Bulletin {
    /// Of a store that is well, and of which a call that hangs has failed after this time.
    pub(super) fn new(hangs_for: Duration) -> Self {
        Self {
            quiet: QUIET.max(hangs_for),
            down_since: None,
            calm_since: None,
            failed_at: None,
            healed_at: None,
            relapses: 0,
        }
    }

    /// Since when it is told to be given up.
    pub(super) fn down_since(&self) -> Option<Instant> {
        self.down_since
    }

    /// Whether calls of requests say that it may not be well, whatever the task that watches it sees.
    pub(super) fn is_unanswered(&self, now: Instant) -> bool {
        self.failed_at.is_some_and(|at| now.saturating_duration_since(at) < TELLING)
    }

    /// Whether an answer to a request changes anything here.
    pub(super) fn awaits_answers(&self) -> bool {
        self.failed_at.is_some() || self.down_since.is_some()
    }

    /// It was given up; whether that is news.
    pub(super) fn fell(&mut self, at: Instant) -> bool {
        self.calm_since = None;
        if self.down_since.is_some() {
            return false;
        }
        let lasted = self.healed_at.is_none_or(|healed| at.saturating_duration_since(healed) >= STEADY);
        self.relapses = if lasted { 0 } else { self.relapses.saturating_add(1) };
        self.down_since = Some(at);
        true
    }

    /// Requests may ask it again.
    pub(super) fn rose(&mut self, at: Instant) {
        self.calm_since = self.down_since.map(|_| at);
    }

    /// It answered a call of a request.
    pub(super) fn answered(&mut self) {
        self.failed_at = None;
    }

    /// It did not, while requests may ask it.
    pub(super) fn failed(&mut self, at: Instant) {
        self.failed_at = Some(at);
        self.calm_since = self.calm_since.map(|_| at);
    }

    /// Whether it is to be told now that it is well again.
    pub(super) fn heals(&mut self, now: Instant) -> bool {
        let Some(since) = self.calm_since else { return false };
        if now.saturating_duration_since(since) < self.has_to_last() {
            return false;
        }
        (self.down_since, self.calm_since, self.healed_at) = (None, None, Some(now));
        self.failed_at = None;
        true
    }

    fn has_to_last(&self) -> Duration {
        let seconds = match self.relapses {
            0 => 0,
            relapses => 1_u64.checked_shl(relapses).unwrap_or(u64::MAX),
        };
        let asked = Duration::from_secs(seconds).min(LONGEST);
        if self.failed_at.is_some() { asked.max(self.quiet) } else { asked }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_store_that_answers_nobody_but_its_watch_is_told_once_and_not_told_to_be_well() {
        let (mut bulletin, start) = (Bulletin::new(SECOND), Clock::system().now());
        bulletin.failed(start);
        assert!(bulletin.fell(start));
        // Each second the watch is answered, requests are let ask, and fail.
        for second in 1..100 {
            let at = start + second * SECOND;
            bulletin.rose(at);
            assert!(!bulletin.heals(at));
            bulletin.failed(at);
            assert!(!bulletin.fell(at), "no news");
        }
        assert_eq!(bulletin.down_since(), Some(start));
        let at = start + 100 * SECOND;
        bulletin.rose(at);
        bulletin.answered();
        assert!(bulletin.heals(at), "the first answer to a request is enough");
        assert!(bulletin.down_since().is_none() && !bulletin.awaits_answers());
    }

    #[test]
    fn where_nobody_asks_some_quiet_seconds_are_enough() {
        let (mut bulletin, start) = (Bulletin::new(SECOND), Clock::system().now());
        bulletin.failed(start);
        bulletin.fell(start);
        bulletin.rose(start + SECOND);
        assert!(!bulletin.heals(start + SECOND) && !bulletin.heals(start + 2 * SECOND));
        // A single call that fails begins them anew.
        bulletin.failed(start + 2 * SECOND);
        assert!(!bulletin.heals(start + 3 * SECOND));
        assert!(bulletin.heals(start + 4 * SECOND));
    }

    /// Calls that hang have not failed yet.
    #[test]
    fn it_is_quiet_for_as_long_as_a_call_may_hang() {
        let (mut bulletin, start) = (Bulletin::new(10 * SECOND), Clock::system().now());
        bulletin.failed(start);
        bulletin.fell(start);
        bulletin.rose(start + SECOND);
        assert!(!bulletin.heals(start + 10 * SECOND) && bulletin.heals(start + 11 * SECOND));
        assert!(!bulletin.is_unanswered(start + 11 * SECOND) && !bulletin.awaits_answers(), "it is well as told");
    }

    #[test]
    fn a_call_that_failed_long_ago_says_nothing_any_more() {
        let (mut bulletin, start) = (Bulletin::new(SECOND), Clock::system().now());
        assert!(!bulletin.is_unanswered(start));
        bulletin.failed(start);
        assert!(bulletin.is_unanswered(start + 29 * SECOND) && !bulletin.is_unanswered(start + 30 * SECOND));
        bulletin.failed(start + 40 * SECOND);
        assert!(bulletin.is_unanswered(start + 41 * SECOND), "another one does");
    }

    #[test]
    fn what_the_watch_alone_found_dead_is_well_when_the_watch_says_so() {
        let (mut bulletin, start) = (Bulletin::new(SECOND), Clock::system().now());
        assert!(bulletin.fell(start));
        bulletin.rose(start + SECOND);
        assert!(bulletin.heals(start + SECOND));
    }

    /// As of a cluster that lost one shard of three: other keys are answered between those that fail.
    #[test]
    fn one_that_is_well_now_and_then_has_to_be_so_for_longer_each_time_until_it_is_steady() {
        let (mut bulletin, mut now) = (Bulletin::new(SECOND), Clock::system().now());
        let mut held = Vec::new();
        for _ in 0..7 {
            bulletin.failed(now);
            assert!(bulletin.fell(now));
            now += SECOND;
            bulletin.rose(now);
            bulletin.answered();
            let rose = now;
            while !bulletin.heals(now) {
                now += SECOND;
            }
            held.push((now - rose).as_secs());
            now += SECOND;
        }
        assert_eq!(held, [0, 2, 4, 8, 16, 30, 30]);
        now += STEADY;
        bulletin.failed(now);
        assert!(bulletin.fell(now));
        bulletin.rose(now);
        bulletin.answered();
        assert!(bulletin.heals(now), "that was long ago");
    }
}
