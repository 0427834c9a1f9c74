//! Whose connection it is where balancers say so first, by the PROXY protocol.
//!
//! Nobody but a trusted proxy is listened to: whoever else reached this port would choose their own address. No byte
//! behind the header is read here.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::watch;

use super::drain::{self, ON_ITS_WAY};
use crate::context::Caller;
use crate::proxy_protocol::{Header, Progress, Refused, parse};
use crate::telemetry::metrics::Announcement;

/// Reads the header. There is no caller where the connection is to be closed.
pub async fn read<S: AsyncRead + Unpin>(
    stream: &mut S,
    peer: SocketAddr,
    within: Duration,
    drain: watch::Receiver<bool>,
) -> (Announcement, Option<Caller>) {
    // When a drain begins, a header may be on its way, and a request behind it.
    let header = tokio::select! {
        header = tokio::time::timeout(within, header(stream)) => header,
        () = drain::wait_and(drain, ON_ITS_WAY) => Ok(Err(Announcement::Closed)),
    };
    match header.unwrap_or(Err(Announcement::Timeout)) {
        Ok(Header::Client(client)) => (Announcement::Client, Some(Caller::At(client))),
        Ok(Header::Unknown) => (Announcement::Unknown, Some(Caller::Behind(peer))),
        Ok(Header::Local) => (Announcement::Local, Some(Caller::At(peer))),
        Err(why) => (why, None),
    }
}

async fn header<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Header, Announcement> {
    let mut bytes = Vec::new();
    loop {
        match parse(&bytes) {
            Ok(Progress::Whole(header, _)) => return Ok(header),
            Ok(Progress::Missing(least)) => {
                let read = bytes.len();
                bytes.resize(read + least, 0);
                match stream.read(&mut bytes[read..]).await {
                    Ok(0) | Err(_) => return Err(Announcement::Closed),
                    Ok(count) => bytes.truncate(read + count),
                }
            }
            Err(Refused::Absent) => return Err(Announcement::Absent),
            Err(Refused::Malformed) => return Err(Announcement::Malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::AsyncWriteExt;

    use super::*;

    const LINE: &[u8] = b"PROXY TCP4 203.0.113.7 10.0.0.1 51234 443\r\n";
    const WITHIN: Duration = Duration::from_secs(10);

    fn peer() -> SocketAddr {
        ([10, 0, 0, 1], 9).into()
    }

    #[tokio::test]
    async fn however_a_header_comes_not_a_byte_behind_it_is_read() {
        for piece in 1..LINE.len() + 8 {
            let (mut ours, mut theirs) = tokio::io::duplex(piece);
            let (_keep, drain) = watch::channel(false);
            let send = async {
                theirs.write_all(LINE).await.unwrap();
                theirs.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
                drop(theirs);
            };
            let receive = async {
                let read = read(&mut ours, peer(), WITHIN, drain).await;
                let mut rest = Vec::new();
                ours.read_to_end(&mut rest).await.unwrap();
                (read, rest)
            };
            let ((), (read, rest)) = tokio::join!(send, receive);
            assert_eq!(read, (Announcement::Client, Some(Caller::At(([203, 0, 113, 7], 51234).into()))), "{piece}");
            assert_eq!(rest, b"GET / HTTP/1.1\r\n", "{piece}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_header_that_does_not_come_whole_is_not_waited_for_beyond_its_time() {
        let (mut ours, mut theirs) = tokio::io::duplex(64);
        let (_keep, drain) = watch::channel(false);
        theirs.write_all(&LINE[..20]).await.unwrap();
        let mut reading = Box::pin(read(&mut ours, peer(), WITHIN, drain));
        // Virtual time.
        let earlier = tokio::time::timeout(WITHIN - Duration::from_millis(1), &mut reading);
        assert!(earlier.await.is_err(), "it is waited for until then");
        assert_eq!(reading.await, (Announcement::Timeout, None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_waits_a_moment_and_no_longer() {
        let (mut ours, mut theirs) = tokio::io::duplex(64);
        let (begin, drain) = watch::channel(true);
        theirs.write_all(LINE).await.unwrap();
        assert_eq!(read(&mut ours, peer(), WITHIN, drain.clone()).await.0, Announcement::Client);
        // Virtual time.
        let read = tokio::time::timeout(ON_ITS_WAY * 2, read(&mut ours, peer(), WITHIN, drain));
        assert_eq!(read.await, Ok((Announcement::Closed, None)));
        drop(begin);
    }
}
