//! `coalesce`: what a shared call has of time and memory.

use std::time::Duration;

use axum::body::Body;
use http_body_util::BodyExt;
use mocks::raw::{Gate, Raw, Script};
use tokio::io::{AsyncWriteExt, DuplexStream};

use crate::support::inside::{Inside, read_head};
use crate::support::{Gateway, eventually};

/// Answers once the gate is open, as often as it is asked.
async fn gated(gate: &Gate) -> Raw {
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
    Raw::script(Script::new().read_request().wait(gate).send(answer).again()).await.unwrap()
}

/// The least that `body_match_memory` can be, bytes.
const MEMORY: usize = 4 * 1024 * 1024;

/// Clients may take their time with what they share: others need memory too.
#[tokio::test]
async fn shared_answers_leave_three_quarters_of_the_memory_to_others() {
    for (held, calls) in [(MEMORY / 4 - 1024, 1), (MEMORY / 4, 2)] {
        let gate = Gate::new();
        let up = gated(&gate).await;
        let text = format!(
            "[server]\nbody_match_memory = '4MiB'\n[upstreams.up]\nendpoints = ['{}']\n\
             [[routes]]\npath = '/{{*rest}}'\nupstream = 'up'\ncoalesce = true\n",
            up.addr()
        );
        let gateway = Gateway::start(&text).await;
        let shard = &gateway.inner().shards()[0];
        let others = shard.held.take(held, MEMORY).unwrap();
        let (mut one, mut two) = (gateway.client().await, gateway.client().await);
        for client in [&mut one, &mut two] {
            client.send("GET /a HTTP/1.1\r\nhost: a\r\n\r\n").await;
        }
        eventually("both wait", || shard.flights.waiting() == 2).await;
        gate.open();
        for client in [&mut one, &mut two] {
            let answer = client.answer().await;
            assert_eq!((answer.status, &answer.body[..]), (200, &b"hello"[..]));
        }
        assert_eq!(up.received().concat().windows(5).filter(|bytes| bytes == b"GET /").count(), calls, "{held} held");
        drop(others);
    }
}

/// Sends the head, and the last byte so much later.
async fn slow(mut stream: DuplexStream, head: Duration, rest: Duration) {
    read_head(&mut stream).await;
    // virtual time
    tokio::time::sleep(head).await;
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhell").await.unwrap();
    // virtual time
    tokio::time::sleep(rest).await;
    let _ = stream.write_all(b"o").await;
    std::future::pending::<()>().await;
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// What two clients get that ask at once, in a hurry or not, of a route with this much time; the better answer first.
async fn asked(timeout: &str, hurry: Option<&str>, (head, rest): (Duration, Duration)) -> [(u16, bool); 2] {
    let text = format!(
        "[upstreams.up]\nendpoints = ['up:9']\n\
         [[routes]]\npath = '/{{*rest}}'\nupstream = 'up'\ncoalesce = true\ntimeout = '{timeout}'\n"
    );
    let world = Inside::in_memory(&text, move |stream| slow(stream, head, rest));
    let ask = async || {
        let mut request = http::Request::get("/a").header("host", "a");
        if let Some(hurry) = hurry {
            request = request.header("x-request-timeout-ms", hurry);
        }
        let answer = world.ask(request.body(Body::empty()).unwrap()).await;
        let status = answer.status().as_u16();
        (status, answer.into_body().collect().await.unwrap().to_bytes() == "hello")
    };
    let mut both = <[_; 2]>::from(tokio::join!(ask(), ask()));
    both.sort_unstable();
    both
}

/// As without `coalesce`: `timeout` is the time until the answer's head.
#[tokio::test(start_paused = true)]
async fn an_answer_whose_head_came_in_time_is_given_however_late_its_last_byte_is() {
    for (timeout, hurry) in [("1s", None), ("4s", Some("1000"))] {
        for rest in [ms(200), ms(500)] {
            // The longer one streams to one of them; the other asks for itself, which takes longer than it has.
            let given = asked(timeout, hurry, (ms(900), rest)).await;
            let expected = if rest == ms(200) { [(200, true); 2] } else { [(200, true), (504, false)] };
            assert_eq!(given, expected, "{timeout} {hurry:?} {rest:?}");
        }
        assert_eq!(asked(timeout, hurry, (ms(1100), ms(0))).await, [(504, false); 2], "{timeout} {hurry:?}");
    }
}
