//! In virtual time: every sleep moves a clock that nothing else moves.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Instant;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use tokio::task::JoinHandle;

use super::super::span::{Kind, Span, SpanId, Value};
use super::super::tracer::tests::{export, tracer};
use super::super::trail::Trace;
use super::*;
use crate::locked::lock;
use crate::telemetry::metrics::Registry;

/// A collector that answers what it is told to, then takes everything.
#[derive(Debug, Clone, Default)]
struct Collector(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    verdicts: VecDeque<Verdict>,
    /// When a message came, to whom, and how many spans were in it.
    came: Vec<(Instant, Arc<str>, usize)>,
    /// It says nothing.
    hangs: bool,
    /// Spans that are still to come, one while each message is under way.
    more: usize,
}

struct Way(Collector, Arc<Tracer>, Arc<str>);

impl Collector {
    fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut lock(&self.0))
    }

    fn will(&self, verdicts: impl IntoIterator<Item = Verdict>) {
        self.with(|state| state.verdicts.extend(verdicts));
    }

    fn sizes(&self) -> Vec<usize> {
        self.with(|state| state.came.iter().map(|(_, _, spans)| *spans).collect())
    }
}

impl Carrier for Way {
    async fn carry(&self, message: Bytes) -> Verdict {
        let read = ExportTraceServiceRequest::decode(message).unwrap();
        let spans = read.resource_spans[0].scope_spans[0].spans.len();
        let (verdict, hangs) = self.0.with(|state| {
            state.came.push((self.1.now(), Arc::clone(&self.2), spans));
            put(&self.1, state.more.min(1));
            state.more = state.more.saturating_sub(1);
            (state.verdicts.pop_front().unwrap_or(Verdict::WHOLE), state.hangs)
        });
        if hangs {
            std::future::pending::<()>().await;
        }
        verdict
    }
}

/// A tracer whose spans go to the collector.
fn sending(queue: usize, collector: &Collector) -> (Arc<Tracer>, Arc<Registry>, JoinHandle<()>) {
    let (tracer, metrics) = tracer(queue);
    let (way, collector) = (Arc::clone(&tracer), collector.clone());
    let connect = move |export: &Export| Ok(Way(collector.clone(), Arc::clone(&way), Arc::from(&*export.endpoint)));
    let task = tokio::spawn(run_with(Arc::clone(&tracer), connect));
    (tracer, metrics, task)
}

fn put(tracer: &Tracer, spans: usize) {
    if spans == 0 {
        return;
    }
    let span = Span::new(Kind::Server, Value::Fixed("GET"), SpanId::MIN, None, tracer.now());
    tracer.put(Trace { trace_id: [1; 16], state: None, spans: vec![span; spans] });
}

fn later(after: Option<u64>) -> Verdict {
    Verdict::Later { after: after.map(Duration::from_secs), why: "it answered 503".to_owned() }
}

/// Waits, in virtual time, until so many messages have come.
async fn came(collector: &Collector, count: usize) {
    while collector.sizes().len() < count {
        // virtual time
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn spans_wait_for_others_for_a_second_unless_there_are_enough() {
    let collector = Collector::default();
    let (tracer, metrics, _task) = sending(10_000, &collector);
    let began = tracer.now();
    put(&tracer, 1);
    put(&tracer, 2);
    came(&collector, 1).await;
    assert_eq!(collector.with(|state| state.came[0].0), began + LINGER);
    let second = tracer.now();
    put(&tracer, TOGETHER - 1);
    put(&tracer, 1);
    came(&collector, 2).await;
    assert!(tracer.now() - second <= Duration::from_millis(1), "at once");
    assert_eq!(collector.sizes(), [3, TOGETHER]);
    assert_eq!(metrics.spans().total(SpanResult::Exported), 3 + TOGETHER as u64);
    assert_eq!(metrics.spans().dropped(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_taken_now_is_sent_again_and_not_before_it_is_asked_for() {
    let collector = Collector::default();
    collector.will([later(None), later(Some(20)), later(None)]);
    let (tracer, metrics, _task) = sending(100, &collector);
    let mut events = tracer.follow();
    put(&tracer, 2);
    came(&collector, 4).await;
    let times = collector.with(|state| state.came.iter().map(|(at, ..)| *at).collect::<Vec<_>>());
    assert!(times[1] - times[0] <= FIRST_WAIT && times[2] - times[1] >= Duration::from_secs(20));
    tokio::task::yield_now().await;
    assert_eq!(metrics.spans().total(SpanResult::Exported), 2);
    assert_eq!(collector.sizes(), [2; 4], "the same message each time");
    let told: Vec<String> = events.next().await.events.iter().map(|event| event.to_json()).collect();
    assert_eq!(told.len(), 2, "down once, up once: {told:?}");
    assert!(told[0].contains("\"failing\":true") && told[0].contains("503"), "{told:?}");
    assert!(told[1].contains("\"failing\":false"), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_collector_that_is_down_costs_bounded_tries_and_bounded_memory() {
    let collector = Collector::default();
    collector.will(std::iter::repeat_n(later(None), 1000));
    let (tracer, metrics, _task) = sending(10, &collector);
    for _ in 0..10_000 {
        if tracer.has_room() {
            put(&tracer, 5);
        }
        // virtual time
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(tracer.outbox.len() <= 10);
    let tries = collector.sizes().len();
    assert!((6..60).contains(&tries), "{tries} tries in a hundred seconds");
    assert!(metrics.spans().total(SpanResult::Unreachable) >= 5, "given up, to make room for what is new");
    assert!(metrics.spans().total(SpanResult::QueueFull) > 5_000);
    assert_eq!(metrics.spans().total(SpanResult::Exported), 0);
    collector.with(|state| state.verdicts.clear());
    let before = collector.sizes().len();
    came(&collector, before + 2).await;
    assert!(metrics.spans().total(SpanResult::Exported) > 0, "it is well again");
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_or_rejected_is_not_sent_again() {
    let collector = Collector::default();
    let partly = Verdict::Taken { rejected: 2, why: "it rejected 2 spans: too old".to_owned() };
    collector.will([Verdict::Refused("it answered 400".to_owned()), partly]);
    let (tracer, metrics, _task) = sending(100, &collector);
    for (count, spans) in [3, 5, 1].into_iter().enumerate() {
        put(&tracer, spans);
        came(&collector, count + 1).await;
    }
    tokio::task::yield_now().await;
    assert_eq!(collector.sizes(), [3, 5, 1]);
    let spans = metrics.spans();
    assert_eq!((spans.total(SpanResult::Rejected), spans.total(SpanResult::Exported)), (5, 4));
    assert_eq!(spans.dropped(), 5);
}

#[tokio::test(start_paused = true)]
async fn why_the_collector_takes_no_spans_is_what_it_said_last_and_another_reason_is_told() {
    let collector = Collector::default();
    let refused = |why: &str| Verdict::Refused(why.to_owned());
    let partly = || Verdict::Taken { rejected: 2, why: "it rejected 2 spans: too old".to_owned() };
    let (tracer, _metrics, _task) = sending(100, &collector);
    let mut events = tracer.follow();
    let began = tracer.now();
    let mut whys = Vec::new();
    // The third reason comes too soon after the second to be told aloud; the last was.
    for (at, verdict) in
        [(0, refused("it answered 404")), (20, partly()), (22, refused("it answered 403")), (24, partly())]
    {
        tokio::time::sleep_until((began + Duration::from_secs(at)).into()).await; // virtual time
        collector.will([verdict]);
        put(&tracer, 3);
        came(&collector, whys.len() + 1).await;
        tokio::task::yield_now().await;
        whys.push(tracer.failing().unwrap());
    }
    let said: Vec<&str> = whys.iter().map(|(_, why)| &**why).collect();
    let too_old = "it rejected 2 spans: too old";
    assert_eq!(said, ["it answered 404", too_old, "it answered 403", too_old]);
    assert!(whys.iter().all(|(since, _)| *since == whys[0].0), "it is one trouble");
    let told: Vec<String> = events.next().await.events.iter().map(|event| event.to_json()).collect();
    assert!(told.len() == 2 && told[0].contains("404") && told[1].contains("too old"), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn at_the_end_everything_is_sent_at_once_and_once() {
    let collector = Collector::default();
    let (tracer, metrics, task) = sending(10_000, &collector);
    tokio::task::yield_now().await;
    let began = tracer.now();
    for _ in 0..5 {
        put(&tracer, TOGETHER - 1);
    }
    tracer.finish(Duration::from_secs(2)).await;
    assert_eq!(tracer.now(), began, "nothing is waited for");
    assert_eq!(metrics.spans().total(SpanResult::Exported), 5 * (TOGETHER as u64 - 1));
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_end_waits_for_a_collector_that_hangs_no_longer_than_it_may() {
    let collector = Collector::default();
    collector.with(|state| state.hangs = true);
    let (tracer, metrics, _task) = sending(10_000, &collector);
    put(&tracer, 7);
    came(&collector, 1).await;
    put(&tracer, 9);
    let began = tracer.now();
    tracer.finish(Duration::from_secs(2)).await;
    assert_eq!(tracer.now() - began, Duration::from_secs(2));
    assert_eq!(metrics.spans().total(SpanResult::Ended), 9, "what waits behind it is lost, and counted");
}

#[tokio::test(start_paused = true)]
async fn at_the_end_a_collector_that_is_down_is_tried_once() {
    let collector = Collector::default();
    collector.will(std::iter::repeat_n(later(Some(60)), 1000));
    let (tracer, metrics, task) = sending(10_000, &collector);
    put(&tracer, 7);
    came(&collector, 1).await;
    put(&tracer, 9);
    let began = tracer.now();
    tracer.finish(Duration::from_secs(2)).await;
    task.await.unwrap();
    assert_eq!(tracer.now(), began);
    assert_eq!(metrics.spans().total(SpanResult::Unreachable), 16);
}

#[tokio::test(start_paused = true)]
async fn other_settings_hold_for_what_waits_too() {
    let collector = Collector::default();
    collector.will([later(Some(300))]);
    let (tracer, metrics, _task) = sending(100, &collector);
    put(&tracer, 3);
    came(&collector, 1).await;
    let mut other = Export::clone(&export(100));
    other.endpoint = "http://127.0.0.2:4318".into();
    tracer.configure(Some(&Arc::new(other)));
    came(&collector, 2).await;
    let places: Vec<String> = collector.with(|state| state.came.iter().map(|(_, to, _)| to.to_string()).collect());
    assert_eq!(places, ["http://127.0.0.1:4318", "http://127.0.0.2:4318"]);
    tokio::task::yield_now().await;
    assert_eq!(metrics.spans().total(SpanResult::Exported), 3);
    tracer.configure(None);
    assert!(!tracer.is_on());
    put(&tracer, 1);
    assert_eq!(tracer.outbox.len(), 0, "there is no room for any");
}

#[tokio::test(start_paused = true)]
async fn other_settings_hold_though_there_is_always_something_to_send() {
    let collector = Collector::default();
    collector.with(|state| state.more = 100);
    let (tracer, ..) = sending(1_000, &collector);
    put(&tracer, 1);
    came(&collector, 3).await;
    let mut other = Export::clone(&export(1_000));
    other.endpoint = "http://127.0.0.2:4318".into();
    tracer.configure(Some(&Arc::new(other)));
    came(&collector, 8).await;
    let places: Vec<String> = collector.with(|state| state.came.iter().map(|(_, to, _)| to.to_string()).collect());
    assert!(places[4..].iter().all(|to| to == "http://127.0.0.2:4318"), "one may be under way: {places:?}");
}
