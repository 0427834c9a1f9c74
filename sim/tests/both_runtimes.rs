//! The same scenario in virtual time and on sockets: what a breaker does there is what was predicted here.
//!
//! Virtual time says in which interval trips and recoveries lie, over many seeds. A real run may be later than that by
//! what its machine made it wait, and the run tells itself how long that was at most: no request of its clients took
//! longer than this, scheduling included. So a busy machine widens the interval instead of failing the test.

mod worlds;

use std::path::Path;

use sim::{BreakerScore, load, score};
use worlds::{Short, result_of, sim, text};

const SHORT: Short<'_> = Short {
    name: "both",
    load: "arrivals = \"poisson\"\nrate = \"300/s\"\nduration = \"4500ms\"\nconnections = 8",
    fault: "at = \"1s\"\nfor = \"2s\"\nact = { status = 503 }",
    rest: "",
    upstream: "breaker = { consecutive_failures = 6, min_requests = 1000, open_for = \"300ms\", \
               max_open_for = \"300ms\", probes = 1 }",
    route: "retry = { attempts = 1 }",
};

/// What virtual time says over many seeds.
#[derive(Debug)]
struct Predicted {
    attempts: (u64, u64),
    trip_ms: (f64, f64),
    recovery_ms: (f64, f64),
}

fn predict(file: &Path) -> Predicted {
    let mut scenario = load(file).unwrap();
    let scores: Vec<BreakerScore> = (1..=8)
        .map(|seed| {
            scenario.seed = seed;
            score(&scenario).unwrap().breakers["orders/1"].clone()
        })
        .collect();
    assert!(scores.iter().all(|score| score.trips == 1 && score.trip_error == 0 && score.leaked_attempts == 0));
    let all = |figure: fn(&BreakerScore) -> f64| -> Vec<f64> { scores.iter().map(figure).collect() };
    let range = |values: Vec<f64>| {
        (values.iter().copied().fold(f64::MAX, f64::min), values.iter().copied().fold(0.0, f64::max))
    };
    let attempts = scores.iter().map(|score| score.attempts_to_trip.unwrap());
    Predicted {
        attempts: (attempts.clone().min().unwrap(), attempts.max().unwrap()),
        trip_ms: range(all(|score| score.trip_ms.unwrap())),
        recovery_ms: range(all(|score| score.recovery_ms.unwrap())),
    }
}

#[test]
fn a_breaker_trips_and_recovers_on_sockets_as_it_does_in_virtual_time() {
    let folder = SHORT.written();
    let (file, out) = (folder.path().join("s.toml"), folder.path().join("out"));
    let predicted = predict(&file);
    let output = sim(&["run", text(&file), "--out", text(&out)]);
    let result = result_of(&out, &output);
    let real = &result.breakers["orders/1"];
    let latencies = result.load["main"].phases.values().filter_map(|phase| phase.latency());
    let waited_ms = latencies.map(|latency| latency.max).fold(0.0, f64::max) / 1e3;
    let told = format!("real {real:?}, predicted {predicted:?}, waited {waited_ms} ms");
    // Twice: the attempt that begins the count and the one that ends it may each have waited.
    let within =
        |value: f64, (least, most): (f64, f64)| value >= least - 2.0 * waited_ms && value <= most + 2.0 * waited_ms;
    assert_eq!((real.trips, real.leaked_attempts), (1, 0), "{told}");
    // Attempts do not depend on any clock; those in flight when it trips may come on top.
    let (least, most) = predicted.attempts;
    assert!((least..=most + 8).contains(&real.attempts_to_trip.unwrap()), "{told}");
    assert!(within(real.trip_ms.unwrap(), predicted.trip_ms), "{told}");
    assert!(within(real.recovery_ms.unwrap(), predicted.recovery_ms), "{told}");
}
