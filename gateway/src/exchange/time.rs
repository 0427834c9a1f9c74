//! How much time an exchange has left, and who is waited for.

use std::time::{Duration, Instant};

use super::Exchange;
use crate::network::Network;
use crate::timer::Wait;

impl<N: Network> Exchange<N> {
    /// What is left of its time until response headers; `None` where there is no limit.
    pub fn time_left(&self, now: Instant) -> Option<Duration> {
        let passed = now.saturating_duration_since(self.started);
        self.timeout.map(|timeout| timeout.saturating_sub(passed))
    }

    /// Whether nothing is left of it.
    pub fn is_out_of_time(&self, now: Instant) -> bool {
        self.time_left(now).is_some_and(|left| left.is_zero())
    }

    /// Whether it is the client's body that is being waited for.
    #[inline]
    pub fn waits_for_client(&self) -> bool {
        self.request_body.as_ref().is_some_and(|progress| progress.awaited_until().is_none())
    }

    /// Bytes of the request's body that have come.
    pub fn requested(&self) -> u64 {
        self.request_body.as_ref().map_or(0, |progress| progress.bytes())
    }

    /// Its answer begins. From here on it is idle when neither side moves; what is still to come of the request has no
    /// time of its own any more. Says how much of it has come.
    #[inline]
    pub fn answer_begins(&self) -> u64 {
        let Some(progress) = &self.request_body else { return 0 };
        progress.answer_begins();
        for wait in [Wait::RequestBody, Wait::ResponseBody] {
            self.connection.deadlines.clear(wait);
        }
        progress.bytes()
    }
}
