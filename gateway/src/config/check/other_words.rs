//! What other gateways call a thing: words of nginx, HAProxy, Traefik, Kong, Envoy and KrakenD in a configuration of
//! ours are told what they are called here, in place of a list of keys.

/// Words of keys, as others write them, and what stands for them here. None is a key of ours.
const KEYS: &[(&[&str], &str)] = &[
    (
        &["proxy_pass", "backend", "service", "cluster", "use_backend", "default_backend"],
        "it is `upstream = \"NAME\"` here",
    ),
    (&["listen", "proxy_listen", "bind", "frontend"], "it is `address = \"0.0.0.0:8080\"` of [[listeners]]"),
    (
        &["acl", "conditions", "match", "matches"],
        "conditions are keys of a route: `hosts`, `path`, `methods`, `headers`, `query`, `clients`",
    ),
    (&["paths"], "it is `path`, one for each route; `path_regex` beside it takes several"),
    (
        &["return", "direct_response", "static_response"],
        "it is `answer = { status = 503 }` of a route, or `redirect = { … }`",
    ),
    (&["server_name", "server_names", "domains", "authority"], "it is `hosts = [\"www.example.com\"]` of a route"),
    (&["location", "uris", "rule", "prefix", "path_prefix", "endpoint"], "it is `path = \"/api/{*rest}\"` of a route"),
    (&["entrypoints", "entryPoints", "entry_points"], "it is `listeners = [\"NAME\"]` of a route"),
    (
        &["middlewares", "plugins", "filters", "http_filters", "typed_per_filter_config"],
        "what they do are keys of a route, as `auth`, `rate_limits`, `cors`; a set of them with a name is [policies.NAME], and \
         policies = [\"NAME\"] of a route",
    ),
    (&["keepalive_timeout", "keep_alive_timeout", "idleTimeout"], "it is `idle_timeout` of [server]"),
    (
        &[
            "proxy_read_timeout",
            "proxy_send_timeout",
            "read_timeout",
            "send_timeout",
            "request_timeout",
            "timeout_server",
        ],
        "it is `timeout` of a route: until an answer's head is there; `idle_timeout` is for silence behind it",
    ),
    (
        &["timeout_client", "timeout_http_keep_alive"],
        "it is `body_idle_timeout` of [server], and `idle_timeout` between requests",
    ),
    (&["proxy_connect_timeout", "timeout_connect"], "it is `pool = { connect_timeout = \"1s\" }` of an upstream"),
    (&["client_max_body_size", "max_body_size", "max_request_body"], "it is `max_body` of [server] or of a route"),
    (&["client_header_timeout", "request_headers_timeout"], "it is `header_read_timeout` of [server]"),
    (&["client_body_timeout"], "it is `body_idle_timeout` of [server]"),
    (&["servers", "targets", "nodes"], "it is `endpoints = [\"127.0.0.1:9001\"]` of an upstream"),
    (
        &["load_balancing", "loadbalancer", "loadBalancer", "lb_policy", "algorithm", "strategy"],
        "it is `balance = \"least_request\"` of an upstream",
    ),
    (
        &["hash_policy", "hash_on", "hash"],
        "it is `balance = { policy = \"consistent_hash\", key = \"client_ip\" }` of an upstream",
    ),
    (&["stick_table", "stick"], "it is `affinity` of an upstream, or `rate_limits` of a route with [rate_limits.NAME]"),
    (&["sticky", "session_affinity", "sticky_session"], "it is `affinity = { cookie = \"NAME\", … }` of an upstream"),
    (
        &["circuit_breaker", "circuitBreaker", "outlier_detection", "max_fails", "fail_timeout", "qos/circuit-breaker"],
        "it is `breaker` of an upstream, which has one by default",
    ),
    (
        &[
            "health_check",
            "healthcheck",
            "healthCheck",
            "healthchecks",
            "health_checks",
            "httpchk",
            "http_path",
            "inter",
            "rise",
            "fall",
            "unhealthy_threshold",
            "expected_statuses",
        ],
        "it is `health` of an upstream: `path`, `interval`, `healthy_after`, `unhealthy_after`",
    ),
    (
        &["retries", "num_retries", "retry_policy", "proxy_next_upstream", "retry_on", "redispatch"],
        "it is `retry = { attempts = 2 }` of a route",
    ),
    (&["concurrent_calls", "hedge_policy"], "it is `hedge` of a route"),
    (
        &[
            "rate_limit",
            "limit_req",
            "rateLimit",
            "rate_limiting",
            "rate-limiting",
            "ratelimit",
            "local_ratelimit",
            "qos/ratelimit",
            "qos/ratelimit/router",
            "limit_req_zone",
        ],
        "it is `rate_limits = [\"NAME\"]` of a route, with [rate_limits.NAME]",
    ),
    (&["strip_path", "stripPrefix"], "it is `rewrite = { strip_prefix = \"/api\" }` of a route"),
    (
        &["replacePath", "prefix_rewrite", "url_pattern", "regex_rewrite", "path_rewrite"],
        "it is `rewrite = { path = \"/v1/{rest}\" }` of a route",
    ),
    (
        &["host_rewrite_literal", "host_rewrite", "proxy_host"],
        "it is `host = \"www.example.com\"` of a route, or \"upstream\"",
    ),
    (&["preserve_host", "passHostHeader", "host_header"], "it is `host = \"client\"` of a route, which is the default"),
    (
        &[
            "add_header",
            "response_headers_to_add",
            "proxy_hide_header",
            "http_response",
            "response-transformer",
            "expires",
        ],
        "it is `response_headers = { set = { … }, add = { … }, remove = [ … ] }` of a route",
    ),
    (
        &[
            "proxy_set_header",
            "request_headers_to_add",
            "headers_to_pass",
            "input_headers",
            "http_request",
            "request-transformer",
            "modifier/martian",
        ],
        "it is `request_headers = { set = { … }, add = { … }, remove = [ … ] }` of a route",
    ),
    (
        &[
            "query_set",
            "querystring",
            "query_params",
            "query_parameters",
            "query_parameters_to_add",
            "query_parameter_mutations",
            "input_query_strings",
            "set_args",
        ],
        "`query` of a route is what has to be there; edits are `request_query = { set = { … }, add = { … }, remove = [ … ], \
         keep = [ … ] }`",
    ),
    (
        &[
            "sourceRange",
            "source_range",
            "ClientIP",
            "remote_address",
            "remote_addr",
            "allowlist",
            "ipAllowList",
            "ip-restriction",
            "ip_whitelist",
            "source_prefix_ranges",
            "rbac",
            "geo",
        ],
        "networks that may use a route are `addresses = { allow = [ … ], deny = [ … ] }`; those that take it, while others take the \
         next one, are `clients = [ … ]`",
    ),
    (
        &["error_page", "error_pages", "errors", "errorfile", "errorfiles", "local_reply_config", "error_formatter"],
        "it is `problems` of [server] or of a route: bodies by code or status",
    ),
    (&["proxy_intercept_errors"], "it is `intercept = [\"5xx\"]` of a route"),
    (&["ssl", "certificate", "certificate_file", "ssl_certificate"], "it is `cert`, beside `key`, in `tls`"),
    (&["private_key", "certificate_key", "ssl_certificate_key", "key_file"], "it is `key`, beside `cert`, in `tls`"),
    (&["jwks_uri", "jwks_url", "jwk_url", "jwks_endpoint"], "it is `jwks = { url = \"https://…\" }`"),
    (
        &[
            "real_ip_header",
            "set_real_ip_from",
            "forwarded_headers",
            "forwardedHeaders",
            "trustedIPs",
            "trusted_ips",
            "xff_num_trusted_hops",
        ],
        "it is `trusted_proxies` of [server]",
    ),
    (&["forwardAuth", "forward-auth", "ext_authz", "auth_request"], "it is `forward_auth` of a route"),
    (
        &["basic_auth", "basicAuth", "auth_basic", "auth_basic_user_file", "userlist"],
        "it is a provider, [identity.providers.NAME] with kind = \"basic\", named in `auth`",
    ),
    (
        &["auth_jwt", "jwt_authn", "jwt", "jwt_auth"],
        "it is a provider, [identity.providers.NAME] with kind = \"jwt\", named in `auth`",
    ),
    (&["split_clients", "weighted_clusters", "weighted", "canary"], "it is `split` of a route: upstreams by weight"),
    (&["request_mirror_policies", "mirroring"], "it is `mirror` of a route"),
    (&["grpcWeb", "grpc-web"], "it is `grpc_web = true` of a route"),
    (&["gzip", "gzip_types", "compression", "compressor"], "it is `compress = true` of a route"),
    (&["log_format", "log_level", "access_logs", "accessLog"], "records are JSON: [telemetry.access_log]"),
    (&["worker_processes", "nbthread", "concurrency_threads"], "it is `workers` of [server]"),
    (&["stats", "prometheus", "admin_listen"], "a page, the state and metrics are at `address` of [admin]"),
    (
        &["limit_conn", "limit-conn", "inFlightReq", "max_requests", "maxconn", "circuit_breakers"],
        "it is `max_in_flight` of a route, or `in_flight` of a limit",
    ),
    (&["proxy_cache", "cache_ttl", "proxy-cache", "http_cache"], "it is `cache = true` of a route"),
    (
        &["path_regexp", "PathRegexp", "path_reg", "safe_regex", "regex"],
        "it is `path_regex`, beside `path`, of a route",
    ),
    (&["ssl_crl", "crl_file", "crl"], "it is `client_crl` in `tls` of a listener"),
];

/// Words of keys that may mean something else in other tables: each with keys of ours beside which it means this.
const BESIDE: &[(&[&str], &[&str], &str)] = &[
    (
        &["priority", "tier", "standby", "spare", "failover"],
        &["address", "weight"],
        "it is `backup = true` of an endpoint: it gets requests while none of the others takes any",
    ),
    (
        &["timeout", "timeouts"],
        &["endpoints"],
        "it is `timeout` of a route; an upstream has `pool = { connect_timeout = … }`, and `health` a timeout of its own",
    ),
    (
        &["server_name", "serverName", "proxy_ssl_name", "tls_server_name", "verify_host", "name"],
        &["sni"],
        "it is `sni`: the name that is asked for, and that the certificate has to hold for",
    ),
    (&["port"], &["address", "reuse_port"], "it is said in `address = \"0.0.0.0:8080\"`"),
    (
        &["port", "host", "hostname", "ip", "url"],
        &["address", "weight"],
        "it is said in `address = \"127.0.0.1:9001\"`",
    ),
    (
        &["url", "urls", "uri", "address", "addresses", "host", "hosts", "hostname", "ip", "port", "targets", "nodes"],
        &["endpoints", "balance"],
        "it is `endpoints = [\"HOST:PORT\"]`",
    ),
    (&["path", "file", "filename", "file_path"], &["output", "queue"], "it is `output`: a file's path, or `stdout`"),
    (
        &["backup", "backups", "failover", "standby", "priority", "fallback"],
        &["endpoints"],
        "it is said of an endpoint: `endpoints = [\"a:1\", { address = \"b:1\", backup = true }]`; another upstream \
         is `fallback = { upstream = \"NAME\" }` of a route",
    ),
];

/// Words of a file's own tables, of which some are keys of ours in other places: `[[endpoints]]` of KrakenD.
const TABLES: &[(&[&str], &str)] = &[
    (&["services", "clusters", "backends", "upstream_servers"], "it is [upstreams.NAME] with `endpoints`"),
    (
        &["servers", "server_blocks", "virtual_hosts", "virtualHosts"],
        "addresses are [[listeners]], and names are `hosts` of [[routes]]",
    ),
    (
        &["endpoints"],
        "it is [[routes]], or [[aggregates]] where several backends answer; addresses are of [upstreams.NAME]",
    ),
    (&["consumers", "users"], "who asks is proven by [identity.providers.NAME]"),
    (&["routers"], "it is [[routes]]"),
    (
        &["http", "tcp", "udp"],
        "it is [[routes]] and [upstreams.NAME]; docs/coming-from.md says what another gateway's words are here",
    ),
    (&["entryPoints", "entrypoints"], "it is [[listeners]]"),
    (
        &["certificatesResolvers", "providers"],
        "nothing here looks for services or certificates by itself: docs/coming-from.md, what there is no way for",
    ),
];

/// Words of values.
const VALUES: &[(&[&str], &str)] = &[
    (&["least_conn", "leastconn", "least-connections", "p2c", "LEAST_REQUEST"], "least_request"),
    (&["wrr", "roundrobin", "ROUND_ROBIN", "rr"], "round_robin"),
    (&["ewma", "latency", "leasttime", "least_time"], "peak_ewma"),
    (&["ip_hash", "chash", "ring_hash", "maglev", "hrw", "source", "uri"], "consistent_hash"),
    (&["key-auth", "key_auth", "apikey", "api-key"], "api_key"),
    (&["oauth2", "oauth2-introspection"], "introspection"),
    (&["basic-auth", "basicAuth", "basic_auth"], "basic"),
    (&["oidc", "openid-connect", "auth/validator"], "jwt"),
    (&["consumer", "credential", "user", "sub"], "subject"),
    (&["ip", "remote_addr", "$remote_addr", "$binary_remote_addr", "src", "client.ip"], "client_ip"),
];

/// What a key of another gateway is here.
pub(super) fn of_key(written: &str) -> Option<&'static str> {
    KEYS.iter().find(|(words, _)| words.contains(&written)).map(|(_, help)| *help)
}

/// The same of a table of the file itself.
pub(super) fn of_table(written: &str) -> Option<&'static str> {
    TABLES.iter().find(|(words, _)| words.contains(&written)).map(|(_, help)| *help)
}

/// The same of a table that has the keys of which `has` says so.
pub(super) fn of_key_beside(written: &str, has: impl Fn(&str) -> bool) -> Option<&'static str> {
    let found = BESIDE.iter().find(|(words, beside, _)| words.contains(&written) && beside.iter().all(|key| has(key)));
    found.map(|(_, _, help)| *help)
}

/// What a word of another gateway is here, if it can stand where `may_be` says what can.
pub(super) fn of_value(written: &str, may_be: impl Fn(&str) -> bool) -> Option<String> {
    let ours = VALUES.iter().find(|(words, ours)| words.contains(&written) && may_be(ours)).map(|(_, ours)| *ours);
    ours.map(|ours| format!("it is \"{ours}\" here"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Purpose, load_text};

    fn helps(text: &str) -> Vec<String> {
        let Err(problems) = load_text(text, Path::new("a.toml"), Purpose::Check) else { panic!("{text} is right") };
        problems.iter().filter_map(|problem| problem.help.clone()).collect()
    }

    #[test]
    fn no_word_stands_twice() {
        let words = |list: &'static [(&[&str], &str)]| list.iter().flat_map(|(words, _)| words.iter());
        for list in [KEYS, VALUES] {
            let all: Vec<_> = words(list).collect();
            let distinct: std::collections::HashSet<_> = all.iter().collect();
            assert_eq!(all.len(), distinct.len());
        }
    }

    /// Words of the guide that are no keys in any file, or whose keys are called the same here.
    const NO_KEYS: [&str; 6] =
        ["set $args", "location ~", "~/api", "/config", "locality_lb_endpoints", "batch-requests"];

    #[test]
    fn each_word_of_the_guide_is_known() {
        let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/coming-from.md");
        let guide = std::fs::read_to_string(guide).unwrap();
        let (_, table) = guide.split_once("## What is called what").unwrap();
        let (table, _) = table.split_once("\n## ").unwrap();
        let rows = table.lines().filter(|line| line.starts_with("| `"));
        let theirs = rows.flat_map(|row| row.trim_start_matches("| ").split(" | ").skip(1));
        let words = theirs.flat_map(|cell| cell.split('`').skip(1).step_by(2));
        let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/config.schema.json");
        let schema = std::fs::read_to_string(schema).unwrap();
        let is_ours = |word: &str| schema.contains(&format!("\"{word}\":"));
        let is_known = |word: &str| {
            let part = word.split('.').next().unwrap_or(word);
            let beside = BESIDE.iter().any(|(words, ..)| words.contains(&word));
            of_key(part).is_some() || of_value(word, |_| true).is_some() || beside || is_ours(word)
        };
        let unknown: Vec<&str> = words.filter(|word| !NO_KEYS.contains(word) && !is_known(word)).collect();
        assert!(unknown.is_empty(), "no hint for {unknown:?}");
    }

    #[test]
    fn a_key_of_another_table_is_told_where_it_belongs() {
        let route = |key: &str| helps(&format!("[[routes]]\npath = \"/\"\nupstream = \"http://127.0.0.1:1\"\n{key}"));
        let told = |key: &str| route(key).concat();
        assert!(told("balance = \"random\"").contains("[upstreams.NAME]"), "{}", told("balance = \"random\""));
        assert!(told("health = {}").contains("[upstreams.NAME]"), "{}", told("health = {}"));
    }

    #[test]
    fn who_comes_from_another_gateway_is_told_what_it_is_called_here() {
        for (text, help) in [
            ("[server]\nkeepalive_timeout = \"5s\"", "it is `idle_timeout` of [server]"),
            ("[[routes]]\npath = \"/\"\nproxy_pass = \"http://b\"", "it is `upstream = \"NAME\"` here"),
            (
                "[[listeners]]\naddress = \"127.0.0.1:1\"\ntls = { certificate = \"a\" }",
                "it is `cert`, beside `key`, in `tls`",
            ),
            ("[upstreams.a]\nendpoints = [\"a:1\"]\nbalance = \"least_conn\"", "it is \"least_request\" here"),
            (
                "[upstreams.a]\nendpoints = [{ address = \"a:1\", priority = 1 }]",
                "it is `backup = true` of an endpoint: it gets requests while none of the others takes any",
            ),
            (
                "[upstreams.a]\nendpoints = [\"a:1\"]\nbackup = [\"b:1\"]",
                "it is said of an endpoint: `endpoints = [\"a:1\", { address = \"b:1\", backup = true }]`; another upstream \
                 is `fallback = { upstream = \"NAME\" }` of a route",
            ),
            (
                "[upstreams.a]\nendpoints = [\"a:1\"]\ntls = { server_name = \"b\" }",
                "it is `sni`: the name that is asked for, and that the certificate has to hold for",
            ),
            ("[upstreams.a]\nurl = \"http://b:1\"", "it is `endpoints = [\"HOST:PORT\"]`"),
            ("[upstreams.a]\naddress = \"b:1\"", "it is `endpoints = [\"HOST:PORT\"]`"),
            ("[upstreams.a]\nhost = \"b\"", "it is `endpoints = [\"HOST:PORT\"]`"),
            ("[upstreams.a]\nendpoints = [{ host = \"b\" }]", "it is said in `address = \"127.0.0.1:9001\"`"),
            ("[telemetry.access_log]\npath = \"a.log\"", "it is `output`: a file's path, or `stdout`"),
            ("[[listeners]]\nport = 8080", "it is said in `address = \"0.0.0.0:8080\"`"),
            (
                "[[routes]]\npath = \"/\"\nreturn = 503",
                "it is `answer = { status = 503 }` of a route, or `redirect = { … }`",
            ),
            (
                "[[endpoints]]\nendpoint = \"/x\"",
                "it is [[routes]], or [[aggregates]] where several backends answer; addresses are of [upstreams.NAME]",
            ),
            ("[[servers]]\nserver_name = \"a\"", "addresses are [[listeners]], and names are `hosts` of [[routes]]"),
            ("[[routes]]\npaths = [\"/\"]", "it is `path`, one for each route; `path_regex` beside it takes several"),
            ("[identity.providers.a]\nkind = \"key-auth\"", "it is \"api_key\" here"),
            ("[rate_limits.a]\nrate = \"1/s\"\nburst = 1\nkey = \"consumer\"", "it is \"subject\" here"),
            ("[rate_limits.a]\nrate = \"1/s\"\nburst = 1\nkey = \"$binary_remote_addr\"", "it is \"client_ip\" here"),
        ] {
            assert!(helps(text).iter().any(|it| it == help), "{text}: {:?}", helps(text));
        }
    }
}
