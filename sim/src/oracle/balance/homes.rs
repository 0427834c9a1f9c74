//! Keys that left their home without need.
//!
//! A key's home is the endpoint that its first attempt went to while nothing of its upstream was sick. A key has moved
//! when a later first attempt of a request went elsewhere although its home had no fault then. So a ring that moves
//! only the keys of a sick endpoint, and brings them back, moves none. For a balancer that does not look at keys the
//! figure says nothing.

use std::collections::{HashMap, HashSet};

use crate::history::{Attempt, Endpoint, History, Name};

/// Counts keys that moved. `attempts` are those of one upstream, by arrival.
pub(crate) fn moved(history: &History, attempts: &[&Attempt]) -> u64 {
    let keys: HashMap<&Name, &Name> = history
        .clients
        .iter()
        .filter_map(|request| Some((request.request_id.as_ref()?, request.key.as_ref()?)))
        .collect();
    let sick = |endpoint: &Endpoint, at_ns: u64| {
        history.faults.iter().any(|fault| fault.endpoint == *endpoint && fault.contains(at_ns))
    };
    let all_well = |upstream: &Name, at_ns: u64| {
        !history.faults.iter().any(|fault| fault.endpoint.upstream == *upstream && fault.contains(at_ns))
    };
    let (mut homes, mut moved, mut seen) = (HashMap::new(), HashSet::new(), HashSet::new());
    for attempt in attempts {
        let Some(id) = attempt.request_id.as_ref() else { continue };
        // A retry goes elsewhere on purpose.
        if !seen.insert(id) {
            continue;
        }
        let Some(key) = keys.get(id) else { continue };
        match homes.get(key) {
            None if all_well(&attempt.endpoint.upstream, attempt.arrival_ns) => {
                homes.insert(key, &attempt.endpoint);
            }
            Some(home) if **home != attempt.endpoint && !sick(home, attempt.arrival_ns) => {
                moved.insert(key);
            }
            _ => {}
        }
    }
    moved.len() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Ending;
    use crate::history::story::Story;

    fn keys_moved(story: Story) -> u64 {
        let history = story.end();
        moved(&history, &history.attempts.iter().collect::<Vec<_>>())
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
    fn a_retry_elsewhere_is_no_move() {
        let story = settled().at_ms(5).under_key("ann").asked();
        let story = story.tried("orders/0", Ending::Broken, 0).tried("orders/1", Ending::Answered(200), 1);
        assert_eq!(keys_moved(story.told_client(200, 1)), 0);
    }
}
