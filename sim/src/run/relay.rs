//! A relay in front of a server, that can be cut and healed: connections break, and the server knows nothing of it.
//!
//! Unlike a server that was killed, one that was cut off keeps what it knows. A relay may lead to another server later,
//! as an address does that a fail-over moves. Two threads for each connection copy bytes; it stands in a run only where
//! the scenario cuts or fails over, since it takes its time.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::process::pin_thread;

/// Connections at once; a gateway has a few for each worker.
const MOST: usize = 1_024;
/// Longest wait for the server.
const PATIENCE: Duration = Duration::from_secs(1);
/// Bytes that are copied at once.
const PIECE: usize = 16 * 1024;

/// A relay.
#[derive(Debug)]
pub(super) struct Relay {
    pub(super) address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    /// The server.
    to: Mutex<SocketAddr>,
    is_cut: AtomicBool,
    ended: AtomicBool,
    /// Both sides of each connection, by its number.
    links: Mutex<HashMap<u64, [TcpStream; 2]>>,
}

impl Relay {
    /// A relay to this server, on a free port. Its threads stay on these cores, beside the server: the driver's are not
    /// for them.
    pub(super) fn start(to: SocketAddr, cores: &[usize]) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            to: Mutex::new(to),
            is_cut: AtomicBool::default(),
            ended: AtomicBool::default(),
            links: Mutex::default(),
        });
        let own = Arc::clone(&shared);
        let cores = cores.to_vec();
        let accepting = Some(std::thread::spawn(move || {
            // Threads inherit it. Where the core is not to be had, they run where they may.
            let _ = if cores.is_empty() { Ok(()) } else { pin_thread(&cores) };
            accept(&listener, &own);
        }));
        Ok(Self { address, shared, accepting })
    }

    /// Breaks every connection, and each new one at once.
    pub(super) fn cut(&self) {
        self.shared.is_cut.store(true, Ordering::SeqCst);
        self.shared.break_all();
    }

    /// Leads to another server from now on; connections to the former one break.
    pub(super) fn lead_to(&self, server: SocketAddr) {
        *self.shared.to() = server;
        self.shared.break_all();
    }

    /// Lets connections through again.
    pub(super) fn heal(&self) {
        self.shared.is_cut.store(false, Ordering::SeqCst);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.shared.break_all();
        // Wakes the thread that accepts.
        let _ = TcpStream::connect_timeout(&self.address, PATIENCE);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

impl Shared {
    fn links(&self) -> std::sync::MutexGuard<'_, HashMap<u64, [TcpStream; 2]>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn to(&self) -> std::sync::MutexGuard<'_, SocketAddr> {
        self.to.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn break_all(&self) {
        for (_, link) in self.links().drain() {
            // One that has ended by itself is broken enough.
            link.iter().for_each(|side| drop(side.shutdown(Shutdown::Both)));
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for (number, client) in (0..).zip(listener.incoming().flatten()) {
        if shared.ended.load(Ordering::SeqCst) {
            return;
        }
        // Dropped: closed at once.
        if shared.is_cut.load(Ordering::SeqCst) || shared.links().len() >= MOST {
            continue;
        }
        let to = *shared.to();
        let Ok(server) = TcpStream::connect_timeout(&to, PATIENCE) else { continue };
        let sides = [&client, &server].map(|side| side.set_nodelay(true).and_then(|()| side.try_clone()));
        let [Ok(client_side), Ok(server_side)] = sides else { continue };
        shared.links().insert(number, [client_side, server_side]);
        // Who cut in between, or led elsewhere, did not see it.
        if shared.is_cut.load(Ordering::SeqCst) || *shared.to() != to {
            shared.break_all();
        }
        let (Ok(from_client), Ok(from_server)) = (client.try_clone(), server.try_clone()) else { continue };
        for (from, into) in [(from_client, server), (from_server, client)] {
            let shared = Arc::clone(shared);
            std::thread::spawn(move || {
                copy(from, into);
                shared.links().remove(&number);
            });
        }
    }
}

/// Copies to the end of either, and closes both: who speaks this has no half-closed connections.
fn copy(mut from: TcpStream, mut into: TcpStream) {
    let mut piece = [0; PIECE];
    while let Ok(count) = from.read(&mut piece) {
        if count == 0 || into.write_all(&piece[..count]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = into.shutdown(Shutdown::Both);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that says back what it hears.
    fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                std::thread::spawn(move || {
                    let (mut reader, mut writer) = (stream.try_clone().unwrap(), stream);
                    let _ = io::copy(&mut reader, &mut writer);
                });
            }
        });
        address
    }

    fn asks(stream: &mut TcpStream) -> io::Result<()> {
        stream.write_all(b"a")?;
        stream.read_exact(&mut [0])
    }

    #[test]
    fn it_is_cut_under_open_connections_and_healed() {
        let relay = Relay::start(echo(), &[]).unwrap();
        let connect = || TcpStream::connect(relay.address).unwrap();
        let mut one = connect();
        asks(&mut one).unwrap();
        relay.cut();
        assert!(asks(&mut one).is_err(), "an open one breaks");
        assert!(asks(&mut connect()).is_err(), "a new one too");
        relay.heal();
        assert!(asks(&mut one).is_err(), "what is broken stays so");
        asks(&mut connect()).unwrap();
        let mut last = connect();
        asks(&mut last).unwrap();
        drop(relay);
        assert!(asks(&mut last).is_err());
    }

    #[test]
    fn it_leads_elsewhere_from_one_moment_on() {
        // Bound, and not listening: a port that was only free a moment ago may be another test's by now.
        let bound = tokio::net::TcpSocket::new_v4().unwrap();
        bound.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let relay = Relay::start(bound.local_addr().unwrap(), &[]).unwrap();
        let connect = || TcpStream::connect(relay.address).unwrap();
        assert!(asks(&mut connect()).is_err(), "nobody is there");
        relay.lead_to(echo());
        let mut one = connect();
        asks(&mut one).unwrap();
        relay.lead_to(echo());
        assert!(asks(&mut one).is_err(), "to the former one");
        asks(&mut connect()).unwrap();
    }
}
