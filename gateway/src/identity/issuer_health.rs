//! How an issuer fares that is asked about tokens: why it gave no answer of use when it was asked last, and whether
//! operators have been told that it fails.
//!
//! It fails from when its breaker opens until that closes again. Each time that it opens anew for another reason than
//! was told, that is told too; so there are no more words than it has probes. It fails as well from when so many
//! answers in a row were none, until the next one that is: no breaker opens for those, since each may be about one odd
//! token. As any client may bring such tokens, that is told no more often than once in a while.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::algorithms::breaker::State;

/// Answers in a row that are none, of which operators are told.
const ODD: u32 = 5;
/// From when they were told so until they are told so again.
const QUIET_NS: u64 = 60_000_000_000;

/// How one issuer fares.
#[derive(Debug, Default)]
pub(super) struct IssuerHealth(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    /// Why the last question brought nothing.
    last: Option<String>,
    /// What operators were told, for as long as it fails.
    told: Option<String>,
    /// Answers in a row that were none.
    odd: u32,
    /// That was told last, rather than that its breaker has opened.
    is_odd: bool,
    /// Not before is it told again; nanoseconds of the machine's monotonic clock.
    quiet_until: u64,
}

/// What a question came to.
#[derive(Debug, Clone)]
pub(super) enum Outcome {
    /// A word about the token.
    Word,
    /// An answer that is none, and what is said of it.
    Odd(String),
    /// Nothing, and why.
    Nothing(String),
}

/// What operators are to be told.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    /// It fails, and why.
    Fails(String),
    /// It answers again.
    IsWell,
}

impl IssuerHealth {
    /// A question has ended at this time (nanoseconds), and the breaker is in another state by that. What is to be
    /// told.
    pub(super) fn ended(&self, outcome: Outcome, breaker: Option<State>, at: u64) -> Option<News> {
        let mut seen = self.seen();
        let is_word = matches!(outcome, Outcome::Word);
        match &outcome {
            Outcome::Word => seen.odd = 0,
            Outcome::Odd(_) => seen.odd = seen.odd.saturating_add(1),
            Outcome::Nothing(_) => {}
        }
        let is_odd = seen.odd >= ODD && matches!(outcome, Outcome::Odd(_));
        seen.last = match outcome {
            Outcome::Word => None,
            Outcome::Odd(why) | Outcome::Nothing(why) => Some(why),
        };
        match breaker {
            Some(State::Open) => {
                seen.is_odd = false;
                seen.fails()
            }
            Some(State::Closed) => seen.told.take().map(|_| News::IsWell),
            Some(State::HalfOpen) | None if is_word && seen.is_odd => seen.told.take().map(|_| News::IsWell),
            // What the breaker says is not said anew.
            Some(State::HalfOpen) | None if is_odd && seen.told.is_none() && at >= seen.quiet_until => {
                (seen.is_odd, seen.quiet_until) = (true, at.saturating_add(QUIET_NS));
                seen.fails()
            }
            Some(State::HalfOpen) | None => None,
        }
    }

    /// A question was not put: why. It is said again and again, and its end is `what`: the whole is made up once.
    pub(super) fn note_again(&self, what: &str, whole: impl FnOnce() -> String) {
        let mut seen = self.seen();
        if !seen.last.as_ref().is_some_and(|last| last.ends_with(what)) {
            seen.last = Some(whole());
        }
    }

    /// Whether it fails.
    pub(super) fn is_failing(&self) -> bool {
        self.seen().told.is_some()
    }

    /// Why tokens cannot be checked, as far as that is known.
    pub(super) fn why(&self) -> Option<String> {
        let seen = self.seen();
        seen.last.as_ref().or(seen.told.as_ref()).cloned()
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    /// Why it fails is told, unless it was.
    fn fails(&mut self) -> Option<News> {
        let why = self.last.clone().unwrap_or_default();
        if self.told.as_ref() == Some(&why) {
            return None;
        }
        self.told = Some(why.clone());
        Some(News::Fails(why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fails(why: &str) -> Option<String> {
        Some(why.to_owned())
    }

    fn nothing(why: &str) -> Outcome {
        Outcome::Nothing(why.to_owned())
    }

    #[test]
    fn odd_answers_in_a_row_are_told_until_a_word_comes_and_not_again_for_a_while() {
        let health = IssuerHealth::default();
        let odd = |at| health.ended(Outcome::Odd("a page".into()), None, at);
        let row = |at| (0..=ODD).filter_map(|_| odd(at)).collect::<Vec<_>>();
        for _ in 1..ODD {
            assert_eq!(odd(1), None, "one token may be odd");
        }
        assert_eq!(health.ended(Outcome::Word, None, 1), None, "that was no row");
        assert_eq!(row(2), [News::Fails("a page".into())], "once");
        assert_eq!(health.ended(nothing("it answered 400"), None, 2), None, "it says nothing");
        assert!(health.is_failing());
        assert_eq!(health.ended(Outcome::Word, None, 3), Some(News::IsWell));
        assert_eq!((row(4), health.is_failing()), (vec![], false), "whoever brings odd tokens does not write the log");
        assert_eq!(odd(2 + QUIET_NS), Some(News::Fails("a page".into())));
        // A breaker that has opened says more, and it alone says when that is over.
        assert_eq!(health.ended(nothing("refused"), Some(State::Open), 5), Some(News::Fails("refused".into())));
        assert_eq!((health.ended(Outcome::Word, None, 6), row(3 * QUIET_NS)), (None, vec![]));
        assert_eq!(health.ended(Outcome::Word, Some(State::Closed), 7), Some(News::IsWell));
    }

    #[test]
    fn that_it_fails_is_told_once_for_each_reason_and_that_it_is_well_once() {
        let health = IssuerHealth::default();
        assert_eq!(health.ended(nothing("refused"), None, 0), None, "one failure is no outage");
        assert_eq!((health.is_failing(), health.why()), (false, fails("refused")));
        assert_eq!(health.ended(nothing("refused"), Some(State::Open), 0), Some(News::Fails("refused".into())));
        assert_eq!(health.ended(nothing("refused"), Some(State::Open), 0), None, "that is known");
        assert_eq!(health.ended(nothing("it answered 401"), None, 0), None, "one that was under way still");
        assert_eq!(
            health.ended(nothing("it answered 401"), Some(State::Open), 0),
            Some(News::Fails("it answered 401".into()))
        );
        assert!(health.is_failing());
        assert_eq!(health.ended(Outcome::Word, Some(State::HalfOpen), 0), None);
        assert_eq!(health.why(), fails("it answered 401"), "as long as it is left alone");
        assert_eq!(health.ended(Outcome::Word, Some(State::Closed), 0), Some(News::IsWell));
        assert_eq!((health.is_failing(), health.why()), (false, None));
        assert_eq!(health.ended(Outcome::Word, Some(State::Closed), 0), None, "nobody was told that it failed");
    }
}
