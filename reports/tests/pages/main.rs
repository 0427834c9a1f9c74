//! What is rendered: well-formed, complete, closed to the outside, and safe from what stands in a result.

#[path = "../fixtures/mod.rs"]
mod fixtures;

mod document;
mod forms;
mod sections;
mod trend;
mod unfit;
