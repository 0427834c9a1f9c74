//! Answers whose body a rule has written: what stands in for a service of which more is known than that it echoes.

mod client;

use std::time::Duration;

use client::Client;
use mocks::{Effect, Mock, Rule};

const KEYS: &str = r#"{"keys":[]}"#;

#[test]
fn a_rule_writes_the_body_and_other_paths_keep_theirs() {
    let mock = Mock::builder().rule(Rule::on("/keys").body(KEYS)).launch().unwrap();
    let mut client = Client::connect(mock.addr());
    let answer = client.get("/keys", "");
    assert_eq!((answer.status, &answer.body[..]), (200, KEYS.as_bytes()));
    let told = ["content-type", "content-length", "x-mock-service"].map(|name| answer.header(name).unwrap_or("none"));
    assert_eq!(told, ["application/json", "11", "mock"]);
    assert_eq!(client.get("/other", "").json()["path"], "/other");
    // Over the mock's own paths too, and with what else the rule says.
    mock.set_rules([Rule::on("/bytes/*").body("few").status(503).delay(Duration::from_millis(1))]);
    let answer = client.get("/bytes/100", "");
    assert_eq!((answer.status, &answer.body[..]), (503, &b"few"[..]));
    assert_eq!(client.get("/bytes/100", "x-mock-fault: body=\r\n").body, b"", "an empty one is a body");
}

#[test]
fn what_cuts_a_body_cuts_a_written_one() {
    let mock = Mock::builder().rule(Rule::any().body(KEYS).effect(Effect::Truncate(None))).launch().unwrap();
    let mut client = Client::connect(mock.addr());
    let (mut rest, _) = client.send("GET /keys HTTP/1.1\r\nHost: m\r\n\r\n").rest();
    let body = rest.split_off(rest.len() - KEYS.len() / 2);
    assert_eq!(body, KEYS.as_bytes()[..KEYS.len() / 2]);
    assert!(String::from_utf8(rest).unwrap().contains("content-length: 11\r\n"));
}

#[test]
fn a_body_is_a_text() {
    let problems = Rule::from_toml("[[rules]]\nact = { body = { keys = [] } }").unwrap_err();
    assert_eq!(problems.0[0].key, "rules[0].act.body");
    assert!(problems.0[0].message.contains("in quotes"), "{problems}");
}
