//! Breakers and clients: who leaves, is slow, or gives little time, opens none for others.

use mocks::raw::{Gate, Raw, Script};
use mocks::{Effect, Rule};

use crate::breakers::{GET, TRIPS_AT_3, breaker, endpoints, state, text};
use crate::support::{Events, Gateway, eventually};

#[tokio::test]
async fn a_client_that_leaves_says_nothing_about_the_endpoint() {
    let upstream = endpoints(1).await;
    upstream.set_rules([Rule::any().status(503)]);
    let keys = "breaker = { consecutive_failures = 1, open_for = '10ms', max_open_for = '10ms', probes = 1, probe_timeout = '60s' }";
    let gateway = Gateway::start(&text(&upstream, keys)).await;
    assert_eq!(gateway.statuses(1).await, [503]);
    upstream.set_rules([Rule::any().effect(Effect::Hang)]);
    eventually("half-open", || state(&gateway, 0) == "half_open").await;
    for _ in 0..3 {
        let mut client = gateway.client().await;
        client.send(GET).await;
        eventually("the probe is under way", || gateway.in_flight() == 1).await;
        drop(client);
        gateway.at_rest().await;
        assert_eq!(state(&gateway, 0), "half_open", "neither opened nor closed");
    }
    upstream.set_rules([]);
    assert_eq!(gateway.statuses(1).await, [200], "the probe's place is free again");
    assert_eq!(state(&gateway, 0), "closed");
}

#[tokio::test]
async fn a_client_that_gives_no_time_opens_no_breaker_for_others() {
    let upstream = endpoints(1).await;
    upstream.set_rules([Rule::any().effect(Effect::Hang)]);
    let gateway = Gateway::start(&text(&upstream, TRIPS_AT_3)).await;
    let mut waited = 0;
    while waited < 5 {
        let answer = gateway.ask("GET / HTTP/1.1\r\nhost: a\r\nx-request-timeout-ms: 5\r\n\r\n").await;
        // A busy machine may need all of that time before the endpoint is asked.
        match answer.code().as_str() {
            "upstream_timeout" => waited += 1,
            code => assert!(["overloaded", "connect_timeout"].contains(&code), "{code}"),
        }
    }
    assert_eq!(state(&gateway, 0), "closed");
    gateway.records(5).await;
    let counted = "gateway_client_deadlines_total{route=\"all\"}";
    assert_eq!(gateway.metric(counted).await, Some(5.0), "nor wakes anybody for a route that is well");
}

/// An upstream that no longer waits for them closes, and has not failed (L3).
#[tokio::test]
async fn clients_that_send_half_a_body_open_no_breaker_for_others() {
    let gate = Gate::new();
    let upstream = Raw::script(Script::new().read_head().read_bytes(1).wait(&gate)).await.unwrap();
    let text = format!(
        "[upstreams.up]\nendpoints = ['{}']\nbreaker = {{ consecutive_failures = 10, open_for = '60s' }}\n[[routes]]\n\
         path = '/{{*rest}}'\nupstream = 'up'\n",
        upstream.addr()
    );
    let gateway = Gateway::start(&text).await;
    let mut clients = Vec::new();
    for _ in 0..12 {
        let mut client = gateway.client().await;
        client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nx").await;
        clients.push(client);
    }
    let half = || upstream.received().iter().filter(|bytes| bytes.ends_with(b"\r\n\r\nx")).count();
    eventually("half of each has come", || half() == 12).await;
    gate.open();
    for client in &mut clients {
        assert_eq!(client.answer().await.code(), "upstream_reset", "they are told what happened");
    }
    assert_eq!((state(&gateway, 0), &breaker(&gateway, 0).await["window"]["failures"]), ("closed", &0.into()));
    // Who has sent all of it says something.
    for _ in 0..10 {
        assert_eq!(
            gateway.ask("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\nx").await.code(),
            "upstream_reset"
        );
    }
    assert_eq!(state(&gateway, 0), "open");
}

/// The same of those that do not read what they get.
#[tokio::test]
async fn clients_that_read_late_open_no_breaker_for_others() {
    // More than sockets hold, and not all of it.
    let mut part = b"HTTP/1.1 200 OK\r\ncontent-length: 67108864\r\n\r\n".to_vec();
    part.resize(32 << 20, b'x');
    let cut = Raw::script(Script::new().read_request().send(part)).await.unwrap();
    let silent = Raw::script(Script::new().read_request().hang()).await.unwrap();
    let text = format!(
        "[upstreams.up]\nendpoints = ['{}']\nbreaker = {{ min_requests = 1, open_for = '60s' }}\n\
         [upstreams.waits]\nendpoints = ['{}']\n\
         [[routes]]\npath = '/{{*rest}}'\nupstream = 'up'\n\
         [[routes]]\npath = '/slow'\nupstream = 'waits'\ntimeout = '2s'\n",
        cut.addr(),
        silent.addr()
    );
    let gateway = Gateway::start(&text).await;
    let mut client = gateway.client().await;
    client.send(GET).await;
    let mut answer = client.head().await;
    // Two seconds pass, and the client has read nothing.
    assert_eq!(gateway.get("/slow").await.status, 504);
    client.body_of(&mut answer).await;
    assert!(!answer.whole);
    gateway.at_rest().await;
    let record = gateway.records(2).await.pop().unwrap();
    assert_eq!((&record["ended"], state(&gateway, 0)), (&"upstream_cut".into(), "closed"));
    // Who reads at once says something.
    let mut client = gateway.client().await;
    client.send(GET).await;
    client.rest().await;
    eventually("open", || state(&gateway, 0) == "open").await;
}

#[tokio::test]
async fn an_attempt_that_was_left_little_time_says_nothing_of_its_endpoint() {
    let upstream = endpoints(2).await;
    upstream.set_rules([Rule::any().effect(Effect::Hang)]);
    let text = text(&upstream, "breaker = { consecutive_failures = 1, open_for = '60s' }");
    // The second attempt gets the sixty milliseconds that the first has left, where one gets two hundred.
    let gateway = Gateway::start(&text.replace(
        "retry = { attempts = 1 }",
        "timeout = '260ms'\nretry = { attempts = 2, per_try_timeout = '200ms', on = ['timeout'], backoff = '0ms' }",
    ))
    .await;
    let mut events = Events::of(&gateway, "?kinds=attempt").await;
    assert_eq!(gateway.get("/").await.code(), "upstream_timeout");
    assert_eq!((upstream.counters_of(0).requests, upstream.counters_of(1).requests), (1, 1));
    let told = events.next(2).await;
    assert_eq!((&told[0]["outcome"], &told[1]["outcome"]), (&"timeout".into(), &"cancelled".into()));
    let states = [state(&gateway, 0), state(&gateway, 1)];
    assert!(states.contains(&"open") && states.contains(&"closed"), "{states:?}: the first that was asked is open");
}
