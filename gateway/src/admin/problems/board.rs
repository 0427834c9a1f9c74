//! Since when each problem is there, and what healed a moment ago. Pure: time is a parameter.
//!
//! A state that knows when it began says so. Of the others the board keeps when it saw them first; it is shown what is
//! wrong once a second, so that it is late by no more than that. What is kept is bounded by the configuration, and what
//! healed by a number and a time.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// What healed is told for so long, nanoseconds.
const TOLD_FOR: i64 = 600 * 1_000_000_000;
/// The most of it.
const MOST_HEALED: usize = 20;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::admin) enum Severity {
    /// Requests fail by it, or something is lost.
    Bad,
    /// Nothing is lost yet, or something else takes its part.
    Warn,
}

impl Severity {
    /// As written by the admin API.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Bad => "bad",
            Self::Warn => "warn",
        }
    }
}

/// Whose requests feel it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::admin) enum Feels {
    /// Those of routes that use this upstream.
    Upstream(Arc<str>),
    /// Those of this route.
    Route(Arc<str>),
    /// Those of routes whose limits are counted in this store.
    Store(Arc<str>),
    /// Those of routes that ask this upstream whether they may pass.
    Authority(Arc<str>),
    /// Those of routes that this provider proves identities for.
    Provider(Arc<str>),
    /// Any.
    All,
    /// None: it is operators who miss something.
    Nobody,
}

/// Something that is wrong now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::admin) struct Problem {
    /// What kind of thing is wrong: a word that stays.
    pub(super) what: &'static str,
    /// Which of them.
    pub(super) name: String,
    /// How bad it is.
    pub(super) severity: Severity,
    /// Since when, nanoseconds of the machine's monotonic clock: below zero before that began.
    pub(super) since: Option<i64>,
    /// Why, as far as that is known.
    pub(super) why: String,
    /// Whose requests feel it.
    pub(super) feels: Feels,
    /// What to do.
    pub(super) remedy: &'static str,
}

/// Something that is well again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Healed {
    pub(super) what: &'static str,
    pub(super) name: String,
    /// From when until when, nanoseconds as in `Problem`.
    pub(super) since: i64,
    pub(super) until: i64,
    pub(super) why: String,
}

/// What was wrong when it was looked at last.
#[derive(Debug, Default)]
pub(super) struct Board {
    there: HashMap<(&'static str, String), (i64, String)>,
    healed: VecDeque<Healed>,
}

impl Board {
    /// Takes what is wrong now; the same with the times since when, the worst first, of these the oldest.
    pub(super) fn look(&mut self, mut found: Vec<Problem>, now: i64) -> Vec<Problem> {
        let mut before = std::mem::take(&mut self.there);
        for problem in &mut found {
            let key = (problem.what, problem.name.clone());
            let known = before.remove(&key).map(|(since, _)| since);
            let since = problem.since.or(known).unwrap_or(now);
            problem.since = Some(since);
            self.there.insert(key, (since, problem.why.clone()));
        }
        for ((what, name), (since, why)) in before {
            self.healed.push_front(Healed { what, name, since, until: now, why });
        }
        self.healed.truncate(MOST_HEALED);
        self.healed.retain(|healed| now.saturating_sub(healed.until) < TOLD_FOR);
        found.sort_by(|a, b| (a.severity, a.since, a.what, &a.name).cmp(&(b.severity, b.since, b.what, &b.name)));
        found
    }

    /// What healed a moment ago and has not come back, the last first.
    pub(super) fn healed(&self) -> impl Iterator<Item = &Healed> {
        self.healed.iter().filter(|healed| !self.there.contains_key(&(healed.what, healed.name.clone())))
    }
}

/// A number that only grows, and whether it has grown lately.
#[derive(Debug, Default)]
pub(super) struct Rising {
    known: u64,
    at: Option<i64>,
}

impl Rising {
    /// Whether it has grown within this time, nanoseconds.
    pub(super) fn look(&mut self, value: u64, within: i64, now: i64) -> bool {
        if value > self.known {
            (self.known, self.at) = (value, Some(now));
        }
        self.at.is_some_and(|at| now.saturating_sub(at) < within)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn problem(name: &str, severity: Severity, since: Option<i64>) -> Problem {
        let (name, why) = (name.to_owned(), format!("{name} is dead"));
        Problem { what: "upstream", name, severity, since, why, feels: Feels::All, remedy: "" }
    }

    #[test]
    fn what_stays_wrong_has_been_so_since_it_was_seen_first_or_since_it_says() {
        let mut board = Board::default();
        let found = || vec![problem("a", Severity::Bad, None), problem("b", Severity::Bad, Some(-3))];
        let since = |problems: Vec<Problem>| problems.into_iter().map(|it| (it.name, it.since)).collect::<Vec<_>>();
        for now in [5 * SECOND, 6 * SECOND, 90 * SECOND] {
            let told = since(board.look(found(), now));
            assert_eq!(told, [("b".to_owned(), Some(-3)), ("a".to_owned(), Some(5 * SECOND))]);
        }
        assert_eq!(board.look(Vec::new(), 91 * SECOND), []);
        assert_eq!(since(board.look(found(), 92 * SECOND))[1].1, Some(92 * SECOND), "it is another outage");
    }

    #[test]
    fn the_worst_comes_first_and_of_these_the_oldest() {
        let mut board = Board::default();
        let found = vec![
            problem("degraded", Severity::Warn, Some(1)),
            problem("late", Severity::Bad, Some(9)),
            problem("early", Severity::Bad, Some(2)),
        ];
        let told: Vec<String> = board.look(found, 10).into_iter().map(|it| it.name).collect();
        assert_eq!(told, ["early", "late", "degraded"]);
    }

    #[test]
    fn what_healed_is_told_for_a_while_with_when_it_was_and_so_much_of_it() {
        let mut board = Board::default();
        board.look(vec![problem("a", Severity::Bad, None)], SECOND);
        board.look(Vec::new(), 4 * SECOND);
        let told: Vec<_> = board.healed().cloned().collect();
        assert_eq!((told.len(), &*told[0].name, told[0].since, told[0].until), (1, "a", SECOND, 4 * SECOND));
        assert_eq!(told[0].why, "a is dead");
        board.look(vec![problem("a", Severity::Bad, None)], 5 * SECOND);
        assert_eq!(board.healed().count(), 0, "it is back");
        board.look(Vec::new(), 6 * SECOND);
        assert_eq!(board.healed().count(), 2);
        board.look(Vec::new(), 6 * SECOND + TOLD_FOR);
        assert_eq!(board.healed().count(), 0);
        let many = (0..100).map(|number| problem(&number.to_string(), Severity::Bad, None)).collect();
        board.look(many, 700 * SECOND);
        board.look(Vec::new(), 701 * SECOND);
        assert_eq!(board.healed().count(), MOST_HEALED);
    }

    #[test]
    fn a_counter_that_stands_still_is_no_problem_any_more() {
        let mut dropped = Rising::default();
        assert!(!dropped.look(0, 60 * SECOND, 0), "nothing was dropped");
        assert!(dropped.look(7, 60 * SECOND, SECOND));
        assert!(dropped.look(7, 60 * SECOND, 60 * SECOND));
        assert!(!dropped.look(7, 60 * SECOND, 61 * SECOND));
        assert!(dropped.look(8, 60 * SECOND, 62 * SECOND));
    }
}
