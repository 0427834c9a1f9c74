//! The fuzz targets (`fuzz/src`) in every test run: the committed seeds, and mutants of them. What cargo-fuzz does with
//! them for longer, and with an eye on the code, is `cargo xtask fuzz`; where it is not installed, that runs these with
//! `FUZZ_SECONDS`, so many for each target.

#[allow(dead_code, unreachable_pub, missing_docs, reason = "they are a crate of their own for cargo-fuzz")]
#[path = "../../fuzz/src/lib.rs"]
mod targets;

use std::time::Duration;

use gateway::clock::Clock;
use targets::mutants::{Dice, mutant, seeds};

/// Mutants of a test run, for each target. CI gives each a minute of others besides.
const MUTANTS: u32 = 500;

/// How long each target is to be run; a number of mutants where nobody says.
fn length() -> Option<Duration> {
    let text = std::env::var_os("FUZZ_SECONDS")?;
    let seconds = text.to_str().and_then(|text| text.parse().ok()).expect("FUZZ_SECONDS is a number of seconds");
    Some(Duration::from_secs(seconds))
}

#[allow(clippy::print_stdout, reason = "how much was held is what a run of minutes is looked at for")]
fn run(target: &str) {
    let (_, check) = targets::TARGETS.iter().find(|(name, _)| *name == target).expect("the target is there");
    let seeds = seeds(target);
    assert!(seeds.len() >= 3, "{target} has {} seeds", seeds.len());
    seeds.iter().for_each(|seed| check(seed));
    let (clock, length) = (Clock::starting_at(Duration::ZERO), length());
    let began = clock.now();
    // The same mutants in every test run; others each time where it lasts. What is found is in the message.
    let salt = length.map_or(1, |_| u64::from(std::process::id()) << 32 | u64::from(target.as_bytes()[0]));
    let mut dice = Dice::new(salt);
    let mut count = 0;
    loop {
        let is_over = match length {
            None => count >= MUTANTS,
            Some(length) => clock.now().saturating_duration_since(began) >= length,
        };
        if is_over {
            println!("{target}: {} seeds and {count} mutants of them held", seeds.len());
            return;
        }
        let bytes = mutant(&seeds, &mut dice);
        count += 1;
        let held = std::panic::catch_unwind(|| check(&bytes));
        assert!(held.is_ok(), "{target} does not hold of these bytes; put them into fuzz/seeds/{target}: {bytes:?}");
    }
}

/// A test for each target, so that they run side by side.
macro_rules! targets {
    ($($name:ident),+) => {
        $(#[test]
        fn $name() {
            run(stringify!($name));
        })+

        #[test]
        fn every_target_is_run() {
            let here = [$(stringify!($name)),+];
            let there: Vec<&str> = targets::TARGETS.iter().map(|(name, _)| *name).collect();
            assert_eq!(here[..], there[..]);
            let manifest = include_str!("../../fuzz/Cargo.toml");
            for name in here {
                assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} is not in fuzz/Cargo.toml");
            }
            assert_eq!(manifest.matches("[[bin]]").count(), here.len());
        }
    };
}

targets!(
    answer,
    chunked,
    configuration,
    frames,
    grpc_web,
    key_set,
    openapi,
    path,
    proxy_header,
    query,
    request,
    token,
    traceparent
);
