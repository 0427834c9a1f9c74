//! Edits of the query: which names and values there are, and where they are of use.

use gateway::config::settings::header_edits::{KnownValue, ValuePiece};

use super::{built, check, check_route, errors, warnings};

const ROUTE: &str = "[[routes]]\npath = \"/a/{id}\"\nupstream = \"http://127.0.0.1:1\"\n";

#[test]
fn edits_are_built_as_they_are_written() {
    let keys =
        "request_query = { set = { b = \"x{id}{{\", a = \"\" }, add = { c = \"{client_ip}\" }, remove = [\"d e\"] }";
    let edits = built(&format!("{ROUTE}{keys}")).request_query.clone();
    let literal = |text: &str| ValuePiece::Literal(text.into());
    assert_eq!(*edits.set[0].value, [literal("x"), ValuePiece::Param(0), literal("{")]);
    assert_eq!((&*edits.set[1].name, &*edits.set[1].value), ("a", &[][..]));
    assert_eq!(*edits.add[0].value, [ValuePiece::Known(KnownValue::ClientIp)]);
    assert_eq!((&*edits.remove, &edits.keep), (&["d e".into()][..], &None));
    assert_eq!(built(&format!("{ROUTE}request_query = {{ keep = [] }}")).request_query.keep, Some(Vec::new()));
    let some = built(&format!("{ROUTE}request_query = {{ keep = [\"q\"] }}")).request_query.to_string();
    assert_eq!(some, "keeps q alone");
    assert!(built(&format!("{ROUTE}request_query = {{ keep = [\"*\"] }}")).request_query.is_empty());
}

#[test]
fn a_name_is_one_as_it_is_once_it_is_decoded() {
    let why = "is not a query parameter's name";
    for (name, told) in [
        ("a=1", "it is a name alone, without a value, and without `&` and `;`"),
        ("a;b", "it is a name alone, without a value, and without `&` and `;`"),
        ("a%5B%5D", "it is written as it is once it is decoded, without percent signs"),
        ("", "it is empty"),
    ] {
        check_route(
            &format!("request_query = {{ remove = [\"{name}\"] }}"),
            &[&format!("4:29: \"{name}\" {why}: {told}")],
        );
    }
    check_route("request_query = { remove = [\"a[]\", \"größe\", \"100%\", \"a b\"] }", &[]);
}

#[test]
fn a_parameter_is_written_or_removed_and_a_star_stands_alone() {
    check_route(
        "request_query = { set = { a = \"1\" }, add = { A = \"1\", b = \"1\" }, remove = [\"a\", \"b\"] }",
        &["4:27: \"a\" is both set and removed", "4:55: \"b\" is both added and removed"],
    );
    check_route("request_query = { remove = [\"*\"] }", &["4:29: \"*\" is the name of no parameter"]);
    check_route("request_query = { keep = [\"a\", \"*\"] }", &["4:32: \"*\" is everything that a client sends"]);
    check_route(
        "request_query = { keep = [\"a\", \"b\"], remove = [\"b\"] }",
        &["4:32: \"b\" is both kept and removed"],
    );
}

#[test]
fn values_are_those_that_headers_have() {
    check_route(
        "request_query = { set = { a = \"{tenant}\" } }",
        &["4:31: {tenant} is no value of a request, and no parameter of \"/a/{id}\""],
    );
    check_route(
        "request_query = { add = { a = \"{header:cookie}\" } }",
        &["4:31: \"cookie\" holds a credential, which goes nowhere under another name"],
    );
    let warned = |value: &str| warnings(&format!("{ROUTE}request_query = {{ set = {{ a = \"{value}\" }} }}"));
    assert_eq!(
        warned("a%20b"),
        [
            "4:31: \"%20\" is sent as \"%2520\": values are encoded for the query (write it as the service is to read it)"
        ]
    );
    assert_eq!(
        warned("$remote_addr"),
        ["4:31: \"$remote_addr\" in a query parameter's value is sent as written (perhaps {client_ip} is meant)"]
    );
    assert_eq!(warned("100% {id}"), [""; 0]);
}

#[test]
fn what_is_answered_here_has_no_query_that_is_sent() {
    let own = "[[routes]]\npath = \"/a\"\nanswer = {}\n";
    check(
        &format!("{own}request_query = {{ remove = [\"a\"] }}"),
        &["4:17: `request_query` is for a route with an upstream; this one has `answer`"],
    );
    let shared = "[defaults.route]\nrequest_query = { set = { a = \"{id}\" } }\n";
    check(&format!("{shared}{ROUTE}{own}"), &[]);
}

#[test]
fn kept_answers_are_found_again_by_their_url() {
    let cached =
        |value: &str| errors(&format!("{ROUTE}cache = true\nrequest_query = {{ set = {{ a = \"{value}\" }} }}"));
    for value in ["{client_ip}", "{header:x-a}", "{request_id}", "{uri}"] {
        assert_eq!(
            cached(value),
            ["5:31: answers that are kept hang on the URL, and this value on the request"],
            "{value}"
        );
    }
    for value in ["{id}", "{path}", "x"] {
        assert_eq!(cached(value), [""; 0], "{value}");
    }
}

#[test]
fn words_of_other_gateways_are_known() {
    let problems = gateway::config::load_text(
        &format!("{ROUTE}querystring = {{}}"),
        "gateway.toml".as_ref(),
        gateway::config::Purpose::Check,
    );
    let help = problems.unwrap_err().iter().find_map(|problem| problem.help.clone()).unwrap();
    assert!(help.contains("request_query = { set"), "{help}");
}
