//! Who may add to a trail, for how long, and how much.

use std::time::Duration;

use super::super::tracer::tests::tracer;
use super::*;

fn begin(tracer: &Arc<Tracer>) -> Option<Track> {
    Track::begin(tracer, [1; 16], [2; 8], || Some("a=1".into()))
}

fn root(track: &Track, now: Instant) -> Span {
    Span { ended: Some(now), ..Span::new(Kind::Server, Value::Fixed("GET"), track.span(), None, now) }
}

#[test]
fn a_trail_goes_out_when_the_last_who_may_add_to_it_is_gone() {
    let (tracer, _) = tracer(100);
    let track = begin(&tracer).unwrap();
    let now = tracer.now();
    let part = track.call(Kind::Internal, Value::Fixed("part"), now, |_| {});
    let under = track.under(part);
    let call = under.call(Kind::Client, Value::Fixed("GET"), now, |it| it.push(("a", Value::Number(1))));
    track.add(root(&track, now));
    drop(track);
    assert_eq!(tracer.outbox.len(), 0, "a part is under way");
    under.end(call, now + Duration::from_secs(1), true, [("b", Value::Number(2))]);
    drop(under);
    let [trace] = &tracer.outbox.take()[..] else { panic!("one trace") };
    assert_eq!((trace.trace_id, trace.state.as_deref()), ([1; 16], Some("a=1")));
    let of = |id: SpanId| trace.spans.iter().find(|span| span.id == id).unwrap();
    assert_eq!((of(call).parent, of(part).parent), (Some(part), Some(trace.spans[2].id)));
    assert_eq!((of(call).failed, of(call).attributes.len()), (true, 2));
    assert_eq!(of(part).ended, of(call).ended, "what was given up ends with the last of the others");
}

#[test]
fn ids_are_all_different_and_hang_on_the_requests_own() {
    let (tracer, _) = tracer(1000);
    let (one, other) = (begin(&tracer).unwrap(), begin(&tracer).unwrap());
    let ids = |track: &Track| -> Vec<SpanId> {
        (0..200).map(|_| track.call(Kind::Client, Value::Fixed("GET"), tracer.now(), |_| {})).collect()
    };
    let drawn = ids(&one);
    assert_eq!(drawn, ids(&other));
    let different: std::collections::BTreeSet<_> = drawn.into_iter().chain([one.span()]).collect();
    assert_eq!(different.len(), 201);
}

#[test]
fn spans_of_a_trail_are_bounded_and_the_requests_own_is_always_there() {
    let (tracer, metrics) = tracer(10_000);
    let track = begin(&tracer).unwrap();
    for _ in 0..2 * MOST_SPANS {
        track.call(Kind::Client, Value::Fixed("GET"), tracer.now(), |_| {});
    }
    track.add(root(&track, tracer.now()));
    drop(track);
    let [trace] = &tracer.outbox.take()[..] else { panic!("one trace") };
    assert_eq!((trace.spans.len(), trace.spans.last().unwrap().kind), (MOST_SPANS, Kind::Server));
    assert_eq!(metrics.spans().total(SpanResult::TooMany), MOST_SPANS as u64 + 1);
}

#[test]
fn while_the_queue_is_full_no_trail_begins_and_that_is_counted() {
    let (tracer, metrics) = tracer(1);
    let fill = || {
        let track = begin(&tracer)?;
        track.add(root(&track, tracer.now()));
        Some(())
    };
    assert_eq!((fill(), fill(), fill()), (Some(()), None, None));
    assert_eq!(metrics.spans().total(SpanResult::QueueFull), 2);
    assert_eq!((tracer.outbox.take().len(), fill()), (1, Some(())));
}

#[test]
fn what_is_opened_ends_when_it_is_dropped() {
    let (tracer, _) = tracer(10);
    let track = begin(&tracer).unwrap();
    let mut opened = track.open(Kind::Client, Value::Fixed("EVALSHA"), |_| {});
    opened.came_to(true, ("error.type", Value::Fixed("unavailable")));
    let id = opened.id();
    drop((opened, track));
    let [trace] = &tracer.outbox.take()[..] else { panic!("one trace") };
    let [span] = &trace.spans[..] else { panic!("one span") };
    assert_eq!((span.id, span.failed, span.attributes.len(), span.ended.is_some()), (id, true, 1, true));
}
