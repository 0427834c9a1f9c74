//! `sim suite`: the committed scenarios one after another, with one table and one result.
//!
//! All are read and checked before the first is started. One that cannot be run is said to be so, and the rest go on.
//! What was not valid as a measurement is measured again after the others, when whatever disturbed it may be over: the
//! table says so, what the earlier run wrote stays, and one that is valid is never run again, whatever it showed.
//! An interrupt ends the one that runs, and nothing more is started.

mod files;
mod show;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use loadgen::clock::{Clock, rfc3339, unix_seconds};
use loadgen::stdout;
use reports::result::{Environment, Kind, Lag, ResultFile, SuiteScenario, Validity, Verdict};

use crate::children::Programs;
use crate::folder::Folder;
use crate::rounds::progress::roughly;
use crate::run::{Bench, RunError, exit_code};
use crate::scenario::model::Runtime;
use crate::scenario::{LoadError, Scenario, load};

/// Where scenarios are, seen from the repository.
pub const FOLDER: &str = "sim/scenarios";
/// What marks a scenario for `--quick`.
const QUICK: &str = "quick";

/// What a suite is asked for.
#[derive(Debug, Clone)]
pub struct Options {
    /// Which programs to start.
    pub programs: Programs,
    /// The scenarios' folder.
    pub scenarios: PathBuf,
    /// Only scenarios with one of these tags, or names.
    pub only: Vec<String>,
    /// Only what is tagged as quick.
    pub quick: bool,
    /// Only say which there are.
    pub list: bool,
    /// How often one that was not valid is measured again.
    pub again: u32,
    /// Another seed than the files'.
    pub seed: Option<u64>,
    /// Print the result as JSON.
    pub json: bool,
    /// Where everything is written; a new folder among the temporary files when `None`.
    pub out: Option<PathBuf>,
    /// The command line, for the result.
    pub command: String,
}

/// Runs the suite.
///
/// # Errors
/// When no scenario is asked for, one is not right, or a file cannot be written.
pub fn suite(options: &Options) -> Result<ExitCode, RunError> {
    let begun = Clock::start();
    let scenarios = chosen(options)?;
    if options.list {
        print(&show::list(&scenarios))?;
        return Ok(ExitCode::SUCCESS);
    }
    let stop = Arc::new(AtomicBool::new(false));
    loadgen::interrupt::end_on_interrupt(&stop);
    let out = Folder::make(options.out.as_deref(), "suite");
    let out = out.map_err(|(path, source)| RunError::File { path, source })?.path().to_path_buf();
    let bench = Bench { programs: &options.programs, stop: &stop, quiet: options.json, command: &options.command };
    let started_at = rfc3339(unix_seconds());
    let mut done = Vec::new();
    for (number, scenario) in scenarios.iter().enumerate() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let left = roughly(scenarios[number..].iter().map(Scenario::takes).sum());
        announce(options, &format!("{} of {}  {}  (about {left} left)", number + 1, scenarios.len(), scenario.name));
        done.push(Done::of(&bench, scenario, &out));
    }
    for _ in 0..options.again {
        // In virtual time it would come out the same.
        let may_differ = |(scenario, done): &(&Scenario, &mut Done)| {
            scenario.runtime == Runtime::Sockets && done.may_be_valid_next_time()
        };
        for (scenario, done) in scenarios.iter().zip(&mut done).filter(may_differ) {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            announce(options, &format!("again  {}, which was not valid", scenario.name));
            if let Err(error) = done.set_aside(&out) {
                // What there is stays as it is, and so does what the others have shown.
                done.kept_back = Some(error.to_string());
                continue;
            }
            let latest = Done::of(&bench, scenario, &out);
            done.replaced_by(latest);
        }
    }
    let seconds = Duration::from_nanos(begun.now_ns()).as_secs_f64();
    let result = ResultFile {
        seconds: Some((seconds * 10.0).round() / 10.0),
        ..summary(options, &scenarios, &done, started_at)
    };
    let path = out.join("result.json");
    reports::files::write_whole(&path, &result.to_json()).map_err(RunError::file(&path))?;
    reports::files::write(&result, &out, &out).map_err(RunError::file(&out))?;
    print(&if options.json { result.to_json() } else { show::table(&done, &result, &out) })?;
    Ok(exit_code(result.verdict))
}

/// The scenarios that are asked for, in the order of their files' names, each checked.
fn chosen(options: &Options) -> Result<Vec<Scenario>, RunError> {
    let folder = &options.scenarios;
    let files = files::scenarios(folder).map_err(|source| RunError::Scenarios { folder: folder.clone(), source })?;
    let scenarios = files.iter().map(|file| read(file, folder)).collect::<Result<Vec<Scenario>, RunError>>()?;
    have_names_of_their_own(&scenarios)?;
    let asked = |scenario: &Scenario| {
        let named = |word: &String| *word == scenario.name || scenario.tags.contains(word);
        let is_quick = !options.quick || scenario.tags.iter().any(|tag| tag == QUICK);
        is_quick && (options.only.is_empty() || options.only.iter().any(named))
    };
    let mut chosen: Vec<Scenario> = scenarios.into_iter().filter(asked).collect();
    if chosen.is_empty() {
        let why = "no scenario has such a name or tag; --list shows them".to_owned();
        return Err(RunError::Control { what: folder.display().to_string(), why });
    }
    for scenario in &mut chosen {
        scenario.seed = options.seed.unwrap_or(scenario.seed);
    }
    Ok(chosen)
}

/// One of the folder's files, as a scenario. Where it is none, nobody may have meant it to be one.
fn read(file: &Path, folder: &Path) -> Result<Scenario, RunError> {
    load(file).map_err(|error| match error {
        LoadError::Invalid(problems) => {
            RunError::NoScenario { file: file.to_path_buf(), folder: folder.to_path_buf(), problems }
        }
        other => other.into(),
    })
}

/// A name is a scenario's folder and its test case, so two of one name would overwrite each other.
fn have_names_of_their_own(scenarios: &[Scenario]) -> Result<(), RunError> {
    let mut seen: BTreeMap<&str, &Path> = BTreeMap::new();
    for scenario in scenarios {
        if let Some(first) = seen.insert(&scenario.name, &scenario.file) {
            let files = [first.to_path_buf(), scenario.file.clone()];
            return Err(RunError::SameName { name: scenario.name.clone(), files });
        }
    }
    Ok(())
}

/// One scenario of the suite and what came of it.
#[derive(Debug)]
struct Done {
    name: String,
    /// Of all its runs together.
    seconds: f64,
    result: Result<ResultFile, String>,
    /// Why each earlier run was not valid.
    earlier: Vec<String>,
    /// Why it could not be measured again.
    kept_back: Option<String>,
}

impl Done {
    /// Runs it, into a folder of its name.
    fn of(bench: &Bench<'_>, scenario: &Scenario, out: &Path) -> Self {
        let clock = Clock::start();
        let result = bench.run(scenario, &out.join(&scenario.name));
        Self::new(&scenario.name, Duration::from_nanos(clock.now_ns()), result)
    }

    fn new(name: &str, took: Duration, result: Result<ResultFile, RunError>) -> Self {
        let seconds = (took.as_secs_f64() * 10.0).round() / 10.0;
        let result = result.map_err(|error| error.to_string());
        Self { name: name.to_owned(), seconds, result, earlier: Vec::new(), kept_back: None }
    }

    /// Whether it ran, and what it measured cannot be believed. What could not be run at all will not run now either.
    fn may_be_valid_next_time(&self) -> bool {
        self.kept_back.is_none() && self.result.as_ref().is_ok_and(|result| result.verdict == Verdict::Invalid)
    }

    /// Keeps what the last run wrote, in a folder beside the next one's; those of former suites stay too.
    fn set_aside(&self, out: &Path) -> Result<(), RunError> {
        let written = out.join(&self.name);
        let mut folders = (1_u32..).map(|number| out.join(format!("{}.run-{number}", self.name)));
        let free = folders.find(|folder| !folder.exists()).ok_or(std::io::ErrorKind::AlreadyExists.into());
        free.and_then(|free| std::fs::rename(&written, free)).map_err(RunError::file(&written))
    }

    fn replaced_by(&mut self, latest: Self) {
        let why = self.result.as_ref().map(|result| result.validity.reasons.join("; ")).unwrap_or_default();
        self.earlier.push(why);
        self.seconds += latest.seconds;
        self.result = latest.result;
    }

    fn verdict(&self) -> Verdict {
        self.result.as_ref().map_or(Verdict::Invalid, |result| result.verdict)
    }

    fn to_result(&self) -> SuiteScenario {
        let latest: Vec<String> = match &self.result {
            Err(error) => vec![format!("it could not be run: {error}")],
            Ok(result) => {
                let failed = result.expectations.iter().filter(|expectation| !expectation.holds);
                let failed = failed.map(|one| {
                    let value = one.value.map_or_else(|| "no value".to_owned(), |value| value.to_string());
                    format!("{} is {value}, not {}", one.figure, one.bound)
                });
                failed.chain(result.validity.reasons.iter().cloned()).collect()
            }
        };
        let earlier = self.earlier.iter().zip(1..).map(|(why, run)| format!("run {run} was not valid: {why}"));
        let kept_back = self.kept_back.iter().map(|why| format!("it was not measured again: {why}"));
        let reasons = earlier.chain(latest).chain(kept_back).collect();
        SuiteScenario {
            name: self.name.clone(),
            verdict: self.verdict(),
            seconds: self.seconds,
            expectations: self.result.as_ref().map_or(0, |result| result.expectations.len() as u64),
            reasons,
            notes: self.result.as_ref().map(|result| result.validity.notes.clone()).unwrap_or_default(),
            seed: self.result.as_ref().ok().map(|result| result.seed),
            folder: self.result.is_ok().then(|| self.name.clone()),
        }
    }
}

fn summary(options: &Options, scenarios: &[Scenario], done: &[Done], started_at: String) -> ResultFile {
    let results = || done.iter().filter_map(|done| done.result.as_ref().ok());
    let mut reasons: Vec<String> = done
        .iter()
        .filter(|done| done.verdict() == Verdict::Invalid)
        .map(|done| format!("scenario {} was not valid", done.name))
        .collect();
    if done.len() < scenarios.len() {
        reasons.insert(0, format!("it was interrupted after {} of {} scenarios", done.len(), scenarios.len()));
    }
    let validity = Validity {
        valid: reasons.is_empty(),
        reasons,
        dropped: results().map(|result| result.validity.dropped).sum(),
        achieved_over_offered: results().map(|result| result.validity.achieved_over_offered).fold(1.0, f64::min),
        client_cpu_ratio: results().map(|result| result.validity.client_cpu_ratio).fold(0.0, f64::max),
        pacer_lag_us: results().map(|result| result.validity.pacer_lag_us).fold(Lag::default(), Lag::worst),
        ..Validity::default()
    };
    ResultFile {
        kind: Kind::Suite,
        name: "suite".to_owned(),
        seed: options.seed.unwrap_or(0),
        commit: options.programs.commit().to_owned(),
        started_at,
        command: options.command.clone(),
        environment: environment(results()),
        verdict: verdict(done, validity.valid),
        validity,
        scenarios: done.iter().map(Done::to_result).collect(),
        ..ResultFile::default()
    }
}

/// The machine as the last scenario saw it, and the most that its host took of its time in any of them.
fn environment<'a>(mut results: impl DoubleEndedIterator<Item = &'a ResultFile> + Clone) -> Environment {
    let steal_ratio = results.clone().map(|result| result.environment.steal_ratio).fold(0.0, f64::max);
    let last = results.next_back().map(|result| result.environment.clone()).unwrap_or_default();
    Environment { steal_ratio, ..last }
}

/// One that fails decides, valid or not the others; one that is not valid is never passed over.
fn verdict(done: &[Done], valid: bool) -> Verdict {
    match (done.iter().any(|done| done.verdict() == Verdict::Fail), valid) {
        (true, _) => Verdict::Fail,
        (false, false) => Verdict::Invalid,
        (false, true) => Verdict::Pass,
    }
}

fn announce(options: &Options, text: &str) {
    if !options.json {
        say(text);
    }
}

fn print(text: &str) -> Result<(), RunError> {
    stdout::print(text).map_err(RunError::file(Path::new(stdout::NAME)))
}

fn say(text: &str) {
    // With standard error closed there is no one to tell.
    let _ = writeln!(std::io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(verdict: Verdict) -> Done {
        let result = ResultFile { verdict, ..ResultFile::default() };
        Done { name: "x".to_owned(), seconds: 1.0, result: Ok(result), earlier: Vec::new(), kept_back: None }
    }

    #[test]
    fn one_that_fails_decides_and_an_invalid_one_is_never_a_pass() {
        let of =
            |verdicts: &[Verdict], valid| verdict(&verdicts.iter().map(|one| done(*one)).collect::<Vec<_>>(), valid);
        assert_eq!(of(&[Verdict::Pass, Verdict::Pass], true), Verdict::Pass);
        assert_eq!(of(&[Verdict::Pass, Verdict::Invalid], false), Verdict::Invalid);
        assert_eq!(of(&[Verdict::Fail, Verdict::Invalid], false), Verdict::Fail);
    }

    #[test]
    fn the_suite_tells_of_the_scenario_that_had_the_least_of_the_machine() {
        let of = |cpu: &str, steal_ratio| ResultFile {
            environment: Environment { cpu: cpu.to_owned(), steal_ratio, ..Environment::default() },
            ..ResultFile::default()
        };
        let results = [of("x", 0.001), of("y", 0.08), of("z", 0.0)];
        let told = environment(results.iter());
        assert_eq!((told.cpu.as_str(), told.steal_ratio), ("z", 0.08));
        assert_eq!(environment([].iter()), Environment::default());
    }

    #[test]
    fn what_could_not_be_run_is_invalid_and_says_why() {
        let done = Done { result: Err("no mocks".to_owned()), ..done(Verdict::Invalid) };
        assert!(!done.may_be_valid_next_time(), "it would not run a second time either");
        let told = done.to_result();
        assert_eq!((told.verdict, told.reasons), (Verdict::Invalid, vec!["it could not be run: no mocks".to_owned()]));
    }

    #[test]
    fn only_what_was_not_valid_is_measured_again_and_the_table_says_why() {
        assert!(!done(Verdict::Pass).may_be_valid_next_time());
        assert!(!done(Verdict::Fail).may_be_valid_next_time(), "a failure stands");
        let mut first = done(Verdict::Invalid);
        assert!(first.may_be_valid_next_time());
        first.result.as_mut().unwrap().validity.reasons.push("the host took 2.0 %".to_owned());
        first.replaced_by(done(Verdict::Pass));
        let told = first.to_result();
        assert_eq!((told.verdict, told.seconds), (Verdict::Pass, 2.0));
        assert_eq!(told.reasons, ["run 1 was not valid: the host took 2.0 %"]);
    }

    #[test]
    fn what_is_to_be_known_of_a_scenario_stands_in_the_suites_table() {
        let mut one = done(Verdict::Pass);
        one.result.as_mut().unwrap().validity.notes.push("it expects nothing".to_owned());
        let told = one.to_result();
        assert_eq!((told.reasons.len(), told.notes.as_slice()), (0, ["it expects nothing".to_owned()].as_slice()));
        let result = ResultFile { kind: Kind::Suite, scenarios: vec![told], ..ResultFile::default() };
        assert!(show::table(&[one], &result, Path::new("out")).contains("\nx\n  - note: it expects nothing\n"));
        assert!(reports::text::render(&result).contains("  - note: it expects nothing\n"));
    }

    #[test]
    fn what_an_earlier_run_wrote_stays() {
        let out = tempfile::tempdir().unwrap();
        std::fs::create_dir(out.path().join("x")).unwrap();
        done(Verdict::Invalid).set_aside(out.path()).unwrap();
        assert!(out.path().join("x.run-1").is_dir() && !out.path().join("x").exists());
    }

    #[test]
    fn what_a_former_suite_wrote_stays_too() {
        let out = tempfile::tempdir().unwrap();
        for folder in ["x", "x.run-1"] {
            std::fs::create_dir(out.path().join(folder)).unwrap();
        }
        std::fs::write(out.path().join("x.run-1/result.json"), "{}").unwrap();
        done(Verdict::Invalid).set_aside(out.path()).unwrap();
        assert!(out.path().join("x.run-1/result.json").is_file() && out.path().join("x.run-2").is_dir());
    }

    #[test]
    fn what_cannot_be_set_aside_is_not_run_again_and_says_why() {
        let out = tempfile::tempdir().unwrap();
        let mut done = done(Verdict::Invalid);
        done.kept_back = done.set_aside(out.path()).err().map(|error| error.to_string());
        assert!(!done.may_be_valid_next_time());
        assert!(done.to_result().reasons[0].starts_with("it was not measured again: "), "{done:?}");
    }

    #[test]
    fn two_scenarios_of_one_name_are_refused_before_anything_starts() {
        let scenario = load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/steady.toml")).unwrap();
        assert!(have_names_of_their_own(std::slice::from_ref(&scenario)).is_ok());
        let copied = Scenario { file: "copied.toml".into(), ..scenario.clone() };
        let error = have_names_of_their_own(&[scenario, copied]).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("steady.toml and copied.toml have one name, `steady`"), "{text}");
        assert_eq!(error.exit_code(), 1, "as of any scenario that is not right");
    }

    #[test]
    fn a_file_that_is_no_scenario_says_how_it_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gw_late.toml");
        std::fs::write(&file, "[[listeners]]\nbind = \"127.0.0.1:0\"\n").unwrap();
        let error = read(&file, folder.path()).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("unknown key `listeners`") && text.contains("gateway.toml"), "{text}");
        assert_eq!(error.exit_code(), 1);
    }
}
