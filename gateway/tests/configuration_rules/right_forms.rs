//! Who writes a value of another type is told the right form, with the value in it where it is plain what was meant.

use std::path::Path;

use gateway::config::{Purpose, load_text_with};

use super::{NoEnvironment, warnings};

/// The help of the first problem, or of the first value of another type.
#[track_caller]
fn help(text: &str) -> String {
    let Err(problems) = load_text_with(text, Path::new("gateway.toml"), Purpose::Check, &NoEnvironment) else {
        panic!("{text} is right")
    };
    let of_type = problems.iter().find(|problem| problem.message.starts_with("expected"));
    of_type.or(problems.iter().next()).unwrap().help.clone().unwrap_or_default()
}

fn of_route(key: &str) -> String {
    help(&format!("[[routes]]\npath = \"/{{*rest}}\"\nupstream = \"http://127.0.0.1:1\"\n{key}"))
}

#[test]
fn one_value_in_place_of_a_table_is_a_key_of_it() {
    for (written, right) in [
        ("cache = \"10m\"", "write cache = { default_ttl = \"10m\" }"),
        ("cache = \"on\"", "write cache = true"),
        ("compress = \"gzip\"", "write compress = { codings = [\"gzip\"] }"),
        ("compress = \"off\"", "write compress = false"),
        ("compress = 1", "write compress = true"),
        ("retry = 3", "write retry = { attempts = 3 }"),
        ("retry = false", "write retry = { attempts = 1 }"),
        ("hedge = \"50ms\"", "write hedge = { after = \"50ms\" }"),
        ("mirror = \"shadow\"", "write mirror = { upstream = \"shadow\" }"),
        ("fallback = \"other\"", "write fallback = { upstream = \"other\" }"),
        ("fallback = 503", "write fallback = { status = 503 }"),
        ("auth = \"main\"", "write auth = { providers = [\"main\"] }"),
        ("cors = \"*\"", "write cors = { origins = [\"*\"] }"),
        ("addresses = [\"10.0.0.0/8\"]", "write addresses = { allow = [\"10.0.0.0/8\"] }"),
        ("rewrite = \"/v2/{rest}\"", "write rewrite = { path = \"/v2/{rest}\" }"),
        ("rewrite = \"/api\"", "write rewrite = { strip_prefix = \"/api\" }"),
        ("forward_auth = \"/verify\"", "write forward_auth = { upstream = …, path = \"/verify\" }"),
        ("problems = { 404 = \"none\" }", "write 404 = { body = \"none\" }"),
    ] {
        assert_eq!(of_route(written), right, "{written}");
    }
    assert_eq!(help("[[routes]]\npath = \"/\"\nanswer = 404"), "write answer = { status = 404 }");
    assert_eq!(help("[[routes]]\npath = \"/\"\nanswer = \"gone\""), "write answer = { body = \"gone\" }");
    assert_eq!(help("[defaults.route]\nretry = 1"), "write retry = { attempts = 1 }");
    // What a variable holds may be a secret, and what fits nowhere is put nowhere.
    assert_eq!(of_route("redirect = true"), "write [routes.redirect] and its keys below");
    assert_eq!(of_route("cors = \"${NONE:-*}\""), "write [routes.cors] and its keys below, or cors = false for none");
    assert_eq!(help("server = 1"), "write [server] and its keys below");
}

#[test]
fn a_list_and_one_value_are_told_apart() {
    for (written, right) in [
        ("methods = \"GET\"", "write methods = [\"GET\"]"),
        ("methods = \"GET, POST\"", "write methods = [\"GET\", \"POST\"]"),
        ("methods = 1", "a list is written [\"a\", \"b\"]"),
        ("split = \"a\"", "a list of tables is written split = [{ upstream = …, weight = … }]"),
        ("host = [\"client\"]", "write it without brackets: \"client\""),
        ("headers = { X-A = [\"1\", \"2\"] }", "one of several is a pattern: \"~1|2\""),
        ("query = [\"a\", \"b.c\"]", "write query = { a = \"*\", \"b.c\" = \"*\" }"),
        ("query = \"a=1\"", "write query = { a = \"1\" }"),
        ("headers = [\"x-a: 1\", \"x-b: 2\"]", "write headers = { x-a = \"1\", x-b = \"2\" }"),
        (
            "host = [\"a.example\"]",
            "`host` is what the upstream is told: which hosts a route is for is `hosts = [ … ]`",
        ),
        ("headers = \"x-a\"", "write headers = { x-a = \"*\" }"),
        ("headers = 1", "write headers = { x-user = \"*\" }"),
        (
            "auth = { providers = [\"a\"], claims = { roles = [\"a\", \"b\"] } }",
            "write one value: the claim has to equal it, or to be a list that holds it",
        ),
    ] {
        assert_eq!(of_route(written), right, "{written}");
    }
    let path = help("[[routes]]\npath = [\"/a\", \"/b\"]\nupstream = \"http://a\"");
    assert!(path.starts_with("write a route for each path"), "{path}");
    let upstream = help("[[routes]]\npath = \"/\"\nupstream = [\"http://a\", \"http://b\"]");
    assert!(upstream.contains("[upstreams.NAME]") && upstream.contains("`split`"), "{upstream}");
}

#[test]
fn quotes_stand_where_they_belong() {
    for (written, right) in [
        ("intercept = [404]", "write it in quotes: \"404\""),
        ("priority = \"5\"", "write it without quotes: 5"),
        ("priority = \"high\"", "write a whole number without quotes, for example 10"),
        ("priority = 1.0", "write it without a point: 1"),
        ("rewrite = { strip_prefix = true }", "for example \"/api\""),
        ("coalesce = \"yes\"", "write true, without quotes"),
        ("mirror = { upstream = \"a\", fraction = \"0.5\" }", "write it without quotes: 0.5"),
        ("timeout = 5", "write the unit too: \"5s\", or \"5ms\""),
        ("timeout = true", "a duration is written \"250ms\", \"5s\", \"10m\" or \"1h\""),
        ("max_body = 0", "a size is written \"64KiB\", \"10MiB\", \"1GiB\" or \"0\""),
        (
            "split = [{ upstream = \"a\", weight = 0.5 }]",
            "weights are whole numbers, and count beside each other: 0.25 and 0.75 are 1 and 3",
        ),
    ] {
        assert_eq!(of_route(written), right, "{written}");
    }
    let port = "write \"0.0.0.0:8084\" for every address, or \"127.0.0.1:8084\" for this machine alone";
    assert_eq!(help("[[listeners]]\naddress = 8084"), port);
    assert_eq!(help("[upstreams.a]\nendpoints = [9001]"), "write the host too: \"127.0.0.1:9001\"");
    assert_eq!(
        help("[rate_limits.a]\nrate = 5\nburst = 1\nkey = \"route\""),
        "write for which time: \"5/s\", or \"5/m\""
    );
}

#[test]
fn a_new_path_is_written_as_it_is_here() {
    assert!(of_route("rewrite = { path = \"/x?id={rest}\" }").contains("`request_query = {"));
    let path = help("[[routes]]\npath = \"/a?b=c\"\nupstream = \"http://a\"");
    assert!(path.contains("`query = {"), "{path}");
    for sign in ["$1", "$request_uri"] {
        let told = warnings(&format!(
            "[[routes]]\npath = \"/a/{{*rest}}\"\nupstream = \"http://127.0.0.1:1\"\nrewrite = {{ path = \"/v2/{sign}\" }}"
        ));
        assert_eq!(
            told,
            [format!(
                "4:20: \"{sign}\" in a path is sent as written (a parameter of the route's path is written {{NAME}}, and so is \
                 a group of `path_regex`: (?<NAME>…))"
            )]
        );
    }
}
