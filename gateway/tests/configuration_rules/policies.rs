//! Sets of a route's keys with a name: what a route has of its own, of the policies that it names, of what all share.

use std::path::Path;
use std::time::Duration;

use gateway::config::{Purpose, load_text_with};

use super::{NoEnvironment, built, check, errors, warnings};

const POLICIES: &str = "[defaults.route]\ntimeout = \"9s\"\nidle_timeout = \"90s\"\nretry = { attempts = 3, backoff = \"30ms\" }\n\
                        [policies.slow]\ntimeout = \"40s\"\nretry = { attempts = 1 }\nmax_body = \"1GiB\"\n\
                        [policies.pages]\ncors = { origins = [\"https://app.example\"], methods = [\"GET\"] }\ntimeout = \"2s\"\n\
                        response_headers = { set = { x-frame-options = \"DENY\" } }\n\
                        [[routes]]\npath = \"/a\"\nupstream = \"http://127.0.0.1:1\"\n";

/// The route with these keys.
fn route(keys: &str) -> std::sync::Arc<gateway::config::settings::Route> {
    built(&format!("{POLICIES}{keys}\n"))
}

#[test]
fn a_route_has_what_it_names_and_what_it_writes_itself_comes_first() {
    let named = route("policies = [\"slow\"]");
    assert_eq!(named.timeout, Some(Duration::from_secs(40)));
    assert_eq!(named.idle_timeout, Some(Duration::from_secs(90)), "what the policy does not say is what all share");
    assert!(named.cors.is_none());
    assert_eq!(route("policies = [\"slow\"]\ntimeout = \"1s\"").timeout, Some(Duration::from_secs(1)));
    assert_eq!(route("").timeout, Some(Duration::from_secs(9)), "who names none has none");
    assert_eq!(route("policies = []").timeout, Some(Duration::from_secs(9)));
}

#[test]
fn of_several_the_last_that_says_something_counts() {
    assert_eq!(route("policies = [\"slow\", \"pages\"]").timeout, Some(Duration::from_secs(2)));
    let both = route("policies = [\"pages\", \"slow\"]");
    assert_eq!(both.timeout, Some(Duration::from_secs(40)));
    assert!(both.cors.is_some(), "and each other key of each");
}

#[test]
fn tables_are_merged_key_by_key_through_all_layers() {
    let retry = &route("policies = [\"slow\"]\nretry = { max_backoff = \"99ms\" }").retry;
    let seen = (retry.attempts, retry.backoff, retry.max_backoff);
    assert_eq!(seen, (1, Duration::from_millis(30), Duration::from_millis(99)));
}

#[test]
fn false_is_none_of_what_a_policy_has() {
    assert!(route("policies = [\"pages\"]").cors.is_some());
    assert!(route("policies = [\"pages\"]\ncors = false").cors.is_none());
    let off = "[policies.open]\ncors = false\n";
    assert!(built(&format!("{off}{POLICIES}policies = [\"pages\", \"open\"]\n")).cors.is_none());
    assert!(built(&format!("{off}{POLICIES}policies = [\"open\", \"pages\"]\n")).cors.is_some());
}

#[test]
fn all_routes_may_name_some_and_a_routes_own_list_stands_for_it() {
    let text = |keys: &str| {
        format!("{POLICIES}{keys}\n").replace("[defaults.route]", "[defaults.route]\npolicies = [\"slow\"]")
    };
    assert_eq!(built(&text("")).timeout, Some(Duration::from_secs(40)));
    assert_eq!(built(&text("policies = [\"pages\"]")).timeout, Some(Duration::from_secs(2)));
    assert_eq!(built(&text("policies = []")).timeout, Some(Duration::from_secs(9)));
}

#[test]
fn a_routes_own_destination_hides_one_of_a_policy() {
    let text =
        "[policies.moved]\nredirect = { host = \"b.example\" }\n[policies.home]\nupstream = \"http://127.0.0.1:1\"\n";
    let own = built(&format!("{text}[[routes]]\npath = \"/\"\npolicies = [\"moved\"]\nanswer = {{ body = \"hi\" }}"));
    assert!(!format!("{:?}", own.own_answer).contains("b.example"));
    let last = format!("{text}[[routes]]\npath = \"/\"\npolicies = [\"moved\", \"home\"]");
    assert!(!format!("{:?}", built(&last).own_answer).contains("b.example"), "the last of two that choose");
    check(&last.replace("\"moved\", \"home\"", "\"home\", \"moved\""), &[]);
}

/// What is said of two policies that are named by one route, which has these keys too.
fn told_of_two(one: &str, other: &str, keys: &str) -> Vec<String> {
    let limit = "{ rate = \"1/s\", burst = 1, key = \"client_ip\" }";
    let limits = format!("[rate_limits]\nl1 = {limit}\nl2 = {limit}\n");
    let policies = format!("[policies.one]\n{one}\n[policies.other]\n{other}\n");
    let route = format!("[[routes]]\npath = \"/\"\nupstream = \"http://127.0.0.1:1\"\n{keys}\n");
    warnings(&format!("{limits}{policies}{route}policies = [\"one\", \"other\"]\n"))
}

#[test]
fn of_two_policies_that_write_one_list_or_map_it_is_told_that_the_last_one_counts() {
    let told = told_of_two("rate_limits = [\"l1\"]", "rate_limits = [\"l2\"]", "");
    assert_eq!(
        told,
        ["12:20: the policies \"one\" and \"other\" both write `rate_limits`: only what \"other\" says of it counts \
          (write `rate_limits` in the route, with all that is to hold, or in one policy alone)"]
    );
    for (one, other, key) in [
        (
            "response_headers = { set = { x-a = \"1\" } }",
            "response_headers = { set = { x-b = \"1\" } }",
            "response_headers.set",
        ),
        (
            "response_headers = { set = { x-a = \"1\" } }",
            "response_headers = { set = { x-a = \"2\" } }",
            "response_headers.set",
        ),
        (
            "request_headers = { remove = [\"x-a\"] }",
            "request_headers = { remove = [\"x-b\"] }",
            "request_headers.remove",
        ),
        ("cors = { origins = [\"https://a.b\"] }", "cors = { origins = [\"https://c.d\"] }", "cors.origins"),
        ("retry = { on = [\"502\", \"503\"] }", "retry = { on = [\"503\"] }", "retry.on"),
    ] {
        let told = told_of_two(one, other, "");
        assert!(told.len() == 1 && told[0].contains(&format!("both write `{key}`")), "{key}: {told:?}");
    }
}

#[test]
fn nothing_is_told_of_policies_that_lose_nothing_or_say_that_they_mean_it() {
    for (one, other, keys) in [
        ("timeout = \"1s\"", "timeout = \"2s\"", ""),
        ("rate_limits = [\"l1\"]", "rate_limits = [\"l2\", \"l1\"]", ""),
        ("rate_limits = [\"l1\"]", "rate_limits = [\"l2\"]", "rate_limits = [\"l1\", \"l2\"]"),
        ("response_headers = { set = { x-a = \"1\" } }", "response_headers = { remove = [\"x-b\"] }", ""),
        (
            "response_headers = { set = { x-a = \"1\" } }",
            "response_headers = { set = { x-b = \"1\", x-a = \"1\" } }",
            "",
        ),
        ("cors = { origins = [\"https://a.b\"] }", "cors = false", ""),
        ("cors = false", "cors = { origins = [\"https://a.b\"] }", ""),
        ("cors = { origins = [\"https://a.b\"] }", "cors = { origins = [\"https://c.d\"] }", "cors = false"),
        ("compress = true", "compress = { codings = [\"gzip\"] }", ""),
    ] {
        assert_eq!(told_of_two(one, other, keys), [""; 0], "{one} {other} {keys}");
    }
}

#[test]
fn what_policies_put_away_is_told_once_however_many_routes_name_them() {
    let policies = "[defaults.route]\npolicies = [\"a\", \"b\", \"c\"]\n[policies.a]\nupgrades = [\"websocket\"]\n\
                    [policies.b]\ntimeout = \"2s\"\n[policies.c]\nupgrades = []\n";
    let routes: String =
        (0..3).map(|n| format!("[[routes]]\npath = \"/{n}\"\nupstream = \"http://127.0.0.1:1\"\n")).collect();
    let told = warnings(&format!("{policies}{routes}"));
    assert!(
        told.len() == 1 && told[0].starts_with("2:23: the policies \"a\" and \"c\" both write `upgrades`"),
        "{told:?}"
    );
}

#[test]
fn what_a_route_names_exists_and_is_named_once() {
    let routes = |keys: &str| errors(&format!("{POLICIES}{keys}\n"));
    assert_eq!(routes("policies = [\"slwo\"]"), ["16:13: unknown policy \"slwo\""]);
    assert_eq!(routes("policies = [\"slow\", \"slow\"]"), ["16:21: this policy is named twice"]);
    assert_eq!(routes("policies = \"slow\""), ["16:12: expected a list, found a string"]);
}

#[test]
fn a_policy_has_keys_of_routes_and_is_wrong_where_it_is_written() {
    let wrong = "[policies.a]\npath = \"/\"\ntimeuot = \"1s\"\npolicies = [\"b\"]\nretry = { attempts = 0 }\n";
    let routes = "[[routes]]\npath = \"/a\"\npolicies = [\"a\"]\nupstream = \"http://127.0.0.1:1\"\n\
                  [[routes]]\npath = \"/b\"\npolicies = [\"a\"]\nupstream = \"http://127.0.0.1:1\"\n";
    let told = errors(&format!("{wrong}{routes}"));
    let at = |line: &str| told.iter().filter(|it| it.starts_with(line)).count();
    assert_eq!(
        [at("2:1: "), at("3:1: "), at("4:1: "), at("5:22: ")],
        [1; 4],
        "each once, however many name it: {told:?}"
    );
    assert_eq!(told.len(), 4, "{told:?}");
    check("policies = 3", &["1:12: expected a table, found an integer"]);
}

#[test]
fn rules_between_keys_hold_across_layers() {
    let text = "[policies.asked]\nauth = { scopes = [\"read\"] }\n[[routes]]\npath = \"/a\"\npolicies = [\"asked\"]\n\
                upstream = \"http://127.0.0.1:1\"\n";
    let told = errors(text);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("2:8: \"providers\" is missing"), "{told:?}");
    let provided = "[identity.providers.main]\nkind = \"jwt\"\nissuer = \"i\"\naudiences = [\"a\"]\n\
                    jwks = { url = \"https://idp.example/jwks\" }\n[defaults.route]\nauth = { providers = [\"main\"] }\n";
    check(&format!("{provided}{text}"), &[]);
    let open = warnings(
        &format!("{provided}{text}")
            .replace("[defaults.route]\nauth", "[policies.known]\nauth")
            .replace("[\"asked\"]", "[\"known\"]"),
    );
    assert!(!open.iter().any(|it| it.contains("everybody may use it")), "a policy asks who they are: {open:?}");
}

#[test]
fn policies_of_the_example_come_together_as_its_comments_say() {
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/policies.toml")).expect("there");
    let loaded = load_text_with(&text, Path::new("policies.toml"), Purpose::Check, &NoEnvironment).expect("holds");
    let seen = loaded.config.routes.iter().map(|route| {
        let limits: Vec<&str> = route.rate_limits.iter().map(|name| &**name).collect();
        (route.timeout.map(|it| it.as_secs()), route.auth.is_some(), limits, route.retry.attempts)
    });
    let expected = [
        (Some(5), true, vec!["per_user"], 2),
        (Some(90), true, vec!["per_user"], 1),
        (Some(5), false, vec!["per_client"], 2),
    ];
    assert_eq!(seen.collect::<Vec<_>>(), expected);
    assert!(loaded.config.routes.iter().all(|route| route.cors.is_some()));
}
