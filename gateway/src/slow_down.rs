//! A known slow-down, so that the performance gate can be tested: only with the feature `slow-down`, which no default
//! build has.
//!
//! Steps of plain arithmetic are burnt in each request. Steps, not time: time would pass too while the thread waits for
//! its core, and the slow-down would be smaller on a busy machine.

use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering};

static STEPS: AtomicU32 = AtomicU32::new(0);

/// Burns this many steps in each request that is let in from now on.
pub(crate) fn set(steps: u32) {
    STEPS.store(steps, Ordering::Relaxed);
}

/// Burns them.
pub(crate) fn burn() {
    let mut value = 1_u64;
    for step in 0..STEPS.load(Ordering::Relaxed) {
        // Each step needs the one before (the multiplier is Knuth's, from MMIX), and none can be left out.
        value = black_box(value.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(u64::from(step)));
    }
    black_box(value);
}
