//! Reads the keys of one table: each key once, each with the type and range that it takes; what is left is unknown.

use std::ops::RangeInclusive;
use std::time::Duration;

use loadgen::units::{parse_duration, parse_rate};

use super::problem::Report;
use super::source::Span;
use super::tree::{Node, Table, Value};

/// A table that is being read.
pub(super) struct Reader<'a> {
    table: &'a Table,
    /// The table's place.
    pub(super) at: Span,
    known: &'static [&'static str],
}

impl<'a> Reader<'a> {
    /// The table of a node; says so when it is none. Keys that are not known are reported at once.
    pub(super) fn of(node: &'a Node, known: &'static [&'static str], report: &mut Report) -> Option<Self> {
        match node.table() {
            Some(table) => Some(Self::new(table, node.at, known, report)),
            None => {
                report.error(node.at, format!("a table is expected, not {}", node.value.type_name()));
                None
            }
        }
    }

    pub(super) fn new(table: &'a Table, at: Span, known: &'static [&'static str], report: &mut Report) -> Self {
        for entry in table.0.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
            report.unknown(entry.key_at, format!("unknown key `{}`", entry.key), &entry.key, known);
        }
        Self { table, at, known }
    }

    /// The value of a key.
    pub(super) fn node(&self, key: &str) -> Option<&'a Node> {
        debug_assert!(self.known.contains(&key), "{key} is not among the known keys");
        self.table.get(key)
    }

    /// Whether a key is there.
    pub(super) fn has(&self, key: &str) -> bool {
        self.node(key).is_some()
    }

    /// The place of a key's value, or of the table.
    pub(super) fn place(&self, key: &str) -> Span {
        self.node(key).map_or(self.at, |node| node.at)
    }

    /// The elements of a list of tables; none when the key is absent.
    pub(super) fn tables(&self, key: &str, report: &mut Report) -> &'a [Node] {
        let Some(node) = self.node(key) else { return &[] };
        node.list().unwrap_or_else(|| {
            report.error_with(node.at, format!("`{key}` is a list of tables"), format!("write [[{key}]]"));
            &[]
        })
    }

    /// Says that a key is missing.
    pub(super) fn missing(&self, key: &str, help: &str, report: &mut Report) {
        report.error_with(self.at, format!("`{key}` is missing"), help);
    }

    /// A string.
    pub(super) fn text(&self, key: &str, report: &mut Report) -> Option<&'a str> {
        let node = self.node(key)?;
        if node.text().is_none() {
            report.error(node.at, format!("`{key}` is a string, not {}", node.value.type_name()));
        }
        node.text()
    }

    /// A string that something else reads.
    pub(super) fn parsed<T>(
        &self,
        key: &str,
        report: &mut Report,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.text(key, report)?;
        parse(text).map_err(|message| report.error(self.place(key), message)).ok()
    }

    /// A duration.
    pub(super) fn duration(&self, key: &str, report: &mut Report) -> Option<Duration> {
        self.quantity(key, "s", report, |text| parse_duration(text).map_err(|error| error.to_string()))
    }

    /// A rate, per second.
    pub(super) fn rate(&self, key: &str, report: &mut Report) -> Option<f64> {
        self.quantity(key, "/s", report, |text| parse_rate(text).map_err(|error| error.to_string()))
    }

    /// A string of a number and its unit, of which `usual` is one: a bare number is told what it lacks.
    fn quantity<T>(
        &self,
        key: &str,
        usual: &str,
        report: &mut Report,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let number = match self.node(key).map(|node| &node.value) {
            Some(Value::Integer(number)) => number.to_string(),
            Some(Value::Number(number)) => number.to_string(),
            _ => return self.parsed(key, report, parse),
        };
        let help = format!("write {key} = \"{number}{usual}\"");
        report.error_with(self.place(key), format!("`{key}` is a number without its unit"), help);
        None
    }

    /// A whole number in a range.
    pub(super) fn integer(&self, key: &str, range: RangeInclusive<u64>, report: &mut Report) -> Option<u64> {
        let node = self.node(key)?;
        let found = match &node.value {
            Value::Integer(number) => u64::try_from(*number).ok().filter(|number| range.contains(number)),
            _ => None,
        };
        if found.is_none() {
            report.error(node.at, format!("`{key}` is a whole number from {} to {}", range.start(), range.end()));
        }
        found
    }

    /// A finite number.
    pub(super) fn number(&self, key: &str, report: &mut Report) -> Option<f64> {
        let node = self.node(key)?;
        let found = match &node.value {
            Value::Integer(number) => Some(*number as f64),
            Value::Number(number) => Some(*number).filter(|number| number.is_finite()),
            _ => None,
        };
        if found.is_none() {
            let message = match &node.value {
                Value::Number(number) => format!("`{key}` is a finite number, not {number}"),
                other => format!("`{key}` is a number, not {}", other.type_name()),
            };
            report.error(node.at, message);
        }
        found
    }

    /// One of several words.
    pub(super) fn word<T: Copy>(&self, key: &str, words: &[(&'static str, T)], report: &mut Report) -> Option<T> {
        let text = self.text(key, report)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            report.unknown(self.place(key), format!("`{text}` is no {key}"), text, &known);
        }
        found
    }

    /// `true` or `false`; `false` when the key is absent.
    pub(super) fn flag(&self, key: &str, report: &mut Report) -> bool {
        match self.node(key).map(|node| (&node.value, node.at)) {
            None => false,
            Some((Value::Bool(flag), _)) => *flag,
            Some((_, at)) => {
                report.error(at, format!("`{key}` is true or false"));
                false
            }
        }
    }

    /// A list of strings.
    pub(super) fn texts(&self, key: &str, report: &mut Report) -> Vec<String> {
        let Some(node) = self.node(key) else { return Vec::new() };
        let texts: Option<Vec<String>> =
            node.list().and_then(|list| list.iter().map(|node| node.text().map(str::to_owned)).collect());
        texts.unwrap_or_else(|| {
            report.error(node.at, format!("`{key}` is a list of strings"));
            Vec::new()
        })
    }

    /// A table of names and strings, in the order of the text.
    pub(super) fn pairs(&self, key: &str, report: &mut Report) -> Vec<(String, String)> {
        let Some(node) = self.node(key) else { return Vec::new() };
        let pairs: Option<Vec<(String, String)>> = node.table().and_then(|table| {
            table.0.iter().map(|entry| Some((entry.key.clone(), entry.node.text()?.to_owned()))).collect()
        });
        pairs.unwrap_or_else(|| {
            report.error(node.at, format!("`{key}` is a table of names and strings"));
            Vec::new()
        })
    }
}

/// A name that figures are made of: letters, digits, `_` and `-`.
pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}
