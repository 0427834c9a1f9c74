//! Services that take time: servers, lines, waiting rooms.

mod client;

use std::net::Ipv4Addr;
use std::time::Duration;

use client::Client;
use mocks::{Builder, Delay, Ended, Hit, Mock, Rule};

const GET: &str = "GET /x HTTP/1.1\r\nHost: m\r\n\r\n";

fn with_control(builder: Builder) -> (Mock, Client) {
    let mock = builder.control((Ipv4Addr::LOCALHOST, 0).into()).launch().unwrap();
    let control = Client::connect(mock.control_addr().unwrap());
    (mock, control)
}

fn queue(text: &str) -> Delay {
    Delay::parse(text).unwrap()
}

#[test]
fn with_one_server_requests_are_served_one_after_the_other() {
    let mock = Mock::builder().service_time(queue("20ms")).servers(1).launch().unwrap();
    let mut clients: Vec<Client> = (0..4).map(|_| Client::connect(mock.addr())).collect();
    for client in &mut clients {
        client.send(GET);
    }
    for client in &mut clients {
        assert_eq!(client.answer().status, 200);
    }
    let journal = mock.journal();
    // The first waits for nobody; of the n-th, all others that came together stand before it.
    assert_eq!(journal[0].waited_ns, Some(0));
    // Four services of 20 ms by one server, whenever they came.
    let took = journal[3].answer_ns.unwrap() - journal[0].arrival_ns;
    assert!(took >= 80_000_000, "{took} ns");
    assert!(journal.is_sorted_by_key(|entry| entry.arrival_ns), "first come, first served");
}

#[tokio::test]
async fn a_dear_request_keeps_cheap_ones_waiting_behind_it() {
    let (mock, mut control) = with_control(Mock::builder().service_time(queue("1ms")).servers(1));
    let [mut dear, mut cheap] = [(); 2].map(|()| Client::connect(mock.addr()));
    dear.send("GET /x HTTP/1.1\r\nhost: a\r\nx-mock-fault: service=3600s\r\n\r\n");
    while control.get("/counters", "").json()["endpoints"][0]["queue"]["busy"] != 1 {}
    cheap.send(GET);
    while control.get("/counters", "").json()["endpoints"][0]["queue"]["waiting"] != 1 {}
    drop((dear, cheap));
    mock.wait_for_entries(2).await;
    let mut left = mock.journal();
    left.sort_by_key(|entry| entry.arrival_ns);
    assert_eq!(left[0].waited_ns, Some(0));
    assert!(left[1].waited_ns.unwrap() > 3_500_000_000_000, "it stands behind an hour's work: {left:?}");
    let alone = Mock::builder().launch().unwrap();
    let mut client = Client::connect(alone.addr());
    client.send("GET /x HTTP/1.1\r\nhost: a\r\nx-mock-fault: service=20ms\r\n\r\n");
    assert_eq!(client.answer().status, 200);
    let entry = &alone.journal()[0];
    assert!(entry.answer_ns.unwrap() - entry.arrival_ns >= 20_000_000, "where no line is, it is a wait");
}

#[tokio::test]
async fn who_finds_the_waiting_room_full_is_refused() {
    let builder = Mock::builder().service("orders").service_time(Delay::Fixed(Duration::from_secs(3600)));
    let (mock, mut control) = with_control(builder.servers(2).waiting_room(1));
    let mut waiting: Vec<Client> = (0..3).map(|_| Client::connect(mock.addr())).collect();
    for (sent, client) in waiting.iter_mut().enumerate() {
        client.send(GET);
        // The control port has a thread of its own, so it may see the state before.
        while control.get("/counters", "").json()["endpoints"][0]["queue"]["served"] != sent + 1 {}
    }
    let refused = Client::connect(mock.addr()).get("/x", "");
    assert_eq!(refused.status, 503);
    let queue = control.get("/counters", "").json()["endpoints"][0]["queue"].clone();
    let told = ["servers", "room", "busy", "waiting", "busy_max", "waiting_max", "served", "refused"];
    assert_eq!(told.map(|key| queue[key].as_u64().unwrap()), [2, 1, 2, 1, 2, 1, 3, 1]);
    assert_eq!((mock.journal()[0].rule, mock.journal()[0].ended), (Hit::QueueFull, Ended::Answered));
    drop(waiting);
    mock.wait_for_entries(4).await;
    assert!(mock.journal()[1..].iter().all(|entry| entry.ended == Ended::Left));
    mock.reset();
    let queue = control.get("/counters", "").json()["endpoints"][0]["queue"].clone();
    assert_eq!((&queue["busy"], &queue["waiting"], &queue["served"]), (&0.into(), &0.into(), &0.into()));
}

#[test]
fn each_endpoint_has_its_own_servers() {
    let mock = Mock::builder().service("a").endpoints(2).service_time(queue("queue(1, 3600s, 0)")).launch().unwrap();
    let mut first = Client::connect(mock.addrs()[0]);
    first.send([GET, GET].concat());
    let mut second = Client::connect(mock.addrs()[0]);
    while second.get("/x", "").status != 503 {}
    assert_eq!(mock.counters_of(1).requests, 0);
    let mut other = Client::connect(mock.addrs()[1]);
    other.send(GET).stream.set_nonblocking(true).unwrap();
    assert!(other.rest().1.is_some(), "it is being served");
}

#[test]
fn a_rules_delay_stands_in_place_of_the_service_time() {
    let mock = Mock::builder().service_time(queue("3600s")).servers(1).launch().unwrap();
    mock.set_rules([Rule::on("/quick").delay(Duration::ZERO).status(503)]);
    let mut client = Client::connect(mock.addr());
    assert_eq!(client.get("/quick", "").status, 503);
    assert_eq!(client.get("/x", "x-mock-fault: delay=1ms\r\n").status, 200);
    assert!(mock.journal().iter().all(|entry| entry.waited_ns.is_none()));
}

#[test]
fn a_rule_may_be_a_queue_with_a_line_at_each_endpoint() {
    let (mock, mut control) = with_control(Mock::builder().endpoints(2));
    mock.set_rules([Rule::on("/none"), Rule::on("/line").drawn_delay(queue("queue(1, 3600s, 5)"))]);
    let mut clients: Vec<Client> = (0..3).map(|_| Client::connect(mock.addr())).collect();
    for client in &mut clients {
        client.send(GET.replace("/x", "/line"));
    }
    let line = |control: &mut Client, endpoint: usize| {
        control.get("/counters", "").json()["endpoints"][endpoint]["rule_queues"][0].clone()
    };
    while line(&mut control, 0)["served"] != 3 {}
    let told = ["rule", "servers", "room", "busy", "waiting"].map(|key| line(&mut control, 0)[key].as_u64().unwrap());
    assert_eq!(told, [1, 1, 5, 1, 2]);
    assert_eq!(line(&mut control, 1)["served"], 0);
}

#[test]
fn service_times_are_those_of_the_seed() {
    let total = |seed: u64| {
        let service = Mock::builder().seed(seed).service_time(queue("lognormal(20us, 0.4)")).servers(1);
        let (mock, mut control) = with_control(service);
        let mut client = Client::connect(mock.addr());
        (0..5).for_each(|_| assert_eq!(client.get("/x", "").status, 200));
        control.get("/counters", "").json()["endpoints"][0]["queue"]["service_ns"].as_u64().unwrap()
    };
    assert_eq!(total(5), total(5));
    assert_ne!(total(5), total(6));
}
