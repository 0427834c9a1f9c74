//! What gateways share of tokens in a Redis: those that hold once, and those that were taken back (security.md, H12).

use serde_json::{Value, json};

use crate::store_failures::until_mode;
use crate::stores::patient;
use crate::support::{Answer, Gateway, Issuer, Redis, echo, now, one_route};

const ONCE: &str = "auth = { providers = ['main'], single_use = true, scopes = ['orders:read'] }";
const PLAIN: &str = "auth = { providers = ['main'] }";

/// A store that is given up after two failures and asked again soon.
fn quick(redis: &Redis) -> String {
    let breaker = "breaker = { consecutive_failures = 2, open_for = '50ms' }";
    format!("url = 'redis://{}'\ncommand_timeout = '1s'\nconnect_timeout = '5s'\n{breaker}", redis.address)
}

/// A gateway on this store, whose one route has this `auth`, and whose provider has these further keys.
async fn gateway(store: &str, auth: &str, issuer: &Issuer, provider: &str, upstream: &mocks::Mock) -> Gateway {
    let route = one_route("workers = 2", auth, upstream.addr());
    let provider = issuer.provider(provider);
    Gateway::start(&format!("{route}\n{provider}\n[stores.shared]\n{store}\n")).await
}

fn request(token: &str) -> String {
    format!("GET /orders HTTP/1.1\r\nhost: a.test\r\nauthorization: Bearer {token}\r\n\r\n")
}

async fn ask(gateway: &Gateway, token: &str) -> u16 {
    asked(gateway, token).await.status
}

async fn asked(gateway: &Gateway, token: &str) -> Answer {
    gateway.client().await.ask_until_let_in(request(token)).await
}

async fn why(gateway: &Gateway, requests: usize) -> Value {
    gateway.records_let_in(requests).await.pop().unwrap()["auth"].take()
}

fn is_not_decided(answer: &Answer) {
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")), "{answer:?}");
    assert_eq!(answer.header("www-authenticate"), None, "the token may be good");
}

#[tokio::test]
async fn a_token_holds_once_over_all_gateways() {
    let (redis, upstream, issuer) = (Redis::start(), echo().await, Issuer::new("k1"));
    let store = patient(&redis);
    let new = || gateway(&store, ONCE, &issuer, "replay_store = 'shared'", &upstream);
    let (one, other) = (new().await, new().await);
    let token = issuer.token(&json!({ "jti": "1" }));
    assert_eq!(ask(&one, &token).await, 200);
    for _ in 0..3 {
        assert_eq!((ask(&other, &token).await, ask(&one, &token).await), (401, 401), "used up, wherever it comes");
    }
    assert_eq!(why(&other, 3).await, "replayed");
    assert_eq!(ask(&other, &issuer.token(&json!({ "jti": "2" }))).await, 200, "another token");
    assert_eq!(ask(&one, &issuer.token(&json!({}))).await, 401, "without jti it cannot be told");
    let poor = issuer.token(&json!({ "jti": "3", "scope": "x" }));
    assert_eq!((ask(&one, &poor).await, ask(&other, &poor).await), (403, 403), "what is refused is not used up");
    // A reload forgets nothing, and neither does a gateway that begins anew.
    let third = new().await;
    assert_eq!(ask(&third, &token).await, 401);
    assert_eq!(upstream.journal().len(), 2);
}

#[tokio::test]
async fn a_used_token_that_comes_again_takes_nothing_of_its_owners_limit() {
    let (redis, upstream, issuer) = (Redis::start(), echo().await, Issuer::new("k1"));
    let limit = "[rate_limits.who]\nrate = '1/h'\nburst = 3\nkey = 'subject'\n";
    let store = format!("{}\n{limit}", patient(&redis));
    let auth = format!("{ONCE}\nrate_limits = ['who']");
    let one = gateway(&store, &auth, &issuer, "replay_store = 'shared'", &upstream).await;
    let token = |number: u32| issuer.token(&json!({ "jti": number.to_string() }));
    let used = token(1);
    assert_eq!(ask(&one, &used).await, 200);
    for _ in 0..5 {
        assert_eq!(ask(&one, &used).await, 401, "whoever has seen it locks nobody out");
    }
    assert_eq!([ask(&one, &token(2)).await, ask(&one, &token(3)).await, ask(&one, &token(4)).await], [200, 200, 429]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_at_once_on_several_gateways_one_gets_through() {
    let (redis, upstream, issuer) = (Redis::start(), echo().await, Issuer::new("k1"));
    let store = patient(&redis);
    let new = || gateway(&store, ONCE, &issuer, "replay_store = 'shared'", &upstream);
    let gateways = [new().await, new().await];
    for number in 0..8 {
        let token = issuer.token(&json!({ "jti": number.to_string() }));
        let all = (0..24).map(|at| ask(&gateways[at % 2], &token));
        let statuses = futures_util::future::join_all(all).await;
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
        assert!(statuses.iter().all(|status| [200, 401].contains(status)), "{statuses:?}");
    }
    assert_eq!(upstream.journal().len(), 8);
}

#[tokio::test]
async fn what_is_kept_of_a_used_token_is_a_hash_and_ends() {
    let (redis, upstream, issuer) = (Redis::start(), echo().await, Issuer::new("k1"));
    let one = gateway(&patient(&redis), ONCE, &issuer, "replay_store = 'shared'\nleeway = '30s'", &upstream).await;
    let jti = format!("secret {} \r\nDEL x", "x".repeat(2000));
    let began = now();
    assert_eq!(ask(&one, &issuer.token(&json!({ "jti": jti, "exp": now() + 60 }))).await, 200);
    let keys = redis.command("KEYS used:*");
    let key = keys.lines().find(|line| line.starts_with("used:")).unwrap();
    assert_eq!(key.len(), "used:{}".len() + 32, "{key}");
    let time: i64 = redis.command(&format!("PTTL {key}")).trim_start_matches(':').trim().parse().unwrap();
    // In whole seconds, of which the first and the last have begun.
    let gone = (now() - began + 1) * 1_000;
    assert!((150_000 - gone..=150_000).contains(&time), "exp, the leeway, and a minute for other clocks: {time}");
}

#[tokio::test]
async fn while_the_store_is_down_no_token_is_let_in_and_nobody_waits_twice() {
    let (mut redis, upstream, issuer) = (Redis::start(), echo().await, Issuer::new("k1"));
    let one = gateway(&quick(&redis), ONCE, &issuer, "replay_store = 'shared'", &upstream).await;
    let token = |jti: &str| issuer.token(&json!({ "jti": jti }));
    assert_eq!(ask(&one, &token("1")).await, 200);
    redis.kill();
    for number in 0..20 {
        is_not_decided(&asked(&one, &token(&format!("down {number}"))).await);
    }
    assert_eq!(why(&one, 21).await, "unavailable");
    until_mode(&one, "degraded").await;
    assert_eq!(upstream.journal().len(), 1, "nothing passed");
    redis.restart();
    until_mode(&one, "exact").await;
    assert_eq!(ask(&one, &token("2")).await, 200);
    assert_eq!(ask(&one, &token("2")).await, 401);
}

#[tokio::test]
async fn a_connection_that_was_cut_uses_up_no_token_twice() {
    let (redis, upstream, issuer) = (Redis::start(), echo().await, Issuer::new("k1"));
    let one = gateway(&patient(&redis), ONCE, &issuer, "replay_store = 'shared'", &upstream).await;
    for number in 0..5 {
        let token = issuer.token(&json!({ "jti": number.to_string() }));
        assert_eq!((ask(&one, &token).await, ask(&one, &token).await), (200, 401));
        redis.command("CLIENT KILL TYPE normal");
    }
    redis.command("SCRIPT FLUSH");
    assert_eq!(ask(&one, &issuer.token(&json!({ "jti": "new" }))).await, 200, "it is taught its scripts again");
}

#[tokio::test]
async fn h12_a_token_that_is_taken_back_ends_at_once_wherever_it_is_cached() {
    let (redis, upstream, issuer) = (Redis::start(), echo().await, Issuer::new("k1"));
    let list = "revocation = { store = 'shared' }";
    let gateway = gateway(&patient(&redis), PLAIN, &issuer, list, &upstream).await;
    let (mut kept, token) = (gateway.client().await, issuer.token(&json!({ "jti": "a b" })));
    for _ in 0..3 {
        assert_eq!(kept.ask_until_let_in(request(&token)).await.status, 200);
    }
    redis.command("SET \"revoked:main:a b\" 1 EX 1000");
    let refused = kept.ask_until_let_in(request(&token)).await;
    assert_eq!(refused.header("www-authenticate"), Some("Bearer error=\"invalid_token\""), "{refused:?}");
    assert_eq!(ask(&gateway, &token).await, 401, "on every connection and worker");
    assert_eq!(why(&gateway, 5).await, "revoked");
    assert_eq!(ask(&gateway, &issuer.token(&json!({ "jti": "b" }))).await, 200, "and no other");
    redis.command("DEL \"revoked:main:a b\"");
    assert_eq!(ask(&gateway, &token).await, 200, "the list is asked each time");
}

#[tokio::test]
async fn h12_a_token_without_a_name_is_taken_back_by_its_digest() {
    let (redis, upstream, issuer) = (Redis::start(), echo().await, Issuer::new("k1"));
    let list = "revocation = { store = 'shared' }";
    let gateway = gateway(&patient(&redis), PLAIN, &issuer, list, &upstream).await;
    let token = issuer.token(&json!({}));
    assert_eq!(ask(&gateway, &token).await, 200);
    let signed = token.rsplit_once('.').unwrap().0;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, signed.as_bytes());
    let hex: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    redis.command(&format!("SET revoked:main:sha256:{hex} 1 EX 1000"));
    assert_eq!(ask(&gateway, &token).await, 401);
    // Whoever can sign the same again with another signature gains nothing.
    let (header, payload) = signed.split_once('.').unwrap();
    let text = |part: &str| {
        use base64::Engine as _;
        String::from_utf8(base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    };
    let again = issuer.sign(&text(header), &text(payload));
    assert_ne!(again, token);
    assert_eq!(ask(&gateway, &again).await, 401);
}

#[tokio::test]
async fn h12_while_the_list_cannot_be_asked_tokens_hold_only_where_that_is_configured() {
    for (choice, expected) in [("", 503), (", on_store_failure = 'closed'", 503), (", on_store_failure = 'open'", 200)]
    {
        let (mut redis, upstream, issuer) = (Redis::start(), echo().await, Issuer::new("k1"));
        let list = format!("revocation = {{ store = 'shared'{choice} }}");
        let gateway = gateway(&quick(&redis), PLAIN, &issuer, &list, &upstream).await;
        let token = issuer.token(&json!({ "jti": "1" }));
        assert_eq!(ask(&gateway, &token).await, 200);
        redis.kill();
        for _ in 0..5 {
            assert_eq!(ask(&gateway, &token).await, expected, "{choice}");
        }
        assert_eq!(ask(&gateway, &format!("{token}x")).await, 401, "a bad token stays one");
    }
}

#[tokio::test]
async fn a_token_that_was_taken_back_is_not_used_up_and_its_scopes_are_not_told() {
    let (redis, upstream, issuer) = (Redis::start(), echo().await, Issuer::new("k1"));
    let both = "replay_store = 'shared'\nrevocation = { store = 'shared' }";
    let gateway = gateway(&patient(&redis), ONCE, &issuer, both, &upstream).await;
    redis.command("SET revoked:main:1 1 EX 1000");
    let poor = issuer.token(&json!({ "jti": "1", "scope": "x" }));
    assert_eq!(ask(&gateway, &poor).await, 401, "not 403: it is nobody's any more");
    let token = issuer.token(&json!({ "jti": "1" }));
    assert_eq!(ask(&gateway, &token).await, 401);
    redis.command("DEL revoked:main:1");
    assert_eq!((ask(&gateway, &token).await, ask(&gateway, &token).await), (200, 401));
}
