//! Scenarios, demonstration and comparisons that prove what the gateway does.
//!
//! | module | what it holds |
//! |---|---|
//! | `cli` | the command line of `sim` |
//! | `study` | `sim article`, `sim growth`: claims, each held against an experiment |
//! | `demo` | `sim demo`: a small world, ten seconds of traffic, one injected fault |
//! | `peers` | `sim peers`: the gateway and its peers on the same work, in interleaved rounds |
//! | `compare` | `sim compare`: a scenario through other gateways too, each scored from outside |
//! | `report` | `sim report`: results rendered again, runs kept, and what changed over them |
//! | `run` | `sim run`: a scenario on the real programs, from warm-up to verdict |
//! | `explore` | `sim explore`: worlds drawn from seeds, held against what must always be true |
//! | `history` | what happened in a run, as plain values on one clock |
//! | `hostile` | clients that are slow, broken or mean, beside the loads |
//! | `metrics_page` | samples of a gateway's own metrics |
//! | `oracle` | what a run should have been, and how far it was from that |
//! | `suite` | `sim suite`: the committed scenarios one after another |
//! | `virtual_time` | a scenario in one thread, on a simulated network and clock |
//! | `scenario` | scenario files: read, and checked before anything starts |
//! | `gate` | `sim gate`: two builds of the gateway, and whether one is slower |
//! | `rounds` | turns of contenders, which `peers`, `gate` and `study` share |
//! | `children`, `process` | programs that a run starts, and always ends |
//! | `processors` | which logical processors may be used, and which are threads of one core |
//! | `statistics` | estimates with intervals from paired rounds |
//! | `paint` | colours, where there is a terminal |
//!
//! Invariant: whatever a run starts has ended before the run has, on every way out.
//!
//! Only the program, and tests that run it, use this crate: its modules are private, so that the compiler tells what
//! nobody uses. What tests need is named below.

#![allow(unreachable_pub, reason = "of the crate, as its modules are")]

mod children;
mod cli;
mod compare;
mod demo;
mod explore;
mod folder;
mod gate;
mod history;
mod hostile;
mod metrics_page;
mod oracle;
mod own;
mod paint;
mod peers;
mod process;
mod processors;
mod report;
mod rounds;
mod run;
mod scenario;
mod statistics;
mod study;
mod suite;
mod virtual_time;

pub use cli::main_from;
pub use explore::score;
pub use oracle::breaker::BreakerScore;
pub use scenario::load;
