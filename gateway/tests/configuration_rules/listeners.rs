//! Routes for some listeners alone.

use super::{check, errors, warnings};

/// Two listeners on lines 1 to 6, and what follows.
fn with(more: &str) -> String {
    let listener =
        |name: &str, port: u16| format!("[[listeners]]\nname = \"{name}\"\naddress = \"127.0.0.1:{port}\"\n");
    format!("{}{}{more}", listener("in", 81), listener("out", 82))
}

/// A route on `/` with these keys: four lines.
fn route(keys: &str) -> String {
    format!("[[routes]]\npath = \"/\"\nupstream = \"http://a\"\n{keys}\n")
}

#[test]
fn a_route_names_listeners_that_there_are() {
    check(&with(&route("listeners = [\"in\", \"out\"]")), &[]);
    check(&with(&route("listeners = [\"inn\"]")), &["10:14: unknown listener \"inn\""]);
    check(&route("listeners = [\"in\"]"), &["4:14: unknown listener \"in\""]);
    check(&with(&route("listeners = [\"in\", \"in\"]")), &["10:20: this listener is named twice"]);
    check(&with("").replace("\"out\"", "\"in\""), &["5:8: another listener is called \"in\" already"]);
    let gathering = "[[aggregates]]\npath = \"/d\"\nparts = [{ name = \"a\", upstream = \"a\", path = \"/\" }]\n\
                     listeners = [\"none\"]\n[upstreams.a]\nendpoints = [\"b:1\"]\n";
    check(&with(gathering), &["10:14: unknown listener \"none\""]);
}

#[test]
fn the_same_match_on_other_listeners_is_another_one() {
    let both = |one: &str, other: &str| errors(&with(&(route(&format!("name = \"a\"\n{one}")) + &route(other))));
    assert!(both("listeners = [\"in\"]", "listeners = [\"out\"]").is_empty());
    assert!(both("listeners = [\"in\"]", "").is_empty(), "the one for a listener is the more specific");
    let told = both("listeners = [\"in\", \"out\"]", "listeners = [\"out\"]");
    assert!(told.len() == 1 && told[0].contains("matches the same requests"), "{told:?}");
}

#[test]
fn what_routes_share_holds_for_no_aggregate() {
    let text = "[defaults.route]\nlisteners = [\"in\"]\n[upstreams.u]\nendpoints = [\"b:1\"]\n[[aggregates]]\npath = \"/d\"\n\
                parts = [{ name = \"a\", upstream = \"u\", path = \"/\" }]\n";
    let expected = "\"listeners\" of [defaults.route] does not hold for an aggregate (write it there too)";
    let told = warnings(&with(text));
    assert!(told.iter().any(|it| it.ends_with(expected)), "{told:?}");
    assert!(!warnings(&with(&format!("{text}listeners = [\"in\"]\n"))).iter().any(|it| it.ends_with(expected)));
}
