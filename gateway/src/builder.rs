//! From a program's own pieces to a gateway: a configuration, and what is registered in code.

use std::convert::Infallible;
use std::fmt;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::extract::Request;
use axum::response::IntoResponse;
use tower_service::Service;

use crate::clock::Clock;
use crate::config::{self, Doors, LoadError, Loaded, PluginKind, Problem, Registered};
use crate::gateway::{Gateway, World};
use crate::network::Sockets;
use crate::plugins::{BalancePolicy, Handler, IdentityProvider, LimitKey, Plugins, Stage};
use crate::reload::{Reloader, TEXT};
use crate::running::{Running, Signals};
use crate::startup::{self, Given, StartError};
use crate::telemetry::notice;
use crate::telemetry::told::{Event, Record, TakesEvents, TakesRecords};

/// Why there is no gateway.
#[derive(Debug)]
#[non_exhaustive]
pub enum BuildError {
    /// Neither `config_text` nor `config_file` was called, or both were.
    OneConfiguration,
    /// Two of a kind were registered under one name.
    Twice {
        /// What.
        kind: PluginKind,
        /// The name.
        name: String,
    },
    /// The configuration cannot be read, is not right, or names what is not registered; every problem with its place.
    Configuration(LoadError),
    /// What the configuration asks for cannot be had: a port, a file.
    Start(String),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OneConfiguration => f.write_str("a gateway needs one configuration: `config_text` or `config_file`"),
            Self::Twice { kind, name } => write!(f, "two of kind {kind} are registered under the name {name:?}"),
            Self::Configuration(error) => error.fmt(f),
            Self::Start(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for BuildError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Configuration(error) => Some(error),
            Self::OneConfiguration | Self::Twice { .. } | Self::Start(_) => None,
        }
    }
}

impl From<StartError> for BuildError {
    fn from(error: StartError) -> Self {
        Self::Start(error.0)
    }
}

/// Where the configuration is.
#[derive(Debug)]
enum Written {
    Text(String),
    File(PathBuf),
}

/// Puts a gateway together; [`Gateway::builder`] gives one.
///
/// Mistakes are told at the end, by [`Builder::build`], [`Builder::start`], [`Builder::run`] or [`Builder::check`].
#[derive(Debug)]
#[must_use = "a builder does nothing before `build`, `start` or `run`"]
pub struct Builder {
    written: Vec<Written>,
    plugins: Plugins,
    twice: Option<(PluginKind, String)>,
    has_client_info: bool,
    seed: Option<u64>,
    shards: Option<usize>,
    sockets: Vec<(String, TcpListener)>,
}

impl Gateway<Sockets> {
    /// Begins to put a gateway together.
    ///
    /// ```
    /// use axum::routing::get;
    /// use gateway::prelude::*;
    ///
    /// # fn main() -> Result<(), BuildError> {
    /// let gateway = Gateway::builder()
    ///     .config_text(
    ///         r#"
    ///         [[routes]]
    ///         path = "/hello"
    ///         handler = "hello"
    ///
    ///         [[routes]]
    ///         path = "/api/{*rest}"
    ///         upstream = "http://127.0.0.1:9001"
    ///         "#,
    ///     )
    ///     .handler("hello", get(|| async { "hello" }))
    ///     .build()?;
    /// let program: axum::Router = axum::Router::new().fallback_service(gateway.into_service());
    /// # let _ = program;
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder() -> Builder {
        Builder {
            written: Vec::new(),
            plugins: Plugins::default(),
            twice: None,
            has_client_info: false,
            seed: None,
            shards: None,
            sockets: Vec::new(),
        }
    }
}

impl Builder {
    /// The configuration, as it would stand in a file. Nothing is watched: files that it names (keys, users,
    /// certificates) are read again with [`Gateway::reload_text`] alone.
    pub fn config_text(mut self, text: impl Into<String>) -> Self {
        self.written.push(Written::Text(text.into()));
        self
    }

    /// The configuration's file. A gateway that is started from it ([`Builder::start`], [`Builder::run`]) reloads it
    /// when it changes; one that is mounted ([`Builder::build`]) when it is told to ([`Gateway::reload`]).
    pub fn config_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.written.push(Written::File(path.into()));
        self
    }

    /// Registers what answers routes with `handler = "NAME"`: an axum `MethodRouter` (`get(f)`), a `Router`, or any
    /// service like them. It finds a [`RequestInfo`](crate::plugins::RequestInfo) among its request's extensions.
    ///
    /// The route's policies hold for it as they do for an upstream: limits, identity, edits of headers, `rewrite`,
    /// CORS, `max_body` (413; in place of axum's own limit), `timeout` until it has answered (504) and `idle_timeout`
    /// while its body streams. A client that leaves drops its future. A panic is answered with 500, and counted.
    pub fn handler<S>(mut self, name: impl Into<String>, service: S) -> Self
    where
        S: Service<Request, Error = Infallible> + Clone + Send + Sync + 'static,
        S::Response: IntoResponse,
        S::Future: Send,
    {
        let name = name.into();
        let is_new = self.plugins.add_handler(Handler::new(Arc::from(&*name), service));
        self.note(PluginKind::Handler, name, is_new)
    }

    /// Registers a stage, for routes that name it among their `stages`: it looks at requests and answers, and learns
    /// how each request ended.
    pub fn stage(mut self, name: impl Into<String>, stage: impl Stage) -> Self {
        let name = name.into();
        let is_new = self.plugins.add_stage(Arc::from(&*name), stage);
        self.note(PluginKind::Stage, name, is_new)
    }

    /// Registers a provider of identity, for `[identity.providers.*]` with `kind = "custom"` and this `name`.
    pub fn identity(mut self, name: impl Into<String>, provider: impl IdentityProvider) -> Self {
        let name = name.into();
        let is_new = self.plugins.add_identity(Arc::from(&*name), provider);
        self.note(PluginKind::IdentityProvider, name, is_new)
    }

    /// Registers a policy of balancing, for upstreams with `balance = { policy = "custom", name = "NAME" }`.
    pub fn balancer(mut self, name: impl Into<String>, policy: impl BalancePolicy) -> Self {
        let name = name.into();
        let is_new = self.plugins.add_balancer(Arc::from(&*name), policy);
        self.note(PluginKind::Balancer, name, is_new)
    }

    /// Registers what requests are counted by, for `[rate_limits.*]` with `key = "custom:NAME"`.
    pub fn limit_key(mut self, name: impl Into<String>, key: impl LimitKey) -> Self {
        let name = name.into();
        let is_new = self.plugins.add_limit_key(Arc::from(&*name), key);
        self.note(PluginKind::LimitKey, name, is_new)
    }

    /// Hands over what happens: what `GET /events` of the admin API tells (requests' own kinds left out), warnings of
    /// the configuration, and what else the gateway would say on standard error. It says nothing there then.
    ///
    /// A gateway that is mounted ([`Builder::build`]) says nothing there anyway; without this, what happens is in
    /// [`Gateway::admin_router`], [`Gateway::metrics`] and [`Gateway::warnings`] alone.
    ///
    /// `take` runs on the runtime that the gateway was made on, never on a request's way, and others wait for it there:
    /// what blocks belongs elsewhere. A slow one loses the oldest, and is told how many (`missed`). A second call
    /// replaces the first.
    ///
    /// ```
    /// # use gateway::prelude::*;
    /// let builder = Gateway::builder().events(|event| eprintln!("{event}"));
    /// # drop(builder);
    /// ```
    pub fn events(mut self, take: impl Fn(&Event<'_>) + Send + Sync + 'static) -> Self {
        self.plugins.tell_events(TakesEvents::new(take));
        self
    }

    /// Hands over a record of each request that has ended, in place of what `output` of `[telemetry.access_log]` says;
    /// its `sample`, `queue` and headers hold.
    ///
    /// `take` runs on a thread of the gateway's own, for one record after the other, some milliseconds after the end.
    /// While it blocks, records wait; beyond `queue` they are dropped and counted, and no request waits. A second call
    /// replaces the first.
    pub fn records(mut self, take: impl Fn(&Record<'_>) + Send + Sync + 'static) -> Self {
        self.plugins.tell_records(TakesRecords::new(take));
        self
    }

    /// A socket that the program holds already, in place of the address of the `[[listeners]]` entry of this `name`: of
    /// socket activation, of a process before this one, of a test that has to know the port. All else of the entry
    /// (TLS, the PROXY protocol) holds. One socket for all workers, whatever `reuse_port` says. For [`Builder::start`]
    /// and [`Builder::run`]; a mounted gateway does not listen, and is an error with one.
    pub fn listener(mut self, name: impl Into<String>, socket: TcpListener) -> Self {
        self.sockets.push((name.into(), socket));
        self
    }

    fn note(mut self, kind: PluginKind, name: String, is_new: bool) -> Self {
        if !is_new {
            self.twice.get_or_insert((kind, name));
        }
        self
    }

    /// What decides every random choice (ids, samples, balancing), for tests and measurements; the system's entropy
    /// where it is not called.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// How many threads of the program serve requests through [`Gateway::into_service`]; as many as there are cores
    /// where it is not called. A gateway with listeners of its own has the workers that its configuration says.
    pub fn shards(mut self, shards: usize) -> Self {
        self.shards = Some(shards);
        self
    }

    /// The program inserts a [`ClientInfo`](crate::client_info::ClientInfo) into each request before it comes to the
    /// gateway of [`Builder::build`]: what hangs on TLS, certificates and listeners of a configuration is no reason to
    /// warn then.
    pub fn with_client_info(mut self) -> Self {
        self.has_client_info = true;
        self
    }

    /// Reads the configuration and holds it against what is registered; nothing is started. What is perhaps not meant
    /// comes back. Where no `[[listeners]]` are written, that is what [`Builder::build`] warns of, too.
    ///
    /// # Errors
    /// As [`Builder::build`], but for what only a start can show.
    pub fn check(&self) -> Result<Vec<Problem>, BuildError> {
        let doors = if self.has_client_info { Doors::Told } else { Doors::Unsaid };
        self.load(&self.plugins.registered().reached_by(doors)).map(|loaded| loaded.warnings)
    }

    /// A gateway without listeners, to be mounted in an axum program by [`Gateway::into_service`]; `[[listeners]]` and
    /// `[admin]` of its configuration are not looked at, but for the names of listeners, which is a warning where they
    /// are written. So are `https`, `hsts`, providers of `kind = "mtls"` and `listeners` of routes, where the program
    /// does not say how requests come ([`Builder::with_client_info`]).
    ///
    /// It writes nothing on the program's standard output and standard error, unless `output = "stdout"` of
    /// `[telemetry.access_log]` is written in the configuration: what happens goes to [`Builder::events`], warnings too
    /// (and [`Gateway::warnings`] has them), records to [`Builder::records`].
    ///
    /// Within a tokio runtime, what has to happen beside requests (health checks, discovery, keys, spans) happens on it
    /// from here on, until the gateway and its services are dropped. Elsewhere nothing of that happens before
    /// [`Gateway::keep_watch`] and [`Gateway::keep_discovering`] are called within one.
    ///
    /// # Errors
    /// There is no configuration, it is not right, it names what is not registered, or its access log cannot be opened.
    pub fn build(mut self) -> Result<Arc<Gateway>, BuildError> {
        if let Some((name, _)) = self.sockets.first() {
            let why = format!("a gateway of `build` does not listen: the socket {name:?} is for `start` or `run`");
            return Err(BuildError::Start(why));
        }
        self.plugins.mount(if self.has_client_info { Doors::Told } else { Doors::Mounted });
        let Loaded { config, warnings, files } = self.load(&self.plugins.registered())?;
        warnings.iter().for_each(|warning| notice::warning(self.plugins.voice(), warning));
        let shards =
            self.shards.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get));
        let seed = self.seed.unwrap_or_else(startup::seed);
        let world = World { network: Sockets, clock: Clock::system(), seed, shards };
        let path = file_of(self.written);
        let gateway = Gateway::with_plugins(config, world, self.plugins)
            .map_err(|error| BuildError::Start(format!("access log: {error}")))?;
        let gateway = Arc::new(gateway);
        Reloader::new(Arc::clone(&gateway), path, files).keep_warnings(warnings);
        if tokio::runtime::Handle::try_current().is_ok() {
            startup::keep_up(&gateway);
        }
        Ok(gateway)
    }

    /// A gateway that serves: on its own listeners, with its own workers and admin port, as `gateway run` does. It ends
    /// by [`Running::drain`], [`Handle::drain`](crate::running::Handle::drain) or `POST /drain`; signals are the
    /// program's. Warnings and events go to standard error, unless there is [`Builder::events`].
    ///
    /// # Errors
    /// As [`Builder::build`], and where an address cannot be had.
    pub async fn start(self) -> Result<Running, BuildError> {
        let Loaded { config, warnings, files } = self.load(&self.plugins.registered())?;
        warnings.iter().for_each(|warning| notice::warning(self.plugins.voice(), warning));
        let seed = self.seed.unwrap_or_else(startup::seed);
        let given = Given { plugins: self.plugins, seed, sockets: self.sockets };
        let running = startup::start_with(config, (file_of(self.written), files), given).await?;
        running.reloader().keep_warnings(warnings);
        Ok(running)
    }

    /// The same to its end, which SIGTERM, SIGINT or the admin API bring: then it drains. SIGHUP reloads. Events go to
    /// standard error, as those of `gateway run` do, unless there is [`Builder::events`].
    ///
    /// # Errors
    /// As [`Builder::start`].
    pub async fn run(self) -> Result<(), BuildError> {
        let signals = Signals::new().map_err(|error| BuildError::Start(format!("signals: {error}")))?;
        let running = self.start().await?;
        let shared = Arc::clone(running.gateway().shared());
        let ended = running.serve(signals).await;
        notice::stopped(shared.events.voice(), ended, shared.log.not_written());
        Ok(())
    }

    /// The same until `shutdown` is ready, as `with_graceful_shutdown` of axum: then it drains, and is ready when that
    /// is over. `POST /drain` ends it too. Signals are the program's: none is listened to. A change of the file and
    /// `POST /reload` reload it.
    ///
    /// # Errors
    /// As [`Builder::start`].
    pub async fn run_until(self, shutdown: impl Future<Output = ()>) -> Result<(), BuildError> {
        let running = self.start().await?;
        let shared = Arc::clone(running.gateway().shared());
        let ended = running.serve_until(shutdown).await;
        notice::stopped(shared.events.voice(), ended, shared.log.not_written());
        Ok(())
    }

    fn load(&self, registered: &Registered) -> Result<Loaded, BuildError> {
        if let Some((kind, name)) = &self.twice {
            return Err(BuildError::Twice { kind: *kind, name: name.clone() });
        }
        let [written] = &self.written[..] else { return Err(BuildError::OneConfiguration) };
        let loaded = match written {
            Written::File(path) => config::load_for(path, registered),
            Written::Text(text) => config::load_text_for(text, Path::new(TEXT), registered).map_err(LoadError::Invalid),
        };
        loaded.map_err(BuildError::Configuration)
    }
}

/// The file among what was written.
fn file_of(written: Vec<Written>) -> Option<PathBuf> {
    written.into_iter().find_map(|written| match written {
        Written::File(path) => Some(path),
        Written::Text(_) => None,
    })
}
