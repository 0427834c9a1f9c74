//! Where a command writes: the folder that was asked for, or a new one among the temporary files.

use std::io;
use std::path::{Path, PathBuf};

/// A folder that is there.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    temporary: bool,
}

impl Folder {
    /// Makes the folder `out`, or a temporary one for this command. Its path is absolute and has no links: programs
    /// read paths relative to their configuration, and people copy them from the output.
    ///
    /// # Errors
    /// The path, and what the system said.
    pub(crate) fn make(out: Option<&Path>, command: &str) -> Result<Self, (PathBuf, io::Error)> {
        let temporary = || std::env::temp_dir().join(format!("portcullis-{command}-{}", std::process::id()));
        let wanted = out.map_or_else(temporary, Path::to_path_buf);
        let made = std::fs::create_dir_all(&wanted).and_then(|()| std::fs::canonicalize(&wanted));
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

#[cfg(test)]
mod tests {
    use super::*;

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
        let (path, _) = Folder::make(Some(file.path()), "test").unwrap_err();
        assert_eq!(path, file.path());
    }
}
