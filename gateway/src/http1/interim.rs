//! Interim answers (RFC 9110, section 15.2), which are read and dropped before the real one. A service that is long at
//! work may say that it lives as often as it likes, for as long as the request may take; who floods is ended.

use super::client::Error;
use crate::algorithms::per_second::PerSecond;
use crate::clock::Clock;

/// Of one exchange, in a second. Those who tell of their progress do so some times a second.
const MOST: u32 = 100;

/// Those of one exchange.
#[derive(Debug)]
pub(crate) struct Interim {
    pace: PerSecond,
    any: bool,
}

impl Interim {
    pub(crate) fn new() -> Self {
        Self { pace: PerSecond::new(MOST), any: false }
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

    /// Counts one.
    ///
    /// # Errors
    /// It is one too many.
    #[cold]
    pub(crate) fn came(&mut self) -> Result<(), Error> {
        self.any = true;
        let within = self.pace.take(Clock::monotonic());
        within.then_some(()).ok_or(Error::Invalid("too many interim answers in a second"))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a14_a_sign_of_life_now_and_then_goes_on_for_ever_and_a_flood_does_not() {
        let mut interim = Interim::new();
        assert!(!interim.has_come());
        for _ in 0..1000 {
            assert!(interim.came().is_ok() && interim.has_come());
            tokio::time::advance(Duration::from_secs(5)).await;
        }
        assert!((0..MOST).all(|_| interim.came().is_ok()));
        assert!(interim.came().is_err());
        interim.begin();
        assert!(!interim.has_come() && interim.came().is_ok(), "another exchange has its own");
    }
}
