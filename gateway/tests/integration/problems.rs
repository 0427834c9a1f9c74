//! What is wrong now, since when, in one place: `GET /problems` and `/status`, and `gateway status`.

use mocks::Rule;
use serde_json::{Value, json};

use crate::support::{Authority, Events, Gateway, Process, echo, guarded, quoted};

async fn problems(gateway: &Gateway) -> Value {
    gateway.admin("GET", "/problems").await.json()
}

/// Waits for a problem of this kind; it.
async fn problem(gateway: &Gateway, what: &str) -> Value {
    let find = async {
        loop {
            let told = problems(gateway).await;
            if let Some(found) = told["problems"].as_array().unwrap().iter().find(|it| it["what"] == what) {
                return found.clone();
            }
        }
    };
    guarded(&format!("a problem `{what}`"), find).await
}

/// Waits until nothing is wrong; what healed.
async fn peace(gateway: &Gateway) -> Value {
    let find = async {
        loop {
            let told = problems(gateway).await;
            if told["problems"] == json!([]) {
                return told["healed"].clone();
            }
        }
    };
    guarded("nothing is wrong", find).await
}

#[tokio::test]
async fn an_upstream_that_is_down_is_one_problem_with_whom_it_is_felt_by_and_healed_it_is_gone() {
    let (orders, users) = (echo().await, echo().await);
    let breaker = "breaker = { consecutive_failures = 3, open_for = '100ms', max_open_for = '100ms' }";
    let gateway = Gateway::start(&format!(
        "[upstreams.orders]\nendpoints = ['{}']\n{breaker}\n[upstreams.users]\nendpoints = ['{}']\n\
         [[routes]]\nname = 'o'\npath = '/o/{{*rest}}'\nupstream = 'orders'\n\
         [[routes]]\nname = 'u'\npath = '/u/{{*rest}}'\nupstream = 'users'\n",
        orders.addr(),
        users.addr()
    ))
    .await;
    assert_eq!(problems(&gateway).await, json!({ "problems": [], "healed": [] }));
    orders.set_rules([Rule::any().status(503)]);
    for _ in 0..3 {
        gateway.get("/o/1").await;
    }
    let told = problem(&gateway, "upstream").await;
    assert_eq!((&told["name"], &told["severity"]), (&json!("orders"), &json!("bad")));
    assert_eq!(told["affects"], json!({ "all": false, "routes": ["o"], "more": 0 }));
    let why = told["why"].as_str().unwrap();
    assert!(why.starts_with(&format!("1 of 1 endpoints out: {}: its breaker is", orders.addr())), "{why}");
    let since = told["since"].clone();
    // It is tried and fails: it is the same outage.
    while orders.counters().requests < 5 {
        gateway.get("/o/1").await;
    }
    assert_eq!(problem(&gateway, "upstream").await["since"], since);
    assert_eq!(gateway.admin("GET", "/status").await.json()["problems"][0]["since"], since);
    orders.set_rules([]);
    let healed = guarded("it is back", async {
        loop {
            gateway.get("/o/1").await;
            let told = problems(&gateway).await;
            if told["problems"] == json!([]) {
                return told["healed"][0].clone();
            }
        }
    })
    .await;
    assert_eq!((&healed["what"], &healed["name"], &healed["since"]), (&json!("upstream"), &json!("orders"), &since));
}

#[tokio::test]
async fn a_reload_that_is_refused_is_a_problem_until_one_is_not() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    let good = std::fs::read_to_string(gateway.file()).unwrap();
    std::fs::write(gateway.file(), "[[routes]]\npath = '/'\nupstreem = 'x'\n").unwrap();
    gateway.admin("POST", "/reload").await;
    let told = problem(&gateway, "reload").await;
    assert!(told["why"].as_str().unwrap().contains("gateway.toml:3: unknown key"), "{told}");
    std::fs::write(gateway.file(), good).unwrap();
    gateway.admin("POST", "/reload").await;
    assert_eq!(peace(&gateway).await[0]["what"], "reload");
}

/// A gateway whose one listener, `web`, shows this certificate.
async fn over_tls(cert: &std::path::Path, key: &std::path::Path, upstream: &mocks::Mock) -> Gateway {
    let tls = format!("cert = {}, key = {}", quoted(cert), quoted(key));
    Gateway::start(&format!(
        "[[listeners]]\nname = 'web'\naddress = '127.0.0.1:0'\ntls = {{ {tls} }}\n\
         [[routes]]\npath = '/'\nupstream = 'http://{}'\n",
        upstream.addr()
    ))
    .await
}

#[tokio::test]
async fn a_certificate_that_ends_soon_is_told_of_by_a_reload_an_event_and_as_a_problem() {
    let (upstream, authority) = (echo().await, Authority::new());
    let (cert, key) = authority.write_ending_in("a", &["a.test"], 3 * 86_400 - 600);
    let gateway = over_tls(&cert, &key, &upstream).await;
    let told = problem(&gateway, "certificate").await;
    assert_eq!((&told["name"], &told["severity"]), (&json!("a.test at web"), &json!("warn")));
    assert_eq!((&told["why"], &told["affects"]["all"]), (&json!("it ends in 3 days"), &json!(true)));
    let mut events = Events::of(&gateway, "?after=0&kinds=certificate").await;
    let event = &events.next(1).await[0];
    assert_eq!((&event["listener"], &event["certificate"]), (&json!("web"), &json!("a.test")));
    let reloaded = gateway.admin("POST", "/reload").await.json();
    let warned = reloaded["problems"].to_string();
    assert!(warned.contains("the certificate ends in 3 days: it is valid until"), "{warned}");
    // Another in its place, and nothing is wrong.
    authority.write("a", &["a.test"]);
    gateway.admin("POST", "/reload").await;
    assert_eq!(peace(&gateway).await[0]["what"], "certificate");
}

#[tokio::test]
async fn a_certificate_that_lives_for_hours_is_no_problem_while_it_may_still_be_renewed() {
    let (upstream, authority) = (echo().await, Authority::new());
    // Six hours of eight are left, then two.
    let (cert, key) = authority.write_living("a", &["a.test"], 7_200, 6 * 3_600);
    let gateway = over_tls(&cert, &key, &upstream).await;
    let status = gateway.admin("GET", "/problems").await.json();
    assert_eq!(status["problems"], json!([]));
    let listener = "gateway_tls_certificate_due_seconds{listener=\"127.0.0.1:0\"}";
    let ends = gateway.metric("gateway_tls_certificate_expiry_seconds{listener=\"127.0.0.1:0\"}").await.unwrap();
    assert_eq!(gateway.metric(listener).await, Some(ends - 9_600.0), "a third of its time");
    authority.write_living("a", &["a.test"], 6 * 3_600, 7_200);
    let reloaded = gateway.admin("POST", "/reload").await.json();
    assert!(reloaded["problems"].to_string().contains("the certificate ends in 2 hours"), "{reloaded}");
    assert_eq!(problem(&gateway, "certificate").await["severity"], "warn");
}

#[tokio::test]
async fn the_command_says_what_is_wrong_and_its_code_whether_anything_is() {
    let gateway = Gateway::start(
        "[upstreams.dead]\nendpoints = ['127.0.0.1:1']\n\
         health = { path = '/', interval = '100ms', timeout = '1s', unhealthy_after = 1 }\n\
         [[routes]]\nname = 'r'\npath = '/'\nupstream = 'dead'\n",
    )
    .await;
    problem(&gateway, "upstream").await;
    let admin = gateway.admin.to_string();
    let folder = tempfile::tempdir().unwrap();
    let (code, said, _) = Process::run(&["status", "--admin", &admin], folder.path()).await;
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("bad upstream dead") && said.contains("felt by  r"), "{said}");
}

#[tokio::test]
async fn a_breaker_that_nobody_asks_waits_for_requests_and_names_no_time() {
    let orders = echo().await;
    let breaker = "breaker = { consecutive_failures = 1, open_for = '10ms', max_open_for = '10ms' }";
    let gateway = Gateway::start(&format!(
        "[upstreams.orders]\nendpoints = ['{}']\n{breaker}\n[[routes]]\npath = '/'\nupstream = 'orders'\n",
        orders.addr()
    ))
    .await;
    orders.set_rules([Rule::any().status(503)]);
    gateway.get("/").await;
    let told = guarded("it is half-open", async {
        loop {
            let told = problem(&gateway, "upstream").await;
            if told["why"].as_str().unwrap().contains("half-open") {
                return told;
            }
        }
    })
    .await;
    let why = told["why"].as_str().unwrap();
    assert!(why.contains("half-open: the next requests try it (consecutive_failures; last failure 503)"), "{why}");
    assert!(told["remedy"].as_str().unwrap().starts_with("it waits for requests"), "{told}");
    let shown = gateway.admin("GET", "/upstreams").await.json()["upstreams"][0]["endpoints"][0].clone();
    assert_eq!(shown["breaker"], "half_open");
}

#[tokio::test]
async fn what_an_endpoint_failed_with_last_is_told_wherever_its_breaker_is() {
    let gateway = Gateway::start(
        "[upstreams.billing]\nendpoints = ['127.0.0.1:1']\nbreaker = { consecutive_failures = 2, open_for = '60s' }\n\
         [[routes]]\nname = 'r'\npath = '/'\nupstream = 'billing'\nretry = { attempts = 1 }\n",
    )
    .await;
    let mut events = Events::of(&gateway, "?kinds=breaker").await;
    for _ in 0..2 {
        gateway.get("/").await;
    }
    let told = events.next(2).await;
    let failure = told[0]["failure"].as_str().unwrap();
    assert!(failure.starts_with("connect: ") && failure.contains("refused"), "{told:?}");
    assert_eq!(told[1]["cause"], "all_endpoints_out");
    let endpoint = gateway.admin("GET", "/upstreams").await.json()["upstreams"][0]["endpoints"][0].clone();
    assert_eq!(endpoint["last_failure"]["outcome"], "connect");
    let reason = endpoint["reasons"][0].as_str().unwrap();
    assert_eq!(reason, format!("its breaker is open (consecutive_failures; last failure {failure})"));
    assert_eq!(told[1]["endpoints"][0], format!("127.0.0.1:1: {reason}"));
    let why = problem(&gateway, "upstream").await["why"].clone();
    assert_eq!(why, format!("1 of 1 endpoints out: 127.0.0.1:1: {reason}"));
}
