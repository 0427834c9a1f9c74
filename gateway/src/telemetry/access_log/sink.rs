//! Where lines go: a descriptor that is written to without a buffer of its own.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::path::Path;

use crate::config::settings::telemetry::LogOutput;

/// Which file it is, why it cannot be opened, and what to do about it.
fn not_opened(path: &Path, error: &io::Error) -> io::Error {
    let remedy = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "; the file, and its folder too, has to be writable for the user that runs the gateway"
        }
        io::ErrorKind::NotFound => "; its folder has to be there",
        _ => "",
    };
    io::Error::new(error.kind(), format!("cannot open {}: {error}{remedy}", path.display()))
}

/// An open output. What was handed to [`Sink::write`] and failed stays with the caller, who tries again later.
#[derive(Debug)]
pub(super) struct Sink {
    output: LogOutput,
    file: File,
}

impl Sink {
    /// Opens the output; `None` when the log is off.
    pub(super) fn open(output: &LogOutput) -> io::Result<Option<Self>> {
        let file = match output {
            LogOutput::Off => return Ok(None),
            // The descriptor itself: standard output's own buffer would hold back half lines and hide errors.
            LogOutput::Stdout => File::from(io::stdout().as_fd().try_clone_to_owned()?),
            LogOutput::File(path) => {
                OpenOptions::new().append(true).create(true).open(path).map_err(|error| not_opened(path, &error))?
            }
        };
        Ok(Some(Self { output: output.clone(), file }))
    }

    /// Where it leads, in words.
    pub(super) fn name(&self) -> String {
        match &self.output {
            LogOutput::File(path) => path.display().to_string(),
            LogOutput::Stdout | LogOutput::Off => "stdout".to_owned(),
        }
    }

    /// The same output, opened anew: after a rotation the path names another file.
    pub(super) fn reopened(&self) -> io::Result<Option<Self>> {
        Self::open(&self.output)
    }

    /// A sink for what is at the other end of a descriptor.
    #[cfg(test)]
    pub(super) fn of(file: File) -> Self {
        Self { output: LogOutput::Stdout, file }
    }

    /// Writes from `at` on, as far as it goes in one call; moves `at`.
    pub(super) fn write(&mut self, lines: &[u8], at: &mut usize) -> io::Result<()> {
        match self.file.write(&lines[*at..]) {
            Ok(0) => Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                *at += written;
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_cannot_be_opened_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gone/access.log");
        let error = Sink::open(&LogOutput::File(path.clone())).unwrap_err();
        let told = error.to_string();
        assert!(told.starts_with(&format!("cannot open {}: ", path.display())), "{told}");
        assert!(told.ends_with("; its folder has to be there"), "{told}");
        let refused = not_opened(Path::new("/var/log/a"), &io::ErrorKind::PermissionDenied.into()).to_string();
        assert!(
            refused.starts_with("cannot open /var/log/a: ") && refused.contains("writable for the user"),
            "{refused}"
        );
    }
}
