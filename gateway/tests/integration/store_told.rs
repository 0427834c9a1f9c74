//! What is told of a store that answers the task that watches it, and not the requests.

use crate::store_failures::rule;
use crate::stores::{get, patient, sharing};
use crate::support::{Events, Redis, echo, guarded};

/// Calls that the server refused since they named keys that are not theirs.
fn refused(redis: &Redis) -> u64 {
    let stats = redis.command("INFO commandstats");
    let of_scripts = stats.lines().find(|line| line.starts_with("cmdstat_evalsha:")).unwrap();
    let refused = of_scripts.split(',').find_map(|part| part.strip_prefix("rejected_calls=")).unwrap();
    refused.trim().parse().unwrap()
}

/// Two real ones: a server at its `maxclients`, which keeps the connection of the task that watches, and a cluster that
/// lost some other key's shard. Here a rule of the server's own lets that task's key pass and no other.
#[tokio::test]
async fn one_that_answers_its_watch_and_no_request_is_told_once_and_not_to_be_well() {
    let (redis, upstream) = (Redis::start(), echo().await);
    let store = format!("{}\nbreaker = {{ consecutive_failures = 2, open_for = '20ms' }}", patient(&redis));
    let gateway = sharing(&store, &rule("closed"), "'all'", &upstream).await;
    let mut client = gateway.client().await;
    assert_eq!(get(&mut client, "").await.status, 200);
    let degraded = async || gateway.metric("gateway_store_degraded{store=\"shared\"}").await;
    let shown = async || gateway.admin("GET", "/limits").await.json()["stores"][0].take();
    assert!(redis.command("ACL SETUSER default resetkeys ~portcullis:*").starts_with("+OK"));
    guarded("it is given up", async {
        while degraded().await != Some(1.0) {
            assert_eq!(get(&mut client, "").await.status, 503);
        }
    })
    .await;
    let since = shown().await["since"].take();
    // The watch finds it well again and again, and then requests ask it.
    let before = refused(&redis);
    guarded("requests try it again", async {
        while refused(&redis) < before + 8 {
            assert_eq!(get(&mut client, "").await.status, 503);
            assert_eq!(degraded().await, Some(1.0));
        }
    })
    .await;
    let store = shown().await;
    assert_eq!((&store["mode"], &store["since"]), (&"degraded".into(), &since), "{store}");
    let problems = gateway.admin("GET", "/problems").await.json();
    assert!(problems["problems"].as_array().unwrap().iter().any(|one| one["what"] == "store"), "{problems:#}");
    assert!(redis.command("ACL SETUSER default allkeys").starts_with("+OK"));
    guarded("it is well", async {
        while degraded().await != Some(0.0) {
            get(&mut client, "").await;
        }
    })
    .await;
    assert_eq!(get(&mut client, "").await.status, 200);
    assert!(shown().await["since"].is_null());
    assert!(gateway.reload().await.ok);
    let mut events = Events::of(&gateway, "?after=0&kinds=store,reload").await;
    let told = events.until(|event| event["kind"] == "reload").await;
    let modes: Vec<&str> = told.iter().filter_map(|event| event["mode"].as_str()).collect();
    assert_eq!(modes, ["exact", "degraded", "healed"]);
}

#[tokio::test]
async fn one_that_nobody_asks_any_more_is_told_to_be_well_after_some_quiet_seconds() {
    let (mut redis, upstream) = (Redis::start(), echo().await);
    // It is quiet when a call that hangs would have failed.
    let hasty = patient(&redis).replace("'5s'", "'1s'");
    let store = format!("{hasty}\nbreaker = {{ consecutive_failures = 2, open_for = '20ms' }}");
    let gateway = sharing(&store, &rule("open"), "'all'", &upstream).await;
    let mut client = gateway.client().await;
    assert_eq!(get(&mut client, "").await.status, 200);
    let degraded = async || gateway.metric("gateway_store_degraded{store=\"shared\"}").await;
    redis.kill();
    guarded("it is given up", async {
        while degraded().await != Some(1.0) {
            assert_eq!(get(&mut client, "").await.status, 200);
        }
    })
    .await;
    redis.restart();
    guarded("it is well", async { while degraded().await != Some(0.0) {} }).await;
}
