//! The policies of `[[routes]]` that are tables of their own.

use super::{DAY, HOUR, Kind, TableDef, key};
use crate::config::validate::{identity, references, route};
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
        key("scopes", Kind::List(const { &Kind::Text(&text::NOT_EMPTY) }, 0), "All are needed.").default("[]"),
        key("claims", Kind::Map(&text::NOT_EMPTY, &Kind::Scalar), "Claims and the value that each must equal or hold.")
            .default("{}"),
        key("optional", Kind::Bool, "A request without a credential passes; a bad one does not.").default("false"),
        key("single_use", Kind::Bool, "A token, by its `jti`, holds for one request.").default("false"),
    ],
)
.rules(&[references::auth, identity::single_use]);

/// An element of `split`.
pub(crate) static SPLIT: TableDef = TableDef::plain(
    "split",
    "An upstream and its share.",
    &[
        key("upstream", Kind::Text(&text::NAME), "Its name.").required(),
        key("weight", Kind::Integer(0, 1_000_000), "Its share.").required(),
        key("sticky", Kind::Text(&text::LIMIT_KEY), "Requests with the same value stay together."),
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
            "Who may call: origins as browsers write them, or \"*\" for every one.",
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
        key("credentials", Kind::Bool, "With cookies and credentials.").default("false"),
        key("max_age", Kind::Duration(0, DAY), "How long a browser may keep the answer.").default("\"10m\""),
    ],
)
.rules(&[route::cors_stars]);

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
