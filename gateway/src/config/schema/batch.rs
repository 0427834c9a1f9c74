//! `[[batches]]`.

use super::problems::PROBLEMS;
use super::route::HEADER_EDITS;
use super::route_policy::{AUTH, CORS};
use super::{DAY, Kind, MANY, SECOND, TableDef, key};
use crate::config::validate::{batch, compose, header_edits, passwords, references, route};
use crate::config::value::text;

/// The most items of one call.
const MOST: i64 = 10_000;

/// One of `[[batches]]`.
pub(crate) static BATCH: TableDef = TableDef::plain(
    "[[batches]]",
    "Many single requests become one upstream call.",
    &[
        key(
            "name",
            Kind::Text(&text::LABEL),
            "Its name in logs and metrics; the path when absent, with what tells it apart where another has that.",
        ),
        key(
            "path",
            Kind::Text(&text::PATH_PATTERN),
            "As on a route. The item's id is the parameter `id`, or the only one there is.",
        )
        .required(),
        key("listeners", Kind::List(const { &Kind::Text(&text::NAME) }, 0), "As on a route.").default("[]"),
        key("hosts", Kind::List(const { &Kind::Text(&text::HOST) }, 0), "As on a route.").default("[]"),
        key("priority", Kind::Integer(-1_000_000, 1_000_000), "As on a route.").default("0"),
        key("upstream", Kind::Text(&text::NAME), "Who is called.").required(),
        key(
            "window",
            Kind::DurationOrZero(1, 10 * SECOND),
            "How long requests are gathered, from the first one on; \"0s\": each is a call of its own.",
        )
        .default("\"5ms\""),
        key("max_size", Kind::Integer(1, MOST), "How many items a call asks for at most.").default("50"),
        key(
            "adaptive",
            Kind::Bool,
            "What is gathered is sent as soon as no call is under way: nobody waits while there is nothing to do.",
        )
        .default("false"),
        key(
            "across_subjects",
            Kind::Bool,
            "Requests of different subjects may share an upstream call, which then carries no subject and no credential.",
        )
        .default("false"),
        key(
            "methods",
            Kind::List(const { &Kind::Text(&text::METHOD) }, 1),
            "What it answers: GET, and with it HEAD. What changes something is not gathered.",
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
        key("problems", PROBLEMS, "As on a route: bodies in place of problem documents."),
        key("rate_limits", Kind::List(const { &Kind::Text(&text::NAME) }, 0), "As on a route.").default("[]"),
        key("max_in_flight", Kind::Integer(0, MANY), "As on a route.").default("0"),
        key(
            "timeout",
            Kind::DurationOrZero(1, DAY),
            "The whole answer, gathering included; \"0s\" is no limit.",
        )
        .default("\"15s\""),
        key("max_response", Kind::Size(1, 1 << 40), "The size of the call's answer.").default("\"4MiB\""),
        key("request", Kind::Table(&BATCH_REQUEST), "The one call.").required(),
        key("response", Kind::Table(&BATCH_RESPONSE), "How its answer is taken apart.").required(),
    ],
)
.rules(&[
    references::named_upstream,
    references::limits,
    references::listeners,
    batch::answers_get,
    batch::placeholders,
    batch::window_within_timeout,
    header_edits::values_for_client,
    header_edits::cors_decides,
    compose::defaults_that_do_not_hold,
    route::cors_credential_headers,
        passwords::in_the_clear,
]);

pub(crate) static BATCH_REQUEST: TableDef = TableDef::plain(
    "request",
    "The one call.",
    &[
        key("method", Kind::Text(&text::METHOD), "Its method.").default("\"POST\""),
        key(
            "path",
            Kind::Text(&text::CALL),
            "What is called; `{ids}` is the list of ids, with commas; `{shop}` another parameter of the path.",
        )
        .required(),
        key(
            "body",
            Kind::Text(&text::ANY),
            "Its body, JSON; `{ids}` is the JSON list of ids, `{shop}` another parameter of the path.",
        )
        .default("\"\""),
        key("numbers", Kind::Bool, "Ids are whole numbers, and are sent as such in the body.").default("false"),
    ],
)
.rules(&[batch::ids_are_sent, batch::method_can_ask]);

pub(crate) static BATCH_RESPONSE: TableDef = TableDef::plain(
    "response",
    "How the answer is taken apart.",
    &[
        key("items", Kind::Text(&text::JSON_POINTER_OR_EMPTY), "The array of items; \"\" is the whole answer.")
            .required(),
        key("key", Kind::Text(&text::JSON_POINTER), "The id in an item; a missing item is 404.").required(),
    ],
);
