//! Edits of headers: values of the request, lines that are added, and which answers they hold for.

use std::net::SocketAddr;

use mocks::raw::{Raw, Script};

use crate::support::{Answer, Gateway, Issuer, echo, nowhere};

const PAGE: &str = "https://app.example";

/// One route at `/t/{tenant}/{*rest}` with these keys.
fn text(upstream: SocketAddr, keys: &str) -> String {
    format!("[[routes]]\nname = 't'\npath = '/t/{{tenant}}/{{*rest}}'\nupstream = 'http://{upstream}'\n{keys}\n")
}

fn all<'a>(answer: &'a Answer, name: &str) -> Vec<&'a str> {
    answer.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
}

async fn answering(fields: &str) -> Raw {
    Raw::script(Script::always(format!("HTTP/1.1 200 OK\r\n{fields}content-length: 2\r\n\r\nok"))).await.unwrap()
}

#[tokio::test]
async fn an_upstream_is_told_values_of_the_request() {
    let upstream = echo().await;
    let edits = "rewrite = { path = '/{rest}' }\n[routes.request_headers.set]\nx-real-ip = '{client_ip}'\n\
                 x-tenant = '{tenant}'\nx-rest = '{rest}'\nx-original-uri = '{uri}'\nx-matched = '{path}'\n\
                 x-asked = '{method} {scheme}://{host}:{port}'\nx-id = '{request_id}'\nx-traces = '<{header:X-Trace}>'\n\
                 x-braces = '{{{tenant}}}'\nx-plan = '{header:x-none}'\nx-fixed = 'always'\n";
    let gateway = Gateway::start(&text(upstream.addr(), edits)).await;
    let fields = "x-trace: 1\r\nx-trace: 2\r\nx-real-ip: 6.6.6.6\r\nx-plan: gold\r\nx-fixed: never\r\n";
    let asked = format!("GET /t/blue%20sky/./a?b=c HTTP/1.1\r\nhost: Shop.Test:8443\r\n{fields}\r\n");
    let echo = gateway.ask(asked).await.echo();
    assert_eq!(echo.path(), "/a");
    for (name, value) in [
        ("x-real-ip", "127.0.0.1"),
        ("x-tenant", "blue%20sky"),
        ("x-rest", "a"),
        ("x-original-uri", "/t/blue%20sky/./a?b=c"),
        ("x-matched", "/t/blue%20sky/a"),
        ("x-asked", "GET http://shop.test:8443"),
        ("x-traces", "<1, 2>"),
        ("x-braces", "{blue%20sky}"),
        ("x-fixed", "always"),
    ] {
        assert_eq!(echo.all(name), [value], "{name}");
    }
    assert_eq!(echo.header("x-id"), echo.header("x-request-id"));
    assert_eq!(echo.all("x-plan"), [""; 0], "what comes out empty is not sent, and what the client sent is gone");
}

#[tokio::test]
async fn without_a_port_the_schemes_own_is_told_as_trusted_proxies_say() {
    let upstream = echo().await;
    let edits = "request_headers = { set = { x-forwarded-port = '{port}', x-client = '{client_ip} {scheme}' } }";
    let server = "[server]\ntrusted_proxies = ['127.0.0.0/8']\n";
    let gateway = Gateway::start(&format!("{server}{}", text(upstream.addr(), edits))).await;
    for (fields, port, client) in [
        ("", "80", "127.0.0.1 http"),
        ("x-forwarded-for: 203.0.113.7\r\nx-forwarded-proto: https\r\n", "443", "203.0.113.7 https"),
    ] {
        let asked = format!("GET /t/a/b HTTP/1.1\r\nhost: [::1]\r\n{fields}\r\n");
        let echo = gateway.ask(asked).await.echo();
        assert_eq!((echo.header("x-forwarded-port"), echo.header("x-client")), (Some(port), Some(client)));
    }
}

#[tokio::test]
async fn a_line_that_is_added_leaves_what_is_there() {
    let upstream = echo().await;
    let edits = "request_headers = { add = { via = '1.1 gw', x-hop = '{method}' } }";
    let gateway = Gateway::with_route(edits, upstream.addr()).await;
    let echo = gateway.ask("GET / HTTP/1.1\r\nhost: a\r\nvia: 1.0 me\r\n\r\n").await.echo();
    assert_eq!((echo.all("via"), echo.all("x-hop")), (vec!["1.0 me", "1.1 gw"], vec!["GET"]));
    let upstream = answering("Set-Cookie: a=1\r\nset-cookie: b=2\r\nvary: x-a\r\n").await;
    let edits = "[routes.response_headers]\nset = { x-asked = '{request_id} {uri}' }\n\
                 add = { set-cookie = 'c=3', vary = 'x-b' }";
    let gateway = Gateway::with_route(edits, upstream.addr()).await;
    let answer = gateway.get("/a?b=c").await;
    assert_eq!(all(&answer, "set-cookie"), ["a=1", "b=2", "c=3"]);
    assert_eq!(all(&answer, "vary"), ["x-a", "x-b"]);
    let id = answer.header("x-request-id").unwrap();
    assert_eq!(answer.header("x-asked"), Some(&*format!("{id} /a?b=c")), "though the request's head is long gone");
}

#[tokio::test]
async fn whatever_is_edited_a_cache_is_told_that_the_answer_varies_by_origin() {
    let nowhere = nowhere();
    let upstream = answering("vary: x-a\r\n").await;
    for (edits, varies) in [
        ("set = { vary = 'accept-language' }", vec!["accept-language", "origin"]),
        ("set = { vary = 'x, Origin' }", vec!["x, Origin"]),
        ("remove = ['vary']", vec!["origin"]),
    ] {
        let keys = format!("cors = {{ origins = ['{PAGE}'] }}\nresponse_headers = {{ {edits} }}");
        let own = "[[routes]]\npath = '/own'\nanswer = { body = 'x' }";
        let down = format!("[[routes]]\npath = '/down'\nupstream = 'http://{nowhere}'\nretry = {{ attempts = 1 }}");
        let text = format!("{}{own}\n{keys}\n{down}\n{keys}\n", text(upstream.addr(), &keys));
        let gateway = Gateway::start(&text).await;
        for (path, status) in [("/t/a/b", 200), ("/own", 200), ("/down", 502)] {
            let answer = gateway.ask(format!("GET {path} HTTP/1.1\r\nhost: a\r\norigin: {PAGE}\r\n\r\n")).await;
            assert_eq!((answer.status, answer.header("access-control-allow-origin")), (status, Some(PAGE)), "{path}");
            assert_eq!(all(&answer, "vary"), varies, "{path} {edits}");
        }
    }
}

#[tokio::test]
async fn no_edit_has_an_error_kept_and_what_forbids_that_holds_for_all() {
    for (status, told) in [
        ("200 OK", "max-age=604800"),
        ("301 Moved", "max-age=604800"),
        ("404 None", "max-age=5"),
        ("500 No", "max-age=5"),
    ] {
        let answer = format!("HTTP/1.1 {status}\r\ncache-control: max-age=5\r\ncontent-length: 2\r\n\r\nok");
        let upstream = Raw::script(Script::always(answer)).await.unwrap();
        let edits = "retry = { attempts = 1 }\n\
                     response_headers = { set = { cache-control = 'max-age=604800', x-a = '1' }, add = { cdn-cache-control = 'public' } }";
        let gateway = Gateway::start(&text(upstream.addr(), edits)).await;
        let answer = gateway.get("/t/a/b").await;
        let is_error = told != "max-age=604800";
        assert_eq!(all(&answer, "cache-control"), [told], "{status}");
        assert_eq!(answer.header("cdn-cache-control").is_none(), is_error, "{status}");
        assert_eq!(answer.header("x-a"), Some("1"), "{status}: all others hold");

        let forbids =
            "retry = { attempts = 1 }\nresponse_headers = { set = { cache-control = 'no-store', expires = '0' } }";
        let gateway = Gateway::start(&text(upstream.addr(), forbids)).await;
        let answer = gateway.get("/t/a/b").await;
        assert_eq!(
            (all(&answer, "cache-control"), answer.header("expires")),
            (vec!["no-store"], Some("0")),
            "{status}"
        );
    }
    // One that the route itself is for is meant, and what stands in for an upstream is not.
    let nowhere = nowhere();
    let edits = "response_headers = { set = { cache-control = 'max-age=60' } }";
    let gone = format!("[[routes]]\npath = '/gone'\nanswer = {{ status = 410 }}\n{edits}\n");
    for status in [200, 503] {
        let down = format!("fallback = {{ status = {status}, body = 'later' }}\nretry = {{ attempts = 1 }}\n{edits}");
        let gateway = Gateway::start(&format!("{gone}{}", text(nowhere, &down))).await;
        assert_eq!(gateway.get("/gone").await.header("cache-control"), Some("max-age=60"));
        let answer = gateway.get("/t/a/b").await;
        assert_eq!((answer.status, answer.header("cache-control")), (status, Some("no-store")));
    }
}

#[tokio::test]
async fn no_edit_takes_from_an_error_what_forbids_to_keep_it() {
    let edits = "retry = { attempts = 1 }\nresponse_headers = { remove = ['cache-control', 'expires'] }";
    for (status, said, told) in [
        ("200 OK", "no-store", None),
        ("404 None", "no-store", Some("no-store")),
        ("404 None", "max-age=60, private", Some("max-age=60, private")),
        ("404 None", "max-age=60", None),
        ("500 No", "no-cache", Some("no-cache")),
    ] {
        let answer = format!("HTTP/1.1 {status}\r\ncache-control: {said}\r\nexpires: 0\r\ncontent-length: 2\r\n\r\nok");
        let upstream = Raw::script(Script::always(answer)).await.unwrap();
        let gateway = Gateway::start(&text(upstream.addr(), edits)).await;
        let answer = gateway.get("/t/a/b").await;
        assert_eq!(answer.header("cache-control"), told, "{status} {said}");
        assert_eq!(answer.header("expires"), (status != "200 OK").then_some("0"), "{status} {said}");
    }
    // Nor from what the gateway says in an upstream's place.
    let nowhere = nowhere();
    for keys in ["", "fallback = { status = 200, body = 'later' }\n"] {
        let gateway = Gateway::start(&text(nowhere, &format!("{keys}{edits}"))).await;
        assert_eq!(gateway.get("/t/a/b").await.header("cache-control"), Some("no-store"), "{keys}");
    }
}

#[tokio::test]
async fn the_time_that_is_left_is_told_unless_edits_say_otherwise() {
    let upstream = echo().await;
    for (edits, told) in [
        ("set = { x-a = '1' }", None),
        ("set = { x-request-timeout-ms = '7' }", Some(vec!["7"])),
        ("remove = ['X-Request-Timeout-Ms']", Some(vec![])),
    ] {
        let gateway = Gateway::with_route(&format!("request_headers = {{ {edits} }}"), upstream.addr()).await;
        let echo = gateway.get("/").await.echo();
        let sent = echo.all("x-request-timeout-ms");
        match told {
            Some(told) => assert_eq!(sent, told, "{edits}"),
            None => assert!(sent.len() == 1 && sent[0].parse::<u32>().unwrap() > 7, "{sent:?}"),
        }
    }
}

#[tokio::test]
async fn problems_are_edited_too_and_stay_problems() {
    let nowhere = nowhere();
    let issuer = Issuer::new("k1");
    let edits = "retry = { attempts = 1 }\n[routes.response_headers]\n\
                 set = { x-frame-options = 'DENY', content-type = 'text/html', cache-control = 'max-age=60', \
                 cdn-cache-control = 'max-age=60', x-asked = '{tenant} {request_id}' }\n\
                 add = { link = '</help>; rel=help' }\nremove = ['www-authenticate', 'ratelimit', 'x-powered-by']\n";
    let closed = edits.replacen("retry", "auth = { providers = ['main'] }\nretry", 1);
    let text = format!(
        "{}{}{}",
        text(nowhere, edits),
        text(nowhere, &closed).replacen("'t'", "'c'", 1).replacen("/t/", "/c/", 1),
        issuer.provider("")
    );
    let gateway = Gateway::start(&text).await;
    for (path, status, code) in [("/t/blue/x", 502, "upstream_connect"), ("/c/blue/x", 401, "unauthorized")] {
        let answer = gateway.get(path).await;
        assert_eq!((answer.status, &*answer.code()), (status, code));
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert_eq!(all(&answer, "cache-control"), ["no-store"]);
        assert_eq!(answer.header("cdn-cache-control"), None);
        assert_eq!(answer.header("www-authenticate").is_some(), status == 401);
        assert_eq!(answer.header("x-frame-options"), Some("DENY"));
        assert_eq!(answer.header("link"), Some("</help>; rel=help"));
        let id = answer.header("x-request-id").unwrap();
        assert_eq!(answer.header("x-asked"), Some(&*format!("blue {id}")));
    }
    let mut client = gateway.client().await;
    client.send("HEAD /t/blue/x HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let head = client.head().await;
    assert_eq!((head.status, head.header("x-frame-options")), (502, Some("DENY")));
    let none = gateway.get("/nowhere").await;
    assert_eq!((none.status, none.header("x-frame-options")), (404, None), "it is no route's");
}

#[tokio::test]
async fn no_routes_edits_hold_while_the_body_is_to_tell_which_one_is_taken() {
    let (upstream, issuer) = (echo().await, Issuer::new("k1"));
    let route = |name: &str, more: &str| {
        format!(
            "[[routes]]\nname = '{name}'\npath = '/pay'\nupstream = 'http://{}'\nauth = {{ providers = ['main'] }}\n\
             response_headers = {{ set = {{ x-route = '{name}', x-uri = '{{uri}}' }} }}\n{more}\n",
            upstream.addr()
        )
    };
    let text =
        format!("{}{}{}", route("refund", "body = { '/type' = 'refund' }"), route("any", ""), issuer.provider(""));
    let gateway = Gateway::start(&text).await;
    let post = |fields: &str| {
        format!("POST /pay HTTP/1.1\r\nhost: a\r\n{fields}content-length: 17\r\n\r\n{{\"type\":\"refund\"}}")
    };
    let answer = gateway.ask(post("")).await;
    assert_eq!((answer.status, answer.header("x-route")), (401, None), "refused before the body is looked into");
    let answer = gateway.ask(post("authorization: Bearer x.y.z\r\n")).await;
    assert_eq!((answer.status, answer.header("x-route"), answer.header("x-uri")), (401, Some("refund"), Some("/pay")));
}

#[tokio::test]
async fn what_a_client_writes_stays_one_value() {
    let upstream = echo().await;
    let edits = "request_headers = { set = { x-tenant = 't={tenant}', x-copy = '{header:x-any}' } }\n\
                 response_headers = { set = { x-tenant = '{tenant}' } }";
    let gateway = Gateway::start(&text(upstream.addr(), edits)).await;
    let asked = "GET /t/a%3A;x-evil:1,%22/b HTTP/1.1\r\nhost: a\r\nx-any: a, b; c=\"\t\"\r\n\r\n";
    let answer = gateway.ask(asked).await;
    let echo = answer.echo();
    assert_eq!(echo.all("x-tenant"), ["t=a%3A;x-evil:1,%22"]);
    assert_eq!((echo.all("x-copy"), echo.all("x-evil")), (vec!["a, b; c=\"\t\""], vec![]));
    assert_eq!(all(&answer, "x-tenant"), ["a%3A;x-evil:1,%22"]);
    // Bytes that end a line never come so far, and are never decoded.
    let answer = gateway.ask("GET /t/a%0D%0Ax-evil:%201/b HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(answer.status == 400 || answer.echo().all("x-evil").is_empty());
    assert_eq!(answer.header("x-evil"), None);
}
