//! The seam between the data plane and the world: how it connects and resolves names.
//!
//! The data plane is generic over `Network`, so the same code runs on sockets and in a simulated world. Time comes
//! through `clock`, randomness through a seed of the shard, tasks through tokio's `spawn`, all of which a simulation
//! controls. Listening needs no seam: whoever accepts hands streams to `listener::connection::serve`.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::OnceLock;
use std::time::Duration;

use rustix::process::{Resource, getrlimit};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, Interest};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::oneshot;

/// What bytes come and go by.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> ByteStream for S {}

/// What the data plane needs of a network.
pub trait Network: Clone + Send + Sync + 'static {
    /// A connection, of clients and to upstreams.
    type Stream: ByteStream;

    /// Opens a connection.
    fn connect(&self, address: SocketAddr) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// Addresses of a name; never empty.
    fn resolve(&self, host: &str, port: u16) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send;

    /// Takes over an idle connection that another worker opened, so that its events wake this worker.
    ///
    /// # Errors
    /// The stream could not be registered here; it is lost then.
    fn adopt(&self, stream: Self::Stream) -> io::Result<Self::Stream>;

    /// Whether nothing has come on a stream since a read of it had to wait; no system call, and nobody is registered to
    /// be woken. A network that cannot tell says no: then the stream is read to find out.
    fn is_quiet(_stream: &Self::Stream) -> bool {
        false
    }

    /// Makes the end of a stream that is dropped next a reset: whoever reads it cannot take what came for all there is.
    /// A network that knows no such thing does nothing.
    fn reset(_stream: &Self::Stream) {}
}

/// File descriptors that requests leave to operators, as the last ones that the process may have: for the admin
/// address, by which it is found out why requests are refused, and files that are read anew.
const RESERVED: u64 = 32;

/// Whether this is one of them. The system gives out the lowest that is free: there are hardly more then.
pub(crate) fn is_reserved(socket: &impl AsRawFd) -> bool {
    static FIRST: OnceLock<u64> = OnceLock::new();
    let first = FIRST.get_or_init(|| first_reserved(getrlimit(Resource::Nofile).current));
    u64::try_from(socket.as_raw_fd()).is_ok_and(|number| number >= *first)
}

/// Whether an `accept` that failed tells of one client's connection alone: it was taken off the queue, and the next may
/// be taken at once (accept(2), "Error handling"). Not EPERM, which may be said of all for as long as a rule stands.
pub(crate) fn is_of_one_client(error: &io::Error) -> bool {
    const OF_IT: [i32; 9] = [
        libc::ECONNABORTED,
        libc::ECONNRESET,
        libc::EPROTO,
        libc::ENOPROTOOPT,
        libc::EOPNOTSUPP,
        libc::ENETDOWN,
        libc::ENETUNREACH,
        libc::EHOSTDOWN,
        libc::EHOSTUNREACH,
    ];
    error.raw_os_error().is_some_and(|code| OF_IT.contains(&code))
}

/// Descriptors that clients leave to requests: a request in flight needs another one than its client's, to reach an
/// upstream, and clients that stay would hold all there are otherwise, so that none of them is served.
const LEFT_TO_REQUESTS: u64 = 4096;

/// How many connections clients may have, where so many descriptors are open before the first. Of few they get a little
/// less than half, so that all of them are served at once; checks of endpoints and files take some too.
pub(crate) fn room_for_clients(open: u64) -> Option<usize> {
    let most = getrlimit(Resource::Nofile).current?;
    Some(clients_part(first_reserved(Some(most)), open))
}

fn clients_part(most: u64, open: u64) -> usize {
    let all = most.saturating_sub(open);
    let part = (all / 2 - all / 16).max(all.saturating_sub(LEFT_TO_REQUESTS));
    usize::try_from(part).unwrap_or(usize::MAX).max(1)
}

/// Of a few descriptors a few are kept.
fn first_reserved(most: Option<u64>) -> u64 {
    most.map_or(u64::MAX, |most| most - RESERVED.min(most / 8))
}

/// A connection on which nothing has passed for so long is asked for by the system.
const ASKED_AFTER: Duration = Duration::from_secs(60);
/// So often, until it answers.
const ASKED_EVERY: Duration = Duration::from_secs(15);
/// And so many times: then nobody is there.
const ASKED_TIMES: u32 = 4;

/// Lets the system look after connections that are silent: a machine that has lost power, or its way here, says nothing
/// of it, and where both sides may be silent no time-out does. What a listening socket accepts has it from that one.
///
/// # Errors
/// The socket does not know of it.
pub(crate) fn keep_alive(socket: &impl AsFd) -> io::Result<()> {
    let asked = TcpKeepalive::new().with_time(ASKED_AFTER).with_interval(ASKED_EVERY).with_retries(ASKED_TIMES);
    SockRef::from(socket).set_tcp_keepalive(&asked)
}

/// Whether a connection to this address ends at a listener of this machine.
pub(crate) fn ends_at(to: SocketAddr, listener: SocketAddr) -> bool {
    let (to_ip, at) = (to.ip().to_canonical(), listener.ip().to_canonical());
    // Whoever connects to no address at all connects to this machine; by which family hangs on the system.
    let is_nowhere = to_ip.is_unspecified() && (at.is_loopback() || at.is_unspecified());
    // Which other addresses are this machine's is not known.
    let is_any = at.is_unspecified() && to_ip.is_loopback() && (at.is_ipv6() || to_ip.is_ipv4());
    to.port() == listener.port() && (is_nowhere || is_any || to_ip == at)
}

/// Asks the system's resolver, on a thread of its own. Where the system gives none that is an error, and a panic where
/// it is asked for by tokio: `pids.max` of a pod, or its user's processes.
async fn look_up(host: String, port: u16) -> io::Result<Vec<SocketAddr>> {
    let (tell, told) = oneshot::channel();
    let ask = move || {
        let found = (&*host, port).to_socket_addrs().map(Iterator::collect);
        // Who asked may have left.
        let _ = tell.send(found);
    };
    std::thread::Builder::new().name("lookup".into()).spawn(ask)?;
    told.await.unwrap_or_else(|_| Err(io::Error::other("its thread ended without a word")))
}

/// The real network: tokio's sockets.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sockets;

impl Network for Sockets {
    type Stream = TcpStream;

    async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if is_reserved(&socket) {
            return Err(io::Error::from_raw_os_error(libc::EMFILE));
        }
        keep_alive(&socket)?;
        let stream = socket.connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let addresses = look_up(host.to_owned(), port).await?;
        if addresses.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("{host} has no address")));
        }
        Ok(addresses)
    }

    fn adopt(&self, stream: TcpStream) -> io::Result<TcpStream> {
        TcpStream::from_std(stream.into_std()?)
    }

    #[inline]
    fn is_quiet(stream: &TcpStream) -> bool {
        // The work is not done, and that it could not be is said, while the stream is not ready.
        stream.try_io(Interest::READABLE, || Ok(())).is_err()
    }

    fn reset(stream: &TcpStream) {
        // A socket of which that cannot be said is gone already.
        let _ = stream.set_zero_linger();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_descriptors_are_kept_and_of_few_only_few() {
        let limits = [Some(20_000), Some(1024), Some(64), Some(4), None];
        assert_eq!(limits.map(first_reserved), [19_968, 992, 56, 4, u64::MAX]);
    }

    #[test]
    fn a_client_that_is_gone_is_no_trouble_of_the_machine() {
        let is = |code| is_of_one_client(&io::Error::from_raw_os_error(code));
        let of_one = [libc::ECONNABORTED, libc::ECONNRESET, libc::EPROTO, libc::EHOSTUNREACH, libc::ENETDOWN];
        let of_all = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM, libc::EAGAIN, libc::EPERM, libc::EBADF];
        assert_eq!((of_one.map(is), of_all.map(is)), ([true; 5], [false; 7]));
    }

    #[test]
    fn clients_leave_enough_to_requests_and_of_few_more_than_half() {
        assert_eq!(clients_part(19_968, 40), 15_832);
        assert_eq!(clients_part(992, 40), 417);
        assert_eq!(clients_part(56, 24), 14);
        assert_eq!(clients_part(56, 55), 1);
        assert_eq!(clients_part(56, 200), 1);
    }

    #[tokio::test]
    async fn a_name_is_looked_up_beside_the_loop_and_an_address_is_no_name() {
        assert_eq!(Sockets.resolve("::1", 80).await.unwrap(), ["[::1]:80".parse().unwrap()]);
        let found = Sockets.resolve("localhost", 80).await.unwrap();
        assert!(found.iter().all(|address| address.ip().is_loopback() && address.port() == 80), "{found:?}");
        assert!(Sockets.resolve("no\0name", 80).await.is_err());
    }

    #[tokio::test]
    async fn a_connection_that_falls_silent_is_asked_for_by_the_system() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = Sockets.connect(listener.local_addr().unwrap()).await.unwrap();
        let socket = SockRef::from(&stream);
        assert!(socket.keepalive().unwrap());
        let times = (socket.tcp_keepalive_time().unwrap(), socket.tcp_keepalive_interval().unwrap());
        assert_eq!((times, socket.tcp_keepalive_retries().unwrap()), ((ASKED_AFTER, ASKED_EVERY), ASKED_TIMES));
    }
}
