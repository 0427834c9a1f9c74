//! Answers that caches may keep, and the questions that caches ask.

mod client;

use client::Client;
use mocks::{Caching, Etag, Mock, Rule};

fn products(caching: Caching) -> Mock {
    Mock::builder().rule(Rule::on("/products/*").caching(caching)).launch().unwrap()
}

#[test]
fn a_rule_says_what_caches_are_told() {
    let caching = Caching {
        cache_control: Some("public, max-age=60".into()),
        etag: Some(Etag::Is("v1".into())),
        age: Some(5),
        vary: Some("accept-language".into()),
    };
    let mock = products(caching);
    let mut client = Client::connect(mock.addr());
    let answer = client.get("/products/7", "");
    let told = ["cache-control", "etag", "age", "vary"].map(|name| answer.header(name).unwrap_or("none"));
    assert_eq!(told, ["public, max-age=60", "\"v1\"", "5", "accept-language"]);
    assert_eq!((answer.status, answer.json()["path"].as_str()), (200, Some("/products/7")));
    assert_eq!(client.get("/users/7", "").header("etag"), None);
}

#[test]
fn who_knows_the_version_is_told_that_it_holds() {
    let mock = products(Caching { etag: Some(Etag::Is("v1".into())), age: Some(1), ..Caching::default() });
    let mut client = Client::connect(mock.addr());
    let mut ask = |known: &str| {
        let answer = client.get("/products/7", &format!("if-none-match: {known}\r\n"));
        assert_eq!((answer.header("etag"), answer.header("age")), (Some("\"v1\""), Some("1")));
        assert_eq!(answer.body.is_empty(), answer.status == 304);
        answer.status
    };
    assert_eq!(["\"v1\"", "W/\"v1\"", "\"v0\", \"v1\"", "*"].map(&mut ask), [304; 4]);
    assert_eq!(["\"v2\"", "v1", "\"v1"].map(&mut ask), [200; 3]);
    let put = client
        .send("PUT /products/7 HTTP/1.1\r\nHost: m\r\nIf-None-Match: \"v1\"\r\nContent-Length: 0\r\n\r\n")
        .answer();
    assert_eq!(put.status, 200, "only what reads is answered so");
    let failing = client.get("/products/7", "if-none-match: \"v1\"\r\nx-mock-fault: status=503;etag=v1\r\n");
    assert_eq!((failing.status, failing.header("etag")), (503, Some("\"v1\"")));
    mock.set_rules([Rule::any().caching(Caching { etag: Some(Etag::Is("v2".into())), ..Caching::default() })]);
    assert_eq!(client.get("/products/7", "if-none-match: \"v1\"\r\n").status, 200, "there is a new version");
}

#[test]
fn a_tag_of_the_target_is_the_same_for_the_same_target() {
    let mock = products(Caching { etag: Some(Etag::OfTarget), ..Caching::default() });
    let mut client = Client::connect(mock.addr());
    let mut tag = |path: &str| client.get(path, "").header("etag").unwrap().to_owned();
    assert_eq!(tag("/products/7"), tag("/products/7"));
    assert_ne!(tag("/products/7"), tag("/products/7?x=1"));
}

#[test]
fn a_rule_adds_any_line() {
    let rules =
        Rule::from_toml("[[rules]]\nact = { status = 503, headers = { Retry-After = '2', set-cookie = 'a=1' } }")
            .unwrap();
    let mock = Mock::builder().rules(rules).launch().unwrap();
    let answer = Client::connect(mock.addr()).get("/x", "");
    assert_eq!((answer.header("retry-after"), answer.header("set-cookie")), (Some("2"), Some("a=1")));
}
