//! Values that turn something off, or are its default, ask for nothing.

use super::{built, check, check_route, check_upstream, warnings};

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
fn times_that_routes_share_are_of_no_matter_where_nobody_is_asked() {
    let own = |shared: &str, route: &str| format!("[defaults.route]\n{shared}\n[[routes]]\npath = \"/a\"\n{route}\n");
    for shared in ["retry = { per_try_timeout = \"2s\" }", "hedge = { after = \"1500ms\" }"] {
        check(&own(shared, "answer = { status = 200 }\ntimeout = \"1s\""), &[]);
        check(&own(shared, "redirect = { path = \"/b\" }\ntimeout = \"1s\""), &[]);
    }
    // A route with less time of its own cuts what is shared short; one that writes both means neither.
    let upstream = "upstream = \"http://127.0.0.1:1\"\ntimeout = \"1s\"";
    check(&own("retry = { per_try_timeout = \"2s\" }", upstream), &[]);
    let both = format!("{upstream}\nretry = {{ per_try_timeout = \"3s\" }}");
    check(&own("", &both), &["7:29: per_try_timeout is above the route's timeout"]);
}

/// Else nobody knew which of a thousand routes is meant.
#[test]
fn what_does_not_go_with_what_is_shared_is_told_where_it_stands() {
    let route = "[[routes]]\npath = \"/a\"\nupstream = \"http://127.0.0.1:1\"\n";
    let cached =
        |shared: &str| format!("[defaults.route]\ncache = {{ {shared} }}\n{route}cache = {{ max_ttl = \"10s\" }}");
    check(&cached("default_ttl = \"1h\""), &["6:21: `default_ttl` is above `max_ttl`"]);
    check(&cached("status_ttl = { 404 = \"1h\" }"), &["6:21: 404 has a longer time than `max_ttl`"]);
    let hedged = format!("[defaults.route]\nhedge = {{ after = \"2s\" }}\n{route}timeout = \"1s\"");
    check(&hedged, &["6:11: hedge.after is not below the 1s that an attempt has: no hedge would ever begin"]);
    let opened = "[defaults.upstream]\nbreaker = { open_for = \"9s\" }\n[upstreams.a]\nendpoints = [\"127.0.0.1:1\"]\n\
                  breaker = { max_open_for = \"2s\" }\n[[routes]]\npath = \"/\"\nupstream = \"a\"";
    check(opened, &["5:28: open_for is above max_open_for"]);
}

/// A route that has all that routes may share; its keys go on from line 22.
const SHARED: &str = "[identity.providers.main]\nkind = \"jwt\"\nissuer = \"i\"\naudiences = [\"a\"]\n\
                      jwks = { url = \"https://idp.example/jwks\" }\n[upstreams.a]\nendpoints = [\"b:1\"]\n\
                      [upstreams.b]\nendpoints = [\"b:2\"]\n[defaults.route]\nauth = { providers = [\"main\"] }\n\
                      forward_auth = { upstream = \"b\" }\n\
                      cors = { origins = [\"https://a.example\"], headers = [\"authorization\"] }\n\
                      breaker = { consecutive_failures = 3 }\nfallback = { status = 503 }\n\
                      mirror = { upstream = \"b\", methods = [\"GET\"] }\naddresses = { allow = [\"10.0.0.0/8\"] }\n\
                      rewrite = { strip_prefix = \"/x\" }\n[[routes]]\npath = \"/x/{id}\"\nupstream = \"a\"\n";

#[test]
fn false_is_none_of_what_routes_share() {
    let names = ["auth", "forward_auth", "cors", "breaker", "fallback", "mirror", "addresses", "rewrite"];
    let there = |keys: &str| {
        let route = built(&format!("{SHARED}{keys}"));
        [
            route.auth.is_some(),
            route.forward_auth.is_some(),
            route.cors.is_some(),
            route.breaker.is_some(),
            route.fallback.is_some(),
            route.mirror.is_some(),
            route.origin.is_some(),
            route.rewrite.is_some(),
        ]
    };
    assert_eq!(there(""), [true; 8]);
    for (at, name) in names.into_iter().enumerate() {
        let mut expected = [true; 8];
        expected[at] = false;
        assert_eq!(there(&format!("{name} = false\n")), expected, "{name}");
    }
    let all: String = names.iter().map(|name| format!("{name} = false\n")).collect();
    assert_eq!(there(&all), [false; 8]);
    check_route(&all, &[]);
    let opened = warnings(&format!("{SHARED}{all}"));
    assert!(!opened.iter().any(|it| it.contains("everybody may use it")), "that was said: {opened:?}");
}

#[test]
fn that_all_routes_are_open_may_be_said_once() {
    let text = |shared: &str| {
        format!(
            "[identity.providers.p]\nkind = \"mtls\"\n[defaults.route]\n{shared}\n[[routes]]\npath = \"/a\"\n\
             upstream = \"http://127.0.0.1:1\"\n[[aggregates]]\npath = \"/s\"\n\
             parts = [{{ name = \"a\", upstream = \"up\", path = \"/\" }}]\n[upstreams.up]\nendpoints = [\"b:1\"]\n"
        )
    };
    let open = |shared: &str| {
        let told = warnings(&text(shared));
        told.into_iter().find(|it| it.contains("everybody may use"))
    };
    assert!(open("").unwrap().contains("2 routes have no `auth`"));
    // An aggregate has nothing of what routes share.
    let left = open("auth = false").unwrap();
    assert!(left.contains("this route has no `auth`") && left.starts_with("8:"), "{left}");
}

#[test]
fn false_is_no_mistake_where_a_table_would_be_one() {
    check("[[routes]]\npath = \"/\"\nanswer = {}\nmirror = false\nfallback = false\nrewrite = false", &[]);
}

#[test]
fn an_empty_table_takes_nothing_away_and_that_is_told() {
    let told = |keys: &str| warnings(&format!("{SHARED}{keys}"));
    for (name, place) in [("auth", "22:8"), ("cors", "22:8"), ("fallback", "22:12")] {
        let expected = format!(
            "{place}: this is the `{name}` that routes share, and nothing else ({name} = false is none; or leave it out)"
        );
        let told = told(&format!("{name} = {{}}\n"));
        assert!(told.contains(&expected), "{told:?}");
    }
    assert!(!told("auth = { scopes = [\"a\"] }\n").iter().any(|it| it.contains("and nothing else")));
    check_route("auth = true", &["4:8: expected a table or false, found true"]);
    check_route("cors = \"*\"", &["4:8: expected a table or false, found a string"]);
    check_route("auth = {}", &["4:8: \"providers\" is missing in [routes.auth]"]);
}
