//! The exchange of an aggregate's part, of a call that several requests share (`coalesce`, `[[batches]]`), or of a
//! copy: a call of the gateway's own on behalf of a request. It has the request's name, client and identity, and
//! deadlines of its own; it leaves no record, for the request's tells of all.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use http::Method;

use super::{Arrival, Exchange, Named};
use crate::config::settings::batch::Batch;
use crate::network::Network;
use crate::request_target::{PathQuery, RequestTarget};
use crate::response_body::Source;
use crate::telemetry::metrics::{AttemptOutcome, CoalesceResult};
use crate::telemetry::recorder::{Asked, Calls, MissingPart};
use crate::timer::Wait;

/// Parts that are not in an answer, or that it failed with.
#[derive(Debug, Default)]
pub struct Missing {
    /// Their names, in a list.
    pub names: String,
    /// The same, each with what became of it: `orders: timeout, offers: unasked`.
    pub results: String,
    /// What the flight recorder tells of them.
    pub parts: Vec<MissingPart>,
}

/// The parts of an answer.
#[derive(Debug)]
pub struct Parts {
    /// How many there are.
    pub number: u32,
    /// Attempts that were made for all of them, counted as they begin: also a call that is given up has been made.
    attempts: AtomicU32,
}

impl Parts {
    /// So many, for which nobody has been asked.
    pub fn new(number: usize) -> Arc<Self> {
        Arc::new(Self { number: u32::try_from(number).unwrap_or(u32::MAX), attempts: AtomicU32::new(0) })
    }

    /// Attempts that were made for them, hedges included.
    pub fn attempts(&self) -> u32 {
        self.attempts.load(Ordering::Relaxed)
    }

    /// One more attempt begins.
    pub fn attempt_begins(&self) {
        self.attempts.fetch_add(1, Ordering::Relaxed);
    }
}

impl<N: Network> Exchange<N> {
    /// Its answer, or what should have been one, is without this part.
    #[cold]
    pub fn lacks(&mut self, part: MissingPart) {
        let missing = self.missing.get_or_insert_default();
        let comma = if missing.names.is_empty() { "" } else { ", " };
        missing.names.extend([comma, &*part.part]);
        missing.results.extend([comma, &*part.part, ": ", part.result.as_str()]);
        missing.parts.push(part);
    }

    /// The parts that its answer is without, where there are some.
    #[inline]
    pub fn missing_parts(&self) -> Option<&Missing> {
        self.missing.as_deref()
    }

    /// An exchange that asks the upstream of this route of the snapshot for the target, from now on: within the route's
    /// time, and what is left of this exchange's. `name` is the part's.
    pub fn part(&self, route: usize, target: &PathQuery, name: &Arc<str>) -> Box<Self> {
        let mut part = self.call(route, Method::GET, target.clone().into());
        part.passes = self.passes.widened();
        part.parts.clone_from(&self.parts);
        part.calls = self.calls.as_ref().map(|calls| calls.of_part(name));
        let given = part.route().and_then(|route| route.settings.timeout);
        let left = self.time_left(part.started);
        part.timeout = given.into_iter().chain(left).min();
        // What it was given little time for says nothing of who was asked.
        part.hurried = self.hurried || left.zip(given).is_some_and(|(left, given)| left < given / 2);
        part.connection.deadlines.set_since(Wait::Exchange, part.since, part.timeout);
        part
    }

    /// An exchange for a call that others may share: it asks for the same, from now on, with the route's own time. What
    /// there is to note of it is noted there.
    pub fn shared_call(&self, notes: &Calls) -> Box<Self> {
        let mut call = self.call_of_route(self.now().saturating_duration_since(self.started));
        call.calls = Some(notes.clone());
        call
    }

    /// A call by its own route, of whose time so much has passed.
    fn call_of_route(&self, passed: Duration) -> Box<Self> {
        let mut call = self.call(self.route.unwrap_or(usize::MAX), self.method.clone(), self.uri.clone());
        call.path.clone_from(&self.path);
        call.made.clone_from(&self.made);
        let given = self.route().and_then(|route| route.settings.timeout);
        // Whoever begins it has waited for less time than it has itself; what it has little of says nothing of who is
        // asked.
        call.timeout = given.map(|given| given.saturating_sub(passed));
        call.hurried = given.is_some_and(|given| passed > given / 2);
        call.connection.deadlines.set_since(Wait::Exchange, call.since, call.timeout);
        call
    }

    /// An exchange that sends a copy of this one's request by this route of the snapshot, with that one's time.
    pub fn copied(&self, route: usize) -> Box<Self> {
        let mut copy = self.call(route, self.method.clone(), self.uri.clone());
        copy.path.clone_from(&self.path);
        copy.made.clone_from(&self.made);
        // It has no span, and a slow one would hold back those of the request.
        copy.track = None;
        (copy.timed, copy.is_grpc, copy.speech.web) = (self.timed, self.is_grpc, self.speech.web);
        copy.timeout = copy.route().and_then(|route| route.settings.timeout);
        copy
    }

    /// An exchange for a call that asks for many requests' items; for nobody in particular where it is for several
    /// subjects.
    pub fn call_for_many(&self, batch: &Batch, notes: &Calls) -> Box<Self> {
        // Who joins has all of its own time, whatever the first has used of its; `has_until` says it when it is sent.
        let mut call = self.call_of_route(Duration::ZERO);
        call.calls = Some(notes.clone());
        call.passes = self.passes.widened();
        call.method = batch.method.clone();
        if batch.across_subjects {
            call.identity = None;
        }
        call
    }

    /// Gives a call that is about to be sent the time of whoever waits for it longest, and no more: were it theirs that
    /// is over first, nobody would hear that its endpoint was late.
    pub fn has_until(&mut self, end: Option<(Instant, bool)>) {
        let Some((end, is_hurried)) = end else { return };
        let (now, given) = (self.now(), self.timeout);
        self.timeout = Some(end.saturating_duration_since(self.started));
        let left = end.saturating_duration_since(now);
        // What it has little of says nothing of who is asked; nor does a time that a client gave it.
        self.hurried = is_hurried || given.is_some_and(|given| left < given / 2);
        self.connection.deadlines.set_since(Wait::Exchange, self.since, self.timeout);
    }

    /// A call that another one's made needless so far is made after all, in what is left of its own time.
    pub fn is_needed_late(&mut self) {
        let end = self.timeout.and_then(|timeout| self.started.checked_add(timeout));
        self.has_until(end.map(|end| (end, self.hurried)));
    }

    fn call(&self, route: usize, method: Method, uri: RequestTarget) -> Box<Self> {
        let clock = self.shard.shared.clock.clone();
        let mut connection = self.connection.of_stream(clock, None);
        // It is nobody's own: several may wait for it, and its answer may be given to others later.
        connection.hints = None;
        let connection = Arc::new(connection);
        let arrival = Arrival { shard: Arc::clone(&self.shard), connection };
        let named = Named {
            snapshot: Arc::clone(&self.snapshot),
            request_id: self.request_id.clone(),
            trace: self.trace.clone(),
            client: self.client.clone(),
            peer_trusted: self.peer_trusted,
            secure: self.secure,
        };
        let mut call = Box::new(Self::new(arrival, (method, uri, self.version), named));
        call.delivery.is_recorded = true;
        (call.passes, call.is_doubtful) = (self.passes, self.is_doubtful);
        call.route = Some(route);
        call.traced = self.traced;
        call.asked_host.clone_from(&self.asked_host);
        call.identity.clone_from(&self.identity);
        call.names.clone_from(&self.names);
        call.track.clone_from(&self.track);
        call
    }

    /// Its answer is that of a shared call: its record tells of that one's way, and whoever began it of the attempts.
    pub fn came_by(&mut self, call: &Self, is_first: bool, was_answered: bool) {
        self.endpoint.clone_from(&call.endpoint);
        (self.breaker, self.stands_in, self.code) = (call.breaker, call.stands_in, call.code);
        if was_answered {
            self.upstream_head = Some(self.moment());
        }
        if is_first {
            self.attempts += call.attempts;
            self.hedges.fetch_add(call.hedges.load(Ordering::Relaxed), Ordering::Relaxed);
        } else {
            self.shared = self.link_to(call);
        }
    }

    /// An attempt begins, of a call on behalf of requests that may end before it does.
    #[cold]
    pub fn begins_of_call(&self) {
        if let Some(parts) = &self.parts {
            parts.attempt_begins();
        }
        if let (Some(calls), Some(endpoint)) = (&self.calls, &self.endpoint) {
            let (stands_in, endpoint) = (self.stands_in, Arc::clone(&endpoint.address));
            calls.asks(Asked { stands_in, endpoint, breaker: self.breaker });
        }
    }

    /// Its time is up before that of the call that it waits for: its record names whom that one asks.
    #[cold]
    pub fn gives_up_call(&mut self) {
        let Some(Asked { stands_in, endpoint, breaker }) = self.calls.as_ref().and_then(Calls::asked) else { return };
        (self.stands_in, self.breaker) = (stands_in, breaker);
        self.endpoint = self
            .upstream()
            .and_then(|upstream| upstream.active().endpoints.iter().find(|known| known.address == endpoint).cloned());
    }

    /// Counts what a request came to that may share a call.
    pub fn count_coalesced(&self, result: CoalesceResult) {
        if let Some(route) = self.route() {
            route.series.coalesced(self.shard.index, result);
        }
    }

    /// Attempts that were made, hedges included.
    pub fn attempts_made(&self) -> u32 {
        self.attempts + self.hedges.load(Ordering::Relaxed)
    }

    /// Tells the endpoint's breaker that it broke its answer off, or did not go on with it in a time that says so: why.
    pub fn blame(&self, source: &Source<N>, outcome: AttemptOutcome, why: &str) {
        let says_nothing = self.is_doubtful || outcome == AttemptOutcome::Timeout && self.hurried;
        if let Some(upstream) = self.upstream().filter(|_| !says_nothing) {
            // Of all that ended with one connection one tells it.
            if source.leg.is_mine_to_blame() {
                upstream.broke_off(&source.selected, (outcome, None), Some(why), self.now());
            }
            self.amend_attempt(source.span, outcome, self.now());
        }
    }
}
