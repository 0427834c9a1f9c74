//! Limits that gateways share in a Redis (security.md, K1, K4, K7). Rates are so slow that no test waits for a token.

use serde_json::{Value, json};

use crate::requests::recording;
use crate::support::{Answer, Client, Gateway, Redis, echo, eventually, guarded};

/// A gateway with a store and these limits on its one route.
pub(crate) async fn sharing(store: &str, limits: &str, names: &str, upstream: &mocks::Mock) -> Gateway {
    Gateway::start(&text(store, limits, names, upstream)).await
}

pub(crate) fn text(store: &str, limits: &str, names: &str, upstream: &mocks::Mock) -> String {
    format!(
        "[stores.shared]\n{store}\n{limits}\n[upstreams.up]\nendpoints = ['{}']\n[[routes]]\nname = 'all'\n\
         path = '/{{*rest}}'\nupstream = 'up'\nrate_limits = [{names}]\n",
        upstream.addr()
    )
}

/// A store that may take its time: only what these tests do to it makes it slow.
pub(crate) fn patient(redis: &Redis) -> String {
    format!("url = 'redis://{}'\ncommand_timeout = '5s'\nconnect_timeout = '5s'", redis.address)
}

/// A master, a replica that follows it, a sentinel that puts the one in the other's place when it is told to, and a
/// store by its word.
pub(crate) struct Watched {
    pub(crate) master: Redis,
    pub(crate) replica: Redis,
    pub(crate) sentinel: Redis,
    pub(crate) store: String,
}

impl Watched {
    /// The replica takes the master's place.
    pub(crate) async fn replace(&self) {
        let sentinel = &self.sentinel;
        // It refuses for as long as it has not heard enough of the replica.
        eventually("it is told to", || sentinel.command("SENTINEL FAILOVER main").starts_with("+OK")).await;
        eventually("the replica is master", || self.replica.command("ROLE").contains("master")).await;
    }
}

/// Starts them, and waits until they know each other.
pub(crate) async fn watched() -> Watched {
    let master = Redis::start();
    let follows = ["--replicaof", "127.0.0.1", &master.address.port().to_string()];
    let replica = Redis::with(&follows);
    eventually("the replica follows", || replica.command("INFO replication").contains("master_link_status:up")).await;
    let sentinel = Redis::sentinel(master.address);
    eventually("the sentinel knows the replica", || sentinel.command("INFO sentinel").contains("slaves=1")).await;
    let store = format!(
        "url = 'redis+sentinel://{}/main'\ncommand_timeout = '1s'\nconnect_timeout = '5s'\n\
         breaker = {{ consecutive_failures = 2, open_for = '50ms' }}",
        sentinel.address
    );
    Watched { master, replica, sentinel, store }
}

pub(crate) async fn get(client: &mut Client, fields: &str) -> Answer {
    client.ask_until_let_in(format!("GET /a HTTP/1.1\r\nhost: a\r\n{fields}\r\n")).await
}

/// Whether it is refused until the next token of an hour comes, of which some has gone by.
fn waits_an_hour(answer: &Answer) -> bool {
    let waits = answer.header("retry-after").and_then(|seconds| seconds.parse::<u64>().ok());
    answer.status == 429 && waits.is_some_and(|seconds| (1..=3600).contains(&seconds))
}

pub(crate) async fn statuses(client: &mut Client, fields: &str, count: usize) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..count {
        statuses.push(get(client, fields).await.status);
    }
    statuses
}

const ONE: &str = "[rate_limits.all]\nrate = '1/h'\nburst = 50\nkey = 'client_ip'\nstore = 'shared'\n";

/// How many of so many requests on each of these connections pass, all at once.
async fn flood(gateways: &[&Gateway], connections: usize, each: usize) -> usize {
    let one = |gateway: &Gateway| {
        let address = gateway.address;
        tokio::spawn(async move { statuses(&mut Client::connect(address).await, "", each).await })
    };
    let tasks: Vec<_> = gateways.iter().flat_map(|gateway| (0..connections).map(|_| one(gateway))).collect();
    let mut passed = 0;
    for task in tasks {
        let statuses = task.await.unwrap();
        assert!(statuses.iter().all(|status| matches!(status, 200 | 429)), "{statuses:?}");
        passed += statuses.iter().filter(|status| **status == 200).count();
    }
    passed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn k1_four_gateways_at_once_let_exactly_the_burst_through() {
    let (redis, upstream) = (Redis::start(), echo().await);
    let mut gateways = Vec::new();
    for _ in 0..4 {
        gateways.push(sharing(&patient(&redis), ONE, "'all'", &upstream).await);
    }
    let all: Vec<&Gateway> = gateways.iter().collect();
    assert_eq!(flood(&all, 5, 50).await, 50);
    assert_eq!(upstream.journal().len(), 50);
}

#[tokio::test]
async fn what_one_gateway_took_the_other_tells() {
    let (redis, upstream) = (Redis::start(), echo().await);
    let one = sharing(&patient(&redis), ONE, "'all'", &upstream).await;
    let other = sharing(&patient(&redis), ONE, "'all'", &upstream).await;
    let mut client = one.client().await;
    assert_eq!(statuses(&mut client, "", 10).await, [200; 10]);
    let answer = get(&mut other.client().await, "").await;
    assert_eq!(answer.header("ratelimit-policy"), Some("\"all\";q=50;w=180000"));
    assert!(answer.header("ratelimit").unwrap().starts_with("\"all\";r=39;t="), "{answer:?}");
    assert_eq!(redis.limit_keys(), 1);
    let time: i64 = redis.command("PTTL x").trim_start_matches(':').trim().parse().unwrap();
    assert_eq!(time, -2, "no such key");
    let keys = redis.command("KEYS limit:*");
    let key = keys.lines().find(|line| line.starts_with("limit:")).unwrap();
    assert!(!key.contains("127.0.0.1"), "keys are hashed: {key}");
    let time: i64 = redis.command(&format!("PTTL {key}")).trim_start_matches(':').trim().parse().unwrap();
    assert!((39_000_000..=39_600_000).contains(&time), "a key goes when its bucket is full: {time}");
}

#[tokio::test]
async fn an_empty_bucket_is_refused_from_memory_until_its_time() {
    let (redis, upstream) = (Redis::start(), echo().await);
    let limits = ONE.replace("50", "2");
    let gateway = sharing(&patient(&redis), &limits, "'all'", &upstream).await;
    let mut client = gateway.client().await;
    assert_eq!(statuses(&mut client, "", 3).await, [200, 200, 429]);
    let calls = || -> u64 {
        let text = redis.command("INFO commandstats");
        let of = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{name}:calls=")));
            line.map_or(0, |rest| rest.split(',').next().unwrap().parse().unwrap())
        };
        of("get")
    };
    let before = calls();
    let refused = get(&mut client, "").await;
    assert!(waits_an_hour(&refused), "{refused:?}");
    assert_eq!(statuses(&mut client, "", 20).await, [429; 20]);
    assert_eq!(calls(), before, "nobody asked for what was known");
}

#[tokio::test]
async fn either_every_rule_is_charged_or_none_wherever_its_bucket_is() {
    let (redis, upstream) = (Redis::start(), echo().await);
    let limits = "[rate_limits.here]\nrate = '1/h'\nburst = 9\nkey = 'client_ip'\n\
                  [rate_limits.there]\nrate = '1/h'\nburst = 9\nkey = 'client_ip'\nstore = 'shared'\n\
                  [rate_limits.chunks]\nrate = '1/h'\nburst = 9\nkey = 'global'\nstore = 'shared'\nmode = 'leased'\n\
                  [rate_limits.narrow]\nrate = '1/h'\nburst = 3\nkey = 'route'\nstore = 'shared'\n\
                  [rate_limits.watch]\nrate = '1/h'\nburst = 1\nkey = 'route'\nstore = 'shared'\nshadow = true\n";
    let names = "'here', 'there', 'chunks', 'narrow', 'watch'";
    let gateway = sharing(&patient(&redis), limits, names, &upstream).await;
    let mut client = gateway.client().await;
    assert_eq!(statuses(&mut client, "", 3).await, [200; 3]);
    for _ in 0..4 {
        let refused = get(&mut client, "").await;
        assert!(waits_an_hour(&refused), "{refused:?}");
        let told = refused.header("ratelimit").unwrap();
        let told: Vec<&str> = told.split(", ").map(|item| item.split(";t=").next().unwrap()).collect();
        for name in ["here", "chunks"] {
            assert!(told.contains(&&*format!("\"{name}\";r=6")), "what was refused costs nothing: {told:?}");
        }
    }
    let decisions = |limits: &Value, name: &str| {
        let rules = limits["limits"].as_array().unwrap().clone();
        rules.into_iter().find(|rule| rule["name"] == name).unwrap()["decisions"].take()
    };
    let limits = gateway.admin("GET", "/limits").await.json();
    assert_eq!(decisions(&limits, "watch")["shadow_refused"], 2);
    assert_eq!(decisions(&limits, "narrow")["refused"], 4);
    // Had refused requests taken tokens there, this one would not see six.
    let other = sharing(&patient(&redis), limits_of_one(), "'there'", &upstream).await;
    let answer = get(&mut other.client().await, "").await;
    assert!(answer.header("ratelimit").unwrap().starts_with("\"there\";r=5;"), "{answer:?}");
}

#[tokio::test]
async fn a_limit_that_only_watches_is_told_beside_another_one_that_the_store_refuses_by() {
    let (redis, upstream) = (Redis::start(), echo().await);
    let limit = |name: &str, more: &str| {
        format!("[rate_limits.{name}]\nrate = '1/h'\nburst = 1\nkey = 'client_ip'\nstore = 'shared'\n{more}\n")
    };
    let limits = limit("watch", "shadow = true") + &limit("tight", "");
    let text = text(&patient(&redis), &limits, "'watch', 'tight'", &upstream);
    let one = Gateway::start(&text).await;
    let other = Gateway::start(&recording("sample = 1.0", &text)).await;
    assert_eq!(get(&mut one.client().await, "").await.status, 200);
    // This one knows nothing of the buckets: the store says it.
    assert_eq!(get(&mut other.client().await, "").await.status, 429);
    let told = other.only("code=rate_limited", 1).await;
    let decided: Vec<_> = told["limits"].as_array().unwrap().iter().map(|it| (&it["rule"], &it["decision"])).collect();
    assert_eq!(decided, [(&json!("watch"), &json!("would_refuse")), (&json!("tight"), &json!("refused"))]);
}

/// Its key is taken out of the request once it is known whose it is.
#[tokio::test]
async fn tokens_go_back_to_the_bucket_that_they_were_taken_from() {
    let (redis, upstream) = (Redis::start(), echo().await);
    let keys = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/contract/api-keys.toml");
    let limits = format!(
        "[rate_limits.key]\nrate = '1/h'\nburst = 9\nkey = 'header:x-api-key'\nstore = 'shared'\n\
         [rate_limits.subject]\nrate = '1/h'\nburst = 1\nkey = 'subject'\n\
         [identity.providers.keys]\nkind = 'api_key'\nfile = '{keys}'\n"
    );
    let open = "[[routes]]\nname = 'open'\npath = '/open'\nupstream = 'up'\nrate_limits = ['key']\n";
    let text = text(&patient(&redis), &limits, "'key', 'subject'", &upstream)
        .replace("[[routes]]\n", &format!("{open}[[routes]]\nauth = {{ providers = ['keys'] }}\n"));
    let gateway = Gateway::start(&text).await;
    let mut client = gateway.client().await;
    let mut left = async |fields: &str| {
        let answer = client.ask(format!("GET /open HTTP/1.1\r\nhost: a\r\n{fields}\r\n")).await;
        answer.header("ratelimit").unwrap().split(";t=").next().unwrap().to_owned()
    };
    const KEY: &str = "x-api-key: demo-key\r\n";
    // Who sends no key is counted by its address.
    assert_eq!((left("").await, left("").await), ("\"key\";r=8".into(), "\"key\";r=7".into()));
    let mut asks = gateway.client().await;
    assert_eq!(statuses(&mut asks, KEY, 4).await, [200, 429, 429, 429]);
    assert_eq!(left(KEY).await, "\"key\";r=7", "what was refused costs its key nothing");
    assert_eq!(left("").await, "\"key\";r=6", "and gives nobody else anything");
}

fn limits_of_one() -> &'static str {
    "[rate_limits.there]\nrate = '1/h'\nburst = 9\nkey = 'client_ip'\nstore = 'shared'\n"
}

#[tokio::test]
async fn k7_a_store_that_forgot_its_scripts_is_taught_them_and_nobody_is_told() {
    let (redis, upstream) = (Redis::start(), echo().await);
    let gateway = sharing(&patient(&redis), ONE, "'all'", &upstream).await;
    let mut client = gateway.client().await;
    for _ in 0..3 {
        assert_eq!(statuses(&mut client, "", 3).await, [200; 3]);
        redis.command("SCRIPT FLUSH");
    }
    assert_eq!(statuses(&mut client, "", 42).await.iter().filter(|status| **status == 200).count(), 41);
    assert_eq!(gateway.metric("gateway_store_degraded{store=\"shared\"}").await, Some(0.0));
}

#[tokio::test]
async fn a_store_that_forgot_everything_gives_nobody_another_burst() {
    let (redis, upstream) = (Redis::start(), echo().await);
    let gateway = sharing(&patient(&redis), ONE, "'all'", &upstream).await;
    let mut client = gateway.client().await;
    assert_eq!(statuses(&mut client, "", 30).await, [200; 30]);
    redis.command("FLUSHALL");
    // As one does that was started anew.
    redis.command("CLIENT KILL TYPE normal");
    let passed = statuses(&mut client, "", 30).await.iter().filter(|status| **status == 200).count();
    assert!((20..=21).contains(&passed), "{passed}: what is left, and the one that found the connection gone");
}

#[tokio::test]
async fn a_server_whose_clock_is_behind_refuses_for_one_token_and_no_longer() {
    let (redis, upstream) = (Redis::start(), echo().await);
    // One that stays tells the name, however long it takes.
    let slow = sharing(&patient(&redis), ONE, "'all'", &upstream).await;
    assert_eq!(get(&mut slow.client().await, "").await.status, 200);
    let keys = redis.command("KEYS limit:*");
    let key = keys.lines().find(|line| line.starts_with("limit:")).unwrap().to_owned();
    let quick = ONE.replace("1/h", "100/s").replace("50", "500");
    let gateway = sharing(&patient(&redis), &quick, "'all'", &upstream).await;
    let mut client = gateway.client().await;
    assert_eq!(get(&mut client, "").await.status, 200);
    // As one leaves them whose clock was a day ahead.
    let ahead = "999999999999999999";
    redis.command(&format!("SET {key} {ahead}"));
    let refused = get(&mut client, "").await;
    assert_eq!(refused.status, 429);
    assert!(refused.json()["retry_after_ms"].as_u64().unwrap() <= 10, "{}", refused.json());
    let mut refusals = 0;
    while get(&mut client, "").await.status == 429 {
        refusals += 1;
        assert!(refusals < 10_000, "it passes again within some tokens' time");
    }
    assert!(!redis.command(&format!("GET {key}")).contains(ahead));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leases_let_no_more_through_than_the_burst_and_give_back_what_is_not_used() {
    let (redis, upstream) = (Redis::start(), echo().await);
    let limits = format!("{ONE}mode = 'leased'\nmax_lease = 20\n");
    let mut gateways = Vec::new();
    for _ in 0..3 {
        gateways.push(sharing(&patient(&redis), &limits, "'all'", &upstream).await);
    }
    let all: Vec<&Gateway> = gateways.iter().collect();
    let passed = flood(&all, 4, 3).await;
    assert_eq!(passed, 36, "there are tokens for all");
    let held = async |gateway: &Gateway| -> u64 {
        let limits = gateway.admin("GET", "/limits").await.json();
        limits["limits"][0]["leases"]["tokens"].as_u64().unwrap()
    };
    // Nobody asks any more: what is held goes back, and then whoever comes first gets all of the rest.
    for gateway in &gateways {
        guarded("what is held goes back", async { while held(gateway).await > 0 {} }).await;
    }
    let mut client = gateways[0].client().await;
    let mut more = 0;
    for _ in 0..200 {
        more += usize::from(get(&mut client, "").await.status == 200);
    }
    assert!((13..=14).contains(&more), "{more}");
}

#[tokio::test]
async fn who_waits_for_a_chunk_is_told_all_that_is_left() {
    let (redis, upstream) = (Redis::start(), echo().await);
    let limits = ONE.replace("1/h", "1/m").replace("50", "10") + "mode = 'leased'\n";
    let gateway = sharing(&patient(&redis), &limits, "'all'", &upstream).await;
    let mut client = gateway.client().await;
    assert_eq!(get(&mut client, "").await.header("ratelimit"), Some("\"all\";r=9;t=60"));
    let second = get(&mut client, "").await;
    assert!(second.header("ratelimit").unwrap().starts_with("\"all\";r=8;"), "{second:?}");
}

#[tokio::test]
async fn another_rate_after_a_reload_leaves_what_was_used_in_the_store() {
    let (redis, upstream) = (Redis::start(), echo().await);
    let gateway = sharing(&patient(&redis), ONE, "'all'", &upstream).await;
    let mut client = gateway.client().await;
    assert_eq!(statuses(&mut client, "", 30).await, [200; 30]);
    for (rate, used) in [("20/h", 31), ("1/h", 32), ("60/h", 33)] {
        gateway.rewrite(&text(&patient(&redis), &ONE.replace("1/h", rate), "'all'", &upstream));
        assert_eq!(gateway.admin("POST", "/reload").await.status, 200);
        let answer = get(&mut client, "").await;
        let left = format!("\"all\";r={};", 50 - used);
        assert!(answer.header("ratelimit").unwrap().starts_with(&left), "{rate}: {answer:?}");
    }
    // One that never saw the bucket finds it so too, by its own rate.
    let other = sharing(&patient(&redis), &ONE.replace("1/h", "2/h"), "'all'", &upstream).await;
    let answer = get(&mut other.client().await, "").await;
    assert!(answer.header("ratelimit").unwrap().starts_with("\"all\";r=16;"), "{answer:?}");
}
