//! Metrics as text: Prometheus 0.0.4, or OpenMetrics 1.0 for a scraper that asks for it.
//!
//! The caller gathers what only it knows in [`ScrapeInputs`]; the rest is read from the registry's shards as they are.
//! Workers take part in nothing of this.

mod families;
mod format;

pub use families::{KeptAnswers, ScrapeInputs, render};
pub use format::Format;
