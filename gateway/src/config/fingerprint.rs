//! Whether files have changed since they were looked at last.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};

use super::load::read_included;
use super::parse::include::named_by;

/// The files that a configuration was read from.
#[derive(Debug, Clone, Default)]
pub struct Files {
    /// Those that were read, the first that was asked for, and the patterns of `include`: what a watch looks at.
    pub paths: Vec<PathBuf>,
    /// What they held when they were read, or just before: what is another now has changed since.
    pub held: Held,
}

/// What files held when they were looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Held(BTreeMap<PathBuf, State>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// There was no file, or none that can be read.
    Gone,
    Empty,
    /// Bytes with this hash.
    Holds(u64),
    /// Nobody could look: this process has no file descriptor left.
    Unseen,
}

impl State {
    fn of_read(read: io::Result<Vec<u8>>) -> Self {
        match read {
            Err(error) if matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)) => Self::Unseen,
            read => Self::of(read.ok().as_deref()),
        }
    }

    fn of(bytes: Option<&[u8]>) -> Self {
        let Some(bytes) = bytes else { return Self::Gone };
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        if bytes.is_empty() { Self::Empty } else { Self::Holds(hasher.finish()) }
    }
}

impl Held {
    /// Looks at files. A path with stars is every file that it fits now.
    pub fn now<'a>(paths: impl IntoIterator<Item = &'a PathBuf>) -> Self {
        let mut held = Self::default();
        paths.into_iter().for_each(|path| held.look_at(path));
        held
    }

    /// Looks at what a path names, but for what was looked at before: it stays as it was then.
    pub(super) fn look_at(&mut self, path: &Path) {
        for file in named_by(path) {
            self.0.entry(file).or_insert_with_key(|file| State::of_read(read_included(file)));
        }
    }

    /// Whether each file could be looked at: else this says nothing of what has changed.
    pub(crate) fn is_whole(&self) -> bool {
        !self.0.values().any(|state| *state == State::Unseen)
    }

    /// What was read of a file. A pipe holds nothing that could be looked at again.
    pub(super) fn was_read(&mut self, file: &Path, bytes: &[u8]) {
        self.0.insert(file.to_path_buf(), State::of(Some(bytes).filter(|_| file.is_file())));
    }

    /// The same of these files, looked at now where they were not before.
    pub(super) fn of(mut self, files: &[PathBuf]) -> Self {
        files.iter().for_each(|file| self.look_at(file));
        let named: BTreeSet<PathBuf> = files.iter().flat_map(|file| named_by(file)).collect();
        self.0.retain(|file, _| named.contains(file));
        self
    }

    /// All of this, and what the other says of more files.
    pub(crate) fn and(mut self, other: Self) -> Self {
        for (file, state) in other.0 {
            self.0.entry(file).or_insert(state);
        }
        self
    }

    /// Files that are empty now, and held something before: those that are being written look so.
    pub(crate) fn emptied_since<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = &'a PathBuf> {
        let held = |file: &PathBuf| matches!(before.0.get(file), Some(State::Holds(_)));
        self.0.iter().filter(move |(file, state)| **state == State::Empty && held(file)).map(|(file, _)| file)
    }
}

/// Which folder it is.
pub(crate) type FolderId = u64;

/// Which folder is there under this name: its device, its number there, which the next one may get when it is gone, and
/// when it was made, where that is known.
pub(crate) fn of_folder(folder: &Path) -> Option<FolderId> {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = std::fs::metadata(folder).ok()?;
    let mut hasher = DefaultHasher::new();
    (metadata.dev(), metadata.ino(), metadata.created().ok()).hash(&mut hasher);
    Some(hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_goes_or_changes_is_told_from_what_stays() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let paths = [at("a"), at("b"), at("*.toml")];
        for name in ["a", "x.toml"] {
            std::fs::write(at(name), "1").unwrap();
        }
        for change in [
            |at: &Path| std::fs::write(at, "2"),
            |at: &Path| std::fs::write(at, ""),
            |at: &Path| std::fs::remove_file(at),
        ] {
            for name in ["a", "b", "x.toml", "y.toml"] {
                std::fs::write(at(name), "1").unwrap();
                let held = Held::now(&paths);
                assert_eq!(held, Held::now(&paths));
                change(&at(name)).unwrap();
                assert_ne!(held, Held::now(&paths), "{name}");
            }
        }
        let before = Held::now(&paths);
        std::fs::write(at("y.toml"), "1").unwrap();
        assert_ne!(before, Held::now(&paths), "it has come");
    }

    #[test]
    fn without_a_file_descriptor_nothing_is_said_of_what_has_changed() {
        let of = |code: i32| State::of_read(Err(io::Error::from_raw_os_error(code)));
        let held = |state: State| Held(BTreeMap::from([("a".into(), State::Empty), ("b".into(), state)]));
        assert!(!held(of(libc::EMFILE)).is_whole() && !held(of(libc::ENFILE)).is_whole());
        assert!(held(of(libc::ENOENT)).is_whole());
    }

    #[test]
    fn what_was_looked_at_first_counts() {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["a", "b", "c"].map(|name| folder.path().join(name));
        let mut seen = Held::default();
        seen.was_read(&paths[0], b"1");
        assert_eq!(seen, Held::now(&paths[..1]), "a file that is none is gone, whatever was read of it");
        for path in &paths {
            std::fs::write(path, "1").unwrap();
        }
        let mut seen = Held::default();
        seen.was_read(&paths[0], b"1");
        seen.look_at(&paths[1]);
        let before = Held::now(&paths);
        for path in &paths {
            std::fs::write(path, "").unwrap();
        }
        seen.look_at(&paths[1]);
        assert_eq!(seen.clone(), before.clone().of(&paths[..2]));
        assert_eq!(seen.and(Held::now(&paths)), before.clone().of(&paths[..2]).and(Held::now(&paths[2..])));
        assert_eq!(Held::now(&paths[1..]).emptied_since(&before).collect::<Vec<_>>(), [&paths[1], &paths[2]]);
        assert_eq!(Held::now(&paths).emptied_since(&Held::now(&paths)).count(), 0);
        assert_eq!(before.emptied_since(&Held::now(&paths)).count(), 0);
    }
}
