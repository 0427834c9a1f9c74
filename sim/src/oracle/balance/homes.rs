//! Keys that left their home without need.
//!
//! A key's home is the endpoint that its first attempt went to while nothing of its upstream was sick. A key has moved
//! when a later first attempt of a request went elsewhere although its home had no fault then, and the gateway had not
//! taken it out: a breaker closes only some time after a fault, and whether it was right is the breaker oracle's to
//! say. So a ring that moves only the keys of a sick endpoint, and brings them back, moves none. For a balancer that
//! does not look at keys the figure says nothing.

use std::collections::{HashMap, HashSet};

use crate::history::{Attempt, BreakerState, Endpoint, EventKind, History, Name};

/// One attempt of a request.
struct Tried<'a> {
    at_ns: u64,
    request: &'a Name,
    key: &'a Name,
    endpoint: &'a Endpoint,
}

/// From when until when an endpoint was sick, or taken for sick.
type Windows<'a> = HashMap<&'a Endpoint, Vec<(u64, u64)>>;

/// Counts keys that moved. `attempts` are those of one upstream, by arrival.
pub(crate) fn moved(history: &History, upstream: &Name, attempts: &[&Attempt]) -> u64 {
    let mut tried = told(history, upstream);
    if tried.is_empty() {
        tried = seen(history, attempts);
    }
    tried.sort_by_key(|tried| tried.at_ns);
    let windows = windows(history, upstream);
    let is_out = |endpoint: &Endpoint, at_ns: u64| {
        windows
            .get(endpoint)
            .is_some_and(|windows| windows.iter().any(|(from, until)| (*from..*until).contains(&at_ns)))
    };
    let all_well = |at_ns: u64| !windows.keys().any(|endpoint| is_out(endpoint, at_ns));
    let (mut homes, mut moved, mut requests) = (HashMap::new(), HashSet::new(), HashSet::new());
    for Tried { at_ns, request, key, endpoint } in tried {
        // A retry goes elsewhere on purpose.
        if !requests.insert(request) {
            continue;
        }
        match homes.get(key) {
            None if all_well(at_ns) => {
                homes.insert(key, endpoint);
            }
            Some(home) if *home != endpoint && !is_out(home, at_ns) => {
                moved.insert(key);
            }
            _ => {}
        }
    }
    moved.len() as u64
}

/// Attempts that the gateway told of, with the keys that it picked by.
fn told<'a>(history: &'a History, upstream: &Name) -> Vec<Tried<'a>> {
    let tried = history.events.iter().filter_map(|event| match &event.kind {
        EventKind::Attempt { request_id, endpoint, start_ns, key, .. } if endpoint.upstream == *upstream => {
            Some(Tried { at_ns: *start_ns, request: request_id.as_ref()?, key: key.as_ref()?, endpoint })
        }
        _ => None,
    });
    tried.collect()
}

/// Attempts that the mocks saw, with the keys that clients sent.
fn seen<'a>(history: &'a History, attempts: &[&'a Attempt]) -> Vec<Tried<'a>> {
    let keyed =
        |request: &'a crate::history::ClientRequest| Some((request.request_id.as_ref()?, request.key.as_ref()?));
    let keys: HashMap<&Name, &Name> = history.clients.iter().filter_map(keyed).collect();
    let tried = attempts.iter().filter_map(|attempt| {
        let request = attempt.request_id.as_ref()?;
        let key = keys.get(request).copied()?;
        Some(Tried { at_ns: attempt.arrival_ns, request, key, endpoint: &attempt.endpoint })
    });
    tried.collect()
}

/// Faults, and the times at which a breaker or an ejection kept requests away.
fn windows<'a>(history: &'a History, upstream: &Name) -> Windows<'a> {
    let mut windows = Windows::new();
    for fault in history.faults.iter().filter(|fault| fault.endpoint.upstream == *upstream) {
        windows.entry(&fault.endpoint).or_default().push((fault.from_ns, fault.until_ns));
    }
    // By endpoint and gateway, apart for breakers and ejections.
    let mut open: HashMap<(&Endpoint, usize, bool), u64> = HashMap::new();
    for event in &history.events {
        let (endpoint, is_out, is_breaker) = match &event.kind {
            EventKind::Breaker { endpoint: Some(endpoint), to, .. } => (endpoint, *to != BreakerState::Closed, true),
            EventKind::Ejection { endpoint, out, .. } => (endpoint, *out, false),
            _ => continue,
        };
        let place = (endpoint, event.gateway, is_breaker);
        if is_out {
            open.entry(place).or_insert(event.at_ns);
        } else if let Some(from) = open.remove(&place) {
            windows.entry(endpoint).or_default().push((from, event.at_ns));
        }
    }
    for ((endpoint, ..), from) in open {
        windows.entry(endpoint).or_default().push((from, u64::MAX));
    }
    windows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Ending;
    use crate::history::story::Story;

    fn keys_moved(story: Story) -> u64 {
        let history = story.end();
        moved(&history, &"orders".into(), &history.attempts.iter().collect::<Vec<_>>())
    }

    fn ask(story: Story, key: &str, to: &str) -> Story {
        story.under_key(key).answered(to, 200, 1)
    }

    fn settled() -> Story {
        let story = Story::new().fault("orders/1", 10, 20, "hang");
        ask(ask(story, "ann", "orders/0"), "bob", "orders/1")
    }

    #[test]
    fn a_key_leaves_a_sick_home_and_comes_back() {
        let story = ask(ask(settled().at_ms(15), "bob", "orders/0"), "ann", "orders/0");
        assert_eq!(keys_moved(ask(story.at_ms(30), "bob", "orders/1")), 0);
    }

    #[test]
    fn a_key_that_left_a_well_home_has_moved_once() {
        let story =
            ask(settled().at_ms(15), "ann", "orders/1").each(30..33, |s, at| ask(s.at_ms(at), "bob", "orders/0"));
        assert_eq!(keys_moved(story.at_ms(40).under_key("ann").answered("orders/1", 200, 1)), 2);
    }

    #[test]
    fn a_key_waits_elsewhere_until_the_breaker_of_its_home_closes() {
        use BreakerState::{Closed, Open};
        let home = || Story::new().fault("orders/1", 10, 20, "hang").picked("r1", "0a", "orders/1");
        let story = home().at_ms(12).breaker("orders/1", Closed, Open).at_ms(25).picked("r2", "0a", "orders/0");
        let story = story.at_ms(30).breaker("orders/1", Open, Closed);
        assert_eq!(keys_moved(story.at_ms(31).picked("r3", "0a", "orders/1")), 0);
        let story = home().at_ms(5).breaker("orders/1", Closed, Open).at_ms(6).breaker("orders/1", Open, Closed);
        assert_eq!(keys_moved(story.at_ms(7).picked("r2", "0a", "orders/0")), 1, "its home had come back");
    }

    #[test]
    fn a_retry_elsewhere_is_no_move() {
        let story = settled().at_ms(5).under_key("ann").asked();
        let story = story.tried("orders/0", Ending::Broken, 0).tried("orders/1", Ending::Answered(200), 1);
        assert_eq!(keys_moved(story.told_client(200, 1)), 0);
    }
}
