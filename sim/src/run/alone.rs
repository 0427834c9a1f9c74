//! What gateways used of their cores for loads that nothing ran beside, so that two loads of one run can be compared.

use std::collections::BTreeMap;

use loadgen::clock::duration_ns;
use serde_json::{Value, json};

use super::score::Findings;

impl Findings<'_> {
    /// `alone` of a result: for each load that ran alone the CPU time of all gateways, by request.
    pub(super) fn alone(&self) -> BTreeMap<String, Value> {
        let measured = &self.measured;
        let one = |load: &crate::scenario::model::LoadPart| {
            let number = self.scenario.loads.iter().position(|other| std::ptr::eq(other, load))?;
            let watch = measured.watches.get(number)?;
            let sent = watch.seen.iter().filter(|seen| super::account::was_sent(seen.failure)).count() as u64;
            let at = |time| used_at(&measured.cpu, measured.start_ns + duration_ns(time));
            let used = at(load.until())? - at(load.from)?;
            let each = used / (sent + watch.not_kept).max(1) as f64;
            Some((load.name.clone(), json!({ "cpu_us_per_request": (each * 100.0).round() / 100.0 })))
        };
        self.scenario.alone().filter_map(one).collect()
    }
}

/// What was used at a time: between two looks it grew evenly, and behind the last one not any more.
fn used_at(looks: &[(u64, u64)], at_ns: u64) -> Option<f64> {
    let after = looks.partition_point(|(ns, _)| *ns <= at_ns);
    let (before, next) = (looks.get(after.checked_sub(1)?)?, looks.get(after));
    let Some(next) = next else { return Some(before.1 as f64) };
    let part = (at_ns - before.0) as f64 / (next.0 - before.0).max(1) as f64;
    Some(before.1 as f64 + part * (next.1.saturating_sub(before.1)) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn between_two_looks_it_grew_evenly() {
        let looks = [(100, 10), (200, 20), (400, 20), (500, 70)];
        for (at, expected) in [(99, None), (100, Some(10.0)), (150, Some(15.0)), (300, Some(20.0)), (450, Some(45.0))] {
            assert_eq!(used_at(&looks, at), expected, "{at}");
        }
        assert_eq!((used_at(&looks, 900), used_at(&[], 1)), (Some(70.0), None));
    }
}
