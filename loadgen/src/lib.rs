//! A load generator that measures from the intended send time.
//!
//! One thread drives many connections with epoll, so that it takes little from the machine it measures on; several
//! loads may share it. HTTP/1.1 has a parser of its own, HTTP/2 is h2's. Two models: *closed* (each connection sends as
//! soon as it has its answer; for cost) and *open* (a seeded plan says when to send, whatever the answers do; for
//! latency).
//!
//! | module | what it holds |
//! |---|---|
//! | [`plan`] | when to send: constant, Poisson, ramp and spike arrivals from a seed, or a trace |
//! | [`target`], [`tls`], [`announce`] | where to send, how that is secured, and on whose behalf |
//! | [`request`] | a weighted mix of what to send, with placeholders and tokens |
//! | [`response`] | the answer: strict, incremental HTTP/1.1 reading |
//! | [`engine`] | the event loop over all connections |
//! | [`sample`], [`recorder`] | what happened to each request, and histograms of it by phase and second |
//! | [`result`], [`environment`], [`text`] | the versioned result, where it was measured, and its summary |
//! | [`threshold`] | conditions under which a run has failed |
//! | [`journey`] | users who go step by step, in a child process, recorded with the rest |
//! | [`interrupt`] | Ctrl-C, and what ends with it |
//! | [`control`] | one request at a time, for control ports |
//! | [`files`] | the limit of open files, which bounds connections |
//! | [`progress`] | how a command's bar looks on a terminal |
//! | [`hold`] | a folder that one command at a time writes into |
//! | [`stdout`] | what commands print for others to read |
//!
//! Invariants: a request counts as answered only when its body was read to the end and was what was expected. The
//! driver never delays an arrival because an answer is late: at its bound it drops the arrival and counts it.

pub mod announce;
pub mod cli;
pub mod clock;
mod connection;
pub mod control;
pub mod engine;
pub mod environment;
pub mod files;
pub mod hold;
pub mod interrupt;
pub mod journey;
pub mod plan;
pub mod progress;
pub mod recorder;
pub mod request;
pub mod response;
pub mod result;
pub mod sample;
pub mod stdout;
pub mod target;
pub mod text;
pub mod threshold;
pub mod tls;
pub mod units;
