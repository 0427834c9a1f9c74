//! One connection of a hostile client, to its end or to the end of its time.

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use loadgen::clock::Clock;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

use super::act::Script;
use super::frames;
use super::seen::{End, Seen};

/// The buffer of a client that does not read, bytes, so that little of an answer fits into it.
const SMALL: u32 = 4096;
/// How much of what comes is kept to be understood: a head, or the frames up to a goodbye.
const KEPT: usize = 64 * 1024;
/// How long one that has not read looks for the end behind what it left unread.
const LOOK: Duration = Duration::from_secs(1);
/// How long one that breaks its connection lets the request be taken up.
const TAKEN_UP: Duration = Duration::from_millis(5);

/// How much is sent in one call, bytes. The kernel carries all of it to the other side before it gives up the core, and
/// meanwhile the driver, which has that core too, would be late.
const AT_ONCE: usize = 16 * 1024;
/// The pause behind each such piece, in which the driver has the core: still 16 MB/s from each connection.
const BREATH: Duration = Duration::from_millis(1);

/// Does what the script says until the gateway ends it, or `hold` is over.
pub(super) async fn visit(from: IpAddr, to: SocketAddr, script: &Script, hold: Duration, clock: Clock) -> Seen {
    let begun_ns = clock.now_ns();
    let held = || Duration::from_nanos(clock.now_ns().saturating_sub(begun_ns));
    let Ok(Ok(mut stream)) = timeout(hold, connect(from, to, script.reads)).await else {
        return Seen { end: End::NotTaken, held: held(), status: None, goaway: None };
    };
    if script.breaks {
        let _ = stream.write_all(&script.first).await;
        sleep(TAKEN_UP).await;
        // Where the system refuses that, it is an ordinary end, and as early.
        let _ = stream.set_zero_linger();
        return Seen { end: End::ByClient, held: held(), status: None, goaway: None };
    }
    let mut came = Vec::new();
    let (mut reads, mut writes) = stream.split();
    let ended = if script.reads {
        let both = async {
            tokio::select! {
                () = read(&mut reads, &mut came) => {}
                never = write(&mut writes, script) => match never {},
            }
        };
        timeout(hold, both).await.is_ok()
    } else {
        // It goes on for the whole time, and an error is as good as an end.
        let _ = timeout(hold, write(&mut writes, script)).await;
        timeout(LOOK, read(&mut reads, &mut came)).await.is_ok()
    };
    let end = if ended { End::ByGateway } else { End::ByClient };
    Seen { end, held: held(), status: status(&came), goaway: frames::goaway(&came) }
}

async fn connect(from: IpAddr, to: SocketAddr, reads: bool) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    if !reads {
        socket.set_recv_buffer_size(SMALL)?;
    }
    socket.connect(to).await
}

/// Reads to the end of the connection, whichever it is.
async fn read(stream: &mut (impl AsyncRead + Unpin), came: &mut Vec<u8>) {
    let mut piece = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut piece).await {
        came.extend_from_slice(&piece[..count.min(KEPT - came.len().min(KEPT))]);
    }
}

/// Sends what there is to be sent, as far as it is taken. Whether it was taken is seen by who reads.
async fn write(stream: &mut (impl AsyncWrite + Unpin), script: &Script) -> Infallible {
    let mut taken = Ok(());
    for piece in script.first.chunks(AT_ONCE) {
        if taken.is_ok() {
            taken = stream.write_all(piece).await;
            if piece.len() == AT_ONCE {
                sleep(BREATH).await;
            }
        }
    }
    if let Some((piece, pause)) = &script.then {
        while taken.is_ok() {
            sleep(*pause).await;
            taken = stream.write_all(piece).await;
        }
    }
    pending().await
}

/// The status of an answer in HTTP/1.
fn status(came: &[u8]) -> Option<u16> {
    let digits = came.strip_prefix(b"HTTP/1.1 ")?.get(..3)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hostile::{Act, address};

    /// What comes of a visit to a server that does this with each connection.
    async fn visited<F>(act: Act, hold: Duration, serve: impl FnOnce(TcpStream) -> F) -> (Seen, SocketAddr)
    where
        F: Future<Output = ()>,
    {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = listener.local_addr().unwrap();
        let script = act.script("/a", 0);
        let serve = async {
            let (stream, peer) = listener.accept().await.unwrap();
            serve(stream).await;
            peer
        };
        tokio::join!(visit(address(0), to, &script, hold, Clock::start()), serve)
    }

    #[tokio::test(flavor = "current_thread")]
    async fn it_is_seen_who_ends_a_connection_and_how() {
        let refuse = |mut stream: TcpStream| async move {
            let mut head = [0; 20];
            stream.read_exact(&mut head).await.unwrap();
            stream.write_all(b"HTTP/1.1 408 Request Timeout\r\n\r\n").await.unwrap();
        };
        let (seen, peer) = visited(Act::SlowHead, Duration::from_secs(60), refuse).await;
        assert_eq!((seen.end, seen.status), (End::ByGateway, Some(408)));
        assert_eq!(peer.ip(), address(0), "it has an address of its own");

        let keep = |mut stream: TcpStream| async move {
            let mut nothing = [0; 1];
            assert_eq!(stream.read(&mut nothing).await.unwrap(), 0, "it leaves without a word");
        };
        let (seen, _) = visited(Act::Silent, Duration::from_millis(50), keep).await;
        assert_eq!((seen.end, seen.status), (End::ByClient, None));
        assert!(seen.held >= Duration::from_millis(50));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn one_that_does_not_read_learns_of_its_end_behind_what_it_left() {
        let flood = |mut stream: TcpStream| async move {
            // More than buffers hold, so that the sending stops; then the end.
            let _ = timeout(Duration::from_millis(100), stream.write_all(&vec![b'x'; 16 << 20])).await;
        };
        let (seen, _) = visited(Act::SlowReader, Duration::from_secs(2), flood).await;
        assert_eq!(seen.end, End::ByGateway);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn one_that_breaks_its_connection_sends_its_request_and_an_rst() {
        let broken = |mut stream: TcpStream| async move {
            let mut asked = Vec::new();
            let error = stream.read_to_end(&mut asked).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
            assert!(asked.starts_with(b"GET /a HTTP/1.1\r\n"), "{asked:?}");
        };
        let (seen, _) = visited(Act::Broken, Duration::from_secs(60), broken).await;
        assert_eq!(seen.end, End::ByClient);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn nobody_there_is_seen() {
        // Bound, and not listening: a port that was only free a moment ago may be another test's by now.
        let bound = TcpSocket::new_v4().unwrap();
        bound.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let free = bound.local_addr().unwrap();
        let script = Act::Silent.script("/", 0);
        let seen = visit(address(0), free, &script, Duration::from_secs(1), Clock::start()).await;
        assert_eq!(seen.end, End::NotTaken);
    }
}
