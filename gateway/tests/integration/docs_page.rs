//! The reference page in a real browser: what somebody reads of an API, and what happens when they try it.

use serde_json::json;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::{Browser, Gateway, Process, echo};

const HOSTILE: &str = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>";

/// A service that says what it offers, and some of it in words that a page must not believe.
async fn shop() -> MockServer {
    let service = json!({
        "openapi": "3.1.0",
        "tags": [{ "name": "orders", "description": HOSTILE }],
        "paths": {
            "/orders/{id}": { "get": {
                "operationId": "getOrder", "tags": ["orders"], "summary": format!("One order {HOSTILE}"), "description": HOSTILE,
                "parameters": [
                    { "name": "id", "in": "path", "required": true, "schema": { "type": "integer", "examples": [7] } },
                    { "name": "verbose", "in": "query", "schema": { "type": "boolean" } },
                ],
                "responses": { "200": { "description": "It", "content": { "application/json": {
                    "schema": { "$ref": "#/components/schemas/Order" } } } } },
            } },
            "/orders": { "post": {
                "operationId": "addOrder", "tags": ["orders"], "summary": "A new order",
                "requestBody": { "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Order" } } } },
                "responses": { "201": { "description": "Made" } },
            } },
        },
        "components": { "schemas": { "Order": { "type": "object", "required": ["item"], "properties": {
            "item": { "type": "string", "examples": ["it's"] }, "next": { "$ref": "#/components/schemas/Order" } } } } },
    });
    let server = MockServer::start().await;
    let document = ResponseTemplate::new(200).set_body_json(service);
    Mock::given(method("GET")).and(path("/openapi.json")).respond_with(document).mount(&server).await;
    let order = ResponseTemplate::new(200).set_body_json(json!({ "item": "a book" }));
    Mock::given(method("GET")).and(path("/orders/7")).respond_with(order).mount(&server).await;
    server
}

fn routes(upstream: std::net::SocketAddr) -> String {
    format!(
        "[rate_limits.each]\nkey = 'client_ip'\nrate = '50/s'\nburst = 100\n\
         [[routes]]\nname = 'shop'\npath = '/orders/{{*rest}}'\nupstream = 'http://{upstream}'\nopenapi = '/openapi.json'\n\
         rate_limits = ['each']\ncors = {{ origins = ['*'] }}\n\
         [[routes]]\nname = 'closed'\npath = '/closed'\nmethods = ['GET']\nupstream = 'http://{upstream}'\n\
         [[routes]]\nname = 'hosted'\nhosts = ['shop.test']\npath = '/hosted'\nmethods = ['GET']\nupstream = 'http://{upstream}'\n"
    )
}

async fn look_at(gateway: &Gateway) -> Option<Browser> {
    Browser::open(&format!("http://{}/docs", gateway.admin)).await
}

async fn open(browser: &mut Browser, id: &str) {
    browser.until(&format!("document.getElementById('op-{id}')")).await;
    browser.run(&format!("document.getElementById('op-{id}').open = true")).await;
    browser.until(&format!("document.querySelector('#op-{id} .curl')?.textContent")).await;
}

#[tokio::test]
async fn an_operation_is_read_and_tried() {
    let upstream = shop().await;
    let gateway = Gateway::start(&routes(*upstream.address())).await;
    let Some(mut browser) = look_at(&gateway).await else { return };
    open(&mut browser, "getOrder").await;
    let text = browser.run("document.getElementById('op-getOrder').textContent").await.as_str().unwrap().to_owned();
    for said in ["/orders/{id}", "verbose", "Everybody.", "50/s", "429", "502", "ratelimit-policy", "Order: object"] {
        assert!(text.contains(said), "{said}: {text}");
    }
    let curl = browser.run("document.querySelector('#op-getOrder .curl').textContent").await;
    assert_eq!(curl.as_str().unwrap(), format!("curl -i \\\n  'http://{}/orders/7'", gateway.address));
    browser.run("document.querySelector('#op-getOrder form').requestSubmit()").await;
    let answer = browser.until("document.querySelector('#op-getOrder .answer').textContent.includes('a book') && document.querySelector('#op-getOrder .answer').textContent").await;
    assert!(answer.as_str().unwrap().starts_with("200 "), "{answer}");
    open(&mut browser, "addOrder").await;
    let curl = browser.run("document.querySelector('#op-addOrder .curl').textContent").await;
    assert!(curl.as_str().unwrap().contains(r#""item": "it'\''s""#), "{curl}");
    assert!(browser.complaints.is_empty(), "{:?}", browser.complaints);
}

#[tokio::test]
async fn where_the_browser_may_not_read_answers_it_sends_nothing_and_says_why() {
    let upstream = shop().await;
    let gateway = Gateway::start(&routes(*upstream.address())).await;
    let Some(mut browser) = look_at(&gateway).await else { return };
    open(&mut browser, "closed-get").await;
    let why = browser.run("document.querySelector('#op-closed-get .why').textContent").await;
    assert!(why.as_str().unwrap().contains(&format!("cors = {{ origins = [\"http://{}\"] }}", gateway.admin)), "{why}");
    assert_eq!(browser.run("document.querySelector('#op-closed-get button').disabled").await, true);
    open(&mut browser, "hosted-get").await;
    let curl = browser.run("document.querySelector('#op-hosted-get .curl').textContent").await;
    let (host, port) = (gateway.address.ip(), gateway.address.port());
    assert_eq!(
        curl.as_str().unwrap(),
        format!("curl -i \\\n  --connect-to '::{host}:{port}' \\\n  'http://shop.test:{port}/hosted'")
    );
    assert_eq!(
        upstream.received_requests().await.unwrap().iter().filter(|it| it.url.path() != "/openapi.json").count(),
        0
    );
}

#[tokio::test]
async fn what_a_service_says_is_text_and_the_page_fits_a_phone() {
    let upstream = shop().await;
    let gateway = Gateway::start(&routes(*upstream.address())).await;
    let Some(mut browser) = look_at(&gateway).await else { return };
    open(&mut browser, "getOrder").await;
    browser.until("document.getElementById('groups').innerText.includes('onerror')").await;
    assert_eq!(
        browser.run("document.querySelectorAll('img').length + document.querySelectorAll('main script').length").await,
        0
    );
    assert_eq!(browser.run("document.title").await, "API reference · Portcullis");
    browser.be_as_wide_as(360).await;
    browser.until("document.documentElement.scrollWidth <= 360").await;
    let search = "document.getElementById('search')";
    browser.run(&format!("{search}.value = 'post', {search}.dispatchEvent(new Event('input'))")).await;
    browser.until("document.querySelectorAll('details.operation').length === 1").await;
    assert!(browser.complaints.is_empty(), "{:?}", browser.complaints);
}

#[tokio::test]
async fn the_page_asks_for_the_token_once() {
    let upstream = echo().await;
    let (process, _folder) = Process::start_with_token(upstream.addr(), "s3cret-and-long-enough").await;
    let Some(mut browser) = Browser::open(&format!("http://{}/docs", process.admin)).await else { return };
    browser.until("!document.getElementById('enter').hidden").await;
    browser.run("document.getElementById('token').value = 's3cret-and-long-enough', document.getElementById('enter').requestSubmit()").await;
    browser.until("document.querySelectorAll('details.operation').length === 5").await;
}
