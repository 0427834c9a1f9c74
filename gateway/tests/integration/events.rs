//! Events: what happens is told in order, to whoever asks, and costs nobody else anything.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{Client, Events, Gateway, Process, echo, eventually, guarded};

#[tokio::test]
async fn reloads_and_drains_are_told_in_order() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    let mut reader = Events::of(&gateway, "?kinds=reload,drain").await;
    assert_eq!(gateway.admin("POST", "/reload").await.status, 200);
    std::fs::write(gateway.file(), "colour = 'red'").unwrap();
    assert_eq!(gateway.admin("POST", "/reload").await.status, 422);
    gateway.inner().begin_drain();
    let mut events = Vec::new();
    while events.last().is_none_or(|event: &Value| event["kind"] != "drain") {
        // The file is watched too, and may have been found changed meanwhile.
        events.extend(
            reader.next(1).await.into_iter().filter(|event| event["kind"] == "drain" || event["cause"] == "admin"),
        );
    }
    let told: Vec<_> = events.iter().map(|event| (event["kind"].as_str().unwrap(), &event["ok"])).collect();
    assert_eq!(told, [("reload", &true.into()), ("reload", &false.into()), ("drain", &Value::Null)]);
    assert_eq!((&events[0]["version"], &events[0]["cause"]), (&2.into(), &"admin".into()));
    assert!(events[1]["problems"].to_string().contains("colour"), "{events:?}");
    let times: Vec<u64> = events.iter().map(|event| event["ts_ns"].as_u64().unwrap()).collect();
    assert!(times.is_sorted());

    let mut late = Events::of(&gateway, "?after=0&kinds=drain").await;
    assert_eq!(late.next(1).await[0]["kind"], "drain", "what is kept can be read later");
}

#[tokio::test]
async fn attempts_are_told_while_somebody_asks_on_the_clock_of_the_mocks() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    assert_eq!(gateway.get("/before").await.status, 200);
    let mut reader = Events::of(&gateway, "?kinds=attempt&after=0").await;
    let answer = gateway.get("/seen").await;
    let event = reader.next(1).await.remove(0);
    assert_eq!(event["request_id"], answer.header("x-request-id").unwrap());
    assert_eq!((&event["outcome"], &event["status"], &event["upstream"]), (&"ok".into(), &200.into(), &"up".into()));
    let (start, end) = (event["start_ns"].as_u64().unwrap(), event["end_ns"].as_u64().unwrap());
    let arrival = upstream.journal()[1].arrival_ns;
    assert!(start <= arrival && arrival <= end, "{start} {arrival} {end}");
}

#[tokio::test]
async fn an_unknown_kind_is_refused() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    let answer = gateway.admin("GET", "/events?kinds=colour").await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "bad_request"));
}

/// A configuration in a folder, and where a file of events is to be there.
fn files(folder: &Path, upstream: SocketAddr) -> (PathBuf, PathBuf) {
    let text = format!(
        "[[listeners]]\naddress = '127.0.0.1:0'\n[admin]\naddress = '127.0.0.1:0'\n[telemetry.access_log]\n\
         output = 'off'\n[[routes]]\npath = '/'\nupstream = 'http://{upstream}'\n"
    );
    let config = folder.join("gateway.toml");
    std::fs::write(&config, text).unwrap();
    (config, folder.join("events.jsonl"))
}

#[tokio::test]
async fn a_process_writes_its_events_to_a_file() {
    let upstream = echo().await;
    let folder = tempfile::tempdir().unwrap();
    let (config, events) = files(folder.path(), upstream.addr());
    let more = ["--events", events.to_str().unwrap(), "--event-kinds", "drain,attempt"];
    let mut process = Process::start_with_arguments(&config, &more).await;
    let mut client = Client::connect(process.address).await;
    assert_eq!(client.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.status, 200);
    process.signal("TERM").await;
    assert_eq!(process.ended().await, 0);
    let text = std::fs::read_to_string(&events).unwrap();
    let kinds: Vec<Value> =
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["kind"].take()).collect();
    assert_eq!(kinds, ["clock", "attempt", "drain"]);
}

#[tokio::test]
async fn the_file_of_events_is_rotated_with_the_log_and_said_to_fail_once() {
    let upstream = echo().await;
    let folder = tempfile::tempdir().unwrap();
    let (config, events) = files(folder.path(), upstream.addr());
    let mut process = Process::start_with_arguments(&config, &["--events", events.to_str().unwrap()]).await;
    for (number, signal) in [(1, "USR1"), (2, "HUP")] {
        std::fs::rename(&events, folder.path().join(format!("events.jsonl.{number}"))).unwrap();
        process.signal(signal).await;
        let begins = || std::fs::read_to_string(&events).is_ok_and(|text| text.contains("\"kind\":\"clock\""));
        eventually("it begins anew", begins).await;
    }
    process.signal("TERM").await;
    assert_eq!(process.ended().await, 0);
    let last = std::fs::read_to_string(&events).unwrap();
    assert!(last.contains("\"kind\":\"drain\""), "{last}");

    let mut process = Process::start_with_arguments(&config, &["--events", "/dev/full"]).await;
    let told = process.event("event_file").await;
    assert_eq!((&told["failing"], &told["output"]), (&true.into(), &"/dev/full".into()), "{told}");
    assert!(told["detail"].as_str().unwrap().contains("space"), "{told}");
    let mut admin = Client::connect(process.admin).await;
    guarded("it is among what is wrong", async {
        let ask = format!("GET /problems HTTP/1.1\r\nhost: {}\r\n\r\n", process.admin);
        loop {
            let problems = admin.ask(ask.clone()).await.json()["problems"].take();
            let is_it = |one: &Value| one["what"] == "event_file" && one["name"] == "/dev/full";
            if problems.as_array().unwrap().iter().any(is_it) {
                break;
            }
        }
    })
    .await;
}
