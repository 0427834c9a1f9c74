//! The requests of one connection of HTTP/2 that wait for what they are answered: each is a task of its own, and a
//! drain wakes them.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

/// Those that wait.
#[derive(Debug, Default)]
pub(super) struct Unanswered(Mutex<Tasks>);

#[derive(Debug, Default)]
struct Tasks {
    all: Vec<Option<Waker>>,
    free: Vec<usize>,
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub(super) struct Waits<'u> {
    all: &'u Unanswered,
    at: Option<usize>,
}

impl Unanswered {
    /// One that waits, once it has said so.
    pub(super) fn one(&self) -> Waits<'_> {
        Waits { all: self, at: None }
    }

    /// Whether nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        let tasks = self.tasks();
        tasks.all.len() == tasks.free.len()
    }

    /// Wakes all.
    #[cold]
    pub(super) fn wake(&self) {
        // Beside the lock: whoever is woken may ask for it at once.
        let all: Vec<Waker> = self.tasks().all.iter().flatten().cloned().collect();
        all.into_iter().for_each(Waker::wake);
    }

    fn tasks(&self) -> MutexGuard<'_, Tasks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waits<'_> {
    /// It waits, in the task that is polled: always the same one.
    #[inline]
    pub(super) fn wait(&mut self, cx: &Context<'_>) {
        if self.at.is_none() {
            let mut tasks = self.all.tasks();
            let at = tasks.free.pop().unwrap_or_else(|| {
                tasks.all.push(None);
                tasks.all.len() - 1
            });
            tasks.all[at] = Some(cx.waker().clone());
            self.at = Some(at);
        }
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        if let Some(at) = self.at {
            let mut tasks = self.all.tasks();
            tasks.all[at] = None;
            tasks.free.push(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::woken::Woken;

    #[test]
    fn who_waits_is_woken_and_who_has_gone_leaves_nothing_behind() {
        let (all, woken) = (Unanswered::default(), Arc::<Woken>::default());
        let waker = Waker::from(Arc::clone(&woken));
        let cx = Context::from_waker(&waker);
        let (mut one, mut other, never) = (all.one(), all.one(), all.one());
        for waits in [&mut one, &mut other] {
            waits.wait(&cx);
            waits.wait(&cx);
        }
        all.wake();
        assert_eq!(woken.times(), 2, "each once");
        drop((one, never));
        all.wake();
        assert_eq!(woken.times(), 3);
        let mut third = all.one();
        third.wait(&cx);
        assert!(!all.is_empty());
        drop((other, third));
        assert!(all.is_empty());
        assert_eq!(all.tasks().all.len(), 2, "places are taken again");
        assert_eq!(Arc::strong_count(&woken), 2, "no task is held");
    }
}
