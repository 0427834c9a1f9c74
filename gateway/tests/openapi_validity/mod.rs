//! Whether a document is OpenAPI 3.1: by the official schemas, those for the schemas within it too; and by what a
//! schema cannot say: references lead somewhere, ids and paths are there once, parameters of a path are described.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use jsonschema::{Registry, Validator};
use serde_json::{Value, json};

const SCHEMA: &str = include_str!("../data/openapi/schema.json");
const DIALECT: &str = include_str!("../data/openapi/dialect.json");
const META: &str = include_str!("../data/openapi/meta-base.json");

static REGISTRY: LazyLock<Registry<'static>> = LazyLock::new(|| {
    let mut registry = Registry::new();
    for text in [SCHEMA, DIALECT, META] {
        let schema: Value = serde_json::from_str(text).expect("a schema");
        let id = schema["$id"].as_str().expect("an id").to_owned();
        registry = registry.add(id, schema).expect("a resource");
    }
    registry.prepare().expect("all that is referred to is there")
});

static VALIDATOR: LazyLock<Validator> = LazyLock::new(|| {
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://portcullis.test/openapi-with-dialect",
        "$ref": "https://spec.openapis.org/oas/3.1/schema/2022-10-07",
        "$defs": { "schema": { "$dynamicAnchor": "meta", "$ref": "https://spec.openapis.org/oas/3.1/dialect/base" } },
    });
    jsonschema::options().with_registry(&REGISTRY).build(&schema).expect("a schema")
});

/// Everything that is wrong with a document.
pub(crate) fn problems(document: &Value) -> Vec<String> {
    let by_schema = VALIDATOR.iter_errors(document).take(5).map(|error| format!("{}: {error}", error.instance_path()));
    let mut problems: Vec<String> = by_schema.map(|text| text.chars().take(600).collect()).collect();
    references(document, document, &mut problems);
    let (mut ids, mut shapes) = (BTreeSet::new(), BTreeSet::new());
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        let shape: String = path.split('{').map(|part| part.split_once('}').map_or(part, |(_, after)| after)).collect();
        if !shapes.insert((shape, path.matches('{').count())) {
            problems.push(format!("{path} is there under other names"));
        }
        for (method, operation) in item.as_object().into_iter().flatten().filter(|(name, _)| !name.starts_with("x-")) {
            let at = format!("{method} {path}");
            if !ids.insert(operation["operationId"].as_str().unwrap_or_default().to_owned()) {
                problems.push(format!("{at}: its id is there twice"));
            }
            let described = parameters_in_path(document, operation);
            let named: BTreeSet<String> =
                path.split('{').skip(1).filter_map(|part| part.split('}').next()).map(str::to_owned).collect();
            if described != named {
                problems.push(format!("{at}: {described:?} are described"));
            }
            for name in operation["security"].as_array().into_iter().flatten().filter_map(Value::as_object) {
                let schemes = &document["components"]["securitySchemes"];
                problems.extend(
                    name.keys().filter(|name| schemes[*name].is_null()).map(|name| format!("{at}: no scheme {name}")),
                );
            }
        }
    }
    problems
}

fn parameters_in_path(document: &Value, operation: &Value) -> BTreeSet<String> {
    let all = operation["parameters"].as_array().into_iter().flatten();
    let resolved = all.filter_map(|parameter| match parameter["$ref"].as_str() {
        Some(leads_to) => document.pointer(&leads_to[1..]),
        None => Some(parameter),
    });
    resolved.filter(|one| one["in"] == "path").filter_map(|one| one["name"].as_str().map(str::to_owned)).collect()
}

/// References within the parts of the document that are no examples, defaults or extensions.
fn references(document: &Value, value: &Value, problems: &mut Vec<String>) {
    match value {
        Value::Array(list) => list.iter().for_each(|inner| references(document, inner, problems)),
        Value::Object(map) => {
            if let Some(leads_to) = map.get("$ref").and_then(Value::as_str)
                && leads_to.strip_prefix('#').and_then(|pointer| document.pointer(pointer)).is_none()
            {
                problems.push(format!("{leads_to} leads nowhere"));
            }
            for (name, inner) in map {
                let is_data = matches!(name.as_str(), "example" | "examples" | "default" | "const" | "enum" | "value");
                if !is_data && !name.starts_with("x-") {
                    references(document, inner, problems);
                }
            }
        }
        _ => {}
    }
}

/// # Panics
/// The document is not valid.
#[track_caller]
pub(crate) fn assert_valid(document: &Value, what: &str) {
    let problems = problems(document);
    assert!(problems.is_empty(), "{what}: {problems:#?}");
}
