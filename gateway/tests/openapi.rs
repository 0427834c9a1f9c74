//! The merged OpenAPI document is valid whatever services say of themselves, and the command line prints it.

mod openapi_validity;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use gateway::config::settings::Config;
use gateway::config::settings::api_document::Key;
use gateway::config::{Purpose, load_text};
use gateway::openapi::{Given, Listening, Wanted, merged};
use openapi_validity::{assert_valid, problems};
use proptest::prelude::*;
use serde_json::{Value, json};

const ROUTES: &str = "[upstreams.a]\nendpoints = ['127.0.0.1:1']\n[upstreams.b]\nendpoints = ['127.0.0.1:2']\n\
    [[routes]]\nname = 'all'\npath = '/{*rest}'\nupstream = 'a'\nopenapi = '/openapi.json'\n\
    [[routes]]\nname = 'stripped'\npath = '/b/{*rest}'\nupstream = 'b'\nopenapi = '/openapi.json'\nrewrite = { strip_prefix = '/b' }\n\
    [[routes]]\nname = 'rewritten'\npath = '/c/{id}/{*rest}'\nupstream = 'a'\nopenapi = '/openapi.json'\nhosts = ['c.test', '*.d.test']\n\
    methods = ['GET', 'PUT']\nheaders = { x-version = '2' }\nrewrite = { path = '/v1/{id}/{rest}' }\n\
    [[routes]]\nname = 'own'\npath = '/items/{name}'\nupstream = 'b'\n";

fn config(text: &str) -> Config {
    load_text(text, Path::new("gateway.toml"), Purpose::Check).unwrap_or_else(|problems| panic!("{problems}")).config
}

fn merge(documents: [&Value; 2]) -> Value {
    let given = ["a", "b"].into_iter().zip(documents).map(|(upstream, document)| {
        let text = Some(document.to_string().into_bytes().into());
        (Key::Upstream(upstream.into(), "/openapi.json".to_owned()), Given { text, failed: None })
    });
    let given: BTreeMap<Key, Given> = given.collect();
    let listeners = [
        Listening { address: "0.0.0.0:8080".parse().expect("an address"), is_secure: false },
        Listening { address: "[::1]:443".parse().expect("an address"), is_secure: true },
    ];
    let document =
        merged(&config(ROUTES), &Wanted { listeners: &listeners, listener: None, host: None, given: &given });
    // As others read it.
    serde_json::from_str(&document.to_string()).expect("JSON that is not nested too deeply")
}

#[test]
fn what_is_no_valid_document_is_found() {
    let good = merge([&json!({ "openapi": "3.1.0" }), &json!({ "openapi": "3.1.0" })]);
    assert_valid(&good, "the routes alone");
    for (pointer, bad) in [
        ("/paths/~1{rest}/get/responses", json!({})),
        ("/paths/~1{rest}/get/parameters", json!([])),
        ("/components/schemas/Problem/properties/status/minimum", json!("400")),
        ("/paths/~1{rest}/get/responses/400", json!({ "$ref": "#/components/responses/None" })),
        ("/info", json!({})),
    ] {
        let mut document = good.clone();
        *document.pointer_mut(pointer).expect(pointer) = bad;
        assert!(!problems(&document).is_empty(), "{pointer}");
    }
}

/// The mocks' own document is one that people write.
#[test]
fn a_real_service_is_merged_under_every_route() {
    let mock: Value = serde_json::from_str(include_str!("../../mocks/src/server/openapi.json")).expect("JSON");
    let document = merge([&mock, &mock]);
    assert_valid(&document, "the mocks");
    let paths = document["paths"].as_object().expect("paths");
    assert!(paths.contains_key("/bytes/{n}") && paths.contains_key("/b/bytes/{n}"), "{:?}", paths.keys());
    assert_eq!(document["x-left-out"], Value::Null);
}

fn object_of(entries: Vec<(&'static str, Value)>) -> Value {
    Value::Object(entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// JSON that is much like a part of a document.
fn part() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(WORDS);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3_i64..400).prop_map(Value::from),
        word.clone().prop_map(Value::from),
        prop::sample::select(REFERENCES).prop_map(|leads_to| json!({ "$ref": leads_to })),
    ];
    leaf.prop_recursive(6, 120, 8, move |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            3 => prop::collection::vec((word.clone(), inner), 0..6)
                .prop_map(object_of),
        ]
    })
}

/// An object of a kind, some of whose names hold something else than they should.
fn object(names: &'static [&'static str]) -> impl Strategy<Value = Value> {
    prop::collection::vec((prop::sample::select(names), part()), 0..6).prop_map(object_of)
}

fn named(names: &'static [&'static str], value: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    prop::collection::vec((prop::sample::select(names), value), 0..5).prop_map(object_of)
}

fn parameter() -> impl Strategy<Value = Value> {
    let place = prop::sample::select(vec!["path", "query", "header", "cookie", "body"]);
    (place, prop::sample::select(NAMES), object(OF_PARAMETERS)).prop_map(|(place, name, mut parameter)| {
        parameter["in"] = place.into();
        parameter["name"] = name.into();
        parameter
    })
}

fn operation() -> impl Strategy<Value = Value> {
    let references = prop::sample::select(REFERENCES).prop_map(|leads_to| json!({ "$ref": leads_to }));
    let parameters = prop::collection::vec(prop_oneof![parameter(), references], 0..4);
    let responses = named(&["200", "404", "4XX", "default", "7", "abc"], object(OF_RESPONSES));
    (object(OF_OPERATIONS), parameters, responses).prop_map(|(mut operation, parameters, responses)| {
        operation["parameters"] = parameters.into();
        operation["responses"] = responses;
        operation
    })
}

fn service() -> impl Strategy<Value = Value> {
    let item = named(&["get", "put", "post", "delete", "query", "parameters", "servers", "GET"], operation());
    let paths = named(PATHS, item);
    let components = (
        named(COMPONENTS, object(OF_SCHEMAS)),
        named(COMPONENTS, parameter()),
        named(COMPONENTS, object(OF_RESPONSES)),
        named(COMPONENTS, part()),
    );
    (prop::sample::select(vec!["3.0.3", "3.1.0"]), paths, components, part()).prop_map(
        |(version, paths, (schemas, parameters, responses, other), tags)| {
            json!({
                "openapi": version, "paths": paths, "tags": tags, "servers": [{ "url": "/" }],
                "components": { "schemas": schemas, "parameters": parameters, "responses": responses,
                    "headers": other, "examples": other, "requestBodies": responses, "pathItems": paths },
            })
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn whatever_services_say_the_merged_document_is_valid(a in service(), b in service()) {
        let document = merge([&a, &b]);
        let problems = problems(&document);
        prop_assert!(problems.is_empty(), "{:#?}\n{:#}\n{:#}", problems, a, b);
    }
}

const NAMES: &[&str] = &["id", "name", "rest", "n", "X-Thing", "accept", ""];
const PATHS: &[&str] =
    &["/", "/items/{id}", "/items/{name}", "/v1/{id}/x", "/v1/{n}/{n}", "/a.{id}/", "/{id}", "x", "/items:batch", "/é"];
const COMPONENTS: &[&str] = &["A", "B", "Problem", "x y", "TooManyRequests", "a/b", "~"];
const REFERENCES: &[&str] = &[
    "#/components/schemas/A",
    "#/components/schemas/B",
    "#/components/schemas/Problem",
    "#/components/schemas/x%20y",
    "#/components/schemas/a~1b",
    "#/components/parameters/A",
    "#/components/responses/A",
    "#/components/responses/TooManyRequests",
    "#/components/headers/A",
    "#/components/pathItems/~1",
    "http://127.0.0.1:1/x",
    "#/paths/~1/get",
];
const OF_OPERATIONS: &[&str] = &[
    "operationId",
    "tags",
    "summary",
    "description",
    "requestBody",
    "callbacks",
    "security",
    "servers",
    "deprecated",
    "externalDocs",
    "x-gateway",
    "x-rate-limits",
    "x-thing",
];
const OF_PARAMETERS: &[&str] = &[
    "description",
    "required",
    "schema",
    "content",
    "style",
    "explode",
    "example",
    "examples",
    "allowReserved",
    "allowEmptyValue",
    "deprecated",
    "x-catch-all",
];
const OF_RESPONSES: &[&str] = &["description", "headers", "content", "links", "required", "x-thing", "$ref"];
const OF_SCHEMAS: &[&str] = &[
    "type",
    "properties",
    "items",
    "required",
    "allOf",
    "oneOf",
    "nullable",
    "enum",
    "minimum",
    "exclusiveMinimum",
    "discriminator",
    "example",
    "examples",
    "additionalProperties",
    "$ref",
    "xml",
    "externalDocs",
    "format",
    "$id",
];
const WORDS: &[&str] = &[
    "type",
    "object",
    "string",
    "properties",
    "items",
    "required",
    "schema",
    "content",
    "application/json",
    "description",
    "name",
    "in",
    "query",
    "path",
    "id",
    "mapping",
    "propertyName",
    "nullable",
    "minimum",
    "exclusiveMinimum",
    "style",
    "form",
    "simple",
    "example",
    "examples",
    "value",
    "url",
    "https://a.test/",
    "headers",
    "encoding",
    "contentType",
    "allOf",
    "prefixItems",
    "null",
    "integer",
    "x-thing",
    "$ref",
    "A",
    "pattern",
    "[",
];

fn run(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gateway"))
        .arg("openapi")
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("it runs")
}

#[test]
fn the_command_prints_a_valid_document_and_names_what_is_missing() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    let users = json!({ "openapi": "3.1.0", "info": { "title": "Users", "version": "1" },
        "paths": { "/users/{id}": { "get": { "operationId": "user", "responses": { "200": { "description": "A user" } } } } } });
    write("users.json", &users.to_string());
    // A port on which nobody listens: it was given to this test, and is closed again.
    let port =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
    let routes = format!(
        "[[routes]]\nname = 'users'\npath = '/users/{{*rest}}'\nupstream = 'http://127.0.0.1:{port}'\nopenapi = 'users.json'\n\
         [[routes]]\nname = 'orders'\npath = '/orders/{{*rest}}'\nupstream = 'http://127.0.0.1:{port}'\nopenapi = '/openapi.json'\n"
    );
    write("gateway.toml", &routes);
    let offline = run(folder.path(), &["--offline"]);
    let said = String::from_utf8_lossy(&offline.stderr).into_owned();
    assert_eq!(offline.status.code(), Some(0), "{said}");
    assert_eq!(said, "the document /openapi.json of route orders: left out, as nobody was to be asked\n");
    let document: Value = serde_json::from_slice(&offline.stdout).expect("JSON");
    assert_valid(&document, "offline");
    assert_eq!(document["paths"]["/users/{id}"]["get"]["operationId"], "user");
    assert!(document["paths"]["/orders/{rest}"]["get"].is_object());
    let asked = run(folder.path(), &["--out", "openapi.json"]);
    let said = String::from_utf8_lossy(&asked.stderr).into_owned();
    assert_eq!((asked.status.code(), asked.stdout.len()), (Some(1), 0), "{said}");
    assert!(said.contains("of route orders: ") && said.contains("openapi.json: written (2 paths)"), "{said}");
    let written = std::fs::read_to_string(folder.path().join("openapi.json")).expect("written");
    assert_valid(&serde_json::from_str(&written).expect("JSON"), "written");
    write("users.json", "{\"swagger\": \"2.0\"}");
    let bad = run(folder.path(), &[]);
    let said = String::from_utf8_lossy(&bad.stderr).into_owned();
    assert!(bad.status.code() == Some(1) && said.contains("gateway.toml:5:") && said.contains("Swagger 2.0"), "{said}");
    assert_eq!(run(folder.path(), &["--config", "none.toml"]).status.code(), Some(3));
}
