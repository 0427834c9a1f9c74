//! The whole file.

use super::aggregate::AGGREGATE;
use super::batch::BATCH;
use super::identity::IDENTITY;
use super::rate_limit::{RATE_LIMIT, STORE};
use super::route::ROUTE;
use super::server::{ADMIN, LISTENER, SERVER};
use super::telemetry::TELEMETRY;
use super::upstream::UPSTREAM;
use super::{Key, Kind, TableDef, key};
use crate::config::validate::{
    addresses, grpc_web, limits, mounted, own_answer, recorded_headers, recorded_query, route, shared_edits,
};
use crate::config::value::text;

/// Everything that a configuration may hold.
pub(crate) static ROOT: TableDef = TableDef::plain("the file", "A gateway's configuration.", KEYS).rules(&[
    addresses::distinct,
    addresses::named_apart,
    addresses::somebody_is_believed,
    limits::local_is_reserved,
    mounted::is_told_how_requests_come,
    own_answer::somebody_comes_over_tls,
    own_answer::redirect_to_a_scheme,
    route::slash_is_meant,
    route::buffers_have_room,
    grpc_web::upstreams_speak_http2,
    recorded_headers::tell_no_secret,
    recorded_query::tells_no_secret,
    shared_edits::are_lost,
]);

const KEYS: &[Key] = &[
    key(
        "include",
        Kind::List(const { &Kind::Text(&text::FILE_PATTERN) }, 0),
        "Files to add, relative to this one; `*` stands for any part of a name.",
    )
    .default("[]"),
    key("server", Kind::Table(&SERVER), "Workers, limits and timeouts.").default("{}"),
    key("listeners", Kind::Tables(&LISTENER), "The addresses that clients connect to."),
    key("admin", Kind::Table(&ADMIN), "The operator's own address.").default("{}"),
    key("telemetry", Kind::Table(&TELEMETRY), "Access log, flight recorder and tracing.").default("{}"),
    key("identity", Kind::Table(&IDENTITY), "Identity headers and providers.").default("{}"),
    key("stores", Kind::Map(&text::NAME, const { &Kind::Table(&STORE) }), "Redis, by name.").default("{}"),
    key("rate_limits", Kind::Map(&text::NAME, const { &Kind::Table(&RATE_LIMIT) }), "Limits, by name.").default("{}"),
    key("defaults", Kind::Table(&DEFAULTS), "What routes and upstreams share.").default("{}"),
    key(
        "policies",
        Kind::Map(&text::NAME, const { &Kind::Shared(&ROUTE, &["name", "path", "policies"]) }),
        "Keys of `[[routes]]`, by name, for the routes that name them in `policies`.",
    )
    .default("{}"),
    key("upstreams", Kind::Map(&text::NAME, const { &Kind::Table(&UPSTREAM) }), "Services, by name.").default("{}"),
    key("routes", Kind::Tables(&ROUTE), "What is matched, and what happens then."),
    key("aggregates", Kind::Tables(&AGGREGATE), "One request, several upstream calls, one JSON document."),
    key("batches", Kind::Tables(&BATCH), "Many requests, one upstream call."),
];

static DEFAULTS: TableDef = TableDef::plain(
    "[defaults]",
    "What routes and upstreams share: each has these keys where it does not write them itself.",
    &[
        key("route", Kind::Shared(&ROUTE, &["name", "path"]), "Keys of `[[routes]]`.").default("{}"),
        key("upstream", Kind::Shared(&UPSTREAM, &["endpoints", "discovery"]), "Keys of `[upstreams.NAME]`.")
            .default("{}"),
    ],
);
