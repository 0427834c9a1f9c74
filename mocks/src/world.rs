//! What all workers and the control port share: endpoints, rules, journal.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption};
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};

use crate::calls::Calls;
use crate::clock::now_ns;
use crate::counters::Live;
use crate::faults::{Act, Draws, Origin, Place, Queue, Rule, RuleSet, Station};
use crate::journal::{Entry, Journal};
use crate::tls::Tls;

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
    /// Where its requests are served, if its service takes time.
    pub queue: Option<Queue>,
    /// What its requests call.
    pub calls: Vec<Arc<Calls>>,
    /// How it is secured.
    pub tls: Option<Tls>,
    /// Its listener is open.
    pub listening: AtomicBool,
    /// The lines that identify it, up to the value of `x-mock-residence-ns`.
    pub identity: Box<[u8]>,
    /// What every echo starts with.
    pub echo_prefix: Box<[u8]>,
}

impl Endpoint {
    pub(crate) fn new(
        service: &str,
        index: usize,
        number: usize,
        address: SocketAddr,
        station: Option<&Station>,
        calls: &[Arc<Calls>],
    ) -> Self {
        let port = address.port();
        let identity = format!("x-mock-service: {service}\r\nx-mock-endpoint: {port}\r\nx-mock-residence-ns: ");
        let prefix = format!("{{\"service\":{},\"endpoint\":{port}", Value::from(service));
        Self {
            service: service.to_owned(),
            index,
            number,
            address,
            live: Live::default(),
            queue: station.cloned().map(Queue::new),
            calls: calls.to_vec(),
            tls: None,
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
    /// What nothing hits: no act at all.
    pub plain: Arc<Act>,
    /// What a full waiting room answers.
    pub shed: Arc<Act>,
    /// The gateway's address, for calls through it.
    pub gateway: ArcSwapOption<String>,
    initial: Vec<Rule>,
    /// Wakes the listeners when the rules change.
    changed: watch::Sender<u64>,
    connections: AtomicU64,
    hanging: AtomicU64,
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
            plain: Arc::default(),
            gateway: ArcSwapOption::empty(),
            shed: Arc::new(Act { status: Some(503), ..Act::default() }),
            initial: rules,
            changed: watch::Sender::new(0),
            connections: AtomicU64::new(0),
            hanging: AtomicU64::new(0),
            waiters: AtomicUsize::new(0),
            progress: Notify::new(),
        };
        world.set_rules(&world.initial, Origin::Now);
        world
    }

    /// Replaces the rules; requests that are matched from now on see the new ones. Their queues are empty.
    pub(crate) fn set_rules(&self, rules: &[Rule], origin: Origin) {
        let numbers: Vec<u64> =
            self.endpoints.iter().map(|endpoint| endpoint.live.requests.load(Ordering::Relaxed)).collect();
        let now_ns = now_ns();
        self.rules.rcu(|old| old.next(rules.to_vec(), self.seed, origin, now_ns, numbers.clone()));
        self.changed.send_modify(|version| *version += 1);
    }

    /// Back to the start: first rules, no counts, no journal, empty queues; requests are numbered from 1 again.
    pub(crate) fn reset(&self, origin: Origin) {
        for endpoint in &self.endpoints {
            endpoint.live.reset();
            endpoint.queue.iter().for_each(Queue::reset);
        }
        self.journal.reset();
        // Numbers start anew, so they cannot be kept.
        let origin = if origin == Origin::Keep { Origin::At(self.rules.load().origin_ns) } else { origin };
        self.set_rules(&self.initial, origin);
    }

    /// The draws of an endpoint's own service time for a request.
    pub(crate) fn service_draws(&self, endpoint: usize, request: u64) -> Draws {
        Draws::new(self.seed, endpoint as u64, request, u64::MAX)
    }

    /// A request hangs until the guard is dropped.
    pub(crate) fn hanging(&self) -> Hanging<'_> {
        self.hanging.fetch_add(1, Ordering::SeqCst);
        self.progressed();
        Hanging(self)
    }

    /// Requests that were recorded or hang.
    pub(crate) fn recorded_or_hanging(&self) -> u64 {
        self.journal.recorded() + self.hanging.load(Ordering::SeqCst)
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

    /// Up to `limit` entries of the journal after this number.
    pub(crate) fn journal_since(&self, seq: u64, limit: usize) -> Vec<Entry> {
        let names: Vec<(String, u16)> =
            self.endpoints.iter().map(|endpoint| (endpoint.service.clone(), endpoint.address.port())).collect();
        self.journal.since(seq, limit, &names)
    }

    pub(crate) fn counters_json(&self) -> Value {
        let (rules, now_ns) = (self.rules.load(), now_ns());
        let endpoints = self.endpoints.iter().map(|endpoint| {
            let mut counters = endpoint.live.snapshot().to_json();
            counters["service"] = endpoint.service.as_str().into();
            counters["endpoint"] = endpoint.address.port().into();
            counters["address"] = endpoint.address.to_string().into();
            if let Some(queue) = &endpoint.queue {
                counters["queue"] = queue.to_json(now_ns);
            }
            let of_rules = rules.queues(endpoint.number).map(|(rule, queue)| {
                let mut queue = queue.to_json(now_ns);
                queue["rule"] = rule.into();
                queue
            });
            let of_rules: Vec<Value> = of_rules.collect();
            if !of_rules.is_empty() {
                counters["rule_queues"] = of_rules.into();
            }
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

/// A request that hangs.
#[derive(Debug)]
pub(crate) struct Hanging<'a>(&'a World);

impl Drop for Hanging<'_> {
    fn drop(&mut self) {
        self.0.hanging.fetch_sub(1, Ordering::SeqCst);
    }
}
