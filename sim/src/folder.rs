//! Where a command writes: the folder that was asked for, or a new one among the temporary files.

use std::io;
use std::path::{Path, PathBuf};

use loadgen::hold::hold;
use reports::files;

/// What a gate writes in the place of `report.md`.
const GATE_MARKDOWN: &str = "gate.md";

/// A folder that is there.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    temporary: bool,
}

impl Folder {
    /// Makes the folder `out`, or a temporary one for this command, and holds it to the process's end. Its path is
    /// absolute and has no links: programs read paths relative to their configuration, and people copy them from the
    /// output.
    ///
    /// # Errors
    /// The path, and what the system said.
    pub(crate) fn make(out: Option<&Path>, command: &str) -> Result<Self, (PathBuf, io::Error)> {
        let wanted = match out {
            Some(out) => out.to_path_buf(),
            None => temporary(std::env::temp_dir(), command)?,
        };
        let made = may_be_folder(&wanted)
            .and_then(|()| std::fs::create_dir_all(&wanted))
            .and_then(|()| hold(&wanted))
            .and_then(|()| std::fs::canonicalize(&wanted));
        made.map(|path| Self { path, temporary: out.is_none() }).map_err(|error| (wanted, error))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether nobody asked for it by name.
    pub(crate) fn is_temporary(&self) -> bool {
        self.temporary
    }

    /// Removes it and what is in it, unless it was asked for. Whatever writes there has ended.
    pub(crate) fn remove_if_temporary(&self) {
        if self.temporary {
            // It lies among the temporary files: what cannot be removed now goes with them.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

/// A path for this command among the temporary files. Where these are to be is the machine's affair: it is not made.
fn temporary(all: PathBuf, command: &str) -> Result<PathBuf, (PathBuf, io::Error)> {
    match all.is_dir() {
        true => Ok(all.join(format!("portcullis-{command}-{}", std::process::id()))),
        false => Err((all, io::Error::new(io::ErrorKind::NotFound, "no such folder for temporary files (TMPDIR)"))),
    }
}

/// Whether there is a folder, or nothing that stands in its way.
///
/// # Errors
/// A file is there.
fn may_be_folder(path: &Path) -> io::Result<()> {
    match std::fs::metadata(path) {
        Ok(found) if !found.is_dir() => Err(io::Error::new(io::ErrorKind::NotADirectory, "it is no folder")),
        _ => Ok(()),
    }
}

/// Holds a folder, where it is there already, to the process's end: what is in it is to be this command's alone.
///
/// # Errors
/// The path, and that another command writes there.
pub(crate) fn take(out: &Path) -> Result<(), (PathBuf, io::Error)> {
    let taken = if out.is_dir() { hold(out) } else { Ok(()) };
    taken.map_err(|error| (out.to_path_buf(), error))
}

/// Makes a folder ready for a result: what an earlier command reported there is gone, so that nobody takes it for this
/// one's, however this one ends.
///
/// # Errors
/// The path, and what the system said, when it is no folder or a report cannot be removed.
pub(crate) fn clear(out: &Path) -> Result<(), (PathBuf, io::Error)> {
    let cleared = may_be_folder(out).and_then(|()| files::clear(out));
    cleared.map_err(|error| (out.to_path_buf(), error))?;
    match std::fs::remove_file(out.join(GATE_MARKDOWN)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err((out.join(GATE_MARKDOWN), error)),
        _ => Ok(()),
    }
}

/// Reports that a command came to no result, where it has reported nothing.
pub(crate) fn report_trouble(out: &Path, command: &str, why: &str) {
    // Where another command writes, nothing is said but what is its own.
    if take(out).is_ok() && !out.join(files::JUNIT).exists() {
        // It is told on standard error already; a folder that cannot be written may be the very reason.
        let _ = files::write_trouble(out, command, why);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_for_temporary_files_is_not_made() {
        let within = tempfile::tempdir().unwrap();
        assert!(temporary(within.path().to_path_buf(), "test").unwrap().starts_with(within.path()));
        let (path, error) = temporary(within.path().join("none"), "test").unwrap_err();
        assert!(path == within.path().join("none") && error.to_string().contains("TMPDIR"), "{error}");
        assert!(!within.path().join("none").exists());
    }

    #[test]
    fn a_gates_report_is_cleared_too_and_a_result_is_not_written_over() {
        let out = tempfile::tempdir().unwrap();
        for name in [files::JUNIT, GATE_MARKDOWN, "rounds.jsonl"] {
            std::fs::write(out.path().join(name), "old").unwrap();
        }
        report_trouble(out.path(), "sim gate", "it broke");
        assert_eq!(std::fs::read_to_string(out.path().join(files::JUNIT)).unwrap(), "old");
        clear(out.path()).unwrap();
        assert!(!out.path().join(GATE_MARKDOWN).exists() && out.path().join("rounds.jsonl").exists());
        report_trouble(out.path(), "sim gate", "it broke");
        assert!(std::fs::read_to_string(out.path().join(files::JUNIT)).unwrap().contains("it broke"));
        clear(&out.path().join("not/there")).unwrap();
    }

    #[test]
    fn a_folder_in_which_another_command_writes_is_left_to_it() {
        let out = tempfile::tempdir().unwrap();
        // A lock is of an opened file: this one is as good as another process.
        let other = std::fs::File::open(out.path()).unwrap();
        other.try_lock().unwrap();
        let (_, error) = Folder::make(Some(out.path()), "test").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ResourceBusy, "{error}");
        assert!(take(out.path()).is_err());
        report_trouble(out.path(), "sim run", "it broke");
        assert!(!out.path().join(files::JUNIT).exists(), "that would be taken for the other's");
        drop(other);
        take(out.path()).unwrap();
        Folder::make(Some(out.path()), "test").unwrap();
    }

    #[test]
    fn only_a_folder_that_nobody_named_is_removed() {
        let within = tempfile::tempdir().unwrap();
        let named = Folder::make(Some(&within.path().join("a/b")), "test").unwrap();
        named.remove_if_temporary();
        assert!(named.path().is_dir() && !named.is_temporary());
        let unnamed = Folder::make(None, "folder-test").unwrap();
        std::fs::write(unnamed.path().join("file"), "text").unwrap();
        unnamed.remove_if_temporary();
        assert!(!unnamed.path().exists());
    }

    #[test]
    fn a_file_in_its_place_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let (path, error) = Folder::make(Some(file.path()), "test").unwrap_err();
        assert_eq!((path.as_path(), error.to_string().as_str()), (file.path(), "it is no folder"));
        assert!(clear(file.path()).is_err());
    }
}
