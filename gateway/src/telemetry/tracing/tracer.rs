//! What all workers share of tracing: whether spans are wanted, the queue that they go into, and what became of them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::outbox::Outbox;
use super::trail::Trace;
use crate::algorithms::rng;
use crate::clock::Clock;
use crate::config::settings::telemetry::Export;
use crate::locked::lock;
use crate::telemetry::events::{Event, Events};
use crate::telemetry::metrics::{Registry, SpanResult};
use crate::telemetry::notice;

/// Tracing of one gateway.
#[derive(Debug)]
pub struct Tracer {
    clock: Clock,
    events: Arc<Events>,
    metrics: Arc<Registry>,
    /// What decides random choices: the process's name, and how long it is waited.
    pub(super) seed: u64,
    /// Spans are wanted.
    on: AtomicBool,
    pub(super) outbox: Outbox,
    /// Where they are sent.
    pub(super) export: watch::Sender<Option<Arc<Export>>>,
    /// The process ends: what is left is sent at once.
    pub(super) ending: watch::Sender<bool>,
    /// Whether somebody sends.
    pub(super) running: watch::Sender<bool>,
    /// Since when the collector does not take all spans, and why not.
    failing: Mutex<Option<(Instant, String)>>,
}

impl Tracer {
    /// One that sends nothing until it is configured.
    pub fn new(clock: Clock, events: Arc<Events>, metrics: Arc<Registry>, seed: u64) -> Self {
        Self {
            clock,
            events,
            metrics,
            // Not the numbers that shards draw.
            seed: rng::mix(!seed),
            on: AtomicBool::new(false),
            outbox: Outbox::default(),
            export: watch::Sender::new(None),
            ending: watch::Sender::new(false),
            running: watch::Sender::new(false),
            failing: Mutex::default(),
        }
    }

    /// Takes over new settings under running requests. What waits goes where they say.
    pub fn configure(&self, export: Option<&Arc<Export>>) {
        self.outbox.hold(export.map_or(0, |export| export.queue));
        self.on.store(export.is_some(), Ordering::Relaxed);
        self.export.send_if_modified(|known| {
            let changed = known.as_ref() != export;
            *known = export.cloned();
            changed
        });
    }

    /// Whether spans are wanted.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    /// Whether a request may be traced now; one that may not is counted.
    #[cold]
    pub(super) fn has_room(&self) -> bool {
        let has = self.outbox.has_room();
        if !has {
            self.count(SpanResult::QueueFull, 1);
        }
        has
    }

    /// Puts a trace into the queue.
    pub(super) fn put(&self, trace: Trace) {
        let spans = trace.spans.len() as u64;
        if !self.outbox.put(trace) {
            // Of a request that was under way when tracing was turned off.
            self.count(if self.is_on() { SpanResult::QueueFull } else { SpanResult::Ended }, spans);
        }
    }

    /// Counts what became of spans.
    pub(super) fn count(&self, result: SpanResult, spans: u64) {
        self.metrics.spans().count(result, spans);
    }

    /// Says that the collector does not take all spans, and why; or that it does again.
    pub(super) fn tell(&self, failed: Option<&str>) {
        match failed {
            Some(why) => self.fails_for(why),
            None => *lock(&self.failing) = None,
        }
        notice::tracing(self.events.voice(), failed);
        let event = Event::Tracing { failed: failed.map(str::to_owned) };
        self.events.report(self.clock.monotonic_ns(self.now()), event);
    }

    /// Keeps why it does not now; it has not since it was said first.
    pub(super) fn fails_for(&self, why: &str) {
        let mut failing = lock(&self.failing);
        let since = failing.as_ref().map_or_else(|| self.now(), |(since, _)| *since);
        *failing = Some((since, why.to_owned()));
    }

    /// Since when the collector does not take all spans, and why not; `None` while it does, or none are sent.
    pub fn failing(&self) -> Option<(Instant, String)> {
        lock(&self.failing).clone().filter(|_| self.is_on())
    }

    /// Monotonic time.
    pub(super) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// An instant in nanoseconds since the Unix epoch.
    pub(super) fn unix_ns(&self, at: Instant) -> u64 {
        u64::try_from(self.clock.unix_us(at)).unwrap_or(0).saturating_mul(1000)
    }

    /// Has what is left sent, once each; waits for that no longer than this. Nothing is traced from here on.
    pub async fn finish(&self, most: Duration) {
        self.on.store(false, Ordering::Relaxed);
        self.ending.send_replace(true);
        let mut running = self.running.subscribe();
        let ended = tokio::time::timeout(most, running.wait_for(|running| !running)).await.is_ok();
        if !ended || self.outbox.len() > 0 {
            // Nobody sends, or a collector takes too long.
            self.count(SpanResult::Ended, self.outbox.len() as u64);
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::config::settings::telemetry::OtlpProtocol;

    /// Settings with room for so many spans.
    pub(crate) fn export(queue: usize) -> Arc<Export> {
        Arc::new(Export {
            protocol: OtlpProtocol::Http,
            endpoint: "http://127.0.0.1:4318".into(),
            headers: Vec::new(),
            service_name: "gateway".into(),
            ca: None,
            timeout: Duration::from_secs(10),
            queue,
        })
    }

    /// A tracer with room for so many spans, and what it counts.
    pub(crate) fn tracer(queue: usize) -> (Arc<Tracer>, Arc<Registry>) {
        let metrics = Arc::new(Registry::new(1));
        let tracer = Tracer::new(Clock::system(), Arc::default(), Arc::clone(&metrics), 1);
        tracer.configure(Some(&export(queue)));
        (Arc::new(tracer), metrics)
    }

    impl Tracer {
        /// What happens from now on.
        pub(crate) fn follow(&self) -> crate::telemetry::events::Follower {
            self.events.follow(crate::telemetry::events::Kinds::rare(), None)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn where_nobody_sends_nothing_is_waited_for() {
        let (tracer, metrics) = tracer(10);
        let began = tracer.now();
        assert!(tracer.is_on());
        tracer.finish(Duration::from_secs(2)).await;
        assert_eq!((tracer.now(), tracer.is_on()), (began, false));
        assert_eq!(metrics.spans().dropped(), 0);
    }
}
