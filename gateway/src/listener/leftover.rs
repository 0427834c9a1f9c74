//! What a client goes on sending over HTTP/2 of a body that nobody reads on, once its answer has gone out. Thrown away
//! for as long as over HTTP/1: a client that is busy sending looks for an answer only afterwards, and one whose stream
//! is reset meanwhile may take that for its answer's end, whatever RFC 9113, section 8.1, says.
//!
//! No more is held than the stream's window; for how long, and of how many streams of a connection, is bounded.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use h2::RecvStream;
use tokio::time::timeout;

use super::connection::{LINGER_TIME, LISTEN_TIME, SILENCE_TIME};

/// Hears a client out. A drain leaves it a moment. Its stream is reset when this is over and the body is not.
pub(super) async fn hear_out(mut body: RecvStream, draining: &AtomicBool) {
    let _ = timeout(LISTEN_TIME, throw_away(&mut body, draining)).await;
}

async fn throw_away(body: &mut RecvStream, draining: &AtomicBool) {
    let mut silent = Duration::ZERO;
    while silent < SILENCE_TIME {
        // In steps, so that a drain that begins meanwhile waits for one of them alone.
        let came = timeout(LINGER_TIME, poll_fn(|cx| body.poll_data(cx))).await;
        let is_draining = draining.load(Ordering::Relaxed);
        match came {
            Ok(Some(Ok(data))) if !is_draining => {
                silent = Duration::ZERO;
                // That the stream is over already is nothing to complain of here.
                let _ = body.flow_control().release_capacity(data.len());
            }
            Err(_) if !is_draining => silent += LINGER_TIME,
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use h2::{Reason, SendStream};
    use http::{Request, Response, StatusCode};

    use super::*;
    use crate::clock::Clock;

    /// A client in the middle of its request's body, which was refused; it has read nothing of that. How the server's
    /// end of its stream came to its end is told by `heard`.
    struct Refused {
        sender: SendStream<Bytes>,
        answer: h2::client::ResponseFuture,
        heard: tokio::task::JoinHandle<()>,
    }

    async fn refused(draining: bool) -> Refused {
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        let (heard, told) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            let mut connection = h2::server::handshake(theirs).await.unwrap();
            let (request, mut respond) = connection.accept().await.unwrap().unwrap();
            let mut response = Response::new(());
            *response.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
            respond.send_response(response, true).unwrap();
            drop(respond);
            let hearing = async move { hear_out(request.into_body(), &AtomicBool::new(draining)).await };
            let _ = heard.send(tokio::spawn(hearing));
            while connection.accept().await.is_some() {}
        });
        let (mut client, connection) = h2::client::handshake(ours).await.unwrap();
        tokio::spawn(connection);
        let request = Request::post("http://a.test/").body(()).unwrap();
        let (answer, sender) = client.send_request(request, false).unwrap();
        Refused { sender, answer, heard: told.await.unwrap() }
    }

    /// Sends so many bytes as fast as the server takes them, and waits a while behind each part.
    async fn send(sender: &mut SendStream<Bytes>, mut bytes: usize, pause: Duration) -> Result<(), Option<Reason>> {
        while bytes > 0 {
            sender.reserve_capacity(bytes.min(16 * 1024));
            let room = match poll_fn(|cx| sender.poll_capacity(cx)).await {
                Some(Ok(room)) => room.min(bytes),
                Some(Err(error)) => return Err(error.reason()),
                None => return Err(None),
            };
            sender.send_data(vec![b'x'; room].into(), false).map_err(|error| error.reason())?;
            bytes -= room;
            // virtual time
            tokio::time::sleep(pause).await;
        }
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_sends_all_before_it_reads_gets_its_answer() {
        let Refused { mut sender, answer, heard } = refused(false).await;
        assert_eq!(send(&mut sender, 1_000_000, Duration::ZERO).await, Ok(()));
        sender.send_data(Bytes::new(), true).unwrap();
        heard.await.unwrap();
        assert_eq!(answer.await.unwrap().status(), StatusCode::PAYLOAD_TOO_LARGE);
    }

    #[tokio::test(start_paused = true)]
    async fn d_one_that_never_ends_is_reset_in_time_and_one_that_is_silent_sooner() {
        let clock = Clock::starting_at(Duration::ZERO);
        let began = clock.now();
        let Refused { mut sender, answer, heard } = refused(false).await;
        let sent = send(&mut sender, usize::MAX, Duration::from_millis(500)).await;
        assert!(matches!(sent, Err(None | Some(Reason::NO_ERROR))), "{sent:?}");
        heard.await.unwrap();
        assert_eq!((clock.now() - began).as_secs(), LISTEN_TIME.as_secs());
        assert_eq!(answer.await.unwrap().status(), StatusCode::PAYLOAD_TOO_LARGE);

        for (draining, silence) in [(false, SILENCE_TIME), (true, LINGER_TIME)] {
            let began = clock.now();
            let Refused { sender, heard, .. } = refused(draining).await;
            heard.await.unwrap();
            assert_eq!((clock.now() - began).as_secs(), silence.as_secs());
            drop(sender);
        }
    }
}
