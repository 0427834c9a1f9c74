//! Scenario files: one file is topology, load, fault timeline and expectations (`docs/contract/scenario.toml`).
//!
//! Everything that is wrong is found before anything starts, in one run, with its place: also what only shows when the
//! parts are seen together (a fault on an endpoint that no mock has, an expectation on a figure that no result will
//! hold), and what the gateway says of its configuration once its placeholders are filled in.
//!
//! - `source`, `tree`, `problem`: text with places, and messages; `reader`: keys with their types;
//! - `read/`: one file for each part of a scenario; `figures`: what a result will hold;
//! - [`gateway`]: the configuration with its placeholders; `outbound`: where it would connect to; [`topology`]: the
//!   mocks' file; [`model`]: a scenario that holds;
//!   `warnings`: what of it is hardly meant.

mod figures;
pub mod gateway;
pub mod model;
mod outbound;
pub(crate) mod policy;
mod problem;
mod read;
mod reader;
mod source;
#[cfg(test)]
mod tests;
pub mod topology;
mod tree;
mod warnings;

pub(crate) use figures::CAUSES;
pub use model::Scenario;
pub use problem::Problems;
pub use read::{LoadError, load, load_with_config};
pub(crate) use warnings::warnings;

/// Whether a result of this scenario will hold this figure.
#[cfg(test)]
pub(crate) fn has_figure(scenario: &Scenario, name: &str) -> bool {
    let checked = scenario.gateway.template.check(&scenario.file, scenario.endpoints()).ok();
    let all = figures::all(scenario, checked.as_ref());
    let is_metric = || figures::is_metric(name, scenario.gateway.instances) == Ok(true);
    all.iter().any(|known| known == name) || figures::is_count(name, &all) || is_metric()
}
