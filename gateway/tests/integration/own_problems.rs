//! Bodies of the operator's own in place of problem documents: what is told changes, and nothing else does.

use crate::support::h2::{H2Client, get, post};
use crate::support::{Answer, Gateway, echo, nowhere, one_route};

const PAGE: &str = "<!doctype html><p>Sorry: {status}. Tell us {request_id}.</p>";

/// Everything is sent to where nobody listens, `/few` is limited, and this is in `[server.problems]` and the route.
async fn gateway(server: &str, route: &str) -> Gateway {
    let nowhere = nowhere();
    let text = format!(
        "[server.problems]\n{server}\n[rate_limits.few]\nrate = '1/m'\nburst = 1\nkey = 'global'\n\
         [[routes]]\nname = 'few'\npath = '/few'\nanswer = {{ body = 'ok' }}\nrate_limits = ['few']\n\
         [[routes]]\nname = 'down'\npath = '/down'\nupstream = 'http://{nowhere}'\n{route}"
    );
    Gateway::start(&text.replacen("[server.problems]", "[server]\n[server.problems]", 1)).await
}

fn text(answer: &Answer) -> &str {
    std::str::from_utf8(&answer.body).unwrap()
}

#[tokio::test]
async fn a_problem_is_told_in_the_operators_words_with_the_status_and_headers_that_it_had() {
    let gateway = gateway(
        &format!(
            "rate_limited = {{ body = '{{\"error\":\"{{code}}\",\"id\":\"{{request_id}}\"}}', content_type = 'application/json' }}\n\
             404 = {{ body = 'nothing here' }}\n5xx = {{ body = '{PAGE}', content_type = 'text/html' }}"
        ),
        "",
    )
    .await;
    assert_eq!(gateway.get("/few").await.body, b"ok");
    let limited = gateway.get("/few").await;
    let id = limited.header("x-request-id").unwrap();
    assert_eq!((limited.status, limited.header("content-type")), (429, Some("application/json")));
    assert_eq!(text(&limited), format!("{{\"error\":\"rate_limited\",\"id\":\"{id}\"}}"));
    assert!(limited.header("retry-after").is_some() && limited.header("ratelimit").is_some());
    assert_eq!(limited.header("content-length"), Some(limited.body.len().to_string().as_str()));
    assert_eq!(
        (limited.header("cache-control"), limited.header("x-content-type-options")),
        (Some("no-store"), Some("nosniff"))
    );

    let missing = gateway.get("/nowhere").await;
    assert_eq!((missing.status, text(&missing)), (404, "nothing here"));
    assert_eq!(missing.header("content-type"), Some("text/plain; charset=utf-8"));

    let down = gateway.get("/down").await;
    let id = down.header("x-request-id").unwrap();
    assert_eq!(text(&down), PAGE.replace("{status}", "502").replace("{request_id}", id));

    // Nothing is written for what is none of them.
    let wrong = gateway.get("/%00").await;
    assert_eq!((wrong.status, &*wrong.code()), (400, "bad_request"));
    let codes: Vec<_> = gateway.records(5).await.iter().map(|record| record["code"].clone()).collect();
    assert_eq!(
        codes,
        ["ok", "rate_limited", "route_not_found", "upstream_connect", "bad_request"],
        "records say the same"
    );
}

#[tokio::test]
async fn a_routes_word_comes_before_the_gateways() {
    let gateway = gateway(
        "upstream_connect = { body = 'all' }\n4xx = { body = 'all 4xx' }",
        "problems = { 5xx = { body = 'own' } }",
    )
    .await;
    let answer = gateway.get("/down").await;
    assert_eq!((answer.status, text(&answer)), (502, "own"));
    assert_eq!(text(&gateway.get("/other").await), "all 4xx", "no route matches");
}

#[tokio::test]
async fn the_shares_of_a_split_have_the_words_of_their_route() {
    let nowhere = nowhere();
    let text_of = format!(
        "[upstreams.a]\nendpoints = ['{nowhere}']\n[[routes]]\npath = '/'\n\
         split = [{{ upstream = 'a', weight = 1 }}]\nproblems = {{ 502 = {{ body = 'split' }} }}\n"
    );
    assert_eq!(text(&Gateway::start(&text_of).await.get("/").await), "split");
}

#[tokio::test]
async fn head_gets_the_head_alone_and_what_is_no_request_is_told_too() {
    let gateway = gateway("4xx = { body = 'no' }", "").await;
    let mut client = gateway.client().await;
    client.send("HEAD /other HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    let answer = String::from_utf8(client.rest().await).unwrap();
    assert!(answer.contains("content-length: 2\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
    let answer = gateway.ask("GET HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!((answer.status, text(&answer)), (400, "no"));
    assert!(answer.header("x-request-id").is_some());
}

#[tokio::test]
async fn http2_is_told_the_same_and_callers_of_grpc_as_ever() {
    let gateway = gateway("4xx = { body = 'no', content_type = 'text/html' }", "").await;
    let mut client = H2Client::connect(gateway.address).await;
    let answer = client.send(get("/other"), "").await;
    assert_eq!((answer.status, text(&answer), answer.header("content-type")), (404, "no", Some("text/html")));
    let mut call = post("/other.Service/Call");
    call.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
    call.headers_mut().insert("te", "trailers".parse().unwrap());
    let answer = client.send(call, "\0\0\0\0\0").await;
    assert_eq!((answer.status, answer.header("grpc-status"), answer.body.len()), (200, Some("12"), 0));
}

#[tokio::test]
async fn a_body_in_a_file_is_read_from_the_configurations_folder_and_anew_when_it_changes() {
    let upstream = echo().await;
    let gateway = Gateway::start(&one_route("", "methods = ['GET']", upstream.addr())).await;
    let folder = gateway.file().parent().unwrap().join("errors");
    std::fs::create_dir(&folder).unwrap();
    let page = folder.join("405.html");
    std::fs::write(&page, "<p>one</p>").unwrap();
    let problems = "problems = { method_not_allowed = { file = 'errors/405.html' } }";
    gateway.rewrite(&one_route(problems, "methods = ['GET']", upstream.addr()));
    assert!(gateway.reload().await.ok);
    let ask = || gateway.ask("DELETE / HTTP/1.1\r\nhost: a\r\n\r\n");
    let answer = ask().await;
    assert_eq!((answer.status, text(&answer)), (405, "<p>one</p>"));
    assert_eq!(
        (answer.header("content-type"), answer.header("allow").is_some()),
        (Some("text/html; charset=utf-8"), true)
    );
    std::fs::write(&page, "<p>two</p>").unwrap();
    assert!(gateway.reload().await.ok);
    assert_eq!(text(&ask().await), "<p>two</p>");
    // What cannot be read is no configuration: the one before stays.
    std::fs::remove_file(&page).unwrap();
    assert!(!gateway.reload().await.ok);
    assert_eq!(text(&ask().await), "<p>two</p>");
}
