//! Scenarios, demonstration and comparisons that prove what the gateway does.
//!
//! | module | what it holds |
//! |---|---|
//! | [`cli`] | the command line of `sim` |
//! | [`study`] | `sim article`, `sim growth`: claims, each held against an experiment |
//! | [`demo`] | `sim demo`: a small world, ten seconds of traffic, one injected fault |
//! | [`peers`] | `sim peers`: the gateway and its peers on the same work, in interleaved rounds |
//! | [`compare`] | `sim compare`: a scenario through other gateways too, each scored from outside |
//! | `report` | `sim report`: results rendered again, runs kept, and what changed over them |
//! | [`run`] | `sim run`: a scenario on the real programs, from warm-up to verdict |
//! | [`explore`] | `sim explore`: worlds drawn from seeds, held against what must always be true |
//! | [`history`] | what happened in a run, as plain values on one clock |
//! | [`hostile`] | clients that are slow, broken or mean, beside the loads |
//! | `metrics_page` | samples of a gateway's own metrics |
//! | [`oracle`] | what a run should have been, and how far it was from that |
//! | [`suite`] | `sim suite`: the committed scenarios one after another |
//! | [`virtual_time`] | a scenario in one thread, on a simulated network and clock |
//! | [`scenario`] | scenario files: read, and checked before anything starts |
//! | [`gate`] | `sim gate`: two builds of the gateway, and whether one is slower |
//! | [`rounds`] | turns of contenders, which `peers` and `gate` share |
//! | [`children`], [`process`] | programs that a run starts, and always ends |
//! | [`processors`] | which logical processors may be used, and which are threads of one core |
//! | [`statistics`] | estimates with intervals from paired rounds |
//! | [`paint`] | colours, where there is a terminal |
//!
//! Invariant: whatever a run starts has ended before the run has, on every way out.

pub mod children;
pub mod cli;
pub mod compare;
pub mod demo;
pub mod explore;
mod folder;
pub mod gate;
pub mod history;
pub mod hostile;
mod metrics_page;
pub mod oracle;
mod own;
pub mod paint;
pub mod peers;
pub mod process;
pub mod processors;
mod report;
pub mod rounds;
pub mod run;
pub mod scenario;
pub mod statistics;
pub mod study;
pub mod suite;
pub mod virtual_time;
