//! Upstreams and routes.

use super::{check, check_route, check_upstream, errors, names, warnings};

#[test]
fn what_is_shared_is_given_as_it_came() {
    check_route("coalesce = true", &[]);
    check_route("coalesce = true\ncompress = false", &[]);
    check_route("coalesce = true\ncompress = true", &["4:12: a route does not coalesce and compress"]);
}

#[test]
fn upstreams() {
    check("[upstreams.a]", &["1:1: an upstream needs `endpoints` or `discovery`"]);
    check(
        "[upstreams.\"a b\"]\nendpoints = [\"127.0.0.1:1\"]",
        &["1:12: \"a b\" is not a name: it is letters, digits, hyphens, dots and underscores"],
    );
    check("[upstreams.a]\nendpoints = []", &["2:13: the list is empty"]);
    check(
        "[upstreams.a]\nendpoints = [\"http://b:1\"]",
        &["2:14: \"http://b:1\" is not a host and port: an endpoint is HOST:PORT, without a scheme; `tls = {}` \
           beside them speaks TLS"],
    );
    check(
        "[upstreams.a]\nendpoints = [\"::1:9001\"]",
        &["2:14: \"::1:9001\" is not a host and port: an IPv6 address is in brackets, and its port behind them: \
            [::1]:9001"],
    );
    check("[upstreams.a]\nendpoints = [\"b\"]", &["2:14: \"b\" is not a host and port: the port is missing"]);
    check(
        "[upstreams.a]\nendpoints = [\"300.0.0.1:1\"]",
        &["2:14: \"300.0.0.1:1\" is not a host and port: that is neither an IP address nor a host name"],
    );
    check("[upstreams.a]\nendpoints = [\"b:1\", \"B:1\"]", &["2:21: the endpoint \"B:1\" is there twice"]);
    check("[upstreams.a]\nendpoints = [{ address = \"b:1\", weight = 0 }]", &["2:13: every endpoint has weight 0"]);
    check(
        "[upstreams.a]\nendpoints = [{ address = \"b:1\", backup = true }, { address = \"c:1\", weight = 0 }]",
        &["2:13: every endpoint that gets requests is a backup"],
    );
    check("[upstreams.a]\nendpoints = [\"c:1\", { address = \"b:1\", backup = true }]", &[]);
    check("[upstreams.a]\nendpoints = [{ weight = 1 }]", &["2:14: \"address\" is missing in [upstreams.a.endpoints]"]);
    check_upstream("discovery = { dns = \"b:1\" }", &["3:13: an upstream has `endpoints` or `discovery`, not both"]);
    check("[upstreams.a]\ndiscovery = { dns = \"b\" }", &["2:21: \"b\" is not a host and port: the port is missing"]);
    check_upstream(
        "balance = \"ronud_robin\"",
        &[
            "3:11: expected one of \"round_robin\", \"least_request\", \"peak_ewma\", \"random\", \"consistent_hash\", \"custom\", found \
         \"ronud_robin\"",
        ],
    );
    check_upstream("balance = \"consistent_hash\"", &["3:11: consistent_hash needs a `key`"]);
    check_upstream("balance = { policy = \"consistent_hash\" }", &["3:11: consistent_hash needs a `key`"]);
    check_upstream(
        "balance = { policy = \"random\", bound = 2.0 }",
        &["3:40: `bound` is for the policy consistent_hash"],
    );
    check_upstream(
        "balance = { policy = \"consistent_hash\", key = \"ip\" }",
        &["3:47: \"ip\" is not client_ip, path, header:NAME or cookie:NAME: that is no key"],
    );
    check_upstream(
        "breaker = { open_for = \"2m\", failures = [\"200\"] }",
        &[
            "3:24: open_for is above max_open_for",
            "3:42: \"200\" is not connect, reset, timeout, a status, or from one to another: a status is 400 to 599, a class \
             5xx, and 500-504 is from one to another",
        ],
    );
    check_upstream("breaker = { failures = [\"connect\", \"5xx\", \"429\"] }", &[]);
    check_upstream("breaker = { failures = [\"500-504\"] }", &[]);
    check_upstream("pool = { max_lifetime = \"1ms\" }", &["3:25: \"1ms\" is not between 1s and 720h"]);
}

#[test]
fn routes() {
    check("[[routes]]\nupstream = \"http://b\"", &["1:1: \"path\" is missing in [[routes]]"]);
    check(
        "[[routes]]\npath = \"/\"",
        &["1:1: a route needs an `upstream`, a `split`, a `handler`, a `redirect` or an `answer`"],
    );
    check("[[routes]]\npath = \"/\"\nupstream = \"b\"", &["3:12: unknown upstream \"b\""]);
    check(
        "[[routes]]\npath = \"/\"\nupstream = \"127.0.0.1:1\"",
        &["3:12: \"127.0.0.1:1\" is not an upstream's name or a URL: write http://127.0.0.1:1"],
    );
    check(
        "[[routes]]\npath = \"a\"\nupstream = \"http://b\"",
        &["2:8: \"a\" is not a path pattern: a path begins with a slash"],
    );
    check_route("methods = [\"get\"]", &["4:12: \"get\" is not a method: methods are upper case, write GET"]);
    check_route("methods = [\"CONNECT\"]", &["4:12: \"CONNECT\" is not a method: tunnels are opened by `upgrades`"]);
    check_route(
        "hosts = [\"a.example:80\"]",
        &["4:10: \"a.example:80\" is not a host name: a host is written without its port"],
    );
    check_route(
        "hosts = [\"*.b\u{fc}cher.example\"]",
        &[
            "4:10: \"*.b\u{fc}cher.example\" is not a host name: browsers send xn--bcher-kva.example, and so it is written",
        ],
    );
    check_route("hosts = [\"*\"]", &["4:10: \"*\" is not a host name: where no host is written it is any"]);
    check_route(
        "hosts = [\"a.*\"]",
        &["4:10: \"a.*\" is not a host name: a star stands only for whole labels at the beginning"],
    );
    check_route(
        "headers = { \"x v\" = \"1\" }",
        &["4:13: \"x v\" is not a header's name: it holds characters that no header's name holds"],
    );
    check_route(
        "query = { v = \"~[\" }",
        &["4:15: \"~[\" is not a value, \"*\" or \"~REGEX\": the pattern is invalid: unclosed character class"],
    );
    check_route("rewrite = {}", &["4:11: rewrite needs `strip_prefix` or `path`"]);
    check_route(
        "rewrite = { strip_prefix = \"/a\", path = \"/b\" }",
        &["4:41: rewrite has `strip_prefix` or `path`, not both"],
    );
    check_route("rewrite = { path = \"/{idd}\" }", &["4:20: the path \"/a/{id}\" has no parameter \"idd\""]);
    check_route("upgrades = [\"h2c\"]", &["4:13: expected \"websocket\", found \"h2c\""]);
    check_route(
        "host = \"a b\"",
        &[
            "4:8: \"a b\" is not client, upstream or a host name: it is labels of letters, digits and hyphens, with dots between",
        ],
    );
    check_route("max_body = \"\"", &["4:12: \"\" is not a size: a size is a whole number and a unit"]);
}

#[test]
fn retries() {
    check_route("retry = { backoff = \"1s\" }", &["4:21: backoff is above max_backoff"]);
    check_route("retry = { per_try_timeout = \"20s\" }", &["4:29: per_try_timeout is above the route's timeout"]);
    check_route("retry = { attempts = 0 }", &["4:22: 0 is not between 1 and 10"]);
}

#[test]
fn hedges() {
    check_route("hedge = { after = \"p49\" }", &["4:19: \"p49\" is not a duration or a percentile: it is p50 to p99"]);
    check_route("hedge = { max = 11 }", &["4:17: 11 is not between 0 and 10"]);
    let never = |after: &str, time: &str| {
        format!("4:{after}: hedge.after is not below the {time} that an attempt has: no hedge would ever begin")
    };
    check_route("hedge = { after = \"15s\" }", &[&never("19", "15s")]);
    check_route(
        "retry = { per_try_timeout = \"1s\" }\nhedge = { after = \"1s\" }",
        &[&never("19", "1s").replacen('4', "5", 1)],
    );
    check_route("hedge = { after = \"p95\" }", &[]);
    check_route("hedge = { after = \"20ms\", max = 2 }", &[]);
    check_route("hedge = { after = \"20s\" }\ntimeout = \"0s\"", &[]);
}

#[test]
fn fallbacks() {
    check_route("fallback = {}", &["4:12: fallback needs `status` or `upstream`"]);
    check_route("fallback = { status = 199 }", &["4:23: 199 is not between 200 and 599"]);
    check_route(
        "fallback = { body = \"x\", content_type = \"text/plain\" }",
        &[
            "4:12: fallback needs `status` or `upstream`",
            "4:21: `body` is for a fixed answer, which needs a `status`",
            "4:41: `content_type` is for a fixed answer, which needs a `status`",
        ],
    );
    check_route("fallback = { status = 204, body = \"x\" }", &["4:35: an answer of 204 has no body"]);
    check_route(
        "fallback = { status = 304 }",
        &["4:23: 304 can be no fallback: it answers a condition or a range that nobody looks at here"],
    );
    check_route("fallback = { upstream = \"x\" }", &["4:25: unknown upstream \"x\""]);
    let both = "[upstreams.a]\nendpoints = [\"b:1\"]\n[upstreams.c]\nendpoints = [\"d:1\"]\n[[routes]]\npath = \"/\"\n\
                upstream = \"a\"\n";
    check(
        &format!("{both}fallback = {{ status = 200, upstream = \"c\" }}"),
        &["8:39: fallback has `status` or `upstream`, not both"],
    );
    check(
        &format!("{both}fallback = {{ upstream = \"a\" }}"),
        &["8:25: a route's fallback is another upstream than its own"],
    );
    let told = warnings(&format!("{both}fallback = {{ upstream = \"c\" }}"));
    assert_eq!(
        told,
        ["8:25: an upstream that does not answer uses up all 15s, and nothing is left for its fallback \
          (retry = { per_try_timeout = \"2s\" } leaves it the rest)"]
    );
    let told = warnings(&format!("{both}fallback = {{ upstream = \"c\" }}\nretry = {{ per_try_timeout = \"2s\" }}"));
    assert!(told.is_empty(), "{told:?}");
}

#[test]
fn header_edits_cannot_change_framing() {
    for header in ["Content-Length", "transfer-encoding", "connection", "te", "trailer", "upgrade", "keep-alive"] {
        let message = format!(
            "\"{header}\" is not a header's name: the gateway sets it; an edit could change where a message ends"
        );
        check_route(&format!("response_headers = {{ set = {{ {header} = \"1\" }} }}"), &[&format!("4:30: {message}")]);
        check_route(&format!("request_headers = {{ remove = [\"{header}\"] }}"), &[&format!("4:31: {message}")]);
    }
    check_route(
        "request_headers = { set = { Host = \"b\" } }",
        &["4:29: \"Host\" is not a header's name: the gateway sets it, see the route's key `host`"],
    );
    check_route(
        "request_headers = { set = { x-a = \"1\\r\\nx-b: 2\" } }",
        &["4:35: \"1\\r\\nx-b: 2\" is not a header's value: it holds characters that no header holds"],
    );
    check_route(
        "request_headers = { set = { x-a = \"1\" }, remove = [\"X-A\"] }",
        &["4:29: \"x-a\" is both set and removed"],
    );
    check_route("request_headers = { set = { x-a = \"1\", X-A = \"2\" } }", &["4:40: \"x-a\" is set twice"]);
}

#[test]
fn names_and_conflicts() {
    let two = |first: &str, second: &str| {
        format!("[[routes]]\nupstream = \"http://b\"\n{first}\n[[routes]]\nupstream = \"http://b\"\n{second}")
    };
    let conflict = "4:1: this route matches the same requests as the one at gateway.toml:1";
    check(&two("path = \"/{a}\"", "path = \"/{b}\""), &[conflict]);
    check(&two("path = \"/a\"", "path = \"/a\""), &[conflict]);
    check(
        &two("path = \"/{a}\"\nhosts = [\"a\", \"b\"]", "path = \"/{b}\"\nhosts = [\"B\"]"),
        &["5:1: this route matches the same requests as the one at gateway.toml:1"],
    );
    check(&two("path = \"/{a}\"", "path = \"/{b}\"\npriority = 1"), &[]);
    check(&two("path = \"/{a}\"", "path = \"/{b}\"\nmethods = [\"GET\"]"), &[]);
    check(&two("path = \"/{a}\"", "path = \"/{b}\"\nquery = { v = \"1\" }"), &[]);
    check(&two("path = \"/a\"", "name = \"/a\"\npath = \"/b\""), &["6:8: the name \"/a\" is taken at gateway.toml:3"]);
    check(&two("name = \"/a\"\npath = \"/b\"", "path = \"/a\""), &["7:8: the name \"/a\" is taken at gateway.toml:3"]);
    check(
        &two("name = \"x\"\npath = \"/a\"", "name = \"x\"\npath = \"/b\""),
        &["7:8: the name \"x\" is taken at gateway.toml:3"],
    );
}

#[test]
fn routes_without_a_name_on_one_path_are_named_by_what_tells_them_apart() {
    let route = |keys: &str| format!("[[routes]]\nupstream = \"http://b\"\npath = \"/a\"\n{keys}\n");
    let routes = [
        ("methods = [\"GET\"]", "/a"),
        ("methods = [\"POST\", \"PUT\"]", "POST,PUT /a"),
        ("hosts = [\"x\"]", "x/a"),
        ("hosts = [\"x\"]\nmethods = [\"GET\"]", "GET x/a"),
        ("headers = { v = \"1\" }", "/a#2"),
        ("name = \"/a#3\"\nheaders = { v = \"2\" }", "/a#3"),
        ("headers = { v = \"3\" }", "/a#4"),
    ];
    assert_eq!(names(&routes.map(|(keys, _)| route(keys)).concat()), routes.map(|(_, name)| name));
}

#[test]
fn shared_keys_are_checked_once_and_where_they_are_written() {
    let routes = "[[routes]]\npath = \"/a\"\n[[routes]]\npath = \"/b\"\n";
    check(&format!("[defaults.route]\nupstream = \"x\"\n{routes}"), &["2:12: unknown upstream \"x\""]);
    check(
        &format!("[defaults.route]\nupstream = \"http://b\"\npath = \"/c\"\n{routes}"),
        &["3:1: \"path\" cannot be shared"],
    );
    check(
        &format!("[defaults.route]\nupstream = \"http://b\"\ntimeot = \"1s\"\n{routes}"),
        &["3:1: unknown key \"timeot\" in [defaults.route]"],
    );
    check(
        &format!("[defaults.route]\nupstream = \"http://b\"\nrewrite = {{}}\n{routes}"),
        &["3:11: rewrite needs `strip_prefix` or `path`"],
    );
}

#[test]
fn limits_under_overload() {
    check_upstream("concurrency = { max_in_flight = -1 }", &["3:33: -1 is not between 0 and 1000000000"]);
    check_upstream("concurrency = { adaptive = 1 }", &["3:28: expected true or false, found an integer"]);
    check_upstream("concurrency = { max = 1 }", &["3:17: unknown key \"max\" in [upstreams.a.concurrency]"]);
    check_route(
        "criticality = \"urgent\"",
        &["4:15: expected one of \"low\", \"normal\", \"high\", \"critical\", found \"urgent\""],
    );
    check("[server]\nshed_above_rss = \"1kB\"", &["2:18: \"1kB\" is not a size: \"kB\" is no unit of size"]);
    let warnings = |text: &str| -> Vec<String> {
        warnings(text).into_iter().filter(|warning| warning.contains("shed_above_rss")).collect()
    };
    assert_eq!(
        warnings("[server]\nshed_above_rss = \"16MiB\""),
        ["2:18: shed_above_rss (16MiB) is about what a gateway takes at rest: it may refuse every request \
          (set it well above 32MiB, or to \"0\")"]
    );
    assert_eq!(warnings("[server]\nshed_above_rss = \"1GiB\""), [""; 0]);
}

#[test]
fn an_expression_of_the_path() {
    let regex = |text: &str, why: &str| {
        let problem = format!("4:14: \"{text}\" is not a regular expression of the path: {why}");
        check_route(&format!("path_regex = '{text}'"), &[&problem]);
    };
    check_route("path_regex = '^/v[0-9]+/items/(?<name>[a-z]+)$'", &[]);
    regex("/v[0-9+", "the pattern is invalid: unclosed character class");
    regex("/(?:[0-9]{1,1000}){1,1000}", "the pattern is too large");
    regex("v[0-9]+", "the whole path is matched, and it begins with a slash: write /v[0-9]+");
    let route = |keys: &str| format!("[[routes]]\nupstream = \"http://b\"\npath = \"/a/{{id}}\"\n{keys}\n");
    check(&route("path_regex = '/a/(?<id>x)'"), &["4:14: the path has a parameter \"id\" already"]);
    let used = "path_regex = '/a/(?<kind>x)'\nrewrite = { path = '/{kind}/{knd}' }\n\
                request_headers = { set = { x-k = '{kind}' } }";
    check(&route(used), &["5:20: the path \"/a/{id}\" has no parameter \"knd\""]);
    let two = |one: &str, other: &str| {
        let [one, other] = [one, other].map(|it| route(&format!("path_regex = '{it}'")));
        format!("{one}{other}")
    };
    check(&two("/a/x+", "/a/y+"), &[]);
    assert_eq!(errors(&two("/a/x+", "/a/x+")).len(), 1, "they cannot be told apart");
}

#[test]
fn what_a_body_has_to_say() {
    check_route("body = { \"/type\" = \"refund\", \"/lines/0/paid\" = true, \"/a~1b\" = 1.5 }", &[]);
    check_route("body = { type = \"refund\" }", &["4:10: \"type\" is not a JSON pointer: it begins with a slash"]);
    check_route("body_match_limit = \"0\"", &["4:20: \"0\" is not between 1B and 1MiB"]);
    let route = |body: &str| {
        format!("[[routes]]\nupstream = \"http://127.0.0.1:1\"\npath = \"/a\"\nbody = {{ \"/t\" = {body} }}\n")
    };
    let two = |one: &str, other: &str| {
        format!("{}{}", route(one), route(other).replacen("[[routes]]", "[[routes]]\nname = \"b\"", 1))
    };
    check(&two("1", "2"), &[]);
    assert_eq!(errors(&two("1", "1")).len(), 1, "they cannot be told apart");
}

#[test]
fn the_health_check_of_grpc_needs_http_2() {
    let health = "health = { path = \"/grpc.health.v1.Health/Check?service=a\" }";
    check_upstream(&format!("protocol = \"http2\"\n{health}"), &[]);
    check_upstream(health, &["3:19: the health check of gRPC needs an upstream that speaks HTTP/2"]);
    let judged = "health = { path = \"/grpc.health.v1.Health/Check\", status = [\"200\"] }";
    check_upstream(&format!("protocol = \"http2\"\n{judged}"), &["4:60: `status` is for checks that are a GET"]);
}

#[test]
fn health_checks_say_whom_they_ask_and_what_is_good() {
    check_upstream("health = { path = '/', host = 'shop.example:8443', status = ['200-399', '401'] }", &[]);
    check_upstream(
        "health = { path = '/', host = 'http://shop.example', status = ['2x'] }",
        &[
            "3:31: \"http://shop.example\" is not a host name, and perhaps a port: it is written without its scheme",
            "3:64: \"2x\" is not a status, or from one to another: a status is 200 to 599",
        ],
    );
    check_upstream("health = { path = '/', status = [] }", &["3:33: the list is empty"]);
}

#[test]
fn what_requests_are_told_apart_by_can_be_there() {
    let identity = "is an identity header, which is taken from every request";
    check_route("headers = { X-Auth-Tenant = 'a' }", &[&format!("4:13: \"x-auth-tenant\" {identity}")]);
    check_route(
        "headers = { upgrade = '*' }",
        &["4:13: \"upgrade\" speaks of one connection, and ends at the gateway"],
    );
    check_route("headers = { te = 'trailers', host = '*', x-version = '2' }", &[]);
    let by = |key: &str| format!("balance = {{ policy = 'consistent_hash', key = '{key}' }}");
    check_upstream(&by("header:x-auth-tenant"), &[&format!("3:47: \"x-auth-tenant\" {identity}")]);
    let told = format!(
        "{}\n[[routes]]\npath = '/'\nupstream = 'a'\n\
         forward_auth = {{ upstream = 'a', response_headers = ['x-auth-tenant'] }}",
        by("header:x-auth-tenant")
    );
    check_upstream(&told, &[]);
    let without = format!("{}\n[identity]\nstrip_headers = ['cookie']", by("cookie:session"));
    check_upstream(&without, &[&format!("3:47: \"cookie\" {identity}")]);
}

#[test]
fn what_upstreams_share_is_checked_for_those_that_only_inherit_it() {
    let named = "[upstreams.a]\nendpoints = ['b:1']\n[[routes]]\npath = '/'\nupstream = 'a'";
    let by_url = "[[routes]]\npath = '/'\nupstream = 'http://b'";
    for upstream in [named, by_url] {
        for (shared, expected) in [
            ("balance = { policy = 'consistent_hash' }", "consistent_hash needs a `key`"),
            ("balance = 'consistent_hash'", "consistent_hash needs a `key`"),
            ("balance = { policy = 'random', bound = 2.0 }", "`bound` is for the policy consistent_hash"),
            ("affinity = { path = '/' }", "\"key_env\" is missing in"),
            ("breaker = { open_for = '2m' }", "open_for is above max_open_for"),
            (
                "health = { path = '/grpc.health.v1.Health/Check' }",
                "the health check of gRPC needs an upstream that speaks HTTP/2",
            ),
        ] {
            let told = errors(&format!("[defaults.upstream]\n{shared}\n{upstream}"));
            assert!(told.len() == 1 && told[0].starts_with("2:"), "{shared}: {told:?}");
            assert!(told[0].contains(expected), "{told:?}");
        }
        check(&format!("[defaults.upstream]\nbalance = 'random'\nhealth = {{ path = '/h' }}\n{upstream}"), &[]);
    }
    let of_routes = "[defaults.route]\ncompress = { codings = ['gzip', 'gzip'] }\n";
    check(&format!("{of_routes}{by_url}"), &["2:33: this coding is named twice"]);
}

#[test]
fn a_new_path_is_one_that_can_be_sent() {
    let refused = "the rewritten path is refused: The path";
    check_route("rewrite = { path = '/../v2/{id}' }", &[&format!("4:20: {refused} leads above the root")]);
    check_route("rewrite = { path = '/v1/../v2/{id}' }", &[]);
    check_route("rewrite = { strip_prefix = '/%2e%2e/api' }", &[&format!("4:28: {refused} leads above the root")]);
    check_route("rewrite = { strip_prefix = '/a' }", &[]);
    check(
        "[[routes]]\npath = '/a'\nredirect = { host = 'b', path = '/../x' }",
        &[&format!("3:33: {refused} leads above the root")],
    );
    check(
        "[defaults.route]\nrewrite = { path = '/..;/x' }\n[[routes]]\npath = '/a'\nupstream = 'http://b'",
        &[&format!("2:20: {refused} holds a dot segment in disguise")],
    );
}
