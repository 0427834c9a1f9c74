//! A service's own document, as far as it is one that can be merged. Untrusted: bounded, and read without a panic.

use serde_json::{Map, Value};

use super::names::{component_of, reference};

/// The largest document that is read, bytes.
pub const MAX_DOCUMENT_BYTES: usize = 4 << 20;
/// References that are followed from one to the next.
const MAX_HOPS: usize = 16;

/// A document of OpenAPI 3.0 or 3.1.
#[derive(Debug)]
pub struct Source {
    root: Value,
    /// It is of OpenAPI 3.0, whose schemas say some things otherwise.
    pub(super) is_old: bool,
}

impl Source {
    /// Reads a document.
    ///
    /// # Errors
    /// What it is instead, with the remedy.
    pub fn read(text: &[u8]) -> Result<Self, String> {
        if text.len() > MAX_DOCUMENT_BYTES {
            return Err(format!("the document is larger than {} MiB", MAX_DOCUMENT_BYTES >> 20));
        }
        // Nesting is bounded by the reader: 128 levels.
        let root: Value = serde_json::from_slice(text).map_err(|error| not_json(text, &error))?;
        let version = |name: &str| root.get(name).and_then(Value::as_str);
        if let Some(swagger) = version("swagger") {
            let help = "convert it to OpenAPI 3, as with `npx swagger2openapi`";
            return Err(format!("the document is Swagger {}; {help}", short(swagger)));
        }
        let is_old = match version("openapi") {
            Some(version) if version.starts_with("3.0.") => true,
            Some(version) if version.starts_with("3.1.") => false,
            Some(version) => return Err(format!("the document is OpenAPI {}; 3.0 and 3.1 are read", short(version))),
            None => return Err("the JSON is no OpenAPI document: it has no `openapi`".to_owned()),
        };
        if !root.get("paths").is_none_or(Value::is_object) {
            return Err("the document's `paths` is no object".to_owned());
        }
        Ok(Self { root, is_old })
    }

    /// Its paths, in their order.
    pub(super) fn paths(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.root.get("paths").and_then(Value::as_object).into_iter().flatten()
    }

    /// What it says of itself.
    pub(super) fn info(&self, name: &str) -> Option<&str> {
        self.root.get("info")?.get(name)?.as_str()
    }

    /// Its `servers` or `tags`.
    pub(super) fn list(&self, name: &str) -> Option<&Vec<Value>> {
        self.root.get(name)?.as_array()
    }

    /// A component.
    pub(super) fn component(&self, section: &str, name: &str) -> Option<&Value> {
        self.root.get("components")?.get(section)?.get(name)
    }

    /// What a value is, where it may be a reference to a component; `None` where it leads nowhere, or in a circle.
    pub(super) fn resolved<'v>(&'v self, section: &str, mut value: &'v Value) -> Option<&'v Value> {
        for _ in 0..MAX_HOPS {
            let Some(leads_to) = reference(value) else { return Some(value) };
            let (found, name) = component_of(leads_to).filter(|(found, _)| *found == section)?;
            value = self.component(found, &name)?;
        }
        None
    }

    /// The path item that stands in place of a reference to one.
    pub(super) fn path_item<'v>(&'v self, item: &'v Value) -> Option<&'v Map<String, Value>> {
        match reference(item) {
            None => item.as_object(),
            Some(leads_to) => {
                let name = leads_to.strip_prefix("#/components/pathItems/")?.replace("~1", "/").replace("~0", "~");
                self.component("pathItems", &name).filter(|item| reference(item).is_none())?.as_object()
            }
        }
    }

    /// Whether a schema of this name is there.
    pub(super) fn has_schema(&self, name: &str) -> bool {
        self.component("schemas", name).is_some()
    }
}

/// The beginning of a text that somebody else wrote.
pub(super) fn short(text: &str) -> String {
    text.chars().take(100).filter(|c| !c.is_control()).collect()
}

fn not_json(text: &[u8], error: &serde_json::Error) -> String {
    let begins = |word: &[u8]| text.trim_ascii_start().starts_with(word);
    if begins(b"openapi:") || begins(b"swagger:") || begins(b"---") {
        return "the document is YAML; JSON is read: convert it, as with `yq -o json`".to_owned();
    }
    if begins(b"<") {
        return "the document is a page of HTML or XML; JSON is read".to_owned();
    }
    format!("the document is not JSON: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(text: &str) -> String {
        Source::read(text.as_bytes()).map(drop).unwrap_err()
    }

    #[test]
    fn what_is_no_document_is_told_with_what_it_is() {
        assert!(why(r#"{"swagger":"2.0"}"#).starts_with("the document is Swagger 2.0; convert"));
        assert!(why(r#"{"openapi":"4.0.0"}"#).contains("OpenAPI 4.0.0"));
        assert!(why("openapi: 3.1.0\n").contains("YAML"));
        assert!(why("<html>").contains("HTML"));
        assert!(why("{}").contains("no `openapi`"));
        assert!(why(r#"{"openapi":"3.1.0","paths":[]}"#).contains("paths"));
        assert!(why("").contains("not JSON"));
        assert!(why(&"[".repeat(1000)).contains("recursion"));
        assert!(why(&" ".repeat(MAX_DOCUMENT_BYTES + 1)).contains("larger than 4 MiB"));
        assert!(Source::read(br#"{"openapi":"3.0.3"}"#).is_ok_and(|source| source.is_old));
    }

    #[test]
    fn references_are_followed_and_circles_end() {
        let text = r##"{"openapi":"3.1.0","components":{"responses":{
            "a":{"$ref":"#/components/responses/b"},"b":{"description":"x"},
            "c":{"$ref":"#/components/responses/c"},"d":{"$ref":"http://evil.test/x"}}}}"##;
        let source = Source::read(text.as_bytes()).unwrap();
        let of = |name: &str| source.resolved("responses", source.component("responses", name).unwrap());
        assert_eq!(of("a").and_then(|a| a["description"].as_str()), Some("x"));
        assert!(of("c").is_none() && of("d").is_none());
    }
}
