//! The committed scenario in which every endpoint comes and goes, over many seeds: whatever phase of its timers a
//! breaker is in when a fault comes or goes, it trips where it should, lets nothing through, and is closed again.

use std::path::Path;
use std::time::Duration;

use loadgen::plan::Arrivals;

use crate::explore::score;
use crate::scenario;
use crate::scenario::model::LoadModel;

const SEEDS: u64 = 14;
const LASTS: Duration = Duration::from_secs(7);

#[test]
fn in_no_phase_of_a_breaker_does_a_flapping_endpoint_leak_or_stay_out() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/flap-phases.toml");
    let mut scenario = scenario::load(&file).unwrap_or_else(|error| panic!("{error}"));
    // Less of it than on real sockets, where it is one run and not fourteen.
    for load in &mut scenario.loads {
        (load.model, load.duration) = (LoadModel::Open { arrivals: Arrivals::Poisson, rate: 150.0 }, LASTS);
    }
    let mut phases = std::collections::BTreeSet::new();
    for seed in 1..=SEEDS {
        scenario.seed = seed;
        for (fault, step) in scenario.faults.iter_mut().zip([23, 29, 31]) {
            (fault.at, fault.lasts) = (Duration::from_millis(1_000 + seed * step), Some(Duration::from_secs(4)));
        }
        let scores = score(&scenario).unwrap();
        let tripped: u64 = scores.breakers.values().map(|breaker| breaker.trips).sum();
        assert!(tripped >= 3, "seed {seed}: {tripped} trips");
        for (endpoint, breaker) in scores.breakers.iter().filter(|(name, _)| name.contains('/')) {
            assert_eq!(breaker.leaked_attempts, 0, "seed {seed}, {endpoint}: {breaker:?}");
            assert_eq!(breaker.trip_error, 0, "seed {seed}, {endpoint}: {breaker:?}");
            assert!(breaker.probes_max_concurrent <= 3, "seed {seed}, {endpoint}: {breaker:?}");
            let (took, bound) = (breaker.recovery_ms.unwrap_or(0.0), breaker.recovery_oracle_ms.unwrap_or(0.0));
            // A probe's round later than the oracle, and no opening later.
            assert!(took <= bound + 250.0, "seed {seed}, {endpoint}: {took} ms, {bound} ms at least");
            let last = breaker.transitions.last().map_or("closed", |change| change.to);
            assert_eq!(last, "closed", "seed {seed}, {endpoint}");
            phases.extend(breaker.transitions.iter().map(|change| change.t_ms as u64 % 500));
        }
    }
    assert!(phases.len() > 175, "changes fell on {} of 500 milliseconds of an opening", phases.len());
}
