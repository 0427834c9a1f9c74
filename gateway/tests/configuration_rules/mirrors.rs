//! Copies of a route's requests.

use super::{built, check, warnings};

/// A route with these keys from line 7 on.
fn route(keys: &str) -> String {
    format!(
        "[upstreams.a]\nendpoints = [\"b:1\"]\n[upstreams.shadow]\nendpoints = [\"b:2\"]\n[[routes]]\npath = \"/\"\n{keys}\n"
    )
}

#[test]
fn copies_go_to_somebody_else() {
    check(&route("upstream = \"a\"\nmirror = { upstream = \"shadow\", fraction = 0.01 }"), &[]);
    check(&route("upstream = \"a\"\nmirror = { upstream = \"x\" }"), &["8:23: unknown upstream \"x\""]);
    check(&route("upstream = \"a\"\nmirror = {}"), &["8:10: \"upstream\" is missing in [routes.mirror]"]);
    check(
        &route("upstream = \"a\"\nmirror = { upstream = \"shadow\", fraction = 1.5 }"),
        &["8:44: 1.5 is not between 0 and 1"],
    );
    let own = "copies go to an upstream that the route asks itself";
    check(&route("upstream = \"a\"\nmirror = { upstream = \"a\" }"), &[&format!("8:23: {own}")]);
    check(
        &route(
            "split = [{ upstream = \"a\", weight = 1 }, { upstream = \"shadow\", weight = 1 }]\nmirror.upstream = \"shadow\"",
        ),
        &[&format!("8:19: {own}")],
    );
    check(
        &route("upstream = \"a\"\nfallback.upstream = \"shadow\"\nmirror.upstream = \"shadow\""),
        &[&format!("9:19: {own}")],
    );
    check(
        &route("answer = {}\nmirror.upstream = \"shadow\""),
        &["8:1: `mirror` is for a route with an upstream; this one has `answer`"],
    );
}

#[test]
fn a_shared_mirror_copies_nothing_of_who_is_the_shadow_and_is_no_mistake_there() {
    let shared = |keys: &str| format!("[defaults.route]\nmirror = {{ upstream = \"shadow\" }}\n{}", route(keys));
    assert!(built(&shared("upstream = \"a\"")).mirror.is_some());
    for keys in [
        "upstream = \"shadow\"",
        "upstream = \"a\"\nfallback.upstream = \"shadow\"\nretry.per_try_timeout = \"1s\"",
        "split = [{ upstream = \"a\", weight = 1 }, { upstream = \"shadow\", weight = 1 }]",
    ] {
        let text = shared(keys);
        check(&text, &[]);
        assert!(built(&text).mirror.is_none(), "{keys}");
        assert_eq!(warnings(&text), [""; 0], "{keys}");
    }
    check(&route("upstream = \"a\"\nmirror = { upstream = \"a\", fraction = 0 }"), &[]);
}

#[test]
fn who_copies_what_changes_something_says_so() {
    let told = |keys: &str| warnings(&route(&format!("upstream = \"a\"\n{keys}")));
    let twice = "8:10: requests that change something are copied too, and are carried out twice where upstreams share \
                 their data (methods = [\"GET\", \"HEAD\"] copies what only reads; naming every method says that it is \
                 meant)";
    assert_eq!(told("mirror = { upstream = \"shadow\" }"), [twice]);
    assert_eq!(told("mirror = { upstream = \"shadow\" }\nmethods = [\"GET\", \"PUT\"]"), [twice]);
    let nothing: [&str; 0] = [];
    for keys in [
        "mirror = { upstream = \"shadow\" }\nmethods = [\"GET\", \"HEAD\"]",
        "mirror = { upstream = \"shadow\", methods = [\"GET\", \"POST\"] }",
        "mirror = { upstream = \"shadow\", fraction = 0 }",
    ] {
        assert_eq!(told(keys), nothing, "{keys}");
    }
}
