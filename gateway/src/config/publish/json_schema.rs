//! The JSON Schema (2020-12) of a configuration, made from the tables of keys.
//!
//! It knows what a file looks like, so that editors complete and underline; what ties keys together is `gateway
//! check`'s.

use serde_json::{Map, Value, json};

use crate::config::parse::document;
use crate::config::schema::{Key, Kind, ROOT, TableDef};
use crate::config::tree;

/// What a text holds that a variable fills in before it is read.
const VARIABLE: &str = r"\$\{";

/// The schema as text, with a newline at its end.
pub fn json_schema() -> String {
    let mut schema = table(&ROOT, true);
    if let Value::Object(fields) = &mut schema {
        fields.shift_insert(0, "$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
        fields.shift_insert(1, "title".to_owned(), json!("gateway configuration"));
    }
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}

fn table(def: &TableDef, requires: bool) -> Value {
    fields(def, requires, &[])
}

fn fields(def: &TableDef, requires: bool, without: &[&str]) -> Value {
    let keys = || def.keys.iter().filter(|key| !without.contains(&key.name));
    let properties: Map<String, Value> = keys().map(|key| (key.name.to_owned(), property(key))).collect();
    let mut schema = json!({
        "description": def.doc,
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
    });
    let required: Vec<&str> = keys().filter(|key| key.required).map(|key| key.name).collect();
    if requires && !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

fn property(key: &Key) -> Value {
    let mut schema = kind(key.kind);
    schema["description"] = json!(key.doc);
    if let Some(default) = key.default.and_then(document::literal) {
        schema["default"] = value(&default.value);
    }
    schema
}

fn kind(kind: Kind) -> Value {
    match kind {
        Kind::Bool => json!({"type": "boolean"}),
        Kind::Integer(min, max) => json!({"type": "integer", "minimum": min, "maximum": max}),
        Kind::Number(min, max) => json!({"type": "number", "minimum": min, "maximum": max}),
        Kind::Duration(..) | Kind::DurationOrZero(..) => text("^[0-9]+(ms|s|m|h)$", "250ms"),
        Kind::Size(..) | Kind::SizeOrZero(..) => text("^(0+|[0-9]+(B|KiB|MiB|GiB))$", "64KiB"),
        Kind::Rate => text("^[0-9]+/(s|m|h)$", "100/s"),
        Kind::Choice(words) => json!({"anyOf": [{"enum": words}, {"type": "string", "pattern": VARIABLE}]}),
        Kind::Text(text) => json!({"type": "string", "examples": [text.example]}),
        Kind::File | Kind::FileOrWord(_) => json!({"type": "string"}),
        Kind::Scalar => json!({"type": ["string", "number", "boolean"]}),
        Kind::Anything => json!({}),
        Kind::List(element, least) => json!({"type": "array", "items": self::kind(*element), "minItems": least}),
        Kind::Table(def) => table(def, true),
        Kind::Shared(def, without) => fields(def, false, without),
        Kind::Tables(def) => json!({"type": "array", "items": table(def, true)}),
        Kind::Map(_, element) => json!({"type": "object", "additionalProperties": self::kind(*element)}),
        // The tag of each takes its own word alone, or a variable: then the other keys say which it may be.
        Kind::Tagged(_, variants) => {
            json!({"anyOf": variants.iter().map(|(_, def)| table(def, true)).collect::<Vec<_>>()})
        }
        Kind::OrFalse(def) => json!({"anyOf": [table(def, true), {"const": false}]}),
        Kind::Short(short, def) => json!({"anyOf": [self::kind(*short), table(def, true)]}),
    }
}

/// A quantity: its pattern also lets a variable through, which is filled in before the value is read.
fn text(pattern: &str, example: &str) -> Value {
    json!({"type": "string", "pattern": format!("{pattern}|{VARIABLE}"), "examples": [example]})
}

fn value(value: &tree::Value) -> Value {
    match value {
        tree::Value::Text(text) => json!(text.content),
        tree::Value::Integer(integer) => json!(integer),
        tree::Value::Number(number) => json!(number),
        tree::Value::Bool(boolean) => json!(boolean),
        tree::Value::Date | tree::Value::Broken => Value::Null,
        tree::Value::List(list) => list.iter().map(|node| self::value(&node.value)).collect(),
        tree::Value::Table(table) => {
            let field = |entry: &tree::Entry| (entry.key.clone(), self::value(&entry.node.value));
            Value::Object(table.entries.iter().map(field).collect())
        }
    }
}
