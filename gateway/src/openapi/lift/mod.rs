//! What a service says of itself, brought into the one form of OpenAPI 3.1: whatever comes in, what comes out is valid.
//!
//! Each object is made anew of what it may hold; what it may not is left out. References are kept where they lead to a
//! component of the same document, under its new name. Nothing is ever fetched.

mod parts;
mod schema;

use serde_json::{Map, Value, json};

use super::names::{Renamed, Taken, component_of, reference};
use super::source::{Source, short};

/// Things that are told of one document.
const MAX_NOTES: usize = 50;
/// Levels of a value that is no schema, such as an example.
const MAX_VALUE_DEPTH: usize = 16;

/// What was left out of a service's document, in words.
#[derive(Debug, Default)]
pub(super) struct Notes {
    told: Vec<String>,
    more: usize,
}

impl Notes {
    /// Tells it, once.
    pub(super) fn tell(&mut self, note: String) {
        if self.told.contains(&note) {
            return;
        }
        if self.told.len() < MAX_NOTES { self.told.push(note) } else { self.more += 1 }
    }

    /// All of it.
    pub(super) fn list(mut self) -> Vec<String> {
        if self.more > 0 {
            self.told.push(format!("and {} more", self.more));
        }
        self.told
    }
}

/// Lifts parts of one document.
pub(super) struct Lift<'a> {
    pub(super) source: &'a Source,
    pub(super) renamed: &'a mut Renamed,
    pub(super) taken: &'a mut Taken,
    pub(super) notes: &'a mut Notes,
    /// What stands before names that somebody else has.
    pub(super) prefix: &'a str,
}

impl Lift<'_> {
    /// A reference under its new name; `None` where it leads to nothing that is taken along.
    fn referring(&mut self, section: &'static str, leads_to: &str) -> Option<Value> {
        let found = component_of(leads_to)
            .filter(|(found, name)| *found == section && self.source.component(section, name).is_some());
        let Some((section, name)) = found else {
            self.notes.tell(format!("the reference {:?} is left out: it leads to no component here", short(leads_to)));
            return None;
        };
        let name = self.renamed.name(self.taken, (section, &name), self.prefix);
        Some(json!({ "$ref": format!("#/components/{section}/{name}") }))
    }

    /// A component as it is in the document.
    pub(super) fn component(&mut self, section: &'static str, name: &str) -> Value {
        let Some(value) = self.source.component(section, name) else { return json!({}) };
        if section == "schemas" {
            // One that is only another name for itself would hold nothing.
            return self.source.resolved(section, value).map_or_else(|| json!({}), |_| self.schema(value));
        }
        let value = self.source.resolved(section, value).unwrap_or(&Value::Null);
        match section {
            "responses" => self.response(value),
            "parameters" => self.parameter(value).unwrap_or_else(|| json!({})),
            "requestBodies" => self.request_body(value),
            "headers" => self.header(value),
            _ => self.example(value),
        }
    }

    /// An object of a section, or a reference to one.
    fn object_or_reference(
        &mut self,
        section: &'static str,
        value: &Value,
        lift: impl Fn(&mut Self, &Value) -> Value,
    ) -> Option<Value> {
        match reference(value) {
            Some(leads_to) => {
                // What leads in a circle leads nowhere.
                self.source.resolved(section, value)?;
                self.referring(section, leads_to)
            }
            None => value.is_object().then(|| lift(self, value)),
        }
    }
}

/// Reads an object name by name.
struct Taking<'v> {
    from: &'v Value,
    into: Map<String, Value>,
}

impl<'v> Taking<'v> {
    fn new(from: &'v Value) -> Self {
        Self { from, into: Map::new() }
    }

    /// Takes a value as it is, where it is of the kind.
    fn take(&mut self, name: &str, is_kind: impl Fn(&Value) -> bool) -> &mut Self {
        let is_taken = |value: &&Value| is_kind(value) && is_shallow(value, MAX_VALUE_DEPTH);
        if let Some(value) = self.from.get(name).filter(is_taken) {
            self.into.insert(name.to_owned(), value.clone());
        }
        self
    }

    fn texts(&mut self, names: &[&str]) -> &mut Self {
        names.iter().fold(self, |taking, name| taking.take(name, Value::is_string))
    }

    fn flags(&mut self, names: &[&str]) -> &mut Self {
        names.iter().fold(self, |taking, name| taking.take(name, Value::is_boolean))
    }

    /// Takes what others have added (`x-…`), but what only the gateway says.
    fn extensions(&mut self) -> &mut Self {
        for (name, value) in self.from.as_object().into_iter().flatten() {
            if name.starts_with("x-") && !OWN.contains(&name.as_str()) && is_shallow(value, MAX_VALUE_DEPTH) {
                self.into.insert(name.clone(), value.clone());
            }
        }
        self
    }

    fn put(&mut self, name: &str, value: impl Into<Value>) -> &mut Self {
        self.into.insert(name.to_owned(), value.into());
        self
    }

    fn done(&mut self) -> Map<String, Value> {
        std::mem::take(&mut self.into)
    }
}

/// Whether a value has no more levels than this.
fn is_shallow(value: &Value, depth: usize) -> bool {
    match value {
        Value::Array(list) => depth > 0 && list.iter().all(|inner| is_shallow(inner, depth - 1)),
        Value::Object(map) => depth > 0 && map.values().all(|inner| is_shallow(inner, depth - 1)),
        _ => true,
    }
}

/// Extensions that are the gateway's word.
const OWN: [&str; 5] = ["x-gateway", "x-rate-limits", "x-catch-all", "x-alternatives", "x-condition"];

/// A link to more documentation; `None` where it has no address.
fn external_docs(value: &Value) -> Option<Value> {
    value.get("url").filter(|url| is_address(url))?;
    let mut docs = Taking::new(value);
    Some(docs.texts(&["description", "url"]).extensions().done().into())
}

/// Whether it is text that may stand where an address does.
fn is_address(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.parse::<http::Uri>().is_ok())
}

/// Tags, each of them once.
pub(super) fn tag(value: &Value) -> Option<Value> {
    value.get("name").filter(|name| name.is_string())?;
    let mut tag = Taking::new(value);
    tag.texts(&["name", "description"]).extensions();
    if let Some(docs) = value.get("externalDocs").and_then(external_docs) {
        tag.put("externalDocs", docs);
    }
    Some(tag.done().into())
}

/// What an operation says of itself that concerns nobody else: texts and extensions.
pub(super) fn words_of_operation(value: &Value) -> Map<String, Value> {
    let mut operation = Taking::new(value);
    operation.texts(&["summary", "description"]).flags(&["deprecated"]).extensions();
    if let Some(docs) = value.get("externalDocs").and_then(external_docs) {
        operation.put("externalDocs", docs);
    }
    operation.done()
}
