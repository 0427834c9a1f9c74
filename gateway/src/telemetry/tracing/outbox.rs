//! Traces that wait to be sent. Bounded by the number of their spans; whoever puts one in never waits.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};

use tokio::sync::Notify;

use super::trail::Trace;

use crate::locked::lock;

/// Spans that travel together, about: what an exporter of OpenTelemetry sends at once.
pub(super) const TOGETHER: usize = 512;

/// The queue.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    waiting: Mutex<Waiting>,
    /// There is room for more. Changed under the lock alone, so that it is never behind.
    room: AtomicBool,
    /// Told when it is not empty any more, and when it holds enough to be sent.
    pub(super) changed: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    traces: VecDeque<Trace>,
    spans: usize,
    most: usize,
}

impl Outbox {
    /// From now on it holds so many spans.
    pub(super) fn hold(&self, most: usize) {
        let mut waiting = self.lock();
        waiting.most = most;
        self.tell_of_room(&waiting);
    }

    /// Whether there is room for more.
    #[inline]
    pub(super) fn has_room(&self) -> bool {
        self.room.load(Ordering::Relaxed)
    }

    /// Puts a trace in, if there is room for its spans. Whether it did.
    pub(super) fn put(&self, trace: Trace) -> bool {
        let mut waiting = self.lock();
        let (before, after) = (waiting.spans, waiting.spans + trace.spans.len());
        if after > waiting.most {
            return false;
        }
        waiting.spans = after;
        waiting.traces.push_back(trace);
        self.tell_of_room(&waiting);
        drop(waiting);
        if before == 0 || (before < TOGETHER && after >= TOGETHER) {
            self.changed.notify_one();
        }
        true
    }

    /// Takes about as many spans as travel together: whole traces, the oldest first, at least one.
    pub(super) fn take(&self) -> Vec<Trace> {
        let mut waiting = self.lock();
        let (mut taken, mut spans) = (Vec::new(), 0);
        while let Some(next) = waiting.traces.front()
            && (spans == 0 || spans + next.spans.len() <= TOGETHER)
        {
            spans += next.spans.len();
            taken.extend(waiting.traces.pop_front());
        }
        waiting.spans -= spans;
        self.tell_of_room(&waiting);
        taken
    }

    fn tell_of_room(&self, waiting: &Waiting) {
        self.room.store(waiting.spans < waiting.most, Ordering::Relaxed);
    }

    /// Spans that wait.
    pub(super) fn len(&self) -> usize {
        self.lock().spans
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        lock(&self.waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::super::span::{Kind, Span, SpanId, Value};
    use super::*;
    use crate::clock::Clock;

    fn trace(number: u8, spans: usize) -> Trace {
        let now = Clock::system().now();
        let span = Span::new(Kind::Server, Value::Fixed("GET"), SpanId::MIN, None, now);
        Trace { trace_id: [number; 16], state: None, spans: vec![span; spans] }
    }

    fn numbers(traces: &[Trace]) -> Vec<u8> {
        traces.iter().map(|trace| trace.trace_id[0]).collect()
    }

    #[test]
    fn it_holds_so_many_spans_and_no_more() {
        let outbox = Outbox::default();
        assert!(!outbox.has_room(), "none, before it is told how much");
        outbox.hold(5);
        assert!(outbox.put(trace(1, 3)) && outbox.has_room());
        assert!(!outbox.put(trace(2, 3)) && outbox.has_room(), "a smaller one may fit");
        assert!(outbox.put(trace(3, 2)) && !outbox.has_room(), "the last place");
        outbox.hold(6);
        assert!(outbox.has_room());
        outbox.hold(5);
        assert_eq!((outbox.len(), numbers(&outbox.take())), (5, vec![1, 3]));
        assert_eq!((outbox.len(), outbox.take().len(), outbox.has_room()), (0, 0, true));
    }

    #[test]
    fn whole_traces_travel_together_and_a_large_one_alone() {
        let outbox = Outbox::default();
        outbox.hold(usize::MAX);
        for (number, spans) in [(1, TOGETHER - 1), (2, 2), (3, TOGETHER + 9), (4, 1)] {
            outbox.put(trace(number, spans));
        }
        let taken: Vec<_> = std::iter::from_fn(|| Some(numbers(&outbox.take())).filter(|it| !it.is_empty())).collect();
        assert_eq!(taken, [vec![1], vec![2], vec![3], vec![4]]);
    }
}
