//! The keys of a configuration as data: name, kind, default, bounds, meaning.
//!
//! Everything that speaks about keys reads these tables: the check of a file, the defaults, the JSON Schema, the
//! documentation, the "did you mean". One file a setting.

pub(crate) mod aggregate;
pub(crate) mod batch;
pub(crate) mod identity;
pub(crate) mod problems;
pub(crate) mod rate_limit;
pub(crate) mod root;
pub(crate) mod route;
pub(crate) mod route_policy;
pub(crate) mod server;
pub(crate) mod telemetry;
pub(crate) mod upstream;

use super::check::Rule;
use super::value::text::TextKind;

pub(crate) use root::ROOT;

/// A table with known keys.
pub(crate) struct TableDef {
    /// What messages and documentation call it: `[server]`, `pool`.
    pub(crate) title: &'static str,
    /// What it is for, one sentence.
    pub(crate) doc: &'static str,
    /// Its keys, in the order of the documentation.
    pub(crate) keys: &'static [Key],
    /// What must hold between its keys.
    pub(crate) rules: &'static [Rule],
    /// Keys that stand for one another: where a table writes one of them, shared defaults for the others are ignored.
    pub(crate) exclusive: &'static [&'static str],
    /// Values of which one alone turns the whole table off: (key, value as TOML).
    pub(crate) off: &'static [(&'static str, &'static str)],
}

/// One key.
pub(crate) struct Key {
    /// As written.
    pub(crate) name: &'static str,
    /// What it takes.
    pub(crate) kind: Kind,
    /// What holds when it is absent, as TOML; `None`: nothing holds.
    pub(crate) default: Option<&'static str>,
    /// Whether it must be written.
    pub(crate) required: bool,
    /// What it means, a sentence.
    pub(crate) doc: &'static str,
    /// Names a secret's environment variable.
    pub(crate) secret: bool,
}

/// What a key takes.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// `true`, `false`
    Bool,
    /// A whole number within bounds.
    Integer(i64, i64),
    /// A number within bounds.
    Number(f64, f64),
    /// A duration within bounds, milliseconds.
    Duration(u64, u64),
    /// A duration within bounds, milliseconds, or `"0s"`, which means none.
    DurationOrZero(u64, u64),
    /// A size within bounds, bytes.
    Size(u64, u64),
    /// A size within bounds, bytes, or `"0"`, which means none.
    SizeOrZero(u64, u64),
    /// A rate.
    Rate,
    /// One of some words.
    Choice(&'static [&'static str]),
    /// Text of a kind.
    Text(&'static TextKind),
    /// A file that must exist, relative to the file it is written in.
    File,
    /// A file that will be written, relative to the file it is written in, or one of these words.
    FileOrWord(&'static [&'static str]),
    /// A string, number or boolean.
    Scalar,
    /// Any JSON value.
    Anything,
    /// A list with at least so many elements.
    List(&'static Kind, usize),
    /// A table with known keys.
    Table(&'static TableDef),
    /// Shared keys of a table: nothing is required, and some keys make no sense.
    Shared(&'static TableDef, &'static [&'static str]),
    /// `[[name]]`: a list of tables with known keys.
    Tables(&'static TableDef),
    /// A table with free keys of a kind of text.
    Map(&'static TextKind, &'static Kind),
    /// A table whose keys depend on the value of one of them.
    Tagged(&'static str, &'static [(&'static str, &'static TableDef)]),
    /// A short form (not a table), or a table.
    Short(&'static Kind, &'static TableDef),
    /// A table with known keys, or `false`, which is none: also where one is shared.
    OrFalse(&'static TableDef),
}

/// A key that may be absent.
pub(crate) const fn key(name: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key { name, kind, default: None, required: false, doc, secret: false }
}

impl Key {
    /// The same with a default, as TOML.
    pub(crate) const fn default(mut self, toml: &'static str) -> Self {
        self.default = Some(toml);
        self
    }

    /// The same, to be written always.
    pub(crate) const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// The same, and the variable that it names holds a secret.
    pub(crate) const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }
}

impl TableDef {
    /// A key by name.
    pub(crate) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// A table without rules between its keys.
    pub(crate) const fn plain(title: &'static str, doc: &'static str, keys: &'static [Key]) -> Self {
        Self { title, doc, keys, rules: &[], exclusive: &[], off: &[] }
    }

    /// The same with rules.
    pub(crate) const fn rules(mut self, rules: &'static [Rule]) -> Self {
        self.rules = rules;
        self
    }

    /// The same, with keys that stand for one another.
    pub(crate) const fn exclusive(mut self, keys: &'static [&'static str]) -> Self {
        self.exclusive = keys;
        self
    }

    /// The same, with values that turn the table off.
    pub(crate) const fn off(mut self, off: &'static [(&'static str, &'static str)]) -> Self {
        self.off = off;
        self
    }
}

/// One second, in milliseconds.
pub(crate) const SECOND: u64 = 1_000;
/// One minute, in milliseconds.
pub(crate) const MINUTE: u64 = 60_000;
/// One hour, in milliseconds.
pub(crate) const HOUR: u64 = 3_600_000;
/// One day, in milliseconds: no timeout is meant to be longer.
pub(crate) const DAY: u64 = 24 * HOUR;
/// Any count.
pub(crate) const MANY: i64 = 1_000_000_000;
/// Any size: beyond a pebibyte it is a mistake.
pub(crate) const HUGE: u64 = 1 << 50;
