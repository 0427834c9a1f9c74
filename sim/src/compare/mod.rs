//! `sim compare`: the same scenario through our gateway and through others, scored from outside.
//!
//! Each gateway has a run of its own: the same mocks, load, faults, events and seed, one after another, with the same
//! cores. None is asked what it decided; clients and mocks tell.
//!
//! | module | what it holds |
//! |---|---|
//! | `wanted` | what the scenario's configuration asks for |
//! | `nearest` | the nearest equal for nginx, HAProxy and Envoy, and what it lacks, in words |
//! | `own_config`, `outward` | a configuration that the user brings, and where it leads beyond this machine |
//! | `stand` | how each is started, told to reload, and told to drain |
//! | `try_out` | what is wrong with one, before anything runs |
//! | `score` | trip time, leaks, recovery, failures at events, over-admission: pure |
//! | `board` | the result of all |

mod board;
pub(crate) mod cli;
mod nearest;
mod outward;
mod own_config;
mod score;
mod stand;
mod try_out;
mod wanted;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use loadgen::clock::{rfc3339, unix_seconds};
use loadgen::stdout;

use crate::children::Programs;
use crate::folder::Folder;
use crate::peers::OURS;
use crate::peers::idle::raise_file_limit;
use crate::peers::program::{find, version_of};
use crate::rounds::progress::roughly;
use crate::run::{Bench, Other, RunError, exit_code};
use crate::scenario::model::Runtime;
use crate::scenario::{Scenario, load, load_with_config};
use board::Board;
use own_config::OwnConfig;
use stand::{Manner, Source, Stand};

/// Gateways that a configuration can be made for.
pub const KNOWN: [&str; 3] = ["nginx", "haproxy", "envoy"];

/// What a comparison is asked for.
#[derive(Debug, Clone)]
pub struct Options {
    /// Which programs to start.
    pub programs: Programs,
    /// The scenario's file.
    pub scenario: PathBuf,
    /// Peers by name.
    pub peers: Vec<String>,
    /// Paths of peers that are not where they are looked for.
    pub bins: BTreeMap<String, PathBuf>,
    /// Configurations of the user's own, by peer.
    pub configs: BTreeMap<String, PathBuf>,
    /// Command lines of peers that are not known here, by peer.
    pub commands: BTreeMap<String, String>,
    /// Other configurations of our gateway, by the names that they have in the table.
    pub own: BTreeMap<String, PathBuf>,
    /// Another seed than the file's.
    pub seed: Option<u64>,
    /// Print the result as JSON.
    pub json: bool,
    /// Where everything is written; a new folder among the temporary files when `None`.
    pub out: Option<PathBuf>,
    /// The command line, for the result.
    pub command: String,
}

/// A gateway that was asked for and is not here, with what can be done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Missing {
    name: String,
    remedy: String,
}

/// Runs the comparison.
///
/// # Errors
/// When the scenario or a peer's own configuration is not right, no peer is here, one cannot be run, or something
/// cannot be started or written.
pub fn compare(options: &Options) -> Result<ExitCode, RunError> {
    let mut scenario = load(&options.scenario)?;
    if scenario.runtime == Runtime::Virtual {
        return Err(RunError::Virtual(options.scenario.clone()));
    }
    if scenario.loads.iter().any(|load| !load.way.is_plain()) || !scenario.hostile.is_empty() {
        let why = "it has loads over TLS, HTTP/2 or the PROXY protocol, or hostile clients; the other gateways here are set \
                   up with one listener for HTTP/1.1 in the clear";
        return Err(RunError::Control { what: scenario.name, why: why.to_owned() });
    }
    scenario.seed = options.seed.unwrap_or(scenario.seed);
    let own = own_configurations(options)?;
    let stop = Arc::new(AtomicBool::new(false));
    loadgen::interrupt::end_on_interrupt(&stop);
    let started_at = rfc3339(unix_seconds());
    let (stands, missing) = take_part(options, &scenario)?;
    if stands.is_empty() && own.is_empty() {
        let why = missing.iter().map(|one| one.remedy.clone()).collect::<Vec<_>>().join("; ");
        return Err(RunError::Control { what: "no peer to compare with".to_owned(), why });
    }
    try_out::try_out(&stands)?;
    let folder = Folder::make(options.out.as_deref(), "compare");
    let folder = folder.map_err(|(path, source)| RunError::File { path, source })?.path().to_path_buf();
    let bench = Bench { programs: &options.programs, stop: &stop, quiet: options.json, command: &options.command };
    let mut board = Board::new(&scenario, missing);
    let all = stands.len() + own.len() + 1;
    let say = |number: usize, name: &str| {
        if !options.json {
            let left = roughly(scenario.takes() * u32::try_from(all + 1 - number).unwrap_or(u32::MAX));
            // With standard error closed there is no one to tell.
            let _ = writeln!(std::io::stderr(), "{number} of {all}  {name}  (about {left} left)");
        }
    };
    say(1, OURS);
    board.add_ours(&bench.measure(&scenario, &folder.join(OURS), None)?);
    for (number, (name, scenario)) in (2..).zip(&own) {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        say(number, name);
        match bench.measure(scenario, &folder.join(name), None) {
            Ok(ran) => board.add_own(name, &options.own[name], &ran),
            Err(error) => board.failed(name, &error),
        }
    }
    for (number, stand) in (2 + own.len()..).zip(stands) {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        say(number, &stand.name);
        let other: Arc<dyn Other> = Arc::clone(&stand) as Arc<dyn Other>;
        match bench.measure(&scenario, &folder.join(&stand.name), Some(&other)) {
            Ok(ran) => board.add(&stand, &ran),
            Err(error) => board.failed(&stand.name, &error),
        }
    }
    let result = board.result(started_at, &options.command, stop.load(Ordering::Relaxed));
    let path = folder.join("result.json");
    reports::files::write_whole(&path, &result.to_json()).map_err(RunError::file(&path))?;
    reports::files::write(&result, &folder, &folder).map_err(RunError::file(&folder))?;
    let text = if options.json {
        result.to_json()
    } else {
        let pages = "each gateway's own run, its configuration and its log are in the folder of its name";
        format!("{}\nwritten to {}; {pages}\n", reports::text::render(&result), folder.display())
    };
    stdout::print(&text).map_err(RunError::file(Path::new(stdout::NAME)))?;
    Ok(exit_code(result.verdict))
}

/// The scenario with each other configuration of our gateway.
fn own_configurations(options: &Options) -> Result<BTreeMap<String, Scenario>, RunError> {
    let read = |(name, config): (&String, &PathBuf)| {
        let mut scenario = load_with_config(&options.scenario, config)?;
        scenario.seed = options.seed.unwrap_or(scenario.seed);
        Ok((name.clone(), scenario))
    };
    options.own.iter().map(read).collect()
}

/// Who is here, and who is not.
fn take_part(options: &Options, scenario: &Scenario) -> Result<(Vec<Arc<Stand>>, Vec<Missing>), RunError> {
    let limit = |source| RunError::Control { what: "the limit of open files".to_owned(), why: format!("{source}") };
    let (_, connections) = raise_file_limit(0).map_err(|error: std::io::Error| limit(error))?;
    let (mut stands, mut missing) = (Vec::new(), Vec::new());
    for name in &options.peers {
        let source = source(name, options)?;
        let (path, version, manner) = match options.commands.get(name) {
            Some(command) => own_command(name, command)?,
            None => {
                let named = options.bins.get(name).map(PathBuf::as_path);
                let Some(found) = find(name, named) else {
                    missing.push(Missing { name: name.clone(), remedy: remedy(name, named) });
                    continue;
                };
                (runnable(name, &found.path)?, found.version, manner(name))
            }
        };
        let scenario = scenario.clone();
        let running = Mutex::default();
        stands.push(Arc::new(Stand {
            name: name.clone(),
            version,
            path,
            manner,
            source,
            scenario,
            connections,
            running,
        }));
    }
    Ok((stands, missing))
}

/// How one comes by a peer that is not here, or not where the user said.
fn remedy(name: &str, named: Option<&Path>) -> String {
    let brought = "`cargo xtask peers` brings it, or name it with";
    match named {
        Some(path) => format!("{name} is not at {}: {brought} another --bin {name}=PATH", path.display()),
        None => format!("{name} is not on this machine: {brought} --bin {name}=PATH"),
    }
}

fn runnable(name: &str, path: &Path) -> Result<PathBuf, RunError> {
    try_out::program(path).map_err(|why| RunError::Control { what: name.to_owned(), why })
}

fn manner(name: &str) -> Manner {
    match name {
        "nginx" => Manner::Nginx,
        "haproxy" => Manner::Haproxy,
        "envoy" => Manner::Envoy,
        _ => Manner::Own(Vec::new()),
    }
}

fn source(name: &str, options: &Options) -> Result<Source, RunError> {
    if let Some(path) = options.configs.get(name) {
        return Ok(Source::Own(OwnConfig::read(path).map_err(RunError::file(path))?));
    }
    let why = || format!("no configuration can be made for it; bring one with --peer-config {name}=FILE");
    nearest::maker(name).map(Source::Made).ok_or_else(|| RunError::Control { what: name.to_owned(), why: why() })
}

fn own_command(name: &str, command: &str) -> Result<(PathBuf, String, Manner), RunError> {
    let mut words = command.split_whitespace().map(str::to_owned);
    let none = || RunError::Control { what: name.to_owned(), why: "its command is empty".to_owned() };
    let program = runnable(name, Path::new(&words.next().ok_or_else(none)?))?;
    let version = version_of(&program, &["--version"]);
    Ok((program, version, Manner::Own(words.collect())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_gateway_has_a_maker_a_manner_and_a_program() {
        for name in KNOWN {
            assert!(nearest::maker(name).is_some() && manner(name) != Manner::Own(Vec::new()), "{name}");
            assert!(crate::peers::known_names().contains(&name), "{name}");
        }
    }

    #[test]
    fn a_command_is_a_program_and_its_words() {
        let (program, _, manner) = own_command("mine", "/bin/true --file {config}").unwrap();
        assert_eq!(program, PathBuf::from("/bin/true"));
        assert_eq!(manner, Manner::Own(vec!["--file".to_owned(), "{config}".to_owned()]));
        assert!(own_command("mine", "  ").is_err());
        let error = own_command("mine", "/no/such/mine --file {config}").unwrap_err();
        assert_eq!((error.exit_code(), error.to_string().as_str()), (3, "mine: there is no program /no/such/mine"));
        assert!(remedy("envoy", None).contains("cargo xtask peers"));
        assert!(remedy("envoy", Some(Path::new("/x"))).starts_with("envoy is not at /x: `cargo xtask peers`"));
    }
}
