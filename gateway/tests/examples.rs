//! Every configuration that people are shown can be used, and does what its comments say.

mod openapi_validity;

mod examples {
    mod edge;
    mod who_may;
}

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use gateway::config::settings::upstream::Balance;
use gateway::config::{Environment, Loaded, Purpose, load_text_with, load_with};
use gateway::explain::{Question, answer};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// An environment in which every secret is set, and nothing else.
struct Secrets;

impl Environment for Secrets {
    fn get(&self, name: &str) -> Option<String> {
        name.starts_with("GATEWAY_").then(|| "a-secret-of-some-length".to_owned())
    }
}

fn example(name: &str) -> Loaded {
    let mut path = repository().join("examples").join(name);
    let folder = tempfile::tempdir().expect("a folder");
    if name.ends_with("tls.toml") {
        path = with_certificates(&path, folder.path());
    }
    match load_with(&path, Purpose::Run, &Secrets) {
        Ok(loaded) => loaded,
        Err(error) => panic!("{name}: {error}"),
    }
}

/// An example of TLS beside files as its comments make them.
fn with_certificates(example: &Path, folder: &Path) -> PathBuf {
    let write = |cert: &str, key: &str, name: &str| {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).expect("a certificate");
        std::fs::write(folder.join(cert), made.cert.pem()).expect("written");
        let key = folder.join(key);
        std::fs::write(&key, made.signing_key.serialize_pem()).expect("written");
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).expect("ours");
    };
    write("server.pem", "server.key", "localhost");
    write("services.pem", "services.key", "orders.internal");
    write("gateway.pem", "gateway.key", "gateway");
    let copy = folder.join(example.file_name().expect("a name"));
    std::fs::copy(example, &copy).expect("copied");
    copy
}

/// The route that a request takes and what its upstream is asked for; `None` where there is no route.
fn sent(loaded: &Loaded, method: &str, url: &str, headers: &[&str]) -> Option<(String, String)> {
    let question = Question::parse(method, url, headers).expect("a question");
    let answer = answer(&loaded.config, &question);
    let target = answer.policies?.target;
    Some((answer.routing?.route?, target))
}

#[test]
fn an_aggregate_is_told_with_its_parts() {
    let loaded = example("aggregates.toml");
    let question = Question::parse("GET", "/api/dashboard/42", &[]).expect("a question");
    let answer = answer(&loaded.config, &question);
    assert_eq!(answer.routing.expect("a path").route.as_deref(), Some("dashboard"));
    let parts = answer.policies.expect("a route").parts;
    assert_eq!(
        parts,
        [
            "user: GET /users/{id} of users, required, within 500ms",
            "orders: GET /orders?user={id} of orders, optional, within 300ms, else 2 bytes of JSON",
            "offers: GET /offers?tier={user.tier} of offers, optional, sets x-view, without cookie, within 2s",
        ]
    );
    assert_eq!(sent(&loaded, "GET", "/api/orders/7", &[]), to("orders", "/api/orders/7"));
}

#[test]
fn a_batch_is_told_with_its_call() {
    let loaded = example("batches.toml");
    let told = |method: &str, url: &str| {
        let answer = answer(&loaded.config, &Question::parse(method, url, &[]).expect("a question"));
        (answer.routing.expect("a path").route, answer.policies.expect("a route").batch)
    };
    assert_eq!(
        told("GET", "/api/items/42"),
        (
            Some("items".to_owned()),
            [
                "up to 50 items within 5ms are one call, at once while none is under way; of one subject",
                "GET /items?ids={ids}",
                "items at /items, their ids at /id",
            ]
            .map(str::to_owned)
            .to_vec()
        )
    );
    let (route, batch) = told("GET", "/api/shops/7/prices/42");
    assert_eq!(
        (route.as_deref(), &*batch[1]),
        (Some("prices"), "POST /shops/{shop}/prices:batch with {\"ids\": {ids}}")
    );
    assert_eq!(batch[2], "items at the answer itself, their ids at /item");
    assert_eq!(sent(&loaded, "PUT", "/api/items/7", &[]), to("edit", "/api/items/7"));
}

fn to(route: &str, target: &str) -> Option<(String, String)> {
    Some((route.to_owned(), target.to_owned()))
}

#[test]
fn every_example_can_be_run_and_gives_no_warning() {
    let mut seen = 0;
    for entry in std::fs::read_dir(repository().join("examples")).expect("examples/ is there") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
            let loaded = example(name);
            assert!(loaded.warnings.is_empty(), "{name}: {:?}", loaded.warnings);
            assert!(!loaded.config.routes.is_empty(), "{name} routes nothing");
            seen += 1;
        }
    }
    assert!(seen >= 5, "only {seen} examples were found");
}

#[test]
fn every_example_comes_to_a_valid_openapi_document() {
    let listeners = [gateway::openapi::Listening { address: ([127, 0, 0, 1], 8080).into(), is_secure: false }];
    let given = std::collections::BTreeMap::new();
    for entry in std::fs::read_dir(repository().join("examples")).expect("examples/ is there") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
        if !name.ends_with(".toml") {
            continue;
        }
        let config = example(&name).config;
        let wanted = gateway::openapi::Wanted { listeners: &listeners, listener: None, host: None, given: &given };
        let document = gateway::openapi::merged(&config, &wanted);
        openapi_validity::assert_valid(&document, &name);
        let text = document.to_string();
        for route in &config.routes {
            // Each is an operation, an alternative of one, or what a service says of it.
            assert!(
                text.contains(&format!("\"route\":{}", serde_json::Value::from(&*route.name))),
                "{name}: {}",
                route.name
            );
        }
    }
}

#[test]
fn the_example_of_documents_says_what_its_comments_promise() {
    let config = example("openapi.toml").config;
    let given = std::collections::BTreeMap::new();
    let document = gateway::openapi::merged(
        &config,
        &gateway::openapi::Wanted { listeners: &[], listener: None, host: None, given: &given },
    );
    let users = document["paths"]["/api/users/{userId}"].as_object().expect("the file's path");
    assert_eq!(users.keys().collect::<Vec<_>>(), ["get", "patch"], "DELETE does not pass");
    assert_eq!(users["get"]["operationId"], "getUser");
    let nickname = &document["components"]["schemas"]["User"]["properties"]["nickname"];
    assert_eq!(nickname["type"], serde_json::json!(["string", "null"]));
    assert!(document["paths"]["/reports/{year}"]["get"].is_object());
    // Of the other nothing was asked yet: the route stands by itself.
    assert!(document["paths"]["/api/orders/{rest}"]["get"].is_object());
}

#[test]
fn the_readmes_first_configuration_is_three_lines_and_whole() {
    let readme = std::fs::read_to_string(repository().join("README.md")).expect("README.md");
    let (_, after) = readme.split_once("```toml\n").expect("the README shows a configuration");
    let (text, _) = after.split_once("```").expect("the block ends");
    assert_eq!(text.lines().count(), 3, "{text}");
    let loaded = load_text_with(text, Path::new("gateway.toml"), Purpose::Run, &Secrets).expect("it can be used");
    assert!(loaded.warnings.is_empty());
    assert_eq!(loaded.config.listeners[0].address.to_string(), "127.0.0.1:8080");
    assert_eq!(sent(&loaded, "GET", "/hello?a=1", &[]), to("/{*rest}", "/hello?a=1"));
}

#[test]
fn the_resilient_example_says_what_its_comments_promise() {
    let loaded = example("resilience.toml");
    let (upstream, routes) = (&loaded.config.upstreams[0], &loaded.config.routes);
    assert!(upstream.breaker.slow_call.is_some() && upstream.health.is_some() && !upstream.slow_start.is_zero());
    assert_eq!(upstream.breaker.policy.probes, 3, "what is left out has its default");
    assert_eq!((routes[0].retry.attempts, routes[1].retry.attempts), (3, 1));
    let fallbacks = routes.iter().map(|route| route.fallback.as_ref().map(ToString::to_string).unwrap_or_default());
    assert_eq!(fallbacks.collect::<Vec<_>>(), ["upstream remembered", "503 with 15 bytes of application/json"]);
    assert!(matches!(upstream.balance, Balance::PeakEwma));
    assert_eq!(routes[0].hedge.map(|hedge| hedge.to_string()).as_deref(), Some("after p95, at most 1"));
    let own: Vec<&str> = upstream.route_breakers.iter().map(|own| &*own.route).collect();
    assert_eq!(own, ["reports"]);
}

#[test]
fn under_overload_the_least_important_goes_first_as_the_comments_say() {
    use gateway::algorithms::criticality::Criticality::{Critical, Low, Normal};
    let loaded = example("overload.toml");
    let classes: Vec<_> = loaded.config.routes.iter().map(|route| route.criticality).collect();
    assert_eq!(classes, [Critical, Normal, Low, Low]);
    let [shop, reports] = &loaded.config.upstreams[..] else { panic!("two upstreams") };
    assert!(shop.concurrency.adaptive && shop.concurrency.max_in_flight.is_none());
    assert_eq!((reports.concurrency.max_in_flight, reports.concurrency.highest), (Some(40), Low));
    let question = Question::parse("GET", "/reports/7", &[]).expect("a question");
    let policies = answer(&loaded.config, &question).policies.expect("a route");
    assert_eq!(
        (policies.criticality, policies.upstream_places),
        ("low", Some(40)),
        "no class above it shares the limit"
    );
    assert_eq!(loaded.config.server.shed_above_rss, Some(1 << 30));
}

#[test]
fn two_services_are_told_apart_as_the_comments_say() {
    let loaded = example("two-services.toml");
    let orders = "http://api.example.com/api/orders/17?full=1";
    assert_eq!(sent(&loaded, "GET", orders, &[]), to("orders", "/orders/17?full=1"));
    assert_eq!(sent(&loaded, "GET", orders, &["x-api-version: 2"]), to("orders-v2", "/v2/orders/17?full=1"));
    assert_eq!(sent(&loaded, "GET", "http://eu.shop.example.com/api/orders/1", &[]), to("orders", "/orders/1"));
    assert_eq!(sent(&loaded, "PUT", "/api/users/7", &[]), to("user", "/users/7"));
    assert_eq!(sent(&loaded, "DELETE", "/api/users/7", &[]), None);
    assert_eq!(sent(&loaded, "GET", "http://elsewhere.example/api/orders/17", &[]), None);
}

#[test]
fn the_production_example_keeps_its_routes_apart() {
    let loaded = example("production.toml");
    let upload = "http://api.example.com/orders/7/invoice";
    assert_eq!(sent(&loaded, "PUT", upload, &[]).map(|(route, _)| route).as_deref(), Some("invoice-upload"));
    assert_eq!(sent(&loaded, "GET", upload, &[]).map(|(route, _)| route).as_deref(), Some("orders"));
    let allowed: Vec<&str> =
        loaded.config.routes.iter().filter(|route| route.websocket).map(|route| &*route.name).collect();
    assert_eq!(allowed, ["live"], "only one route allows WebSockets");
    assert!(loaded.config.admin.is_some_and(|admin| admin.token.is_some()), "admin needs a token");
}

#[test]
fn services_behind_tls_prove_who_they_are_as_the_comments_say() {
    use gateway::config::settings::upstream_tls::Trust;
    let loaded = example("upstream-tls.toml");
    let [orders, partner] = &loaded.config.upstreams[..] else { panic!("two upstreams") };
    let orders = orders.tls.as_ref().expect("TLS");
    assert!(matches!(orders.trust, Trust::Own(_)) && orders.certificate.is_some());
    assert_eq!(orders.name.as_ref().map(|name| name.to_str().into_owned()).as_deref(), Some("orders.internal"));
    let partner = partner.tls.as_ref().expect("TLS");
    assert!(matches!(partner.trust, Trust::System(_)) && partner.name.is_none());
    assert_eq!(sent(&loaded, "GET", "/orders/upstream-tls.toml", &[]), to("orders", "/upstream-tls.toml"));
    let question = Question::parse("GET", "/partner/x", &[]).expect("a question");
    let tls = answer(&loaded.config, &question).policies.expect("a route").tls;
    assert_eq!(tls.as_deref(), Some("checked against the system's certificates, by the name of each endpoint"));
}

#[test]
fn services_of_grpc_are_spoken_to_and_checked_in_their_own_way() {
    use gateway::config::settings::upstream::{GRPC_CHECK, Protocol};
    let loaded = example("grpc.toml");
    let [greeter] = &loaded.config.upstreams[..] else { panic!("one upstream") };
    assert_eq!(greeter.protocol, Protocol::Http2);
    let path = &greeter.health.as_ref().expect("checks").path;
    assert_eq!((path.path(), path.query()), (GRPC_CHECK, Some("service=greeter")));
    for kind in ["application/grpc", "application/grpc+proto", "application/grpc;a=b"] {
        let kind = format!("content-type: {kind}");
        assert_eq!(sent(&loaded, "POST", "/mocks.Echo/Unary", &[&kind]), to("greeter", "/mocks.Echo/Unary"));
        assert_eq!(sent(&loaded, "POST", GRPC_CHECK, &[&kind]), to("health", GRPC_CHECK));
    }
    assert_eq!(sent(&loaded, "POST", "/mocks.Echo/Unary", &["content-type: application/json"]), None);
    assert_eq!(loaded.config.routes[0].max_body, Some(None), "streams without end");
    let question =
        Question::parse("POST", "/mocks.Echo/Unary", &["content-type: application/grpc"]).expect("a question");
    assert_eq!(answer(&loaded.config, &question).policies.expect("a route").protocol, "HTTP/2");
}

#[test]
fn web_pages_call_the_service_by_the_route_of_all_callers() {
    let loaded = example("grpc-web.toml");
    for kind in ["", "+proto", "-web", "-web+proto", "-web-text", "-web-text+proto"] {
        let kind = format!("content-type: application/grpc{kind}");
        assert_eq!(sent(&loaded, "POST", "/mocks.Echo/Unary", &[&kind]), to("greeter", "/mocks.Echo/Unary"));
    }
    assert_eq!(sent(&loaded, "POST", "/mocks.Echo/Unary", &["content-type: application/json"]), None);
    let told = |headers: &[&str]| {
        let question = Question::parse("POST", "/mocks.Echo/Unary", headers).expect("a question");
        answer(&loaded.config, &question).policies.expect("a route")
    };
    let all = "calls of web pages are gRPC to the upstream; ";
    for (headers, this) in [
        (&["content-type: application/grpc-web"][..], "this one is bytes, and is answered in bytes"),
        (&["content-type: application/grpc-web-text"], "this one is base64, and is answered in base64"),
        (
            &["content-type: application/grpc-web", "accept: application/grpc-web-text"],
            "this one is bytes, and is answered in base64",
        ),
        (&["content-type: application/grpc"], "this request is none, and passes as it is"),
    ] {
        assert_eq!(told(headers).grpc_web, Some(format!("{all}{this}")), "{headers:?}");
    }
    let cors = told(&["content-type: application/grpc"]).cors.expect("rules");
    assert!(cors.contains("authorization, content-type, grpc-timeout, x-grpc-web, x-user-agent"), "{cors}");
}

#[test]
fn a_canary_gets_the_clients_that_the_comments_promise() {
    let loaded = example("split.toml");
    let goes = |headers: &[&str]| {
        let question = Question::parse("GET", "/api/orders/7", headers).expect("a question");
        answer(&loaded.config, &question).policies.expect("a route").upstream
    };
    let users = || (0..1_000).map(|user| format!("x-user: user-{user}"));
    let canaries = users().filter(|user| goes(&[user]) == "orders-canary").count();
    // Four standard deviations.
    assert!((23..=77).contains(&canaries), "{canaries} of 1000");
    assert!(users().take(20).all(|user| goes(&[&user, "x-preview: 1"]) == "orders-canary"));
    let [_, orders] = &loaded.config.routes[..] else { panic!("two routes") };
    let split = orders.split.as_ref().expect("several upstreams");
    let fallbacks: Vec<bool> = split.shares.iter().map(|share| share.route.fallback.is_some()).collect();
    assert_eq!(fallbacks, [false, true], "nothing stands in for itself");
}

#[test]
fn a_part_of_what_only_reads_is_copied_as_the_comments_say() {
    let loaded = example("mirror.toml");
    let question = Question::parse("GET", "/api/orders/7", &[]).expect("a question");
    let policies = answer(&loaded.config, &question).policies.expect("a route");
    assert_eq!(policies.upstream, "orders");
    let told = "1 % of GET, HEAD to orders-next, with bodies up to 65536 bytes";
    assert_eq!(policies.mirror.as_deref(), Some(told));
}

#[test]
fn the_traced_example_sends_spans_of_one_in_a_hundred() {
    let loaded = example("tracing.toml");
    let export = loaded.config.telemetry.tracing.export.as_ref().expect("spans are sent");
    assert_eq!((&*export.endpoint, &*export.service_name), ("http://127.0.0.1:4318", "edge"));
    let question = Question::parse("GET", "/orders/7", &[]).expect("a question");
    let trace = answer(&loaded.config, &question).trace.expect("it is told");
    assert_eq!(trace, "begins here; sampled by its id (0.01 of all); spans go to http://127.0.0.1:4318");
}
