//! `[[aggregates]]`: a route that is answered with several calls, each of them a route of its own that no request
//! matches. Calls have what holds where a route says nothing, and edits of headers of their own; `[defaults.route]` is
//! for `[[routes]]`.

use std::sync::Arc;

use bytes::Bytes;
use http::Method;

use super::{identity, rate_limit, route};
use crate::config::check::Reader;
use crate::config::schema::aggregate::PART;
use crate::config::settings::Route;
use crate::config::settings::aggregate::{Aggregate, Part};
use crate::config::value::{call, path_pattern};

/// The aggregate of this name; `None` where what it matches, or a call of it, is not understood.
pub(crate) fn build(table: &Reader<'_>, name: &str) -> Option<Route> {
    let path = table.text("path");
    let segments = path_pattern::parse(&path).ok()?;
    let methods = route::methods_or_get(table)?;
    let written: Vec<Reader<'_>> = table
        .nodes("parts")
        .iter()
        .map(|node| Some(Reader::new(Some(node.table()?), None, &PART, node.at)))
        .collect::<Option<_>>()?;
    let names: Vec<_> = written.iter().map(|part| part.text("name")).collect();
    let names: Vec<&str> = names.iter().map(|name| &**name).collect();
    let parameters = path_pattern::parameters(&segments);
    let timeout = table.timeout("timeout");
    let part = |part: &Reader<'_>| {
        let mut called = route::plain(name, "/", vec![Method::GET], part.at);
        called.upstream = Arc::from(&*part.text("upstream"));
        called.timeout = if part.get("timeout").is_some() { part.timeout("timeout") } else { timeout };
        called.websocket = false;
        called.request_headers = route::edits(&part.table("request_headers"), &parameters);
        Some(Part {
            name: Arc::from(&*part.text("name")),
            route: Arc::new(called),
            call: call::parse(&part.text("path"), &parameters, &names).ok()?,
            written: part.get("path").map_or("", |node| node.shown()).into(),
            required: part.flag("required"),
            fallback: part.get("fallback").map(|_| Bytes::from(part.text("fallback").into_owned())),
        })
    };
    let parts = written.iter().map(part).collect::<Option<_>>()?;
    let mut answered = route::plain(name, &path, methods, table.at);
    answered.matches.listeners = route::listeners(table)?;
    answered.matches.hosts = route::hosts(table)?;
    answered.matches.priority = table.integer("priority");
    answered.auth = identity::auth(table);
    answered.cors = route::pages(table);
    answered.response_headers = route::edits(&table.table("response_headers"), &parameters);
    answered.compress = route::compress(table).map(Box::new);
    answered.rate_limits = table.texts("rate_limits").iter().map(|name| Arc::from(name.as_str())).collect();
    answered.max_in_flight = rate_limit::most_at_once(table, "max_in_flight");
    answered.timeout = timeout;
    answered.websocket = false;
    answered.aggregate = Some(Arc::new(Aggregate { max_response: table.size("max_response"), parts }));
    Some(answered)
}
