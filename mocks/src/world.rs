//! What all workers and the control port share: endpoints, rules, journal.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};

use crate::clock::now_ns;
use crate::counters::Live;
use crate::faults::{Place, Rule, RuleSet};
use crate::journal::{Entry, Journal};

/// One address of a service.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub service: String,
    /// The place in its service, from 0.
    pub index: usize,
    /// The number in the process, from 0.
    pub number: usize,
    pub address: SocketAddr,
    pub live: Live,
    /// Its listener is open.
    pub listening: AtomicBool,
    /// The lines that identify it, up to the value of `x-mock-residence-ns`.
    pub identity: Box<[u8]>,
    /// What every echo starts with.
    pub echo_prefix: Box<[u8]>,
}

impl Endpoint {
    pub(crate) fn new(service: &str, index: usize, number: usize, address: SocketAddr) -> Self {
        let port = address.port();
        let identity = format!("x-mock-service: {service}\r\nx-mock-endpoint: {port}\r\nx-mock-residence-ns: ");
        let prefix = format!("{{\"service\":{},\"endpoint\":{port}", Value::from(service));
        Self {
            service: service.to_owned(),
            index,
            number,
            address,
            live: Live::default(),
            listening: AtomicBool::new(true),
            identity: identity.into_bytes().into(),
            echo_prefix: prefix.into_bytes().into(),
        }
    }

    pub(crate) fn place(&self) -> Place<'_> {
        Place { service: &self.service, index: self.index, number: self.number }
    }
}

/// Everything that one process shares.
#[derive(Debug)]
pub(crate) struct World {
    pub seed: u64,
    pub endpoints: Vec<Arc<Endpoint>>,
    pub rules: ArcSwap<RuleSet>,
    pub journal: Journal,
    initial: Vec<Rule>,
    /// Wakes the listeners when the rules change.
    changed: watch::Sender<u64>,
    connections: AtomicU64,
    waiters: AtomicUsize,
    progress: Notify,
}

impl World {
    pub(crate) fn new(seed: u64, endpoints: Vec<Arc<Endpoint>>, rules: Vec<Rule>, journal: Journal) -> Self {
        let world = Self {
            seed,
            endpoints,
            rules: ArcSwap::default(),
            journal,
            initial: rules.clone(),
            changed: watch::Sender::new(0),
            connections: AtomicU64::new(0),
            waiters: AtomicUsize::new(0),
            progress: Notify::new(),
        };
        world.set_rules(rules);
        world
    }

    /// Replaces the rules; requests that are matched from now on see the new ones.
    pub(crate) fn set_rules(&self, rules: Vec<Rule>) {
        let numbers = self.endpoints.iter().map(|endpoint| endpoint.live.requests.load(Ordering::Relaxed)).collect();
        self.rules.store(Arc::new(RuleSet::new(rules, self.seed, now_ns(), numbers)));
        self.changed.send_modify(|version| *version += 1);
    }

    /// Back to the start: first rules, no counts, no journal; requests are numbered from 1 again.
    pub(crate) fn reset(&self) {
        for endpoint in &self.endpoints {
            endpoint.live.reset();
        }
        self.journal.reset();
        self.set_rules(self.initial.clone());
    }

    /// Waits until each listener is as the rules want it now. Rules that change once more meanwhile are waited for too.
    pub(crate) async fn settled(&self) {
        self.wait_until(|world| {
            let (rules, now_ns) = (world.rules.load(), now_ns());
            let obeys = |endpoint: &Arc<Endpoint>| {
                endpoint.listening.load(Ordering::SeqCst) != rules.refusal(endpoint.place(), now_ns).0
            };
            world.endpoints.iter().all(obeys)
        })
        .await;
    }

    /// Tells when the rules change.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    pub(crate) fn next_connection(&self) -> u64 {
        self.connections.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn journal_since(&self, seq: u64) -> Vec<Entry> {
        let names: Vec<(String, u16)> =
            self.endpoints.iter().map(|endpoint| (endpoint.service.clone(), endpoint.address.port())).collect();
        self.journal.since(seq, &names)
    }

    pub(crate) fn counters_json(&self) -> Value {
        let endpoints = self.endpoints.iter().map(|endpoint| {
            let mut counters = endpoint.live.snapshot().to_json();
            counters["service"] = endpoint.service.as_str().into();
            counters["endpoint"] = endpoint.address.port().into();
            counters["address"] = endpoint.address.to_string().into();
            counters
        });
        let endpoints: Vec<Value> = endpoints.collect();
        json!({
            "endpoints": endpoints,
            "journal": { "recorded": self.journal.recorded(), "dropped": self.journal.dropped() },
        })
    }

    /// Something was journaled or counted; wakes who waits for it. Costs a load when nobody does.
    #[inline]
    pub(crate) fn progressed(&self) {
        if self.waiters.load(Ordering::SeqCst) > 0 {
            self.progress.notify_waiters();
        }
    }

    /// Waits until `ready` holds; asks again after each request.
    pub(crate) async fn wait_until(&self, ready: impl Fn(&Self) -> bool) {
        let _waiting = Waiting::new(&self.waiters);
        loop {
            let mut progress = std::pin::pin!(self.progress.notified());
            progress.as_mut().enable();
            if ready(self) {
                return;
            }
            progress.await;
        }
    }
}

struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(waiters: &'a AtomicUsize) -> Self {
        waiters.fetch_add(1, Ordering::SeqCst);
        Self(waiters)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
