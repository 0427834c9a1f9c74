//! Reloads: by signal, by a change of the files, by the admin API; atomic, and refused whole when anything is wrong.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use notify::RecommendedWatcher;
use serde::Serialize;
use tokio::sync::mpsc;

use crate::config::settings::{Admin, Config, Listener};
use crate::config::{self, LoadError, Loaded, Problem, Problems};
use crate::gateway::Gateway;
use crate::network::Network;
use crate::telemetry::events::Event;
use crate::watched_folders::WatchedFolders;

/// What asks for a reload when a file has changed.
const BY_WATCHING: &str = "file";

/// Problems that an event names; `/status` names all.
const MAX_TOLD: usize = 20;

/// What a reload came to; `/status` shows the last.
#[derive(Debug, Clone, Serialize)]
pub struct ReloadReport {
    /// Whether the file is in force.
    pub ok: bool,
    /// The version in force.
    pub version: u64,
    /// Seconds since the Unix epoch.
    pub at_unix: i64,
    /// What asked for it: `signal`, `file`, `admin`.
    pub cause: &'static str,
    /// What is wrong with the files.
    pub problems: Vec<Problem>,
    /// Why they could not be read or put in force, where that is not in the files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What is in force only after a restart.
    pub needs_restart: Vec<&'static str>,
}

/// Why a reload changes nothing.
enum Refused {
    Invalid(Problems),
    Other(String),
}

/// What the process was started with and keeps to its end.
struct Fixed {
    /// Addresses, each with how it is shared, and whether TLS and the PROXY protocol are spoken there.
    listeners: Vec<(SocketAddr, bool, bool, bool)>,
    admin: Option<Admin>,
    workers: usize,
}

impl Fixed {
    fn of(config: &Config) -> Self {
        let Config { listeners, admin, server, .. } = config;
        let fixed = |one: &Listener| (one.address, one.reuse_port, one.tls.is_some(), one.proxy_protocol);
        let listeners = listeners.iter().map(fixed).collect();
        Self { listeners, admin: admin.clone(), workers: server.workers }
    }

    /// What a restart would change.
    fn differs_from(&self, config: &Config) -> Vec<&'static str> {
        let wanted = Self::of(config);
        let differing = [
            ("listeners", self.listeners != wanted.listeners),
            ("admin", self.admin != wanted.admin),
            ("server.workers", self.workers != wanted.workers),
        ];
        differing.into_iter().filter(|(_, differs)| *differs).map(|(what, _)| what).collect()
    }
}

/// What a change has to be looked for in, patterns of `include` among it.
struct Files {
    /// What the configuration in force was read from.
    in_force: Vec<PathBuf>,
    /// What one was read from that was refused since: to mend it may be to change one of these.
    refused: Vec<PathBuf>,
}

impl Files {
    fn all(&self) -> impl Iterator<Item = &PathBuf> {
        self.in_force.iter().chain(&self.refused)
    }
}

/// Reloads one gateway from one file.
pub struct Reloader<N: Network> {
    gateway: Arc<Gateway<N>>,
    fixed: Fixed,
    path: Option<PathBuf>,
    files: Mutex<Files>,
    last: Mutex<Option<ReloadReport>>,
    /// Who watches the files: another reload may have named others.
    watching: OnceLock<mpsc::Sender<()>>,
    /// One reload at a time: the last asked for is the last in force.
    turn: tokio::sync::Mutex<()>,
}

impl<N: Network> Reloader<N> {
    /// Reloads from `path`, of which `files` were read so far; without a path, every reload is refused.
    pub fn new(gateway: Arc<Gateway<N>>, path: Option<PathBuf>, files: Vec<PathBuf>) -> Self {
        let files = Mutex::new(Files { in_force: files, refused: Vec::new() });
        let fixed = Fixed::of(&gateway.snapshot().config);
        Self {
            gateway,
            fixed,
            path,
            files,
            last: Mutex::new(None),
            watching: OnceLock::new(),
            turn: tokio::sync::Mutex::new(()),
        }
    }

    /// The last reload, if there was one.
    pub fn last(&self) -> Option<ReloadReport> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The configuration's file.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Reads the file and puts it in force, or says why not; a file that is refused changes nothing. The access log's
    /// file is opened anew whatever comes of it, but where a change of the file alone asks.
    pub async fn reload(&self, cause: &'static str) -> ReloadReport {
        let _turn = self.turn.lock().await;
        let outcome = self.try_reload().await;
        if let Some(watching) = self.watching.get().filter(|_| cause != BY_WATCHING) {
            let _ = watching.try_send(());
        }
        let clock = &self.gateway.shared().clock;
        let mut report = ReloadReport {
            ok: true,
            version: self.gateway.snapshot().version,
            at_unix: clock.unix_us(clock.now()) / 1_000_000,
            cause,
            problems: Vec::new(),
            error: None,
            needs_restart: Vec::new(),
        };
        match outcome {
            Ok(needs_restart) => report.needs_restart = needs_restart,
            Err(refused) => {
                let shared = self.gateway.shared();
                shared.metrics.gateway().reload_failed();
                // Who has put the access log's file aside asks by the same signal, whatever the configuration is like.
                if cause != BY_WATCHING {
                    shared.log.reopen();
                }
                report.ok = false;
                match refused {
                    Refused::Invalid(problems) => report.problems = problems.iter().cloned().collect(),
                    Refused::Other(error) => report.error = Some(error),
                }
            }
        }
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(report.clone());
        let shared = self.gateway.shared();
        let lines =
            report.problems.iter().map(|at| format!("{}:{}:{}: {}", at.file.display(), at.line, at.column, at.message));
        let problems = lines.chain(report.error.clone()).take(MAX_TOLD).collect();
        let event = Event::Reload { version: report.version, ok: report.ok, cause, problems };
        shared.report(shared.clock.now(), event);
        report
    }

    async fn try_reload(&self) -> Result<Vec<&'static str>, Refused> {
        let path = self.path.clone().ok_or_else(|| Refused::Other("the gateway was started without a file".into()))?;
        let registered = self.gateway.shared().plugins.registered();
        let loaded = tokio::task::spawn_blocking(move || config::load_for(&path, &registered))
            .await
            .map_err(|error| Refused::Other(error.to_string()))?;
        let Loaded { config, files, .. } = match loaded {
            Ok(loaded) => loaded,
            Err(LoadError::Invalid(problems)) => {
                self.files().refused = problems.files().to_vec();
                return Err(Refused::Invalid(problems));
            }
            Err(error) => return Err(Refused::Other(error.to_string())),
        };
        if config.routes.is_empty() && !self.gateway.snapshot().config.routes.is_empty() {
            // An empty file is valid, and is what a watcher sees of one that is being written.
            self.files().refused = files;
            return Err(Refused::Other("the file has no route; write it beside and rename it".into()));
        }
        let needs_restart = self.fixed.differs_from(&config);
        let not_opened = |error| Refused::Other(format!("access log: {error}"));
        self.gateway.apply(config).map_err(not_opened)?;
        *self.files() = Files { in_force: files, refused: Vec::new() };
        self.gateway.keep_discovering();
        Ok(needs_restart)
    }

    fn files(&self) -> MutexGuard<'_, Files> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fingerprint(&self) -> u64 {
        config::fingerprint::of(self.files().all())
    }

    /// The folders in which a change of the files shows.
    fn folders(&self, within: &Path) -> BTreeSet<PathBuf> {
        self.files().all().flat_map(|file| config::folders_of(file, within)).collect()
    }

    /// Reloads whenever the file, one that it includes, or a file of keys that it names changes, comes or goes; whether
    /// that is in force, or was refused last.
    pub async fn watch_files(self: Arc<Self>) {
        // The folder, not the file: an editor that writes a new file and renames it would be lost otherwise.
        let Some(within) = self.path().and_then(Path::parent) else { return };
        let mut folders = WatchedFolders::<RecommendedWatcher>::new();
        let _ = self.watching.set(folders.teller());
        // Watched before they are read: a change in between is told of.
        folders.watch(&self.folders(within));
        let mut seen = self.fingerprint();
        loop {
            folders.changed().await;
            // A folder may have come, of which nothing is told yet, and a reload may have named other files.
            folders.watch(&self.folders(within));
            let now = self.fingerprint();
            if now != seen {
                seen = now;
                let report = self.reload(BY_WATCHING).await;
                folders.watch(&self.folders(within));
                crate::telemetry::notice::reload(&report);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Purpose, load_text};

    fn config(text: &str) -> Config {
        load_text(text, Path::new("gateway.toml"), Purpose::Check).unwrap().config
    }

    #[test]
    fn a_restart_is_needed_for_what_differs_from_the_start_not_from_the_file_before() {
        let start = config("");
        let fixed = Fixed::of(&start);
        let other = config(
            "[server]\nworkers = 3\n[admin]\naddress = \"127.0.0.1:9902\"\n[[listeners]]\naddress = \"127.0.0.1:8081\"\n",
        );
        assert_eq!(fixed.differs_from(&other), ["listeners", "admin", "server.workers"]);
        // The same file once more still waits for a restart; the first file does not.
        assert_eq!(fixed.differs_from(&other).len(), 3);
        assert!(fixed.differs_from(&start).is_empty());
        let announced = "[server]\ntrusted_proxies = [\"10.0.0.0/8\"]\n[[listeners]]\nproxy_protocol = true\n";
        assert_eq!(fixed.differs_from(&config(announced)), ["listeners"]);
    }
}
