//! A second attempt beside a slow first one: the first good answer wins, and what lost is dropped.
//!
//! It begins after a fixed time, or after the time that most requests of the route take (Dean, Barroso, "The Tail at
//! Scale", 2013), and only where that is safe and affordable: the method may be sent twice, the body has passed as a
//! whole and is kept, another endpoint can take it, the upstream's retry budget has something left, and so has the
//! exchange's time. Where one of these fails the request goes on as if nobody hedged; and so does one whose client's
//! cookie stands for its endpoint: no other has the session, and whoever wins keeps the client.
//!
//! What is dropped closes its connection, gives its place in flight and its probe's place back, and says nothing to its
//! endpoint's breaker. All attempts are polled by the request's own task: a client that leaves drops them all.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use super::attempt::{Failure, Manner, Tried, attempt};
use super::deadline;
use super::head::name_endpoint;
use super::retry::{manner_of, may_be_sent_twice, wants_again};
use crate::error::Fault;
use crate::exchange::Exchange;
use crate::http1::RequestHead;
use crate::network::Network;
use crate::request_body::{Again, RequestBody, Twin};
use crate::response_body::Answer;
use crate::telemetry::metrics::{AttemptOutcome, HedgeResult};
use crate::upstream::hedging::Hedging;
use crate::upstream::stage::select_beside;
use crate::upstream::{Endpoint, Selected};

/// Endpoints that were asked.
pub(super) type Asked<N> = SmallVec<[Arc<Endpoint<N>>; 2]>;

/// Makes the first attempt, and others beside it while it is slow. What came of it, and the endpoints that were asked
/// beside the one that it came from.
pub(super) async fn race<N: Network>(
    exchange: &mut Exchange<N>,
    selected: Selected<N>,
    head: &RequestHead,
    plain: usize,
    mut body: RequestBody,
) -> (Tried<N>, Asked<N>) {
    let began = exchange.moment();
    let mut first = head.clone();
    let manner = manner_of(exchange, &selected, &mut first, began);
    exchange.begins(began);
    let may_hedge = may_be_sent_twice(exchange) && !selected.stays();
    let twin = if may_hedge { body.twin() } else { Twin::Never };
    let ended = {
        let mut field = Field::new(exchange, head, plain, twin);
        let hash = selected.hash();
        field.begin(selected, first, body, manner);
        field.run(hash).await
    };
    exchange.endpoint = Some(Arc::clone(&ended.endpoint));
    exchange.breaker = Some(ended.met);
    exchange.came(&ended.tried);
    (ended.tried, ended.others)
}

/// One attempt of several.
struct Run<'a, N: Network> {
    endpoint: Arc<Endpoint<N>>,
    met: &'static str,
    began: Instant,
    is_hedge: bool,
    work: Pin<Box<dyn Future<Output = Tried<N>> + Send + 'a>>,
}

/// What an attempt came to, and where.
struct Came<N: Network> {
    tried: Tried<N>,
    endpoint: Arc<Endpoint<N>>,
    met: &'static str,
}

/// What the race came to.
struct Ended<N: Network> {
    tried: Tried<N>,
    endpoint: Arc<Endpoint<N>>,
    met: &'static str,
    others: Asked<N>,
}

/// What a wait came to.
enum Event<N: Network> {
    /// The attempt of this number has ended.
    Ended(usize, Tried<N>),
    /// It is time for another one.
    Late,
}

/// All attempts of one request that are under way.
struct Field<'a, N: Network> {
    exchange: &'a Exchange<N>,
    hedging: Option<&'a Hedging>,
    head: &'a RequestHead,
    plain: usize,
    twin: Twin,
    runs: SmallVec<[Run<'a, N>; 2]>,
    asked: Asked<N>,
    /// The best of what ended badly, while others are under way.
    worse: Option<Came<N>>,
    left: u32,
}

impl<'a, N: Network> Field<'a, N> {
    fn new(exchange: &'a Exchange<N>, head: &'a RequestHead, plain: usize, twin: Twin) -> Self {
        let hedging = exchange.route().and_then(|route| route.hedging.as_deref());
        let left = if matches!(twin, Twin::Never) { 0 } else { hedging.map_or(0, |hedging| hedging.max) };
        let (runs, asked) = (SmallVec::new(), SmallVec::new());
        Self { exchange, hedging, head, plain, twin, runs, asked, worse: None, left }
    }

    fn begin(&mut self, selected: Selected<N>, head: RequestHead, body: RequestBody, manner: Manner) {
        let exchange = self.exchange;
        let (endpoint, met, is_hedge) = (Arc::clone(&selected.endpoint), selected.met, !self.asked.is_empty());
        self.asked.push(Arc::clone(&endpoint));
        let work = Box::pin(async move { attempt(exchange, selected, &head, body, manner).await });
        self.runs.push(Run { endpoint, met, began: manner.began.at, is_hedge, work });
    }

    async fn run(mut self, hash: u64) -> Ended<N> {
        let wait = self.hedging.and_then(Hedging::after);
        if wait.is_none() {
            self.left = 0;
        }
        let wait = wait.unwrap_or_default();
        let mut timer = pin!(tokio::time::sleep(wait));
        loop {
            let waits = self.left > 0;
            let event = poll_fn(|cx| {
                for (number, run) in self.runs.iter_mut().enumerate() {
                    if let Poll::Ready(tried) = run.work.as_mut().poll(cx) {
                        return Poll::Ready(Event::Ended(number, tried));
                    }
                }
                if waits && timer.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Event::Late);
                }
                Poll::Pending
            });
            match event.await {
                Event::Ended(number, tried) => {
                    if let Some(ended) = self.ended(number, tried) {
                        return ended;
                    }
                }
                Event::Late => {
                    self.hedge(hash);
                    // At least one tick of the timer, or a body that is still on its way would keep the task awake.
                    let wait = wait.max(Duration::from_millis(1));
                    timer.as_mut().reset(tokio::time::Instant::from_std(self.exchange.now() + wait));
                }
            }
        }
    }

    /// One more attempt, if there may be one.
    fn hedge(&mut self, hash: u64) {
        let (exchange, now) = (self.exchange, self.exchange.moment());
        let body = match self.twin.body() {
            Again::Whole(body) => body,
            // The client is still sending it.
            Again::Later => return,
            Again::Never => {
                self.left = 0;
                return;
            }
        };
        self.left -= 1;
        if exchange.is_out_of_time(now.at) {
            return;
        }
        let selected = select_beside(exchange, hash, &self.asked);
        let Some(selected) = selected.filter(|selected| !self.has_asked(&selected.endpoint)) else {
            return self.count(HedgeResult::NoEndpoint);
        };
        let Some(upstream) = exchange.upstream() else { return };
        if !upstream.may_retry(now.since.ticks_ms()) {
            return self.count(HedgeResult::NoBudget);
        }
        let mut head = self.head.clone();
        name_endpoint(exchange, &mut head.headers, &selected.endpoint);
        deadline::stamp(exchange, &mut head, self.plain, now.at);
        let manner = manner_of(exchange, &selected, &mut head, now);
        exchange.hedges.fetch_add(1, Ordering::Relaxed);
        if let Some(parts) = &exchange.parts {
            parts.attempt_begins();
        }
        self.begin(selected, head, body, manner);
    }

    /// An attempt has ended: what the race came to, if that decides it.
    fn ended(&mut self, number: usize, tried: Tried<N>) -> Option<Ended<N>> {
        let run = self.runs.remove(number);
        if !run.is_hedge {
            self.observe(&tried, run.began);
        }
        let good = is_good(self.exchange, &tried);
        if run.is_hedge {
            self.count(if good { HedgeResult::Won } else { HedgeResult::Failed });
        }
        let came = Came { tried, endpoint: run.endpoint, met: run.met };
        if good || is_of_the_client(&came.tried) {
            return Some(self.end(came));
        }
        let kept = match self.worse.take() {
            // An answer tells a client more than none.
            Some(worse) if worse.tried.is_ok() || came.tried.is_err() => worse,
            _ => came,
        };
        if self.runs.is_empty() {
            return Some(self.end(kept));
        }
        self.worse = Some(kept);
        // An answer's head stops the clock of the exchange, which others still need.
        deadline::arm(self.exchange);
        None
    }

    fn end(&mut self, came: Came<N>) -> Ended<N> {
        let Came { tried, endpoint, met } = came;
        let now = self.exchange.now();
        self.exchange.is_decided.store(true, Ordering::Relaxed);
        for run in self.runs.drain(..) {
            if !run.is_hedge {
                saw(self.exchange, self.hedging, run.began, now);
            }
            // It says itself that it is given up.
            drop(run.work);
            if run.is_hedge
                && let Some(upstream) = self.exchange.upstream()
            {
                upstream.series.hedged(self.exchange.shard.index, HedgeResult::Lost);
            }
        }
        let others = self.asked.drain(..).filter(|asked| !Arc::ptr_eq(asked, &endpoint)).collect();
        Ended { tried, endpoint, met, others }
    }

    /// What a first attempt says of the latency: what came and was no failure, and what took too long to come.
    fn observe(&self, tried: &Tried<N>, began: Instant) {
        let came = match tried {
            Ok(answer) if !answer.judged.is_server_error() => answer.came.at,
            Err(lost) if lost.outcome == AttemptOutcome::Timeout => self.exchange.now(),
            _ => return,
        };
        saw(self.exchange, self.hedging, began, came);
    }

    fn has_asked(&self, endpoint: &Arc<Endpoint<N>>) -> bool {
        self.asked.iter().any(|asked| Arc::ptr_eq(asked, endpoint))
    }

    fn count(&self, result: HedgeResult) {
        if let Some(upstream) = self.exchange.upstream() {
            upstream.series.hedged(self.exchange.shard.index, result);
        }
    }
}

/// A first attempt's time. What its client took to send the body says nothing of the upstream.
fn saw<N: Network>(exchange: &Exchange<N>, hedging: Option<&Hedging>, began: Instant, came: Instant) {
    let took = came.saturating_duration_since(began);
    if let (Some(hedging), Some(waited)) = (hedging, deadline::waited(exchange, took, came)) {
        hedging.saw(waited);
    }
}

/// Whether nobody would want another answer than this.
fn is_good<N: Network>(exchange: &Exchange<N>, tried: &Tried<N>) -> bool {
    let is_answer = |answer: &Answer<N>| !answer.judged.is_server_error();
    tried.as_ref().is_ok_and(is_answer) && !wants_again(exchange, tried)
}

/// Whether no other attempt could do better: the client left, or broke its own request.
fn is_of_the_client<N: Network>(tried: &Tried<N>) -> bool {
    tried.as_ref().is_err_and(|lost| match &lost.failure {
        Failure::ClientLeft => true,
        Failure::Problem(error) | Failure::Covered(error) => error.code.fault() == Fault::Client,
    })
}
