//! Routes that the gateway answers itself, where requests come from, and who else says whether they pass.

use super::{built, check, check_route, errors, warnings};

fn own(keys: &str) -> String {
    format!("[[routes]]\npath = \"/a/{{id}}\"\n{keys}")
}

#[test]
fn destinations() {
    check_route("answer = {}", &["4:10: a route has one of `upstream`, `split`, `handler`, `redirect` and `answer`"]);
    check(&own("answer = {}"), &[]);
    check(&own("answer = { status = 204 }"), &[]);
    check(&own("answer = { status = 204, body = \"x\" }"), &["3:33: an answer of 204 has no body"]);
    check(
        &own("answer = { status = 206 }"),
        &["3:21: 206 can be no fixed answer: it answers a condition or a range that nobody looks at here"],
    );
    for (key, value) in [
        ("retry", "{ attempts = 3 }"),
        ("hedge", "{ after = \"50ms\" }"),
        ("breaker", "{ consecutive_failures = 3 }"),
        ("coalesce", "true"),
        ("host", "\"upstream\""),
        ("buffer_request", "\"1KiB\""),
        ("request_headers", "{ remove = [\"x-a\"] }"),
    ] {
        for answers in ["answer = {}", "redirect = { path = \"/b\" }"] {
            let found = errors(&own(&format!("{answers}\n{key} = {value}")));
            let word = answers.split(' ').next().unwrap();
            let message = format!("`{key}` is for a route with an upstream; this one has `{word}`");
            assert!(found.iter().any(|it| it.ends_with(&message)), "{key}: {found:?}");
        }
    }
    check(&own("answer = {}\ncoalesce = false"), &[]);
    check(
        &own("answer = {}\nrewrite = { strip_prefix = \"/a\" }"),
        &["4:11: `rewrite` is for a route with an upstream; this one has `answer`"],
    );
}

#[test]
fn what_all_routes_share_is_a_mistake_on_none_of_them() {
    let text = |shared: &str, route: &str| {
        format!("[defaults.route]\n{shared}\n[upstreams.b]\nendpoints = [\"b:1\"]\n{}", own(route))
    };
    for shared in [
        "fallback = { status = 503, body = \"later\" }",
        "fallback = { upstream = \"b\" }",
        "rewrite = { strip_prefix = \"/a\" }",
        "rewrite = { path = \"/x/{what}\" }",
        "mirror = { upstream = \"b\" }",
    ] {
        for route in ["answer = {}", "redirect = { path = \"/b\" }", "redirect = { host = \"b\" }"] {
            let text = text(shared, route);
            check(&text, &[]);
            assert_eq!(warnings(&text), [""; 0], "{text}");
        }
    }
    let straight = text("fallback = { upstream = \"b\" }", "upstream = \"b\"");
    check(&straight, &[]);
    assert!(built(&straight).fallback.is_none(), "nothing stands in for itself");
}

#[test]
fn redirects() {
    check(&own("redirect = { path = \"/b/{id}\" }"), &[]);
    // By this file's listener nobody can come over TLS.
    check(&own("redirect = { scheme = \"https\", status = 301 }"), &[]);
    let circle = "3:23: a redirect to another scheme alone leads whoever speaks it already in a circle";
    for somebody_does in
        ["[server]\ntrusted_proxies = [\"10.0.0.0/8\"]", "[[listeners]]\naddress = \"127.0.0.1:1\"\nname = \"a\""]
    {
        let scheme = if somebody_does.starts_with("[server]") { "https" } else { "http" };
        for keys in ["", ", port = 443", ", port = 80"] {
            let is_usual = keys.is_empty() || keys.ends_with(if scheme == "https" { "443" } else { "80" });
            let file = own(&format!("redirect = {{ scheme = \"{scheme}\"{keys} }}\n{somebody_does}"));
            check(&file, &[circle][..usize::from(is_usual)]);
        }
    }
    let elsewhere = "listeners = [\"b\"]\n[[listeners]]\naddress = \"127.0.0.1:1\"\nname = \"a\"\n\
                     [[listeners]]\naddress = \"127.0.0.1:2\"\nname = \"b\"";
    check(&own(&format!("redirect = {{ scheme = \"https\" }}\n{elsewhere}")), &[]);
    check(
        &own("redirect = { status = 301 }"),
        &["3:12: redirect needs `scheme`, `host`, `port` or `path`: else it leads in a circle"],
    );
    check(&own("redirect = { port = 1, status = 304 }"), &["3:33: 304 leads nowhere: 301, 302, 303, 307 and 308 do"]);
    check(&own("redirect = { path = \"/b/{ID}\" }"), &["3:21: the path \"/a/{id}\" has no parameter \"ID\""]);
    check(
        &own("redirect = { host = \"*.example\" }"),
        &["3:21: \"*.example\" is not a host name: a star stands for no name here"],
    );
}

#[test]
fn compression() {
    check_route("compress = true", &[]);
    check_route("compress = { codings = [\"gzip\"], types = [\"text/*\", \"Image/SVG+xml\"], effort = \"low\" }", &[]);
    check_route("compress = {}", &[]);
    check_route("compress = \"yes\"", &["4:12: expected true, false or a table, found a string"]);
    check_route("compress = { codings = [] }", &["4:24: the list is empty"]);
    check_route("compress = { codings = [\"gzip\", \"zstd\", \"gzip\"] }", &["4:41: this coding is named twice"]);
    check_route(
        "compress = { types = [\"text\", \"*/*\", \"text/html;q=1\", \"application/GRPC\"] }",
        &[
            "4:23: \"text\" is not a content type: it is a type, a slash and a subtype",
            "4:31: \"*/*\" is not a content type: a star stands for a whole subtype, and for nothing else",
            "4:38: \"text/html;q=1\" is not a content type: it is written without parameters",
            "4:55: gRPC has codings of its own, and is never compressed here",
        ],
    );
    let mistake = "3:12: `compress` is for the answers of an upstream; this route has `answer`";
    check(&own("compress = true\nanswer = {}"), &[mistake]);
    check(&own("compress = false\nanswer = {}"), &[]);
    check(&format!("[defaults.route]\ncompress = true\n{}", own("answer = {}")), &[]);
    let route = "[[routes]]\npath = \"/\"\nupstream = \"http://127.0.0.1:1\"\ncompress = { types = [\"image/png\"] }";
    assert!(warnings(route)[0].contains("most of image/png is compressed already"), "{:?}", warnings(route));
}

#[test]
fn caches() {
    check_route("cache = true", &[]);
    check_route("cache = {}", &[]);
    check_route("cache = { default_ttl = \"10s\", stale_if_error = \"8760h\", vary_limit = 1, shared = true }", &[]);
    check_route("cache = \"yes\"", &["4:9: expected true, false or a table, found a string"]);
    check_route("cache = { default_ttl = \"2h\", max_ttl = \"1h\" }", &["4:25: `default_ttl` is above `max_ttl`"]);
    check_route("cache = { status_ttl = { 404 = \"10s\", 302 = \"1m\", 410 = \"0s\" } }", &[]);
    check_route("cache = { status_ttl = { 200 = \"48h\" } }", &["4:32: 200 has a longer time than `max_ttl`"]);
    let none = "is not a status whose answers are kept: they are 200, 203, 204, 300, 301, 302, 307, 308, 404, 410";
    check_route("cache = { status_ttl = { 500 = \"1s\" } }", &[&format!("4:26: \"500\" {none}")]);
    for bad in ["default_ttl = \"10ms\"", "max_ttl = \"0s\"", "vary_limit = 0", "max_body = \"0\"", "shared = \"yes\""]
    {
        let found =
            errors(&format!("[[routes]]\npath = \"/a\"\nupstream = \"http://127.0.0.1:1\"\ncache = {{ {bad} }}"));
        assert_eq!(found.len(), 1, "{bad}: {found:?}");
    }
    let small = errors("[server]\ncache_memory = \"1KiB\"");
    assert!(small[0].contains("is not between 64KiB and"), "{small:?}");
    check(
        &own("cache = true\nanswer = {}"),
        &["3:9: `cache` is for the answers of an upstream; this route has `answer`"],
    );
    check(&own("cache = false\nanswer = {}"), &[]);
    check(&format!("[defaults.route]\ncache = true\n{}", own("answer = {}")), &[]);
    let route = "[[routes]]\npath = \"/\"\nupstream = \"http://127.0.0.1:1\"\n";
    let told = |keys: &str| warnings(&format!("{route}{keys}")).join("\n");
    assert!(told("cache = true\nmethods = [\"POST\"]").contains("this route takes no GET, so that nothing is kept"));
    assert!(!told("cache = true\nmethods = [\"POST\", \"GET\"]").contains("no GET"));
    let keys = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/identity/api-keys.toml");
    let key = format!("\n[identity.providers.keys]\nkind = \"api_key\"\nfile = \"{keys}\"\n");
    let proven = |cache: &str| told(&format!("cache = {cache}\nauth = {{ providers = [\"keys\"] }}{key}"));
    assert!(proven("true").contains("with `auth`, each subject has kept answers of its own"), "{}", proven("true"));
    assert!(
        !proven("{ shared = false }").contains("each subject") && !proven("{ shared = true }").contains("each subject")
    );
}

#[test]
fn origins() {
    check_route("addresses = { allow = [\"10.0.0.0/8\"], deny = [\"10.1.0.0/16\"] }\nhttps = \"require\"", &[]);
    check_route("addresses = {}", &["4:13: addresses needs `allow` or `deny`"]);
    check_route(
        "addresses = { allow = [\"10.1.0.0/16\"], deny = [\"10.0.0.0/8\"] }",
        &["4:24: all of it is denied below `deny`, which is the stronger"],
    );
    check_route("https = \"yes\"", &["4:9: expected one of \"any\", \"redirect\", \"require\", found \"yes\""]);
    check(
        "[server]\nhsts = { max_age = \"1h\", preload = true }",
        &["2:36: no list takes a host without a year and its subdomains"],
    );
    check("[server]\nhsts = {}", &["2:8: \"max_age\" is missing in [server.hsts]"]);
}

#[test]
fn the_word_of_another_service() {
    let good =
        "forward_auth = { upstream = \"http://127.0.0.1:2\", path = \"/v?x=1\", response_headers = [\"x-user\"] }";
    check_route(good, &[]);
    assert!(warnings(&format!("[[routes]]\npath = \"/\"\nupstream = \"http://127.0.0.1:1\"\n{good}")).is_empty());
    // It is asked who may use the route: that no provider is named opens it to nobody.
    let provider = "\n[identity.providers.keys]\nkind = \"mtls\"";
    let is_open = |keys: &str| {
        let told = warnings(&format!("[[routes]]\npath = \"/\"\n{keys}{provider}"));
        told.iter().any(|warning| warning.contains("this route has no `auth`: everybody may use it"))
    };
    assert!(!is_open(&format!("upstream = \"http://127.0.0.1:1\"\n{good}")));
    assert!(!is_open("redirect = { path = \"/b\" }"));
    assert!(is_open("upstream = \"http://127.0.0.1:1\""));
    check_route("forward_auth = { upstream = \"nobody\" }", &["4:29: unknown upstream \"nobody\""]);
    check_route(
        "forward_auth = { upstream = \"http://b\", response_headers = [\"Cookie\"] }",
        &["4:61: \"cookie\" would be taken from every client, on every route"],
    );
    check_route(
        &format!("{good}\nrequest_headers = {{ set = {{ X-User = \"me\" }} }}"),
        &["4:88: \"x-user\" is edited by `request_headers`"],
    );
    check_route("forward_auth = { upstream = \"http://b\", path = \"\" }", &["4:48: \"\" is not a path: it is empty"]);
}

#[test]
fn a_collector_is_named_by_its_place_alone() {
    let tracing = |keys: &str| format!("[telemetry.tracing]\n{keys}\n");
    let endpoint = |url: &str| tracing(&format!("otlp_endpoint = \"{url}\""));
    check(&endpoint("http://127.0.0.1:4318"), &[]);
    check(&endpoint("https://otlp.example/otlp/"), &[]);
    check(
        &endpoint("http://127.0.0.1:4318/v1/traces"),
        &["2:17: otlp_endpoint ends in /v1/traces, which is added: write what stands before it"],
    );
    check(
        &endpoint("http://127.0.0.1:4318/?key=1"),
        &["2:17: otlp_endpoint holds a query, which collectors do not read"],
    );
    check(
        &endpoint("https://me:secret@otlp.example"),
        &["2:17: otlp_endpoint holds a user's name: write credentials in otlp_headers"],
    );
    check(
        &tracing("otlp_endpoint = \"http://127.0.0.1:4317/x\"\notlp_protocol = \"grpc\""),
        &["2:17: otlp_endpoint holds a path, which gRPC does not have: write scheme, host and port"],
    );
    check(
        &tracing("otlp_headers = { Content-Type = \"a\", grpc-timeout = \"1S\" }"),
        &[
            "2:33: the header `content-type` is written by the gateway",
            "2:53: the header `grpc-timeout` is written by the gateway",
        ],
    );
    let plain = tracing("otlp_endpoint = \"http://otlp.example\"\notlp_headers = { x-token = \"sesame\" }");
    let told = warnings(&plain);
    assert!(told.iter().any(|it| it.contains("in the clear")), "{told:?}");
    assert!(
        told.iter().any(|it| it.contains("written plainly")) && !format!("{told:?}").contains("sesame"),
        "{told:?}"
    );
    let good = tracing("otlp_endpoint = \"https://otlp.example\"\notlp_headers = { x-token = \"${GATEWAY_T:-a}\" }");
    assert_eq!(warnings(&good).len(), 1, "there are no routes, and nothing else is wrong");
    check(
        &tracing("otlp_endpoint = \"https://otlp.example\"\notlp_ca = \"none.pem\""),
        &["3:11: cannot read the file \"none.pem\": No such file or directory"],
    );
}
