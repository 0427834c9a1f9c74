//! `split`: several upstreams share a route's requests, and clients stay where they are.

use std::collections::BTreeMap;

use mocks::raw::{Gate, Raw, Script};
use mocks::{Mock, Rule};
use serde_json::{Value, json};

use crate::support::h2::H2Client;
use crate::support::{Client, Gateway, Issuer, echo, eventually};

/// A route that two upstreams share, with these weights, this key at the canary, and these keys of the route.
fn text(
    (stable, canary): (std::net::SocketAddr, std::net::SocketAddr),
    split: &str,
    route: &str,
    more: &str,
) -> String {
    format!(
        "[server]\ntrusted_proxies = ['127.0.0.1/32']\n\
         [upstreams.stable]\nendpoints = ['{stable}']\nbreaker = {{ consecutive_failures = 2, open_for = '60s' }}\n\
         [upstreams.canary]\nendpoints = ['{canary}']\nbreaker = {{ consecutive_failures = 2, open_for = '60s' }}\n\
         [upstreams.other]\nendpoints = ['127.0.0.1:9']\n\
         [[routes]]\nname = 'all'\npath = '/{{*rest}}'\nsplit = [{split}]\nretry = {{ attempts = 1 }}\n{route}\n{more}\n"
    )
}

fn shares(stable: u32, canary: u32, sticky: &str) -> String {
    let sticky = if sticky.is_empty() { String::new() } else { format!(", sticky = '{sticky}'") };
    format!("{{ upstream = 'stable', weight = {stable} }}, {{ upstream = 'canary', weight = {canary}{sticky} }}")
}

struct Two {
    stable: Mock,
    canary: Mock,
}

impl Two {
    async fn start() -> Self {
        Self { stable: echo().await, canary: echo().await }
    }

    fn addresses(&self) -> (std::net::SocketAddr, std::net::SocketAddr) {
        (self.stable.addr(), self.canary.addr())
    }

    fn text(&self, split: &str, route: &str) -> String {
        text(self.addresses(), split, route, "")
    }
}

/// A request of this user, and of a client at this address.
fn by(user: usize) -> String {
    format!("GET / HTTP/1.1\r\nhost: a\r\nx-user: user-{user}\r\nx-forwarded-for: 203.0.113.{user}\r\n\r\n")
}

/// The upstream of each record, in their order.
async fn upstreams(gateway: &Gateway, count: usize) -> Vec<String> {
    let name = |record: &Value| record["upstream"].as_str().unwrap().to_owned();
    gateway.records(count).await.iter().map(name).collect()
}

async fn canaries(gateway: &Gateway, users: usize) -> Vec<usize> {
    let mut client = gateway.client().await;
    let before = gateway.metric("gateway_split_total{route=\"all\",upstream=\"canary\"}").await.unwrap_or(0.0);
    let mut found = Vec::new();
    for user in 0..users {
        let answer = client.ask(by(user)).await;
        if answer.header("x-by") == Some("canary") {
            found.push(user);
        }
    }
    let after = gateway.metric("gateway_split_total{route=\"all\",upstream=\"canary\"}").await.unwrap();
    assert_eq!(after - before, found.len() as f64, "what is counted is what went there");
    found
}

/// Endpoints that say whose they are.
async fn named(name: &str) -> Raw {
    let answer = format!("HTTP/1.1 200 OK\r\nx-by: {name}\r\ncontent-length: 0\r\n\r\n");
    Raw::script(Script::new().read_request().send(answer).again()).await.unwrap()
}

#[tokio::test]
async fn requests_are_shared_by_weight_and_each_record_says_whose_it_was() {
    let two = Two::start().await;
    let gateway = Gateway::start(&two.text(&shares(3, 1, ""), "")).await;
    let mut client = gateway.client().await;
    for _ in 0..400 {
        assert_eq!(client.ask(by(1)).await.status, 200);
    }
    let (stable, canary) = (two.stable.counters().requests, two.canary.counters().requests);
    // By chance: of 400 with one in four, five standard deviations are 43.
    assert!(stable + canary == 400 && (57..=143).contains(&canary), "{stable} and {canary}");
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    for record in gateway.records(400).await {
        assert_eq!(record["route"], "all");
        let of = if record["upstream"] == "stable" { two.stable.addr() } else { two.canary.addr() };
        assert_eq!(record["endpoint"], of.to_string());
        *seen.entry(record["upstream"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    assert_eq!(seen, BTreeMap::from([("canary".to_owned(), canary), ("stable".to_owned(), stable)]));
    for (upstream, count) in [("stable", stable), ("canary", canary)] {
        let chosen = format!("gateway_split_total{{route=\"all\",upstream=\"{upstream}\"}}");
        assert_eq!(gateway.metric(&chosen).await, Some(count as f64));
        let attempts = format!("gateway_upstream_attempts_total{{upstream=\"{upstream}\",outcome=\"ok\"}}");
        assert_eq!(gateway.metric(&attempts).await, Some(count as f64));
    }
    let all = "gateway_requests_total{route=\"all\",status_class=\"2xx\",code=\"ok\"}";
    assert_eq!(gateway.metric(all).await, Some(400.0), "it is one route");
}

#[tokio::test]
async fn clients_stay_when_a_canary_grows_and_are_the_same_in_every_gateway() {
    let (stable, canary) = (named("stable").await, named("canary").await);
    let configured =
        |old: u32, new: u32| text((stable.addr(), canary.addr()), &shares(old, new, "header:x-user"), "", "");
    let gateway = Gateway::start(&configured(80, 20)).await;
    let first = canaries(&gateway, 100).await;
    assert!((5..=40).contains(&first.len()), "{first:?}");
    assert_eq!(canaries(&gateway, 100).await, first, "who is there stays there");
    gateway.rewrite(&configured(60, 40));
    assert_eq!(gateway.admin("POST", "/reload").await.status, 200);
    let grown = canaries(&gateway, 100).await;
    assert!(first.iter().all(|user| grown.contains(user)) && grown.len() > first.len(), "{first:?}, then {grown:?}");
    // Another gateway, whose file says it the other way round and in other numbers.
    let other = "{ upstream = 'canary', weight = 2, sticky = 'header:x-user' }, { upstream = 'stable', weight = 3 }";
    let other = Gateway::start(&text((stable.addr(), canary.addr()), other, "", "")).await;
    assert_eq!(canaries(&other, 100).await, grown);
    // Nobody is sent to one of weight 0, whatever it was before.
    gateway.rewrite(&configured(1, 0));
    assert_eq!(gateway.admin("POST", "/reload").await.status, 200);
    assert!(canaries(&gateway, 100).await.is_empty());
}

#[tokio::test]
async fn a_client_is_its_subject_its_cookie_or_its_address() {
    let (stable, canary, issuer) = (named("stable").await, named("canary").await, Issuer::new("k1"));
    let address = (stable.addr(), canary.addr());
    let by_subject = text(
        address,
        &shares(1, 1, "subject"),
        "auth = { providers = ['main'], optional = true }",
        &issuer.provider(""),
    );
    let gateway = Gateway::start(&by_subject).await;
    let mut client = gateway.client().await;
    let mut went = BTreeMap::new();
    for round in 0..3 {
        for subject in ["ada", "bob", "cy", "dee", "eve", "flo"] {
            let token = issuer.token(&json!({ "sub": subject, "jti": format!("{subject}{round}") }));
            let from = format!("x-forwarded-for: 203.0.113.{round}\r\nauthorization: Bearer {token}\r\n");
            let answer = client.ask(format!("GET / HTTP/1.1\r\nhost: a\r\n{from}\r\n")).await;
            let to = answer.header("x-by").unwrap().to_owned();
            assert_eq!(went.entry(subject).or_insert_with(|| to.clone()), &to, "{subject}, from anywhere");
        }
    }
    let mut both: Vec<&String> = went.values().collect();
    both.sort();
    both.dedup();
    assert_eq!(both.len(), 2, "{went:?}");
    // Without a credential, or by a key that the request has not, it is the address.
    let by_cookie = Gateway::start(&text(address, &shares(1, 1, "cookie:session"), "", "")).await;
    let by_address = Gateway::start(&text(address, &shares(1, 1, "client_ip"), "", "")).await;
    let (mut cookies, mut addresses) = (by_cookie.client().await, by_address.client().await);
    for user in 0..20 {
        let anonymous = client.ask(by(user)).await;
        let (cookie, address) = (cookies.ask(by(user)).await, addresses.ask(by(user)).await);
        assert_eq!(anonymous.header("x-by"), address.header("x-by"));
        assert_eq!(cookie.header("x-by"), address.header("x-by"));
        let with = |n: usize| {
            format!("GET / HTTP/1.1\r\nhost: a\r\nx-forwarded-for: 203.0.113.{n}\r\ncookie: session={user}\r\n\r\n")
        };
        let (here, there) = (cookies.ask(with(user)).await, cookies.ask(with(user + 1)).await);
        assert_eq!(here.header("x-by"), there.header("x-by"), "a session moves with nobody");
    }
}

#[tokio::test]
async fn what_fails_is_the_chosen_ones_and_the_others_do_not_notice() {
    let (stable, broken) = (echo().await, Raw::script(Script::new().read_request().reset()).await.unwrap());
    let retried = "retry = { attempts = 2, on = ['reset'] }";
    let configured = text((stable.addr(), broken.addr()), &shares(1, 1, "header:x-user"), "", "")
        .replace("retry = { attempts = 1 }", retried);
    let gateway = Gateway::start(&configured).await;
    let mut client = gateway.client().await;
    for user in 0..30 {
        client.ask(by(user)).await;
    }
    let records = gateway.records(30).await;
    let (mut codes, mut attempts) = (BTreeMap::new(), 0);
    for record in &records {
        match record["upstream"].as_str() {
            Some("stable") => assert_eq!(record["status"], 200),
            // Nobody is asked while every breaker is open.
            asked => {
                assert!(asked.is_none_or(|asked| asked == "canary"), "{record}");
                *codes.entry(record["code"].as_str().unwrap().to_owned()).or_insert(0) += 1;
                attempts += record["attempts"].as_u64().unwrap();
            }
        }
    }
    assert_eq!((codes.get("upstream_reset"), attempts), (Some(&1), 2), "its retry is its own: {codes:?}");
    assert!(codes["breaker_open"] > 3, "{codes:?}");
    assert_eq!(stable.counters().requests, 30 - codes.values().sum::<u64>());
    let breaker = |of: &str, at| format!("gateway_breaker_state{{upstream=\"{of}\",endpoint=\"{at}\"}}");
    assert_eq!(gateway.metric(&breaker("canary", broken.addr())).await, Some(2.0));
    assert_eq!(gateway.metric(&breaker("stable", stable.addr())).await, Some(0.0));
}

#[tokio::test]
async fn one_that_shares_may_stand_in_for_the_other() {
    let (stable, broken) = (echo().await, Raw::script(Script::new().read_request().reset()).await.unwrap());
    let fallback = "fallback = { upstream = 'stable' }\ntimeout = '0s'";
    let gateway =
        Gateway::start(&text((stable.addr(), broken.addr()), &shares(1, 1, "header:x-user"), fallback, "")).await;
    let mut client = gateway.client().await;
    for user in 0..20 {
        assert_eq!(client.ask(by(user)).await.status, 200);
    }
    let records = gateway.records(20).await;
    assert!(records.iter().all(|record| record["upstream"] == "stable"));
    assert!(records.iter().any(|record| record["code"] == "upstream_reset"));
    // And nothing stands in for itself.
    stable.set_rules([Rule::any().status(503)]);
    let own = client.ask(by(0)).await;
    assert_eq!(own.status, 503);
}

#[tokio::test]
async fn a_passport_names_the_one_that_was_chosen() {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    let (two, issuer, folder) = (Two::start().await, Issuer::new("k1"), tempfile::tempdir().unwrap());
    let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der.as_ref()));
    let file = folder.path().join("passport.pem");
    std::fs::write(&file, pem).unwrap();
    let identity = format!("[identity]\npassport = {{ key = '{}' }}\n{}", file.display(), issuer.provider(""));
    let route = "auth = { providers = ['main'] }";
    let gateway = Gateway::start(&text(two.addresses(), &shares(1, 1, "subject"), route, &identity)).await;
    let mut seen = Vec::new();
    for subject in ["ada", "bob", "cy", "dee", "eve", "flo"] {
        let token = issuer.token(&json!({ "sub": subject }));
        let answer = gateway.ask(format!("GET / HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\n\r\n")).await;
        let echo = answer.echo();
        let passport = echo.all("x-auth-passport")[0].to_owned();
        let claims = URL_SAFE_NO_PAD.decode(passport.split('.').nth(1).unwrap()).unwrap();
        let claims: Value = serde_json::from_slice(&claims).unwrap();
        assert_eq!(claims["sub"], subject);
        seen.push(claims["aud"].as_str().unwrap().to_owned());
    }
    assert_eq!(seen, upstreams(&gateway, 6).await);
    assert!(seen.iter().any(|name| name == "canary") && seen.iter().any(|name| name == "stable"), "{seen:?}");
}

#[tokio::test]
async fn requests_to_different_upstreams_share_no_call() {
    let gate = Gate::new();
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx";
    let waits = || Raw::script(Script::new().read_request().wait(&gate).send(answer).again());
    let (stable, canary) = (waits().await.unwrap(), waits().await.unwrap());
    let keys = "coalesce = true";
    let gateway = Gateway::start(&text((stable.addr(), canary.addr()), &shares(1, 1, "client_ip"), keys, "")).await;
    let mut clients: Vec<Client> = Vec::new();
    for user in 0..20 {
        let mut client = gateway.client().await;
        // Alike but for the client's address, which says nothing to the answer and everything to the split.
        client.send(format!("GET / HTTP/1.1\r\nhost: a\r\nx-forwarded-for: 203.0.113.{user}\r\n\r\n")).await;
        clients.push(client);
    }
    let flights = &gateway.inner().shards()[0].flights;
    eventually("all wait", || flights.waiting() == 20).await;
    eventually("each upstream is asked once", || stable.accepted() == 1 && canary.accepted() == 1).await;
    gate.open();
    for client in &mut clients {
        assert_eq!(client.answer().await.status, 200);
    }
    assert_eq!(gateway.metric("gateway_coalesced_total{route=\"all\",result=\"began\"}").await, Some(2.0));
}

#[tokio::test]
async fn bodies_routes_that_rewrite_and_http_2_are_shared_too() {
    let two = Two::start().await;
    let route = "rewrite = { path = '/v2/{rest}' }\nmax_body = '10B'\nresponse_headers = { set = { x-edge = '1' } }";
    let gateway = Gateway::start(&two.text(&shares(1, 1, "header:x-user"), route)).await;
    let mut client = gateway.client().await;
    for user in 0..6 {
        let post = format!("POST /a HTTP/1.1\r\nhost: a\r\nx-user: {user}\r\ncontent-length: 5\r\n\r\nhello");
        let answer = client.ask(post).await;
        assert_eq!((answer.header("x-edge"), answer.echo().path()), (Some("1"), "/v2/a"));
    }
    let large = "POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 50\r\n\r\n";
    assert_eq!(gateway.ask(large).await.code(), "body_too_large");
    let mut h2 = H2Client::connect(gateway.address).await;
    assert_eq!(h2.get("/x").await.echo().path(), "/v2/x");
    assert!(two.stable.counters().requests > 0 && two.canary.counters().requests > 0);
}

#[tokio::test]
async fn operators_see_the_split_and_where_a_request_would_go() {
    let (stable, canary) = (named("stable").await, named("canary").await);
    let gateway = Gateway::start(&text((stable.addr(), canary.addr()), &shares(95, 5, "header:x-user"), "", "")).await;
    let routes = gateway.admin("GET", "/routes").await.json();
    let shown = json!(["stable 95 %", "canary 5 %, by header:x-user"]);
    assert_eq!((&routes["routes"][0]["split"], &routes["routes"][0]["upstream"]), (&shown, &Value::Null));
    let mut client = gateway.client().await;
    for user in 0..60 {
        let url = format!("/explain?url=/x&headers=x-user:user-{user}");
        let told = gateway.admin("GET", &url).await.json();
        let policies = &told["policies"];
        assert_eq!(client.ask(by(user)).await.header("x-by"), policies["upstream"].as_str());
        assert_eq!(policies["chosen"], "by header:x-user, always the same");
        assert_eq!(policies["split"], shown);
    }
    let told = gateway.admin("GET", "/explain?url=/x").await.json();
    let chosen = told["policies"]["chosen"].as_str().unwrap();
    assert!(chosen.starts_with("not known here") && told["policies"]["upstream"] == "stable", "{chosen}");
    let told = gateway.admin("GET", "/explain?url=/x&client=203.0.113.7").await.json();
    assert_eq!(told["policies"]["chosen"], "by header:x-user, always the same");
}

#[tokio::test]
async fn a_limit_names_a_split_route_once() {
    let two = Two::start().await;
    let limit = "[rate_limits.each]\nkey = 'client_ip'\nrate = '10/s'\nburst = 10\n";
    let gateway = Gateway::start(&text(two.addresses(), &shares(90, 10, ""), "rate_limits = ['each']", limit)).await;
    assert_eq!(gateway.admin("GET", "/limits").await.json()["limits"][0]["routes"], json!(["all"]));
}

#[tokio::test]
async fn the_canary_that_has_nobody_is_named_in_records() {
    let two = Two::start().await;
    two.canary.set_rules([Rule::any().status(503)]);
    let gateway = Gateway::start(&two.text(&shares(1, 99, ""), "")).await;
    let mut refused = 0;
    for _ in 0..40 {
        let answer = gateway.get("/").await;
        refused +=
            usize::from(answer.status == 503 && answer.header("content-type") == Some("application/problem+json"));
    }
    let records = gateway.records(40).await;
    let told: Vec<&Value> = records.iter().filter(|record| record["code"] == "breaker_open").collect();
    assert!(refused > 3 && told.len() == refused, "{refused}");
    assert!(told.iter().all(|record| record["upstream"] == "canary" && record["attempts"] == 0), "{told:#?}");
}
