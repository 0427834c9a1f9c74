//! Pages of other origins (Fetch, "CORS protocol"): who is told that they may, on which answers, and what is answered
//! before anybody is asked who they are.

use mocks::raw::{Raw, Script};

use crate::support::{Answer, Gateway, echo, one_route};

const PAGE: &str = "https://app.example";
const CORS: &str = "cors = { origins = ['https://app.example', 'http://localhost:3000'], methods = ['GET', 'PUT'], \
                    headers = ['authorization', 'X-Version'], credentials = true, max_age = '5m' }";

fn request(method: &str, fields: &[(&str, &str)]) -> String {
    let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("{method} /x HTTP/1.1\r\nhost: a.test\r\n{fields}\r\n")
}

fn preflight(origin: &str, method: &str) -> String {
    request("OPTIONS", &[("origin", origin), ("access-control-request-method", method)])
}

/// The fields of the protocol, without their common beginning.
fn told(answer: &Answer) -> Vec<(&str, &str)> {
    let fields = answer.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let mut told: Vec<_> =
        fields.filter_map(|(name, value)| Some((name.strip_prefix("access-control-")?, value))).collect();
    told.sort_unstable();
    told
}

fn all<'a>(answer: &'a Answer, name: &str) -> Vec<&'a str> {
    answer.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
}

const MAY_READ: [(&str, &str); 3] = [
    ("allow-credentials", "true"),
    ("allow-origin", PAGE),
    ("expose-headers", "x-request-id, retry-after, ratelimit, ratelimit-policy, www-authenticate"),
];

/// A route that wants a key, and counts requests that have none.
fn guarded(cors: &str, upstream: std::net::SocketAddr) -> String {
    let provider = "[identity.providers.keys]\nkind = 'api_key'\nfile = 'keys.toml'\n\n\
                    [rate_limits.few]\nrate = '1/h'\nburst = 1\nkey = 'client_ip'\n\n";
    let route = format!("methods = ['GET', 'PUT']\nauth = {{ providers = ['keys'] }}\nrate_limits = ['few']\n{cors}");
    format!("{provider}{}", one_route("", &route, upstream))
}

async fn start_guarded(upstream: std::net::SocketAddr) -> Gateway {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys.toml");
    std::fs::write(&keys, "").unwrap();
    let text = guarded(CORS, upstream).replace("'keys.toml'", &format!("'{}'", keys.display()));
    Gateway::start(&text).await
}

/// Which of two routes takes the request hangs on a value that its preflight does not tell.
#[tokio::test]
async fn a_preflight_is_granted_only_if_each_route_that_the_request_may_take_allows_it() {
    let upstream = echo().await;
    let route = |name: &str, more: &str, origin: &str| {
        let endpoint = upstream.addr();
        format!(
            "[[routes]]\nname = '{name}'\npath = '/x'\n{more}\nupstream = 'http://{endpoint}'\ncors = {{ origins = ['{origin}'], headers = ['x-api'] }}\n"
        )
    };
    let other = "https://other.example";
    for (second, status) in [(PAGE, 204), (other, 403)] {
        let first = route("open", "headers = { x-api = 'public' }", PAGE);
        let gateway = Gateway::start(&format!("{first}{}", route("rest", "", second))).await;
        let asked = [("origin", PAGE), ("access-control-request-method", "GET")];
        let with_header = [&asked[..], &[("access-control-request-headers", "x-api")]].concat();
        assert_eq!(gateway.ask(request("OPTIONS", &with_header)).await.status, status);
    }
}

/// One route's word is none for another: neither of methods and headers nor of credentials, which browsers remember.
#[tokio::test]
async fn a_preflight_grants_what_each_route_that_the_request_may_take_grants() {
    let upstream = echo().await;
    let endpoint = upstream.addr();
    let route = |name: &str, more: &str, cors: &str| {
        format!(
            "[[routes]]\nname = '{name}'\npath = '/x'\n{more}\nupstream = 'http://{endpoint}'\ncors = {{ {cors} }}\n"
        )
    };
    let wide = format!(
        "origins = ['{PAGE}'], methods = ['GET', 'PUT', 'DELETE'], headers = ['x-api', 'x-more'], credentials = true"
    );
    let first = route("open", "headers = { x-api = 'public' }", &wide);
    let names = "headers = ['x-api']";
    for (second, method, named, status) in [
        (format!("origins = ['{PAGE}'], methods = ['GET'], {names}"), "DELETE", "x-api", 403),
        (format!("origins = ['*'], methods = ['GET'], {names}"), "DELETE", "x-api", 403),
        (format!("origins = ['{PAGE}'], methods = ['GET', 'DELETE'], {names}"), "DELETE", "x-api,x-more", 403),
        (format!("origins = ['{PAGE}'], methods = ['GET', 'DELETE'], {names}"), "DELETE", "x-api", 204),
        // Every page may send it.
        (format!("origins = ['{PAGE}'], methods = ['DELETE'], {names}"), "GET", "x-api", 204),
    ] {
        let gateway = Gateway::start(&format!("{first}{}", route("rest", "", &second))).await;
        let asked =
            [("origin", PAGE), ("access-control-request-method", method), ("access-control-request-headers", named)];
        let answer = gateway.ask(request("OPTIONS", &asked)).await;
        assert_eq!(answer.status, status, "{method} {named} with {second}");
        let told = |name: &str| answer.header(&format!("access-control-{name}"));
        assert_eq!(told("allow-credentials"), None, "the other route takes none: {second}");
        if status == 204 {
            assert_eq!(told("allow-methods"), Some(method), "not what one of them alone allows");
            assert_eq!(told("allow-headers"), Some("x-api"));
        }
        let asks = format!(
            "method=OPTIONS&headers=access-control-request-method:{method}%0Aaccess-control-request-headers:{named}%0A"
        );
        let explained = gateway.admin("GET", &format!("/explain?url=/x&{asks}origin:{PAGE}")).await.json();
        let page = explained["policies"]["page"].as_str().unwrap();
        let names_it = page.contains("the route \"rest\", which does not allow its method, or one of its headers");
        assert_eq!(names_it, status == 403, "{page}");
    }
    let gateway = Gateway::start(&format!("{first}{}", route("rest", "", &wide))).await;
    let asked =
        [("origin", PAGE), ("access-control-request-method", "PUT"), ("access-control-request-headers", "x-api")];
    let answer = gateway.ask(request("OPTIONS", &asked)).await;
    assert_eq!(answer.header("access-control-allow-credentials"), Some("true"), "both have them");
}

/// A canary that says nothing of pages does not answer for the route that does: no preflight shows its cookie.
#[tokio::test]
async fn a_canary_by_cookie_takes_nobodys_preflights() {
    let upstream = echo().await;
    let endpoint = upstream.addr();
    for (more, status) in [("", 204), (", credentials = true", 403)] {
        let text = format!(
            "[[routes]]\nname = 'api'\npath = '/{{*rest}}'\nupstream = 'http://{endpoint}'\n\
             cors = {{ origins = ['{PAGE}'], methods = ['GET', 'PUT']{more} }}\n\
             [[routes]]\nname = 'canary'\npath = '/{{*rest}}'\npriority = 9\nupstream = 'http://{endpoint}'\n\
             headers = {{ cookie = '~.*canary=always.*' }}\n"
        );
        let gateway = Gateway::start(&text).await;
        let answer = gateway.ask(preflight(PAGE, "PUT")).await;
        assert_eq!(answer.status, status, "a browser sends cookies only where it is told that it may");
        let asks = format!("method=OPTIONS&headers=access-control-request-method:PUT%0Aorigin:{PAGE}");
        let explained = gateway.admin("GET", &format!("/explain?url=/x&{asks}")).await.json();
        assert_eq!(explained["routing"]["route"], "api");
        let page = explained["policies"]["page"].as_str().unwrap();
        assert_eq!(page.contains("the route \"canary\", which has no `cors`"), status == 403, "{page}");
        assert_eq!(explained["status"].as_u64(), (status == 403).then_some(403), "{page}");
    }
}

/// What a preflight asks about, and what is told of it, is one route.
#[tokio::test]
async fn an_explained_preflight_is_told_by_one_route() {
    let upstream = echo().await;
    let endpoint = upstream.addr();
    let text = format!(
        "[[routes]]\nname = 'new'\npath = '/x'\nupstream = 'http://{endpoint}'\nheaders = {{ x-version = '2' }}\n\
         cors = {{ origins = ['{PAGE}'], methods = ['PUT'], headers = ['x-version'] }}\n\
         [[routes]]\nname = 'old'\npath = '/{{*rest}}'\nupstream = 'http://{endpoint}'\n\
         cors = {{ origins = ['{PAGE}'], methods = ['GET'] }}\n"
    );
    let gateway = Gateway::start(&text).await;
    let asks = "method=OPTIONS&headers=access-control-request-method:PUT%0Aaccess-control-request-headers:x-version%0A";
    let explained = gateway.admin("GET", &format!("/explain?url=/x&{asks}origin:{PAGE}")).await.json();
    assert_eq!(explained["routing"]["route"], "new");
    assert!(explained["policies"]["cors"].as_str().unwrap().contains("; PUT; x-version;"), "{explained}");
    let because = explained["routing"]["because"].to_string();
    assert!(because.contains("the header x-version may come"), "{because}");
    assert_eq!(explained["routing"]["misses"][0]["route"], "old", "{explained}");
}

#[tokio::test]
async fn a_preflight_is_answered_before_identity_and_limits_and_no_upstream_is_asked() {
    let upstream = echo().await;
    let gateway = start_guarded(upstream.addr()).await;
    let mut client = gateway.client().await;
    for method in ["PUT", "GET", "PUT"] {
        let answer = client.ask(preflight(PAGE, method)).await;
        let expected = [
            ("allow-credentials", "true"),
            ("allow-headers", "authorization, x-version"),
            ("allow-methods", "GET, PUT"),
            ("allow-origin", PAGE),
            ("max-age", "300"),
        ];
        assert_eq!((answer.status, told(&answer)), (204, expected.to_vec()));
        assert_eq!((answer.header("vary"), answer.header("content-length")), (Some("origin"), None));
        assert!(answer.header("x-request-id").is_some());
    }
    assert_eq!(upstream.counters().requests, 0);
    let record = &gateway.records(3).await[0];
    assert_eq!((&record["route"], &record["status"], &record["attempts"]), (&"all".into(), &204.into(), &0.into()));
    assert_eq!(client.ask(request("GET", &[])).await.status, 401, "the limit has its token still");
}

#[tokio::test]
async fn a_page_can_read_why_it_was_refused() {
    let upstream = echo().await;
    let gateway = start_guarded(upstream.addr()).await;
    for (status, code) in [(401, "unauthorized"), (429, "rate_limited")] {
        let answer = gateway.ask(request("GET", &[("origin", PAGE)])).await;
        assert_eq!((answer.status, &*answer.code(), told(&answer)), (status, code, MAY_READ.to_vec()));
        assert_eq!(answer.header("vary"), Some("origin"));
    }
    let stranger = gateway.ask(request("GET", &[("origin", "https://evil.example")])).await;
    assert_eq!((stranger.status, told(&stranger)), (429, vec![]));
    assert_eq!(stranger.header("vary"), Some("origin"), "a cache must not show it to others");
}

#[tokio::test]
async fn origins_are_compared_exactly() {
    let upstream = echo().await;
    let gateway = Gateway::with_route(CORS, upstream.addr()).await;
    for origin in [
        "https://app.example.evil.test",
        "https://evil-app.example",
        "http://app.example",
        "https://app.example:444",
        "https://APP.example",
        "null",
        "*",
        "",
    ] {
        let refused = gateway.ask(preflight(origin, "PUT")).await;
        assert_eq!((refused.status, &*refused.code(), told(&refused)), (403, "forbidden", vec![]), "{origin}");
        let answer = gateway.ask(request("GET", &[("origin", origin)])).await;
        assert_eq!((answer.echo_status(), told(&answer)), (200, vec![]), "{origin}");
    }
    let twice = [("origin", PAGE), ("origin", "https://evil.example")];
    assert_eq!(told(&gateway.ask(request("GET", &twice)).await), vec![], "whose page is it?");
    let other = gateway.ask(request("GET", &[("origin", "http://localhost:3000")])).await;
    assert_eq!(told(&other)[1], ("allow-origin", "http://localhost:3000"));
    let none = gateway.ask(request("GET", &[])).await;
    assert_eq!((told(&none), none.header("vary")), (vec![], Some("origin")));
    assert_eq!(gateway.ask(request("GET", &[("origin", PAGE)])).await.echo().header("origin"), Some(PAGE));
}

#[tokio::test]
async fn a_star_lets_in_every_page_below_a_domain_and_no_cache_shows_one_what_another_was_told() {
    let upstream = echo().await;
    let cors =
        "cors = { origins = ['https://*.app.example', 'https://app.example'], methods = ['PUT'], credentials = true }";
    let aggregate = "[[aggregates]]\nname = 'sum'\npath = '/sum'\n\
                     cors = { origins = ['https://*.app.example'], credentials = true }\n\
                     parts = [{ name = 'one', upstream = 'up', path = '/one' }]\n";
    let gateway = Gateway::start(&format!("{}{aggregate}", one_route("", cors, upstream.addr()))).await;
    let whole = |method: &str, path: &str, origin: &str| {
        format!("{method} {path} HTTP/1.1\r\nhost: a.test\r\norigin: {origin}\r\n\r\n")
    };
    for page in ["https://a.app.example", "https://b.a.app.example", PAGE] {
        let asked = gateway.ask(preflight(page, "PUT")).await;
        assert_eq!((asked.status, asked.header("access-control-allow-origin")), (204, Some(page)));
        assert_eq!(asked.header("vary"), Some("origin"), "{page}");
        let answer = gateway.ask(whole("GET", "/x", page)).await;
        assert_eq!((answer.header("access-control-allow-origin"), answer.header("vary")), (Some(page), Some("origin")));
    }
    let of_aggregate = gateway.ask(whole("GET", "/sum", "https://a.app.example")).await;
    assert_eq!(of_aggregate.header("access-control-allow-origin"), Some("https://a.app.example"));
    assert_eq!(told(&gateway.ask(whole("GET", "/sum", PAGE)).await), vec![], "the domain itself has to be named");
    for page in ["https://evilapp.example", "https://a.app.example.evil.test", "http://a.app.example", "null"] {
        let refused = gateway.ask(preflight(page, "PUT")).await;
        assert_eq!((refused.status, told(&refused), refused.header("vary")), (403, vec![], Some("origin")), "{page}");
        let answer = gateway.ask(whole("GET", "/x", page)).await;
        assert_eq!(
            (answer.echo_status(), told(&answer), answer.header("vary")),
            (200, vec![], Some("origin")),
            "{page}"
        );
    }
}

#[tokio::test]
async fn what_the_upstream_says_of_it_is_replaced_and_never_doubled() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nAccess-Control-Allow-Origin: *\r\n\
                access-control-allow-credentials: false\r\naccess-control-allow-methods: DELETE\r\n\
                access-control-expose-headers: x-total\r\nvary: Accept-Encoding\r\n";
    for (more, varies) in
        [("", vec!["Accept-Encoding", "origin"]), ("Vary: x, Origin\r\n", vec!["Accept-Encoding", "x, Origin"])]
    {
        let answers = Script::always(format!("{head}{more}\r\nok"));
        let upstream = Raw::script(answers).await.unwrap();
        let edits = "response_headers = { set = { x-edited = '1' } }";
        for route in [CORS.to_owned(), format!("{CORS}\n{edits}")] {
            let gateway = Gateway::with_route(&route, upstream.addr()).await;
            let answer = gateway.ask(request("GET", &[("origin", PAGE)])).await;
            let mut expected = MAY_READ.to_vec();
            expected.push(("expose-headers", "x-total"));
            assert_eq!((answer.status, told(&answer), all(&answer, "vary")), (200, expected, varies.clone()));
            let stranger = gateway.ask(request("GET", &[("origin", "https://evil.example")])).await;
            assert_eq!(told(&stranger), [("expose-headers", "x-total")]);
        }
    }
}

/// To whom the route lets in alone, and beside what the service says of it.
#[tokio::test]
async fn what_the_route_names_pages_may_read() {
    let said =
        "HTTP/1.1 200 OK\r\nx-total: 7\r\naccess-control-expose-headers: x-service\r\ncontent-length: 2\r\n\r\nok";
    let upstream = Raw::script(Script::always(said)).await.unwrap();
    let cors = format!("cors = {{ origins = ['{PAGE}'], expose_headers = ['X-Total', 'link'] }}");
    let own = format!("[[routes]]\npath = '/own'\nanswer = {{}}\n{cors}\n");
    let gateway = Gateway::start(&format!("{}{own}", one_route("", &cors, upstream.addr()))).await;
    let answer = gateway.ask(request("GET", &[("origin", PAGE)])).await;
    assert_eq!(all(&answer, "access-control-expose-headers"), ["x-service", MAY_READ[2].1, "X-Total, link"]);
    let answer = gateway.ask(request("GET", &[("origin", PAGE)]).replace(" /x ", " /own ")).await;
    assert_eq!(all(&answer, "access-control-expose-headers"), [MAY_READ[2].1, "X-Total, link"]);
    for fields in [&[][..], &[("origin", "https://evil.example")]] {
        let answer = gateway.ask(request("GET", fields)).await;
        assert_eq!(all(&answer, "access-control-expose-headers"), ["x-service"]);
    }
}

#[tokio::test]
async fn every_origin_is_told_a_star_and_caches_need_not_tell_them_apart() {
    let upstream = echo().await;
    let route = "cors = { origins = ['*'], methods = ['*'], headers = ['*'] }";
    let gateway = Gateway::with_route(route, upstream.addr()).await;
    let asked = gateway.ask(preflight("https://any.example", "PATCH")).await;
    let expected = [("allow-headers", "*"), ("allow-methods", "*"), ("allow-origin", "*"), ("max-age", "600")];
    assert_eq!((asked.status, told(&asked), asked.header("vary")), (204, expected.to_vec(), None));
    let answer = gateway.ask(request("GET", &[("origin", "https://any.example")])).await;
    assert_eq!((told(&answer)[0], answer.header("vary")), (("allow-origin", "*"), None));
}

#[tokio::test]
async fn options_that_are_no_preflight_and_routes_that_say_nothing_are_served_as_ever() {
    let upstream = echo().await;
    let gateway = Gateway::with_route(CORS, upstream.addr()).await;
    for fields in [&[][..], &[("origin", PAGE)], &[("access-control-request-method", "PUT")]] {
        let answer = gateway.ask(request("OPTIONS", fields)).await;
        assert_eq!(answer.echo_status(), 200);
    }
    let gateway = Gateway::to(upstream.addr()).await;
    let answer = gateway.ask(preflight(PAGE, "PUT")).await;
    assert_eq!((answer.echo_status(), told(&answer)), (200, vec![]));
}

#[tokio::test]
async fn the_route_that_a_preflight_is_about_is_the_one_that_the_request_would_take() {
    let upstream = echo().await;
    let address = upstream.addr();
    let text = format!(
        "[[routes]]\nname = 'read'\npath = '/x'\nmethods = ['GET']\nupstream = 'http://{address}'\n\
         cors = {{ origins = ['*'] }}\n\n\
         [[routes]]\nname = 'new'\npath = '/x'\nmethods = ['PUT']\nheaders = {{ x-version = '2' }}\n\
         upstream = 'http://{address}'\ncors = {{ origins = ['{PAGE}'], methods = ['PUT'], headers = ['x-version'] }}\n\n\
         [[routes]]\nname = 'old'\npath = '/x'\nmethods = ['PUT']\nupstream = 'http://{address}'\n\
         cors = {{ origins = ['{PAGE}', 'https://old.example'], methods = ['PUT'] }}\n"
    );
    let gateway = Gateway::start(&text).await;
    let named = request(
        "OPTIONS",
        &[("origin", PAGE), ("access-control-request-method", "PUT"), ("access-control-request-headers", "x-version")],
    );
    for (asked, status, origin) in [
        (preflight(PAGE, "GET"), 204, Some("*")),
        (named, 204, Some(PAGE)),
        (preflight("https://old.example", "PUT"), 204, Some("https://old.example")),
        // No route takes it.
        (preflight(PAGE, "DELETE"), 405, None),
    ] {
        let answer = gateway.ask(&asked).await;
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (status, origin), "{asked}");
    }
    let explain = async |query: &str| gateway.admin("GET", &format!("/explain?url=/x&{query}")).await.json();
    let policies = explain("method=GET&headers=origin:%20https://a").await["policies"].clone();
    assert_eq!(policies["cors"], "every origin; GET; no further headers; without credentials; kept 600s");
    assert_eq!(policies["page"], "may read the answer");
    let asks = "method=OPTIONS&headers=access-control-request-method:PUT%0Aaccess-control-request-headers:x-version%0A";
    for (origin, status) in [(PAGE, "204"), ("https://evil.example", "403")] {
        let answer = explain(&format!("{asks}origin:{origin}")).await;
        let page = answer["policies"]["page"].as_str().unwrap();
        assert!(page.ends_with(status), "{page}");
        assert_eq!(answer["policies"]["target"], "(nothing: the gateway answers)");
        assert_eq!(answer["policies"]["preflight"], true, "nobody's identity is asked for");
    }
}

/// Which of several routes takes the request, its body decides.
#[tokio::test]
async fn a_page_that_every_possible_route_lets_in_can_read_why_it_was_refused_before_its_body_was_read() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys.toml");
    std::fs::write(&keys, "").unwrap();
    let upstream = echo().await;
    for (other, may_read) in [(PAGE, true), ("https://other.example", false)] {
        let route = |name: &str, more: &str, origin: &str| {
            let path = name.split('-').next().unwrap();
            format!(
                "[[routes]]\nname = '{name}'\npath = '/{path}'\nmethods = ['POST']\nupstream = 'http://{}'\n{more}\n\
                 cors = {{ origins = ['{origin}'], methods = ['POST'] }}\n",
                upstream.addr()
            )
        };
        let text = format!(
            "[server]\nbody_idle_timeout = '100ms'\nbody_match_memory = '4MiB'\nmax_in_flight = 1\n\
             [identity.providers.keys]\nkind = 'api_key'\nfile = '{}'\n{}{}{}{}",
            keys.display(),
            route("keyed-first", "body = { '/a' = 1 }\nauth = { providers = ['keys'] }", PAGE),
            route("keyed-last", "auth = { providers = ['keys'] }", other),
            route("open-first", "body = { '/a' = 1 }", PAGE),
            route("open-last", "", other),
        );
        let gateway = Gateway::start(&text).await;
        let post = |path: &str, length: usize, body: &str| {
            format!("POST {path} HTTP/1.1\r\nhost: a\r\norigin: {PAGE}\r\ncontent-length: {length}\r\n\r\n{body}")
        };
        let held = &gateway.inner().shards()[0].held;
        let all = held.take(4 * 1024 * 1024, usize::MAX).unwrap();
        let mut refused =
            vec![(401, gateway.ask(post("/keyed", 2, "{}")).await), (503, gateway.ask(post("/open", 2, "{}")).await)];
        drop(all);
        refused.push((408, gateway.ask(post("/open", 9, "{}")).await));
        let place = gateway.inner().shared().in_flight.enter();
        refused.push((503, gateway.ask(post("/open", 2, "{}")).await));
        drop(place);
        for (status, answer) in refused {
            let origin = told(&answer).contains(&("allow-origin", PAGE));
            assert_eq!((answer.status, origin), (status, may_read), "{answer:?}");
        }
        let found = gateway.ask(post("/open", 7, "{\"a\":1}")).await;
        assert!(found.status == 200 && told(&found).contains(&("allow-origin", PAGE)), "{found:?}");
        let found = gateway.ask(post("/open", 2, "{}")).await;
        assert_eq!((found.status, told(&found).contains(&("allow-origin", PAGE))), (200, may_read));
    }
}
