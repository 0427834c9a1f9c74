//! Services that call others before they answer.

mod client;

use std::net::Ipv4Addr;
use std::time::Duration;

use client::Client;
use mocks::raw::{Raw, Script};
use mocks::{Calls, Effect, Ended, Mock, Mode, Rule, Target};
use serde_json::{Value, json};

/// A mock that stands where the gateway would: what is called through it arrives here.
fn behind() -> Mock {
    Mock::builder().service("behind").launch().unwrap()
}

fn orders(calls: Calls, gateway: &Mock) -> Mock {
    Mock::builder().service("orders").calls(calls).gateway(gateway.addr()).launch().unwrap()
}

/// Targets and what came of them, without times.
fn told(answer: &Value) -> Vec<Value> {
    let calls = answer["calls"].as_array().expect("calls are told");
    calls.iter().map(|call| json!([call["to"], call.get("status").or(call.get("error"))])).collect()
}

#[test]
fn calls_are_made_in_order_and_carry_the_context_on() {
    let behind = behind();
    let orders = orders(Calls::on("/checkout/*", &["/users/7", "/stock?all"]), &behind);
    let mut client = Client::connect(orders.addr());
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let context =
        format!("x-request-id: 4a1b\r\ntraceparent: {trace}\r\ntracestate: a=1\r\nx-request-timeout-ms: 60000\r\n");
    let answer = client.get("/checkout/1", &context);
    assert_eq!(answer.status, 200);
    assert_eq!(told(&answer.json()), [json!(["/users/7", 200]), json!(["/stock?all", 200])]);
    let journal = behind.journal();
    assert_eq!(journal.iter().map(|entry| entry.path.as_str()).collect::<Vec<_>>(), ["/users/7", "/stock"]);
    assert!(journal.iter().all(|entry| entry.request_id.as_deref() == Some("4a1b")));
    assert!(journal.iter().all(|entry| entry.trace_id.as_deref() == Some("0af7651916cd43dd8448eb211c80319c")));
    assert_eq!(journal[0].connection, journal[1].connection, "connections are kept");
    assert!(client.get("/other", "").json().get("calls").is_none());
    assert_eq!(behind.counters().requests, 2);
}

#[tokio::test]
async fn what_a_call_looks_like() {
    let raw = Raw::script(Script::always("HTTP/1.1 204 No Content\r\n\r\n")).await.unwrap();
    let mut calls = Calls::on("*", &[]);
    calls.to = vec![Target::Direct(raw.addr().to_string(), "/stock".into())];
    let line = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    calls.headers = vec![
        line("x-api-key", "k"),
        line("authorization", "Bearer {x-passport}, {X-Passport}"),
        line("x-other", "{x-not-there}"),
    ];
    let orders = Mock::builder().calls(calls).launch().unwrap();
    let context = "X-Request-Id: 7\r\nTracestate: a=1\r\ntracestate: b=2\r\nx-request-timeout-ms: 60000\r\n\
                   x-passport: p.q\r\n";
    assert_eq!(Client::connect(orders.addr()).get("/x", context).status, 200);
    let seen = String::from_utf8(raw.received()[0].clone()).unwrap();
    let authority = raw.addr();
    let start = format!(
        "GET /stock HTTP/1.1\r\nhost: {authority}\r\nx-mock-depth: 1\r\nx-request-id: 7\r\n\
         tracestate: a=1\r\ntracestate: b=2\r\nx-request-timeout-ms: "
    );
    let rest = seen.strip_prefix(&start).unwrap_or_else(|| panic!("{seen}"));
    let (left, rest) = rest.split_once("\r\n").unwrap();
    assert!((1..60_000).contains(&left.parse::<u32>().unwrap()), "less the time that has passed: {left}");
    assert_eq!(rest, "x-api-key: k\r\nauthorization: Bearer p.q, p.q\r\n\r\n");
}

#[test]
fn a_failed_call_ends_a_sequence_and_has_its_status() {
    let behind = behind();
    behind.set_rules([Rule::on("/b").status(503)]);
    let mut calls = Calls::on("*", &["/a", "/b", "/c"]);
    calls.on_failure = Some(504);
    let orders = orders(calls, &behind);
    let answer = Client::connect(orders.addr()).get("/x", "");
    assert_eq!(answer.status, 504);
    assert_eq!(told(&answer.json()), [json!(["/a", 200]), json!(["/b", 503])]);
    assert_eq!(behind.counters().requests, 2);
}

#[test]
fn parallel_calls_are_all_made_and_failures_may_be_ignored() {
    let behind = behind();
    behind.set_rules([Rule::on("/b").effect(Effect::Hang)]);
    let mut calls = Calls::on("*", &["/a", "/b", "/c"]);
    (calls.mode, calls.on_failure, calls.timeout) = (Mode::Parallel, None, Duration::from_secs(1));
    let orders = orders(calls, &behind);
    let answer = Client::connect(orders.addr()).get("/x", "");
    assert_eq!(answer.status, 200);
    let expected = [json!(["/a", 200]), json!(["/b", "no answer in time"]), json!(["/c", 200])];
    assert_eq!(told(&answer.json()), expected);
}

#[test]
fn a_request_whose_time_is_up_calls_nobody() {
    let behind = behind();
    let orders = orders(Calls::on("*", &["/a"]), &behind);
    let answer = Client::connect(orders.addr()).get("/x", "x-request-timeout-ms: 0\r\n");
    assert_eq!((answer.status, told(&answer.json())), (502, vec![json!(["/a", "the request's time is up"])]));
    assert_eq!(behind.counters().requests, 0);
}

#[test]
fn a_service_that_calls_itself_comes_to_an_end() {
    let orders = Mock::builder().calls(Calls::on("*", &["/again"])).launch().unwrap();
    let mut client = Client::connect(orders.addr());
    let unset = client.get("/x", "");
    assert_eq!((unset.status, told(&unset.json())), (502, vec![json!(["/again", "no gateway is set"])]));
    orders.set_gateway(orders.addr());
    assert_eq!(client.get("/x", "").status, 502);
    assert_eq!(orders.counters().requests, 1 + 17);
}

#[tokio::test]
async fn a_stale_connection_is_no_failure_and_a_broken_answer_is_one() {
    let raw = Raw::scripts([
        Script::new().read_request().send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"),
        Script::new().read_request().send("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n").reset(),
        Script::new().read_request().send("HTTP/1.1 200 OK\r\n\r\nuntil the end"),
        Script::new().read_request().send("HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\nshort"),
    ])
    .await
    .unwrap();
    let mut calls = Calls::on("*", &[]);
    calls.to = vec![Target::Direct(raw.addr().to_string(), "/".into())];
    let orders = Mock::builder().calls(calls).launch().unwrap();
    let mut client = Client::connect(orders.addr());
    let statuses = [(); 4].map(|()| client.get("/x", "").status);
    assert_eq!(statuses, [200, 200, 200, 502]);
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_wait_for_calls() {
    let behind = behind();
    behind.set_rules([Rule::any().effect(Effect::Hang)]);
    let mut calls = Calls::on("*", &["/a"]);
    calls.timeout = Duration::from_secs(3600);
    let orders = orders(calls, &behind);
    let mut client = Client::connect(orders.addr());
    client.send("GET /x HTTP/1.1\r\nHost: m\r\n\r\n");
    behind.wait_for_requests(1).await;
    drop(client);
    orders.wait_for_entries(1).await;
    assert_eq!(orders.journal()[0].ended, Ended::Left);
    behind.wait_for_entries(1).await;
    assert_eq!(behind.journal()[0].ended, Ended::Left, "and the call is given up too");
}

#[test]
fn the_control_port_says_where_the_gateway_is() {
    let behind = behind();
    let control = (Ipv4Addr::LOCALHOST, 0).into();
    let orders = Mock::builder().calls(Calls::on("*", &["/a"])).control(control).launch().unwrap();
    let mut control = Client::connect(orders.control_addr().unwrap());
    assert_eq!(control.get("/gateway", "").json(), json!({ "address": null }));
    let put = |control: &mut Client, body: &str| {
        let length = body.len();
        control
            .send(format!("PUT /gateway HTTP/1.1\r\nHost: m\r\nContent-Length: {length}\r\n\r\n{body}"))
            .answer()
            .status
    };
    assert_eq!(put(&mut control, "{\"address\":\"nowhere\"}"), 400);
    assert_eq!(put(&mut control, &json!({ "address": behind.addr().to_string() }).to_string()), 200);
    assert_eq!(Client::connect(orders.addr()).get("/x", "").status, 200);
    assert_eq!(behind.journal()[0].path, "/a");
}
