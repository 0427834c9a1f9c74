//! The memory guard: which classes are turned away at which size of the process.

use crate::algorithms::criticality::Criticality;

/// A class is served again when the process has fallen this far below where it was refused, in percent of the limit: a
/// process that stands at an edge does not flicker.
const BELOW: u64 = 2;

/// The least important class that is served at this size; `None`: all are. `before` is what held until now.
///
/// A class is turned away from its share of the limit on ([`Criticality::memory_share`]). Where `highest` is below
/// `critical`, nobody else is there for whom the rest could be kept, so it is served up to the limit itself.
pub fn floor(limit: u64, resident: u64, highest: Criticality, before: Option<Floor>) -> Option<Floor> {
    let refuses = |class: Criticality| {
        let share = if class >= highest { 100 } else { class.memory_share() };
        let was_refused = before.is_some_and(|floor| floor.refuses(class));
        let share = u64::from(share) - if was_refused { BELOW } else { 0 };
        u128::from(resident) * 100 > u128::from(limit) * u128::from(share)
    };
    let served = Criticality::ALL.into_iter().find(|class| !refuses(*class));
    match served {
        Some(Criticality::Low) => None,
        Some(class) => Some(Floor::At(class)),
        None => Some(Floor::AboveAll),
    }
}

/// Who is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Floor {
    /// This class and those above it.
    At(Criticality),
    /// Nobody.
    AboveAll,
}

impl Floor {
    /// Whether a class is turned away.
    pub fn refuses(self, class: Criticality) -> bool {
        match self {
            Self::At(floor) => class < floor,
            Self::AboveAll => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Criticality::{Critical, High, Normal};

    #[test]
    fn the_closer_to_the_limit_the_fewer_are_served() {
        let floors = [0, 900, 901, 950, 951, 980, 981, 1000, 1001].map(|size| floor(1000, size, Critical, None));
        let at = |class| Some(Floor::At(class));
        let above = Some(Floor::AboveAll);
        assert_eq!(floors, [None, None, at(Normal), at(Normal), at(High), at(High), at(Critical), at(Critical), above]);
    }

    #[test]
    fn where_all_are_alike_they_are_served_up_to_the_limit() {
        let floors = [899, 900, 1000, 1001].map(|size| floor(1000, size, Normal, None));
        assert_eq!(floors, [None, None, Some(Floor::At(Normal)), Some(Floor::AboveAll)]);
    }

    #[test]
    fn at_an_edge_it_does_not_flicker() {
        let refused = floor(1000, 1001, Normal, None);
        assert_eq!(floor(1000, 990, Normal, refused), refused);
        assert_eq!(floor(1000, 980, Normal, refused), Some(Floor::At(Normal)));
        assert_eq!(floor(1000, 870, Normal, Some(Floor::At(Normal))), None);
    }
}
