//! Answers on their way to the client. Only this module writes error bodies.

mod own;
pub mod problem;
mod relay;

pub use own::{client_left, options};
pub use relay::{relay, switch};
