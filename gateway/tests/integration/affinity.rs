//! Affinity: a cookie brings a client back to the endpoint that answered it, for as long as that can answer.

use std::time::Duration;

use mocks::raw::{Raw, Script};
use mocks::{Effect, Mock, Rule};

use crate::support::{Answer, Gateway, eventually};

/// A secret that every environment has; what it is does not matter here.
const SECRET_ENV: &str = "PATH";

/// An endpoint that says its name.
async fn named(name: &str) -> Raw {
    let answer = format!("HTTP/1.1 200 OK\r\nx-name: {name}\r\ncontent-length: 0\r\n\r\n");
    Raw::script(Script::new().read_request().send(answer).again()).await.unwrap()
}

fn text(endpoints: &[&Raw], keys: &str) -> String {
    let list: Vec<String> = endpoints.iter().map(|endpoint| format!("'{}'", endpoint.addr())).collect();
    format!(
        "[server]\ntrusted_proxies = ['127.0.0.1/32']\n[upstreams.up]\nendpoints = [{}]\nbalance = 'round_robin'\n\
         breaker = {{ consecutive_failures = 1, open_for = '60s' }}\n\
         affinity = {{ key_env = '{SECRET_ENV}'{keys} }}\n\
         [[routes]]\npath = '/{{*rest}}'\nupstream = 'up'\nretry = {{ attempts = 2, on = ['reset', 'connect'] }}\n",
        list.join(", ")
    )
}

async fn ask(gateway: &Gateway, fields: &str) -> Answer {
    gateway.ask(format!("GET / HTTP/1.1\r\nhost: a\r\n{fields}\r\n")).await
}

/// The pair of a `set-cookie`.
fn pair(answer: &Answer) -> String {
    answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_cookie_brings_a_client_back_and_says_nothing_of_where() {
    let (a, b) = (named("a").await, named("b").await);
    let gateway = Gateway::start(&text(&[&a, &b], ", max_age = '1h', same_site = 'strict'")).await;
    let first = ask(&gateway, "").await;
    let (home, cookie) = (first.header("x-name").unwrap(), pair(&first));
    let (name, token) = cookie.split_once('=').unwrap();
    assert_eq!((name, token.len()), ("gw-up", 22));
    assert!(first.header("set-cookie").unwrap().ends_with("; Path=/; HttpOnly; Max-Age=3600; SameSite=Strict"));
    for _ in 0..4 {
        let answer = ask(&gateway, &format!("cookie: x=y; {cookie}\r\n")).await;
        assert_eq!((answer.header("x-name"), answer.header("set-cookie")), (Some(home), None));
    }
    // Others take turns, as if nobody had come back in between.
    let others = [ask(&gateway, "").await, ask(&gateway, "").await, ask(&gateway, "").await];
    let names: Vec<_> = others.iter().map(|answer| answer.header("x-name").unwrap()).collect();
    assert!(names[0] != home && names[1] == home && names[2] != home, "{names:?}");
    assert_ne!(pair(&others[0]), cookie);
    assert_eq!(pair(&others[1]), cookie);
    let secure = ask(&gateway, "x-forwarded-proto: https\r\n").await;
    assert!(secure.header("set-cookie").unwrap().ends_with("; Secure"));
}

#[tokio::test]
async fn a_value_that_nobody_made_addresses_nobody() {
    let (a, elsewhere) = (named("a").await, named("elsewhere").await);
    let gateway = Gateway::start(&text(&[&a], "")).await;
    for value in [elsewhere.addr().to_string(), a.addr().to_string(), "A".repeat(22), String::new()] {
        let answer = ask(&gateway, &format!("cookie: gw-up={value}\r\n")).await;
        assert_eq!((answer.header("x-name"), pair(&answer).len()), (Some("a"), 6 + 22), "{value}");
    }
    assert_eq!(elsewhere.accepted(), 0);
}

#[tokio::test]
async fn where_its_endpoint_is_out_a_client_moves_and_stays_there() {
    let (a, dies) = (named("a").await, Raw::script(Script::new().read_request().reset()).await.unwrap());
    let gateway = Gateway::start(&text(&[&a, &dies], "")).await;
    // What stands for the one that dies: both have tokens under the same secret, whatever they answer.
    let stays = pair(&ask(&gateway, "").await);
    let moved = ask(&gateway, "").await;
    assert_eq!((moved.status, moved.header("x-name")), (200, Some("a")), "tried again elsewhere");
    assert_eq!(pair(&moved), stays, "and its home is who answered");
    eventually("its breaker is open", || dies.accepted() == 1).await;
    for _ in 0..4 {
        let answer = ask(&gateway, &format!("cookie: {stays}\r\n")).await;
        assert_eq!((answer.header("x-name"), answer.header("set-cookie")), (Some("a"), None));
    }
    assert_eq!(dies.accepted(), 1);
}

/// A hedge's answer would come from where the session is not, and take the client along.
#[tokio::test]
async fn who_comes_back_is_not_hedged_however_slow_its_home_is() {
    let upstream = Mock::builder().service("up").endpoints(2).start().await.unwrap();
    let endpoints: Vec<String> = upstream.addrs().iter().map(|address| format!("'{address}'")).collect();
    let gateway = Gateway::start(&format!(
        "[upstreams.up]\nendpoints = [{}]\nbalance = 'round_robin'\naffinity = {{ key_env = '{SECRET_ENV}' }}\n\
         [[routes]]\npath = '/{{*rest}}'\nupstream = 'up'\nhedge = {{ after = '10ms' }}\nretry = {{ attempts = 1 }}\n",
        endpoints.join(", ")
    ))
    .await;
    upstream.set_rules([Rule::any().endpoint(1).effect(Effect::Hang)]);
    let first = ask(&gateway, "").await;
    let (home, cookie) = (upstream.addrs()[0].port(), pair(&first));
    assert_eq!(first.echo().get("endpoint"), &home);
    upstream.set_rules([Rule::any().endpoint(0).delay(Duration::from_millis(100))]);
    let answer = ask(&gateway, &format!("cookie: {cookie}\r\n")).await;
    assert_eq!((answer.echo().get("endpoint"), answer.header("set-cookie")), (&home.into(), None));
    // Who has no home goes wherever an answer comes from.
    upstream.set_rules([Rule::any().endpoint(0).effect(Effect::Hang)]);
    for _ in 0..2 {
        assert_ne!(ask(&gateway, "").await.echo().get("endpoint"), &home);
    }
    let records = gateway.records(4).await;
    assert_eq!(records[1]["hedged"], false);
    assert!(records[2..].iter().any(|record| record["hedged"] == true), "{records:?}");
}

#[tokio::test]
async fn a_client_comes_back_to_an_endpoint_whose_share_still_grows() {
    let (a, b) = (named("a").await, named("b").await);
    let slow = |endpoints: &[&Raw]| text(endpoints, "").replace("balance = 'round_robin'", "slow_start = '1h'");
    let gateway = Gateway::start(&slow(&[&a, &b])).await;
    let mut cookie = None;
    for _ in 0..200 {
        let answer = ask(&gateway, "").await;
        if answer.header("x-name") == Some("b") {
            cookie = Some(pair(&answer));
            break;
        }
    }
    let cookie = cookie.expect("one of two hundred goes to b");
    // It leaves and is back: a new endpoint, whose share begins with a tenth.
    for endpoints in [&[&a][..], &[&a, &b]] {
        gateway.rewrite(&slow(endpoints));
        assert_eq!(gateway.admin("POST", "/reload").await.status, 200);
    }
    for _ in 0..20 {
        let answer = ask(&gateway, &format!("cookie: {cookie}\r\n")).await;
        assert_eq!((answer.header("x-name"), answer.header("set-cookie")), (Some("b"), None));
    }
    let mut others = 0;
    for _ in 0..100 {
        others += u32::from(ask(&gateway, "").await.header("x-name") == Some("b"));
    }
    assert!(others < 25, "{others} of 100: it is warming still");
}
