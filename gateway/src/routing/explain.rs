//! Why a request took its route, and why the others did not match: for `gateway explain` and `GET /explain`.
//!
//! Looks at each route in turn, so it is for people, not for the request path. The chosen route is the table's own
//! answer, never a second opinion.

use std::cmp::Reverse;

use http::Method;
use serde::Serialize;

use super::content::{Body, Unmet};
use super::host::fits;
use super::method::MethodSet;
use super::pattern::{Pattern, Segment};
use super::preflight::Asked;
use super::table::{Ask, Found, RouteTable, conditions};
use super::wording::{body_text, host_text, kind, named, quoted, unmet_text, value_text};
use crate::config::settings::Route;
use crate::config::settings::route::{HostPattern, RouteMatch};

/// Misses told of; the rest is counted.
const MOST_MISSES: usize = 20;

/// What became of one request, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// `route`, `method_not_allowed` or `not_found`.
    pub outcome: &'static str,
    /// The chosen route's name.
    pub route: Option<String>,
    /// What each part of it matched.
    pub because: Vec<String>,
    /// Names and values of the path's parameters, in the order of the path.
    pub params: Vec<(String, String)>,
    /// The value of `Allow`, where the method is not allowed.
    pub allow: Option<String>,
    /// The other routes, the nearest first.
    pub misses: Vec<Miss>,
    /// How many more did not match.
    pub misses_left_out: usize,
}

/// A route that was not chosen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Miss {
    /// The route's name.
    pub route: String,
    /// The first reason.
    pub reason: String,
}

/// Explains one request.
pub fn explain(table: &RouteTable, ask: &Ask<'_>) -> Explanation {
    let found = table.find(ask);
    let chosen = if let Found::Route { index, .. } = &found { Some(*index) } else { None };
    let (misses, misses_left_out) = misses(table, ask, chosen, None);
    let mut explanation = Explanation {
        outcome: "not_found",
        route: None,
        because: vec![],
        params: vec![],
        allow: None,
        misses,
        misses_left_out,
    };
    match found {
        Found::Route { index, params } => {
            let route = &table.routes()[index];
            explanation.outcome = "route";
            explanation.route = Some(route.name.to_string());
            explanation.because = because(route, ask);
            let value = |&(start, end): &(u32, u32)| ask.path[start as usize..end as usize].to_owned();
            explanation.params =
                table.pattern(index).names().map(str::to_owned).zip(params.iter().map(value)).collect();
        }
        Found::MethodNotAllowed { allow } => {
            explanation.outcome = "method_not_allowed";
            explanation.allow = allow.to_str().ok().map(str::to_owned);
        }
        Found::None => {}
    }
    explanation
}

/// Explains a preflight, by the request that it asks about: the gateway answers in the name of one of the routes which
/// that may take. `ask` has the method that is to follow.
pub fn explain_asked(table: &RouteTable, ask: &Ask<'_>, asked: &Asked) -> Explanation {
    let mut explanation = explain(table, ask);
    let speaker = &table.routes()[asked.speaker];
    let taken = explanation.route.replace(speaker.name.to_string());
    if taken.as_deref() != Some(&*speaker.name) {
        (explanation.outcome, explanation.allow) = ("route", None);
        explanation.because = because(speaker, ask);
        explanation.params.clear();
        explanation.misses.retain(|miss| miss.route != *speaker.name);
    }
    if let Some(Unmet::Header(name, _)) = table.content(asked.speaker).unmet(ask.headers, ask.query, Body::Unread) {
        explanation.because.push(format!("the header {name} may come: a preflight tells no values"));
    }
    let others = asked.routes.iter().rev().filter(|index| **index != asked.speaker);
    for other in others.map(|index| &table.routes()[*index]) {
        explanation.misses.retain(|miss| miss.route != *other.name);
        let reason = "it may take the request too: a preflight tells no values of headers, and no body".to_owned();
        explanation.misses.insert(0, Miss { route: other.name.to_string(), reason });
    }
    explanation
}

/// The routes that a request did not take, of which only host, method, path and these parameters of the query are known
/// any more; `took` is the one that it took. What of a route hangs on headers, other parameters or the body cannot be
/// told then. The nearest come first; the second is how many more there are.
pub fn look_back(
    table: &RouteTable,
    ask: &Ask<'_>,
    took: Option<usize>,
    parameters: &[Box<str>],
) -> (Vec<Miss>, usize) {
    misses(table, ask, took, Some(parameters))
}

/// The routes but the chosen one, the nearest first, and how many are left out. `known` are the parameters that are
/// known of a request of which not everything is.
fn misses(table: &RouteTable, ask: &Ask<'_>, chosen: Option<usize>, known: Option<&[Box<str>]>) -> (Vec<Miss>, usize) {
    let mut misses: Vec<(Nearness, usize)> = (0..table.routes().len())
        .filter(|&index| Some(index) != chosen)
        .map(|index| (check(table, ask, index).map_or_else(|failed| failed.0, |()| Nearness::Matched), index))
        .collect();
    misses.sort_unstable_by_key(|&(nearness, index)| (Reverse(nearness), index));
    let left_out = misses.len().saturating_sub(MOST_MISSES);
    let told = misses.into_iter().take(MOST_MISSES).map(|(_, index)| Miss {
        route: table.routes()[index].name.to_string(),
        reason: match (check(table, ask, index), chosen, known) {
            (Err((Nearness::Content, _)), _, Some(known)) => match table.content(index).unmet_among(ask.query, known) {
                Some(unmet) => unmet_text(unmet, ask.headers),
                None => "it asks for more than host, path and method, which is not kept".to_owned(),
            },
            (Err((_, reason)), _, _) => reason,
            (Ok(()), Some(chosen), _) => outranked(table, ask, index, chosen),
            // What matches is chosen, or something better is.
            (Ok(()), None, _) => "matches".to_owned(),
        },
    });
    (told.collect(), left_out)
}

/// Whether a route that looks at the listener, headers, query or body would be taken instead of what was found, if they
/// are as it asks; of the query these parameters are known.
pub fn could_be_instead(
    table: &RouteTable,
    ask: &Ask<'_>,
    index: usize,
    (found, known): (Option<usize>, &[Box<str>]),
) -> bool {
    if !matches!(check(table, ask, index), Err((Nearness::Content, _)))
        || table.content(index).unmet_among(ask.query, known).is_some()
    {
        return false;
    }
    let Some(found) = found else { return true };
    let rank = |index: usize| {
        let matches = &table.routes()[index].matches;
        let host = match best_host(matches, ask.host) {
            None => 0,
            Some(HostPattern::Wildcard(suffix)) => suffix.len(),
            Some(HostPattern::Exact(_)) => usize::MAX,
        };
        let kind = |segment: &Segment| match segment {
            Segment::Static(_) => 3,
            Segment::Param(_) => 2,
            Segment::Rest(_) => 0,
        };
        let path: Vec<u8> = table.pattern(index).segments().iter().map(kind).chain([1]).collect();
        (matches.priority, host, path, conditions(matches), Reverse(index))
    };
    rank(index) > rank(found)
}

/// How far a route came: the later in this order, the nearer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Nearness {
    Host,
    /// With the number of segments that fitted.
    Path(usize),
    Method,
    Client,
    Content,
    /// All held, but another is better.
    Matched,
}

/// The first thing that does not hold.
fn check(table: &RouteTable, ask: &Ask<'_>, index: usize) -> Result<(), (Nearness, String)> {
    let matches = &table.routes()[index].matches;
    if !matches.hosts.is_empty() && !matches.hosts.iter().any(|host| fits(host, ask.host)) {
        let hosts: Vec<String> = matches.hosts.iter().map(host_text).collect();
        let reason = format!("host: {} is not {}", quoted(ask.host), hosts.join(" or "));
        return Err((Nearness::Host, reason));
    }
    path(table.pattern(index), ask.path).map_err(|(segments, reason)| (Nearness::Path(segments), reason))?;
    if !table.content(index).takes_path(ask.path) {
        let pattern = matches.path_regex.as_ref().map_or("", |regex| &*regex.written);
        let reason = format!("path_regex did not match: {} is not like {pattern}", quoted(ask.path));
        return Err((Nearness::Path(table.pattern(index).segments().len()), reason));
    }
    let methods = MethodSet::new(&matches.methods);
    if !methods.answers(ask.method) {
        // Methods are told apart by case (RFC 9110, section 9.1).
        let upper = Method::from_bytes(ask.method.as_str().to_ascii_uppercase().as_bytes()).ok();
        let meant = upper.filter(|upper| upper != ask.method && methods.answers(upper));
        let meant = meant.map(|meant| format!(": perhaps {meant} is meant")).unwrap_or_default();
        let reason = format!("method {} is not among {}{meant}", ask.method, methods.list());
        return Err((Nearness::Method, reason));
    }
    if !table.content(index).is_reached_by(ask.listener) {
        return Err((Nearness::Content, format!("reached by {} alone", named(&matches.listeners))));
    }
    if !table.content(index).is_for(ask.client) {
        return Err(match ask.client {
            Some(client) => (Nearness::Client, format!("client: {client} is not in {}", matches.clients)),
            None => (Nearness::Content, format!("client: the address is not known; it asks for {}", matches.clients)),
        });
    }
    match table.content(index).unmet(ask.headers, ask.query, ask.body) {
        None => Ok(()),
        Some(unmet) => Err((Nearness::Content, unmet_text(unmet, ask.headers))),
    }
}

/// Where a path leaves a pattern: how many segments fitted, and why the next did not. Segments count from 1.
fn path(pattern: &Pattern, path: &str) -> Result<(), (usize, String)> {
    let mut segments = path[1..].split('/');
    for (number, wanted) in pattern.segments().iter().enumerate() {
        if let Segment::Rest(_) = wanted {
            return Ok(());
        }
        let place = number + 1;
        let wanted_text = match wanted {
            Segment::Static(text) => format!("\"{text}\""),
            Segment::Param(name) | Segment::Rest(name) => format!("{{{name}}}"),
        };
        match (wanted, segments.next()) {
            (_, None) => return Err((number, format!("path: ends before segment {place}, {wanted_text}"))),
            (Segment::Static(text), Some(here)) if **text == *here => {}
            (Segment::Param(_), Some(here)) if !here.is_empty() => {}
            (Segment::Param(_) | Segment::Rest(_), Some(_)) => {
                return Err((number, format!("path: segment {place} is empty, {wanted_text} is not")));
            }
            (Segment::Static(_), Some(here)) => {
                return Err((number, format!("path: segment {place} is {}, not {wanted_text}", quoted(here))));
            }
        }
    }
    let length = pattern.segments().len();
    match segments.next() {
        None => Ok(()),
        Some(_) => Err((length, format!("path: goes on after segment {length}"))),
    }
}

/// Why one of two routes that match is better.
fn outranked(table: &RouteTable, ask: &Ask<'_>, index: usize, chosen: usize) -> String {
    let (own, best) = (&table.routes()[index].matches, &table.routes()[chosen].matches);
    if own.priority != best.priority {
        return format!("lower priority ({} < {})", own.priority, best.priority);
    }
    let (own_host, best_host) = (best_host(own, ask.host), best_host(best, ask.host));
    if own_host != best_host {
        let text = |host: Option<&HostPattern>| host.map_or_else(|| "any host".to_owned(), host_text);
        return format!("less specific host ({} against {})", text(own_host), text(best_host));
    }
    let kinds = |index: usize| table.pattern(index).segments().iter().map(kind).chain(std::iter::once("the end"));
    let differing = kinds(index).zip(kinds(chosen)).enumerate().find(|(_, (own, best))| own != best);
    if let Some((number, (own, best))) = differing {
        return format!("less specific path (segment {}: {own} against {best})", number + 1);
    }
    let (own_conditions, best_conditions) = (conditions(own), conditions(best));
    if own_conditions != best_conditions {
        return format!("fewer conditions ({own_conditions} < {best_conditions})");
    }
    let for_get = MethodSet::new(&own.methods).answers_head_for_get();
    if *ask.method == Method::HEAD && for_get && !MethodSet::new(&best.methods).answers_head_for_get() {
        return "names GET, where the other names HEAD".to_owned();
    }
    "comes later in the file".to_owned()
}

/// The most specific host of a route that fits; `None` is any host.
fn best_host<'r>(matches: &'r RouteMatch, host: &str) -> Option<&'r HostPattern> {
    let rank = |pattern: &&HostPattern| match pattern {
        HostPattern::Exact(_) => usize::MAX,
        HostPattern::Wildcard(suffix) => suffix.len(),
    };
    matches.hosts.iter().filter(|pattern| fits(pattern, host)).max_by_key(rank)
}

fn because(route: &Route, ask: &Ask<'_>) -> Vec<String> {
    let matches = &route.matches;
    let host =
        best_host(matches, ask.host).map_or_else(|| "any host".to_owned(), |host| format!("host {}", host_text(host)));
    let methods = MethodSet::new(&matches.methods);
    let method = if methods.is_any() { "any method".to_owned() } else { format!("method among {}", methods.list()) };
    let mut because = vec![host, format!("path {}", matches.path), method];
    because.extend(matches.path_regex.iter().map(|regex| format!("path like {}", regex.written)));
    because.extend((!matches.listeners.is_empty()).then(|| named(&matches.listeners)));
    because.extend((!matches.clients.is_empty()).then(|| format!("client in {}", matches.clients)));
    let headers = matches.headers.iter().map(|(name, value)| (name.as_str(), value));
    because.extend(headers.map(|(name, value)| format!("header {name} {}", value_text(name, value))));
    because.extend(matches.query.iter().map(|(name, value)| format!("query {name} {}", value_text(name, value))));
    because.extend(matches.body.iter().map(|wanted| format!("body {} {}", wanted.pointer, body_text(wanted))));
    if matches.priority != 0 {
        because.push(format!("priority {}", matches.priority));
    }
    because
}

/// For the property test of the table: an explanation never contradicts the answer.
#[cfg(test)]
pub(super) fn assert_agrees(table: &RouteTable, ask: &Ask<'_>) {
    let explanation = explain(table, ask);
    let matching = (0..table.routes().len()).filter(|&index| check(table, ask, index).is_ok()).count();
    assert_eq!(explanation.outcome == "route", matching > 0, "{explanation:?}");
    assert!(!explanation.misses.iter().any(|miss| miss.reason == "matches"), "{explanation:?}");
    let outranked = |reason: &str| {
        ["lower", "less", "fewer", "names GET", "comes later"].iter().any(|start| reason.starts_with(start))
    };
    let told = explanation.misses.iter().filter(|miss| outranked(&miss.reason)).count();
    assert_eq!(told, matching.saturating_sub(1).min(MOST_MISSES), "{explanation:?}");
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::request_fields::RequestFields;
    use http::{HeaderName, HeaderValue};

    use super::super::naive::route;
    use super::*;
    use crate::config::settings::route::ValueMatch;

    fn reasons(routes: &[Arc<Route>], path: &str) -> Vec<String> {
        let mut headers = RequestFields::new();
        headers.insert("x-tenant", HeaderValue::from_static("secret"));
        let (query, client, body, host) = (None, None, Body::Absent, "a.example");
        let ask = Ask { listener: "", host, method: &Method::POST, path, query, client, headers: &headers, body };
        let explanation = explain(&RouteTable::build(routes), &ask);
        explanation.misses.into_iter().map(|miss| format!("{} {}", miss.route, miss.reason)).collect()
    }

    #[test]
    fn the_nearest_miss_comes_first_with_its_reason() {
        let header = |name: &'static str| (HeaderName::from_static(name), ValueMatch::Exact("1".into()));
        let routes = [
            route("/1", |matches| matches.hosts = vec![HostPattern::Wildcard("other.example".into())]),
            route("/api/users/{id}", |_| {}),
            route("/api/orders/{id}", |matches| matches.methods = vec![Method::GET]),
            route("/api/{x}/{id}", |matches| matches.headers = vec![header("x-version")]),
            route("/api/orders/7", |matches| matches.headers = vec![header("x-tenant")]),
            route("/api/{*rest}", |_| {}),
            route("/{*all}", |_| {}),
            route("/api/orders/7/items", |_| {}),
            route("/api", |_| {}),
            route("/api/orders/7", |matches| matches.priority = -1),
        ];
        let expected = [
            "/{*all} less specific path (segment 1: the rest against static)",
            "/api/orders/7 lower priority (-1 < 0)",
            "/api/{x}/{id} header x-version is absent",
            "/api/orders/7 header x-tenant is there, but not \"1\"",
            "/api/orders/{id} method POST is not among GET, HEAD",
            "/api/orders/7/items path: ends before segment 4, \"items\"",
            "/api/users/{id} path: segment 2 is \"orders\", not \"users\"",
            "/api path: goes on after segment 1",
            "/1 host: \"a.example\" is not *.other.example",
        ];
        assert_eq!(reasons(&routes, "/api/orders/7"), expected);
    }

    #[test]
    fn where_a_client_is_not_is_told_and_that_nobody_knows_it() {
        let nets = |list: &[&str]| list.iter().map(|net| net.parse().unwrap()).collect();
        let inner =
            route("/a", |it| (it.clients.within, it.clients.but) = (nets(&["10.0.0.0/8"]), nets(&["10.1.0.0/16"])));
        let table = RouteTable::build(&[inner, route("/{*rest}", |_| {})]);
        let (headers, query, body) = (RequestFields::new(), None, Body::Absent);
        let told = |client: Option<&str>| {
            let (listener, host, method, path) = ("", "", &Method::GET, "/a");
            let client = client.map(|client| client.parse().unwrap());
            let told = explain(&table, &Ask { listener, host, method, path, query, client, headers: &headers, body });
            (told.route.unwrap(), told.misses[0].reason.clone(), told.because.last().unwrap().clone())
        };
        let in_it = "client in 10.0.0.0/8, but not 10.1.0.0/16";
        assert_eq!((told(Some("10.2.0.1")).0, told(Some("10.2.0.1")).2), ("/a".to_owned(), in_it.to_owned()));
        assert_eq!(told(Some("10.1.0.1")).1, "client: 10.1.0.1 is not in 10.0.0.0/8, but not 10.1.0.0/16");
        assert_eq!(told(None).1, "client: the address is not known; it asks for 10.0.0.0/8, but not 10.1.0.0/16");
        let ask = |client| Ask {
            listener: "",
            host: "",
            method: &Method::GET,
            path: "/a",
            query,
            client,
            headers: &headers,
            body,
        };
        assert!(could_be_instead(&table, &ask(None), 0, (Some(1), &[])));
        assert!(
            !could_be_instead(&table, &ask("10.1.0.1".parse().ok()), 0, (Some(1), &[])),
            "it is known, and is not there"
        );
    }

    #[test]
    fn misses_are_bounded() {
        let routes: Vec<Arc<Route>> = (0..50).map(|number| route(&format!("/r{number}"), |_| {})).collect();
        let (headers, query, client, body) = (RequestFields::new(), None, None, Body::Absent);
        let (host, method) = ("", &Method::GET);
        let ask = Ask { listener: "", host, method, path: "/r7", query, client, headers: &headers, body };
        let explanation = explain(&RouteTable::build(&routes), &ask);
        assert_eq!((explanation.misses.len(), explanation.misses_left_out), (MOST_MISSES, 29));
        assert_eq!(explanation.route.as_deref(), Some("/r7"));
        assert_eq!(explanation.because, ["any host", "path /r7", "any method"]);
    }
}
