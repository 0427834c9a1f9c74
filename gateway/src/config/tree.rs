//! A configuration as written: values with their places, before anything is known about keys.

use std::borrow::Cow;

use super::source::Span;

/// A value and where it is written.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// The value's place; of a `[table]` its header.
    pub(crate) at: Span,
    /// The value.
    pub(crate) value: Value,
}

/// A TOML value.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// A string, environment variables filled in.
    Text(Text),
    /// An integer that fits 64 bits.
    Integer(i64),
    /// A finite number.
    Number(f64),
    /// `true`, `false`
    Bool(bool),
    /// A date or time; no key takes one.
    Date,
    /// What could not be read and was reported already; it is taken for absent.
    Broken,
    /// `[a, b]`, `[[a]]`
    List(Vec<Node>),
    /// `{ a = b }`, `[a]`
    Table(Table),
}

impl Value {
    /// The type's name in messages.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Integer(_) => "an integer",
            Self::Number(_) => "a number",
            Self::Bool(_) => "a boolean",
            Self::Date => "a date",
            Self::Broken => "an unreadable value",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

/// A string.
#[derive(Debug, Clone)]
pub(crate) struct Text {
    /// What it says, environment variables filled in.
    pub(crate) content: String,
    /// What was written, where variables were filled in: messages quote this, since variables may be secret.
    pub(crate) written: Option<String>,
}

impl Text {
    /// A string without variables.
    pub(crate) fn plain(content: impl Into<String>) -> Self {
        Self { content: content.into(), written: None }
    }

    /// The same as a file says it: what was written where variables were filled in, and a literal `${` as `$${`.
    pub(crate) fn in_a_file(&self) -> Cow<'_, str> {
        match &self.written {
            Some(written) => written.into(),
            None if self.content.contains("${") => self.content.replace("${", "$${").into(),
            None => (&self.content).into(),
        }
    }

    /// What messages may quote.
    pub(crate) fn shown(&self) -> &str {
        self.written.as_deref().unwrap_or(&self.content)
    }
}

/// Keys in the order of the file; a key is there once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    /// The keys with their values.
    pub(crate) entries: Vec<Entry>,
}

/// One key of a table.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// The key.
    pub(crate) key: String,
    /// Where the key is written.
    pub(crate) key_at: Span,
    /// Its value.
    pub(crate) node: Node,
}

impl Table {
    /// The entry of a key. Tables with known keys are short; those of a hostile file are looked through once a known
    /// key.
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// Whether a value could not be read and was reported already.
    pub(crate) fn has_broken(&self) -> bool {
        self.entries.iter().any(|entry| matches!(entry.node.value, Value::Broken))
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.node).filter(|node| !matches!(node.value, Value::Broken))
    }
}

impl Node {
    /// The string, if it is one.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(&text.content),
            _ => None,
        }
    }

    /// What messages may quote of a string; nothing of other values.
    pub(crate) fn shown(&self) -> &str {
        match &self.value {
            Value::Text(text) => text.shown(),
            _ => "",
        }
    }

    /// A string as a file says it; nothing of other values.
    pub(crate) fn in_a_file(&self) -> Cow<'_, str> {
        match &self.value {
            Value::Text(text) => text.in_a_file(),
            _ => "".into(),
        }
    }

    /// Whether variables filled in some of it: it may be secret, whatever it is called.
    pub(crate) fn is_filled_in(&self) -> bool {
        matches!(&self.value, Value::Text(text) if text.written.is_some())
    }

    /// The elements, if it is a list.
    pub(crate) fn list(&self) -> Option<&[Node]> {
        match &self.value {
            Value::List(list) => Some(list),
            _ => None,
        }
    }

    /// The table, if it is one.
    pub(crate) fn table(&self) -> Option<&Table> {
        match &self.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }
}
