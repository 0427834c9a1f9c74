//! `[stores.NAME]` and `[rate_limits.NAME]`.

use super::{HOUR, Kind, MANY, SECOND, TableDef, key};
use crate::config::validate::{limits, plugins, screening, stores};
use crate::config::value::text;

/// One of `[stores.NAME]`.
pub(crate) static STORE: TableDef = TableDef::plain(
    "[stores.NAME]",
    "A Redis, used by limits and replay protection.",
    &[
        key(
            "url",
            Kind::Text(&text::REDIS_URL),
            "redis:// rediss:// redis+cluster:// redis+sentinel://, USER@ before the host.",
        )
        .required(),
        key("password_env", Kind::Text(&text::ENVIRONMENT), "The environment variable with the password.").secret(),
        key(
            "sentinel_password_env",
            Kind::Text(&text::ENVIRONMENT),
            "The environment variable with what the sentinels want, where they want a password.",
        )
        .secret(),
        key("ca", Kind::File, "Who signs the servers' certificates, PEM; else those whom the system trusts."),
        key("connect_timeout", Kind::Duration(1, HOUR), "Opening a connection.").default("\"500ms\""),
        key("command_timeout", Kind::Duration(1, HOUR), "One command.").default("\"20ms\""),
        key("breaker", Kind::Table(&STORE_BREAKER), "A dead store costs no request any waiting.").default("{}"),
    ],
)
.rules(&[stores::user_has_a_password, stores::sentinels_are_meant, stores::ca]);

static STORE_BREAKER: TableDef = TableDef::plain(
    "breaker",
    "When a store counts as dead.",
    &[
        key("consecutive_failures", Kind::Integer(1, MANY), "Failures in a row that open it.").default("3"),
        key("open_for", Kind::Duration(1, HOUR), "How long the store is left alone.").default("\"1s\""),
    ],
);

/// One of `[rate_limits.NAME]`.
pub(crate) static RATE_LIMIT: TableDef = TableDef::plain(
    "[rate_limits.NAME]",
    "How many requests a key may make.",
    &[
        key("rate", Kind::Rate, "Tokens that come back: \"100/s\", \"600/m\", \"36000/h\"; with `burst`. Needed without `in_flight`."),
        key("burst", Kind::Integer(1, MANY), "Tokens that can be there at most; with `rate`."),
        key(
            "in_flight",
            Kind::Integer(0, MANY),
            "Requests of a key at once in this gateway, each to the last byte of its answer or the end of its tunnel; beyond \
             it 429. 0 is no limit; without `rate` it is all that the limit does.",
        )
        .default("0"),
        key("cost", Kind::Integer(1, MANY), "Tokens that a request takes.").default("1"),
        key("key", Kind::Text(&text::LIMIT_KEY), "What is counted by.").required(),
        key("ipv6_prefix", Kind::Integer(1, 128), "Addresses of one IPv6 network of this prefix count as one.")
            .default("64"),
        key("anonymous", Kind::Table(&ANONYMOUS), "Another rate where no identity was proven."),
        key("store", Kind::Text(&text::NAME), "`local`, or the name of a store.").default("\"local\""),
        key("shadow", Kind::Bool, "Count and report, never refuse.").default("false"),
        key("max_keys", Kind::Integer(1, MANY), "Keys kept at once.").default("1000000"),
        key(
            "mode",
            Kind::Choice(&["exact", "leased"]),
            "exact: one atomic step in Redis for each request. leased: tokens are taken in chunks.",
        )
        .default("\"exact\""),
        key("max_lease", Kind::Integer(1, MANY), "leased only: most tokens that a gateway takes at once.")
            .default("20"),
        key(
            "on_store_failure",
            Kind::Choice(&["open", "closed", "local_share"]),
            "What holds while the store is down; local_share: the rate over the last known number of gateways.",
        )
        .default("\"local_share\""),
    ],
)
.rules(&[
    limits::has_something_to_limit,
    limits::cost_within_burst,
    limits::burst_comes_back,
    limits::store_exists,
    limits::store_is_meant,
    plugins::limit_key,
    screening::limit_key,
]);

static ANONYMOUS: TableDef = TableDef::plain(
    "anonymous",
    "The rate of those without an identity.",
    &[
        key("rate", Kind::Rate, "Tokens that come back.").required(),
        key("burst", Kind::Integer(1, MANY), "Tokens that can be there at most.").required(),
    ],
);

/// The shortest period that a breaker looks at.
pub(crate) const MIN_WINDOW: u64 = SECOND / 10;
