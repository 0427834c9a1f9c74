//! One command at a time writes into a folder.
//!
//! Two that did would mix their files, and each take the other's for its own. The hold is a lock on the folder itself,
//! so it leaves no file behind, and the system lets it go with the process, however that ends.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// What this process holds, to its end.
static HELD: Mutex<Vec<(PathBuf, File)>> = Mutex::new(Vec::new());

/// Holds a folder that is there until this process ends. It may hold one as often as it likes.
///
/// # Errors
/// Another process writes there, or there is no such folder.
pub fn hold(folder: &Path) -> io::Result<()> {
    let path = std::fs::canonicalize(folder)?;
    let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    if held.iter().any(|(one, _)| *one == path) {
        return Ok(());
    }
    let file = lock(&path)?;
    held.push((path, file));
    Ok(())
}

fn lock(path: &Path) -> io::Result<File> {
    let file = File::open(path)?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => {
            let why = "another command writes there now: name another folder, or wait for its end";
            Err(io::Error::new(io::ErrorKind::ResourceBusy, why))
        }
        // A file system that knows no locks is no reason to measure nothing.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(file),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_held_by_one_at_a_time_and_free_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        // Locks are of an opened file: another one here is as good as another process.
        let other = lock(folder.path()).unwrap();
        let error = hold(folder.path()).unwrap_err();
        assert!(
            error.kind() == io::ErrorKind::ResourceBusy && error.to_string().contains("another command"),
            "{error}"
        );
        drop(other);
        hold(folder.path()).unwrap();
        hold(folder.path()).unwrap();
        assert!(lock(folder.path()).is_err());
        assert!(hold(&folder.path().join("none")).is_err());
    }
}
