//! What later versions bring: accepted when off, refused once, and checked all the same.

use super::{check, check_route, check_unbuilt, check_upstream};

#[test]
fn what_is_off_or_default_is_accepted() {
    for keys in
        ["hedge = { after = \"0ms\", max = 3 }", "coalesce = false", "body = {}", "rate_limits = []", "openapi = \"\""]
    {
        check_route(keys, &[]);
    }
    check_upstream("protocol = \"http1\"", &[]);
    check_upstream("protocol = \"http2\"", &[]);
    check("[server]\nh2_stream_window = \"65536B\"", &[]);
    check("[stores]\n[rate_limits]\n[identity]\nclaims = {}\n[identity.providers]", &[]);
}

#[test]
fn what_is_not_built_is_said_once() {
    check(
        "[defaults.route]\nhandler = \"x\"",
        &["2:1: [defaults.route] handler: handlers in code are not built yet"],
    );
}

#[test]
fn policies_that_are_not_built_are_checked_all_the_same() {
    let route = |keys: &str| format!("[[routes]]\npath = \"/a\"\nupstream = \"http://127.0.0.1:1\"\n{keys}");
    check_unbuilt(
        &route("handler = \"h\""),
        &["4:11: a route has one of `upstream`, `split`, `handler`, `redirect` and `answer`"],
    );
}
