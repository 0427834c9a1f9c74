//! The documentation of all keys, made from the tables of keys.

use std::fmt::Write as _;

use crate::config::schema::{Key, Kind, ROOT, TableDef};
use crate::config::value::quantity::{show_duration, show_size};

const HEAD: &str = include_str!("configuration_head.md");

/// The documentation as Markdown, with a newline at its end.
pub fn markdown() -> String {
    let mut out = String::from(HEAD);
    let mut written: Vec<*const TableDef> = Vec::new();
    section(&mut out, &ROOT, &mut written);
    out
}

/// A table's keys, then the tables in it, each once.
fn section(out: &mut String, def: &'static TableDef, written: &mut Vec<*const TableDef>) {
    if written.contains(&std::ptr::from_ref(def)) {
        return;
    }
    written.push(std::ptr::from_ref(def));
    let _ = write!(out, "\n## `{}`\n\n{}\n\n", def.title, def.doc);
    out.push_str("| key | takes | default | meaning |\n|---|---|---|---|\n");
    for key in def.keys {
        row(out, key);
    }
    for key in def.keys {
        inner(key.kind, &mut |def| section(out, def, written));
    }
}

fn row(out: &mut String, key: &Key) {
    let default = match key.default {
        _ if key.required => "required".to_owned(),
        Some("{}") | None => String::new(),
        Some(toml) => format!("`{}`", cell(toml)),
    };
    let _ = writeln!(out, "| `{}` | {} | {default} | {} |", key.name, cell(&takes(key.kind)), cell(key.doc));
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn takes(kind: Kind) -> String {
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
        Kind::List(element, _) => format!("list of: {}", takes(*element)),
        Kind::Table(def) | Kind::Shared(def, _) => format!("table, see `{}`", def.title),
        Kind::Tables(def) => format!("tables, see `{}`", def.title),
        Kind::Map(names, element) => format!("table: {} = {}", names.name, takes(*element)),
        Kind::Tagged(tag, variants) => {
            format!(
                "table, by `{tag}`: {}",
                variants.iter().map(|(w, _)| format!("`{w}`")).collect::<Vec<_>>().join(", ")
            )
        }
        Kind::OrFalse(def) => format!("table, see `{}`; or `false`: none", def.title),
        Kind::Short(short, def) => format!("{}; or table, see `{}`", takes(*short), def.title),
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
