//! Rate limits on one gateway (security.md, K2, K4, K5, K6). Rates are so slow that no test waits for a token.

use std::collections::HashMap;

use gateway::algorithms::gcra::Quota;
use mocks::raw::{Raw, Script};
use serde_json::Value;

use crate::support::{Answer, Client, Events, Gateway, Issuer, echo};

/// A gateway whose one route has these limits.
async fn limited(server: &str, limits: &str, names: &str) -> (Gateway, mocks::Mock) {
    let upstream = echo().await;
    (Gateway::start(&text(server, limits, names, &upstream)).await, upstream)
}

fn text(server: &str, limits: &str, names: &str, upstream: &mocks::Mock) -> String {
    format!(
        "[server]\n{server}\n{limits}\n[upstreams.up]\nendpoints = ['{}']\n[[routes]]\nname = 'all'\n\
         path = '/{{*rest}}'\nupstream = 'up'\nrate_limits = [{names}]\n",
        upstream.addr()
    )
}

async fn get(client: &mut Client, fields: &str) -> Answer {
    client.ask(format!("GET /a HTTP/1.1\r\nhost: a\r\n{fields}\r\n")).await
}

async fn statuses(client: &mut Client, fields: &str, count: usize) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..count {
        statuses.push(get(client, fields).await.status);
    }
    statuses
}

#[tokio::test]
async fn a_burst_passes_and_what_is_beyond_it_is_told_when_to_come_back() {
    let limits = "[rate_limits.public]\nrate = '2/h'\nburst = 3\nkey = 'client_ip'\n";
    let (gateway, upstream) = limited("", limits, "'public'").await;
    let mut client = gateway.client().await;
    let first = get(&mut client, "").await;
    assert_eq!(first.status, 200);
    assert_eq!(first.header("ratelimit-policy"), Some("\"public\";q=3;w=5400"));
    assert_eq!(first.header("ratelimit"), Some("\"public\";r=2;t=1800"));
    assert_eq!((first.header("retry-after"), statuses(&mut client, "", 2).await), (None, vec![200, 200]));

    let refused = get(&mut client, "").await;
    assert_eq!((refused.status, refused.code().as_str()), (429, "rate_limited"));
    assert_eq!(refused.header("ratelimit"), Some("\"public\";r=0;t=5400"));
    assert_eq!(refused.header("retry-after"), Some("1800"));
    let wait = refused.json()["retry_after_ms"].as_u64().unwrap();
    assert!((1_790_000..=1_800_000).contains(&wait), "{wait}");
    assert_eq!(upstream.journal().len(), 3, "a refused request reaches no upstream");

    let records = gateway.records(4).await;
    assert_eq!((&records[3]["limit"], &records[3]["fault"]), (&"public".into(), &"client".into()));
    assert_eq!(records[0]["limit"], Value::Null);
    let decided = async |decision: &str| {
        gateway.metric(&format!("gateway_limit_decisions_total{{rule=\"public\",decision=\"{decision}\"}}")).await
    };
    assert_eq!((decided("admitted").await, decided("refused").await), (Some(3.0), Some(1.0)));
}

#[tokio::test]
async fn keys_are_apart_and_an_absent_header_counts_as_the_clients_address() {
    let limits = "[rate_limits.tenant]\nrate = '1/h'\nburst = 1\nkey = 'header:x-tenant'\n";
    let (gateway, _upstream) = limited("", limits, "'tenant'").await;
    let mut client = gateway.client().await;
    assert_eq!(statuses(&mut client, "x-tenant: a\r\n", 2).await, [200, 429]);
    assert_eq!(statuses(&mut client, "x-tenant: b\r\n", 2).await, [200, 429]);
    assert_eq!(statuses(&mut client, "", 2).await, [200, 429]);
    assert_eq!(statuses(&mut client, "x-tenant: 127.0.0.1\r\n", 1).await, [200], "a value is no address");
    let shown = gateway.admin("GET", "/limits").await.json();
    let rule = &shown["limits"][0];
    assert_eq!((&rule["keys"]["kept"], &rule["decisions"]["refused"]), (&4.into(), &3.into()));
    let busiest = rule["busiest"].to_string();
    assert!(busiest.contains("sha256:") && !busiest.contains("\"a\""), "a header may be a secret: {busiest}");
    // Who knows the value finds its bucket.
    let explained = gateway.admin("GET", "/explain?method=GET&url=/a&headers=x-tenant:%20a").await.json();
    let key = explained["policies"]["rate_limits"][0]["key"].as_str().unwrap().to_owned();
    let name = key.strip_prefix("x-tenant: a (in /limits ").and_then(|rest| rest.strip_suffix(')')).unwrap();
    assert!(rule["busiest"].as_array().unwrap().iter().any(|one| one["key"] == name), "{key}: {busiest}");
}

#[tokio::test]
async fn either_every_rule_is_charged_or_none() {
    let limits = "[rate_limits.wide]\nrate = '1/h'\nburst = 9\nkey = 'client_ip'\n\
                  [rate_limits.narrow]\nrate = '1/h'\nburst = 2\nkey = 'route'\n\
                  [rate_limits.slow]\nrate = '1/h'\nburst = 8\ncost = 4\nkey = 'global'\n";
    let (gateway, _upstream) = limited("", limits, "'wide', 'narrow', 'slow'").await;
    let mut client = gateway.client().await;
    assert_eq!(statuses(&mut client, "", 2).await, [200, 200]);
    for _ in 0..5 {
        let refused = get(&mut client, "").await;
        assert_eq!(refused.status, 429);
        let told = refused.header("ratelimit").unwrap();
        assert!(told.starts_with("\"wide\";r=7;"), "what was refused costs nothing: {told}");
        // `narrow` would let it pass in one hour, `slow` in four.
        assert_eq!(refused.header("retry-after"), Some("14400"));
    }
}

#[tokio::test]
async fn a_rule_in_the_shadow_refuses_nobody_and_counts_what_it_would() {
    let limits = "[rate_limits.trial]\nrate = '1/h'\nburst = 1\nkey = 'global'\nshadow = true\n";
    let (gateway, _upstream) = limited("", limits, "'trial'").await;
    let mut client = gateway.client().await;
    let answers = [get(&mut client, "").await, get(&mut client, "").await];
    assert!(answers.iter().all(|answer| answer.status == 200 && answer.header("ratelimit").is_none()));
    let sample = "gateway_limit_decisions_total{rule=\"trial\",decision=\"shadow_refused\"}";
    assert_eq!(gateway.metric(sample).await, Some(1.0));
}

#[tokio::test]
async fn nobody_who_proves_no_identity_gets_more_than_the_anonymous_rate() {
    let limits = "[rate_limits.user]\nrate = '9/h'\nburst = 9\nkey = 'subject'\n\
                  anonymous = { rate = '1/h', burst = 2 }\n";
    let (gateway, _upstream) = limited("", limits, "'user'").await;
    let mut client = gateway.client().await;
    let first = get(&mut client, "").await;
    assert_eq!(first.header("ratelimit-policy"), Some("\"user\";q=2;w=7200"));
    assert_eq!(statuses(&mut client, "x-auth-subject: forged\r\n", 2).await, [200, 429]);
}

#[tokio::test]
async fn two_providers_know_two_people_by_one_name_and_neither_spends_the_others_rate() {
    let (upstream, issuer, folder) = (echo().await, Issuer::new("k1"), tempfile::tempdir().unwrap());
    let file = folder.path().join("keys.toml");
    // printf %s key | sha256sum
    let hash = "2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683";
    std::fs::write(&file, format!("[[keys]]\nsha256 = '{hash}'\nsubject = 'ada'\n")).unwrap();
    let limits = "[rate_limits.user]\nrate = '1/h'\nburst = 1\nkey = 'subject'\n";
    let auth = "auth = { providers = ['main', 'keys'] }\n";
    let keys = format!("[identity.providers.keys]\nkind = 'api_key'\nfile = '{}'\n", file.display());
    let text = format!("{}{auth}{}{keys}", text("", limits, "'user'", &upstream), issuer.provider(""));
    let gateway = Gateway::start(&text).await;
    let mut client = gateway.client().await;
    let token = format!("authorization: Bearer {}\r\n", issuer.token(&serde_json::json!({})));
    for (credential, provider) in [(&*token, "main"), ("x-api-key: key\r\n", "keys")] {
        let spoofed = format!("x-auth-provider: root\r\n{credential}");
        let echo = get(&mut client, &spoofed).await.echo();
        assert_eq!((echo.all("x-auth-subject"), echo.all("x-auth-provider")), (vec!["ada"], vec![provider]));
        assert_eq!(get(&mut client, credential).await.status, 429, "{provider}");
    }
}

#[tokio::test]
async fn k5_an_ipv6_client_that_moves_within_its_network_stays_one_client() {
    let limits = "[rate_limits.ip]\nrate = '1/h'\nburst = 1\nkey = 'client_ip'\n";
    let (gateway, _upstream) = limited("trusted_proxies = ['127.0.0.1/32']", limits, "'ip'").await;
    let mut client = gateway.client().await;
    let mut from = async |address: &str| get(&mut client, &format!("x-forwarded-for: {address}\r\n")).await.status;
    assert_eq!((from("2001:db8:1:2::1").await, from("2001:db8:1:2:ffff::9").await), (200, 429));
    assert_eq!((from("2001:db8:1:3::1").await, from("10.0.0.1").await), (200, 200));
    assert_eq!(from("::ffff:10.0.0.1").await, 429, "one IPv4 address, written in two ways");
}

#[tokio::test]
async fn k5_a_forged_forwarding_header_makes_nobody_another_client() {
    let limits = "[rate_limits.ip]\nrate = '1/h'\nburst = 1\nkey = 'client_ip'\n";
    let (gateway, _upstream) = limited("", limits, "'ip'").await;
    let mut client = gateway.client().await;
    let first = statuses(&mut client, "x-forwarded-for: 10.0.0.1\r\n", 1).await;
    let second = statuses(&mut client, "x-forwarded-for: 10.0.0.2\r\n", 1).await;
    assert_eq!((first, second), (vec![200], vec![429]));
}

#[tokio::test]
async fn k4_a_flood_of_keys_stays_within_its_bound_and_gets_nothing_by_it() {
    let limits = "[rate_limits.tenant]\nrate = '1/h'\nburst = 1\nkey = 'header:x-tenant'\nmax_keys = 50\n";
    let (gateway, _upstream) = limited("", limits, "'tenant'").await;
    let mut client = gateway.client().await;
    assert_eq!(statuses(&mut client, "x-tenant: victim\r\n", 2).await, [200, 429]);
    let mut passed = 0;
    for number in 0..500 {
        passed += usize::from(get(&mut client, &format!("x-tenant: {number}\r\n")).await.status == 200);
    }
    // 49 that have room, and one of each shared bucket.
    assert!(passed <= 49 + 64, "{passed}");
    assert_eq!(statuses(&mut client, "x-tenant: victim\r\n", 1).await, [429], "nobody is forgotten for others");
    let shown = gateway.admin("GET", "/limits").await.json();
    assert_eq!(shown["limits"][0]["keys"]["kept"], 50);
    assert!(get(&mut client, &format!("x-tenant: {}\r\n", "k".repeat(10_000))).await.status > 0);
}

#[tokio::test]
async fn a_reload_keeps_who_used_up_what_and_brings_it_to_the_new_rate() {
    let upstream = echo().await;
    let rule = |burst: u32, max: u32| {
        let limits = format!("[rate_limits.a]\nrate = '1/h'\nburst = {burst}\nkey = 'client_ip'\nmax_keys = {max}\n");
        text("", &limits, "'a'", &upstream)
    };
    let gateway = Gateway::start(&rule(3, 1000)).await;
    let mut client = gateway.client().await;
    assert_eq!(statuses(&mut client, "", 4).await, [200, 200, 200, 429]);
    for (burst, max, expected) in [(3, 1000, [429, 429]), (4, 1_000_000, [200, 429]), (2, 5, [429, 429])] {
        gateway.rewrite(&rule(burst, max));
        assert_eq!(gateway.admin("POST", "/reload").await.status, 200);
        assert_eq!(statuses(&mut client, "", 2).await, expected, "burst {burst}");
    }
    gateway.rewrite(&text("", "", "", &upstream));
    assert_eq!(gateway.admin("POST", "/reload").await.status, 200);
    assert_eq!(get(&mut client, "").await.header("ratelimit"), None);
}

#[tokio::test]
async fn an_upstreams_own_limits_do_not_mix_with_the_gateways() {
    let answer = "HTTP/1.1 200 OK\r\nRateLimit: \"theirs\";r=1;t=1\r\nX-A: b\r\ncontent-length: 0\r\n\r\n";
    let upstream = Raw::script(Script::always(answer)).await.unwrap();
    let limits = "[rate_limits.ours]\nrate = '1/h'\nburst = 3\nkey = 'client_ip'\n";
    let gateway = Gateway::start(&format!(
        "{limits}[[routes]]\npath = '/{{*rest}}'\nupstream = 'http://{}'\nrate_limits = ['ours']\n",
        upstream.addr()
    ))
    .await;
    let answer = gateway.get("/a").await;
    let told: Vec<_> = answer.headers.iter().filter(|(name, _)| name == "ratelimit").collect();
    assert_eq!((told.len(), &*told[0].1), (1, "\"ours\";r=2;t=3600"));
    assert_eq!(answer.header("x-a"), Some("b"));
}

#[tokio::test]
async fn decisions_are_told_and_a_replay_comes_to_the_same() {
    let limits = "[rate_limits.tenant]\nrate = '20/s'\nburst = 5\ncost = 2\nkey = 'header:x-tenant'\n\
                  [rate_limits.all]\nrate = '50/s'\nburst = 7\nkey = 'global'\n";
    let (gateway, _upstream) = limited("", limits, "'tenant', 'all'").await;
    let mut reader = Events::of(&gateway, "?kinds=limit").await;
    let client = async |tenant: &str| {
        let mut client = gateway.client().await;
        statuses(&mut client, &format!("x-tenant: {tenant}\r\n"), 60).await
    };
    let (one, two, three) = tokio::join!(client("one"), client("two"), client("one"));
    let answered = [one, two, three].concat();
    let quotas = [("tenant", 20, 5, 2), ("all", 50, 7, 1)]
        .map(|(name, rate, burst, cost)| (name, Quota::new(rate, std::time::Duration::from_secs(1), burst, cost)));
    let quotas = HashMap::from(quotas);
    let (mut tats, mut admitted, mut refused) = (HashMap::<(String, String), u64>::new(), 0, 0);
    while refused + admitted / 2 < answered.len() {
        for event in reader.next(1).await {
            let text = |field: &str| event[field].as_str().unwrap().to_owned();
            let (quota, now) = (quotas[&*text("rule")], event["ts_ns"].as_u64().unwrap());
            let tat = tats.entry((text("rule"), text("key"))).or_default();
            match event["decision"].as_str().unwrap() {
                "admitted" => {
                    *tat = quota.take(*tat, now).expect("the replay admits it too");
                    admitted += 1;
                }
                "refused" => {
                    quota.take(*tat, now).expect_err("the replay refuses it too");
                    refused += 1;
                }
                "refunded" => {
                    *tat = quota.refund(*tat);
                    admitted -= 1;
                }
                other => panic!("{other}"),
            }
            assert_eq!(event["tat_ns"].as_u64().unwrap(), *tat, "{event}");
        }
    }
    assert_eq!(refused, answered.iter().filter(|status| **status == 429).count());
    assert!(refused > 0 && admitted > 0);
}

#[tokio::test]
async fn explain_says_which_limits_would_hold_and_by_what_key() {
    let limits = "[rate_limits.ip]\nrate = '50/s'\nburst = 250\nkey = 'client_ip'\n\
                  [rate_limits.tenant]\nrate = '1/m'\nburst = 2\nkey = 'header:x-tenant'\nshadow = true\n";
    let (gateway, _upstream) = limited("", limits, "'ip', 'tenant'").await;
    let shown = gateway.admin("GET", "/explain?url=/a&headers=x-tenant:%20acme").await.json();
    let told = &shown["policies"]["rate_limits"];
    assert_eq!((&told[0]["rule"], &told[0]["rate"]), (&"ip".into(), &"50/s, burst 250".into()));
    let key = told[1]["key"].as_str().unwrap();
    assert!(key.starts_with("x-tenant: acme (in /limits sha256:") && told[1]["shadow"] == true, "{key}");
    assert_eq!(told[0]["runs"], "before identity");
}

#[tokio::test]
async fn who_proved_an_identity_is_counted_by_it_and_by_its_rate() {
    let (upstream, issuer) = (echo().await, Issuer::new("k1"));
    let limits = "[rate_limits.user]\nrate = '9/h'\nburst = 3\nkey = 'subject'\n\
                  anonymous = { rate = '1/h', burst = 1 }\n\
                  [rate_limits.tenant]\nrate = '1/h'\nburst = 4\nkey = 'claim:tenant'\n";
    let gateway = Gateway::start(&format!(
        "{}{limits}[[routes]]\nname = 'all'\npath = '/{{*rest}}'\nupstream = 'http://{}'\n\
         rate_limits = ['user', 'tenant']\nauth = {{ providers = ['main'], optional = true }}\n",
        issuer.provider(""),
        upstream.addr()
    ))
    .await;
    let mut client = gateway.client().await;
    let of = |subject: &str, tenant: Value| {
        let token = issuer.token(&serde_json::json!({ "sub": subject, "tenant": tenant }));
        format!("authorization: Bearer {token}\r\n")
    };
    assert_eq!(statuses(&mut client, &of("ada", 7.into()), 4).await, [200, 200, 200, 429]);
    assert_eq!(statuses(&mut client, &of("bob", 7.into()), 2).await, [200, 429], "the tenant's four are used up");
    assert_eq!(statuses(&mut client, &of("bob", "7".into()), 3).await, [200, 200, 429], "the claim is a text");
    assert_eq!(statuses(&mut client, "", 2).await, [200, 429], "an address, at the anonymous rate");
    let shown = gateway.admin("GET", "/limits").await.json();
    let busiest = &shown["limits"][0]["busiest"];
    assert_eq!((&busiest[0]["key"], &busiest[0]["provider"]), (&"bob".into(), &"main".into()));
    let address = busiest.as_array().unwrap().iter().find(|one| one["key"] == "127.0.0.1").unwrap();
    assert!(address.get("provider").is_none(), "an address is nobody's: {address}");
}

#[tokio::test]
async fn k6_who_has_no_tokens_left_buys_no_look_at_a_credential() {
    let (upstream, issuer) = (echo().await, Issuer::new("k1"));
    let limits = "[rate_limits.edge]\nrate = '2/h'\nburst = 2\nkey = 'client_ip'\n";
    let gateway = Gateway::start(&format!(
        "{}{limits}[[routes]]\nname = 'all'\npath = '/{{*rest}}'\nupstream = 'http://{}'\nrate_limits = ['edge']\n\
         auth = {{ providers = ['main'] }}\n",
        issuer.provider(""),
        upstream.addr()
    ))
    .await;
    let mut client = gateway.client().await;
    assert_eq!(statuses(&mut client, "authorization: Bearer no.such.token\r\n", 4).await, [401, 401, 429, 429]);
    // Whoever asks, and however well, is not looked at.
    let token = issuer.token(&serde_json::json!({ "sub": "ada" }));
    let refused = get(&mut client, &format!("authorization: Bearer {token}\r\n")).await;
    assert_eq!(refused.status, 429);
    assert!(refused.header("retry-after").is_some());
    let page = String::from_utf8(gateway.admin("GET", "/metrics").await.body).unwrap();
    let looked = page.lines().filter(|line| line.starts_with("gateway_auth_total{"));
    let looked: f64 = looked.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum();
    assert!((looked - 2.0).abs() < 1e-9, "{looked} credentials were looked at");
    assert_eq!(upstream.counters().requests, 0);
}
