//! `[[aggregates]]`.

use super::{check, errors, warnings};

/// An aggregate with these parts, which begin at column 10 of line 4.
fn aggregate(parts: &str) -> String {
    format!("upstreams.u.endpoints = [\"b:1\"]\n[[aggregates]]\npath = \"/d/{{id}}/{{*rest}}\"\nparts = [{parts}]")
}

fn part(name: &str, path: &str) -> String {
    format!("{{ name = \"{name}\", upstream = \"u\", path = \"{path}\" }}")
}

#[test]
fn parts_use_what_there_is() {
    check(&aggregate(&part("a", "/x/{id}/{rest}?t={id}")), &[]);
    check(&aggregate(&[part("a", "/"), part("b", "/{a.x.0}?{a.y}")].join(", ")), &[]);
    check(
        &aggregate(&part("a", "/{id}?t={b.c}")),
        &["4:47: \"b.c\" is neither a parameter of the path nor a part's value"],
    );
    check(&aggregate(&part("a", "/{a}")), &["4:47: \"a\" is neither a parameter of the path nor a part's value"]);
    check(
        &aggregate("{ name = \"a\", upstream = \"v\", path = \"/\", fallback = \"{\" }"),
        &["4:35: unknown upstream \"v\"", "4:63: a part's fallback is JSON"],
    );
    check(&aggregate(&[part("a", "/"), part("a", "/")].join(", ")), &["4:63: the part \"a\" is there twice"]);
    check(&aggregate(""), &["4:9: the list is empty"]);
    let many: Vec<String> = (0..33).map(|n| part(&format!("p{n}"), "/")).collect();
    check(&aggregate(&many.join(", ")), &["4:9: more than 32 parts"]);
}

#[test]
fn a_parts_headers_are_edited_as_a_routes() {
    let with = |edits: &str| {
        aggregate(&format!("{{ name = \"a\", upstream = \"u\", path = \"/\", request_headers = {{ {edits} }} }}"))
    };
    check(&with("set = { x-view = \"short\", accept = \"application/hal+json\" }, remove = [\"cookie\"]"), &[]);
    check(&with("set = { x-a = \"{id} {rest} {uri}\" }, add = { x-b = \"{header:x-c}\" }"), &[]);
    check(
        &with("set = { x-a = \"{a}\" }"),
        &["4:86: {a} is no value of a request, and no parameter of \"/d/{id}/{*rest}\""],
    );
    check(&with("set = { x-a = \"1\" }, remove = [\"X-A\"]"), &["4:80: \"x-a\" is both set and removed"]);
    check(
        &with("set = { x-auth-subject = \"root\" }"),
        &["4:80: \"x-auth-subject\" is an identity header, which only the gateway's identity sets"],
    );
    for name in ["accept-encoding", "Range", "If-None-Match"] {
        let message = format!("4:80: \"{}\" may bring an answer that is no part of a document", name.to_lowercase());
        check(&with(&format!("set = {{ {name} = \"x\" }}")), &[&*message]);
    }
    let told = errors(&with("set = { content-length = \"1\" }"));
    assert_eq!(told.len(), 1, "as on a route: {told:?}");
    assert_eq!(errors(&with("append = {}")).len(), 1);
}

#[test]
fn a_parameter_of_the_query_is_given_whole() {
    check(&aggregate(&part("a", "/x?q={query.q}&t={id}&p={query.a.b}")), &[]);
    for path in ["/x/{query.q}", "/x?{query.q}", "/x?q=a{query.q}"] {
        let told = "4:47: {query.q} is not the whole value of a parameter of the call's query";
        check(&aggregate(&part("a", path)), &[told]);
    }
    check(
        &aggregate(&part("a", "/x?q={query.}")),
        &["4:47: \"query.\" is neither a parameter of the path nor a part's value"],
    );
}

#[test]
fn parts_wait_for_each_other_in_no_circle() {
    let circle = [part("a", "/{b.x}"), part("b", "/{c.x}"), part("c", "/{a.x}")].join(", ");
    check(
        &aggregate(&circle),
        &["4:10: parts wait for each other in a circle: \"a\" needs \"b\" needs \"c\" needs \"a\""],
    );
    check(&aggregate(&part("a", "/{a.x}")), &["4:10: parts wait for each other in a circle: \"a\" needs \"a\""]);
}

#[test]
fn a_calls_path_is_in_its_one_form() {
    for path in ["/a/../b", "/a//b", "/a/./{id}", "//{id}"] {
        check(&aggregate(&part("a", path)), &["4:47: a call's path has no dot segments and no empty ones"]);
    }
    check(
        &aggregate(&part("a", "/a/..{id}")),
        &["4:47: a value cannot follow dots alone in a segment: the whole might be a dot segment"],
    );
    check(&aggregate(&part("a", "/a/v.{id}/?x=//..")), &[]);
}

#[test]
fn it_answers_get_within_its_time() {
    let with = |keys: &str| aggregate(&part("a", "/")).replacen("path =", &format!("{keys}\npath ="), 1);
    check(&with("methods = [\"GET\", \"HEAD\"]"), &[]);
    check(&with("methods = [\"GET\", \"POST\"]"), &["3:19: an aggregate answers GET and HEAD"]);
    let timed = |whole: &str| {
        let part = "{ name = \"a\", upstream = \"u\", path = \"/\", timeout = \"3s\" }";
        aggregate(part).replacen("path =", &format!("timeout = \"{whole}\"\npath ="), 1)
    };
    check(&timed("3s"), &[]);
    check(&timed("0s"), &[]);
    check(&timed("2s"), &["5:62: the part's timeout is above the aggregate's"]);
}

#[test]
fn it_is_a_route_among_others() {
    let route = "[[routes]]\nname = \"r\"\npath = \"/d/{x}/{*y}\"\nmethods = [\"GET\"]\nupstream = \"u\"";
    let both = format!("{}\n{route}", aggregate(&part("a", "/")));
    assert_eq!(errors(&both), ["2:1: this route matches the same requests as the one at gateway.toml:5"]);
    let named = aggregate(&part("a", "/")).replacen("path =", "name = \"r\"\npath =", 1);
    let both = format!("{named}\n{}", route.replace("/d/", "/e/"));
    assert_eq!(errors(&both).len(), 1, "{:?}", errors(&both));
}

#[test]
fn defaults_that_keep_requests_out_keep_none_out_here() {
    let text = |keys: &str| {
        format!(
            "[defaults.route]\n{keys}\n{}",
            aggregate(&part("a", "/")).replacen("upstreams.u.endpoints = ", "[upstreams.u]\nendpoints = ", 1)
        )
    };
    assert!(!warnings(&text("timeout = \"1s\"")).iter().any(|it| it.contains("does not hold")));
    let told = warnings(&text("https = \"require\"\naddresses = { allow = [\"10.0.0.0/8\"] }"));
    let expected = "\"https\", \"addresses\" of [defaults.route] does not hold for an aggregate";
    assert!(told.iter().any(|it| it.contains(expected)), "{told:?}");
    let limited =
        "hosts = [\"a.example\"]\nrate_limits = [\"l\"]\n[rate_limits.l]\nrate = \"1/s\"\nburst = 1\nkey = \"route\"";
    let told = warnings(&text(limited));
    let expected = "\"hosts\", \"rate_limits\" of [defaults.route] does not hold for an aggregate (write it there too)";
    assert!(told.iter().any(|it| it.ends_with(expected)), "{told:?}");
    let pages = "cors = { origins = [\"https://a.example\"] }\nresponse_headers = { remove = [\"server\"] }\ncompress = true\n\
         problems = { 404 = { body = \"no\" } }";
    let told = warnings(&text(pages));
    let expected = "\"cors\", \"response_headers\", \"problems\", \"compress\" of [defaults.route] does not hold for an aggregate \
                    (write it there too)";
    assert!(told.iter().any(|it| it.ends_with(expected)), "{told:?}");
    let without = text(pages).replacen("[[aggregates]]", "[[aggregates]]\ncors = false", 1);
    assert!(!warnings(&without).iter().any(|it| it.contains("\"cors\"")));
    let own = text(limited).replacen("[[aggregates]]", "[[aggregates]]\nhosts = []\nrate_limits = [\"l\"]", 1);
    let told = warnings(&own);
    assert!(!told.iter().any(|it| it.contains("does not hold")), "{told:?}");
    let at_once = warnings(&text("max_in_flight = 5"));
    let expected = "\"max_in_flight\" of [defaults.route] does not hold for an aggregate (write it there too)";
    assert!(at_once.iter().any(|it| it.ends_with(expected)), "{at_once:?}");
    let nothing = text("hosts = []\nrate_limits = []\nmax_in_flight = 0");
    assert!(!warnings(&nothing).iter().any(|it| it.contains("does not hold")));
}

#[test]
fn what_it_says_to_clients_is_held_to_what_a_routes_edits_are() {
    let with = |keys: &str| aggregate(&part("a", "/")).replacen("path =", &format!("{keys}\npath ="), 1);
    check(
        &with("response_headers = { set = { x-id = \"{id} {client_ip}\" }, remove = [\"x-aggregate-missing\"] }"),
        &[],
    );
    check(&with("problems = { 5xx = { body = \"sorry\" } }"), &[]);
    check(&with("compress = true"), &[]);
    check(&with("compress = { codings = [\"zstd\"], min_size = \"4KiB\" }"), &[]);
    let told = errors(&with("compress = { codings = [\"br\"] }"));
    assert!(told[0].contains("\"br\""), "{told:?}");
    let told = errors(&with("response_headers = { set = { x-id = \"{idd}\" } }"));
    assert!(told[0].contains("{idd} is no value of a request, and no parameter of \"/d/{id}/{*rest}\""), "{told:?}");
    let told = errors(&with("response_headers = { set = { content-length = \"1\" } }"));
    assert_eq!(told.len(), 1, "{told:?}");
    let told = errors(&with("problems = { 5xy = { body = \"sorry\" } }"));
    assert_eq!(told.len(), 1, "{told:?}");
    let batch = "[[batches]]\npath = \"/i/{id}\"\nupstream = \"u\"\nresponse_headers = { set = { set-cookie = \"{id}\" } }\n\
                 request = { path = \"/{ids}\", method = \"GET\" }\nresponse = { items = \"/items\", key = \"/id\" }";
    let told = errors(&format!("upstreams.u.endpoints = [\"b:1\"]\n{batch}"));
    assert!(told[0].contains("a client could write a cookie's attributes"), "{told:?}");
}

#[test]
fn a_host_that_takes_the_requests_of_many_routes_is_told_of_once() {
    let route = |keys: &str| format!("[[routes]]\n{keys}\nanswer = {{}}\n");
    let one = "path = \"/{*rest}\"\nhosts = [\"a.example\"]";
    let text: String = [one, "path = \"/a\"", "path = \"/b\"", "path = \"/c\""].map(route).concat();
    assert_eq!(
        warnings(&text),
        [
            "1:1: on a.example this route takes the requests of the one at gateway.toml:5 and of 2 more: the more specific \
             host comes before the more specific path (write a higher `priority` there, or second ones for this host)"
        ]
    );
}

#[test]
fn it_is_of_some_hosts_and_comes_before_others_like_a_route() {
    let of_a_host = "[[routes]]\npath = \"/{*rest}\"\nupstream = \"u\"\nhosts = [\"a.example\"]\n";
    let with = |keys: &str| {
        let text = aggregate(&part("a", "/")).replacen("path =", &format!("{keys}\npath ="), 1);
        warnings(&format!("{text}\n{of_a_host}"))
    };
    assert_eq!(
        with(""),
        [
            "2:1: on a.example the route at gateway.toml:6 takes these requests: the more specific host comes before the more \
          specific path (write a higher `priority`, or a second one for this host)"
        ]
    );
    assert!(with("hosts = [\"a.example\"]").is_empty() && with("priority = 1").is_empty());
    let batch = "[[batches]]\npath = \"/i/{id}\"\nupstream = \"u\"\nhosts = [\"b.example\"]\npriority = 2\n\
                 request = { path = \"/{ids}\", method = \"GET\" }\nresponse = { items = \"/items\", key = \"/id\" }";
    check(&format!("upstreams.u.endpoints = [\"b:1\"]\n{batch}"), &[]);
}
