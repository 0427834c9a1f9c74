//! Conflicts against the plain definition: every pair is looked at.

use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::config::{Purpose, load_text};

/// A route that matches so; everything else is as by default.
fn route(hosts: &[&str], path: &str, methods: &[&str], conditions: &[(&str, &str)], priority: i64) -> Arc<Route> {
    let list = |items: &[&str]| items.iter().map(|item| format!("{item:?}")).collect::<Vec<_>>().join(", ");
    let headers: Vec<String> = conditions.iter().map(|(name, value)| format!("{name} = {value:?}")).collect();
    let text = format!(
        "[[routes]]\nupstream = \"http://a\"\npath = {path:?}\npriority = {priority}\nhosts = [{}]\nmethods = [{}]\n\
         headers = {{ {} }}",
        list(hosts),
        list(methods),
        headers.join(", "),
    );
    let loaded = load_text(&text, Path::new("gateway.toml"), Purpose::Check);
    Arc::clone(&loaded.unwrap_or_else(|problems| panic!("{problems}")).config.routes[0])
}

fn overlap<T: PartialEq>(a: &[T], b: &[T]) -> bool {
    (a.is_empty() && b.is_empty()) || a.iter().any(|x| b.contains(x))
}

/// The definition, for one pair.
fn alike(a: &RouteMatch, b: &RouteMatch) -> bool {
    // For one method and one host at once: both lists are crossed, so overlaps in each are enough.
    overlap(&a.hosts, &b.hosts)
        && overlap(&a.methods, &b.methods)
        && path_pattern::shape(&a.path) == path_pattern::shape(&b.path)
        && conditions(a) == conditions(b)
        && a.priority == b.priority
}

fn any_route() -> impl Strategy<Value = Arc<Route>> {
    let hosts = prop::sample::subsequence(vec!["a", "b", "*.a"], 0..=2);
    let methods = prop::sample::subsequence(vec!["GET", "POST"], 0..=2);
    let conditions =
        prop::sample::subsequence(vec![("x-a", "1"), ("x-b", "*"), ("x-c", "~[0-9]")], 0..=2).prop_shuffle();
    let path = prop::sample::select(vec!["/{a}", "/{b}", "/x", "/{*r}"]);
    (hosts, path, methods, conditions, 0i64..2)
        .prop_map(|(hosts, path, methods, conditions, priority)| route(&hosts, path, &methods, &conditions, priority))
}

proptest! {
    #[test]
    fn agrees_with_looking_at_every_pair(routes in prop::collection::vec(any_route(), 0..12)) {
        let found: Vec<(usize, usize)> = conflicts(&routes).iter().map(|found| (found.first, found.later)).collect();
        let first = |later: usize| (0..later).find(|&first| alike(&routes[first].matches, &routes[later].matches));
        let expected: Vec<(usize, usize)> =
            (0..routes.len()).filter_map(|later| first(later).map(|first| (first, later))).collect();
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn the_first_of_several_is_named() {
    let routes = [
        route(&[], "/{a}", &["GET"], &[], 0),
        route(&[], "/{b}", &["POST"], &[], 0),
        route(&[], "/{c}", &["POST", "GET"], &[], 0),
    ];
    assert_eq!(conflicts(&routes), [Conflict { first: 0, later: 2 }]);
}

/// A route of this host and path, and another one, an aggregate or a batch.
fn beside(route: &str, other: &str) -> Vec<Arc<Route>> {
    let text = format!("upstreams.u.endpoints = [\"a:1\"]\n[[routes]]\nupstream = \"u\"\n{route}\n{other}");
    let loaded = load_text(&text, Path::new("gateway.toml"), Purpose::Check);
    loaded.unwrap_or_else(|problems| panic!("{problems}")).config.routes
}

#[test]
fn who_has_the_higher_priority_and_asks_for_less_leaves_nothing() {
    let of = |hosts: &[&str], path: &str, methods: &[&str], conditions: &[(&str, &str)], priority| {
        route(hosts, path, methods, conditions, priority)
    };
    let health = || of(&[], "/health", &[], &[], 0);
    for (first, other, is_taken) in [
        (of(&[], "/{*rest}", &[], &[], 10), health(), true),
        (of(&[], "/{*rest}", &[], &[], 0), health(), false),
        (of(&[], "/{*rest}", &[], &[("x-a", "1")], 10), health(), false),
        (of(&["a.example"], "/{*rest}", &[], &[], 10), health(), false),
        (of(&[], "/{*rest}", &["GET"], &[], 10), health(), false),
        (of(&[], "/health", &[], &[], 10), of(&[], "/health", &["GET"], &[("x-a", "1")], 9), true),
        (of(&["*.example.com"], "/{*rest}", &[], &[], 1), of(&["a.example.com"], "/b", &[], &[], 0), true),
        (of(&["*.example.com"], "/{*rest}", &[], &[], 1), of(&["*.b.example.com"], "/b", &[], &[], 0), true),
        (of(&["*.example.com"], "/{*rest}", &[], &[], 1), of(&["example.com"], "/b", &[], &[], 0), false),
        (of(&["*.example.com"], "/{*rest}", &[], &[], 1), of(&["a.example.com", "b"], "/b", &[], &[], 0), false),
        (of(&["a", "b"], "/{*rest}", &[], &[], 1), of(&["b"], "/b", &[], &[], 0), true),
    ] {
        let told = format!("{:?} {:?}", first.matches, other.matches);
        assert_eq!(never_reached(&[first, other]), if is_taken { vec![(1, 0)] } else { Vec::new() }, "{told}");
    }
    let all = "path = \"/{*rest}\"\npriority = 1";
    let mended = "[[routes]]\npath = \"/b\"\nupstream = \"u\"";
    assert_eq!(never_reached(&beside(all, mended)), [(1, 0)]);
    let text = format!("upstreams.u.endpoints = [\"a:1\"]\n[[routes]]\n{all}\nanswer = {{ status = 503 }}\n{mended}");
    let loaded = load_text(&text, Path::new("gateway.toml"), Purpose::Check).unwrap();
    assert_eq!(never_reached(&loaded.config.routes), [], "while something is mended that is what is meant");
}

#[test]
fn what_is_for_any_host_is_hidden_by_a_hosts_own_routes() {
    let aggregate =
        "[[aggregates]]\npath = \"/api/d/{id}\"\nparts = [{ name = \"a\", upstream = \"u\", path = \"/\" }]";
    let renewal = "[[routes]]\nupstream = \"u\"\npath = \"/.well-known/{*rest}\"";
    for (route, other, is_hidden) in [
        ("path = \"/{*rest}\"\nhosts = [\"a.example\"]", aggregate, true),
        ("path = \"/{*rest}\"", aggregate, false),
        ("path = \"/{*rest}\"\nhosts = [\"a.example\"]", renewal, true),
        ("path = \"/{*rest}\"", renewal, false),
        ("path = \"/{*rest}\"\nhosts = [\"a.example\"]", "[[routes]]\nupstream = \"u\"\npath = \"/{*rest}\"", false),
        (
            "path = \"/b\"\n[[routes]]\npath = \"/{*rest}\"\nhosts = [\"a.example\"]\nredirect = { host = \"b.example\" }",
            renewal,
            false,
        ),
        (
            "path = \"/{*rest}\"\nhosts = [\"a.example\"]\n[[routes]]\npath = \"/{*rest}\"\nupstream = \"u\"",
            renewal,
            false,
        ),
        ("name = \"of-a-host\"\npath = \"/api/d/{id}\"\nhosts = [\"a.example\"]", aggregate, false),
        (
            "path = \"/{*rest}\"\nhosts = [\"a.example\"]\n[[routes]]\npath = \"/api/{*rest}\"\nupstream = \"u\"",
            aggregate,
            false,
        ),
        ("path = \"/api/{*rest}\"\nhosts = [\"*.example\"]", aggregate, true),
        ("path = \"/api/{kind}/{id}\"\nhosts = [\"a.example\"]", aggregate, true),
        ("path = \"/api/e/{*rest}\"\nhosts = [\"a.example\"]", aggregate, false),
        ("path = \"/{*rest}\"\nhosts = [\"a.example\"]\nmethods = [\"POST\"]", aggregate, false),
        ("path = \"/{*rest}\"\nhosts = [\"a.example\"]\nheaders = { x-a = \"1\" }", aggregate, false),
        ("path = \"/{*rest}\"\nhosts = [\"a.example\"]", &format!("{aggregate}\npriority = 1"), false),
        ("path = \"/{*rest}\"\nhosts = [\"a.example\"]", &format!("{aggregate}\nhosts = [\"a.example\"]"), false),
    ] {
        let routes = beside(route, other);
        let found = hidden(&routes).into_iter().find(|it| it.hidden == routes.len() - 1);
        assert_eq!(found.map(|it| it.by), is_hidden.then_some(0), "{route}\n{other}");
    }
}
