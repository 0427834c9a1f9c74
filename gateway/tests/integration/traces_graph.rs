//! Where is the fault? Twenty services call each other through the gateway, one of them fails, and it is found by what
//! the gateway says alone: once by traces, once by access records (article claims A21, A22).

use std::collections::{BTreeMap, BTreeSet};

use mocks::{Calls, Effect, Garbage, Mock, Reset, Rule};
use serde_json::Value;

use crate::support::{Collector, Gateway, Seen, traced};

const SERVICES: usize = 20;

/// Whom a service calls: a tree of three branches each, with some that are called by two.
fn calls(service: usize) -> Vec<usize> {
    let tree = (3 * service + 1..=3 * service + 3).filter(|called| *called < SERVICES);
    let across = [service + 7].into_iter().filter(|called| service % 4 == 1 && *called < SERVICES);
    tree.chain(across).collect()
}

struct World {
    services: Mock,
    gateway: Gateway,
    collector: Collector,
}

async fn world() -> World {
    let mut builder = Mock::builder();
    for number in 0..SERVICES {
        builder = builder.service(&format!("s{number}")).endpoints(1);
        let paths: Vec<String> = calls(number).iter().map(|called| format!("/s{called}")).collect();
        if !paths.is_empty() {
            let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
            builder = builder.calls(Calls::on("*", &paths));
        }
    }
    let (services, collector) = (builder.start().await.unwrap(), Collector::start().await);
    let mut text = traced(&collector.endpoint());
    for (number, address) in services.addrs().iter().enumerate() {
        text += &format!(
            "[upstreams.s{number}]\nendpoints = ['{address}']\n\
             breaker = {{ min_requests = 100000, consecutive_failures = 100000 }}\n\
             [[routes]]\nname = 's{number}'\npath = '/s{number}'\nupstream = 's{number}'\n"
        );
    }
    let gateway = Gateway::start(&text).await;
    services.set_gateway(gateway.address);
    World { services, gateway, collector }
}

/// By a trace: the attempt that failed though nothing that was done for it did.
fn by_trace(spans: &[Seen]) -> BTreeSet<String> {
    let failed: Vec<&Seen> = spans.iter().filter(|seen| seen.is_client() && seen.failed()).collect();
    // What a service asked for while it was asked itself stands under the attempt that asked it.
    let passed_on: BTreeSet<String> =
        spans.iter().filter(|seen| seen.is_server() && seen.failed()).map(Seen::parent).collect();
    failed.iter().filter(|seen| !passed_on.contains(&seen.id())).map(|seen| seen.get("gateway.upstream")).collect()
}

/// By the records of one trace: who failed first. Whoever asked it waited for it, and ended later.
fn by_records(records: &[&Value]) -> String {
    let ended = |record: &Value| {
        // Of one day, so that texts compare as times do.
        let ts = record["ts"].as_str().unwrap();
        let micros = |from: usize, to: usize| ts[from..to].parse::<u64>().unwrap();
        let began = ((micros(11, 13) * 60 + micros(14, 16)) * 60 + micros(17, 19)) * 1_000_000 + micros(20, 26);
        began + record["total_us"].as_u64().unwrap()
    };
    let failed = records.iter().filter(|record| record["status"].as_u64().unwrap() >= 500);
    let first = failed.min_by_key(|record| ended(record)).expect("something failed");
    first["upstream"].as_str().expect("an upstream was asked").to_owned()
}

#[tokio::test]
async fn a_fault_in_a_graph_of_twenty_services_is_found_by_traces_and_by_records_alone() {
    let World { services, gateway, collector } = world().await;
    let faults = [
        |rule: Rule| rule.status(503),
        |rule: Rule| rule.effect(Effect::Reset(Reset::BeforeHeaders)),
        |rule: Rule| rule.effect(Effect::Garbage(Garbage::StatusLine)),
    ];
    for culprit in 0..SERVICES {
        let fault = faults[culprit % faults.len()];
        services.set_rules([fault(Rule::on(&format!("/s{culprit}")))]);
        assert!(gateway.get("/s0").await.status >= 500, "s{culprit} fails, and so does who needs it");
    }
    // Then everything has been sent and written.
    let (_, folder) = gateway.drain().await;
    let spans = collector.all();
    let log = std::fs::read_to_string(folder.path().join("access.log")).unwrap();
    let records: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(spans.len(), 2 * records.len(), "a request and its attempt");
    let mut traces: BTreeMap<String, Vec<Seen>> = BTreeMap::new();
    for seen in spans {
        traces.entry(seen.trace()).or_default().push(seen);
    }
    assert_eq!(traces.len(), SERVICES, "each request is one trace, however many services it passes");
    let (mut found_by_trace, mut found_by_records) = (0, 0);
    let roots = records.iter().filter(|record| record["path"] == "/s0");
    for (culprit, root) in roots.enumerate() {
        let trace = root["trace_id"].as_str().unwrap();
        let joined: Vec<&Value> = records.iter().filter(|record| record["trace_id"] == trace).collect();
        let seen = &traces[trace];
        let ids: BTreeSet<String> = seen.iter().filter(|seen| seen.is_server()).map(Seen::id).collect();
        let logged = joined.iter().map(|record| record["span_id"].as_str().unwrap().to_owned());
        assert_eq!(logged.collect::<BTreeSet<_>>(), ids, "each record is a span of its trace, and the other way round");
        let own: BTreeSet<String> = seen.iter().map(Seen::id).collect();
        let outside = seen.iter().filter(|seen| !own.contains(&seen.parent())).count();
        assert_eq!(outside, 1, "one tree, without holes");
        let name = format!("s{culprit}");
        found_by_trace += usize::from(by_trace(seen) == BTreeSet::from([name.clone()]));
        found_by_records += usize::from(by_records(&joined) == name);
    }
    assert_eq!((found_by_trace, found_by_records), (SERVICES, SERVICES));
}
