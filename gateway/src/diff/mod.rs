//! What changes between two configurations: not between their texts, but between what they mean; and what becomes of
//! requests that were logged.

mod order;
mod replay;
mod shown;
mod treatment;

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::config::Config;

pub use replay::{BadLine, Example, Group, Replay, replay};
pub use shown::{differing, in_a_line, masked};

/// One of two configurations.
#[derive(Debug)]
pub struct Side {
    /// Its settings.
    pub config: Config,
    /// What it comes to, key by key.
    pub effective: Value,
}

/// What became of something that has a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// It is there only now.
    Added,
    /// It is there no more.
    Removed,
    /// It is another one.
    Changed,
}

/// A key that has another value.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// Its name, dotted: `retry.attempts`; empty where all of it came or went.
    pub key: String,
    /// What held; absent where nothing did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<Value>,
    /// What holds; absent where nothing does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<Value>,
}

/// Something that is not what it was.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Item {
    /// `routes`, `aggregates`, `batches`, `upstreams`, `rate_limits`, `providers`, `stores`, `listeners`, or a table of
    /// which there is one.
    pub section: &'static str,
    /// Its name; that of the table where there is one.
    pub name: String,
    /// What became of it.
    pub what: What,
    /// The keys that differ.
    pub changes: Vec<Change>,
    /// Routes of the new configuration that use it, where it is no route itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub used_by: Vec<String>,
}

/// Where things with names stand, by what they are called.
const NAMED: [(&str, &[&str]); 8] = [
    ("routes", &["routes"]),
    ("aggregates", &["aggregates"]),
    ("batches", &["batches"]),
    ("upstreams", &["upstreams"]),
    ("rate_limits", &["rate_limits"]),
    ("providers", &["identity", "providers"]),
    ("stores", &["stores"]),
    ("listeners", &["listeners"]),
];
/// Tables of which there is one.
const SINGLE: [&str; 4] = ["identity", "server", "admin", "telemetry"];

/// Everything that differs, routes first.
pub fn compare(old: &Side, new: &Side) -> Vec<Item> {
    let mut items = Vec::new();
    for (section, path) in NAMED {
        let of = |side: &Side| path.iter().fold(&side.effective, |at, key| &at[*key]).as_object().cloned();
        let (before, after) = (of(old).unwrap_or_default(), of(new).unwrap_or_default());
        named(section, (&before, &after), (old, new), &mut items);
        if section == "routes" {
            items.extend(order::moved(old, new));
        }
    }
    for name in SINGLE {
        let of = |side: &Side| {
            let mut table = side.effective[name].clone();
            if let Some(table) = table.as_object_mut() {
                table.remove("providers");
            }
            table
        };
        let changes = changes(&of(old), &of(new));
        if !changes.is_empty() {
            items.push(Item {
                section: name,
                name: name.to_owned(),
                what: What::Changed,
                changes,
                used_by: Vec::new(),
            });
        }
    }
    items
}

fn named(
    section: &'static str,
    (old, new): (&Map<String, Value>, &Map<String, Value>),
    sides: (&Side, &Side),
    out: &mut Vec<Item>,
) {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for name in names {
        let whole = |old: Option<&Value>, new: Option<&Value>| {
            vec![Change { key: String::new(), old: old.map(masked), new: new.map(masked) }]
        };
        let (what, changes) = match (old.get(name), new.get(name)) {
            (Some(old), Some(new)) if section == "routes" => {
                let (old, new) = treatment::levelled((sides.0, old), (sides.1, new));
                (What::Changed, changes(&old, &new))
            }
            (Some(old), Some(new)) => (What::Changed, changes(old, new)),
            (None, new) => (What::Added, whole(None, new)),
            (old, None) => (What::Removed, whole(old, None)),
        };
        if !changes.is_empty() {
            let used_by = used_by(section, name, sides.1);
            out.push(Item { section, name: name.clone(), what, changes, used_by });
        }
    }
}

/// Routes that name it.
fn used_by(section: &str, name: &str, side: &Side) -> Vec<String> {
    let routes = side.effective["routes"].as_object().into_iter().flatten();
    let names_it = |route: &Value| match section {
        "upstreams" => treatment::upstreams(route).contains(&name),
        "rate_limits" => has(&route["rate_limits"], name),
        "providers" => has(&route["auth"]["providers"], name),
        _ => false,
    };
    routes.filter(|(_, route)| names_it(route)).map(|(name, _)| name.clone()).collect()
}

fn has(list: &Value, name: &str) -> bool {
    list.as_array().is_some_and(|list| list.iter().any(|item| item == name))
}

/// The keys of two values that differ, tables key by key. Secrets in them are masked.
pub(crate) fn changes(old: &Value, new: &Value) -> Vec<Change> {
    let mut out = Vec::new();
    differ("", old, new, &mut out);
    out
}

fn differ(key: &str, old: &Value, new: &Value, out: &mut Vec<Change>) {
    if old == new {
        return;
    }
    let (Value::Object(before), Value::Object(after)) = (old, new) else {
        let (old, new) = shown::masked_pair(key, treatment::there(old), treatment::there(new));
        out.push(Change { key: key.to_owned(), old, new });
        return;
    };
    for name in before.keys().chain(after.keys()).collect::<BTreeSet<_>>() {
        let inner = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
        let of = |table: &Map<String, Value>| table.get(name).cloned().unwrap_or_default();
        differ(&inner, &of(before), &of(after), out);
    }
}

#[cfg(test)]
mod tests;
