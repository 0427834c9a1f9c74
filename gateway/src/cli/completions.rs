//! `gateway completions`: what a shell needs to finish a command line.

use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate};

use super::output;

/// Print completions for a shell.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  gateway completions bash > /etc/bash_completion.d/gateway\n  gateway completions zsh > ~/.zfunc/_gateway\n  gateway completions fish > ~/.config/fish/completions/gateway.fish"
)]
pub(super) struct Completions {
    /// Which shell.
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    pub(super) fn run(&self) -> u8 {
        let mut text = Vec::new();
        generate(self.shell, &mut super::Arguments::command(), "gateway", &mut text);
        output::result(&String::from_utf8_lossy(&text))
    }
}
