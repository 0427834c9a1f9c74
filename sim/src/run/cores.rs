//! Which part of a run is on which cores.

use crate::processors::{Processors, SIBLINGS};

/// Which part runs where. On two or three cores the gateways have the first, and all that measures has the second: what
/// measures must not take from what is measured.
#[derive(Debug, Clone, Default)]
pub(super) struct Cores {
    pub(super) gateways: Vec<usize>,
    pub(super) mocks: Vec<usize>,
    pub(super) driver: Vec<usize>,
    /// A gateway has a thread of a core whose other one measures.
    are_siblings: bool,
}

impl Cores {
    /// The division of those that may be used.
    pub(super) fn divide(processors: &Processors) -> Self {
        let all = processors.choose(processors.count());
        let (gateways, mocks, driver) = match &all[..] {
            [] | [_] => return Self::default(),
            [first, last] => (vec![*first], *last, *last),
            [first, second, last] => (vec![*first, *second], *last, *last),
            [gateways @ .., mocks, driver] => (gateways.to_vec(), *mocks, *driver),
        };
        let are_siblings = processors.share_a_core(&gateways, &[mocks, driver]);
        Self { gateways, mocks: vec![mocks], driver: vec![driver], are_siblings }
    }

    /// In words, for results.
    pub(super) fn describe(&self) -> String {
        if self.gateways.is_empty() {
            return String::new();
        }
        let siblings = if self.are_siblings { format!("; {SIBLINGS}") } else { String::new() };
        match self.are_shared() {
            true => format!("gateways {:?}, mocks and driver {:?}{siblings}", self.gateways, self.driver),
            false => {
                format!("gateways {:?}, mocks {:?}, driver {:?}{siblings}", self.gateways, self.mocks, self.driver)
            }
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

    fn divided(allowed: &[usize]) -> Cores {
        Cores::divide(&Processors::of(allowed, allowed.len(), |one| vec![one]))
    }

    #[test]
    fn cores_are_divided_so_that_the_gateways_have_their_own() {
        assert_eq!(divided(&[0]).describe(), "");
        assert_eq!(divided(&[0, 1]).describe(), "gateways [0], mocks and driver [1]");
        assert_eq!(divided(&[0, 1, 2]).describe(), "gateways [0, 1], mocks and driver [2]");
        let eight: Vec<usize> = (0..8).collect();
        assert_eq!(divided(&eight).describe(), "gateways [0, 1, 2, 3, 4, 5], mocks [6], driver [7]");
    }

    #[test]
    fn cores_that_may_not_be_used_have_no_part() {
        assert_eq!(divided(&[2, 3]).describe(), "gateways [2], mocks and driver [3]");
        assert_eq!(divided(&[4, 5, 12, 13]).describe(), "gateways [4, 5], mocks [12], driver [13]");
    }

    #[test]
    fn gateways_on_the_other_thread_of_a_core_that_measures_are_told() {
        let one_core = Cores::divide(&Processors::of(&[0, 1], 2, |_| vec![0, 1]));
        assert_eq!(one_core.describe(), format!("gateways [0], mocks and driver [1]; {SIBLINGS}"));
        let two_cores = Cores::divide(&Processors::of(&[0, 1, 2, 3], 4, |one| vec![one % 2, one % 2 + 2]));
        assert_eq!(two_cores.describe(), "gateways [0, 2], mocks [1], driver [3]", "who measures shares a core");
    }

    #[test]
    fn a_redis_is_on_no_core_that_a_thread_never_leaves() {
        assert_eq!(divided(&[0, 1]).redis(), [0]);
        assert_eq!(divided(&(0..8).collect::<Vec<_>>()).redis(), [6]);
        assert!(divided(&[0]).redis().is_empty() && !divided(&[0]).are_shared());
    }
}
