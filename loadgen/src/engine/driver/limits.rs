//! The end of what takes too long: each request ends with its limit, and the driver wakes up for that.

use super::{Driver, LEAST_LOOK_NS, LOOK_NS, Link};
use crate::clock::duration_ns;
use crate::sample::Failure;

impl Driver<'_, '_> {
    /// Ends the requests whose time is over, and finds out when that can next be so.
    pub(super) fn end_overdue(&mut self, now_ns: u64) {
        let passed_ns = now_ns.saturating_sub(self.start_ns);
        for index in 0..self.slots.len() {
            let slot = &mut self.slots[index];
            let since_ns = now_ns.saturating_sub(self.lanes[slot.lane].limit_ns(passed_ns));
            match &mut slot.link {
                Some(Link::Http1(connection))
                    if connection.in_flight.is_some_and(|in_flight| in_flight.started_ns <= since_ns) =>
                {
                    self.fail(index, Failure::Timeout);
                }
                None | Some(Link::Http1(_)) => {}
                Some(Link::Http2(connection)) => {
                    connection.end_older(since_ns, now_ns);
                    self.settle(index);
                }
            }
        }
        self.end_overdue_of_leaving(now_ns);
        let least_ns = LEAST_LOOK_NS.max(self.slots.len() as u64 * LOOK_NS);
        self.next_limit_ns = self.first_limit_ns(now_ns).max(now_ns + least_ns);
    }

    /// When the first request's time is over; what begins from now on has its time yet.
    fn first_limit_ns(&self, now_ns: u64) -> u64 {
        let limit_of = |lane: usize| duration_ns(self.lanes[lane].settings.timeout);
        let slots = self.slots.iter().filter_map(|slot| {
            let started_ns = match slot.link.as_ref()? {
                Link::Http1(connection) => connection.in_flight?.started_ns,
                Link::Http2(connection) => connection.oldest_ns()?,
            };
            Some(started_ns.saturating_add(limit_of(slot.lane)))
        });
        let left = self.limits_of_leaving(limit_of);
        let new = (0..self.lanes.len()).map(|lane| now_ns.saturating_add(limit_of(lane)));
        slots.chain(left).chain(new).min().unwrap_or(u64::MAX)
    }
}
