//! Folders of the configuration's files, watched for what comes, goes and changes in them; each for itself, never what
//! lies below. Where the system watches one no more, they are looked at now and then instead.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::Duration;

use notify::{ErrorKind, RecursiveMode, Watcher};
use tokio::sync::mpsc;

use crate::config::fingerprint::{FolderId, of_folder};
use crate::telemetry::notice;
use crate::telemetry::told::Voice;
use crate::threads;

/// Editors write a file in several steps; a change is read when it has been quiet for this long.
const SETTLE: Duration = Duration::from_millis(100);
/// The longest that it is waited for quiet: a log in the same folder may never rest.
const SETTLE_AT_MOST: Duration = Duration::from_secs(1);
/// How often it is looked where not all can be watched.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What is watched.
pub(crate) struct WatchedFolders<W> {
    watcher: Option<W>,
    /// Which each was, whatever its name.
    watched: BTreeMap<PathBuf, FolderId>,
    /// Why one cannot be watched.
    failing: Option<String>,
    voice: Voice,
    told: mpsc::Receiver<()>,
    tells: mpsc::Sender<()>,
}

impl<W: Watcher> WatchedFolders<W> {
    /// None yet.
    pub(crate) fn new(voice: Voice) -> Self {
        let (tells, told) = mpsc::channel(1);
        Self { watcher: None, watched: BTreeMap::new(), failing: None, voice, told, tells }
    }

    /// Tells as the system does: it is to be looked anew.
    pub(crate) fn teller(&self) -> mpsc::Sender<()> {
        self.tells.clone()
    }

    /// Watches these from now on, and no others. One that is another folder than before under the same name is watched
    /// anew.
    pub(crate) fn watch(&mut self, folders: &BTreeSet<PathBuf>) {
        let failed = self.try_to_watch(folders).err();
        if failed.is_some() != self.failing.is_some() {
            notice::files(&self.voice, failed.as_deref());
        }
        self.failing = failed;
    }

    /// Why not all of them are.
    fn try_to_watch(&mut self, folders: &BTreeSet<PathBuf>) -> Result<(), String> {
        let watcher = match &mut self.watcher {
            Some(watcher) => watcher,
            none => none.insert(begun(self.tells.clone())?),
        };
        // One whose thread was not made, or has ended, panics.
        let watching = catch_unwind(AssertUnwindSafe(|| change(watcher, &mut self.watched, folders)));
        watching.unwrap_or_else(|_panic| {
            // Also where it is dropped. The next look begins another.
            std::mem::forget(self.watcher.take());
            self.watched.clear();
            Err("what watches them has ended".to_owned())
        })
    }

    /// Waits until something may have changed, and is quiet again.
    pub(crate) async fn changed(&mut self) {
        if self.failing.is_some() {
            let _ = tokio::time::timeout(LOOK_EVERY, self.told.recv()).await;
        } else {
            self.told.recv().await;
        }
        let _ = tokio::time::timeout(SETTLE_AT_MOST, quiet(&mut self.told)).await;
    }
}

/// A watcher that tells of changes.
fn begun<W: Watcher>(tells: mpsc::Sender<()>) -> Result<W, String> {
    // It needs one, and does not say where it has none.
    threads::is_there_one().map_err(|error| format!("there is no thread to watch them: {error}"))?;
    let on_event = move |event: notify::Result<notify::Event>| {
        // Reading a file is an event too; a reload must not cause the next one.
        if event.is_ok_and(|event| !event.kind.is_access()) {
            let _ = tells.try_send(());
        }
    };
    W::new(on_event, notify::Config::default()).map_err(|error| in_words(&error))
}

/// What the system says, and which of its limits that is: one of inotify's says it in another's words.
fn in_words(error: &notify::Error) -> String {
    let limit = match &error.kind {
        ErrorKind::Io(io) if io.raw_os_error() == Some(libc::EMFILE) => {
            ": inotify has no instance left for this user (fs.inotify.max_user_instances), or the process no descriptor"
        }
        ErrorKind::MaxFilesWatch => ": fs.inotify.max_user_watches",
        _ => "",
    };
    format!("{error}{limit}")
}

/// Watches these and no others; the first that cannot be, and why.
fn change<W: Watcher>(
    watcher: &mut W,
    watched: &mut BTreeMap<PathBuf, FolderId>,
    folders: &BTreeSet<PathBuf>,
) -> Result<(), String> {
    let stays = |folder: &PathBuf, id: &FolderId| folders.contains(folder) && of_folder(folder) == Some(*id);
    let ended = watched.iter().filter(|(folder, id)| !stays(folder, id));
    for (folder, id) in ended.map(|(folder, id)| (folder.clone(), *id)).collect::<Vec<_>>() {
        // One that is gone is not watched any more anyway; with one of two names, neither is.
        let _ = watcher.unwatch(&folder);
        watched.retain(|_, other| *other != id);
    }
    let mut failed = None;
    for folder in folders {
        let Some(id) = of_folder(folder).filter(|_| !watched.contains_key(folder)) else { continue };
        match watcher.watch(folder, RecursiveMode::NonRecursive) {
            Ok(()) => _ = watched.insert(folder.clone(), id),
            Err(error) => _ = failed.get_or_insert_with(|| format!("{}: {}", folder.display(), in_words(&error))),
        }
    }
    failed.map_or(Ok(()), Err)
}

/// Waits until nothing has changed for a while.
async fn quiet(told: &mut mpsc::Receiver<()>) {
    while tokio::time::timeout(SETTLE, told.recv()).await.is_ok_and(|event| event.is_some()) {}
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::atomic::{AtomicU32, Ordering};

    use notify::{Config, EventHandler, RecommendedWatcher, WatcherKind};

    use super::*;

    /// A system that watches nothing more.
    #[derive(Debug)]
    struct Full;

    impl Watcher for Full {
        fn new<F: EventHandler>(_: F, _: Config) -> notify::Result<Self> {
            Ok(Self)
        }

        fn watch(&mut self, _: &Path, _: RecursiveMode) -> notify::Result<()> {
            Err(notify::Error::new(ErrorKind::MaxFilesWatch))
        }

        fn unwatch(&mut self, _: &Path) -> notify::Result<()> {
            Ok(())
        }

        fn kind() -> WatcherKind {
            WatcherKind::NullWatcher
        }
    }

    /// One whose thread the system has not made: it panics, also where it is dropped; and how many there were.
    #[derive(Debug)]
    struct WithoutThread;

    static BEGUN: AtomicU32 = AtomicU32::new(0);

    impl Watcher for WithoutThread {
        fn new<F: EventHandler>(_: F, _: Config) -> notify::Result<Self> {
            if BEGUN.fetch_add(1, Ordering::Relaxed) == 0 {
                return Err(notify::Error::io(std::io::Error::from_raw_os_error(libc::EMFILE)));
            }
            Ok(Self)
        }

        fn watch(&mut self, _: &Path, _: RecursiveMode) -> notify::Result<()> {
            assert!(BEGUN.load(Ordering::Relaxed) > 2, "its thread is not there");
            Ok(())
        }

        fn unwatch(&mut self, _: &Path) -> notify::Result<()> {
            Ok(())
        }

        fn kind() -> WatcherKind {
            WatcherKind::NullWatcher
        }
    }

    impl Drop for WithoutThread {
        fn drop(&mut self) {
            assert!(BEGUN.load(Ordering::Relaxed) > 2, "its thread is not there");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_watcher_that_cannot_be_or_has_no_thread_gives_way_to_another_at_the_next_look() {
        let folder = tempfile::tempdir().unwrap();
        let all = BTreeSet::from([folder.path().to_owned()]);
        let mut folders = WatchedFolders::<WithoutThread>::new(Voice::StandardError);
        for why in ["fs.inotify.max_user_instances", "has ended"] {
            folders.watch(&all);
            assert!(folders.failing.as_ref().is_some_and(|told| told.contains(why)), "{:?}", folders.failing);
            assert!(tokio::time::timeout(2 * LOOK_EVERY, folders.changed()).await.is_ok());
        }
        folders.watch(&all);
        assert_eq!((folders.failing.as_deref(), folders.watched.len()), (None, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn where_nothing_can_be_watched_it_is_looked_every_few_seconds() {
        let folder = tempfile::tempdir().unwrap();
        let mut folders = WatchedFolders::<Full>::new(Voice::StandardError);
        folders.watch(&BTreeSet::from([folder.path().to_owned()]));
        assert!(folders.failing.as_ref().is_some_and(|why| why.contains(folder.path().to_str().unwrap())));
        assert!(tokio::time::timeout(2 * LOOK_EVERY, folders.changed()).await.is_ok());
        folders.watch(&BTreeSet::new());
        assert!(tokio::time::timeout(2 * LOOK_EVERY, folders.changed()).await.is_err(), "there is nothing to look at");
    }

    /// Waits until it is told of a change, but not for ever.
    async fn told(folders: &mut WatchedFolders<RecommendedWatcher>) {
        let told = tokio::time::timeout(Duration::from_secs(30), folders.changed()).await;
        told.expect("the system tells of it");
    }

    #[tokio::test]
    async fn a_folder_that_takes_anothers_place_is_watched_too() {
        let outer = tempfile::tempdir().unwrap();
        let inner = outer.path().join("inner");
        let both = BTreeSet::from([outer.path().to_owned(), inner.clone()]);
        let mut folders = WatchedFolders::<RecommendedWatcher>::new(Voice::StandardError);
        for number in 0..3 {
            folders.watch(&both);
            std::fs::create_dir(&inner).unwrap();
            told(&mut folders).await;
            folders.watch(&both);
            std::fs::write(inner.join("file"), number.to_string()).unwrap();
            told(&mut folders).await;
            std::fs::remove_dir_all(&inner).unwrap();
            told(&mut folders).await;
        }
    }

    /// Its number may be the one before's, which is free again.
    #[tokio::test]
    async fn a_folder_that_is_made_anew_before_anybody_looks_is_watched_too() {
        let outer = tempfile::tempdir().unwrap();
        let inner = outer.path().join("inner");
        std::fs::create_dir(&inner).unwrap();
        let both = BTreeSet::from([outer.path().to_owned(), inner.clone()]);
        let mut folders = WatchedFolders::<RecommendedWatcher>::new(Voice::StandardError);
        folders.watch(&both);
        for number in 0..3 {
            std::fs::remove_dir_all(&inner).unwrap();
            std::fs::create_dir(&inner).unwrap();
            told(&mut folders).await;
            folders.watch(&both);
            std::fs::write(inner.join("file"), number.to_string()).unwrap();
            told(&mut folders).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_folder_that_never_rests_is_never_quiet() {
        let (sender, mut changed) = mpsc::channel(1);
        let noise = tokio::spawn(async move {
            let mut every = tokio::time::interval(SETTLE / 2);
            while sender.send(()).await.is_ok() {
                every.tick().await;
            }
        });
        assert!(tokio::time::timeout(SETTLE_AT_MOST, quiet(&mut changed)).await.is_err(), "it is never quiet");
        noise.abort();
        assert!(noise.await.is_err_and(|ended| ended.is_cancelled()));
        assert!(tokio::time::timeout(SETTLE_AT_MOST, quiet(&mut changed)).await.is_ok(), "now it is");
    }
}
