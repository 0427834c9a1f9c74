//! `[[aggregates]]`.

use super::problems::PROBLEMS;
use super::route::HEADER_EDITS;
use super::route_policy::{AUTH, COMPRESS, CORS};
use super::{DAY, Kind, MANY, TableDef, key};
use crate::config::validate::{compose, edit_effects, header_edits, passwords, references, route};
use crate::config::value::text;

/// One of `[[aggregates]]`.
pub(crate) static AGGREGATE: TableDef = TableDef::plain(
    "[[aggregates]]",
    "One request, several upstream calls in parallel, one JSON document.",
    &[
        key(
            "name",
            Kind::Text(&text::LABEL),
            "Its name in logs and metrics; the path when absent, with what tells it apart where another has that.",
        ),
        key("path", Kind::Text(&text::PATH_PATTERN), "As on a route.").required(),
        key("listeners", Kind::List(const { &Kind::Text(&text::NAME) }, 0), "As on a route.").default("[]"),
        key("hosts", Kind::List(const { &Kind::Text(&text::HOST) }, 0), "As on a route.").default("[]"),
        key("priority", Kind::Integer(-1_000_000, 1_000_000), "As on a route.").default("0"),
        key(
            "methods",
            Kind::List(const { &Kind::Text(&text::METHOD) }, 1),
            "What it answers: GET, and with it HEAD. Its calls are GETs.",
        )
        .default("[\"GET\"]"),
        key("auth", Kind::OrFalse(&AUTH), "As on a route."),
        key("cors", Kind::OrFalse(&CORS), "As on a route: which pages of other origins may use it."),
        key(
            "response_headers",
            Kind::Table(&HEADER_EDITS),
            "As on a route: edits of the headers of every answer, problem documents too.",
        )
        .default("{}"),
        key(
            "compress",
            Kind::Short(const { &Kind::Bool }, &COMPRESS),
            "As on a route: its answer is compressed for clients that take it: true, or a table.",
        )
        .default("false"),
        key("problems", PROBLEMS, "As on a route: bodies in place of problem documents."),
        key("rate_limits", Kind::List(const { &Kind::Text(&text::NAME) }, 0), "As on a route.").default("[]"),
        key("max_in_flight", Kind::Integer(0, MANY), "As on a route.").default("0"),
        key(
            "timeout",
            Kind::DurationOrZero(1, DAY),
            "The whole answer: how long upstreams are waited for, all calls and their bodies together; \"0s\" is no limit.",
        )
        .default("\"2s\""),
        key("max_response", Kind::Size(1, 1 << 40), "The size of the answer, and of each call's.").default("\"4MiB\""),
        key("parts", Kind::List(const { &Kind::Table(&PART) }, 1), "The calls, at most 32, in the document's order.")
            .required(),
    ],
)
.rules(&[
    compose::parts,
    header_edits::values_of_parts,
    header_edits::values_for_client,
    header_edits::cors_decides,
    edit_effects::of_parts,
    compose::answers_get,
    compose::defaults_that_do_not_hold,
    route::cors_credential_headers,
        passwords::in_the_clear,
    compose::parts_within_timeout,
    references::limits,
    references::listeners,
]);

pub(crate) static PART: TableDef = TableDef::plain(
    "parts",
    "One upstream call and its place in the document.",
    &[
        key("name", Kind::Text(&text::NAME), "Its key in the document.").required(),
        key("upstream", Kind::Text(&text::NAME), "Who is called.").required(),
        key(
            "path",
            Kind::Text(&text::CALL),
            "What is called; `{id}` is a parameter of the path, `{user.tier}` a value from another part, `{query.page}` the \
             client's own parameter `page`, which is left out with its name where there is none.",
        )
        .required(),
        key("required", Kind::Bool, "Without it the whole answer fails.").default("false"),
        key(
            "timeout",
            Kind::Duration(1, DAY),
            "This call alone, until its answer's head; until its end where others need its values.",
        ),
        key(
            "request_headers",
            Kind::Table(&HEADER_EDITS),
            "As on a route: edits of the headers that this call is sent.",
        )
        .default("{}"),
        key("fallback", Kind::Text(&text::NOT_EMPTY), "The JSON that stands in for a missing part."),
    ],
)
.rules(&[references::named_upstream, header_edits::identity, compose::headers_of_call, compose::fallback_is_json]);
