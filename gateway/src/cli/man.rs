//! `gateway man`: the manual pages, made from the same text as the help.

use std::path::PathBuf;

use clap::{Args, CommandFactory};

use super::{Arguments, COULD_NOT_RUN, DONE, output};

/// Print the manual page, or write those of all commands into a folder.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  gateway man | man -l -\n  gateway man --out /usr/local/share/man/man1")]
pub(super) struct Man {
    /// Write gateway.1 and a page for each command here.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl Man {
    pub(super) fn run(&self) -> u8 {
        match self.write() {
            Ok(code) => code,
            Err(why) => {
                output::problem(&format!("error: {why}"));
                COULD_NOT_RUN
            }
        }
    }

    /// The exit code, or why there is no page.
    fn write(&self) -> Result<u8, String> {
        let command = Arguments::command();
        let Some(folder) = &self.out else {
            let mut page = Vec::new();
            clap_mangen::Man::new(command).render(&mut page).map_err(|error| error.to_string())?;
            return Ok(output::result(&String::from_utf8_lossy(&page)));
        };
        let place = |error: std::io::Error| format!("{}: {error}", folder.display());
        std::fs::create_dir_all(folder).map_err(place)?;
        clap_mangen::generate_to(command, folder).map_err(place)?;
        Ok(DONE)
    }
}
