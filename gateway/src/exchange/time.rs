//! How much time an exchange has left.

use std::time::{Duration, Instant};

use super::Exchange;
use crate::network::Network;

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
}
