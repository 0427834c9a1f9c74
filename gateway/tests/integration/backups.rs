//! Backups: endpoints that get requests only while none of the others takes any, or too few of them are well.

use std::time::Duration;

use gateway::algorithms::tiers::Serving;
use mocks::raw::{Gate, Raw, Script};
use mocks::{Mock, Rule};
use serde_json::{Value, json};

use crate::support::{Answer, Events, Gateway, eventually, guarded};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
/// Checks that decide soon.
const CHECKS: &str =
    "health = { path = '/healthz', interval = '100ms', timeout = '1s', healthy_after = 2, unhealthy_after = 2 }";
/// Nothing that clients meet takes an endpoint out.
const NO_BREAKER: &str = "breaker = { failures = [] }";

/// An upstream of these endpoints, the last of which is a backup.
fn text(mock: &Mock, keys: &str, route: &str) -> String {
    let addresses = mock.addrs();
    let written = addresses.iter().enumerate().map(|(number, address)| {
        let backup = number + 1 == addresses.len();
        format!("{{ address = '{address}', backup = {backup} }}")
    });
    let endpoints: Vec<String> = written.collect();
    format!(
        "[upstreams.up]\nendpoints = [{}]\n{keys}\n[[routes]]\nname = 'all'\npath = '/{{*rest}}'\n\
         upstream = 'up'\n{route}\n",
        endpoints.join(", ")
    )
}

async fn endpoints(count: usize) -> Mock {
    Mock::builder().service("up").endpoints(count).start().await.unwrap()
}

/// Requests of clients that each endpoint got.
fn asked(mock: &Mock) -> Vec<usize> {
    let of = |port: u16| mock.journal().iter().filter(|entry| entry.endpoint == port && entry.path == "/").count();
    mock.addrs().iter().map(|address| of(address.port())).collect()
}

fn serving(gateway: &Gateway) -> Serving {
    gateway.inner().upstreams()[0].active().scope(None).serving()
}

async fn it_is_the_turn_of(gateway: &Gateway, whose: Serving) {
    eventually(&format!("it is the turn of {}", whose.as_str()), || serving(gateway) == whose).await;
}

async fn force(gateway: &Gateway, endpoint: impl std::fmt::Display, word: &str) {
    assert_eq!(gateway.admin("POST", &format!("/breakers/up/{endpoint}/{word}")).await.status, 200);
}

#[tokio::test]
async fn while_primaries_take_requests_a_backup_is_checked_and_gets_none() {
    for balance in [
        "'round_robin'",
        "'least_request'",
        "'random'",
        "'peak_ewma'",
        "{ policy = 'consistent_hash', key = 'client_ip' }",
    ] {
        let upstream = endpoints(3).await;
        let gateway = Gateway::start(&text(&upstream, &format!("balance = {balance}\n{CHECKS}"), "")).await;
        let backup = upstream.addrs()[2].port();
        let is_checked = || upstream.journal().iter().any(|it| it.endpoint == backup && it.path == "/healthz");
        eventually("the backup is checked", is_checked).await;
        assert_eq!(gateway.statuses(20).await, [200; 20]);
        let asked = asked(&upstream);
        assert_eq!((asked[0] + asked[1], asked[2]), (20, 0), "{balance}");
        assert_eq!(gateway.metric("gateway_backups_serving{upstream=\"up\"}").await, Some(0.0));
    }
}

#[tokio::test]
async fn when_all_primaries_die_the_backup_serves_and_when_one_comes_back_it_has_the_traffic() {
    let upstream = endpoints(3).await;
    let keys = "balance = 'round_robin'\nretry_budget = { ratio = 10.0, min_per_second = 100000 }\n\
                breaker = { consecutive_failures = 2, open_for = '50ms', max_open_for = '50ms', probes = 1 }";
    let route = "retry = { attempts = 3, on = ['503'], backoff = '1ms', max_backoff = '1ms' }";
    let gateway = Gateway::start(&text(&upstream, keys, route)).await;
    let mut events = Events::of(&gateway, "?kinds=backup").await;
    let fails = |endpoint| Rule::any().endpoint(endpoint).status(503);
    upstream.set_rules([fails(0), fails(1)]);
    // Nobody is told of it: there is an attempt for each primary, and one for the backup.
    guarded("backups serve", async {
        while serving(&gateway) != Serving::Backups {
            assert_eq!(gateway.statuses(1).await, [200]);
        }
    })
    .await;
    assert_eq!(gateway.statuses(20).await, [200; 20], "whatever probes come to");
    let told = events.next(1).await.remove(0);
    assert_eq!((&told["upstream"], &told["from"], &told["to"]), (&json!("up"), &json!("primaries"), &json!("backups")));
    let out = told["endpoints"].as_array().unwrap();
    assert_eq!(out.len(), 2);
    assert!(out[0].as_str().unwrap().contains(": its breaker is "), "{out:?}");

    upstream.set_rules([fails(0)]);
    guarded("a primary is back", async {
        while serving(&gateway) != Serving::Primaries {
            assert_eq!(gateway.statuses(1).await, [200]);
        }
    })
    .await;
    let before = asked(&upstream)[2];
    assert_eq!(gateway.statuses(20).await, [200; 20]);
    assert_eq!(asked(&upstream)[2], before, "a probe of the other one that fails is tried again at this one");
    let told = events.next(1).await.remove(0);
    assert_eq!((&told["from"], &told["to"], told.get("endpoints")), (&json!("backups"), &json!("primaries"), None));
}

#[tokio::test]
async fn primaries_that_call_themselves_down_are_believed_where_a_backup_does_well_and_everybody_is_told() {
    let upstream = endpoints(3).await;
    let down = |endpoint| Rule::on("/healthz").endpoint(endpoint).status(503);
    upstream.set_rules([down(0), down(1)]);
    let gateway = Gateway::start(&text(&upstream, CHECKS, "")).await;
    it_is_the_turn_of(&gateway, Serving::Backups).await;
    assert_eq!(gateway.statuses(10).await, [200; 10]);
    assert_eq!(asked(&upstream), [0, 0, 10]);

    assert_eq!(gateway.metric("gateway_backups_serving{upstream=\"up\"}").await, Some(1.0));
    let shown = gateway.admin("GET", "/upstreams").await.json()["upstreams"][0].clone();
    assert_eq!(shown["serving"], "backups");
    let are: Vec<&Value> = shown["endpoints"].as_array().unwrap().iter().map(|endpoint| &endpoint["backup"]).collect();
    assert_eq!(are, [&json!(false), &json!(false), &json!(true)]);
    let status = gateway.admin("GET", "/status").await.json();
    let problem = &status["problems"][0];
    assert_eq!((&problem["what"], &problem["severity"]), (&json!("upstream"), &json!("warn")));
    let why = problem["why"].as_str().unwrap();
    assert!(why.starts_with("2 of 3 endpoints out, backups take the requests: "), "{why}");
    let explained = gateway.admin("GET", "/explain?url=/").await.json();
    assert_eq!(explained["now"]["serving"], "backups");
    assert_eq!(explained["policies"]["endpoints"][2], format!("{} (backup)", upstream.addrs()[2]));

    upstream.set_rules([down(0)]);
    it_is_the_turn_of(&gateway, Serving::Primaries).await;
    assert_eq!(gateway.statuses(10).await, [200; 10]);
    assert_eq!(asked(&upstream), [0, 10, 10]);
    assert_eq!(gateway.metric("gateway_backups_serving{upstream=\"up\"}").await, Some(0.0));
}

#[tokio::test]
async fn a_check_that_is_wrong_everywhere_brings_no_backup_in() {
    let upstream = endpoints(3).await;
    upstream.set_rules([Rule::on("/healthz").status(404)]);
    let gateway = Gateway::start(&text(&upstream, CHECKS, "")).await;
    let are_sick = || {
        let active = gateway.inner().upstreams()[0].active().endpoints.to_vec();
        active.iter().all(|endpoint| !endpoint.health.is_healthy())
    };
    eventually("all are found unhealthy", are_sick).await;
    assert_eq!(gateway.statuses(10).await, [200; 10]);
    assert_eq!(asked(&upstream)[2], 0);
}

#[tokio::test]
async fn where_too_few_primaries_are_well_a_backup_joins_them_before_anybody_is_asked_who_is_not() {
    let upstream = endpoints(4).await;
    let down = |endpoint| Rule::on("/healthz").endpoint(endpoint).status(503);
    upstream.set_rules([down(0)]);
    let keys = format!("balance = 'round_robin'\npanic_below = 0.5\n{CHECKS}");
    let gateway = Gateway::start(&text(&upstream, &keys, "")).await;
    let is_out = |endpoint: usize| {
        let active = gateway.inner().upstreams()[0].active();
        active.is_out(active.scope(None), endpoint)
    };
    eventually("one is out", || is_out(0)).await;
    assert_eq!((gateway.statuses(12).await, asked(&upstream)[3]), (vec![200; 12], 0), "two of three are enough");
    upstream.set_rules([down(0), down(1)]);
    it_is_the_turn_of(&gateway, Serving::Both).await;
    let before = asked(&upstream);
    assert_eq!(gateway.statuses(60).await, [200; 60]);
    let after = asked(&upstream);
    let got: Vec<usize> = after.iter().zip(&before).map(|(after, before)| after - before).collect();
    assert_eq!((got[0], got[1], got[2] + got[3]), (0, 0, 60));
    assert!(got[2].abs_diff(got[3]) <= 20, "by their weights: {got:?}");
    // Too few are well anywhere: all are used.
    upstream.set_rules([down(0), down(1), down(3)]);
    eventually("the backup is down too", || is_out(3)).await;
    assert_eq!(gateway.statuses(60).await, [200; 60]);
    let last = asked(&upstream);
    assert!((0..4).all(|endpoint| last[endpoint] > after[endpoint]), "{after:?} {last:?}");
}

#[tokio::test]
async fn a_retry_stays_among_the_primaries_as_long_as_there_is_another() {
    let fails = Rule::any().endpoint(0).status(503);
    let route = "retry = { attempts = 2, on = ['503'], backoff = '1ms', max_backoff = '1ms' }";
    let keys =
        format!("balance = 'round_robin'\nretry_budget = {{ ratio = 10.0, min_per_second = 100000 }}\n{NO_BREAKER}");
    let upstream = endpoints(3).await;
    upstream.set_rules([fails.clone()]);
    let gateway = Gateway::start(&text(&upstream, &keys, route)).await;
    assert_eq!(gateway.statuses(10).await, [200; 10]);
    assert_eq!(asked(&upstream), [5, 10, 0]);

    let upstream = endpoints(2).await;
    upstream.set_rules([fails]);
    let gateway = Gateway::start(&text(&upstream, &keys, route)).await;
    assert_eq!(gateway.statuses(4).await, [200; 4]);
    assert_eq!(asked(&upstream), [4, 4], "where there is none, it goes to the backup");
    gateway.records(4).await;
    let id = gateway.admin("GET", "/requests?limit=1").await.json()["requests"][0]["request_id"].clone();
    let told = gateway.admin("GET", &format!("/requests/{}", id.as_str().unwrap())).await.json();
    let were: Vec<&Value> = told["exchanges"].as_array().unwrap().iter().map(|one| &one["backup"]).collect();
    assert_eq!(were, [&Value::Null, &json!(true)], "{told}");
}

#[tokio::test]
async fn a_hedge_goes_to_a_backup_only_while_backups_take_requests() {
    let upstream = endpoints(3).await;
    let slow = |endpoint| Rule::any().endpoint(endpoint).delay(Duration::from_millis(100));
    upstream.set_rules([slow(0), slow(1)]);
    let gateway =
        Gateway::start(&text(&upstream, NO_BREAKER, "hedge = { after = '10ms', max = 2 }\nretry = { attempts = 1 }"))
            .await;
    assert_eq!(gateway.statuses(1).await, [200]);
    assert_eq!(asked(&upstream)[2], 0, "the other primary, and nobody beyond");
    for primary in &upstream.addrs()[..2] {
        force(&gateway, primary, "open").await;
    }
    assert_eq!(gateway.statuses(1).await, [200]);
    assert_eq!(asked(&upstream)[2], 1);
}

#[tokio::test]
async fn a_primary_that_comes_back_by_and_by_leaves_the_rest_to_the_backup_meanwhile() {
    let upstream = endpoints(2).await;
    let down = Rule::on("/healthz").endpoint(0).status(503);
    upstream.set_rules([down]);
    let gateway = Gateway::start(&text(&upstream, &format!("slow_start = '1h'\n{CHECKS}"), "")).await;
    it_is_the_turn_of(&gateway, Serving::Backups).await;
    upstream.set_rules([]);
    it_is_the_turn_of(&gateway, Serving::Primaries).await;
    assert_eq!(gateway.statuses(400).await, [200; 400]);
    let share = asked(&upstream)[0] as f64 / 400.0;
    assert!((0.04..0.2).contains(&share), "a tenth: {share}");
}

/// An endpoint that says its name.
async fn named(name: &str) -> Raw {
    let answer = format!("HTTP/1.1 200 OK\r\nx-name: {name}\r\ncontent-length: 0\r\n\r\n");
    Raw::script(Script::new().read_request().send(answer).again()).await.unwrap()
}

async fn ask_with(gateway: &Gateway, cookies: &str) -> Answer {
    gateway.ask(format!("GET / HTTP/1.1\r\nhost: a\r\ncookie: {cookies}\r\n\r\n")).await
}

/// The pair of a `set-cookie`.
fn pair(answer: &Answer) -> Option<String> {
    answer.header("set-cookie").map(|line| line.split(';').next().unwrap().to_owned())
}

#[tokio::test]
async fn a_client_that_was_with_a_backup_meanwhile_goes_back_to_its_own_primary() {
    let all = [named("a").await, named("b").await, named("spare").await, named("other spare").await];
    let written =
        all.iter().enumerate().map(|(at, one)| format!("{{ address = '{}', backup = {} }}", one.addr(), at > 1));
    let gateway = Gateway::start(&format!(
        "[upstreams.up]\nendpoints = [{}]\nbalance = 'round_robin'\naffinity = {{ key_env = 'PATH' }}\n\
         [[routes]]\npath = '/{{*rest}}'\nupstream = 'up'\n",
        written.collect::<Vec<_>>().join(", ")
    ))
    .await;
    let first = ask_with(&gateway, "x=y").await;
    let (home, own) = (first.header("x-name").unwrap().to_owned(), pair(&first).unwrap());
    assert!(own.starts_with("gw-up="), "{own}");
    for primary in &all[..2] {
        force(&gateway, primary.addr(), "open").await;
    }
    let spare = ask_with(&gateway, &own).await;
    let (with, other) = (spare.header("x-name").unwrap().to_owned(), pair(&spare).unwrap());
    assert!(with.ends_with("spare") && other.starts_with("gw-up.backup="), "{with} {other}");
    let both = format!("{own}; {other}");
    for _ in 0..3 {
        let again = ask_with(&gateway, &both).await;
        assert_eq!((again.header("x-name"), pair(&again)), (Some(&*with), None), "its sessions are there meanwhile");
    }
    for primary in &all[..2] {
        force(&gateway, primary.addr(), "close").await;
    }
    for _ in 0..3 {
        let back = ask_with(&gateway, &both).await;
        assert_eq!((back.header("x-name"), pair(&back)), (Some(&*home), None), "what it has at home is there still");
    }
    // Who has never had a primary gets one.
    let new = ask_with(&gateway, &other).await;
    assert!(["a", "b"].contains(&new.header("x-name").unwrap()) && pair(&new).is_some());
}

#[tokio::test]
async fn an_endpoint_that_a_reload_makes_a_backup_keeps_what_it_has_in_flight() {
    let gate = Gate::new();
    let ok = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let slow = Raw::script(Script::new().read_request().wait(&gate).send(ok).again()).await.unwrap();
    let other = named("other").await;
    let written = |slow_is: bool, other_is: bool| {
        format!(
            "[upstreams.up]\n\
             endpoints = [{{ address = '{}', backup = {slow_is} }}, {{ address = '{}', backup = {other_is} }}]\n\
             [[routes]]\npath = '/{{*rest}}'\nupstream = 'up'\n",
            slow.addr(),
            other.addr()
        )
    };
    let gateway = Gateway::start(&written(false, true)).await;
    let mut client = gateway.client().await;
    client.send(GET).await;
    let in_flight = || gateway.inner().upstreams()[0].active().endpoints[0].in_flight.count();
    eventually("it is in flight", || in_flight() == 1).await;
    gateway.rewrite(&written(true, false));
    assert!(gateway.reload().await.ok);
    assert_eq!(in_flight(), 1);
    for _ in 0..3 {
        assert_eq!(gateway.get("/").await.header("x-name"), Some("other"), "the tiers have changed places");
    }
    gate.open();
    assert_eq!(client.answer().await.status, 200);
    gateway.at_rest().await;
}

#[tokio::test]
async fn a_backup_that_a_reload_makes_a_primary_begins_with_a_small_share() {
    let upstream = endpoints(3).await;
    let keys = "slow_start = '1h'\nbalance = 'round_robin'";
    let gateway = Gateway::start(&text(&upstream, keys, "")).await;
    assert_eq!(gateway.statuses(5).await, [200; 5]);
    gateway.rewrite(&text(&upstream, keys, "").replace("backup = true", "backup = false"));
    assert!(gateway.reload().await.ok);
    assert_eq!(gateway.statuses(300).await, [200; 300]);
    let share = asked(&upstream)[2] as f64 / 300.0;
    assert!((0.002..0.12).contains(&share), "a tenth of its third: {share}");
    // No backup is left, and nobody tells of any.
    assert_eq!(gateway.metric("gateway_backups_serving{upstream=\"up\"}").await, None);
    assert_eq!(gateway.admin("GET", "/upstreams").await.json()["upstreams"][0]["serving"], Value::Null);
}

#[tokio::test]
async fn a_route_with_a_breaker_of_its_own_has_backups_of_its_own_turn() {
    let upstream = endpoints(2).await;
    upstream.set_rules([Rule::on("/bad").endpoint(0).status(503)]);
    let route = "retry = { attempts = 1 }\n[[routes]]\nname = 'bad'\npath = '/bad'\nupstream = 'up'\n\
                 breaker = { consecutive_failures = 2, open_for = '60s', max_open_for = '60s' }\n\
                 retry = { attempts = 1 }";
    let gateway = Gateway::start(&text(&upstream, NO_BREAKER, route)).await;
    let mut events = Events::of(&gateway, "?kinds=backup").await;
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(gateway.get("/bad").await.status);
    }
    assert_eq!(statuses, [503, 503, 200, 200]);
    let told = events.next(1).await.remove(0);
    assert_eq!((&told["route"], &told["to"]), (&json!("bad"), &json!("backups")));
    assert_eq!(gateway.statuses(3).await, [200; 3]);
    assert_eq!(asked(&upstream), [3, 0], "for all others it is well");
    assert_eq!(serving(&gateway), Serving::Primaries);
    assert_eq!(gateway.metric("gateway_backups_serving{upstream=\"up\"}").await, Some(1.0));
}
