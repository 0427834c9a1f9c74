//! `early_hints` of a route: somebody gives them, and somebody gets them.

use super::{check, warnings};

fn with(keys: &str) -> String {
    format!("[[routes]]\npath = \"/\"\nearly_hints = \"http2\"\n{keys}")
}

#[test]
fn early_hints_are_an_upstreams() {
    check(&with("upstream = \"http://e:1\""), &[]);
    for (key, value) in [("answer", "{}"), ("redirect", "{ host = \"b.example\" }")] {
        let told = format!("3:15: `early_hints` passes on what an upstream says; this route has `{key}`");
        check(&with(&format!("{key} = {value}")), &[&told]);
    }
    // What is shared by all routes is of no use to some of them.
    check("[defaults.route]\nearly_hints = \"all\"\n[[routes]]\npath = \"/\"\nanswer = {}", &[]);
    check(
        "[[routes]]\npath = \"/\"\nupstream = \"http://e:1\"\nearly_hints = true",
        &["4:15: expected one of \"off\", \"http2\", \"all\", found a boolean"],
    );
}

#[test]
fn early_hints_of_what_others_may_get_pass_to_nobody() {
    let told = |keys: &str| warnings(&with(&format!("upstream = \"http://e:1\"\n{keys}")));
    assert_eq!(told("coalesce = false\ncache = true"), <[String; 0]>::default());
    let all = told("coalesce = true");
    let begins = "3:15: with `coalesce` nobody gets early hints of what others may get too (coalesce = false";
    assert!(all.len() == 1 && all[0].starts_with(begins), "{all:?}");
}
