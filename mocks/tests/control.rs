//! The control port.

mod client;

use std::net::{Ipv4Addr, TcpStream};

use client::{Answer, Client};
use mocks::{Mock, Rule};
use serde_json::{Value, json};

fn mock() -> (Mock, Client, Client) {
    let mock = Mock::builder()
        .service("orders")
        .rule(Rule::on("/first").status(500))
        .control((Ipv4Addr::LOCALHOST, 0).into())
        .journal(4)
        .launch()
        .unwrap();
    let service = Client::connect(mock.addr());
    let control = Client::connect(mock.control_addr().unwrap());
    (mock, service, control)
}

fn call(control: &mut Client, method: &str, path: &str, body: &str) -> Answer {
    let length = body.len();
    control.send(format!("{method} {path} HTTP/1.1\r\nHost: m\r\nContent-Length: {length}\r\n\r\n{body}")).answer()
}

#[test]
fn rules_are_read_and_replaced() {
    let (_mock, mut service, mut control) = mock();
    let first = json!({ "rules": [{ "match": { "path": "/first" }, "act": { "status": 500 } }] });
    assert_eq!(control.get("/faults", "").json(), first);
    let second = json!({ "rules": [{ "match": { "path": "/second" }, "act": { "status": 503, "delay": "1ms" } }] });
    assert_eq!(call(&mut control, "PUT", "/faults", &second.to_string()).status, 200);
    assert_eq!((service.get("/first", "").status, service.get("/second", "").status), (200, 503));
    let bad = call(&mut control, "PUT", "/faults", r#"{"rules":[{"act":{"delay":"soon","status":1}}]}"#);
    assert_eq!(bad.status, 400);
    let keys: Vec<Value> = bad.json()["problems"].as_array().unwrap().iter().map(|one| one["key"].clone()).collect();
    assert_eq!(keys, ["rules[0].act.delay", "rules[0].act.status"]);
    assert_eq!(service.get("/second", "").status, 503, "the old rules stay");
}

#[test]
fn a_refusal_holds_when_the_answer_is_there() {
    let (mock, _service, mut control) = mock();
    assert_eq!(call(&mut control, "PUT", "/faults", r#"{"rules":[{"act":{"refuse":true}}]}"#).status, 200);
    assert!(TcpStream::connect(mock.addr()).is_err());
    assert_eq!(call(&mut control, "PUT", "/faults", r#"{"rules":[]}"#).status, 200);
    assert!(TcpStream::connect(mock.addr()).is_ok());
}

#[test]
fn the_journal_is_bounded_and_read_in_parts() {
    let (_mock, mut service, mut control) = mock();
    for n in 1..=6 {
        service.get(&format!("/n/{n}"), "");
    }
    let answer = control.get("/journal", "");
    let lines: Vec<Value> = answer
        .body
        .split(|b| *b == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    assert_eq!(
        lines.iter().map(|line| line["path"].as_str().unwrap()).collect::<Vec<_>>(),
        ["/n/3", "/n/4", "/n/5", "/n/6"]
    );
    assert_eq!(answer.header("x-mock-journal-dropped"), Some("2"));
    let last = String::from_utf8(control.get("/journal?since=5", "").body).unwrap();
    assert!(last.lines().count() == 1 && last.contains("\"/n/6\""), "{last}");
    assert_eq!(control.get("/journal?since=x", "").status, 400);
}

#[test]
fn counters_and_reset() {
    let (mock, mut service, mut control) = mock();
    service.get("/x", "");
    mock.set_rules([]);
    let counters = control.get("/counters", "").json();
    let endpoint = &counters["endpoints"][0];
    assert_eq!((endpoint["requests"].as_u64(), endpoint["accepts"].as_u64()), (Some(1), Some(1)));
    assert_eq!(endpoint["service"], "orders");
    assert!(endpoint["bytes_in"].as_u64().unwrap() > 0 && endpoint["bytes_out"].as_u64().unwrap() > 0);
    assert_eq!(counters["journal"], json!({ "recorded": 1, "dropped": 0 }));
    let rules = call(&mut control, "POST", "/reset", "").json();
    assert_eq!(rules["rules"][0]["match"]["path"], "/first", "the first rules are back");
    assert_eq!(control.get("/journal", "").body, b"");
    assert_eq!(control.get("/counters", "").json()["endpoints"][0]["requests"], 0);
}

#[test]
fn wrong_paths_and_methods_are_told_apart() {
    let (_mock, _service, mut control) = mock();
    assert_eq!(control.get("/nowhere", "").status, 404);
    let refused = call(&mut control, "DELETE", "/faults", "");
    assert_eq!((refused.status, refused.header("allow")), (405, Some("GET, PUT")));
    assert_eq!(control.send("nonsense\r\n\r\n").answer().status, 400);
}
