//! From text to one tree: TOML with places, environment variables, included files.
pub(crate) mod document;
pub(crate) mod environment;
pub(crate) mod include;
pub(crate) mod links;
pub(crate) mod pattern;
