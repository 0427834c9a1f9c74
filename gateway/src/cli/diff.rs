//! `gateway diff OLD NEW`: what changes between two configurations, and what becomes of requests that were logged.
//! Nothing is started.

use std::fmt::Write as _;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::json;

use super::output;
use super::{BAD, COULD_NOT_RUN, DONE};
use crate::config::{Purpose, load_effective, log_file};
use crate::diff::{Group, Item, Replay, Side, What, compare, differing, in_a_line, replay};

/// Tell what changes between two configurations: routes, policies, upstreams and limits, by what they mean.
///
/// Defaults are filled in, durations and sizes are brought to one form, and order counts only where it decides. With a
/// log, every request in it is decided under both, by the code that decides about live ones.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  gateway diff gateway.toml new.toml\n  gateway diff gateway.toml new.toml --replay access.log\n  git show main:gateway.toml > old.toml; gateway diff old.toml gateway.toml --format json\n\nHeaders, bodies, whether TLS was used, and parameters of queries that [telemetry.access_log] query of OLD does not name are not in a log: requests that hang on them are counted as undecided.\nWhat files hold that a configuration names (keys, certificates) is not compared.\n\nExit codes: 0 both mean the same, and every request is treated the same; 1 something differs, or one is no valid configuration (then nothing is printed but its problems, on standard error); 2 usage; 3 a file cannot be read, or the result not be written."
)]
pub(super) struct Diff {
    /// The configuration in force.
    old: PathBuf,
    /// The one that is to come.
    new: PathBuf,
    /// An access log whose requests are decided under both; `-` is standard input.
    #[arg(long, value_name = "LOG")]
    replay: Option<PathBuf>,
    /// How to tell it.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// One JSON object.
    Json,
}

impl Diff {
    pub(super) fn run(&self) -> u8 {
        // Both are loaded before anything is said, so that every problem of both is seen.
        let (old, new) = match (side(&self.old), side(&self.new)) {
            (Ok(old), Ok(new)) => (old, new),
            // What could not be looked at says nothing of what could.
            (Err(one), Err(other)) => return one.max(other),
            (Err(code), Ok(_)) | (Ok(_), Err(code)) => return code,
        };
        let items = compare(&old, &new);
        let replayed = match self.replay.as_deref().map(|log| replayed(&old, &new, log)).transpose() {
            Ok(replayed) => replayed,
            Err(why) => {
                output::problem(&format!("error: {why}"));
                return COULD_NOT_RUN;
            }
        };
        let same = items.is_empty() && replayed.as_ref().is_none_or(|it| it.differing == 0);
        let said = match self.format {
            Format::Json => {
                let mut told = json!({ "schema": 1, "same": same, "changes": items });
                if let Some(replayed) = &replayed {
                    told["replay"] = json!(replayed);
                }
                told.to_string()
            }
            Format::Text => text(&items, replayed.as_ref()),
        };
        output::result(said.trim_end()).max(if same { DONE } else { BAD })
    }
}

/// What a file says; or, when its problems have been told, the exit code.
fn side(file: &Path) -> Result<Side, u8> {
    let (loaded, effective) = load_effective(file, Purpose::Check).map_err(|error| output::unusable(&error))?;
    Ok(Side { config: loaded.config, effective })
}

fn replayed(old: &Side, new: &Side, log: &Path) -> Result<Replay, String> {
    let told = |error: std::io::Error| format!("cannot read {}: {error}", log.display());
    if log.as_os_str() == "-" {
        return replay(old, new, std::io::stdin().lock()).map_err(told);
    }
    replay(old, new, BufReader::with_capacity(256 << 10, log_file(log).map_err(told)?)).map_err(told)
}

fn text(items: &[Item], replayed: Option<&Replay>) -> String {
    let mut out = String::new();
    if items.is_empty() {
        out.push_str("both configurations mean the same\n");
    }
    let mut section = "";
    for item in items {
        if item.section != section {
            section = item.section;
            let _ = writeln!(out, "{section}");
        }
        of_item(&mut out, item);
    }
    if let Some(replayed) = replayed {
        of_replay(&mut out, replayed);
    }
    out
}

fn of_item(out: &mut String, item: &Item) {
    let sign = match item.what {
        What::Added => '+',
        What::Removed => '-',
        What::Changed => '~',
    };
    let used_by = match &item.used_by[..] {
        [] => String::new(),
        routes => {
            const MOST: usize = 5;
            let more = if routes.len() > MOST { format!(" and {} more", routes.len() - MOST) } else { String::new() };
            format!("  (routes: {}{more})", routes[..routes.len().min(MOST)].join(", "))
        }
    };
    let _ = writeln!(out, "  {sign} {}{used_by}", item.name);
    for change in &item.changes {
        match (&change.key[..], change.old.as_ref().or(change.new.as_ref())) {
            ("", Some(whole)) => {
                let table = whole.as_object().into_iter().flatten();
                // Of something new, or gone, what identifies it.
                const TELLING: [&str; 12] = [
                    "hosts",
                    "path",
                    "methods",
                    "upstream",
                    "redirect",
                    "answer",
                    "auth",
                    "rate_limits",
                    "endpoints",
                    "discovery",
                    "key",
                    "rate",
                ];
                let is_said = |value: &serde_json::Value| !value.as_array().is_some_and(Vec::is_empty);
                for (key, value) in table.filter(|(key, value)| TELLING.contains(&key.as_str()) && is_said(value)) {
                    let _ = writeln!(out, "      {key}: {}", in_a_line(value));
                }
            }
            (key, _) => {
                let _ = writeln!(out, "      {key}: {}", differing(change.old.as_ref(), change.new.as_ref()));
            }
        }
    }
}

fn of_replay(out: &mut String, replayed: &Replay) {
    let Replay { same, differing, .. } = replayed;
    let requests = counted(replayed.requests, "request");
    let _ = writeln!(out, "replay: {requests}, {same} treated as before, {differing} otherwise");
    for (count, one, what) in [
        (
            replayed.undecided,
            "request",
            "undecided: that hangs on headers, query, body or TLS, of which the log does not say enough",
        ),
        (
            replayed.of_another_configuration,
            "request",
            "took another route than the old configuration says: is the log of another one?",
        ),
        (replayed.no_requests, "record", "of what was no request"),
        (replayed.bad_lines, "line", "no access record"),
        (replayed.beyond_groups, "request", "otherwise in yet other ways"),
    ] {
        if count > 0 {
            let _ = writeln!(out, "  {}: {what}", counted(count, one));
        }
    }
    for bad in &replayed.bad {
        let _ = writeln!(out, "      line {}: {}", bad.line, bad.problem);
    }
    for group in &replayed.groups {
        of_group(out, group);
    }
}

/// `1 request`, `2 requests`
fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn of_group(out: &mut String, group: &Group) {
    let way = if group.old == group.new { group.old.clone() } else { format!("{} → {}", group.old, group.new) };
    let _ = writeln!(out, "  {}: {way}", counted(group.count, "request"));
    for differs in &group.differs {
        let _ = writeln!(out, "      {differs}");
    }
    if let Some(without) = group.without_identity {
        let _ = writeln!(out, "      {without} of them without a proven identity: now 401");
    }
    for example in &group.examples {
        let sent = match (&example.was_sent, &example.sent) {
            (Some(was), Some(is)) => format!(" (sent {} instead of {})", is.escape_debug(), was.escape_debug()),
            _ => String::new(),
        };
        // Whoever wrote the log may have written it for this terminal.
        let [method, host, path] = [&example.method, &example.host, &example.path].map(|it| it.escape_debug());
        let _ = writeln!(out, "      line {}: {method} {host}{path}{sent}", example.line);
    }
}
