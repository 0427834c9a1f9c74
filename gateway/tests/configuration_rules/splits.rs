//! Routes that several upstreams share.

use super::{check, errors};

/// A route with these keys from line 7 on, and this split behind them.
fn route(split: &str, keys: &str) -> String {
    format!(
        "[upstreams.a]\nendpoints = [\"b:1\"]\n[upstreams.b]\nendpoints = [\"b:2\"]\n\
         [[routes]]\npath = \"/\"\n{keys}\nsplit = [{split}]\n[identity.providers.k]\nkind = \"mtls\"\n"
    )
}

const OPEN: &str = "auth = { providers = [\"k\"], optional = true }";

#[test]
fn a_split_says_who_gets_what() {
    let a = "{ upstream = \"a\", weight = 95 }";
    check(&route(&format!("{a}, {{ upstream = \"b\", weight = 5, sticky = \"subject\" }}"), OPEN), &[]);
    check(&route(a, OPEN), &[]);
    check(&route(&format!("{a}, {{ upstream = \"b\", weight = 0 }}"), OPEN), &[]);
    check(&route("", OPEN), &["8:9: the list is empty"]);
    check(&route(&format!("{a}, {{ upstream = \"c\", weight = 5 }}"), OPEN), &["8:56: unknown upstream \"c\""]);
    check(&route(&format!("{a}, {a}"), OPEN), &["8:56: this upstream is named twice"]);
    check(
        &route("{ upstream = \"a\", weight = 0 }, { upstream = \"b\", weight = 0 }", OPEN),
        &["8:9: every upstream has weight 0"],
    );
    check(&route("{ upstream = \"a\" }", OPEN), &["8:10: \"weight\" is missing in [routes.split]"]);
    let told = errors(&route("{ upstream = \"a\", weight = \"90\" }, { upstream = \"b\", weight = \"10\" }", OPEN));
    assert!(told.len() == 2 && told.iter().all(|it| it.contains("found a string")), "{told:?}");
    check(
        &route(a, &format!("{OPEN}\nupstream = \"a\"")),
        &["9:9: a route has one of `upstream`, `split`, `handler`, `redirect` and `answer`"],
    );
}

#[test]
fn what_clients_are_kept_by_can_be_there() {
    let by = |one: &str, other: &str, keys: &str| {
        let one = format!("{{ upstream = \"a\", weight = 1, sticky = \"{one}\" }}");
        route(&format!("{one}, {{ upstream = \"b\", weight = 1, sticky = \"{other}\" }}"), keys)
    };
    for key in ["client_ip", "subject", "claim:org", "header:x-user", "cookie:session"] {
        check(&by(key, key, OPEN), &[]);
    }
    check(
        &by("subject", "client_ip", OPEN),
        &["8:101: another upstream of this split keeps its clients by \"subject\""],
    );
    let not = "not client_ip, subject, header:NAME, cookie:NAME or claim:NAME:";
    check(
        &by("global", "user", OPEN),
        &[
            &format!("8:49: \"global\" is {not} that keeps all clients together: leave `sticky` out"),
            &format!("8:100: \"user\" is {not} that is no key"),
        ],
    );
    check(&by("subject", "subject", ""), &["8:49: this route proves nobody's identity, so it has no such key"]);
    check(
        &by("header:X-Auth-Subject", "header:X-Auth-Subject", OPEN),
        &["8:49: \"x-auth-subject\" is an identity header, which is taken from every request"],
    );
}

#[test]
fn a_cookie_that_names_an_endpoint_keeps_nobody_with_a_version() {
    let text = |sticky: &str, cookie: &str| {
        let share = |name: &str| format!("{{ upstream = \"{name}\", weight = 1, sticky = \"{sticky}\" }}");
        let shares = format!("{}, {}", share("a"), share("b"));
        route(&shares, OPEN).replace(
            "endpoints = [\"b:2\"]",
            &format!("endpoints = [\"b:2\"]\naffinity = {{ {cookie}key_env = \"AFFINITY_KEY\" }}"),
        )
    };
    let told = "9:49: this cookie is the `affinity` of the upstream \"b\": it names an endpoint, and is the same for all \
                clients of that";
    check(&text("cookie:lb", "cookie = \"lb\", "), &[told]);
    check(&text("cookie:gw-b", ""), &[told]);
    check(&text("cookie:session", "cookie = \"lb\", "), &[]);
    check(&text("client_ip", ""), &[]);
}

#[test]
fn what_stands_in_is_another_one() {
    let both = "{ upstream = \"a\", weight = 1 }, { upstream = \"b\", weight = 1 }";
    let keys = format!("{OPEN}\nretry = {{ per_try_timeout = \"1s\" }}\nfallback = {{ upstream = \"a\" }}");
    check(&route(both, &keys), &[]);
    check(
        &route("{ upstream = \"a\", weight = 1 }", &keys),
        &["9:25: a route's fallback is another upstream than its own"],
    );
}
