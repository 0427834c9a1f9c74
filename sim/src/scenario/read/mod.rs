//! The parts of a scenario, each read by a file of its own, and what must hold of them together.

mod answer;
mod capacity;
mod expect;
mod fault;
mod hostile;
mod load;
mod outward;
mod root;
mod simulated;
mod tokens;
mod unrouted;
mod way;
mod world;

pub use root::{LoadError, load, load_with_config};
