//! Routes with `path_regex`: which requests they take, what becomes of the others, and where groups are of use.

use mocks::Mock;
use serde_json::Value;

use crate::support::{Gateway, echo};

/// Numbers and names below one path, and whatever else there is.
fn text(upstream: &Mock) -> String {
    let url = format!("upstream = 'http://{}'", upstream.addr());
    format!(
        "[[routes]]\nname = 'rest'\npath = '/{{*rest}}'\nmethods = ['GET', 'DELETE']\n{url}\n\
         [[routes]]\nname = 'number'\npath = '/v1/items/{{item}}'\npath_regex = '^/v1/items/(?<kind>[a-z]+)-(?<number>[0-9]+)$'\n\
         methods = ['PUT']\n{url}\nrewrite = {{ path = '/{{kind}}/{{number}}/of/{{item}}' }}\n\
         request_headers = {{ set = {{ x-number = '{{number}}' }} }}\n\
         [[routes]]\nname = 'name'\npath = '/v1/items/{{item}}'\npath_regex = '/v1/items/[a-z]+'\n{url}\n"
    )
}

async fn routed(gateway: &Gateway, method: &str, path: &str) -> (u16, String) {
    let answer = gateway.ask(format!("{method} {path} HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n")).await;
    (answer.status, answer.header("allow").unwrap_or_default().to_owned())
}

async fn explained(gateway: &Gateway, method: &str, path: &str) -> Value {
    gateway.admin("GET", &format!("/explain?method={method}&url={path}")).await.json()
}

#[tokio::test]
async fn the_whole_path_decides_in_the_form_in_which_it_is_sent() {
    let upstream = echo().await;
    let gateway = Gateway::start(&text(&upstream)).await;
    for (path, route) in [
        ("/v1/items/abc", "name"),
        ("/v1/items/%61bc", "name"),
        ("/v1/x/../items/abc", "name"),
        ("/v1/items/abc?q=1-2", "name"),
        ("/v1/items/ABC", "rest"),
        ("/v1/items/abc/", "rest"),
        ("/v1/items/abc%0A", "rest"),
        ("/v1/items/a-b", "rest"),
    ] {
        let told = explained(&gateway, "GET", &path.replace('%', "%25").replace('?', "%3F")).await;
        assert_eq!(told["routing"]["route"], route, "{path}: {told}");
        assert_eq!(routed(&gateway, "GET", path).await.0, 200, "{path}");
    }
    let told = explained(&gateway, "GET", "/v1/items/ABC").await.to_string();
    assert!(told.contains("path_regex did not match: \\\"/v1/items/ABC\\\" is not like /v1/items/[a-z]+"), "{told}");
}

#[tokio::test]
async fn a_path_that_an_expression_does_not_take_is_not_there_for_its_methods_either() {
    let upstream = echo().await;
    let gateway = Gateway::start(&text(&upstream)).await;
    assert_eq!(routed(&gateway, "POST", "/v1/items/A-1").await, (405, "GET, HEAD, DELETE".to_owned()));
    assert_eq!(routed(&gateway, "POST", "/v1/items/a-1").await, (405, "GET, HEAD, PUT, DELETE".to_owned()));
    assert_eq!(routed(&gateway, "POST", "/v1/items/a").await.0, 200);
}

#[tokio::test]
async fn named_groups_are_parameters() {
    let upstream = echo().await;
    let gateway = Gateway::start(&text(&upstream)).await;
    let head = "PUT /v1/items/shoe-0042 HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n";
    let answer = gateway.ask(head).await;
    let echo = answer.echo();
    assert_eq!((echo.get("path"), echo.header("x-number")), (&"/shoe/0042/of/shoe-0042".into(), Some("0042")));
    let told = explained(&gateway, "PUT", "/v1/items/shoe-0042").await;
    assert_eq!(told["routing"]["params"].to_string(), r#"[["item","shoe-0042"],["kind","shoe"],["number","0042"]]"#);
    assert_eq!(told["policies"]["target"], "/shoe/0042/of/shoe-0042");
}

#[tokio::test]
async fn the_document_shows_the_expression() {
    let upstream = echo().await;
    let gateway = Gateway::start(&text(&upstream)).await;
    let document = gateway.admin("GET", "/openapi.json").await.json().to_string();
    assert!(document.contains("where the whole path matches `/v1/items/[a-z]+`"), "{document}");
    assert!(document.contains("\"path_regex\":\"/v1/items/[a-z]+\""), "{document}");
}
