//! Where lines go: a descriptor that is written to without a buffer of its own, or the program around the gateway.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;

use crate::config::settings::telemetry::LogOutput;
use crate::telemetry::appended;
use crate::telemetry::told::TakesRecords;

/// An open output. What was handed to [`Sink::write`] and failed stays with the caller, who tries again later.
#[derive(Debug)]
pub(super) struct Sink {
    output: LogOutput,
    place: Place,
}

#[derive(Debug)]
enum Place {
    File(File),
    Program(TakesRecords),
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
        Ok(Some(Self { output: output.clone(), place: Place::File(file) }))
    }

    /// The program around the gateway.
    pub(super) fn program(takes: TakesRecords) -> Self {
        Self { output: LogOutput::Stdout, place: Place::Program(takes) }
    }

    /// Where it leads, in words.
    pub(super) fn name(&self) -> String {
        match (&self.place, &self.output) {
            (Place::Program(_), _) => "program".to_owned(),
            (Place::File(_), LogOutput::File(path)) => path.display().to_string(),
            (Place::File(_), LogOutput::Stdout | LogOutput::Off) => "stdout".to_owned(),
        }
    }

    /// The same output, opened anew: after a rotation the path names another file.
    pub(super) fn reopened(&self) -> io::Result<Option<Self>> {
        match &self.place {
            Place::File(_) => Self::open(&self.output),
            Place::Program(takes) => Ok(Some(Self::program(takes.clone()))),
        }
    }

    /// Whether its file has no name any more: somebody has removed it, and whoever looks for it finds nothing.
    pub(super) fn is_gone(&self) -> bool {
        match (&self.place, &self.output) {
            (Place::File(file), LogOutput::File(_)) => appended::is_gone(file),
            _ => false,
        }
    }

    /// A sink for what is at the other end of a descriptor.
    #[cfg(test)]
    pub(super) fn of(file: File) -> Self {
        Self { output: LogOutput::Stdout, place: Place::File(file) }
    }

    /// Writes from `at` on, as far as it goes in one call; moves `at`.
    pub(super) fn write(&mut self, lines: &[u8], at: &mut usize) -> io::Result<()> {
        let file = match &mut self.place {
            Place::File(file) => file,
            Place::Program(takes) => {
                takes.take(&lines[*at..]);
                *at = lines.len();
                return Ok(());
            }
        };
        match file.write(&lines[*at..]) {
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
