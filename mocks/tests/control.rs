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
    let shown = control.get("/faults", "").json();
    assert_eq!((&shown["rules"], &shown["version"]), (&first["rules"], &json!(1)));
    let second = json!({ "rules": [{ "match": { "path": "/second" }, "act": { "status": 503, "delay": "1ms" } }] });
    assert_eq!(call(&mut control, "PUT", "/faults", &second.to_string()).status, 200);
    assert_eq!((service.get("/first", "").status, service.get("/second", "").status), (200, 503));
    let mut read = control.get("/faults", "").json();
    read["rules"][0]["act"]["status"] = json!(502);
    assert_eq!(call(&mut control, "PUT", "/faults", &read.to_string()).status, 200, "read, changed and put back");
    assert_eq!(service.get("/second", "").status, 502);
    let bad = call(&mut control, "PUT", "/faults", r#"{"rules":[{"act":{"delay":"soon","status":1}}]}"#);
    assert_eq!(bad.status, 400);
    let keys: Vec<Value> = bad.json()["problems"].as_array().unwrap().iter().map(|one| one["key"].clone()).collect();
    assert_eq!(keys, ["rules[0].act.delay", "rules[0].act.status"]);
    assert_eq!(service.get("/second", "").status, 502, "the old rules stay");
    // What an answer says of its endpoint is the port, and a rule asks for the place.
    let port = service.get("/second", "").header("x-mock-endpoint").unwrap().to_owned();
    let copied = format!(r#"{{"rules":[{{"match":{{"endpoint":{port}}},"act":{{"status":503}}}}]}}"#);
    let refused = call(&mut control, "PUT", "/faults", &copied);
    let message = refused.json()["problems"][0]["message"].as_str().unwrap().to_owned();
    assert!(
        refused.status == 400 && message.ends_with(&format!("no port: {port} is endpoint 0 of `orders`")),
        "{message}"
    );
    let strange =
        call(&mut control, "PUT", "/faults", r#"{"rules":[{"match":{"service":"users"},"act":{"status":503}}]}"#);
    assert_eq!((strange.status, &strange.json()["problems"][0]["key"]), (400, &json!("rules[0].match.service")));
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
    assert_eq!(control.get("/journal?after=1", "").status, 400);
    let piece = control.get("/journal?since=2&limit=3", "");
    assert_eq!(piece.header("x-mock-journal-next"), Some("5"));
    assert_eq!(piece.header("x-mock-journal-recorded"), Some("6"));
    assert_eq!(piece.body.iter().filter(|byte| **byte == b'\n').count(), 3);
}

#[test]
fn a_reader_waits_for_the_next_entry() {
    let (_mock, mut service, mut control) = mock();
    service.get("/one", "");
    control.send("GET /journal?since=1&wait=30s HTTP/1.1\r\nHost: m\r\n\r\n");
    service.get("/two", "");
    let piece = String::from_utf8(control.answer().body).unwrap();
    assert!(piece.lines().count() == 1 && piece.contains("\"/two\""), "{piece}");
    let none = control.get("/journal?since=2&wait=1ms", "");
    assert_eq!((none.status, none.body.len(), none.header("x-mock-journal-next")), (200, 0, Some("2")));
}

#[test]
fn the_journal_has_what_an_oracle_needs() {
    let (_mock, mut service, mut control) = mock();
    let before = mocks::clock::now_ns();
    service.get(
        "/first",
        "x-request-id: 4a1b\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n",
    );
    let after = mocks::clock::now_ns();
    let entry: Value = serde_json::from_slice(&control.get("/journal", "").body).unwrap();
    let time = |key: &str| entry[key].as_u64().unwrap();
    assert!(before < time("arrival_ns") && time("answer_ns") <= time("end_ns") && time("end_ns") < after);
    let told = ["request_id", "trace_id", "status", "ended", "rule", "rules_version", "protocol", "connection"];
    let expected = json!(["4a1b", "0af7651916cd43dd8448eb211c80319c", 500, "answered", 0, 1, "HTTP/1.1", 1]);
    assert_eq!(json!(told.map(|key| &entry[key])), expected);
}

#[test]
fn an_origin_is_set_with_the_rules_or_a_reset() {
    let (_mock, mut service, mut control) = mock();
    let window = json!([{ "match": { "from": "30s", "until": "2h" }, "act": { "status": 503 } }]);
    // The clock counts from the machine's start, which may be a few minutes ago.
    let a_minute = 60_000_000_000_u64;
    let origin = mocks::clock::now_ns() - a_minute;
    let set = |control: &mut Client, origin: Value| {
        call(control, "PUT", "/faults", &json!({ "rules": window, "origin": origin }).to_string())
    };
    set(&mut control, origin.into());
    assert_eq!(service.get("/x", "").status, 503, "on a connection that is open");
    assert_eq!(set(&mut control, "keep".into()).json()["origin_ns"], origin);
    assert_eq!(service.get("/x", "").status, 503);
    set(&mut control, "now".into());
    assert_eq!(service.get("/x", "").status, 200);
    // Half an hour before the origin.
    set(&mut control, (mocks::clock::now_ns() + 1_800_000_000_000).into());
    assert_eq!(service.get("/x", "").status, 200);
    let bad = set(&mut control, "later".into());
    assert_eq!((bad.status, bad.json()["problems"][0]["key"].clone()), (400, json!("origin")));
    let reset = call(&mut control, "POST", "/reset", &json!({ "origin": origin }).to_string());
    assert_eq!(reset.json()["origin_ns"], origin);
    assert_eq!(call(&mut control, "POST", "/reset", "{\"origin\":-1}").status, 400);
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
    assert_eq!(control.get("/openapi.json", "").json()["openapi"], "3.1.0");
    assert_eq!(control.get("/journal", "").body, b"");
    assert_eq!(control.get("/counters", "").json()["endpoints"][0]["requests"], 0);
}

#[test]
fn a_gateways_own_health_checks_are_told_apart() {
    let (_mock, mut service, mut control) = mock();
    service.get("/healthz", "User-Agent: portcullis-health\r\n");
    service.get("/healthz", "User-Agent: curl/8\r\n");
    let endpoint = control.get("/counters", "").json()["endpoints"][0].clone();
    assert_eq!((endpoint["requests"].as_u64(), endpoint["health_checks"].as_u64()), (Some(2), Some(1)));
    let journal = String::from_utf8(control.get("/journal", "").body).unwrap();
    let told: Vec<Value> = journal.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&told[0]["health_check"], &told[1]["health_check"]), (&json!(true), &json!(false)));
    call(&mut control, "POST", "/reset", "");
    assert_eq!(control.get("/counters", "").json()["endpoints"][0]["health_checks"], 0);
}

#[test]
fn wrong_paths_and_methods_are_told_apart() {
    let (_mock, _service, mut control) = mock();
    assert_eq!(control.get("/nowhere", "").status, 404);
    let refused = call(&mut control, "DELETE", "/faults", "");
    assert_eq!((refused.status, refused.header("allow")), (405, Some("GET, PUT")));
    assert_eq!(control.send("nonsense\r\n\r\n").answer().status, 400);
}
