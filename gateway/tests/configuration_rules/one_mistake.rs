//! One mistake is one error: what only follows from another error is not told beside it, and what does not is.

use std::path::Path;

use gateway::config::{Purpose, load_text_with};

use super::{NoEnvironment, check, check_route, errors};

#[test]
fn of_a_value_that_was_refused_nothing_more_is_said() {
    check(
        "[[routes]]\npath = \"/\"\nanswer = 404\nmirror = \"shadow\"\nfallback = \"other\"",
        &[
            "3:10: expected a table, found an integer",
            "4:10: expected a table or false, found a string",
            "5:12: expected a table or false, found a string",
        ],
    );
    // What is shared is refused once, and each route that has it says nothing more of it.
    let routes = "[[routes]]\npath = \"/a\"\nupstream = \"http://a\"\n[[routes]]\npath = \"/b\"\nanswer = {}\n";
    let shared = format!("[defaults.route]\nrewrite = \"/a\"\nmax_body = 5\n{routes}");
    check(&shared, &["2:11: expected a table or false, found a string", "3:12: expected a size, found an integer"]);
}

#[test]
fn what_is_missing_is_perhaps_what_nobody_knows_the_name_of() {
    check("[[routes]]\npath = \"/\"\nproxy_pass = \"http://a\"", &["3:1: unknown key \"proxy_pass\" in [[routes]]"]);
    check("[[routes]]\npaths = [\"/\"]\nupstream = \"http://a\"", &["2:1: unknown key \"paths\" in [[routes]]"]);
    check("[upstreams.a]\nservers = [\"a:1\"]", &["2:1: unknown key \"servers\" in [upstreams.a]"]);
    check_route("rewrite = { regex = \"/x\" }", &["4:13: unknown key \"regex\" in [routes.rewrite]"]);
    // Also where many share the key.
    let routes = "[[routes]]\npath = \"/a\"\n[[routes]]\npath = \"/b\"\n";
    check(
        &format!("[defaults.route]\nupstrem = \"http://a\"\n{routes}"),
        &["2:1: unknown key \"upstrem\" in [defaults.route]"],
    );
    // What is wrong by itself is told beside it.
    check(
        "[[routes]]\npath = \"/\"\nupstream = \"nowhere\"\ntimeot = \"5s\"\npriority = 9999999\n[upstreams]",
        &[
            "3:12: unknown upstream \"nowhere\"",
            "4:1: unknown key \"timeot\" in [[routes]]",
            "5:12: 9999999 is not between -1000000 and 1000000",
        ],
    );
    check(
        "[[routes]]\npath = \"/\"",
        &["1:1: a route needs an `upstream`, a `split`, a `handler`, a `redirect` or an `answer`"],
    );
}

#[test]
fn an_address_that_was_not_understood_clashes_with_none() {
    check(
        "[[listeners]]\nlisten = \"0.0.0.0:80\"\n[[listeners]]\nport = 443",
        &["2:1: unknown key \"listen\" in [[listeners]]", "4:1: unknown key \"port\" in [[listeners]]"],
    );
    check(
        "[[listeners]]\naddress = 8084\n[[listeners]]\naddress = \"127.0.0.1:8080\"",
        &["2:11: expected an IP address and port, found an integer"],
    );
    check("[[listeners]]\n[[listeners]]", &["2:1: another listener has the address 127.0.0.1:8080 already"]);
}

#[test]
fn routes_that_were_not_understood_conflict_with_none() {
    let two = |key: &str| {
        let route = |value: &str| format!("[[routes]]\npath = \"/\"\nupstream = \"http://a\"\n{key} = \"{value}\"\n");
        errors(&format!("{}{}", route("a.test"), route("b.test")))
    };
    assert_eq!(two("server_name"), [4, 8].map(|line| format!("{line}:1: unknown key \"server_name\" in [[routes]]")));
    assert_eq!(two("name"), ["5:1: this route matches the same requests as the one at gateway.toml:1"]);
}

#[test]
fn names_of_a_table_that_was_not_understood_are_not_missed() {
    let route = "[[routes]]\npath = \"/\"\nupstream = \"a\"\nrate_limits = [\"l\"]\n";
    let limit = "[rate_limits.l]\nrate = \"1/s\"\nburst = 1\nkey = \"client_ip\"\n";
    check(
        &format!("[[upstreams]]\nname = \"a\"\nendpoints = [\"a:1\"]\n{route}{limit}"),
        &["1:1: expected a table, found a list"],
    );
    check(&format!("[upstream.a]\nendpoints = [\"a:1\"]\n{route}{limit}"), &["1:2: unknown key \"upstream\""]);
    check(
        &format!("[upstreams.b]\nendpoints = [\"a:1\"]\n[x]\n{route}{limit}"),
        &["3:2: unknown key \"x\"", "6:12: unknown upstream \"a\""],
    );
}

#[test]
fn who_may_use_a_route_is_not_asked_where_a_key_of_it_is_unknown() {
    let says_so = |key: &str| {
        let text = format!(
            "[identity.providers.k]\nkind = \"mtls\"\n[[routes]]\npath = \"/\"\nupstream = \"http://127.0.0.1:1\"\n{key}"
        );
        let told: Vec<String> = match load_text_with(&text, Path::new("gateway.toml"), Purpose::Check, &NoEnvironment) {
            Ok(loaded) => loaded.warnings.iter().map(|it| it.message.clone()).collect(),
            Err(problems) => problems.iter().map(|it| it.message.clone()).collect(),
        };
        told.iter().any(|message| message.contains("has no `auth`"))
    };
    assert!(says_so("") && says_so("timeout = 5"));
    assert!(!says_so("auht = { providers = [\"k\"] }"));
}
