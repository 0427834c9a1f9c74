//! `body_total_timeout` ends with the body, however long the answer to it takes; `per_try_timeout` begins with its end.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use crate::support::Gateway;
use crate::support::h2_upstream::H2Upstream;
use crate::support::inside::Inside;
use crate::support::{Client, echo};

/// Two routes, and upstreams that speak HTTP/2 and HTTP/1. What hangs by the second one gets its 504 when the time for
/// bodies is long over.
async fn start(upstream: &H2Upstream, other: &mocks::Mock, keys: &str) -> Gateway {
    other.set_rules([mocks::Rule::any().effect(mocks::Effect::Hang)]);
    let text = format!(
        "[server]\nbody_total_timeout = '50ms'\n[upstreams.up]\nendpoints = ['{}']\nprotocol = 'http2'\n\
         [[routes]]\npath = '/{{*rest}}'\nupstream = 'up'\n{keys}\n\
         [[routes]]\npath = '/later'\nupstream = 'http://{}'\ntimeout = '200ms'\n",
        upstream.address,
        other.addr()
    );
    Gateway::start(&text).await
}

/// Sends a body behind its head, once the upstream has been asked; comes back when the time for bodies is long over.
async fn upload(
    client: &mut Client,
    upstream: &mut H2Upstream,
    gateway: &Gateway,
) -> crate::support::h2_upstream::Asked {
    client.send("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\n").await;
    let mut asked = upstream.next().await;
    client.send("body").await;
    assert_eq!(asked.read().await.unwrap().0, b"body");
    assert_eq!(gateway.get("/later").await.status, 504);
    asked
}

#[tokio::test]
async fn a_body_that_came_whole_and_in_time_is_never_late() {
    let (mut upstream, other) = (H2Upstream::start().await, echo().await);
    let gateway = start(&upstream, &other, "").await;
    let mut client = gateway.client().await;
    for _ in 0..2 {
        upload(&mut client, &mut upstream, &gateway).await.answer("good");
        assert_eq!(client.answer().await.status, 200);
    }
    client.send("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nbody").await;
    upstream.next().await.answer("good");
    assert_eq!(client.answer().await.status, 200, "nor is one that comes at once behind such a one");
}

#[tokio::test]
async fn a_body_that_came_whole_and_in_time_may_be_sent_again_at_any_time() {
    let (mut upstream, other) = (H2Upstream::start().await, echo().await);
    let gateway = start(&upstream, &other, "retry = { attempts = 2 }").await;
    let mut client = gateway.client().await;
    upload(&mut client, &mut upstream, &gateway).await.head_only(503, &[]);
    let mut again = upstream.next().await;
    assert_eq!(again.read().await.unwrap().0, b"body");
    again.answer("good");
    assert_eq!(client.answer().await.status, 200);
}

/// Reads whatever comes; answers when there is no more of this length.
async fn answers_behind(mut stream: DuplexStream, length: usize) {
    let (mut read, mut buffer) = (Vec::new(), [0; 1024]);
    while !read.windows(4).any(|end| end == b"\r\n\r\n") || read.iter().filter(|byte| **byte == b'~').count() < length {
        match stream.read(&mut buffer).await {
            Ok(n @ 1..) => read.extend_from_slice(&buffer[..n]),
            _ => return,
        }
    }
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
}

/// One that broke off stays so, though its client goes on.
#[tokio::test(start_paused = true)]
async fn a_body_that_takes_too_long_in_all_is_408_also_inside_a_program() {
    let text = "[server]\nbody_total_timeout = '1s'\n[upstreams.up]\nendpoints = ['up:9']\n\
                [[routes]]\npath = '/{*rest}'\nupstream = 'up'\n";
    let world = Inside::in_memory(text, |stream| answers_behind(stream, 4));
    for (pause, expected) in [(Duration::from_millis(200), 200), (Duration::from_millis(400), 408)] {
        let parts = futures_util::stream::iter(0..4).then(move |_| async move {
            // virtual time
            tokio::time::sleep(pause).await;
            Ok::<_, std::io::Error>(Bytes::from_static(b"~"))
        });
        let request = http::Request::put("/").header("host", "a").body(Body::from_stream(parts)).unwrap();
        assert_eq!(world.ask(request).await.status(), expected, "{pause:?}");
    }
}

/// What a client takes to send its body is no time of its endpoint's.
#[tokio::test(start_paused = true)]
async fn an_attempts_time_begins_where_its_client_has_sent_all() {
    let text = "[upstreams.up]\nendpoints = ['up:9']\n[[routes]]\npath = '/{*rest}'\nupstream = 'up'\ntimeout = '15s'\n\
                retry = { attempts = 1, per_try_timeout = '500ms' }\n";
    // The second upstream waits for more than comes, and says nothing.
    for (answered_behind, expected) in [(20, 200), (99, 504)] {
        let world = Inside::in_memory(text, move |stream| answers_behind(stream, answered_behind));
        let parts = futures_util::stream::iter(0..20).then(|_| async {
            // virtual time
            tokio::time::sleep(Duration::from_millis(100)).await;
            Ok::<_, std::io::Error>(Bytes::from_static(b"~"))
        });
        let request = http::Request::post("/").header("host", "a").body(Body::from_stream(parts)).unwrap();
        let clock = gateway::clock::Clock::starting_at(Duration::ZERO);
        let began = clock.now();
        assert_eq!(world.ask(request).await.status(), expected);
        let took = clock.now().saturating_duration_since(began).as_millis();
        let least = if expected == 504 { 2_500 } else { 2_000 };
        assert!((least..least + 100).contains(&took), "{expected} after {took} ms");
    }
}
