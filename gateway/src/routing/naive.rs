//! The table against a matcher that looks at each route in turn and sorts those that match: slow, and plainly right.

use std::cmp::Reverse;
use std::sync::Arc;

use http::{HeaderName, HeaderValue, Method};
use ipnet::IpNet;
use proptest::prelude::*;

use super::content::{Body, Content};
use super::host::fits;
use super::method::MethodSet;
use super::pattern::{Pattern, Segment};
use super::table::{Ask, Found, Params, RouteTable, conditions};
use crate::config::settings::Route;
use crate::config::settings::clients::Clients;
use crate::config::settings::header_edits::HeaderEdits;
use crate::config::settings::query_edits::QueryEdits;
use crate::config::settings::route::{BodyMatch, HostPattern, HostPolicy, PathRegex, Retry, RouteMatch, ValueMatch};
use crate::request_fields::RequestFields;

/// A route that matches this path, and no more.
pub(super) fn route(path: &str, edit: impl FnOnce(&mut RouteMatch)) -> Arc<Route> {
    let mut matches = RouteMatch {
        listeners: vec![],
        hosts: vec![],
        path: path.into(),
        path_regex: None,
        methods: vec![],
        headers: vec![],
        query: vec![],
        clients: Clients::default(),
        body: vec![],
        body_limit: 64,
        priority: 0,
    };
    edit(&mut matches);
    Arc::new(Route {
        name: path.into(),
        matches,
        upstream: "u".into(),
        split: None,
        mirror: None,
        own_answer: None,
        forward_auth: None,
        origin: None,
        rewrite: None,
        hides_path: false,
        request_headers: HeaderEdits::default(),
        response_headers: HeaderEdits::default(),
        request_query: QueryEdits::default(),
        timeout: None,
        idle_timeout: None,
        host: HostPolicy::Client,
        websocket: false,
        retry: Retry::default(),
        criticality: crate::algorithms::criticality::Criticality::Normal,
        stages: Box::default(),
        rate_limits: Vec::new(),
        max_in_flight: None,
        auth: None,
        breaker: None,
        max_body: None,
        buffer_request: None,
        hedge: None,
        fallback: None,
        problems: None,
        intercept: None,
        cors: None,
        grpc_web: false,
        coalesce: false,
        early_hints: crate::config::settings::route::EarlyHints::Off,
        aggregate: None,
        batch: None,
        openapi: None,
        compress: None,
        cache: None,
    })
}

/// How specific each step of a path is: smaller is more; and the parameters.
fn path_rank(pattern: &Pattern, path: &str) -> Option<(Vec<u8>, Params)> {
    let (mut rank, mut params, mut at) = (Vec::new(), Params::new(), 1);
    for segment in pattern.segments() {
        if let Segment::Rest(_) = segment {
            params.push((at.min(path.len()) as u32, path.len() as u32));
            rank.push(2);
            return Some((rank, params));
        }
        let here = path.get(at..)?.split('/').next()?;
        match segment {
            Segment::Static(text) if **text == *here => rank.push(0),
            Segment::Param(_) if !here.is_empty() => {
                params.push((at as u32, (at + here.len()) as u32));
                rank.push(1);
            }
            _ => return None,
        }
        at += here.len() + 1;
    }
    rank.push(0);
    (at > path.len()).then_some((rank, params))
}

fn host_rank(hosts: &[HostPattern], host: &str) -> Option<(u8, Reverse<usize>)> {
    if hosts.is_empty() {
        return Some((2, Reverse(0)));
    }
    let fitting = hosts.iter().filter(|pattern| fits(pattern, host));
    let rank = |pattern: &HostPattern| match pattern {
        HostPattern::Exact(_) => (0, Reverse(0)),
        HostPattern::Wildcard(suffix) => (1, Reverse(suffix.len())),
    };
    fitting.map(rank).min()
}

fn naive(routes: &[Arc<Route>], ask: &Ask<'_>) -> Found {
    let (mut matching, mut allowed, mut taken) = (Vec::new(), MethodSet::default(), false);
    for (index, route) in routes.iter().enumerate() {
        let matches = &route.matches;
        let Some(host) = host_rank(&matches.hosts, ask.host) else { continue };
        let Some((path, params)) = path_rank(&Pattern::of(&matches.path), ask.path) else { continue };
        if !(matches.listeners.is_empty() || matches.listeners.iter().any(|name| **name == *ask.listener)) {
            continue;
        }
        let is_in = |nets: &[IpNet]| ask.client.is_some_and(|client| nets.iter().any(|net| net.contains(&client)));
        let Clients { within, but } = &matches.clients;
        let asks = !within.is_empty() || !but.is_empty();
        if asks && (ask.client.is_none() || !within.is_empty() && !is_in(within) || is_in(but)) {
            continue;
        }
        if matches.path_regex.as_ref().is_some_and(|wanted| !wanted.regex.is_match(ask.path)) {
            continue;
        }
        let methods = MethodSet::new(&matches.methods);
        allowed.add(&methods);
        if !methods.answers(ask.method) {
            continue;
        }
        taken = true;
        if Content::new(matches).holds(ask.headers, ask.query, ask.body) {
            let implied = *ask.method == Method::HEAD && methods.answers_head_for_get();
            let key = (Reverse(matches.priority), host, path, Reverse(conditions(matches)), implied, index);
            matching.push((key, params));
        }
    }
    matching.sort();
    match matching.into_iter().next() {
        Some(((.., index), params)) => Found::Route { index, params },
        None if taken || allowed == MethodSet::default() => Found::None,
        None => Found::MethodNotAllowed { allow: allowed.list().parse().unwrap() },
    }
}

fn some<T: Clone + std::fmt::Debug + 'static>(of: &[T], most: usize) -> impl Strategy<Value = Vec<T>> + use<T> {
    prop::collection::vec(prop::sample::select(of.to_vec()), 0..=most).prop_map(|v| v)
}

fn routes() -> impl Strategy<Value = Vec<Arc<Route>>> {
    let path = (some(&["a", "b", "{", "{", ""], 4), any::<bool>()).prop_map(|(segments, rest)| {
        let named = |(number, segment): (usize, &str)| match segment {
            "{" => format!("/{{p{number}}}"),
            fixed => format!("/{fixed}"),
        };
        let path: String = segments.into_iter().enumerate().map(named).collect();
        if rest || path.is_empty() { format!("{path}/{{*rest}}") } else { path }
    });
    // Many routes of one path make a place with an index.
    let path = prop_oneof![path, Just("/a".to_owned())];
    let hosts = [
        HostPattern::Exact("x.a.t".into()),
        HostPattern::Exact("a.t".into()),
        HostPattern::Wildcard("a.t".into()),
        HostPattern::Wildcard("t".into()),
    ];
    let hidden = ValueMatch::Hidden(Box::new(ValueMatch::Exact("1".into())));
    let values = [ValueMatch::Present, ValueMatch::Exact("1".into()), ValueMatch::Exact("2".into()), hidden];
    let method = [Method::GET, Method::HEAD, Method::POST, Method::from_bytes(b"PURGE").unwrap()];
    let body = prop::option::weighted(0.2, prop::sample::select(vec![1, 2]));
    let listeners = prop::option::weighted(0.2, prop::sample::select(vec!["l", "m"]));
    let regexes = ["/[ab/]*", "/(a/)?b", ".*/c"].map(|written| PathRegex {
        regex: regex::Regex::new(&format!(r"\A(?:{written})\z")).unwrap(),
        written: written.into(),
    });
    let like = prop::option::weighted(0.2, prop::sample::select(regexes.to_vec()));
    let nets = |list: &[&str]| list.iter().map(|net| net.parse().unwrap()).collect::<Vec<IpNet>>();
    let clients = [
        (nets(&["10.0.0.0/8"]), nets(&["10.1.0.0/16"])),
        (nets(&["10.1.0.0/16"]), nets(&[])),
        (nets(&[]), nets(&["10.0.0.0/8"])),
    ]
    .map(|(within, but)| Clients { within, but });
    let clients = prop::option::weighted(0.2, prop::sample::select(clients.to_vec()));
    let (headers, query) = (some(&values, 1), some(&values, 1));
    let one = (path, some(&hosts, 1), some(&method, 2), headers, query, body, 0_i64..3, (listeners, clients), like);
    let built = one.prop_map(|(path, hosts, methods, headers, query, body, priority, (listeners, clients), like)| {
        route(&path, |matches| {
            matches.clients = clients.unwrap_or_default();
            matches.listeners = listeners.into_iter().map(Arc::from).collect();
            matches.path_regex = like;
            matches.hosts = hosts;
            matches.methods = methods;
            matches.headers = headers.into_iter().map(|value| (HeaderName::from_static("x-v"), value)).collect();
            matches.query = query.into_iter().map(|value| ("v".to_owned(), value)).collect();
            let at_v = |value: i32| BodyMatch { pointer: "/v".into(), value: value.into(), is_hidden: false };
            matches.body = body.map(at_v).into_iter().collect();
            // Most routes share a priority.
            matches.priority = priority / 2;
        })
    });
    prop::collection::vec(built, 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn the_table_finds_what_a_plain_matcher_finds(
        routes in routes(),
        asks in prop::collection::vec((
            prop::sample::select(&["x.a.t", "y.x.a.t", "a.t", "t", "", "b.t"][..]),
            some(&["a", "b", "c", ""], 5),
            prop::sample::select(&["GET", "HEAD", "POST", "PURGE", "PUT"][..]),
            prop::sample::select(vec![vec!["1"], vec![], vec!["2"], vec!["1", "2"], vec!["2", "2"]]),
            prop::sample::select(&[None, Some("v=1"), Some("u=1&v=%32&v=1")][..]),
            0_i64..4,
            (prop::sample::select(&["l", ""][..]), prop::sample::select(&["", "10.1.0.1", "10.2.0.1", "::1"][..])),
        ), 1..20),
    ) {
        let table = RouteTable::build(&routes);
        for (host, segments, method, lines, query, body, (listener, client)) in asks {
            let value = serde_json::json!({ "v": body });
            let body = match body {
                0 => Body::Absent,
                3 => Body::Unread,
                _ => Body::Json(&value, 7),
            };
            let path = format!("/{}", segments.join("/"));
            let mut headers = RequestFields::new();
            for line in lines {
                headers.append("x-v", HeaderValue::from_static(line));
            }
            let (method, client) = (method.parse().unwrap(), client.parse().ok());
            let ask = Ask { listener, host, method: &method, path: &path, query, client, headers: &headers, body };
            prop_assert_eq!(table.find(&ask), naive(&routes, &ask), "{:?}", ask);
            super::explain::assert_agrees(&table, &ask);
        }
    }
}
