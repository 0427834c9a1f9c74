//! The accept thread: takes connections off the listening sockets and hands each to the worker with the fewest.
//!
//! One socket for each address: a drain can take what is queued before it closes, which sockets that share a port by
//! `SO_REUSEPORT` do not allow (closing one resets what its queue holds).

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;

use crate::connections::Connections;
use crate::gateway::Gateway;
use crate::network::{Sockets, is_of_one_client, is_reserved};
use crate::overload::gate::LONGEST_HOLD;
use crate::telemetry::metrics::{ListenerSeries, ShedReason};
use crate::threads;
use crate::tls::Slot;
use crate::worker::{Accepted, Worker};

/// After a failure that will not go away by itself at once, such as no more file descriptors.
const RETRY_AFTER: Duration = Duration::from_millis(50);

/// How often it is looked whether workers read again.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// A listening socket and who serves it.
pub struct Listening {
    /// The socket.
    pub socket: TcpListener,
    /// The one worker that it feeds, with `reuse_port`; otherwise any.
    pub worker: Option<usize>,
    /// Its number in the configuration.
    pub index: usize,
    /// Connections begin with a header of the PROXY protocol.
    pub proxy_protocol: bool,
}

/// Starts the accept thread. When `stop` turns true it takes what is queued, closes the sockets, and ends; its
/// receivers of `stop` are dropped only then, which a drain waits for.
///
/// # Errors
/// The thread or its runtime could not be made.
pub fn start(
    gateway: Arc<Gateway<Sockets>>,
    sockets: Vec<Listening>,
    workers: Vec<Worker>,
    connections: Arc<Connections>,
    stop: watch::Receiver<bool>,
) -> io::Result<JoinHandle<()>> {
    threads::with_runtime("accept".into(), move |runtime| {
        runtime.block_on(async {
            let workers: Arc<[Worker]> = workers.into();
            let mut loops = tokio::task::JoinSet::new();
            for listening in sockets {
                let name = listening.socket.local_addr().map_or_else(|_| String::new(), |address| address.to_string());
                let hand = Hand {
                    listener: gateway.shared().metrics.listener(&name),
                    tls: gateway.shared().tls.slot(listening.index),
                    gateway: Arc::clone(&gateway),
                    workers: Arc::clone(&workers),
                    connections: Arc::clone(&connections),
                    only: listening.worker,
                    number: u16::try_from(listening.index).ok(),
                    proxy_protocol: listening.proxy_protocol,
                };
                loops.spawn(accept(listening.socket, hand, stop.clone()));
            }
            while loops.join_next().await.is_some() {}
        });
        drop(stop);
    })
}

/// Where accepted connections go.
struct Hand {
    listener: Arc<ListenerSeries>,
    gateway: Arc<Gateway<Sockets>>,
    workers: Arc<[Worker]>,
    connections: Arc<Connections>,
    only: Option<usize>,
    /// The listener's number in the configuration; of those beyond all bounds `None`.
    number: Option<u16>,
    /// `None` where it speaks in the clear.
    tls: Option<Arc<Slot>>,
    proxy_protocol: bool,
}

impl Hand {
    fn over(&self, stream: std::net::TcpStream, peer: std::net::SocketAddr) {
        if stream.set_nonblocking(true).is_err() || stream.set_nodelay(true).is_err() {
            return;
        }
        let snapshot = self.gateway.snapshot();
        let server = &snapshot.config.server;
        // Behind a balancer a connection counts for the address that is named once it is served.
        let max_per_ip = server.max_connections_per_ip.filter(|_| !self.proxy_protocol);
        let place = self.connections.enter(peer.ip(), server.max_connections, max_per_ip);
        let worker = match self.only {
            Some(index) => self.workers.get(index),
            None => self.workers.iter().min_by_key(|worker| worker.load()),
        };
        if let Some(worker) = worker {
            let (listener, tls) = (Arc::clone(&self.listener), self.tls.clone());
            let (number, proxy_protocol) = (self.number, self.proxy_protocol);
            let accepted = Accepted { stream, peer, place, listener, number, tls, proxy_protocol };
            if !worker.hand(accepted) {
                // It stands still, and so many wait for it already.
                self.gateway.shared().shed(ShedReason::LoopDelay);
            }
        }
    }

    /// Whether no worker that could take a connection reads new requests.
    fn is_paused(&self) -> bool {
        let is_paused = |index: usize| self.gateway.shards()[index].gate.is_paused();
        match self.only {
            Some(index) => is_paused(index),
            None => (0..self.workers.len()).all(is_paused),
        }
    }

    /// A connection was closed, or waits to be taken, as the process has no descriptor for it, or hardly any more.
    async fn has_no_descriptor(&self) {
        self.gateway.shared().shed(ShedReason::Sockets);
        tokio::time::sleep(RETRY_AFTER).await;
    }

    /// Connections wait in the kernel's queue while nobody would read them; never for long.
    async fn wait_for_workers(&self) {
        let mut waited = Duration::ZERO;
        while waited < LONGEST_HOLD && self.is_paused() {
            tokio::time::sleep(LOOK_AGAIN).await;
            waited += LOOK_AGAIN;
        }
    }
}

async fn accept(socket: TcpListener, hand: Hand, mut stop: watch::Receiver<bool>) {
    let Ok(socket) = tokio::net::TcpListener::from_std(socket) else { return };
    loop {
        hand.wait_for_workers().await;
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        match accepted {
            Ok((stream, _)) if is_reserved(&stream) => {
                drop(stream);
                hand.has_no_descriptor().await;
            }
            Ok((stream, peer)) => {
                if let Ok(stream) = stream.into_std() {
                    hand.over(stream, peer);
                }
            }
            // The client gave up between its handshake and now, or cannot be reached any more.
            Err(error) if is_of_one_client(&error) => {}
            Err(_) => hand.has_no_descriptor().await,
        }
    }
    // What the kernel accepted for us before the socket closes is served, not reset.
    let Ok(socket) = socket.into_std() else { return };
    loop {
        match socket.accept() {
            Ok((stream, peer)) => hand.over(stream, peer),
            // Others wait behind it.
            Err(error) if is_of_one_client(&error) => {}
            Err(_) => break,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpStream};
    use std::path::Path;

    use super::*;
    use crate::clock::Clock;
    use crate::config::{Purpose, load_text};
    use crate::gateway::World;

    #[tokio::test]
    async fn a_connection_that_no_worker_takes_is_counted_as_it_is_closed() {
        let text = "[admin]\naddress = ''\n[telemetry.access_log]\noutput = 'off'\n";
        let config = load_text(text, Path::new("-"), Purpose::Run).unwrap().config;
        let clock = Clock::starting_at(Duration::from_secs(1_700_000_000));
        let world = World { network: Sockets, clock, seed: 1, shards: 1 };
        let gateway = Arc::new(Gateway::new(config, world).unwrap());
        let (worker, reads_nothing) = Worker::stuck(1);
        let mut reads_nothing = Some(reads_nothing);
        let hand = Hand {
            listener: gateway.shared().metrics.listener("here"),
            gateway: Arc::clone(&gateway),
            workers: [worker.clone()].into(),
            connections: Arc::default(),
            only: None,
            number: Some(0),
            tls: None,
            proxy_protocol: false,
        };
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        for (refused, has_ended) in [(0, false), (1, false), (2, false), (2, true)] {
            if has_ended {
                // A gateway that ends has nothing to do with a worker that stands still.
                reads_nothing = None;
            }
            let client = TcpStream::connect(socket.local_addr().unwrap()).unwrap();
            let (stream, peer) = socket.accept().unwrap();
            hand.over(stream, peer);
            let counted = gateway.shared().metrics.gateway().shed_total(ShedReason::LoopDelay);
            let waiting = usize::from(reads_nothing.is_some());
            assert_eq!((worker.load(), hand.connections.open(), counted), (1, waiting, refused));
            drop(client);
        }
    }
}
