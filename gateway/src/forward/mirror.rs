//! Copies of some requests, for another upstream (`mirror`): its answers are read and dropped.
//!
//! Invariants: the request that is copied waits for nothing of this, and nothing of this can fail it. A copy is sent
//! once, by a task of its own, when the whole request is there: one whose body never came whole is no request. So many
//! are in flight, their bodies share a bound with all that a worker holds, and each has a time: what does not fit is
//! dropped and counted.
//!
//! Of a request that goes in a circle no more than its first passes are copied: the copies would go in it too.
//!
//! What is sent is what the first upstream is sent, head and body, but that the identity's passport is for this one,
//! and that a header says what it is.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use http::{HeaderValue, Method};

use super::attempt::{Manner, attempt};
use super::{deadline, head};
use crate::config::settings::mirror::{MARK, Mirror};
use crate::exchange::Exchange;
use crate::held_bytes::Gathered;
use crate::http1::write_field;
use crate::network::Network;
use crate::request_body::{NotCopied, RequestBody, Tapped};
use crate::request_fields::RequestFields;
use crate::request_target::PathQuery;
use crate::response_body::{Answer, Source};
use crate::telemetry::metrics::{MirrorResult, RouteSeries};
use crate::upstream::stage::select;

/// Copies of a worker that are in flight at once.
const MOST: u32 = 256;
/// What is read of an answer, so that its connection can be used again; one with more to say is closed.
const MOST_READ: usize = 1 << 20;
/// The time of a copy where the route gives none.
const LONGEST: Duration = Duration::from_secs(60);

/// What a route copies.
pub struct Mirroring {
    /// Among the snapshot's routes, the place of the one that copies are sent by.
    route: usize,
    /// Random bits below this are a copy; `None`: all are.
    below: Option<u64>,
    settings: Arc<Mirror>,
}

impl Mirroring {
    /// Compiles it; copies are sent by this route of the snapshot.
    pub fn new(settings: &Arc<Mirror>, route: usize) -> Self {
        // Truncated: a fraction below 1 leaves at least one value out.
        let below = (settings.fraction < 1.0).then_some((settings.fraction * 2_f64.powi(64)) as u64);
        Self { route, below, settings: Arc::clone(settings) }
    }

    fn is_drawn(&self, bits: u64) -> bool {
        self.below.is_none_or(|below| bits < below)
    }

    fn takes(&self, method: &Method) -> bool {
        self.settings.methods.is_empty() || self.settings.methods.contains(method)
    }
}

/// A copy on its way.
pub struct Copy<N: Network> {
    /// Its exchange: it leaves no record.
    pub exchange: Box<Exchange<N>>,
    headers: RequestFields,
    target: PathQuery,
    body: Tapped,
    tally: Tally,
}

/// Counts what became of a copy, once, when it is dropped.
struct Tally {
    series: Arc<RouteSeries>,
    worker: usize,
    result: MirrorResult,
}

impl Drop for Tally {
    fn drop(&mut self) {
        self.series.mirrored(self.worker, self.result);
    }
}

/// A copy of this request, if one is to be made. Its body is copied as it passes.
pub fn copy<N: Network>(
    exchange: &Exchange<N>,
    headers: &RequestFields,
    target: &PathQuery,
    body: &mut RequestBody,
) -> Option<Copy<N>> {
    let (route, shard) = (exchange.route()?, &exchange.shard);
    let mirroring = route.mirror.as_deref()?;
    if !exchange.passes.may_be_copied() || !mirroring.takes(&exchange.method) || !mirroring.is_drawn(shard.random()) {
        return None;
    }
    // Given up, unless something else is said.
    let mut tally = Tally { series: Arc::clone(&route.series), worker: shard.index, result: MirrorResult::Abandoned };
    if !shard.gate.is_open() {
        tally.result = MirrorResult::Shed;
        return None;
    }
    if shard.copies.count() >= MOST {
        tally.result = MirrorResult::Full;
        return None;
    }
    // Of the memory that bodies share, copies leave three quarters to those whom clients wait for.
    let room = Gathered::new(&shard.held, exchange.snapshot.config.server.body_match_memory / 4);
    let body = match body.tap(room, mirroring.settings.max_body) {
        Ok(body) => body,
        Err(why) => {
            tally.result = why.into();
            return None;
        }
    };
    let exchange = exchange.copied(mirroring.route);
    Some(Copy { exchange, headers: headers.clone(), target: target.clone(), body, tally })
}

impl From<NotCopied> for MirrorResult {
    fn from(why: NotCopied) -> Self {
        match why {
            NotCopied::TooLarge => Self::TooLarge,
            NotCopied::NoRoom => Self::NoMemory,
            NotCopied::Cut => Self::BodyCut,
        }
    }
}

/// Sends a copy, once its body is there, and reads the answer. Nobody waits for this.
pub async fn send<N: Network>(copy: Copy<N>) {
    let shared = Arc::clone(&copy.exchange.shard.shared);
    if AssertUnwindSafe(sent(copy)).catch_unwind().await.is_err() {
        shared.metrics.gateway().panicked();
    }
}

async fn sent<N: Network>(copy: Copy<N>) {
    let Copy { mut exchange, headers, target, body, mut tally } = copy;
    let body = match body.whole().await {
        Ok(None) => RequestBody::Empty,
        Ok(Some(replay)) => {
            // A client may take its time for a body: none of it is the copy's.
            exchange.begin_anew();
            let clock = exchange.shard.shared.clock.clone();
            let deadlines = Arc::clone(&exchange.connection.deadlines);
            RequestBody::again(replay, deadlines, clock, Arc::clone(&exchange.snapshot.header_rules))
        }
        Err(why) => {
            tally.result = why.into();
            return;
        }
    };
    let Some(_place) = exchange.shard.copies.try_enter(MOST) else {
        tally.result = MirrorResult::Full;
        return;
    };
    asked(&mut exchange, headers, target, body, &mut tally).await;
}

/// Asks one endpoint, once.
async fn asked<N: Network>(
    exchange: &mut Exchange<N>,
    mut headers: RequestFields,
    target: PathQuery,
    body: RequestBody,
    tally: &mut Tally,
) {
    deadline::forget(exchange, &mut headers);
    // As late as this: the body may have taken longer than a passport holds.
    exchange.renew_passport();
    let Ok(selected) = select(exchange, &headers) else {
        tally.result = MirrorResult::Refused;
        return;
    };
    let head::Outgoing { mut head, body } = head::build(exchange, &selected, headers, target, body);
    // Nothing of the client's has this name, and no edit of the route takes it away.
    write_field(&mut head.lines, &MARK, HeaderValue::from_static("1").as_bytes());
    let (plain, began) = (head.lines.len(), exchange.moment());
    let time = exchange.timeout.unwrap_or(LONGEST);
    deadline::stamp(exchange, &mut head, plain, began.at);
    exchange.begins(began);
    let manner = Manner { began, most: Some(time), switches: false, span: None, replayed: false };
    let tried = Box::pin(attempt(exchange, selected, &head, body, manner)).await;
    let Ok(Answer { source, .. }) = tried else {
        tally.result = MirrorResult::Failed;
        return;
    };
    // It was answered, also if the rest is never read.
    tally.result = MirrorResult::Answered;
    let left = time.saturating_sub(exchange.moment().after(began));
    let _ = tokio::time::timeout(left, read(exchange, source)).await;
}

/// Reads an answer to its end, and gives its connection back; one that is too long or breaks off is closed.
async fn read<N: Network>(exchange: &Exchange<N>, mut source: Source<N>) {
    let mut left = MOST_READ;
    while !source.leg.is_over() {
        match std::future::poll_fn(|cx| source.leg.poll_frame(cx)).await {
            Some(Ok(frame)) => match left.checked_sub(frame.data_ref().map_or(0, bytes::Bytes::len)) {
                Some(rest) => left = rest,
                None => return,
            },
            Some(Err(_)) => return,
            None => break,
        }
    }
    source.finish(exchange, exchange.now());
}
