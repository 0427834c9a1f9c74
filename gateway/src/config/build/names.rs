//! Names of routes, aggregates and batches: the written one, or the path; and where another one without a name has that
//! path already, what tells it apart: `POST /orders`, `a.example/orders`, `/orders#2`.

use std::collections::{HashMap, HashSet};

use super::route::texts;
use crate::config::check::Reader;
use crate::config::source::Span;

/// The names, by the places of their tables.
pub(crate) struct Names(HashMap<Span, String>);

impl Names {
    /// Names them in their order.
    pub(super) fn of<'a>(tables: impl Iterator<Item = Reader<'a>>) -> Self {
        let (written, unnamed): (Vec<_>, Vec<_>) = tables.partition(|table| table.get("name").is_some());
        let mut names: HashMap<Span, String> =
            written.iter().map(|table| (table.at, table.text("name").into_owned())).collect();
        let written: HashSet<String> = names.values().cloned().collect();
        let mut given: HashSet<String> = HashSet::new();
        let mut last = HashMap::new();
        for table in unnamed {
            let path = table.text("path").into_owned();
            let is_taken = |name: &str| given.contains(name) || written.contains(name);
            // That a path is a written name is an error, which says so.
            let name = if given.contains(&path) { apart(&table, &path, &mut last, is_taken) } else { path };
            given.insert(name.clone());
            names.insert(table.at, name);
        }
        Self(names)
    }

    /// The name of the table at this place.
    pub(crate) fn at(&self, place: Span) -> &str {
        self.0.get(&place).map_or("", String::as_str)
    }
}

/// By methods and hosts; by a number where they are no others, `last` being the one that was last given.
fn apart(table: &Reader<'_>, path: &str, last: &mut HashMap<String, u64>, is_taken: impl Fn(&str) -> bool) -> String {
    let [methods, hosts] = ["methods", "hosts"].map(|key| texts(table, key).unwrap_or_default().join(","));
    let space = if methods.is_empty() { "" } else { " " };
    let name = format!("{methods}{space}{hosts}{path}");
    if !is_taken(&name) {
        return name;
    }
    let number = last.entry(name.clone()).or_insert(1);
    loop {
        *number += 1;
        let numbered = format!("{name}#{number}");
        if !is_taken(&numbered) {
            return numbered;
        }
    }
}
