//! The end (security.md, L7): not ready, no more connections, answers in flight finish, exit 0.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gateway::clock::Clock;
use gateway::connections::Connections;
use gateway::gateway::World;
use gateway::network::Sockets;
use gateway::shutdown::Switches;
use mocks::raw::{Gate, Raw, Script};
use serde_json::json;
use tokio::sync::watch;

use crate::support::{Answer, Client, Gateway, Process, echo, eventually, guarded};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

fn file(folder: &Path, server: &str, upstream: std::net::SocketAddr) -> PathBuf {
    let path = folder.join("gateway.toml");
    let text = format!(
        "[server]\nworkers = 2\n{server}\n[[listeners]]\naddress = '127.0.0.1:0'\n[admin]\naddress = '127.0.0.1:0'\n\
         [telemetry.access_log]\noutput = 'access.log'\n\
         [[routes]]\nname = 'all'\npath = '/{{*rest}}'\nupstream = 'http://{upstream}'\n"
    );
    std::fs::write(&path, text).unwrap();
    path
}

async fn admin(process: &Process, method: &str, path: &str) -> Answer {
    let head = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n");
    Client::connect(process.admin).await.ask(head).await
}

async fn metrics(process: &Process) -> String {
    String::from_utf8(admin(process, "GET", "/metrics").await.body).unwrap()
}

#[tokio::test]
async fn l7_sigterm_finishes_what_is_in_flight_and_exits_with_0() {
    for signal in ["TERM", "INT"] {
        let gate = Gate::new();
        let upstream = Raw::script(Script::new().read_request().wait(&gate).send(OK).again()).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut process = Process::start(&file(folder.path(), "", upstream.addr())).await;
        let mut busy = Client::connect(process.address).await;
        busy.send(GET).await;
        upstream.wait_for_accepts(1).await;
        let mut idle = Client::connect(process.address).await;
        idle.send("").await;

        process.signal(signal).await;
        process.event("drain").await;
        idle.closed().await;
        let ready = admin(&process, "GET", "/readyz").await;
        assert_eq!((ready.status, &ready.body[..]), (503, &b"draining\n"[..]));
        assert_eq!(admin(&process, "GET", "/livez").await.status, 200);
        gate.open();
        let answer = busy.answer().await;
        assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
        busy.closed().await;
        assert_eq!(process.ended().await, 0);
        let log = std::fs::read_to_string(folder.path().join("access.log")).unwrap();
        assert_eq!(log.lines().count(), 1, "the last record is written before the end: {log}");
    }
}

#[tokio::test]
async fn l7_drain_delay_serves_new_connections_while_not_ready() {
    let upstream = echo().await;
    let folder = tempfile::tempdir().unwrap();
    let mut process = Process::start(&file(folder.path(), "drain_delay = '700ms'", upstream.addr())).await;
    process.signal("TERM").await;
    process.event("drain").await;
    eventually_not_ready(&process).await;
    let mut client = Client::connect(process.address).await;
    let answer = client.ask(GET).await;
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")), "whoever comes is served, once");
    client.closed().await;
    assert_eq!(process.ended().await, 0);
    assert!(tokio::net::TcpStream::connect(process.address).await.is_err());
}

async fn eventually_not_ready(process: &Process) {
    let mut tries = 0;
    while admin(process, "GET", "/readyz").await.status != 503 {
        tries += 1;
        assert!(tries < 1000, "it stays ready");
    }
}

#[tokio::test]
async fn l7_the_gateways_own_answers_close_too_while_it_drains() {
    let upstream = echo().await;
    let gateway = Gateway::with("", upstream.addr()).await;
    gateway.inner().begin_drain();
    for head in [
        "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET /%00 HTTP/1.1\r\nhost: a\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n",
    ] {
        let mut client = gateway.client().await;
        let answer = client.ask(head).await;
        assert_eq!(answer.header("connection"), Some("close"), "{head:?}");
        client.closed().await;
    }
    let one = format!("[[routes]]\npath = '/a'\nmethods = ['GET']\nupstream = 'http://{}'", upstream.addr());
    let gateway = Gateway::start(&one).await;
    gateway.inner().begin_drain();
    for (head, status) in [("GET /b HTTP/1.1\r\nhost: a\r\n\r\n", 404), ("PUT /a HTTP/1.1\r\nhost: a\r\n\r\n", 405)] {
        let answer = gateway.ask(head).await;
        assert_eq!((answer.status, answer.header("connection")), (status, Some("close")), "{head:?}");
    }
}

#[tokio::test]
async fn l7_logs_are_rotated_and_files_read_again_while_it_drains() {
    let gate = Gate::new();
    let upstream = Raw::script(Script::new().read_request().wait(&gate).send(OK).again()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (log, aside) = (folder.path().join("access.log"), folder.path().join("access.log.1"));
    let mut process = Process::start(&file(folder.path(), "", upstream.addr())).await;
    let mut busy = Client::connect(process.address).await;
    busy.send(GET).await;
    upstream.wait_for_accepts(1).await;
    process.signal("TERM").await;
    process.event("drain").await;
    std::fs::rename(&log, &aside).unwrap();
    process.signal("USR1").await;
    eventually("the log is opened anew", || log.exists()).await;
    process.signal("HUP").await;
    assert_eq!(process.event("reload").await["ok"], true);
    gate.open();
    assert_eq!(busy.answer().await.status, 200);
    assert_eq!(process.ended().await, 0);
    let lines = |path: &Path| std::fs::read_to_string(path).unwrap().lines().count();
    assert_eq!((lines(&aside), lines(&log)), (0, 1), "the drain's record is in the new one");
}

#[tokio::test]
async fn l7_a_drain_ends_at_its_deadline() {
    let upstream = echo().await;
    upstream.set_rules([mocks::Rule::any().effect(mocks::Effect::Hang)]);
    let folder = tempfile::tempdir().unwrap();
    let mut process = Process::start(&file(folder.path(), "drain_timeout = '200ms'", upstream.addr())).await;
    let mut stuck = Client::connect(process.address).await;
    stuck.send(GET).await;
    upstream.wait_for_requests(1).await;
    process.signal("TERM").await;
    let cut = process.event("drain_timeout").await;
    assert_eq!(cut["connections_cut"], 1);
    assert_eq!(process.ended().await, 0);
    // Where the machine leaves the worker no turn for a second, it is cut without a word.
    let told = String::from_utf8(stuck.rest().await).unwrap();
    assert!(told.is_empty() || told.starts_with("HTTP/1.1 503 ") && told.contains("\"code\":\"overloaded\""), "{told}");
    let ended = if told.is_empty() { "timeout" } else { "complete" };
    assert_eq!(
        records(folder.path()),
        [format!("/ 503 overloaded gateway {ended}")],
        "who got no answer has a record, and had not left"
    );
}

#[tokio::test]
async fn a_drain_tells_until_when_it_lasts_and_which_requests_it_waits_for() {
    let upstream = echo().await;
    upstream.set_rules([mocks::Rule::on("/hang").effect(mocks::Effect::Hang)]);
    let folder = tempfile::tempdir().unwrap();
    let patient = "drain_timeout = '1h'\nbody_idle_timeout = '1h'\n\
                   [defaults.route]\ntimeout = '1h'\nidle_timeout = '1h'";
    let mut process = Process::start(&file(folder.path(), patient, upstream.addr())).await;
    assert!(admin(&process, "GET", "/status").await.json()["drain"].is_null());
    let (mut hangs, mut slow) = (Client::connect(process.address).await, Client::connect(process.address).await);
    hangs.send("GET /hang?token=secret HTTP/1.1\r\nhost: a\r\n\r\n").await;
    upstream.wait_for_requests(1).await;
    slow.send("GET /bytes/100000000 HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(slow.head().await.status, 200);
    process.signal("TERM").await;
    process.event("drain").await;
    let waits_for_both = "it waits for 2 requests (2 of all) on 2 connections";
    let told = loop {
        let told = admin(&process, "GET", "/status").await.json();
        let mut problems = told["problems"].as_array().unwrap().iter();
        let why = problems.find(|problem| problem["what"] == "drain").and_then(|problem| problem["why"].as_str());
        if let (Some(why), Some(requests)) = (why, told["drain"]["requests"].as_u64()) {
            assert!(why.starts_with(&format!("it waits for {requests} request")), "{why}: {:#}", told["drain"]);
        }
        if why.is_some_and(|why| why.starts_with(waits_for_both)) {
            break told;
        }
    };
    let drain = &told["drain"];
    assert_eq!((&told["draining"], &drain["closing"]), (&json!(true), &json!(true)), "{drain:#}");
    assert_eq!((&drain["requests"], &drain["connections"]), (&json!(2), &json!(2)), "{drain:#}");
    assert!(
        drain["since"].as_str() < drain["until"].as_str() && drain["left_ms"].as_u64() > Some(1_000_000),
        "{drain:#}"
    );
    assert_eq!((&drain["routes"][0]["route"], &drain["routes"][0]["requests"]), (&json!("all"), &json!(2)));
    assert_eq!(drain["endpoints"][0]["in_flight"], 2);
    let paths: Vec<&str> = drain["oldest"].as_array().unwrap().iter().filter_map(|one| one["path"].as_str()).collect();
    assert_eq!(paths, ["/hang", "/bytes/100000000"]);
    for one in drain["oldest"].as_array().unwrap() {
        assert_eq!((&one["endpoint"], &one["part"]), (&json!(upstream.addr().to_string()), &json!(false)), "{one}");
        assert!(one["age_ms"].is_u64() && one["request_id"].is_string(), "{one}");
    }
    // What has ended is waited for no more.
    drop(slow);
    while admin(&process, "GET", "/status").await.json()["drain"]["requests"] != 1 {}
    process.signal("TERM").await;
    assert_eq!(process.ended().await, 0);
    hangs.closed().await;
}

/// What the access records of a process that has ended say of their requests, in the order of their paths.
fn records(folder: &Path) -> Vec<String> {
    let log = std::fs::read_to_string(folder.join("access.log")).unwrap();
    let short = |line| {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        let fields = ["path", "status", "code", "fault", "ended"].map(|field| record[field].to_string());
        fields.join(" ").replace('"', "")
    };
    let mut records: Vec<String> = log.lines().map(short).collect();
    records.sort();
    records
}

#[tokio::test]
async fn l7_a_second_signal_ends_at_once_and_every_request_has_its_record() {
    const BEGUN: &str = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nbegun";
    const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    let waiting = Raw::script(Script::new().read_request().hang()).await.unwrap();
    let begun = Raw::script(Script::new().read_request().send(BEGUN).hang()).await.unwrap();
    let switched = Raw::script(Script::new().read_head().send(SWITCH).read_bytes(2).send("down").hang()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "drain_timeout = '1h'", waiting.addr());
    let mut text = std::fs::read_to_string(&path).unwrap();
    for (place, upstream) in [("/begun", &begun), ("/ws", &switched)] {
        text += &format!("[[routes]]\npath = '{place}'\nupstream = 'http://{}'\n", upstream.addr());
    }
    std::fs::write(&path, text).unwrap();
    let mut process = Process::start(&path).await;
    let mut clients = Vec::new();
    for _ in 0..2 {
        let mut client = Client::connect(process.address).await;
        client.send("GET /waiting HTTP/1.1\r\nhost: a\r\n\r\n").await;
        clients.push(client);
    }
    waiting.wait_for_accepts(2).await;
    let mut reading = Client::connect(process.address).await;
    reading.send("GET /begun HTTP/1.1\r\nhost: a\r\n\r\n").await;
    reading.bytes(BEGUN.len()).await;
    let mut tunnel = Client::connect(process.address).await;
    let upgrade = "GET /ws HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
                   sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    assert_eq!(tunnel.ask(upgrade).await.status, 101);
    tunnel.send("up").await;
    tunnel.bytes(4).await;
    process.signal("TERM").await;
    process.event("drain").await;
    process.signal("INT").await;
    let cut = process.event("second_signal").await;
    assert_eq!(cut["connections_cut"], 4);
    assert_eq!(process.event("stopped").await["after"], "second_signal");
    assert_eq!(process.ended().await, 0);
    let expected = [
        "/begun 200 ok gateway timeout",
        "/waiting 503 overloaded gateway timeout",
        "/waiting 503 overloaded gateway timeout",
        "/ws 101 ok gateway timeout",
    ];
    assert_eq!(records(folder.path()), expected);
    let log = std::fs::read_to_string(folder.path().join("access.log")).unwrap();
    let tunnel = log.lines().find(|line| line.contains("/ws")).unwrap();
    assert!(tunnel.contains("\"bytes_in\":2,\"bytes_out\":4,"), "what a tunnel moved is known to its end: {tunnel}");
}

#[tokio::test]
async fn l7_a_log_that_nobody_reads_does_not_hold_up_a_second_signal() {
    let upstream = echo().await;
    upstream.set_rules([mocks::Rule::any().effect(mocks::Effect::Hang)]);
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "drain_timeout = '1h'", upstream.addr());
    let text = std::fs::read_to_string(&path).unwrap().replace("access.log", "/dev/full");
    std::fs::write(&path, text).unwrap();
    let mut process = Process::start(&path).await;
    let mut stuck = Client::connect(process.address).await;
    stuck.send(GET).await;
    upstream.wait_for_requests(1).await;
    process.signal("TERM").await;
    process.event("drain").await;
    process.signal("TERM").await;
    assert_eq!(process.ended().await, 0);
}

#[tokio::test]
async fn l7_standard_error_that_nobody_reads_holds_up_neither_operators_nor_the_end() {
    let upstream = echo().await;
    let folder = tempfile::tempdir().unwrap();
    let mut process = Process::start(&file(folder.path(), "", upstream.addr())).await;
    process.fill_stderr().await;
    // Its line finds no room.
    process.signal("HUP").await;
    guarded("the reload", async { while !metrics(&process).await.contains("\ngateway_config_version 2\n") {} }).await;
    assert_eq!(admin(&process, "GET", "/livez").await.status, 200);
    let mut client = Client::connect(process.address).await;
    assert_eq!(client.ask(GET).await.status, 200);
    process.signal("TERM").await;
    client.closed().await;
    assert_eq!(process.ended_unheard().await, 0);
}

#[tokio::test]
async fn l7_admin_can_ask_for_a_drain() {
    let upstream = echo().await;
    let folder = tempfile::tempdir().unwrap();
    let mut process = Process::start(&file(folder.path(), "", upstream.addr())).await;
    assert_eq!(admin(&process, "POST", "/drain").await.status, 202);
    assert_eq!(process.ended().await, 0);
}

#[tokio::test]
async fn connections_that_the_kernel_has_accepted_are_served_after_a_drain_begins() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = gateway.client().await;
        client.send(GET).await;
        clients.push(client);
    }
    let drain = tokio::spawn(gateway.drain());
    for mut client in clients {
        assert_eq!(client.answer().await.status, 200);
    }
    let (drained, _folder) = guarded("the drain", drain).await.unwrap();
    assert_eq!(drained, gateway::shutdown::Drained::Clean);
}

#[tokio::test(start_paused = true)]
async fn a_drain_waits_for_who_still_takes_connections_from_the_queue() {
    let folder = tempfile::tempdir().unwrap();
    let text = "[telemetry.access_log]\noutput = 'off'\n[server]\ndrain_timeout = '1h'\n";
    let config = gateway::config::load_text(text, folder.path(), gateway::config::Purpose::Run).unwrap().config;
    let world = World { network: Sockets, clock: Clock::system(), seed: 1, shards: 1 };
    let gateway = Arc::new(gateway::gateway::Gateway::new(config, world).unwrap());
    let connections = Arc::new(Connections::default());
    let (stop_accepting, mut accepting) = watch::channel(false);
    let switches =
        Switches { stop_accepting, close_idle: watch::Sender::new(false), stop_workers: watch::Sender::new(false) };
    let counted = Arc::clone(&connections);
    let mut drain =
        tokio::spawn(
            async move { gateway::shutdown::drain(&gateway, &switches, &counted, std::future::pending()).await },
        );
    accepting.wait_for(|stop| *stop).await.unwrap();
    let a_while = Duration::from_secs(60);
    let early = tokio::time::timeout(a_while, &mut drain).await;
    assert!(early.is_err(), "nobody is connected yet, and somebody may be in the queue");
    let place = connections.enter([127, 0, 0, 1].into(), 1, None).unwrap();
    drop(accepting);
    assert!(tokio::time::timeout(a_while, &mut drain).await.is_err(), "somebody was");
    drop(place);
    assert_eq!(drain.await.unwrap(), gateway::shutdown::Drained::Clean);
}

/// What a client met in a run.
#[derive(Debug, Default)]
struct Tally {
    answered: u64,
    /// Turned away: under load, and with too little of a busy machine, a gateway protects itself.
    turned_away: u64,
    failed: Vec<String>,
}

/// Asks on one connection after another until the listener is closed: a connection that is refused then is no failure,
/// nor is one that was still in the system's queue when the listener closed, which the system resets.
async fn keep_asking(address: std::net::SocketAddr) -> Tally {
    let mut tally = Tally::default();
    while let Ok(stream) = tokio::net::TcpStream::connect(address).await {
        let mut client = Client::on(stream);
        let mut first = true;
        loop {
            match client.try_ask(GET).await {
                Ok(Some(answer)) if answer.status == 200 => {
                    tally.answered += 1;
                    first = false;
                    if answer.header("connection") == Some("close") {
                        break;
                    }
                }
                Ok(Some(answer)) if answer.is_turned_away() => {
                    tally.turned_away += 1;
                    first = false;
                    if answer.header("connection") == Some("close") {
                        break;
                    }
                }
                Ok(Some(answer)) => tally.failed.push(format!("{answer:?}")),
                Ok(None) => {
                    tally.failed.push("closed without an answer".into());
                    break;
                }
                Err(_reset) if first => break,
                Err(error) => {
                    tally.failed.push(error);
                    break;
                }
            }
        }
    }
    tally
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l8_a_hundred_reloads_under_load_and_a_drain_fail_nobody() {
    const RELOADS: u64 = 100;
    let upstream = echo().await;
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "", upstream.addr());
    let mut process = Process::start(&path).await;
    let address = process.address;
    let clients: Vec<_> = (0..8).map(|_| tokio::spawn(keep_asking(address))).collect();
    let text = std::fs::read_to_string(&path).unwrap();
    for n in 1..=RELOADS {
        let before = upstream.counters().requests;
        std::fs::write(
            folder.path().join("next"),
            format!("{text}request_headers = {{ set = {{ x-version = '{n}' }} }}\n"),
        )
        .unwrap();
        std::fs::rename(folder.path().join("next"), &path).unwrap();
        let report = admin(&process, "POST", "/reload").await;
        assert_eq!(report.status, 200, "{report:?}");
        // Traffic flows between any two of them.
        eventually("more requests", || upstream.counters().requests > before + 20).await;
    }
    process.signal("TERM").await;
    process.event("drain").await;
    assert_eq!(process.ended().await, 0);
    let (mut answered, mut turned_away) = (0, 0);
    for client in clients {
        let tally = guarded("a client's end", client).await.unwrap();
        assert!(tally.failed.is_empty(), "{:?}", tally.failed);
        (answered, turned_away) = (answered + tally.answered, turned_away + tally.turned_away);
    }
    assert!(answered >= RELOADS * 20, "{answered}");
    let log = std::fs::read_to_string(folder.path().join("access.log")).unwrap();
    let refused = log.lines().filter(|line| line.contains("\"code\":\"overloaded\"")).count() as u64;
    let records = log.lines().count() as u64;
    assert_eq!((records, refused), (answered + turned_away, turned_away), "one record for each answer");
}
