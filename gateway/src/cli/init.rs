//! `gateway init`: a first configuration, short and commented.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use super::{COULD_NOT_RUN, USAGE, output};
use crate::config::publish::{self, ADMIN, LISTENS};
use crate::terminal::one_line;

/// Write a first configuration. An existing file is left alone.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  gateway init\n  gateway init --to http://127.0.0.1:3000 my-gateway.toml\n\nExit codes: 0 written, 2 the URL is none, 3 the file exists or cannot be written."
)]
pub(super) struct Init {
    /// Where requests go.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9001")]
    to: String,
    /// The file to write.
    #[arg(default_value = "gateway.toml")]
    file: PathBuf,
}

impl Init {
    pub(super) fn run(&self) -> u8 {
        let file = self.file.display();
        let text = match publish::starter(&self.to) {
            Ok(text) => text,
            Err(why) => {
                output::problem(&format!("error: --to {}: {why}", self.to.escape_debug()));
                return USAGE;
            }
        };
        // One step, so that a file that appears meanwhile is not overwritten.
        let created = OpenOptions::new().write(true).create_new(true).open(&self.file);
        match created.and_then(|out| fill(out, &text, &self.file)) {
            Ok(()) => {
                // The addresses are the starter's own, which `publish` tests.
                output::result(&format!(
                    "{file}: written\nclients connect to http://{LISTENS}, and all goes to {}\nadmin page and metrics: \
                     http://{ADMIN}\nnext: gateway check {file}, then gateway run --config {file}",
                    one_line(&self.to)
                ))
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                output::problem(&format!("error: {file} exists already; give another name, or remove it"));
                COULD_NOT_RUN
            }
            Err(error) => {
                output::problem(&format!("error: cannot write {file}: {error}"));
                COULD_NOT_RUN
            }
        }
    }
}

/// Writes the file that was made here; a torn one goes, so that the next try finds none.
fn fill(mut out: impl Write, text: &str, file: &Path) -> io::Result<()> {
    let written = out.write_all(text.as_bytes());
    if written.is_err() {
        // What stays is told by the next try.
        let _ = std::fs::remove_file(file);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::fill;

    #[test]
    fn a_file_that_cannot_be_written_whole_is_taken_away() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gateway.toml");
        std::fs::write(&file, "[[rou").unwrap();
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        assert!(fill(full, "[[routes]]", &file).is_err());
        assert!(!file.exists());
    }
}
