//! What happens to limits when their store does not answer (security.md, K3).

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::stores::{get, patient, sharing, statuses, text};
use crate::support::{Events, Gateway, Redis, echo, eventually, guarded};

/// A store that is given up after two failures and asked again soon. Only one that is paused takes the command's time.
fn quick(redis: &Redis) -> String {
    let breaker = "breaker = { consecutive_failures = 2, open_for = '50ms' }";
    format!("url = 'redis://{}'\ncommand_timeout = '1s'\nconnect_timeout = '5s'\n{breaker}", redis.address)
}

pub(crate) fn rule(on_failure: &str) -> String {
    format!(
        "[rate_limits.all]\nrate = '1/h'\nburst = 40\nkey = 'client_ip'\nstore = 'shared'\n\
         on_store_failure = '{on_failure}'\n"
    )
}

async fn store(gateway: &Gateway) -> Value {
    gateway.admin("GET", "/limits").await.json()["stores"][0].take()
}

pub(crate) async fn until_mode(gateway: &Gateway, mode: &str) {
    let what = format!("the store becomes {mode}");
    guarded(&what, async { while store(gateway).await["mode"] != mode {} }).await;
}

/// Waits until what was let through without the store is paid there, though nobody asks.
async fn until_paid(gateway: &Gateway) {
    let owes = async || gateway.admin("GET", "/limits").await.json()["limits"][0]["tabs"].as_u64().unwrap_or(0) > 0;
    guarded("nobody owes any more", async { while owes().await {} }).await;
}

async fn until_they_know_each_other(gateways: &[&Gateway]) {
    for gateway in gateways {
        let know = async { while store(gateway).await["gateways"] != gateways.len() {} };
        guarded("they know of each other", know).await;
    }
}

/// How many of so many pass.
async fn passed(gateway: &Gateway, count: usize) -> usize {
    statuses(&mut gateway.client().await, "", count).await.iter().filter(|status| **status == 200).count()
}

#[tokio::test]
async fn k3_a_paused_store_costs_waiting_once_and_each_gateway_gives_its_share() {
    let (redis, upstream) = (Redis::start(), echo().await);
    let one = sharing(&quick(&redis), &rule("local_share"), "'all'", &upstream).await;
    let other = sharing(&quick(&redis), &rule("local_share"), "'all'", &upstream).await;
    until_they_know_each_other(&[&one, &other]).await;
    let mut events = Events::of(&one, "?kinds=store").await;
    // Both have seen the bucket with twenty tokens less.
    assert_eq!((passed(&one, 19).await, passed(&other, 1).await), (19, 1));
    redis.pause();
    until_mode_by_asking(&one, "degraded").await;
    until_mode_by_asking(&other, "degraded").await;
    let event = events.until(|event| event["mode"] == "degraded").await.pop().unwrap();
    assert_eq!((&event["store"], &event["mode"]), (&"shared".into(), &"degraded".into()));
    assert_eq!(one.metric("gateway_store_degraded{store=\"shared\"}").await, Some(1.0));
    assert_eq!(one.admin("GET", "/readyz").await.status, 200, "the gateway serves");
    // Half of what was left each, whoever asks.
    let (first, second) = (passed(&one, 40).await, passed(&other, 40).await);
    assert!((8..=11).contains(&first) && (8..=11).contains(&second), "{first} {second}");
    redis.go_on();
    for gateway in [&one, &other] {
        until_mode(gateway, "exact").await;
        until_paid(gateway).await;
    }
    // It may have been told meanwhile that it is down for another reason.
    let told = events.until(|event| event["mode"] == "healed").await;
    assert!(told.iter().rev().skip(1).all(|event| event["mode"] == "degraded"), "{told:?}");
    let more = passed(&one, 40).await + passed(&other, 40).await;
    assert!(first + second + more <= 22, "no burst after it healed: {first} {second} {more}");
}

/// Asks until it is so; everybody is let through meanwhile.
async fn all_pass_until_mode(gateway: &Gateway, mode: &str) {
    let mut client = gateway.client().await;
    for asked in 0..50_000 {
        assert_eq!(get(&mut client, "").await.status, 200, "the request {asked} while it becomes {mode}");
        if store(gateway).await["mode"] == mode {
            return;
        }
    }
    panic!("the store never became {mode}: {}", store(gateway).await);
}

/// Tokens come back faster than anybody asks here, so nobody has to be refused. What had come back while the store was
/// away was once paid with the tokens of whoever asked first.
#[tokio::test]
async fn k3_who_lived_on_its_share_of_leased_tokens_passes_when_the_store_is_back() {
    let (mut redis, upstream) = (Redis::start(), echo().await);
    let rule =
        rule("local_share").replace("1/h", "20000/s").replace("burst = 40", "burst = 2000") + "mode = 'leased'\n";
    for dies in [false, true] {
        let gateway = sharing(&quick(&redis), &rule, "'all'", &upstream).await;
        assert_eq!(passed(&gateway, 1).await, 1);
        if dies {
            redis.kill();
        } else {
            redis.pause();
        }
        all_pass_until_mode(&gateway, "degraded").await;
        assert_eq!(passed(&gateway, 5).await, 5, "by its share");
        if dies {
            redis.restart();
        } else {
            redis.go_on();
        }
        all_pass_until_mode(&gateway, "exact").await;
        assert_eq!(passed(&gateway, 20).await, 20, "from the store");
    }
}

#[tokio::test]
async fn k3_a_reload_while_the_store_is_dead_leaves_each_gateway_its_share() {
    let (redis, upstream) = (Redis::start(), echo().await);
    let one = sharing(&quick(&redis), &rule("local_share"), "'all'", &upstream).await;
    let other = sharing(&quick(&redis), &rule("local_share"), "'all'", &upstream).await;
    until_they_know_each_other(&[&one, &other]).await;
    redis.pause();
    until_mode_by_asking(&one, "degraded").await;
    let changed = quick(&redis).replace("command_timeout = '1s'", "command_timeout = '900ms'");
    one.rewrite(&text(&changed, &rule("local_share"), "'all'", &upstream));
    assert!(one.reload().await.ok);
    until_mode_by_asking(&one, "degraded").await;
    assert_eq!(store(&one).await["gateways"], 2, "the last known number");
    let passed = passed(&one, 60).await;
    assert!(passed <= 21, "half of the burst at most: {passed}");
}

#[tokio::test]
async fn a_store_that_hung_for_a_moment_is_asked_again_at_once() {
    let (redis, upstream) = (Redis::start(), echo().await);
    let store = quick(&redis).replace("50ms", "600s").replace("command_timeout = '1s'", "command_timeout = '100ms'");
    let gateway = sharing(&store, &rule("local_share"), "'all'", &upstream).await;
    assert_eq!(passed(&gateway, 5).await, 5);
    redis.pause();
    until_mode_by_asking(&gateway, "degraded").await;
    let waited = gateway.metric("gateway_store_duration_seconds_sum{store=\"shared\"}").await.unwrap();
    assert!(waited >= 0.1, "who waited in vain has waited: {waited}");
    redis.go_on();
    until_mode(&gateway, "exact").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_come_too_late_give_nobody_a_token_more_and_lose_none() {
    let (redis, upstream) = (Arc::new(Redis::start()), echo().await);
    let store = format!(
        "url = 'redis://{}'\ncommand_timeout = '15ms'\nconnect_timeout = '5s'\n\
         breaker = {{ consecutive_failures = 100000, open_for = '50ms' }}",
        redis.address
    );
    let gateway = sharing(&store, &rule("local_share"), "'all'", &upstream).await;
    assert_eq!(passed(&gateway, 1).await, 1);
    // It hangs for longer than requests wait, again and again.
    let pauses = std::thread::spawn({
        let redis = Arc::clone(&redis);
        move || {
            for _ in 0..12 {
                redis.pause();
                std::thread::park_timeout(Duration::from_millis(40));
                redis.go_on();
                std::thread::park_timeout(Duration::from_millis(20));
            }
        }
    });
    let mut clients = Vec::new();
    for _ in 0..4 {
        let mut client = gateway.client().await;
        clients.push(tokio::spawn(async move { statuses(&mut client, "", 60).await }));
    }
    let mut admitted = 1;
    for client in clients {
        let statuses = client.await.unwrap();
        assert!(statuses.iter().all(|status| matches!(status, 200 | 429)), "{statuses:?}");
        admitted += statuses.iter().filter(|status| **status == 200).count();
    }
    pauses.join().unwrap();
    // What was taken for requests that had gone comes back.
    for _ in 0..5_000 {
        if admitted >= 40 {
            break;
        }
        admitted += passed(&gateway, 1).await;
    }
    admitted += passed(&gateway, 50).await;
    // Of the calls that were under way when the last token went, each may have been let through by what was known.
    assert!((40..=43).contains(&admitted), "each token once: {admitted}");
}

/// Requests find out; the first of them wait, all are answered.
async fn until_mode_by_asking(gateway: &Gateway, mode: &str) {
    let mut client = gateway.client().await;
    for _ in 0..50 {
        let answer = get(&mut client, "x-tenant: a\r\n").await;
        assert!(matches!(answer.status, 200 | 429), "{answer:?}");
        if store(gateway).await["mode"] == mode {
            return;
        }
    }
    panic!("the store never became {mode}");
}

#[tokio::test]
async fn open_lets_all_through_and_closed_none() {
    for (on_failure, expected) in [("open", 200), ("closed", 503)] {
        let (mut redis, upstream) = (Redis::start(), echo().await);
        let gateway = sharing(&quick(&redis), &rule(on_failure), "'all'", &upstream).await;
        assert_eq!(passed(&gateway, 1).await, 1);
        redis.kill();
        until_mode(&gateway, "degraded").await;
        let mut client = gateway.client().await;
        let answer = get(&mut client, "").await;
        assert_eq!(answer.status, expected, "{on_failure}");
        if expected == 503 {
            assert_eq!((answer.code().as_str(), answer.header("retry-after")), ("limit_store_down", Some("1")));
            let told = answer.header("ratelimit").unwrap();
            assert!(told.starts_with("\"all\";r=0;t="), "there is nothing for anybody: {told}");
            // What its bucket holds nobody knows.
            let id = guarded("it is kept", async {
                loop {
                    let list = gateway.admin("GET", "/requests?code=limit_store_down").await.json();
                    if let Some(id) = list["requests"][0]["request_id"].as_str() {
                        return id.to_owned();
                    }
                }
            })
            .await;
            let kept = gateway.admin("GET", &format!("/requests/{id}")).await.json();
            assert_eq!(kept["limits"], serde_json::json!([{ "rule": "all", "decision": "store_down" }]), "{kept:#}");
            let text = gateway.admin("GET", &format!("/requests/{id}?format=text")).await.body;
            let text = String::from_utf8(text).unwrap();
            assert!(text.contains("limit      all: store_down\n"), "{text}");
        }
        assert_eq!(statuses(&mut client, "", 60).await, vec![expected; 60]);
        let word = if expected == 200 { "open" } else { "closed" };
        let sample = format!("gateway_limit_decisions_total{{rule=\"all\",decision=\"{word}\"}}");
        assert!(gateway.metric(&sample).await.unwrap() >= 61.0);
        redis.restart();
        until_mode(&gateway, "exact").await;
        assert_eq!(passed(&gateway, 60).await, 39, "what was taken before is not forgotten");
    }
}

#[tokio::test]
async fn k3_a_request_waits_for_a_paused_store_once_whatever_its_rules_and_phases() {
    let (redis, upstream) = (Redis::start(), echo().await);
    let store = quick(&redis).replace("consecutive_failures = 2", "consecutive_failures = 1000");
    let keys = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/contract/api-keys.toml");
    // Who waited for one rule waits for none that would share, and the other way about.
    for [first, others] in [["open", "open"], ["local_share", "local_share"], ["open", "local_share"]] {
        let of = |name: &str, key: &str, (mode, on_failure): (&str, &str)| {
            format!(
                "[rate_limits.{name}]\nrate = '1/h'\nburst = 40\nkey = '{key}'\nstore = 'shared'\n\
                 on_store_failure = '{on_failure}'\nmode = '{mode}'\n"
            )
        };
        let limits = [
            of("tenant", "header:x-tenant", ("leased", first)),
            of("leased", "client_ip", ("leased", others)),
            of("exact", "client_ip", ("exact", others)),
            of("user", "subject", ("exact", others)),
            of("users", "subject", ("leased", others)),
            format!("[identity.providers.keys]\nkind = 'api_key'\nfile = '{keys}'\n"),
        ];
        let names = "'tenant', 'leased', 'exact', 'user', 'users'";
        let text = text(&store, &limits.concat(), names, &upstream);
        let text = text.replace("[[routes]]\n", "[[routes]]\nauth = { providers = ['keys'] }\n");
        let gateway = Gateway::start(&text).await;
        let waits =
            async || gateway.metric("gateway_store_duration_seconds_count{store=\"shared\"}").await.unwrap_or(0.0);
        let mut client = gateway.client().await;
        // No chunk of its tenant is held yet.
        let fields = |number: usize| format!("x-api-key: demo-key\r\nx-tenant: {number}\r\n");
        assert_eq!(get(&mut client, &fields(0)).await.status, 200);
        redis.pause();
        let before = waits().await;
        for number in 1..=3 {
            let before = waits().await;
            assert_eq!(get(&mut client, &fields(number)).await.status, 200);
            let waited = waits().await - before;
            assert!(waited <= 1.0, "{first}, {others}: the request {number} waited {waited} times");
        }
        assert!(waits().await > before, "{first}, {others}: nobody waited");
        redis.go_on();
    }
}

/// A share is given at once while the store is silent; a rule that has none waits, and the store answers in time.
#[tokio::test]
async fn k3_who_has_a_share_and_does_not_wait_says_nothing_to_a_rule_that_would() {
    let (redis, upstream) = (Redis::start(), echo().await);
    // A fourth of it is silence; the rest is for a busy machine.
    let store = quick(&redis).replace("command_timeout = '1s'", "command_timeout = '12s'");
    let limits = "[rate_limits.tenant]\nrate = '1/h'\nburst = 40\nkey = 'header:x-tenant'\nstore = 'shared'\n\
                  mode = 'leased'\n"
        .to_owned()
        + &rule("closed");
    let open = "[[routes]]\nname = 'open'\npath = '/open'\nupstream = 'up'\nrate_limits = ['tenant']\n";
    let text =
        text(&store, &limits, "'tenant', 'all'", &upstream).replace("[[routes]]\n", &format!("{open}[[routes]]\n"));
    let gateway = Gateway::start(&text).await;
    assert_eq!(get(&mut gateway.client().await, "x-tenant: first\r\n").await.status, 200);
    redis.pause();
    // Whoever asks before that waits, and leaves.
    let is_silent = async |number: usize| {
        let mut client = gateway.client().await;
        let asked = client.ask(format!("GET /open HTTP/1.1\r\nhost: a\r\nx-tenant: {number}\r\n\r\n"));
        tokio::time::timeout(Duration::from_millis(100), asked).await.is_ok_and(|answer| answer.status == 200)
    };
    let mut waiting = gateway.client().await;
    waiting.send("GET /open HTTP/1.1\r\nhost: a\r\nx-tenant: waits\r\n\r\n").await;
    guarded("it is silent", async {
        let mut number = 0;
        while !is_silent(number).await {
            number += 1;
        }
    })
    .await;
    let mut client = gateway.client().await;
    client.send("GET /a HTTP/1.1\r\nhost: a\r\nx-tenant: last\r\n\r\n").await;
    // By the time that this one is answered the other has been looked at.
    is_silent(1_000_000).await;
    redis.go_on();
    let answer = client.answer().await;
    assert!(answer.status == 200 || answer.is_turned_away(), "the store has answered in time: {answer:?}");
}

#[tokio::test]
async fn a_store_that_was_killed_and_is_empty_when_it_returns_gives_no_burst() {
    let (mut redis, upstream) = (Redis::start(), echo().await);
    let gateway = sharing(&quick(&redis), &rule("local_share"), "'all'", &upstream).await;
    assert_eq!(passed(&gateway, 10).await, 10);
    redis.kill();
    until_mode(&gateway, "degraded").await;
    let alone = passed(&gateway, 10).await;
    redis.restart();
    until_mode(&gateway, "exact").await;
    let after = passed(&gateway, 60).await;
    assert_eq!(10 + alone + after, 40, "each token once: {alone} {after}");
}

#[tokio::test]
async fn a_gateway_that_starts_without_its_store_serves_and_finds_it_later() {
    let (mut redis, upstream) = (Redis::start(), echo().await);
    redis.kill();
    let gateway = sharing(&quick(&redis), &rule("local_share"), "'all'", &upstream).await;
    assert_eq!(passed(&gateway, 5).await, 5);
    until_mode(&gateway, "degraded").await;
    assert!(store(&gateway).await["last_failure"]["reason"].to_string().contains("refused"));
    redis.restart();
    until_mode(&gateway, "exact").await;
    assert_eq!(passed(&gateway, 60).await, 35);
}

#[tokio::test]
async fn a_replica_is_no_store_until_it_is_a_master_again() {
    let (redis, upstream) = (Redis::start(), echo().await);
    let gateway = sharing(&quick(&redis), &rule("local_share"), "'all'", &upstream).await;
    assert_eq!(passed(&gateway, 1).await, 1);
    assert!(redis.command("REPLICAOF 127.0.0.1 1").starts_with("+OK"));
    until_mode(&gateway, "degraded").await;
    assert_eq!(passed(&gateway, 1).await, 1);
    let reason = store(&gateway).await["last_failure"]["reason"].to_string();
    assert!(reason.to_lowercase().contains("read"), "{reason}");
    assert!(redis.command("REPLICAOF NO ONE").starts_with("+OK"));
    until_mode(&gateway, "exact").await;
}

#[tokio::test]
async fn a_wrong_password_is_named_and_a_right_one_works() {
    let (redis, upstream) = (Redis::with(&["--requirepass", "right"]), echo().await);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.toml");
    let store = format!("{}\npassword_env = 'STORE_PASSWORD'", quick(&redis));
    let log = "[telemetry.access_log]\noutput = 'off'\n";
    let config = text(&store, &rule("closed"), "'all'", &upstream);
    let config = format!("[[listeners]]\naddress = '127.0.0.1:0'\n[admin]\naddress = '127.0.0.1:0'\n{log}{config}");
    std::fs::write(&file, config).unwrap();
    for (password, expected) in [("wrong", 503), ("right", 200)] {
        let process = crate::support::Process::start_with(&file, &[("STORE_PASSWORD", password)]).await;
        let mut client = crate::support::Client::connect(process.address).await;
        assert_eq!(get(&mut client, "").await.status, expected);
        let mut admin = crate::support::Client::connect(process.admin).await;
        let shown = admin.ask(format!("GET /limits HTTP/1.1\r\nhost: {}\r\n\r\n", process.admin)).await;
        let text = shown.json().to_string();
        assert!(!text.contains("right\"") && !text.contains("wrong\""), "no password is shown: {text}");
        assert_eq!(text.contains("WRONGPASS") || text.contains("uthentication"), expected == 503, "{text}");
    }
}

#[tokio::test]
async fn a_store_that_wants_a_password_says_where_to_put_it() {
    let (redis, upstream) = (Redis::with(&["--requirepass", "right"]), echo().await);
    let gateway = sharing(&quick(&redis), &rule("open"), "'all'", &upstream).await;
    let mut events = Events::of(&gateway, "?after=0&kinds=store").await;
    until_mode_by_asking(&gateway, "degraded").await;
    let event = events.next(1).await.remove(0);
    assert!(event["reason"].as_str().unwrap().starts_with("it wants a password: `password_env` names"), "{event}");
    let failure = store(&gateway).await["last_failure"]["reason"].to_string();
    assert!(failure.contains("`password_env`"), "{failure}");
}

#[tokio::test]
async fn a_reload_changes_the_store_and_loses_no_request() {
    let (redis, other, upstream) = (Redis::start(), Redis::start(), echo().await);
    let gateway = sharing(&patient(&redis), &rule("closed"), "'all'", &upstream).await;
    assert_eq!(passed(&gateway, 3).await, 3);
    gateway.rewrite(&text(&patient(&other), &rule("closed"), "'all'", &upstream));
    assert_eq!(gateway.admin("POST", "/reload").await.status, 200);
    assert_eq!(passed(&gateway, 3).await, 3);
    eventually("the new store has the key", || other.limit_keys() == 1).await;
}

#[tokio::test]
async fn a_dead_store_that_a_reload_changes_or_removes_is_no_longer_told_to_be_dead() {
    let (mut redis, other, upstream) = (Redis::start(), Redis::start(), echo().await);
    let gateway = sharing(&quick(&redis), &rule("open"), "'all'", &upstream).await;
    let mut events = Events::of(&gateway, "?after=0&kinds=store").await;
    assert_eq!(events.next(1).await[0]["mode"], "exact", "its first answer, to the task that watches it");
    let degraded = async || gateway.metric("gateway_store_degraded{store=\"shared\"}").await;
    redis.kill();
    until_mode_by_asking(&gateway, "degraded").await;
    assert_eq!((degraded().await, &events.next(1).await[0]["mode"]), (Some(1.0), &"degraded".into()));
    gateway.rewrite(&text(&quick(&other), &rule("open"), "'all'", &upstream));
    assert_eq!(gateway.admin("POST", "/reload").await.status, 200);
    assert_eq!(degraded().await, Some(0.0));
    assert_eq!(passed(&gateway, 3).await, 3);
    // The other one has its own first answer.
    let told = events.until(|event| event["mode"] == "exact").await;
    let told = told.iter().map(|event| event["mode"].as_str().unwrap());
    // Where the first reason was that requests waited in vain, that nobody is there is told too.
    assert_eq!(told.filter(|mode| *mode != "degraded").collect::<Vec<_>>(), ["healed", "exact"]);
    // Back to the dead one, and away with it.
    gateway.rewrite(&text(&quick(&redis), &rule("open"), "'all'", &upstream));
    assert_eq!(gateway.admin("POST", "/reload").await.status, 200);
    until_mode_by_asking(&gateway, "degraded").await;
    assert_eq!(degraded().await, Some(1.0));
    let alone = format!("[[routes]]\npath = '/{{*rest}}'\nupstream = 'http://{}'\n", upstream.addr());
    gateway.rewrite(&alone);
    assert_eq!(gateway.admin("POST", "/reload").await.status, 200);
    assert_ne!(degraded().await, Some(1.0));
}
