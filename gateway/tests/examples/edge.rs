//! Examples of what clients meet first: listeners, the gateway's own answers, what pages may do, how answers come.

use gateway::error::Code;
use gateway::explain::{Question, answer};

use crate::{example, sent, to};

#[test]
fn a_route_is_reached_by_the_listeners_that_it_names() {
    let loaded = example("listeners.toml");
    let route = |listener: &str, url: &str| {
        let question = Question::parse("GET", url, &[]).expect("a question").by_listener(listener.to_owned());
        answer(&loaded.config, &question).routing.expect("a path").route
    };
    for (url, public, internal) in [
        ("/orders/7", Some("orders"), None),
        ("/reports/7", None, Some("reports")),
        ("/status", Some("status"), Some("status-internal")),
    ] {
        assert_eq!((route("public", url).as_deref(), route("internal", url).as_deref()), (public, internal), "{url}");
    }
}

#[test]
fn the_tls_example_shows_its_certificate_to_whoever_comes() {
    let loaded = example("tls.toml");
    let tls = loaded.config.listeners[0].tls.as_ref().expect("it speaks TLS");
    assert!(tls.default.is_some() && tls.named.is_empty());
}

#[test]
fn a_balancer_that_names_clients_has_a_port_of_its_own() {
    let loaded = example("proxy-protocol.toml");
    let asks: Vec<bool> = loaded.config.listeners.iter().map(|listener| listener.proxy_protocol).collect();
    assert_eq!(asks, [true, false]);
    assert!(!loaded.config.server.trusted_proxies.is_empty());
}

#[test]
fn pages_may_use_what_the_browser_example_says() {
    let loaded = example("browser.toml");
    let page = |method: &str, url: &str, headers: &[&str]| {
        let question = Question::parse(method, url, headers).expect("a question");
        answer(&loaded.config, &question).policies.expect("a route").page.expect("it says so")
    };
    let asks = "access-control-request-method: PUT";
    assert!(page("OPTIONS", "/api/orders/7", &[asks, "origin: https://app.example"]).ends_with("204"));
    assert!(page("OPTIONS", "/api/orders/7", &[asks, "origin: https://evil.example"]).ends_with("403"));
    assert_eq!(page("GET", "/catalogue/1", &["origin: https://any.example"]), "may read the answer");
    let session = |headers: &[&str]| {
        let question = Question::parse("GET", "/account/me", headers).expect("a question");
        answer(&loaded.config, &question).policies.expect("a route").auth.expect("it asks who").result
    };
    assert_eq!(session(&["cookie: theme=dark"]), "missing");
    assert_eq!(session(&["cookie: theme=dark; __Host-session=a.b.c"]), "base64");
    assert_eq!(session(&["authorization: Bearer a.b.c", "cookie: __Host-session=d.e.f"]), "malformed");
}

#[test]
fn the_edge_answers_as_the_comments_say() {
    let loaded = example("edge.toml");
    let own = |method: &str, url: &str| {
        let question = Question::parse(method, url, &[]).expect("a question");
        let policies = answer(&loaded.config, &question).policies.expect("a route");
        (policies.own_answer.unwrap_or_default(), policies.target, policies.origin.unwrap_or_default())
    };
    let in_the_clear = |path: &str| format!("came in the clear: sent to https://a.example{path} with 308");
    let fixed = "200 with 26 bytes of text/plain; charset=utf-8".to_owned();
    assert_eq!(
        own("GET", "http://a.example/robots.txt"),
        (fixed, "/robots.txt".to_owned(), in_the_clear("/robots.txt"))
    );
    let leads = "http://a.example/api/orders/7".to_owned();
    let moved = ("redirect with 308".to_owned(), leads, in_the_clear("/v1/orders/7"));
    assert_eq!(own("POST", "http://a.example/v1/orders/7"), moved);
    assert_eq!(own("GET", "http://a.example/.well-known/acme-challenge/x").2, "");
    for host in ["a.example", "shop.example"] {
        let url = format!("http://{host}/.well-known/acme-challenge/x");
        assert_eq!(sent(&loaded, "GET", &url, &[]), to("acme", "/.well-known/acme-challenge/x"));
        assert_eq!(
            own("GET", &format!("http://{host}/robots.txt")).0,
            "200 with 26 bytes of text/plain; charset=utf-8"
        );
    }
    let few = "came in the clear: refused; only 10.0.0.0/8, fd00::/8; not 10.66.0.0/16";
    assert_eq!(own("GET", "http://a.example/internal/x").2, few);
    let (led, target, origin) = own("GET", "http://shop.example/anything");
    assert_eq!(
        (&*led, &*target, &*origin),
        ("redirect with 301", "https://www.shop.example/anything", ""),
        "in one step"
    );
    let problems = loaded.config.server.problems.as_deref().expect("bodies of its own");
    let told = |code: Code| problems.find(code, code.status()).map(|body| body.told(code, code.status(), b"id"));
    assert_eq!(told(Code::RouteNotFound).as_deref(), Some(&b"There is nothing here.\n"[..]));
    assert!(told(Code::BreakerOpen).is_some_and(|page| page.ends_with(b"(id)</p>\n")));
    assert!(told(Code::RateLimited).is_none(), "a document");
}

#[test]
fn answers_are_compressed_as_the_comments_say() {
    let loaded = example("compression.toml");
    let compress = |url: &str, accept: &str| {
        let header = format!("accept-encoding: {accept}");
        let question = Question::parse("GET", url, &[&header]).expect("a question");
        answer(&loaded.config, &question).policies.expect("a route").compress
    };
    let site = compress("/index.html", "gzip, br, zstd").expect("by default");
    assert!(
        site.starts_with("zstd or gzip with normal effort, from 1024 bytes on: text/*, application/json,"),
        "{site}"
    );
    assert!(site.ends_with("; this client takes zstd"), "{site}");
    let catalogue = "zstd or gzip with high effort, from 4096 bytes on: application/json; this client takes gzip";
    assert_eq!(compress("/api/catalogue", "gzip").as_deref(), Some(catalogue));
    let events = compress("/api/events", "br").expect("by its name");
    assert!(events.contains("text/event-stream") && events.ends_with("takes the answer as it is"), "{events}");
    assert_eq!(compress("/account/me", "gzip"), None);
    assert_eq!(loaded.config.server.compress_memory, 64 << 20);
}

#[test]
fn answers_are_kept_as_the_comments_say() {
    let loaded = example("caching.toml");
    let cache = |url: &str| {
        let question = Question::parse("GET", url, &[]).expect("a question");
        answer(&loaded.config, &question).policies.expect("a route").cache.expect("a cache")
    };
    let catalogue = "answers for as long as they say, others for 10s; for at most 86400s, up to 1048576 bytes; 5s longer while a \
                     new one is asked for; 3600s longer if none can be had";
    assert_eq!(cache("/catalogue/shoes"), catalogue);
    let pictures = "answers that say for how long, for at most 604800s, up to 8388608 bytes; whatever clients say";
    assert_eq!(cache("/pictures/1.png"), pictures);
    assert!(cache("/accounts/me").ends_with("; public ones for all subjects"));
    assert_eq!(loaded.config.server.cache_memory, 128 << 20);
}
