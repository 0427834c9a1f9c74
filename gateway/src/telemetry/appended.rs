//! Files that are written to at their end.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

/// Opens a file, and makes it where there is none. Never waits: a pipe that nobody reads is refused.
///
/// # Errors
/// Which file it is, why it cannot be opened, and what to do about it.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)
        .map_err(|error| not_opened(path, &error))?;
    // Writes are waited for: whoever writes has a thread for it.
    fcntl_setfl(&file, fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
    Ok(file)
}

/// Whether an open file has no name any more: it was removed, alone or with its folder, and what is written to it is
/// lost.
pub(super) fn is_gone(file: &File) -> bool {
    file.metadata().is_ok_and(|found| found.is_file() && found.nlink() == 0)
}

fn not_opened(path: &Path, error: &io::Error) -> io::Error {
    let remedy = match (error.raw_os_error(), error.kind()) {
        (Some(libc::ENXIO), _) if is_pipe(path) => "; nobody reads this pipe: start its reader first",
        (Some(libc::ENXIO), _) => "; it is neither a file nor a pipe",
        (_, io::ErrorKind::PermissionDenied) => {
            "; the file, and its folder too, has to be writable for the user that runs the gateway"
        }
        (_, io::ErrorKind::NotFound) => "; its folder has to be there",
        _ => "",
    };
    io::Error::new(error.kind(), format!("cannot open {}: {error}{remedy}", path.display()))
}

fn is_pipe(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| found.file_type().is_fifo())
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use rustix::fs::{CWD, Mode, mkfifoat};

    use super::*;

    #[test]
    fn a_file_that_cannot_be_opened_is_named_with_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gone/access.log");
        let told = open(&path).unwrap_err().to_string();
        assert!(told.starts_with(&format!("cannot open {}: ", path.display())), "{told}");
        assert!(told.ends_with("; its folder has to be there"), "{told}");
        let refused = not_opened(Path::new("/var/log/a"), &io::ErrorKind::PermissionDenied.into()).to_string();
        assert!(
            refused.starts_with("cannot open /var/log/a: ") && refused.contains("writable for the user"),
            "{refused}"
        );
    }

    #[test]
    fn a_pipe_is_opened_where_somebody_reads_it_and_not_waited_for_where_nobody_does() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR).unwrap();
        let told = open(&path).unwrap_err().to_string();
        assert!(told.ends_with("; nobody reads this pipe: start its reader first"), "{told}");
        let mut reader = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&path).unwrap();
        let mut file = open(&path).unwrap();
        assert!(!fcntl_getfl(&file).unwrap().contains(OFlags::NONBLOCK), "its writes are waited for");
        file.write_all(b"line").unwrap();
        drop(file);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "line");
    }
}
