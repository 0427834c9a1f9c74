//! How much time an exchange has left, and who is waited for.

use std::time::{Duration, Instant};

use super::Exchange;
use crate::clock::{Moment, Since};
use crate::network::Network;
use crate::timer::Wait;

impl<N: Network> Exchange<N> {
    /// Its time begins now: until here it was another one's.
    pub fn begin_anew(&mut self) {
        self.started = self.now();
        self.since = self.shard.shared.clock.since(self.started);
    }

    /// The time, for who tells more than once how long something took.
    #[inline]
    pub fn moment(&self) -> Moment {
        self.shard.shared.clock.moment(self.now())
    }

    /// What is left of its time until response headers; `None` where there is no limit.
    pub fn time_left(&self, now: Instant) -> Option<Duration> {
        self.time_left_since(self.shard.shared.clock.since(now))
    }

    /// The same for who knows the time as the clock counts.
    #[inline]
    pub fn time_left_since(&self, now: Since) -> Option<Duration> {
        self.timeout.map(|timeout| timeout.saturating_sub(now.after(self.since)))
    }

    /// Whether nothing is left of it.
    pub fn is_out_of_time(&self, now: Instant) -> bool {
        self.time_left(now).is_some_and(|left| left.is_zero())
    }

    /// The time until response headers that it is given: its route's, or less where its client said so.
    #[inline]
    pub fn given_time(&self) -> Option<Duration> {
        if self.hurried { self.timeout } else { self.route().and_then(|route| route.settings.timeout) }
    }

    /// Time that the gateway itself added: before the upstream was turned to, and from its head to the answer's.
    /// `total` is how long the exchange has taken by now.
    pub(crate) fn overhead(&self, total: Duration) -> Duration {
        let until_answered = || self.answered.map_or(total, |at| at.saturating_duration_since(self.started));
        let added = match (self.upstream_began, self.upstream_head) {
            (Some(began), Some(head)) => until_answered().saturating_sub(head.after(began)),
            (Some(began), None) => began.since.after(self.since),
            (None, _) => until_answered(),
        };
        added.saturating_sub(self.awaited)
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
