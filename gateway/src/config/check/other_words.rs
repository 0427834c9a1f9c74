//! What other gateways call a thing: words of nginx, HAProxy, Traefik, Kong, Envoy and KrakenD in a configuration of
//! ours are told what they are called here, in place of a list of keys.

/// Words of keys, as others write them, and what stands for them here. None is a key of ours.
const KEYS: &[(&[&str], &str)] = &[
    (&["proxy_pass", "backend", "service", "cluster"], "it is `upstream = \"NAME\"` here"),
    (&["server_name", "server_names", "domains", "authority"], "it is `hosts = [\"www.example.com\"]` of a route"),
    (&["location", "uris", "rule", "prefix", "path_prefix", "endpoint"], "it is `path = \"/api/{*rest}\"` of a route"),
    (&["entrypoints", "entryPoints", "entry_points"], "it is `listeners = [\"NAME\"]` of a route"),
    (
        &["middlewares", "plugins", "filters", "http_filters"],
        "what they do are keys of a route, as `auth`, `rate_limits`, `cors`; a set of them with a name is [policies.NAME], and \
         policies = [\"NAME\"] of a route",
    ),
    (&["keepalive_timeout", "keep_alive_timeout", "idleTimeout"], "it is `idle_timeout` of [server]"),
    (
        &["proxy_read_timeout", "proxy_send_timeout", "read_timeout", "send_timeout", "request_timeout"],
        "it is `timeout` of a route: until an answer's head is there; `idle_timeout` is for silence behind it",
    ),
    (&["proxy_connect_timeout"], "it is `pool = { connect_timeout = \"1s\" }` of an upstream"),
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
    (&["sticky", "session_affinity", "sticky_session"], "it is `affinity = { cookie = \"NAME\", … }` of an upstream"),
    (
        &["circuit_breaker", "circuitBreaker", "outlier_detection"],
        "it is `breaker` of an upstream, which has one by default",
    ),
    (&["health_check", "healthcheck", "healthCheck", "healthchecks", "health_checks"], "it is `health` of an upstream"),
    (&["retries", "num_retries", "retry_policy", "proxy_next_upstream"], "it is `retry = { attempts = 2 }` of a route"),
    (
        &["rate_limit", "limit_req", "rateLimit", "rate_limiting", "ratelimit"],
        "it is `rate_limits = [\"NAME\"]` of a route, with [rate_limits.NAME]",
    ),
    (&["strip_path", "stripPrefix"], "it is `rewrite = { strip_prefix = \"/api\" }` of a route"),
    (&["preserve_host", "passHostHeader", "host_header"], "it is `host = \"client\"` of a route, which is the default"),
    (
        &["add_header", "response_headers_to_add", "proxy_hide_header"],
        "it is `response_headers = { set = { … }, add = { … }, remove = [ … ] }` of a route",
    ),
    (
        &["proxy_set_header", "request_headers_to_add", "headers_to_pass"],
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
        ],
        "networks that may use a route are `addresses = { allow = [ … ], deny = [ … ] }`; those that take it, while others take the \
         next one, are `clients = [ … ]`",
    ),
    (&["error_page", "error_pages", "errors"], "it is `problems` of [server] or of a route: bodies by code or status"),
    (&["ssl", "certificate", "certificate_file", "ssl_certificate"], "it is `cert`, beside `key`, in `tls`"),
    (&["private_key", "certificate_key", "ssl_certificate_key", "key_file"], "it is `key`, beside `cert`, in `tls`"),
    (&["jwks_uri", "jwks_url", "jwk_url", "jwks_endpoint"], "it is `jwks = { url = \"https://…\" }`"),
    (&["real_ip_header", "set_real_ip_from", "forwarded_headers"], "it is `trusted_proxies` of [server]"),
    (&["forwardAuth", "ext_authz", "auth_request"], "it is `forward_auth` of a route"),
    (
        &["basic_auth", "basicAuth", "auth_basic", "auth_basic_user_file"],
        "it is a provider, [identity.providers.NAME] with kind = \"basic\", named in `auth`",
    ),
    (&["limit_conn", "inFlightReq", "max_requests"], "it is `max_in_flight` of a route, or `in_flight` of a limit"),
    (&["proxy_cache", "cache_ttl", "proxy-cache", "http_cache"], "it is `cache = true` of a route"),
    (&["path_regexp", "PathRegexp", "safe_regex", "regex"], "it is `path_regex`, beside `path`, of a route"),
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
        &["backup", "backups", "failover", "standby", "priority", "fallback"],
        &["endpoints"],
        "it is said of an endpoint: `endpoints = [\"a:1\", { address = \"b:1\", backup = true }]`; another upstream \
         is `fallback = { upstream = \"NAME\" }` of a route",
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
            ("[identity.providers.a]\nkind = \"key-auth\"", "it is \"api_key\" here"),
            ("[rate_limits.a]\nrate = \"1/s\"\nburst = 1\nkey = \"consumer\"", "it is \"subject\" here"),
            ("[rate_limits.a]\nrate = \"1/s\"\nburst = 1\nkey = \"$binary_remote_addr\"", "it is \"client_ip\" here"),
        ] {
            assert!(helps(text).iter().any(|it| it == help), "{text}: {:?}", helps(text));
        }
    }
}
