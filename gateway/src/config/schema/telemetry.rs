//! `[telemetry.*]`.

use super::{Kind, TableDef, key};
use crate::config::validate::tracing;
use crate::config::value::text;

/// `[telemetry]`
pub(crate) static TELEMETRY: TableDef = TableDef::plain(
    "[telemetry]",
    "Access log, flight recorder and tracing.",
    &[
        key("access_log", Kind::Table(&ACCESS_LOG), "One line for each request.").default("{}"),
        key("recorder", Kind::Table(&RECORDER), "The last failed, slow and sampled requests, with all decisions.")
            .default("{}"),
        key("tracing", Kind::Table(&TRACING), "Trace context and spans.").default("{}"),
    ],
);

static ACCESS_LOG: TableDef = TableDef::plain(
    "[telemetry.access_log]",
    "One JSON line for each request.",
    &[
        key("output", Kind::FileOrWord(&["stdout", "off"]), "`stdout`, `off`, or a file's path.").default("\"stdout\""),
        key("sample", Kind::Number(0.0, 1.0), "The share of 2xx and 3xx lines that is kept; errors are always kept.")
            .default("1.0"),
        key(
            "queue",
            Kind::Integer(1, 1 << 24),
            "Lines that may wait; when full, lines are dropped and counted, requests never wait.",
        )
        .default("65536"),
        key(
            "query",
            Kind::List(const { &Kind::Text(&text::EDITABLE_PARAMETER) }, 0),
            "Parameters of queries that records tell behind the path, byte for byte as clients send them. None that carries \
             a secret.",
        )
        .default("[]"),
        key(
            "request_headers",
            Kind::List(const { &Kind::Text(&text::HEADER) }, 0),
            "Headers of requests that records tell, as clients send them; 256 bytes of each. None that carries a secret.",
        )
        .default("[]"),
        key(
            "response_headers",
            Kind::List(const { &Kind::Text(&text::HEADER) }, 0),
            "The same of what clients are answered.",
        )
        .default("[]"),
    ],
);

static RECORDER: TableDef = TableDef::plain(
    "[telemetry.recorder]",
    "The flight recorder: the last failed, slow and sampled requests with every decision, for the admin API.",
    &[
        key("requests", Kind::Integer(0, 1 << 16), "Requests that are kept, in all; 0 is none.").default("4096"),
        key("max_bytes", Kind::Size(1 << 16, 1 << 30), "What they may take of memory, in all.").default("\"8MiB\""),
        key(
            "slow",
            Kind::Text(&text::SLOW),
            "From which time on a request is slow: a duration, or a percentile of its route's lately; `0s` is never.",
        )
        .default("\"1s\""),
        key("sample", Kind::Number(0.0, 1.0), "The share of all requests that is kept, whatever became of them.")
            .default("0.001"),
    ],
);

static TRACING: TableDef = TableDef::plain(
    "[telemetry.tracing]",
    "Trace context (W3C) and spans (OTLP).",
    &[
        key("otlp_protocol", Kind::Choice(&["http", "grpc"]), "How spans are sent.").default("\"http\""),
        key(
            "otlp_endpoint",
            Kind::Text(&text::URL_OR_EMPTY),
            "Where spans are sent; empty is propagation only. Over HTTP `/v1/traces` is added.",
        )
        .default("\"\""),
        key(
            "otlp_headers",
            Kind::Map(&text::HEADER, &Kind::Text(&text::HEADER_VALUE)),
            "Sent with each message, as `authorization = \"Bearer ${OTLP_TOKEN}\"`.",
        )
        .default("{}"),
        key(
            "otlp_ca",
            Kind::File,
            "Who signs the collector's certificate, PEM; else those whom the system trusts.",
        ),
        key("otlp_timeout", Kind::Duration(10, 60_000), "For one message, its answer included.").default("\"10s\""),
        key(
            "otlp_queue",
            Kind::Integer(64, 1 << 20),
            "Spans that may wait; while it is full requests are not traced, and never wait.",
        )
        .default("8192"),
        key("service_name", Kind::Text(&text::LABEL), "What the gateway is called in traces.").default("\"gateway\""),
        key(
            "sample_ratio",
            Kind::Number(0.0, 1.0),
            "The share of new traces that is sampled, decided before a span is made.",
        )
        .default("0.01"),
        key(
            "trust_incoming",
            Kind::Choice(&["always", "trusted", "never"]),
            "always: the trace id goes on, the sampled bit only from trusted proxies. trusted: both, from trusted proxies \
             only. never: each request starts a trace.",
        )
        .default("\"always\""),
    ],
)
.rules(&[tracing::endpoint, tracing::headers, tracing::ca]);
