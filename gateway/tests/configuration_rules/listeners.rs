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

#[test]
fn a_route_for_some_listeners_hides_what_no_other_route_serves() {
    let on = |path: &str, keys: &str| {
        route(&format!("name = \"{}\"\n{keys}", path.replace(['/', '{', '*', '}'], "x")))
            .replace("\"/\"", &format!("\"{path}\""))
    };
    let told = |routes: &[String]| {
        let told = warnings(&with(&routes.concat()));
        told.into_iter().filter(|told| told.contains("hides this route, and not what is behind it")).collect::<Vec<_>>()
    };
    let hidden = || on("/internal/{*rest}", "listeners = [\"in\"]");
    let all = || on("/{*rest}", "");
    let expected = "7:1: on the listener out the route at gateway.toml:12 serves these requests: `listeners` hides this \
                    route, and not what is behind it (write `listeners` there too, or in [defaults.route] for all routes \
                    that have none)";
    assert_eq!(told(&[hidden(), all()]), [expected]);
    assert_eq!(told(&[all(), hidden()]).len(), 1, "in any order");
    assert_eq!(told(&[hidden(), on("/{*rest}", "methods = [\"GET\"]")]).len(), 1, "reads are served");
    for (routes, why) in [
        (vec![hidden()], "there is no other"),
        (vec![hidden(), on("/{*rest}", "listeners = [\"out\"]")], "that one says where it is"),
        (vec!["[defaults.route]\nlisteners = [\"out\"]\n".to_owned(), hidden(), all()], "so do all"),
        (vec![hidden(), on("/other/{*rest}", "")], "that one serves something else"),
        (vec![hidden(), on("/{*rest}", "headers = { x-a = \"*\" }")], "some of its requests alone"),
        (vec![on("/internal/{*rest}", "listeners = [\"in\", \"out\"]"), all()], "it is there on each"),
        (
            vec![hidden(), all(), on("/internal/{*rest}", "listeners = [\"out\"]").replace("\"xinternal", "\"y")],
            "closed there",
        ),
        (vec![hidden(), all(), on("/internal/{*rest}", "").replace("\"xinternal", "\"y")], "it is meant to be served"),
    ] {
        assert_eq!(told(&routes), [""; 0], "{why}");
    }
}
