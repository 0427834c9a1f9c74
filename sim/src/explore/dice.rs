//! Choices drawn from a seed.

use mocks::Draws;

/// A stream of choices; the same seed gives the same ones.
#[derive(Debug, Clone)]
pub(super) struct Dice(Draws);

/// Keeps these draws apart from those that the drawn world makes from the same seed.
const STREAM: u64 = 0x0e8f_104e;

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(Draws::new(seed, STREAM, 0, 0))
    }

    /// A stream of its own, for what was not drawn at first.
    pub(super) fn apart(seed: u64) -> Self {
        Self(Draws::new(seed, STREAM, 1, 0))
    }

    /// A number from `low` to `high`, both included.
    pub(super) fn between(&mut self, low: u64, high: u64) -> u64 {
        // The bias of a remainder is nothing at these sizes.
        low + self.0.next_u64() % (high - low + 1)
    }

    /// True so often.
    pub(super) fn chance(&mut self, share: f64) -> bool {
        self.0.unit() < share
    }

    /// One of these.
    pub(super) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[usize::try_from(self.between(0, of.len() as u64 - 1)).unwrap_or(0)]
    }
}
