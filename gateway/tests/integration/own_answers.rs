//! Routes that the gateway answers itself, requests in the clear, and what its own answers say to browsers.

use mocks::raw::{Raw, Script};

use crate::support::h2::{H2Client, get};
use crate::support::{Answer, Gateway, Issuer, echo, nowhere, one_route};

fn route(path: &str, keys: &str) -> String {
    format!("[[routes]]\nname = '{path}'\npath = '{path}'\n{keys}\n")
}

async fn ask(gateway: &Gateway, method: &str, target: &str, host: &str) -> Answer {
    let mut client = gateway.client().await;
    client.send(format!("{method} {target} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 0\r\n\r\n")).await;
    let mut answer = client.head().await;
    if method != "HEAD" {
        client.body_of(&mut answer).await;
    }
    answer
}

#[tokio::test]
async fn a_redirect_leads_to_the_url_with_its_parts_changed() {
    let text = [
        route("/old/{id}", "redirect = { path = '/new/{id}', status = 301 }"),
        route("/moved/{*rest}", "redirect = { host = 'New.example' }"),
        route("/port/{*rest}", "redirect = { port = 8443, scheme = 'https', strip_query = true, status = 302 }"),
        route("/down/{*rest}", "redirect = { scheme = 'https', port = 443 }"),
    ]
    .concat();
    let gateway = Gateway::start(&text).await;
    for (target, status, location) in [
        ("/old/7?a=b", 301, "http://a.test:81/new/7?a=b"),
        ("/old/%2e%2e", 404, ""),
        ("/old/a%20b", 301, "http://a.test:81/new/a%20b"),
        ("/moved/x?y", 308, "http://new.example/moved/x?y"),
        ("/port/x?y", 302, "https://a.test:8443/port/x"),
        ("/down//evil.example", 308, "https://a.test/down/evil.example"),
    ] {
        for method in ["GET", "HEAD", "POST"] {
            let answer = ask(&gateway, method, target, "a.test:81").await;
            assert_eq!(
                (answer.status, answer.header("location").unwrap_or("")),
                (status, location),
                "{method} {target}"
            );
            assert!(answer.body.is_empty() || status == 404);
        }
    }
    let record = gateway.records(18).await.remove(0);
    assert_eq!((&record["status"], &record["code"], &record["attempts"]), (&301.into(), &"ok".into(), &0.into()));
    assert_eq!(record["route"], "/old/{id}");
}

#[tokio::test]
async fn who_is_answered_before_a_chunked_body_is_whole_is_told_that_no_other_request_can_follow() {
    let gateway = Gateway::start(&route("/", "answer = { status = 200, body = 'ok' }")).await;
    let post = "POST / HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\n\r\n";
    // All of it came with its head: another request can follow.
    let mut client = gateway.client().await;
    for _ in 0..2 {
        client.send(format!("{post}5\r\nhello\r\n0\r\n\r\n")).await;
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.header("connection")), (200, None));
    }
    // More than the gateway reads for nothing, and one that has not come to its end.
    for body in [format!("11170\r\n{}\r\n0\r\n\r\n", "x".repeat(70_000)), "5\r\nhel".to_owned()] {
        let mut client = gateway.client().await;
        client.send(format!("{post}{body}")).await;
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.header("connection")), (200, Some("close")), "{}", body.len());
    }
}

#[tokio::test]
async fn what_routes_share_for_their_upstreams_leaves_a_fixed_answer_as_it_is() {
    let upstream = echo().await;
    // Nobody listens there.
    let nowhere = nowhere();
    let text = [
        "[defaults.route]\nretry = { attempts = 1 }\nfallback = { status = 503, body = 'later' }\n\
         rewrite = { strip_prefix = '/api' }\n"
            .to_owned(),
        route("/health", "answer = { status = 200, body = 'fine' }"),
        route("/old/{*rest}", "redirect = { host = 'new.example' }"),
        route("/api/{*rest}", &format!("upstream = 'http://{}'", upstream.addr())),
        route("/api/down", &format!("upstream = 'http://{nowhere}'")),
    ]
    .concat();
    let gateway = Gateway::start(&text).await;
    let health = gateway.get("/health").await;
    assert_eq!((health.status, &health.body[..]), (200, &b"fine"[..]));
    assert_eq!(gateway.get("/old/x").await.header("location"), Some("http://new.example/old/x"));
    assert_eq!(gateway.get("/api/a").await.echo().path(), "/a");
    assert_eq!(gateway.get("/api/down").await.body, b"later");
}

#[tokio::test]
async fn a_path_that_looks_like_a_host_never_leads_to_one() {
    let text = "[server]\nmerge_slashes = false\n".to_owned() + &route("/a/{*rest}", "redirect = { path = '/{rest}' }");
    let gateway = Gateway::start(&text).await;
    let answer = ask(&gateway, "GET", "/a//evil.example/x", "a.test").await;
    let location = answer.header("location").unwrap();
    assert!(location.starts_with("http://a.test/"), "{location}");
    // Without a host there is nowhere to lead to.
    let answer = gateway.ask("GET /a HTTP/1.0\r\n\r\n").await;
    assert_eq!((answer.status, &*answer.code()), (400, "bad_request"));
}

#[tokio::test]
async fn a_fixed_answer_has_the_routes_policies_and_no_upstream() {
    let issuer = Issuer::new("k1");
    let text = [
        route(
            "/hello",
            "answer = { body = '{}', content_type = 'application/json' }\nrate_limits = ['few']\n\
                         response_headers = { set = { cache-control = 'max-age=60' } }",
        ),
        route("/gone", "answer = { status = 410 }"),
        route("/none", "answer = { status = 204 }"),
        route("/mine", "answer = { body = 'secret' }\nauth = { providers = ['main'] }"),
        "[rate_limits.few]\nrate = '1/m'\nburst = 2\nkey = 'global'\n".to_owned(),
        issuer.provider(""),
    ]
    .concat();
    let gateway = Gateway::start(&text).await;
    let answer = gateway.get("/hello").await;
    assert_eq!((answer.status, &answer.body[..]), (200, &b"{}"[..]));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("max-age=60"));
    assert!(answer.header("x-request-id").is_some() && answer.header("ratelimit").is_some());
    let head = ask(&gateway, "HEAD", "/hello", "a").await;
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, Some("2"), 0));
    assert_eq!(gateway.get("/hello").await.status, 429);
    assert_eq!((gateway.get("/gone").await.status, gateway.get("/none").await.status), (410, 204));
    assert_eq!(gateway.get("/mine").await.status, 401);
    // A body that nobody wants does not end the connection.
    let mut client = gateway.client().await;
    for _ in 0..2 {
        let answer = client.ask("POST /gone HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nbody").await;
        assert_eq!((answer.status, answer.whole), (410, true));
    }
    let answer = H2Client::connect(gateway.address).await.send(get("/gone"), "").await;
    assert_eq!((answer.status, answer.header("content-length")), (410, Some("0")));
}

/// A bare domain in the clear leads to `www` over TLS in one step, and needs no certificate of its own for that.
#[tokio::test]
async fn a_redirect_that_leads_to_https_is_no_second_step() {
    let naked = "redirect = { host = 'www.test', scheme = 'https', status = 301 }";
    let text = format!(
        "[policies.tls]\nhttps = 'redirect'\n[server]\ntrusted_proxies = ['127.0.0.0/8']\n{}{}{}",
        route("/{*rest}", &format!("{naked}\npolicies = ['tls']")),
        route("/two", &format!("{naked}\nhttps = 'redirect'")),
        route("/same", "redirect = { host = 'www.test' }\npolicies = ['tls']"),
    );
    let gateway = Gateway::start(&text).await;
    let led = async |path: &str, proto: &str| {
        let asked = format!("GET {path} HTTP/1.1\r\nhost: a.test\r\nx-forwarded-proto: {proto}\r\n\r\n");
        let answer = gateway.ask(asked).await;
        (answer.status, answer.header("location").unwrap_or_default().to_owned())
    };
    for proto in ["http", "https"] {
        assert_eq!(led("/a", proto).await, (301, "https://www.test/a".to_owned()));
    }
    assert_eq!(led("/two", "http").await, (308, "https://a.test/two".to_owned()), "where the route itself says so");
    assert_eq!(led("/same", "http").await, (308, "https://a.test/same".to_owned()), "whose own step keeps the scheme");
}

#[tokio::test]
async fn a_request_in_the_clear_is_sent_to_https_or_refused_as_trusted_proxies_tell_it() {
    let upstream = echo().await;
    let text = format!(
        "[server]\ntrusted_proxies = ['127.0.0.0/8']\nhttps_port = 8443\n[upstreams.up]\nendpoints = ['{}']\n{}{}",
        upstream.addr(),
        route("/{*rest}", "upstream = 'up'\nhttps = 'redirect'\nrewrite = { strip_prefix = '/api' }"),
        route("/strict", "upstream = 'up'\nhttps = 'require'"),
    );
    let gateway = Gateway::start(&text).await;
    let told = |path: &str, proto: &str| {
        format!("GET {path} HTTP/1.1\r\nhost: a.test:80\r\nx-forwarded-proto: {proto}\r\n\r\n")
    };
    for proto in ["http", "HTTP", "https, http", "wss"] {
        let answer = gateway.ask(told("/api/x?y=z", proto)).await;
        let led = (answer.status, answer.header("location"));
        assert_eq!(
            led,
            (308, Some("https://a.test:8443/api/x?y=z")),
            "the URL that was asked for, not the rewritten one"
        );
        let answer = gateway.ask(told("/strict", proto)).await;
        assert_eq!((answer.status, &*answer.code()), (403, "forbidden"));
    }
    assert_eq!(gateway.ask(told("/api/x", "https")).await.echo().path(), "/x");
    assert_eq!(gateway.ask(told("/strict", "HTTPS")).await.status, 200);
    // A proxy that speaks RFC 7239 alone; and one that does not, and passes on what its client made up.
    let told = |told: &str| format!("GET /strict HTTP/1.1\r\nhost: a.test\r\n{told}\r\n\r\n");
    for (fields, status) in [
        ("forwarded: for=203.0.113.7;proto=https", 200),
        ("forwarded: for=203.0.113.7;proto=http", 403),
        ("forwarded: for=203.0.113.7;proto=https\r\nx-forwarded-for: 203.0.113.7", 403),
    ] {
        assert_eq!(gateway.ask(told(fields)).await.status, status, "{fields}");
    }
}

#[tokio::test]
async fn a_redirect_leads_to_the_host_that_a_trusted_proxy_was_asked_for_as_its_upstream_is_told() {
    let text = [
        "[server]\ntrusted_proxies = ['127.0.0.1/32']\n".to_owned(),
        route("/from/{*rest}", "redirect = { path = '/to/{rest}' }"),
        route("/down/{*rest}", "redirect = { scheme = 'http', path = '/plain/{rest}' }"),
        route("/moved/{*rest}", "redirect = { host = 'new.example' }"),
    ]
    .concat();
    let gateway = Gateway::start(&text).await;
    for (target, told, location) in [
        ("/from/x", "forwarded: for=1.1.1.1;host=pub.example;proto=https", "https://pub.example/to/x"),
        ("/from/x", "forwarded: for=1.1.1.1;host=\"pub.example:444\";proto=https", "https://pub.example:444/to/x"),
        ("/from/x", "x-forwarded-proto: https\r\nx-forwarded-host: pub.example", "https://pub.example/to/x"),
        ("/from/x", "x-forwarded-proto: https", "https://inner.test:81/to/x"),
        ("/from/x", "x-forwarded-host: a.example, b.example", "http://inner.test:81/to/x"),
        ("/from/x", "x-forwarded-host: a.example/..", "http://inner.test:81/to/x"),
        ("/from/x", "x-forwarded-for: 1.1.1.1\r\nforwarded: for=1.1.1.1;host=pub.example", "http://inner.test:81/to/x"),
        ("/down/x", "forwarded: for=1.1.1.1;host=\"Pub.example:444\";proto=https", "http://pub.example/plain/x"),
        ("/moved/x", "forwarded: for=1.1.1.1;host=pub.example;proto=https", "https://new.example/moved/x"),
    ] {
        let answer = gateway.ask(format!("GET {target} HTTP/1.1\r\nhost: inner.test:81\r\n{told}\r\n\r\n")).await;
        assert_eq!(answer.header("location"), Some(location), "{target} {told}");
    }
    let stranger = Gateway::start(&route("/from/{*rest}", "redirect = { path = '/to/{rest}' }")).await;
    let told = "GET /from/x HTTP/1.1\r\nhost: a.test\r\nx-forwarded-host: pub.example\r\n\r\n";
    assert_eq!(stranger.ask(told).await.header("location"), Some("http://a.test/to/x"), "nobody vouches for it");
}

#[tokio::test]
async fn what_a_stranger_says_of_its_scheme_is_not_believed() {
    let upstream = echo().await;
    let gateway = Gateway::start(&one_route("hsts = { max_age = '1h' }", "https = 'redirect'", upstream.addr())).await;
    let answer = gateway.ask("GET / HTTP/1.1\r\nhost: a.test\r\nx-forwarded-proto: https\r\n\r\n").await;
    assert_eq!((answer.status, answer.header("location")), (308, Some("https://a.test/")));
    assert_eq!(answer.header("strict-transport-security"), None, "RFC 6797: never in the clear");
}

#[tokio::test]
async fn addresses_are_the_clients_own_as_trusted_proxies_tell_them() {
    let upstream = echo().await;
    let keys = "addresses = { allow = ['192.0.2.0/24', '2001:db8::/32'], deny = ['192.0.2.66/32'] }";
    let gateway = Gateway::start(&one_route("trusted_proxies = ['127.0.0.1/32']", keys, upstream.addr())).await;
    for (told, status) in [
        ("192.0.2.1", 200),
        ("2001:db8::1", 200),
        ("192.0.2.66", 403),
        ("198.51.100.1", 403),
        ("192.0.2.1, 198.51.100.1", 403),
        ("198.51.100.1, 192.0.2.1", 200),
        ("not an address", 403),
    ] {
        let answer = gateway.ask(format!("GET / HTTP/1.1\r\nhost: a\r\nx-forwarded-for: {told}\r\n\r\n")).await;
        assert_eq!(answer.status, status, "{told}");
    }
    assert_eq!(gateway.get("/").await.status, 403, "the proxy itself");
    // The proxy is in the list, and does not say for whom it asks.
    let keys = "addresses = { allow = ['127.0.0.0/8'] }";
    let inside = Gateway::start(&one_route("trusted_proxies = ['127.0.0.1/32']", keys, upstream.addr())).await;
    for hidden in ["forwarded: for=unknown", "forwarded: for=_a", "x-forwarded-for: unix:", "forwarded: for=\"a"] {
        let answer = inside.ask(format!("GET / HTTP/1.1\r\nhost: a\r\n{hidden}\r\n\r\n")).await;
        assert_eq!(answer.status, 403, "{hidden}");
    }
    assert_eq!(upstream.counters().requests, 3);
    let record = gateway.records(8).await.remove(2);
    assert_eq!((&record["client"], &record["code"]), (&"192.0.2.66".into(), &"forbidden".into()));
}

#[tokio::test]
async fn own_answers_say_what_browsers_respect_and_upstreams_have_the_last_word() {
    let upstream = echo().await;
    let server = "trusted_proxies = ['127.0.0.0/8']\n\
                  hsts = { max_age = '8760h', include_subdomains = true, preload = true }\n\
                  own_headers = { x-frame-options = 'DENY', cache-control = 'private' }";
    let gateway = Gateway::start(&one_route(server, "methods = ['GET']", upstream.addr())).await;
    let ask = |method: &str| format!("{method} / HTTP/1.1\r\nhost: a\r\nx-forwarded-proto: https\r\n\r\n");
    let hsts = Some("max-age=31536000; includeSubDomains; preload");
    let answer = gateway.ask(ask("PUT")).await;
    assert_eq!((answer.status, answer.header("strict-transport-security")), (405, hsts));
    assert_eq!((answer.header("x-frame-options"), answer.header("cache-control")), (Some("DENY"), Some("no-store")));
    let answer = gateway.ask(ask("GET")).await;
    assert_eq!((answer.status, answer.header("strict-transport-security")), (200, hsts));
    assert_eq!(answer.header("x-frame-options"), None, "what pages of upstreams do is theirs to say");
    // What is no request at all is told as much.
    let answer = gateway.ask("GET / HTTP/1.1\r\nhost : a\r\n\r\n").await;
    assert_eq!((answer.status, answer.header("x-frame-options")), (400, Some("DENY")));
    let own = "HTTP/1.1 204 No Content\r\nStrict-Transport-Security: max-age=1\r\n\r\n";
    let upstream = Raw::script(Script::always(own)).await.unwrap();
    let gateway = Gateway::start(&one_route(server, "", upstream.addr())).await;
    assert_eq!(gateway.ask(ask("GET")).await.header("strict-transport-security"), Some("max-age=1"));
}
