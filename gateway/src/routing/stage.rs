//! The stage: finds the route of an exchange.

use std::net::IpAddr;

use http::{HeaderValue, header};

use super::content::Body;
use super::preflight::{self, Asked, Preflight};
use super::table::{Ask, Found, Params};
use super::undecided::Undecided;
use super::{of_url, path, rewrite};
use crate::config::settings::Cors;
use crate::error::{Code, GatewayError};
use crate::exchange::{Exchange, Page};
use crate::header_edits::{self, MadeQuery};
use crate::network::Network;
use crate::request_fields::RequestFields;
use crate::request_target::PathQuery;

/// Brings the path to its one form, and finds the route by it; the exchange holds both from then on. A preflight that
/// the route answers is noted there too. `None`: the route hangs on the body, which is to be read first; it is then the
/// best of those that may be.
///
/// # Errors
/// 400 for a path that has no one form; 403 for a preflight of a page that may not; 404; 405 with the methods that the
/// path has.
pub fn find<N: Network>(
    exchange: &mut Exchange<N>,
    headers: &RequestFields,
    body: Body<'_>,
) -> Result<Option<Params>, GatewayError> {
    let normal = path::normalise(exchange.uri.path(), exchange.snapshot.path_rules)
        .map_err(|error| GatewayError::new(Code::BadRequest, error.to_string()).closing())?;
    if let std::borrow::Cow::Owned(normal) = normal {
        exchange.path = Some(normal.into_boxed_str());
    }
    let ask = ask(exchange, headers, body);
    if let Some(preflight) = Preflight::of(&exchange.method, headers)
        && let Some(asked) = exchange.snapshot.table.find_asked(&ask, &preflight)
    {
        (exchange.route, exchange.is_undecided) = (Some(asked.speaker), true);
        return admit(exchange, &preflight, &asked).map(Some);
    }
    let found = exchange.snapshot.table.find(&ask);
    if let (Found::Route { index, .. }, Body::Unread) = (&found, body)
        && exchange.snapshot.table.looks_into_body(*index)
    {
        exchange.route = Some(*index);
        return Ok(None);
    }
    settle(exchange, headers, found).map(Some)
}

/// What may come of a request that hangs on its body. Until its route is known, a page may read what it is told where
/// every route that it may take lets the page in.
#[cold]
pub fn undecided<N: Network>(exchange: &mut Exchange<N>, headers: &RequestFields) -> Undecided {
    exchange.is_undecided = true;
    let undecided = exchange.snapshot.table.undecided(&ask(exchange, headers, Body::Unread));
    exchange.page =
        origin(headers).and_then(|origin| allowed_by_all(exchange, &origin, &undecided.routes)).map(Box::new);
    undecided
}

/// Finds the route once the body has been read.
///
/// # Errors
/// As `find`, of a request whose path has its one form.
pub fn find_by_body<N: Network>(
    exchange: &mut Exchange<N>,
    headers: &RequestFields,
    body: Body<'_>,
) -> Result<Params, GatewayError> {
    // Another route may be found than the best of those that were possible, or none.
    (exchange.route, exchange.page, exchange.is_undecided) = (None, None, false);
    let found = exchange.snapshot.table.find(&ask(exchange, headers, body));
    settle(exchange, headers, found)
}

fn ask<'a, N: Network>(exchange: &'a Exchange<N>, headers: &'a RequestFields, body: Body<'a>) -> Ask<'a> {
    Ask {
        listener: if exchange.snapshot.table.has_listeners() { came_by(exchange) } else { "" },
        host: exchange.host().map_or("", |host| &host.name),
        method: &exchange.method,
        path: exchange.path(),
        query: exchange.uri.query(),
        client: if exchange.snapshot.table.has_clients() { asked_from(exchange) } else { None },
        headers,
        body,
    }
}

/// The name of the listener by which a request came.
#[cold]
fn came_by<N: Network>(exchange: &Exchange<N>) -> &str {
    exchange.snapshot.listener_name(exchange.connection.listener)
}

/// Where the client is, where somebody says it.
#[cold]
fn asked_from<N: Network>(exchange: &Exchange<N>) -> Option<IpAddr> {
    let client = &exchange.client;
    (!client.is_hidden && !exchange.is_client_unknown()).then_some(client.ip)
}

fn settle<N: Network>(
    exchange: &mut Exchange<N>,
    headers: &RequestFields,
    found: Found,
) -> Result<Params, GatewayError> {
    match found {
        Found::Route { index, params } => {
            exchange.route = Some(index);
            let route = &exchange.snapshot.routes[index];
            let makes_values = route.edits.make_values;
            if route.settings.cors.is_some() {
                note_page(exchange, headers);
            }
            if makes_values {
                exchange.made = header_edits::of_route(exchange, headers, &params);
            }
            Ok(params)
        }
        Found::MethodNotAllowed { allow } => {
            let mut error = GatewayError::new(Code::MethodNotAllowed, "The path does not take this method.");
            error.allow = Some(allow);
            Err(error)
        }
        Found::None => Err(GatewayError::new(Code::RouteNotFound, "No route matches the host and path.")),
    }
}

/// A preflight of a route that says which pages may use it: it ends here. Each route that the request may take has to
/// allow it, its method and its headers, or a page could have a request served by one that does not: also by one whose
/// service says itself which pages may, and is not asked here.
#[cold]
fn admit<N: Network>(
    exchange: &mut Exchange<N>,
    preflight: &Preflight<'_>,
    asked: &Asked,
) -> Result<Params, GatewayError> {
    let cors = |at: usize| exchange.snapshot.routes[at].settings.cors.as_deref();
    let page = allowed_by_all(exchange, &preflight.origin.to_header_value(), &asked.routes);
    let (Some(page), None) = (page, asked.refusing(preflight, cors)) else {
        return Err(preflight::refused());
    };
    let lists = (asked.routes.len() > 1).then(|| preflight.lists());
    exchange.page = Some(Box::new(Page { asks: true, lists, ..page }));
    Ok(Params::new())
}

/// What a page is told that each of these routes lets in: the first one's word, and credentials where all have them.
/// `None` where one does not.
#[cold]
fn allowed_by_all<N: Network>(exchange: &Exchange<N>, origin: &HeaderValue, routes: &[usize]) -> Option<Page> {
    let page = |at: &usize| page_of(exchange.snapshot.routes[*at].settings.cors.as_deref(), origin);
    let first = page(routes.first()?)?;
    routes.iter().skip(1).map(page).try_fold(first, |all, one| {
        let credentials = one?.credentials && all.credentials;
        Some(Page { credentials, ..all })
    })
}

/// What one route tells a page that it lets in.
fn page_of(cors: Option<&Cors>, origin: &HeaderValue) -> Option<Page> {
    let cors = cors?;
    Some(Page { allowed: cors.allows(origin)?, credentials: cors.credentials, asks: false, lists: None })
}

/// The page that asks. A request with two origins, or none, is no page's.
fn origin(headers: &RequestFields) -> Option<HeaderValue> {
    let mut origins = headers.get_all(&header::ORIGIN);
    origins.next().filter(|_| origins.next().is_none()).map(|origin| origin.to_header_value())
}

/// Remembers whether the page that asks may read the answer.
#[inline(never)]
fn note_page<N: Network>(exchange: &mut Exchange<N>, headers: &RequestFields) {
    let Some(origin) = origin(headers) else { return };
    let cors = exchange.route().and_then(|route| route.settings.cors.as_deref());
    exchange.page = page_of(cors, &origin).map(Box::new);
}

/// What the upstream is asked for: the path in its one form, and the query, both rewritten where the route says so.
///
/// # Errors
/// 400 where what comes out of a rewrite cannot be sent.
pub fn target<N: Network>(exchange: &Exchange<N>, params: &Params) -> Result<PathQuery, GatewayError> {
    match &exchange.made {
        None => target_of(exchange, exchange.route, params, &MadeQuery::AsItCame),
        Some(made) => target_of(exchange, exchange.route, params, &made.query),
    }
}

#[inline]
fn target_of<N: Network>(
    exchange: &Exchange<N>,
    route: Option<usize>,
    params: &Params,
    query: &MadeQuery,
) -> Result<PathQuery, GatewayError> {
    if let Some(rewrite) = route.and_then(|index| exchange.snapshot.routes[index].rewrite.as_ref()) {
        let query = query.sent(exchange.uri.query());
        return rewrite.apply(exchange.path(), params, query).map_err(|_| invalid_target());
    }
    match query {
        MadeQuery::AsItCame => same_target(exchange),
        MadeQuery::Edited(query) => rewrite::target(exchange.path(), query.as_deref()).map_err(|_| invalid_target()),
    }
}

/// What the upstreams of all routes of a request's URL that are wanted would be asked for by it, whatever else of a
/// request they look at.
pub fn targets<N: Network>(
    exchange: &Exchange<N>,
    is_wanted: impl Fn(usize) -> bool,
) -> impl Iterator<Item = (usize, PathQuery)> {
    let (snapshot, host) = (&exchange.snapshot, exchange.host().map_or("", |host| &host.name));
    let found = of_url::of_url(&snapshot.table, (host, exchange.path()), is_wanted);
    found.into_iter().filter_map(move |(index, params)| {
        let query = header_edits::query_of_url(exchange, index, &params);
        Some((index, target_of(exchange, Some(index), &params, &query).ok()?))
    })
}

/// The parameters of the route's path, with their values.
pub fn parameters<N: Network>(exchange: &Exchange<N>, params: &Params) -> Vec<(Box<str>, Box<str>)> {
    let Some(index) = exchange.route.filter(|index| *index < exchange.snapshot.config.routes.len()) else {
        return Vec::new();
    };
    let value = |&(start, end): &(u32, u32)| exchange.path().get(start as usize..end as usize).unwrap_or_default();
    let names = exchange.snapshot.table.pattern(index).names();
    names.zip(params).map(|(name, at)| (name.into(), value(at).into())).collect()
}

/// The path in its one form, and the query, as they were asked for.
///
/// # Errors
/// As `target`.
#[inline]
pub fn same_target<N: Network>(exchange: &Exchange<N>) -> Result<PathQuery, GatewayError> {
    // `?x` alone has an empty path, of which the one form is `/`: that was matched, and that is sent.
    if exchange.path.is_none()
        && let Some(sent) = exchange.uri.to_path_query()
    {
        return Ok(sent);
    }
    rewrite::target(exchange.path(), exchange.uri.query()).map_err(|_| invalid_target())
}

fn invalid_target() -> GatewayError {
    GatewayError::new(Code::BadRequest, "The request target cannot be sent on.")
}
