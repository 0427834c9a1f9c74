//! Interim answers (RFC 9110, section 15.2), which are read and dropped before the real one; early hints (RFC 8297) are
//! kept for who wants them. A service that is long at work may say that it lives as often as it likes, for as long as
//! the request may take; who floods is ended.

use arrayvec::ArrayVec;
use http::{HeaderMap, StatusCode};

use super::client::Error;
use crate::algorithms::per_second::PerSecond;
use crate::clock::Clock;

/// Of one exchange, in a second. Those who tell of their progress do so some times a second.
const MOST: u32 = 100;

/// Early hints that wait to be taken, which they are after each poll: more than any client gets.
const MOST_HINTS: usize = 8;

/// What of them waits.
type EarlyHints = ArrayVec<HeaderMap, MOST_HINTS>;

/// Those of one exchange.
#[derive(Debug)]
pub(crate) struct Interim {
    pace: PerSecond,
    any: bool,
    /// Where somebody wants them. Whoever does says when he no longer does, so that an exchange that never had any pays
    /// nothing for them.
    hints: Option<Box<EarlyHints>>,
}

impl Interim {
    pub(crate) fn new() -> Self {
        Self { pace: PerSecond::new(MOST), any: false, hints: None }
    }

    /// Another exchange begins.
    #[inline]
    pub(crate) fn begin(&mut self) {
        (self.pace, self.any) = (PerSecond::new(MOST), false);
    }

    /// Whether one has come.
    #[inline]
    pub(crate) fn has_come(&self) -> bool {
        self.any
    }

    /// Early hints are kept from here on, or no more.
    #[cold]
    pub(crate) fn keep_hints(&mut self, wanted: bool) {
        self.hints = wanted.then(Box::default);
    }

    /// Takes the early hints that have come.
    #[inline]
    pub(crate) fn take_hints(&mut self) -> ArrayVec<HeaderMap, MOST_HINTS> {
        self.hints.as_mut().map(|hints| std::mem::take(&mut **hints)).unwrap_or_default()
    }

    /// Counts one of this status. Its fields are asked for only where they are wanted.
    ///
    /// # Errors
    /// It is one too many.
    #[cold]
    pub(crate) fn came(&mut self, status: StatusCode, fields: impl FnOnce() -> HeaderMap) -> Result<(), Error> {
        self.any = true;
        if status == StatusCode::EARLY_HINTS
            && let Some(hints) = self.hints.as_mut().filter(|hints| !hints.is_full())
        {
            hints.push(fields());
        }
        let within = self.pace.take(Clock::monotonic());
        within.then_some(()).ok_or(Error::Invalid("too many interim answers in a second"))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn came(interim: &mut Interim) -> Result<(), Error> {
        interim.came(StatusCode::PROCESSING, || unreachable!("nobody wants them"))
    }

    #[test]
    fn hints_are_kept_where_they_are_wanted_and_no_more_than_a_client_gets() {
        let mut interim = Interim::new();
        let hinted = |interim: &mut Interim| interim.came(StatusCode::EARLY_HINTS, HeaderMap::new).unwrap();
        hinted(&mut interim);
        assert!(interim.take_hints().is_empty(), "nobody wanted it");
        interim.keep_hints(true);
        came(&mut interim).unwrap();
        assert!(interim.take_hints().is_empty(), "it was none");
        (0..2 * MOST_HINTS).for_each(|_| hinted(&mut interim));
        assert_eq!((interim.take_hints().len(), interim.take_hints().len()), (MOST_HINTS, 0));
        hinted(&mut interim);
        interim.keep_hints(false);
        assert!(interim.take_hints().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a14_a_sign_of_life_now_and_then_goes_on_for_ever_and_a_flood_does_not() {
        let mut interim = Interim::new();
        assert!(!interim.has_come());
        for _ in 0..1000 {
            assert!(came(&mut interim).is_ok() && interim.has_come());
            tokio::time::advance(Duration::from_secs(5)).await;
        }
        assert!((0..MOST).all(|_| came(&mut interim).is_ok()));
        assert!(came(&mut interim).is_err());
        interim.begin();
        assert!(!interim.has_come() && came(&mut interim).is_ok(), "another exchange has its own");
    }
}
