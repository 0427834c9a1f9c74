//! Clients that leave (security.md, L10): recorded as 499, cancelled upstream, and nothing of them stays.

use mocks::{Effect, Rule};

use crate::support::{Client, Events, Gateway, echo, eventually, guarded};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

#[tokio::test]
async fn l10_a_client_that_leaves_before_its_answer_is_a_499_and_cancels_the_upstream() {
    let upstream = echo().await;
    upstream.set_rules([Rule::any().effect(Effect::Hang)]);
    let gateway = Gateway::to(upstream.addr()).await;
    let mut events = Events::of(&gateway, "?kinds=attempt").await;
    let mut client = gateway.client().await;
    client.send(GET).await;
    upstream.wait_for_requests(1).await;
    assert_eq!(gateway.in_flight(), 1);
    drop(client);
    gateway.at_rest().await;
    eventually("the upstream's connection is closed", || upstream.counters().connections == 0).await;
    let record = gateway.record().await;
    assert_eq!(record["status"], 499);
    assert_eq!((&record["ended"], &record["fault"]), (&"client_left".into(), &"client".into()));
    assert_eq!((&record["upstream"], &record["attempts"]), (&"up".into(), &1.into()));
    let requests = "gateway_requests_total{route=\"all\",status_class=\"4xx\",code=\"ok\"}";
    assert_eq!(gateway.metric(requests).await, Some(1.0));
    let attempts = "gateway_upstream_attempts_total{upstream=\"up\",outcome=\"cancelled\"}";
    assert_eq!(gateway.metric(attempts).await, Some(1.0), "what was asked of the upstream is counted too");
    assert_eq!(events.next(1).await[0]["outcome"], "cancelled");
}

#[tokio::test]
async fn l10_a_client_that_leaves_within_its_answer_is_recorded_with_what_it_got() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    let mut client = gateway.client().await;
    client.send("GET /bytes/100000000 HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(client.head().await.status, 200);
    client.bytes(1000).await;
    client.reset();
    gateway.at_rest().await;
    let record = gateway.record().await;
    assert_eq!((&record["status"], &record["ended"]), (&200.into(), &"client_left".into()));
    assert!((1000..100_000_000).contains(&record["bytes_out"].as_u64().unwrap()), "{record}");
    eventually("the upstream's connection is closed", || upstream.counters().connections == 0).await;
}

#[tokio::test]
async fn l10_a_client_that_leaves_within_its_request_is_no_fault_of_the_upstream() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    for framing in ["content-length: 100\r\n\r\nhalf", "transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n"] {
        let mut client = gateway.client().await;
        client.send(format!("POST / HTTP/1.1\r\nhost: a\r\n{framing}")).await;
        eventually("the request is on its way", || gateway.in_flight() == 1).await;
        drop(client);
        gateway.at_rest().await;
    }
    for record in gateway.records(2).await {
        assert_eq!((&record["status"], &record["fault"]), (&499.into(), &"client".into()), "{record}");
    }
    for outcome in ["reset", "invalid", "connect", "timeout"] {
        let sample = format!("gateway_upstream_attempts_total{{upstream=\"up\",outcome=\"{outcome}\"}}");
        assert_eq!(gateway.metric(&sample).await.unwrap_or(0.0), 0.0, "{outcome}");
    }
    assert_eq!(upstream.counters().requests, 0);
}

#[tokio::test]
async fn l10_after_many_aborts_every_counter_is_back_at_nothing() {
    const ABORTS: usize = 500;
    let upstream = echo().await;
    upstream.set_rules([Rule::on("/hang").effect(Effect::Hang)]);
    let gateway = Gateway::with("max_in_flight = 64", upstream.addr()).await;
    for n in 0..ABORTS {
        let mut client = gateway.client().await;
        match n % 4 {
            0 => client.send("GET /hang HTTP/1.1\r\nhost: a\r\n\r\n").await,
            1 => client.send("GET /bytes/10000000 HTTP/1.1\r\nhost: a\r\n\r\n").await,
            2 => client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nx").await,
            _ => client.send("GET /hang HTTP/1.1\r\nhost").await,
        }
        // Half of them are left once they are known upstream, half at once.
        if n % 8 < 2 {
            eventually("it is in flight", || gateway.in_flight() > 0).await;
        }
        if n % 2 == 0 { client.reset() } else { drop(client) }
    }
    // Connections are taken in their order: when this one is answered, with whatever, all before it have been taken.
    let _ = gateway.get("/").await;
    gateway.at_rest().await;
    eventually("no request has a place", || gateway.inner().shared().in_flight.count() == 0).await;
    eventually("no connection is busy", || {
        let (open, idle) = gateway.upstream_connections();
        open as usize == idle
    })
    .await;
    let served = gateway.client().await.ask_until_let_in(GET).await;
    assert_eq!(served.status, 200, "and it serves as before");
    assert_eq!(gateway.metric("gateway_panics_total").await, Some(0.0));
}

/// Comes and leaves within an answer, again and again: then it is certain that each request was read. Returns how often
/// it was turned away before it had left so many: a gateway that gets too little of a busy machine protects itself.
async fn leave_often(address: std::net::SocketAddr, client: usize, times: usize) -> usize {
    let (mut left, mut turned_away) = (0, 0);
    while left < times {
        let mut connection = Client::connect(address).await;
        connection.send("GET /stream/2/60000 HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let mut answer = connection.head().await;
        if answer.status != 200 {
            connection.body_of(&mut answer).await;
            assert_eq!((answer.status, answer.json()["code"].as_str()), (503, Some("overloaded")), "{}", answer.json());
            turned_away += 1;
            continue;
        }
        if (client + left).is_multiple_of(2) {
            connection.reset();
        } else {
            drop(connection);
        }
        left += 1;
    }
    turned_away
}

/// Tens of thousands, in bounded time: what is left behind once in ten thousand is seen here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l10_after_twenty_thousand_aborts_nothing_is_left_and_each_has_one_record() {
    const CLIENTS: usize = 40;
    const ROUNDS: usize = 20;
    const ABORTS: usize = 25;
    let upstream = echo().await;
    let gateway = Gateway::with("workers = 2", upstream.addr()).await;
    let address = gateway.address;
    let mut turned_away = 0;
    for _ in 0..ROUNDS {
        let clients: Vec<_> = (0..CLIENTS).map(|client| tokio::spawn(leave_often(address, client, ABORTS))).collect();
        for client in clients {
            turned_away += guarded("every client has left", client).await.unwrap();
        }
    }
    gateway.at_rest().await;
    eventually("no request has a place", || gateway.inner().shared().in_flight.count() == 0).await;
    eventually("no upstream connection is left", || gateway.upstream_connections() == (0, 0)).await;
    let mut open = gateway.admin("GET", "/status").await.json();
    while open["connections"] != 0 {
        open = gateway.admin("GET", "/status").await.json();
    }
    assert_eq!(open["worker_connections"], serde_json::json!([0, 0]));
    let (left, shed) = (ROUNDS * CLIENTS * ABORTS, "overloaded");
    let (refused, aborted): (Vec<_>, Vec<_>) =
        gateway.records(left + turned_away).await.into_iter().partition(|record| record["code"] == shed);
    assert_eq!((refused.len(), aborted.len()), (turned_away, left));
    assert!(aborted.iter().all(|record| record["ended"] == "client_left" && record["status"] == 200));
}

#[tokio::test]
async fn a_client_that_closes_with_its_request_still_leaves_a_record() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    let mut client = gateway.client().await;
    client.send(GET).await;
    client.finish().await;
    // Whether its answer or its end was seen first is up to the kernel; that there was a request is not.
    let record = gateway.record().await;
    assert!(record["status"] == 499 || record["status"] == 200, "{record}");
}
