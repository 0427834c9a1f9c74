//! What was answered as wanted, each second, in each phase of each load; and how much of it was kept in a worse phase.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::history::{History, Outcome};

/// The goodput of one load.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Goodput {
    /// Requests a second that were answered as wanted, by phase, counted in the phase of their planned time.
    pub per_second: BTreeMap<String, f64>,
    /// The same over that of the first phase, for every later one: 1 when nothing was lost. For a load that stays the
    /// same; an overload is held against capacity by [`retention`].
    pub retained: BTreeMap<String, f64>,
}

/// The loads of a run by name.
pub fn judge(history: &History) -> BTreeMap<String, Goodput> {
    let mut counts: BTreeMap<String, BTreeMap<&str, u64>> = BTreeMap::new();
    for request in &history.clients {
        let phases = counts.entry(request.load.to_string()).or_default();
        *phases.entry(&request.phase).or_default() += u64::from(request.outcome == Outcome::Ok);
    }
    let goodput = |phases: BTreeMap<&str, u64>| {
        let seconds = history.phases.iter().map(|phase| (&*phase.name, (phase.until_ns - phase.from_ns) as f64 / 1e9));
        let rates = seconds.filter(|(_, seconds)| *seconds > 0.0);
        let rates: Vec<(&str, f64)> =
            rates.map(|(name, seconds)| (name, phases.get(name).copied().unwrap_or(0) as f64 / seconds)).collect();
        let first = rates.first().map_or(0.0, |rate| rate.1);
        let retained =
            rates.iter().skip(1).filter_map(|(name, rate)| Some(((*name).to_owned(), retention(first, *rate)?)));
        Goodput {
            retained: retained.collect(),
            per_second: rates.iter().map(|(name, rate)| ((*name).to_owned(), *rate)).collect(),
        }
    };
    counts.into_iter().map(|(load, phases)| (load, goodput(phases))).collect()
}

/// Goodput under overload over goodput at capacity; `None` when there was none at capacity.
pub fn retention(at_capacity: f64, overloaded: f64) -> Option<f64> {
    (at_capacity > 0.0).then(|| overloaded / at_capacity)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::story::Story;

    #[test]
    fn errors_and_refusals_are_no_goodput() {
        let story = Story::new().phase_between("before", 0, 1_000).phase_between("fault_1", 1_000, 3_000);
        let story = story.each(0..100, |story, at| story.at_ms(at * 10).answered("orders/0", 200, 1));
        let story = story.each(100..300, |story, at| match at % 4 {
            0 => story.at_ms(at * 10).answered("orders/0", 200, 1),
            1 => story.at_ms(at * 10).answered("orders/0", 503, 1),
            _ => story.at_ms(at * 10).refused(429),
        });
        let goodput = &judge(&story.end())["steady"];
        assert_eq!((goodput.per_second["before"], goodput.per_second["fault_1"]), (100.0, 25.0));
        assert_eq!(goodput.retained, [("fault_1".to_owned(), 0.25)].into());
    }

    #[test]
    fn nothing_is_no_measure() {
        assert_eq!(retention(0.0, 5.0), None);
        let story = Story::new().phase_between("before", 0, 0).refused(503);
        assert_eq!(judge(&story.end())["steady"], Goodput::default());
    }
}
