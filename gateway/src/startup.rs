//! From a configuration to a running gateway, and back down.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::admin;
use crate::clock::{self, Clock};
use crate::config::Files;
use crate::config::settings::Config;
use crate::connections::Connections;
use crate::gateway::{Gateway, SPANS_FLUSH, World};
use crate::listener::accept::{self, Listening};
use crate::listener::{bind, refuse};
use crate::network::{self, Sockets};
use crate::openapi::{self, Keeper};
use crate::plugins::Plugins;
use crate::reload::Reloader;
use crate::shard::Shared;
use crate::shutdown::{self, Drained, Switches};
use crate::telemetry::events::Event;
use crate::telemetry::process::ProcessStats;
use crate::telemetry::{access_log, events, notice};
use crate::tls::expiry;
use crate::worker;

/// The system's wall clock is read again this often, so that records follow its corrections.
const CLOCK_RESYNC: Duration = Duration::from_secs(10);
/// The system's clock was set where it moved by so much at once, milliseconds.
const STEP_MS: u64 = 1_000;
/// How often it is looked whether the access log can be written.
const LOG_LOOK: Duration = Duration::from_secs(5);
/// The longest that threads are waited for once they were told to end; a worker needs no longer than one turn of its
/// loop.
const THREADS_END: Duration = Duration::from_secs(2);
/// The longest that the last access records are waited for.
const LOG_FLUSH: Duration = Duration::from_secs(2);

/// What could not be had at start; the text is one line with the remedy.
#[derive(Debug)]
pub struct StartError(pub String);

/// A gateway that serves.
pub struct Running {
    gateway: Arc<Gateway<Sockets>>,
    reloader: Arc<Reloader<Sockets>>,
    switches: Switches,
    connections: Arc<Connections>,
    threads: Vec<JoinHandle<()>>,
    /// Addresses that clients connect to, ports resolved.
    pub listeners: Vec<SocketAddr>,
    /// The admin address, port resolved.
    pub admin: Option<SocketAddr>,
    /// Turns when a drain is asked for through the admin API.
    drain_asked: watch::Receiver<bool>,
}

/// The signals that a gateway listens to, from when this is made.
pub struct Signals {
    hang_up: Signal,
    reopen: Signal,
    /// One that says nothing to the gateway.
    unknown: Signal,
    end: [Signal; 3],
}

impl Signals {
    /// Listens to them, on the current runtime.
    ///
    /// # Errors
    /// The system does not let it.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            hang_up: signal(SignalKind::hangup())?,
            reopen: signal(SignalKind::user_defined1())?,
            unknown: signal(SignalKind::user_defined2())?,
            end: [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?, signal(SignalKind::quit())?],
        })
    }
}

/// Waits for any of the signals that end the process.
async fn any([terminate, interrupt, quit]: &mut [Signal; 3]) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        _ = quit.recv() => {}
    }
}

/// Binds, starts workers and the accept thread, and serves admin on the current runtime.
///
/// # Errors
/// What could not be had, with the remedy.
pub async fn start(config: Config, path: Option<PathBuf>, files: Files) -> Result<Running, StartError> {
    start_with(config, (path, files), Plugins::none(), seed()).await
}

/// The same for a program that has registered something in code.
pub(crate) async fn start_with(
    config: Config,
    (path, files): (Option<PathBuf>, Files),
    plugins: Plugins,
    seed: u64,
) -> Result<Running, StartError> {
    let workers = match config.server.workers {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        workers => workers,
    };
    let sockets = bind_all(&config, workers)?;
    let listeners = addresses(&sockets)?;
    let admin_socket =
        config.admin.as_ref().map(|admin| listen(admin.address, bind::Families::Both, false)).transpose();
    let admin_socket = admin_socket.map_err(|StartError(why)| StartError(format!("admin: {why}")))?;
    let world = World { network: Sockets, clock: Clock::system(), seed, shards: workers };
    let gateway =
        Gateway::with_plugins(config, world, plugins).map_err(|error| StartError(format!("access log: {error}")))?;
    let gateway = Arc::new(gateway);
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
    let admin = serve_admin(admin_socket, &gateway, &reloader, (&connections, loads), (ask_drain, &listeners))?;
    tokio::spawn(Arc::clone(&reloader).watch_files());
    let switches = Switches { stop_accepting, close_idle, stop_workers };
    Ok(Running { gateway, reloader, switches, connections, threads, listeners, admin, drain_asked })
}

/// Starts all that happens beside requests, on the current runtime.
pub(crate) fn keep_up(gateway: &Arc<Gateway<Sockets>>) {
    gateway.keep_discovering();
    gateway.keep_watch();
    gateway.beside(follow_wall_clock(Arc::clone(gateway.shared())));
    gateway.beside(tell_of_log_failures(Arc::clone(gateway.shared())));
    gateway.beside(expiry::keep_telling(Arc::clone(gateway.shared())));
    gateway.beside(events::say(gateway.shared().events.follow(events::said_aloud(), None)));
}

fn bind_all(config: &Config, workers: usize) -> Result<Vec<Listening>, StartError> {
    let mut sockets = Vec::new();
    let families = |address| bind::Families::beside(address, config.listeners.iter().map(|listener| listener.address));
    for (index, listener) in config.listeners.iter().enumerate() {
        let proxy_protocol = listener.proxy_protocol;
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
    Ok(sockets)
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
    (ask_drain, listeners): (watch::Sender<bool>, &[SocketAddr]),
) -> Result<Option<SocketAddr>, StartError> {
    let Some(socket) = socket else { return Ok(None) };
    let address = socket.local_addr().map_err(|error| StartError(error.to_string()))?;
    let socket = tokio::net::TcpListener::from_std(socket).map_err(|error| StartError(error.to_string()))?;
    let documents = Keeper::new(Arc::clone(gateway), listening(&gateway.snapshot().config, listeners));
    tokio::spawn(Arc::clone(&documents).keep());
    let state = admin::State::new(gateway, reloader, connections, loads, ask_drain, documents);
    tokio::spawn(admin::keep_looking(Arc::downgrade(&state)));
    tokio::spawn(admin::keep_counting(Arc::downgrade(&state)));
    // It ends with the process.
    tokio::spawn(admin::serve(socket, admin::router(state), refuse::overloaded));
    Ok(Some(address))
}

/// Where clients connect, and what they speak there: the addresses are in the order of the configuration.
fn listening(config: &Config, addresses: &[SocketAddr]) -> Vec<openapi::Listening> {
    let listeners = config.listeners.iter().zip(addresses);
    listeners
        .map(|(listener, address)| openapi::Listening { address: *address, is_secure: listener.tls.is_some() })
        .collect()
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
            notice::clock(stepped_ms);
            shared.report(shared.clock.now(), Event::ClockStep { stepped_ms });
        }
    }
}

/// Says when the access log begins to fail, when it is well again, and what it drops; the gateway serves on meanwhile.
async fn tell_of_log_failures(shared: Arc<Shared<Sockets>>) {
    let mut health = access_log::Health::default();
    loop {
        tokio::time::sleep(LOG_LOOK).await;
        let (failures, dropped) = (shared.log.write_failures(), shared.log.dropped());
        let news = health.look((failures, shared.log.is_failing()), dropped);
        if let Some(failing) = news.failing {
            let last = shared.log.last_failure();
            let failed = failing.then(|| last.clone().map(|last| (last.output, last.detail)).unwrap_or_default());
            shared.report(shared.clock.now(), Event::Log { failed });
            notice::access_log(failing, failures, last);
        }
        if let Some(more) = news.dropped {
            notice::records_dropped(more, dropped);
        }
    }
}

/// Bits from the operating system, for ids and balancing.
pub(crate) fn seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    // The standard library's hasher is keyed from the system's entropy.
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

impl Running {
    /// The gateway.
    pub fn gateway(&self) -> &Arc<Gateway<Sockets>> {
        &self.gateway
    }

    /// What reloads it.
    pub fn reloader(&self) -> &Arc<Reloader<Sockets>> {
        &self.reloader
    }

    /// Waits until the admin API asks for a drain.
    pub async fn drain_asked(&self) {
        let mut asked = self.drain_asked.clone();
        if asked.wait_for(|asked| *asked).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Serves until a signal or the admin API ends it, then drains; a second signal cuts what is left. SIGHUP reloads,
    /// and SIGUSR1 opens the access log anew. How it ended, as the last notice says it.
    pub async fn serve(self, signals: Signals) -> &'static str {
        notice::ready(&self.listeners, self.admin);
        let Signals { mut hang_up, mut reopen, mut unknown, mut end } = signals;
        let cause = {
            // Beside the others: a large file, or a disk that stands still, keeps no signal waiting.
            let mut reloads = pin!(async {
                while hang_up.recv().await.is_some() {
                    notice::reload(&self.reloader.reload("signal").await);
                }
                std::future::pending::<()>().await;
            });
            loop {
                tokio::select! {
                    () = &mut reloads => {}
                    _ = reopen.recv() => self.gateway.shared().log.reopen(),
                    // To other servers it is a word. Here it is none, which is no reason to die of it.
                    _ = unknown.recv() => notice::unknown_signal("SIGUSR2"),
                    () = any(&mut end) => break "signal",
                    () = self.drain_asked() => break "admin",
                }
            }
        };
        notice::draining(cause);
        match self.end_once(any(&mut end)).await {
            Drained::Clean => "drain",
            Drained::Cut(_) => "drain_timeout",
            Drained::Hurried(_) => "second_signal",
        }
    }

    /// Drains and ends.
    pub async fn drain(self) -> Drained {
        self.drain_until(std::future::pending()).await
    }

    /// Drains and ends; once `hurry` is ready, what is left is cut, and the end comes within `THREADS_END`,
    /// `SPANS_FLUSH` and `LOG_FLUSH`. Every request has its record then, as far as the log can be written.
    pub async fn drain_until(self, hurry: impl Future<Output = ()>) -> Drained {
        let drained = self.end_once(hurry).await;
        notice::flush();
        drained
    }

    /// The same, but that what it says may not have been written yet.
    async fn end_once(self, hurry: impl Future<Output = ()>) -> Drained {
        let drained = shutdown::drain(&self.gateway, &self.switches, &self.connections, hurry).await;
        let all_ended = async {
            // By a thread of its own: a runtime that ends waits for what it has been given to block on, and a worker
            // may be held up by the program's code for ever.
            let (tell, told) = tokio::sync::oneshot::channel();
            std::thread::spawn(move || {
                for thread in self.threads {
                    let _ = thread.join();
                }
                let _ = tell.send(());
            });
            let _ = told.await;
        };
        let _ = tokio::time::timeout(THREADS_END, all_ended).await;
        self.gateway.shared().tracer.finish(SPANS_FLUSH).await;
        self.gateway.shared().log.flush(LOG_FLUSH);
        match drained {
            Drained::Clean => {}
            Drained::Cut(connections) => notice::cut("drain_timeout", connections),
            Drained::Hurried(connections) => notice::cut("second_signal", connections),
        }
        drained
    }
}
