//! What of upstreams is said on standard error too, for who has no more than the process's own words: that an upstream
//! is down or back, verdicts of health checks, and endpoints that take requests though they should not.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::bus::Follower;
use super::event::{Event, Kind, Kinds, Stamped};
use crate::algorithms::breaker::State;
use crate::algorithms::ejection::Place;
use crate::telemetry::notice;

/// The most lines in a minute: what flaps is told by metrics and events.
const MOST_A_MINUTE: u32 = 30;
const MINUTE_NS: u64 = 60_000_000_000;

/// What has been said.
#[derive(Debug, Default)]
struct Aloud {
    /// Upstreams, with the route whose breakers they are, that were said to be down.
    down: HashSet<(Arc<str>, Option<Arc<str>>)>,
    minute: u64,
    said: u32,
    left_out: u64,
}

impl Aloud {
    /// The line for an event, where it has one.
    fn line(&mut self, stamped: &Stamped) -> Option<Value> {
        if !self.is_worth_saying(&stamped.event) {
            return None;
        }
        let minute = stamped.ts_ns / MINUTE_NS;
        if std::mem::replace(&mut self.minute, minute) != minute {
            self.said = 0;
        }
        if self.said >= MOST_A_MINUTE {
            self.left_out += 1;
            return None;
        }
        self.said += 1;
        let mut line = json!({ "event": "upstream", "about": stamped.event.kind().as_str() });
        if let (Value::Object(line), Value::Object(fields)) = (&mut line, stamped.event.fields()) {
            line.extend(fields);
        }
        let left_out = std::mem::take(&mut self.left_out);
        if left_out > 0 {
            line["left_out"] = left_out.into();
        }
        Some(line)
    }

    fn is_worth_saying(&mut self, event: &Event) -> bool {
        match event {
            Event::Health { .. } => true,
            Event::Ejection { place, .. } => *place == Place::Capped,
            // One that is dead goes from open to half-open and back for as long as it is tried.
            Event::RollUp { upstream, route, to, .. } => {
                let which = (Arc::clone(upstream), route.clone());
                match to {
                    State::Open => self.down.insert(which),
                    State::Closed => self.down.remove(&which),
                    State::HalfOpen => false,
                }
            }
            _ => false,
        }
    }
}

/// The kinds that are listened to.
pub fn said_aloud() -> Kinds {
    [Kind::Breaker, Kind::Ejection, Kind::Health].into_iter().collect()
}

/// Says what there is to say, for as long as the runtime lives.
pub async fn say(mut follower: Follower) {
    let mut aloud = Aloud::default();
    loop {
        let batch = follower.next().await;
        for line in batch.events.iter().filter_map(|event| aloud.line(event)) {
            notice::upstream(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamped(ts_ns: u64, event: Event) -> Stamped {
        Stamped { seq: 1, ts_ns, event }
    }

    fn rolled_up(from: State, to: State) -> Event {
        Event::RollUp { upstream: "up".into(), route: None, from, to }
    }

    #[test]
    fn an_upstream_is_said_to_be_down_once_and_to_be_back_once() {
        let (mut aloud, mut said) = (Aloud::default(), Vec::new());
        let (closed, open, half_open) = (State::Closed, State::Open, State::HalfOpen);
        for (from, to) in [(closed, open), (open, half_open), (half_open, open), (open, half_open), (half_open, closed)]
        {
            said.extend(aloud.line(&stamped(0, rolled_up(from, to))).map(|line| line["to"].clone()));
        }
        assert_eq!(said, ["open", "closed"]);
        assert_eq!(aloud.line(&stamped(0, rolled_up(half_open, closed))), None, "it was never said to be down");
    }

    #[test]
    fn what_flaps_is_said_so_often_a_minute_and_how_much_was_left_out() {
        let mut aloud = Aloud::default();
        let flap = |ts_ns| {
            stamped(
                ts_ns,
                Event::Health { upstream: "up".into(), endpoint: "a:1".into(), healthy: false, detail: "503".into() },
            )
        };
        let said = (0..100).filter(|_| aloud.line(&flap(1)).is_some()).count();
        assert_eq!(said, 30);
        let line = aloud.line(&flap(MINUTE_NS)).unwrap();
        assert_eq!(
            line.to_string(),
            r#"{"event":"upstream","about":"health","upstream":"up","endpoint":"a:1","healthy":false,"detail":"503","left_out":70}"#
        );
    }
}
