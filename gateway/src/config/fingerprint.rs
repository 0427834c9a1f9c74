//! Whether files have changed since they were looked at last.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;

/// A number that changes when a file's bytes change, or when it comes or goes.
pub fn of(files: &[PathBuf]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for file in files {
        file.hash(&mut hasher);
        std::fs::read(file).ok().hash(&mut hasher);
    }
    hasher.finish()
}
