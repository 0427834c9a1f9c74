//! Panics of tasks. A runtime catches them and goes on, so nobody would know but by what is on standard error: the
//! world's thread writes them down, whoever catches them.

use std::cell::RefCell;
use std::sync::Once;

/// The most that are kept of a world; one is enough to fail.
const MOST: usize = 8;

thread_local! {
    static SEEN: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// From now on the panics of every thread are written down by it. What was said of them before is said still.
pub(super) fn watch() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            SEEN.with(|seen| {
                // A panic within this one is not worth a second.
                if let Ok(mut seen) = seen.try_borrow_mut()
                    && seen.len() < MOST
                {
                    seen.push(panic.to_string().replace('\n', " "));
                }
            });
            before(panic);
        }));
    });
}

/// What this thread has written down since it was last asked.
pub(super) fn take() -> Vec<String> {
    SEEN.with(RefCell::take)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_that_a_runtime_catches_is_written_down_by_its_thread_alone() {
        watch();
        take();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let task = tokio::spawn(async { panic!("no such thing") });
            assert!(task.await.is_err());
        });
        let elsewhere = std::thread::spawn(|| panic!("elsewhere"));
        assert!(elsewhere.join().is_err());
        let seen = take();
        assert!(seen.len() == 1 && seen[0].contains("no such thing"), "{seen:?}");
        assert!(take().is_empty(), "once is enough");
    }
}
