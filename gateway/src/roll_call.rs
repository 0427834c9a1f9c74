//! Which requests are still there while a drain lasts, for operators who wait for its end.
//!
//! Nothing is kept of requests while none is drained: where one waits, it looks at a flag. Once connections are told to
//! close, each request that waits for an endpoint, or whose client takes its answer slowly, says once what it is. What
//! has ended is forgotten with its exchange. The number of those that are known is bounded.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Instant;

use http::Method;

use crate::context::RequestId;
use crate::locked::lock;

/// Requests that are known at once.
const MOST: usize = 10_000;
/// So many are looked at for one that has ended, where all places are taken.
const LOOKED_AT: usize = 8;

/// A request that is there.
#[derive(Debug)]
pub struct Present {
    /// Its id.
    pub request_id: RequestId,
    /// The route that matched.
    pub route: Option<Arc<str>>,
    /// The method.
    pub method: Method,
    /// The path in its one form, without a query.
    pub path: Box<str>,
    /// The client.
    pub client: IpAddr,
    /// When its head had arrived.
    pub began: Instant,
    /// It is a call on behalf of another request, of the same id.
    pub is_part: bool,
    /// Whom it waits for, or has its answer from: the names of the upstream and the endpoint.
    pub asks: Mutex<Option<(Arc<str>, Arc<str>)>>,
}

impl Present {
    /// Whom it asks.
    pub fn asked(&self) -> Option<(Arc<str>, Arc<str>)> {
        lock(&self.asks).clone()
    }
}

/// When a drain began, and when what is left then is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// When it began.
    pub since: Instant,
    /// When it ends at the latest; `None` where nobody has said so.
    pub until: Option<Instant>,
}

/// The requests that are there.
#[derive(Debug, Default)]
pub struct RollCall {
    is_on: AtomicBool,
    times: Mutex<Option<Times>>,
    present: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    all: Vec<Weak<Present>>,
    /// Of a full list the next that is looked at for whether it has ended.
    next: usize,
}

impl Known {
    /// A place for one more: at the end, or that of one that has ended. Of a full list only a few are looked at each
    /// time, as requests wait for this.
    fn take(&mut self, one: Weak<Present>) {
        if self.all.len() < MOST {
            self.all.push(one);
            return;
        }
        for _ in 0..LOOKED_AT {
            let at = self.next % MOST;
            self.next = at + 1;
            if self.all[at].strong_count() == 0 {
                self.all[at] = one;
                return;
            }
        }
    }
}

impl RollCall {
    /// Whether requests are to say that they are there.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }

    /// A drain begins.
    pub fn drain_begins(&self, since: Instant) {
        self.times().get_or_insert(Times { since, until: None });
    }

    /// It ends then, if not before.
    pub fn drain_ends(&self, until: Instant) {
        self.times().get_or_insert(Times { since: until, until: None }).until = Some(until);
    }

    /// From now on requests say that they are there, when they are looked at next.
    pub fn begin(&self) {
        self.is_on.store(true, Ordering::Relaxed);
    }

    /// The times of the drain, where one has begun.
    pub fn drain(&self) -> Option<Times> {
        *self.times()
    }

    /// A request says that it is there. It is, for as long as somebody holds what this returns.
    pub fn enter(&self, present: Present) -> Arc<Present> {
        let present = Arc::new(present);
        self.known().take(Arc::downgrade(&present));
        present
    }

    /// Those that are there, the oldest first.
    pub fn look(&self) -> Vec<Arc<Present>> {
        let mut known = self.known();
        known.all.retain(|one| one.strong_count() > 0);
        let mut there: Vec<_> = known.all.iter().filter_map(Weak::upgrade).collect();
        drop(known);
        there.sort_by_key(|one| one.began);
        there
    }

    /// Whether there may be more than are known.
    pub fn is_full(there: usize) -> bool {
        there >= MOST
    }

    fn times(&self) -> MutexGuard<'_, Option<Times>> {
        lock(&self.times)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        lock(&self.present)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::Clock;

    fn present(route: &str, began: Instant) -> Present {
        Present {
            request_id: RequestId::mint([1, 2]),
            route: Some(route.into()),
            method: Method::GET,
            path: "/".into(),
            client: IpAddr::from([127, 0, 0, 1]),
            began,
            is_part: false,
            asks: Mutex::default(),
        }
    }

    #[test]
    fn who_is_there_is_told_the_oldest_first_and_forgotten_when_it_has_ended() {
        let (call, start) = (RollCall::default(), Clock::system().now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let (young, old) = (call.enter(present("young", at(9))), call.enter(present("old", at(1))));
        let told =
            || call.look().iter().filter_map(|one| one.route.clone()).map(|it| it.to_string()).collect::<Vec<_>>();
        assert_eq!(told(), ["old", "young"]);
        drop(old);
        assert_eq!(told(), ["young"]);
        drop(young);
        assert!(told().is_empty() && call.known().all.is_empty());
    }

    #[test]
    fn so_many_are_known_and_what_has_ended_makes_room() {
        let (call, start) = (RollCall::default(), Clock::system().now());
        let mut there: Vec<_> = (0..MOST + 5).map(|_| call.enter(present("all", start))).collect();
        assert_eq!(call.look().len(), MOST);
        there.drain(..MOST - 10);
        there.extend((0..3).map(|_| call.enter(present("late", start))));
        assert_eq!(call.look().len(), 10 + 3, "the places of the first ones are theirs");
    }

    #[test]
    fn a_drain_has_begun_once() {
        let (call, start) = (RollCall::default(), Clock::system().now());
        assert_eq!(call.drain(), None);
        call.drain_begins(start);
        call.drain_begins(start + Duration::from_secs(5));
        assert_eq!(call.drain(), Some(Times { since: start, until: None }));
        let until = start + Duration::from_secs(30);
        call.drain_ends(until);
        assert_eq!(call.drain(), Some(Times { since: start, until: Some(until) }));
        assert!(!call.is_on());
    }
}
