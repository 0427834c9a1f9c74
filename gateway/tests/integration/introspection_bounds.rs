//! What one client, or one token, cannot do to others that are asked about at the same issuer; and how long a request
//! waits for it.

use std::sync::Arc;

use mocks::raw::{Gate, Raw, Script};
use serde_json::json;
use wiremock::matchers::body_string_contains;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::h2::{self, H2Client};
use crate::support::{Answer, Gateway, Issuer, echo, eventually, guarded, one_route};

/// The environment of the tests has no secrets; this variable is everywhere.
const SECRET_ENV: &str = "PATH";
const AUTH: &str = "auth = { providers = ['opaque'] }";

/// A gateway that asks there about tokens, with these keys of its server, its route and its provider.
async fn gateway(issuer: &str, server: &str, route: &str, keys: &str) -> (Gateway, mocks::Mock) {
    let upstream = echo().await;
    let provider = format!(
        "[identity.providers.opaque]\nkind = 'introspection'\nurl = '{issuer}'\nclient_id = 'gateway'\n\
         client_secret_env = '{SECRET_ENV}'\n{keys}\n"
    );
    let text = format!("{}\n{provider}", one_route(server, &format!("{AUTH}\n{route}"), upstream.addr()));
    (Gateway::start(&text).await, upstream)
}

fn request(token: &str) -> String {
    format!("GET / HTTP/1.1\r\nhost: a.test\r\nauthorization: Bearer {token}\r\n\r\n")
}

/// An issuer that says yes to everything, once the gate is open.
async fn behind(gate: &Gate) -> Raw {
    let body = r#"{"active":true,"sub":"ada"}"#;
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    Raw::script(Script::new().read_request().wait(gate).send(answer).again()).await.unwrap()
}

/// How many questions it was asked.
fn questions(issuer: &Raw) -> usize {
    String::from_utf8_lossy(&issuer.received().concat()).matches("token=").count()
}

/// Waits until so many requests are in the gateway at once.
async fn are_inside(gateway: &Gateway, count: u32) {
    let inside = Arc::clone(&gateway.inner().shared().in_flight);
    eventually("all of them are in the gateway", || inside.count() == count).await;
}

#[tokio::test]
async fn tokens_that_an_issuer_does_not_like_close_it_to_nobody_else() {
    let server = MockServer::start().await;
    for status in [400, 403, 413, 422] {
        let odd = Mock::given(body_string_contains(format!("token=odd{status}&")));
        odd.respond_with(ResponseTemplate::new(status)).mount(&server).await;
    }
    // What stands before an issuer may say so with a page.
    let page = ResponseTemplate::new(200).set_body_string("<html>The request was blocked</html>");
    Mock::given(body_string_contains("token=odd200&")).respond_with(page).mount(&server).await;
    let good = ResponseTemplate::new(200).set_body_json(json!({ "active": true, "sub": "ada" }));
    Mock::given(body_string_contains("token=good&")).respond_with(good).mount(&server).await;
    let (gateway, _upstream) = gateway(&server.uri(), "", "", "").await;
    for status in [400, 403, 413, 422, 200] {
        for _ in 0..5 {
            let answer = gateway.ask(request(&format!("odd{status}"))).await;
            assert_eq!(answer.status, 503, "nobody says whether it holds");
        }
    }
    assert_eq!(gateway.ask(request("good")).await.status, 200, "its breaker is closed");
}

#[tokio::test]
async fn an_issuer_is_asked_about_nothing_that_is_no_token() {
    let server = MockServer::start().await;
    let (gateway, _upstream) = gateway(&server.uri(), "", "", "").await;
    for odd in ["a b", "a  b", "a b c"] {
        let answer = gateway.ask(request(odd)).await;
        let told = (answer.status, answer.header("www-authenticate"));
        assert_eq!(told, (400, Some("Bearer error=\"invalid_request\"")), "{odd:?}");
    }
    assert_eq!(gateway.ask(request(&"a".repeat(8193))).await.status, 401, "longer than tokens are");
    assert_eq!(server.received_requests().await.unwrap().len(), 0);
}

#[tokio::test]
async fn all_who_bring_one_token_at_once_get_one_answer_also_where_none_is_remembered() {
    let gate = Gate::new();
    let issuer = behind(&gate).await;
    let keys = "timeout = '1m'\ncache = { positive = '0s', negative = '0s' }";
    let (gateway, _upstream) = gateway(&issuer.url("/"), "max_in_flight = 1000", "", keys).await;
    let all = futures_util::future::join_all((0..40).map(|_| gateway.ask(request("one"))));
    let (answers, ()) = tokio::join!(all, async {
        are_inside(&gateway, 40).await;
        gate.open();
    });
    assert_eq!(answers.iter().map(|answer| answer.status).collect::<Vec<_>>(), [200; 40]);
    // Who came in as the answer did may have asked anew.
    assert!(questions(&issuer) <= 2, "{}", questions(&issuer));
    let before = questions(&issuer);
    assert_eq!(gateway.ask(request("one")).await.status, 200);
    assert_eq!(questions(&issuer), before + 1, "later ones ask anew");
}

#[tokio::test]
async fn who_brings_a_new_token_waits_for_its_turn_where_many_do() {
    let gate = Gate::new();
    let issuer = behind(&gate).await;
    let (gateway, _upstream) = gateway(&issuer.url("/"), "max_in_flight = 1000", "", "timeout = '1m'").await;
    let mut connections = Vec::new();
    for _ in 0..4 {
        connections.push(H2Client::connect(gateway.address).await);
    }
    let mut calls = Vec::new();
    for (number, connection) in connections.iter_mut().enumerate() {
        for at in 0..90 {
            let mut request = h2::get("/");
            let token = format!("Bearer t{number}-{at}");
            request.headers_mut().insert("authorization", token.parse().unwrap());
            calls.push(connection.begin(request, true).await);
        }
    }
    // More than are asked about at once.
    are_inside(&gateway, 360).await;
    gate.open();
    let answers: Vec<Answer> = futures_util::future::join_all(calls.into_iter().map(h2::Call::answer)).await;
    assert!(answers.iter().all(|answer| answer.status == 200), "{:?}", answers.iter().find(|it| it.status != 200));
    assert!(issuer.accepted() <= 256, "so many are asked about at once: {}", issuer.accepted());
}

#[tokio::test]
async fn a_request_waits_for_an_issuer_no_longer_than_its_own_time() {
    let gate = Gate::new();
    let issuer = behind(&gate).await;
    let (gateway, upstream) = gateway(&issuer.url("/"), "", "timeout = '1h'", "timeout = '30m'").await;
    let hurried = request("t").replace("host:", "x-request-timeout-ms: 50\r\nhost:");
    let answer = guarded("an answer", gateway.ask(&hurried)).await;
    assert_eq!((answer.status, answer.code().as_str(), answer.header("retry-after")), (503, "overloaded", Some("1")));
    assert_eq!(gateway.metric("gateway_shed_total{reason=\"deadline\"}").await, Some(1.0));
    assert_eq!(upstream.counters().requests, 0);
    // The question goes on without whoever asked it.
    let (answer, ()) = tokio::join!(gateway.ask(request("t")), async { gate.open() });
    assert_eq!(answer.status, 200);
    assert_eq!(questions(&issuer), 1);
    let echo = gateway.ask(&hurried.replace("ms: 50", "ms: 50000")).await.echo();
    let left: u64 = echo.header("x-request-timeout-ms").unwrap().parse().unwrap();
    assert!((1..=50_000).contains(&left), "the upstream is told what is left: {left}");
}

#[tokio::test]
async fn a_request_waits_for_an_issuer_and_for_keys_no_longer_than_its_route_gives() {
    let gate = Gate::new();
    let (keys, upstream, issuer) = (behind(&gate).await, echo().await, Issuer::new("k1"));
    let provider = format!(
        "[identity.providers.main]\nkind = 'jwt'\nissuer = '{}'\naudiences = ['api']\njwks = {{ url = '{}' }}\n",
        crate::support::ISSUER,
        keys.url("/keys")
    );
    let route = one_route("", "auth = { providers = ['main'] }\ntimeout = '50ms'", upstream.addr());
    let gateway = Gateway::start(&format!("{route}\n{provider}")).await;
    let answer = gateway.ask(request(&issuer.token(&json!({})))).await;
    assert_eq!(answer.status, 503);
    let shed = gateway.metric("gateway_shed_total{reason=\"deadline\"}").await;
    assert_eq!(shed, Some(1.0), "its time ran out, and not the key server's");
}
