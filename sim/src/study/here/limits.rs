//! Buckets of a local limit, of one key or of millions.

use std::hint::black_box;
use std::time::Duration;

use gateway::algorithms::gcra::Quota;
use gateway::algorithms::rng::mix;
use gateway::rate_limit::Cells;
use serde_json::{Value, json};

use super::{ns_each, resident};
use crate::study::experiment::Terms;

/// Checks that are timed.
const CHECKS: u64 = 1_000_000;

/// One key.
pub(in crate::study) fn of_1(_: &Terms) -> Result<Value, String> {
    measured(1)
}

/// Ten thousand.
pub(in crate::study) fn of_10_000(_: &Terms) -> Result<Value, String> {
    measured(10_000)
}

/// A million.
pub(in crate::study) fn of_1_000_000(_: &Terms) -> Result<Value, String> {
    measured(1_000_000)
}

/// Ten million.
pub(in crate::study) fn of_10_000_000(_: &Terms) -> Result<Value, String> {
    measured(10_000_000)
}

fn measured(keys: u64) -> Result<Value, String> {
    let quota = Quota::new(1, Duration::from_secs(3_600), 1_000_000_000, 1);
    let before = resident();
    let cells = Cells::new(keys.max(1_024) as usize);
    if !(0..keys).all(|key| cells.take(mix(key), 1, &quota).is_ok()) {
        return Err("a full bucket refused".to_owned());
    }
    let taken = resident().saturating_sub(before);
    let kept = cells.fill().keys as u64;
    if kept != keys {
        return Err(format!("of {keys} keys {kept} have a bucket"));
    }
    let ns = ns_each(CHECKS, |number| {
        black_box(cells.take(mix(black_box(number.wrapping_mul(2_654_435_761) % keys)), 2, &quota).is_ok());
    });
    // The next round would get its memory out of what this one gives back, and nothing would be seen of it.
    if keys <= 1_000_000 {
        std::mem::forget(cells);
    }
    Ok(json!({ "ns": ns, "per_second": 1e9 / ns, "bytes": taken as f64, "bytes_a_key": taken as f64 / keys as f64 }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_a_bucket() {
        assert!(measured(1_000).unwrap()["ns"].as_f64().unwrap() > 0.0);
    }
}
