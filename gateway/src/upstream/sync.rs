//! The atomics that `in_flight` uses, named apart so that a test can put loom's in their place.

pub(crate) use std::sync::Arc;
pub(crate) use std::sync::atomic::{AtomicU32, Ordering};
