//! Matches in route tables of any size, beside the scan that one writes by hand.

use std::hint::black_box;
use std::path::Path;

use gateway::algorithms::rng::Draws;
use gateway::config::{Purpose, load_text};
use gateway::request_fields::RequestFields;
use gateway::routing::{Ask, Body, Found, RouteTable};
use http::Method;
use serde_json::{Value, json};

use super::ns_each;
use crate::study::experiment::Terms;

/// Paths that are looked up in turn.
const PATHS: u64 = 1_024;

/// One route.
pub(in crate::study) fn of_1(terms: &Terms) -> Result<Value, String> {
    measured(1, terms)
}

/// A hundred.
pub(in crate::study) fn of_100(terms: &Terms) -> Result<Value, String> {
    measured(100, terms)
}

/// A thousand.
pub(in crate::study) fn of_1_000(terms: &Terms) -> Result<Value, String> {
    measured(1_000, terms)
}

/// Ten thousand.
pub(in crate::study) fn of_10_000(terms: &Terms) -> Result<Value, String> {
    measured(10_000, terms)
}

fn measured(routes: u64, terms: &Terms) -> Result<Value, String> {
    let patterns: Vec<String> = (0..routes).map(pattern).collect();
    let mut text = "[telemetry.access_log]\noutput = 'off'\n[upstreams.u]\nendpoints = ['127.0.0.1:9']\n".to_owned();
    text.extend(patterns.iter().map(|pattern| format!("[[routes]]\npath = '{pattern}'\nupstream = 'u'\n")));
    let config =
        load_text(&text, Path::new("routes"), Purpose::Run).map_err(|_| "the routes are not right".to_owned())?;
    let table = RouteTable::build(&config.config.routes);
    let mut draws = Draws::new(terms.seed);
    let paths: Vec<String> = (0..PATHS).map(|_| path(draws.below(routes), draws.below(1_000_000))).collect();
    let scan: Vec<Vec<&str>> = patterns.iter().map(|pattern| segments(pattern)).collect();
    let headers = RequestFields::new();
    let ask = |path: &str| {
        let (host, method) = ("api.example.com", &Method::GET);
        let (listener, query, client, body) = ("", None, None, Body::Absent);
        let ask = Ask { listener, host, method, path, query, client, headers: &headers, body };
        matches!(table.find(&ask), Found::Route { .. })
    };
    let by_hand = |path: &str| scan.iter().position(|pattern| fits(pattern, path));
    if let Some(path) = paths.iter().find(|path| !ask(path) || by_hand(path).is_none()) {
        return Err(format!("{path} has no route"));
    }
    let at = |number: u64| paths[(number % PATHS) as usize].as_str();
    let times = if terms.is_quick { 50_000 } else { 200_000 };
    let tree = ns_each(times, |number| {
        black_box(ask(black_box(at(number))));
    });
    let scanned = ns_each((times / routes).max(200), |number| {
        black_box(by_hand(black_box(at(number))));
    });
    Ok(json!({ "tree_ns": tree, "scan_ns": scanned }))
}

fn pattern(number: u64) -> String {
    let service = number / 3;
    match number % 3 {
        0 => format!("/api/service-{service}/items/{{id}}"),
        1 => format!("/api/service-{service}/status"),
        _ => format!("/api/service-{service}/users/{{user}}/files/{{*rest}}"),
    }
}

fn path(route: u64, id: u64) -> String {
    let service = route / 3;
    match route % 3 {
        0 => format!("/api/service-{service}/items/{id}"),
        1 => format!("/api/service-{service}/status"),
        _ => format!("/api/service-{service}/users/{id}/files/a/b.txt"),
    }
}

fn segments(path: &str) -> Vec<&str> {
    path.split('/').skip(1).collect()
}

/// As one writes it by hand: segment by segment, until one differs.
fn fits(pattern: &[&str], path: &str) -> bool {
    let mut given = path.split('/').skip(1);
    for wanted in pattern {
        let Some(given) = given.next() else { return false };
        if wanted.starts_with("{*") {
            return true;
        }
        if !wanted.starts_with('{') && *wanted != given {
            return false;
        }
    }
    given.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scan_matches_what_the_table_matches() {
        for route in 0..9 {
            let (pattern, path) = (pattern(route), path(route, 7));
            assert!(fits(&segments(&pattern), &path), "{pattern} {path}");
            assert!(!fits(&segments(&pattern), "/api/service-0/nothing"), "{pattern}");
        }
        let figures = measured(9, &Terms { seed: 1, is_quick: true }).unwrap();
        assert!(figures["tree_ns"].as_f64().unwrap() > 0.0 && figures["scan_ns"].as_f64().unwrap() > 0.0);
    }
}
