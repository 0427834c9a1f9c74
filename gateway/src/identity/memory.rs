//! What each worker remembers of a provider's credentials.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::cache::{Cache, Measure};
use super::refused::Refused;

/// What one worker remembers.
pub(super) struct Memory {
    /// Credentials that hold.
    pub(super) proven: Cache,
    /// Credentials that do not.
    pub(super) refused: Refused,
}

/// One memory for each worker.
pub(super) struct Memories(Box<[Mutex<Memory>]>);

impl Memories {
    /// Memories that hold `most` together, by this measure; refusals are remembered for so many seconds.
    pub(super) fn new((most, measure): (u64, Measure), refused_for: i64, workers: usize) -> Self {
        let most = usize::try_from(most).unwrap_or(usize::MAX) / workers;
        let memory = || Memory { proven: Cache::new(most, measure), refused: Refused::new(refused_for) };
        Self((0..workers).map(|_| Mutex::new(memory())).collect())
    }

    /// A worker's memory. Its own thread asks, an embedding program's aside; what an issuer says is put in beside it.
    #[inline]
    pub(super) fn of(&self, worker: usize) -> MutexGuard<'_, Memory> {
        self.0[worker % self.0.len()].lock().unwrap_or_else(PoisonError::into_inner)
    }
}
