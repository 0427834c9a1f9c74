//! Stores that are more than one server, and stores with TLS.

use serde_json::Value;

use crate::store_failures::{rule, until_mode};
use crate::stores::{get, patient, sharing, statuses, text, watched};
use crate::support::{Client, Process, Redis, echo, eventually};

#[tokio::test]
async fn a_cluster_takes_rules_of_one_key_in_one_step_and_others_one_by_one() {
    let redis = Redis::with(&["--cluster-enabled", "yes", "--cluster-node-timeout", "600000"]);
    assert!(redis.command("CLUSTER ADDSLOTSRANGE 0 16383").starts_with("+OK"));
    eventually("the cluster is whole", || redis.command("CLUSTER INFO").contains("cluster_state:ok")).await;
    let upstream = echo().await;
    let store = patient(&redis).replace("redis://", "redis+cluster://");
    let limits = "[rate_limits.a]\nrate = '1/h'\nburst = 9\nkey = 'client_ip'\nstore = 'shared'\n\
                  [rate_limits.b]\nrate = '1/h'\nburst = 4\nkey = 'client_ip'\nstore = 'shared'\n\
                  [rate_limits.c]\nrate = '1/h'\nburst = 3\nkey = 'route'\nstore = 'shared'\n";
    let gateway = sharing(&store, limits, "'a', 'b', 'c'", &upstream).await;
    let mut client = gateway.client().await;
    assert_eq!(get(&mut client, "").await.status, 200);
    let stores = gateway.admin("GET", "/limits").await.json()["stores"].take();
    assert!(stores[0]["last_failure"].is_null(), "{stores}");
    assert_eq!(statuses(&mut client, "", 4).await, [200, 200, 429, 429]);
    let refused = get(&mut client, "").await;
    let told = refused.header("ratelimit").unwrap();
    assert!(told.contains("\"c\";r=0"), "{told}");
    assert_eq!(redis.limit_keys(), 3);
    // What `a` and `b` were charged for refused requests came back.
    let other = sharing(&store, limits, "'a', 'b'", &upstream).await;
    assert_eq!(statuses(&mut other.client().await, "", 2).await, [200, 429], "four of b");
}

#[tokio::test]
async fn a_cluster_of_three_masters_has_buckets_on_each_and_gets_back_what_a_later_rule_refused() {
    let nodes = Redis::cluster(3);
    eventually("each node knows all, and all slots are served", || {
        let whole = |info: String| info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3");
        nodes.iter().all(|node| whole(node.command("CLUSTER INFO")))
    })
    .await;
    let upstream = echo().await;
    let store = patient(&nodes[0]).replace("redis://", "redis+cluster://");
    let tenant = "[rate_limits.tenant]\nrate = '1/h'\nburst = 2\nkey = 'header:x-tenant'\nstore = 'shared'\n";
    let all = "[rate_limits.all]\nrate = '1/h'\nburst = 40\nkey = 'route'\nstore = 'shared'\n";
    let gateway = sharing(&store, &format!("{tenant}{all}"), "'tenant', 'all'", &upstream).await;
    let mut client = gateway.client().await;
    let of = |number: usize| format!("x-tenant: {number}\r\n");
    for number in 0..20 {
        assert_eq!(statuses(&mut client, &of(number), 3).await, [200, 200, 429], "tenant {number}");
    }
    for number in 20..24 {
        assert_eq!(statuses(&mut client, &of(number), 3).await, [429; 3], "all tokens of the route are gone");
    }
    let keys = || nodes.iter().map(Redis::limit_keys).collect::<Vec<_>>();
    eventually("what refused tenants were charged has come back", || keys().iter().sum::<usize>() == 21).await;
    assert!(keys().iter().all(|keys| *keys > 0), "{:?}", keys());
    // Another gateway, to whom another node was named, sees the same buckets.
    let store = patient(&nodes[2]).replace("redis://", "redis+cluster://");
    let other = sharing(&store, tenant, "'tenant'", &upstream).await;
    let mut client = other.client().await;
    for number in 18..24 {
        let expected = if number < 20 { [429; 3] } else { [200, 200, 429] };
        assert_eq!(statuses(&mut client, &of(number), 3).await, expected, "tenant {number}");
    }
    let stores = gateway.admin("GET", "/limits").await.json()["stores"].take();
    assert!(stores[0]["last_failure"].is_null(), "{stores}");
}

#[tokio::test]
async fn sentinels_say_who_is_master_and_a_fail_over_gives_no_burst() {
    let (mut watched, upstream) = (watched().await, echo().await);
    let gateway = sharing(&watched.store, &rule("local_share"), "'all'", &upstream).await;
    let mut client = gateway.client().await;
    let mut passed = 0;
    let mut ask = async |count: usize| {
        passed += statuses(&mut client, "", count).await.iter().filter(|status| **status == 200).count();
        passed
    };
    assert_eq!(ask(10).await, 10);
    watched.master.kill();
    until_mode(&gateway, "degraded").await;
    assert_eq!(ask(10).await, 20, "alone, its share is all");
    watched.replace().await;
    until_mode(&gateway, "exact").await;
    assert_eq!(ask(60).await, 40, "each token once");
    assert_eq!(watched.replica.limit_keys(), 1, "the new master has the bucket");
}

#[tokio::test]
async fn a_store_with_tls_is_checked_against_the_systems_certificates() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    std::fs::write(file("cert.pem"), certified.cert.pem()).unwrap();
    std::fs::write(file("key.pem"), certified.signing_key.serialize_pem()).unwrap();
    let redis = Redis::with_tls(&file("cert.pem"), &file("key.pem"));
    let upstream = echo().await;
    let store = patient(&redis).replace("redis://", "rediss://");
    let config = text(&store, &rule("closed"), "'all'", &upstream);
    let log = "[telemetry.access_log]\noutput = 'off'\n";
    let config = format!("[[listeners]]\naddress = '127.0.0.1:0'\n[admin]\naddress = '127.0.0.1:0'\n{log}{config}");
    std::fs::write(file("gateway.toml"), config).unwrap();
    let path = folder.path().join("gateway.toml");
    for (trusted, expected) in [("cert.pem", 200), ("key.pem", 503)] {
        let process = Process::start_with(&path, &[("SSL_CERT_FILE", &file(trusted))]).await;
        let mut client = Client::connect(process.address).await;
        assert_eq!(get(&mut client, "").await.status, expected, "{trusted}");
        let mut admin = Client::connect(process.admin).await;
        let shown: Value = admin.ask(format!("GET /limits HTTP/1.1\r\nhost: {}\r\n\r\n", process.admin)).await.json();
        assert_eq!(shown["stores"][0]["last_failure"].is_null(), expected == 200, "{shown}");
    }
}
