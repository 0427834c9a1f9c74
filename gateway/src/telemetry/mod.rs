//! The last stage of a request's way: its record and its numbers. Never fails a request, never makes one wait.
//!
//! `metrics` counts on each worker's own memory and merges when somebody asks; `exposition` writes what was merged;
//! `record` writes a request's line; `access_log` takes lines off the request path; `recorder` keeps requests of note;
//! `tracing` sends spans of sampled ones; `told` is what a program around the gateway hears of all that.
//! Only this module names metrics.

pub mod access_log;
mod appended;
pub mod events;
pub mod exposition;
pub(crate) mod json;
pub mod metrics;
pub mod notice;
pub mod process;
pub mod record;
pub mod recorder;
pub mod timestamp;
pub mod told;
pub mod tracing;

pub use access_log::AccessLog;
pub use metrics::Registry;
pub use record::{AccessRecord, Ended};
