//! `/openapi.json`: what services say of themselves is asked for beside all requests, kept while they are away, and
//! told when it is missing.

use serde_json::{Value, json};
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::{Gateway, Process, echo};

async fn document(gateway: &Gateway, path: &str) -> Value {
    let answer = gateway.admin("GET", path).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    serde_json::from_slice(&answer.body).unwrap()
}

fn routes(upstream: std::net::SocketAddr, more: &str) -> String {
    format!(
        "[upstreams.up]\nendpoints = ['{upstream}']\n{more}[[routes]]\nname = 'mock'\npath = '/api/{{*rest}}'\nupstream = 'up'\n\
         rewrite = {{ strip_prefix = '/api' }}\nopenapi = '/openapi.json'\n"
    )
}

#[tokio::test]
async fn a_services_document_is_asked_for_over_either_protocol() {
    let upstream = echo().await;
    for protocol in ["protocol = 'http1'\n", "protocol = 'http2'\n"] {
        let gateway = Gateway::start(&routes(upstream.addr(), protocol)).await;
        let document = document(&gateway, "/openapi.json").await;
        let operation = &document["paths"]["/api/bytes/{n}"]["get"];
        assert_eq!(operation["summary"], "A body of n bytes", "{protocol}");
        assert_eq!(document["servers"][0]["url"], format!("http://{}", gateway.address));
        let told = &document["x-documents"][0];
        assert!(told["missing"].is_null() && told["stale"].is_null() && told["title"] == "Mock service", "{told}");
        // What is promised is so.
        assert_eq!(gateway.get("/api/bytes/7").await.body.len(), 7);
    }
}

#[tokio::test]
async fn the_last_document_stands_while_its_service_is_away() {
    let upstream = MockServer::start().await;
    let service = json!({ "openapi": "3.0.0", "paths": { "/orders": { "get": { "operationId": "orders" } } } });
    Mock::given(path("/openapi.json"))
        .respond_with(ResponseTemplate::new(200).set_body_json(service))
        .mount(&upstream)
        .await;
    let gateway = Gateway::start(&routes(*upstream.address(), "")).await;
    let before = document(&gateway, "/openapi.json").await;
    assert_eq!(before["paths"]["/api/orders"]["get"]["operationId"], "orders");
    upstream.reset().await;
    gateway.admin("POST", "/reload").await;
    let after = document(&gateway, "/openapi.json").await;
    assert_eq!(after["paths"]["/api/orders"], before["paths"]["/api/orders"]);
    assert_eq!(after["x-documents"][0]["stale"], "the service answers 404");
    let status: Value = serde_json::from_slice(&gateway.admin("GET", "/status").await.body).unwrap();
    assert_eq!(status["documents"][0]["failed"], "the service answers 404");
    assert!(status["documents"][0]["came"].is_string());
}

#[tokio::test]
async fn what_is_no_document_takes_nobodys_place() {
    for (body, why) in [
        ("{\"swagger\":\"2.0\"}".to_owned(), "Swagger 2.0"),
        (" ".repeat((4 << 20) + 1), "larger than"),
        ("[".repeat(100_000), "not JSON"),
    ] {
        let upstream = MockServer::start().await;
        Mock::given(path("/openapi.json"))
            .respond_with(ResponseTemplate::new(200).set_body_string(body))
            .mount(&upstream)
            .await;
        let gateway = Gateway::start(&routes(*upstream.address(), "")).await;
        let document = document(&gateway, "/openapi.json").await;
        let missing = document["x-documents"][0]["missing"].as_str().unwrap();
        assert!(missing.contains(why), "{missing}");
        assert!(document["paths"]["/api/{rest}"]["get"].is_object());
    }
}

#[tokio::test]
async fn a_reload_changes_the_document_and_a_host_narrows_it() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    assert!(document(&gateway, "/openapi.json").await["paths"]["/{rest}"].is_object());
    gateway.rewrite(&format!(
        "[[routes]]\nname = 'one'\nhosts = ['a.test']\npath = '/one'\nupstream = 'http://{}'\n",
        upstream.addr()
    ));
    gateway.admin("POST", "/reload").await;
    let now = document(&gateway, "/openapi.json?host=A.test").await;
    assert_eq!(now["paths"].as_object().unwrap().keys().collect::<Vec<_>>(), ["/one"]);
    assert_eq!(document(&gateway, "/openapi.json?host=b.test").await["paths"], json!({}));
    assert_eq!(gateway.admin("GET", "/openapi.json?host=a;b").await.status, 400);
}

#[tokio::test]
async fn the_document_is_behind_the_token_and_the_page_is_not() {
    let upstream = echo().await;
    let (process, _folder) = Process::start_with_token(upstream.addr(), "s3cret-and-long-enough").await;
    let ask = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: {}\r\n", process.admin);
    let get =
        |head: String| async move { crate::support::Client::connect(process.admin).await.ask(head + "\r\n").await };
    assert_eq!(get(ask("/openapi.json")).await.status, 401);
    let known = ask("/openapi.json") + "authorization: Bearer s3cret-and-long-enough\r\n";
    assert_eq!(get(known).await.status, 200);
    let page = get(ask("/docs")).await;
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        page.status == 401 && policy.contains(&format!("connect-src 'self' http://{};", process.address)),
        "{policy}"
    );
    assert!(!policy.contains("unsafe"), "{policy}");
    let dashboard = get(ask("/")).await;
    assert!(dashboard.header("content-security-policy").unwrap().contains("connect-src 'self';"));
}
