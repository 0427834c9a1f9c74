//! The gateway: a reverse proxy, and a framework to build one with.
#![forbid(unsafe_code)]
pub mod clock;
pub mod config;
pub mod error;
