//! What else went on under the same time axis: faults, events, breakers, limits.

use serde::Deserialize;
use serde_json::Value;

use super::Ink;
use crate::result::{Breaker, Moment, ResultFile};

/// A stretch of time in which a fault was active.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Window {
    /// The fault.
    pub(crate) name: String,
    /// Its start, seconds.
    pub(crate) from_s: f64,
    /// Its end, seconds.
    pub(crate) until_s: f64,
}

/// One row under the time axis.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Lane {
    /// Whose.
    pub(crate) name: String,
    /// What it shows; time between blocks is empty.
    pub(crate) blocks: Vec<Block>,
}

/// A stretch of time in a lane.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Block {
    /// Its start, seconds.
    pub(crate) from_s: f64,
    /// Its end, seconds.
    pub(crate) until_s: f64,
    /// Its height between 0 and 1: colour is never the only sign.
    pub(crate) height: f64,
    /// What it means.
    pub(crate) ink: Ink,
}

/// Something that a scenario did, such as a reload; runs write them as `events.done`.
#[derive(Debug, Deserialize)]
struct Event {
    t_ms: f64,
    #[serde(rename = "do")]
    name: String,
    #[serde(default)]
    took_ms: f64,
    #[serde(default)]
    error: Option<String>,
}

/// The time of one moment.
#[must_use]
pub(crate) fn step_s(moments: &[Moment]) -> f64 {
    let step = moments.windows(2).map(|pair| pair[1].t_ms.saturating_sub(pair[0].t_ms)).filter(|step| *step > 0).min();
    step.unwrap_or(1_000) as f64 / 1e3
}

/// When faults were active, the earliest first.
pub(crate) fn windows(moments: &[Moment]) -> Vec<Window> {
    let step = step_s(moments);
    let mut windows: Vec<Window> = Vec::new();
    for moment in moments {
        let from_s = moment.t_ms as f64 / 1e3;
        for name in &moment.fault_active {
            let open = windows.iter_mut().rev().find(|window| window.name == *name);
            match open.filter(|window| from_s - window.until_s < step / 2.0) {
                Some(window) => window.until_s = from_s + step,
                None => windows.push(Window { name: name.clone(), from_s, until_s: from_s + step }),
            }
        }
    }
    windows
}

/// All lanes: faults, then events, then breakers that moved, then limits that refused.
pub(crate) fn lanes(result: &ResultFile) -> Vec<Lane> {
    let moments = &result.timeline;
    let end_s = moments.last().map_or(0.0, |last| last.t_ms as f64 / 1e3 + step_s(moments));
    let mut lanes: Vec<Lane> = Vec::new();
    for Window { name, from_s, until_s } in windows(moments) {
        add(&mut lanes, format!("fault: {name}"), Block { from_s, until_s, height: 1.0, ink: Ink::Reference });
    }
    for Event { t_ms, name, took_ms, error } in events(result) {
        let ink = if error.is_some() { Ink::Bad } else { Ink::Reference };
        let block = Block { from_s: t_ms / 1e3, until_s: (t_ms + took_ms) / 1e3, height: 1.0, ink };
        add(&mut lanes, format!("event: {name}"), block);
    }
    lanes.extend(breaker_lanes(result, end_s));
    limit_lanes(&mut lanes, moments);
    lanes
}

/// Adds a block to the lane of that name.
fn add(lanes: &mut Vec<Lane>, name: String, block: Block) {
    match lanes.iter_mut().find(|lane| lane.name == name) {
        Some(lane) => lane.blocks.push(block),
        None => lanes.push(Lane { name, blocks: vec![block] }),
    }
}

/// Events of a form that is known; others are shown with the rest of the result.
fn events(result: &ResultFile) -> Vec<Event> {
    let done = result.other.get("events").and_then(|events| events.get("done")).and_then(Value::as_array);
    done.into_iter().flatten().filter_map(|event| Event::deserialize(event).ok()).collect()
}

fn breaker_lanes(result: &ResultFile, end_s: f64) -> Vec<Lane> {
    let mut names: Vec<&String> = result.timeline.iter().flat_map(|moment| moment.breaker_states.keys()).collect();
    names.extend(result.breakers.keys());
    names.sort_unstable();
    names.dedup();
    let lane = |name: &String| {
        let transitions = result.breakers.get(name).filter(|breaker| !breaker.transitions.is_empty());
        let blocks =
            transitions.map_or_else(|| from_states(&result.timeline, name), |one| from_transitions(one, end_s));
        let moved = blocks.iter().any(|block| block.ink != Ink::Good);
        moved.then(|| Lane { name: format!("breaker {name}"), blocks })
    };
    names.into_iter().filter_map(lane).collect()
}

/// A state's height and meaning; one that is not known is drawn as unsure.
fn look(state: &str) -> (f64, Ink) {
    match state {
        "closed" => (0.25, Ink::Good),
        "open" => (1.0, Ink::Bad),
        _ => (0.6, Ink::Unsure),
    }
}

fn block(state: &str, from_s: f64, until_s: f64) -> Block {
    let (height, ink) = look(state);
    Block { from_s, until_s, height, ink }
}

fn from_transitions(breaker: &Breaker, end_s: f64) -> Vec<Block> {
    let first =
        breaker.transitions.first().map_or("closed", |one| if one.from.is_empty() { "closed" } else { &one.from });
    let mut blocks = Vec::new();
    let (mut state, mut from_s) = (first, 0.0);
    for transition in &breaker.transitions {
        let at_s = transition.t_ms / 1e3;
        blocks.push(block(state, from_s, at_s));
        (state, from_s) = (&transition.to, at_s);
    }
    blocks.push(block(state, from_s, end_s.max(from_s)));
    blocks
}

fn from_states(moments: &[Moment], name: &str) -> Vec<Block> {
    let step = step_s(moments);
    let mut blocks: Vec<Block> = Vec::new();
    for moment in moments {
        let Some(state) = moment.breaker_states.get(name) else { continue };
        let from_s = moment.t_ms as f64 / 1e3;
        let (height, ink) = look(state);
        match blocks.last_mut().filter(|last| last.ink == ink && from_s - last.until_s < step / 2.0) {
            Some(last) => last.until_s = from_s + step,
            None => blocks.push(Block { from_s, until_s: from_s + step, height, ink }),
        }
    }
    blocks
}

fn limit_lanes(lanes: &mut Vec<Lane>, moments: &[Moment]) {
    let step = step_s(moments);
    for moment in moments {
        for (rule, share) in moment.limiter_refused.iter().filter(|(_, share)| **share > 0.0) {
            let from_s = moment.t_ms as f64 / 1e3;
            let block = Block { from_s, until_s: from_s + step, height: share.clamp(0.1, 1.0), ink: Ink::Rate };
            add(lanes, format!("limit {rule}: share refused"), block);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::Transition;

    fn moments(faults: &[&[&str]]) -> Vec<Moment> {
        let moment = |(index, names): (usize, &&[&str])| Moment {
            t_ms: index as u64 * 500,
            fault_active: names.iter().map(|name| (*name).to_owned()).collect(),
            ..Moment::default()
        };
        faults.iter().enumerate().map(moment).collect()
    }

    #[test]
    fn a_fault_that_comes_back_has_two_windows() {
        let windows = windows(&moments(&[&[], &["a"], &["a", "b"], &["b"], &["a"]]));
        let told: Vec<_> = windows.iter().map(|one| (one.name.as_str(), one.from_s, one.until_s)).collect();
        assert_eq!(told, [("a", 0.5, 1.5), ("b", 1.0, 2.0), ("a", 2.0, 2.5)]);
    }

    #[test]
    fn events_have_lanes_and_what_is_no_event_has_none() {
        let mut result = ResultFile { timeline: moments(&[&[], &[]]), ..ResultFile::default() };
        let done = serde_json::json!([
            {"t_ms": 250, "do": "reload", "took_ms": 12.5}, {"t_ms": 600, "do": "reload", "error": "refused"}, {"x": 1}
        ]);
        result.other.insert("events".to_owned(), serde_json::json!({ "done": done, "failed": 1 }));
        let lanes = lanes(&result);
        assert_eq!((lanes.len(), lanes[0].name.as_str()), (1, "event: reload"));
        let told: Vec<(f64, Ink)> = lanes[0].blocks.iter().map(|block| (block.until_s, block.ink)).collect();
        assert_eq!(told, [(0.2625, Ink::Reference), (0.6, Ink::Bad)]);
    }

    #[test]
    fn transitions_are_exact_and_states_are_what_there_is_without() {
        let mut result = ResultFile { timeline: moments(&[&[], &[], &[]]), ..ResultFile::default() };
        for (moment, state) in result.timeline.iter_mut().zip(["closed", "open", "open"]) {
            moment.breaker_states.insert("a/0".to_owned(), state.to_owned());
            moment.breaker_states.insert("a/1".to_owned(), "closed".to_owned());
        }
        let told = |result: &ResultFile| -> Vec<(f64, f64)> {
            let lanes = lanes(result);
            assert_eq!(lanes.len(), 1, "one that stays closed has no lane");
            lanes[0].blocks.iter().map(|block| (block.from_s, block.until_s)).collect()
        };
        assert_eq!(told(&result), [(0.0, 0.5), (0.5, 1.5)]);
        let open = Transition { t_ms: 612.0, to: "open".to_owned(), ..Transition::default() };
        result.breakers.insert("a/0".to_owned(), Breaker { transitions: vec![open], ..Breaker::default() });
        assert_eq!(told(&result), [(0.0, 0.612), (0.612, 1.5)]);
    }
}
