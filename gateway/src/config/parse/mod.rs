//! From text to one tree: TOML with places, environment variables, included files.
pub(crate) mod document;
mod duplicates;
pub(crate) mod environment;
pub(crate) mod foreign;
pub(crate) mod include;
pub(crate) mod links;
pub(crate) mod pattern;
mod slips;
