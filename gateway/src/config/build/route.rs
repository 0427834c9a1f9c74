//! `[[routes]]`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode};

use super::{identity, mirror, rate_limit, split, upstream};
use crate::algorithms::criticality::Criticality;
use crate::config::check::shared_edits::lost;
use crate::config::check::{Context, Reader};
use crate::config::schema::route::ROUTE;
use crate::config::settings::cache::Cache;
use crate::config::settings::clients::Clients;
use crate::config::settings::compress::{Coding, Compress, Effort};
use crate::config::settings::forward_auth::{AnswerCache, ForwardAuth};
use crate::config::settings::header_edits::HeaderEdits;
use crate::config::settings::intercept::Intercept;
use crate::config::settings::own_answer::{Https, Origin, OwnAnswer, Redirect};
use crate::config::settings::query_edits::{Parameter, QueryEdits};
use crate::config::settings::route::{
    BodyMatch, EarlyHints, Fallback, FixedAnswer, Hedge, HedgeAfter, HostPattern, HostPolicy, PathRegex, Retry,
    Rewrite, RouteMatch, ValueMatch,
};
use crate::config::settings::{Cors, Route};
use crate::config::source::Span;
use crate::config::tree::{Entry, Node, Value as TreeValue};
use crate::config::value::{edit_value, host_port, origin, path_pattern, path_regex, quantity, text, value_match};

/// The route of this name; `None` where what it matches is not understood, so that no rule compares a half-read one.
pub(crate) fn build(table: &Reader<'_>, name: &str) -> Option<Route> {
    let path = table.text("path");
    path_pattern::parse(&path).ok()?;
    let matches = RouteMatch {
        listeners: listeners(table)?,
        hosts: hosts(table)?,
        path: Arc::from(&*path),
        path_regex: match table.get("path_regex") {
            Some(node) => Some(PathRegex { written: node.shown().into(), ..path_regex::parse(node.text()?).ok()? }),
            None => None,
        },
        methods: methods(&texts(table, "methods")?)?,
        headers: headers(table)?,
        query: query(table)?,
        clients: clients(table)?,
        body: body(table)?,
        body_limit: table.bytes("body_match_limit"),
        priority: table.integer("priority"),
    };
    Some(with(table, name, matches))
}

/// A route that matches nothing in particular, with what holds where a route says nothing.
pub(crate) fn plain(name: &str, path: &str, methods: Vec<Method>, at: Span) -> Route {
    let table = Reader::new(None, None, &ROUTE, at);
    let matches = RouteMatch {
        listeners: Vec::new(),
        hosts: Vec::new(),
        path: Arc::from(path),
        path_regex: None,
        methods,
        headers: Vec::new(),
        query: Vec::new(),
        clients: Clients::default(),
        body: Vec::new(),
        body_limit: table.bytes("body_match_limit"),
        priority: 0,
    };
    with(&table, name, matches)
}

fn with(table: &Reader<'_>, name: &str, matches: RouteMatch) -> Route {
    let ([request_headers, response_headers], request_query) = all_edits(table, &matches);
    let mut route = Route {
        name: Arc::from(name),
        matches,
        upstream: Arc::from(&*table.text("upstream")),
        split: None,
        mirror: None,
        own_answer: own_answer(table),
        origin: origin(table),
        rewrite: rewrite(table),
        hides_path: table.table("rewrite").get("path").is_some_and(Node::is_filled_in),
        request_headers,
        response_headers,
        request_query,
        auth: identity::auth(table),
        forward_auth: forward_auth(table).map(Arc::new),
        stages: table.texts("stages").iter().map(|name| Arc::from(name.as_str())).collect(),
        rate_limits: table.texts("rate_limits").iter().map(|name| Arc::from(name.as_str())).collect(),
        max_in_flight: rate_limit::most_at_once(table, "max_in_flight"),
        timeout: table.timeout("timeout"),
        idle_timeout: table.timeout("idle_timeout"),
        host: host_policy(&table.text("host")),
        websocket: table.texts("upgrades").iter().any(|upgrade| upgrade == "websocket"),
        retry: retry(&table.table("retry")),
        intercept: intercept(table),
        criticality: Criticality::parse(&table.text("criticality")).unwrap_or_default(),
        breaker: table.get("breaker").map(|_| upstream::breaker(&table.table("breaker"))),
        max_body: table.get("max_body").map(|_| table.bound("max_body")),
        buffer_request: Some(table.bytes("buffer_request")).filter(|most| *most > 0),
        hedge: hedge(&table.table("hedge")),
        fallback: fallback(table),
        problems: None,
        cors: pages(table),
        grpc_web: false,
        coalesce: table.flag("coalesce"),
        early_hints: match &*table.text("early_hints") {
            "http2" => EarlyHints::Http2,
            "all" => EarlyHints::All,
            _ => EarlyHints::Off,
        },
        compress: compress(table).map(Box::new),
        cache: cache(table).map(Box::new),
        aggregate: None,
        batch: None,
        openapi: None,
    };
    route.grpc_web = table.flag("grpc_web") && route.own_answer.is_none();
    if let Some(cors) = route.cors.as_mut().filter(|_| route.grpc_web) {
        cors.let_calls_in();
    }
    route.mirror = mirror::mirror(table, &route).map(Arc::new);
    route.split = split::split(table, &route).map(Arc::new);
    route
}

/// A list of texts, empty where none is written; `None` where an element is no text, as without it the route would
/// match something else.
pub(super) fn texts<'a>(table: &Reader<'a>, key: &str) -> Option<Vec<&'a str>> {
    match table.get(key) {
        Some(node) => node.list()?.iter().map(Node::text).collect(),
        None => Some(Vec::new()),
    }
}

/// The entries of a table, none where it is not written; `None` where something else is.
fn entries<'a>(table: &Reader<'a>, key: &str) -> Option<&'a [Entry]> {
    match table.get(key) {
        Some(node) => Some(&node.table()?.entries),
        None => Some(&[]),
    }
}

/// The listeners by which a route, an aggregate or a batch is reached; `None` where one is no name, as without it all
/// would reach it.
pub(super) fn listeners(table: &Reader<'_>) -> Option<Vec<Arc<str>>> {
    Some(texts(table, "listeners")?.into_iter().map(Arc::from).collect())
}

/// The hosts that a route, an aggregate or a batch is for; `None` where one is not understood.
pub(super) fn hosts(table: &Reader<'_>) -> Option<Vec<HostPattern>> {
    texts(table, "hosts")?.into_iter().map(host_pattern).collect()
}

fn host_pattern(written: &str) -> Option<HostPattern> {
    let written = host_port::without_root(written);
    match written.strip_prefix("*.") {
        Some(parent) => host_port::host_name(parent).ok().map(HostPattern::Wildcard),
        None => host_port::host(written).ok().map(HostPattern::Exact),
    }
}

/// The methods of what answers GET where none are written; `None` where they are not understood.
pub(super) fn methods_or_get(table: &Reader<'_>) -> Option<Vec<Method>> {
    match table.get("methods") {
        Some(_) => methods(&texts(table, "methods")?),
        None => Some(vec![Method::GET]),
    }
}

/// The methods in one order, each once.
pub(super) fn methods(written: &[&str]) -> Option<Vec<Method>> {
    let mut methods: Vec<Method> = Vec::new();
    for method in written {
        let method = Method::from_bytes(method.as_bytes()).ok()?;
        if !methods.contains(&method) {
            methods.push(method);
        }
    }
    Some(methods)
}

fn headers(table: &Reader<'_>) -> Option<Vec<(HeaderName, ValueMatch)>> {
    let condition = |entry: &Entry| Some((text::header_name(&entry.key).ok()?, wanted(&entry.node)?));
    entries(table, "headers")?.iter().map(condition).collect()
}

fn query(table: &Reader<'_>) -> Option<Vec<(String, ValueMatch)>> {
    let condition = |entry: &Entry| Some((entry.key.clone(), wanted(&entry.node)?));
    entries(table, "query")?.iter().map(condition).collect()
}

/// What a header or a parameter must be, hidden where a variable says it.
fn wanted(node: &Node) -> Option<ValueMatch> {
    let wanted = value_match::parse(node.text()?).ok()?;
    let is_hidden = node.is_filled_in() && !matches!(wanted, ValueMatch::Present);
    Some(if is_hidden { ValueMatch::Hidden(Box::new(wanted)) } else { wanted })
}

/// Where clients are; `None` where a network is not understood, as without it others would be taken.
fn clients(table: &Reader<'_>) -> Option<Clients> {
    let mut clients = Clients::default();
    for written in texts(table, "clients")? {
        let (is_in, network) = text::client_network(written).ok()?;
        if is_in { &mut clients.within } else { &mut clients.but }.push(network);
    }
    Some(clients)
}

fn body(table: &Reader<'_>) -> Option<Vec<BodyMatch>> {
    let condition = |entry: &Entry| {
        let (pointer, is_hidden) = (entry.key.as_str().into(), entry.node.is_filled_in());
        Some(BodyMatch { pointer, value: identity::scalar(&entry.node)?, is_hidden })
    };
    entries(table, "body")?.iter().map(condition).collect()
}

/// What is sent in place of the path, or where a redirect leads.
pub(crate) fn rewrite(table: &Reader<'_>) -> Option<Rewrite> {
    match answers_itself(table) {
        Some("redirect") => {
            let path = table.table("redirect").get("path")?;
            return path_pattern::template(path.text()?).ok().map(Rewrite::Path);
        }
        Some(_) => return None,
        None => _ = table.get("rewrite")?,
    }
    let rewrite = table.table("rewrite");
    if let Some(prefix) = rewrite.get("strip_prefix") {
        return Some(Rewrite::StripPrefix(prefix.text()?.to_owned()));
    }
    path_pattern::template(rewrite.get("path")?.text()?).ok().map(Rewrite::Path)
}

/// The edits of requests' and of answers' headers, and of the query, whose values may be parameters of the path.
fn all_edits(table: &Reader<'_>, matches: &RouteMatch) -> ([HeaderEdits; 2], QueryEdits) {
    let segments = path_pattern::parse(&matches.path).unwrap_or_default();
    let groups = matches.path_regex.iter().flat_map(PathRegex::groups);
    let parameters: Vec<&str> = path_pattern::parameters(&segments).into_iter().chain(groups).collect();
    let of_headers = ["request_headers", "response_headers"].map(|key| edits(&table.table(key), &parameters));
    // What routes share is of no use to some of them.
    let query = match answers_itself(table) {
        None => query_edits(&table.table("request_query"), &parameters),
        Some(_) => QueryEdits::default(),
    };
    (of_headers, query)
}

fn query_edits(table: &Reader<'_>, parameters: &[&str]) -> QueryEdits {
    let one = |entry: &Entry| {
        let value = edit_value::pieces(entry.node.text()?, parameters)?.into();
        Some(Parameter { name: entry.key.as_str().into(), value, is_filled_in: entry.node.is_filled_in() })
    };
    let written = |key: &str| table.map(key).iter().filter_map(one).collect();
    let names = |key: &str| table.texts(key).iter().map(|name| name.as_str().into()).collect();
    let keeps_all = table.texts("keep").iter().any(|name| name == "*");
    QueryEdits {
        set: written("set"),
        add: written("add"),
        remove: names("remove"),
        keep: (!keeps_all).then(|| names("keep")),
        lost: Vec::new(),
    }
}

/// Says of a route's edits what of the shared ones they leave out.
pub(super) fn tell_lost(context: &Context<'_>, table: &Reader<'_>, route: &mut Route) {
    let names = |of: &str| {
        let names = lost(context, table, of).into_iter().flat_map(|lost| lost.names);
        names.map(String::into_boxed_str).collect::<Vec<_>>()
    };
    route.response_headers.lost = names("response_headers");
    if route.own_answer.is_none() {
        route.request_headers.lost = names("request_headers");
        route.request_query.lost = names("request_query");
    }
}

/// Edits whose values may be these parameters.
pub(super) fn edits(table: &Reader<'_>, parameters: &[&str]) -> HeaderEdits {
    let line =
        |entry: &Entry| Some((text::header_name(&entry.key).ok()?, edit_value::read(entry.node.text()?, parameters)?));
    let lines = |key: &str| table.map(key).iter().filter_map(line).collect();
    let remove = table.texts("remove");
    HeaderEdits {
        set: lines("set"),
        add: lines("add"),
        remove: remove.iter().filter_map(|name| text::header_name(name).ok()).collect(),
        lost: Vec::new(),
    }
}

/// Names and values of a table.
pub(crate) fn header_pairs(table: &Reader<'_>, key: &str) -> Vec<(HeaderName, HeaderValue)> {
    let pair =
        |entry: &Entry| Some((text::header_name(&entry.key).ok()?, HeaderValue::from_str(entry.node.text()?).ok()?));
    table.map(key).iter().filter_map(pair).collect()
}

fn forward_auth(table: &Reader<'_>) -> Option<ForwardAuth> {
    table.get("forward_auth")?;
    let table = table.table("forward_auth");
    let cache = table.table("cache");
    let names = |key: &str| table.texts(key).iter().filter_map(|name| text::header_name(name).ok()).collect();
    Some(ForwardAuth {
        upstream: Arc::from(&*table.text("upstream")),
        path: table.text("path").parse().ok()?,
        written: table.get("path").map_or_else(|| table.text("path").into(), |node| node.shown().into()),
        timeout: table.duration("timeout"),
        request_headers: names("request_headers"),
        response_headers: names("response_headers"),
        client_headers: names("client_headers"),
        max_response: table.bytes("max_response"),
        allows_on_error: table.text("on_error") == "allow",
        cache: cache.timeout("ttl").map(|ttl| AnswerCache { ttl, max_bytes: cache.bytes("max_bytes") }),
    })
}

/// The key by which the gateway answers in an upstream's place, without asking anybody.
pub(crate) fn answers_itself(route: &Reader<'_>) -> Option<&'static str> {
    ["redirect", "answer"].into_iter().find(|key| route.get(key).is_some())
}

/// The upstreams that a route's requests go to, as they are written.
pub(crate) fn upstreams<'a>(route: &Reader<'a>) -> Vec<&'a Node> {
    let shares = route.nodes("split").iter().filter_map(|share| share.table()?.get("upstream"));
    route.get("upstream").into_iter().chain(shares).collect()
}

/// What the gateway answers itself.
fn own_answer(table: &Reader<'_>) -> Option<Box<OwnAnswer>> {
    if table.get("answer").is_some() {
        return fixed_answer(&table.table("answer")).map(|answer| Box::new(OwnAnswer::Fixed(answer)));
    }
    if let Some(name) = table.get("handler") {
        return Some(Box::new(OwnAnswer::Handler(Arc::from(name.text()?))));
    }
    table.get("redirect")?;
    let table = table.table("redirect");
    Some(Box::new(OwnAnswer::Redirect(Redirect {
        status: StatusCode::from_u16(table.integer("status")).ok()?,
        secure: table.get("scheme").map(|_| table.text("scheme") == "https"),
        host: table.get("host").map(|_| table.text("host").to_ascii_lowercase().into()),
        port: table.get("port").map(|_| table.integer("port")),
        strip_query: table.flag("strip_query"),
    })))
}

fn origin(table: &Reader<'_>) -> Option<Box<Origin>> {
    let addresses = table.table("addresses");
    let nets = |key: &str| match table.get("addresses") {
        Some(_) => addresses.texts(key).iter().filter_map(|net| text::cidr(net).ok()).collect(),
        None => Vec::new(),
    };
    let https = match &*table.text("https") {
        "redirect" if !leads_to_tls(table) => Https::Redirect,
        "require" => Https::Require,
        _ => Https::Any,
    };
    let origin = Origin { https, allow: nets("allow"), deny: nets("deny") };
    (origin != Origin::default()).then(|| Box::new(origin))
}

/// Whether its redirect leads to TLS by itself, so that one that routes share would only be a detour. What the route
/// says of `https` itself it means.
fn leads_to_tls(route: &Reader<'_>) -> bool {
    let redirects = route.get("redirect").is_some() && route.table("redirect").text("scheme") == "https";
    redirects && route.own("https").is_none()
}

fn retry(table: &Reader<'_>) -> Retry {
    let methods = table.texts("methods");
    Retry {
        attempts: table.integer("attempts"),
        per_try_timeout: table.timeout("per_try_timeout"),
        on: upstream::failures(&table.texts("on")),
        methods: methods.iter().filter_map(|method| Method::from_bytes(method.as_bytes()).ok()).collect(),
        buffer: table.bound("buffer").map_or(0, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX)),
        backoff: table.duration("backoff"),
        max_backoff: table.duration("max_backoff"),
    }
}

fn hedge(table: &Reader<'_>) -> Option<Hedge> {
    let (written, max) = (table.text("after"), table.integer("max"));
    let after = match written.strip_prefix('p') {
        Some(percent) => HedgeAfter::Percentile(percent.parse().ok()?),
        None => HedgeAfter::Fixed(quantity::duration(&written).ok().filter(|after| !after.is_zero())?),
    };
    (max > 0).then_some(Hedge { after, max })
}

/// What stands in for a failing upstream. One that is shared may be the route's own, and stands in for nobody then.
fn fallback(route: &Reader<'_>) -> Option<Fallback> {
    route.get("fallback").filter(|_| answers_itself(route).is_none())?;
    let table = route.table("fallback");
    let Some(upstream) = table.get("upstream") else { return fixed_answer(&table).map(Fallback::Answer) };
    let is_own = route.get("upstream").is_some_and(|own| own.text() == upstream.text());
    upstream.text().filter(|_| !is_own).map(|name| Fallback::Upstream(Arc::from(name)))
}

fn fixed_answer(table: &Reader<'_>) -> Option<FixedAnswer> {
    let body = table.text("body");
    let content_type = match table.get("content_type") {
        Some(written) => Some(HeaderValue::from_str(written.text()?).ok()?),
        // Said, so that nobody guesses (RFC 9110, section 8.3).
        None => (!body.is_empty()).then(|| HeaderValue::from_static("text/plain; charset=utf-8")),
    };
    let status = StatusCode::from_u16(table.integer("status")).ok()?;
    Some(FixedAnswer { status, content_type, body: Bytes::from(body.into_owned()) })
}

/// Which pages of other origins may use a route, an aggregate or a batch.
pub(super) fn pages(table: &Reader<'_>) -> Option<Box<Cors>> {
    table.get("cors").map(|_| Box::new(cors(&table.table("cors"))))
}

fn cors(table: &Reader<'_>) -> Cors {
    let (origins, methods, headers) = (table.texts("origins"), table.texts("methods"), table.texts("headers"));
    let is_every = |list: &[String]| list.iter().any(|one| one == "*");
    let known = |list: &[String]| list.iter().filter_map(|one| Method::from_bytes(one.as_bytes()).ok()).collect();
    Cors {
        origins: (!is_every(&origins)).then(|| origins.iter().filter_map(|one| origin::parse(one).ok()).collect()),
        methods: (!is_every(&methods)).then(|| known(&methods)),
        headers: headers.iter().filter_map(|name| text::header_name(name).ok()).collect(),
        exposed: Some(table.texts("expose_headers").join(", "))
            .filter(|it| !it.is_empty())
            .and_then(|it| it.parse().ok()),
        credentials: table.flag("credentials"),
        max_age: table.duration("max_age"),
    }
}

/// Which errors of an upstream are not passed on.
fn intercept(table: &Reader<'_>) -> Option<Intercept> {
    if own_answer(table).is_some() {
        None
    } else {
        Intercept::new(upstream::failing_statuses(&table.texts("intercept")))
    }
}

/// Which answers are kept; none of those that the gateway or its program makes itself.
fn cache(table: &Reader<'_>) -> Option<Cache> {
    let written = table.get("cache")?;
    if matches!(written.value, TreeValue::Bool(false)) || own_answer(table).is_some() {
        return None;
    }
    let table = table.table("cache");
    Some(Cache {
        default_ttl: table.duration("default_ttl"),
        status_ttl: status_ttl(&table),
        max_ttl: table.duration("max_ttl"),
        max_body: table.bytes("max_body"),
        stale_while_revalidate: table.duration("stale_while_revalidate"),
        stale_if_error: table.duration("stale_if_error"),
        vary_limit: table.integer("vary_limit"),
        shared: table.flag("shared"),
        ignore_client_directives: table.flag("ignore_client_directives"),
    })
}

fn status_ttl(cache: &Reader<'_>) -> Vec<(u16, Duration)> {
    let time = |entry: &Entry| Some((entry.key.parse().ok()?, quantity::duration(entry.node.text()?).ok()?));
    cache.map("status_ttl").iter().filter_map(time).collect()
}

/// Which answers of a route or an aggregate are compressed.
pub(super) fn compress(table: &Reader<'_>) -> Option<Compress> {
    let written = table.get("compress")?;
    if let TreeValue::Bool(false) = written.value {
        return None;
    }
    let table = table.table("compress");
    let types = table.texts("types");
    let codings = table.texts("codings");
    let known = |name: &String| Coding::ALL.iter().copied().find(|coding| coding.as_str() == name);
    let effort = table.text("effort");
    Some(Compress {
        codings: codings.iter().filter_map(known).collect(),
        types: types.iter().filter_map(|one| text::media_range(one).ok()).collect(),
        min_size: table.size("min_size"),
        effort: Effort::ALL.iter().copied().find(|one| one.as_str() == effort).unwrap_or(Effort::Normal),
    })
}

fn host_policy(written: &str) -> HostPolicy {
    match written {
        "client" => HostPolicy::Client,
        "upstream" => HostPolicy::Upstream,
        name => HeaderValue::from_str(name).map_or(HostPolicy::Client, HostPolicy::Fixed),
    }
}
