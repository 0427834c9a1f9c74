//! What a request expects of its answer, and requests that no route takes.

use loadgen::request::ExpectedHeader;
use loadgen::request::header::{Wanted, to_show};

use super::*;

/// The small scenario whose request has this beside its path.
fn with(expect: &str) -> String {
    SCENARIO.replace("{ path = \"/api\" }", &format!("{{ path = \"/api\", {expect} }}"))
}

#[test]
fn headers_are_expected_beside_statuses() {
    let request = |expect: &str| read(&with(expect)).loads[0].requests[0].clone();
    let listed = request("expect = [200, 429]");
    assert_eq!((listed.expect, listed.expect_headers), (vec![200, 429], Vec::new()), "the contract's form");
    let whole = request(
        "expect = { status = [200], headers = { x-a = \"1\", server = false }, upstream_headers = { X-User = true } }",
    );
    let answer = |name: &str, wanted| ExpectedHeader::of_answer(name, wanted).unwrap();
    let user = ExpectedHeader::of_request("x-user", Wanted::Present).unwrap();
    let headers = [answer("x-a", Wanted::Is("1".to_owned())), answer("server", Wanted::Absent), user];
    assert_eq!((whole.expect.as_slice(), whole.expect_headers.as_slice()), ([200].as_slice(), headers.as_slice()));
    assert_eq!(to_show(&whole.template(SocketAddr::from(([127, 0, 0, 1], 1))).expect.headers).unwrap(), "x-user");
    assert!(request("expect = { headers = { x-a = \"1\" } }").expect.is_empty(), "200 to 399");
}

#[test]
fn what_cannot_be_expected_is_told_where_it_stands() {
    for (expect, said) in [
        ("expect = 200", "`expect` is a list of statuses from 200 to 599"),
        ("expect = { status = [99] }", "`status` is a list of statuses from 200 to 599"),
        ("expect = { header = { a = \"1\" } }", "unknown key `header`"),
        ("expect = { headers = [\"a\"] }", "`headers` is a table of header names"),
        ("expect = { headers = { a = 1 } }", "is a string, true for any value, or false for none"),
        ("expect = { headers = { \"a b\" = \"1\" } }", "`a b` is no name of a header"),
        ("expect = { upstream_headers = { a = \" 1\" } }", "is no value that a header can have"),
        ("expect = {}", "nothing is expected here"),
    ] {
        let text = refused(&with(expect), GATEWAY);
        assert!(text.contains(said) && text.contains("s.toml:16:"), "{said:?} is not in:\n{text}");
    }
}

fn warnings(scenario: &str, gateway: &str) -> Vec<String> {
    let expect = "[[expect]]\nfigure = 'load.steady.requests'\nmin = 1\n";
    let folder = written(&format!("{scenario}{expect}"), gateway);
    let file = folder.path().join("s.toml");
    let told = crate::scenario::warnings(&load(&file).unwrap_or_else(|error| panic!("{error}")));
    told.iter().map(|one| one.replace(&format!("{}/", folder.path().display()), "")).collect()
}

#[test]
fn a_path_that_no_route_takes_is_a_warning_with_its_line() {
    let gateway = GATEWAY.replace("\"/{*rest}\"", "\"/api/{id}\"");
    let said = warnings(SCENARIO, &gateway);
    let expected = "no route takes the path `/api` of the load `steady`, so that it is answered 404 (s.toml:16); where \
                    that is meant, write expect = [404]";
    assert_eq!(said, [expected]);
    let asking = |path: &str| SCENARIO.replace("\"/api\"", &format!("\"{path}\""));
    for path in ["/api/7", "/api/{zipf(9)}", "/api/./7?x=/none", "/{choice(none, api)}/7", "/%zz"] {
        assert_eq!(warnings(&asking(path), &gateway), [""; 0], "{path}");
    }
    for path in ["/api/7/8", "/apis/{zipf(9)}", "/", "/API/7"] {
        assert_eq!(warnings(&asking(path), &gateway).len(), 1, "{path}");
    }
}

#[test]
fn what_is_meant_to_have_no_route_gets_no_warning() {
    let gateway = GATEWAY.replace("\"/{*rest}\"", "\"/other\"");
    for scenario in [
        with("expect = [404]"),
        with("expect = { status = [200, 404] }"),
        with("weight = 0 }, { path = \"/other\"")
            .replace("request = {", "requests = [{")
            .replace("other\" }", "other\" }]"),
        format!("{SCENARIO}[[expect]]\nfigure = 'load.steady.phases.before.status.404'\nmin = 1\n"),
        format!("{SCENARIO}[[expect]]\nfigure = 'load.steady.phases.before.outcome.client_error'\nmin = 1\n"),
    ] {
        assert_eq!(warnings(&scenario, &gateway), [""; 0], "{scenario}");
    }
}
