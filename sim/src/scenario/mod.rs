//! Scenario files: one file is topology, load, fault timeline and expectations (`docs/contract/scenario.toml`).
//!
//! Everything that is wrong is found before anything starts, in one run, with its place: also what only shows when the
//! parts are seen together (a fault on an endpoint that no mock has, an expectation on a figure that no result will
//! hold), and what the gateway says of its configuration once its placeholders are filled in.
//!
//! - `source`, `tree`, `problem`: text with places, and messages; `reader`: keys with their types;
//! - `read/`: one file for each part of a scenario; `figures`: what a result will hold;
//! - [`gateway`]: the configuration with its placeholders; [`topology`]: the mocks' file; [`model`]: a scenario that
//!   holds.

mod figures;
pub mod gateway;
pub mod model;
pub(crate) mod policy;
mod problem;
mod read;
mod reader;
mod source;
#[cfg(test)]
mod tests;
pub mod topology;
mod tree;

pub(crate) use figures::CAUSES;
pub use model::Scenario;
pub use problem::{Problem, Problems};
pub use read::{LoadError, load};
