//! Reloads: by signal, by a change of the files, by the admin API, by the program around the gateway; atomic, and
//! refused whole when anything is wrong.

mod fixed;
mod report;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use notify::RecommendedWatcher;
use tokio::sync::mpsc;

use crate::config::settings::Config;
use crate::config::{self, Files, Held, LoadError, Loaded, Problem, Problems};
use crate::gateway::Gateway;
use crate::locked::lock;
use crate::network::Network;
use crate::telemetry::events::Event;
use crate::threads::off_the_loop;
use crate::watched_folders::WatchedFolders;

pub use report::{ReloadError, ReloadReport};

use fixed::Fixed;
use report::in_a_line;

/// What asks for a reload when a file has changed.
const BY_WATCHING: &str = "file";
/// What asks for one in code.
pub(crate) const BY_PROGRAM: &str = "program";
/// What a text is called in messages, in place of a file.
pub(crate) const TEXT: &str = "config_text";

/// Problems that an event names; `/status` names all.
const MAX_TOLD: usize = 20;
/// Files that could not be looked at for want of a file descriptor or a thread are looked at again after this long.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Why a reload changes nothing.
enum Refused {
    Invalid(Problems),
    Other(String),
}

/// What a change has to be looked for in.
struct Looked {
    /// What the configuration in force was read from.
    in_force: Files,
    /// What one was read from that was refused since: to mend it may be to change one of these.
    refused: Vec<PathBuf>,
    /// What all these held when they were read last.
    seen: Held,
}

impl Looked {
    /// Nothing was refused since these were read.
    fn at(files: Files) -> Self {
        Self { seen: files.held.clone(), in_force: files, refused: Vec::new() }
    }

    fn all(&self) -> impl Iterator<Item = &PathBuf> {
        self.in_force.paths.iter().chain(&self.refused)
    }
}

/// What a reload that puts a configuration in force has to say.
struct Applied {
    needs_restart: Vec<&'static str>,
    warnings: Vec<Problem>,
}

/// Where a gateway's configuration is read from, and what came of it so far. It is the gateway's, whoever reloads it.
pub struct Reloads {
    /// `None` for a gateway that is mounted in a program: nothing of it waits for a restart.
    fixed: Option<Fixed>,
    path: Option<PathBuf>,
    looked: Mutex<Looked>,
    last: Mutex<Option<ReloadReport>>,
    /// What is perhaps not meant of the configuration in force.
    warnings: Mutex<Vec<Problem>>,
    /// Who watches the files: another reload may have named others.
    watching: Mutex<Option<mpsc::Sender<()>>>,
    /// One reload at a time: the last asked for is the last in force.
    turn: tokio::sync::Mutex<()>,
}

/// Reloads one gateway, from its file or from a text.
pub struct Reloader<N: Network> {
    gateway: Arc<Gateway<N>>,
    kept: Arc<Reloads>,
}

impl<N: Network> Reloader<N> {
    /// Reloads from `path`, of which `files` were read so far; without a path, there is no file to reload.
    pub fn new(gateway: Arc<Gateway<N>>, path: Option<PathBuf>, files: Files) -> Self {
        let is_mounted = gateway.shared().plugins.is_mounted();
        let kept = Arc::new(Reloads {
            fixed: (!is_mounted).then(|| Fixed::of(&gateway.snapshot().config)),
            path,
            looked: Mutex::new(Looked::at(files)),
            last: Mutex::new(None),
            warnings: Mutex::default(),
            watching: Mutex::default(),
            turn: tokio::sync::Mutex::new(()),
        });
        // The first says where the gateway's own reloads read.
        let _ = gateway.reloads.set(Arc::clone(&kept));
        Self { gateway, kept }
    }

    /// What reloads this gateway; where nobody has said from what, there is no file.
    pub(crate) fn of(gateway: &Arc<Gateway<N>>) -> Self {
        match gateway.reloads.get() {
            Some(kept) => Self { gateway: Arc::clone(gateway), kept: Arc::clone(kept) },
            None => Self::new(Arc::clone(gateway), None, Files::default()),
        }
    }

    /// The last reload, if there was one.
    pub fn last(&self) -> Option<ReloadReport> {
        lock(&self.kept.last).clone()
    }

    /// The last reload, if it was refused and there is something that could be mended.
    pub fn refused(&self) -> Option<ReloadReport> {
        let can_be_mended = |last: &ReloadReport| self.path().is_some() || !last.problems.is_empty();
        self.last().filter(|last| !last.ok && can_be_mended(last))
    }

    /// What is perhaps not meant of the configuration in force.
    pub fn warnings(&self) -> Vec<Problem> {
        lock(&self.kept.warnings).clone()
    }

    /// Keeps what there is to say of the configuration in force, for `/status`.
    pub fn keep_warnings(&self, warnings: Vec<Problem>) {
        *lock(&self.kept.warnings) = warnings;
    }

    /// What is in force only after a restart.
    pub fn needs_restart(&self) -> Vec<&'static str> {
        self.would_need_restart(&self.gateway.snapshot().config)
    }

    fn would_need_restart(&self, config: &Config) -> Vec<&'static str> {
        self.kept.fixed.as_ref().map(|fixed| fixed.differs_from(config)).unwrap_or_default()
    }

    /// The configuration's file.
    pub fn path(&self) -> Option<&Path> {
        self.kept.path.as_deref()
    }

    /// Reads the file and puts it in force, or says why not; a file that is refused changes nothing. The access log's
    /// file is opened anew whatever comes of it, but where a change of the file alone asks.
    pub async fn reload(&self, cause: &'static str) -> ReloadReport {
        let _turn = self.kept.turn.lock().await;
        let outcome = self.try_reload(cause).await;
        self.report(cause, outcome)
    }

    /// Puts this text in force, or says why not, as a file. The file, if there is one, is read again when it changes,
    /// or somebody asks for it.
    pub async fn reload_text(&self, text: String, cause: &'static str) -> ReloadReport {
        let _turn = self.kept.turn.lock().await;
        let outcome = self.try_text(text).await;
        self.report(cause, outcome)
    }

    /// Keeps and tells what a reload came to.
    fn report(&self, cause: &'static str, outcome: Result<Applied, Refused>) -> ReloadReport {
        // It may have named files in folders that were not watched while it read them.
        if let Some(watching) = &*lock(&self.kept.watching) {
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
            Ok(Applied { needs_restart, warnings }) => {
                report.needs_restart = needs_restart;
                self.keep_warnings(warnings.clone());
                report.problems = warnings;
            }
            Err(refused) => {
                let shared = self.gateway.shared();
                shared.metrics.gateway().reload_failed();
                // Who has put the access log's file aside asks by the same signal, whatever the configuration is like.
                if cause != BY_WATCHING {
                    shared.log.reopen();
                }
                report.ok = false;
                // What is in force waits for a restart all the same.
                report.needs_restart = self.needs_restart();
                match refused {
                    Refused::Invalid(problems) => report.problems = problems.iter().cloned().collect(),
                    Refused::Other(error) => report.error = Some(error),
                }
            }
        }
        *lock(&self.kept.last) = Some(report.clone());
        let shared = self.gateway.shared();
        let problems = report.problems.iter().map(in_a_line).chain(report.error.clone()).take(MAX_TOLD).collect();
        let event = Event::Reload { version: report.version, ok: report.ok, cause, problems };
        shared.report(shared.clock.now(), event);
        report
    }

    async fn try_reload(&self, cause: &'static str) -> Result<Applied, Refused> {
        let path = self.kept.path.clone();
        let path = path.ok_or_else(|| Refused::Other("the gateway was started without a file".into()))?;
        let registered = self.gateway.shared().plugins.registered();
        let in_force = self.looked().in_force.paths.clone();
        let all = self.all_files();
        // Looked at before it is read: what changes meanwhile is seen.
        let before = off_the_loop(move || (Held::now(&in_force), Held::now(&all))).await;
        let (before, all_before) = before.map_err(|error| Refused::Other(error.to_string()))?;
        let loaded = match off_the_loop(move || config::load_again(&path, &registered)).await {
            Ok(loaded) => loaded,
            Err(panicked) => {
                // What panics is not tried again until one of the files that are known has changed.
                self.keep_looking_at_the_same(all_before);
                return Err(Refused::Other(panicked.to_string()));
            }
        };
        let Loaded { config, warnings, files } = match loaded {
            Ok(loaded) => loaded,
            Err(LoadError::Invalid(problems)) => {
                self.keep_looking(problems.files().clone(), before);
                return Err(Refused::Invalid(problems));
            }
            Err(error) => {
                self.keep_looking(Files::default(), before);
                return Err(Refused::Other(error.to_string()));
            }
        };
        if cause == BY_WATCHING
            && let Some(what) = self.looks_half_written(&config, &files)
        {
            self.keep_looking(files, before);
            let remedy =
                "it looks like a file that is being written; where it is meant, SIGHUP or POST /reload takes it";
            return Err(Refused::Other(format!("{what}: {remedy}")));
        }
        match self.apply(config, warnings) {
            Ok(applied) => {
                *self.looked() = Looked::at(files);
                Ok(applied)
            }
            Err(refused) => {
                self.keep_looking(files, before);
                Err(refused)
            }
        }
    }

    async fn try_text(&self, text: String) -> Result<Applied, Refused> {
        let registered = self.gateway.shared().plugins.registered();
        let load = move || config::load_text_for(&text, Path::new(TEXT), &registered);
        let loaded = off_the_loop(load).await.map_err(|error| Refused::Other(error.to_string()))?;
        let Loaded { config, warnings, .. } = loaded.map_err(Refused::Invalid)?;
        self.apply(config, warnings)
    }

    fn apply(&self, config: Config, warnings: Vec<Problem>) -> Result<Applied, Refused> {
        let needs_restart = self.would_need_restart(&config);
        self.gateway.apply(config).map_err(|error| Refused::Other(format!("access log: {error}")))?;
        self.gateway.keep_discovering();
        Ok(Applied { needs_restart, warnings })
    }

    /// These files were refused, and the others held this before.
    fn keep_looking(&self, refused: Files, before: Held) {
        let mut looked = self.looked();
        looked.refused = refused.paths;
        looked.seen = refused.held.and(before);
    }

    /// Nobody can say what was read: the files are those of before, and held this.
    fn keep_looking_at_the_same(&self, before: Held) {
        self.looked().seen = before;
    }

    /// What a file that is being written in its place has come to. It may be whole for the parser, and routes are gone.
    /// A file of keys may be meant to be empty: nobody is let in by it any more.
    fn looks_half_written(&self, config: &Config, files: &Files) -> Option<String> {
        let (keys, looked) = (config.key_files(), self.looked());
        let emptied = files.held.emptied_since(&looked.in_force.held).find(|file| !keys.contains(file));
        let has_lost_all = config.routes.is_empty() && !self.gateway.snapshot().config.routes.is_empty();
        let emptied = emptied.map(|file| format!("{} is empty", file.display()));
        emptied.or_else(|| has_lost_all.then(|| "there is no route any more".to_owned()))
    }

    fn looked(&self) -> MutexGuard<'_, Looked> {
        lock(&self.kept.looked)
    }

    /// Whether a file is another than it was when it was read last.
    async fn has_changed(&self) -> bool {
        loop {
            let all = self.all_files();
            match off_the_loop(move || Held::now(&all)).await {
                Ok(now) if now.is_whole() => return now != self.looked().seen,
                _ => tokio::time::sleep(LOOK_AGAIN).await,
            }
        }
    }

    /// The folders in which a change of the files shows.
    async fn folders(&self, within: &Path) -> BTreeSet<PathBuf> {
        loop {
            let (all, within) = (self.all_files(), within.to_path_buf());
            let folders = move |file: &PathBuf| {
                let mut folders = config::folders_of(file, &within);
                folders.extend(config::folders_of_links(file));
                folders
            };
            match off_the_loop(move || all.iter().flat_map(folders).collect()).await {
                Ok(folders) => return folders,
                // Those before are watched on meanwhile.
                Err(_no_thread) => tokio::time::sleep(LOOK_AGAIN).await,
            }
        }
    }

    fn all_files(&self) -> Vec<PathBuf> {
        self.looked().all().cloned().collect()
    }

    /// Reloads whenever the file, one that it includes, or a file of keys that it names changes, comes or goes; whether
    /// that is in force, or was refused last.
    pub async fn watch_files(self: Arc<Self>) {
        // The folder, not the file: an editor that writes a new file and renames it would be lost otherwise.
        let Some(within) = self.path().and_then(Path::parent) else { return };
        let voice = self.gateway.shared().events.voice().clone();
        let mut folders = WatchedFolders::<RecommendedWatcher>::new(voice.clone());
        *lock(&self.kept.watching) = Some(folders.teller());
        loop {
            // A folder may have come, of which nothing is told yet, and a reload may have named other files.
            folders.watch(&self.folders(within).await);
            // At first too: a file may have changed since it was read, and before anybody watched.
            if self.has_changed().await {
                let report = self.reload(BY_WATCHING).await;
                folders.watch(&self.folders(within).await);
                crate::telemetry::notice::reload(&voice, &report);
            }
            folders.changed().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::config::{Purpose, Severity, load};
    use crate::gateway::World;
    use crate::network::Sockets;

    const MAIN: &str = "include = ['routes/*.toml']\n[telemetry.access_log]\noutput = 'off'\n";
    const ROUTE: &str = "[[routes]]\npath = '/'\nanswer = {}\n";

    /// A folder with a configuration of one route, in a file that it includes, and who reloads it.
    fn reloader() -> (tempfile::TempDir, Reloader<Sockets>) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("routes")).unwrap();
        write(&folder, "gateway.toml", MAIN);
        write(&folder, "routes/a.toml", ROUTE);
        let path = folder.path().join("gateway.toml");
        let Loaded { config, files, .. } = load(&path, Purpose::Run).unwrap();
        let world = World { network: Sockets, clock: Clock::system(), seed: 1, shards: 1 };
        let gateway = Arc::new(Gateway::new(config, world).unwrap());
        (folder, Reloader::new(gateway, Some(path), files))
    }

    fn write(folder: &tempfile::TempDir, name: &str, text: &str) {
        std::fs::write(folder.path().join(name), text).unwrap();
    }

    #[tokio::test]
    async fn what_a_reload_has_read_has_not_changed_since() {
        let (folder, reloader) = reloader();
        assert!(!reloader.has_changed().await);
        let key_of_more = format!("{MAIN}[identity.providers.keys]\nkind = 'api_key'\nfile = 'keys.toml'\n");
        write(&folder, "keys.toml", "");
        for (name, text, is_good) in [
            ("routes/b.toml", "[[routes]]\npath = '/b'\nanswer = {}\n", true),
            ("gateway.toml", &*key_of_more, true),
            ("keys.toml", "keys = 1", false),
            ("routes/c.toml", "colour = 'red'", false),
            ("keys.toml", "", false),
            ("routes/c.toml", "", true),
            ("gateway.toml", MAIN, true),
        ] {
            write(&folder, name, text);
            assert!(reloader.has_changed().await, "{name}: {text}");
            assert_eq!(reloader.reload("signal").await.ok, is_good, "{name}: {text}");
            assert!(!reloader.has_changed().await, "{name}: {text}");
        }
        write(&folder, "keys.toml", "keys = 1");
        assert!(!reloader.has_changed().await, "nobody names it any more");
        for file in ["routes/a.toml", "gateway.toml"] {
            std::fs::remove_file(folder.path().join(file)).unwrap();
            assert!(reloader.has_changed().await);
            assert_eq!(reloader.reload("signal").await.ok, file != "gateway.toml");
            assert!(!reloader.has_changed().await);
        }
    }

    #[tokio::test]
    async fn a_file_that_was_refused_is_looked_at_behind_a_reading_that_panicked() {
        let (folder, reloader) = reloader();
        std::fs::create_dir(folder.path().join("more")).unwrap();
        write(&folder, "more/b.toml", "colour = 'red'");
        write(&folder, "gateway.toml", &MAIN.replace("['", "['more/b.toml', '"));
        assert!(!reloader.reload("signal").await.ok);
        write(&folder, "more/b.toml", "colour = 'one that panics'");
        assert!(reloader.has_changed().await);
        reloader.keep_looking_at_the_same(Held::now(&reloader.all_files()));
        assert!(!reloader.has_changed().await, "it is not tried again and again");
        write(&folder, "more/b.toml", &ROUTE.replace("'/'", "'/b'"));
        assert!(reloader.has_changed().await && reloader.reload(BY_WATCHING).await.ok);
        assert!(!reloader.has_changed().await);
    }

    #[tokio::test]
    async fn a_file_that_was_emptied_is_taken_for_one_that_is_being_written_until_somebody_says_otherwise() {
        let (folder, reloader) = reloader();
        write(&folder, "routes/b.toml", &ROUTE.replace("'/'", "'/b'"));
        assert!(reloader.reload(BY_WATCHING).await.ok);
        write(&folder, "routes/b.toml", "");
        for _ in 0..2 {
            let report = reloader.reload(BY_WATCHING).await;
            let why = report.error.unwrap();
            assert!(!report.ok && why.contains("routes/b.toml is empty") && why.contains("SIGHUP or POST /reload"));
            assert_eq!(reloader.gateway.snapshot().config.routes.len(), 2);
        }
        assert!(reloader.reload("admin").await.ok);
        assert_eq!(reloader.gateway.snapshot().config.routes.len(), 1);
        // It was empty before, and one that has come has lost nothing.
        write(&folder, "routes/c.toml", "");
        assert!(reloader.reload(BY_WATCHING).await.ok);

        write(&folder, "routes/a.toml", "# none\n");
        let why = reloader.reload(BY_WATCHING).await.error.unwrap();
        assert!(why.contains("no route any more") && why.contains("SIGHUP or POST /reload"), "{why}");
        assert!(reloader.reload("signal").await.ok);
        assert!(reloader.gateway.snapshot().config.routes.is_empty());
    }

    #[tokio::test]
    async fn what_is_perhaps_not_meant_is_told_by_a_reload_too() {
        let (folder, reloader) = reloader();
        write(&folder, "gateway.toml", &MAIN.replace("['", "['more/*.toml', '"));
        let report = reloader.reload("signal").await;
        let problem = &report.problems[0];
        assert!(report.ok && problem.severity == Severity::Warning);
        assert_eq!(problem.message, "\"more/*.toml\" matches no file");
        assert!(in_a_line(problem).ends_with("gateway.toml:1:12: warning: \"more/*.toml\" matches no file"));
    }
}
