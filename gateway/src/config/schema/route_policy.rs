//! The policies of `[[routes]]` that are tables of their own.

use super::{DAY, HOUR, HUGE, Kind, SECOND, TableDef, key};
use crate::config::validate::{cache, compress, forward_auth, identity, own_answer, provider_order, references, route};
use crate::config::value::text;

/// `auth`
pub(crate) static AUTH: TableDef = TableDef::plain(
    "auth",
    "Who may use a route.",
    &[
        key(
            "providers",
            Kind::List(const { &Kind::Text(&text::NAME) }, 1),
            "Who proves the identity; the first whose credential is present decides.",
        )
        .required(),
        key("scopes", Kind::List(const { &Kind::Text(&text::SCOPE) }, 0), "All are needed; each is written by itself.")
            .default("[]"),
        key(
            "claims",
            Kind::Map(&text::NOT_EMPTY, &Kind::Scalar),
            "Claims and the value that each must equal or hold; `/a/b` is a claim within another.",
        )
        .default("{}"),
        key("optional", Kind::Bool, "A request without a credential passes; a bad one does not.").default("false"),
        key("single_use", Kind::Bool, "A token, by its `jti`, holds for one request.").default("false"),
    ],
)
.rules(&[
    references::auth,
    identity::claims_within_claims,
    identity::single_use,
    identity::opaque_audience,
    provider_order::reachable,
]);

/// An element of `split`.
pub(crate) static SPLIT: TableDef = TableDef::plain(
    "split",
    "An upstream and its share.",
    &[
        key("upstream", Kind::Text(&text::NAME), "Its name.").required(),
        key("weight", Kind::Integer(0, 1_000_000), "Its share, of the sum of all; 0 is none.").required(),
        key(
            "sticky",
            Kind::Text(&text::STICKY_KEY),
            "Clients that it gets stay with it, told apart by this; by their address where it is missing.",
        ),
    ],
)
.rules(&[references::named_upstream]);

/// `mirror`
pub(crate) static MIRROR: TableDef = TableDef::plain(
    "mirror",
    "A copy of some requests; its answers are dropped.",
    &[
        key("upstream", Kind::Text(&text::NAME), "Where copies go.").required(),
        key("fraction", Kind::Number(0.0, 1.0), "The share of requests that is copied.").default("1.0"),
        key(
            "methods",
            Kind::List(const { &Kind::Text(&text::METHOD) }, 0),
            "Which are copied; empty is all that the route takes, those that change something too.",
        )
        .default("[]"),
        key(
            "max_body",
            Kind::SizeOrZero(1, 16 << 20),
            "The largest body that is copied; a request with a larger one is not. \"0\" copies those without a body.",
        )
        .default("\"64KiB\""),
    ],
)
.rules(&[references::named_upstream])
.off(&[("fraction", "0.0")]);

const RETRIED: &[&str] = &["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "POST", "PATCH", "TRACE"];

/// `retry`
pub(crate) static RETRY: TableDef = TableDef::plain(
    "[routes.retry]",
    "What is tried again; the upstream's retry budget always holds.",
    &[
        key("attempts", Kind::Integer(1, 10), "Attempts, the first one counted: 1 is no retry.").default("2"),
        key("per_try_timeout", Kind::DurationOrZero(1, DAY), "One attempt; \"0s\" is the route's timeout.")
            .default("\"0s\""),
        key("on", Kind::List(const { &Kind::Text(&text::FAILURE) }, 1), "What is tried again.")
            .default("[\"connect\", \"reset\", \"502\", \"503\", \"504\"]"),
        key("methods", Kind::List(const { &Kind::Choice(RETRIED) }, 1), "Methods that may be sent twice.")
            .default("[\"GET\", \"HEAD\", \"OPTIONS\", \"PUT\", \"DELETE\"]"),
        key("buffer", Kind::SizeOrZero(1, 1 << 30), "The largest body that is kept to be sent again.")
            .default("\"64KiB\""),
        key("backoff", Kind::Duration(0, HOUR), "The wait before the second attempt.").default("\"25ms\""),
        key("max_backoff", Kind::Duration(0, HOUR), "The longest wait.").default("\"250ms\""),
    ],
)
.rules(&[route::backoff_order])
.off(&[("attempts", "1")]);

/// `hedge`
pub(crate) static HEDGE: TableDef = TableDef::plain(
    "hedge",
    "A second try beside a slow first one.",
    &[
        key(
            "after",
            Kind::Text(&text::HEDGE_AFTER),
            "A duration, or `p50` to `p99` for the observed percentile; \"0s\" is off.",
        )
        .default("\"0s\""),
        key("max", Kind::Integer(0, 10), "Tries beside the first.").default("1"),
    ],
)
.off(&[("after", "\"0s\""), ("max", "0")]);

/// `cors`
pub(crate) static CORS: TableDef = TableDef::plain(
    "cors",
    "Cross-origin rules.",
    &[
        key(
            "origins",
            Kind::List(const { &Kind::Text(&text::ORIGIN) }, 1),
            "Who may call: origins as browsers write them, `https://*.example.com` for one label or more before a host, or \"*\" \
             for every one.",
        )
        .required(),
        key(
            "methods",
            Kind::List(const { &Kind::Text(&text::CORS_METHOD) }, 1),
            "With which methods; \"*\" is any. Browsers ask about GET, HEAD and POST only because of headers.",
        )
        .default("[\"GET\"]"),
        key(
            "headers",
            Kind::List(const { &Kind::Text(&text::HEADER) }, 0),
            "With which headers; \"*\" is any but `authorization`.",
        )
        .default("[]"),
        key(
            "expose_headers",
            Kind::List(const { &Kind::Text(&text::HEADER) }, 0),
            "Headers of answers that pages may read, beside those that every page may and the gateway's own; \"*\" is any but \
             `authorization`.",
        )
        .default("[]"),
        key("credentials", Kind::Bool, "With cookies and credentials.").default("false"),
        key("max_age", Kind::Duration(0, DAY), "How long a browser may keep the answer.").default("\"10m\""),
    ],
)
.rules(&[route::cors_stars, route::cors_wide_origins]);

/// `compress`
pub(crate) static COMPRESS: TableDef = TableDef::plain(
    "compress",
    "Which answers are compressed, for clients whose `accept-encoding` says so. `vary` tells caches. A strong `etag` becomes a \
     weak one.",
    &[
        key(
            "codings",
            Kind::List(const { &Kind::Choice(&["zstd", "gzip"]) }, 1),
            "What with; the first that a client likes best.",
        )
        .default("[\"zstd\", \"gzip\"]"),
        key(
            "types",
            Kind::List(const { &Kind::Text(&text::MEDIA_RANGE) }, 1),
            "Content types, `text/*` too. `text/event-stream` only where it is named itself; gRPC never.",
        )
        .default(
            "[\"text/*\", \"application/json\", \"application/problem+json\", \"application/ld+json\", \
             \"application/geo+json\", \"application/vnd.api+json\", \"application/manifest+json\", \
             \"application/x-ndjson\", \"application/javascript\", \"application/xml\", \"application/xhtml+xml\", \
             \"application/atom+xml\", \"application/rss+xml\", \"application/graphql-response+json\", \
             \"application/wasm\", \"application/yaml\", \"image/svg+xml\", \"font/otf\", \"font/ttf\"]",
        ),
        key(
            "min_size",
            Kind::SizeOrZero(1, HUGE),
            "The smallest that is worth it, where the upstream says how long its answer is.",
        )
        .default("\"1KiB\""),
        key("effort", Kind::Choice(&["low", "normal", "high"]), "How much time is spent on it.").default("\"normal\""),
    ],
)
.rules(&[compress::codings, compress::types]);

/// The longest that an answer may be kept, milliseconds.
const YEAR: u64 = 365 * DAY;

/// `cache`
pub(crate) static CACHE: TableDef = TableDef::plain(
    "[routes.cache]",
    "Which answers to GET are kept, for how long, and for whom. What an answer says itself (`cache-control`, `expires`, `vary`) \
     comes first.",
    &[
        key(
            "default_ttl",
            Kind::DurationOrZero(SECOND, YEAR),
            "How long an answer holds that does not say so itself, where its status is 200, 203, 301, 308, 404 or 410; \"0s\": it \
             is not kept.",
        )
        .default("\"0s\""),
        key(
            "status_ttl",
            Kind::Map(&text::KEPT_STATUS, const { &Kind::DurationOrZero(SECOND, YEAR) }),
            "The same by status, in place of `default_ttl`: `{ 404 = \"10s\" }`; \"0s\": it is not kept. Statuses that are kept at all.",
        )
        .default("{}"),
        key("max_ttl", Kind::Duration(SECOND, YEAR), "The longest time for which an answer is fresh, whatever it says.")
            .default("\"24h\""),
        key("max_body", Kind::Size(1, 1 << 30), "The largest body that is kept.").default("\"1MiB\""),
        key(
            "stale_while_revalidate",
            Kind::DurationOrZero(SECOND, YEAR),
            "How long a stale answer is given while a new one is asked for, where it does not say so itself (RFC 5861).",
        )
        .default("\"0s\""),
        key(
            "stale_if_error",
            Kind::DurationOrZero(SECOND, YEAR),
            "How long a stale answer is given where the upstream cannot be had, or answers 500, 502, 503 or 504, where it does \
             not say so itself (RFC 5861).",
        )
        .default("\"0s\""),
        key(
            "vary_limit",
            Kind::Integer(1, 256),
            "Answers to one URI, and one subject, that are kept by what else they hang on (`vary`).",
        )
        .default("16"),
        key(
            "shared",
            Kind::Bool,
            "With `auth`: an answer that says that it is anybody's (`public`, `s-maxage`) is given to all subjects.",
        )
        .default("false"),
        key(
            "ignore_client_directives",
            Kind::Bool,
            "What clients say of fresh answers changes nothing: no-cache, max-age, min-fresh, and no-store as far as what is \
             kept already may be given.",
        )
        .default("false"),
    ],
)
.rules(&[cache::times]);

/// `fallback`
pub(crate) static FALLBACK: TableDef = TableDef::plain(
    "fallback",
    "What is answered when the upstream cannot: a fixed answer, or another upstream.",
    &[
        key("status", Kind::Integer(200, 599), "The fixed answer's status."),
        key("body", Kind::Text(&text::ANY), "Its body; empty when absent."),
        key("content_type", Kind::Text(&text::HEADER_VALUE), "Its content type; `text/plain` when absent."),
        key("upstream", Kind::Text(&text::NAME), "Another upstream, which is asked within the same timeout."),
    ],
)
.rules(&[route::one_fallback, references::named_upstream])
.exclusive(&["status", "body", "content_type", "upstream"]);

/// `redirect`
pub(crate) static REDIRECT: TableDef = TableDef::plain(
    "redirect",
    "Where clients are sent to: the URL that they asked for, with these parts of it changed.",
    &[
        key("scheme", Kind::Choice(&["http", "https"]), "The new scheme."),
        key("host", Kind::Text(&text::HOST_NAME), "The new host, without a port."),
        key(
            "port",
            Kind::Integer(1, 65_535),
            "The new port. Without it a new scheme or host has its usual one, and else it is as asked for.",
        ),
        key("path", Kind::Text(&text::PATH_TEMPLATE), "The new path, with parameters of the route's path."),
        key("strip_query", Kind::Bool, "The query is left out.").default("false"),
        key(
            "status",
            Kind::Integer(301, 308),
            "301, 302, 303, 307 or 308. With 307 and 308 clients keep method and body.",
        )
        .default("308"),
    ],
)
.rules(&[own_answer::redirect]);

/// `answer`
pub(crate) static ANSWER: TableDef = TableDef::plain(
    "answer",
    "A fixed answer; `response_headers` are set on it.",
    &[
        key("status", Kind::Integer(200, 599), "Its status.").default("200"),
        key("body", Kind::Text(&text::ANY), "Its body; empty when absent.").default("\"\""),
        key("content_type", Kind::Text(&text::HEADER_VALUE), "Its content type; `text/plain` when absent."),
    ],
)
.rules(&[own_answer::answer]);

/// `addresses`
pub(crate) static ADDRESSES: TableDef = TableDef::plain(
    "addresses",
    "Which client addresses may use a route: the client's own, as trusted proxies and the PROXY protocol tell it.",
    &[
        key("allow", Kind::List(const { &Kind::Text(&text::CIDR) }, 0), "Networks that may; empty is any.")
            .default("[]"),
        key(
            "deny",
            Kind::List(const { &Kind::Text(&text::CIDR) }, 0),
            "Networks that may not, also where `allow` has them.",
        )
        .default("[]"),
    ],
)
.rules(&[own_answer::addresses]);

/// `forward_auth`
pub(crate) static FORWARD_AUTH: TableDef = TableDef::plain(
    "forward_auth",
    "A service that is asked, by a GET, whether a request may pass: 2xx lets it, what else is below 500 is the client's answer.",
    &[
        key("upstream", Kind::Text(&text::UPSTREAM), "An upstream's name, or a URL such as http://127.0.0.1:9100.").required(),
        key("path", Kind::Text(&text::CHECK_PATH), "What it is asked for, with a query perhaps.").default("\"/\""),
        key("timeout", Kind::Duration(1, HOUR), "Until its answer's head; the route's own time bounds it too.")
            .default("\"1s\""),
        key(
            "request_headers",
            Kind::List(const { &Kind::Text(&text::EDITABLE_HEADER) }, 0),
            "Headers of the client that it is sent, beside `x-forwarded-*` (with `-method` and `-uri`), ids and identity.",
        )
        .default("[\"authorization\", \"cookie\"]"),
        key(
            "response_headers",
            Kind::List(const { &Kind::Text(&text::EDITABLE_HEADER) }, 0),
            "Headers of its answer that the upstream is sent. No client can send them, on any route.",
        )
        .default("[]"),
        key(
            "client_headers",
            Kind::List(const { &Kind::Text(&text::EDITABLE_HEADER) }, 0),
            "Headers of its yes that the client is sent beside the answer's own: `set-cookie`. A yes that has one is not remembered.",
        )
        .default("[]"),
        key("max_response", Kind::Size(1, 16 << 20), "The largest body of its answer.").default("\"64KiB\""),
        key(
            "on_error",
            Kind::Choice(&["deny", "allow"]),
            "What becomes of a request when it cannot be asked, or answers 5xx: 503, or it passes.",
        )
        .default("\"deny\""),
        key("cache", Kind::Table(&AUTH_CACHE), "For how long its yes holds for the same question.").default("{}"),
    ],
)
.rules(&[forward_auth::headers, references::forward_auth]);

static AUTH_CACHE: TableDef = TableDef::plain(
    "cache",
    "What is remembered of answers that let pass, by all that was asked. `cache-control: no-store` is respected.",
    &[
        key("ttl", Kind::DurationOrZero(1, HOUR), "For how long; \"0s\" is off.").default("\"0s\""),
        key("max_bytes", Kind::Size(1 << 10, 1 << 32), "What all of a route's take of memory.").default("\"16MiB\""),
    ],
)
.off(&[("ttl", "\"0s\"")]);
