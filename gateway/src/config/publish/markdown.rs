//! The documentation of all keys, made from the tables of keys.

use std::fmt::Write as _;

use crate::config::schema::{Key, Kind, ROOT, TableDef};
use crate::config::value::quantity::{show_duration, show_size};

const HEAD: &str = include_str!("configuration_head.md");

/// Where the list of contents goes in the head.
const CONTENTS: &str = "@CONTENTS@\n";

/// A table with its heading and the link to it.
struct Section {
    def: &'static TableDef,
    /// What it is of, too, where its title alone does not say: `cache` of `forward_auth`.
    heading: String,
    /// How GitHub calls the heading in links.
    anchor: String,
    /// In how many others it lies.
    depth: usize,
}

/// The documentation as Markdown, with a newline at its end.
pub fn markdown() -> String {
    let mut sections = Vec::new();
    collect(&ROOT, None, 0, &mut sections);
    let mut out = HEAD.replace(CONTENTS, &contents(&sections));
    for one in &sections {
        let _ = write!(out, "\n## {}\n\n{}\n\n", one.heading, one.def.doc);
        out.push_str("| key | takes | default | meaning |\n|---|---|---|---|\n");
        for key in one.def.keys {
            row(&mut out, key, &sections);
        }
    }
    out
}

/// A table, then the tables in it, each once.
fn collect(def: &'static TableDef, parent: Option<&str>, depth: usize, sections: &mut Vec<Section>) {
    if sections.iter().any(|one| std::ptr::eq(one.def, def)) {
        return;
    }
    let own = format!("`{}`", def.title);
    let heading = match parent.filter(|_| depth > 1 && !def.title.contains('[')) {
        Some(parent) => format!("{own} of {parent}"),
        None => own,
    };
    let plain = slug(&heading);
    let same = sections.iter().filter(|one| slug(&one.heading) == plain).count();
    let anchor = if same == 0 { plain } else { format!("{plain}-{same}") };
    sections.push(Section { def, heading: heading.clone(), anchor, depth });
    for key in def.keys {
        inner(key.kind, &mut |def| collect(def, Some(&heading), depth + 1, sections));
    }
}

/// A heading as it stands in links: small letters, digits, hyphens, and hyphens for blanks.
fn slug(heading: &str) -> String {
    let letter = |letter: char| match letter {
        ' ' => Some('-'),
        '-' | '_' => Some(letter),
        other => other.is_alphanumeric().then(|| other.to_ascii_lowercase()),
    };
    heading.chars().filter_map(letter).collect()
}

/// All tables as a list, each below the one that it lies in.
fn contents(sections: &[Section]) -> String {
    let line = |one: &Section| {
        let indent = "  ".repeat(one.depth.saturating_sub(1));
        format!("{indent}- [`{}`](#{})\n", one.def.title, one.anchor)
    };
    sections.iter().map(line).collect()
}

fn row(out: &mut String, key: &Key, sections: &[Section]) {
    let default = match key.default {
        _ if key.required => "required".to_owned(),
        Some("{}") | None => String::new(),
        Some(toml) => format!("`{}`", cell(toml)),
    };
    let takes = cell(&takes(key.kind, sections));
    let _ = writeln!(out, "| `{}` | {takes} | {default} | {} |", key.name, cell(key.doc));
}

/// A table by its title, as a link to its section.
fn link(def: &'static TableDef, sections: &[Section]) -> String {
    link_as(def.title, def, sections)
}

fn link_as(word: &str, def: &'static TableDef, sections: &[Section]) -> String {
    match sections.iter().find(|one| std::ptr::eq(one.def, def)) {
        Some(one) => format!("[`{word}`](#{})", one.anchor),
        None => format!("`{word}`"),
    }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn takes(kind: Kind, sections: &[Section]) -> String {
    let time = |ms| show_duration(std::time::Duration::from_millis(ms));
    match kind {
        Kind::Bool => "boolean".to_owned(),
        Kind::Integer(min, max) => format!("whole number, {min} to {max}"),
        Kind::Number(min, max) => format!("number, {min} to {max}"),
        Kind::Duration(min, max) => format!("duration, {} to {}", time(min), time(max)),
        Kind::DurationOrZero(min, max) => format!("duration, 0s or {} to {}", time(min), time(max)),
        Kind::Size(min, max) => format!("size, {} to {}", show_size(min), show_size(max)),
        Kind::SizeOrZero(min, max) => format!("size, 0 or {} to {}", show_size(min), show_size(max)),
        Kind::Rate => "rate".to_owned(),
        Kind::Choice(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
        Kind::Text(text) => text.name.to_owned(),
        Kind::File => "file".to_owned(),
        Kind::FileOrWord(words) => {
            format!("file, or {}", words.iter().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(", "))
        }
        Kind::Scalar => "string, number or boolean".to_owned(),
        Kind::Anything => "anything".to_owned(),
        Kind::List(element, _) => format!("list of: {}", takes(*element, sections)),
        Kind::Table(def) | Kind::Shared(def, _) => format!("table, see {}", link(def, sections)),
        Kind::Tables(def) => format!("tables, see {}", link(def, sections)),
        Kind::Map(names, element) => format!("table: {} = {}", names.name, takes(*element, sections)),
        Kind::Tagged(tag, variants) => {
            format!(
                "table, by `{tag}`: {}",
                variants.iter().map(|(w, def)| link_as(w, def, sections)).collect::<Vec<_>>().join(", ")
            )
        }
        Kind::OrFalse(def) => format!("table, see {}; or `false`: none", link(def, sections)),
        Kind::Short(short, def) => format!("{}; or table, see {}", takes(*short, sections), link(def, sections)),
    }
}

/// The tables that a kind holds. Shared tables are documented where they are not shared.
fn inner(kind: Kind, visit: &mut dyn FnMut(&'static TableDef)) {
    match kind {
        Kind::Table(def) | Kind::Tables(def) | Kind::OrFalse(def) => visit(def),
        Kind::Short(short, def) => {
            inner(*short, visit);
            visit(def);
        }
        Kind::List(element, _) | Kind::Map(_, element) => inner(*element, visit),
        Kind::Tagged(_, variants) => {
            for (_, def) in variants {
                visit(def);
            }
        }
        _ => {}
    }
}
