//! What of upstreams is said on standard error too, for who has no more than the process's own words: that an upstream
//! is down or back, that its backups take requests or do not any more, verdicts of health checks, and endpoints that
//! take requests though they should not. So is, which happens once, that nobody says whose requests are.
//!
//! Lines of endpoints beyond so many a minute are left out and counted, and one upstream alone cannot use them all up.
//! That an upstream is down, on its backups, or back, is left out never: beyond as many it waits for the next minute,
//! and is said then if it still holds.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::MissedTickBehavior;

use super::bus::Follower;
use super::event::{Event, Stamped};
use super::kind::{Kind, Kinds};
use crate::algorithms::breaker::State;
use crate::algorithms::ejection::Place;
use crate::algorithms::tiers::Serving;
use crate::telemetry::notice;

/// The most lines in a minute, of endpoints, and as many of upstreams: what flaps is told by metrics and events.
const MOST: u32 = 30;
/// The most of these about one upstream's endpoints.
const MOST_OF_ONE: u32 = 10;
const MINUTE: Duration = Duration::from_secs(60);

/// An upstream, with the route whose breakers it is about where they are a route's own, and what is told of it.
type Whole = (Arc<str>, Option<Arc<str>>, Kind);

/// What has been said.
#[derive(Debug, Default)]
struct Aloud {
    /// What was said to be down, and not to be back since.
    down: HashSet<Whole>,
    /// What waits for the next minute.
    held_back: BTreeMap<Whole, Arc<Stamped>>,
    /// Lines of this minute about these.
    of_wholes: u32,
    of_endpoints: u32,
    of_each: HashMap<Arc<str>, u32>,
    left_out: u64,
}

impl Aloud {
    /// The line for an event, where it has one.
    fn hear(&mut self, stamped: &Arc<Stamped>) -> Option<Value> {
        match &stamped.event {
            Event::RollUp { upstream, route, to, .. } => {
                // One that is dead goes from open to half-open and back for as long as it is tried.
                let is_down = match to {
                    State::Open => true,
                    State::Closed => false,
                    State::HalfOpen => return None,
                };
                self.whole((Arc::clone(upstream), route.clone(), Kind::Breaker), is_down, stamped)
            }
            Event::Backup { upstream, route, to, .. } => {
                let is_wrong = *to != Serving::Primaries;
                self.whole((Arc::clone(upstream), route.clone(), Kind::Backup), is_wrong, stamped)
            }
            Event::Ejection { upstream, place: Place::Capped, .. } | Event::Health { upstream, .. } => {
                self.endpoint(upstream, &stamped.event)
            }
            Event::ClientUnknown { detail } => Some(json!({ "event": "client_unknown", "detail": detail })),
            _ => None,
        }
    }

    fn whole(&mut self, which: Whole, is_down: bool, stamped: &Arc<Stamped>) -> Option<Value> {
        // What had waited to be said does not hold any more.
        self.held_back.remove(&which);
        if self.down.contains(&which) == is_down {
            return None;
        }
        if self.of_wholes >= MOST {
            self.held_back.insert(which, Arc::clone(stamped));
            return None;
        }
        Some(self.say_of_whole(which, stamped))
    }

    fn say_of_whole(&mut self, which: Whole, stamped: &Stamped) -> Value {
        self.of_wholes += 1;
        if !self.down.remove(&which) {
            self.down.insert(which);
        }
        line(&stamped.event)
    }

    fn endpoint(&mut self, upstream: &Arc<str>, event: &Event) -> Option<Value> {
        let of_this = self.of_each.entry(Arc::clone(upstream)).or_default();
        if self.of_endpoints >= MOST || *of_this >= MOST_OF_ONE {
            self.left_out += 1;
            return None;
        }
        *of_this += 1;
        self.of_endpoints += 1;
        Some(line(event))
    }

    /// Another minute: how much was left out in the one before, and what had waited for it.
    fn turn(&mut self) -> Vec<Value> {
        (self.of_wholes, self.of_endpoints) = (0, 0);
        self.of_each.clear();
        let mut lines = Vec::new();
        let left_out = std::mem::take(&mut self.left_out);
        if left_out > 0 {
            lines.push(json!({ "event": "upstream", "about": "left_out", "left_out": left_out }));
        }
        while self.of_wholes < MOST
            && let Some((which, stamped)) = self.held_back.pop_first()
        {
            lines.push(self.say_of_whole(which, &stamped));
        }
        lines
    }
}

fn line(event: &Event) -> Value {
    let mut line = json!({ "event": "upstream", "about": event.kind().as_str() });
    if let (Value::Object(line), Value::Object(fields)) = (&mut line, event.fields()) {
        line.extend(fields);
    }
    line
}

/// The kinds that are listened to.
pub fn said_aloud() -> Kinds {
    [Kind::Breaker, Kind::Backup, Kind::Ejection, Kind::Health, Kind::ClientUnknown].into_iter().collect()
}

/// Says what there is to say, for as long as the runtime lives.
pub async fn say(mut follower: Follower) {
    let mut aloud = Aloud::default();
    let mut minutes = tokio::time::interval(MINUTE);
    minutes.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let lines: Vec<Value> = tokio::select! {
            batch = follower.next() => batch.events.iter().filter_map(|event| aloud.hear(event)).collect(),
            _ = minutes.tick() => aloud.turn(),
        };
        lines.into_iter().for_each(notice::upstream);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamped(event: Event) -> Arc<Stamped> {
        Arc::new(Stamped { seq: 1, ts_ns: 0, event })
    }

    fn rolled_up(upstream: &str, to: State) -> Arc<Stamped> {
        stamped(Event::RollUp { upstream: upstream.into(), route: None, from: State::HalfOpen, to, out: Vec::new() })
    }

    fn flap(upstream: &str) -> Arc<Stamped> {
        let (upstream, endpoint) = (upstream.into(), "a:1".into());
        stamped(Event::Health { upstream, endpoint, healthy: false, detail: "503".into() })
    }

    fn said(lines: &[Value]) -> Vec<String> {
        lines.iter().map(|line| format!("{} {}", line["upstream"], line["to"]).replace('"', "")).collect()
    }

    #[test]
    fn an_upstream_is_said_to_be_down_once_and_to_be_back_once() {
        let (mut aloud, mut said) = (Aloud::default(), Vec::new());
        for to in [State::Open, State::HalfOpen, State::Open, State::HalfOpen, State::Closed] {
            said.extend(aloud.hear(&rolled_up("up", to)).map(|line| line["to"].clone()));
        }
        assert_eq!(said, ["open", "closed"]);
        assert_eq!(aloud.hear(&rolled_up("up", State::Closed)), None, "it was never said to be down");
    }

    #[test]
    fn that_backups_take_requests_is_said_once_and_that_they_do_not_any_more_too() {
        let (mut aloud, mut said) = (Aloud::default(), Vec::new());
        let turned = |from, to| {
            stamped(Event::Backup { upstream: "up".into(), route: None, from, to, out: vec!["a:1: why".into()] })
        };
        for (from, to) in [
            (Serving::Primaries, Serving::Both),
            (Serving::Both, Serving::Backups),
            (Serving::Backups, Serving::Primaries),
        ] {
            said.extend(aloud.hear(&turned(from, to)));
        }
        assert_eq!(said.len(), 2, "{said:?}");
        assert_eq!(
            said[0].to_string(),
            r#"{"event":"upstream","about":"backup","upstream":"up","from":"primaries","to":"both","endpoints":["a:1: why"]}"#
        );
        assert_eq!(said[1]["to"], "primaries");
        assert!(aloud.hear(&rolled_up("up", State::Open)).is_some(), "that it is down is another thing");
    }

    #[test]
    fn a_program_that_does_not_say_whose_requests_are_is_told() {
        let told = Aloud::default().hear(&stamped(Event::ClientUnknown { detail: "routes: a".into() }));
        assert_eq!(told, Some(json!({ "event": "client_unknown", "detail": "routes: a" })));
        assert!(said_aloud().has(Kind::ClientUnknown));
    }

    #[test]
    fn what_flaps_is_said_so_often_a_minute_and_how_much_was_left_out() {
        let mut aloud = Aloud::default();
        let mut heard = |upstream| (0..100).filter(|_| aloud.hear(&flap(upstream)).is_some()).count();
        assert_eq!([heard("a"), heard("b"), heard("c"), heard("d")], [10, 10, 10, 0]);
        let lines = aloud.turn();
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0].to_string(), r#"{"event":"upstream","about":"left_out","left_out":370}"#);
        assert_eq!(
            aloud.hear(&flap("d")).unwrap().to_string(),
            r#"{"event":"upstream","about":"health","upstream":"d","endpoint":"a:1","healthy":false,"detail":"503"}"#
        );
        assert!(aloud.turn().is_empty(), "nothing was left out since");
    }

    #[test]
    fn that_an_upstream_is_down_is_said_whatever_flaps_beside_it() {
        let mut aloud = Aloud::default();
        for _ in 0..100 {
            aloud.hear(&flap("many"));
        }
        assert_eq!(aloud.hear(&rolled_up("pay", State::Open)).unwrap()["upstream"], "pay");
    }

    #[test]
    fn of_very_many_that_are_down_the_rest_is_said_in_the_next_minute_if_it_still_holds() {
        let mut aloud = Aloud::default();
        let name = |number: u32| format!("u{number:02}");
        let now = (0..40).filter(|number| aloud.hear(&rolled_up(&name(*number), State::Open)).is_some()).count();
        assert_eq!(now, 30);
        // One whose outage nobody was told of, and one whose outage was told.
        assert_eq!(aloud.hear(&rolled_up("u35", State::Closed)), None);
        assert_eq!(aloud.hear(&rolled_up("u03", State::Closed)), None);
        let later = said(&aloud.turn());
        assert_eq!(later.len(), 10);
        assert_eq!((&*later[0], &*later[1], &*later[9]), ("u03 closed", "u30 open", "u39 open"));
        assert!(!later.contains(&"u35 open".to_owned()), "{later:?}");
        assert!(aloud.turn().is_empty());
    }
}
