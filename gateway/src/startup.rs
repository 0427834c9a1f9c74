//! From a configuration to a running gateway; `running.rs` is what it is then, and how it ends.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::watch;

use crate::admin;
use crate::beside;
use crate::clock::{self, Clock};
use crate::config::Files;
use crate::config::settings::Config;
use crate::connections::Connections;
use crate::gateway::{Gateway, World};
use crate::listener::accept::{self, Listening};
use crate::listener::{bind, refuse};
use crate::network::{self, Sockets};
use crate::openapi::{self, Keeper};
use crate::plugins::Plugins;
use crate::reload::Reloader;
use crate::running::Parts;
use crate::shard::Shared;
use crate::shutdown::Switches;
use crate::telemetry::events::Event;
use crate::telemetry::process::ProcessStats;
use crate::telemetry::told::Voice;
use crate::telemetry::{access_log, events, notice};
use crate::tls::expiry;
use crate::worker;

pub use crate::running::{Running, Signals};

/// The system's wall clock is read again this often, so that records follow its corrections.
const CLOCK_RESYNC: Duration = Duration::from_secs(10);
/// The system's clock was set where it moved by so much at once, milliseconds.
const STEP_MS: u64 = 1_000;
/// How often it is looked whether the access log can be written.
const LOG_LOOK: Duration = Duration::from_secs(5);

/// What could not be had at start; the text is one line with the remedy.
#[derive(Debug)]
pub struct StartError(pub String);

/// Binds, starts workers and the accept thread, and serves admin on the current runtime.
///
/// # Errors
/// What could not be had, with the remedy.
pub async fn start(config: Config, path: Option<PathBuf>, files: Files) -> Result<Running, StartError> {
    start_with(config, (path, files), Given { plugins: Plugins::none(), seed: seed(), sockets: Vec::new() }).await
}

/// What a program brings to a start, beside a configuration.
pub(crate) struct Given {
    /// What it has registered in code.
    pub(crate) plugins: Plugins,
    /// What decides every random choice.
    pub(crate) seed: u64,
    /// Sockets that it holds, each for the listener of this name.
    pub(crate) sockets: Vec<(String, TcpListener)>,
}

/// The same for a program that has registered something in code.
pub(crate) async fn start_with(
    config: Config,
    (path, files): (Option<PathBuf>, Files),
    Given { plugins, seed, sockets }: Given,
) -> Result<Running, StartError> {
    let workers = match config.server.workers {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        workers => workers,
    };
    let sockets = bind_all(&config, workers, sockets)?;
    let listeners = addresses(&sockets)?;
    let listening = listening(&config, &sockets)?;
    let admin_socket =
        config.admin.as_ref().map(|admin| listen(admin.address, bind::Families::Both, false)).transpose();
    let admin_socket = admin_socket.map_err(|StartError(why)| StartError(format!("admin: {why}")))?;
    let world = World { network: Sockets, clock: Clock::system(), seed, shards: workers };
    let gateway =
        Gateway::with_plugins(config, world, plugins).map_err(|error| StartError(format!("access log: {error}")))?;
    let gateway = Arc::new(gateway);
    gateway.shared().tls.reached_at(listening.iter().map(|one| one.address).collect());
    // Before anything connects.
    if let Some(address) = admin_socket.as_ref().and_then(|socket| socket.local_addr().ok()) {
        gateway.shared().upstreams.surroundings().closed.close(address);
    }
    let (stop_accepting, accepting) = watch::channel(false);
    let (close_idle, idle) = watch::channel(false);
    let (stop_workers, stopped) = watch::channel(false);
    let mut threads = Vec::new();
    let mut handles = Vec::new();
    for index in 0..workers {
        let (handle, thread) = worker::start(Arc::clone(&gateway), index, idle.clone(), stopped.clone())
            .map_err(|error| StartError(format!("cannot start worker {index}: {error}")))?;
        handles.push(handle);
        threads.push(thread);
    }
    keep_up(&gateway);
    let open = ProcessStats::read().open_fds.unwrap_or(0);
    let connections = Arc::new(Connections::within(network::room_for_clients(open)));
    let loads = handles.iter().map(worker::Worker::load_handle).collect();
    let accept = accept::start(Arc::clone(&gateway), sockets, handles, Arc::clone(&connections), accepting)
        .map_err(|error| StartError(format!("cannot start the accept thread: {error}")))?;
    threads.push(accept);
    let reloader = Arc::new(Reloader::new(Arc::clone(&gateway), path, files));
    let (ask_drain, drain_asked) = watch::channel(false);
    let admin = serve_admin(admin_socket, &gateway, &reloader, (&connections, loads), (ask_drain, listening))?;
    let watching = Arc::clone(&reloader);
    let watch = move || Arc::clone(&watching).watch_files();
    tokio::spawn(beside::keep(Arc::clone(gateway.shared()), "watch over files", watch));
    let switches = Switches { stop_accepting, close_idle, stop_workers };
    Ok(Running::new(Parts { gateway, reloader, switches, connections, threads, listeners, admin, drain_asked }))
}

/// What happens beside requests.
type Beside = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Starts all that happens beside requests, on the current runtime.
pub(crate) fn keep_up(gateway: &Arc<Gateway<Sockets>>) {
    gateway.keep_discovering();
    gateway.keep_watch();
    let of = |work: fn(Arc<Shared<Sockets>>) -> Beside| {
        let shared = Arc::clone(gateway.shared());
        move || work(Arc::clone(&shared))
    };
    gateway.beside("clock", of(|shared| Box::pin(follow_wall_clock(shared))));
    gateway.beside("watch over the access log", of(|shared| Box::pin(tell_of_log_failures(shared))));
    gateway.beside("ends of certificates", of(|shared| Box::pin(expiry::keep_telling(shared))));
    if matches!(gateway.shared().events.voice(), Voice::StandardError) {
        let events = Arc::clone(&gateway.shared().events);
        let follow = move || events.follow(events::said_aloud(), None);
        // The first from now on, whenever that is begun.
        let mut first = Some(follow());
        gateway.beside("events said aloud", move || events::say(first.take().unwrap_or_else(&follow)));
    }
}

fn bind_all(
    config: &Config,
    workers: usize,
    mut held: Vec<(String, TcpListener)>,
) -> Result<Vec<Listening>, StartError> {
    let mut sockets = Vec::new();
    let families = |address| bind::Families::beside(address, config.listeners.iter().map(|listener| listener.address));
    for (index, listener) in config.listeners.iter().enumerate() {
        let proxy_protocol = listener.proxy_protocol;
        let is_its = |(name, _): &(String, TcpListener)| listener.name.as_deref() == Some(&**name);
        if let Some(at) = held.iter().position(is_its) {
            let (name, socket) = held.swap_remove(at);
            let unusable = |error: io::Error| StartError(format!("the socket of the listener {name:?}: {error}"));
            socket.set_nonblocking(true).map_err(unusable)?;
            network::keep_alive(&socket).map_err(unusable)?;
            sockets.push(Listening { socket, worker: None, index, proxy_protocol });
            continue;
        }
        if !listener.reuse_port {
            let socket = listen(listener.address, families(listener.address), false)?;
            sockets.push(Listening { socket, worker: None, index, proxy_protocol });
            continue;
        }
        let first = listen(listener.address, families(listener.address), true)?;
        let address = first.local_addr().map_err(|error| StartError(error.to_string()))?;
        sockets.push(Listening { socket: first, worker: Some(0), index, proxy_protocol });
        for worker in 1..workers {
            let socket = listen(address, families(address), true)?;
            sockets.push(Listening { socket, worker: Some(worker), index, proxy_protocol });
        }
    }
    match held.first() {
        None => Ok(sockets),
        Some((name, _)) => Err(StartError(format!(
            "a socket is given for the listener {name:?}: no [[listeners]] has this `name`, or it has one already"
        ))),
    }
}

fn listen(address: SocketAddr, families: bind::Families, reuse_port: bool) -> Result<TcpListener, StartError> {
    bind::bind(address, families, reuse_port).map_err(|error| StartError(bind::remedy(address, &error)))
}

fn addresses(sockets: &[Listening]) -> Result<Vec<SocketAddr>, StartError> {
    let mut addresses = Vec::new();
    for listening in sockets {
        let address = listening.socket.local_addr().map_err(|error: io::Error| StartError(error.to_string()))?;
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    Ok(addresses)
}

fn serve_admin(
    socket: Option<TcpListener>,
    gateway: &Arc<Gateway<Sockets>>,
    reloader: &Arc<Reloader<Sockets>>,
    (connections, loads): (&Arc<Connections>, Vec<Arc<AtomicUsize>>),
    (ask_drain, listening): (watch::Sender<bool>, Vec<openapi::Listening>),
) -> Result<Option<SocketAddr>, StartError> {
    let Some(socket) = socket else { return Ok(None) };
    let address = socket.local_addr().map_err(|error| StartError(error.to_string()))?;
    let socket = tokio::net::TcpListener::from_std(socket).map_err(|error| StartError(error.to_string()))?;
    let documents = Keeper::new(Arc::clone(gateway), listening);
    let (shared, keeper) = (gateway.shared(), Arc::downgrade(&documents));
    tokio::spawn(beside::keep(Arc::clone(shared), "documents", move || Keeper::keep(Weak::clone(&keeper))));
    let state = admin::State::new(gateway, reloader, connections, loads, ask_drain, documents);
    let looked = Arc::downgrade(&state);
    tokio::spawn(beside::keep(Arc::clone(shared), "problems", move || admin::keep_looking(Weak::clone(&looked))));
    let counted = Arc::downgrade(&state);
    tokio::spawn(beside::keep(Arc::clone(shared), "counts", move || admin::keep_counting(Weak::clone(&counted))));
    // It ends with the process.
    tokio::spawn(admin::serve(socket, admin::router(state), refuse::overloaded));
    Ok(Some(address))
}

/// Where clients connect, and what they speak there, for each listener of the configuration, in its order. Sockets that
/// are given may have one address.
fn listening(config: &Config, sockets: &[Listening]) -> Result<Vec<openapi::Listening>, StartError> {
    let mut listening = Vec::new();
    for sockets in sockets.chunk_by(|one, next| one.index == next.index) {
        let address = sockets[0].socket.local_addr().map_err(|error: io::Error| StartError(error.to_string()))?;
        let is_secure = config.listeners.get(sockets[0].index).is_some_and(|listener| listener.tls.is_some());
        listening.push(openapi::Listening { address, is_secure });
    }
    Ok(listening)
}

async fn follow_wall_clock(shared: Arc<Shared<Sockets>>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(CLOCK_RESYNC) => {}
            () = clock::told_to_be_off() => {}
        }
        let stepped_ms = shared.clock.resync() / 1_000;
        // What is less is how a clock is kept right.
        if stepped_ms.unsigned_abs() >= STEP_MS {
            notice::clock(shared.events.voice(), stepped_ms);
            shared.clock.note_step(stepped_ms);
            shared.report(shared.clock.now(), Event::ClockStep { stepped_ms });
        }
    }
}

/// Says when the access log begins to fail, when it is well again, and what it drops; the gateway serves on meanwhile.
async fn tell_of_log_failures(shared: Arc<Shared<Sockets>>) {
    let mut health = access_log::Health::default();
    loop {
        // What that comes to is seen at the next look.
        shared.log.look();
        tokio::time::sleep(LOG_LOOK).await;
        let (failures, dropped) = (shared.log.write_failures(), shared.log.dropped());
        let news = health.look((failures, shared.log.is_failing()), dropped);
        if let Some(failing) = news.failing {
            let last = shared.log.last_failure();
            let failed = failing.then(|| last.clone().map(|last| (last.output, last.detail)).unwrap_or_default());
            shared.report(shared.clock.now(), Event::Log { failed });
            notice::access_log(shared.events.voice(), failing, failures, last);
        }
        if let Some(more) = news.dropped {
            notice::records_dropped(shared.events.voice(), more, dropped);
        }
    }
}

/// Bits from the operating system, for ids and balancing.
pub(crate) fn seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    // The standard library's hasher is keyed from the system's entropy.
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Purpose, load_text};

    #[test]
    fn listeners_of_one_address_are_several_and_each_is_once() {
        let text = "[[listeners]]\naddress = '127.0.0.1:0'\n".repeat(3) + "[[routes]]\npath = '/'\nanswer = {}\n";
        let config = load_text(&text, Path::new("gateway.toml"), Purpose::Check).unwrap().config;
        let families = bind::Families::Both;
        let socket = |address: SocketAddr| bind::bind(address, families, true).unwrap();
        let first = socket(SocketAddr::from(([127, 0, 0, 1], 0)));
        let address = first.local_addr().unwrap();
        let (same, other) = (socket(address), socket(SocketAddr::from(([127, 0, 0, 1], 0))));
        let last = other.local_addr().unwrap();
        let more = socket(last);
        let sockets = [(first, 0), (same, 1), (other, 2), (more, 2)];
        let sockets = sockets.map(|(socket, index)| Listening { socket, worker: None, index, proxy_protocol: false });
        let found: Vec<SocketAddr> = listening(&config, &sockets).unwrap().iter().map(|it| it.address).collect();
        assert_eq!(found, [address, address, last]);
    }
}
