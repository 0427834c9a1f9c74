//! `[upstreams.NAME]`.

use super::rate_limit::MIN_WINDOW;
use super::server::MIN_INTERVAL;
use super::{DAY, HOUR, Key, Kind, MANY, SECOND, TableDef, key};
use crate::config::validate::{known_secrets, plugins, screening, upstream, upstream_tls};
use crate::config::value::text;

/// One of `[upstreams.NAME]`.
pub(crate) static UPSTREAM: TableDef =
    TableDef::plain("[upstreams.NAME]", "A named service and how its endpoints are used.", KEYS).rules(&[
        upstream::one_source,
        upstream::distinct_endpoints,
        upstream::short_form_has_no_key,
        upstream::grpc_checks_need_http2,
        upstream_tls::names,
    ]);

const KEYS: &[Key] = &[
    key(
        "endpoints",
        Kind::List(const { &Kind::Short(const { &Kind::Text(&text::HOST_PORT) }, &ENDPOINT) }, 1),
        "Its addresses: \"host:port\", or tables with a weight, or as a backup.",
    ),
    key("discovery", Kind::Table(&DISCOVERY), "Addresses from DNS, instead of endpoints."),
    key(
        "protocol",
        Kind::Choice(&["http1", "http2"]),
        "What the endpoints speak. HTTP/2 by ALPN over TLS, by prior knowledge in the clear; gRPC needs it.",
    )
    .default("\"http1\""),
    key("tls", Kind::Table(&UPSTREAM_TLS), "Connect with TLS; `{}` with its defaults."),
    key(
        "balance",
        Kind::Short(const { &Kind::Choice(POLICIES) }, &BALANCE),
        "How an endpoint is picked: a policy's name, or a table.",
    )
    .default("{ policy = \"least_request\" }"),
    key("affinity", Kind::Table(&AFFINITY), "A cookie brings a client back to the endpoint that answered it."),
    key("slow_start", Kind::Duration(0, HOUR), "A new endpoint's share grows over this time.").default("\"0s\""),
    key("pool", Kind::Table(&POOL), "How connections are kept.").default("{}"),
    key("breaker", Kind::Table(&BREAKER), "When an endpoint is left alone.").default("{}"),
    key("health", Kind::Table(&HEALTH), "Active health checks.").default("{}"),
    key("ejection", Kind::Table(&EJECTION), "How many endpoints breakers may take out of balancing.").default("{}"),
    key(
        "panic_below",
        Kind::Number(0.0, 1.0),
        "The share of available endpoints under which all are used; backups first, where there are some.",
    )
    .default("0.0"),
    key("concurrency", Kind::Table(&CONCURRENCY), "How many requests may be in flight to it.").default("{}"),
    key("retry_budget", Kind::Table(&RETRY_BUDGET), "How many retries there may be.").default("{}"),
];

const POLICIES: &[&str] = &["round_robin", "least_request", "peak_ewma", "random", "consistent_hash", "custom"];

static ENDPOINT: TableDef = TableDef::plain(
    "endpoints",
    "One address.",
    &[
        key(
            "address",
            Kind::Text(&text::HOST_PORT),
            "Where to connect; a name is resolved when a connection is opened, and where that fails its last addresses \
             serve.",
        )
        .required(),
        key("weight", Kind::Integer(0, 1_000_000), "Its share; 0 gets no new requests.").default("1"),
        key(
            "backup",
            Kind::Bool,
            "It gets requests only while none of the endpoints that are no backups takes any, or beside them where \
             fewer than `panic_below` are well.",
        )
        .default("false"),
    ],
);

static DISCOVERY: TableDef = TableDef::plain(
    "discovery",
    "Addresses from DNS.",
    &[
        key("dns", Kind::Text(&text::HOST_PORT), "The name to resolve, and the port of each address.").required(),
        key("refresh", Kind::Duration(MIN_INTERVAL, DAY), "How often.").default("\"10s\""),
    ],
);

static UPSTREAM_TLS: TableDef = TableDef::plain(
    "tls",
    "TLS to the endpoints.",
    &[
        key("insecure", Kind::Bool, "Endpoints need not prove who they are. For experiments.").default("false"),
        key(
            "sni",
            Kind::Text(&text::SERVER_NAME),
            "The name that is asked for and has to be proven; else the endpoint's own, or the discovered one.",
        ),
        key("ca", Kind::File, "Who signs the endpoints' certificates, PEM; else those whom the system trusts."),
        key("cert", Kind::File, "The gateway's own certificate chain, PEM, for endpoints that ask for it."),
        key("key", Kind::File, "Its private key, PEM."),
    ],
)
.rules(&[upstream_tls::tls]);

static BALANCE: TableDef = TableDef::plain(
    "balance",
    "How an endpoint is picked.",
    &[
        key("policy", Kind::Choice(POLICIES), "The policy.").default("\"least_request\""),
        key("name", Kind::Text(&text::NAME), "custom only: the name under which it is registered in code."),
        key("key", Kind::Text(&text::HASH_KEY), "consistent_hash only: what is hashed. A request without that header or cookie is hashed by its client's address."),
        key(
            "bound",
            Kind::Number(1.0, 100.0),
            "consistent_hash only: an endpoint above this times the mean in flight is full.",
        )
        .default("1.25"),
        key(
            "bound_min",
            Kind::Integer(0, 1_000_000),
            "consistent_hash only: an endpoint below this many in flight is never full.",
        )
        .default("8"),
    ],
)
.rules(&[upstream::hash_keys_need_hash, plugins::balancer, screening::hash_key]);

static AFFINITY: TableDef = TableDef::plain(
    "affinity",
    "A cookie brings a client back to the endpoint that answered it; where that is out, `balance` picks another.",
    &[
        key(
            "cookie",
            Kind::Text(&text::HEADER),
            "The cookie's name; left out it is `gw-` and the upstream's name, so that no upstream overwrites another's.",
        ),
        key(
            "key_env",
            Kind::Text(&text::ENVIRONMENT),
            "The environment variable with the secret of its values, the same at every gateway; 16 characters or more.",
        )
        .required()
        .secret(),
        key("path", Kind::Text(&text::PATH), "The paths that it is sent for.").default("\"/\""),
        key(
            "max_age",
            Kind::DurationOrZero(SECOND, 400 * DAY),
            "How long browsers keep it; \"0s\" is as long as they run.",
        )
        .default("\"0s\""),
        key("same_site", Kind::Choice(&["strict", "lax", "none"]), "Whether it is sent from pages of other sites.")
            .default("\"lax\""),
    ],
)
.rules(&[upstream::affinity, known_secrets::of_affinity, screening::cookie]);

static POOL: TableDef = TableDef::plain(
    "[upstreams.NAME.pool]",
    "How connections are kept.",
    &[
        key("connect_timeout", Kind::Duration(1, HOUR), "Opening a connection; 504 beyond.").default("\"1s\""),
        key("idle_timeout", Kind::Duration(1, DAY), "An idle connection is closed after this long.").default("\"60s\""),
        key(
            "max_idle_per_worker",
            Kind::Integer(0, 1_000_000),
            "Idle connections to an endpoint on a worker that are kept without need; more while they are needed each second.",
        )
        .default("128"),
        key("max_lifetime", Kind::Duration(SECOND, 30 * DAY), "An older connection is closed when it falls idle.")
            .default("\"1h\""),
        key(
            "max_connections",
            Kind::Integer(0, MANY),
            "Open connections to an endpoint over the process; 0 is no limit.",
        )
        .default("0"),
    ],
);

/// `breaker`, of an upstream or of a route.
pub(crate) static BREAKER: TableDef = TableDef::plain(
    "[upstreams.NAME.breaker]",
    "When an endpoint is left alone.",
    &[
        key(
            "failures",
            Kind::List(const { &Kind::Text(&text::FAILURE) }, 0),
            "What counts as a failure; [] is nothing.",
        )
        .default("[\"connect\", \"reset\", \"timeout\", \"502\", \"503\", \"504\"]"),
        key("window", Kind::Duration(MIN_WINDOW, HOUR), "The time that is looked at.").default("\"10s\""),
        key("min_requests", Kind::Integer(1, MANY), "Fewer requests in the window decide nothing.").default("20"),
        key("failure_ratio", Kind::Number(0.01, 1.0), "The share of failures that opens it.").default("0.5"),
        key("consecutive_failures", Kind::Integer(0, MANY), "Failures in a row that open it; 0 is off.").default("10"),
        key("slow_call", Kind::DurationOrZero(1, HOUR), "A slower answer counts as slow; \"0s\" is off.")
            .default("\"0s\""),
        key("slow_ratio", Kind::Number(0.01, 1.0), "The share of slow answers that opens it.").default("1.0"),
        key("open_for", Kind::Duration(1, DAY), "How long it is open the first time.").default("\"5s\""),
        key("max_open_for", Kind::Duration(1, DAY), "How long at most, after openings in a row.").default("\"60s\""),
        key("probes", Kind::Integer(1, 1_000_000), "Requests that try whether the endpoint is back.").default("3"),
        key("probe_timeout", Kind::Duration(1, HOUR), "A probe without an answer failed.").default("\"5s\""),
    ],
)
.rules(&[upstream::breaker_order]);

static HEALTH: TableDef = TableDef::plain(
    "[upstreams.NAME.health]",
    "Active health checks.",
    &[
        key(
            "path",
            Kind::Text(&text::PATH_OR_EMPTY),
            "What is asked for; empty is no active checks. `/grpc.health.v1.Health/Check?service=NAME` asks gRPC.",
        )
        .default("\"\""),
        key(
            "host",
            Kind::Text(&text::ASKED_HOST),
            "The `Host` (`:authority`) of a check, for services that tell sites apart by it; the endpoint's address when absent.",
        ),
        key(
            "status",
            Kind::List(const { &Kind::Text(&text::STATUSES) }, 1),
            "Statuses that are good, as in `[\"200-399\", \"401\"]`; gRPC's own check has its own.",
        )
        .default("[\"200-299\"]"),
        key("interval", Kind::Duration(MIN_INTERVAL, DAY), "How often.").default("\"5s\""),
        key("timeout", Kind::Duration(1, HOUR), "The longest wait for an answer.").default("\"1s\""),
        key("healthy_after", Kind::Integer(1, 1000), "Good answers in a row that bring an endpoint back.").default("2"),
        key(
            "unhealthy_after",
            Kind::Integer(1, 1000),
            "Bad answers in a row that take it out, whatever `ejection` says; never the last endpoint.",
        )
        .default("3"),
    ],
)
.off(&[("path", "\"\"")]);

static EJECTION: TableDef = TableDef::plain(
    "ejection",
    "How many endpoints breakers may take out of balancing.",
    &[key(
        "max_percent",
        Kind::Integer(0, 100),
        "The share, rounded down, up to which breakers take endpoints out; never the last one. One that its health checks find down \
         counts, and leaves whatever this says.",
    )
    .default("50")],
);

static CONCURRENCY: TableDef = TableDef::plain(
    "concurrency",
    "How many requests may be in flight to the upstream; beyond it 503 with `Retry-After`, the least critical first.",
    &[
        key(
            "max_in_flight",
            Kind::Integer(0, MANY),
            "Over all its endpoints, to the last byte of each answer; exact across workers. 0 is no limit.",
        )
        .default("0"),
        key(
            "adaptive",
            Kind::Bool,
            "Each endpoint has a limit besides, found from how long its answers take, while there is a queue at it.",
        )
        .default("false"),
    ],
);

static RETRY_BUDGET: TableDef = TableDef::plain(
    "retry_budget",
    "How many retries there may be.",
    &[
        key("ratio", Kind::Number(0.0, 10.0), "Retries for each request.").default("0.2"),
        key("min_per_second", Kind::Integer(0, MANY), "Retries a second that are always allowed.").default("10"),
    ],
);
