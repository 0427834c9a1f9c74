//! `sim explore`: worlds drawn from seeds, run in virtual time, and held against what must always be true.
//!
//! - `dice`, `draft`: a world from a seed; `write`: the scenario that it is;
//! - `facts`, `policies`, `check`: what has to hold; `shrink`: a smaller world that fails in the same way;
//! - `swarm`: many seeds on all cores; `show`: what is printed.

mod check;
mod dice;
mod draft;
mod facts;
mod policies;
mod show;
mod shrink;
mod swarm;
mod write;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gateway::panic_words::panic_words;
use loadgen::stdout;

use crate::scenario::{self, Scenario};
use crate::{oracle, virtual_time};
use check::Violation;
use facts::Facts;

/// What `sim explore` is asked for.
#[derive(Debug, Clone)]
pub struct Options {
    /// The first seed.
    pub seed: u64,
    /// How many seeds.
    pub seeds: u64,
    /// Scenario files to run instead of drawn worlds.
    pub files: Vec<PathBuf>,
    /// Run each world twice, and hold the two traces against each other.
    pub twice: bool,
    /// Print the result as JSON.
    pub json: bool,
    /// Where found scenarios and the result are written.
    pub out: Option<PathBuf>,
    /// The command line.
    pub command: String,
    /// Set when it is to end.
    pub stop: Arc<AtomicBool>,
}

/// Runs a scenario in virtual time, and what the oracles say of it.
///
/// # Errors
/// It needs what a simulated world lacks, the world broke, or the gateway refuses its configuration.
pub fn score(scenario: &Scenario) -> Result<oracle::Scores, virtual_time::SimulateError> {
    let checked = scenario.gateway.template.check(&scenario.file, scenario.endpoints());
    let checked = checked.map_err(virtual_time::SimulateError::Broke)?;
    let seen = virtual_time::run(scenario, virtual_time::Options::default())?;
    Ok(oracle::judge(&seen.history, &policies::of(&checked), oracle::policy::Tolerance::default()))
}

/// Why nothing was explored.
#[derive(Debug, thiserror::Error)]
pub enum ExploreError {
    /// A file cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A scenario cannot be read.
    #[error("{0}")]
    Scenario(#[from] scenario::LoadError),
    /// A scenario cannot be simulated.
    #[error("{0}")]
    Simulate(#[from] virtual_time::SimulateError),
}

/// What came of one world.
#[derive(Debug, Clone, Default, PartialEq)]
struct Examined {
    trace: u64,
    requests: u64,
    virtual_ns: u64,
    violations: Vec<Violation>,
}

/// Explores, prints what it finds as it finds it, and says at the end what it came to. 0 when everything held, 1 when
/// something did not, 4 when it was interrupted before anything failed.
///
/// # Errors
/// A file could not be read or written.
pub fn explore(options: &Options) -> Result<ExitCode, ExploreError> {
    loadgen::interrupt::end_on_interrupt(&options.stop);
    let summary = if options.files.is_empty() { swarm::run(options)? } else { swarm::replay(options)? };
    let result = show::result(options, &summary);
    if let Some(out) = &options.out {
        let path = out.join("result.json");
        let written = std::fs::create_dir_all(out)
            .and_then(|()| reports::files::write_whole(&path, &result.to_json()))
            .and_then(|()| reports::files::write(&result, out, out));
        written.map_err(|source| ExploreError::Write { path, source })?;
    }
    let text = if options.json { result.to_json() } else { show::summary(&summary) };
    stdout::print(&text).map_err(|source| ExploreError::Write { path: stdout::NAME.into(), source })?;
    Ok(match (summary.failures.is_empty(), summary.interrupted) {
        (false, _) => ExitCode::from(1),
        (true, true) => ExitCode::from(4),
        (true, false) => ExitCode::SUCCESS,
    })
}

impl Options {
    /// Whether an interrupt came.
    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Worlds that were asked for.
    fn worlds(&self) -> u64 {
        if self.files.is_empty() { self.seeds } else { self.files.len() as u64 }
    }
}

/// Runs a world, and says what does not hold in it. A panic anywhere in it is such a thing.
fn examine(scenario: &Scenario, twice: bool) -> Result<Examined, virtual_time::SimulateError> {
    let facts = Facts::of(scenario);
    // The default of the gateway is 75 s; drawn worlds do not change it.
    let options = virtual_time::Options {
        examine: facts.may_examine,
        idle_timeout_ns: 74_000_000_000,
        ..virtual_time::Options::default()
    };
    let run = || std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| virtual_time::run(scenario, options)));
    let broken = |kind: &str, detail: String| Examined {
        violations: vec![Violation { kind: kind.to_owned(), detail }],
        ..Examined::default()
    };
    let seen = match run() {
        Ok(Ok(seen)) => seen,
        Ok(Err(virtual_time::SimulateError::Broke(reason))) => return Ok(broken("broke", reason)),
        Ok(Err(lacks)) => return Err(lacks),
        Err(panic) => return Ok(broken("panic", panic_words(&*panic).to_owned())),
    };
    let mut violations = check::violations(&facts, &seen);
    if twice && !matches!(run(), Ok(Ok(again)) if again == seen) {
        let detail = "the same seed gave another run".to_owned();
        violations.push(Violation { kind: "not_the_same".to_owned(), detail });
    }
    Ok(Examined {
        trace: seen.trace,
        requests: seen.history.clients.len() as u64,
        virtual_ns: u64::try_from(seen.elapsed.as_nanos()).unwrap_or(u64::MAX),
        violations,
    })
}

/// Writes a drawn world into a folder and reads it back as the scenario that it is.
fn scenario_of(
    draft: &draft::Draft,
    folder: &Path,
    name: &str,
    about: &str,
) -> Result<(Scenario, PathBuf), ExploreError> {
    let files = write::files(draft, name, about);
    let path = files
        .save(folder, name)
        .map_err(|source| ExploreError::Write { path: folder.join(format!("{name}.toml")), source })?;
    Ok((scenario::load(&path)?, path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use gateway::planted::{self, Bug};

    #[test]
    fn drawn_worlds_hold_and_are_the_same_twice() {
        let folder = tempfile::tempdir().unwrap();
        for seed in 1..=8 {
            let (scenario, _) = scenario_of(&draft::Draft::draw(seed), folder.path(), "drawn", "").unwrap();
            let examined = examine(&scenario, true).unwrap();
            assert_eq!(examined.violations, [], "seed {seed}");
            assert!(examined.requests > 0 && examined.virtual_ns > 0);
        }
    }

    /// A service of three endpoints, of which one answers 503 for a while, to this share of its requests.
    fn outage(share: f64) -> draft::Draft {
        let mut draft = draft::Draft::draw(1);
        draft.services.truncate(1);
        let service = &mut draft.services[0];
        (service.weights, service.policy, service.service_time) = (vec![1; 3], "round_robin", Some("2ms"));
        service.attempts = 1;
        let name = service.name.clone();
        let request = draft::Request { method: "GET", path: "/bytes/100".to_owned(), body_bytes: 0 };
        draft.loads = vec![draft::Load {
            name: name.clone(),
            service: name.clone(),
            rate: 400,
            connections: 1,
            duration_ms: 9_000,
            timeout_ms: draft::PATIENT_MS,
            requests: vec![request],
        }];
        let act = "status = 503".to_owned();
        draft.faults = vec![draft::Fault { at_ms: 700, for_ms: 1_500, service: name, endpoint: Some(1), act, share }];
        draft.reloads_ms.clear();
        draft
    }

    #[test]
    fn in_virtual_time_a_breaker_trips_exactly_where_its_oracle_does() {
        let folder = tempfile::tempdir().unwrap();
        for share in [1.0, 0.75] {
            let (scenario, _) = scenario_of(&outage(share), folder.path(), "outage", "").unwrap();
            let options = virtual_time::Options { examine: true, idle_timeout_ns: 74_000_000_000, for_result: false };
            let seen = virtual_time::run(&scenario, options).unwrap();
            let policies = Facts::of(&scenario).policies;
            let scores = oracle::breaker::judge(&seen.history, &policies, check::TOLERANCE);
            let sick = scores.iter().find(|(name, _)| name.ends_with("/1")).unwrap().1;
            assert_eq!((sick.trips, sick.trip_error, sick.leaked_attempts), (1, 0, 0), "{share}: {sick:?}");
            assert_eq!(sick.attempts_to_trip, sick.oracle_attempts);
            assert!(sick.attempts_to_trip.unwrap() >= 10 && sick.probes_max_concurrent <= 3, "{sick:?}");
            let (took, bound) = (sick.recovery_ms.unwrap(), sick.recovery_oracle_ms.unwrap());
            assert!(took >= bound && took < bound + 100.0, "{took} ms, {bound} ms at least");
            assert!(scores.iter().all(|(name, well)| name.ends_with("/1") || well.trips + well.trip_error == 0));
        }
    }

    /// Shares are those of a window that is made of parts, and where a part begins decides which outcomes are in it.
    #[test]
    fn an_oracle_has_the_parts_of_a_window_where_the_gateway_has_them() {
        let folder = tempfile::tempdir().unwrap();
        for (window, share) in [("300ms", 0.8), ("1s", 1.0), ("1s", 0.7)] {
            let mut draft = outage(share);
            draft.services[0].breaker = None;
            let (_, path) = scenario_of(&draft, folder.path(), "outage", "").unwrap();
            let gateway = folder.path().join("outage.gateway.toml");
            let breaker = format!(
                "breaker = {{ window = \"{window}\", min_requests = 5, consecutive_failures = 0 }}\nbalance = "
            );
            let text = std::fs::read_to_string(&gateway).unwrap().replacen("balance = ", &breaker, 1);
            std::fs::write(&gateway, text).unwrap();
            let examined = examine(&scenario::load(&path).unwrap_or_else(|error| panic!("{error}")), false).unwrap();
            assert_eq!(examined.violations, [], "{window}, {share}");
        }
    }

    /// What was found once is looked at for ever.
    #[test]
    fn found_worlds_hold() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/found");
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let scenarios: Vec<PathBuf> = files.filter(|path| !path.to_string_lossy().ends_with(".gateway.toml")).collect();
        assert!(!scenarios.is_empty());
        for path in scenarios {
            let scenario = scenario::load(&path).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(examine(&scenario, true).unwrap().violations, [], "{}", path.display());
        }
    }

    #[test]
    fn a_gateway_that_gives_requests_ids_of_its_own_does_nothing_wrong() {
        let found = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/found");
        let folder = tempfile::tempdir().unwrap();
        let name = "cut-before-its-head";
        let read = |file: &str| std::fs::read_to_string(found.join(file)).unwrap();
        std::fs::write(folder.path().join(format!("{name}.toml")), read(&format!("{name}.toml"))).unwrap();
        let trusting = read(&format!("{name}.gateway.toml"));
        let gateway = folder.path().join(format!("{name}.gateway.toml"));
        for (line, other) in [
            ("trusted_proxies = [\"192.168.0.0/16\"]\n", ""),
            ("rewrite = { strip_prefix = \"/search\" }", "rewrite = { path = \"/v2/{rest}\" }"),
        ] {
            assert!(trusting.contains(line));
            std::fs::write(&gateway, trusting.replace(line, other)).unwrap();
            let scenario = scenario::load(&folder.path().join(format!("{name}.toml"))).unwrap();
            assert!(!Facts::of(&scenario).may_examine);
            assert_eq!(examine(&scenario, true).unwrap().violations, [], "{line}");
        }
    }

    /// Mends what a test has broken, whatever comes of it.
    struct Mended;

    impl Drop for Mended {
        fn drop(&mut self) {
            planted::plant(None);
        }
    }

    /// After how many worlds with outages something of this kind is found, with this bug in the gateway.
    fn found_with(bug: Option<Bug>, kind: Option<&str>, worlds: usize) -> Option<usize> {
        let folder = tempfile::tempdir().unwrap();
        let _mended = Mended;
        let drafts = (1..).map(draft::Draft::draw);
        let outages = drafts.filter(|draft| draft.services.iter().any(|service| service.breaker.is_some()));
        outages.take(worlds).position(|draft| {
            let (scenario, _) = scenario_of(&draft, folder.path(), "drawn", "").unwrap();
            planted::plant(bug);
            let violations = examine(&scenario, false).unwrap().violations;
            violations.iter().any(|one| kind.is_none_or(|kind| one.kind == kind))
        })
    }

    /// What explore is worth: each of these bugs is found, by what it breaks, in a few worlds in which a gateway
    /// without them is found nothing against.
    #[test]
    fn explore_finds_the_planted_bug() {
        const WORLDS: usize = 12;
        for (bug, kind) in [(Bug::OneLeaks, "leaked"), (Bug::NeverCloses, "unfounded"), (Bug::NeverCloses, "not_back")]
        {
            assert!(found_with(Some(bug), Some(kind), WORLDS).is_some(), "{bug:?} is not found as {kind}");
        }
        assert_eq!(found_with(None, None, WORLDS), None);
        // Probes that take long enough to be under way together.
        let mut draft = outage(1.0);
        draft.services[0].service_time = Some("30ms");
        let folder = tempfile::tempdir().unwrap();
        let (scenario, _) = scenario_of(&draft, folder.path(), "outage", "").unwrap();
        let _mended = Mended;
        for (bug, leaks) in [(None, false), (Some(Bug::OneProbeTooMany), true)] {
            planted::plant(bug);
            let violations = examine(&scenario, false).unwrap().violations;
            assert_eq!(violations.iter().any(|one| one.kind == "leaked"), leaks, "{violations:?}");
        }
    }

    #[test]
    fn a_world_that_cannot_be_simulated_is_an_error_and_no_failure() {
        let folder = tempfile::tempdir().unwrap();
        let (mut scenario, _) = scenario_of(&draft::Draft::draw(1), folder.path(), "drawn", "").unwrap();
        scenario.redis = true;
        assert!(examine(&scenario, false).is_err());
    }
}
