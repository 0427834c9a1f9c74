//! Overload: exact limits, who is refused first, and what operators see of it.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use gateway::algorithms::loop_delay::{STANDING, TARGET};
use gateway::clock::Clock;
use gateway::config::{Purpose, load_text};
use gateway::gateway::World;
use gateway::network::Sockets;
use gateway::overload::gate::Keeper;
use mocks::raw::{Gate, Raw, Script};
use tower::ServiceExt;

use crate::support::{Client, Events, Gateway, echo, eventually};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const CLASSES: [&str; 4] = ["low", "normal", "high", "critical"];

/// An upstream whose answers wait for a gate.
async fn gated(gate: &Gate) -> Raw {
    Raw::script(Script::new().read_request().wait(gate).send(OK).again()).await.unwrap()
}

/// A route for each class.
fn classes() -> String {
    let route = |class| format!("[[routes]]\npath = '/{class}'\nupstream = 'up'\ncriticality = '{class}'\n");
    CLASSES.map(route).concat()
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")
}

/// Sends requests of a class until so many are in flight.
async fn hold(gateway: &Gateway, path: &str, until: u32) -> Vec<Client> {
    let mut held = Vec::new();
    for _ in gateway.in_flight()..until {
        let mut client = gateway.client().await;
        client.send(get(path)).await;
        held.push(client);
    }
    eventually("they are in flight", || gateway.in_flight() == until).await;
    held
}

#[tokio::test]
async fn an_upstreams_limit_is_exact_and_answered_at_once() {
    let gate = Gate::new();
    let (first, second) = (gated(&gate).await, gated(&gate).await);
    let text = format!(
        "[server]\nworkers = 4\n[upstreams.up]\nendpoints = ['{}', '{}']\nconcurrency = {{ max_in_flight = 5 }}\n\
         [[routes]]\npath = '/{{*rest}}'\nupstream = 'up'",
        first.addr(),
        second.addr()
    );
    let gateway = Gateway::start(&text).await;
    let mut events = Events::of(&gateway, "?kinds=shed").await;
    let mut held = hold(&gateway, "/", 5).await;
    for _ in 0..10 {
        let answer = gateway.get("/").await;
        assert_eq!((answer.status, answer.code().as_str()), (503, "overloaded"));
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    assert!(
        gateway.records(10).await.iter().all(|record| record["shed"] == "upstream_in_flight"),
        "which of them it was"
    );
    assert_eq!(gateway.in_flight(), 5, "over both endpoints and all workers");
    let upstream = gateway.admin("GET", "/upstreams").await.json()["upstreams"][0].clone();
    assert_eq!((&upstream["in_flight"], &upstream["max_in_flight"]), (&5.into(), &5.into()));
    assert_eq!(gateway.metric("gateway_shed_total{reason=\"upstream_in_flight\"}").await, Some(10.0));
    let told = events.next(2).await;
    assert_eq!((&told[0]["reason"], &told[0]["active"]), (&"upstream_in_flight".into(), &true.into()));
    assert_eq!((&told[1]["upstream"], &told[1]["active"]), (&"up".into(), &false.into()));
    assert_eq!(told[1]["refused"], 10, "one episode, not ten events");
    gate.open();
    for client in &mut held {
        assert_eq!(client.answer().await.status, 200);
    }
    gateway.at_rest().await;
    assert_eq!(gateway.get("/").await.status, 200);
}

#[tokio::test]
async fn an_answer_that_streams_keeps_its_place_to_its_last_byte() {
    let gate = Gate::new();
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n";
    let script = Script::new().read_request().send(head).wait(&gate).send("ok").again();
    let upstream = Raw::script(script).await.unwrap();
    let text = format!(
        "[upstreams.up]\nendpoints = ['{}']\nconcurrency = {{ max_in_flight = 1 }}\n\
         [[routes]]\npath = '/{{*rest}}'\nupstream = 'up'",
        upstream.addr()
    );
    let gateway = Gateway::start(&text).await;
    let mut client = gateway.client().await;
    client.send(get("/")).await;
    let mut answer = client.head().await;
    assert_eq!(gateway.get("/").await.status, 503);
    gate.open();
    client.body_of(&mut answer).await;
    gateway.at_rest().await;
    assert_eq!(gateway.get("/").await.status, 200);
}

#[tokio::test]
async fn the_least_critical_are_refused_first_by_the_shares_that_are_documented() {
    for limit in ["[server]\nmax_in_flight = 10\n[upstreams.up]\n", "[upstreams.up]\nconcurrency.max_in_flight = 10\n"]
    {
        let gate = Gate::new();
        let upstream = gated(&gate).await;
        let text = format!("{limit}endpoints = ['{}']\n{}", upstream.addr(), classes());
        let gateway = Gateway::start(&text).await;
        let mut held = Vec::new();
        for (class, places) in CLASSES.into_iter().zip([6, 8, 9, 10]) {
            held.extend(hold(&gateway, &format!("/{class}"), places).await);
            let refused = &CLASSES[..=CLASSES.iter().position(|one| *one == class).unwrap()];
            for class in refused {
                let answer = gateway.get(&format!("/{class}")).await;
                assert_eq!((answer.status, answer.code().as_str()), (503, "overloaded"), "{class} above {places}");
            }
        }
        assert_eq!(gateway.in_flight(), 10, "what is critical is refused at the limit alone");
        gate.open();
        for client in &mut held {
            assert_eq!(client.answer().await.status, 200);
        }
    }
}

#[tokio::test]
async fn a_request_whose_body_leads_elsewhere_takes_no_place_that_is_kept_for_what_matters_more() {
    let gate = Gate::new();
    let upstream = gated(&gate).await;
    let text = format!(
        "[server]\nmax_in_flight = 10\n[upstreams.up]\nendpoints = ['{}']\n\
         [[routes]]\npath = '/pay'\nupstream = 'up'\ncriticality = 'critical'\nbody = {{ '/type' = 'refund' }}\n\
         [[routes]]\npath = '/{{*rest}}'\nupstream = 'up'\n",
        upstream.addr()
    );
    let gateway = Gateway::start(&text).await;
    let pay = |kind: &str| {
        let body = format!("{{\"type\":\"{kind}\"}}");
        format!("POST /pay HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    };
    let mut held = hold(&gateway, "/", 7).await;
    let mut client = gateway.client().await;
    client.send(pay("charge")).await;
    eventually("the last place of its class is its own", || gateway.in_flight() == 8).await;
    held.push(client);
    let answer = gateway.ask(pay("charge")).await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "overloaded"));
    assert_eq!(gateway.in_flight(), 8, "it gave back what it had taken to read its body");
    for places in [9, 10] {
        let mut client = gateway.client().await;
        client.send(pay("refund")).await;
        eventually("what is critical finds its places", || gateway.in_flight() == places).await;
        held.push(client);
    }
    gate.open();
    for client in &mut held {
        assert_eq!(client.answer().await.status, 200);
    }
}

#[tokio::test]
async fn where_all_routes_are_alike_the_whole_limit_is_theirs() {
    let gate = Gate::new();
    let upstream = gated(&gate).await;
    let gateway = Gateway::with("max_in_flight = 10", upstream.addr()).await;
    let _held = hold(&gateway, "/", 10).await;
    assert_eq!(gateway.get("/").await.status, 503);
    gate.open();
}

#[tokio::test]
async fn a_limit_that_a_reload_brings_holds_from_then_on() {
    let gate = Gate::new();
    let upstream = gated(&gate).await;
    let text = |limit: &str| {
        format!(
            "[upstreams.up]\nendpoints = ['{}']\n{limit}\n[[routes]]\npath = '/{{*rest}}'\nupstream = 'up'",
            upstream.addr()
        )
    };
    let gateway = Gateway::start(&text("concurrency.max_in_flight = 3")).await;
    let _held = hold(&gateway, "/", 3).await;
    assert_eq!(gateway.get("/").await.status, 503);
    gateway.rewrite(&text("concurrency.max_in_flight = 4"));
    assert_eq!(gateway.admin("POST", "/reload").await.status, 200);
    let _more = hold(&gateway, "/", 4).await;
    assert_eq!(gateway.get("/").await.status, 503, "what was in flight before counts");
    gate.open();
}

#[tokio::test]
async fn an_upstream_that_is_left_out_and_comes_back_still_has_what_it_works_on() {
    let gate = Gate::new();
    let upstream = gated(&gate).await;
    let with = format!(
        "[upstreams.up]\nendpoints = ['{}']\nconcurrency.max_in_flight = 3\n\
         [[routes]]\npath = '/{{*rest}}'\nupstream = 'up'",
        upstream.addr()
    );
    let gateway = Gateway::start(&with).await;
    let mut held = hold(&gateway, "/", 3).await;
    for _ in 0..2 {
        gateway.rewrite("[[routes]]\npath = '/'\nanswer = { status = 204 }");
        assert_eq!(gateway.admin("POST", "/reload").await.status, 200);
        assert_eq!((gateway.inner().upstreams().len(), gateway.get("/").await.status), (0, 204));
        gateway.rewrite(&with);
        assert_eq!(gateway.admin("POST", "/reload").await.status, 200);
        assert_eq!(gateway.in_flight(), 3);
        assert_eq!(gateway.get("/").await.status, 503, "it has no more places than before");
    }
    gate.open();
    for client in &mut held {
        assert_eq!(client.answer().await.status, 200);
    }
    gateway.at_rest().await;
    assert_eq!(gateway.get("/").await.status, 200);
}

#[tokio::test]
async fn a_gateway_beyond_its_memory_refuses_and_says_so() {
    let upstream = echo().await;
    let gateway = Gateway::with("shed_above_rss = '1MiB'", upstream.addr()).await;
    let mut events = Events::of(&gateway, "?kinds=shed").await;
    eventually("the guard has looked", || !gateway.inner().shards()[0].gate.is_open()).await;
    let answer = gateway.get("/").await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "overloaded"));
    assert_eq!(gateway.metric("gateway_shed_total{reason=\"memory\"}").await, Some(1.0));
    assert_eq!(events.next(1).await[0]["reason"], "memory");
    let status = gateway.admin("GET", "/status").await.json();
    assert_eq!(
        (&status["overload"]["shed_above_rss"], &status["overload"]["shed"]["memory"]),
        (&1048576.into(), &1.into())
    );
    gateway.rewrite(&crate::support::one_route("shed_above_rss = '100GiB'", "", upstream.addr()));
    assert_eq!(gateway.admin("POST", "/reload").await.status, 200);
    eventually("the guard has looked again", || gateway.inner().shards()[0].gate.is_open()).await;
    assert_eq!(gateway.get("/").await.status, 200);
}

#[tokio::test]
async fn a_late_loop_refuses_the_least_critical_and_serves_the_critical() {
    let upstream = echo().await;
    let text = format!(
        "[telemetry.access_log]\noutput = 'off'\n[upstreams.up]\nendpoints = ['{}']\n{}",
        upstream.addr(),
        classes()
    );
    let config = load_text(&text, std::path::Path::new("overload"), Purpose::Run).unwrap().config;
    // A gateway without workers, so that nobody but this test looks at how late it is.
    let world = World { network: Sockets, clock: Clock::system(), seed: 1, shards: 1 };
    let gateway = Arc::new(gateway::gateway::Gateway::new(config, world).unwrap());
    let ask = async |class: &str| {
        let request = http::Request::get(format!("/{class}")).header("host", "a").body(Body::empty()).unwrap();
        Arc::clone(&gateway).into_service().oneshot(request).await.unwrap().status().as_u16()
    };
    for class in CLASSES {
        assert_eq!(ask(class).await, 200);
    }
    let (shard, mut keeper) = (&gateway.shards()[0], Keeper::default());
    let start = gateway.shared().clock.now();
    let mut look = 0;
    let mut late = |by: Duration, times: u32| {
        for _ in 0..times {
            look += 1;
            shard.gate.observe(&mut keeper, start + Duration::from_millis(10) * look, by);
        }
    };
    // So late that everything that is not critical is refused in the end.
    late(TARGET * 3, 300 + u32::try_from(STANDING.as_millis() / 10).unwrap());
    for (class, status) in CLASSES.into_iter().zip([503, 503, 503, 200]) {
        assert_eq!(ask(class).await, status, "{class}");
    }
    let metrics = &gateway.shared().metrics;
    assert_eq!(metrics.gateway().shed_total(gateway::telemetry::metrics::ShedReason::LoopDelay), 3);
    late(Duration::ZERO, 300);
    for class in CLASSES {
        assert_eq!(ask(class).await, 200, "{class}, once the loop is on time");
    }
}
