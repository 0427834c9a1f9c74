//! What is registered in code: a program that registers nothing looks at such a configuration, and does not serve it.

use std::path::Path;

use gateway::config::{Purpose, load_text_with};

use super::{NoEnvironment, check, errors, warnings};

const HANDLED: &str = "[[routes]]\npath = \"/a\"\nhandler = \"h\"\n";

#[test]
fn what_needs_another_program_is_a_warning_when_looked_at_and_an_error_when_served() {
    let told = "3:11: the handler \"h\" is registered in code, and this program registers none \
                (it needs a program that embeds the gateway: docs/embedding.md)";
    assert_eq!(warnings(HANDLED), [told]);
    let served = load_text_with(HANDLED, Path::new("gateway.toml"), Purpose::Run, &NoEnvironment);
    let problems = served.map(drop).unwrap_err().to_string();
    assert!(problems.contains("this program registers none"), "{problems}");
}

#[test]
fn what_only_an_upstream_has_a_use_for_does_not_stand_beside_a_handler() {
    for (key, value) in [
        ("fallback", "{ status = 503 }"),
        ("retry", "{ attempts = 2 }"),
        ("hedge", "{ after = \"1s\" }"),
        ("breaker", "{ }"),
        ("coalesce", "true"),
        ("host", "\"upstream\""),
        ("buffer_request", "\"1KiB\""),
        ("mirror", "{ upstream = \"http://127.0.0.1:1\" }"),
        ("compress", "true"),
        ("cache", "true"),
    ] {
        let found = errors(&format!("{HANDLED}{key} = {value}"));
        let message = format!("`{key}` is for a route with an upstream; this one has `handler`");
        assert!(found.iter().any(|error| error.ends_with(&message)), "{found:?}");
    }
    check(&format!("{HANDLED}rewrite = {{ strip_prefix = \"/a\" }}\ncompress = false"), &[]);
    check(&format!("[defaults.route]\nretry = {{ attempts = 2 }}\n{HANDLED}"), &[]);
}

#[test]
fn stages_are_named_once_and_see_one_requests_answer_as_it_comes() {
    let route =
        |keys: &str| format!("[[routes]]\npath = \"/a\"\nupstream = \"http://127.0.0.1:1\"\nstages = [\"s\"{keys}");
    check(&route(", \"s\"]"), &["4:16: this stage is named twice"]);
    check(&route("]\ncoalesce = true"), &["5:12: a route does not coalesce and have stages"]);
    check(&route("]\ncompress = true"), &["5:12: a route does not compress and have stages"]);
    check(&route("]\ncache = true"), &["5:9: a route does not cache and have stages"]);
}

#[test]
fn what_is_custom_has_a_name() {
    let upstream = "[upstreams.u]\nendpoints = [\"127.0.0.1:1\"]\n";
    let lacks = "custom needs the `name` of what is registered in code";
    check(&format!("{upstream}balance = \"custom\""), &[&format!("3:11: {lacks}")]);
    check(&format!("{upstream}balance = {{ policy = \"custom\" }}"), &[&format!("3:11: {lacks}")]);
    check(
        &format!("{upstream}balance = {{ policy = \"random\", name = \"b\" }}"),
        &["3:39: `name` is for the policy custom"],
    );
    check("[identity.providers.p]\nkind = \"custom\"", &["1:1: \"name\" is missing in [identity.providers.p]"]);
    let found = errors("[rate_limits.l]\nrate = \"1/s\"\nburst = 1\nkey = \"custom:\"");
    assert_eq!(found.len(), 1, "{found:?}");
}
