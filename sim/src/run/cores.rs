//! Which part of a run is on which cores.

/// Which part runs where. On two or three cores the gateways have the first, and all that measures has the second: what
/// measures must not take from what is measured.
#[derive(Debug, Clone, Default)]
pub(super) struct Cores {
    pub(super) gateways: Vec<usize>,
    pub(super) mocks: Vec<usize>,
    pub(super) driver: Vec<usize>,
}

impl Cores {
    /// The division of this many cores.
    pub(super) fn divide(count: usize) -> Self {
        match count {
            0 | 1 => Self::default(),
            2 | 3 => Self { gateways: (0..count - 1).collect(), mocks: vec![count - 1], driver: vec![count - 1] },
            _ => Self { gateways: (0..count - 2).collect(), mocks: vec![count - 2], driver: vec![count - 1] },
        }
    }

    /// In words, for results.
    pub(super) fn describe(&self) -> String {
        if self.gateways.is_empty() {
            return String::new();
        }
        match self.are_shared() {
            true => format!("gateways {:?}, mocks and driver {:?}", self.gateways, self.driver),
            false => format!("gateways {:?}, mocks {:?}, driver {:?}", self.gateways, self.mocks, self.driver),
        }
    }

    /// Where a Redis runs: beside the mocks, but not on a core that a thread never leaves.
    pub(super) fn redis(&self) -> &[usize] {
        if self.are_shared() { &self.gateways } else { &self.mocks }
    }

    /// Whether mocks and driver have one core, and so one thread.
    pub(super) fn are_shared(&self) -> bool {
        !self.driver.is_empty() && self.driver == self.mocks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_divided_so_that_the_gateways_have_their_own() {
        assert_eq!(Cores::divide(1).describe(), "");
        assert_eq!(Cores::divide(2).describe(), "gateways [0], mocks and driver [1]");
        assert_eq!(Cores::divide(8).gateways, [0, 1, 2, 3, 4, 5]);
        assert_ne!(Cores::divide(4).mocks, Cores::divide(4).driver);
    }

    #[test]
    fn a_redis_is_on_no_core_that_a_thread_never_leaves() {
        assert_eq!(Cores::divide(2).redis(), [0]);
        assert_eq!(Cores::divide(8).redis(), [6]);
        assert!(Cores::divide(1).redis().is_empty() && !Cores::divide(1).are_shared());
    }
}
