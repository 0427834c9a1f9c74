//! Reloads: atomic, refused whole when anything is wrong, and no request's failure (security.md, J3, L8).

use std::os::unix::fs::symlink;

use gateway::config::{Loaded, Purpose, load};
use gateway::startup::{self, Running};
use mocks::raw::{Gate, Raw, Script};

use crate::support::{Gateway, Process, echo, eventually};

fn routed(name: &str, address: std::net::SocketAddr) -> String {
    format!(
        "[upstreams.up]\nendpoints = ['{address}']\n[[routes]]\nname = '{name}'\npath = '/{{*rest}}'\nupstream = 'up'\n\
         response_headers = {{ set = {{ x-route = '{name}' }} }}\n"
    )
}

#[tokio::test]
async fn a_reload_by_admin_puts_the_file_in_force() {
    let upstream = echo().await;
    let gateway = Gateway::start(&routed("one", upstream.addr())).await;
    let mut client = gateway.client().await;
    let get = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    assert_eq!(client.ask(get).await.header("x-route"), Some("one"));
    gateway.rewrite(&routed("two", upstream.addr()));
    let report = gateway.admin("POST", "/reload").await;
    assert_eq!((report.status, &report.json()["ok"]), (200, &true.into()));
    assert_eq!(client.ask(get).await.header("x-route"), Some("two"), "on a connection that was open before");
    assert_eq!(upstream.counters().accepts, 1, "the pooled connection outlives the reload");
}

#[tokio::test]
async fn a_change_of_the_file_is_seen() {
    let upstream = echo().await;
    let gateway = Gateway::start(&routed("one", upstream.addr())).await;
    // The watcher starts beside the gateway; a change that it makes nothing of is made again.
    let mut n = 0;
    eventually("the change is in force", || {
        if n % 500 == 0 {
            gateway.rewrite(&format!("{}# {n}\n", routed("two", upstream.addr())));
        }
        n += 1;
        gateway.inner().snapshot().version > 1
    })
    .await;
    assert_eq!(gateway.get("/").await.header("x-route"), Some("two"));
    let last = gateway.admin("GET", "/status").await.json();
    assert_eq!(last["last_reload"]["cause"], "file");
}

/// Writes a file again and again, as the watcher may not have begun, until it has led to something.
async fn written_until(file: &std::path::Path, text: &str, what: &str, is_seen: impl Fn() -> bool) {
    let mut n = 0;
    eventually(what, || {
        if n % 500 == 0 {
            std::fs::write(file, format!("{text}# {n}\n")).unwrap();
        }
        n += 1;
        is_seen()
    })
    .await;
}

#[tokio::test]
async fn a_new_file_that_a_pattern_names_is_seen_and_so_is_the_repair_of_a_bad_one() {
    let upstream = echo().await;
    let gateway = Gateway::start(&routed("main", upstream.addr())).await;
    let routes = gateway.file().with_file_name("routes");
    std::fs::create_dir(&routes).unwrap();
    let text = std::fs::read_to_string(gateway.file()).unwrap();
    std::fs::write(gateway.file(), format!("include = ['routes/*.toml']\n{text}")).unwrap();
    assert!(gateway.reload().await.ok);
    let route = |name: &str| {
        format!(
            "[[routes]]\nname = '{name}'\npath = '/{name}'\nupstream = 'up'\n\
             response_headers = {{ set = {{ x-route = '{name}' }} }}\n"
        )
    };
    let in_force = |name: &'static str| {
        let gateway = &gateway;
        move || gateway.inner().snapshot().config.routes.iter().any(|route| &*route.name == name)
    };
    written_until(&routes.join("one.toml"), &route("one"), "the new file is in force", in_force("one")).await;
    assert_eq!(gateway.get("/one").await.header("x-route"), Some("one"));

    let bad = format!("{}colour = 'red'\n", route("two"));
    let is_refused = || gateway.inner().shared().metrics.gateway().reload_failures_total() > 0;
    written_until(&routes.join("two.toml"), &bad, "a bad one is refused", is_refused).await;
    assert_eq!(gateway.get("/two").await.header("x-route"), Some("main"));
    written_until(&routes.join("two.toml"), &route("two"), "its repair is in force", in_force("two")).await;
    assert_eq!(gateway.get("/two").await.header("x-route"), Some("two"));

    std::fs::remove_file(routes.join("one.toml")).unwrap();
    eventually("a file that is gone is not in force", || !in_force("one")()).await;
}

#[tokio::test]
async fn j3_a_bad_file_changes_nothing_and_says_so() {
    let upstream = echo().await;
    let gateway = Gateway::start(&routed("one", upstream.addr())).await;
    let bad =
        format!("{}[[routes]]\npath = '/x'\nupstream = 'nobody'\ncolour = 'red'\n", routed("two", upstream.addr()));
    gateway.rewrite(&bad);
    let report = gateway.admin("POST", "/reload").await;
    assert_eq!(report.status, 422);
    let problems = report.json()["problems"].as_array().unwrap().clone();
    assert_eq!(problems.len(), 2, "{problems:?}");
    let status = gateway.admin("GET", "/status").await.json();
    assert_eq!((&status["last_reload"]["ok"], &status["config"]["version"]), (&false.into(), &1.into()));
    assert_eq!(gateway.get("/").await.header("x-route"), Some("one"));
    assert!(gateway.metric("gateway_config_reload_failures_total").await.unwrap() >= 1.0);
    assert_eq!(gateway.metric("gateway_config_last_reload_ok").await, Some(0.0));
    assert_eq!(gateway.metric("gateway_config_version").await, Some(1.0));

    std::fs::remove_file(gateway.file()).unwrap();
    let report = gateway.admin("POST", "/reload").await;
    assert_eq!(report.status, 422);
    assert!(report.json()["error"].is_string(), "a file that is gone is no reason to stop");
    assert_eq!(gateway.get("/").await.header("x-route"), Some("one"));
}

#[tokio::test]
async fn j3_a_file_that_is_being_written_changes_nothing_until_somebody_says_that_it_is_meant() {
    let upstream = echo().await;
    let gateway = Gateway::start(&routed("one", upstream.addr())).await;
    std::fs::write(gateway.file(), "").unwrap();
    let report = gateway.reload_by("file").await;
    assert!(!report.ok && report.error.as_ref().unwrap().contains("gateway.toml is empty"), "{report:?}");
    gateway.rewrite("");
    let report = gateway.reload_by("file").await;
    assert!(!report.ok && report.error.as_ref().unwrap().contains("SIGHUP or POST /reload"), "{report:?}");
    assert_eq!(gateway.get("/").await.header("x-route"), Some("one"));
    // As it is told.
    assert_eq!(gateway.admin("POST", "/reload").await.status, 200);
    assert_eq!(gateway.get("/").await.status, 404);
}

#[tokio::test]
async fn what_is_perhaps_not_meant_is_told_with_a_reload() {
    let upstream = echo().await;
    let gateway = Gateway::start(&routed("one", upstream.addr())).await;
    let text = std::fs::read_to_string(gateway.file()).unwrap();
    std::fs::write(gateway.file(), format!("include = ['none/*.toml']\n{text}")).unwrap();
    let report = gateway.admin("POST", "/reload").await;
    assert_eq!((report.status, &report.json()["ok"]), (200, &true.into()));
    let told = report.json()["problems"][0].clone();
    assert_eq!((&told["severity"], &told["message"]), (&"warning".into(), &"\"none/*.toml\" matches no file".into()));
    assert_eq!(gateway.admin("GET", "/status").await.json()["last_reload"]["problems"][0], told);
}

/// What a process needs beside routes.
const AROUND: &str = "[server]\nworkers = 1\n[[listeners]]\naddress = '127.0.0.1:0'\n[admin]\naddress = '127.0.0.1:0'\n\
                      [telemetry.access_log]\noutput = 'off'\n";

/// A configuration whose only route has this name.
fn named(name: &str) -> String {
    format!("{AROUND}[[routes]]\nname = '{name}'\npath = '/'\nanswer = {{}}\n")
}

/// Waits until the only route has this name.
async fn in_force(running: &Running, name: &str) {
    eventually(&format!("{name} is in force"), || *running.gateway().snapshot().config.routes[0].name == *name).await;
}

#[tokio::test]
async fn a_change_before_anybody_watches_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.toml");
    std::fs::write(&file, named("one")).unwrap();
    let Loaded { config, files, .. } = load(&file, Purpose::Run).unwrap();
    std::fs::write(&file, named("two")).unwrap();
    let running = startup::start(config, Some(file), files).await.unwrap();
    in_force(&running, "two").await;
    running.drain().await;
}

#[tokio::test]
async fn what_links_lead_to_is_watched_and_so_is_where_they_lead() {
    let folder = tempfile::tempdir().unwrap();
    let at = |path: &str| folder.path().join(path);
    for (path, name) in [("releases/1", "one"), ("releases/2", "two"), ("releases/3", "three")] {
        std::fs::create_dir_all(at(path)).unwrap();
        std::fs::write(at(path).join("gateway.toml"), named(name)).unwrap();
    }
    let exchange = |target: &str, link: &str| {
        symlink(target, at("next")).unwrap();
        std::fs::rename(at("next"), at(link)).unwrap();
    };
    exchange("releases/1", "current");
    std::fs::create_dir(at("etc")).unwrap();
    exchange("../releases/3/gateway.toml", "etc/gateway.toml");
    let start = async |file: &str| {
        let Loaded { config, files, .. } = load(&at(file), Purpose::Run).unwrap();
        startup::start(config, Some(at(file)), files).await.unwrap()
    };
    let (by_folder, by_file) = (start("current/gateway.toml").await, start("etc/gateway.toml").await);
    exchange("releases/2", "current");
    in_force(&by_folder, "two").await;
    for (release, running, name) in [("releases/2", &by_folder, "four"), ("releases/3", &by_file, "five")] {
        std::fs::write(at("new.toml"), named(name)).unwrap();
        std::fs::rename(at("new.toml"), at(release).join("gateway.toml")).unwrap();
        in_force(running, name).await;
    }
    exchange("releases/1", "current");
    in_force(&by_folder, "one").await;
    tokio::join!(by_folder.drain(), by_file.drain());
}

#[tokio::test]
async fn a_pipe_in_the_files_place_is_refused_and_keeps_no_signal_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let (file, pipe) = (folder.path().join("gateway.toml"), folder.path().join("pipe"));
    std::fs::write(&file, named("one")).unwrap();
    let mut process = Process::start(&file).await;
    let made = tokio::process::Command::new("mkfifo").arg(&pipe).status().await.unwrap();
    assert!(made.success());
    std::fs::rename(&pipe, &file).unwrap();
    process.signal("HUP").await;
    let report = process.event("reload").await;
    assert!(report["error"].as_str().unwrap().ends_with("it is not a file"), "{report}");
    process.signal("TERM").await;
    process.event("drain").await;
    assert_eq!(process.ended().await, 0);
}

#[tokio::test]
async fn what_is_in_flight_ends_as_it_began_and_is_still_counted() {
    let gate = Gate::new();
    let ok = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let slow = Raw::script(Script::new().read_request().wait(&gate).send(ok).again()).await.unwrap();
    let fast = echo().await;
    let gateway = Gateway::start(&routed("one", slow.addr())).await;
    let mut client = gateway.client().await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    eventually("it is in flight", || gateway.in_flight() == 1).await;

    gateway.rewrite(&routed("two", fast.addr()));
    assert_eq!(gateway.admin("POST", "/reload").await.status, 200);
    assert_eq!(gateway.get("/").await.header("x-route"), Some("two"));
    // Back again: the endpoint is the same one, with what it still has in flight.
    gateway.rewrite(&routed("three", slow.addr()));
    assert_eq!(gateway.admin("POST", "/reload").await.status, 200);
    assert_eq!(gateway.in_flight(), 1, "the count outlives two reloads");

    gate.open();
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.header("x-route")), (200, Some("one")));
    gateway.at_rest().await;
    assert_eq!(gateway.get("/").await.header("x-route"), Some("three"));
}

#[tokio::test]
async fn what_needs_a_restart_is_named() {
    let upstream = echo().await;
    let gateway = Gateway::start(&routed("one", upstream.addr())).await;
    gateway.rewrite(&format!("[server]\nworkers = 3\n{}", routed("two", upstream.addr())));
    let report = gateway.admin("POST", "/reload").await.json();
    assert_eq!((&report["ok"], &report["needs_restart"]), (&true.into(), &serde_json::json!(["server.workers"])));
    assert_eq!(gateway.get("/").await.status, 200);
    assert_eq!(gateway.metric("gateway_config_needs_restart").await, Some(1.0));
    gateway.rewrite("colour = 'red'");
    let refused = gateway.admin("POST", "/reload").await;
    assert_eq!((refused.status, &refused.json()["needs_restart"]), (422, &report["needs_restart"]));
    let waits = gateway.metric("gateway_config_needs_restart").await;
    assert_eq!(waits, Some(1.0), "what is in force still waits for it");
    gateway.rewrite(&routed("three", upstream.addr()));
    assert_eq!(gateway.admin("POST", "/reload").await.status, 200);
    for (gauge, value) in [("gateway_config_needs_restart", 0.0), ("gateway_config_last_reload_ok", 1.0)] {
        assert_eq!(gateway.metric(gauge).await, Some(value), "{gauge}");
    }
}

#[tokio::test]
async fn signals_of_other_servers_open_the_log_anew_or_drain_and_kill_nobody() {
    let upstream = echo().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.toml");
    let around = "[[listeners]]\naddress = '127.0.0.1:0'\n[admin]\naddress = '127.0.0.1:0'\n\
                  [telemetry.access_log]\noutput = 'access.log'\n";
    std::fs::write(&file, format!("{around}{}", routed("one", upstream.addr()))).unwrap();
    let mut process = Process::start(&file).await;
    let mut client = crate::support::Client::connect(process.address).await;
    let (log, rotated) = (folder.path().join("access.log"), folder.path().join("access.log.1"));
    let lines = |path: &std::path::Path| std::fs::read_to_string(path).map_or(0, |text| text.lines().count());

    assert_eq!(client.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.status, 200);
    eventually("the first line", || lines(&log) == 1).await;
    std::fs::rename(&log, &rotated).unwrap();
    process.signal("USR1").await;
    eventually("a new file", || log.exists()).await;
    assert_eq!(client.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.status, 200);
    eventually("its line", || lines(&log) == 1).await;
    assert_eq!(lines(&rotated), 1);

    process.signal("USR2").await;
    assert_eq!(process.event("signal").await["signal"], "SIGUSR2");
    assert_eq!(client.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.status, 200);

    process.signal("QUIT").await;
    process.event("drain").await;
    assert_eq!(process.ended().await, 0);
}

#[tokio::test]
async fn a_hang_up_reloads_the_process() {
    let upstream = echo().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.toml");
    let write = |name: &str| {
        let around = "[[listeners]]\naddress = '127.0.0.1:0'\n[admin]\naddress = '127.0.0.1:0'\n\
                      [telemetry.access_log]\noutput = 'off'\n";
        std::fs::write(&file, format!("{around}{}", routed(name, upstream.addr()))).unwrap();
    };
    write("one");
    let mut process = Process::start(&file).await;
    write("two");
    process.signal("HUP").await;
    let report = process.event("reload").await;
    assert_eq!(report["ok"], true, "{report}");
    let mut client = crate::support::Client::connect(process.address).await;
    assert_eq!(client.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.header("x-route"), Some("two"));
}

#[tokio::test]
async fn a_rotated_access_log_is_let_go_of_though_the_file_is_refused() {
    let upstream = echo().await;
    let folder = tempfile::tempdir().unwrap();
    let (file, log) = (folder.path().join("gateway.toml"), folder.path().join("access.log"));
    let text = format!(
        "[[listeners]]\naddress = '127.0.0.1:0'\n[admin]\naddress = '127.0.0.1:0'\n\
         [telemetry.access_log]\noutput = '{}'\n{}",
        log.display(),
        routed("one", upstream.addr())
    );
    std::fs::write(&file, &text).unwrap();
    let mut process = Process::start(&file).await;
    std::fs::write(&file, format!("{text}colour = 'red'\n")).unwrap();
    let (address, admin) = (process.address, process.admin);
    let get = async |path: &str| {
        let mut client = crate::support::Client::connect(address).await;
        assert_eq!(client.ask(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")).await.status, 200);
    };
    let is_new = || eventually("the file is opened anew", || log.exists());
    let holds = async |path: &str| {
        let line = || std::fs::read_to_string(&log).unwrap().contains(&format!("\"{path}\""));
        eventually(&format!("{path} is in the new file"), line).await;
    };

    std::fs::rename(&log, folder.path().join("access.log.1")).unwrap();
    process.signal("HUP").await;
    // The file's watcher may be first, and opens nothing.
    let report = loop {
        let report = process.event("reload").await;
        if report["cause"] == "signal" {
            break report;
        }
    };
    assert_eq!(report["ok"], false, "{report}");
    is_new().await;
    get("/signalled").await;
    holds("/signalled").await;

    std::fs::rename(&log, folder.path().join("access.log.2")).unwrap();
    let head = format!("POST /reload HTTP/1.1\r\nhost: {admin}\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(crate::support::Client::connect(admin).await.ask(head).await.status, 422);
    is_new().await;
    get("/asked").await;
    holds("/asked").await;
}
