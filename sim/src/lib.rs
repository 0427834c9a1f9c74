//! Scenarios, demonstration and comparisons that prove what the gateway does.
//!
//! | module | what it holds |
//! |---|---|
//! | [`cli`] | the command line of `sim` |
//! | [`demo`] | `sim demo`: a small world, ten seconds of traffic, one injected fault |
//! | [`peers`] | `sim peers`: the gateway and its peers on the same work, in interleaved rounds |
//! | [`gate`] | `sim gate`: two builds of the gateway, and whether one is slower |
//! | [`rounds`] | turns of contenders, which `peers` and `gate` share |
//! | [`children`], [`process`] | programs that a run starts, and always ends |
//! | [`statistics`] | estimates with intervals from paired rounds |
//! | [`paint`] | colours, where there is a terminal |
//!
//! Invariant: whatever a run starts has ended before the run has, on every way out.

pub mod children;
pub mod cli;
pub mod demo;
pub mod gate;
mod own;
pub mod paint;
pub mod peers;
pub mod process;
pub mod rounds;
pub mod statistics;
