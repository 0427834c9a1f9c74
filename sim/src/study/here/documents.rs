//! The document that the gateway makes of its routes and of what a service says of itself.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use gateway::config::settings::api_document::Key;
use gateway::config::{Purpose, load_text};
use gateway::openapi::{Given, Listening, Wanted, merged};
use serde_json::{Value, json};

use crate::study::experiment::Terms;

/// What a service says of itself: the mocks' own document.
const SERVICE: &str = include_str!("../../../../mocks/src/server/openapi.json");
/// A route that nobody has described, and one whose service describes itself.
const CONFIG: &str = "[upstreams.orders]\nendpoints = [\"127.0.0.1:9\"]\n\n\
     [[routes]]\nname = \"user\"\npath = \"/users/{id}\"\nmethods = [\"GET\"]\nupstream = \"orders\"\n\n\
     [[routes]]\nname = \"service\"\npath = \"/{*rest}\"\nupstream = \"orders\"\nopenapi = \"/openapi.json\"\n";
const UNDESCRIBED: &str = "/users/{id}";

/// How much of what clients can ask for is in the document, and whether what it refers to is there.
pub(in crate::study) fn measured(_: &Terms) -> Result<Value, String> {
    let service: Value = serde_json::from_str(SERVICE).map_err(|error| error.to_string())?;
    let document = document()?;
    let described = service["paths"].as_object().ok_or("the service describes no path")?;
    let wanted: Vec<&str> = described.keys().map(String::as_str).chain([UNDESCRIBED]).collect();
    let answers = |path: &&&str| {
        let operation = &document["paths"][**path]["get"];
        operation["responses"].as_object().is_some_and(|responses| !responses.is_empty())
    };
    let mut references = Vec::new();
    collect(&document, &mut references);
    let is_there =
        |reference: &&&str| reference.strip_prefix('#').is_some_and(|pointer| document.pointer(pointer).is_some());
    let share = |good: usize, all: usize| good as f64 / all.max(1) as f64;
    Ok(json!({
        "described": share(wanted.iter().filter(answers).count(), wanted.len()),
        "references": references.len(),
        "resolved": share(references.iter().filter(is_there).count(), references.len()),
    }))
}

/// The merged document, as a client would get it.
fn document() -> Result<Value, String> {
    let loaded = load_text(CONFIG, Path::new("documented"), Purpose::Check).map_err(|problems| problems.to_string())?;
    let key = Key::Upstream("orders".into(), "/openapi.json".to_owned());
    let given = BTreeMap::from([(key, Given { text: Some(Arc::from(SERVICE.as_bytes())), failed: None })]);
    let listeners = [Listening { address: SocketAddr::from(([127, 0, 0, 1], 8080)), is_secure: false }];
    Ok(merged(&loaded.config, &Wanted { listeners: &listeners, listener: None, host: None, given: &given }))
}

/// Every reference in a document.
fn collect<'a>(value: &'a Value, references: &mut Vec<&'a str>) {
    match value {
        Value::Object(map) => {
            references.extend(map.get("$ref").and_then(Value::as_str));
            map.values().for_each(|value| collect(value, references));
        }
        Value::Array(list) => list.iter().for_each(|value| collect(value, references)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_clients_can_ask_for_is_in_the_document() {
        let found = measured(&Terms { seed: 1, is_quick: true }).unwrap();
        assert_eq!((&found["described"], &found["resolved"]), (&json!(1.0), &json!(1.0)), "{found}");
        assert!(found["references"].as_u64().is_some_and(|count| count > 0), "{found}");
    }
}
