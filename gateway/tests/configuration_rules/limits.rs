//! Rate limits, and the stores that hold them.

use super::{check, check_route, warnings};

#[test]
fn each_key_is_checked_and_every_problem_is_told() {
    check(
        "[rate_limits.a]\nrate = \"1/s\"\nburst = 1\ncost = 2\nkey = \"claim:\"\nstore = \"b\"",
        &[
            "4:8: a cost of 2 is above the burst of 1",
            "5:7: \"claim:\" is not client_ip, subject, route, global, header:NAME, claim:NAME or custom:NAME: the claim's name is missing",
            "6:9: unknown store \"b\"",
        ],
    );
    check(
        "[rate_limits.a]\nrate = \"0/s\"\nburst = 1\nkey = \"global\"",
        &["2:8: \"0/s\" is not a rate: a rate of zero would refuse everything"],
    );
    check(
        "[rate_limits.a]\nrate = \"1/s\"\nburst = 3\nkey = \"subject\"\ncost = 2\nipv6_prefix = 129\n\
         anonymous = { rate = \"1/h\", burst = 1 }",
        &["6:15: 129 is not between 1 and 128", "7:37: a cost of 2 is above the burst of 1"],
    );
    check("[rate_limits.a]\nrate = \"1/s\"\nkey = \"global\"", &["2:8: \"burst\" is missing beside this rate"]);
    check(
        "[rate_limits.a]\nburst = 1\nkey = \"global\"\nin_flight = 1",
        &["2:9: \"rate\" is missing beside this burst"],
    );
    check("[rate_limits.a]\nkey = \"global\"\nin_flight = 0", &["1:1: this limit limits nothing"]);
    check("[rate_limits.a]\nkey = \"global\"\nin_flight = -1", &["3:13: -1 is not between 0 and 1000000000"]);
    check("[rate_limits.a]\nkey = \"global\"\nin_flight = 3", &[]);
    check_route("max_in_flight = -1", &["4:17: -1 is not between 0 and 1000000000"]);
}

#[test]
fn what_belongs_to_a_rate_is_doubtful_beside_requests_at_once_alone() {
    let route = "[[routes]]\npath = \"/\"\nupstream = \"http://127.0.0.1:1\"\n";
    let text = format!("[rate_limits.a]\nin_flight = 1\nkey = \"global\"\ncost = 2\n{route}");
    assert_eq!(
        warnings(&text),
        [
            "4:8: cost says nothing of a limit without a rate (leave it out, or write rate and burst; in_flight is counted by \
          each gateway for itself)"
        ]
    );
}

#[test]
fn a_bucket_that_never_fills_is_refused() {
    check(
        "[rate_limits.a]\nrate = \"1/h\"\nburst = 1000000\nkey = \"global\"\n\
         anonymous = { rate = \"2/h\", burst = 2000000 }",
        &[
            "3:9: a burst of 1000000 takes more than 70 years to come back at this rate",
            "5:37: a burst of 2000000 takes more than 70 years to come back at this rate",
        ],
    );
}

#[test]
fn a_route_names_limits_that_exist_each_once() {
    check_route("rate_limits = [\"x\"]", &["4:16: unknown rate limit \"x\""]);
    check(
        "[rate_limits.a]\nrate = \"1/s\"\nburst = 1\nkey = \"route\"\n[[routes]]\npath = \"/\"\n\
         upstream = \"http://127.0.0.1:1\"\nrate_limits = [\"a\", \"a\"]",
        &["8:21: this limit is named twice"],
    );
}

#[test]
fn a_stores_name_and_url_are_checked() {
    check("[stores.local]\nurl = \"redis://a\"", &["1:9: \"local\" means this process and can be no store's name"]);
    check(
        "[stores.a]\nurl = \"http://a\"\ncommand_timeout = \"0s\"",
        &[
            "2:7: \"http://a\" is not a Redis URL: it begins with redis://, rediss://, redis+cluster:// or redis+sentinel://",
            "3:19: \"0s\" is not between 1ms and 1h",
        ],
    );
    check(
        "[stores.a]\nurl = \"redis+sentinel://a\"",
        &[
            "2:7: \"redis+sentinel://a\" is not a Redis URL: the master's name is missing: redis+sentinel://host:port/NAME",
        ],
    );
    check(
        "[stores.a]\nurl = \"redis://:secret@a\"",
        &["2:7: \"redis://:secret@a\" is not a Redis URL: a password belongs in password_env"],
    );
}

#[test]
fn a_stores_user_has_a_password_and_what_lets_it_in_is_for_somebody() {
    check("[stores.a]\nurl = \"rediss://alice@a\"", &["2:7: the user \"alice\" has no password here"]);
    check(
        "[stores.a]\nurl = \"redis://a\"\nca = \"nowhere.pem\"",
        &["3:6: cannot read the file \"nowhere.pem\": No such file or directory"],
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    let ca = path.display();
    std::fs::write(&path, "no certificate").unwrap();
    let bad = format!("[stores.a]\nurl = \"rediss://a\"\nca = \"{ca}\"");
    check(&bad, &[&format!("3:6: \"{ca}\": it holds no certificate in PEM")]);
    std::fs::write(&path, rcgen::generate_simple_self_signed(["a".to_owned()]).unwrap().cert.pem()).unwrap();
    let route = "[[routes]]\npath = \"/\"\nanswer = {}\n";
    let clear = format!("[stores.a]\nurl = \"redis://a\"\nca = \"{ca}\"\n{route}");
    assert_eq!(
        warnings(&clear),
        [
            "3:6: this store is spoken to in the clear, so this decides nothing (write a url with rediss://, or take `ca` away)"
        ]
    );
    let alone = format!("[stores.a]\nurl = \"redis://a\"\nsentinel_password_env = \"HOME\"\n{route}");
    let told = "this store has no sentinels, so this decides nothing";
    assert!(warnings(&alone).iter().any(|warning| warning.contains(told)), "{:?}", warnings(&alone));
}

#[test]
fn what_is_said_of_a_store_that_is_not_used_is_doubtful() {
    let text = "[rate_limits.a]\nrate = \"1/s\"\nburst = 1\nkey = \"global\"\nmode = \"leased\"\n\
                [[routes]]\npath = \"/\"\nupstream = \"http://127.0.0.1:1\"\n";
    assert_eq!(warnings(text), ["5:8: mode says nothing without a store (write store = \"NAME\", or leave it out)"]);
}

#[test]
fn what_is_counted_by_can_be_there() {
    let by = |key: &str| format!("[rate_limits.a]\nrate = '1/s'\nburst = 1\nkey = '{key}'");
    check(&by("header:x-tenant"), &[]);
    check(
        &by("header:X-Auth-Tenant"),
        &["4:7: \"x-auth-tenant\" is an identity header, which is taken from every request"],
    );
    check(&by("header:x_tenant"), &["4:7: \"x_tenant\" has an underscore: every request is refused with it"]);
}
