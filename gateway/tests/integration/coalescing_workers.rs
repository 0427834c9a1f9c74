//! `coalesce`: requests of different workers share one call, as those of one do.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mocks::raw::{Gate, Raw, Script};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::{Builder, Runtime};

use crate::support::inside::{Inside, read_head};
use crate::support::{Answer, Client, Gateway, eventually, guarded};

const GET: &str = "GET /a HTTP/1.1\r\nhost: a.test\r\n\r\n";

fn text(up: SocketAddr, route: &str) -> String {
    format!(
        "[server]\nworkers = 4\n[upstreams.up]\nendpoints = ['{up}']\n[[routes]]\nname = 'all'\npath = '/{{*rest}}'\n\
         upstream = 'up'\ncoalesce = true\ntimeout = '60s'\nretry = {{ attempts = 1 }}\n{route}\n"
    )
}

fn ok(fields: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{fields}content-length: 5\r\n\r\nhello")
}

/// Answers once the gate is open, as often as it is asked.
async fn gated(gate: &Gate, answer: &str) -> Raw {
    Raw::script(Script::new().read_request().wait(gate).send(answer).again()).await.unwrap()
}

/// What the upstream was asked so far.
fn asked(up: &Raw) -> usize {
    up.received().concat().windows(5).filter(|bytes| bytes == b"GET /").count()
}

/// How many wait on each worker.
fn waiting(gateway: &Gateway) -> Vec<usize> {
    gateway.inner().shards().iter().map(|shard| shard.flights.waiting()).collect()
}

async fn all_wait(gateway: &Gateway, count: usize) {
    eventually(&format!("{count} requests wait"), || waiting(gateway).iter().sum::<usize>() == count).await;
}

/// A client for each of these requests, with the worker that serves it, once all of them wait.
async fn asking<'r>(gateway: &Gateway, requests: impl IntoIterator<Item = &'r str>) -> Vec<(usize, Client)> {
    let mut clients = Vec::new();
    for request in requests {
        let before = waiting(gateway);
        let mut client = gateway.client().await;
        client.send(request).await;
        all_wait(gateway, before.iter().sum::<usize>() + 1).await;
        let worker = waiting(gateway).iter().zip(&before).position(|(now, before)| now > before).unwrap();
        clients.push((worker, client));
    }
    assert!(clients.iter().any(|(worker, _)| *worker != clients[0].0), "more than one worker serves them");
    clients
}

async fn answers(clients: Vec<(usize, Client)>) -> Vec<Answer> {
    let mut answers = Vec::new();
    for (_, mut client) in clients {
        answers.push(client.answer().await);
    }
    answers
}

async fn counted(gateway: &Gateway, result: &str) -> Option<f64> {
    gateway.metric(&format!("gateway_coalesced_total{{route=\"all\",result=\"{result}\"}}")).await
}

fn held(gateway: &Gateway) -> usize {
    gateway.inner().shards().iter().map(|shard| shard.held.count()).sum()
}

#[tokio::test]
async fn whichever_workers_serve_them_they_share_one_call() {
    let gate = Gate::new();
    let up = gated(&gate, &ok("")).await;
    let gateway = Gateway::start(&text(up.addr(), "")).await;
    let mut clients = Vec::new();
    for _ in 0..24 {
        let mut client = gateway.client().await;
        client.send(GET).await;
        clients.push((0, client));
    }
    all_wait(&gateway, 24).await;
    assert!(waiting(&gateway).iter().filter(|count| **count > 0).count() > 1, "more than one worker serves them");
    gate.open();
    for answer in answers(clients).await {
        assert_eq!((answer.status, &answer.body[..], answer.whole), (200, &b"hello"[..], true));
    }
    assert_eq!(asked(&up), 1);
    assert_eq!((counted(&gateway, "began").await, counted(&gateway, "shared").await), (Some(1.0), Some(23.0)));
    let records = gateway.records(24).await;
    let attempts: u64 = records.iter().map(|record| record["attempts"].as_u64().unwrap()).sum();
    assert_eq!(attempts, 1);
    let endpoint = up.addr().to_string();
    assert!(records.iter().all(|record| record["endpoint"] == *endpoint), "{records:?}");
    eventually("what was held is given back", || held(&gateway) == 0).await;
    // Nothing is kept: what comes later is asked for anew.
    assert_eq!(gateway.ask(GET).await.status, 200);
    assert_eq!(asked(&up), 2);
}

#[tokio::test]
async fn requests_of_different_identities_share_nothing() {
    let gate = Gate::new();
    let up = gated(&gate, &ok("")).await;
    let gateway = Gateway::start(&text(up.addr(), "")).await;
    let of = |token: &str| GET.replace("\r\n\r\n", &format!("\r\nauthorization: Bearer {token}\r\n\r\n"));
    let (ada, bob) = (of("ada"), of("bob"));
    let clients = asking(&gateway, (0..12).map(|n| if n % 3 == 0 { &*ada } else { &*bob })).await;
    gate.open();
    assert!(answers(clients).await.iter().all(|answer| answer.status == 200));
    assert_eq!(asked(&up), 2);
}

/// Whoever else leaves harms nobody either: the call goes on where it was begun, as long as anybody waits anywhere.
#[tokio::test]
async fn a_worker_of_which_nobody_waits_any_more_goes_on_for_the_others() {
    let gate = Gate::new();
    let up = gated(&gate, &ok("")).await;
    let gateway = Gateway::start(&text(up.addr(), "")).await;
    let clients = asking(&gateway, [GET; 8]).await;
    eventually("it is asked", || up.accepted() == 1).await;
    let leader = clients[0].0;
    let (leave, mut stay): (Vec<_>, Vec<_>) = clients.into_iter().partition(|(worker, _)| *worker == leader);
    leave.into_iter().for_each(|(_, client)| client.reset());
    all_wait(&gateway, stay.len()).await;
    assert_eq!(waiting(&gateway)[leader], 0);
    // Who comes to that worker finds its call again.
    for _ in 0..8 {
        let mut client = gateway.client().await;
        client.send(GET).await;
        stay.push((0, client));
    }
    all_wait(&gateway, stay.len()).await;
    assert!(waiting(&gateway)[leader] > 0);
    gate.open();
    assert!(answers(stay).await.iter().all(|answer| answer.status == 200 && answer.body == b"hello"));
    assert_eq!((asked(&up), counted(&gateway, "began").await), (1, None), "whoever began it has left");
    eventually("what was held is given back", || held(&gateway) == 0).await;
}

#[tokio::test]
async fn the_last_of_all_takes_the_call_along() {
    let gate = Gate::new();
    let up = gated(&gate, &ok("")).await;
    let gateway = Gateway::start(&text(up.addr(), "")).await;
    let clients = asking(&gateway, [GET; 8]).await;
    eventually("it is asked", || gateway.in_flight() == 1).await;
    let leader = clients[0].0;
    let (first, last): (Vec<_>, Vec<_>) = clients.into_iter().partition(|(worker, _)| *worker == leader);
    for leave in [first, last] {
        assert_eq!(gateway.in_flight(), 1, "as long as anybody waits");
        let left = waiting(&gateway).iter().sum::<usize>() - leave.len();
        leave.into_iter().for_each(|(_, client)| client.reset());
        all_wait(&gateway, left).await;
    }
    gateway.at_rest().await;
    eventually("what was asked is closed", || gateway.upstream_connections() == (0, 0)).await;
}

#[tokio::test]
async fn an_answer_that_is_one_clients_is_given_to_one() {
    for fields in ["set-cookie: s=1\r\n", "cache-control: private\r\n"] {
        let gate = Gate::new();
        let up = gated(&gate, &ok(fields)).await;
        let gateway = Gateway::start(&text(up.addr(), "")).await;
        let clients = asking(&gateway, [GET; 8]).await;
        assert_eq!(asked(&up), 1);
        gate.open();
        assert!(answers(clients).await.iter().all(|answer| answer.status == 200 && answer.body == b"hello"));
        let counted = (counted(&gateway, "began").await, counted(&gateway, "unshared").await);
        assert_eq!((asked(&up), counted), (8, (Some(1.0), Some(7.0))), "{fields}");
        gateway.at_rest().await;
    }
}

#[tokio::test]
async fn a_failure_is_every_workers() {
    let gate = Gate::new();
    let up = Raw::script(Script::new().read_request().wait(&gate)).await.unwrap();
    let gateway = Gateway::start(&text(up.addr(), "")).await;
    let clients = asking(&gateway, [GET; 8]).await;
    gate.open();
    assert!(answers(clients).await.iter().all(|answer| answer.code() == "upstream_reset"));
    assert_eq!(up.accepted(), 1);
    let records = gateway.records(8).await;
    let named = json!([up.addr().to_string(), "upstream_reset"]);
    assert!(records.iter().all(|it| json!([it["endpoint"], it["code"]]) == named), "{records:?}");
}

#[tokio::test]
async fn who_waits_with_another_worker_has_its_own_time() {
    let gate = Gate::new();
    let up = gated(&gate, &ok("")).await;
    let gateway = Gateway::start(&text(up.addr(), "")).await;
    let hurried = GET.replace("\r\n\r\n", "\r\nx-request-timeout-ms: 500\r\n\r\n");
    let mut first = gateway.client().await;
    first.send(GET).await;
    all_wait(&gateway, 1).await;
    eventually("it is asked", || gateway.in_flight() == 1).await;
    let mut hurry = Vec::new();
    for _ in 0..7 {
        let mut client = gateway.client().await;
        client.send(&hurried).await;
        hurry.push((0, client));
    }
    assert!(answers(hurry).await.iter().all(|answer| answer.code() == "upstream_timeout"));
    // The call is not theirs to end.
    gate.open();
    assert_eq!((first.answer().await.body, asked(&up)), (b"hello".to_vec(), 1));
    let named = json!(["up", up.addr().to_string()]);
    for record in gateway.records(8).await {
        assert_eq!(json!([record["upstream"], record["endpoint"]]), named, "{record}");
    }
}

/// A worker of its own.
fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// Nobody can go on with its calls then.
#[test]
fn where_a_worker_ends_another_makes_its_call_anew() {
    let (seen, gate) = (Arc::<AtomicUsize>::default(), Gate::new());
    let upstream = {
        let (seen, gate) = (Arc::clone(&seen), gate.clone());
        move |mut stream: tokio::io::DuplexStream| {
            let (seen, gate) = (Arc::clone(&seen), gate.clone());
            async move {
                read_head(&mut stream).await;
                seen.fetch_add(1, Ordering::Relaxed);
                gate.passed().await;
                let _ = stream.write_all(ok("connection: close\r\n").as_bytes()).await;
            }
        }
    };
    let text = "[upstreams.up]\nendpoints = ['127.0.0.1:9']\n\
                [[routes]]\npath = '/{*rest}'\nupstream = 'up'\ncoalesce = true\n";
    let (first, second) = (runtime(), runtime());
    let world = second.block_on(async { Inside::of_workers(3, text, upstream) });
    let asks = async |worker: usize| {
        let mut client = world.connect_to(worker);
        client.write_all(GET.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n").as_bytes()).await.unwrap();
        eventually("it waits", || world.gateway.shards()[worker].flights.waiting() == 1).await;
        client
    };
    let _leader = first.block_on(async {
        let client = asks(0).await;
        eventually("it is asked", || seen.load(Ordering::Relaxed) == 1).await;
        client
    });
    let followers = second.block_on(async { [asks(1).await, asks(2).await] });
    assert_eq!(seen.load(Ordering::Relaxed), 1);
    first.shutdown_timeout(Duration::from_secs(60));
    second.block_on(async {
        eventually("it is asked anew", || seen.load(Ordering::Relaxed) == 2).await;
        gate.open();
        for mut client in followers {
            let mut answer = Vec::new();
            guarded("its answer", client.read_to_end(&mut answer)).await.unwrap();
            assert!(answer.ends_with(b"hello"), "{}", String::from_utf8_lossy(&answer));
        }
    });
    assert_eq!(seen.load(Ordering::Relaxed), 2, "once for both");
}
