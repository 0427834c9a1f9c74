//! How an issuer fares that is asked about tokens: why it gave no answer of use when it was asked last, and whether
//! operators have been told that it fails.
//!
//! It fails from when its breaker opens until that closes again. Each time that it opens anew for another reason than
//! was told, that is told too; so there are no more words than it has probes.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::algorithms::breaker::State;

/// How one issuer fares.
#[derive(Debug, Default)]
pub(super) struct IssuerHealth(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    /// Why the last question brought nothing.
    last: Option<String>,
    /// What operators were told, for as long as it fails.
    told: Option<String>,
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
    /// A question has ended, and the breaker is in another state by that. What is to be told.
    pub(super) fn ended(&self, failed: Option<String>, breaker: Option<State>) -> Option<News> {
        let mut seen = self.seen();
        seen.last = failed;
        match breaker {
            Some(State::Open) => {
                let why = seen.last.clone().unwrap_or_default();
                let is_new = seen.told.as_ref() != Some(&why);
                is_new.then(|| {
                    seen.told = Some(why.clone());
                    News::Fails(why)
                })
            }
            Some(State::Closed) => seen.told.take().map(|_| News::IsWell),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn fails(why: &str) -> Option<String> {
        Some(why.to_owned())
    }

    #[test]
    fn that_it_fails_is_told_once_for_each_reason_and_that_it_is_well_once() {
        let health = IssuerHealth::default();
        assert_eq!(health.ended(fails("refused"), None), None, "one failure is no outage");
        assert_eq!((health.is_failing(), health.why()), (false, fails("refused")));
        assert_eq!(health.ended(fails("refused"), Some(State::Open)), Some(News::Fails("refused".into())));
        assert_eq!(health.ended(fails("refused"), Some(State::Open)), None, "that is known");
        assert_eq!(health.ended(fails("it answered 401"), None), None, "one that was under way still");
        assert_eq!(
            health.ended(fails("it answered 401"), Some(State::Open)),
            Some(News::Fails("it answered 401".into()))
        );
        assert!(health.is_failing());
        assert_eq!(health.ended(None, Some(State::HalfOpen)), None);
        assert_eq!(health.why(), fails("it answered 401"), "as long as it is left alone");
        assert_eq!(health.ended(None, Some(State::Closed)), Some(News::IsWell));
        assert_eq!((health.is_failing(), health.why()), (false, None));
        assert_eq!(health.ended(None, Some(State::Closed)), None, "nobody was told that it failed");
    }
}
