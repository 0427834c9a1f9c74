//! An M/G/k queue: k servers, one line in order of arrival, a bounded waiting room.
//!
//! Pure: the time of arrival and the service time come in, the time at which the service ends goes out. In order of
//! arrival, and with the service time known on arrival, the whole future of a request follows from when each server is
//! free (Kiefer and Wolfowitz, On the theory of queues with many servers, 1955), so nothing needs to run meanwhile.
//! Work is done also for a client that has left: most services do not notice either, and that is what keeps an
//! overloaded one overloaded.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::{Delay, Draws};

/// Requests that may wait when nothing else is said.
pub const WAITING_ROOM: u32 = 1000;
/// The most requests in service where servers are unlimited: a bound against slips, not a model of anything.
const MOST_IN_SERVICE: usize = 1 << 20;

/// What a queue is: written `queue(8, lognormal(2ms, 0.4))`, or `queue(8, lognormal(2ms, 0.4), 100)` with its waiting
/// room.
#[derive(Debug, Clone, PartialEq)]
pub struct Station {
    /// Servers; 0 = unlimited, so that nobody waits.
    pub servers: u32,
    /// The time of one service. Never a queue itself.
    pub time: Delay,
    /// Requests that may wait; one that comes beyond is refused.
    pub room: u32,
}

impl fmt::Display for Station {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.room {
            WAITING_ROOM => write!(f, "queue({}, {})", self.servers, self.time),
            room => write!(f, "queue({}, {}, {room})", self.servers, self.time),
        }
    }
}

/// What a queue gives a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ticket {
    /// It came, and is served from then to then.
    Served {
        /// When it came.
        arrived_ns: u64,
        /// When a server takes it.
        start_ns: u64,
        /// When it is done.
        end_ns: u64,
    },
    /// The waiting room is full.
    Full,
}

/// A queue's state.
#[derive(Debug)]
struct Line {
    servers: usize,
    room: usize,
    /// When each busy server will have done all that it was given.
    free: BinaryHeap<Reverse<u64>>,
    /// When each waiting request starts, in order.
    starts: VecDeque<u64>,
    /// The latest arrival: several workers may bring theirs out of order by a little.
    now_ns: u64,
    seen: Seen,
}

/// What a queue has seen since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Seen {
    served: u64,
    refused: u64,
    busy_max: usize,
    waiting_max: usize,
    waited_ns: u64,
    service_ns: u64,
}

impl Line {
    fn new(station: &Station) -> Self {
        Self {
            servers: station.servers as usize,
            room: station.room as usize,
            free: BinaryHeap::new(),
            starts: VecDeque::new(),
            now_ns: 0,
            seen: Seen::default(),
        }
    }

    /// Forgets what is over at this time.
    fn advance(&mut self, now_ns: u64) {
        self.now_ns = self.now_ns.max(now_ns);
        while self.free.peek().is_some_and(|Reverse(end)| *end <= self.now_ns) {
            self.free.pop();
        }
        while self.starts.front().is_some_and(|start| *start <= self.now_ns) {
            self.starts.pop_front();
        }
    }

    /// A request arrives and will need this long a service.
    fn arrive(&mut self, now_ns: u64, service: Duration) -> Ticket {
        self.advance(now_ns);
        let service_ns = u64::try_from(service.as_nanos()).unwrap_or(u64::MAX);
        let most = if self.servers == 0 { MOST_IN_SERVICE } else { self.servers };
        let mut start_ns = self.now_ns;
        if self.free.len() >= most {
            if self.servers == 0 || self.starts.len() >= self.room {
                self.seen.refused += 1;
                return Ticket::Full;
            }
            // The server that is free first takes it; that none is free now was just seen.
            start_ns = self.free.pop().map_or(self.now_ns, |Reverse(free)| free);
            self.starts.push_back(start_ns);
        }
        let end_ns = start_ns.saturating_add(service_ns);
        self.free.push(Reverse(end_ns));
        self.seen.served += 1;
        self.seen.busy_max = self.seen.busy_max.max(self.free.len());
        self.seen.waiting_max = self.seen.waiting_max.max(self.starts.len());
        self.seen.waited_ns = self.seen.waited_ns.saturating_add(start_ns - self.now_ns);
        self.seen.service_ns = self.seen.service_ns.saturating_add(service_ns);
        Ticket::Served { arrived_ns: self.now_ns, start_ns, end_ns }
    }
}

/// A queue that several workers share.
#[derive(Debug)]
pub struct Queue {
    station: Station,
    line: Mutex<Line>,
}

impl Queue {
    /// An empty one.
    #[must_use]
    pub fn new(station: Station) -> Self {
        Self { line: Mutex::new(Line::new(&station)), station }
    }

    /// A request arrives; its service time is drawn.
    pub(crate) fn arrive(&self, now_ns: u64, draws: &mut Draws) -> Ticket {
        self.arrive_for(now_ns, self.station.time.sample(draws))
    }

    /// A request arrives whose service takes so long; times are nanoseconds of any clock.
    pub fn arrive_for(&self, now_ns: u64, service: Duration) -> Ticket {
        self.lock().arrive(now_ns, service)
    }

    /// Empty again, as at the start.
    pub(crate) fn reset(&self) {
        *self.lock() = Line::new(&self.station);
    }

    /// What it is and what it has seen, for `GET /counters`.
    pub(crate) fn to_json(&self, now_ns: u64) -> Value {
        let mut line = self.lock();
        line.advance(now_ns);
        let seen = line.seen;
        json!({
            "servers": line.servers, "room": line.room, "busy": line.free.len(), "waiting": line.starts.len(),
            "busy_max": seen.busy_max, "waiting_max": seen.waiting_max, "served": seen.served,
            "refused": seen.refused, "waited_ns": seen.waited_ns, "service_ns": seen.service_ns,
        })
    }

    /// A poisoned lock is used all the same: a line is whole between two arrivals.
    fn lock(&self) -> std::sync::MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
