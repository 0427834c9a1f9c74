//! Values as people read them, without what may be secret in them.

use serde_json::Value;

use crate::config::settings::target::{self, NOT_SHOWN as MASK, may_be_secret};

/// Longer lists are shown by what came and what went.
const LONG: usize = 60;

/// A value on one line.
pub fn in_a_line(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) if text.is_empty() => "\"\"".to_owned(),
        Value::String(text) => text.escape_debug().to_string(),
        Value::Array(list) => format!("[{}]", list.iter().map(in_a_line).collect::<Vec<_>>().join(", ")),
        Value::Object(table) => {
            let entries: Vec<String> = table.iter().map(|(key, it)| format!("{key} = {}", in_a_line(it))).collect();
            if entries.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", entries.join(", ")) }
        }
        other => other.to_string(),
    }
}

/// What was and what is: `15s → 5s`, of long lists what came and went.
pub fn differing(old: Option<&Value>, new: Option<&Value>) -> String {
    let text = |side: Option<&Value>| side.map_or_else(|| "none".to_owned(), in_a_line);
    if let (Some(Value::Array(before)), Some(Value::Array(after))) = (old, new)
        && text(old).len() + text(new).len() > LONG
    {
        let only = |these: &[Value], those: &[Value], sign: &str| {
            these
                .iter()
                .filter(|it| !those.contains(it))
                .map(|it| format!("{sign}{}", in_a_line(it)))
                .collect::<Vec<_>>()
        };
        let moved = [only(after, before, "+ "), only(before, after, "- ")].concat();
        return if moved.is_empty() { "in another order".to_owned() } else { moved.join(", ") };
    }
    format!("{} → {}", text(old), text(new))
}

/// The value without passwords in URLs and without values of headers, parameters and members that carry secrets.
pub fn masked(value: &Value) -> Value {
    mask(("", ""), value)
}

/// `key` is the way to the value, dotted, and `name` the last step of it, which may have dots itself.
fn mask((key, name): (&str, &str), value: &Value) -> Value {
    match value {
        Value::String(text) => mask_text((key, name), text).into(),
        Value::Array(list) => list.iter().map(|item| mask((key, name), item)).collect(),
        Value::Object(table) => table
            .iter()
            .map(|(name, value)| {
                let inner = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                (name.clone(), mask((&inner, name), value))
            })
            .collect(),
        other => other.clone(),
    }
}

/// Keys that are written in place of a file's name have a digest here, by which a short one could be found.
const WRITTEN_HERE: &str = "(written here";

/// A collector's URL without the path that its operator wrote; names of variables stay.
fn collector_text(text: &str) -> String {
    // A whole URL may stand behind it.
    if text.starts_with("${") && text.contains(":-") {
        return MASK.to_owned();
    }
    let origin = target::origin(text);
    let is_name = |part: &str| part.is_empty() || part.starts_with("${") && part.ends_with('}') && !part.contains(":-");
    let path = text.get(origin.len()..).unwrap_or_default();
    if path.split('/').all(is_name) { text.to_owned() } else { format!("{origin}/{MASK}") }
}

fn mask_text((key, name): (&str, &str), text: &str) -> String {
    if text.starts_with(WRITTEN_HERE) {
        return format!("{WRITTEN_HERE})");
    }
    // Whatever a collector knows its users by is called, it is a secret.
    if key.contains("otlp_headers.") {
        return MASK.to_owned();
    }
    // Some take their users' keys in the path; where a variable writes it, its name stands here.
    if key.ends_with("otlp_endpoint") {
        return collector_text(text);
    }
    if key.ends_with("request.body") {
        return target::shown_body(text);
    }
    let has_names =
        ["headers", "query", "body"].iter().any(|it| key.starts_with(it) || key.contains(&format!("{it}.")));
    let sets_header = has_names && !key.ends_with(".remove");
    if sets_header && may_be_secret(name) {
        return MASK.to_owned();
    }
    // What is asked for may carry a key: `/check?token=…`.
    let is_query = text.split_once('?').is_some_and(|(_, query)| query.contains('='));
    let text = if is_query { target::shown(text) } else { text.to_owned() };
    let Some((scheme, rest)) = text.split_once("://") else { return text };
    let authority = &rest[..rest.find('/').unwrap_or(rest.len())];
    match authority.rfind('@') {
        Some(at) => format!("{scheme}://{MASK}{}", &rest[at..]),
        None => text,
    }
}

/// Both masked; where that leaves no difference, it is said that there is one.
pub(super) fn masked_pair(key: &str, old: Option<&Value>, new: Option<&Value>) -> (Option<Value>, Option<Value>) {
    let name = key.rsplit('.').next().unwrap_or_default();
    let before = old.map(|value| mask((key, name), value));
    let mut after = new.map(|value| mask((key, name), value));
    if before == after {
        after = Some("(another secret)".into());
    }
    (before, after)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_masked_and_yet_told_to_differ() {
        let of = |url: &str| Some(json!(url));
        let (one, other) = (json!("redis://u:old@h:1/2"), json!("redis://u:new@h:1/2"));
        let (old, new) = masked_pair("url", Some(&one), Some(&other));
        assert_eq!((old, new), (of("redis://(not shown)@h:1/2"), of("(another secret)")));
        let edits =
            json!({ "request_headers": { "set": { "authorization": "Basic x", "x-api-key": "y", "x-a": "z" } } });
        let shown = masked(&edits).to_string();
        assert!(!shown.contains("Basic") && !shown.contains("\"y\"") && shown.contains("\"z\""), "{shown}");
        assert_eq!(masked(&json!("http://h/a@b")), json!("http://h/a@b"));
        assert_eq!(masked(&json!("https://h/keys?api=1")), json!("https://h/keys?api=(not shown)"));
        let conditions = json!({ "query": { "token": "s3", "page": "2" }, "headers": { "x-internal-auth": "s3" } });
        let shown = masked(&conditions).to_string();
        assert!(!shown.contains("s3") && shown.contains("\"2\""), "{shown}");
        let whole = json!({
            "telemetry": { "tracing": { "otlp_headers": { "x-team": "s3" } } },
            "identity": { "providers": { "p": { "jwks": { "keys": "(written here: 00c0ffee00c0ffee)" } } } },
            "batches": { "b": { "request": { "path": "/b?key=s3", "body": "{\"key\": \"s3\", \"ids\": {ids}}" } } },
            "routes": { "r": { "body": { "/token.a": "s3" }, "request_query": { "set": { "sig.v": "s3", "v": "2" } } } },
        });
        let shown = masked(&whole).to_string();
        assert!(!shown.contains("s3") && !shown.contains("c0ffee"), "{shown}");
        assert!(shown.contains("{ids}") && shown.contains("\"2\""), "{shown}");
        let sent = |to: &str| json!({ "telemetry": { "tracing": { "otlp_endpoint": to } } });
        for (to, expected) in [
            ("http://c.test:4318/hook/s3", "http://c.test:4318/(not shown)"),
            ("http://c.test:4318/", "http://c.test:4318/"),
            ("http://c.test:4318/${KEY}", "http://c.test:4318/${KEY}"),
            ("${URL}", "${URL}"),
            ("https://${HOST}/hook/s3", "https://${HOST}/(not shown)"),
            ("https://c.test/${KEY:-s3}", "https://c.test/(not shown)"),
            ("${URL:-https://c.test/hook/s3}", "(not shown)"),
        ] {
            assert_eq!(masked(&sent(to)), sent(expected));
        }
    }

    #[test]
    fn values_are_one_line_each() {
        assert_eq!(in_a_line(&json!({ "a": [1, "x"], "b": {} })), "{ a = [1, x], b = {} }");
        assert_eq!(differing(Some(&json!("1s")), None), "1s → none");
        let long = |last: &str| json!(["10.0.0.0/8", "192.168.0.0/16", "172.16.0.0/12", last]);
        assert_eq!(differing(Some(&long("a")), Some(&long("b"))), "+ b, - a");
        assert_eq!(in_a_line(&json!("a\nb")), "a\\nb");
    }
}
