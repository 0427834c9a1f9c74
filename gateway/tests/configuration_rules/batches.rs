//! `[[batches]]`.

use super::{check, errors, warnings};

const RESPONSE: &str = "response = { items = \"/items\", key = \"/id\" }";

/// A batch of this path, on line 3, with this request, from column 11 of line 5, and these keys on line 7.
fn batch(path: &str, request: &str, keys: &str) -> String {
    format!(
        "upstreams.u.endpoints = [\"b:1\"]\n[[batches]]\npath = \"{path}\"\nupstream = \"u\"\n\
         request = {{ {request} }}\n{RESPONSE}\n{keys}"
    )
}

const BODY: &str = "path = \"/i\", body = \"{\\\"ids\\\": {ids}}\"";

#[test]
fn calls_use_what_there_is() {
    check(&batch("/i/{id}", BODY, ""), &[]);
    check(&batch("/i/{sku}", BODY, ""), &[]);
    check(&batch("/s/{shop}/i/{id}", "path = \"/{shop}?ids={ids}\", method = \"GET\"", ""), &[]);
    check(
        &batch("/s/{shop}/i/{id}", "path = \"/i\", body = \"{\\\"a\\\":{},\\\"of\\\":{shop},\\\"ids\\\":{ids}}\"", ""),
        &[],
    );
    check(&batch("/i/{id}", "path = \"/{ids}\"", ""), &[]);
    for (path, request, expected) in [
        ("/i/{id}", "path = \"/i\"", "5:11: neither `path` nor `body` holds {ids}"),
        ("/i/{id}", "path = \"/{idss}?{ids}\"", "5:20: \"idss\" is no parameter of the path"),
        ("/i/{id}", "path = \"/{id}?{ids}\"", "5:20: one item's id has no place in a call for many"),
        ("/i/{id}", "path = \"/a/../{ids}\"", "5:20: a call's path has no dot segments and no empty ones"),
        ("/i/x", BODY, "3:8: which parameter is an item's id is not clear"),
        ("/s/{a}/i/{b}", BODY, "3:8: which parameter is an item's id is not clear"),
        ("/s/{*id}", BODY, "3:8: an item's id is one segment"),
        ("/s/{ids}", BODY, "3:8: a parameter of a batch is not called \"ids\": that is the list of all"),
        ("/s/{shop}/{id}", BODY, "3:8: the parameter \"shop\" is in neither `path` nor `body` of the request"),
    ] {
        check(&batch(path, request, ""), &[expected]);
    }
}

#[test]
fn a_body_is_json_whatever_the_ids_are() {
    for body in ["{\\\"ids\\\": \\\"{ids}\\\"}", "ids={ids}", "{\\\"ids\\\": {ids}", "[{ids}", "{ids}{ids}"] {
        let request = format!("path = \"/i\", body = \"{body}\"");
        check(&batch("/i/{id}", &request, ""), &["5:33: the body is not JSON"]);
    }
    // What a client writes would end the string that it stands in; a name that is none would be sent as it is.
    for body in ["{\\\"ids\\\": {ids}, \\\"of\\\": [\\\"{shop}\\\"]}", "{\\\"ids\\\": {ids}, \\\"of\\\": {shpo}}"] {
        let request = format!("path = \"/{{shop}}\", body = \"{body}\"");
        check(&batch("/s/{shop}/{id}", &request, ""), &["5:38: the body is not JSON"]);
    }
    check(&batch("/i/{id}", &format!("method = \"GET\", {BODY}"), ""), &["5:49: a GET has no body"]);
    check(
        &batch("/i/{id}", "path = \"/{ids}\", method = \"HEAD\"", ""),
        &["5:39: a call of the method HEAD does not ask for items"],
    );
}

#[test]
fn it_answers_get_within_its_time() {
    let with = |keys: &str| batch("/i/{id}", BODY, keys);
    check(&with("methods = [\"GET\", \"HEAD\"]\nwindow = \"0s\"\nmax_size = 1\ntimeout = \"0s\""), &[]);
    check(&with("methods = [\"GET\", \"DELETE\"]"), &["7:19: a batch answers GET and HEAD"]);
    check(&with("window = \"2s\"\ntimeout = \"2s\""), &["7:10: the window is not shorter than the timeout"]);
    check(&with("max_size = 0"), &["7:12: 0 is not between 1 and 10000"]);
    check(&with("").replace("\"u\"", "\"v\""), &["4:12: unknown upstream \"v\""]);
    check(
        &with("").replace("\"/items\"", "\"items\""),
        &["6:22: \"items\" is not a JSON pointer, or empty: it begins with a slash"],
    );
    check(&with("").replace("\"/items\"", "\"\""), &[]);
}

#[test]
fn it_is_matched_and_named_like_a_route() {
    let route = "[[routes]]\nname = \"r\"\npath = \"/i/{other}\"\nmethods = [\"GET\"]\nupstream = \"u\"";
    let both = format!("{}\n{route}", batch("/i/{id}", BODY, ""));
    assert_eq!(errors(&both).len(), 1, "{:?}", errors(&both));
    assert!(errors(&both)[0].contains("matches the same requests"), "{:?}", errors(&both));
}

#[test]
fn what_the_defaults_keep_out_it_does_not() {
    let shared = "\n[defaults.route]\nhttps = \"require\"\n";
    let told = warnings(&format!("{}{shared}", batch("/i/{id}", BODY, "")));
    assert!(told.iter().any(|it| it.contains("\"https\" of [defaults.route] does not hold for a batch")), "{told:?}");
    let provider = "\n[identity.providers.keys]\nkind = \"mtls\"";
    let told = warnings(&format!("{}{provider}", batch("/i/{id}", BODY, "")));
    assert!(told.iter().any(|it| it.contains("this route has no `auth`: everybody may use it")), "{told:?}");
}
