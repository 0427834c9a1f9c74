//! `grpc_web` of a route: whose calls are translated, and who can take them.

use super::{check, errors, warnings};

#[test]
fn what_is_translated_for_web_pages_goes_to_services_that_speak_http_2() {
    let with = |upstream: &str, route: &str| {
        format!(
            "[upstreams.a]\nendpoints = [\"b:1\"]\nprotocol = \"http2\"\n\
             [upstreams.c]\nendpoints = [\"d:1\"]\n[[routes]]\npath = \"/\"\nupstream = \"{upstream}\"\ngrpc_web = true\n{route}"
        )
    };
    let slow =
        |name: &str| format!("9:12: `grpc_web` makes gRPC of calls, and the upstream \"{name}\" does not speak HTTP/2");
    check(&with("a", ""), &[]);
    check(&with("c", ""), &[&slow("c")]);
    check(&with("http://e:1", ""), &[&slow("http://e:1")]);
    check(&with("a", "fallback = { upstream = \"c\" }"), &[&slow("c")]);
    check(&with("a", "mirror = { upstream = \"c\" }"), &[&slow("c")]);
    check(&with("a", "fallback = { status = 503 }"), &[]);
    // What is shared by all routes is of no use to some of them.
    let shared = |route: &str| format!("[defaults.route]\ngrpc_web = true\n[[routes]]\npath = \"/\"\n{route}");
    check(&shared("answer = {}"), &[]);
    check(&shared("upstream = \"http://e:1\"\ngrpc_web = false"), &[]);
    check(&shared("upstream = \"http://e:1\""), &[&slow("http://e:1").replacen("9:12", "2:12", 1)]);
    let both = format!("[defaults.upstream]\nprotocol = \"http2\"\n{}", shared("upstream = \"http://e:1\""));
    check(&both, &[]);
}

#[test]
fn what_is_translated_for_web_pages_are_calls_of_an_upstream() {
    let with = |route: &str| format!("[defaults.upstream]\nprotocol = \"http2\"\n[[routes]]\npath = \"/\"\n{route}");
    check(
        &with("answer = {}\ngrpc_web = true"),
        &["6:12: `grpc_web` is for the calls of an upstream; this route has `answer`"],
    );
    let upstream = "upstream = \"http://e:1\"\ngrpc_web = true\n";
    let stages = errors(&with(&format!("{upstream}stages = [\"x\"]")));
    assert!(stages.contains(&"6:12: a route does not translate gRPC-Web and have stages".to_owned()), "{stages:?}");
    for (keys, told) in [
        ("", None),
        ("methods = [\"POST\"]", None),
        ("methods = [\"GET\"]", Some("6:12: this route takes no POST, and so no call of gRPC (")),
        ("body = { \"/a\" = 1 }", Some("6:12: a call of gRPC is no JSON: this route's `body` never matches one (")),
        ("cache = true", Some("7:9: `cache` is for GET, and calls of gRPC are POST: none is kept or shared (")),
        ("coalesce = true", Some("7:12: `coalesce` is for GET, and calls of gRPC are POST: none is kept or shared (")),
        ("cache = false\ncoalesce = false", None),
    ] {
        let warnings = warnings(&with(&format!("{upstream}{keys}")));
        match told {
            None => assert!(warnings.is_empty(), "{warnings:?}"),
            Some(told) => assert!(warnings.len() == 1 && warnings[0].starts_with(told), "{keys}: {warnings:?}"),
        }
    }
}
