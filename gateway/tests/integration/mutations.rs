//! Thousands of mutated requests and answers: no panic, nothing malformed goes on, nobody waits for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gateway::algorithms::rng::Draws;
use mocks::raw::Raw;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Client, Gateway, echo};

const REQUESTS: [&str; 8] = [
    "GET /a/b?c=d HTTP/1.1\r\nhost: a.test\r\naccept: */*\r\n\r\n",
    "POST /p HTTP/1.1\r\nhost: a.test\r\ncontent-length: 11\r\n\r\nhello world",
    "POST /c HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nx-t: 1\r\n\r\n",
    "GET http://a.test/abs HTTP/1.1\r\nhost: a.test\r\nconnection: x-a, keep-alive\r\nx-a: 1\r\n\r\n",
    "HEAD /h HTTP/1.0\r\nconnection: keep-alive\r\n\r\n",
    "PUT /e HTTP/1.1\r\nhost: a.test\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\nabc",
    "GET /ws HTTP/1.1\r\nhost: a.test\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
     sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nhost: a.test\r\n\r\n",
];

const ANSWERS: [&str; 6] = [
    "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nx-a: 1\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-t\r\n\r\n5\r\nhello\r\n0\r\nx-t: 1\r\n\r\n",
    "HTTP/1.1 204 No Content\r\n\r\n",
    "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
    "HTTP/1.0 200 OK\r\ncontent-type: text/plain\r\n\r\nuntil the close",
    "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nraw",
];

/// Bytes that mean something to somebody who reads HTTP.
const SPICE: [&[u8]; 14] = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b":",
    b"\t",
    b"\r\n\r\n",
    b"content-length: 3\r\n",
    b"0\r\n\r\n",
    b";",
    b"%00",
    b"transfer-encoding: chunked\r\n",
    b"\xff",
];

/// Changes a message in one to four places.
fn mutated(text: &str, rng: &mut Draws) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..=rng.next_u64() % 4 {
        let at = (rng.next_u64() as usize) % (bytes.len() + 1);
        match rng.next_u64() % 4 {
            0 if at < bytes.len() => bytes[at] = rng.next_u64() as u8,
            1 if at < bytes.len() => drop(bytes.drain(at..(at + 1 + (rng.next_u64() as usize) % 4).min(bytes.len()))),
            2 => {
                let again = bytes[..at].iter().rev().take(12).rev().copied().collect::<Vec<u8>>();
                bytes.splice(at..at, again);
            }
            _ => drop(bytes.splice(at..at, SPICE[(rng.next_u64() as usize) % SPICE.len()].iter().copied())),
        }
    }
    bytes
}

const TIMEOUTS: &str = "header_read_timeout = '150ms'\nidle_timeout = '150ms'\nbody_idle_timeout = '150ms'";

#[tokio::test]
async fn mutated_requests_are_answered_or_closed_and_nothing_malformed_goes_on() {
    const ROUNDS: u64 = 60;
    const AT_ONCE: u64 = 50;
    let upstream = echo().await;
    let gateway = Gateway::with(TIMEOUTS, upstream.addr()).await;
    for round in 0..ROUNDS {
        let mut waiting = Vec::new();
        for n in 0..AT_ONCE {
            let mut rng = Draws::new(round * AT_ONCE + n);
            let mut bytes = mutated(REQUESTS[(rng.next_u64() as usize) % REQUESTS.len()], &mut rng);
            bytes.extend_from_slice(b"GET /last HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n");
            let mut client = Client::connect(gateway.address).await;
            client.send(bytes).await;
            waiting.push(client);
        }
        for mut client in waiting {
            let _ = client.rest().await;
        }
    }
    assert_eq!(gateway.metric("gateway_panics_total").await, Some(0.0));
    let seen = upstream.counters();
    assert_eq!(seen.bad_requests, 0, "the upstream was sent something malformed");
    assert!(seen.requests > ROUNDS * AT_ONCE / 10, "many of them still are requests: {seen:?}");
    gateway.at_rest().await;
    assert_eq!(gateway.get("/").await.status, 200);
}

#[tokio::test]
async fn mutated_answers_are_relayed_refused_or_cut() {
    const ROUNDS: u64 = 40;
    const AT_ONCE: u64 = 50;
    let numbers = Arc::new(AtomicU64::new(0));
    let upstream = Raw::serve(move |mut stream, _| {
        let seed = numbers.fetch_add(1, Ordering::SeqCst);
        async move {
            let mut rng = Draws::new(seed);
            let bytes = mutated(ANSWERS[(rng.next_u64() as usize) % ANSWERS.len()], &mut rng);
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).await;
            let _ = stream.write_all(&bytes).await;
            // Half of them close at once, half wait for the gateway to.
            if seed.is_multiple_of(2) {
                let _ = stream.read(&mut head).await;
            }
        }
    })
    .await
    .unwrap();
    let gateway = Gateway::start(&crate::support::one_route(
        TIMEOUTS,
        "timeout = '150ms'\nidle_timeout = '150ms'",
        upstream.addr(),
    ))
    .await;
    let mut sent = 0;
    for _ in 0..ROUNDS {
        let mut waiting = Vec::new();
        for n in 0..AT_ONCE {
            let mut client = Client::connect(gateway.address).await;
            client.send(REQUESTS[(n as usize) % 2].replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n")).await;
            waiting.push(client);
            sent += 1;
        }
        for mut client in waiting {
            let text = client.rest().await;
            let head = String::from_utf8_lossy(&text);
            assert!(head.is_empty() || head.starts_with("HTTP/1.1 "), "{head:?}");
            assert!(!head.starts_with("HTTP/1.1 101"), "nobody asked for a switch: {head:?}");
        }
    }
    gateway.at_rest().await;
    gateway.records(sent).await;
    assert_eq!(gateway.metric("gateway_panics_total").await, Some(0.0));
}
