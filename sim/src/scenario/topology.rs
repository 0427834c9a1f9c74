//! The mocks' topology file for a scenario's services.

use std::path::Path;

use serde_json::{Value, json};

use super::model::{KEY_SERVER, MockPart};

/// The file that `mocks --config` reads.
#[must_use]
pub fn topology(mocks: &[MockPart]) -> String {
    let mut text = String::from("# Written by `sim run`.\n");
    for mock in mocks {
        text += &format!("\n[services.{}]\nendpoints = {}\n", mock.name, mock.endpoints);
        if let Some(time) = &mock.service_time {
            text += &format!("service_time = {}\n", toml::Value::String(time.clone()));
        }
        if mock.servers > 0 {
            text += &format!("servers = {}\n", mock.servers);
        }
        if let Some((cert, key)) = &mock.tls {
            let file = |path: &Path| toml::Value::String(path.display().to_string());
            text += &format!("tls = {{ cert = {}, key = {} }}\n", file(cert), file(key));
        }
        if !mock.calls.is_empty() {
            let to = mock.calls.iter().cloned().map(toml::Value::String).collect();
            text += &format!("\n[[services.{}.calls]]\nto = {}\n", mock.name, toml::Value::Array(to));
            let headers: toml::Table =
                mock.call_headers.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
            text += &format!("headers = {}\n", toml::Value::Table(headers));
        }
    }
    text
}

/// What the key server answers with this key set.
#[must_use]
pub fn publishing(set: &str) -> Value {
    json!({ "match": { "service": KEY_SERVER }, "act": { "body": set } })
}

/// The file's rule for a key server that has this key set from the start.
#[must_use]
pub fn first_keys(set: &str) -> String {
    let set = toml::Value::String(set.to_owned());
    format!("\n[[rules]]\nmatch = {{ service = \"{KEY_SERVER}\" }}\nact = {{ body = {set} }}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mocks_read_it() {
        let mock = |name: &str, endpoints| MockPart {
            name: name.to_owned(),
            endpoints,
            service_time: None,
            servers: 0,
            calls: Vec::new(),
            call_headers: Vec::new(),
            tls: None,
        };
        let call_headers = vec![("authorization".to_owned(), "Bearer {x-auth-passport}".to_owned())];
        let calling = MockPart { calls: vec!["/users/7".to_owned()], call_headers, ..mock("orders", 3) };
        let set = r#"{"keys":[{"kid":"a \"b\""}]}"#;
        let text = topology(&[mock("users", 1), calling, mock(KEY_SERVER, 1)]) + &first_keys(set);
        let mocks = mocks::Builder::from_toml(&text).unwrap().launch().unwrap();
        assert_eq!((mocks.addrs().len(), mocks.addrs_of("orders").len()), (5, 3));
        let rules = json!({ "rules": [publishing(set)] }).to_string();
        assert_eq!(mocks.rules(), mocks::Rule::from_json(rules.as_bytes()).unwrap());
        assert_eq!(mocks.addrs_of("users"), mocks.addrs()[..1], "services keep the file's order");
    }
}
