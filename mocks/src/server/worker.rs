//! Workers: threads with a current-thread runtime each.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::watch;

use super::accept::Accept;
use super::alarm::{self, Alarm};
use super::connection::Connection;
use super::shared::{Shared, spawn};
use super::site::Site;
use super::socket::{Port, into_tokio};
use crate::calls::Pool;
use crate::world::{Endpoint, World};

/// A connection on its way to another worker.
struct Handover {
    stream: std::net::TcpStream,
    site: Site,
}

/// Where one worker's connections go to.
struct Desk {
    /// The worker's alarm clock.
    alarm: Arc<Alarm>,
    /// The worker's connections to those whom services call.
    pool: Arc<Pool>,
    /// The way to it; the first worker needs none.
    sender: Option<Sender<Handover>>,
}

/// The way to all workers, as the first one sees them.
#[derive(Clone)]
pub(crate) struct Workers {
    world: Arc<World>,
    desks: Arc<[Desk]>,
}

impl Workers {
    /// Serves a connection on the worker whose turn it is. Called on the first worker.
    pub(crate) fn serve(&self, stream: TcpStream, endpoint: &Arc<Endpoint>, number: u64) {
        let worker = usize::try_from((number - 1) % self.desks.len().max(1) as u64).unwrap_or(0);
        let Some(desk) = self.desks.get(worker) else { return };
        let (endpoint, world, alarm) = (endpoint.clone(), self.world.clone(), desk.alarm.clone());
        let site = Site { endpoint, world, worker, alarm, pool: desk.pool.clone(), number };
        match &desk.sender {
            None => spawn(Connection::new(stream, site).run()),
            // A stream that cannot be handed over is closed; so is one whose worker has ended.
            Some(sender) => drop(stream.into_std().map(|stream| sender.try_send(Handover { stream, site }))),
        }
    }
}

/// Connections that may wait for one worker.
const HANDED_OVER: usize = 4096;

/// Starts the workers and the accept tasks; they end when `stop` is set.
pub(crate) fn start(
    world: &Arc<World>,
    ports: Vec<(Port, socket2::Socket)>,
    threads: usize,
    stop: &watch::Receiver<bool>,
) -> io::Result<Vec<JoinHandle<()>>> {
    let first_alarm = alarm::new()?;
    let mut desks = vec![Desk { alarm: first_alarm.clone(), pool: Arc::default(), sender: None }];
    let mut handles = Vec::new();
    for number in 1..threads {
        let (sender, receiver) = channel(HANDED_OVER);
        let alarm = alarm::new()?;
        desks.push(Desk { alarm: alarm.clone(), pool: Arc::default(), sender: Some(sender) });
        let work = async move {
            spawn(alarm.run());
            serve_handovers(receiver).await;
        };
        handles.push(thread(number, work, stop.clone())?);
    }
    handles.push(thread(0, first(world, ports, desks, first_alarm), stop.clone())?);
    Ok(handles)
}

/// One worker without a thread of its own.
pub(crate) fn start_shared(world: &Arc<World>, ports: Vec<(Port, socket2::Socket)>) -> io::Result<Shared> {
    let alarm = alarm::new()?;
    let desks = vec![Desk { alarm: alarm.clone(), pool: Arc::default(), sender: None }];
    Shared::new(first(world, ports, desks, alarm))
}

/// What the first worker does: it accepts for all.
fn first(
    world: &Arc<World>,
    ports: Vec<(Port, socket2::Socket)>,
    desks: Vec<Desk>,
    alarm: Arc<Alarm>,
) -> impl Future<Output = ()> + Send + use<> {
    let workers = Workers { world: world.clone(), desks: desks.into() };
    let world = world.clone();
    async move {
        spawn(alarm.run());
        for ((port, listener), endpoint) in ports.into_iter().zip(world.endpoints.clone()) {
            // The socket was made by `Port` and is not blocking, so a runtime with a reactor takes it.
            let Ok(listener) = into_tokio(listener) else { continue };
            let accept = Accept { port, endpoint, world: world.clone(), workers: workers.clone() };
            spawn(accept.run(listener));
        }
        std::future::pending::<()>().await;
    }
}

async fn serve_handovers(mut receiver: Receiver<Handover>) {
    while let Some(Handover { stream, site }) = receiver.recv().await {
        if let Ok(stream) = TcpStream::from_std(stream) {
            spawn(Connection::new(stream, site).run());
        }
    }
}

fn thread(
    number: usize,
    work: impl Future<Output = ()> + Send + 'static,
    stop: watch::Receiver<bool>,
) -> io::Result<JoinHandle<()>> {
    let runtime = runtime()?;
    std::thread::Builder::new().name(format!("mock-worker-{number}")).spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                () = work => {}
                () = until_stopped(stop) => {}
            }
        });
    })
}

/// A runtime for the thread that drives it.
pub(crate) fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// Waits until `stopped` is set or its sender is gone.
pub(crate) async fn until_stopped(mut stopped: watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stopped| *stopped).await;
}
