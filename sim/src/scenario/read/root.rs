//! A whole file: its keys at the top, then its parts in the order in which they need each other.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::figures;
use super::super::gateway::Checked;
use super::super::model::{LoadPart, Runtime, Scenario};
use super::super::problem::{Problems, Report};
use super::super::reader::{Reader, is_name};
use super::super::source::{Sources, Span};
use super::super::tree::{Table, parse};
use super::expect::Known;
use super::{capacity, expect, fault, hostile, load as loads, outward, simulated, tokens, unrouted, way, world};

const KEYS: &[&str] = &[
    "name", "about", "seed", "tags", "runtime", "warm_up", "gateway", "mocks", "redis", "tokens", "load", "capacity",
    "faults", "events", "hostile", "rest", "expect",
];
/// The least warm-up where none is written.
const WARM_UP: Duration = Duration::from_secs(3);
/// The longest time in which nothing is sent.
const MOST_REST: Duration = Duration::from_secs(120);
/// The largest file that is read.
const MAX_BYTES: u64 = 4 << 20;

/// Why there is no scenario.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It was read, and is not right.
    #[error("{0}")]
    Invalid(Problems),
}

/// Reads a scenario and the configuration that it names.
///
/// # Errors
/// The file cannot be read, or anything in it is not right; then every problem is listed.
pub fn load(file: &Path) -> Result<Scenario, LoadError> {
    load_changed(file, |_| {})
}

/// The same with another configuration of its gateways. What it expects of what that one has not is left out, with all
/// the rest: whoever compares two wants to see both.
///
/// # Errors
/// As [`load`]; also where the configuration's name is no text.
pub fn load_with_config(file: &Path, config: &Path) -> Result<Scenario, LoadError> {
    let unreadable = |source| LoadError::Unreadable { path: config.to_path_buf(), source };
    let config = std::fs::canonicalize(config).map_err(unreadable)?;
    let no_text = || unreadable(std::io::Error::other("its path is no text"));
    let name = config.to_str().ok_or_else(no_text)?;
    let with_it = |root: &mut Table| root.replace(["gateway", "config"], name);
    load_changed(file, with_it).or_else(|_| {
        load_changed(file, |root| {
            with_it(root);
            root.remove("expect");
        })
    })
}

fn load_changed(file: &Path, change: impl FnOnce(&mut Table)) -> Result<Scenario, LoadError> {
    let unreadable = |path: &Path, source| LoadError::Unreadable { path: path.to_path_buf(), source };
    let text = read_file(file).map_err(|source| unreadable(file, source))?;
    let mut sources = Sources::default();
    let mut report = Report::default();
    let number = sources.add(file, text);
    let mut root = parse(&sources, number, &mut report);
    if !report.is_clean() {
        // What is missed in the half that was understood is there, perhaps.
        return Err(LoadError::Invalid(report.finish(&sources)));
    }
    change(&mut root);
    let reader = Reader::new(&root, Span::new(number, &(0..0)), KEYS, &mut report);
    let scenario = read(&reader, file, &mut sources, &mut report);
    match scenario {
        Some(scenario) if report.is_clean() => Ok(scenario),
        _ => Err(LoadError::Invalid(report.finish(&sources))),
    }
}

fn read(reader: &Reader<'_>, file: &Path, sources: &mut Sources, report: &mut Report) -> Option<Scenario> {
    let name = reader.text("name", report).map(str::to_owned);
    match &name {
        None if !reader.has("name") => reader.missing("name", "results are called by it", report),
        Some(name) if !is_name(name) => {
            report.error(reader.place("name"), "a name is made of letters, digits, `_` and `-`");
        }
        _ => {}
    }
    let runtimes = [("sockets", Runtime::Sockets), ("virtual", Runtime::Virtual)];
    let runtime = reader.word("runtime", &runtimes, report).unwrap_or(Runtime::Sockets);
    let mocks = world::mocks(reader, file, report);
    let redis = world::redis(reader, report);
    let keys = tokens::key_names(reader);
    let loads = loads::loads(reader, file, &keys, report);
    let capacity = capacity::capacity(reader, &loads, runtime, report);
    let gateway = world::gateway(reader, file, &mocks, redis, sources, report);
    let length = loads.iter().map(LoadPart::until).max().unwrap_or_default();
    let faults = fault::faults(reader, &mocks, length, report);
    let tokens = tokens::tokens(reader, gateway.as_ref(), length, report);
    let instances = gateway.as_ref().map_or(1, |gateway| gateway.instances);
    let hostile = hostile::hostile(reader, length, report);
    let rest = rest(reader, report);
    let events = fault::events(reader, instances, redis, length, report);
    if runtime == Runtime::Virtual {
        simulated::check(reader, &simulated::Parts { loads: &loads, mocks: &mocks, redis, instances }, report);
    }
    let scenario = Scenario {
        file: file.to_path_buf(),
        name: name.unwrap_or_default(),
        about: reader.text("about", report).unwrap_or_default().to_owned(),
        seed: reader.integer("seed", 0..=i64::MAX.unsigned_abs(), report).unwrap_or(1),
        runtime,
        tags: reader.texts("tags", report),
        warm_up: reader.duration("warm_up", report).unwrap_or(WARM_UP),
        gateway: gateway?,
        mocks,
        redis,
        loads,
        hostile,
        rest,
        capacity,
        faults,
        events,
        tokens,
        expectations: Vec::new(),
        scores_breakers: false,
        unrouted: Vec::new(),
    };
    let scenario = Scenario { scores_breakers: instances == 1 && !scenario.restarts(), ..scenario };
    Some(with_configuration(reader, scenario, sources, report))
}

/// The scenario, held against its gateways' configuration and with what is expected of it.
fn with_configuration(reader: &Reader<'_>, scenario: Scenario, sources: &Sources, report: &mut Report) -> Scenario {
    let (config, runtime) = (world::config_path(reader, &scenario.file), scenario.runtime);
    // A figure of a part that could not be read is not known, and would be reported for nothing.
    let whole = report.is_clean();
    let checked = match scenario.gateway.template.check(&config, scenario.endpoints()) {
        Ok(checked) => {
            check_ways(reader, &scenario, &checked, report);
            outward::check(reader, &scenario, &config, report);
            if runtime == Runtime::Virtual {
                simulated::check_gateway(reader, &checked, report);
            }
            Some(checked)
        }
        Err(_) if !whole => None,
        Err(problems) => {
            report.gateway(problems);
            None
        }
    };
    let figures = figures::all(&scenario, checked.as_ref());
    let (restarts, simulated) = (scenario.restarts(), runtime == Runtime::Virtual);
    let known = Known { figures: &figures, restarts, simulated };
    let known = (whole && checked.is_some()).then_some(known);
    let expectations = expect::expectations(reader, known, report);
    let unrouted = match checked {
        Some(checked) => {
            let places = loads::path_places(reader, report);
            unrouted::find(&scenario, &expectations, &checked.config, &places, sources)
        }
        None => Vec::new(),
    };
    Scenario { expectations, unrouted, ..scenario }
}

/// How long nothing is sent, before and after.
fn rest(reader: &Reader<'_>, report: &mut Report) -> Duration {
    let rest = reader.duration("rest", report).unwrap_or_default();
    if rest > MOST_REST {
        report.error(reader.place("rest"), format!("at most {MOST_REST:?}"));
    }
    rest.min(MOST_REST)
}

/// Whether everybody speaks what the listener speaks that is meant.
fn check_ways(reader: &Reader<'_>, scenario: &Scenario, checked: &Checked, report: &mut Report) {
    for (load, reader) in scenario.loads.iter().zip(loads::readers(reader, report)) {
        way::check(&load.way, &reader, checked, report);
    }
    for (part, reader) in scenario.hostile.iter().zip(hostile::readers(reader, report)) {
        way::named(part.listener, &reader, checked, report);
    }
}

/// A file's text, if it is one and not too large.
pub(super) fn read_file(path: &Path) -> std::io::Result<String> {
    let size = std::fs::metadata(path)?.len();
    if size > MAX_BYTES {
        return Err(std::io::Error::other(format!("it is larger than {} MiB", MAX_BYTES >> 20)));
    }
    std::fs::read_to_string(path)
}
