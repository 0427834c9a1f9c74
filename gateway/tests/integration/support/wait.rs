//! Waiting for events, never for a time to pass.

use std::future::Future;
use std::time::Duration;

/// Looks at an event that has no signal of its own, at most.
const TRIES: u32 = 15_000;
/// Between two looks.
const TURN: Duration = Duration::from_millis(2);
/// A wait that would last for ever fails the test after this; no test depends on its length.
const GUARD: Duration = Duration::from_secs(20);

/// Waits until `holds`.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let mut turns = tokio::time::interval(TURN);
    for _ in 0..TRIES {
        if holds() {
            return;
        }
        turns.tick().await;
    }
    panic!("it never came to pass: {what}");
}

/// Waits for `work`, but not for ever.
pub(crate) async fn guarded<T>(what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(GUARD, work).await {
        Ok(done) => done,
        Err(_) => panic!("it never came to pass: {what}"),
    }
}
