//! What operators choose of the gateway's words: headers in records, and bodies in place of problem documents.

use std::path::Path;

use gateway::config::{Purpose, load_text_with};

use super::{NoEnvironment, built, check, errors, warnings};

fn log(keys: &str) -> String {
    format!(
        "[telemetry.access_log]\n{keys}\n[identity.providers.main]\nkind = \"api_key\"\nfile = \"Cargo.toml\"\n\
         [[routes]]\npath = \"/\"\nupstream = \"http://127.0.0.1:1\"\n"
    )
}

/// The errors of the first lines: whether the file of keys is one is another story.
#[track_caller]
fn check_log(keys: &str, expected: &[&str]) {
    let text = log(keys);
    let found: Vec<String> = errors(&text).into_iter().filter(|error| error.starts_with("2:")).collect();
    assert_eq!(found, expected, "\n{text}");
}

#[test]
fn headers_in_records_are_no_secrets() {
    check_log("request_headers = [\"user-agent\", \"Referer\"]", &[]);
    check_log("response_headers = [\"x-cache\"]", &[]);
    check_log(
        "request_headers = [\"authorization\", \"Cookie\", \"proxy-authorization\"]",
        &[
            "2:20: \"authorization\" carries credentials",
            "2:37: \"Cookie\" carries credentials",
            "2:47: \"proxy-authorization\" carries credentials",
        ],
    );
    check_log("response_headers = [\"Set-Cookie\"]", &["2:21: \"Set-Cookie\" carries credentials"]);
    check_log("request_headers = [\"X-API-Key\"]", &["2:20: \"X-API-Key\" carries credentials"]);
    check_log("request_headers = [\"x-auth-subject\"]", &["2:20: \"x-auth-subject\" is an identity header"]);
    let keyed = log("request_headers = [\"x-own\"]");
    let keyed = keyed.replace("kind = \"api_key\"", "kind = \"api_key\"\nheader = \"X-Own\"");
    assert!(errors(&keyed).contains(&"2:20: \"x-own\" carries credentials".to_owned()), "{:?}", errors(&keyed));
    let asked = |keys: &str, value: &str| {
        format!(
            "[telemetry.access_log]\n{keys}\n[policies.edge]\nheaders = {{ X-Door = \"{value}\" }}\n\
             [[routes]]\npath = \"/\"\nanswer = {{}}\npolicies = [\"edge\"]"
        )
    };
    check(&asked("request_headers = [\"x-door\"]", "front"), &[]);
    check(&asked("request_headers = [\"x-door\"]", "${DOOR:-front}"), &["2:20: \"x-door\" carries credentials"]);
    check(&asked("response_headers = [\"x-door\"]", "${DOOR:-front}"), &[]);
    check(&asked("request_headers = [\"x-door\"]", "${DOOR:-*}"), &[]);
}

#[test]
fn headers_in_records_are_names_each_once_and_not_too_many() {
    let text = |keys: &str| format!("[telemetry.access_log]\n{keys}");
    check(&text("request_headers = [\"a\", \"A\"]"), &["2:25: \"A\" is named twice"]);
    check(
        &text("request_headers = [\"a b\"]"),
        &["2:20: \"a b\" is not a header's name: it holds characters that no header's name holds"],
    );
    let many: Vec<String> = (0..17).map(|number| format!("\"h{number:02}\"")).collect();
    let many = format!("response_headers = [{}]", many.join(","));
    check(&text(&many), &["2:117: records tell 16 headers of a head at most"]);
    let doubtful = warnings(&text("request_headers = [\"x-csrf-token\"]\n[[routes]]\npath = \"/\"\nanswer = {}"));
    assert_eq!(
        doubtful,
        [
            "2:20: \"x-csrf-token\" is told in every record (whoever reads records reads it: leave it out if it is a secret)"
        ]
    );
}

fn problems(text: &str) -> String {
    format!("[server.problems]\n{text}\n[[routes]]\npath = \"/\"\nanswer = {{}}\n")
}

#[test]
fn bodies_in_place_of_problems_are_for_what_there_is() {
    check(&problems("rate_limited = { body = \"slow down\" }\n404 = { body = \"\" }\n\"5xx\" = { body = \"x\" }"), &[]);
    let listed = "a status is 400 to 599, a class 4xx or 5xx, and the codes are bad_request, unauthorized, ";
    for unknown in ["maintenance", "200", "6xx", "599x"] {
        let text = problems(&format!("{unknown} = {{ body = \"x\" }}"));
        let found = errors(&text);
        let start = format!("2:1: \"{unknown}\" is not a problem's code, a status or a class: {listed}");
        assert!(found.len() == 1 && found[0].starts_with(&start), "{found:?}");
    }
    check(
        &problems("rate_limit = { body = \"x\" }"),
        &["2:1: \"rate_limit\" is not a problem's code, a status or a class: perhaps rate_limited is meant"],
    );
    check(&problems("404 = \"none\""), &["2:7: expected a table, found a string"]);
}

#[test]
fn a_body_is_written_or_read_and_is_what_it_says_it_is() {
    check(&problems("404 = {}"), &["2:7: a problem needs `body` or `file`"]);
    check(
        &problems("404 = { body = \"x\", file = \"Cargo.toml\" }"),
        &["2:28: a problem has `body` or `file`, not both"],
    );
    check(&problems("404 = { text = \"x\" }"), &["2:9: unknown key \"text\" in [server.problems.404]"]);
    let missing = errors(&problems("404 = { file = \"nowhere/404.html\" }"));
    assert_eq!(missing.len(), 1, "{missing:?}");
    assert!(missing[0].starts_with("2:16: cannot read the file \"nowhere/404.html\""), "{missing:?}");

    let folder = tempfile::tempdir().unwrap();
    let large = folder.path().join("large.html");
    std::fs::write(&large, vec![b'x'; (256 << 10) + 1]).unwrap();
    check(
        &problems(&format!("404 = {{ file = \"{}\" }}", large.display())),
        &["2:16: the body cannot be read: it is larger than 262144 bytes"],
    );

    let json = |body: &str| problems(&format!("404 = {{ content_type = \"application/json\", body = '{body}' }}"));
    assert_eq!(warnings(&json("{\"id\":\"{request_id}\",\"status\":{status}}")), [""; 0]);
    assert_eq!(
        warnings(&json("{\"id\":{request_id}}")),
        [
            "2:51: this body is no JSON, and is sent as application/json ({request_id} and {code} stand between quotes, {status} \
          may stand alone)"
        ]
    );
}

#[test]
fn braces_of_a_body_are_written_once_and_who_doubles_them_is_told() {
    let with = |kind: &str, body: &str| problems(&format!("5xx = {{ content_type = \"{kind}\", body = '{body}' }}"));
    let told = |kind: &str, body: &str| {
        warnings(&with(kind, body))
            .into_iter()
            .map(|told| told.split(" (").next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    for (kind, body) in [
        ("application/json", "{{\"error\":\"{code}\",\"code\":{status}}}"),
        ("application/json", "{\"error\":\"{{code}}\"}"),
        ("application/problem+json", "{{\"a\":[{{\"b\":1}}]}}"),
        ("text/html", "<p>{{request_id}}</p>"),
    ] {
        let found = told(kind, body);
        assert!(
            found.len() == 1 && found[0].ends_with(": the braces of this body are doubled, and are sent so"),
            "{found:?}"
        );
    }
    for (kind, body) in [
        ("application/json", "{\"a\":{\"b\":{\"code\":{status}}}}"),
        ("text/html", "<style>a{b{}}</style>{{x}}"),
        ("text/plain", "{code} {{ }}"),
    ] {
        assert!(told(kind, body).is_empty(), "{body}");
    }
    assert!(told("application/json", "{{{")[0].ends_with("this body is no JSON, and is sent as application/json"));
    assert!(warnings(&with("application/json", "{{\"a\":1}}"))[0].contains("(braces are written once here"));
}

#[test]
fn what_routes_share_of_problems_is_checked_where_it_is_written() {
    let shared = "[defaults.route]\nproblems = { 404 = {} }\n[[routes]]\npath = \"/\"\nanswer = {}\n";
    check(shared, &["2:20: a problem needs `body` or `file`"]);
    let own = shared.replace("404 = {}", "404 = { body = \"x\" }");
    check(&own, &[]);
    assert!(built(&own).problems.is_some());
}

#[test]
fn what_the_papers_show_is_taken_without_a_warning() {
    let papers = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operating.md");
    let papers = std::fs::read_to_string(papers).unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("errors")).unwrap();
    std::fs::write(folder.path().join("errors/5xx.html"), "<p>Sorry.</p>").unwrap();
    for begins in ["[telemetry.access_log]\nquery", "[server.problems]\n"] {
        let (_, after) = papers.split_once(&format!("```toml\n{begins}")).unwrap();
        let shown = after.split_once("```").unwrap().0;
        let text = format!("{begins}{shown}[[routes]]\npath = '/'\nanswer = {{}}\n");
        let loaded = load_text_with(&text, &folder.path().join("gateway.toml"), Purpose::Check, &NoEnvironment);
        assert!(loaded.unwrap_or_else(|problems| panic!("{problems}")).warnings.is_empty(), "{text}");
    }
}

#[test]
fn errors_that_a_route_intercepts_are_errors_of_an_upstream() {
    use super::check_route;
    check_route("intercept = [\"5xx\", \"404\", \"500-502\"]", &[]);
    check_route("intercept = []", &[]);
    for wrong in ["200", "3xx", "timeout", "600", "504-500", ""] {
        let told =
            errors(&format!("[[routes]]\npath = \"/\"\nupstream = \"http://127.0.0.1:1\"\nintercept = [\"{wrong}\"]"));
        assert!(
            told.len() == 1 && told[0].contains("a class 5xx, and 500-504 is from one to another"),
            "{wrong}: {told:?}"
        );
    }
    check(
        "[[routes]]\npath = \"/\"\nanswer = {}\nintercept = [\"5xx\"]",
        &["4:13: `intercept` is for the answers of an upstream; this route has `answer`"],
    );
    check("[defaults.route]\nintercept = [\"5xx\"]\n[[routes]]\npath = \"/\"\nanswer = {}", &[]);
}

#[test]
fn parameters_in_records_are_no_secrets() {
    let text = |names: &str| format!("[telemetry.access_log]\nquery = [{names}]");
    check(&text("\"page\", \"sort\", \"q\", \"Page\""), &[]);
    for secret in [
        "access_token",
        "code",
        "token",
        "api_key",
        "apiKey",
        "X-Amz-Signature",
        "x-goog-credential",
        "sig",
        "signature",
        "password",
        "key",
        "client_secret",
        "SAMLResponse",
        "id_token_hint",
        "code_verifier",
        "session",
        "sessionid",
        "session_id",
        "PHPSESSID",
        "authkey",
        "passkey",
        "passcode",
        "aws-access-key-id",
        "privateKey",
    ] {
        check(&text(&format!("\"{secret}\"")), &[&format!("2:10: \"{secret}\" carries credentials")]);
    }
    let asked = |value: &str| {
        format!("{}\n[[routes]]\npath = \"/\"\nanswer = {{}}\nquery = {{ \"door\" = \"{value}\" }}", text("\"door\""))
    };
    check(&asked("front"), &[]);
    check(&asked("${DOOR:-front}"), &["2:10: \"door\" carries credentials"]);
}

#[test]
fn parameters_in_records_are_named_each_once_and_not_too_many() {
    let text =
        |names: &str| format!("[telemetry.access_log]\nquery = [{names}]\n[[routes]]\npath = \"/\"\nanswer = {{}}");
    check(&text("\"*\""), &["2:10: \"*\" would tell whatever clients send"]);
    check(&text("\"a\", \"a\""), &["2:15: \"a\" is named twice"]);
    check(
        &text("\"a=1\""),
        &[
            "2:10: \"a=1\" is not a query parameter's name: it is a name alone, without a value, and without `&` and `;`",
        ],
    );
    let many: Vec<String> = (0..17).map(|number| format!("\"p{number:02}\"")).collect();
    check(&text(&many.join(",")), &["2:106: records tell 16 parameters of a query at most"]);
    let help = "whoever reads records reads it: leave it out if it is a secret, or holds an address with one";
    for name in ["sort_key", "sortKey", "redirect_uri", "promo-code"] {
        assert_eq!(
            warnings(&text(&format!("\"{name}\""))),
            [format!("2:10: \"{name}\" is told in every record ({help})")]
        );
    }
    assert_eq!(warnings(&text("\"keyword\", \"author\", \"design\", \"state\"")), [""; 0]);
}
