//! `[server]`, `[[listeners]]`, `[admin]`.

use super::problems::PROBLEMS;
use super::{DAY, HOUR, HUGE, Key, Kind, MANY, SECOND, TableDef, key};
use crate::config::validate::{addresses, known_secrets, revocation, server};
use crate::config::value::text;

/// `[server]`
pub(crate) static SERVER: TableDef =
    TableDef::plain("[server]", "Workers, limits and timeouts of the whole gateway.", KEYS)
        .rules(&[server::target_within_head, server::room_to_live]);

const KEYS: &[Key] = &[
    key("workers", Kind::Integer(0, 1024), "Data-plane threads; 0 is one per core.").default("0"),
    key(
        "trusted_proxies",
        Kind::List(const { &Kind::Text(&text::CIDR) }, 0),
        "Networks whose `Forwarded`, `X-Forwarded-*` and `x-request-id` are believed.",
    )
    .default("[]"),
    key(
        "max_connections",
        Kind::Integer(1, 10_000_000),
        "Open client connections. Beyond it a connection is accepted, answered 503 and closed.",
    )
    .default("20000"),
    key("max_connections_per_ip", Kind::Integer(0, 10_000_000), "Open connections from one address; 0 is no limit.")
        .default("0"),
    key("drain_timeout", Kind::Duration(0, DAY), "The longest that a drain waits for requests in flight.")
        .default("\"30s\""),
    key("drain_delay", Kind::Duration(0, HOUR), "Time between \"not ready\" and \"stop accepting\".").default("\"0s\""),
    key("header_read_timeout", Kind::Duration(1, HOUR), "From a request head's first byte to its last; 408 beyond.")
        .default("\"10s\""),
    key("idle_timeout", Kind::Duration(1, DAY), "An idle keep-alive connection is closed after this long.")
        .default("\"75s\""),
    key("max_header_bytes", Kind::Size(1024, 1 << 24), "The size of a request head; 431 beyond.").default("\"32KiB\""),
    key("max_headers", Kind::Integer(1, 10_000), "The fields of a request head; 431 beyond.").default("100"),
    key("max_uri_bytes", Kind::Size(64, 1 << 24), "The size of a request target; 414 beyond, and above 65,534 bytes.")
        .default("\"8KiB\""),
    key(
        "max_body",
        Kind::SizeOrZero(1, HUGE),
        "The size of a request body; 413 beyond. A route can override it; \"0\" is no limit.",
    )
    .default("\"10MiB\""),
    key(
        "body_match_memory",
        Kind::Size(4 << 20, HUGE),
        "What bodies that are read for routing (`body` of routes) may take together on a worker, with those that `coalesce`, \
         `mirror`, aggregates, batches and a program's own stages hold, and in half of it those of `buffer_request`, which \
         stream beyond; 503 beyond for those that routing and stages read and for parts and batches that are read whole.",
    )
    .default("\"64MiB\""),
    key(
        "compress_memory",
        Kind::Size(4 << 20, HUGE),
        "What compressing answers (`compress` of routes) may take together on a worker; answers beyond stay as they are.",
    )
    .default("\"64MiB\""),
    key(
        "cache_memory",
        Kind::Size(64 << 10, HUGE),
        "What kept answers (`cache` of routes) may take together, of all workers; what was not used for longest goes first.",
    )
    .default("\"64MiB\""),
    key(
        "h2_max_concurrent_streams",
        Kind::Integer(0, 1_000_000),
        "Streams that one HTTP/2 connection may have open. 0: HTTP/2 is not spoken.",
    )
    .default("100"),
    key("h2_stream_window", Kind::Size(1024, (1 << 31) - 1), "The initial window of an HTTP/2 stream.")
        .default("\"64KiB\""),
    key("h2_connection_window", Kind::Size(65_535, (1 << 31) - 1), "The initial window of an HTTP/2 connection.")
        .default("\"1MiB\""),
    key(
        "h2_keepalive",
        Kind::DurationOrZero(SECOND, HOUR),
        "After so much silence on an HTTP/2 connection with open streams its client gets a ping; the connection is closed when nothing \
         comes for 20 s then. \"0s\": none is sent.",
    )
    .default("\"0s\""),
    key(
        "h2_max_resets_per_second",
        Kind::Integer(1, 1_000_000),
        "Streams of one HTTP/2 connection that its client may reset, or break, in a second. Beyond: GOAWAY.",
    )
    .default("100"),
    key(
        "preserve_header_case",
        Kind::Bool,
        "Requests keep the letters of header names, from HTTP/1 to HTTP/1. Answers keep theirs in any case.",
    )
    .default("false"),
    key(
        "half_closed",
        Kind::Choice(&["close", "answer"]),
        "A client of HTTP/1 that ends its side of the connection once its request is whole: it has left, and its request \
         ends; or it gets its answer.",
    )
    .default("\"close\""),
    key(
        "via",
        Kind::Text(&text::VIA),
        "The gateway's name in `Via` of requests and of upstreams' answers, which extends what is there (RFC 9110, \
         section 7.6.3); empty adds none.",
    )
    .default("\"\""),
    key(
        "own_headers",
        Kind::Map(&text::EDITABLE_HEADER, const { &Kind::Text(&text::HEADER_VALUE) }),
        "Added to every answer of the gateway's own (problems, redirects, fixed answers, preflights) that has no such header.",
    )
    .default("{}"),
    key(
        "problems",
        PROBLEMS,
        "Bodies in place of problem documents, by code, status (`404`) or class (`5xx`), the most specific first; where a route \
         has none for a problem.",
    ),
    key(
        "hsts",
        Kind::Table(&HSTS),
        "`strict-transport-security` on every answer over TLS, where the upstream does not say it itself.",
    ),
    key("https_port", Kind::Integer(1, 65_535), "Where `https = \"redirect\"` of a route sends clients.").default("443"),
    key(
        "escaped_slash",
        Kind::Choice(&["reject", "keep"]),
        "What happens to %2F and %5C in a path: 400, or left as they are. %00 is always refused.",
    )
    .default("\"reject\""),
    key("merge_slashes", Kind::Bool, "`//` in a path counts as `/`.").default("true"),
    key(
        "underscores_in_headers",
        Kind::Choice(&["reject", "drop", "keep"]),
        "What happens to header names with an underscore: `X_User_Id` is the twin of `x-user-id` for many frameworks.",
    )
    .default("\"reject\""),
    key("tls_handshake_timeout", Kind::Duration(1, HOUR), "The longest TLS handshake.").default("\"10s\""),
    key(
        "body_idle_timeout",
        Kind::Duration(1, DAY),
        "A request body that does not move, or a response that waits to be written.",
    )
    .default("\"30s\""),
    key("body_total_timeout", Kind::DurationOrZero(1, DAY), "A whole request body; \"0s\" is no limit.")
        .default("\"0s\""),
    key(
        "max_in_flight",
        Kind::Integer(0, MANY),
        "Requests in the whole gateway; beyond it 503 with `Retry-After`, the least critical first. 0 is no limit.",
    )
    .default("0"),
    key(
        "shed_above_rss",
        Kind::SizeOrZero(1 << 20, HUGE),
        "Memory guard: beyond it new requests get 503, the less critical from 90 % of it on; \"0\" is off.",
    )
    .default("\"0\""),
];

static HSTS: TableDef = TableDef::plain(
    "hsts",
    "Browsers come over TLS alone from then on (RFC 6797).",
    &[
        key("max_age", Kind::Duration(0, 2 * 366 * DAY), "For how long; \"0s\" lets browsers forget it.").required(),
        key("include_subdomains", Kind::Bool, "Also to every name below the host.").default("false"),
        key("preload", Kind::Bool, "Browsers may ship with it.").default("false"),
    ],
)
.rules(&[server::hsts]);

/// One of `[[listeners]]`.
pub(crate) static LISTENER: TableDef = TableDef::plain(
    "[[listeners]]",
    "An address that clients connect to. None written: 127.0.0.1:8080. Every route is reached by every listener, unless it \
     names some (`listeners`).",
    &[
        key("address", Kind::Text(&text::SOCKET), "Where to listen; port 0 takes a free one. `[::]` takes IPv4 too, unless another listener has `0.0.0.0` and this port.")
            .default("\"127.0.0.1:8080\""),
        key(
            "name",
            Kind::Text(&text::NAME),
            "What `listeners` of routes call it. A route that names none is reached by every listener.",
        ),
        key(
            "proxy_protocol",
            Kind::Bool,
            "Connections begin with a header of the PROXY protocol (1 or 2), sent by one of `trusted_proxies`. Its client \
             is the request's.",
        )
        .default("false"),
        key(
            "reuse_port",
            Kind::Bool,
            "false: one socket and an accept thread. true: the kernel spreads connections over workers.",
        )
        .default("false"),
        key(
            "tls",
            Kind::Table(&LISTENER_TLS),
            "Serve TLS 1.2 and 1.3. A changed file is in force for the next connection.",
        ),
    ],
);

static LISTENER_TLS: TableDef = TableDef::plain(
    "tls",
    "A listener's certificates.",
    &[
        key("cert", Kind::File, "The certificate chain, PEM."),
        key("key", Kind::File, "Its private key, PEM."),
        key("ocsp", Kind::File, "What its issuer says of it (OCSP), DER: shown with it for as long as it holds."),
        key("client_ca", Kind::File, "Who signs client certificates, PEM."),
        key(
            "client_crl",
            Kind::List(const { &Kind::File }, 1),
            "Which client certificates were taken back (CRL), PEM or DER: one list of each who signs some. Past its \
             `nextUpdate` a list lets nobody in.",
        ),
        key("client_auth", Kind::Choice(&["none", "optional", "required"]), "Whether clients show a certificate.")
            .default("\"none\""),
        key(
            "certificates",
            Kind::List(const { &Kind::Table(&CERTIFICATE) }, 1),
            "Several certificates, chosen by SNI.",
        ),
    ],
)
.rules(&[server::listener_certificates, revocation::lists]);

pub(crate) static CERTIFICATE: TableDef = TableDef::plain(
    "certificates",
    "A certificate for some names.",
    &[
        key(
            "names",
            Kind::List(const { &Kind::Text(&text::HOST) }, 1),
            "The names that it is shown for; a star is one label.",
        )
        .required(),
        key("cert", Kind::File, "The certificate chain, PEM.").required(),
        key("key", Kind::File, "Its private key, PEM.").required(),
        key("ocsp", Kind::File, "What its issuer says of it (OCSP), DER: shown with it for as long as it holds."),
    ],
)
.rules(&[server::certificate]);

/// `[admin]`
pub(crate) static ADMIN: TableDef = TableDef::plain(
    "[admin]",
    "The operator's own address: health, metrics, state. Never share it with a public listener.",
    &[
        key(
            "address",
            Kind::Text(&text::SOCKET_OR_EMPTY),
            "Where the admin API listens; empty turns it off. Off loopback it needs a token.",
        )
        .default("\"127.0.0.1:9901\""),
        key(
            "token_env",
            Kind::Text(&text::ENVIRONMENT),
            "The environment variable with the bearer token that every call but the probes needs.",
        )
        .secret(),
    ],
)
.rules(&[addresses::admin_needs_token, known_secrets::of_admin]);

/// The shortest interval between two looks at something.
pub(crate) const MIN_INTERVAL: u64 = SECOND / 10;
