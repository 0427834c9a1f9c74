//! `[[routes]]`.

use super::problems::PROBLEMS;
use super::route_policy::{
    ADDRESSES, ANSWER, AUTH, CACHE, COMPRESS, CORS, FALLBACK, FORWARD_AUTH, HEDGE, MIRROR, REDIRECT, RETRY, SPLIT,
};
use super::upstream::BREAKER;
use super::{DAY, HUGE, Key, Kind, MANY, TableDef, key};
use crate::config::validate::{
    api_document, cache, compress, early_hints, edit_effects, forward_auth, grpc_web, header_edits, mirror, own_answer,
    passwords, plugins, query_edits, references, route, screening, split,
};
use crate::config::value::text;

/// A body is parsed in one turn of a worker's loop, and its values take many times its bytes: more than this would be
/// felt by every other request.
const MOST_LOOKED_INTO: u64 = 1 << 20;
/// The largest body that may be held before it is sent.
const MOST_BUFFERED: u64 = 1 << 30;

/// One of `[[routes]]`.
pub(crate) static ROUTE: TableDef = TableDef::plain("[[routes]]", "What is matched, and what happens then.", KEYS)
    .rules(&[
        route::one_destination,
        route::groups_are_new,
        route::clients_are_somebody,
        forward_auth::beside_others,
        own_answer::no_upstream,
        own_answer::redirect_parameters,
        own_answer::redirect_elsewhere,
        plugins::handler,
        plugins::stages,
        route::rewrite_parameters,
        route::rewrite_can_be_sent,
        route::prefix_is_there,
        route::tries_within_timeout,
        route::uploads_have_time,
        header_edits::identity,
        header_edits::values,
        header_edits::cors_decides,
        edit_effects::of_route,
        query_edits::of_an_upstreams_requests,
        query_edits::values,
        query_edits::kept_answers_are_found_again,
        screening::conditions,
        route::fallback_elsewhere,
        split::keys,
        split::shares,
        mirror::elsewhere,
        mirror::of_an_upstreams_requests,
        mirror::unsafe_methods,
        route::hedge_within_timeout,
        route::coalesced_as_they_come,
        route::cors_credential_headers,
        passwords::in_the_clear,
        compress::upstreams_answers,
        cache::upstreams_answers,
        grpc_web::calls_of_an_upstream,
        early_hints::somebody_gives_them,
        api_document::readable,
        references::route,
        references::listeners,
    ])
    .exclusive(&["upstream", "split", "handler", "redirect", "answer"]);

const KEYS: &[Key] = &[
    key(
        "name",
        Kind::Text(&text::LABEL),
        "Its name in logs and metrics; the path when absent, with what tells it apart where another has that.",
    ),
    key(
        "policies",
        Kind::List(const { &Kind::Text(&text::NAME) }, 0),
        "Tables `[policies.NAME]` whose keys it has where it does not write them itself; where several write a key, the last \
         one counts.",
    )
    .default("[]"),
    key(
        "listeners",
        Kind::List(const { &Kind::Text(&text::NAME) }, 0),
        "The listeners by which it is reached, by name; empty is all. By others it is not there: 404.",
    )
    .default("[]"),
    key("hosts", Kind::List(const { &Kind::Text(&text::HOST) }, 0), "Exact, or `*.example.com`, which is one label or more before it; empty is any.")
        .default("[]"),
    key(
        "path",
        Kind::Text(&text::PATH_PATTERN),
        "Exact, with `{param}` segments, and perhaps a last `{*rest}`, which also matches nothing.",
    )
    .required(),
    key(
        "path_regex",
        Kind::Text(&text::PATH_REGEX),
        "A regular expression of the whole path, in the form in which it is sent, beside `path`: where it does not match, other \
         routes are looked at. Its named groups are parameters.",
    ),
    key("methods", Kind::List(const { &Kind::Text(&text::METHOD) }, 0), "Empty is any. GET answers HEAD too.")
        .default("[]"),
    key(
        "headers",
        Kind::Map(&text::HEADER, const { &Kind::Text(&text::VALUE_MATCH) }),
        "Headers that must be there: a value, \"*\" for any, \"~REGEX\" for the whole value. Of one that comes in several \
         lines, each must fit: all of them go on to the upstream.",
    )
    .default("{}"),
    key(
        "query",
        Kind::Map(&text::PARAMETER, const { &Kind::Text(&text::VALUE_MATCH) }),
        "Query parameters that must be there, as with headers.",
    )
    .default("{}"),
    key(
        "clients",
        Kind::List(const { &Kind::Text(&text::CLIENT_NETWORK) }, 0),
        "Networks in which the client is, as trusted proxies tell it; with a `!` before it, one in which it is not. For other \
         clients the route is not there: the next one is taken, or 404. `addresses` refuses.",
    )
    .default("[]"),
    key(
        "body",
        Kind::Map(&text::JSON_POINTER, &Kind::Scalar),
        "JSON pointers into the body and what each has to lead to: a string, a number, or true or false.",
    )
    .default("{}"),
    key(
        "body_match_limit",
        Kind::Size(1, MOST_LOOKED_INTO),
        "The largest body that is looked into; it is kept until it is sent.",
    )
    .default("\"16KiB\""),
    key(
        "priority",
        Kind::Integer(-1_000_000, 1_000_000),
        "The higher first among routes that match; then the more specific host, before the more specific path, before the \
         route with more conditions. So a route for any host never comes before one of this host but by its priority.",
    )
    .default("0"),
    key("criticality", Kind::Choice(&["low", "normal", "high", "critical"]), "What is shed first under overload.")
        .default("\"normal\""),
    key("upstream", Kind::Text(&text::UPSTREAM), "An upstream's name, or a URL such as http://127.0.0.1:9001."),
    key("split", Kind::List(const { &Kind::Table(&SPLIT) }, 1), "Several upstreams that share its requests by weight."),
    key("mirror", Kind::OrFalse(&MIRROR), "A copy of some requests to another upstream."),
    key("handler", Kind::Text(&text::NAME), "A handler registered in code, instead of an upstream."),
    key("redirect", Kind::Table(&REDIRECT), "Where clients are sent to, instead of an upstream."),
    key("answer", Kind::Table(&ANSWER), "A fixed answer, instead of an upstream."),
    key(
        "https",
        Kind::Choice(&["any", "redirect", "require"]),
        "What becomes of a request that came in the clear, as trusted proxies tell it: it is served, sent to the same URL \
         over TLS (308), or refused (403). A shared `redirect` is passed over where the route's own leads to https.",
    )
    .default("\"any\""),
    key("addresses", Kind::OrFalse(&ADDRESSES), "Which client addresses may use it, before all else; 403 for others."),
    key("rewrite", Kind::OrFalse(&REWRITE), "What the upstream is sent instead of the path."),
    key("request_headers", Kind::Table(&HEADER_EDITS), "Edits of the request's headers.").default("{}"),
    key(
        "response_headers",
        Kind::Table(&HEADER_EDITS),
        "Edits of the headers of every answer, problem documents and other answers of the gateway's own too.",
    )
    .default("{}"),
    key(
        "request_query",
        Kind::Table(&QUERY_EDITS),
        "Edits of the query that the upstream is sent. Conditions, limits and records are of the client's own.",
    )
    .default("{}"),
    key(
        "compress",
        Kind::Short(const { &Kind::Bool }, &COMPRESS),
        "Answers of the upstream are compressed for clients that take it: true, or a table.",
    )
    .default("false"),
    key(
        "cache",
        Kind::Short(const { &Kind::Bool }, &CACHE),
        "Answers of the upstream are kept for who asks for the same later (RFC 9111): true, or a table.",
    )
    .default("false"),
    key("auth", Kind::OrFalse(&AUTH), "Who may use it."),
    key("forward_auth", Kind::OrFalse(&FORWARD_AUTH), "A service that is asked whether a request may pass."),
    key(
        "stages",
        Kind::List(const { &Kind::Text(&text::NAME) }, 0),
        "Stages registered in code that see its requests, in this order, and its answers, in the other.",
    )
    .default("[]"),
    key("rate_limits", Kind::List(const { &Kind::Text(&text::NAME) }, 0), "The limits that hold, by name.")
        .default("[]"),
    key(
        "max_in_flight",
        Kind::Integer(0, MANY),
        "Requests of this route at once, each to the last byte of its answer or the end of its tunnel; beyond it 503 with \
         `Retry-After`. 0 is no limit; `in_flight` of a limit counts by client.",
    )
    .default("0"),
    key(
        "timeout",
        Kind::DurationOrZero(1, DAY),
        "Until response headers, retries and the client's upload included; \"0s\" is no limit.",
    )
    .default("\"15s\""),
    key(
        "idle_timeout",
        Kind::DurationOrZero(1, DAY),
        "Silence in a response body, an event stream or a tunnel; \"0s\" is no limit.",
    )
    .default("\"60s\""),
    key(
        "host",
        Kind::Text(&text::SENT_HOST),
        "The host that the upstream is sent: `client`, `upstream`, or a fixed name.",
    )
    .default("\"client\""),
    key(
        "upgrades",
        Kind::List(const { &Kind::Choice(&["websocket"]) }, 0),
        "Upgrades that pass; the tunnel starts after the upstream's 101.",
    )
    .default("[\"websocket\"]"),
    key("retry", Kind::Table(&RETRY), "What is tried again.").default("{}"),
    key("hedge", Kind::Table(&HEDGE), "A second try beside a slow first one.").default("{}"),
    key(
        "breaker",
        Kind::OrFalse(&BREAKER),
        "A breaker for this route alone, so that one bad route ejects no endpoint for others.",
    ),
    key("cors", Kind::OrFalse(&CORS), "Cross-origin rules; preflights are answered before identity."),
    key(
        "max_body",
        Kind::SizeOrZero(1, HUGE),
        "The size of a request body; as `[server]` says when absent, \"0\" is no limit.",
    ),
    key(
        "buffer_request",
        Kind::SizeOrZero(1, MOST_BUFFERED),
        "A request body up to this size is whole before an endpoint is picked, within `body_match_memory`, so that a slow \
         client keeps no worker of the service; a longer one streams, and one that finds no room. \
         \"0\" is off.",
    )
    .default("\"0\""),
    key("fallback", Kind::OrFalse(&FALLBACK), "What is answered when the upstream cannot."),
    key(
        "problems",
        PROBLEMS,
        "Bodies in place of problem documents, by code, status (`404`) or class (`5xx`), the most specific first; for what \
         none of them is, as `[server]` says.",
    ),
    key(
        "intercept",
        Kind::List(const { &Kind::Text(&text::ERROR_STATUS) }, 0),
        "Errors of its upstream in whose place the gateway answers, with the same status: a problem document \
         (`upstream_error`), or what `problems` has.",
    )
    .default("[]"),
    key(
        "grpc_web",
        Kind::Bool,
        "Web pages may call its service of gRPC (gRPC-Web, also as base64): their calls are gRPC to the upstream, which speaks \
         HTTP/2, and they are answered in theirs. With `cors`, pages may send and read the headers that this takes.",
    )
    .default("false"),
    key("coalesce", Kind::Bool, "Identical concurrent GETs share one upstream call.").default("false"),
    key(
        "early_hints",
        Kind::Choice(&["off", "http2", "all"]),
        "An upstream's 103 Early Hints are passed on: to clients of HTTP/2, or to those of HTTP/1.1 as well.",
    )
    .default("\"off\""),
    key("openapi", Kind::Text(&text::DOCUMENT), "A file or an upstream path whose document is merged into /openapi.json.")
        .default("\"\""),
];

static REWRITE: TableDef = TableDef::plain(
    "rewrite",
    "What the upstream is sent instead of the path: one of both.",
    &[
        key("strip_prefix", Kind::Text(&text::PATH), "Removed where the path begins with it at a segment boundary. `Location` and `Set-Cookie` paths of answers stay as they are."),
        key("path", Kind::Text(&text::PATH_TEMPLATE), "The new path, with parameters of the route's path."),
    ],
)
.rules(&[route::one_rewrite])
.exclusive(&["strip_prefix", "path"]);

pub(super) static HEADER_EDITS: TableDef = TableDef::plain(
    "request_headers, response_headers",
    "Edits of headers.",
    &[
        key(
            "set",
            Kind::Map(&text::EDITABLE_HEADER, const { &Kind::Text(&text::EDIT_VALUE) }),
            "Set, replacing what is there. In braces stands a value of the request: a parameter of the path, `{client_ip}`, \
             `{scheme}`, `{host}`, `{port}`, `{method}`, `{uri}`, `{path}`, `{request_id}` or `{header:NAME}`; a brace itself is \
             written twice. What comes out empty is not sent.",
        )
        .default("{}"),
        key(
            "add",
            Kind::Map(&text::EDITABLE_HEADER, const { &Kind::Text(&text::EDIT_VALUE) }),
            "Added as a line of its own; what is there stays. Values are written as in `set`.",
        )
        .default("{}"),
        key("remove", Kind::List(const { &Kind::Text(&text::EDITABLE_HEADER) }, 0), "Removed.").default("[]"),
    ],
)
.rules(&[header_edits::once_each]);

static QUERY_EDITS: TableDef = TableDef::plain(
    "request_query",
    "Edits of the query. Names are those of the decoded query, and letters are told apart by case; what is not edited stays byte \
     for byte.",
    &[
        key(
            "set",
            Kind::Map(&text::EDITABLE_PARAMETER, const { &Kind::Text(&text::PARAMETER_VALUE) }),
            "Set, replacing what is there. Values are written as in `request_headers`, and percent-encoded. What comes out empty \
             is not sent.",
        )
        .default("{}"),
        key(
            "add",
            Kind::Map(&text::EDITABLE_PARAMETER, const { &Kind::Text(&text::PARAMETER_VALUE) }),
            "Added behind; what is there stays. Values are written as in `set`.",
        )
        .default("{}"),
        key("remove", Kind::List(const { &Kind::Text(&text::EDITABLE_PARAMETER) }, 0), "Removed, as often as it is there.")
            .default("[]"),
        key(
            "keep",
            Kind::List(const { &Kind::Text(&text::EDITABLE_PARAMETER) }, 0),
            "What alone passes of what a client sends; \"*\" is everything, [] nothing.",
        )
        .default("[\"*\"]"),
    ],
)
.rules(&[query_edits::once_each]);
