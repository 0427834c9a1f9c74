//! Parameters of queries in access records: those that the configuration names, as clients sent them, and no others.

use serde_json::{Value, json};

use crate::support::h2::{H2Client, get};
use crate::support::{Gateway, echo, one_route};

/// What a gateway that tells these parameters is configured with.
fn telling(names: &str, rest: &str) -> String {
    format!("[telemetry.access_log]\nquery = {names}\n{rest}")
}

#[tokio::test]
async fn what_is_named_stands_behind_the_path_as_it_was_sent() {
    let upstream = echo().await;
    let own = "[[routes]]\nname = 'own'\npath = '/own/{*rest}'\nanswer = { body = 'x' }\n\
               [[routes]]\nname = 'gone'\npath = '/gone'\nredirect = { path = '/own' }\n";
    let rest = format!("{}{own}", one_route("", "request_query.remove = ['page']", upstream.addr()));
    let gateway = Gateway::start(&telling("['page', 'sort']", &rest)).await;
    let cases = [
        ("/a?page=2&access_token=secret&sort=%2Bname", "/a?page=2&sort=%2Bname"),
        ("/a/%7Eb/../c?secret&%70age=2&sort", "/a/c?%70age=2&sort"),
        ("/a?page=%22%2C%0A&page=\\x", "/a?page=%22%2C%0A&page=\\x"),
        ("/a?page=1;code=secret", "/a?page=1;"),
        ("/a?code=secret;page=1", "/a"),
        ("/own/x?sort=asc&secret=1", "/own/x?sort=asc"),
        ("/gone?token=secret&page=3", "/gone?page=3"),
        ("/%00?page=2", "/%00?page=2"),
        ("/a?token=secret", "/a"),
        ("/a", "/a"),
    ];
    for (target, _) in cases {
        gateway.get(target).await;
    }
    let records = gateway.records(cases.len()).await;
    for ((target, told), record) in cases.into_iter().zip(&records) {
        assert_eq!(record["path"], told, "{target}");
    }
    assert!(!gateway.log_text(cases.len()).await.contains("secret"));
}

#[tokio::test]
async fn nothing_is_told_where_nothing_is_named_and_a_reload_changes_the_names() {
    let upstream = echo().await;
    let rest = one_route("", "", upstream.addr());
    let gateway = Gateway::start(&rest).await;
    gateway.get("/a?page=2").await;
    assert_eq!(gateway.record().await["path"], "/a");
    gateway.rewrite(&telling("['page']", &rest));
    assert!(gateway.reload().await.ok);
    let mut client = H2Client::connect(gateway.address).await;
    assert_eq!(client.send(get("/b?token=secret&page=%32"), "").await.status, 200);
    assert_eq!(gateway.records(2).await[1]["path"], "/b?page=%32", "over HTTP/2 too");
}

#[tokio::test]
async fn what_was_no_request_has_neither_path_nor_query() {
    let upstream = echo().await;
    let gateway = Gateway::start(&telling("['page']", &one_route("", "", upstream.addr()))).await;
    gateway.ask("GET /a?page=2 HTTP/1.1\r\nhost: a.test\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n").await;
    gateway.ask("not http at all\r\n\r\n").await;
    for record in gateway.records(2).await {
        let path = record.get("path").and_then(Value::as_str).unwrap_or_default();
        assert!(["", "/a", "/a?page=2"].contains(&path), "{record}");
        assert_eq!(record["status"], 400);
    }
}

#[tokio::test]
async fn the_flight_recorder_tells_it_too_and_decides_by_it_which_routes_were_not_taken() {
    let upstream = echo().await;
    let route = |name: &str, page: &str| {
        format!(
            "[[routes]]\nname = '{name}'\npath = '/a'\nquery.{page} = '1'\nupstream = 'http://{}'\n",
            upstream.addr()
        )
    };
    let rest = format!(
        "[telemetry.recorder]\nsample = 1.0\n{}{}{}",
        route("first", "page"),
        route("other", "other"),
        one_route("", "", upstream.addr())
    );
    let gateway = Gateway::start(&telling("['page']", &rest)).await;
    let answer = gateway.get("/a?secret=1&page=2").await;
    let told = gateway.admin("GET", &format!("/requests/{}", answer.header("x-request-id").unwrap())).await;
    let told = told.json();
    assert!(!told.to_string().contains("secret"), "{told}");
    assert_eq!(told["path"], "/a?page=2");
    let reason = |name: &str| {
        let misses = told["routing"]["misses"].as_array().unwrap();
        misses.iter().find(|miss| miss["route"] == name).unwrap()["reason"].clone()
    };
    assert_eq!(reason("first"), "query page is absent, or not \"1\"");
    assert_eq!(reason("other"), "it asks for more than host, path and method, which is not kept");
    let listed = gateway.admin("GET", "/requests?sampled").await.json();
    assert_eq!(listed["requests"][0]["path"], json!("/a?page=2"));
}

#[tokio::test]
async fn what_other_names_than_those_of_now_told_is_no_word_of_what_was_not_sent() {
    let upstream = echo().await;
    let first = format!(
        "[[routes]]\nname = 'first'\npath = '/a'\nquery.page = '2'\nheaders.x-beta = '1'\nupstream = 'http://{}'\n",
        upstream.addr()
    );
    let rest = format!("[telemetry.recorder]\nsample = 1.0\n{first}{}", one_route("", "", upstream.addr()));
    let gateway = Gateway::start(&rest).await;
    let answer = gateway.get("/a?page=2").await;
    gateway.rewrite(&telling("['page']", &rest));
    assert!(gateway.reload().await.ok);
    let told = gateway.admin("GET", &format!("/requests/{}", answer.header("x-request-id").unwrap())).await.json();
    let misses = told["routing"]["misses"].as_array().unwrap();
    let first = misses.iter().find(|miss| miss["route"] == "first").unwrap();
    assert_eq!(first["reason"], "it asks for more than host, path and method, which is not kept");
}
