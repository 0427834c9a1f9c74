//! What an endpoint counts, and its public snapshot.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde_json::{Value, json};

/// Counts of one endpoint since its start or the last reset.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections accepted.
    pub accepts: u64,
    /// Connections open now.
    pub connections: u64,
    /// Requests whose head and body were whole.
    pub requests: u64,
    /// Of those, a gateway's own health checks.
    pub health_checks: u64,
    /// Requests that were malformed.
    pub bad_requests: u64,
    /// Bytes read.
    pub bytes_in: u64,
    /// Bytes written.
    pub bytes_out: u64,
    /// Requests that are being answered now.
    pub in_flight: u64,
    /// The most requests that were answered at once.
    pub concurrent_max: u64,
}

impl Counters {
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "accepts": self.accepts, "connections": self.connections, "requests": self.requests,
            "health_checks": self.health_checks, "bad_requests": self.bad_requests, "bytes_in": self.bytes_in, "bytes_out": self.bytes_out,
            "in_flight": self.in_flight, "concurrent_max": self.concurrent_max,
        })
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.accepts += other.accepts;
        self.connections += other.connections;
        self.requests += other.requests;
        self.health_checks += other.health_checks;
        self.bad_requests += other.bad_requests;
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.in_flight += other.in_flight;
        self.concurrent_max = self.concurrent_max.max(other.concurrent_max);
    }
}

/// The live counts.
#[derive(Debug, Default)]
pub(crate) struct Live {
    pub accepts: AtomicU64,
    pub connections: AtomicU64,
    pub requests: AtomicU64,
    health_checks: AtomicU64,
    pub bad_requests: AtomicU64,
    pub bytes_in: AtomicU64,
    pub bytes_out: AtomicU64,
    in_flight: AtomicU64,
    concurrent_max: AtomicU64,
}

impl Live {
    /// Counts a request, which may be a gateway's health check, and gives its number, from 1.
    #[inline]
    pub(crate) fn next_request(&self, health_check: bool) -> u64 {
        if health_check {
            self.health_checks.fetch_add(1, Relaxed);
        }
        self.requests.fetch_add(1, Relaxed) + 1
    }

    /// A request that is answered in the same step is in flight only beside those that wait.
    #[inline]
    pub(crate) fn passed(&self) {
        self.saw(self.in_flight.load(Relaxed) + 1);
    }

    /// A request that waits is in flight until the guard is dropped.
    pub(crate) fn busy(&self) -> Busy<'_> {
        self.saw(self.in_flight.fetch_add(1, Relaxed) + 1);
        Busy(self)
    }

    #[inline]
    fn saw(&self, concurrent: u64) {
        if concurrent > self.concurrent_max.load(Relaxed) {
            self.concurrent_max.fetch_max(concurrent, Relaxed);
        }
    }

    pub(crate) fn snapshot(&self) -> Counters {
        Counters {
            accepts: self.accepts.load(Relaxed),
            connections: self.connections.load(Relaxed),
            requests: self.requests.load(Relaxed),
            health_checks: self.health_checks.load(Relaxed),
            bad_requests: self.bad_requests.load(Relaxed),
            bytes_in: self.bytes_in.load(Relaxed),
            bytes_out: self.bytes_out.load(Relaxed),
            in_flight: self.in_flight.load(Relaxed),
            concurrent_max: self.concurrent_max.load(Relaxed),
        }
    }

    /// Back to zero, but for what is open or in flight now.
    pub(crate) fn reset(&self) {
        let requests = [&self.requests, &self.health_checks, &self.bad_requests];
        for counter in [&self.accepts, &self.bytes_in, &self.bytes_out].into_iter().chain(requests) {
            counter.store(0, Relaxed);
        }
        self.concurrent_max.store(self.in_flight.load(Relaxed), Relaxed);
    }
}

/// A request in flight.
#[derive(Debug)]
pub(crate) struct Busy<'a>(&'a Live);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}
