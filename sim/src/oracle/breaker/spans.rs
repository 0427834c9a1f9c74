//! The states of a breaker as spans of time, and when the cap on ejection kept its endpoint in.

use crate::history::{BreakerState, Endpoint, EventKind, History, Name};

/// A stretch in which a breaker had one state.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Span {
    pub state: BreakerState,
    pub from_ns: u64,
    /// The first nanosecond after it; `u64::MAX` for the last span.
    pub until_ns: u64,
    /// Why it began; empty for the first one.
    pub cause: Name,
    /// Openings in a row up to this one, when it is open.
    pub openings: u32,
}

impl Span {
    pub(crate) fn contains(&self, at_ns: u64) -> bool {
        (self.from_ns..self.until_ns).contains(&at_ns)
    }

    /// Whether it opened since a probe had failed. After a closed state it is one of those that closed it, whose answer
    /// broke off behind its head.
    pub(crate) fn is_by_probe(&self) -> bool {
        self.state == BreakerState::Open && &*self.cause == "probe_failed"
    }
}

/// The states of an endpoint's breaker, from closed at the clock's zero.
pub(crate) fn of(history: &History, endpoint: &Endpoint) -> Vec<Span> {
    let changes = history.events.iter().filter_map(|event| match &event.kind {
        EventKind::Breaker { endpoint: Some(of), to, cause, .. } if of == endpoint => Some((event.at_ns, *to, cause)),
        _ => None,
    });
    from_changes(changes)
}

/// The states of an upstream's roll-up.
pub(crate) fn of_roll_up(history: &History, of: &str) -> Vec<Span> {
    let changes = history.events.iter().filter_map(|event| match &event.kind {
        EventKind::Breaker { endpoint: None, upstream, to, cause, .. } if &**upstream == of => {
            Some((event.at_ns, *to, cause))
        }
        _ => None,
    });
    from_changes(changes)
}

fn from_changes<'a>(changes: impl Iterator<Item = (u64, BreakerState, &'a Name)>) -> Vec<Span> {
    let first = Span { state: BreakerState::Closed, from_ns: 0, until_ns: u64::MAX, cause: "".into(), openings: 0 };
    let mut spans = vec![first];
    let (mut openings, mut before_closed) = (0, 0);
    for (at_ns, state, cause) in changes {
        let was_closed = spans.last().is_some_and(|last| last.state == BreakerState::Closed);
        if let Some(last) = spans.last_mut() {
            last.until_ns = at_ns;
        }
        let mut span = Span { state, from_ns: at_ns, until_ns: u64::MAX, cause: cause.clone(), openings };
        match state {
            BreakerState::Closed => (before_closed, span.openings) = (openings, 0),
            // It was no recovery: the row goes on.
            BreakerState::Open if was_closed && span.is_by_probe() => span.openings = before_closed + 1,
            BreakerState::Open => span.openings += 1,
            BreakerState::HalfOpen => {}
        }
        openings = span.openings;
        spans.push(span);
    }
    spans
}

/// When the cap on ejection kept the endpoint in, so that attempts while it is open are no leaks.
pub(crate) fn capped(history: &History, endpoint: &Endpoint) -> Vec<(u64, u64)> {
    let (mut spans, mut since) = (Vec::new(), None);
    for event in &history.events {
        match &event.kind {
            EventKind::Ejection { endpoint: of, capped, .. } if of == endpoint => match (since, capped) {
                (None, true) => since = Some(event.at_ns),
                (Some(from), false) => {
                    spans.push((from, event.at_ns));
                    since = None;
                }
                _ => {}
            },
            _ => {}
        }
    }
    spans.extend(since.map(|from| (from, u64::MAX)));
    spans
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::story::{Story, endpoint};
    use BreakerState::{Closed, HalfOpen, Open};

    #[test]
    fn spans_follow_the_events_of_one_endpoint() {
        let history = Story::new()
            .at_ms(10)
            .breaker("orders/1", Closed, Open)
            .breaker("orders/0", Closed, Open)
            .at_ms(20)
            .breaker("orders/1", Open, HalfOpen)
            .at_ms(25)
            .breaker("orders/1", HalfOpen, Open)
            .at_ms(60)
            .breaker("orders/1", Open, Closed)
            .end();
        let spans = of(&history, &endpoint("orders/1"));
        let short: Vec<_> = spans.iter().map(|span| (span.state, span.from_ns / 1_000_000, span.openings)).collect();
        assert_eq!(short, [(Closed, 0, 0), (Open, 10, 1), (HalfOpen, 20, 1), (Open, 25, 2), (Closed, 60, 0)]);
        assert_eq!(spans.last().unwrap().until_ns, u64::MAX);
    }

    #[test]
    fn a_probe_that_broke_off_when_it_had_closed_goes_on_with_the_row() {
        let because = |story: Story, at_ms: u64, from: BreakerState, to: BreakerState, cause: &str| {
            let (upstream, of) = ("orders".into(), Some(endpoint("orders/1")));
            story.at_ms(at_ms).event(EventKind::Breaker { upstream, endpoint: of, from, to, cause: cause.into() })
        };
        let story = because(Story::new(), 10, Closed, Open, "failure_ratio");
        let story = because(story, 20, Open, HalfOpen, "timer");
        let story = because(story, 25, HalfOpen, Closed, "probes_passed");
        let openings = |story: Story| of(&story.end(), &endpoint("orders/1")).last().unwrap().openings;
        assert_eq!(openings(because(story.clone(), 26, Closed, Open, "probe_failed")), 2);
        assert_eq!(openings(because(story, 26, Closed, Open, "failure_ratio")), 1);
    }

    #[test]
    fn the_cap_has_spans_too() {
        let history = Story::new()
            .at_ns(5)
            .capped("orders/1", true)
            .at_ns(9)
            .capped("orders/1", false)
            .at_ns(12)
            .capped("orders/1", true)
            .end();
        assert_eq!(capped(&history, &endpoint("orders/1")), [(5, 9), (12, u64::MAX)]);
    }
}
