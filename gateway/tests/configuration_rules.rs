//! Each rule with a value that breaks it: (what is written, what is said, with its place).

use std::path::Path;

use gateway::config::{Environment, Purpose, Severity, load_text_with};

struct NoEnvironment;

impl Environment for NoEnvironment {
    fn get(&self, _: &str) -> Option<String> {
        None
    }
}

/// Every error of a text, as `line:column: message`.
fn errors(text: &str) -> Vec<String> {
    match load_text_with(text, Path::new("gateway.toml"), Purpose::Check, &NoEnvironment) {
        Ok(_) => Vec::new(),
        Err(problems) => problems
            .iter()
            .filter(|problem| problem.severity == Severity::Error)
            .map(|problem| format!("{}:{}: {}", problem.line, problem.column, problem.message))
            .collect(),
    }
}

#[track_caller]
fn check(input: &str, expected: &[&str]) {
    assert_eq!(errors(input), expected, "\n{input}");
}

/// The same for the keys of a route that is right but for them; they begin on line 4.
#[track_caller]
fn check_route(keys: &str, expected: &[&str]) {
    check(&format!("[[routes]]\npath = \"/a/{{id}}\"\nupstream = \"http://127.0.0.1:1\"\n{keys}"), expected);
}

/// The same for the keys of an upstream; they begin on line 3.
#[track_caller]
fn check_upstream(keys: &str, expected: &[&str]) {
    check(&format!("[upstreams.a]\nendpoints = [\"127.0.0.1:1\"]\n{keys}"), expected);
}

/// The same for a not built table, whose one "not yet" is left out.
#[track_caller]
fn check_unbuilt(input: &str, expected: &[&str]) {
    let (later, found): (Vec<String>, Vec<String>) =
        errors(input).into_iter().partition(|error| error.ends_with("not built yet"));
    assert_eq!(found, expected, "\n{input}");
    assert_eq!(later.len(), 1, "{later:?}");
}

#[test]
fn keys_and_types() {
    check("servr = {}", &["1:1: unknown key \"servr\""]);
    check("[server]\nworkrs = 1", &["2:1: unknown key \"workrs\" in [server]"]);
    check("server = 1", &["1:10: expected a table, found an integer"]);
    check("[server]\nworkers = \"1\"", &["2:11: expected a whole number, found a string"]);
    check("[server]\nworkers = 1.0", &["2:11: expected a whole number, found a number"]);
    check("[server]\nworkers = 1979-05-27", &["2:11: expected a whole number, found a date"]);
    check("[server]\nmerge_slashes = 1", &["2:17: expected true or false, found an integer"]);
    check("[server]\nmax_body = 0", &["2:12: expected a size, found an integer"]);
    check("[server]\nidle_timeout = 5", &["2:16: expected a duration, found an integer"]);
    check("[server]\ntrusted_proxies = \"10.0.0.0/8\"", &["2:19: expected a list, found a string"]);
    check("[routes]\npath = \"/\"", &["1:1: expected a list of tables, found a table"]);
    check("routes = [1]", &["1:11: expected a table, found an integer"]);
    check("[upstreams]\na = 1", &["2:5: expected a table, found an integer"]);
    check("[server]\nescaped_slash = \"rejct\"", &["2:17: expected one of \"reject\", \"keep\", found \"rejct\""]);
}

#[test]
fn forms_and_bounds() {
    check("[server]\nidle_timeout = \"5\"", &["2:16: \"5\" is not a duration: the unit is missing"]);
    check("[server]\nidle_timeout = \"0s\"", &["2:16: \"0s\" is not between 1ms and 24h"]);
    check("[server]\nbody_total_timeout = \"48h\"", &["2:22: \"48h\" is not between 1ms and 24h, or \"0s\""]);
    check("[server]\nmax_body = \"10MB\"", &["2:12: \"10MB\" is not a size: \"MB\" is no unit of size"]);
    check("[server]\nmax_header_bytes = \"0\"", &["2:20: \"0\" is not between 1KiB and 16MiB"]);
    check("[server]\nmax_headers = 0", &["2:15: 0 is not between 1 and 10000"]);
    check("[telemetry.access_log]\nsample = 1.5", &["2:10: 1.5 is not between 0 and 1"]);
    check(
        "[server]\nmax_header_bytes = \"4KiB\"",
        &["2:20: max_uri_bytes (8KiB) is above max_header_bytes (4KiB), which it is a part of"],
    );
    check(
        "[server]\nmax_connections = 99999999999999999999",
        &["2:19: the number is too large: \"99999999999999999999\""],
    );
    check("[telemetry.tracing]\nsample_ratio = nan", &["2:16: the number is not finite: \"nan\""]);
}

#[test]
fn addresses() {
    let missing = "\"127.0.0.1\" is not an IP address and port: the port is missing";
    check("[[listeners]]\naddress = \"127.0.0.1\"", &[&format!("2:11: {missing}")]);
    check(
        "[[listeners]]\naddress = \":80\"",
        &["2:11: \":80\" is not an IP address and port: the address is missing, 0.0.0.0:80 is every one"],
    );
    check(
        "[[listeners]]\naddress = \"localhost:80\"",
        &["2:11: \"localhost:80\" is not an IP address and port: names are not resolved here, localhost is 127.0.0.1"],
    );
    check("[[listeners]]\n[[listeners]]", &["2:1: another listener has the address 127.0.0.1:8080 already"]);
    check("[[listeners]]\naddress = \"127.0.0.1:0\"\n[[listeners]]\naddress = \"127.0.0.1:0\"", &[]);
    check(
        "[admin]\naddress = \"127.0.0.1:8080\"",
        &["2:11: a listener has the address 127.0.0.1:8080; admin needs its own"],
    );
    check(
        "[admin]\naddress = \"0.0.0.0:9901\"",
        &["2:11: the admin address 0.0.0.0:9901 is off loopback and has no token"],
    );
    check("[admin]\naddress = \"0.0.0.0:9901\"\ntoken_env = \"UNSET_TOKEN\"", &[]);
    check("[admin]\naddress = \"\"", &[]);
    check(
        "[server]\ntrusted_proxies = [\"10.0.0.0/33\"]",
        &["2:20: \"10.0.0.0/33\" is not a network: it is an address and a prefix length"],
    );
}

#[test]
fn access_log() {
    check(
        "[telemetry.access_log]\noutput = \"no-such-folder/a.log\"",
        &["2:10: the folder of \"no-such-folder/a.log\" does not exist"],
    );
    check("[telemetry.access_log]\noutput = \"/\"", &["2:10: \"/\" is a folder"]);
    check("[telemetry.access_log]\noutput = \"\"", &["2:10: expected a file's path, found nothing"]);
}

#[test]
fn identity_headers() {
    check(
        "[identity]\nstrip_headers = [\"*\"]",
        &[
            "2:18: \"*\" is not a header's name, or the beginning of one and a star: a star alone would strip every header",
        ],
    );
    check(
        "[identity]\nstrip_headers = [\"content-*\"]",
        &["2:18: \"content-*\" is not a header's name, or the beginning of one and a star: it would strip \
         `content-length`, which the gateway needs"],
    );
    check(
        "[identity]\nsubject_header = \"a b\"",
        &["2:18: \"a b\" is not a header's name: it holds characters that no header's name holds"],
    );
    check(
        "[identity]\nsubject_header = \"x-auth-scopes\"",
        &["2:18: subject_header and scopes_header are the same header"],
    );
    check_route(
        "request_headers = { set = { X-Auth-Subject = \"root\" } }",
        &["4:29: \"x-auth-subject\" is an identity header, which only the gateway's identity sets"],
    );
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
        &["2:14: \"http://b:1\" is not a host and port: an endpoint is HOST:PORT, without a scheme"],
    );
    check("[upstreams.a]\nendpoints = [\"b\"]", &["2:14: \"b\" is not a host and port: the port is missing"]);
    check(
        "[upstreams.a]\nendpoints = [\"300.0.0.1:1\"]",
        &["2:14: \"300.0.0.1:1\" is not a host and port: that is neither an IP address nor a host name"],
    );
    check("[upstreams.a]\nendpoints = [\"b:1\", \"B:1\"]", &["2:21: the endpoint \"B:1\" is there twice"]);
    check("[upstreams.a]\nendpoints = [{ address = \"b:1\", weight = 0 }]", &["2:13: every endpoint has weight 0"]);
    check("[upstreams.a]\nendpoints = [{ weight = 1 }]", &["2:14: \"address\" is missing in [upstreams.a.endpoints]"]);
    check_upstream("discovery = { dns = \"b:1\" }", &["3:13: an upstream has `endpoints` or `discovery`, not both"]);
    check("[upstreams.a]\ndiscovery = { dns = \"b\" }", &["2:21: \"b\" is not a host and port: the port is missing"]);
    check_upstream(
        "balance = \"ronud_robin\"",
        &[
            "3:11: expected one of \"round_robin\", \"least_request\", \"peak_ewma\", \"random\", \"consistent_hash\", found \
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
    check_upstream("pool = { max_lifetime = \"1ms\" }", &["3:25: \"1ms\" is not between 1s and 720h"]);
}

#[test]
fn routes() {
    check("[[routes]]\nupstream = \"http://b\"", &["1:1: \"path\" is missing in [[routes]]"]);
    check("[[routes]]\npath = \"/\"", &["1:1: a route needs an `upstream`"]);
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
    check_route("host = \"a b\"", &["4:8: \"a b\" is not client, upstream or a host name: that is no host name"]);
    check_route("max_body = \"\"", &["4:12: \"\" is not a size: a size is a whole number and a unit"]);
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
    check(
        &two("path = \"/a\"", "path = \"/a\"\nmethods = [\"GET\"]"),
        &["6:8: the name \"/a\" is taken at gateway.toml:3"],
    );
    check(
        &two("name = \"x\"\npath = \"/a\"", "name = \"x\"\npath = \"/b\""),
        &["7:8: the name \"x\" is taken at gateway.toml:3"],
    );
}

#[test]
fn what_is_off_or_default_is_accepted() {
    for keys in [
        "retry = { attempts = 1 }",
        "retry = { attempts = 1, backoff = \"1ms\" }",
        "retry = { attempts = 2, buffer = \"65536B\", on = [\"504\", \"connect\", \"reset\", \"502\", \"503\"] }",
        "hedge = { after = \"0ms\", max = 3 }",
        "coalesce = false",
        "body = {}",
        "rate_limits = []",
        "openapi = \"\"",
        "criticality = \"normal\"",
    ] {
        check_route(keys, &[]);
    }
    for keys in [
        "breaker = {}",
        "breaker = { window = \"10000ms\", failure_ratio = 0.5 }",
        "health = { path = \"\", interval = \"1s\" }",
        "slow_start = \"0ms\"",
        "protocol = \"http1\"",
        "panic_below = 0",
        "concurrency = { adaptive = false }",
        "retry_budget = { ratio = 0.2 }",
    ] {
        check_upstream(keys, &[]);
    }
    check("[server]\nh2_stream_window = \"65536B\"\nshed_above_rss = \"0\"", &[]);
    check("[stores]\n[rate_limits]\n[identity]\nclaims = {}\n[identity.providers]", &[]);
}

#[test]
fn what_is_not_built_is_said_once() {
    check(
        "[server]\nh2_max_concurrent_streams = 5",
        &["2:1: [server] h2_max_concurrent_streams: HTTP/2 is not built yet"],
    );
    check("[server]\nshed_above_rss = \"1GiB\"", &["2:1: [server] shed_above_rss: the memory guard is not built yet"]);
    check(
        "[[listeners]]\nproxy_protocol = true",
        &["2:1: [[listeners]] proxy_protocol: the PROXY protocol is not built yet"],
    );
    check_upstream("balance = \"peak_ewma\"", &["3:11: balance: the policy \"peak_ewma\" is not built yet"]);
    check_upstream("protocol = \"http2\"", &["3:1: [upstreams.a] protocol: HTTP/2 is not built yet"]);
    check_upstream("breaker.probes = 5", &["3:1: [upstreams.a] breaker: circuit breakers are not built yet"]);
    check_upstream(
        "[upstreams.a.health]\npath = \"/h\"",
        &["3:14: [upstreams.a] health: health checks are not built yet"],
    );
    check_route("retry = { attempts = 3 }", &["4:1: [[routes]] retry: retries are not built yet"]);
    check_route("hedge = { after = \"p95\" }", &["4:1: [[routes]] hedge: hedging is not built yet"]);
    check_route("fallback = { status = 503 }", &["4:1: [[routes]] fallback: fallbacks are not built yet"]);
    check("[[routes]]\npath = \"/\"\nupstream = \"https://b\"", &["3:12: upstream: TLS to upstreams is not built yet"]);
    check("[defaults.route]\ncoalesce = true", &["2:1: [defaults.route] coalesce: coalescing is not built yet"]);
    check(
        "[identity]\nclaims = { x-tenant = \"tenant\" }",
        &["2:1: [identity] claims: claim headers are not built yet"],
    );
}

#[test]
fn what_is_not_built_is_checked_all_the_same() {
    check_unbuilt(
        "[identity.providers.a]\nkind = \"jwt\"\naudiences = [\"x\"]\nissuer = \"i\"",
        &["1:1: a jwt provider needs `jwks`"],
    );
    check_unbuilt(
        "[identity.providers.a]\nkind = \"jwt\"\naudiences = [\"x\"]\nissuer = \"i\"\nalgorithms = [\"HS256\"]",
        &["5:14: HS algorithms need `secret_env`"],
    );
    check_unbuilt(
        "[identity.providers.a]\nkind = \"jwtt\"",
        &["2:8: expected one of \"jwt\", \"introspection\", \"api_key\", \"mtls\", found \"jwtt\""],
    );
    check_unbuilt("[identity.providers.a]\nfile = \"x\"", &["1:1: \"kind\" is missing in [identity.providers.a]"]);
    check_unbuilt(
        "[identity.providers.a]\nkind = \"api_key\"\nfile = \"no-keys.toml\"",
        &["3:8: cannot read the file \"no-keys.toml\": No such file or directory"],
    );
    check_unbuilt(
        "[stores.local]\nurl = \"redis://a\"",
        &["1:9: \"local\" means this process and can be no store's name"],
    );
    check_unbuilt(
        "[stores.a]\nurl = \"http://a\"",
        &[
            "2:7: \"http://a\" is not a Redis URL: it begins with redis://, rediss://, redis+cluster:// or redis+sentinel://",
        ],
    );
    check_unbuilt(
        "[rate_limits.a]\nrate = \"1/s\"\nburst = 1\ncost = 2\nkey = \"claim:\"\nstore = \"b\"",
        &[
            "4:8: a cost of 2 is above the burst of 1",
            "5:7: \"claim:\" is not client_ip, subject, route, global, header:NAME or claim:NAME: the claim's name is missing",
            "6:9: unknown store \"b\"",
        ],
    );
    check_unbuilt(
        "[rate_limits.a]\nrate = \"0/s\"\nburst = 1\nkey = \"global\"",
        &["2:8: \"0/s\" is not a rate: a rate of zero would refuse everything"],
    );
    check_unbuilt(
        "[[listeners]]\ntls = { cert = \"Cargo.toml\", client_auth = \"required\" }",
        &["2:7: `cert` and `key` belong together", "2:44: client_auth needs `client_ca`"],
    );
}

#[test]
fn policies_that_are_not_built_are_checked_all_the_same() {
    let route = |keys: &str| format!("[[routes]]\npath = \"/a\"\nupstream = \"http://127.0.0.1:1\"\n{keys}");
    check_unbuilt(&route("auth = { providers = [\"x\"] }"), &["4:23: unknown identity provider \"x\""]);
    check_unbuilt(&route("rate_limits = [\"x\"]"), &["4:16: unknown rate limit \"x\""]);
    check_unbuilt(&route("retry = { backoff = \"1s\" }"), &["4:21: backoff is above max_backoff"]);
    check_unbuilt(
        &route("retry = { per_try_timeout = \"20s\" }"),
        &["4:29: per_try_timeout is above the route's timeout"],
    );
    check_unbuilt(&route("mirror = { upstream = \"x\" }"), &["4:23: unknown upstream \"x\""]);
    check_unbuilt(
        &route("cors = { origins = [\"*\"], credentials = true }"),
        &["4:20: every origin and credentials do not go together"],
    );
    check_unbuilt(
        &route("cors = { origins = [\"https://a/\"] }"),
        &["4:21: \"https://a/\" is not an origin: an origin has no path, and no slash at its end"],
    );
    check_unbuilt(&route("fallback = {}"), &["4:12: fallback needs `status` or `upstream`"]);
    check_unbuilt(&route("handler = \"h\""), &["4:11: a route has one of `upstream`, `split` and `handler`"]);
    check_unbuilt(
        "[upstreams.a]\nendpoints = [\"b:1\"]\nbreaker = { open_for = \"2m\", failures = [\"200\"] }",
        &[
            "3:24: open_for is above max_open_for",
            "3:42: \"200\" is not connect, reset, timeout or a status: a status is 400 to 599",
        ],
    );
    check_unbuilt(
        "[upstreams.a]\nendpoints = [\"b:1\"]\ntls = { cert = \"Cargo.toml\" }",
        &["3:7: `cert` and `key` belong together"],
    );
}

#[test]
fn compositions_are_checked_all_the_same() {
    let aggregate = |parts: &str| {
        format!("upstreams.u.endpoints = [\"b:1\"]\n[[aggregates]]\npath = \"/d/{{id}}\"\nparts = [{parts}]")
    };
    check_unbuilt(
        &aggregate("{ name = \"a\", upstream = \"u\", path = \"/{id}?t={b.c}\" }"),
        &["4:47: \"b.c\" is neither a parameter of the path nor a part's value"],
    );
    check_unbuilt(
        &aggregate("{ name = \"a\", upstream = \"v\", path = \"/\", fallback = \"{\" }"),
        &["4:35: unknown upstream \"v\"", "4:63: a part's fallback is JSON"],
    );
    let circle =
        "{ name = \"a\", upstream = \"u\", path = \"/{b.x}\" }, { name = \"b\", upstream = \"u\", path = \"/{a.x}\" }";
    check_unbuilt(&aggregate(circle), &["4:10: parts wait for each other in a circle"]);
    let batch = "upstreams.u.endpoints = [\"b:1\"]\n[[batches]]\npath = \"/i/{id}\"\nupstream = \"u\"\n\
                 request = { path = \"/items\" }\nresponse = { items = \"items\", key = \"/id\" }";
    check_unbuilt(
        batch,
        &[
            "5:11: neither `path` nor `body` holds {ids}",
            "6:22: \"items\" is not a JSON pointer: it begins with a slash",
        ],
    );
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
fn syntax_errors_are_all_reported_and_do_not_echo() {
    let found = errors("[server]\nworkers = \nmax_headers = 1x\n[[routes]\npath = \"/\"\nnme = 1\n");
    let lines: Vec<&str> = found.iter().filter_map(|error| error.split(':').next()).collect();
    assert!(lines.contains(&"2") && lines.contains(&"3") && lines.contains(&"4"), "{found:?}");
    let mut distinct = lines.clone();
    distinct.dedup();
    assert_eq!(lines, distinct, "one problem a line: {found:?}");
    check("a = 1\na = 2", &["1:1: unknown key \"a\"", "2:1: duplicate key"]);
}

#[test]
fn variables() {
    check("[admin]\naddress = \"127.0.0.1:${PORT}\"", &["2:11: the environment variable \"PORT\" is not set"]);
    check("[admin]\naddress = \"127.0.0.1:${PORT:-9901}\"", &[]);
    check(
        "[admin]\naddress = \"127.0.0.1:${PORT:-x}\"",
        &["2:11: \"127.0.0.1:${PORT:-x}\" is not an IP address and port, or empty"],
    );
    check("[admin]\naddress = \"${\"", &["2:11: \"${\" is not a variable"]);
}
