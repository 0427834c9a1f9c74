//! `[[batches]]`: a route whose requests become one call. What a route has and a batch has not is as where a route
//! says nothing; `[defaults.route]` is for `[[routes]]`.

use std::sync::Arc;

use http::Method;

use super::{identity, rate_limit, route};
use crate::config::check::Reader;
use crate::config::settings::Route;
use crate::config::settings::batch::Batch;
use crate::config::value::{batch_call, path_pattern};

/// The batch of this name; `None` where what it matches, or its call, is not understood.
pub(crate) fn build(table: &Reader<'_>, name: &str) -> Option<Route> {
    let path = table.text("path");
    let segments = path_pattern::parse(&path).ok()?;
    let methods = route::methods_or_get(table)?;
    let parameters = path_pattern::parameters(&segments);
    let (request, response) = (table.table("request"), table.table("response"));
    let method = Method::from_bytes(request.text("method").as_bytes()).ok()?;
    let batch = Batch {
        window: table.timeout("window").unwrap_or_default(),
        max_size: table.integer("max_size"),
        adaptive: table.flag("adaptive"),
        across_subjects: table.flag("across_subjects"),
        max_response: table.size("max_response"),
        id: id_of(&parameters)?.to_owned(),
        numbers: request.flag("numbers"),
        call: batch_call::target(&request.text("path"), &parameters).ok()?,
        written: request.get("path").map_or("", |node| node.shown()).into(),
        body: batch_call::body(&request.text("body"), &parameters),
        method: method.clone(),
        items: batch_call::names(&response.text("items")),
        key: batch_call::names(&response.text("key")),
    };
    let mut answered = route::plain(name, &path, methods, table.at);
    answered.matches.listeners = route::listeners(table)?;
    answered.matches.hosts = route::hosts(table)?;
    answered.matches.priority = table.integer("priority");
    answered.upstream = Arc::from(&*table.text("upstream"));
    answered.auth = identity::auth(table);
    answered.cors = route::pages(table);
    answered.response_headers = route::edits(&table.table("response_headers"), &parameters);
    answered.rate_limits = table.texts("rate_limits").iter().map(|name| Arc::from(name.as_str())).collect();
    answered.max_in_flight = rate_limit::most_at_once(table, "max_in_flight");
    answered.timeout = table.timeout("timeout");
    answered.websocket = false;
    // Whatever its method is, it only reads: who wants to write is not gathered. And it is there as a whole.
    answered.retry.methods = Box::new([method]);
    answered.retry.buffer = usize::MAX;
    answered.batch = Some(Arc::new(batch));
    Some(answered)
}

/// The parameter that is an item's id.
pub(crate) fn id_of<'p>(parameters: &[&'p str]) -> Option<&'p str> {
    match parameters {
        [only] => Some(only),
        several => several.iter().copied().find(|name| *name == "id"),
    }
}
