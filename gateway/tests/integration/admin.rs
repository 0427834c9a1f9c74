//! The admin API (security.md, J1): who may use it, and what it shows.

use serde_json::json;

use crate::support::{Answer, Client, Events, Gateway, Process, echo, nowhere, one_route};

async fn ask(gateway: &Gateway, method: &str, path: &str, host: &str, more: &str) -> Answer {
    let head = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\n{more}content-length: 0\r\n\r\n");
    Client::connect(gateway.admin).await.ask(head).await
}

#[tokio::test]
async fn j1_another_name_for_this_machine_is_refused() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    let own = gateway.admin.to_string();
    for (host, status) in [(own.as_str(), 200), ("localhost", 200), ("[::1]:9901", 200), ("evil.test", 403), ("", 403)]
    {
        assert_eq!(ask(&gateway, "GET", "/status", host, "").await.status, status, "{host:?}");
        assert_eq!(ask(&gateway, "POST", "/reload", host, "").await.status, status, "{host:?}");
    }
}

#[tokio::test]
async fn j1_another_sites_page_may_not_write() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    let own = gateway.admin.to_string();
    for origin in ["http://evil.test", "null", "http://127.0.0.1:1"] {
        let answer = ask(&gateway, "POST", "/reload", &own, &format!("origin: {origin}\r\n")).await;
        assert_eq!((answer.status, answer.code().as_str()), (403, "forbidden"), "{origin}");
        assert_eq!(ask(&gateway, "POST", "/drain", &own, &format!("origin: {origin}\r\n")).await.status, 403);
    }
    assert_eq!(gateway.inner().snapshot().version, 1);
    assert!(!gateway.inner().is_draining());
    let answer = ask(&gateway, "POST", "/reload", &own, &format!("origin: http://{own}\r\n")).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn j1_with_a_token_everything_but_the_probes_needs_it() {
    let upstream = echo().await;
    let (process, _folder) = Process::start_with_token(upstream.addr(), "s3cret-and-long-enough").await;
    let ask = async |path: &str, more: &str| {
        let head = format!("GET {path} HTTP/1.1\r\nhost: {}\r\n{more}\r\n", process.admin);
        Client::connect(process.admin).await.ask(head).await
    };
    for open in ["/livez", "/readyz", "/jwks.json"] {
        assert_eq!(ask(open, "").await.status, 200, "{open}");
    }
    let page = ["/", "/page.js", "/page.css", "/feed.js", "/requests.js", "/icon.svg"];
    let docs = ["/docs", "/docs.css", "/docs.js", "/schema.js", "/try.js"];
    for path in page.into_iter().chain(docs) {
        let answer = ask(path, "").await;
        let status = if ["/", "/docs"].contains(&path) { 401 } else { 200 };
        assert_eq!(answer.status, status, "a browser can open the page, which says that it needs the token: {path}");
        assert!(!String::from_utf8(answer.body).unwrap().contains("s3cret"));
    }
    for path in ["/status", "/metrics", "/config", "/upstreams", "/routes", "/requests", "/requests/x", "/nowhere"] {
        let answer = ask(path, "").await;
        assert_eq!((answer.status, answer.code().as_str()), (401, "unauthorized"), "{path}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"gateway admin\""));
        assert_eq!(ask(path, "authorization: Bearer s3cret-and-long-enougH\r\n").await.status, 401, "{path}");
    }
    for page in ["/", "/index.html", "/docs"] {
        let challenge = ask(page, "").await;
        assert_eq!(challenge.header("content-type"), Some("text/html; charset=utf-8"), "{page}");
        assert_eq!(challenge.header("www-authenticate"), Some("Bearer realm=\"gateway admin\""), "{page}");
        assert_eq!(ask(page, "authorization: Bearer s3cret-and-long-enough\r\n").await.status, 200, "{page}");
    }
    let answer = ask("/config", "authorization: Bearer s3cret-and-long-enough\r\n").await;
    assert_eq!(answer.status, 200);
    assert!(!String::from_utf8(answer.body).unwrap().contains("s3cret"), "the token is never shown");
}

#[tokio::test]
async fn all_of_the_configuration_in_force_is_shown_and_no_secret_of_it() {
    let upstream = echo().await;
    let text = |timeout: &str| {
        format!(
            "[defaults.route]\ntimeout = '{timeout}'\nretry = {{ attempts = 3 }}\n\
             [telemetry.tracing]\notlp_headers = {{ x-team = 's3cret' }}\n\
             [[routes]]\nname = 'all'\npath = '/{{*rest}}'\n\
             upstream = 'http://{}'\nrequest_headers.set = {{ authorization = 'Bearer s3cret', x-a = '{{client_ip}}' }}\n\
             query.token = 's3cret'\n",
            upstream.addr()
        )
    };
    let gateway = Gateway::start(&text("7s")).await;
    let told = gateway.admin("GET", "/config").await.json();
    assert!(!told.to_string().contains("s3cret"), "{told}");
    let (all, route) = (&told["effective"], &told["effective"]["routes"]["all"]);
    assert_eq!((&told["version"], &told["included"], &told["needs_restart"]), (&1.into(), &json!([]), &json!([])));
    assert!(told["file"].as_str().unwrap().ends_with("gateway.toml"), "{told}");
    assert_eq!((&route["timeout"], &route["retry"]["attempts"]), (&"7s".into(), &3.into()), "{route}");
    assert_eq!(route["request_headers"]["set"], json!({ "authorization": "(not shown)", "x-a": "{client_ip}" }));
    assert_eq!(all["upstreams"][upstream.addr().to_string()]["balance"]["policy"], "least_request");
    assert_eq!((&all["server"]["max_uri_bytes"], &all["admin"]["address"]), (&"8KiB".into(), &"127.0.0.1:0".into()));
    // What was there before is there still.
    assert_eq!(told["server"]["max_uri_bytes"], 8192);
    // The file says something else by now, and it is not in force.
    gateway.rewrite(&text("0"));
    assert!(!gateway.reload().await.ok);
    assert_eq!(gateway.admin("GET", "/config").await.json()["effective"]["routes"]["all"]["timeout"], "7s");
    gateway.rewrite(&text("8s"));
    assert!(gateway.reload().await.ok);
    let told = gateway.admin("GET", "/config").await.json();
    assert_eq!((&told["effective"]["routes"]["all"]["timeout"], &told["version"]), (&"8s".into(), &2.into()));
}

#[tokio::test]
async fn j1_admin_is_not_reachable_through_a_route() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    for path in ["/status", "/metrics", "/reload", "/livez"] {
        assert_eq!(gateway.get(path).await.echo().path(), path, "a path like any other on the public side");
    }
}

/// What asks for all that an admin must not be asked for by strangers.
const OF_OPERATORS: [&str; 4] = ["GET /status", "GET /config", "POST /reload", "POST /drain"];

/// Which address a name stands for is not known where the file is checked, nor here, where the system gives the port.
#[tokio::test]
async fn j1_no_connection_for_a_request_leads_to_the_own_admin() {
    let gateway = Gateway::to(nowhere()).await;
    let board = "[[aggregates]]\nname = 'board'\npath = '/board'\n\
                 parts = [{ name = 'admin', upstream = 'up', path = '/status' }]\n";
    for address in [gateway.admin.to_string(), format!("localhost:{}", gateway.admin.port())] {
        let text = one_route("", "", gateway.admin).replace(&gateway.admin.to_string(), &address);
        gateway.rewrite(&format!("{text}\n{board}"));
        assert!(gateway.reload().await.ok);
        for request in OF_OPERATORS {
            let head = format!("{request} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n");
            assert_eq!(gateway.ask(head).await.status, 502, "{request} {address}");
        }
        let answer = gateway.ask("GET /board HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
        assert!(!String::from_utf8_lossy(&answer.body).contains("workers"), "{answer:?}");
        assert!(!gateway.inner().is_draining());
        assert_eq!(gateway.admin("GET", "/status").await.status, 200, "who is on this machine may");
    }
}

#[tokio::test]
async fn j1_what_comes_through_a_route_is_nobody_on_this_machine_whatever_is_edited() {
    let behind = Gateway::to(echo().await.addr()).await;
    for edits in [
        "",
        "request_headers = { remove = ['forwarded', 'x-forwarded-for'] }",
        "request_headers = { set = { forwarded = 'x', x-forwarded-for = 'y' }, remove = ['x-forwarded-proto'] }",
        "request_headers = { remove = ['forwarded', 'x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host'] }",
    ] {
        let gateway = Gateway::start(&one_route("", edits, behind.admin)).await;
        for request in OF_OPERATORS {
            let head = format!("{request} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n");
            let answer = gateway.ask(head).await;
            // The admin's problem under the proxy's own id.
            assert_eq!((answer.status, &answer.json()["code"]), (403, &"forbidden".into()), "{request} {edits}");
        }
    }
    assert!(!behind.inner().is_draining());
}

#[tokio::test]
async fn j1_who_comes_through_a_proxy_needs_a_token() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    let own = gateway.admin.to_string();
    for field in [
        "x-forwarded-for: 10.0.0.1\r\n",
        "forwarded: for=10.0.0.1\r\n",
        "via: 1.1 proxy\r\n",
        "x-forwarded-host: a.test\r\n",
        "x-forwarded-port: 80\r\n",
        "X-Forwarded-Proto: http\r\n",
        "x-request-timeout-ms: 1000\r\n",
    ] {
        let answer = ask(&gateway, "GET", "/status", &own, field).await;
        assert_eq!((answer.status, answer.code().as_str()), (403, "forbidden"), "{field}");
        assert_eq!(ask(&gateway, "GET", "/readyz", &own, field).await.status, 200, "probes are anybody's");
    }
    let (process, _folder) = Process::start_with_token(upstream.addr(), "s3cret-and-long-enough").await;
    let head = "GET /status HTTP/1.1\r\nhost: admin.test\r\nx-forwarded-for: 10.0.0.1\r\n\
                authorization: bearer s3cret-and-long-enough\r\n\r\n";
    assert_eq!(Client::connect(process.admin).await.ask(head).await.status, 200);
    // Whoever asks by the command line without it is told where it goes.
    let (folder, address) = (tempfile::tempdir().unwrap(), process.admin.to_string());
    let (code, _, stderr) = Process::run(&["status", "--admin", &address], folder.path()).await;
    assert_eq!(code, 3, "{stderr}");
    assert!(stderr.contains("401") && stderr.contains("--token-env names the environment variable"), "{stderr}");
    let other = ["status", "--admin", &address, "--token-env", "OTHER"];
    let (_, _, stderr) = Process::run_with(&other, folder.path(), &[("OTHER", "another")]).await;
    assert!(stderr.contains("holds another one"), "{stderr}");
}

#[tokio::test]
async fn what_is_there_is_shown() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    assert_eq!(gateway.get("/").await.status, 200);
    let status = gateway.admin("GET", "/status").await.json();
    assert_eq!((&status["draining"], &status["workers"], &status["routes"]), (&false.into(), &1.into(), &1.into()));
    assert_eq!(status["config"]["version"], 1);
    let routes = gateway.admin("GET", "/routes").await.json();
    assert_eq!((&routes["routes"][0]["name"], &routes["routes"][0]["path"]), (&"all".into(), &"/{*rest}".into()));
    let upstreams = gateway.admin("GET", "/upstreams").await.json();
    let endpoint = &upstreams["upstreams"][0]["endpoints"][0];
    assert_eq!(endpoint["address"], upstream.addr().to_string());
    assert_eq!((&endpoint["in_flight"], &endpoint["connections"]), (&0.into(), &1.into()));
    assert_eq!(gateway.admin("GET", "/").await.status, 200);
    let nowhere = gateway.admin("GET", "/nowhere").await;
    assert_eq!((nowhere.status, nowhere.code().as_str()), (404, "route_not_found"));
    for path in ["/status", "/livez", "/readyz", "/jwks.json"] {
        let refused = gateway.admin("POST", path).await;
        assert_eq!((refused.status, refused.code().as_str()), (405, "method_not_allowed"), "{path}");
        assert_eq!(refused.header("content-type"), Some("application/problem+json"), "{path}");
    }
}

#[tokio::test]
async fn j6_admin_answers_carry_what_browsers_respect() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    for path in ["/status", "/", "/page.js", "/page.css", "/livez", "/nowhere"] {
        let answer = gateway.admin("GET", path).await;
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("x-frame-options"), Some("DENY"));
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.contains("frame-ancestors 'none'") && policy.contains("default-src 'none'"), "{policy}");
        assert!(!policy.contains("unsafe"), "nothing inline runs: {policy}");
    }
}

#[tokio::test]
async fn j6_the_page_needs_nothing_that_its_policy_forbids() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    let page = String::from_utf8(gateway.admin("GET", "/").await.body).unwrap();
    for inline in ["<style", "<script>", " style=", " onclick=", " onsubmit=", "javascript:", "http://", "https://"] {
        assert!(!page.contains(inline), "{inline}");
    }
    for file in page.split(['"', '\'']).filter(|word| [".js", ".css", ".svg"].iter().any(|end| word.ends_with(end))) {
        assert_eq!(gateway.admin("GET", &format!("/{file}")).await.status, 200, "{file}");
    }
    let mut script = String::new();
    for file in ["/page.js", "/feed.js", "/requests.js"] {
        script += &String::from_utf8(gateway.admin("GET", file).await.body).unwrap();
    }
    for markup in ["innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(", "new Function"] {
        assert!(!script.contains(markup), "what the API says is shown as text: {markup}");
    }
}

#[tokio::test]
async fn admin_answers_while_every_worker_is_busy() {
    let upstream = echo().await;
    upstream.set_rules([mocks::Rule::any().effect(mocks::Effect::Hang)]);
    let gateway = Gateway::to(upstream.addr()).await;
    let mut busy = Vec::new();
    for _ in 0..50 {
        let mut client = gateway.client().await;
        client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        busy.push(client);
    }
    crate::support::eventually("fifty in flight", || gateway.in_flight() == 50).await;
    assert_eq!(gateway.admin("GET", "/readyz").await.status, 200);
    let sample = format!("gateway_endpoint_in_flight{{upstream=\"up\",endpoint=\"{}\"}}", upstream.addr());
    assert_eq!(gateway.metric(&sample).await, Some(50.0));
}

#[tokio::test]
async fn admin_has_so_many_connections_and_a_place_that_is_given_back_is_taken_again() {
    const PLACES: usize = 64;
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    let status = format!("GET /livez HTTP/1.1\r\nhost: {}\r\n\r\n", gateway.admin);
    let mut held = Vec::new();
    for _ in 0..PLACES {
        let mut client = Client::connect(gateway.admin).await;
        assert_eq!(client.ask(&status).await.status, 200);
        held.push(client);
    }
    let mut one_more = Client::connect(gateway.admin).await;
    let refused = one_more.answer().await;
    assert_eq!((refused.status, refused.code().as_str()), (503, "overloaded"));
    one_more.closed().await;
    assert_eq!(held[0].ask(&status).await.status, 200, "who is in is served");
    drop(held.pop());
    let mut tries = 0;
    while Client::connect(gateway.admin).await.ask(&status).await.status != 200 {
        tries += 1;
        assert!(tries < 1000, "the place is not given back");
    }
}

#[tokio::test]
async fn who_changed_what_is_told_of_and_who_may_not_is_told_of_now_and_then() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    let mut events = Events::of(&gateway, "?kinds=admin").await;
    let endpoint = format!("/breakers/up/{}", upstream.addr());
    let own = gateway.admin.to_string();
    for (path, action, result, status) in [
        ("/reload".to_owned(), "reload", "done", 200),
        (format!("{endpoint}/open"), "breaker_open", "done", 200),
        (format!("{endpoint}/auto"), "breaker_auto", "done", 200),
        (format!("{endpoint}/open?route=none&token=s3cret"), "breaker_open", "not_found", 404),
    ] {
        assert_eq!(ask(&gateway, "POST", &path, &own, "").await.status, status);
        let told = events.next(1).await.remove(0);
        assert_eq!(
            (&told["action"], &told["result"], &told["status"]),
            (&action.into(), &result.into(), &status.into())
        );
        assert_eq!((&told["who"], &told["target"]), (&"loopback".into(), &path.replace("&token=s3cret", "").into()));
        assert!(told["client"].as_str().unwrap().starts_with("127.0.0.1:"), "{told}");
    }
    gateway.rewrite("[[routes]]\npath = 'no path'\nupstream = 'http://127.0.0.1:1'\n");
    assert_eq!(ask(&gateway, "POST", "/reload", &own, "").await.status, 422);
    let told = events.next(1).await.remove(0);
    assert_eq!(
        (&told["action"], &told["result"], &told["who"]),
        (&"reload".into(), &"failed".into(), &"loopback".into())
    );

    // A flood of what is refused is counted, and most of it is not told.
    for _ in 0..200 {
        assert_eq!(ask(&gateway, "POST", "/drain", &own, "origin: http://evil.test\r\n").await.status, 403);
    }
    assert_eq!(ask(&gateway, "GET", "/status", &own, "").await.status, 200);
    let refused = "gateway_admin_writes_total{action=\"drain\",result=\"refused\"}";
    assert_eq!(gateway.metric(refused).await, Some(200.0));
    assert_eq!(gateway.metric("gateway_admin_writes_total{action=\"reload\",result=\"done\"}").await, Some(1.0));
    assert!(!gateway.inner().is_draining());
}

#[tokio::test]
async fn standard_error_says_who_changed_what() {
    let upstream = echo().await;
    let (mut process, _folder) = Process::start_with_token(upstream.addr(), "s3cret-and-long-enough").await;
    let post = async |admin: std::net::SocketAddr, more: &str| {
        let head = format!("POST /reload HTTP/1.1\r\nhost: {admin}\r\ncontent-length: 0\r\n{more}\r\n");
        Client::connect(admin).await.ask(head).await.status
    };
    assert_eq!(post(process.admin, "authorization: Bearer guessed\r\n").await, 401);
    let refused = process.event("admin").await;
    assert_eq!(
        (&refused["who"], &refused["result"], &refused["status"]),
        (&"nobody".into(), &"refused".into(), &401.into())
    );
    assert_eq!(post(process.admin, "authorization: Bearer s3cret-and-long-enough\r\n").await, 200);
    let done = process.event("admin").await;
    assert_eq!((&done["who"], &done["action"], &done["result"]), (&"token".into(), &"reload".into(), &"done".into()));
    assert!(!done.to_string().contains("s3cret") && done["ts"].is_string());
}
