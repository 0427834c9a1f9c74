//! Rate limits.

use super::{check, check_route};

#[test]
fn each_key_is_checked_and_every_problem_is_told() {
    check(
        "[rate_limits.a]\nrate = \"1/s\"\nburst = 1\ncost = 2\nkey = \"claim:\"\nstore = \"b\"",
        &[
            "4:8: a cost of 2 is above the burst of 1",
            "5:7: \"claim:\" is not client_ip, subject, route, global, header:NAME or claim:NAME: the claim's name is missing",
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
    check("[rate_limits.a]\nrate = \"1/s\"\nkey = \"global\"", &["1:1: \"burst\" is missing in [rate_limits.a]"]);
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
