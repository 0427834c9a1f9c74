//! What is wrong now, since when, in one place: `GET /problems` and `/status`, and `gateway status`.

use mocks::Rule;
use serde_json::{Value, json};

use crate::support::{Authority, Events, Gateway, Process, echo, guarded, nowhere, one_route, quoted};

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
    // A pattern that matches no file is a warning, and none of the reasons.
    let bad = "include = ['more/*.toml']\n[[routes]]\npath = '/'\nupstreem = 'x'\n";
    std::fs::write(gateway.file(), bad).unwrap();
    gateway.admin("POST", "/reload").await;
    let told = problem(&gateway, "reload").await;
    let why = told["why"].as_str().unwrap();
    let first = "gateway.toml:4:1: unknown key \"upstreem\" in [[routes]] (did you mean \"upstream\"?)";
    assert!(why.ends_with(first), "{told}");
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
async fn who_serves_though_its_check_asks_for_what_it_does_not_have_is_not_called_out() {
    let upstream = echo().await;
    upstream.set_rules([Rule::on("/healthz").status(404)]);
    let gateway = Gateway::start(&format!(
        "[upstreams.o]\nendpoints = ['{}']\n\
         health = {{ path = '/healthz', interval = '100ms', timeout = '1s', unhealthy_after = 1 }}\n\
         [[routes]]\nname = 'r'\npath = '/{{*rest}}'\nupstream = 'o'\n",
        upstream.addr()
    ))
    .await;
    let told = problem(&gateway, "upstream").await;
    assert_eq!(gateway.statuses(3).await, [200; 3]);
    let why = "its health checks fail (status 404)";
    let wanted =
        format!("1 of 1 endpoints should be out, and takes requests as the last one: {}: {why}", upstream.addr());
    assert_eq!((&told["severity"], &told["why"]), (&json!("warn"), &json!(wanted)));
    assert!(told["remedy"].as_str().unwrap().contains("`health`"), "{told}");
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

/// A gateway whose one route asks an upstream `may`, there, whether its requests may pass.
async fn asking(authority: std::net::SocketAddr, keys: &str, upstream: &mocks::Mock) -> Gateway {
    Gateway::start(&format!(
        "[upstreams.up]\nendpoints = ['{}']\n[upstreams.may]\nendpoints = ['{authority}']\n\
         [[routes]]\nname = 'guarded'\npath = '/{{*rest}}'\nupstream = 'up'\n\
         forward_auth = {{ upstream = 'may', path = '/verify'{keys} }}\n\
         [[routes]]\nname = 'open'\npath = '/open'\nupstream = 'may'\n",
        upstream.addr()
    ))
    .await
}

#[tokio::test]
async fn a_service_that_does_not_say_whether_requests_may_pass_is_a_problem_though_no_breaker_is_open() {
    let (up, authority) = (echo().await, echo().await);
    authority.set_rules([Rule::any().status(500)]);
    for (keys, status, severity) in [("", 503, "bad"), (", on_error = 'allow'", 200, "warn")] {
        let gateway = asking(authority.addr(), keys, &up).await;
        assert_eq!(problems(&gateway).await["problems"], json!([]));
        assert_eq!(gateway.get("/a").await.status, status);
        let told = problem(&gateway, "authority").await;
        assert_eq!((&told["name"], &told["severity"]), (&json!("may"), &json!(severity)));
        assert_eq!(told["why"], format!("{}: 500", authority.addr()));
        assert_eq!(told["affects"], json!({ "all": false, "routes": ["guarded"], "more": 0 }), "who asks, alone");
    }
    let gateway = asking(nowhere(), "", &up).await;
    assert_eq!(gateway.get("/a").await.status, 503);
    let why = problem(&gateway, "authority").await["why"].clone();
    assert!(why.as_str().unwrap().contains("refused"), "{why}");
}

#[tokio::test]
async fn a_shadow_that_is_dead_is_no_outage() {
    let up = echo().await;
    let check = "health = { path = '/', interval = '100ms', timeout = '1s', unhealthy_after = 1 }";
    let gateway = Gateway::start(&format!(
        "[upstreams.up]\nendpoints = ['{}']\n[upstreams.shadow]\nendpoints = ['{}']\n{check}\n\
         [[routes]]\nname = 'all'\npath = '/{{*rest}}'\nupstream = 'up'\nmirror = {{ upstream = 'shadow' }}\n",
        up.addr(),
        nowhere()
    ))
    .await;
    let told = problem(&gateway, "upstream").await;
    assert_eq!((&told["name"], &told["severity"]), (&json!("shadow"), &json!("warn")));
    assert_eq!(told["affects"]["routes"], json!([]));
    for (name, is_shadow) in [("up", 0.0), ("shadow", 1.0)] {
        let gauge = gateway.metric(&format!("gateway_upstream_shadow{{upstream=\"{name}\"}}")).await;
        assert_eq!(gauge, Some(is_shadow), "{name}: the alert has to know");
    }
}

#[tokio::test]
async fn what_waits_for_a_restart_is_a_problem_until_it_is_taken_back_whatever_is_refused_meanwhile() {
    let upstream = echo().await;
    let with_workers = |count: usize| one_route(&format!("workers = {count}"), "", upstream.addr());
    let gateway = Gateway::start(&with_workers(1)).await;
    for text in [&*with_workers(2), "colour = 'red'"] {
        gateway.rewrite(text);
        let last = gateway.admin("POST", "/reload").await.json();
        assert_eq!(last["needs_restart"], json!(["server.workers"]), "also where the last reload was refused");
        let told = problem(&gateway, "restart").await;
        assert_eq!((&told["name"], &told["severity"]), (&json!("server.workers"), &json!("warn")));
    }
    gateway.rewrite(&with_workers(1));
    gateway.admin("POST", "/reload").await;
    assert!(peace(&gateway).await.to_string().contains("restart"));
}
