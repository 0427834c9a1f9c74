//! What was seen in one phase of a run.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use super::histogram::{histogram, record};
use crate::sample::{Outcome, Sample};

/// What was seen in one phase.
#[derive(Debug, Clone)]
pub struct Phase {
    /// Its name.
    pub name: String,
    /// When it first begins, nanoseconds of the run's clock.
    pub from_ns: u64,
    /// From the intended time to the end.
    pub latency: Histogram<u64>,
    /// From the first byte sent to the end.
    pub service: Histogram<u64>,
    /// From the first byte sent to the answer's head; only requests that were sent and had one.
    pub first_byte: Histogram<u64>,
    /// From the first byte sent to the answer's head, less the mock's residence; only answers that say it.
    pub added: Histogram<u64>,
    /// Answers by status; 0 stands for none.
    pub status: BTreeMap<u16, u64>,
    /// Failures by cause.
    pub failures: BTreeMap<String, u64>,
    /// Answers by the mock endpoint's port and status.
    pub endpoints: BTreeMap<(u16, u16), u64>,
    /// Requests that ended as expected.
    pub ok: u64,
    /// Requests that someone refused: 429, and a 503 that is not the service's own.
    pub rejected: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Requests that were wrong themselves (other 4xx).
    pub client_error: u64,
    /// Arrivals dropped at the in-flight bound.
    pub dropped: u64,
    /// Body bytes read.
    pub body_bytes: u64,
}

impl Phase {
    pub(crate) fn new(name: &str, from_ns: u64) -> Self {
        Self {
            name: name.to_owned(),
            from_ns,
            latency: histogram(),
            service: histogram(),
            first_byte: histogram(),
            added: histogram(),
            status: BTreeMap::new(),
            failures: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            ok: 0,
            rejected: 0,
            failed: 0,
            client_error: 0,
            dropped: 0,
            body_bytes: 0,
        }
    }

    /// Requests that ended in this phase, in any way; drops are apart.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.ok + self.rejected + self.failed + self.client_error
    }

    /// Requests that ended otherwise than expected, and arrivals that were dropped.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.rejected + self.failed + self.client_error + self.dropped
    }

    /// Share of all arrivals, dropped ones too, that ended as expected; `None` when there were none.
    #[must_use]
    pub fn success_ratio(&self) -> Option<f64> {
        let all = self.requests() + self.dropped;
        (all > 0).then(|| self.ok as f64 / all as f64)
    }

    /// Share of requests that ended otherwise than expected; `None` when none ended. Drops, which nobody sent, are
    /// apart.
    #[must_use]
    pub fn failed_share(&self) -> Option<f64> {
        let all = self.requests();
        (all > 0).then(|| (all - self.ok) as f64 / all as f64)
    }

    /// Its histograms by name.
    pub(super) fn histograms(&self) -> [(&'static str, &Histogram<u64>); 4] {
        [
            ("latency", &self.latency),
            ("service", &self.service),
            ("first_byte", &self.first_byte),
            ("added", &self.added),
        ]
    }

    pub(crate) fn record(&mut self, sample: &Sample) {
        record(&mut self.latency, sample.latency_ns());
        record(&mut self.service, sample.service_ns());
        if let Some(first_byte_ns) = sample.first_byte_ns() {
            record(&mut self.first_byte, first_byte_ns);
        }
        if let Some(added_ns) = sample.added_ns() {
            record(&mut self.added, added_ns);
        }
        *self.status.entry(sample.status).or_default() += 1;
        if let Some(failure) = sample.failure {
            *self.failures.entry(failure.to_string()).or_default() += 1;
        }
        if let Some(endpoint) = sample.endpoint {
            *self.endpoints.entry((endpoint, sample.status)).or_default() += 1;
        }
        self.body_bytes += sample.body_bytes;
        match sample.outcome {
            Outcome::Ok => self.ok += 1,
            Outcome::Rejected => self.rejected += 1,
            Outcome::Failed => self.failed += 1,
            Outcome::ClientError => self.client_error += 1,
        }
    }

    /// Adds another phase to this one.
    pub(super) fn add(&mut self, other: &Self) {
        for (into, from) in [
            (&mut self.latency, &other.latency),
            (&mut self.service, &other.service),
            (&mut self.first_byte, &other.first_byte),
            (&mut self.added, &other.added),
        ] {
            into.add(from).unwrap_or_else(|error| unreachable!("histograms of one shape merge: {error}"));
        }
        merge(&mut self.status, &other.status);
        merge(&mut self.failures, &other.failures);
        merge(&mut self.endpoints, &other.endpoints);
        self.ok += other.ok;
        self.rejected += other.rejected;
        self.failed += other.failed;
        self.client_error += other.client_error;
        self.dropped += other.dropped;
        self.body_bytes += other.body_bytes;
    }
}

fn merge<K: Ord + Clone>(into: &mut BTreeMap<K, u64>, from: &BTreeMap<K, u64>) {
    for (key, count) in from {
        *into.entry(key.clone()).or_default() += count;
    }
}
