//! `gateway schema`: the JSON Schema of a configuration, or its documentation.

use clap::Args;

use super::output;
use crate::config::publish;

/// Print the JSON Schema of a configuration, for editors and other tools.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  gateway schema > gateway.schema.json\n  gateway schema --markdown > configuration.md"
)]
pub(super) struct Schema {
    /// Print the documentation of all keys instead.
    #[arg(long)]
    markdown: bool,
}

impl Schema {
    pub(super) fn run(&self) -> u8 {
        output::result(&if self.markdown { publish::markdown() } else { publish::json_schema() })
    }
}
