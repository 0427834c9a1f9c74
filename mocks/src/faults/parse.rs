//! Reads rules from JSON, TOML (as a JSON value) and the `x-mock-fault` header.
//!
//! Every problem is found in one pass and names its key. An unknown key is a problem, with the nearest known key; a key
//! that a later version brings says "not yet".

use std::fmt;
use std::ops::Range;

use serde_json::{Map, Value};

use super::{Act, Delay, Effect, Garbage, Glob, Match, Reset, Rule};
use crate::units;

const MATCH_KEYS: &[&str] = &["service", "endpoint", "path", "method", "header", "share", "from", "until", "requests"];
const ACT_KEYS: &[&str] =
    &["delay", "status", "hang", "reset", "slow_body", "truncate", "garbage", "close", "refuse", "flap"];

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
        let value = serde_json::from_slice::<Value>(text).map_err(|e| one("", &format!("not JSON: {e}")))?;
        Self::from_value(&value)
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
    if act.effect == Effect::Refuse && narrowed && problems.0.len() == before {
        problems.add(
            join(at, "act.refuse"),
            "a closed listener sees no request: match by service, endpoint, from and until only",
        );
    }
    Rule { matches, act }
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
        headers: reader.read("header", headers).unwrap_or_default(),
        share: reader.read("share", |value| {
            let share = value.as_f64().filter(|share| (0.0..=1.0).contains(share));
            share.ok_or_else(|| format!("{value} is no share; write a number from 0 to 1"))
        }),
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

/// The act that this table describes; numbers may be strings, as they are in the request header.
fn read_act(value: &Value, at: &str, problems: &mut Problems) -> Act {
    let Some(map) = table(value, at, problems) else { return Act::default() };
    problems.unknown_keys(map, at, ACT_KEYS);
    if map.is_empty() {
        problems.add(at, "says nothing to do");
    }
    let mut reader = Reader { map, at, problems };
    let effects: [(&str, Option<Effect>); 5] = [
        ("hang", reader.read("hang", |value| Ok(flag(value)?.then_some(Effect::Hang))).flatten()),
        ("refuse", reader.read("refuse", |value| Ok(flag(value)?.then_some(Effect::Refuse))).flatten()),
        ("reset", reader.read("reset", |value| Ok(Effect::Reset(named(value, Reset::ALL)?)))),
        ("truncate", reader.read("truncate", truncate).flatten()),
        ("garbage", reader.read("garbage", garbage).flatten()),
    ];
    let act = Act {
        delay: reader.read("delay", |value| Delay::parse(&text(value)?)),
        status: reader.read("status", |value| {
            let status = number(value)?;
            u16::try_from(status)
                .ok()
                .filter(|status| (200..600).contains(status))
                .ok_or_else(|| format!("{status} is no final status; write 200 to 599"))
        }),
        effect: effects.iter().find_map(|(_, effect)| *effect).unwrap_or_default(),
        slow_body: reader.read("slow_body", |value| match value {
            Value::String(rate) => units::byte_rate(rate),
            other => units::byte_rate(&other.to_string()),
        }),
        close: reader.read("close", |value| if flag(value) == Ok(true) { Ok(1) } else { number(value) }),
    };
    reader.read::<()>("flap", |_| Err("not yet supported".into()));
    let set: Vec<&str> = effects.iter().filter(|(_, effect)| effect.is_some()).map(|(key, _)| *key).collect();
    if set.len() > 1 {
        problems.add(at, format!("{} exclude each other", set.join(" and ")));
    }
    act
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
    if act.effect == Effect::Refuse {
        problems.add(join(AT, "refuse"), "closes the listener, so it is no fault of one request");
    }
    problems.or(act)
}

struct Reader<'a> {
    map: &'a Map<String, Value>,
    at: &'a str,
    problems: &'a mut Problems,
}

impl Reader<'_> {
    /// The key's value read by `read`; `None` when it is absent or wrong.
    fn read<T>(&mut self, key: &str, read: impl FnOnce(&Value) -> Result<T, String>) -> Option<T> {
        match read(self.map.get(key)?) {
            Ok(value) => Some(value),
            Err(message) => {
                self.problems.add(join(self.at, key), message);
                None
            }
        }
    }
}

fn table<'v>(value: &'v Value, at: &str, problems: &mut Problems) -> Option<&'v Map<String, Value>> {
    if !value.is_object() {
        problems.add(at, "a table is expected");
    }
    value.as_object()
}

fn text(value: &Value) -> Result<String, String> {
    value.as_str().map(str::to_owned).ok_or_else(|| format!("{value} is not a string"))
}

fn number(value: &Value) -> Result<u64, String> {
    let read = value.as_u64().or_else(|| value.as_str().and_then(|text| text.parse().ok()));
    read.ok_or_else(|| format!("{value} is not a whole number"))
}

fn flag(value: &Value) -> Result<bool, String> {
    match value {
        Value::Bool(flag) => Ok(*flag),
        Value::String(text) if text == "true" => Ok(true),
        Value::String(text) if text == "false" => Ok(false),
        other => Err(format!("{other} is not true or false")),
    }
}

fn named<T: Copy>(value: &Value, all: &[(&str, T)]) -> Result<T, String> {
    let found = value.as_str().and_then(|text| all.iter().find(|(name, _)| *name == text));
    found.map(|(_, one)| *one).ok_or_else(|| {
        let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
        format!("{value} is none of {}", names.join(", "))
    })
}

fn truncate(value: &Value) -> Result<Option<Effect>, String> {
    match flag(value) {
        Ok(flag) => Ok(flag.then_some(Effect::Truncate(None))),
        Err(_) => match value {
            Value::String(text) => Ok(Some(Effect::Truncate(Some(units::size(text)?)))),
            other => Ok(Some(Effect::Truncate(Some(number(other)?)))),
        },
    }
}

fn garbage(value: &Value) -> Result<Option<Effect>, String> {
    match flag(value) {
        Ok(flag) => Ok(flag.then_some(Effect::Garbage(Garbage::Bytes))),
        Err(_) => Ok(Some(Effect::Garbage(named(value, Garbage::ALL)?))),
    }
}

fn headers(value: &Value) -> Result<Vec<(String, String)>, String> {
    let map = value.as_object().ok_or("a table of names and values is expected")?;
    map.iter().map(|(name, value)| Ok((name.to_ascii_lowercase(), text(value)?))).collect()
}

fn range(text: &str) -> Result<Range<u64>, String> {
    let parsed = text.split_once("..").and_then(|(start, end)| Some(start.parse().ok()?..end.parse().ok()?));
    parsed
        .filter(|range| range.start < range.end)
        .ok_or_else(|| format!("`{text}` is no range; \"100..200\" is the requests 100 to 199"))
}

#[cfg(test)]
mod tests;
