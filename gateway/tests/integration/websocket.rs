//! WebSockets: a tunnel after the upstream's 101, where the route allows it, and never before.

use mocks::raw::{Raw, Script};
use tokio::io::AsyncWriteExt;

use crate::support::{Client, Gateway, echo, eventually, nowhere};

const HANDSHAKE: &str = "GET /ws HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
                         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";

/// A text frame as a client sends it: masked (RFC 6455, section 5.3), here by zeros.
fn frame(text: &str) -> Vec<u8> {
    let mut frame = vec![0x81, 0x80 | u8::try_from(text.len()).unwrap(), 0, 0, 0, 0];
    frame.extend_from_slice(text.as_bytes());
    frame
}

async fn echoed(client: &mut Client, text: &str) {
    let bytes = client.bytes(2 + text.len()).await;
    assert_eq!((bytes[0], usize::from(bytes[1]), &bytes[2..]), (0x81, text.len(), text.as_bytes()));
}

#[tokio::test]
async fn messages_pass_both_ways_until_either_side_ends() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    let mut client = gateway.client().await;
    let answer = client.ask(HANDSHAKE).await;
    assert_eq!(answer.status, 101);
    assert_eq!(answer.header("upgrade"), Some("websocket"));
    // RFC 6455's own example.
    assert_eq!(answer.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    for text in ["one", "two", "three"] {
        client.send(frame(text)).await;
        echoed(&mut client, text).await;
    }
    assert_eq!(gateway.in_flight(), 1, "a tunnel is in flight for as long as it lasts");
    client.send([0x88, 0x80, 0, 0, 0, 0]).await;
    assert_eq!(client.bytes(2).await, [0x88, 0], "the close is echoed too");
    client.finish().await;
    client.closed().await;
    gateway.at_rest().await;
    let record = gateway.record().await;
    assert_eq!((&record["status"], &record["ended"]), (&101.into(), &"complete".into()));
    assert_eq!(record["bytes_out"], 5 + 5 + 7 + 2);
    assert_eq!(record["bytes_in"], 9 + 9 + 11 + 6, "a client's frames carry a mask of four bytes");
    assert_eq!(gateway.upstream_connections(), (0, 0));
}

#[tokio::test]
async fn frames_that_the_upstream_sends_with_its_101_arrive() {
    let early = format!("{SWITCH}\x05early");
    let upstream = Raw::script(Script::new().read_head().send(early).hang()).await.unwrap();
    let gateway = Gateway::to(upstream.addr()).await;
    let mut client = gateway.client().await;
    assert_eq!(client.ask(HANDSHAKE).await.status, 101);
    assert_eq!(client.bytes(6).await, b"\x05early");
    client.reset();
    let record = gateway.record().await;
    assert_eq!((&record["bytes_out"], &record["ended"]), (&6.into(), &"client_left".into()));
}

fn two(endpoints: [std::net::SocketAddr; 2]) -> String {
    format!(
        "[upstreams.up]\nendpoints = ['{}', '{}']\nbalance = 'round_robin'\nbreaker = {{ consecutive_failures = 1000 }}\n\
         [[routes]]\npath = '/{{*rest}}'\nupstream = 'up'\nretry = {{ attempts = 2 }}\n",
        endpoints[0], endpoints[1]
    )
}

#[tokio::test]
async fn a_handshake_that_met_no_connection_goes_to_another_endpoint() {
    let (upstream, gone) = (echo().await, nowhere());
    let gateway = Gateway::start(&two([upstream.addr(), gone])).await;
    for _ in 0..4 {
        let mut client = gateway.client().await;
        assert_eq!(client.ask(HANDSHAKE).await.status, 101);
        client.send(frame("one")).await;
        echoed(&mut client, "one").await;
        client.finish().await;
    }
    let attempts: Vec<_> = gateway.records(4).await.iter().map(|record| record["attempts"].as_u64().unwrap()).collect();
    assert_eq!(attempts.iter().sum::<u64>(), 6, "every other one had two: {attempts:?}");
}

#[tokio::test]
async fn a_handshake_that_an_upstream_may_have_begun_with_is_not_sent_again() {
    let [one, other] =
        [Raw::script(Script::new().read_head()).await.unwrap(), Raw::script(Script::new().read_head()).await.unwrap()];
    let gateway = Gateway::start(&two([one.addr(), other.addr()])).await;
    let answer = gateway.ask(HANDSHAKE).await;
    assert_eq!((answer.status, answer.code().as_str()), (502, "upstream_reset"));
    assert_eq!(one.accepted() + other.accepted(), 1);
}

/// A tunnel has a connection of its own. One that is idle in the pool is not in its way.
#[tokio::test]
async fn where_all_connections_are_taken_an_idle_one_gives_way_to_a_tunnel() {
    let upstream = echo().await;
    let text = format!(
        "[upstreams.up]\nendpoints = ['{}']\npool = {{ max_connections = 1 }}\n[[routes]]\npath = '/{{*rest}}'\n\
         upstream = 'up'\n",
        upstream.addr()
    );
    let gateway = Gateway::start(&text).await;
    assert_eq!(gateway.get("/").await.status, 200);
    eventually("it is idle", || gateway.upstream_connections() == (1, 1)).await;
    let mut client = gateway.client().await;
    assert_eq!(client.ask(HANDSHAKE).await.status, 101);
    assert_eq!(gateway.upstream_connections(), (1, 0), "the limit holds");
    client.send(frame("one")).await;
    echoed(&mut client, "one").await;
    assert_eq!(gateway.ask(HANDSHAKE).await.status, 503, "a busy one does not give way");
}

#[tokio::test]
async fn b8_bytes_sent_before_the_101_are_held_until_it_comes() {
    let gate = mocks::raw::Gate::new();
    let upstream = Raw::script(Script::new().read_head().wait(&gate).send(SWITCH).read_bytes(5).send("bye").hang());
    let upstream = upstream.await.unwrap();
    let gateway = Gateway::to(upstream.addr()).await;
    let mut client = gateway.client().await;
    client.send(format!("{HANDSHAKE}hasty")).await;
    upstream.wait_for_accepts(1).await;
    eventually("the handshake is there", || upstream.received()[0].windows(4).any(|end| end == b"\r\n\r\n")).await;
    let before = String::from_utf8(upstream.received()[0].clone()).unwrap();
    assert!(before.ends_with("\r\n\r\n"), "nothing goes on before the switch: {before:?}");
    gate.open();
    assert_eq!(client.answer().await.status, 101);
    assert_eq!(client.bytes(3).await, b"bye");
    assert!(upstream.received()[0].ends_with(b"\r\n\r\nhasty"));
    client.reset();
    let record = gateway.record().await;
    assert_eq!((&record["bytes_in"], &record["bytes_out"]), (&5.into(), &3.into()));
}

#[tokio::test]
async fn b8_hasty_bytes_after_a_refusal_are_not_forwarded() {
    let refusal = "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n";
    let upstream = Raw::script(Script::new().read_head().send(refusal).hang()).await.unwrap();
    let gateway = Gateway::to(upstream.addr()).await;
    let mut client = gateway.client().await;
    client.send(HANDSHAKE).await;
    client.send(frame("hasty")).await;
    assert_eq!(client.answer().await.status, 403);
    let _ = client.rest().await;
    let received = upstream.received().concat();
    assert!(!String::from_utf8_lossy(&received).contains("hasty"));
}

#[tokio::test]
async fn b8_a_route_without_upgrades_never_tunnels() {
    let upstream = echo().await;
    let gateway = Gateway::with_route("upgrades = []", upstream.addr()).await;
    let answer = gateway.ask(HANDSHAKE).await;
    assert_ne!(answer.status, 101);
    let echoed = gateway.ask(HANDSHAKE.replace("/ws", "/echo")).await.echo();
    assert_eq!((echoed.all("upgrade").len(), echoed.all("connection").len()), (0, 0), "a request like any other");
}

#[tokio::test]
async fn b8_an_answer_that_is_no_switch_is_an_answer() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    let mut client = gateway.client().await;
    // CVE-2024-23326: a 200 to an upgrade must not open a tunnel.
    let answer = client.ask(HANDSHAKE.replace("/ws", "/echo")).await;
    assert_eq!(answer.echo().header("upgrade"), Some("websocket"));
    assert_eq!(client.ask("GET /next HTTP/1.1\r\nhost: a\r\n\r\n").await.echo().path(), "/next");
}

#[tokio::test]
async fn who_has_to_switch_is_told_to_what() {
    let required = "HTTP/1.1 426 Upgrade Required\r\nupgrade: websocket, x/1\r\nconnection: upgrade\r\n\
                    content-length: 0\r\n\r\n";
    let upstream = Raw::script(Script::new().read_request().send(required)).await.unwrap();
    let both = (Some("websocket"), Some("upgrade"));
    for (route, expected) in [("", both), ("upgrades = []", (None, None))] {
        let gateway = Gateway::with_route(route, upstream.addr()).await;
        let answer = gateway.get("/").await;
        assert_eq!(answer.status, 426);
        assert_eq!((answer.header("upgrade"), answer.header("connection")), expected, "{route}");
    }
}

#[tokio::test]
async fn b8_a_switch_to_something_else_is_502() {
    let with = |lines: &str| SWITCH.replacen("\r\n\r\n", &format!("\r\n{lines}\r\n\r\n"), 1);
    let others = ["h2c", "x"].map(|other| SWITCH.replace("websocket", other));
    let unclear = ["Upgrade: h2c", "Content-Length: 5", "Transfer-Encoding: chunked"].map(with);
    let unsaid = SWITCH.replace("connection: upgrade\r\n", "");
    for switch in others.into_iter().chain(unclear).chain([unsaid]) {
        let upstream = Raw::script(Script::new().read_head().send(switch.clone()).hang()).await.unwrap();
        let gateway = Gateway::to(upstream.addr()).await;
        let answer = gateway.ask(HANDSHAKE).await;
        assert_eq!((answer.status, answer.code().as_str()), (502, "upstream_invalid"), "{switch}");
        assert_eq!(gateway.upstream_connections(), (0, 0));
    }
}

#[tokio::test]
async fn an_upgrade_to_an_upstream_that_is_not_there_is_502_and_counted() {
    let address = nowhere();
    let gateway = Gateway::to(address).await;
    let answer = gateway.ask(HANDSHAKE).await;
    assert_eq!((answer.status, answer.code().as_str()), (502, "upstream_connect"));
    let attempts = "gateway_upstream_attempts_total{upstream=\"up\",outcome=\"connect\"}";
    assert_eq!(gateway.metric(attempts).await, Some(1.0), "an attempt like any other");
}

#[tokio::test]
async fn a_silent_tunnel_ends_after_the_routes_idle_timeout() {
    let upstream = echo().await;
    let gateway = Gateway::with_route("idle_timeout = '100ms'", upstream.addr()).await;
    let mut client = gateway.client().await;
    assert_eq!(client.ask(HANDSHAKE).await.status, 101);
    client.closed().await;
    gateway.at_rest().await;
    let record = gateway.record().await;
    assert_eq!((&record["status"], &record["ended"]), (&101.into(), &"timeout".into()));
    assert_eq!((&record["code"], record.get("fault")), (&"ok".into(), None), "nobody had anything to say");
}

#[tokio::test]
async fn a_tunnel_whose_client_vanishes_is_the_clients_end() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    let mut client = gateway.client().await;
    assert_eq!(client.ask(HANDSHAKE).await.status, 101);
    client.reset();
    gateway.at_rest().await;
    let record = gateway.record().await;
    assert_eq!((&record["ended"], &record["fault"]), (&"client_left".into(), &"client".into()));
    eventually("the upstream's end is closed", || upstream.counters().connections == 0).await;
}

#[tokio::test]
async fn a_tunnel_whose_upstream_vanishes_is_the_upstreams_end() {
    let gate = mocks::raw::Gate::new();
    let upstream = Raw::script(Script::new().read_head().send(SWITCH).wait(&gate).reset()).await.unwrap();
    let gateway = Gateway::to(upstream.addr()).await;
    let mut client = gateway.client().await;
    assert_eq!(client.ask(HANDSHAKE).await.status, 101);
    gate.open();
    client.closed().await;
    let record = gateway.record().await;
    assert_eq!((&record["ended"], &record["fault"]), (&"upstream_cut".into(), &"upstream".into()));
    assert_eq!((&record["status"], &record["code"]), (&101.into(), &"upstream_reset".into()));
}

#[tokio::test]
async fn an_upstream_that_ends_without_a_close_has_cut_its_tunnel() {
    for (goodbye, ended) in [(&[][..], "upstream_cut"), (&[0x88, 0][..], "complete")] {
        let all = [SWITCH.as_bytes(), &[0x81, 2, b'h', b'i'], goodbye].concat();
        let gate = mocks::raw::Gate::new();
        let upstream = Raw::script(Script::new().read_head().send(all).wait(&gate)).await.unwrap();
        let gateway = Gateway::to(upstream.addr()).await;
        let mut client = gateway.client().await;
        assert_eq!(client.ask(HANDSHAKE).await.status, 101);
        assert_eq!(client.bytes(4).await, [0x81, 2, b'h', b'i']);
        gate.open();
        client.rest().await;
        client.finish().await;
        let record = gateway.record().await;
        assert_eq!(record["ended"], ended, "{record}");
    }
}

#[tokio::test]
async fn a_half_closed_tunnel_still_brings_what_comes_back() {
    let switched = Script::new().read_head().send(SWITCH).read_bytes(4).send("late answer");
    let upstream = Raw::script(switched).await.unwrap();
    let gateway = Gateway::to(upstream.addr()).await;
    let mut client = gateway.client().await;
    assert_eq!(client.ask(HANDSHAKE).await.status, 101);
    client.stream().write_all(b"last").await.unwrap();
    client.finish().await;
    assert_eq!(client.rest().await, b"late answer");
}
