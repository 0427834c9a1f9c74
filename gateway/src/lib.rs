//! The gateway: a reverse proxy, and a framework to build one with.
#![forbid(unsafe_code)]
// In the order of a request's way.
pub mod cli;
pub mod clock;
pub mod config;
pub mod error;

pub mod context;
pub mod routing;
pub mod telemetry;

pub mod algorithms;
