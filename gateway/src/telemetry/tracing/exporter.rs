//! The task that sends what waits: some together, again where that may help, never for ever, and as told in force.
//!
//! A message that cannot be sent now is tried again after a time that grows, with jitter, or after what the collector
//! asks for; after some tries it is given up, since what is new tells more than what is old. While it waits, the queue
//! fills up, and then requests are not traced.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::watch;

use super::collector::Wire;
use super::encode::encode;
use super::outbox::TOGETHER;
use super::resource::this_process;
use super::tracer::Tracer;
use super::verdict::Verdict;
use crate::algorithms::backoff;
use crate::algorithms::rng::Draws;
use crate::config::settings::telemetry::Export;
use crate::telemetry::metrics::SpanResult;

/// How long the first span of a message waits for others.
const LINGER: Duration = Duration::from_secs(1);
/// Tries of one message.
const TRIES: u32 = 5;
/// Between two tries: at most so long at first, and at most so long ever.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Another reason is told no sooner after the last: a collector may have a new one for each message.
const BETWEEN_REASONS: Duration = Duration::from_secs(10);

/// Who takes messages to a collector.
pub(super) trait Carrier: Send + Sync {
    /// Sends a message once; what came of it, in its own time.
    fn carry(&self, message: Bytes) -> impl Future<Output = Verdict> + Send;
}

/// A message on its way, and how many spans are in it.
struct Parcel {
    message: Bytes,
    spans: u64,
    tries: u32,
}

/// What a wait came to.
enum Turn {
    /// The message has its verdict.
    Done,
    /// Other settings are in force.
    Changed,
    /// The process ends, and nothing is left.
    Ended,
}

struct Exporter<'a> {
    tracer: &'a Tracer,
    export: watch::Receiver<Option<Arc<Export>>>,
    ending: watch::Receiver<bool>,
    instance: String,
    draws: Draws,
    /// Why the last message did not arrive, or not as a whole, as was told last, and when.
    told: Option<(String, Instant)>,
    /// Tries in a row that came to nothing.
    in_vain: u32,
    /// A message that is to be sent still.
    held: Option<Parcel>,
}

/// Whether somebody sends, for as long as this lives.
struct Running<'a>(&'a Tracer);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.send_replace(false);
    }
}

/// Sends spans to whom `connect` makes of the settings in force, until the process ends.
pub(super) async fn run_with<C: Carrier>(tracer: Arc<Tracer>, connect: impl Fn(&Export) -> Result<C, String>) {
    tracer.running.send_replace(true);
    let _running = Running(&tracer);
    let mut draws = Draws::new(tracer.seed);
    let mut exporter = Exporter {
        tracer: &tracer,
        export: tracer.export.subscribe(),
        ending: tracer.ending.subscribe(),
        instance: format!("{:016x}{:016x}", draws.next_u64(), draws.next_u64()),
        draws,
        told: None,
        in_vain: 0,
        held: None,
    };
    loop {
        let export = exporter.export.borrow_and_update().clone();
        let turn = match export.as_deref() {
            None => exporter.rest().await,
            Some(export) => match connect(export) {
                Ok(carrier) => exporter.send_all(export, &carrier).await,
                Err(why) => {
                    exporter.note(Some(&why));
                    exporter.forget();
                    exporter.pause(LONGEST_WAIT).await
                }
            },
        };
        if matches!(turn, Turn::Ended) {
            return;
        }
    }
}

/// Sends spans over HTTP or gRPC, as the settings in force say, until the process ends. Runs beside requests.
pub async fn run(tracer: Arc<Tracer>) {
    run_with(tracer, Wire::new).await;
}

impl Exporter<'_> {
    /// Nobody is to be sent anything.
    async fn rest(&mut self) -> Turn {
        self.forget();
        tokio::select! {
            _ = self.export.changed() => Turn::Changed,
            _ = self.ending.wait_for(|ending| *ending) => Turn::Ended,
        }
    }

    /// Waits until somebody may be there to send to.
    async fn pause(&mut self, time: Duration) -> Turn {
        tokio::select! {
            _ = self.export.changed() => Turn::Changed,
            _ = self.ending.wait_for(|ending| *ending) => Turn::Ended,
            () = tokio::time::sleep(time) => Turn::Changed,
        }
    }

    /// Forgets what waits.
    fn forget(&mut self) {
        let held = self.held.take().map_or(0, |parcel| parcel.spans);
        self.tracer.count(SpanResult::Ended, held);
        loop {
            let left = self.tracer.outbox.take();
            if left.is_empty() {
                return;
            }
            self.tracer.count(SpanResult::Ended, left.iter().map(|trace| trace.spans.len() as u64).sum());
        }
    }

    /// Sends what waits and what comes, until something else is to be done.
    async fn send_all(&mut self, export: &Export, carrier: &impl Carrier) -> Turn {
        loop {
            // With spans to send at every moment, it would be looked at nowhere else.
            if self.export.has_changed().unwrap_or(false) {
                return Turn::Changed;
            }
            if self.held.is_none() {
                match self.next(export).await {
                    Turn::Done => {}
                    other => return other,
                }
            }
            match self.deliver(carrier).await {
                Turn::Done => {}
                other => return other,
            }
        }
    }

    /// Waits for spans, and for others to go with them.
    async fn next(&mut self, export: &Export) -> Turn {
        let outbox = &self.tracer.outbox;
        while outbox.len() == 0 {
            if *self.ending.borrow() {
                return Turn::Ended;
            }
            tokio::select! {
                () = outbox.changed.notified() => {}
                _ = self.export.changed() => return Turn::Changed,
                _ = self.ending.changed() => {}
            }
        }
        let enough = async {
            while outbox.len() < TOGETHER {
                outbox.changed.notified().await;
            }
        };
        tokio::select! {
            () = enough => {}
            () = tokio::time::sleep(LINGER) => {}
            _ = self.ending.wait_for(|ending| *ending) => {}
        }
        let unix_ns = |at| self.tracer.unix_ns(at);
        let resource = this_process(&export.service_name, &self.instance);
        let (message, spans) = encode(self.tracer.outbox.take(), resource, unix_ns);
        self.held = Some(Parcel { message: message.into(), spans, tries: 0 });
        Turn::Done
    }

    /// Sends the message that is held, until it is taken or given up.
    async fn deliver(&mut self, carrier: &impl Carrier) -> Turn {
        while let Some(parcel) = &mut self.held {
            parcel.tries += 1;
            let (message, spans, tries) = (parcel.message.clone(), parcel.spans, parcel.tries);
            let wait = match carrier.carry(message).await {
                Verdict::Taken { rejected, why } => {
                    let rejected = rejected.min(spans);
                    self.tracer.count(SpanResult::Exported, spans - rejected);
                    self.tracer.count(SpanResult::Rejected, rejected);
                    self.note((rejected > 0).then_some(&*why));
                    self.in_vain = 0;
                    self.held = None;
                    return Turn::Done;
                }
                Verdict::Refused(why) => {
                    self.tracer.count(SpanResult::Rejected, spans);
                    self.note(Some(&why));
                    self.held = None;
                    return Turn::Done;
                }
                Verdict::Later { after, why } => {
                    self.note(Some(&why));
                    self.in_vain = self.in_vain.saturating_add(1);
                    let wait = backoff::wait(self.in_vain, FIRST_WAIT, LONGEST_WAIT, self.draws.next_u64());
                    wait.max(after.unwrap_or_default())
                }
            };
            let is_last = tries >= TRIES || *self.ending.borrow();
            if is_last {
                self.tracer.count(SpanResult::Unreachable, spans);
                self.held = None;
            }
            // Also after the last try: the next message is one more to a collector that takes none.
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = self.export.changed() => return Turn::Changed,
                _ = self.ending.wait_for(|ending| *ending) => {}
            }
        }
        Turn::Done
    }

    /// Tells when sending begins to fail, when it fails for another reason, and when it goes well again.
    fn note(&mut self, failed: Option<&str>) {
        let now = self.tracer.now();
        match (&self.told, failed) {
            (None, None) => return,
            // There may have been others since, too soon to be told.
            (Some((told, _)), Some(why)) if told == why => return self.tracer.fails_for(why),
            (Some((_, at)), Some(why)) if now.saturating_duration_since(*at) < BETWEEN_REASONS => {
                return self.tracer.fails_for(why);
            }
            _ => {}
        }
        self.told = failed.map(|why| (why.to_owned(), now));
        self.tracer.tell(failed);
    }
}

#[cfg(test)]
mod tests;
