//! Edits of `[defaults.route]` that a route's own put away: they are taken as a whole, and that is told.

use std::path::Path;

use gateway::config::{Purpose, load_text_with};

use super::{NoEnvironment, warnings};

const SHARED: &str = "[defaults.route]\nresponse_headers = { set = { \"X-Frame-Options\" = \"DENY\", x-b = \"1\" }, \
                      remove = [\"server\"] }\nrequest_query.remove = [\"debug\"]\n";

/// A route with these keys, which begin on line 7.
fn with(keys: &str) -> String {
    format!("{SHARED}[[routes]]\npath = \"/\"\nupstream = \"http://127.0.0.1:1\"\n{keys}\n")
}

#[track_caller]
fn check(keys: &str, expected: &[&str]) {
    let told: Vec<String> =
        warnings(&with(keys)).iter().map(|told| told.split(" (").next().unwrap().to_owned()).collect();
    assert_eq!(told, expected, "{keys}");
}

#[test]
fn what_a_routes_own_edits_put_away_is_told_with_its_names() {
    check("", &[]);
    check("response_headers = { add = { vary = \"origin\" } }", &[]);
    check(
        "response_headers.set = { x-c = \"2\" }",
        &[
            "7:24: this stands in place of `response_headers.set` of [defaults.route]: \"X-Frame-Options\", \"x-b\" are \
           not set here",
        ],
    );
    check(
        "response_headers.set = { x-b = \"2\", x-frame-options = \"SAMEORIGIN\" }\nresponse_headers.remove = [\"via\"]",
        &[
            "8:27: this stands in place of `response_headers.remove` of [defaults.route]: \"server\" is not removed here",
        ],
    );
    check(
        "request_query.remove = [\"Debug\"]",
        &["7:24: this stands in place of `request_query.remove` of [defaults.route]: \"debug\" is not removed here"],
    );
}

#[test]
fn what_is_meant_is_not_told() {
    check("response_headers = { set = { x-c = \"2\" }, remove = [\"server\", \"x-b\", \"x-frame-options\"] }", &[]);
    check("response_headers = { set = {}, remove = [] }", &[]);
    check("response_headers.set = { x-b = \"1\", \"X-Frame-Options\" = \"DENY\", x-c = \"\" }", &[]);
    let own = with("").replace("upstream = \"http://127.0.0.1:1\"", "answer = {}");
    assert_eq!(warnings(&own), [""; 0], "of requests nothing is shared with who answers itself");
}

#[test]
fn what_a_policy_puts_away_is_told_once_and_of_many_routes_some() {
    let route =
        |name: &str, keys: &str| format!("[[routes]]\npath = \"/{name}\"\nupstream = \"http://127.0.0.1:1\"\n{keys}\n");
    let policy = "[policies.p]\nresponse_headers.set = { x-c = \"2\" }\n";
    let named = "policies = [\"p\"]";
    let told = warnings(&format!("{SHARED}{policy}{}{}", route("a", named), route("b", named)));
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("5:24: this stands in place of `response_headers.set`"), "{told:?}");
    let own = "request_query.remove = [\"x\"]";
    let many: String = (0..23).map(|number| route(&format!("r{number}"), own)).collect();
    let told = warnings(&format!("{SHARED}{many}"));
    assert_eq!(told.len(), 21, "{told:?}");
    assert!(told[0].starts_with("1:1: 3 more routes or policies put edits"), "{told:?}");
}

#[test]
fn the_route_knows_what_it_leaves_out() {
    let text = with("response_headers.set = { x-c = \"2\" }\nrequest_query.remove = [\"x\"]");
    let loaded = load_text_with(&text, Path::new("gateway.toml"), Purpose::Check, &NoEnvironment).unwrap();
    let route = &loaded.config.routes[0];
    assert_eq!(route.response_headers.lost.join(", "), "X-Frame-Options, x-b");
    assert_eq!(route.request_query.to_string(), "removes x; without debug of [defaults.route]");
    assert!(route.request_headers.lost.is_empty());
}
