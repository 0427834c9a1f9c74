//! How connections of HTTP/2 to upstreams are opened: once for all who wait, as many as are needed, and within limits.

use std::time::Duration;

use mocks::raw::{Raw, Script};

use crate::support::h2::{ACK, END_HEADERS, END_STREAM, H2Client, HEADERS, PING, SETTINGS, block, frame, get};
use crate::support::h2_upstream::{FramesUpstream, H2Upstream};
use crate::support::{Gateway, echo, eventually, nowhere};
use crate::upstream_http2::text;

/// `MAX_CONCURRENT_STREAMS`, as SETTINGS say it.
fn most(streams: u32) -> Vec<u8> {
    [&[0, 3], &streams.to_be_bytes()[..]].concat()
}

#[tokio::test]
async fn who_waits_shares_one_connection_and_nothing_is_asked_before_its_settings_have_come() {
    let upstream = FramesUpstream::start().await;
    let gateway = Gateway::start(&text("", "", upstream.address)).await;
    let mut client = H2Client::connect(gateway.address).await;
    let mut calls = Vec::new();
    for _ in 0..10 {
        calls.push(client.begin(get("/"), true).await);
    }
    // The connection is there, but says nothing yet.
    eventually("all wait", || gateway.in_flight() == 10).await;
    let mut frames = upstream.accept(&most(100)).await;
    for _ in 0..10 {
        let stream = frames.next_of(HEADERS).await.unwrap().stream;
        frames.send(frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(&[(":status", "200")]))).await;
    }
    for call in calls {
        assert_eq!(call.answer().await.status, 200);
    }
    assert_eq!(gateway.upstream_connections(), (1, 1));
    let opened = gateway.metric("gateway_upstream_connections_opened_total{upstream=\"up\"}").await;
    assert_eq!(opened, Some(1.0));
}

#[tokio::test]
async fn where_a_connection_has_no_room_another_is_opened() {
    let mut builder = h2::server::Builder::new();
    builder.max_concurrent_streams(1);
    let mut upstream = H2Upstream::with(builder).await;
    let gateway = Gateway::start(&text("", "", upstream.address)).await;
    let mut client = H2Client::connect(gateway.address).await;
    let (mut calls, mut asked) = (Vec::new(), Vec::new());
    for n in 0..4 {
        calls.push(client.begin(get("/"), true).await);
        asked.push(upstream.next().await);
        assert_eq!(asked[n].connection, n);
    }
    for asked in asked {
        asked.answer("ok");
    }
    for call in calls {
        assert_eq!(call.answer().await.status, 200);
    }
    // One after another they go by the first, and the others grow idle.
    eventually("all rest", || gateway.upstream_connections() == (4, 4)).await;
    for _ in 0..3 {
        let call = client.begin(get("/"), true).await;
        let asked = upstream.next().await;
        assert_eq!(asked.connection, 0);
        asked.answer("ok");
        assert_eq!(call.answer().await.status, 200);
        eventually("it rests", || gateway.upstream_connections().1 == 4).await;
    }
}

#[tokio::test]
async fn a_crowd_at_an_upstream_with_little_room_is_served() {
    let mut builder = h2::server::Builder::new();
    builder.max_concurrent_streams(2);
    let mut upstream = H2Upstream::with(builder).await;
    let gateway = Gateway::start(&text("", "", upstream.address)).await;
    let mut client = H2Client::connect(gateway.address).await;
    let mut calls = Vec::new();
    for _ in 0..30 {
        calls.push(client.begin(get("/"), true).await);
    }
    let mut asked = Vec::new();
    for _ in 0..30 {
        asked.push(upstream.next().await);
    }
    let mut carried = [0; 40];
    for asked in &asked {
        carried[asked.connection] += 1;
    }
    assert!(carried.iter().all(|count| *count <= 2), "{carried:?}");
    for asked in asked {
        asked.answer("ok");
    }
    for call in calls {
        assert_eq!(call.answer().await.status, 200);
    }
}

#[tokio::test]
async fn e_at_the_limit_of_connections_a_full_one_is_waited_for_by_nobody() {
    let mut builder = h2::server::Builder::new();
    builder.max_concurrent_streams(2);
    let mut upstream = H2Upstream::with(builder).await;
    let gateway = Gateway::start(&text("pool = { max_connections = 1 }", "", upstream.address)).await;
    let mut client = H2Client::connect(gateway.address).await;
    let (one, two) = (client.begin(get("/"), true).await, client.begin(get("/"), true).await);
    let asked = [upstream.next().await, upstream.next().await];
    let answer = client.get("/").await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "overloaded"));
    for asked in asked {
        asked.answer("ok");
    }
    assert_eq!((one.answer().await.status, two.answer().await.status), (200, 200));
    assert_eq!(upstream.accepted(), 1);
}

#[tokio::test]
async fn at_the_limit_of_connections_workers_share_them() {
    let upstream = echo().await;
    let text = format!("[server]\nworkers = 3\n{}", text("pool = { max_connections = 1 }", "", upstream.addr()));
    let gateway = Gateway::start(&text).await;
    for _ in 0..12 {
        assert_eq!(gateway.get("/").await.status, 200);
    }
    assert_eq!(upstream.counters().accepts, 1);
}

#[tokio::test]
async fn at_the_limit_of_connections_workers_wait_for_the_one_that_another_opens() {
    let upstream = FramesUpstream::start().await;
    let text = format!("[server]\nworkers = 4\n{}", text("pool = { max_connections = 1 }", "", upstream.address));
    let gateway = Gateway::start(&text).await;
    let mut clients = Vec::new();
    for _ in 0..8 {
        let mut client = gateway.client().await;
        client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        clients.push(client);
    }
    // Its settings are held back, and nobody is turned away meanwhile.
    eventually("all wait", || gateway.in_flight() == 8).await;
    let mut frames = upstream.accept(b"").await;
    for _ in 0..8 {
        let stream = frames.next_of(HEADERS).await.unwrap().stream;
        frames.send(frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(&[(":status", "204")]))).await;
    }
    for mut client in clients {
        assert_eq!(client.answer().await.status, 204);
    }
    assert_eq!(gateway.upstream_connections(), (1, 1));
}

#[tokio::test]
async fn an_upstream_that_allows_no_stream_is_not_asked_and_does_not_get_a_storm_of_connections() {
    let upstream = FramesUpstream::start().await;
    let gateway = Gateway::start(&text("", "", upstream.address)).await;
    let mut client = gateway.client().await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut frames = upstream.accept(&most(0)).await;
    assert_eq!(client.answer().await.code(), "overloaded");
    for _ in 0..3 {
        let answer = gateway.get("/").await;
        assert_eq!((answer.status, answer.code().as_str()), (503, "overloaded"));
    }
    let opened = gateway.metric("gateway_upstream_connections_opened_total{upstream=\"up\"}").await;
    assert_eq!(opened, Some(1.0));
    // Once it allows some, they go by the connection that is there.
    frames.send(frame(SETTINGS, 0, 0, &most(10))).await;
    while frames.next_of(SETTINGS).await.unwrap().flags & ACK == 0 {}
    frames.send(frame(PING, 0, 0, b"in order")).await;
    while frames.next_of(PING).await.unwrap().payload != b"in order" {}
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let stream = frames.next_of(HEADERS).await.unwrap().stream;
    frames.send(frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(&[(":status", "204")]))).await;
    assert_eq!(client.answer().await.status, 204);
}

#[tokio::test]
async fn a_connection_that_does_not_come_fails_who_asked_for_it_and_others_try_again() {
    let upstream = FramesUpstream::start().await;
    let gateway = Gateway::start(&text("pool = { connect_timeout = '1s' }", "", upstream.address)).await;
    let (mut first, mut second) = (gateway.client().await, gateway.client().await);
    first.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    eventually("it is being opened", || gateway.upstream_connections().0 == 1).await;
    gateway.rewrite(&text("pool = { connect_timeout = '20s' }", "", upstream.address));
    assert_eq!(gateway.admin("POST", "/reload").await.json()["ok"], true);
    second.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    eventually("both wait", || gateway.in_flight() == 2).await;
    assert_eq!(gateway.upstream_connections().0, 1, "for the same one");
    assert_eq!(first.answer().await.code(), "connect_timeout");
    let _lost = upstream.accept(b"").await;
    let mut frames = upstream.accept(b"").await;
    let stream = frames.next_of(HEADERS).await.unwrap().stream;
    frames.send(frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(&[(":status", "204")]))).await;
    assert_eq!(second.answer().await.status, 204);
}

#[tokio::test]
async fn an_upstream_that_does_not_speak_it_is_no_connection() {
    let upstream = Raw::script(Script::always("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")).await.unwrap();
    let gateway = Gateway::start(&text("", "", upstream.addr())).await;
    let answer = gateway.get("/").await;
    assert_eq!((answer.status, answer.code().as_str()), (502, "upstream_connect"));

    let silent = Raw::script(Script::new().hang()).await.unwrap();
    let gateway = Gateway::start(&text("pool = { connect_timeout = '60ms' }", "", silent.addr())).await;
    let answer = gateway.get("/").await;
    assert_eq!((answer.status, answer.code().as_str()), (504, "connect_timeout"));
    eventually("nothing is left of it", || gateway.upstream_connections() == (0, 0)).await;

    let gateway = Gateway::start(&text("", "", "127.0.0.1:9".parse().unwrap())).await;
    assert_eq!(gateway.get("/").await.code(), "upstream_connect");
}

#[tokio::test]
async fn who_waits_does_so_no_longer_than_its_own_time() {
    let silent = Raw::script(Script::new().hang()).await.unwrap();
    let gateway = Gateway::start(&text("pool = { connect_timeout = '20s' }", "timeout = '60ms'", silent.addr())).await;
    assert_eq!(gateway.get("/").await.code(), "upstream_timeout");
    let mut client = gateway.client().await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    client.reset();
    gateway.at_rest().await;
    assert_eq!(gateway.upstream_connections().0, 1, "it is still being opened, once for all");
    assert_eq!(silent.accepted(), 1);
}

#[tokio::test]
async fn a_reload_changes_what_is_spoken_and_fails_nobody() {
    let mut upstream = H2Upstream::start().await;
    let plain = echo().await;
    let gateway = Gateway::start(&text("", "", upstream.address)).await;
    let mut client = H2Client::connect(gateway.address).await;
    let call = client.begin(get("/"), true).await;
    let asked = upstream.next().await;
    gateway.rewrite(&text("", "", upstream.address).replace("http2", "http1"));
    assert_eq!(gateway.admin("POST", "/reload").await.json()["ok"], true);
    asked.answer("ok");
    assert_eq!(call.answer().await.status, 200);
    eventually("the connection ends with what it carried", || gateway.upstream_connections() == (0, 0)).await;

    let http1 = text("", "", plain.addr()).replace("http2", "http1");
    let gateway = Gateway::start(&http1).await;
    assert_eq!(gateway.get("/").await.echo().header("host"), Some("a.test"));
    gateway.rewrite(&text("", "", plain.addr()));
    assert_eq!(gateway.admin("POST", "/reload").await.json()["ok"], true);
    assert_eq!(gateway.get("/").await.echo().header(":authority"), Some("a.test"));
    // Within the sweep's second.
    let looks = tokio::time::timeout(Duration::from_secs(10), async {
        eventually("the old one is swept", || gateway.upstream_connections().0 == 1).await;
    });
    looks.await.unwrap();
}

#[tokio::test]
async fn what_rests_at_an_endpoint_that_is_gone_is_closed_though_a_call_goes_on_there() {
    let mut builder = h2::server::Builder::new();
    builder.max_concurrent_streams(1);
    let mut upstream = H2Upstream::with(builder).await;
    let gateway = Gateway::start(&text("", "", upstream.address)).await;
    let mut client = H2Client::connect(gateway.address).await;
    let long = client.begin(get("/long"), true).await;
    let long_asked = upstream.next().await;
    let call = client.begin(get("/"), true).await;
    let mut asked = upstream.next().await;
    asked.begin(200, &[]).send_data("ok".into(), true).unwrap();
    assert_eq!((call.answer().await.status, asked.connection), (200, 1));
    gateway.rewrite(&text("", "", nowhere()));
    assert_eq!(gateway.admin("POST", "/reload").await.json()["ok"], true);
    eventually("it is closed", || asked.has_ended()).await;
    assert!(!long_asked.has_ended());
    long_asked.answer("at last");
    assert_eq!(long.answer().await.body, b"at last");
}

#[tokio::test]
async fn a_check_that_is_no_call_of_grpc_is_judged_by_the_head() {
    let mut upstream = H2Upstream::start().await;
    let health = "health = { path = '/healthz', interval = '100ms', timeout = '60s' }";
    let _gateway = Gateway::start(&text(health, "", upstream.address)).await;
    let mut asked = upstream.next().await;
    let _stream = asked.begin(200, &[]);
    // Its body does not come to an end, and yet the next is asked.
    assert_eq!(upstream.next().await.path(), "/healthz");
}

#[tokio::test]
async fn a_check_over_http_2_asks_for_the_host_that_is_written_and_takes_the_statuses_that_are_written() {
    let mut upstream = H2Upstream::start().await;
    let health =
        "health = { path = '/', host = 'shop.example', status = ['200-399'], interval = '100ms', timeout = '60s' }";
    let gateway = Gateway::start(&text(health, "", upstream.address)).await;
    let mut asked = upstream.next().await;
    assert_eq!(asked.request.uri().authority().map(http::uri::Authority::as_str), Some("shop.example"));
    let _stream = asked.begin(301, &[]);
    let last = || gateway.inner().upstreams()[0].active().endpoints[0].health.last();
    eventually("it was checked", || last().is_some()).await;
    assert_eq!(last().as_deref(), Some("ok"));
}

#[tokio::test]
async fn a_connection_that_is_late_is_one_failure_however_many_wait_for_it() {
    let silent = Raw::script(Script::new().hang()).await.unwrap();
    let keys = "pool = { connect_timeout = '200ms' }\nbreaker = { window = '60s', consecutive_failures = 8 }";
    let gateway = Gateway::start(&text(keys, "", silent.addr())).await;
    let mut client = H2Client::connect(gateway.address).await;
    let mut calls = Vec::new();
    for _ in 0..20 {
        calls.push(client.begin(get("/"), true).await);
    }
    for call in calls {
        let answer = call.answer().await;
        assert_eq!((answer.status, answer.code().as_str()), (504, "connect_timeout"));
    }
    let endpoint = gateway.admin("GET", "/breakers").await.json()["breakers"][0]["endpoints"][0].clone();
    let failures = endpoint["window"]["failures"].as_u64().unwrap();
    assert!((1..=4).contains(&failures) && endpoint["state"] == "closed", "{endpoint}");
    assert!(failures <= silent.accepted(), "{failures} of {} connections", silent.accepted());
}
