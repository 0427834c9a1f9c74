//! What `in_flight` and `guard` share between threads, named apart so that a test can put loom's in their place.

pub(crate) use std::sync::atomic::{AtomicU64, Ordering};
pub(crate) use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(crate) use crate::algorithms::breaker;
