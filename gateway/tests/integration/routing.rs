//! Routing as a client sees it: host, path, content, rewrites, 404 and 405.

use crate::support::{Gateway, echo};

/// A gateway with these routes, each to the same upstream.
async fn routes(upstream: &mocks::Mock, routes: &[&str]) -> Gateway {
    let mut text = format!("[upstreams.up]\nendpoints = ['{}']\n", upstream.addr());
    for route in routes {
        text.push_str(&format!("[[routes]]\nupstream = 'up'\n{route}\n"));
    }
    Gateway::start(&text).await
}

async fn matched(gateway: &Gateway, head: &str, count: usize) -> String {
    let answer = gateway.ask(format!("{head}\r\n\r\n")).await;
    let record = gateway.records(count).await.pop().unwrap();
    assert_eq!(record["status"], answer.status);
    record["route"].as_str().unwrap_or("none").to_owned()
}

#[tokio::test]
async fn the_most_specific_host_path_and_content_win() {
    let upstream = echo().await;
    let gateway = routes(
        &upstream,
        &[
            "name = 'rest'\npath = '/{*rest}'",
            "name = 'param'\npath = '/items/{id}'",
            "name = 'exact'\npath = '/items/new'",
            "name = 'host'\npath = '/{*rest}'\nhosts = ['shop.test']",
            "name = 'wild'\npath = '/{*rest}'\nhosts = ['*.shop.test']",
            "name = 'header'\npath = '/items/{id}'\nheaders = { x-version = '2' }",
            "name = 'query'\npath = '/items/{id}'\nquery = { draft = '*' }",
            "name = 'regex'\npath = '/items/{id}'\nheaders = { x-kind = '~[a-c]+' }",
            "name = 'urgent'\npath = '/{*rest}'\nheaders = { x-urgent = '1' }\npriority = 10",
        ],
    )
    .await;
    let cases = [
        ("GET / HTTP/1.1\r\nhost: a", "rest"),
        ("GET /items/7 HTTP/1.1\r\nhost: a", "param"),
        ("GET /items/new HTTP/1.1\r\nhost: a", "exact"),
        ("GET /items/7 HTTP/1.1\r\nhost: SHOP.test:8080", "host"),
        ("GET /items/7 HTTP/1.1\r\nhost: eu.shop.test", "wild"),
        ("GET /items/7 HTTP/1.1\r\nhost: a\r\nx-version: 2", "header"),
        ("GET /items/7 HTTP/1.1\r\nhost: a\r\nx-version: 22", "param"),
        ("GET /items/7?draft HTTP/1.1\r\nhost: a", "query"),
        ("GET /items/7 HTTP/1.1\r\nhost: a\r\nx-kind: abc", "regex"),
        ("GET /items/7 HTTP/1.1\r\nhost: a\r\nx-kind: abcd", "param"),
        ("GET /items/7 HTTP/1.1\r\nhost: a\r\nx-urgent: 1", "urgent"),
    ];
    for (count, (head, route)) in cases.iter().enumerate() {
        assert_eq!(matched(&gateway, head, count + 1).await, *route, "{head}");
    }
}

#[tokio::test]
async fn a_host_is_the_same_with_the_dot_of_the_root_and_without() {
    let upstream = echo().await;
    let gateway = routes(
        &upstream,
        &[
            "name = 'host'\npath = '/{*rest}'\nhosts = ['shop.test.']",
            "name = 'wild'\npath = '/{*rest}'\nhosts = ['*.shop.test.']",
        ],
    )
    .await;
    let cases = [("shop.test", "host"), ("Shop.test.", "host"), ("eu.shop.test", "wild"), ("eu.shop.test.:80", "wild")];
    for (count, (host, route)) in cases.iter().enumerate() {
        assert_eq!(matched(&gateway, &format!("GET / HTTP/1.1\r\nhost: {host}"), count + 1).await, *route, "{host}");
    }
}

#[tokio::test]
async fn a_known_path_without_the_method_is_405_and_names_the_others() {
    let upstream = echo().await;
    let gateway = routes(
        &upstream,
        &["name = 'read'\npath = '/a'\nmethods = ['GET']", "name = 'write'\npath = '/a'\nmethods = ['PUT', 'DELETE']"],
    )
    .await;
    let answer = gateway.ask("POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!((answer.status, answer.code().as_str()), (405, "method_not_allowed"));
    let mut allowed: Vec<&str> = answer.header("allow").unwrap().split(", ").collect();
    allowed.sort_unstable();
    assert_eq!(allowed, ["DELETE", "GET", "HEAD", "PUT"]);
    let mut client = gateway.client().await;
    client.send("HEAD /a HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(client.head().await.status, 200, "a GET route answers HEAD");
}

#[tokio::test]
async fn a_connection_outlives_a_404_and_a_405() {
    let upstream = echo().await;
    let gateway = routes(&upstream, &["path = '/a'\nmethods = ['GET']"]).await;
    let mut client = gateway.client().await;
    assert_eq!(client.ask("GET /b HTTP/1.1\r\nhost: a\r\n\r\n").await.code(), "route_not_found");
    assert_eq!(client.ask("DELETE /a HTTP/1.1\r\nhost: a\r\n\r\n").await.code(), "method_not_allowed");
    assert_eq!(client.ask("GET /a HTTP/1.1\r\nhost: a\r\n\r\n").await.status, 200);
}

#[tokio::test]
async fn a_rest_matches_nothing_too() {
    let upstream = echo().await;
    let gateway = routes(&upstream, &["path = '/api/orders/{*rest}'"]).await;
    for path in ["/api/orders", "/api/orders/", "/api/orders/1/lines"] {
        assert_eq!(gateway.get(path).await.echo().path(), path);
    }
    assert_eq!(gateway.get("/api/ordersx").await.status, 404);
}

#[tokio::test]
async fn paths_are_rewritten_and_their_query_stays() {
    let upstream = echo().await;
    let gateway = routes(
        &upstream,
        &[
            "path = '/api/{*rest}'\nrewrite = { strip_prefix = '/api' }",
            "path = '/old/{id}/{*rest}'\nrewrite = { path = '/v2/{rest}/of/{id}' }",
        ],
    )
    .await;
    for (asked, sent, query) in [
        ("/api/orders/7?x=1", "/orders/7", "x=1"),
        ("/api", "/", ""),
        ("/api/", "/", ""),
        ("/old/7/lines/2?y", "/v2/lines/2/of/7", "y"),
        ("/old/a%20b/c", "/v2/c/of/a%20b", ""),
    ] {
        let echo = gateway.get(asked).await.echo();
        assert_eq!((echo.path(), echo.get("query").as_str().unwrap()), (sent, query), "{asked}");
    }
}

#[tokio::test]
async fn explain_tells_what_traffic_meets() {
    let upstream = echo().await;
    let gateway = routes(&upstream, &["name = 'read'\npath = '/a/{id}'\nmethods = ['GET']"]).await;
    assert_eq!(gateway.get("/a/7").await.status, 200);
    let told = gateway.admin("GET", "/explain?method=GET&url=http://x/a/7").await;
    assert_eq!(told.status, 200);
    assert!(String::from_utf8(told.body).unwrap().contains("read"));
    let told = gateway.admin("GET", "/explain?method=POST&url=http://x/a/7").await;
    let text = String::from_utf8(told.body).unwrap();
    assert!(text.contains("405") || text.contains("method"), "{text}");
}
