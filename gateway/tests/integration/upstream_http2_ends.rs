//! How calls and connections of HTTP/2 to upstreams end: GOAWAY, resets, cuts, clients that leave, time that runs out.
//! A connection that dies fails its own calls and no other.

use std::time::Duration;

use bytes::Bytes;
use h2::Reason;

use crate::support::h2::{
    Call, DATA, END_HEADERS, END_STREAM, Frames, GOAWAY, H2Client, HEADERS, PING, RST_STREAM, block, frame, get, head,
    post, rest,
};
use crate::support::h2_upstream::{FramesUpstream, H2Upstream, was_reset};
use crate::support::{Answer, Gateway, eventually};
use crate::upstream_http2::text;

const OK: [(&str, &str); 1] = [(":status", "200")];

/// What a GOAWAY says: the last stream that was looked at, and why.
fn goaway(last: u32, reason: Reason) -> Vec<u8> {
    frame(GOAWAY, 0, 0, &[last.to_be_bytes(), u32::from(reason).to_be_bytes()].concat())
}

async fn serve_one(upstream: &mut Frames, status: &[(&str, &str)]) -> u32 {
    let stream = upstream.next_of(HEADERS).await.expect("a request").stream;
    upstream.send(frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(status))).await;
    stream
}

#[tokio::test]
async fn a_connection_that_is_going_away_ends_with_what_it_carries_and_no_request_fails() {
    let mut upstream = H2Upstream::start().await;
    let gateway = Gateway::start(&text("", "", upstream.address)).await;
    let mut client = H2Client::connect(gateway.address).await;
    let old = client.begin(post("/old"), true).await;
    let old_asked = upstream.next().await;
    old_asked.go_away();
    for round in 0..10 {
        let call = client.begin(post(&format!("/{round}")), true).await;
        upstream.next().await.answer("new");
        assert_eq!(call.answer().await.body, b"new");
    }
    old_asked.answer("old");
    assert_eq!(old.answer().await.body, b"old");
    assert_eq!(upstream.accepted(), 2);
    eventually("the old connection is closed", || gateway.upstream_connections() == (1, 1)).await;
}

#[tokio::test]
async fn a_connection_that_is_going_away_keeps_nobody_out_at_the_limit_of_connections() {
    let mut upstream = H2Upstream::start().await;
    let text = format!("[server]\nworkers = 2\n{}", text("pool = { max_connections = 1 }", "", upstream.address));
    let gateway = Gateway::start(&text).await;
    let mut first = H2Client::connect(gateway.address).await;
    let old = first.begin(get("/old"), true).await;
    let old_asked = upstream.next().await;
    old_asked.go_away();
    // Of either worker.
    for _ in 0..6 {
        let mut client = H2Client::connect(gateway.address).await;
        let call = client.begin(get("/"), true).await;
        upstream.next().await.answer("new");
        assert_eq!(call.answer().await.status, 200);
    }
    assert_eq!(upstream.accepted(), 2, "the one that goes, and one in its place");
    old_asked.answer("old");
    assert_eq!(old.answer().await.body, b"old");
    eventually("the old connection is closed", || gateway.upstream_connections() == (1, 1)).await;
}

#[tokio::test]
async fn what_goaway_says_was_not_looked_at_goes_out_again_whatever_its_method() {
    let upstream = FramesUpstream::start().await;
    let gateway = Gateway::start(&text("", "", upstream.address)).await;
    let mut client = H2Client::connect(gateway.address).await;
    let first = client.begin(get("/first"), true).await;
    let mut old = upstream.accept(b"").await;
    assert_eq!(old.next_of(HEADERS).await.unwrap().stream, 1);
    let second = client.begin(post("/second"), true).await;
    assert_eq!(old.next_of(HEADERS).await.unwrap().stream, 3);
    old.send(goaway(1, Reason::NO_ERROR)).await;
    let mut new = upstream.accept(b"").await;
    serve_one(&mut new, &[(":status", "201")]).await;
    assert_eq!(second.answer().await.status, 201);
    old.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&OK))).await;
    assert_eq!(first.answer().await.status, 200, "what had been looked at was answered");
    let records = gateway.records(2).await;
    assert!(records.iter().all(|record| record["attempts"] == 1), "nobody's failure: {records:?}");
    gateway.at_rest().await;
}

#[tokio::test]
async fn what_was_not_looked_at_goes_out_again_with_its_body() {
    let upstream = FramesUpstream::start().await;
    for route in ["", "retry = { attempts = 1 }", "retry = { methods = ['GET'] }"] {
        let gateway = Gateway::start(&text("", route, upstream.address)).await;
        let mut client = H2Client::connect(gateway.address).await;
        let first = client.begin(get("/first"), true).await;
        let mut old = upstream.accept(b"").await;
        serve_one(&mut old, &OK).await;
        assert_eq!(first.answer().await.status, 200);
        let mut second = client.begin(post("/second"), false).await;
        second.body.send_data(Bytes::from_static(b"hello"), true).unwrap();
        assert_eq!(old.next_of(HEADERS).await.unwrap().stream, 3);
        assert_eq!(old.next_of(DATA).await.unwrap().payload, b"hello");
        old.send(goaway(1, Reason::NO_ERROR)).await;
        let mut new = upstream.accept(b"").await;
        let again = new.next_of(HEADERS).await.unwrap().stream;
        assert_eq!(new.next_of(DATA).await.unwrap().payload, b"hello", "{route}");
        new.send(frame(HEADERS, END_HEADERS | END_STREAM, again, &block(&[(":status", "201")]))).await;
        assert_eq!(second.answer().await.status, 201, "{route}");
        gateway.at_rest().await;
    }
}

#[tokio::test]
async fn a_refused_stream_goes_out_again_once_and_then_as_retries_say() {
    let mut upstream = H2Upstream::start().await;
    let gateway = Gateway::start(&text("", "", upstream.address)).await;
    let mut client = H2Client::connect(gateway.address).await;
    let warm = client.begin(get("/"), true).await;
    upstream.next().await.answer("ok");
    warm.answer().await;

    let call = client.begin(post("/"), true).await;
    upstream.next().await.reset(Reason::REFUSED_STREAM);
    upstream.next().await.answer("ok");
    assert_eq!(call.answer().await.status, 200);

    let call = client.begin(post("/"), true).await;
    upstream.next().await.reset(Reason::REFUSED_STREAM);
    upstream.next().await.reset(Reason::REFUSED_STREAM);
    let answer = call.answer().await;
    assert_eq!((answer.status, answer.code().as_str()), (502, "upstream_reset"));

    let gateway = Gateway::start(&text("", "retry = { attempts = 3, on = ['reset'] }", upstream.address)).await;
    let mut client = H2Client::connect(gateway.address).await;
    let call = client.begin(post("/"), true).await;
    upstream.next().await.reset(Reason::REFUSED_STREAM);
    upstream.next().await.answer("a POST, since nothing was begun");
    assert_eq!(call.answer().await.status, 200);
}

#[tokio::test]
async fn other_resets_are_the_upstreams_failure_and_do_no_harm_to_the_connection() {
    let mut upstream = H2Upstream::start().await;
    let gateway = Gateway::start(&text("", "", upstream.address)).await;
    let mut client = H2Client::connect(gateway.address).await;
    for reason in [Reason::INTERNAL_ERROR, Reason::CANCEL, Reason::ENHANCE_YOUR_CALM, Reason::NO_ERROR] {
        let call = client.begin(post("/"), true).await;
        upstream.next().await.reset(reason);
        let answer = call.answer().await;
        assert_eq!((answer.status, answer.code().as_str()), (502, "upstream_reset"), "{reason}");
    }
    let call = client.begin(get("/"), true).await;
    let mut asked = upstream.next().await;
    let mut stream = asked.begin(200, &[]);
    stream.send_data("half".into(), false).unwrap();
    let (mut answer, mut body) = head(call.answer).await.unwrap();
    stream.send_reset(Reason::NO_ERROR);
    assert!(rest(&mut answer, &mut body).await.is_err(), "a cut answer never looks like a whole one");
    assert_eq!(answer.body, b"half");
    let last = client.begin(get("/"), true).await;
    upstream.next().await.answer("ok");
    assert_eq!((last.answer().await.status, upstream.accepted()), (200, 1));
    let records = gateway.records(6).await;
    assert_eq!((&records[4]["ended"], &records[4]["fault"]), (&"upstream_cut".into(), &"upstream".into()));
}

#[tokio::test]
async fn a_connection_that_is_cut_fails_its_own_calls_and_the_next_goes_by_another() {
    let mut upstream = H2Upstream::start().await;
    let gateway = Gateway::start(&text("", "", upstream.address)).await;
    let mut client = H2Client::connect(gateway.address).await;
    let mut calls = Vec::new();
    for _ in 0..5 {
        calls.push(client.begin(post("/"), true).await);
    }
    let mut asked = Vec::new();
    for _ in 0..5 {
        asked.push(upstream.next().await);
    }
    let begun = client.begin(get("/begun"), true).await;
    let mut begun_asked = upstream.next().await;
    begun_asked.begin(200, &[]).send_data("half".into(), false).unwrap();
    let (mut answer, mut body) = head(begun.answer).await.unwrap();
    begun_asked.cut();
    for call in calls {
        let answer = call.answer().await;
        assert_eq!((answer.status, answer.code().as_str()), (502, "upstream_reset"));
    }
    assert!(rest(&mut answer, &mut body).await.is_err());
    eventually("it is closed", || gateway.upstream_connections() == (0, 0)).await;
    let call = client.begin(post("/"), true).await;
    let asked = upstream.next().await;
    assert_eq!(asked.connection, 1);
    asked.answer("ok");
    assert_eq!(call.answer().await.status, 200);
    gateway.at_rest().await;
}

#[tokio::test]
async fn what_may_be_sent_twice_is_when_a_used_connection_is_cut_before_an_answer() {
    let mut upstream = H2Upstream::start().await;
    let gateway = Gateway::start(&text("", "", upstream.address)).await;
    let mut client = H2Client::connect(gateway.address).await;
    let warm = client.begin(get("/"), true).await;
    upstream.next().await.answer("ok");
    warm.answer().await;
    let (twice, once) = (client.begin(get("/"), true).await, client.begin(post("/"), true).await);
    let first = upstream.next().await;
    upstream.next().await;
    first.cut();
    let again = upstream.next().await;
    assert_eq!((again.connection, again.request.method().as_str()), (1, "GET"));
    again.answer("ok");
    assert_eq!((twice.answer().await.status, once.answer().await.status), (200, 502));
    assert!(upstream.is_quiet());
}

#[tokio::test]
async fn l1_what_was_under_way_together_is_not_doubled_when_its_connection_is_cut() {
    let mut upstream = H2Upstream::start().await;
    let gateway = Gateway::start(&text("", "", upstream.address)).await;
    let mut client = H2Client::connect(gateway.address).await;
    let warm = client.begin(get("/"), true).await;
    upstream.next().await.answer("ok");
    warm.answer().await;
    eventually("it rests", || gateway.upstream_connections() == (1, 1)).await;
    // Only the first met a connection that may have been closed for being idle.
    let (mut calls, mut asked) = (Vec::new(), Vec::new());
    for _ in 0..10 {
        calls.push(client.begin(get("/"), true).await);
        asked.push(upstream.next().await);
    }
    asked[0].cut();
    upstream.next().await.answer("ok");
    for (n, call) in calls.into_iter().enumerate() {
        assert_eq!(call.answer().await.status, if n == 0 { 200 } else { 502 });
    }
    assert!(upstream.is_quiet());
}

#[tokio::test]
async fn l1_a_stream_that_its_upstream_reset_does_not_go_out_again_by_itself() {
    let mut upstream = H2Upstream::start().await;
    let gateway = Gateway::start(&text("", "", upstream.address)).await;
    let mut client = H2Client::connect(gateway.address).await;
    let warm = client.begin(get("/"), true).await;
    upstream.next().await.answer("ok");
    warm.answer().await;
    for reason in [Reason::INTERNAL_ERROR, Reason::CANCEL, Reason::ENHANCE_YOUR_CALM, Reason::NO_ERROR] {
        let call = client.begin(get("/"), true).await;
        upstream.next().await.reset(reason);
        assert_eq!(call.answer().await.code(), "upstream_reset", "{reason}");
        assert!(upstream.is_quiet(), "{reason}");
    }
}

#[tokio::test]
async fn l10_a_client_that_leaves_ends_its_call_and_no_other() {
    let mut upstream = H2Upstream::start().await;
    let gateway = Gateway::start(&text("breaker = { consecutive_failures = 1 }", "", upstream.address)).await;
    let mut client = H2Client::connect(gateway.address).await;
    let beside = client.begin(get("/beside"), true).await;
    let beside_asked = upstream.next().await;
    // Before an answer, in the middle of one, in the middle of its own body; over HTTP/2 and HTTP/1.
    let Call { answer, mut body } = client.begin(get("/"), true).await;
    let mut asked = upstream.next().await;
    body.send_reset(Reason::CANCEL);
    drop(answer);
    assert_eq!(asked.was_reset().await, Reason::CANCEL);

    let call = client.begin(get("/"), true).await;
    let mut asked = upstream.next().await;
    let mut stream = asked.begin(200, &[]);
    stream.send_data("half".into(), false).unwrap();
    let (_, half) = head(call.answer).await.unwrap();
    drop((half, call.body));
    assert_eq!(was_reset(&mut stream).await, Reason::CANCEL);

    let Call { answer, mut body } = client.begin(post("/"), false).await;
    body.send_data("half".into(), false).unwrap();
    let mut asked = upstream.next().await;
    body.send_reset(Reason::CANCEL);
    drop(answer);
    assert!(asked.read().await.is_err());

    let mut leaves = gateway.client().await;
    leaves.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut asked = upstream.next().await;
    leaves.reset();
    assert_eq!(asked.was_reset().await, Reason::CANCEL);

    beside_asked.answer("ok");
    assert_eq!(beside.answer().await.status, 200);
    assert_eq!((upstream.accepted(), gateway.upstream_connections().0), (1, 1));
    gateway.at_rest().await;
    let last = client.begin(get("/"), true).await;
    upstream.next().await.answer("ok");
    assert_eq!(last.answer().await.status, 200, "nothing of this was the upstream's failure");
}

#[tokio::test]
async fn f_time_that_runs_out_ends_the_call_and_the_connection_only_where_it_was_silent() {
    let mut upstream = H2Upstream::start().await;
    let gateway = Gateway::start(&text("", "timeout = '1s'", upstream.address)).await;
    let mut client = H2Client::connect(gateway.address).await;
    // One that is answered: what a connection's beginning brings has come then.
    let call = client.begin(get("/"), true).await;
    upstream.next().await.answer("ok");
    assert_eq!(call.answer().await.status, 200);
    let call = client.begin(get("/"), true).await;
    let mut asked = upstream.next().await;
    assert_eq!(call.answer().await.code(), "upstream_timeout");
    assert_eq!(asked.was_reset().await, Reason::CANCEL);
    // Nothing had come: whether anybody is there is not known.
    let call = client.begin(get("/"), true).await;
    let asked = upstream.next().await;
    assert_eq!(asked.connection, 1);
    asked.answer("ok");
    assert_eq!(call.answer().await.status, 200);
    eventually("the silent one is closed", || gateway.upstream_connections().0 == 1).await;
}

#[tokio::test]
async fn f_a_client_that_leaves_a_silent_connection_before_its_time_ends_the_connection() {
    let mut upstream = H2Upstream::start().await;
    let gateway = Gateway::start(&text("", "", upstream.address)).await;
    let mut client = H2Client::connect(gateway.address).await;
    let warm = client.begin(get("/"), true).await;
    upstream.next().await.answer("ok");
    warm.answer().await;
    let call = client.begin(get("/"), true).await;
    let mut silent = upstream.next().await;
    let patience = tokio::time::timeout(Duration::from_secs(1), silent.was_reset());
    assert!(patience.await.is_err(), "its client still waits");
    let Call { answer, mut body } = call;
    body.send_reset(Reason::CANCEL);
    drop(answer);
    assert_eq!(silent.was_reset().await, Reason::CANCEL);
    gateway.at_rest().await;
    let call = client.begin(get("/"), true).await;
    let asked = upstream.next().await;
    assert_eq!(asked.connection, 1, "nobody knows whether anybody is at the other end");
    asked.answer("ok");
    assert_eq!(call.answer().await.status, 200);
    eventually("the silent one is closed", || gateway.upstream_connections().0 == 1).await;
}

#[tokio::test]
async fn f_a_slow_call_beside_others_costs_no_connection() {
    let upstream = FramesUpstream::start().await;
    let gateway = Gateway::start(&text("", "timeout = '500ms'", upstream.address)).await;
    let mut client = H2Client::connect(gateway.address).await;
    let slow = client.begin(get("/slow"), true).await;
    let mut frames = upstream.accept(b"").await;
    frames.next_of(HEADERS).await.unwrap();
    frames.send(frame(PING, 0, 0, b"I am on.")).await;
    assert_eq!(slow.answer().await.code(), "upstream_timeout");
    assert_eq!(frames.next_of(RST_STREAM).await.unwrap().code(0), Reason::CANCEL);
    let next = client.begin(get("/"), true).await;
    assert_eq!(serve_one(&mut frames, &OK).await, 3, "on the same connection");
    assert_eq!(next.answer().await.status, 200);
}

#[tokio::test]
async fn f_a_body_that_does_not_move_ends_its_answer() {
    let mut upstream = H2Upstream::start().await;
    let gateway = Gateway::start(&text("", "idle_timeout = '60ms'", upstream.address)).await;
    let mut client = H2Client::connect(gateway.address).await;
    let call = client.begin(get("/"), true).await;
    let mut asked = upstream.next().await;
    let mut stream = asked.begin(200, &[]);
    stream.send_data(Bytes::from_static(b"half"), false).unwrap();
    let (mut answer, mut body): (Answer, _) = head(call.answer).await.unwrap();
    assert!(rest(&mut answer, &mut body).await.is_err());
    assert_eq!(was_reset(&mut stream).await, Reason::CANCEL);
    assert_eq!(gateway.record().await["ended"], "timeout");
}

#[tokio::test]
async fn idle_connections_are_closed_and_old_ones_take_no_new_call() {
    let mut upstream = H2Upstream::start().await;
    let pool = "pool = { idle_timeout = '10ms', max_lifetime = '1h' }";
    let gateway = Gateway::start(&text(pool, "", upstream.address)).await;
    let mut client = H2Client::connect(gateway.address).await;
    let call = client.begin(get("/"), true).await;
    let asked = upstream.next().await;
    asked.answer("ok");
    assert_eq!(call.answer().await.status, 200);
    eventually("the sweep closes it", || gateway.upstream_connections() == (0, 0)).await;
    let call = client.begin(get("/"), true).await;
    let asked = upstream.next().await;
    assert_eq!(asked.connection, 1);
    asked.answer("ok");
    assert_eq!(call.answer().await.status, 200);
}
