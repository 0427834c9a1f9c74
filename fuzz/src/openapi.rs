//! Whatever a service sends as its document is merged or refused: what comes out is JSON that others can read, its
//! references lead somewhere, and nothing that the service says stands where the gateway's word is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::LazyLock;

use gateway::config::settings::Config;
use gateway::config::settings::api_document::Key;
use gateway::config::{Purpose, load_text};
use gateway::openapi::{Given, Listening, Source, Wanted, merged};
use serde_json::Value;

const ROUTES: &str = "[upstreams.a]\nendpoints = ['127.0.0.1:1']\n\
    [[routes]]\nname = 'all'\npath = '/{*rest}'\nupstream = 'a'\nopenapi = '/openapi.json'\n\
    [[routes]]\nname = 'some'\npath = '/api/{id}/{*rest}'\nupstream = 'a'\nopenapi = '/openapi.json'\nmethods = ['GET']\n\
    rewrite = { path = '/v1/{id}/{rest}' }\n";

static CONFIG: LazyLock<Config> =
    LazyLock::new(|| load_text(ROUTES, Path::new("gateway.toml"), Purpose::Check).expect("a configuration").config);

/// A document as it is sent.
pub fn check(data: &[u8]) {
    let is_read = Source::read(data).is_ok();
    let given = Given { text: Some(data.into()), failed: None };
    let given = BTreeMap::from([(Key::Upstream("a".into(), "/openapi.json".to_owned()), given)]);
    let listeners = [Listening { address: ([127, 0, 0, 1], 8080).into(), is_secure: false }];
    let document = merged(&CONFIG, &Wanted { listeners: &listeners, listener: None, host: None, given: &given });
    let document: Value = serde_json::from_str(&document.to_string()).expect("others can read it");
    let told = document["x-documents"].as_array().expect("what became of it");
    assert!(told.iter().all(|one| one["missing"].is_null() == is_read), "{told:?}");
    let mut ids = BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        assert!(path.starts_with('/'), "{path}");
        for operation in item.as_object().expect("an item").values().filter(|it| it["operationId"].is_string()) {
            assert!(ids.insert(operation["operationId"].as_str()), "two of one id: {operation}");
            assert!(operation["x-gateway"]["route"].is_string() && operation.get("x-rate-limits").is_none());
            assert_eq!(operation["security"], serde_json::json!([]), "nobody is asked who they are");
        }
    }
    leads_somewhere(&document, &document);
}

fn leads_somewhere(document: &Value, value: &Value) {
    match value {
        Value::Array(list) => list.iter().for_each(|inner| leads_somewhere(document, inner)),
        Value::Object(map) => {
            if let Some(Value::String(leads_to)) = map.get("$ref") {
                let pointer = leads_to.strip_prefix('#').expect("it leads to this document");
                assert!(document.pointer(pointer).is_some(), "{leads_to}");
            }
            for (name, inner) in map {
                // Data may look like anything.
                let is_data = matches!(&**name, "example" | "examples" | "default" | "const" | "enum" | "value");
                if !is_data && !name.starts_with("x-") {
                    leads_somewhere(document, inner);
                }
            }
        }
        _ => {}
    }
}
