//! Panics of tasks. A runtime catches them and goes on, so nobody would know but by what is on standard error: the
//! world's thread writes them down, whoever catches them.
//!
//! What a runtime does beside its thread (hashing a password) panics on a thread of the runtime's own, which belongs to
//! some world of the process. Such a panic is told by every world that was there at that time: where several are, one
//! that had no part in it may be looked at for nothing, and none passes that had one.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::{Mutex, Once, PoisonError};

/// The most that are kept of a world; one is enough to fail.
const MOST: usize = 8;
/// How the threads of a runtime are called that has not said otherwise.
const OF_RUNTIMES: &str = "tokio-";

thread_local! {
    static SEEN: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// The last panics on threads of runtimes, of the whole process.
static BESIDE: Mutex<Beside> = Mutex::new(Beside { before: 0, last: VecDeque::new() });

/// Panics in their order.
struct Beside {
    /// How many there were before those that are kept.
    before: u64,
    last: VecDeque<String>,
}

impl Beside {
    fn push(&mut self, panic: String) {
        self.last.push_back(panic);
        if self.last.len() > MOST {
            self.last.pop_front();
            self.before += 1;
        }
    }

    /// How many there have been.
    fn count(&self) -> u64 {
        self.before + self.last.len() as u64
    }

    /// Those that are kept of all since there were so many.
    fn since(&self, count: u64) -> impl Iterator<Item = &String> {
        let skipped = usize::try_from(count.saturating_sub(self.before)).unwrap_or(usize::MAX);
        self.last.iter().skip(skipped)
    }
}

/// The panics of one world, from its begin.
#[derive(Debug)]
pub(super) struct Watch {
    /// How many there had been beside.
    beside: u64,
}

impl Watch {
    /// From now on the panics of this thread, and of threads of runtimes, are written down. What was said of them
    /// before is said still.
    pub(super) fn begin() -> Self {
        write_down();
        SEEN.with(RefCell::take);
        Self { beside: with_beside(|beside| beside.count()) }
    }

    /// What was written down.
    pub(super) fn end(self) -> Vec<String> {
        let mut seen = SEEN.with(RefCell::take);
        with_beside(|beside| seen.extend(beside.since(self.beside).cloned()));
        seen
    }
}

fn with_beside<T>(look: impl FnOnce(&mut Beside) -> T) -> T {
    look(&mut BESIDE.lock().unwrap_or_else(PoisonError::into_inner))
}

fn write_down() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let told = panic.to_string().replace('\n', " ");
            if std::thread::current().name().is_some_and(|name| name.starts_with(OF_RUNTIMES)) {
                with_beside(|beside| beside.push(told));
            } else {
                SEEN.with(|seen| {
                    // A panic within this one is not worth a second.
                    if let Ok(mut seen) = seen.try_borrow_mut()
                        && seen.len() < MOST
                    {
                        seen.push(told);
                    }
                });
            }
            before(panic);
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_that_a_runtime_catches_is_written_down_by_its_thread_alone() {
        let watch = Watch::begin();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let task = tokio::spawn(async { panic!("no such thing") });
            assert!(task.await.is_err());
        });
        let elsewhere = std::thread::spawn(|| panic!("elsewhere"));
        assert!(elsewhere.join().is_err());
        let seen = watch.end();
        // Another test's runtime may have panicked beside, where tests share a process.
        assert!(seen.iter().any(|one| one.contains("no such thing")), "{seen:?}");
        assert!(!seen.iter().any(|one| one.contains("elsewhere")), "{seen:?}");
        let again = Watch::begin().end();
        assert!(!again.iter().any(|one| one.contains("no such thing")), "once is enough: {again:?}");
    }

    #[test]
    fn a_panic_beside_the_worlds_thread_is_one_of_the_world() {
        let watch = Watch::begin();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let hashed = runtime.block_on(async { tokio::task::spawn_blocking(|| panic!("a bad hash")).await });
        assert!(hashed.is_err());
        let seen = watch.end();
        assert!(seen.iter().any(|one| one.contains("a bad hash")), "{seen:?}");
        let again = Watch::begin().end();
        assert!(!again.iter().any(|one| one.contains("a bad hash")), "a later world had no part in it: {again:?}");
    }

    #[test]
    fn of_many_panics_beside_the_last_are_kept() {
        let mut beside = Beside { before: 0, last: VecDeque::new() };
        (0..10).for_each(|number| beside.push(number.to_string()));
        let since = |count| beside.since(count).map(String::as_str).collect::<Vec<_>>().join("");
        assert_eq!(
            (beside.count(), since(8), since(0), since(10)),
            (10, "89".into(), "23456789".into(), String::new())
        );
    }
}
