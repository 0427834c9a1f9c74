//! `buffer_request`: no endpoint waits for a slow client, and the upstream gets what was sent, byte for byte.

use mocks::raw::{Gate, Raw, Script};

use crate::support::{Gateway, echo, eventually};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const BUFFERED: &str = "buffer_request = '1KiB'";

async fn upstream() -> Raw {
    Raw::script(Script::new().read_request().send(OK).again()).await.unwrap()
}

fn received(upstream: &Raw) -> String {
    String::from_utf8(upstream.received().concat()).unwrap()
}

#[tokio::test]
async fn nobody_is_asked_before_the_body_is_whole() {
    for (framing, pieces, sent) in [
        ("content-length: 5", ["hel", "lo"], "\r\n\r\nhello"),
        // Services that know of no chunks, as WSGI's and CGI's, would see an empty body.
        ("transfer-encoding: chunked", ["3\r\nhel\r\n", "2\r\nlo\r\n0\r\n\r\n"], "\r\ncontent-length: 5\r\n\r\nhello"),
        (
            "transfer-encoding: chunked",
            ["3\r\nhel\r\n", "2\r\nlo\r\n0\r\nx-sum: 1\r\n\r\n"],
            "\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n",
        ),
    ] {
        let upstream = upstream().await;
        let gateway = Gateway::with_route(BUFFERED, upstream.addr()).await;
        let held = || gateway.inner().shards()[0].held.count();
        let mut client = gateway.client().await;
        client.send(format!("POST / HTTP/1.1\r\nhost: a\r\n{framing}\r\n\r\n{}", pieces[0])).await;
        eventually("the first piece is held", || held() > 0).await;
        assert_eq!((upstream.accepted(), gateway.in_flight()), (0, 0), "{framing}");
        assert_eq!(client.ask(pieces[1]).await.status, 200);
        gateway.at_rest().await;
        assert!(received(&upstream).ends_with(sent), "{}", received(&upstream));
        assert_eq!(gateway.record().await["bytes_in"], 5);
        eventually("nothing is held", || held() == 0).await;
    }
}

#[tokio::test]
async fn a_longer_body_streams() {
    let (beginning, end) = ("x".repeat(2000), "y".repeat(500));
    for (framing, first, last) in [
        ("content-length: 2500", beginning.clone(), end.clone()),
        ("transfer-encoding: chunked", format!("7d0\r\n{beginning}\r\n"), format!("1f4\r\n{end}\r\n0\r\n\r\n")),
    ] {
        let upstream = upstream().await;
        let gateway = Gateway::with_route(BUFFERED, upstream.addr()).await;
        let mut client = gateway.client().await;
        client.send(format!("POST / HTTP/1.1\r\nhost: a\r\n{framing}\r\n\r\n{first}")).await;
        let letters = |letter: char| {
            let text = received(&upstream);
            text.split_once("\r\n\r\n").map_or(0, |(_, body)| body.matches(letter).count())
        };
        eventually("the beginning has passed", || letters('x') == 2000).await;
        assert_eq!(client.ask(last).await.status, 200);
        assert_eq!((letters('x'), letters('y')), (2000, 500), "{framing}");
    }
}

#[tokio::test]
async fn what_routing_has_read_of_it_is_not_lost() {
    let upstream = upstream().await;
    let text = format!(
        "[upstreams.up]\nendpoints = ['{}']\n\
         [[routes]]\nname = 'refund'\npath = '/pay'\nupstream = 'up'\nbody = {{ '/type' = 'refund' }}\n\
         body_match_limit = '8B'\n{BUFFERED}\n\
         [[routes]]\nname = 'any'\npath = '/pay'\nupstream = 'up'\n{BUFFERED}\n",
        upstream.addr()
    );
    let gateway = Gateway::start(&text).await;
    let body = "8\r\n{\"type\":\r\n8\r\n\"charge\"\r\n1\r\n}\r\n0\r\n\r\n";
    let answer =
        gateway.ask(format!("POST /pay HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{body}")).await;
    assert_eq!(answer.status, 200);
    let sent = received(&upstream);
    assert!(sent.ends_with("\r\ncontent-length: 17\r\n\r\n{\"type\":\"charge\"}"), "{sent}");
    let record = gateway.record().await;
    assert_eq!((&record["route"], &record["bytes_in"]), (&"any".into(), &17.into()));
}

#[tokio::test]
async fn f_a_client_that_stops_is_told_so_and_no_endpoint_is() {
    let upstream = echo().await;
    let text = format!(
        "[server]\nbody_idle_timeout = '50ms'\n[upstreams.up]\nendpoints = ['{}']\n\
         [[routes]]\nname = 'all'\npath = '/{{*rest}}'\nupstream = 'up'\n{BUFFERED}\n",
        upstream.addr()
    );
    let gateway = Gateway::start(&text).await;
    let answer = gateway.ask("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhel").await;
    assert_eq!((answer.status, &*answer.code()), (408, "request_timeout"));
    let record = gateway.record().await;
    assert_eq!((&record["fault"], &record["attempts"]), (&"client".into(), &0.into()));
    assert_eq!(upstream.counters().requests, 0);
}

/// A gateway where bodies of this route may take two megabytes together.
async fn narrow(upstream: &Raw, route: &str) -> Gateway {
    Gateway::start(&format!(
        "[server]\nbody_match_memory = '4MiB'\n[upstreams.up]\nendpoints = ['{}']\n\
         [[routes]]\nname = 'all'\npath = '/{{*rest}}'\nupstream = 'up'\nbuffer_request = '1MiB'\n{route}\n",
        upstream.addr()
    ))
    .await
}

fn post(length: usize) -> String {
    format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n")
}

#[tokio::test]
async fn e_what_was_sent_is_held_no_longer_however_long_the_answer_takes() {
    const LENGTH: usize = 1_000_000;
    for (route, kept) in [
        ("", 0),
        // It may go out again where it is no longer than what is kept for that.
        ("retry = { attempts = 2, methods = ['POST'], buffer = '64KiB' }", 0),
        ("retry = { attempts = 2, methods = ['POST'], buffer = '1MiB' }", 1 << 20),
        ("hedge = { after = '10s' }\nretry = { methods = ['POST'], buffer = '64KiB' }", 0),
    ] {
        let (gate, rest) = (Gate::new(), Gate::new());
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n";
        let script = Script::new().read_request().wait(&gate).send(head).wait(&rest).send("ok");
        let upstream = Raw::script(script).await.unwrap();
        let gateway = narrow(&upstream, route).await;
        let held = || gateway.inner().shards()[0].held.count();
        let mut client = gateway.client().await;
        client.send(format!("{}{}", post(LENGTH), "~".repeat(LENGTH))).await;
        eventually("it was sent", || received(&upstream).matches('~').count() == LENGTH).await;
        eventually("what nobody may want again is given back", || held() == kept).await;
        gate.open();
        assert_eq!(client.head().await.status, 200);
        eventually("behind the answer's head nobody wants it again", || held() == 0).await;
        rest.open();
        assert_eq!(client.bytes(2).await, b"ok");
    }
}

#[tokio::test]
async fn e_what_finds_no_room_streams() {
    let upstream = upstream().await;
    let gateway = narrow(&upstream, "").await;
    let held = || gateway.inner().shards()[0].held.count();
    let mut slow = Vec::new();
    for number in 1..=2 {
        let mut client = gateway.client().await;
        client.send(format!("{}{}", post(1_000_000), "s".repeat(999_990))).await;
        eventually("its body is held", || held() == number << 20).await;
        slow.push(client);
    }
    for body in ["h".to_owned(), "h".repeat(300_000)] {
        let answer = gateway.ask(format!("{}{body}", post(body.len()))).await;
        assert_eq!(answer.status, 200);
        assert!(received(&upstream).ends_with(&format!("\r\n\r\n{body}")), "byte for byte");
    }
    // What had begun to be gathered is not lost.
    slow.pop().unwrap().reset();
    eventually("there is room for some", || held() == 1 << 20).await;
    let mut growing = gateway.client().await;
    growing.send(format!("{}{}", post(1_000_000), "g".repeat(300_000))).await;
    eventually("some of it is held", || held() == (1 << 20) + (1 << 19)).await;
    let mut other = gateway.client().await;
    other.send(format!("{}{}", post(1_000_000), "o".repeat(500_000))).await;
    eventually("all room is taken", || held() == 2 << 20).await;
    assert_eq!(growing.ask("G".repeat(700_000)).await.status, 200);
    let sent = format!("\r\n\r\n{}{}", "g".repeat(300_000), "G".repeat(700_000));
    assert!(received(&upstream).ends_with(&sent), "byte for byte");
    assert_eq!(gateway.metric("gateway_unbuffered_bodies_total").await, Some(3.0));
    assert_eq!(gateway.metric("gateway_shed_total{reason=\"routing_bodies\"}").await, Some(0.0));
    drop((slow, other));
    eventually("nothing is held", || held() == 0).await;
}
