//! Where services say what they offer.

use super::{check, check_route};

#[test]
fn a_path_is_asked_of_an_upstream() {
    check_route("openapi = \"/openapi.json?v=1\"", &[]);
    check_route("openapi = \"\"", &[]);
    let own = "[[routes]]\npath = \"/a\"\nanswer = { body = \"x\" }\n";
    let why = "4:11: a path is asked of the route's upstream, and this one has `answer`";
    check(&format!("{own}openapi = \"/openapi.json\""), &[why]);
    // What routes share is of no use to some of them.
    check(&format!("{own}[defaults.route]\nopenapi = \"/openapi.json\""), &[]);
}

#[test]
fn a_file_is_there_and_is_a_document() {
    check_route("openapi = \"none.json\"", &["4:11: \"none.json\": No such file or directory (os error 2)"]);
    // This very manifest is a file, and no document.
    check_route(
        "openapi = \"Cargo.toml\"",
        &["4:11: \"Cargo.toml\": the document is not JSON: expected value at line 1 column 2"],
    );
}
