//! The third pass: checked tables to settings. It runs over bad tables too, so that every rule can speak; what it makes
//! of them is dropped.
pub(crate) mod aggregate;
pub(crate) mod api_document;
pub(crate) mod batch;
pub(crate) mod general;
pub(crate) mod identity;
pub(crate) mod mirror;
mod names;
pub(crate) mod problems;
pub(crate) mod rate_limit;
pub(crate) mod route;
mod split;
pub(crate) mod store;
pub(crate) mod tracing;
pub(crate) mod upstream;

use std::collections::BTreeMap;
use std::sync::Arc;

use self::names::Names;
use super::check::{Context, Reader};
use super::schema::route::ROUTE;
use super::schema::upstream::UPSTREAM;
use super::settings::route::Fallback;
use super::settings::upstream::RouteBreaker;
use super::settings::{Config, Route, Server, Upstream};
use super::source::Span;
use super::value::upstream_url;
use crate::algorithms::criticality::Criticality;

/// Routes with the places of their tables, for rules over all of them.
pub(crate) struct Built {
    /// The settings.
    pub(crate) config: Config,
    /// For each route of the settings, where it is written.
    pub(crate) route_places: Vec<Span>,
}

/// Builds everything that could be understood.
pub(crate) fn build(context: &Context<'_>, root: &Reader<'_>) -> Built {
    let mut upstreams: Vec<Upstream> = Vec::new();
    for entry in root.map("upstreams") {
        let Some(table) = entry.node.table() else { continue };
        let reader = Reader::new(Some(table), context.shared(&UPSTREAM, Some(table)), &UPSTREAM, entry.node.at);
        upstreams.extend(upstream::build(context, &entry.key, &reader));
    }
    let mut implicit: BTreeMap<String, Upstream> = BTreeMap::new();
    let mut routes: Vec<Arc<Route>> = Vec::new();
    let mut route_places = Vec::new();
    let names = names(context, root);
    for reader in tables(context, root, "routes") {
        let Some(mut route) = route::build(&reader, names.at(reader.at)) else { continue };
        route.openapi = api_document::build(context, &reader);
        problems::give(&mut route, problems::build(context, &reader));
        route::tell_lost(context, &reader, &mut route);
        let shared = Reader::new(None, context.shared(&UPSTREAM, None), &UPSTREAM, reader.at);
        let mut named = |upstream: &mut Arc<str>| {
            if !upstream_url::is_url(upstream) {
                return true;
            }
            let Ok(url) = upstream_url::parse(upstream) else { return false };
            *upstream = Arc::from(url.authority.as_str());
            implicit.entry(url.authority.clone()).or_insert_with(|| upstream::implicit(context, &url, &shared));
            true
        };
        let asked = route.forward_auth.as_mut().and_then(Arc::get_mut).map(|auth| &mut auth.upstream);
        if !named(&mut route.upstream) || !asked.is_none_or(named) {
            continue;
        }
        routes.push(Arc::new(route));
        route_places.push(reader.at);
    }
    for reader in tables(context, root, "aggregates") {
        let Some(mut route) = aggregate::build(&reader, names.at(reader.at)) else { continue };
        problems::give(&mut route, problems::build(context, &reader));
        routes.push(Arc::new(route));
        route_places.push(reader.at);
    }
    for reader in tables(context, root, "batches") {
        let Some(mut route) = batch::build(&reader, names.at(reader.at)) else { continue };
        problems::give(&mut route, problems::build(context, &reader));
        routes.push(Arc::new(route));
        route_places.push(reader.at);
    }
    upstreams.extend(implicit.into_values());
    hand_breakers_over(&routes, &mut upstreams);
    tell_the_most_critical(&routes, &mut upstreams);
    let mut identity = identity::headers(&root.table("identity"));
    let told = routes.iter().filter_map(|route| route.forward_auth.as_ref()).flat_map(|auth| &auth.response_headers);
    identity::add_stripped(&mut identity, told, routes.iter().any(|route| route.mirror.is_some()));
    let server = root.table("server");
    let config = Config {
        server: Server { problems: problems::build(context, &server), ..general::server(&server) },
        listeners: general::listeners(context, root),
        admin: general::admin(&root.table("admin"), context.environment),
        telemetry: general::telemetry(&root.table("telemetry"), context.sources),
        identity,
        passport: identity::passport(context, &root.table("identity")),
        providers: identity::providers(context, &root.table("identity")),
        stores: store::all(context, root),
        rate_limits: rate_limit::all(root),
        in_flight_limits: rate_limit::in_flight(root),
        upstreams: upstreams.into_iter().map(Arc::new).collect(),
        routes,
        written: Arc::default(),
    };
    Built { config, route_places }
}

/// A route, and those of the upstreams that share its requests or get copies of them.
fn with_shares(route: &Route) -> impl Iterator<Item = &Route> {
    let shares = route.split.iter().flat_map(|split| split.shares.iter().map(|share| &*share.route));
    let copies = route.mirror.iter().map(|mirror| &*mirror.route);
    std::iter::once(route).chain(shares).chain(copies)
}

/// Breakers of routes are kept with the endpoints that they judge.
fn hand_breakers_over(routes: &[Arc<Route>], upstreams: &mut [Upstream]) {
    for route in routes.iter().flat_map(|route| with_shares(route)) {
        let Some(breaker) = route.breaker.clone() else { continue };
        if let Some(upstream) = upstreams.iter_mut().find(|upstream| upstream.name == route.upstream) {
            upstream.route_breakers.push(RouteBreaker { route: Arc::clone(&route.name), breaker });
        }
    }
}

/// Tells each upstream who shares its limits: whoever it may be asked for, in the class in which it is asked. A copy
/// for a mirror is of another class than the request.
fn tell_the_most_critical(routes: &[Arc<Route>], upstreams: &mut [Upstream]) {
    let mut asked: Vec<(Arc<str>, Criticality)> = Vec::new();
    for route in routes {
        asked.extend(route.forward_auth.iter().map(|auth| (Arc::clone(&auth.upstream), route.criticality)));
        let parts = route.aggregate.iter().flat_map(|aggregate| aggregate.parts.iter().map(|part| &*part.route));
        for route in with_shares(route).chain(parts) {
            asked.push((Arc::clone(&route.upstream), route.criticality));
            if let Some(Fallback::Upstream(stand_in)) = &route.fallback {
                asked.push((Arc::clone(stand_in), route.criticality));
            }
        }
    }
    for upstream in upstreams {
        let classes = asked.iter().filter(|(name, _)| *name == upstream.name).map(|(_, class)| *class);
        upstream.concurrency.highest = classes.max().unwrap_or_default();
    }
}

/// What routes, aggregates and batches are called.
pub(crate) fn names(context: &Context<'_>, root: &Reader<'_>) -> Names {
    Names::of(["routes", "aggregates", "batches"].into_iter().flat_map(|key| tables(context, root, key)))
}

/// The tables of `[[routes]]`, `[[aggregates]]` or `[[batches]]`.
pub(crate) fn tables<'a>(
    context: &Context<'a>,
    root: &Reader<'a>,
    key: &str,
) -> impl Iterator<Item = Reader<'a>> + use<'a> {
    let def = match key {
        "aggregates" => &super::schema::aggregate::AGGREGATE,
        "batches" => &super::schema::batch::BATCH,
        _ => &ROUTE,
    };
    // Looked for at once: what is shared outlives the context that tells it.
    let shared: Vec<_> = root.nodes(key).iter().map(|node| context.shared(def, node.table())).collect();
    let tables = root.nodes(key).iter().zip(shared);
    tables.filter_map(move |(node, shared)| Some(Reader::new(Some(node.table()?), shared, def, node.at)))
}
