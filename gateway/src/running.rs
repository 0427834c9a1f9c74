//! A gateway that serves: what a program holds of it, and its end.
//!
//! Whoever asks for the end first begins it, on a task of its own: it goes on whether or not somebody waits for it, and
//! all who wait see the same end.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::connections::Connections;
use crate::gateway::{Gateway, SPANS_FLUSH};
use crate::locked::lock;
use crate::network::Sockets;
use crate::reload::{BY_PROGRAM, ReloadError, ReloadReport, Reloader};
use crate::shutdown::{self, Drained, Switches};
use crate::telemetry::notice;
use crate::telemetry::told::Voice;

/// The longest that threads are waited for once they were told to end; a worker needs no longer than one turn of its
/// loop.
const THREADS_END: Duration = Duration::from_secs(2);
/// The longest that the last access records are waited for.
const LOG_FLUSH: Duration = Duration::from_secs(2);

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

    /// Waits for one that ends the process, where nothing serves yet.
    pub(crate) async fn end(&mut self) {
        any(&mut self.end).await;
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

/// How far its end is.
#[derive(Debug, Clone, Copy, Default)]
struct End {
    has_begun: bool,
    hurries: bool,
    drained: Option<Drained>,
}

/// What serves.
pub(crate) struct Parts {
    pub(crate) gateway: Arc<Gateway<Sockets>>,
    pub(crate) reloader: Arc<Reloader<Sockets>>,
    pub(crate) switches: Switches,
    pub(crate) connections: Arc<Connections>,
    pub(crate) threads: Vec<JoinHandle<()>>,
    pub(crate) listeners: Vec<SocketAddr>,
    pub(crate) admin: Option<SocketAddr>,
    /// Turns when a drain is asked for through the admin API.
    pub(crate) drain_asked: watch::Receiver<bool>,
}

/// The same, for all who hold it.
struct Served {
    parts: Parts,
    threads: Mutex<Vec<JoinHandle<()>>>,
    end: watch::Sender<End>,
    /// Where it was started, and where its end happens.
    runtime: tokio::runtime::Handle,
}

/// A gateway that serves. It serves for as long as this is held: dropped, it ends at once, and what is in flight is
/// cut.
pub struct Running {
    served: Arc<Served>,
    /// Addresses that clients connect to, ports resolved.
    pub listeners: Vec<SocketAddr>,
    /// The admin address, port resolved.
    pub admin: Option<SocketAddr>,
}

/// A hand on a gateway that serves, for a task that waits for signals, a route of operators, a test: cheap to clone,
/// and good on any thread. It does not keep the gateway serving: [`Running`] does.
#[derive(Clone)]
pub struct Handle {
    served: Arc<Served>,
}

impl Handle {
    /// Begins to drain, now and whether or not the future is awaited, as `POST /drain` does: `/readyz` turns 503,
    /// accepting goes on for `drain_delay`, then answers in flight finish within `drain_timeout`. The future is ready
    /// when all has ended, and says how; each call has the same end.
    pub fn drain(&self) -> impl Future<Output = Drained> + Send + 'static + use<> {
        let served = Arc::clone(&self.served);
        served.begin(None);
        async move { served.ended().await }
    }

    /// Whether a drain has begun, by whomever.
    pub fn is_draining(&self) -> bool {
        self.served.parts.gateway.is_draining()
    }

    /// Reads `config_file` again and puts it in force, as `POST /reload` does.
    ///
    /// # Errors
    /// As [`Gateway::reload`]; nothing has changed then.
    pub async fn reload(&self) -> Result<ReloadReport, ReloadError> {
        self.served.parts.reloader.reload(BY_PROGRAM).await.into_result()
    }

    /// Addresses that clients connect to, ports resolved, in the order of the configuration.
    pub fn listeners(&self) -> &[SocketAddr] {
        &self.served.parts.listeners
    }

    /// The admin address, port resolved; `None` where the configuration has none.
    pub fn admin(&self) -> Option<SocketAddr> {
        self.served.parts.admin
    }

    /// The gateway: its metrics, a reload from a text. Its end is [`Handle::drain`]: `Gateway::begin_drain`, which
    /// `POST /drain` of an `admin_router` is, is only a mounted gateway's.
    pub fn gateway(&self) -> &Arc<Gateway<Sockets>> {
        &self.served.parts.gateway
    }
}

impl Running {
    /// Of what was started, on the current runtime.
    pub(crate) fn new(mut parts: Parts) -> Self {
        let (listeners, admin) = (parts.listeners.clone(), parts.admin);
        let threads = Mutex::new(std::mem::take(&mut parts.threads));
        let mut asked = parts.drain_asked.clone();
        let (end, runtime) = (watch::Sender::default(), tokio::runtime::Handle::current());
        let served = Arc::new(Served { parts, threads, end, runtime });
        let weak = Arc::downgrade(&served);
        tokio::spawn(async move {
            let is_asked = asked.wait_for(|asked| *asked).await.is_ok();
            if let Some(served) = weak.upgrade().filter(|_| is_asked) {
                served.begin(Some("admin"));
            }
        });
        Self { served, listeners, admin }
    }

    /// A hand on it that can be cloned and given away.
    pub fn handle(&self) -> Handle {
        Handle { served: Arc::clone(&self.served) }
    }

    /// The gateway.
    pub fn gateway(&self) -> &Arc<Gateway<Sockets>> {
        &self.served.parts.gateway
    }

    /// What reloads it.
    #[doc(hidden)]
    pub fn reloader(&self) -> &Arc<Reloader<Sockets>> {
        &self.served.parts.reloader
    }

    /// Waits until the admin API asks for a drain, which begins by that.
    pub async fn drain_asked(&self) {
        let mut asked = self.served.parts.drain_asked.clone();
        if asked.wait_for(|asked| *asked).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits until somebody has drained it, [`Handle::drain`] or `POST /drain`, and all has ended; says how. It asks
    /// for nothing itself.
    pub async fn ended(&self) -> Drained {
        self.served.ended().await
    }

    /// Says that it serves, and where.
    pub(crate) fn say_ready(&self) {
        notice::ready(self.served.voice(), &self.listeners, self.admin);
    }

    /// Serves until a signal, a [`Handle`] or the admin API ends it, then drains; a second signal cuts what is left.
    /// SIGHUP reloads, and SIGUSR1 opens the access log anew, to the end of the drain. How it ended, as the last notice
    /// says it: `drain`, `drain_timeout` or `second_signal`.
    pub async fn serve(self, signals: Signals) -> &'static str {
        self.say_ready();
        self.serve_until_signal(signals).await
    }

    /// The same for who has said that it serves.
    pub(crate) async fn serve_until_signal(self, signals: Signals) -> &'static str {
        let served = &self.served;
        let voice = served.voice();
        let Signals { mut hang_up, mut reopen, mut unknown, mut end } = signals;
        // Beside the others: a large file, or a disk that stands still, keeps no signal waiting.
        let mut reloads = pin!(async {
            while hang_up.recv().await.is_some() {
                notice::reload(voice, &served.parts.reloader.reload("signal").await);
            }
            std::future::pending::<()>().await;
        });
        // To the end of a drain, which may last for minutes: logs are rotated, and files read again, as before it.
        let mut ended = pin!(served.ended());
        loop {
            tokio::select! {
                drained = &mut ended => return word_of(drained),
                () = &mut reloads => {}
                _ = reopen.recv() => served.parts.gateway.shared().log.reopen(),
                // To other servers it is a word. Here it is none, which is no reason to die of it.
                _ = unknown.recv() => notice::unknown_signal(voice, "SIGUSR2"),
                () = any(&mut end) => {
                    if served.has_begun() {
                        served.hurry();
                    } else {
                        served.begin(Some("signal"));
                    }
                }
            }
        }
    }

    /// Serves until `shutdown` is ready, a [`Handle`] or the admin API ends it, then drains. How it ended, as the last
    /// notice says it. Signals are the program's.
    pub(crate) async fn serve_until(self, shutdown: impl Future<Output = ()>) -> &'static str {
        let served = &self.served;
        self.say_ready();
        tokio::select! {
            () = shutdown => served.begin(Some(BY_PROGRAM)),
            () = served.begun() => {}
        }
        word_of(served.ended().await)
    }

    /// Drains and ends; says how. Dropped before it is ready, what is left is cut.
    pub async fn drain(self) -> Drained {
        self.drain_until(std::future::pending()).await
    }

    /// Drains and ends; once `hurry` is ready, what is left is cut, and the end comes within `THREADS_END`,
    /// `SPANS_FLUSH` and `LOG_FLUSH`. Every request has its record then, as far as the log can be written.
    pub async fn drain_until(self, hurry: impl Future<Output = ()>) -> Drained {
        self.served.begin(None);
        let drained = self.served.ended_or(hurry).await;
        if matches!(self.served.voice(), Voice::StandardError) {
            notice::flush();
        }
        drained
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let End { has_begun, drained, .. } = *self.served.end.borrow();
        let Parts { gateway, switches, .. } = &self.served.parts;
        match (drained, has_begun) {
            (Some(_), _) => {}
            (None, true) => self.served.hurry(),
            (None, false) => {
                gateway.begin_cut();
                switches.stop_accepting.send_replace(true);
                switches.close_idle.send_replace(true);
                switches.stop_workers.send_replace(true);
            }
        }
    }
}

fn word_of(drained: Drained) -> &'static str {
    match drained {
        Drained::Clean => "drain",
        Drained::Cut(_) => "drain_timeout",
        Drained::Hurried(_) => "second_signal",
    }
}

impl Served {
    fn voice(&self) -> &Voice {
        self.parts.gateway.shared().events.voice()
    }

    /// Begins the end, if nobody has; where there is a cause, it is said.
    fn begin(self: &Arc<Self>, cause: Option<&'static str>) {
        let begins = |end: &mut End| !std::mem::replace(&mut end.has_begun, true);
        if !self.end.send_if_modified(begins) {
            return;
        }
        if let Some(cause) = cause {
            notice::draining(self.voice(), cause);
        }
        // At once, so that who looks behind the call sees it.
        self.parts.gateway.begin_drain();
        // Made here: a runtime that is gone drops the task before it is ever polled.
        let over = Over(Arc::clone(self));
        self.runtime.spawn(async move {
            let drained = over.0.run_down().await;
            over.0.end.send_modify(|end| end.drained = Some(drained));
        });
    }

    /// Cuts what is left of an end that has begun.
    fn hurry(&self) {
        self.end.send_modify(|end| end.hurries = true);
    }

    async fn has(&self, come: impl Fn(&End) -> bool) {
        // What sends lives in this.
        let _ = self.end.subscribe().wait_for(come).await;
    }

    fn has_begun(&self) -> bool {
        self.end.borrow().has_begun
    }

    async fn begun(&self) {
        self.has(|end| end.has_begun).await;
    }

    async fn ended(&self) -> Drained {
        self.has(|end| end.drained.is_some()).await;
        self.end.borrow().drained.unwrap_or(Drained::Clean)
    }

    /// The end; sooner once `hurry` is ready.
    async fn ended_or(&self, hurry: impl Future<Output = ()>) -> Drained {
        tokio::select! {
            drained = self.ended() => drained,
            () = hurry => {
                self.hurry();
                self.ended().await
            }
        }
    }

    /// All of the end. What it says may not have been written yet.
    async fn run_down(&self) -> Drained {
        let Parts { gateway, switches, connections, .. } = &self.parts;
        let hurry = self.has(|end| end.hurries);
        let drained = shutdown::drain(gateway, switches, connections, hurry).await;
        let threads = std::mem::take(&mut *lock(&self.threads));
        let all_ended = async {
            // By a thread of its own: a runtime that ends waits for what it has been given to block on, and a worker
            // may be held up by the program's code for ever.
            let (tell, told) = tokio::sync::oneshot::channel();
            std::thread::spawn(move || {
                for thread in threads {
                    let _ = thread.join();
                }
                let _ = tell.send(());
            });
            let _ = told.await;
        };
        let _ = tokio::time::timeout(THREADS_END, all_ended).await;
        gateway.shared().tracer.finish(SPANS_FLUSH).await;
        gateway.shared().log.flush(LOG_FLUSH);
        match drained {
            Drained::Clean => {}
            Drained::Cut(connections) => notice::cut(self.voice(), "drain_timeout", connections),
            Drained::Hurried(connections) => notice::cut(self.voice(), "second_signal", connections),
        }
        drained
    }
}

/// An end that its runtime does not bring to an end is one all the same: nobody waits for it for ever.
struct Over(Arc<Served>);

impl Drop for Over {
    fn drop(&mut self) {
        let open = self.0.parts.connections.open();
        self.0.end.send_if_modified(|end| {
            let is_given_up = end.drained.is_none();
            end.drained.get_or_insert(Drained::Cut(open));
            is_given_up
        });
    }
}
