//! Upstreams of HTTP/2 that close their connections in good order (GOAWAY without an error), under calls that they have
//! not begun with: nobody's failure, however many there are, and however few calls a connection takes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use h2::Reason;

use crate::support::h2::{
    DATA, END_HEADERS, END_STREAM, Frames, GOAWAY, H2Client, HEADERS, RST_STREAM, block, frame, get, post,
};
use crate::support::h2_upstream::FramesUpstream;
use crate::support::{Gateway, eventually};
use crate::upstream_http2::text;

/// One failure opens it, and nothing is sent a second time for money.
const STRICT: &str = "breaker = { consecutive_failures = 1 }\nretry_budget = { ratio = 0.0, min_per_second = 0 }";
/// The same, where what an upstream did not begin with may be sent again.
const WITH_BUDGET: &str = "breaker = { consecutive_failures = 1 }\nretry_budget = { ratio = 0.0, min_per_second = 10 }";
const TRIPS: &str = "gateway_breaker_trips_total";

/// What a GOAWAY says of which this was the last stream that was looked at.
fn goaway(last: u32) -> Vec<u8> {
    frame(GOAWAY, 0, 0, &[last.to_be_bytes(), u32::from(Reason::NO_ERROR).to_be_bytes()].concat())
}

fn answer(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(&[(":status", "200")]))
}

/// The stream of the next request.
async fn asked(frames: &mut Frames) -> u32 {
    frames.next_of(HEADERS).await.expect("a request").stream
}

/// How often a breaker has opened.
async fn trips(gateway: &Gateway) -> usize {
    let page = gateway.admin("GET", "/metrics").await;
    let text = String::from_utf8(page.body).unwrap();
    text.lines().filter(|line| line.starts_with(TRIPS) && !line.ends_with(" 0")).count()
}

#[tokio::test]
async fn a_call_that_is_turned_away_twice_is_served_and_is_nobodys_failure() {
    let upstream = FramesUpstream::start().await;
    let gateway = Gateway::start(&text(STRICT, "retry = { attempts = 1 }", upstream.address)).await;
    let mut client = H2Client::connect(gateway.address).await;
    let mut calls = Vec::new();
    calls.push(client.begin(post("/1"), true).await);
    let mut first = upstream.accept(b"").await;
    assert_eq!(asked(&mut first).await, 1);
    for stream in [3, 5, 7] {
        calls.push(client.begin(post(&format!("/{stream}")), true).await);
        assert_eq!(asked(&mut first).await, stream);
    }
    first.send(goaway(3)).await;
    // It takes as many as the one before, and turns one of them away.
    let mut second = upstream.accept(b"").await;
    assert_eq!((asked(&mut second).await, asked(&mut second).await), (1, 3));
    second.send(goaway(1)).await;
    let mut third = upstream.accept(b"").await;
    let last = asked(&mut third).await;
    third.send(answer(last)).await;
    second.send(answer(1)).await;
    first.send([answer(1), answer(3)].concat()).await;
    for call in calls {
        assert_eq!(call.answer().await.status, 200);
    }
    assert_eq!(trips(&gateway).await, 0);
    let records = gateway.records(4).await;
    assert!(records.iter().all(|record| record["attempts"] == 1), "all of that is one attempt: {records:?}");
    assert_eq!(gateway.metric("gateway_upstream_stale_replays_total{upstream=\"up\"}").await, Some(3.0));
    gateway.at_rest().await;
}

#[tokio::test]
async fn a_call_that_was_turned_away_and_cannot_go_again_says_nothing_of_its_upstream() {
    let upstream = FramesUpstream::start().await;
    let route = "retry = { attempts = 1, buffer = '1KiB' }";
    let gateway = Gateway::start(&text(STRICT, route, upstream.address)).await;
    let mut client = H2Client::connect(gateway.address).await;
    let first = client.begin(get("/first"), true).await;
    let mut old = upstream.accept(b"").await;
    assert_eq!(asked(&mut old).await, 1);
    let mut long = client.begin(post("/long"), false).await;
    long.body.send_data(Bytes::from(vec![b'x'; 4096]), true).unwrap();
    assert_eq!(asked(&mut old).await, 3);
    let mut came = 0;
    while came < 4096 {
        came += old.next_of(DATA).await.unwrap().payload.len();
    }
    old.send(goaway(1)).await;
    let failed = long.answer().await;
    assert_eq!((failed.status, failed.code().as_str()), (502, "upstream_reset"));
    old.send(answer(1)).await;
    assert_eq!(first.answer().await.status, 200);
    let next = client.begin(get("/next"), true).await;
    let mut new = upstream.accept(b"").await;
    let stream = asked(&mut new).await;
    new.send(answer(stream)).await;
    assert_eq!((next.answer().await.status, trips(&gateway).await), (200, 0));
}

#[tokio::test]
async fn a_call_whose_connection_takes_nothing_goes_by_another() {
    let upstream = FramesUpstream::start().await;
    let gateway = Gateway::start(&text(WITH_BUDGET, "retry = { attempts = 1 }", upstream.address)).await;
    let mut client = H2Client::connect(gateway.address).await;
    let call = client.begin(post("/"), true).await;
    let mut first = upstream.accept(b"").await;
    assert_eq!(asked(&mut first).await, 1);
    first.send(goaway(0)).await;
    let mut second = upstream.accept(b"").await;
    assert_eq!(asked(&mut second).await, 1);
    second.send(answer(1)).await;
    assert_eq!((call.answer().await.status, trips(&gateway).await), (200, 0));
    assert_eq!(gateway.record().await["attempts"], 1);
}

#[tokio::test]
async fn an_upstream_whose_connections_take_nothing_at_all_has_failed() {
    let upstream = FramesUpstream::start().await;
    let gateway = Gateway::start(&text(WITH_BUDGET, "retry = { attempts = 1 }", upstream.address)).await;
    let mut client = H2Client::connect(gateway.address).await;
    let call = client.begin(get("/"), true).await;
    for _ in 0..6 {
        let mut frames = upstream.accept(b"").await;
        assert_eq!(asked(&mut frames).await, 1);
        frames.send(goaway(0)).await;
    }
    assert_eq!(call.answer().await.code(), "upstream_reset");
    assert_eq!(trips(&gateway).await, 1);
}

#[tokio::test]
async fn a_call_that_is_refused_goes_out_again_once_also_where_it_is_the_connections_first() {
    let refused = |stream| frame(RST_STREAM, 0, stream, &u32::from(Reason::REFUSED_STREAM).to_be_bytes());
    for (is_refused_again, status, opened) in [(false, 200, 0), (true, 502, 1)] {
        let upstream = FramesUpstream::start().await;
        let gateway = Gateway::start(&text(WITH_BUDGET, "retry = { attempts = 1 }", upstream.address)).await;
        let mut client = H2Client::connect(gateway.address).await;
        let call = client.begin(post("/"), true).await;
        let mut frames = upstream.accept(b"").await;
        assert_eq!(asked(&mut frames).await, 1);
        frames.send(refused(1)).await;
        assert_eq!(asked(&mut frames).await, 3);
        frames.send(if is_refused_again { refused(3) } else { answer(3) }).await;
        assert_eq!((call.answer().await.status, trips(&gateway).await), (status, opened));
    }
}

/// As in any outage: what an upstream says of it in its own words makes it no cheaper.
#[tokio::test]
async fn what_was_not_begun_goes_out_again_within_the_budget_alone() {
    let refused = frame(RST_STREAM, 0, 1, &u32::from(Reason::REFUSED_STREAM).to_be_bytes());
    for told in [goaway(0), refused] {
        let upstream = FramesUpstream::start().await;
        let gateway = Gateway::start(&text(STRICT, "retry = { attempts = 1 }", upstream.address)).await;
        let mut client = H2Client::connect(gateway.address).await;
        let call = client.begin(get("/"), true).await;
        let mut frames = upstream.accept(b"").await;
        assert_eq!(asked(&mut frames).await, 1);
        frames.send(told).await;
        assert_eq!(call.answer().await.status, 502);
        let refused = "gateway_retries_total{upstream=\"up\",result=\"no_budget\"}";
        assert_eq!(gateway.metric(refused).await, Some(1.0));
    }
}

/// Takes five calls, closes with the fifth, and lets the rest go unheard, which it counts.
async fn take_five(mut frames: Frames, begun: usize, unheard: Arc<AtomicUsize>) {
    let mut streams = Vec::new();
    for _ in 0..begun {
        streams.push(asked(&mut frames).await);
    }
    let mut taken = 0;
    for stream in streams {
        taken += 1;
        match taken {
            1..5 => {}
            5 => frames.send(goaway(stream)).await,
            _ => {
                unheard.fetch_add(1, Ordering::Relaxed);
                continue;
            }
        }
        frames.send(answer(stream)).await;
    }
    while let Some(came) = frames.next_of(HEADERS).await {
        taken += 1;
        if taken > 5 {
            unheard.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        if taken == 5 {
            frames.send(goaway(came.stream)).await;
        }
        frames.send(answer(came.stream)).await;
    }
}

#[tokio::test]
async fn a_crowd_at_an_upstream_whose_connections_take_few_calls_is_served() {
    let upstream = Arc::new(FramesUpstream::start().await);
    let text = format!("[server]\nworkers = 1\n{}", text(STRICT, "retry = { attempts = 1 }", upstream.address));
    let gateway = Gateway::start(&text).await;
    let unheard = Arc::<AtomicUsize>::default();
    let (listening, counting) = (Arc::clone(&upstream), Arc::clone(&unheard));
    let serving = tokio::spawn(async move {
        // The first has all of them before anybody knows how many it takes.
        let mut begun = 30;
        loop {
            let frames = listening.accept(b"").await;
            tokio::spawn(take_five(frames, begun, Arc::clone(&counting)));
            begun = 0;
        }
    });
    let mut client = H2Client::connect(gateway.address).await;
    let mut calls = Vec::new();
    for call in 0..30 {
        calls.push(client.begin(post(&format!("/{call}")), true).await);
    }
    for (number, call) in calls.into_iter().enumerate() {
        assert_eq!(call.answer().await.status, 200, "{number}");
    }
    assert_eq!(unheard.load(Ordering::Relaxed), 25, "none but those of the first connection");
    assert_eq!(trips(&gateway).await, 0);
    eventually("nothing waits", || gateway.in_flight() == 0).await;
    serving.abort();
}
