//! The published schema and defaults against the contract.

use std::collections::BTreeSet;
use std::path::Path;

use gateway::config::publish;
use serde_json::Value;

fn reference() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/contract/reference.toml");
    std::fs::read_to_string(path).expect("the contract's copy")
}

fn json(toml: &str) -> Value {
    let table: toml::Table = toml.parse().expect("TOML");
    serde_json::to_value(table).expect("JSON")
}

fn schema() -> jsonschema::Validator {
    let schema: Value = serde_json::from_str(&publish::json_schema()).expect("JSON");
    jsonschema::validator_for(&schema).expect("a schema")
}

#[test]
fn the_contract_fits_the_schema() {
    let schema = schema();
    for text in [reference(), publish::DEFAULTS.to_owned(), publish::starter("http://a").expect("a URL")] {
        let document = json(&text);
        let errors: Vec<String> = schema.iter_errors(&document).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?}");
    }
}

#[test]
fn the_schema_takes_a_choice_from_a_variable() {
    let schema = schema();
    let provider = |kind: &str, more: &str| format!("[identity.providers.p]\nkind = \"{kind}\"\n{more}");
    let (keys, users) = ("file = \"keys.toml\"", "users_file = \"users\"");
    for (text, is_good) in [
        ("[upstreams.a]\nendpoints = [\"a:1\"]\nprotocol = \"${PROTOCOL}\"".to_owned(), true),
        ("[upstreams.a]\nendpoints = [\"a:1\"]\nprotocol = \"http9\"".to_owned(), false),
        (provider("api_key", keys), true),
        (provider("basic", users), true),
        (provider("jwt", keys), false),
        (provider("${KIND}", keys), true),
        (provider("${KIND}", "colour = \"red\""), false),
    ] {
        assert_eq!(schema.is_valid(&json(&text)), is_good, "{text}");
    }
}

#[test]
fn the_schema_refuses_what_the_gateway_refuses() {
    let schema = schema();
    let bad = [
        "servr = {}",
        "[server]\nworkers = -1",
        "[server]\ndrain_timeout = \"30 s\"",
        "[server]\nmax_body = \"10MB\"",
        "[[routes]]\nupstream = \"a\"",
        "[identity.providers.a]\nkind = \"saml\"",
        "[rate_limits.a]\nrate = \"1/d\"\nburst = 1\nkey = \"client_ip\"",
    ];
    for text in bad {
        assert!(!schema.is_valid(&json(text)), "{text}");
    }
}

/// Words that stand before an equals sign, comments included.
fn keys(text: &str) -> BTreeSet<&str> {
    let body = text.split("[server]").nth(1).expect("a body");
    let before = body.split(" =").map(|part| part.rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '_').next());
    before.flatten().filter(|word| !word.is_empty()).collect()
}

fn paths(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let path = format!("{path}.{key}");
                paths(value, &path, found);
                found.insert(path);
            }
        }
        Value::Array(list) => list.iter().for_each(|value| paths(value, path, found)),
        _ => {}
    }
}

/// Keys beyond the contract's, off where they are not written.
const OURS: &[&str] = &[
    "add",
    "addresses",
    "affinity",
    "allow",
    "answer",
    "audience_claim",
    "authorization",
    "backup",
    "body_match_memory",
    "bound_tokens",
    "buffer_request",
    "cache_memory",
    "client_crl",
    "client_headers",
    "clients",
    "codings",
    "compress",
    "compress_memory",
    "cookie",
    "default_ttl",
    "deny",
    "early_hints",
    "effort",
    "expose_headers",
    "forward_auth",
    "forward_credentials",
    "grpc_web",
    "h2_keepalive",
    "half_closed",
    "hsts",
    "https",
    "https_port",
    "ignore_client_directives",
    "in_flight",
    "include_subdomains",
    "intercept",
    "keep",
    "key_env",
    "listeners",
    "max_ttl",
    "min_size",
    "numbers",
    "ocsp",
    "on_error",
    "otlp_ca",
    "otlp_headers",
    "otlp_queue",
    "otlp_timeout",
    "own_headers",
    "path_regex",
    "policies",
    "port",
    "preload",
    "problems",
    "provider_header",
    "rate_limited",
    "realm",
    "redirect",
    "request_query",
    "requests",
    "revocation",
    "same_site",
    "scheme",
    "sentinel_password_env",
    "service_name",
    "shared",
    "slow",
    "stages",
    "stale_if_error",
    "status_ttl",
    "stale_while_revalidate",
    "strip_query",
    "token_from",
    "ttl",
    "types",
    "users_file",
    "vary_limit",
    "via",
];

#[test]
fn the_defaults_have_the_contracts_keys() {
    let contract = reference();
    let ours: BTreeSet<&str> = keys(publish::DEFAULTS).into_iter().filter(|key| !OURS.contains(key)).collect();
    assert_eq!(keys(&contract), ours);
    let [mut theirs, mut ours] = [BTreeSet::new(), BTreeSet::new()];
    paths(&json(&contract), "", &mut theirs);
    paths(&json(publish::DEFAULTS), "", &mut ours);
    assert_eq!(theirs, ours);
    assert_eq!(json(&contract), json(publish::DEFAULTS));
}
