//! What a program gets of a gateway that it has mounted: the admin API, reloads, what happened; and that nothing else
//! comes out of it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use gateway::builder::Builder;
use gateway::gateway::Gateway;
use http_body_util::BodyExt;
use mocks::{Mock, Rule};
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt;

use crate::support::{Browser, Client, echo, eventually, guarded, nowhere};

#[path = "../../examples/operate.rs"]
mod operate;

/// `ops:secret`
const OPS: &str = "authorization: Basic b3BzOnNlY3JldA==";

fn route(path: &str, upstream: &Mock) -> String {
    format!("[[routes]]\nname = '{path}'\npath = '{path}'\nupstream = 'http://{}'\n", upstream.addr())
}

fn file(text: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.toml");
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

/// What a router answers: status, and the body as text.
async fn ask(router: &Router, method: &str, path: &str, fields: &[(&str, &str)]) -> (u16, String) {
    let request = http::Request::builder().method(method).uri(path).header("host", "a");
    let request = fields.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let answer = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let status = answer.status().as_u16();
    let location = answer.headers().get("location").map(|value| value.to_str().unwrap().to_owned());
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, location.unwrap_or_else(|| String::from_utf8(body.to_vec()).unwrap()))
}

async fn json(router: &Router, path: &str) -> Value {
    let (status, text) = ask(router, "GET", path, &[]).await;
    assert_eq!(status, 200, "{path}: {text}");
    serde_json::from_str(&text).unwrap()
}

/// A gateway of this text, as `change` has it; and its admin API.
fn built(text: &str, change: impl FnOnce(Builder) -> Builder) -> (Arc<Gateway>, Router) {
    let gateway = change(Gateway::builder().config_text(text)).build().unwrap();
    let router = gateway.admin_router();
    (gateway, router)
}

fn path_asked(gateway: &Arc<Gateway>, path: &str) -> impl Future<Output = (u16, String)> + use<> {
    let (program, path) = (Router::new().fallback_service(Arc::clone(gateway).into_service()), path.to_owned());
    async move { ask(&program, "GET", &path, &[]).await }
}

#[tokio::test]
async fn the_example_shows_operators_its_gateway_reloads_it_and_ends_by_it() {
    let upstream = echo().await;
    let (folder, path) = file(&route("/a", &upstream));
    let said = Arc::new(Mutex::new(Vec::<Value>::new()));
    let log = Arc::clone(&said);
    let gateway =
        operate::gateway(&path, move |line| log.lock().unwrap().push(serde_json::from_str(line).unwrap())).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(operate::serve(listener, gateway, "ops:secret"));
    let mut client = Client::connect(address).await;
    let get = |path: &str, fields: &str| format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n{fields}\r\n");
    let post = |path: &str| format!("POST {path} HTTP/1.1\r\nhost: {address}\r\n{OPS}\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(client.ask(get("/ops/status", "")).await.status, 401, "the program says who may");
    let status = client.ask(get("/ops/status", &format!("{OPS}\r\n"))).await.json();
    assert_eq!((&status["draining"], &status["connections"]), (&false.into(), &Value::Null));
    assert_eq!(client.ask(get("/a", "")).await.echo().path(), "/a");
    eventually("its record is in the program's log", || said.lock().unwrap().iter().any(|it| it["path"] == "/a")).await;

    std::fs::write(&path, "[[routes]]\npath = '/b'\nupstreem = 'x'\n").unwrap();
    let refused = client.ask(post("/ops/reload")).await;
    let problems = refused.json()["problems"].to_string();
    assert!(refused.status == 422 && problems.contains("upstreem"), "{problems}");
    assert_eq!(client.ask(get("/a", "")).await.status, 200, "a bad one changes nothing");
    std::fs::write(&path, route("/b", &upstream)).unwrap();
    assert_eq!(client.ask(post("/ops/reload")).await.status, 200);
    assert_eq!(client.ask(get("/b", "")).await.echo().path(), "/b");
    assert_eq!(client.ask(get("/a", "")).await.status, 404);

    assert_eq!(client.ask(post("/ops/drain")).await.status, 202);
    guarded("the program ends by itself", serving).await.unwrap().unwrap();
    let kinds: Vec<String> =
        said.lock().unwrap().iter().filter_map(|it| it["kind"].as_str().map(str::to_owned)).collect();
    for kind in ["reload", "admin"] {
        assert!(kinds.iter().any(|it| it == kind), "{kind} is among {kinds:?}");
    }
    drop(folder);
}

#[tokio::test]
async fn the_admin_api_is_all_there_below_any_path() {
    let upstream = echo().await;
    let (gateway, admin) = built(&route("/{*rest}", &upstream), |builder| builder);
    let beside = Router::new().nest_service("/x/y", admin.clone());
    let program = Router::new().nest("/ops", admin).merge(beside).fallback_service(gateway.into_service());
    assert_eq!(ask(&program, "GET", "/anything", &[]).await.0, 200);
    for path in [
        "livez",
        "readyz",
        "metrics",
        "status",
        "problems",
        "config",
        "upstreams",
        "breakers",
        "limits",
        "routes",
        "requests",
        "cache",
        "jwks.json",
        "openapi.json",
        "explain?url=/a",
        "docs",
        "index.html",
        "page.js",
        "page.css",
        "docs.js",
    ] {
        let (status, text) = ask(&program, "GET", &format!("/ops/{path}"), &[]).await;
        assert_eq!(status, 200, "{path}: {text}");
        assert_eq!(ask(&program, "GET", &format!("/x/y/{path}"), &[]).await.0, 200, "{path}");
    }
    // What the page names is beside it: it is sent to where that is.
    assert_eq!(ask(&program, "GET", "/ops", &[]).await, (307, "./ops/index.html".to_owned()));
    assert_eq!(ask(&program, "GET", "/x/y", &[]).await, (307, "./y/index.html".to_owned()));
    let (status, page) = ask(&program, "GET", "/x/y/", &[]).await;
    assert!(status == 200 && page.contains("<script src=\"page.js\""));
    // What is not looked at is not said to be in force.
    let config = json(&program, "/ops/config").await;
    assert_eq!((&config["listeners"], &config["admin"]), (&Value::Array(Vec::new()), &Value::Null));
    let effective = &config["effective"];
    assert_eq!((effective.get("listeners"), effective.get("admin")), (None, None));
    assert_eq!(
        (&config["file"], &effective["telemetry"]["access_log"]["output"]),
        (&"config_text".into(), &"off".into())
    );
    assert!(effective["routes"].is_object(), "{effective}");
    assert_eq!(json(&program, "/ops/openapi.json").await["servers"], Value::Array(Vec::new()));
    assert_eq!(ask(&program, "GET", "/ops/nothing", &[]).await.0, 404);
}

#[tokio::test]
async fn a_page_of_another_site_changes_nothing_and_what_changes_is_told() {
    let heard = Arc::new(Mutex::new(Vec::<Value>::new()));
    let into = Arc::clone(&heard);
    let (gateway, admin) = built("", |builder| {
        builder.events(move |event| into.lock().unwrap().push(serde_json::from_str(event.json()).unwrap()))
    });
    let other = [("origin", "http://evil.example")];
    assert_eq!(ask(&admin, "POST", "/drain", &other).await.0, 403);
    assert!(!gateway.is_draining());
    // Over HTTP/2 the host stands in the URI.
    let own = http::Request::post("https://ops.example/drain").version(http::Version::HTTP_2);
    let own = own.header("origin", "https://ops.example").body(Body::empty()).unwrap();
    let begun = gateway.drain_begun();
    assert_eq!(admin.clone().oneshot(own).await.unwrap().status(), 202);
    guarded("the program is told", begun).await;
    assert_eq!(ask(&admin, "GET", "/readyz", &[]).await, (503, "draining\n".to_owned()));
    assert_eq!(path_asked(&gateway, "/a").await.0, 404, "requests are answered until the program ends");
    let has = |wanted: [&str; 3]| {
        let heard = heard.lock().unwrap();
        heard.iter().any(|it| [&it["kind"], &it["who"], &it["result"]] == wanted.map(Value::from).each_ref())
    };
    eventually("a refusal is told", || has(["admin", "nobody", "refused"])).await;
    eventually("and who was let in", || has(["admin", "program", "done"])).await;
}

#[tokio::test]
async fn metrics_are_a_text() {
    let upstream = echo().await;
    let (gateway, admin) = built(&route("/{*rest}", &upstream), |builder| builder);
    assert_eq!(path_asked(&gateway, "/a").await.0, 200);
    let text = gateway.metrics();
    assert!(text.contains("gateway_requests_total{route=\"/{*rest}\",status_class=\"2xx\""), "{text}");
    assert!(text.contains("\nprocess_resident_memory_bytes "));
    let page = ask(&admin, "GET", "/metrics", &[]).await.1;
    let names =
        |text: &str| text.lines().filter(|line| line.starts_with("# TYPE")).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(names(&text), names(&page));
}

#[tokio::test]
async fn a_text_takes_the_place_of_another_and_a_bad_one_of_none() {
    let upstream = echo().await;
    let (gateway, admin) = built(&route("/a", &upstream), |builder| builder);
    assert_eq!(path_asked(&gateway, "/a").await.0, 200);
    let requests = || upstream.journal().len();
    let before = requests();
    for bad in ["[[routes]]\npath = '/b'\n", "this is no TOML", "[[routes]]\npath = '/b'\nhandler = 'nobody'\n"] {
        let error = gateway.reload_text(bad).await.unwrap_err();
        assert!(error.to_string().starts_with("config_text:"), "{error}");
        assert!(!error.report().problems.is_empty() && error.report().version == 1);
    }
    assert_eq!(json(&admin, "/status").await["config"]["version"], 1);
    assert_eq!(json(&admin, "/problems").await["problems"][0]["what"], "reload");
    assert_eq!((path_asked(&gateway, "/a").await.0, path_asked(&gateway, "/b").await.0), (200, 404));
    assert_eq!(requests(), before + 1);

    let report = gateway.reload_text(route("/b", &upstream)).await.unwrap();
    assert_eq!((report.version, report.cause, report.needs_restart.len()), (2, "program", 0));
    assert_eq!((path_asked(&gateway, "/a").await.0, path_asked(&gateway, "/b").await.0), (404, 200));
    assert!(json(&admin, "/problems").await["problems"].as_array().unwrap().is_empty());
    // There is no file.
    let none = gateway.reload().await.unwrap_err();
    assert_eq!(none.to_string(), "the gateway was started without a file");
    assert_eq!(ask(&admin, "POST", "/reload", &[]).await.0, 422);
    assert!(json(&admin, "/problems").await["problems"].as_array().unwrap().is_empty(), "nothing could be mended");
    assert_eq!(path_asked(&gateway, "/b").await.0, 200);
}

#[tokio::test]
async fn a_file_is_read_when_the_program_says_so_and_a_text_does_not_take_its_place_for_good() {
    let upstream = echo().await;
    let (_folder, path) = file(&route("/a", &upstream));
    let gateway = Gateway::builder().config_file(&path).build().unwrap();
    let served = async |path: &str| path_asked(&gateway, path).await.0 == 200;
    std::fs::write(&path, route("/b", &upstream)).unwrap();
    assert!(served("/a").await, "nobody watches it");
    gateway.reload_text(route("/c", &upstream)).await.unwrap();
    assert!(served("/c").await && !served("/a").await);
    let report = gateway.reload().await.unwrap();
    assert!(report.version == 3 && served("/b").await && !served("/c").await);
    std::fs::remove_file(&path).unwrap();
    let gone = gateway.reload().await.unwrap_err();
    assert!(gone.to_string().starts_with("cannot read "), "{gone}");
    assert!(served("/b").await);
}

#[tokio::test]
async fn what_is_written_and_not_looked_at_is_a_warning_of_the_mounted_one_alone() {
    let text = "[admin]\naddress = '127.0.0.1:0'\n\n[[listeners]]\naddress = '127.0.0.1:0'\n[[routes]]\npath = '/a'\nanswer = {}\n";
    assert!(Gateway::builder().config_text(text).check().unwrap().is_empty());
    let heard = Arc::new(Mutex::new(Vec::<Value>::new()));
    let into = Arc::clone(&heard);
    let (gateway, admin) = built(text, |builder| {
        builder.events(move |event| into.lock().unwrap().push(serde_json::from_str(event.json()).unwrap()))
    });
    let warnings = gateway.warnings();
    let told: Vec<(usize, &str)> = warnings.iter().map(|it| (it.line, &*it.message)).collect();
    let of = |key: &str| format!("`{key}` is not looked at by a gateway that is mounted in a program");
    assert_eq!(told, [(1, &*of("admin")), (4, &*of("listeners"))]);
    let heard = heard.lock().unwrap().clone();
    assert_eq!(heard.iter().map(|it| &it["kind"]).collect::<Vec<_>>(), ["warning", "warning"]);
    assert_eq!(heard[0]["message"], of("admin"));
    assert_eq!(json(&admin, "/status").await["warnings"].as_array().unwrap().len(), 2);
    gateway.reload_text("[[routes]]\npath = '/a'\nanswer = {}\n").await.unwrap();
    assert!(gateway.warnings().is_empty());
}

#[tokio::test]
async fn records_go_to_the_program_or_where_it_is_written_and_else_nowhere() {
    let log_of = |telemetry: &str| {
        let text = format!("{telemetry}\n[[routes]]\npath = '/a'\nanswer = {{}}\n");
        let (gateway, _) = built(&text, |builder| builder);
        gateway.shared().log.is_on()
    };
    assert!(
        !log_of("")
            && !log_of("[telemetry.access_log]\nsample = 0.5")
            && !log_of("[telemetry.access_log]\noutput = 'off'")
    );
    assert!(log_of("[telemetry.access_log]\noutput = 'stdout'"));

    let taken = Arc::new(Mutex::new(Vec::<Value>::new()));
    let into = Arc::clone(&taken);
    let text = "[telemetry.access_log]\noutput = 'off'\n[[routes]]\npath = '/a'\nanswer = {}\n";
    let (gateway, _) = built(text, |builder| {
        builder.records(move |record| into.lock().unwrap().push(serde_json::from_str(&record.to_string()).unwrap()))
    });
    assert_eq!(path_asked(&gateway, "/a?secret=1").await.0, 200);
    eventually("the record is there", || taken.lock().unwrap().len() == 1).await;
    gateway.reload_text(text).await.unwrap();
    assert_eq!(path_asked(&gateway, "/b").await.0, 404);
    eventually("and the next", || taken.lock().unwrap().len() == 2).await;
    let told: Vec<(Value, Value)> =
        taken.lock().unwrap().iter().map(|it| (it["path"].clone(), it["status"].clone())).collect();
    assert_eq!(told, [("/a".into(), 200.into()), ("/b".into(), 404.into())]);
}

#[tokio::test]
async fn what_happens_comes_to_the_program_in_its_order() {
    let upstream = echo().await;
    upstream.set_rules([Rule::any().status(503)]);
    let text = format!(
        "[upstreams.up]\nendpoints = ['{}']\nbreaker = {{ consecutive_failures = 2, open_for = '60s' }}\n\
         [[routes]]\npath = '/a'\nupstream = 'up'\nretry = {{ attempts = 1 }}\n",
        upstream.addr()
    );
    let heard = Arc::new(Mutex::new(Vec::<(String, Value)>::new()));
    let into = Arc::clone(&heard);
    let (gateway, _) = built(&text, |builder| {
        builder.events(move |event| {
            into.lock().unwrap().push((event.kind().to_owned(), serde_json::from_str(event.json()).unwrap()));
        })
    });
    for _ in 0..2 {
        path_asked(&gateway, "/a").await;
    }
    let breaker = |it: &(String, Value)| it.0 == "breaker" && it.1["to"] == "open" && it.1["endpoint"].is_string();
    eventually("the breaker is told", || heard.lock().unwrap().iter().any(breaker)).await;
    gateway.begin_drain();
    eventually("and what came later", || heard.lock().unwrap().last().is_some_and(|it| it.0 == "drain")).await;
    assert!(heard.lock().unwrap().iter().all(|(kind, event)| *kind == event["kind"]));
}

/// `nothing_comes_out_of_a_mounted_gateway_unasked` runs it in a process of its own, and reads what that has written.
#[tokio::test]
async fn a_program_that_mounts_a_gateway_and_says_nothing() {
    let refused = nowhere();
    let text = format!(
        "[admin]\n[[listeners]]\n[upstreams.up]\nendpoints = ['{refused}']\n\
         breaker = {{ consecutive_failures = 1, open_for = '60s' }}\n\
         health = {{ path = '/', interval = '100ms', timeout = '1s', unhealthy_after = 1 }}\n\
         [upstreams.nobody]\ndiscovery = {{ dns = 'nobody.invalid:80' }}\n\
         [[routes]]\npath = '/a'\nupstream = 'up'\n[[routes]]\npath = '/b'\nupstream = 'nobody'\n"
    );
    let (gateway, admin) = built(&text, |builder| builder);
    assert_eq!(gateway.warnings().len(), 2);
    for path in ["/a", "/a", "/b", "/c"] {
        assert!(path_asked(&gateway, path).await.0 >= 400);
    }
    let is_unhealthy =
        || !gateway.upstreams().iter().all(|it| it.active().endpoints.iter().all(|it| it.health.is_healthy()));
    eventually("its checks fail", is_unhealthy).await;
    assert!(gateway.reload_text("no").await.is_err());
    assert_eq!(ask(&admin, "POST", "/reload", &[]).await.0, 422);
    gateway.begin_drain();
}

#[tokio::test]
async fn nothing_comes_out_of_a_mounted_gateway_unasked() {
    let program = std::env::current_exe().unwrap();
    let name = "mounted_outputs::a_program_that_mounts_a_gateway_and_says_nothing";
    let mut command = tokio::process::Command::new(program);
    command.args(["--exact", name, "--nocapture"]).kill_on_drop(true);
    let output = guarded("the program ends", command.output()).await.unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains("1 passed"), "{out}{err}");
    assert!(!out.contains('{') && err.is_empty(), "out: {out}\nerr: {err}");
}

#[tokio::test]
async fn a_gateway_whose_router_its_program_has_dropped_is_gone() {
    let upstream = echo().await;
    let (gateway, admin) = built(&route("/{*rest}", &upstream), |builder| builder.events(|_| ()));
    let (whole, shared) = (Arc::downgrade(&gateway), Arc::downgrade(gateway.shared()));
    drop(gateway);
    assert_eq!(ask(&admin, "GET", "/livez", &[]).await.0, 200, "the router holds it");
    drop(admin);
    eventually("it is gone", || whole.upgrade().is_none()).await;
    eventually("and its tasks", || shared.upgrade().is_none()).await;
}

#[test]
fn outside_a_runtime_there_is_an_admin_api_all_the_same() {
    let (gateway, admin) = built("[[routes]]\npath = '/a'\nanswer = {}\n", |builder| builder.events(|_| ()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (status, _) = runtime.block_on(ask(&admin, "GET", "/status", &[]));
    assert!(status == 200 && gateway.metrics().contains("gateway_config_version 1"));
}

#[tokio::test]
async fn the_page_works_below_a_path_of_the_program() {
    let upstream = echo().await;
    let (gateway, admin) = built(&route("/{*rest}", &upstream), |builder| builder);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let program = Router::new().nest("/ops", admin).fallback_service(gateway.into_service());
    tokio::spawn(async move { axum::serve(listener, program).await });
    let Some(mut browser) = Browser::open(&format!("http://{address}/ops")).await else { return };
    browser.until("document.getElementById('state').textContent === 'serving'").await;
    browser.until("document.getElementById('feed-state').textContent === 'live'").await;
    browser.until("document.querySelectorAll('#routes tr').length === 1").await;
    // Each is where the other says that it is.
    let leads = |link: &str, to: &str| {
        format!("document.querySelector('a[href=\"{link}\"]')?.href === 'http://{address}/ops/{to}'")
    };
    browser.until(&leads("docs", "docs")).await;
    assert!(browser.complaints.is_empty(), "{:?}", browser.complaints);
    let Some(mut browser) = Browser::open(&format!("http://{address}/ops/docs")).await else { return };
    browser.until("document.getElementById('facts').textContent.includes('operation')").await;
    browser.until(&leads("index.html", "index.html")).await;
    assert!(browser.complaints.is_empty(), "{:?}", browser.complaints);
}

#[tokio::test]
async fn the_same_seed_and_the_same_requests_give_the_same_choices() {
    let upstreams = [echo().await, echo().await];
    let text = format!(
        "[upstreams.up]\nendpoints = ['{}', '{}']\nbalance = 'random'\n[[routes]]\npath = '/{{*rest}}'\nupstream = 'up'\n",
        upstreams[0].addr(),
        upstreams[1].addr()
    );
    let chosen = async |seed: u64| {
        let (gateway, _) = built(&text, |builder| builder.seed(seed).shards(1));
        let before = upstreams[0].counters().requests;
        let service = gateway.into_service();
        let mut ids = Vec::new();
        for _ in 0..20 {
            let request = http::Request::get("/a").header("host", "a").body(Body::empty()).unwrap();
            let answer = service.clone().oneshot(request).await.unwrap();
            ids.push(answer.headers()["x-request-id"].clone());
            answer.into_body().collect().await.unwrap();
        }
        (ids, upstreams[0].counters().requests - before)
    };
    let (first, again, other) = (chosen(7).await, chosen(7).await, chosen(8).await);
    assert_eq!(first, again);
    assert_ne!(first.0, other.0);
}

#[tokio::test]
async fn a_mounted_gateway_takes_no_socket() {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let error = Gateway::builder().config_text("").listener("web", socket).build().map(drop).unwrap_err();
    assert!(error.to_string().contains("\"web\" is for `start` or `run`"), "{error}");
    let missing = Path::new("/no/such/gateway.toml");
    assert!(Gateway::builder().config_file(missing).build().is_err());
}

#[tokio::test]
async fn who_follows_what_happens_does_not_keep_the_program_from_its_end() {
    let (gateway, admin) = built("[[routes]]\npath = '/a'\nanswer = {}\n", |builder| builder);
    let request = http::Request::builder().uri("/events").header("host", "a").body(Body::empty()).unwrap();
    let answer = admin.oneshot(request).await.unwrap();
    gateway.begin_drain();
    let all = guarded("the answer ends", answer.into_body().collect()).await.unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&all).contains("event: drain"), "the last that is told: {all:?}");
}

#[tokio::test]
async fn what_a_mounted_gateway_still_answers_in_a_drain_is_told() {
    let upstream = echo().await;
    upstream.set_rules([Rule::any().effect(mocks::Effect::Hang)]);
    let (gateway, admin) = built(&route("/{*rest}", &upstream), |builder| builder);
    let hanging = tokio::spawn(path_asked(&gateway, "/slow"));
    upstream.wait_for_requests(1).await;
    gateway.begin_drain();
    let drain = json(&admin, "/status").await["drain"].clone();
    let seen = (&drain["closing"], &drain["connections"], &drain["endpoints"][0]["in_flight"]);
    assert_eq!(seen, (&Value::Bool(true), &Value::Null, &Value::from(1)), "{drain}");
    let problems = json(&admin, "/problems").await.to_string();
    assert!(problems.contains("the program around the gateway ends when it thinks fit"), "{problems}");
    hanging.abort();
}
