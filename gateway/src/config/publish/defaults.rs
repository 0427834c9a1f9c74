//! The commented defaults as people get them: keys that are not built yet are marked, from the tables of keys.

use super::DEFAULTS;
use crate::config::schema::{Key, Kind, ROOT, TableDef};

const MARK: &str = "not built yet";

/// Every key with its default, commented; what is not built yet says so.
pub fn defaults() -> String {
    marked(DEFAULTS, &ROOT)
}

/// Marks a text of TOML that `root` describes, line by line. Commented keys are keys too.
fn marked(text: &str, root: &'static TableDef) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    let mut keys = Some(root);
    for line in text.lines() {
        out.push_str(line);
        if let Some(header) = header(line) {
            let found = section(root, header);
            keys = found.filter(|(_, built)| *built).and_then(|(def, _)| def);
            if found.is_some_and(|(_, built)| !built) {
                mark(&mut out, line, "all of it");
            }
        } else if let (Some(def), Some((name, value))) = (keys, written(line)) {
            match def.key(name) {
                Some(key) if key.not_yet.is_some() => mark(&mut out, line, ""),
                Some(key) => mark_inner(&mut out, line, key, value),
                None => {}
            }
        }
        out.push('\n');
    }
    out
}

/// A table in one line: names those of its keys that are not built.
fn mark_inner(out: &mut String, line: &str, key: &Key, value: &str) {
    let (Kind::Table(def) | Kind::Short(_, def)) = key.kind else { return };
    let words = || value.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let later = def.keys.iter().filter(|key| key.not_yet.is_some() && words().any(|word| word == key.name));
    let names: Vec<&str> = later.map(|key| key.name).collect();
    if !names.is_empty() {
        mark(out, line, &names.join(", "));
    }
}

/// Appends the mark: a comment, or more of the comment that is there.
fn mark(out: &mut String, line: &str, what: &str) {
    out.push_str(if comment(line).is_some() { "; " } else { "  # " });
    out.push_str(MARK);
    if !what.is_empty() {
        out.push_str(": ");
        out.push_str(what);
    }
}

/// `a.b` of `[a.b]` and `[[a.b]]`.
fn header(line: &str) -> Option<&str> {
    let inner = line.strip_prefix('[')?;
    inner.trim_start_matches('[').split(']').next()
}

/// The key that a line writes, and what follows; of one that is commented out too.
fn written(line: &str) -> Option<(&str, &str)> {
    let line = &line[..comment(line).unwrap_or(line.len())];
    let (name, value) = line.strip_prefix("# ").unwrap_or(line).split_once(" = ")?;
    let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    plain.then_some((name, value))
}

/// Where the comment of a line begins that writes something. (That the key is commented out itself does not count.)
fn comment(line: &str) -> Option<usize> {
    let mut quoted = false;
    let found = line.bytes().enumerate().skip(1).find(|&(_, b)| {
        quoted ^= b == b'"';
        b == b'#' && !quoted
    });
    found.map(|(at, _)| at)
}

/// The keys of a section, where they are known, and whether the section is built.
fn section(root: &'static TableDef, header: &str) -> Option<(Option<&'static TableDef>, bool)> {
    let mut names = header.split('.');
    let mut def = root;
    loop {
        let Some(name) = names.next() else { return Some((Some(def), true)) };
        let key = def.key(name)?;
        if key.not_yet.is_some() {
            return Some((None, false));
        }
        def = match key.kind {
            Kind::Table(inner) | Kind::Tables(inner) | Kind::Shared(inner, _) => inner,
            Kind::Map(_, Kind::Table(inner)) => {
                names.next()?;
                inner
            }
            _ => return Some((None, true)),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::schema::key;
    use crate::config::value::text;

    static POOL: TableDef =
        TableDef::plain("", "", &[key("size", Kind::Bool, ""), key("later", Kind::Bool, "").not_yet("it is")]);
    static SERVICE: TableDef =
        TableDef::plain("", "", &[key("pool", Kind::Table(&POOL), ""), key("tls", Kind::Bool, "").not_yet("TLS is")]);
    static FILE: TableDef = TableDef::plain(
        "",
        "",
        &[
            key("services", Kind::Map(&text::NAME, const { &Kind::Table(&SERVICE) }), ""),
            key("stores", Kind::Map(&text::NAME, const { &Kind::Table(&POOL) }), "").not_yet("stores are"),
        ],
    );

    #[test]
    fn what_is_not_built_is_marked_and_nothing_else() {
        let text = "\
# tls = in no table
[services.a]
pool = { size = true, later = true }
pool = { size = true }   # it says: later
tls = true
# tls = \"a # b\"
# tls = true # why
# prose = no key

[stores.b] # with words
later = true
[[services]]
tls = 1";
        let expected = "\
# tls = in no table
[services.a]
pool = { size = true, later = true }  # not built yet: later
pool = { size = true }   # it says: later
tls = true  # not built yet
# tls = \"a # b\"  # not built yet
# tls = true # why; not built yet
# prose = no key

[stores.b] # with words; not built yet: all of it
later = true
[[services]]
tls = 1
";
        assert_eq!(marked(text, &FILE), expected);
    }
}
