//! Typed access to a table: its own keys, then what it shares, then the defaults of the key tables.
//!
//! The check reports each bad value. The reader takes the default in its place, so that every later rule can run; a
//! configuration with problems is never used.

use std::borrow::Cow;
use std::time::Duration;

use crate::config::parse::document;
use crate::config::schema::{Kind, TableDef};
use crate::config::source::Span;
use crate::config::tree::{Node, Table, Value};
use crate::config::value::quantity;

/// One table with its known keys.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    own: Option<&'a Table>,
    base: Option<&'a Table>,
    def: &'static TableDef,
    /// Where the table is written.
    pub(crate) at: Span,
}

impl<'a> Reader<'a> {
    /// A table as written.
    pub(crate) fn new(own: Option<&'a Table>, base: Option<&'a Table>, def: &'static TableDef, at: Span) -> Self {
        Self { own, base, def, at }
    }

    /// Its known keys.
    pub(crate) fn def(&self) -> &'static TableDef {
        self.def
    }

    /// Whether a key is written, here or in the shared table, that nobody knows.
    pub(crate) fn has_unknown(&self) -> bool {
        let mut written = [self.own, self.base].into_iter().flatten().flat_map(|table| &table.entries);
        written.any(|entry| self.def.key(&entry.key).is_none())
    }

    /// The value as written, here or in the shared table; `None` where only the default holds.
    pub(crate) fn get(&self, key: &str) -> Option<&'a Node> {
        debug_assert!(self.def.key(key).is_some(), "no key {key} in {}", self.def.title);
        if let Some(node) = self.own.and_then(|own| own.get(key)) {
            return Some(node).filter(|node| !self.is_none(key, node));
        }
        let exclusive = self.def.exclusive;
        let chosen = |own: &Table| exclusive.iter().any(|other| own.entry(other).is_some());
        if exclusive.contains(&key) && self.own.is_some_and(chosen) {
            return None;
        }
        self.base.and_then(|base| base.get(key)).filter(|node| !self.is_none(key, node))
    }

    /// The value as written in the table itself, not in what it shares.
    pub(crate) fn own(&self, key: &str) -> Option<&'a Node> {
        self.written().and_then(|own| own.get(key)).filter(|node| !self.is_none(key, node))
    }

    /// Whether somebody wrote that there is to be none: `auth = false`.
    pub(crate) fn says_none(&self, key: &str) -> bool {
        let written = |table: Option<&'a Table>| table.and_then(|table| table.get(key));
        written(self.own).or_else(|| written(self.base)).is_some_and(|node| self.is_none(key, node))
    }

    /// `false` in place of a table.
    fn is_none(&self, key: &str, node: &Node) -> bool {
        matches!(node.value, Value::Bool(false))
            && matches!(self.def.key(key).map(|key| key.kind), Some(Kind::OrFalse(_)))
    }

    /// Whether there is a table at all, and not only what is shared.
    pub(crate) fn is_written(&self) -> bool {
        self.own.is_some()
    }

    /// The table itself, as written.
    pub(crate) fn written(&self) -> Option<&'a Table> {
        self.own
    }

    /// Where the key's value is written, or the table where it is not.
    pub(crate) fn at(&self, key: &str) -> Span {
        self.get(key).map_or(self.at, |node| node.at)
    }

    /// Where one of two keys is written that do not go together: in the table itself rather than in what it shares, or
    /// the place would be nobody's in particular.
    pub(crate) fn at_own(&self, keys: [&str; 2]) -> Span {
        let own = keys.iter().find_map(|key| self.own(key));
        own.or_else(|| keys.iter().find_map(|key| self.get(key))).map_or(self.at, |node| node.at)
    }

    /// The value as written, or its default.
    pub(crate) fn effective(&self, key: &str) -> Option<Cow<'a, Node>> {
        self.get(key).map(Cow::Borrowed).or_else(|| self.fallback(key).map(Cow::Owned))
    }

    fn fallback(&self, key: &str) -> Option<Node> {
        self.def.key(key)?.default.and_then(document::literal)
    }

    /// Reads a value, or its default where the value is bad.
    fn read<T>(&self, key: &str, read: impl Fn(&Node) -> Option<T>) -> Option<T> {
        let written = self.get(key).and_then(&read);
        written.or_else(|| self.fallback(key).as_ref().and_then(&read))
    }

    /// A boolean; `false` without a default.
    pub(crate) fn flag(&self, key: &str) -> bool {
        let read = |node: &Node| if let Value::Bool(flag) = node.value { Some(flag) } else { None };
        self.read(key, read).unwrap_or(false)
    }

    /// A whole number; 0 without a default.
    pub(crate) fn integer<T: TryFrom<i64> + Default>(&self, key: &str) -> T {
        let read =
            |node: &Node| if let Value::Integer(integer) = node.value { T::try_from(integer).ok() } else { None };
        self.read(key, read).unwrap_or_default()
    }

    /// A whole number, where 0 is none.
    pub(crate) fn limit(&self, key: &str) -> Option<usize> {
        Some(self.integer(key)).filter(|&limit| limit != 0)
    }

    /// A number; 0 without a default.
    pub(crate) fn number(&self, key: &str) -> f64 {
        self.read(key, number).unwrap_or(0.0)
    }

    /// A duration; 0 without a default.
    pub(crate) fn duration(&self, key: &str) -> Duration {
        let kind = self.def.key(key).map(|key| key.kind);
        let within = |duration: &Duration| {
            let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
            match kind {
                Some(Kind::Duration(min, max)) => (min..=max).contains(&ms),
                Some(Kind::DurationOrZero(min, max)) => ms == 0 || (min..=max).contains(&ms),
                _ => true,
            }
        };
        self.read(key, |node| quantity::duration(node.text()?).ok().filter(within)).unwrap_or_default()
    }

    /// A duration, where 0 is none.
    pub(crate) fn timeout(&self, key: &str) -> Option<Duration> {
        Some(self.duration(key)).filter(|timeout| !timeout.is_zero())
    }

    /// A size in bytes; 0 without a default.
    pub(crate) fn size(&self, key: &str) -> u64 {
        let kind = self.def.key(key).map(|key| key.kind);
        let within = |size: &u64| match kind {
            Some(Kind::Size(min, max)) => (min..=max).contains(size),
            Some(Kind::SizeOrZero(min, max)) => *size == 0 || (min..=max).contains(size),
            _ => true,
        };
        self.read(key, |node| quantity::size(node.text()?).ok().filter(within)).unwrap_or_default()
    }

    /// A size in bytes, where 0 is none.
    pub(crate) fn bound(&self, key: &str) -> Option<u64> {
        Some(self.size(key)).filter(|&size| size != 0)
    }

    /// A size that fits memory.
    pub(crate) fn bytes<T: TryFrom<u64> + Default>(&self, key: &str) -> T {
        T::try_from(self.size(key)).unwrap_or_default()
    }

    /// A text; empty without a default.
    pub(crate) fn text(&self, key: &str) -> Cow<'a, str> {
        match self.effective(key) {
            Some(Cow::Borrowed(node)) => Cow::Borrowed(node.text().unwrap_or("")),
            Some(Cow::Owned(node)) => Cow::Owned(node.text().unwrap_or("").to_owned()),
            None => Cow::Borrowed(""),
        }
    }

    /// The texts of a list.
    pub(crate) fn texts(&self, key: &str) -> Vec<String> {
        let node = self.effective(key);
        let list = node.as_deref().and_then(Node::list).unwrap_or(&[]);
        list.iter().filter_map(Node::text).map(str::to_owned).collect()
    }

    /// The elements of a list as written; none where only the default holds.
    pub(crate) fn nodes(&self, key: &str) -> &'a [Node] {
        self.get(key).and_then(Node::list).unwrap_or(&[])
    }

    /// A table as written; none where only the default holds.
    pub(crate) fn map(&self, key: &str) -> &'a [crate::config::tree::Entry] {
        self.get(key).and_then(Node::table).map_or(&[], |table| &table.entries)
    }

    /// A table with known keys, shared keys filled in.
    pub(crate) fn table(&self, key: &str) -> Reader<'a> {
        let def = match self.def.key(key).map(|key| key.kind) {
            Some(Kind::Table(def) | Kind::Short(_, def) | Kind::OrFalse(def) | Kind::Shared(def, _)) => def,
            _ => self.def,
        };
        let node = self.get(key);
        let own = self.own.and_then(|own| own.get(key));
        let base = self.base.and_then(|base| base.get(key)).and_then(Node::table);
        // A short form in the table itself, or `false`, leaves nothing of a shared table.
        let base = if own.is_some_and(|own| own.table().is_none()) { None } else { base };
        Reader::new(own.and_then(Node::table), base, def, node.map_or(self.at, |node| node.at))
    }
}

/// A number, also one that is written without a point.
pub(crate) fn number(node: &Node) -> Option<f64> {
    match node.value {
        Value::Number(number) => Some(number),
        // Bounds of all keys lie far below 2^53, where whole numbers are exact.
        #[expect(clippy::cast_precision_loss, reason = "bounded by the check")]
        Value::Integer(integer) => Some(integer as f64),
        _ => None,
    }
}
