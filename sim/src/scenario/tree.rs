//! TOML text as values with their places. Syntax errors are collected, and what could be read goes on.

use toml::de::{DeTable, DeValue};

use super::problem::Report;
use super::source::{Sources, Span};

/// A value and where it is written.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) at: Span,
    pub(super) value: Value,
}

/// A TOML value.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Text(String),
    Integer(i64),
    Number(f64),
    Bool(bool),
    /// A date, or what could not be read and was reported.
    Other,
    List(Vec<Node>),
    Table(Table),
}

/// The keys of a table, in the order of the file.
#[derive(Debug, Clone, Default)]
pub(super) struct Table(pub(super) Vec<Entry>);

/// One key of a table.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_at: Span,
    pub(super) node: Node,
}

impl Table {
    /// The value of a key.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        self.0.iter().find(|entry| entry.key == key).map(|entry| &entry.node)
    }

    /// Another string in the place of a key's value, where it has one.
    pub(super) fn replace(&mut self, [table, key]: [&str; 2], text: &str) {
        let within = self.0.iter_mut().find(|entry| entry.key == table).map(|entry| &mut entry.node.value);
        let Some(Value::Table(within)) = within else { return };
        if let Some(entry) = within.0.iter_mut().find(|entry| entry.key == key) {
            entry.node.value = Value::Text(text.to_owned());
        }
    }

    /// Leaves a key out.
    pub(super) fn remove(&mut self, key: &str) {
        self.0.retain(|entry| entry.key != key);
    }
}

impl Value {
    /// The type's name in messages.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Integer(_) => "a whole number",
            Self::Number(_) => "a number",
            Self::Bool(_) => "true or false",
            Self::Other => "a date",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }

    /// The same as JSON, for readers of other crates.
    pub(super) fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Text(text) => text.as_str().into(),
            Self::Integer(integer) => (*integer).into(),
            Self::Number(number) => (*number).into(),
            Self::Bool(flag) => (*flag).into(),
            Self::Other => serde_json::Value::Null,
            Self::List(list) => list.iter().map(|node| node.value.to_json()).collect(),
            Self::Table(table) => {
                let pairs = table.0.iter().map(|entry| (entry.key.clone(), entry.node.value.to_json()));
                serde_json::Value::Object(pairs.collect())
            }
        }
    }
}

impl Node {
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn list(&self) -> Option<&[Node]> {
        match &self.value {
            Value::List(list) => Some(list),
            _ => None,
        }
    }

    pub(super) fn table(&self) -> Option<&Table> {
        match &self.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }
}

/// Reads the file with this number. On syntax errors the tree holds what was understood.
pub(super) fn parse(sources: &Sources, file: usize, report: &mut Report) -> Table {
    let (table, errors) = DeTable::parse_recoverable(sources.text(file));
    for error in &errors {
        let message: Vec<&str> = error.message().lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        report.error(Span::new(file, &error.span().unwrap_or(0..0)), message.join(", "));
    }
    read_table(table.get_ref(), file)
}

fn read_table(table: &DeTable<'_>, file: usize) -> Table {
    let entry = |(key, value): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| {
        let key_at = Span::new(file, &key.span());
        // A table that `[a.b]` implies has no place of its own.
        let at = if value.span().end == 0 { key_at } else { Span::new(file, &value.span()) };
        let key: &std::borrow::Cow<'_, str> = key.get_ref();
        Entry { key: key.to_string(), key_at, node: Node { at, value: read_value(value.get_ref(), file) } }
    };
    let mut entries: Vec<Entry> = table.iter().map(entry).collect();
    // The parser keeps tables in the order in which they were finished.
    entries.sort_by_key(|entry| entry.key_at);
    Table(entries)
}

fn read_value(value: &DeValue<'_>, file: usize) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(integer) => match i64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(integer) => Value::Integer(integer),
            // Larger than any number that a key takes; its range check says so.
            Err(_) => Value::Number(f64::MAX),
        },
        DeValue::Float(float) => Value::Number(float.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(flag) => Value::Bool(*flag),
        DeValue::Datetime(_) => Value::Other,
        DeValue::Array(array) => {
            let node = |node: &toml::Spanned<DeValue<'_>>| Node {
                at: Span::new(file, &node.span()),
                value: read_value(node.get_ref(), file),
            };
            Value::List(array.iter().map(node).collect())
        }
        DeValue::Table(table) => Value::Table(read_table(table, file)),
    }
}
