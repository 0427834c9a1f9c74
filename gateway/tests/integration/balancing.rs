//! Balancing over real endpoints: shares, weights, slow ones, consistent hashing, names.

use std::collections::BTreeMap;

use mocks::raw::{Gate, Raw, Script};
use mocks::{Mock, Rule};

use crate::support::{Gateway, echo, eventually};

async fn three() -> Mock {
    Mock::builder().service("up").endpoints(3).start().await.unwrap()
}

/// One upstream with these endpoints and this policy.
fn text(server: &str, endpoints: &str, balance: &str) -> String {
    format!(
        "[server]\n{server}\n[upstreams.up]\nendpoints = [{endpoints}]\nbalance = {balance}\n\
         [[routes]]\npath = '/{{*rest}}'\nupstream = 'up'\n"
    )
}

fn listed(mock: &Mock, weights: &[u32]) -> String {
    let one = |(address, weight)| format!("{{ address = '{address}', weight = {weight} }}");
    mock.addrs().iter().zip(weights).map(one).collect::<Vec<_>>().join(", ")
}

fn shares(mock: &Mock) -> Vec<u64> {
    (0..mock.addrs().len()).map(|n| mock.counters_of(n).requests).collect()
}

#[tokio::test]
async fn round_robin_is_exact_over_all_workers() {
    let upstream = three().await;
    let gateway = Gateway::start(&text("workers = 2", &listed(&upstream, &[1, 1, 1]), "'round_robin'")).await;
    let mut clients = [gateway.client().await, gateway.client().await, gateway.client().await];
    for n in 0..60 {
        assert_eq!(clients[n % 3].ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.status, 200);
    }
    assert_eq!(shares(&upstream), [20, 20, 20]);
}

#[tokio::test]
async fn round_robin_by_weight_is_exact_and_zero_means_none() {
    let upstream = three().await;
    let gateway = Gateway::start(&text("", &listed(&upstream, &[1, 2, 4]), "'round_robin'")).await;
    for _ in 0..70 {
        assert_eq!(gateway.get("/").await.status, 200);
    }
    assert_eq!(shares(&upstream), [10, 20, 40]);

    upstream.reset();
    let gateway = Gateway::start(&text("", &listed(&upstream, &[1, 0, 1]), "'round_robin'")).await;
    for _ in 0..10 {
        assert_eq!(gateway.get("/").await.status, 200);
    }
    assert_eq!(shares(&upstream), [5, 0, 5]);
}

#[tokio::test]
async fn least_request_turns_away_from_an_endpoint_that_hangs() {
    let gate = Gate::new();
    let ok = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let slow = Raw::script(Script::new().read_request().wait(&gate).send(ok).again()).await.unwrap();
    let fast = Mock::builder().start().await.unwrap();
    let endpoints = format!("'{}', '{}'", slow.addr(), fast.addr());
    let gateway = Gateway::start(&text("", &endpoints, "'least_request'")).await;
    // Requests are sent until one hangs; then every further one finds the fast endpoint.
    let mut held = gateway.client().await;
    while slow.accepted() == 0 {
        let answered = fast.counters().requests;
        held = gateway.client().await;
        held.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        eventually("answered, or held", || slow.accepted() > 0 || fast.counters().requests > answered).await;
        if slow.accepted() == 0 {
            assert_eq!(held.answer().await.status, 200);
            gateway.at_rest().await;
        }
    }
    for _ in 0..30 {
        eventually("only the held one is in flight", || gateway.in_flight() == 1).await;
        assert_eq!(gateway.get("/").await.status, 200);
    }
    assert_eq!(slow.accepted(), 1, "the slow endpoint holds one request and gets no second");
    gate.open();
    assert_eq!(held.answer().await.status, 200);
}

#[tokio::test]
async fn least_request_counts_a_stream_and_a_tunnel_for_as_long_as_they_last() {
    let upstream = Mock::builder().service("up").endpoints(2).start().await.unwrap();
    let gateway = Gateway::start(&text("", &listed(&upstream, &[1, 1]), "'least_request'")).await;
    for long in [
        "GET /sse/1000000/20 HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET /ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    ] {
        upstream.reset();
        let mut held = gateway.client().await;
        held.send(long).await;
        let answer = held.head().await;
        assert!(matches!(answer.status, 101 | 200), "{answer:?}");
        // Its head is long gone: what keeps it in flight is that it has not ended.
        let busy = usize::from(shares(&upstream)[1] > 0);
        for _ in 0..30 {
            eventually("only the long one is in flight", || gateway.in_flight() == 1).await;
            assert_eq!(gateway.get("/").await.status, 200);
        }
        assert_eq!(shares(&upstream)[busy], 1, "it is asked for nothing else: {:?}", shares(&upstream));
        held.reset();
        gateway.at_rest().await;
    }
}

/// Three endpoints behind peak EWMA, each of which has answered, and a gateway whose breakers stay out of it.
async fn peak_ewma_of_three() -> (Mock, Gateway) {
    let upstream = three().await;
    let keys = "'peak_ewma'\nbreaker = { consecutive_failures = 0, min_requests = 1000000000 }";
    let gateway = Gateway::start(&text("", &listed(&upstream, &[1, 1, 1]), keys)).await;
    ask(&gateway, 60).await;
    assert!(shares(&upstream).iter().all(|share| *share > 0), "{:?}", shares(&upstream));
    (upstream, gateway)
}

/// So many requests, one after the other.
async fn ask(gateway: &Gateway, count: usize) {
    let mut client = gateway.client().await;
    for _ in 0..count {
        client.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    }
}

#[tokio::test]
async fn peak_ewma_leaves_an_endpoint_that_is_fast_to_fail() {
    let (upstream, gateway) = peak_ewma_of_three().await;
    upstream.set_rules([Rule::any().endpoint(1).status(503)]);
    // After some requests that tell, it gets less than a third of its part, though it is never in flight.
    ask(&gateway, 60).await;
    let before = shares(&upstream)[1];
    ask(&gateway, 300).await;
    assert!(shares(&upstream)[1] - before <= 33, "{before} {:?}", shares(&upstream));
}

#[tokio::test]
async fn peak_ewma_leaves_a_slow_endpoint_that_is_idle_and_a_reload_forgets_nothing() {
    let (upstream, gateway) = peak_ewma_of_three().await;
    upstream.set_rules([Rule::any().endpoint(0).delay(std::time::Duration::from_secs(1))]);
    let before = shares(&upstream)[0];
    while shares(&upstream)[0] == before {
        ask(&gateway, 1).await;
    }
    let before = shares(&upstream)[0];
    ask(&gateway, 100).await;
    assert!(shares(&upstream)[0] - before <= 10, "{before} {:?}", shares(&upstream));

    let shown = async || gateway.admin("GET", "/upstreams").await.json()["upstreams"][0]["endpoints"].clone();
    let seen = shown().await;
    assert!(seen[0]["latency_us"].as_f64().unwrap() > 500_000.0, "{seen}");
    assert_eq!(gateway.admin("POST", "/reload").await.status, 200);
    assert!(shown().await[0]["latency_us"].as_f64().unwrap() > 500_000.0, "a reload forgets nothing");
}

#[tokio::test]
async fn keys_leave_an_ejected_home_and_return_to_it_and_no_other_moves() {
    let upstream = three().await;
    let policy = "{ policy = 'consistent_hash', key = 'header:x-user' }";
    let gateway = Gateway::start(&text("", &listed(&upstream, &[1, 1, 1]), policy)).await;
    let homes = async || {
        let mut homes = Vec::new();
        for user in 0..60 {
            let head = format!("GET / HTTP/1.1\r\nhost: a\r\nx-user: u{user}\r\n\r\n");
            homes.push(gateway.ask(head).await.header("x-mock-endpoint").unwrap().to_owned());
        }
        homes
    };
    let before = homes().await;
    let gone = upstream.addrs()[1].to_string();
    let breaker = async |mode: &str| gateway.admin("POST", &format!("/breakers/up/{gone}/{mode}")).await.status;
    assert_eq!(breaker("open").await, 200);
    let port = upstream.addrs()[1].port().to_string();
    let away = homes().await;
    for (user, (home, now)) in before.iter().zip(&away).enumerate() {
        assert_eq!(home != now, *home == port, "user {user}: {home}, {now}");
    }
    assert_eq!(homes().await, away, "a second home is as steady as the first");
    assert_eq!(breaker("close").await, 200);
    assert_eq!(homes().await, before, "and all are back");
}

#[tokio::test]
async fn random_reaches_every_endpoint() {
    let upstream = three().await;
    let gateway = Gateway::start(&text("", &listed(&upstream, &[1, 1, 1]), "'random'")).await;
    let mut client = gateway.client().await;
    for _ in 0..300 {
        assert_eq!(client.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.status, 200);
    }
    // One in three, with six sigma to each side: sqrt(300 * 1/3 * 2/3) = 8.2.
    assert!(shares(&upstream).iter().all(|share| (51..=149).contains(share)), "{:?}", shares(&upstream));
}

#[tokio::test]
async fn a_key_has_a_home_and_only_keys_of_a_lost_endpoint_move() {
    let upstream = three().await;
    let policy = "{ policy = 'consistent_hash', key = 'header:x-user' }";
    let gateway = Gateway::start(&text("", &listed(&upstream, &[1, 1, 1]), policy)).await;
    let home = async |user: usize| {
        let head = format!("GET / HTTP/1.1\r\nhost: a\r\nx-user: u{user}\r\n\r\n");
        gateway.ask(head).await.header("x-mock-endpoint").unwrap().to_owned()
    };
    let mut homes = BTreeMap::new();
    for user in 0..60 {
        homes.insert(user, home(user).await);
    }
    for user in 0..60 {
        assert_eq!(home(user).await, homes[&user], "user {user} stays at home");
    }
    let gone = upstream.addrs()[2].port().to_string();
    let two = upstream.addrs()[..2].iter().map(|a| format!("'{a}'")).collect::<Vec<_>>().join(", ");
    gateway.rewrite(&text("", &two, policy));
    assert_eq!(gateway.admin("POST", "/reload").await.status, 200);
    for user in 0..60 {
        if homes[&user] != gone {
            assert_eq!(home(user).await, homes[&user], "user {user} had no reason to move");
        } else {
            assert_ne!(home(user).await, gone);
        }
    }
    let used: std::collections::BTreeSet<_> = homes.values().collect();
    assert_eq!(used.len(), 3, "every endpoint is somebody's home");
}

#[tokio::test]
async fn a_name_is_resolved_when_a_connection_is_opened() {
    let upstream = Mock::builder().start().await.unwrap();
    let gateway = Gateway::start(&text("", &format!("'localhost:{}'", upstream.addr().port()), "'round_robin'")).await;
    assert_eq!(gateway.get("/").await.status, 200, "whichever of its addresses answers");
    assert_eq!(gateway.record().await["endpoint"], format!("localhost:{}", upstream.addr().port()));
}

#[tokio::test]
async fn addresses_of_a_discovered_name_become_endpoints() {
    let upstream = Mock::builder().start().await.unwrap();
    let port = upstream.addr().port();
    let text = format!(
        "[upstreams.up]\ndiscovery = {{ dns = 'localhost:{port}', refresh = '100ms' }}\n\
         [[routes]]\npath = '/{{*rest}}'\nupstream = 'up'\n"
    );
    let gateway = Gateway::start(&text).await;
    let found = || -> Vec<String> {
        let upstreams = gateway.inner().upstreams();
        upstreams[0].active().endpoints.iter().map(|endpoint| endpoint.address.to_string()).collect()
    };
    eventually("the name is resolved", || found().contains(&format!("127.0.0.1:{port}"))).await;
    let kept = gateway.inner().upstreams()[0].active().endpoints[0].address.clone();
    let mut answered = false;
    for _ in 0..found().len() * 4 {
        // `localhost` may have an address that nobody listens on.
        answered |= gateway.get("/").await.status == 200;
    }
    assert!(answered);
    assert!(found().contains(&kept.to_string()), "a refresh that finds the same changes nothing");
}

#[tokio::test]
async fn a_reload_from_endpoints_to_a_name_and_back_fails_no_request() {
    let (written, named) = (echo().await, Mock::builder().start().await.unwrap());
    let text = |keys: &str| format!("[upstreams.up]\n{keys}\n[[routes]]\npath = '/{{*rest}}'\nupstream = 'up'\n");
    let by_list = text(&format!("endpoints = ['{}']", written.addr()));
    let by_name = text(&format!("discovery = {{ dns = 'localhost:{}', refresh = '1h' }}", named.addr().port()));
    // `localhost` may have an address that nobody listens on.
    let by_name = format!("[defaults.route]\nretry = {{ attempts = 2 }}\n{by_name}");
    let gateway = Gateway::start(&by_list).await;
    for round in 1..=3 {
        for text in [&by_name, &by_list] {
            gateway.rewrite(text);
            assert!(gateway.reload().await.ok);
            assert_eq!(gateway.get("/").await.status, 200);
        }
        gateway.rewrite(&by_name);
        assert!(gateway.reload().await.ok);
        let found = format!("127.0.0.1:{}", named.addr().port());
        let upstream = gateway.inner().upstreams().remove(0);
        let is_found = || upstream.active().endpoints.iter().any(|endpoint| *endpoint.address == *found);
        eventually(&format!("the name is resolved in round {round}"), is_found).await;
    }
}

#[tokio::test]
async fn an_upstream_whose_name_is_not_found_has_no_endpoint() {
    let text = "[upstreams.up]\ndiscovery = { dns = 'nowhere.invalid:80', refresh = '1s' }\n\
                [[routes]]\npath = '/{*rest}'\nupstream = 'up'\n";
    let gateway = Gateway::start(text).await;
    let answer = gateway.get("/").await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "no_endpoint"));
    let record = gateway.record().await;
    assert_eq!((&record["attempts"], &record["fault"]), (&0.into(), &"upstream".into()));
    // Whoever asks is told why; it is no reason to take the gateway from its other routes.
    let upstream = gateway.inner().upstreams().remove(0);
    eventually("it was looked up", || upstream.lookup.failed().is_some()).await;
    let shown = gateway.admin("GET", "/upstreams").await.json()["upstreams"][0].clone();
    let detail = shown["discovery_failed"]["detail"].as_str().unwrap();
    assert!(detail.starts_with("nowhere.invalid:80: ") && shown["discovery_failed"]["at"].is_string(), "{shown}");
    assert_eq!(gateway.admin("GET", "/readyz").await.status, 200);
    assert_eq!((&record["upstream"], &record["endpoint"]), (&"up".into(), &serde_json::Value::Null));
    for state in ["in", "half_open", "ejected", "capped", "unhealthy"] {
        let sample = format!("gateway_endpoints{{upstream=\"up\",state=\"{state}\"}}");
        assert_eq!(gateway.metric(&sample).await, Some(0.0), "that there is none is told by {state}");
    }
}

#[tokio::test]
async fn connections_spread_evenly_over_workers() {
    let upstream = echo().await;
    let gateway = Gateway::with("workers = 2", upstream.addr()).await;
    let spread = async || gateway.admin("GET", "/status").await.json()["worker_connections"].clone();
    let mut clients = Vec::new();
    for expected in [[1, 0], [1, 1], [2, 1], [2, 2]] {
        let mut client = gateway.client().await;
        assert_eq!(client.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.status, 200);
        clients.push(client);
        assert_eq!(spread().await, serde_json::json!(expected));
    }
    // Two leave the first worker; the next two come to it, not in turn.
    for index in [2, 0] {
        clients.remove(index).finish().await;
    }
    let mut tries = 0;
    while spread().await != serde_json::json!([0, 2]) {
        tries += 1;
        assert!(tries < 1000, "{}", spread().await);
    }
    for _ in 0..2 {
        let mut client = gateway.client().await;
        assert_eq!(client.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.status, 200);
        clients.push(client);
    }
    assert_eq!(spread().await, serde_json::json!([2, 2]));
}
