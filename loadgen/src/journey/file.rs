//! Reads a file of journeys: its form by serde, then everything that must hold, each problem with its line.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::model::{Journey, Journeys, Request, Step};
use crate::request::{Expectation, Text, is_token};
use crate::units::parse_duration;

/// The largest file that is read.
const MAX_BYTES: u64 = 1 << 20;
/// Requests of one file, those of pages too: each has histograms of a megabyte.
const MOST_REQUESTS: usize = 100;
/// How often a step may be done in a row.
const MOST_TIMES: u32 = 10_000;
/// The longest time to think, and to rest.
const MOST_THINKING: Duration = Duration::from_secs(3_600);

/// Why there are no journeys.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not right.
    #[error("{0}")]
    Invalid(Problems),
}

/// Everything that is wrong with a file, by line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    path: PathBuf,
    list: Vec<(usize, String)>,
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (line, message)) in self.list.iter().enumerate() {
            let end = if number == 0 { "" } else { "\n" };
            write!(f, "{end}{}:{line}: {message}", self.path.display())?;
        }
        Ok(())
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: Option<String>,
    #[serde(default, rename = "about")]
    _about: String,
    timeout: Option<Spanned<String>>,
    pause: Option<Spanned<String>>,
    #[serde(default)]
    journeys: Vec<Spanned<JourneyTable>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct JourneyTable {
    name: Spanned<String>,
    weight: Option<u32>,
    #[serde(default)]
    user: toml::map::Map<String, toml::Value>,
    #[serde(default)]
    steps: Vec<Spanned<StepTable>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StepTable {
    name: Spanned<String>,
    #[serde(default)]
    once: bool,
    think: Option<Spanned<String>>,
    times: Option<Spanned<toml::Value>>,
    method: Option<String>,
    path: Spanned<String>,
    #[serde(default)]
    headers: BTreeMap<String, Spanned<String>>,
    body: Option<Spanned<String>>,
    #[serde(default)]
    expect: Vec<Spanned<u16>>,
    #[serde(default)]
    take: BTreeMap<String, Spanned<String>>,
    #[serde(default)]
    parts: Vec<Spanned<PartTable>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PartTable {
    name: Option<Spanned<String>>,
    method: Option<String>,
    path: Spanned<String>,
    #[serde(default)]
    headers: BTreeMap<String, Spanned<String>>,
    body: Option<Spanned<String>>,
    #[serde(default)]
    expect: Vec<Spanned<u16>>,
}

/// Reads a file; its text too, since the child reads the same.
///
/// # Errors
/// The file cannot be read, or anything in it is not right; then every problem is listed.
pub fn load(path: &Path) -> Result<(Journeys, String), FileError> {
    let unreadable = |source| FileError::Unreadable { path: path.to_path_buf(), source };
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > MAX_BYTES {
        let source = std::io::Error::other(format!("it is larger than {} MiB", MAX_BYTES >> 20));
        return Err(unreadable(source));
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    Ok((parse(path, &text)?, text))
}

/// Reads a file's text.
///
/// # Errors
/// When anything in it is not right; then every problem is listed.
pub fn parse(path: &Path, text: &str) -> Result<Journeys, FileError> {
    let invalid = |list| FileError::Invalid(Problems { path: path.to_path_buf(), list });
    let mut checker = Checker { text, found: Vec::new(), next_request: 0, next_step: 0 };
    let file: File = toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| checker.line(span.start));
        invalid(vec![(line, error.message().to_owned())])
    })?;
    let journeys = checker.file(file);
    checker.found.sort();
    checker.found.dedup();
    if checker.found.is_empty() { Ok(journeys) } else { Err(invalid(checker.found)) }
}

struct Checker<'a> {
    text: &'a str,
    found: Vec<(usize, String)>,
    next_request: usize,
    next_step: usize,
}

impl Checker<'_> {
    fn line(&self, at: usize) -> usize {
        self.text.as_bytes()[..at.min(self.text.len())].iter().filter(|byte| **byte == b'\n').count() + 1
    }

    fn error(&mut self, at: usize, message: impl Into<String>) {
        let line = self.line(at);
        self.found.push((line, message.into()));
    }

    fn file(&mut self, file: File) -> Journeys {
        let timeout = self.timeout(file.timeout);
        let pause = self.duration(file.pause, Duration::from_secs(1));
        if file.journeys.is_empty() {
            self.error(0, "there is no journey: write [[journeys]] with a name and steps");
        }
        let list: Vec<Journey> = file.journeys.into_iter().map(|journey| self.journey(journey)).collect();
        let mut names: Vec<&str> = list.iter().map(|journey| journey.name.as_str()).collect();
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            let message = format!("there are two journeys called `{}`", pair[0]);
            self.error(0, message);
        }
        if !list.is_empty() && list.iter().all(|journey| journey.weight == 0) {
            self.error(0, "every journey has the weight 0, so nobody goes one");
        }
        Journeys { name: file.name.unwrap_or_else(|| "journeys".to_owned()), timeout, pause, list }
    }

    fn journey(&mut self, table: Spanned<JourneyTable>) -> Journey {
        let at = table.span().start;
        let table = table.into_inner();
        let name = self.name(table.name);
        if table.steps.is_empty() {
            self.error(at, format!("journey `{name}` has no steps: write [[journeys.steps]]"));
        }
        let mut known: Vec<String> = Vec::new();
        let mut user = Vec::new();
        for (key, value) in table.user {
            match value.as_str() {
                Some(text) => user.push((key.clone(), self.text(at, text, &known))),
                None => self.error(at, format!("journey `{name}`: user.{key} is a string")),
            }
            known.push(key);
        }
        // A step that is done once comes before all others, wherever it is written.
        let (once, again): (Vec<_>, Vec<_>) = table.steps.into_iter().partition(|step| step.get_ref().once);
        if again.is_empty() && !once.is_empty() {
            self.error(at, format!("journey `{name}`: every step is done once, so that nothing is left to do again"));
        }
        let steps = once.into_iter().chain(again).map(|step| self.step(step, &mut known)).collect::<Vec<_>>();
        for (index, step) in steps.iter().enumerate() {
            if steps[..index].iter().any(|other| other.name == step.name) {
                self.error(at, format!("journey `{name}`: there are two steps called `{}`", step.name));
            }
        }
        Journey { name, weight: table.weight.unwrap_or(1), user, steps }
    }

    fn step(&mut self, table: Spanned<StepTable>, known: &mut Vec<String>) -> Step {
        let table = table.into_inner();
        let name = self.name(table.name);
        let index = self.next_step;
        self.next_step += 1;
        let mut request = self.request(
            name.clone(),
            PartTable {
                name: None,
                method: table.method,
                path: table.path,
                headers: table.headers,
                body: table.body,
                expect: table.expect,
            },
            known,
        );
        for (value, pointer) in table.take {
            let place = pointer.span().start;
            let pointer = pointer.into_inner();
            if !(pointer.is_empty() || pointer.starts_with('/')) {
                let message = format!("`{pointer}` is no JSON pointer (RFC 6901): write /token or /items/0/id");
                self.error(place, message);
            }
            known.push(value.clone());
            request.take.push((value, pointer));
        }
        let parts = table.parts.into_iter().map(|part| {
            let part = part.into_inner();
            let own = part.name.as_ref().map_or_else(|| part.path.get_ref().clone(), |name| name.get_ref().clone());
            self.request(format!("{name}/{}", own.trim_start_matches('/')), part, known)
        });
        let parts = parts.collect();
        let think = self.think(table.think);
        Step { name, index, once: table.once, think, times: self.times(table.times), request, parts }
    }

    fn request(&mut self, name: String, table: PartTable, known: &[String]) -> Request {
        let index = self.next_request;
        self.next_request += 1;
        let at = table.path.span().start;
        if self.next_request == MOST_REQUESTS + 1 {
            self.error(at, format!("there are more than {MOST_REQUESTS} requests"));
        }
        // One that was taken from an answer is looked at when it is there.
        if !table.path.get_ref().starts_with('/') && !table.path.get_ref().starts_with("{value(") {
            self.error(at, format!("`{}`: a path starts with `/`, or with a value", table.path.get_ref()));
        }
        let path = self.text(at, table.path.get_ref(), known);
        if path.literals().iter().any(|part| part.bytes().any(|byte| !byte.is_ascii_graphic() || byte == b'#')) {
            self.error(at, "a path holds neither blanks nor `#`: write %20");
        }
        let default = if table.body.is_some() { "POST" } else { "GET" };
        let method = table.method.unwrap_or_else(|| default.to_owned()).to_ascii_uppercase();
        if method.is_empty() || !method.bytes().all(is_token) {
            self.error(at, format!("`{method}` is no method"));
        }
        let headers = table.headers.into_iter().map(|(name, value)| {
            let at = value.span().start;
            let text = self.text(at, value.get_ref(), known);
            let bad = |byte: u8| byte < b' ' && byte != b'\t' || byte == 0x7f;
            if name.is_empty()
                || !name.bytes().all(is_token)
                || text.literals().iter().any(|part| part.bytes().any(bad))
            {
                self.error(at, format!("the header `{name}` holds characters that HTTP does not allow there"));
            }
            (name, text)
        });
        let headers = headers.collect();
        let body = table.body.map(|body| self.text(body.span().start, body.get_ref(), known));
        let statuses = table.expect.iter().map(|status| {
            if !(200..600).contains(status.get_ref()) {
                self.error(status.span().start, "a status is from 200 to 599");
            }
            *status.get_ref()
        });
        let expect = Expectation { statuses: statuses.collect(), ..Expectation::default() };
        Request { index, name, method, path, headers, body, expect, take: Vec::new() }
    }

    /// A text, and whether its values are known by then.
    fn text(&mut self, at: usize, text: &str, known: &[String]) -> Text {
        match Text::parse(text) {
            Ok(parsed) => {
                for value in parsed.values().into_iter().filter(|value| !known.iter().any(|name| name == value)) {
                    let message = format!(
                        "nobody has the value `{value}` by then: take it from an earlier answer \
                         (take = {{ {value} = \"/POINTER\" }}) or give it to the user ([journeys.user])"
                    );
                    self.error(at, message);
                }
                parsed
            }
            Err(error) => {
                self.error(at, error.to_string());
                Text::parse("").unwrap_or_else(|error| unreachable!("nothing is a text: {error}"))
            }
        }
    }

    fn name(&mut self, name: Spanned<String>) -> String {
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if name.get_ref().is_empty() || !name.get_ref().bytes().all(is_word) {
            let message = format!("`{}` is no name: it is made of letters, digits, `_` and `-`", name.get_ref());
            self.error(name.span().start, message);
        }
        name.into_inner()
    }

    /// How long a request may take.
    fn timeout(&mut self, text: Option<Spanned<String>>) -> Duration {
        let (at, told) = (text.as_ref().map_or(0, |text| text.span().start), self.found.len());
        let timeout = self.duration(text, Duration::from_secs(10));
        // What is no duration has been told.
        if timeout.is_zero() && self.found.len() == told {
            self.error(at, "no answer comes in no time: write how long a request may take, as in timeout = \"10s\"");
        }
        timeout
    }

    fn duration(&mut self, text: Option<Spanned<String>>, default: Duration) -> Duration {
        let Some(text) = text else { return default };
        self.one_duration(text.span().start, text.get_ref())
    }

    fn one_duration(&mut self, at: usize, text: &str) -> Duration {
        match parse_duration(text) {
            Ok(duration) if duration <= MOST_THINKING => return duration,
            Ok(_) => self.error(at, format!("`{text}` is longer than an hour")),
            Err(error) => self.error(at, error.to_string()),
        }
        Duration::ZERO
    }

    /// `500ms`, or `200ms..1s`.
    fn think(&mut self, text: Option<Spanned<String>>) -> (Duration, Duration) {
        let Some(text) = text else { return (Duration::ZERO, Duration::ZERO) };
        let at = text.span().start;
        let (low, high) = text.get_ref().split_once("..").unwrap_or((text.get_ref(), text.get_ref()));
        let (low, high) = (self.one_duration(at, low), self.one_duration(at, high));
        if low > high {
            self.error(at, "the shorter time comes first, as in 200ms..1s");
        }
        (low, high)
    }

    /// `3`, or `"1..5"`.
    fn times(&mut self, value: Option<Spanned<toml::Value>>) -> (u32, u32) {
        let Some(value) = value else { return (1, 1) };
        let one = |text: &str| text.trim().parse::<u32>().ok();
        let read = match value.get_ref() {
            toml::Value::Integer(number) => u32::try_from(*number).ok().map(|number| (number, number)),
            toml::Value::String(text) => text.split_once("..").and_then(|(low, high)| Some((one(low)?, one(high)?))),
            _ => None,
        };
        match read.filter(|(low, high)| low <= high && (1..=MOST_TIMES).contains(high)) {
            Some(times) => times,
            None => {
                self.error(value.span().start, format!("`times` is 1 to {MOST_TIMES}, or a range as in \"1..5\""));
                (1, 1)
            }
        }
    }
}

#[cfg(test)]
mod tests;
