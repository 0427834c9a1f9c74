//! A data-plane worker: one thread, one current-thread runtime, its own connections and pools.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};

use crate::connections::{Full, Place};
use crate::context::Caller;
use crate::gateway::Gateway;
use crate::listener::{announced, connection, refuse, secure};
use crate::network::{Network, Sockets};
use crate::overload::gate::Keeper;
use crate::shard::Shard;
use crate::telemetry::metrics::{Announcement, ListenerSeries, ShedReason, own_thread};
use crate::threads;
use crate::tls::Slot;

/// How often idle connections are swept.
const TICK: Duration = Duration::from_secs(1);

/// How often it is measured how late the loop is: while all is well, and while something is the matter.
const CALM_LOOK: Duration = Duration::from_millis(100);
const CLOSE_LOOK: Duration = Duration::from_millis(10);

/// A loop that is this late is looked at closely.
const A_LITTLE_LATE: Duration = Duration::from_millis(5);

/// Connections that may wait for a worker that is busy for long; beyond them the kernel's backlog would not help.
const HANDED_OVER: usize = 4096;

/// A connection on its way from the accept thread to a worker.
pub struct Accepted {
    /// The socket, non-blocking, registered nowhere.
    pub stream: std::net::TcpStream,
    /// The other end.
    pub peer: SocketAddr,
    /// Its place among the open connections, or the limit that it met.
    pub place: Result<Place, Full>,
    /// The metrics of the listener that it came by.
    pub listener: Arc<ListenerSeries>,
    /// The number of that listener.
    pub number: Option<u16>,
    /// How the listener speaks TLS; `None` = in the clear.
    pub tls: Option<Arc<Slot>>,
    /// It begins with a header of the PROXY protocol.
    pub proxy_protocol: bool,
}

/// A worker as others see it.
#[derive(Clone)]
pub struct Worker {
    sender: mpsc::Sender<Accepted>,
    load: Arc<AtomicUsize>,
}

impl Worker {
    /// Connections that it serves, or is about to.
    pub fn load(&self) -> usize {
        self.load.load(Ordering::Relaxed)
    }

    /// The same count, for who looks at it later.
    pub fn load_handle(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.load)
    }

    /// Hands it a connection, and says whether it has room for it. One that comes on top of a long queue is closed, and
    /// so is one that comes after the worker's end: that has nothing to do with room.
    pub fn hand(&self, accepted: Accepted) -> bool {
        self.load.fetch_add(1, Ordering::Relaxed);
        let refused = self.sender.try_send(accepted).err();
        if refused.is_some() {
            self.load.fetch_sub(1, Ordering::Relaxed);
        }
        !matches!(refused, Some(mpsc::error::TrySendError::Full(_)))
    }

    /// One that stands still, with room for so many connections, and what it would read them from.
    #[cfg(test)]
    pub(crate) fn stuck(room: usize) -> (Self, mpsc::Receiver<Accepted>) {
        let (sender, receiver) = mpsc::channel(room);
        (Self { sender, load: Arc::default() }, receiver)
    }
}

/// A connection in its listener's metrics, for as long as it is open.
struct Counted(Arc<ListenerSeries>);

impl Counted {
    fn new(listener: Arc<ListenerSeries>) -> Self {
        listener.opened();
        Self(listener)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.closed();
    }
}

/// Gives a worker's load back when a connection ends, however it ends.
struct Load(Arc<AtomicUsize>);

impl Drop for Load {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection that has a place.
struct Arrived {
    shard: Arc<Shard<Sockets>>,
    stream: TcpStream,
    caller: Caller,
    listener: Arc<ListenerSeries>,
    number: Option<u16>,
    tls: Option<Arc<Slot>>,
    drain: watch::Receiver<bool>,
    kept: (Place, Load, Counted),
}

impl Arrived {
    /// Gives it a task of its own.
    fn serve(self) {
        let Self { shard, stream, caller, listener, number, tls, drain, kept } = self;
        let by = (caller, number);
        match tls.map(|slot| slot.current()) {
            None => drop(tokio::spawn(connection::serve_for(shard, stream, by, drain, kept))),
            Some(Some(acceptor)) => {
                tokio::spawn(secure::serve(shard, stream, by, (acceptor, listener), drain, kept));
            }
            // It cannot speak TLS, and must not speak in the clear.
            Some(None) => {}
        }
    }

    /// Listens to the balancer first, if it is one that is believed. What then is served has a task of its own: what
    /// was needed here is not held for as long as it lives.
    async fn announced(mut self) {
        let snapshot = self.shard.snapshot();
        let peer = self.caller.address();
        let trusted = snapshot.trusted.contains(peer.ip());
        let (within, max_per_ip) = {
            let server = &snapshot.config.server;
            (server.header_read_timeout, server.max_connections_per_ip)
        };
        drop(snapshot);
        let (what, caller) = if trusted {
            announced::read(&mut self.stream, peer, within, self.drain.clone()).await
        } else {
            (Announcement::Untrusted, None)
        };
        self.listener.announced(what);
        let Some(caller) = caller else { return };
        self.caller = caller;
        if let Some(max) = max_per_ip
            && let Err(full) = self.kept.0.count_for(caller.address().ip(), max)
        {
            let by = (self.caller, self.number);
            turn_away(&self.shard, (self.stream, by, self.tls.is_some()), full, self.kept.1);
            return;
        }
        self.serve();
    }
}

/// Connections of a worker that are being told that there is no place for them. Beyond that they are closed without a
/// word: a flood of them must not take what those need that have a place.
const TURNED_AWAY_MAX: u32 = 64;
/// The same where descriptors are short: each of them holds one.
const TURNED_AWAY_SHORT: u32 = 2;

/// Tells a connection that has no place so, and closes it.
fn turn_away(
    shard: &Arc<Shard<Sockets>>,
    (stream, by, is_secured): (TcpStream, (Caller, Option<u16>), bool),
    full: Full,
    load: Load,
) {
    let (reason, most) = match full {
        Full::Total => (ShedReason::Connections, TURNED_AWAY_MAX),
        Full::Address => (ShedReason::ConnectionsPerIp, TURNED_AWAY_MAX),
        Full::Descriptors => (ShedReason::Sockets, TURNED_AWAY_SHORT),
    };
    shard.shared.shed(reason);
    // What is said in the clear is not understood there, and the signature of a handshake is the dearest thing that a
    // connection can ask for: whoever floods the listener would be given it.
    if is_secured {
        return;
    }
    if let Some(place) = shard.turned_away.try_enter(most) {
        let refusing = refuse::turn_away(Arc::clone(shard), stream, by, full);
        tokio::spawn(async move {
            refusing.await;
            drop((load, place));
        });
    }
}

/// Starts a worker's thread. It ends when `stop` turns true; connections that are open then are cut.
///
/// # Errors
/// The thread or its runtime could not be made.
pub fn start(
    gateway: Arc<Gateway<Sockets>>,
    index: usize,
    drain: watch::Receiver<bool>,
    stop: watch::Receiver<bool>,
) -> std::io::Result<(Worker, JoinHandle<()>)> {
    let (sender, receiver) = mpsc::channel(HANDED_OVER);
    let load = Arc::new(AtomicUsize::new(0));
    let worker = Worker { sender, load: Arc::clone(&load) };
    let thread = threads::with_runtime(format!("worker-{index}"), move |runtime| {
        let shard = Arc::clone(&gateway.shards()[index]);
        let _own = own_thread(std::ptr::from_ref(&*gateway).addr(), index);
        runtime.block_on(run(Arc::clone(&gateway), shard, receiver, load, drain, stop));
        // Tasks that still hold connections are dropped with the runtime.
        runtime.shutdown_background();
    })?;
    Ok((worker, thread))
}

async fn run(
    gateway: Arc<Gateway<Sockets>>,
    shard: Arc<Shard<Sockets>>,
    mut receiver: mpsc::Receiver<Accepted>,
    load: Arc<AtomicUsize>,
    drain: watch::Receiver<bool>,
    mut stop: watch::Receiver<bool>,
) {
    tokio::spawn(keep_house(gateway, Arc::clone(&shard)));
    let accept = async {
        while let Some(accepted) = receiver.recv().await {
            let load = Load(Arc::clone(&load));
            let Ok(stream) = TcpStream::from_std(accepted.stream) else { continue };
            let place = match accepted.place {
                Ok(place) => place,
                Err(full) => {
                    let by = (Caller::At(accepted.peer), accepted.number);
                    turn_away(&shard, (stream, by, accepted.tls.is_some()), full, load);
                    continue;
                }
            };
            let (shard, drain) = (Arc::clone(&shard), drain.clone());
            let counted = Counted::new(Arc::clone(&accepted.listener));
            let (caller, kept) = (Caller::At(accepted.peer), (place, load, counted));
            let (listener, number, tls) = (accepted.listener, accepted.number, accepted.tls);
            let arrived = Arrived { shard, stream, caller, listener, number, tls, drain, kept };
            if accepted.proxy_protocol {
                tokio::spawn(arrived.announced());
            } else {
                arrived.serve();
            }
        }
        // Nobody accepts any more; what is open is served until the end is called.
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = accept => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}

/// Measures how late this worker's loop is, by a timer of its own that stands in the same queue as all else, and moves
/// its gates; sweeps its idle connections.
pub async fn keep_house<N: Network>(gateway: Arc<Gateway<N>>, shard: Arc<Shard<N>>) {
    let clock = shard.shared.clock.clone();
    let (mut keeper, mut verifying, mut wait) = (Keeper::default(), Keeper::default(), CALM_LOOK);
    let (mut sweep_at, mut dated) = (clock.now() + TICK, 0);
    loop {
        let due = clock.now() + wait;
        tokio::time::sleep(wait).await;
        let now = clock.now();
        let delay = now.saturating_duration_since(due);
        shard.shared.metrics.gateway().loop_delay(shard.index, delay);
        shard.gate.observe(&mut keeper, now, delay);
        let none_wait = shard.shared.identity.observe(shard.index, &mut verifying, now);
        let calm = none_wait && delay < A_LITTLE_LATE && shard.gate.is_open() && !shard.gate.is_paused();
        wait = if calm { CALM_LOOK } else { CLOSE_LOOK };
        // At the first look of each second, so that a date is late by no more than a look.
        let second = clock.unix_seconds(now);
        if std::mem::replace(&mut dated, second) != second {
            shard.date.set(clock.http_date(now));
        }
        if now >= sweep_at {
            sweep_at = now + TICK;
            for upstream in gateway.upstreams() {
                upstream.sweep(shard.index, now);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::clock::Clock;
    use crate::config::{Purpose, load_text};
    use crate::gateway::World;
    use crate::network::Sockets;

    /// RFC 9110, section 6.6.1: the best approximation of the time at which the message was made.
    #[tokio::test(start_paused = true)]
    async fn a_date_is_late_by_no_more_than_a_look() {
        let config =
            load_text("[admin]\naddress = ''\n[telemetry.access_log]\noutput = 'off'\n", Path::new("-"), Purpose::Run);
        // A worker begins at any time of a second.
        let clock = Clock::starting_at(Duration::from_millis(1_700_000_000_930));
        let world = World { network: Sockets, clock: clock.clone(), seed: 1, shards: 1 };
        let gateway = Arc::new(Gateway::new(config.unwrap().config, world).unwrap());
        let shard = Arc::clone(&gateway.shards()[0]);
        tokio::spawn(keep_house(Arc::clone(&gateway), Arc::clone(&shard)));
        for _ in 0..100 {
            // virtual time
            tokio::time::sleep(Duration::from_millis(37)).await;
            let (now, mut known) = (clock.now(), shard.date.known());
            let dates = [Duration::ZERO, CALM_LOOK].map(|late| clock.http_date(now - late));
            assert!(dates.contains(shard.date.refresh(&mut known)), "{dates:?}");
        }
    }
}
