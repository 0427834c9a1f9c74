//! Reads rules from JSON, TOML (as a JSON value) and the `x-mock-fault` header.
//!
//! Every problem is found in one pass and names its key. An unknown key is a problem, with the nearest known key. `act`
//! reads what a rule does, `values` what stands under one key.

use std::fmt;
use std::ops::Range;

use serde_json::{Map, Value};

use self::act::read_act;
use self::values::number;
pub(crate) use self::values::{Reader, headers, table, text};
use super::{Act, Delay, Glob, Match, Origin, Rule};
use crate::units;

mod act;
mod values;

const MATCH_KEYS: &[&str] = &["service", "endpoint", "path", "method", "header", "share", "from", "until", "requests"];
/// What `GET /faults` tells beside the rules.
const TOLD: &[&str] = &["version", "origin_ns"];

/// One thing that is wrong with a rule or a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where: `rules[0].act.delay`.
    pub key: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.message)
    }
}

/// Everything that is wrong, in the order of the text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            write!(f, "{}{problem}", if index == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

impl Problems {
    pub(crate) fn add(&mut self, key: impl Into<String>, message: impl Into<String>) {
        self.0.push(Problem { key: key.into(), message: message.into() });
    }

    /// Each key of `map` that is not in `known`.
    pub(crate) fn unknown_keys(&mut self, map: &Map<String, Value>, at: &str, known: &[&str]) {
        for key in map.keys().filter(|key| !known.contains(&key.as_str())) {
            let near = known.iter().min_by_key(|name| strsim::damerau_levenshtein(name, key));
            let hint = match near.filter(|name| strsim::damerau_levenshtein(name, key) <= 2) {
                Some(name) => format!("unknown key; did you mean `{name}`?"),
                None => format!("unknown key; known are {}", known.join(", ")),
            };
            self.add(join(at, key), hint);
        }
    }

    /// `value`, unless something was wrong.
    pub(crate) fn or<T>(self, value: T) -> Result<T, Self> {
        if self.0.is_empty() { Ok(value) } else { Err(self) }
    }
}

/// Joins a table's place and a key.
pub(crate) fn join(at: &str, key: &str) -> String {
    if at.is_empty() { key.to_owned() } else { format!("{at}.{key}") }
}

impl Rule {
    /// Rules from TOML: `[[rules]]` tables.
    ///
    /// # Errors
    /// Everything that is wrong with the text.
    pub fn from_toml(text: &str) -> Result<Vec<Self>, Problems> {
        let value = toml::from_str::<Value>(text).map_err(|e| one("", e.message()))?;
        Self::from_value(&value)
    }

    /// Rules from JSON: `{"rules":[…]}`.
    ///
    /// # Errors
    /// Everything that is wrong with the text.
    pub fn from_json(text: &[u8]) -> Result<Vec<Self>, Problems> {
        Self::from_value(&json(text)?)
    }

    /// What `PUT /faults` takes: `{"rules":[…], "origin":"now"}`; the origin may be absent, `"now"`, `"keep"` or
    /// nanoseconds of the machine's monotonic clock. What `GET /faults` tells besides is passed over, so that its
    /// document can be changed and put back.
    ///
    /// # Errors
    /// Everything that is wrong with the text.
    pub(crate) fn from_control(text: &[u8]) -> Result<(Vec<Self>, Origin), Problems> {
        let mut document = json(text)?;
        let mut problems = Problems::default();
        if let Some(map) = document.as_object_mut() {
            TOLD.iter().for_each(|key| drop(map.remove(*key)));
        }
        let origin = document.as_object_mut().and_then(|map| map.remove("origin"));
        let origin = origin.map_or(Origin::Now, |value| read_origin(&value, &mut problems));
        match Self::from_value(&document) {
            Ok(rules) => problems.or((rules, origin)),
            Err(mut others) => {
                problems.0.append(&mut others.0);
                Err(problems)
            }
        }
    }

    fn from_value(value: &Value) -> Result<Vec<Self>, Problems> {
        let mut problems = Problems::default();
        let Value::Object(map) = value else { return Err(one("", "an object with the key `rules` is expected")) };
        problems.unknown_keys(map, "", &["rules"]);
        let Some(rules) = map.get("rules") else {
            problems.add("rules", "the key is missing");
            return Err(problems);
        };
        let rules = rules_from_value(rules, &mut problems);
        problems.or(rules)
    }
}

impl Origin {
    /// What `POST /reset` takes: nothing, or `{"origin":…}`.
    ///
    /// # Errors
    /// Everything that is wrong with the text.
    pub(crate) fn from_control(text: &[u8]) -> Result<Self, Problems> {
        if text.trim_ascii().is_empty() {
            return Ok(Self::Now);
        }
        let document = json(text)?;
        let Value::Object(map) = &document else { return Err(one("", "an object is expected")) };
        let mut problems = Problems::default();
        problems.unknown_keys(map, "", &["origin"]);
        let origin = map.get("origin").map_or(Self::Now, |value| read_origin(value, &mut problems));
        problems.or(origin)
    }
}

fn read_origin(value: &Value, problems: &mut Problems) -> Origin {
    match (value.as_str(), value.as_u64()) {
        (Some("now"), _) => Origin::Now,
        (Some("keep"), _) => Origin::Keep,
        (_, Some(origin_ns)) => Origin::At(origin_ns),
        _ => {
            problems.add("origin", "\"now\", \"keep\" or nanoseconds of the machine's monotonic clock are expected");
            Origin::Now
        }
    }
}

fn json(text: &[u8]) -> Result<Value, Problems> {
    serde_json::from_slice(text).map_err(|error| one("", &format!("not JSON: {error}")))
}

fn one(key: &str, message: &str) -> Problems {
    let mut problems = Problems::default();
    problems.add(if key.is_empty() { "(document)" } else { key }, message);
    problems
}

/// The rules in an array under the key `rules`; what is wrong goes to `problems`.
pub(crate) fn rules_from_value(value: &Value, problems: &mut Problems) -> Vec<Rule> {
    let Value::Array(rules) = value else {
        problems.add("rules", "an array is expected");
        return Vec::new();
    };
    rules.iter().enumerate().map(|(index, rule)| read_rule(rule, &format!("rules[{index}]"), problems)).collect()
}

fn read_rule(value: &Value, at: &str, problems: &mut Problems) -> Rule {
    let Some(map) = table(value, at, problems) else { return Rule::default() };
    problems.unknown_keys(map, at, &["match", "act"]);
    let matches = match map.get("match") {
        Some(value) => read_match(value, &join(at, "match"), problems),
        None => Match::default(),
    };
    let before = problems.0.len();
    let act = match map.get("act") {
        Some(value) => read_act(value, &join(at, "act"), problems),
        None => {
            problems.add(join(at, "act"), "the key is missing");
            Act::default()
        }
    };
    let narrowed = matches.path.is_some()
        || matches.method.is_some()
        || !matches.headers.is_empty()
        || matches.share.is_some()
        || matches.requests.is_some();
    if act.refuses() && narrowed && problems.0.len() == before {
        problems.add(
            join(at, "act.refuse"),
            "a closed listener sees no request: match by service, endpoint, from and until only",
        );
    }
    Rule { matches, act }
}

/// What rules match by that is not there, so that they would never hit: `there` are all endpoints, each with its
/// service, its place in that and its port.
pub(crate) fn matching_nothing(rules: &[Rule], there: &[(&str, usize, u16)]) -> Problems {
    let mut problems = Problems::default();
    for (index, Rule { matches, .. }) in rules.iter().enumerate() {
        let of_it: Vec<_> = there
            .iter()
            .filter(|(name, ..)| matches.service.as_deref().is_none_or(|service| service == *name))
            .collect();
        if let (Some(service), true) = (&matches.service, of_it.is_empty()) {
            let mut known: Vec<&str> = there.iter().map(|(name, ..)| *name).collect();
            known.dedup();
            let message = format!("there is no service `{service}`; there are {}", known.join(", "));
            problems.add(format!("rules[{index}].match.service"), message);
            continue;
        }
        let Some(endpoint) = matches.endpoint else { continue };
        if of_it.iter().any(|(_, place, _)| *place == endpoint) {
            continue;
        }
        let message = match there.iter().find(|(.., port)| usize::from(*port) == endpoint && *port > 0) {
            Some((name, place, port)) => {
                format!("it is a place in the service, from 0, and no port: {port} is endpoint {place} of `{name}`")
            }
            None => {
                let last = of_it.iter().map(|(_, place, _)| *place).max().unwrap_or_default();
                format!("it is a place in the service, from 0, and the last one is {last}")
            }
        };
        problems.add(format!("rules[{index}].match.endpoint"), message);
    }
    problems
}

/// Headers that a request must have, by name. The names `name` and `value` together are a slip.
fn matched_headers(value: &Value) -> Result<Vec<(String, String)>, String> {
    let headers = headers(value)?;
    match headers.as_slice() {
        [(one, name), (other, wanted)] if one == "name" && other == "value" => {
            Err(format!("write the header's own name as the key, as in `{{ \"{name}\" = \"{wanted}\" }}`"))
        }
        _ => Ok(headers),
    }
}

fn read_match(value: &Value, at: &str, problems: &mut Problems) -> Match {
    let Some(map) = table(value, at, problems) else { return Match::default() };
    problems.unknown_keys(map, at, MATCH_KEYS);
    let mut reader = Reader { map, at, problems };
    let found = Match {
        service: reader.read("service", text),
        endpoint: reader
            .read("endpoint", |value| usize::try_from(number(value)?).map_err(|_| "the number is too large".into())),
        path: reader.read("path", |value| match text(value)? {
            path if path.starts_with(['/', '*']) => Ok(Glob::new(path)),
            path => Err(format!("`{path}` does not start with `/` or `*`")),
        }),
        method: reader.read("method", |value| Ok(text(value)?.to_ascii_uppercase())),
        headers: reader.read("header", matched_headers).unwrap_or_default(),
        share: reader
            .read("share", |value| {
                let share = value.as_f64().filter(|share| (0.0..=1.0).contains(share));
                // All of them narrow nothing: a closed listener, for one, may have it said.
                share
                    .map(|share| Some(share).filter(|share| *share < 1.0))
                    .ok_or_else(|| format!("{value} is no share; write a number from 0 to 1"))
            })
            .flatten(),
        from: reader.read("from", |value| units::duration(&text(value)?)),
        until: reader.read("until", |value| units::duration(&text(value)?)),
        requests: reader.read("requests", |value| range(&text(value)?)),
    };
    if let (Some(from), Some(until)) = (found.from, found.until)
        && from >= until
    {
        problems.add(join(at, "until"), "is not after `from`");
    }
    found
}

/// The act that the request header `x-mock-fault: delay=50ms;status=503` asks for.
pub(crate) fn act_from_header(header: &str) -> Result<Act, Problems> {
    const AT: &str = "x-mock-fault";
    let mut problems = Problems::default();
    let mut map = Map::new();
    for part in header.split(';').map(str::trim).filter(|part| !part.is_empty()) {
        let (key, value) = match part.split_once('=') {
            Some((key, value)) => (key.trim(), Value::from(value.trim())),
            None => (part, Value::from(true)),
        };
        if map.insert(key.into(), value).is_some() {
            problems.add(join(AT, key), "is there twice");
        }
    }
    let act = read_act(&Value::Object(map), AT, &mut problems);
    if let Some(flap) = act.flap {
        problems
            .add(join(AT, "flap"), format!("is of many requests, not of one; a rule may flap each {:?}", flap.period));
    } else if act.refuses() {
        problems.add(join(AT, "refuse"), "closes the listener, so it is no fault of one request");
    }
    if matches!(act.delay, Some(Delay::Queue(_))) {
        problems.add(join(AT, "delay"), "a queue is of many requests, not of one");
    }
    problems.or(act)
}

fn range(text: &str) -> Result<Range<u64>, String> {
    let parsed = text.split_once("..").and_then(|(start, end)| Some(start.parse().ok()?..end.parse().ok()?));
    parsed
        .filter(|range| range.start < range.end)
        .ok_or_else(|| format!("`{text}` is no range; \"100..200\" is the requests 100 to 199"))
}

#[cfg(test)]
mod tests;
