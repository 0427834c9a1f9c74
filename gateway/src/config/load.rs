//! The three passes in a row: parse, check, build.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::build::{self, Built};
use super::check::policies::Policies;
use super::check::{Context, Reader, scalar, walk};
use super::effective;
use super::fingerprint::{Files, Held};
use super::parse::document::Parsed;
use super::parse::environment::{Environment, ProcessEnvironment};
use super::parse::{document, foreign, include};
use super::problem::{Problem, Problems, Report, quoted};
use super::registered::{Doors, Registered};
use super::schema::ROOT;
use super::settings::Config;
use super::settings::route::HostPolicy;
use super::settings::telemetry::LogOutput;
use super::source::{Source, Sources, Span};
use super::validate::{conflicts, names, open_elsewhere, preflights, references};
use super::written::Written;

/// The largest file that is read. Ten thousand routes take about two mebibytes.
pub const MAX_FILE_BYTES: u64 = 8 << 20;

/// What a configuration is loaded for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To be looked at: an unset secret is a warning, as secrets are seldom where checks run.
    Check,
    /// The same on another machine than is to serve it: also a file that it names and that cannot be read here is a
    /// warning, and nothing is said of what may be written to here.
    CheckElsewhere,
    /// To be served: an unset secret is an error.
    Run,
}

/// A configuration that can be used.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// What is perhaps not meant.
    pub warnings: Vec<Problem>,
    /// The files that it was read from.
    pub files: Files,
}

/// Why a configuration cannot be used.
#[derive(Debug)]
pub enum LoadError {
    /// The file itself cannot be read.
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file was read, and is not right.
    Invalid(Problems),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, source } => write!(f, "cannot read {}: {source}", path.display()),
            Self::Invalid(problems) => problems.fmt(f),
        }
    }
}

impl std::error::Error for LoadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable { source, .. } => Some(source),
            Self::Invalid(problems) => Some(problems),
        }
    }
}

/// Loads a file and what it includes, with this process's environment.
///
/// # Errors
/// The file cannot be read, or anything in it or in what it names is not right; then every problem is listed.
pub fn load(path: &Path, purpose: Purpose) -> Result<Loaded, LoadError> {
    load_with(path, purpose, &ProcessEnvironment)
}

/// The same with an environment of the caller's.
///
/// # Errors
/// As [`load`].
pub fn load_with(path: &Path, purpose: Purpose, environment: &dyn Environment) -> Result<Loaded, LoadError> {
    let text = read(path).map_err(|source| LoadError::Unreadable { path: path.to_path_buf(), source })?;
    load_bytes(&text, path, purpose, environment).map_err(LoadError::Invalid)
}

/// The same for a program that has registered these names in code, and is to serve the configuration.
///
/// # Errors
/// As [`load`].
pub fn load_for(path: &Path, registered: &Registered) -> Result<Loaded, LoadError> {
    let text = read(path).map_err(|source| LoadError::Unreadable { path: path.to_path_buf(), source })?;
    load_text_bytes(&text, path, registered).map_err(LoadError::Invalid)
}

/// The same once more, for a program that serves already. Only of a file: a pipe would be waited for.
///
/// # Errors
/// As [`load`].
pub(crate) fn load_again(path: &Path, registered: &Registered) -> Result<Loaded, LoadError> {
    let text = read_included(path).map_err(|source| LoadError::Unreadable { path: path.to_path_buf(), source })?;
    load_text_bytes(&text, path, registered).map_err(LoadError::Invalid)
}

/// The same of a text.
///
/// # Errors
/// As [`load_text`].
pub fn load_text_for(text: &str, file_name: &Path, registered: &Registered) -> Result<Loaded, Problems> {
    load_text_bytes(text.as_bytes(), file_name, registered)
}

/// The same with what the configuration comes to, key by key: see `gateway diff`.
///
/// # Errors
/// As [`load`].
pub fn load_effective(path: &Path, purpose: Purpose) -> Result<(Loaded, Value), LoadError> {
    let text = read(path).map_err(|source| LoadError::Unreadable { path: path.to_path_buf(), source })?;
    let around = Around::new(purpose, &ProcessEnvironment);
    load_both(&text, path, &around, effective::of).map_err(LoadError::Invalid)
}

/// The same of a text.
///
/// # Errors
/// As [`load_text`].
pub fn load_effective_text(text: &str, file_name: &Path, purpose: Purpose) -> Result<(Loaded, Value), Problems> {
    load_both(text.as_bytes(), file_name, &Around::new(purpose, &ProcessEnvironment), effective::of)
}

/// Opens a log that is to be read line by line; a pipe is one too.
///
/// # Errors
/// It cannot be opened, or is a folder.
pub fn log_file(path: &Path) -> io::Result<std::fs::File> {
    if path.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder"));
    }
    std::fs::File::open(path)
}

/// Loads a text as if it were in a file of this name; nothing is read for the text itself.
///
/// # Errors
/// Anything in it is not right; then every problem is listed.
pub fn load_text(text: &str, file_name: &Path, purpose: Purpose) -> Result<Loaded, Problems> {
    load_bytes(text.as_bytes(), file_name, purpose, &ProcessEnvironment)
}

/// The same with an environment of the caller's.
///
/// # Errors
/// As [`load_text`].
pub fn load_text_with(
    text: &str,
    file_name: &Path,
    purpose: Purpose,
    environment: &dyn Environment,
) -> Result<Loaded, Problems> {
    load_bytes(text.as_bytes(), file_name, purpose, environment)
}

/// A file's bytes, one more than may be at most.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    use std::io::Read as _;
    if path.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder"));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// An included file. Only files: a pipe would be waited for.
pub(super) fn read_included(path: &Path) -> io::Result<Vec<u8>> {
    if std::fs::metadata(path)?.is_file() { read(path) } else { Err(io::Error::other("it is not a file")) }
}

fn load_bytes(bytes: &[u8], path: &Path, purpose: Purpose, environment: &dyn Environment) -> Result<Loaded, Problems> {
    load_both(bytes, path, &Around::new(purpose, environment), |_, _| ()).map(|(loaded, ())| loaded)
}

fn load_text_bytes(bytes: &[u8], path: &Path, registered: &Registered) -> Result<Loaded, Problems> {
    let around = Around { registered: registered.clone(), ..Around::new(Purpose::Run, &ProcessEnvironment) };
    load_both(bytes, path, &around, |_, _| ()).map(|(loaded, ())| loaded)
}

/// What a configuration is loaded in.
struct Around<'a> {
    purpose: Purpose,
    environment: &'a dyn Environment,
    registered: Registered,
}

impl<'a> Around<'a> {
    /// A program that registers nothing.
    fn new(purpose: Purpose, environment: &'a dyn Environment) -> Self {
        Self { purpose, environment, registered: Registered::default() }
    }
}

/// Loads, and looks at what was loaded before the tree is gone.
fn load_both<T>(
    bytes: &[u8],
    path: &Path,
    around: &Around<'_>,
    look: impl FnOnce(&Context<'_>, &Reader<'_>) -> T,
) -> Result<(Loaded, T), Problems> {
    let environment = around.environment;
    let mut sources = Sources::default();
    let mut report = Report::default();
    let Parsed { table: mut root, mut complete } = parse(bytes, path, &mut sources, environment, &mut report);
    let patterns = include::patterns(&root, &sources);
    // What is looked at before it is read is not missed when it changes meanwhile.
    let mut held = Held::default();
    held.was_read(path, bytes);
    patterns.iter().for_each(|pattern| held.look_at(pattern));
    for (file, at) in include::find(&root, &sources, &mut report) {
        match read_included(&file) {
            Ok(bytes) => {
                let included = parse(&bytes, &file, &mut sources, environment, &mut report);
                complete &= included.complete;
                include::only_names(&included.table, &ROOT, &mut report);
                include::merge(&mut root, included.table, &ROOT, &sources, &mut report);
            }
            Err(error) => {
                let why = scalar::reason(&error);
                let message = format!("cannot read the file {}: {why}", quoted(&file.display().to_string()));
                report.error_with(at, message, scalar::FROM);
            }
        }
    }
    let syntax = report.mark();
    let policies = Policies::of(&root);
    let reader = Reader::new(Some(&root), None, &ROOT, Span::default());
    let (config, seen, mut report, keys_held) = {
        let mut context = Context::new((&root, &policies), report, complete, &sources, environment, around.purpose);
        context.registered = around.registered.clone();
        context.identity_headers = build::identity::headers(&reader.table("identity")).strip;
        walk::check(&mut context, &root);
        references::all_open(&mut context);
        let config = if context.complete { Some(finish(&mut context, &reader)) } else { None };
        let seen = config.as_ref().filter(|_| !context.report.has_errors()).map(|_| look(&context, &reader));
        (config, seen, context.report, context.held)
    };
    report.drop_echoes(syntax, &sources);
    let mut problems = report.finish(&sources);
    let keys: Vec<PathBuf> = config.iter().flat_map(Config::key_files).collect();
    problems.files.held = held.and(keys_held.of(&keys));
    problems.files.paths.extend(patterns.into_iter().chain(keys));
    match config.zip(seen) {
        Some((mut config, seen)) if problems.is_empty() => {
            config.written = Arc::new(Written::of(sources));
            let files = std::mem::take(&mut problems.files);
            Ok((Loaded { config, warnings: problems.into_list(), files }, seen))
        }
        _ => Err(problems),
    }
}

/// Reads one text, and adds it to the files.
pub(super) fn parse(
    bytes: &[u8],
    path: &Path,
    sources: &mut Sources,
    environment: &dyn Environment,
    report: &mut Report,
) -> Parsed {
    if let Some(text) = foreign::utf16(bytes) {
        let file = sources.add(Source::new(path, text));
        let help = "save it as UTF-8: `iconv -f UTF-16 -t UTF-8`, or `Out-File -Encoding utf8`";
        report.error_with(Span::new(file, &(0..0)), "the file is UTF-16, and a configuration is UTF-8", help);
        return Parsed::default();
    }
    let valid = std::str::from_utf8(bytes);
    let text = String::from_utf8_lossy(bytes);
    let file = sources.add(Source::new(path, text.into_owned()));
    if bytes.len() as u64 > MAX_FILE_BYTES {
        report.error(Span::new(file, &(0..0)), "the file is larger than 8 MiB");
        return Parsed::default();
    }
    if let Err(error) = valid {
        let at = error.valid_up_to();
        let help = "save it as UTF-8; `file` and `iconv` tell and change what it is";
        report.error_with(Span::new(file, &(at..at + 1)), "the file is not UTF-8", help);
        return Parsed::default();
    }
    let text = sources.get(file).map(Source::text).unwrap_or_default();
    document::parse(text, file, environment, report)
}

/// Warns of routes for any host that are not reached on every one: once for each route that takes their requests.
fn tell_of_hidden(context: &mut Context<'_>, (config, places): (&Config, &[Span])) {
    let mut by_taker: BTreeMap<usize, Vec<conflicts::Hidden>> = BTreeMap::new();
    for one in conflicts::hidden(&config.routes) {
        by_taker.entry(one.by).or_default().push(one);
    }
    for (by, all) in by_taker {
        let [conflicts::Hidden { hidden, host, .. }, more @ ..] = &all[..] else { continue };
        if !more.is_empty() {
            let (file, first) = context.sources.locate(places[*hidden]);
            let message = format!(
                "on {host} this route takes the requests of the one at {}:{} and of {} more: the more specific host \
                 comes before the more specific path",
                file.display(),
                first.line,
                more.len()
            );
            let help = "write a higher `priority` there, or second ones for this host";
            context.report.warning(places[by], message, help);
            continue;
        }
        let (file, first) = context.sources.locate(places[by]);
        let message = format!(
            "on {host} the route at {}:{} takes these requests: the more specific host comes before the more specific \
             path",
            file.display(),
            first.line
        );
        let help = "write a higher `priority`, or a second one for this host";
        context.report.warning(places[*hidden], message, help);
    }
}

/// Warns of routes that no request reaches: once for each route that takes all of theirs.
fn tell_of_unreached(context: &mut Context<'_>, (config, places): (&Config, &[Span])) {
    let mut by_taker: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (unreached, by) in conflicts::never_reached(&config.routes) {
        by_taker.entry(by).or_default().push(unreached);
    }
    for (by, all) in by_taker {
        let [first, more @ ..] = &all[..] else { continue };
        let (at, other) = if more.is_empty() { (*first, by) } else { (by, *first) };
        let (file, other) = context.sources.locate(places[other]);
        let place = format!("{}:{}", file.display(), other.line);
        let message = match more.len() {
            0 => {
                format!("no request reaches this route: the one at {place} has the higher priority and takes them all")
            }
            more => format!(
                "this route leaves no request to the one at {place} and to {more} more: it has the higher priority, and \
                 takes all of theirs"
            ),
        };
        context.report.warning(places[at], message, "give the wider route the lower `priority`");
    }
}

/// Warns of routes for some listeners that hide nothing on the others.
fn tell_of_open(context: &mut Context<'_>, (config, places): (&Config, &[Span])) {
    for open_elsewhere::Open { route, by, listener } in open_elsewhere::open_elsewhere(config) {
        let (file, first) = context.sources.locate(places[by]);
        let message = format!(
            "on the listener {listener} the route at {}:{} serves these requests: `listeners` hides this route, and not \
             what is behind it",
            file.display(),
            first.line
        );
        let help = "write `listeners` there too, or in [defaults.route] for all routes that have none";
        context.report.warning(places[route], message, help);
    }
}

/// Warns of routes without `cors` for which preflights are refused that are about others.
fn tell_of_mixed(context: &mut Context<'_>, (config, places): (&Config, &[Span])) {
    for preflights::Mixed { silent, speaks } in preflights::mixed(&config.routes) {
        let (file, other) = context.sources.locate(places[speaks]);
        let message = format!(
            "a preflight cannot tell this route from the one at {}:{}, which has `cors`: it tells no values of headers, \
             so pages are refused on both",
            file.display(),
            other.line
        );
        context.report.warning(places[silent], message, "write the same `cors` here");
    }
}

/// What a configuration comes to where the program around the gateway listens: of listeners there are the names alone,
/// by which the program may say how a request came, there is no admin API, and records go to standard output only where
/// that is written.
fn mount(context: &mut Context<'_>, root: &Reader<'_>, config: &mut Config) {
    let has_use_of_names =
        context.doors() == Doors::Told || config.routes.iter().any(|route| !route.matches.listeners.is_empty());
    for (key, is_used, help) in [
        ("listeners", has_use_of_names, "the program listens: `start` and `run` serve on these"),
        ("admin", false, "`admin_router` is this API, for the program to serve; `start` and `run` serve it here"),
    ] {
        if let Some(written) = root.get(key).filter(|_| !is_used) {
            let message = format!("`{key}` is not looked at by a gateway that is mounted in a program");
            context.report.warning(written.at, message, help);
        }
    }
    if root.get("listeners").is_none() {
        config.listeners.clear();
    }
    config.listeners.iter_mut().for_each(|listener| listener.tls = None);
    let log = &mut config.telemetry.access_log;
    if log.output == LogOutput::Stdout && root.table("telemetry").table("access_log").get("output").is_none() {
        log.output = LogOutput::Off;
    }
}

/// Where routes, aggregates and batches are of which nobody knows what they match: a key in them is unknown.
fn unclear(context: &Context<'_>, root: &Reader<'_>) -> HashSet<Span> {
    if !context.report.has_errors() {
        return HashSet::new();
    }
    let all = ["routes", "aggregates", "batches"].into_iter().flat_map(|key| build::tables(context, root, key));
    all.filter(Reader::has_unknown).map(|reader| reader.at).collect()
}

/// Builds, and applies the rules over all routes together.
fn finish(context: &mut Context<'_>, root: &Reader<'_>) -> Config {
    let Built { mut config, route_places } = build::build(context, root);
    let unclear = unclear(context, root);
    let mut found = conflicts::conflicts(&config.routes);
    found.retain(|one| ![one.first, one.later].iter().any(|index| unclear.contains(&route_places[*index])));
    for conflict in &found {
        let (file, first) = context.sources.locate(route_places[conflict.first]);
        let message = format!("this route matches the same requests as the one at {}:{}", file.display(), first.line);
        let sends_another = |at: usize| {
            let route = &config.routes[at];
            route.matches.hosts.is_empty() && matches!(route.host, HostPolicy::Fixed(_))
        };
        let help = if sends_another(conflict.first) || sends_another(conflict.later) {
            "`host` is what the upstream is told; which hosts a route is for is `hosts = [ … ]`"
        } else {
            "give them different hosts, methods, conditions or priorities"
        };
        context.report.error_with(route_places[conflict.later], message, help);
    }
    if unclear.is_empty() {
        tell_of_hidden(context, (&config, &route_places));
        tell_of_unreached(context, (&config, &route_places));
        tell_of_open(context, (&config, &route_places));
        tell_of_mixed(context, (&config, &route_places));
    }
    // Routes that conflict have been reported; that they have one name as well says nothing more.
    let later: HashSet<Span> = found.iter().map(|conflict| route_places[conflict.later]).collect();
    let conflicting = |reader: &Reader<'_>| later.contains(&reader.at);
    let all = ["routes", "aggregates", "batches"].into_iter().flat_map(|key| build::tables(context, root, key));
    let named: Vec<Reader<'_>> = all.filter(|reader| reader.get("name").is_some() || !conflicting(reader)).collect();
    names::distinct(context, named.into_iter());
    // Beside an error it would only say what a mistyped key has led to.
    let is_empty = |key: &str| root.nodes(key).is_empty();
    if context.complete && !context.report.has_errors() && ["routes", "aggregates", "batches"].into_iter().all(is_empty)
    {
        let help = "a route is [[routes]], path = \"/{*rest}\", upstream = \"http://127.0.0.1:9001\"";
        context.report.warning(Span::default(), "there are no routes: every request is answered 404", help);
    }
    if context.registered.is_mounted() {
        mount(context, root, &mut config);
    }
    if context.complete && !context.report.has_errors() {
        for message in context.registered.unused(&config) {
            context.report.warning(Span::default(), message, "a name is used where it is written in the configuration");
        }
    }
    config
}
