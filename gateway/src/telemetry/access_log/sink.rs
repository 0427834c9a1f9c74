//! Where lines go: a descriptor that is written to without a buffer of its own.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;

use crate::config::settings::telemetry::LogOutput;
use crate::telemetry::appended;

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
            LogOutput::File(path) => appended::open(path)?,
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
