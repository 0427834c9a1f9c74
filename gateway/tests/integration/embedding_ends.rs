//! A gateway inside a program: clients that do not read, and its own end.

use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::body::Body;
use gateway::gateway::Gateway;
use http_body::Body as _;
use http_body_util::BodyExt;
use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio::sync::Notify;

use crate::support::inside::{Inside, Memory, read_head};
use crate::support::{Echo, echo, eventually};

fn get(path: &str) -> http::Request<Body> {
    http::Request::get(path).header("host", "a").body(Body::empty()).unwrap()
}

#[tokio::test]
async fn a_request_of_http_2_has_one_cookie_as_behind_the_gateways_own_listeners() {
    let upstream = echo().await;
    let text = format!("[[routes]]\npath = '/{{*rest}}'\nupstream = 'http://{}'\n", upstream.addr());
    let world = Inside::on_sockets(&text);
    for (version, expected) in [(http::Version::HTTP_2, &["a=1; b=2"][..]), (http::Version::HTTP_11, &["a=1", "b=2"])] {
        let request = http::Request::get("http://a.test/x").version(version).header("host", "a.test");
        let request = request.header("cookie", "a=1").header("cookie", "b=2");
        let answer = world.ask(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status(), 200);
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let echo = Echo::of(&body);
        assert_eq!((echo.path(), echo.all("cookie")), ("/x", expected.to_vec()), "{version:?}");
    }
}

/// A layer around the gateway may hold a limit of its own, by which a body ends as an error.
#[tokio::test]
async fn a_body_beyond_a_limit_of_the_programs_is_too_large_and_no_client_that_left() {
    let upstream = echo().await;
    let text = format!("[[routes]]\npath = '/{{*rest}}'\nupstream = 'http://{}'\n", upstream.addr());
    let world = Inside::on_sockets(&text);
    for (most, expected) in [(4, 413), (8, 200)] {
        let body = Body::new(http_body_util::Limited::new(Body::from("too long"), most));
        let answer = world.ask(http::Request::put("/x").header("host", "a").body(body).unwrap()).await;
        assert_eq!(answer.status(), expected);
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body.windows(14).any(|part| part == b"body_too_large"), expected == 413, "{body:?}");
    }
}

/// Sends half of an answer, and breaks off when it is told to.
async fn breaks_off(mut stream: DuplexStream, now: Arc<Notify>) {
    read_head(&mut stream).await;
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf").await.unwrap();
    now.notified().await;
}

/// One failure opens its endpoint's breaker.
fn world() -> (Inside<Memory>, Arc<Notify>) {
    let now = Arc::<Notify>::default();
    let told = Arc::clone(&now);
    let text = "[server]\nbody_idle_timeout = '5s'\n[upstreams.up]\nendpoints = ['up:9']\n\
                breaker = { min_requests = 1, open_for = '60s' }\n\
                [[routes]]\npath = '/{*rest}'\nupstream = 'up'\nretry = { attempts = 1 }\n";
    (Inside::in_memory(text, move |stream| breaks_off(stream, Arc::clone(&told))), now)
}

/// An upstream that no longer waits for a client that is slow has not failed.
#[tokio::test(start_paused = true)]
async fn a_client_that_is_slow_to_read_opens_no_breaker_for_others() {
    for (pause, expected) in [(Duration::ZERO, 503), (Duration::from_secs(2), 200)] {
        let (world, now) = world();
        let mut body = world.ask(get("/a")).await.into_body();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "half");
        // virtual time
        tokio::time::sleep(pause).await;
        now.notify_one();
        assert!(body.frame().await.unwrap().is_err());
        let status = world.ask(get("/b")).await.status();
        assert_eq!(status, expected, "{pause:?}");
    }
}

/// A server asks for more when all that it holds is written, which of one that reads slowly may be late.
#[tokio::test(start_paused = true)]
async fn a_client_that_reads_slowly_gets_all_of_it() {
    let (world, now) = world();
    let mut body = world.ask(get("/a")).await.into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "half");
    // virtual time
    tokio::time::sleep(Duration::from_secs(6)).await;
    let waits = std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut body).poll_frame(cx).is_pending())).await;
    assert!(waits, "for the rest");
    now.notify_one();
    assert!(body.frame().await.unwrap().is_err());
    assert_eq!(world.in_flight(), (0, 0));
}

#[tokio::test]
async fn a_gateway_that_its_program_has_dropped_is_gone_with_all_that_it_did() {
    let upstream = echo().await;
    let text = format!(
        "[telemetry.access_log]\noutput = 'off'\n\
         [upstreams.up]\nendpoints = ['{}']\nhealth = {{ path = '/health', interval = '100ms', timeout = '1s' }}\n\
         [[routes]]\npath = '/{{*rest}}'\nupstream = 'up'\n",
        upstream.addr()
    );
    let gateway = Gateway::builder().config_text(text).build().unwrap();
    eventually("it is checked", || upstream.counters().requests > 0).await;
    let (whole, shared) = (Arc::downgrade(&gateway), Arc::downgrade(gateway.shared()));
    let upstream_of_it = Arc::downgrade(&gateway.upstreams()[0]);
    drop(gateway.into_service());
    eventually("it is gone", || whole.upgrade().is_none()).await;
    eventually("and its tasks", || shared.upgrade().is_none()).await;
    // Whoever checks holds it for as long as a check takes, and begins none without it.
    eventually("and its checks", || upstream_of_it.upgrade().is_none()).await;
}
