//! Tokens whose time comes, in virtual time, and tokens that hold once and have to wait.

use std::time::Duration;

use axum::body::Body;
use mocks::raw::{Raw, Script};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use crate::support::inside::{Inside, Memory};
use crate::support::{Gateway, Issuer, echo};

/// When stories begin: the clock of a gateway inside a test.
const BEGIN: i64 = 1_700_000_000;

/// Answers, after six seconds where it is asked whether a request may pass.
async fn serve(mut stream: DuplexStream) {
    loop {
        let mut buffer = [0; 4096];
        let Ok(count @ 1..) = stream.read(&mut buffer).await else { return };
        if buffer[..count].starts_with(b"GET /may-it-pass ") {
            pass(6).await;
        }
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    }
}

/// A gateway with one route that has these keys.
fn inside(issuer: &Issuer, route: &str, more: &str) -> Inside<Memory> {
    let text = format!(
        "[upstreams.up]\nendpoints = ['up:1']\n[[routes]]\npath = '/{{*rest}}'\nupstream = 'up'\n{route}\n{}\n{more}",
        issuer.provider("leeway = '0s'")
    );
    Inside::in_memory(&text, serve)
}

/// A token of this time.
fn token(issuer: &Issuer, claims: &Value) -> String {
    let mut members = json!({ "exp": BEGIN + 3600 });
    members.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
    issuer.token(&members)
}

async fn ask(inside: &Inside<Memory>, token: &str) -> u16 {
    let request = http::Request::get("/").header("host", "a").header("authorization", format!("Bearer {token}"));
    inside.ask(request.body(Body::empty()).unwrap()).await.status().as_u16()
}

async fn pass(seconds: u64) {
    // virtual time
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_token_that_came_too_early_is_good_as_soon_as_it_holds() {
    let issuer = Issuer::new("k1");
    let inside = inside(&issuer, "auth = { providers = ['main'] }", "");
    let early = token(&issuer, &json!({ "nbf": BEGIN + 5 }));
    for _ in 0..4 {
        assert_eq!(ask(&inside, &early).await, 401);
        pass(1).await;
    }
    pass(1).await;
    assert_eq!(ask(&inside, &early).await, 200);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_holds_once_is_not_used_up_by_a_request_that_a_limit_refused() {
    let issuer = Issuer::new("k1");
    let route = "auth = { providers = ['main'], single_use = true }\nrate_limits = ['each']";
    let inside = inside(&issuer, route, "[rate_limits.each]\nrate = '1/m'\nburst = 1\nkey = 'subject'\n");
    let [first, second] = ["1", "2"].map(|jti| token(&issuer, &json!({ "jti": jti })));
    assert_eq!(ask(&inside, &first).await, 200);
    assert_eq!(ask(&inside, &second).await, 429);
    assert_eq!(ask(&inside, &first).await, 401, "it was used, and that counts against nobody's limit");
    pass(61).await;
    assert_eq!(ask(&inside, &first).await, 401);
    assert_eq!(ask(&inside, &second).await, 200, "after the wait that it was told of");
    pass(61).await;
    assert_eq!(ask(&inside, &second).await, 401, "once");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_ends_while_another_service_is_asked_is_not_used_any_more() {
    let issuer = Issuer::new("k1");
    let route = "timeout = '1m'\nauth = { providers = ['main'], single_use = true }\n\
                 forward_auth = { upstream = 'up', path = '/may-it-pass', timeout = '9s' }";
    let inside = inside(&issuer, route, "");
    let [brief, long] = [5, 60].map(|left| token(&issuer, &json!({ "jti": left.to_string(), "exp": BEGIN + left })));
    assert_eq!((ask(&inside, &brief).await, ask(&inside, &long).await), (401, 200));
}

#[tokio::test]
async fn a_token_that_holds_once_is_not_used_up_by_a_request_that_another_service_refused() {
    let answer = |status: &str| {
        Script::new()
            .read_request()
            .send(format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"))
    };
    let authority = Raw::scripts([answer("403 No"), answer("403 No"), answer("200 Yes")]).await.unwrap();
    let (upstream, issuer) = (echo().await, Issuer::new("k1"));
    let text = format!(
        "[upstreams.up]\nendpoints = ['{}']\n[upstreams.authority]\nendpoints = ['{}']\n[[routes]]\n\
         path = '/{{*rest}}'\nupstream = 'up'\nauth = {{ providers = ['main'], single_use = true }}\n\
         forward_auth = {{ upstream = 'authority', path = '/', timeout = '9s' }}\n{}",
        upstream.addr(),
        authority.addr(),
        issuer.provider("")
    );
    let gateway = Gateway::start(&text).await;
    let token = issuer.token(&json!({ "jti": "1" }));
    let request = format!("GET / HTTP/1.1\r\nhost: a.test\r\nauthorization: Bearer {token}\r\n\r\n");
    for _ in 0..2 {
        assert_eq!(gateway.ask(&request).await.status, 403);
    }
    // Many at once, which are all let pass: one gets through.
    let all = futures_util::future::join_all((0..16).map(|_| gateway.ask(&request))).await;
    assert_eq!(all.iter().filter(|answer| answer.status == 200).count(), 1);
    assert!(all.iter().all(|answer| [200, 401].contains(&answer.status)));
    assert_eq!(upstream.counters().requests, 1);
    let granted = gateway.metric("gateway_auth_total{provider=\"main\",result=\"granted\"}").await;
    assert_eq!(granted, Some(1.0));
}
