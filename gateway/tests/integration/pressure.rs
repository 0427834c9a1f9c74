//! Slowness is blamed on who is slow, and what breaks beside the request costs no request.

use mocks::raw::{Gate, Raw, Script};
use mocks::{Effect, Rule};
use tokio::io::AsyncWriteExt;

use crate::support::{Gateway, Process, echo, eventually, guarded};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
/// More than all buffers on the way hold.
const BODY: usize = 32 * 1024 * 1024;

/// Two routes: `/x` to this upstream, and `/pause`, which answers 504 after `pause`: a wait that is an event.
fn with_pause(server: &str, route: &str, upstream: std::net::SocketAddr, never: &mocks::Mock, pause: &str) -> String {
    never.set_rules([Rule::any().effect(Effect::Hang)]);
    format!(
        "[server]\n{server}\n[[routes]]\npath = '/x'\nupstream = 'http://{upstream}'\n{route}\n\
         [[routes]]\npath = '/pause'\nupstream = 'http://{}'\ntimeout = '{pause}'\n",
        never.addr()
    )
}

#[tokio::test]
async fn an_upstream_that_takes_a_body_slowly_is_not_the_clients_408() {
    let (gate, never) = (Gate::new(), echo().await);
    let upstream = Raw::script(Script::new().read_head().wait(&gate).read_bytes(BODY).send(OK).hang()).await.unwrap();
    let server = "max_body = '0'\nbody_idle_timeout = '1s'";
    let gateway = Gateway::start(&with_pause(server, "", upstream.addr(), &never, "1500ms")).await;
    let mut client = gateway.client().await;
    client.send(format!("POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: {BODY}\r\n\r\n")).await;
    let upload = async {
        let chunk = vec![b'b'; 64 * 1024];
        for _ in 0..BODY / chunk.len() {
            if client.stream().write_all(&chunk).await.is_err() {
                break;
            }
        }
        client.answer().await
    };
    let hold = async {
        // The client would send, the upstream does not read: longer than a client's own silence may last.
        assert_eq!(gateway.get("/pause").await.status, 504);
        gate.open();
    };
    let (answer, ()) = guarded("the upload", async { tokio::join!(upload, hold) }).await;
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
}

#[tokio::test]
async fn a_client_that_takes_an_answer_slowly_does_not_cost_it_its_end() {
    let (upstream, never) = (echo().await, echo().await);
    let route = format!("idle_timeout = '1s'\nrewrite = {{ path = '/bytes/{BODY}' }}");
    let text = with_pause("body_idle_timeout = '10s'", &route, upstream.addr(), &never, "1500ms");
    let gateway = Gateway::start(&text).await;
    let mut client = gateway.client().await;
    client.send("GET /x HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut answer = client.head().await;
    assert_eq!(gateway.get("/pause").await.status, 504);
    client.body_of(&mut answer).await;
    assert_eq!((answer.body.len(), answer.whole), (BODY, true), "it was the client that did not move");
}

#[tokio::test]
async fn a11_a_client_that_is_told_to_continue_and_does_not_is_408() {
    let upstream = echo().await;
    let gateway = Gateway::with("body_idle_timeout = '100ms'", upstream.addr()).await;
    let mut client = gateway.client().await;
    let head = "POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n";
    assert_eq!(client.ask(head).await.status, 100);
    assert_eq!(client.answer().await.code(), "request_timeout");
    client.closed().await;
    assert_eq!(upstream.counters().requests, 0);
}

#[tokio::test]
async fn a_full_disk_costs_no_request() {
    let upstream = echo().await;
    let text = format!(
        "[server]\nworkers = 1\n[[listeners]]\naddress = '127.0.0.1:0'\n[admin]\naddress = ''\n\
         [telemetry.access_log]\noutput = '/dev/full'\n[[routes]]\npath = '/{{*rest}}'\nupstream = 'http://{}'\n",
        upstream.addr()
    );
    let loaded =
        gateway::config::load_text(&text, std::path::Path::new("full"), gateway::config::Purpose::Run).unwrap();
    let running =
        gateway::startup::start(loaded.config, None, loaded.files).await.unwrap_or_else(|e| panic!("{}", e.0));
    let mut client = crate::support::Client::connect(running.listeners[0]).await;
    for _ in 0..100 {
        assert_eq!(client.ask(GET).await.status, 200);
    }
    eventually("the failures are counted", || running.gateway().shared().log.write_failures() > 0).await;
    let failure = running.gateway().shared().log.last_failure().unwrap();
    assert!(failure.output == "/dev/full" && failure.detail.contains("No space left"), "{failure:?}");
    drop(client);
    assert_eq!(running.drain().await, gateway::shutdown::Drained::Clean);
}

#[tokio::test]
async fn connections_to_an_endpoint_that_a_reload_removed_are_closed() {
    let (old, new) = (echo().await, echo().await);
    let text = |upstream: &mocks::Mock| {
        format!(
            "[upstreams.up]\nendpoints = ['{}']\n[[routes]]\npath = '/{{*rest}}'\nupstream = 'up'\n",
            upstream.addr()
        )
    };
    let gateway = Gateway::start(&text(&old)).await;
    assert_eq!(gateway.get("/").await.status, 200);
    assert_eq!(old.counters().connections, 1);
    gateway.rewrite(&text(&new));
    assert_eq!(gateway.admin("POST", "/reload").await.status, 200);
    assert_eq!(gateway.get("/").await.status, 200);
    eventually("nothing is left open to the old endpoint", || old.counters().connections == 0).await;
}

/// Open files and threads of a process.
fn held(id: u32) -> (usize, usize) {
    let count = |what: &str| std::fs::read_dir(format!("/proc/{id}/{what}")).unwrap().count();
    (count("fd"), count("task"))
}

#[tokio::test]
async fn a_gateway_without_descriptors_refuses_and_blames_no_endpoint() {
    const MOST: u32 = 64;
    let upstream = echo().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.toml");
    let text = format!(
        "[server]\nworkers = 1\n[[listeners]]\naddress = '127.0.0.1:0'\n[admin]\naddress = '127.0.0.1:0'\n\
         [telemetry.access_log]\noutput = 'off'\n[upstreams.up]\nendpoints = ['{}']\npool = {{ max_idle_per_worker = 0 }}\n\
         breaker = {{ consecutive_failures = 1 }}\n[[routes]]\npath = '/{{*rest}}'\nupstream = 'up'\n",
        upstream.addr()
    );
    std::fs::write(&file, text).unwrap();
    let mut process = Process::start_with_descriptors(&file, MOST).await;
    let get = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    let mut client = crate::support::Client::connect(process.address).await;
    assert_eq!(client.ask(get).await.status, 200);
    let admin = process.admin;
    let ask = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: {admin}\r\n\r\n");
    let mut operator = crate::support::Client::connect(admin).await;
    assert_eq!(operator.ask(ask("/livez")).await.status, 200);
    // Clients leave half of them to requests; whoever looks at the admin address does not.
    let mut others = Vec::new();
    for _ in 0..MOST {
        others.push(crate::support::Client::connect(admin).await);
    }
    eventually("hardly a descriptor left", || held(process.id()).0 >= (MOST - MOST / 8) as usize).await;
    let refused = client.ask(get).await;
    assert_eq!((refused.status, refused.code().as_str()), (503, "overloaded"));
    assert_eq!(refused.header("connection"), Some("close"), "what it holds serves another one");
    assert_eq!(operator.ask(ask("/livez")).await.status, 200, "who looks why is answered, and nobody kills it");
    let waits = crate::support::Client::connect(process.address).await;
    // The request that was refused, and connections that were not taken.
    let told = async {
        loop {
            let page = String::from_utf8(operator.ask(ask("/metrics")).await.body).unwrap();
            let shed = page.lines().find_map(|line| line.strip_prefix("gateway_shed_total{reason=\"sockets\"} "));
            if shed.unwrap().parse::<u64>().unwrap() > 1 {
                break;
            }
        }
    };
    guarded("connections that were not taken count too", told).await;
    drop((operator, others, waits, client));
    eventually("descriptors again", || held(process.id()).0 < MOST as usize / 2).await;
    let mut client = crate::support::Client::connect(process.address).await;
    assert_eq!(client.ask(get).await.status, 200, "its breaker has heard of nothing");
    process.signal("TERM").await;
    assert_eq!(process.ended().await, 0);
}

#[tokio::test]
async fn of_more_clients_than_there_are_descriptors_for_those_that_fit_are_served_for_as_long_as_they_stay() {
    let upstream = echo().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.toml");
    let text = format!(
        "[server]\nworkers = 2\n[[listeners]]\naddress = '127.0.0.1:0'\n[admin]\naddress = '127.0.0.1:0'\n\
         [telemetry.access_log]\noutput = 'off'\n[[routes]]\npath = '/{{*rest}}'\nupstream = 'http://{}'\n",
        upstream.addr()
    );
    std::fs::write(&file, text).unwrap();
    let process = Process::start_with_descriptors(&file, 96).await;
    // All are there before the first of them asks: no connection to the upstream has its descriptor yet.
    let mut clients = Vec::new();
    for _ in 0..60 {
        clients.push(crate::support::Client::connect(process.address).await);
    }
    let mut served = Vec::new();
    for mut client in clients {
        match client.try_ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await {
            Ok(Some(answer)) if answer.status == 200 => served.push(client),
            // Told that there is no place, or closed without a word.
            Ok(Some(answer)) => assert_eq!((answer.status, answer.header("connection")), (503, Some("close"))),
            Ok(None) | Err(_) => {}
        }
    }
    assert!(served.len() >= 16, "half of what is left: {}", served.len());
    let again = served.iter_mut().map(|client| client.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n"));
    for answer in futures_util::future::join_all(again).await {
        assert_eq!(answer.status, 200, "each has a connection to the upstream, all at once");
    }
}

#[tokio::test]
async fn l8_reloads_leave_no_files_and_no_threads_behind() {
    let upstream = echo().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.toml");
    let write = |n: usize| {
        let text = format!(
            "[[listeners]]\naddress = '127.0.0.1:0'\n[admin]\naddress = '127.0.0.1:0'\n[telemetry.access_log]\n\
             output = 'access.log'\n[upstreams.lost]\ndiscovery = {{ dns = 'localhost:9', refresh = '{}s' }}\n\
             [[routes]]\npath = '/{{*rest}}'\nupstream = 'http://{}'\nrequest_headers = {{ set = {{ x-n = '{n}' }} }}\n",
            n % 5 + 1,
            upstream.addr()
        );
        // Beside it, then renamed: nobody ever reads half a file.
        std::fs::write(folder.path().join("next"), text).unwrap();
        std::fs::rename(folder.path().join("next"), &file).unwrap();
    };
    write(0);
    let mut process = Process::start(&file).await;
    let reload = async |process: &mut Process, n: usize| {
        write(n);
        process.signal("HUP").await;
        // The file's watcher may be first: whichever of both reloads reports that it holds.
        assert_eq!(process.event("reload").await["ok"], true);
        let mut client = crate::support::Client::connect(process.address).await;
        let last = client.ask("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
        assert_eq!(last.status, 200);
        client.closed().await;
    };
    for n in 1..=10 {
        reload(&mut process, n).await;
    }
    let id = process.id();
    let before = held(id);
    for n in 11..=60 {
        reload(&mut process, n).await;
    }
    // What is only about to be closed is waited for.
    let mut after = (0, 0);
    eventually("no more files and threads than before", || {
        after = held(id);
        after.0 <= before.0 + 2 && after.1 <= before.1 + 2
    })
    .await;
}
