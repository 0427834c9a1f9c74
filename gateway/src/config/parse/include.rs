//! `include = ["routes/*.toml"]`: more files, merged into one tree.
//!
//! Lists of tables (`[[routes]]`) are added in the order of the files, named tables (`[upstreams.NAME]`) are put side
//! by side; what is written twice is a problem, never an override. What holds for all files (`[server]`,
//! `[defaults.route]`) is in the first one, where it is looked for: an included file changes no other. Included files
//! include nothing themselves, so there are no circles.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::pattern;
use crate::config::problem::{Report, quoted};
use crate::config::schema::{Kind, TableDef};
use crate::config::source::{Sources, Span};
use crate::config::tree::{Node, Table, Value};
use crate::config::value::text::NAME;

/// Files of one configuration; a pattern that matches a whole disk is a mistake.
const MAX_FILES: usize = 10_000;

/// The files that the patterns of a tree name, each once, with the place of the pattern, sorted within a pattern.
pub(crate) fn find(root: &Table, sources: &Sources, report: &mut Report) -> Vec<(PathBuf, Span)> {
    let mut found = Vec::new();
    let mut seen: HashSet<PathBuf> = sources.paths().iter().map(|path| identity(path)).collect();
    for (node, path) in written(root, sources) {
        let has_stars = node.text().is_some_and(|text| text.contains('*'));
        let matches = if has_stars { expand(&path) } else { BTreeSet::from([path]) };
        if matches.is_empty() {
            report.warning(node.at, format!("{} matches no file", quoted(node.shown())), "nothing is included");
        }
        for file in matches {
            if found.len() >= MAX_FILES {
                report.error(node.at, format!("more than {MAX_FILES} files are included"));
                return found;
            }
            if seen.insert(identity(&file)) {
                found.push((file, node.at));
            }
        }
    }
    found
}

/// Where the patterns of a tree lead, whether anything is there or not.
pub(crate) fn patterns(root: &Table, sources: &Sources) -> Vec<PathBuf> {
    written(root, sources).map(|(_, path)| path).collect()
}

fn written<'a>(root: &'a Table, sources: &'a Sources) -> impl Iterator<Item = (&'a Node, PathBuf)> {
    let patterns = root.get("include").and_then(Node::list).unwrap_or(&[]);
    let named = patterns.iter().filter(|node| node.text().is_some_and(|text| !text.is_empty()));
    named.map(|node| (node, sources.resolve(node.text().unwrap_or_default(), node.at)))
}

/// The files that a path names now: with stars all that it fits, without any itself.
pub(crate) fn named_by(path: &Path) -> BTreeSet<PathBuf> {
    if has_stars(path) { expand(path) } else { BTreeSet::from([path.to_path_buf()]) }
}

/// The folders in which it shows that what a path names comes, goes or changes: its own, those above it as far as stars
/// or the configuration's own folder, `within`, reach, and of one that is not there the next that is.
pub(crate) fn folders_of(path: &Path, within: &Path) -> BTreeSet<PathBuf> {
    let mut folders = BTreeSet::new();
    for level in path.ancestors().skip(1) {
        let there = reach(level).into_iter().map(|folder| listed(&folder).to_path_buf()).filter(|it| it.is_dir());
        let before = folders.len();
        folders.extend(there);
        // Below no name at all, as of a configuration in the folder where the process runs, are relative names alone.
        let is_below = level.starts_with(within) && (level.is_relative() || !within.as_os_str().is_empty());
        let goes_on = has_stars(level) || level != within && is_below;
        if folders.len() > before && !goes_on {
            break;
        }
    }
    folders
}

fn has_stars(path: &Path) -> bool {
    path.to_str().is_some_and(|path| path.contains('*'))
}

/// One name for a file, however it is written.
fn identity(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_path_buf())
}

/// The files that a path with stars names.
fn expand(path: &Path) -> BTreeSet<PathBuf> {
    reach(path).into_iter().filter(|path| path.is_file()).collect()
}

/// All that a path with stars names. Stars match within one folder level, and no name that begins with a dot.
pub(super) fn reach(path: &Path) -> BTreeSet<PathBuf> {
    let mut reached = BTreeSet::from([PathBuf::new()]);
    for component in path.components() {
        let part = component.as_os_str();
        let stars = part.to_str().filter(|part| part.contains('*'));
        reached = match stars {
            None => reached.into_iter().map(|folder| folder.join(part)).collect(),
            Some(stars) => reached.iter().flat_map(|folder| matching(folder, stars)).take(MAX_FILES + 1).collect(),
        };
    }
    reached
}

/// A folder by a name that the system takes.
pub(super) fn listed(folder: &Path) -> &Path {
    if folder.as_os_str().is_empty() { Path::new(".") } else { folder }
}

fn matching(folder: &Path, stars: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(listed(folder)).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let fits = |name: &String| (!name.starts_with('.') || stars.starts_with('.')) && pattern::fits(stars, name);
    names.filter(fits).map(|name| folder.join(name)).collect()
}

/// Reports what an included file says of all others: keys that are neither lists of tables nor tables of names, or in
/// tables with such.
pub(crate) fn only_names(table: &Table, def: &TableDef, report: &mut Report) {
    for entry in &table.entries {
        match (def.key(&entry.key).map(|key| key.kind), &entry.node.value) {
            (Some(Kind::Table(inner)), Value::Table(own)) if inner.keys.iter().any(|key| holds_names(key.kind)) => {
                only_names(own, inner, report);
            }
            // What is no key, and what an included file may not do at all, has words of its own.
            (None, _) => {}
            (Some(kind), _) if holds_names(kind) || entry.key == "include" => {}
            _ => {
                let message = format!("{} holds for every file, and is written in the first one", quoted(&entry.key));
                let help = "an included file adds routes, listeners, upstreams and other tables with a name";
                report.error_with(entry.key_at, message, help);
            }
        }
    }
}

fn holds_names(kind: Kind) -> bool {
    match kind {
        Kind::Tables(_) => true,
        Kind::Map(keys, values) => {
            std::ptr::eq(keys, &NAME) && matches!(values, Kind::Table(_) | Kind::Shared(..) | Kind::Tagged(..))
        }
        _ => false,
    }
}

/// Adds an included file's tree.
pub(crate) fn merge(into: &mut Table, from: Table, def: &TableDef, sources: &Sources, report: &mut Report) {
    let places: HashMap<String, usize> =
        into.entries.iter().enumerate().map(|(index, entry)| (entry.key.clone(), index)).collect();
    for entry in from.entries {
        if entry.key == "include" && std::ptr::eq(def, &crate::config::schema::ROOT) {
            report.error(entry.key_at, "an included file includes no others");
            continue;
        }
        let Some(&index) = places.get(&entry.key) else {
            into.entries.push(entry);
            continue;
        };
        let present = &mut into.entries[index];
        let present_at = present.key_at;
        let kind = def.key(&entry.key).map(|key| key.kind);
        match (kind, &mut present.node.value, entry.node.value) {
            (Some(Kind::Tables(_)), Value::List(all), Value::List(more)) => all.extend(more),
            (Some(Kind::Table(inner) | Kind::Shared(inner, _)), Value::Table(all), Value::Table(more)) => {
                merge(all, more, inner, sources, report);
            }
            (Some(Kind::Map(..)), Value::Table(all), Value::Table(more)) => add_all(all, more, sources, report),
            _ => twice(&entry.key, entry.key_at, present_at, sources, report),
        }
    }
}

fn add_all(into: &mut Table, from: Table, sources: &Sources, report: &mut Report) {
    let places: HashMap<String, Span> = into.entries.iter().map(|entry| (entry.key.clone(), entry.key_at)).collect();
    for entry in from.entries {
        match places.get(&entry.key) {
            Some(&first) => twice(&entry.key, entry.key_at, first, sources, report),
            None => into.entries.push(entry),
        }
    }
}

fn twice(key: &str, at: Span, first: Span, sources: &Sources, report: &mut Report) {
    let (file, place) = sources.locate(first);
    let message = format!("{} is already written at {}:{}", quoted(key), file.display(), place.line);
    report.error_with(at, message, "files are merged, they do not override each other");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_shows_in_folders_on_the_way_that_are_there() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        for there in ["conf/routes/a", "conf/routes/b", "conf/.git", "keys"] {
            std::fs::create_dir_all(at(there)).unwrap();
        }
        std::fs::write(at("conf/routes/c"), "").unwrap();
        let of = |path: &str, expected: &[&str]| {
            let expected: BTreeSet<PathBuf> = expected.iter().map(|path| at(path)).collect();
            assert_eq!(folders_of(&at(path), &at("conf")), expected, "{path}");
        };
        of("conf/gateway.toml", &["conf"]);
        of("conf/routes/*.toml", &["conf", "conf/routes"]);
        of("conf/routes/*/x.toml", &["conf", "conf/routes", "conf/routes/a", "conf/routes/b"]);
        of("conf/gone/deep/*.toml", &["conf"]);
        of("keys/a.pem", &["keys"]);
        of("keys/gone/a.pem", &["keys"]);
        of("keys/*/a.pem", &["keys"]);
        let here = folders_of(Path::new("src/*.rs"), Path::new(""));
        assert_eq!(here, BTreeSet::from(["src", "."].map(PathBuf::from)));
        let elsewhere = folders_of(&folder.path().join("conf/key.pem"), Path::new(""));
        assert_eq!(elsewhere, BTreeSet::from([folder.path().join("conf")]), "and nothing above it");
    }
}
