//! Which troubled endpoints leave balancing, and which have to stay in because too many have left already.
//!
//! An endpoint is troubled while its breaker is not closed or its health checks fail. One whose checks fail says itself
//! that it is down, and is **ejected** whatever the share is that may be; never the last endpoint. Of those whose
//! breakers alone speak against them, which is a guess from what clients met, the ones that have been troubled for
//! longest leave too, until that share is out. The others are **capped**: they stay in. Where every endpoint's breaker
//! has tripped there is nobody left to spare, and none is capped: the upstream's own breaker, which is the roll-up of
//! them, is open. So it is where those whose checks do well have all tripped. Where nobody's checks do well they may be
//! wrong everywhere, and breakers alone decide who stays: one that is closed, as long as there is one
//! (docs/adr/0049-when-is-nobody-left-to-ask.md). Below a share of untroubled endpoints all are used again (Envoy's
//! panic threshold), since a few cannot carry what all of them did.
//!
//! The answer depends on the endpoints' state alone, not on how it came about: whoever asks twice gets the same.

use crate::algorithms::breaker::State;

/// An endpoint that has a weight, as ejection sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Its breaker.
    pub breaker: State,
    /// An operator holds its breaker open: it leaves whatever the bounds say.
    pub held_open: bool,
    /// Its health checks fail.
    pub unhealthy: bool,
    /// Since when it is troubled, in any unit; the smaller the longer.
    pub since: u64,
}

impl Candidate {
    /// Whether anything is wrong with it.
    pub fn is_troubled(&self) -> bool {
        self.unhealthy || self.breaker != State::Closed
    }
}

/// Where an endpoint stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Place {
    /// It takes requests.
    In = 0,
    /// It takes none but probes.
    Ejected = 1,
    /// It should be ejected and takes requests all the same: too many others are out, or too few are well.
    Capped = 2,
}

/// How many may be out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The share of endpoints above which no breaker ejects another one, percent; rounded down.
    pub max_percent: u32,
    /// All are used where a smaller share than this is untroubled, in millionths; 0 is never.
    pub panic_below: u32,
}

/// Whether what checks say against endpoints is to be believed: of those that no operator holds out, somebody's do
/// well. A check that is wrong everywhere, as one of a path that was renamed, fails everywhere.
pub fn are_believed(mut checks: impl Iterator<Item = (bool, bool)>) -> bool {
    checks.any(|(healthy, held_open)| healthy && !held_open)
}

/// Whether so few of them are untroubled that all are used.
pub fn are_few(candidates: &[Candidate], bounds: Bounds) -> bool {
    let well = candidates.iter().filter(|candidate| !candidate.is_troubled()).count();
    (well as u64) * 1_000_000 < u64::from(bounds.panic_below) * (candidates.len() as u64)
}

/// The place of each endpoint.
pub fn judge(candidates: &[Candidate], bounds: Bounds) -> Vec<Place> {
    let believed = are_believed(candidates.iter().map(|candidate| (!candidate.unhealthy, candidate.held_open)));
    judge_where(candidates, bounds, believed)
}

/// The same where it is known beside whether checks are to be believed: these may be some of an upstream's endpoints.
pub fn judge_where(candidates: &[Candidate], bounds: Bounds, believed: bool) -> Vec<Place> {
    let all = candidates.len();
    if are_few(candidates, bounds) {
        let place = |candidate: &Candidate| match candidate {
            well if !well.is_troubled() => Place::In,
            held if held.held_open => Place::Ejected,
            _ => Place::Capped,
        };
        return candidates.iter().map(place).collect();
    }
    let is_gone = |one: &Candidate| one.breaker != State::Closed || (believed && one.unhealthy);
    let rolled_up = candidates.iter().all(is_gone);
    let others = all.saturating_sub(1);
    let share = (all * bounds.max_percent.min(100) as usize / 100).min(others);
    let mut troubled: Vec<usize> = (0..all).filter(|index| candidates[*index].is_troubled()).collect();
    let order = |one: &Candidate| (!one.held_open, !one.unhealthy, one.breaker == State::Closed, one.since);
    troubled.sort_by_key(|index| (order(&candidates[*index]), *index));
    let mut places = vec![Place::In; all];
    // Who may leave comes before who may not: as many are out as were looked at.
    for (out, index) in troubled.into_iter().enumerate() {
        let allowed = if candidates[index].unhealthy { others } else { share };
        let leaves = rolled_up || candidates[index].held_open || out < allowed;
        places[index] = if leaves { Place::Ejected } else { Place::Capped };
    }
    places
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HALF: Bounds = Bounds { max_percent: 50, panic_below: 0 };
    const WELL: Candidate = Candidate { breaker: State::Closed, held_open: false, unhealthy: false, since: 0 };

    fn open(since: u64) -> Candidate {
        Candidate { breaker: State::Open, since, ..WELL }
    }

    fn sick(since: u64) -> Candidate {
        Candidate { unhealthy: true, since, ..WELL }
    }

    fn places(candidates: &[Candidate], bounds: Bounds) -> String {
        let letter = |place| match place {
            Place::In => 'i',
            Place::Ejected => 'e',
            Place::Capped => 'c',
        };
        judge(candidates, bounds).into_iter().map(letter).collect()
    }

    #[test]
    fn who_is_down_leaves_then_who_is_troubled_for_longest_and_the_rest_stay() {
        let held = Candidate { held_open: true, ..open(9) };
        for (candidates, expected) in [
            (&[WELL, WELL][..], "ii"),
            (&[open(1), WELL], "ei"),
            (&[open(2), open(1), WELL, WELL, WELL], "eeiii"),
            (&[open(2), open(1), WELL], "cei"),
            (&[sick(1), sick(2)], "ec"),
            (&[sick(1)], "c"),
            (&[open(1)], "e"),
            (&[open(3), open(2), open(1)], "eee"),
            (&[Candidate { breaker: State::HalfOpen, ..open(1) }, open(2)], "ee"),
            (&[sick(1), open(2)], "ee"),
            (&[open(1), sick(2)], "ee"),
            (&[sick(1), sick(2), open(3)], "eee"),
            (&[sick(1), Candidate { unhealthy: true, ..open(2) }], "ce"),
            (&[Candidate { unhealthy: true, ..open(1) }, Candidate { unhealthy: true, ..open(2) }], "ee"),
            (&[sick(1), sick(2), WELL], "eei"),
            (&[sick(3), sick(1), sick(2)], "cee"),
            (&[sick(1), sick(2), open(1), WELL, WELL], "eecii"),
            (&[open(1), sick(2), WELL, WELL], "eeii"),
            (&[held, sick(1), WELL], "eei"),
            (&[held, sick(1)], "ec"),
            (&[held, open(1), WELL], "eci"),
            (&[], ""),
        ] {
            assert_eq!(places(candidates, HALF), expected, "{candidates:?}");
        }
    }

    #[test]
    fn all_are_used_where_too_few_are_well() {
        let bounds = Bounds { max_percent: 100, panic_below: 400_000 };
        assert_eq!(places(&[open(1), open(2), WELL], bounds), "cci");
        assert_eq!(places(&[open(1), WELL, WELL], bounds), "eii");
        assert_eq!(places(&[open(1), open(2)], bounds), "cc", "rather than to refuse everything");
    }

    fn candidate() -> impl Strategy<Value = Candidate> {
        let breaker = prop_oneof![2 => Just(State::Closed), 1 => Just(State::Open), 1 => Just(State::HalfOpen)];
        (breaker, any::<bool>(), 0_u64..9).prop_map(|(breaker, unhealthy, since)| Candidate {
            breaker,
            unhealthy,
            since,
            held_open: false,
        })
    }

    proptest! {
        #[test]
        fn ejection_keeps_its_bounds(
            candidates in prop::collection::vec(candidate(), 0..12),
            max_percent in 0_u32..=100,
            panic_below in 0_u32..=1_000_000,
        ) {
            let places = judge(&candidates, Bounds { max_percent, panic_below });
            let out = places.iter().filter(|place| **place == Place::Ejected).count();
            for (candidate, place) in candidates.iter().zip(&places) {
                prop_assert_eq!(candidate.is_troubled(), *place != Place::In, "a place says whether anything is wrong");
            }
            let all_tripped = candidates.iter().all(|candidate| candidate.breaker != State::Closed);
            let is_left = |one: &Candidate| !one.unhealthy && one.breaker == State::Closed;
            let believed = candidates.iter().any(|candidate| !candidate.unhealthy);
            if all_tripped || (believed && !candidates.iter().any(is_left)) {
                // All or, in panic, none.
                prop_assert!(out == candidates.len() || out == 0);
            } else {
                let is = |of: Place, unhealthy| {
                    let mut all = candidates.iter().zip(&places);
                    all.any(|(candidate, place)| *place == of && candidate.unhealthy == unhealthy)
                };
                prop_assert!(!is(Place::Ejected, false) || out * 100 <= candidates.len() * max_percent as usize);
                let down_stays = out > 0 && is(Place::Capped, true);
                prop_assert!(!down_stays || out + 1 == candidates.len(), "who is down leaves");
                prop_assert!(out < candidates.len(), "never the last endpoint");
            }
        }
    }
}
