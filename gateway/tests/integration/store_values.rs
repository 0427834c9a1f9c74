//! What gateways make of buckets in a store that others wrote: of another version, by another clock, or no gateway.

use crate::store_failures::until_mode;
use crate::stores::{get, patient, sharing, watched};
use crate::support::{Client, Redis, echo, eventually};

const HOUR_NS: u64 = 3_600_000_000_000;

/// A rule whose tokens do not come back while a test runs.
const SLOW: &str = "[rate_limits.all]\nrate = '1/h'\nburst = 50\nkey = 'client_ip'\nstore = 'shared'\n";
/// One whose tokens come back at once.
const QUICK: &str = "[rate_limits.all]\nrate = '100/s'\nburst = 5\nkey = 'client_ip'\nstore = 'shared'\n";

/// The name of the one bucket.
fn bucket(redis: &Redis) -> String {
    let keys = redis.command("KEYS limit:*");
    keys.lines().find(|line| line.starts_with("limit:")).expect("there is a bucket").to_owned()
}

/// What the server's clock says, as buckets count: nanoseconds since 2026.
fn now_ns(redis: &Redis) -> u64 {
    let answer = redis.command("TIME");
    let mut numbers = answer.lines().filter_map(|line| line.parse::<u64>().ok());
    let (Some(seconds), Some(micros)) = (numbers.next(), numbers.next()) else { panic!("{answer}") };
    ((seconds - 1_767_225_600) * 1_000_000 + micros) * 1000
}

/// What is left by the answer's own words.
async fn left(client: &mut Client) -> u64 {
    let answer = get(client, "").await;
    let state = answer.header("ratelimit").unwrap();
    state.split(';').find_map(|part| part.strip_prefix("r=")).unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_bucket_of_an_older_gateway_is_read_as_it_was_meant() {
    let (redis, upstream) = (Redis::start(), echo().await);
    let first = sharing(&patient(&redis), SLOW, "'all'", &upstream).await;
    assert_eq!(left(&mut first.client().await).await, 49);
    let key = bucket(&redis);
    for (mode, more) in [("", ""), ("mode = 'leased'\nmax_lease = 1\n", ""), ("", ":3600000000000:and more")] {
        // Twenty tokens are missing. Older ones wrote the time alone, later ones may write more.
        redis.command(&format!("SET {key} \"{}{more}\"", now_ns(&redis) + 20 * HOUR_NS - HOUR_NS / 2));
        let gateway = sharing(&patient(&redis), &format!("{SLOW}{mode}"), "'all'", &upstream).await;
        assert_eq!(left(&mut gateway.client().await).await, 29, "{mode}{more}");
        let value = redis.command(&format!("GET {key}"));
        assert!(value.contains(":3600000000000") && !value.contains("more"), "it is ours from then on: {value}");
    }
}

#[tokio::test]
async fn what_is_no_bucket_refuses_nobody_for_long_and_does_not_break_the_store() {
    let (redis, upstream) = (Redis::start(), echo().await);
    // One that stays tells the name.
    let slow = sharing(&patient(&redis), SLOW, "'all'", &upstream).await;
    assert_eq!(get(&mut slow.client().await, "").await.status, 200);
    let key = bucket(&redis);
    for mode in ["", "mode = 'leased'\n"] {
        let gateway = sharing(&patient(&redis), &format!("{QUICK}{mode}"), "'all'", &upstream).await;
        let mut client = gateway.client().await;
        get(&mut client, "").await;
        // Nanoseconds since 1970, a time beyond all times, another script's value, another kind of value.
        let values = ["1790000000000000000", "99999999999999999999999:1", "-5", "nan", "1e300:7", "a list"];
        for value in values {
            redis.command(&format!("DEL {key}"));
            let write = if value == "a list" { format!("RPUSH {key} 1") } else { format!("SET {key} {value}") };
            redis.command(&write);
            let mut refused = 0;
            while get(&mut client, "").await.status != 200 {
                refused += 1;
                assert!(refused < 10_000, "{value}: it passes again within some tokens' time");
            }
        }
        let stores = gateway.admin("GET", "/limits").await.json()["stores"].take();
        assert!(stores[0]["last_failure"].is_null() && stores[0]["mode"] == "exact", "{stores}");
    }
}

#[tokio::test]
async fn a_new_master_whose_clock_is_behind_refuses_for_one_token_and_no_longer() {
    let (mut watched, upstream) = (watched().await, echo().await);
    // One that stays tells the name, however long it takes.
    let slow = sharing(&watched.store, SLOW, "'all'", &upstream).await;
    assert_eq!(get(&mut slow.client().await, "").await.status, 200);
    let gateway = sharing(&watched.store, &QUICK.replace("burst = 5", "burst = 500"), "'all'", &upstream).await;
    let mut client = gateway.client().await;
    assert_eq!(get(&mut client, "").await.status, 200);
    let (master, replica) = (&watched.master, &watched.replica);
    // As the master leaves its buckets, if its clock is an hour ahead of the other's.
    let (key, ahead) = (bucket(master), now_ns(master) + HOUR_NS);
    assert!(master.command(&format!("SET {key} {ahead}:10000000 PX 9000000")).starts_with("+OK"));
    eventually("the replica has it", || replica.command(&format!("GET {key}")).contains(&ahead.to_string())).await;
    watched.master.kill();
    until_mode(&gateway, "degraded").await;
    watched.replace().await;
    until_mode(&gateway, "exact").await;
    let replica = &watched.replica;
    // What the gateway decides alone, should the new master not answer in time for once, changes no bucket.
    let is_ahead = || replica.command(&format!("GET {key}")).contains(&ahead.to_string());
    let mut asked = 0;
    loop {
        let answer = get(&mut client, "").await;
        if answer.status == 200 && !is_ahead() {
            break;
        }
        let waits = (answer.status != 200).then(|| answer.json()["retry_after_ms"].as_u64().unwrap());
        assert!(waits.is_none_or(|ms| ms <= 10), "one token's time: {waits:?}");
        asked += 1;
        assert!(asked < 10_000, "it passes again within some tokens' time, and by the new master's own");
    }
}
