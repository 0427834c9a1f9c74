//! `gateway defaults`: every key with its default, commented.

use clap::Args;

use super::output;
use crate::config::publish;

/// Print every key with its default, commented.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  gateway defaults | less")]
pub(super) struct Defaults {}

impl Defaults {
    pub(super) fn run(&self) -> u8 {
        output::result(publish::DEFAULTS)
    }
}
