//! Connections that doze between two requests: nobody can tell from outside.

use mocks::{Effect, Rule};

use crate::support::{Gateway, echo};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

/// A gateway with a route `/pause` that answers 504 after a time in which an idle connection has long gone to doze: a wait
/// that is an event.
async fn pausing(server: &str, upstream: &mocks::Mock, never: &mocks::Mock) -> Gateway {
    never.set_rules([Rule::any().effect(Effect::Hang)]);
    let text = format!(
        "[server]\n{server}\n[[routes]]\npath = '/{{*rest}}'\nupstream = 'http://{}'\n\
         [[routes]]\npath = '/pause'\nupstream = 'http://{}'\ntimeout = '2500ms'\n",
        upstream.addr(),
        never.addr()
    );
    Gateway::start(&text).await
}

#[tokio::test]
async fn a_connection_that_has_dozed_serves_like_a_fresh_one() {
    let (upstream, never) = (echo().await, echo().await);
    let gateway = pausing("header_read_timeout = '150ms'", &upstream, &never).await;
    let (mut plain, mut pipelined, mut body, mut slow, mut broken) = (
        gateway.client().await,
        gateway.client().await,
        gateway.client().await,
        gateway.client().await,
        gateway.client().await,
    );
    for client in [&mut plain, &mut pipelined, &mut body, &mut slow, &mut broken] {
        assert_eq!(client.ask(GET).await.status, 200);
    }
    assert_eq!(gateway.get("/pause").await.status, 504);

    assert_eq!(plain.ask(GET).await.status, 200);
    pipelined.send(GET.repeat(20)).await;
    for _ in 0..20 {
        assert_eq!(pipelined.answer().await.status, 200);
    }
    let size = 100_000;
    let head = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {size}\r\n\r\n{}", "b".repeat(size));
    assert_eq!(body.ask(head).await.echo().get("body_bytes"), size);
    let answer = slow.ask("G").await;
    assert_eq!((answer.status, answer.code().as_str()), (408, "request_timeout"), "its first byte begins the time");
    assert_eq!(broken.ask("GET / HTTP/1.1\r\n\r\n").await.status, 400);
    broken.closed().await;
}

#[tokio::test]
async fn a_dozing_connection_is_closed_after_the_idle_timeout_and_by_a_drain() {
    let (upstream, never) = (echo().await, echo().await);
    let gateway = pausing("idle_timeout = '3s'", &upstream, &never).await;
    let mut client = gateway.client().await;
    assert_eq!(client.ask(GET).await.status, 200);
    client.closed().await;

    let mut client = gateway.client().await;
    assert_eq!(client.ask(GET).await.status, 200);
    assert_eq!(gateway.get("/pause").await.status, 504);
    let drain = tokio::spawn(gateway.drain());
    client.closed().await;
    assert_eq!(drain.await.unwrap().0, gateway::shutdown::Drained::Clean);
}
