//! Whether files have changed since they were looked at last.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use super::load::read_included;
use super::parse::include::named_by;

/// A number that changes when a file's bytes change, or when it comes or goes. A path with stars is every file that it
/// fits now.
pub fn of<'a>(files: impl Iterator<Item = &'a PathBuf>) -> u64 {
    let files: BTreeSet<PathBuf> = files.flat_map(|file| named_by(file)).collect();
    let mut hasher = DefaultHasher::new();
    for file in files {
        read_included(&file).ok().hash(&mut hasher);
        file.hash(&mut hasher);
    }
    hasher.finish()
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
