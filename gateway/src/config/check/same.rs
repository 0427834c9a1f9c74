//! Whether two values of a key mean the same.

use super::reader::number;
use crate::config::parse::document;
use crate::config::schema::{Key, Kind, TableDef};
use crate::config::tree::{Node, Table, Value};
use crate::config::value::quantity;

/// Lists that are compared as sets; longer ones are no default.
pub(super) const MAX_COMPARED: usize = 64;

/// Whether two values of a key mean the same.
pub(crate) fn same(kind: Kind, a: &Node, b: &Node) -> bool {
    match kind {
        Kind::Duration(..) | Kind::DurationOrZero(..) => same_text(a, b, |text| quantity::duration(text).ok()),
        Kind::Size(..) | Kind::SizeOrZero(..) => same_text(a, b, |text| quantity::size(text).ok()),
        Kind::Rate => same_text(a, b, |text| quantity::rate(text).ok()),
        Kind::Text(_) | Kind::Choice(_) | Kind::File | Kind::FileOrWord(_) => {
            // `after = "0ms"` is `after = "0s"`, where a text may be a duration.
            same_text(a, b, |text| Some(text.to_owned())) || same_text(a, b, |text| quantity::duration(text).ok())
        }
        Kind::Integer(..) | Kind::Number(..) => number(a).is_some() && number(a) == number(b),
        Kind::Scalar => {
            [Kind::Bool, Kind::Number(f64::MIN, f64::MAX)].iter().any(|kind| same(*kind, a, b))
                || same_text(a, b, |text| Some(text.to_owned()))
        }
        Kind::Bool => matches!((&a.value, &b.value), (Value::Bool(a), Value::Bool(b)) if a == b),
        Kind::List(element, _) => match (a.list(), b.list()) {
            (Some(a), Some(b)) => same_set(*element, a, b),
            _ => false,
        },
        Kind::Table(def) | Kind::Shared(def, _) => match (a.table(), b.table()) {
            (Some(a), Some(b)) => same_table(def, a, b),
            _ => false,
        },
        Kind::Short(short, def) => match (a.table(), b.table()) {
            (Some(a), Some(b)) => same_table(def, a, b),
            (None, None) => same(*short, a, b),
            _ => false,
        },
        Kind::OrFalse(def) => match (a.table(), b.table()) {
            (Some(a), Some(b)) => same_table(def, a, b),
            (a, b) => a.is_none() && b.is_none(),
        },
        Kind::Map(..) => match (a.table(), b.table()) {
            (Some(a), Some(b)) => a.entries.is_empty() && b.entries.is_empty(),
            _ => false,
        },
        _ => false,
    }
}

fn same_text<T: PartialEq>(a: &Node, b: &Node, read: impl Fn(&str) -> Option<T>) -> bool {
    let (a, b) = (a.text().and_then(&read), b.text().and_then(&read));
    a.is_some() && a == b
}

fn same_set(kind: Kind, a: &[Node], b: &[Node]) -> bool {
    let within = |x: &[Node], y: &[Node]| x.iter().all(|a| y.iter().any(|b| same(kind, a, b)));
    a.len() == b.len() && a.len() <= MAX_COMPARED && within(a, b) && within(b, a)
}

fn same_table(def: &'static TableDef, a: &Table, b: &Table) -> bool {
    let equal = |key: &'static Key| {
        let default = key.default.and_then(document::literal);
        match (a.get(key.name).or(default.as_ref()), b.get(key.name).or(default.as_ref())) {
            (Some(a), Some(b)) => same(key.kind, a, b),
            (None, None) => true,
            _ => false,
        }
    };
    def.keys.iter().all(equal)
}
