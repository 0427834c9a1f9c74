//! Schemas, of OpenAPI 3.0 too.
//!
//! Of 3.0: `nullable` becomes a type, bounds that are exclusive become bounds of their own, `example` becomes
//! `examples`, and what stands beside a reference, which 3.0 passes over, is left out.

use serde_json::{Map, Value, json};

use super::{Lift, MAX_VALUE_DEPTH, Taking, external_docs, is_address, is_shallow, reference};

/// Levels of schemas within schemas; a level takes up to four of JSON, of which readers bear 128.
const MAX_DEPTH: usize = 24;

const SCHEMAS: [&str; 11] = [
    "additionalProperties",
    "items",
    "contains",
    "propertyNames",
    "not",
    "if",
    "then",
    "else",
    "unevaluatedItems",
    "unevaluatedProperties",
    "contentSchema",
];
const LISTS: [&str; 4] = ["allOf", "anyOf", "oneOf", "prefixItems"];
const MAPS: [&str; 4] = ["properties", "patternProperties", "dependentSchemas", "$defs"];
const COUNTS: [&str; 8] =
    ["maxLength", "minLength", "maxItems", "minItems", "maxProperties", "minProperties", "maxContains", "minContains"];
const TYPES: [&str; 7] = ["null", "boolean", "object", "array", "number", "string", "integer"];

impl Lift<'_> {
    /// A schema; what is none allows everything.
    pub(in crate::openapi) fn schema(&mut self, value: &Value) -> Value {
        self.schema_at(value, 0)
    }

    fn schema_at(&mut self, value: &Value, depth: usize) -> Value {
        if depth > MAX_DEPTH {
            self.notes.tell(format!("a schema is left out that lies more than {MAX_DEPTH} levels deep"));
            return json!({});
        }
        if value.is_boolean() && !self.source.is_old {
            return value.clone();
        }
        let mut schema = Taking::new(value);
        if let Some(leads_to) = reference(value) {
            let Some(referring) = self.referring("schemas", leads_to) else { return json!({}) };
            if self.source.is_old {
                return referring;
            }
            schema.into.extend(referring.as_object().cloned().unwrap_or_default());
        }
        plain(&mut schema);
        self.nested(&mut schema, depth);
        self.discriminator(&mut schema);
        let mut lifted = schema.done();
        if self.source.is_old {
            bounds_of_old(value, &mut lifted);
            return nullable(value, lifted);
        }
        lifted.into()
    }

    /// The schemas within a schema.
    fn nested(&mut self, schema: &mut Taking<'_>, depth: usize) {
        let from = schema.from;
        for name in SCHEMAS {
            match from.get(name) {
                // Before 2020-12 a list of schemas stood there.
                Some(Value::Array(list)) if name == "items" && !list.is_empty() => {
                    let list: Vec<Value> = list.iter().map(|one| self.schema_at(one, depth + 1)).collect();
                    schema.put("prefixItems", list);
                }
                Some(inner @ (Value::Object(_) | Value::Bool(_))) => {
                    let inner =
                        if let Value::Bool(_) = inner { inner.clone() } else { self.schema_at(inner, depth + 1) };
                    schema.put(name, inner);
                }
                _ => {}
            }
        }
        for name in LISTS {
            let list = from.get(name).and_then(Value::as_array).filter(|list| !list.is_empty());
            if let Some(list) = list {
                let list: Vec<Value> = list.iter().map(|one| self.schema_at(one, depth + 1)).collect();
                schema.put(name, list);
            }
        }
        for name in MAPS {
            if let Some(map) = from.get(name).and_then(Value::as_object) {
                let map: Map<String, Value> =
                    map.iter().map(|(key, one)| (key.clone(), self.schema_at(one, depth + 1))).collect();
                schema.put(name, map);
            }
        }
    }

    /// Which of several schemas holds, by a property's value.
    fn discriminator(&mut self, schema: &mut Taking<'_>) {
        let Some(written) = schema.from.get("discriminator") else { return };
        if !written.get("propertyName").is_some_and(Value::is_string) {
            return;
        }
        let mut discriminator = Taking::new(written);
        discriminator.texts(&["propertyName"]).extensions();
        let mapping = written.get("mapping").and_then(Value::as_object);
        let entry = |(key, value): (&String, &Value)| {
            let leads_to = value.as_str()?;
            let is_name = self.source.has_schema(leads_to);
            let named = is_name.then(|| format!("#/components/schemas/{}", escaped(leads_to)));
            let referring = self.referring("schemas", named.as_deref().unwrap_or(leads_to))?;
            Some((key.clone(), referring["$ref"].clone()))
        };
        let mapping: Option<Map<String, Value>> = mapping.map(|mapping| mapping.iter().filter_map(entry).collect());
        if let Some(mapping) = mapping {
            discriminator.put("mapping", mapping);
        }
        schema.put("discriminator", discriminator.done());
    }
}

fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1").replace('%', "%25")
}

/// What holds no schema.
fn plain(schema: &mut Taking<'_>) {
    let from = schema.from;
    if let Some(kind) = from.get("type").and_then(kind) {
        schema.put("type", kind);
    }
    schema.texts(&["title", "description", "pattern", "format", "contentEncoding", "contentMediaType", "$comment"]);
    schema.flags(&["uniqueItems", "readOnly", "writeOnly", "deprecated"]);
    for name in COUNTS {
        schema.take(name, |value| value.as_u64().is_some());
    }
    for name in ["maximum", "minimum", "exclusiveMaximum", "exclusiveMinimum"] {
        schema.take(name, Value::is_number);
    }
    schema.take("multipleOf", |value| value.as_f64().is_some_and(|number| number > 0.0));
    schema.take("enum", |value| value.as_array().is_some_and(|list| !list.is_empty()));
    schema.take("const", |_| true).take("default", |_| true);
    schema.take("required", is_list_of_names);
    schema.take("dependentRequired", |value| value.as_object().is_some_and(|map| map.values().all(is_list_of_names)));
    match (from.get("examples"), from.get("example")) {
        (Some(Value::Array(list)), _) => schema.put("examples", bearable(list.iter())),
        (_, Some(example)) => schema.put("examples", bearable(std::iter::once(example))),
        _ => schema,
    };
    if let Some(docs) = from.get("externalDocs").and_then(external_docs) {
        schema.put("externalDocs", docs);
    }
    if let Some(xml) = from.get("xml").filter(|xml| xml.is_object()) {
        let mut written = Taking::new(xml);
        written.texts(&["name", "prefix"]).flags(&["attribute", "wrapped"]).take("namespace", is_address).extensions();
        schema.put("xml", written.done());
    }
    schema.extensions();
}

/// The values that are not nested too deeply.
fn bearable<'v>(values: impl Iterator<Item = &'v Value>) -> Vec<Value> {
    values.filter(|value| is_shallow(value, MAX_VALUE_DEPTH)).cloned().collect()
}

/// A type, or several of them, each once.
fn kind(value: &Value) -> Option<Value> {
    let is_type = |value: &Value| value.as_str().is_some_and(|name| TYPES.contains(&name));
    match value {
        Value::String(_) => is_type(value).then(|| value.clone()),
        Value::Array(list) => {
            let mut kinds: Vec<&Value> = Vec::new();
            for kind in list.iter().filter(|kind| is_type(kind)) {
                if !kinds.contains(&kind) {
                    kinds.push(kind);
                }
            }
            (!kinds.is_empty()).then(|| json!(kinds))
        }
        _ => None,
    }
}

fn is_list_of_names(value: &Value) -> bool {
    let Some(list) = value.as_array() else { return false };
    let mut names: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
    names.sort_unstable();
    names.len() == list.len() && names.windows(2).all(|pair| pair[0] != pair[1])
}

/// In 3.0 a flag says that a bound is exclusive.
fn bounds_of_old(value: &Value, lifted: &mut Map<String, Value>) {
    for (flag, bound) in [("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")] {
        if value.get(flag).and_then(Value::as_bool) == Some(true)
            && let Some(number) = lifted.remove(bound)
        {
            lifted.insert(flag.to_owned(), number);
        }
    }
}

/// In 3.0 a flag says that null is a value too.
fn nullable(value: &Value, mut lifted: Map<String, Value>) -> Value {
    if value.get("nullable").and_then(Value::as_bool) != Some(true) {
        return lifted.into();
    }
    let is_composed = ["allOf", "anyOf", "oneOf"].iter().any(|name| lifted.contains_key(*name));
    match lifted.get("type").cloned() {
        Some(kind @ Value::String(_)) if kind != "null" && !is_composed => {
            lifted.insert("type".to_owned(), json!([kind, "null"]));
            if let Some(Value::Array(values)) = lifted.get_mut("enum")
                && !values.contains(&Value::Null)
            {
                values.push(Value::Null);
            }
            lifted.into()
        }
        None if !is_composed => lifted.into(),
        _ => json!({ "anyOf": [lifted, { "type": "null" }] }),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Notes, short};
    use super::*;
    use crate::openapi::names::{Renamed, Taken};
    use crate::openapi::source::Source;

    fn lifted(version: &str, schema: &Value) -> (Value, Vec<String>) {
        let document = json!({ "openapi": version, "components": { "schemas": { "A": { "type": "string" } } } });
        let source = Source::read(document.to_string().as_bytes()).unwrap();
        let (mut renamed, mut taken, mut notes) = (Renamed::default(), Taken::default(), Notes::default());
        taken.component("schemas", "A", "");
        let mut lift =
            Lift { source: &source, renamed: &mut renamed, taken: &mut taken, notes: &mut notes, prefix: "svc" };
        let schema = lift.schema(schema);
        (schema, notes.list())
    }

    #[track_caller]
    fn of_old([schema, expected]: &[Value; 2]) {
        assert_eq!(lifted("3.0.3", schema).0, *expected);
    }

    #[test]
    fn what_3_0_says_otherwise_is_said_as_3_1_does() {
        of_old(&[json!({ "type": "string", "nullable": true }), json!({ "type": ["string", "null"] })]);
        of_old(&[
            json!({ "type": "string", "enum": ["a"], "nullable": true }),
            json!({ "type": ["string", "null"], "enum": ["a", null] }),
        ]);
        of_old(&[
            json!({ "nullable": true, "allOf": [{ "$ref": "#/components/schemas/A" }] }),
            json!({ "anyOf": [{ "allOf": [{ "$ref": "#/components/schemas/svc.A" }] }, { "type": "null" }] }),
        ]);
        of_old(&[
            json!({ "type": "integer", "minimum": 0, "exclusiveMinimum": true, "maximum": 9, "exclusiveMaximum": false }),
            json!({ "type": "integer", "maximum": 9, "exclusiveMinimum": 0 }),
        ]);
        of_old(&[json!({ "type": "string", "example": "x" }), json!({ "type": "string", "examples": ["x"] })]);
        of_old(&[
            json!({ "$ref": "#/components/schemas/A", "description": "passed over" }),
            json!({ "$ref": "#/components/schemas/svc.A" }),
        ]);
    }

    #[test]
    fn what_may_not_stand_there_is_left_out() {
        let bad = json!({
            "type": ["string", "string", "thing"], "minLength": -1, "pattern": 7, "required": ["a", "a"], "allOf": [],
            "properties": { "a": 3 }, "multipleOf": 0, "$id": "http://evil.test", "$dynamicRef": "#x", "enum": [],
            "items": [{ "type": "null" }], "discriminator": {}, "x-note": { "$ref": "kept" }, "x-gateway": "not theirs",
        });
        let (schema, _) = lifted("3.1.0", &bad);
        let expected = json!({
            "type": ["string"], "x-note": { "$ref": "kept" }, "prefixItems": [{ "type": "null" }],
            "properties": { "a": {} },
        });
        assert_eq!(schema, expected);
    }

    #[test]
    fn a_remote_reference_is_left_out_and_told() {
        let (schema, notes) = lifted("3.1.0", &json!({ "items": { "$ref": "http://10.0.0.1/latest/meta-data" } }));
        assert_eq!(schema, json!({ "items": {} }));
        assert!(notes.len() == 1 && notes[0].contains("10.0.0.1"), "{notes:?}");
    }

    #[test]
    fn a_mapping_names_schemas_or_refers_to_them() {
        let discriminator = json!({ "discriminator": { "propertyName": "kind", "mapping": {
            "a": "A", "b": "#/components/schemas/A", "c": "https://evil.test/C" } } });
        let (schema, _) = lifted("3.1.0", &discriminator);
        let a = "#/components/schemas/svc.A";
        assert_eq!(schema["discriminator"]["mapping"], json!({ "a": a, "b": a }));
    }

    #[test]
    fn depth_has_an_end() {
        let deep = (0..60).fold(json!({}), |inner, _| json!({ "items": inner }));
        let (schema, notes) = lifted("3.1.0", &deep);
        assert!(schema.to_string().matches("items").count() == MAX_DEPTH + 1 && notes.len() == 1, "{notes:?}");
    }

    #[test]
    fn texts_of_others_are_told_short() {
        assert_eq!(short(&"x\n".repeat(300)).len(), 50);
    }
}
