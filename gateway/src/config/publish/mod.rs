//! The keys for people and editors: commented defaults, JSON Schema, documentation, a starter file.

mod json_schema;
mod markdown;
mod starter;
#[cfg(test)]
mod tests;

pub use json_schema::json_schema;
pub use markdown::markdown;
pub use starter::{ADMIN, LISTENS, forwarding, starter};

/// Every key with its default, commented. Tests hold it to the tables of keys and to the contract.
pub const DEFAULTS: &str = include_str!("../../../defaults.toml");
