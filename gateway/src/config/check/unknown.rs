//! Keys that nobody knows, and what was perhaps meant: a key of a table within this one, or one that is written alike.

use super::{Context, other_words};
use crate::config::problem::{did_you_mean, quoted};
use crate::config::schema::root::ROOT;
use crate::config::schema::{Key, Kind, TableDef};
use crate::config::tree::Entry;

/// A table with more keys than this does not list them, nor a key that more tables have than this.
const MOST_KEYS: usize = 8;
const MOST_TABLES: usize = 4;

/// Tells of an unknown key; `path` and `header` name its table.
pub(super) fn key(context: &mut Context<'_>, entry: &Entry, def: &TableDef, (path, header): (&str, &str)) {
    let place = if path.is_empty() { String::new() } else { format!(" in {header}") };
    let is_root = path.is_empty();
    let inside = one_level_down(&entry.key, def, is_root);
    let near = || did_you_mean(&entry.key, def.keys.iter().map(|key| key.name));
    // Of a file's own tables a slip in the name is likelier: `[[route]]`, which `[defaults]` has too.
    let help = if is_root { near().or(inside) } else { inside.or_else(near) };
    // A slip in a word of this table is likelier than another gateway's word for something else.
    let is_own = |key: &&Key| {
        key.name.strip_suffix('s') == Some(&*entry.key)
            || key.name.strip_suffix(&*entry.key).is_some_and(|rest| rest.ends_with('_'))
    };
    let own = def.keys.iter().find(is_own).map(|key| format!("did you mean {}?", quoted(key.name)));
    let elsewhere = other_words::of_key(&entry.key).map(str::to_owned);
    let is_of_here = |help: &String| def.keys.iter().any(|key| help.contains(&format!("`{}`", key.name)));
    let (here, elsewhere) = (elsewhere.clone().filter(is_of_here), elsewhere);
    let beside = other_words::of_key_beside(&entry.key, |key| def.key(key).is_some()).map(str::to_owned);
    let table = other_words::of_table(&entry.key).filter(|_| is_root).map(str::to_owned);
    let help = table.or(beside).or(here).or(own).or(elsewhere).or(help);
    let help = help.or_else(|| one_level_down(&entry.key, &ROOT, true)).unwrap_or_else(|| known_keys(def));
    context.report.error_with(entry.key_at, format!("unknown key {}{place}", quoted(&entry.key)), help);
}

/// What is a key of tables within this one was written beside them: `strip_prefix` of `rewrite`, `workers` of
/// `[server]`.
fn one_level_down(written: &str, def: &TableDef, is_root: bool) -> Option<String> {
    let named = |key: &Key| match key.kind {
        Kind::Table(inner) | Kind::OrFalse(inner) | Kind::Short(_, inner)
            if inner.key(written).is_some() && is_root =>
        {
            Some(format!("[{}]", key.name))
        }
        Kind::Table(inner) | Kind::OrFalse(inner) | Kind::Short(_, inner) if inner.key(written).is_some() => {
            Some(key.name.to_owned())
        }
        Kind::Tables(inner) if inner.key(written).is_some() && is_root => Some(format!("[[{}]]", key.name)),
        Kind::Map(_, Kind::Table(inner)) if inner.key(written).is_some() && is_root => {
            Some(format!("[{}.NAME]", key.name))
        }
        _ => None,
    };
    let tables: Vec<String> = def.keys.iter().filter_map(named).collect();
    let first = tables.first().filter(|_| tables.len() <= MOST_TABLES)?;
    let how = if is_root { "write it below that line".to_owned() } else { format!("{first} = {{ {written} = … }}") };
    Some(format!("it is a key of {}: {how}", tables.join(", ")))
}

/// What could stand there instead; a long list would be no help.
fn known_keys(def: &TableDef) -> String {
    let names: Vec<&str> = def.keys.iter().take(MOST_KEYS).map(|key| key.name).collect();
    if def.keys.len() > MOST_KEYS {
        return "`gateway defaults` prints every key".to_owned();
    }
    format!("the keys here: {}", names.join(", "))
}
