//! Which of an upstream's endpoints take its requests where some of them are backups: the primaries, which are all
//! others, or the backups behind them.
//!
//! Each tier is judged by itself (`ejection`), as if there were no other: the share that may be out is one of the
//! tier, and so is the last endpoint that stays in. One thing is asked of both together, whether checks are to be
//! believed: where a backup's do well, checks can be told right from wrong, and primaries that all call themselves down
//! are down. Backups take requests while no primary does. Where `panic_below` is set and a smaller share of the
//! primaries is well, backups take their part beside those that are: before anything is sent to who is not well, who is
//! well is asked. All are used only where too few of the backups are well either.
//!
//! A pick goes down a ladder. Of two endpoints that may take the request, the one is taken that was not asked for it
//! before; then the one whose share has grown (slow start); then the primary. So a retry stays among the primaries as
//! long as there is another one, and primaries that come back after all were out get their part back by and by.

use super::ejection::{Bounds, Candidate, Place, are_believed, are_few, judge_where};

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Serving {
    /// Primaries take all requests; where there are no backups, always.
    #[default]
    Primaries = 0,
    /// Too few primaries are well: backups take requests beside them.
    Both = 1,
    /// No primary takes requests: backups do.
    Backups = 2,
}

impl Serving {
    /// As written in events and in the admin API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Primaries => "primaries",
            Self::Both => "both",
            Self::Backups => "backups",
        }
    }

    /// The one of this number.
    pub fn of(number: u8) -> Self {
        match number {
            1 => Self::Both,
            2 => Self::Backups,
            _ => Self::Primaries,
        }
    }
}

/// The place of each endpoint, of which some are backups (`true`), and whose turn it is.
pub fn judge(candidates: &[(Candidate, bool)], bounds: Bounds) -> (Vec<Place>, Serving) {
    let words = candidates.iter().map(|(candidate, _)| (!candidate.unhealthy, candidate.held_open));
    let believed = are_believed(words);
    let tier = |backups: bool| -> Vec<Candidate> {
        candidates.iter().filter(|(_, backup)| *backup == backups).map(|(candidate, _)| *candidate).collect()
    };
    let [primaries, backups] = [tier(false), tier(true)];
    let few = are_few(&primaries, bounds);
    // Who is not well is asked only where nobody else can be.
    let panics = few && (backups.is_empty() || are_few(&backups, bounds));
    let bounds = if panics { bounds } else { Bounds { panic_below: 0, ..bounds } };
    // Backups take the part of those that are not well: none of these is kept in for want of others.
    let of_primaries = if few && !panics { Bounds { max_percent: 100, ..bounds } } else { bounds };
    let primaries = judge_where(&primaries, of_primaries, believed);
    let backups = judge_where(&backups, bounds, believed);
    let take = |places: &[Place]| places.iter().any(|place| *place != Place::Ejected);
    let serving = match (take(&primaries), take(&backups)) {
        (false, true) => Serving::Backups,
        (true, true) if few => Serving::Both,
        _ => Serving::Primaries,
    };
    let [mut primaries, mut backups] = [primaries, backups].map(Vec::into_iter);
    let place = |(_, backup): &(Candidate, bool)| if *backup { backups.next() } else { primaries.next() };
    // There is one for each.
    (candidates.iter().map_while(place).collect(), serving)
}

/// What a pick avoids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Care {
    /// Endpoints that were asked before, and those whose share is still growing.
    NotAgainAndWarm,
    /// Endpoints that were asked before.
    NotAgain,
    /// Nothing.
    None,
}

/// Among whom a pick picks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Among {
    /// Primaries; where there are no backups, all.
    Primaries,
    /// Backups.
    Backups,
    /// Both.
    Both,
}

/// One step of the ladder.
pub type Step = (Among, Care);

/// An upstream without backups.
const PLAIN: [Step; 3] = steps(Among::Primaries);
/// Backups take requests beside primaries.
const BOTH: [Step; 3] = steps(Among::Both);
/// Primaries come first.
const IN_TURN: [Step; 6] = [
    (Among::Primaries, Care::NotAgainAndWarm),
    (Among::Backups, Care::NotAgainAndWarm),
    (Among::Primaries, Care::NotAgain),
    (Among::Backups, Care::NotAgain),
    (Among::Primaries, Care::None),
    (Among::Backups, Care::None),
];

const fn steps(among: Among) -> [Step; 3] {
    [(among, Care::NotAgainAndWarm), (among, Care::NotAgain), (among, Care::None)]
}

/// The steps of a pick, the first that finds somebody decides. `serving` is `None` where there are no backups;
/// `any_warmth`: how long an endpoint has been there does not matter, as where a key decides.
pub fn ladder(serving: Option<Serving>, any_warmth: bool) -> &'static [Step] {
    let (steps, warm): (&'static [Step], usize) = match serving {
        None => (&PLAIN, 1),
        Some(Serving::Both) => (&BOTH, 1),
        Some(Serving::Primaries | Serving::Backups) => (&IN_TURN, 2),
    };
    if any_warmth { &steps[warm..] } else { steps }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::ejection;
    use super::*;
    use crate::algorithms::breaker::State;

    const HALF: Bounds = Bounds { max_percent: 50, panic_below: 0 };
    const PANIC: Bounds = Bounds { max_percent: 50, panic_below: 500_000 };

    /// Endpoints by letters: `w` is well, `o` has an open breaker, `s` fails its checks, `b` both, `h` is held open;
    /// those behind the bar are backups.
    fn tiers(text: &str) -> Vec<(Candidate, bool)> {
        let well = Candidate { breaker: State::Closed, held_open: false, unhealthy: false, since: 0 };
        let of = |letter: char, since: u64| match letter {
            'o' => Candidate { breaker: State::Open, since, ..well },
            's' => Candidate { unhealthy: true, since, ..well },
            'b' => Candidate { breaker: State::Open, unhealthy: true, since, ..well },
            'h' => Candidate { breaker: State::Open, held_open: true, since, ..well },
            _ => well,
        };
        let (primaries, backups) = text.split_once('|').unwrap();
        let tier = |letters: &str, backup: bool| -> Vec<(Candidate, bool)> {
            letters.chars().zip(1..).map(|(letter, since)| (of(letter, since), backup)).collect()
        };
        [tier(primaries, false), tier(backups, true)].concat()
    }

    fn told(text: &str, bounds: Bounds) -> String {
        let all = tiers(text);
        let (places, serving) = judge(&all, bounds);
        let mut shown = String::new();
        for (at, place) in places.iter().enumerate() {
            if all[at].1 && (at == 0 || !all[at - 1].1) {
                shown.push('|');
            }
            shown.push(match place {
                Place::In => 'i',
                Place::Ejected => 'e',
                Place::Capped => 'c',
            });
        }
        format!("{shown} {}", serving.as_str())
    }

    #[test]
    fn backups_take_over_where_no_primary_takes_requests() {
        for (endpoints, expected) in [
            ("ww|w", "ii|i primaries"),
            ("ow|w", "ei|i primaries"),
            ("oow|w", "eci|i primaries"),
            ("oo|w", "ee|i backups"),
            ("o|w", "e|i backups"),
            ("s|w", "e|i backups"),
            ("ss|w", "ee|i backups"),
            ("so|w", "ee|i backups"),
            ("h|w", "e|i backups"),
            ("hw|w", "ei|i primaries"),
            // Nobody's checks do well: they may be wrong everywhere, and who is last stays.
            ("s|s", "c|c primaries"),
            ("ss|s", "ec|c primaries"),
            // What a primary's clients met is believed all the same.
            ("b|s", "e|c backups"),
            // The primary's do well: so the backup is down, and nobody is left.
            ("o|s", "e|e primaries"),
            ("oo|o", "ee|e primaries"),
            ("o|ow", "e|ei backups"),
            ("s|o", "e|e primaries"),
            ("w|o", "i|e primaries"),
            ("w|s", "i|e primaries"),
        ] {
            assert_eq!(told(endpoints, HALF), expected, "{endpoints}");
        }
    }

    #[test]
    fn where_too_few_are_well_backups_join_before_anybody_is_asked_who_is_not_well() {
        for (endpoints, expected) in [
            ("ww|w", "ii|i primaries"),
            ("ow|w", "ei|i primaries"),
            ("ooow|w", "eeei|i both"),
            ("sssw|w", "eeei|i both"),
            ("oooo|w", "eeee|i backups"),
            ("ooow|ow", "eeei|ei both"),
            ("ooow|oow", "ccci|cci both"),
            ("ooow|o", "ccci|c both"),
            ("ooow|h", "ccci|e primaries"),
            ("oo|o", "cc|c both"),
        ] {
            assert_eq!(told(endpoints, PANIC), expected, "{endpoints}");
        }
    }

    fn candidate() -> impl Strategy<Value = Candidate> {
        let breaker = prop_oneof![2 => Just(State::Closed), 1 => Just(State::Open), 1 => Just(State::HalfOpen)];
        (breaker, any::<bool>(), prop::bool::weighted(0.1), 0_u64..9).prop_map(|(breaker, unhealthy, held, since)| {
            let breaker = if held { State::Open } else { breaker };
            Candidate { breaker, held_open: held, unhealthy, since }
        })
    }

    /// What a step lets pass of an endpoint, as a pick asks it.
    #[derive(Debug, Clone, Copy)]
    struct Known {
        backup: bool,
        usable: bool,
        tried: bool,
        warm: bool,
    }

    fn passes((among, care): Step, known: Known) -> bool {
        let is_there = match among {
            Among::Primaries => !known.backup,
            Among::Backups => known.backup,
            Among::Both => true,
        };
        let suits = match care {
            Care::NotAgainAndWarm => !known.tried && known.warm,
            Care::NotAgain => !known.tried,
            Care::None => true,
        };
        is_there && known.usable && suits
    }

    proptest! {
        #[test]
        fn without_backups_nothing_is_otherwise(
            candidates in prop::collection::vec(candidate(), 0..8),
            max_percent in 0_u32..=100,
            panic_below in 0_u32..=1_000_000,
        ) {
            let bounds = Bounds { max_percent, panic_below };
            let tiered: Vec<_> = candidates.iter().map(|candidate| (*candidate, false)).collect();
            let (places, serving) = judge(&tiered, bounds);
            prop_assert_eq!(places, ejection::judge(&candidates, bounds));
            prop_assert_eq!(serving, Serving::Primaries);
        }

        /// It is somebody's turn who takes requests, as long as anybody does.
        #[test]
        fn it_is_somebodys_turn_who_takes_requests(
            candidates in prop::collection::vec((candidate(), any::<bool>()), 0..10),
            max_percent in 0_u32..=100,
            panic_below in prop_oneof![Just(0_u32), 0_u32..=1_000_000],
        ) {
            let bounds = Bounds { max_percent, panic_below };
            let (places, serving) = judge(&candidates, bounds);
            prop_assert_eq!(places.len(), candidates.len());
            let mut take = [false; 2];
            let mut well = [0_u64; 2];
            let mut all = [0_u64; 2];
            for ((candidate, backup), place) in candidates.iter().zip(&places) {
                prop_assert_eq!(candidate.is_troubled(), *place != Place::In);
                take[usize::from(*backup)] |= *place != Place::Ejected;
                well[usize::from(*backup)] += u64::from(!candidate.is_troubled());
                all[usize::from(*backup)] += 1;
            }
            let few = |tier: usize| well[tier] * 1_000_000 < u64::from(panic_below) * all[tier];
            match serving {
                Serving::Backups => prop_assert!(!take[0] && take[1]),
                Serving::Both => prop_assert!(take[0] && take[1] && few(0)),
                Serving::Primaries => prop_assert!(!take[1] || (take[0] && !few(0))),
            }
            if panic_below == 0 {
                prop_assert!(serving != Serving::Both, "they join only where it is said when");
            }
        }

        /// The ladder is an order: who was not asked before comes first, then who is warm, then primaries.
        #[test]
        fn the_ladder_is_an_order(
            endpoints in prop::collection::vec(any::<[bool; 4]>(), 0..9),
            serving in prop_oneof![Just(Serving::Primaries), Just(Serving::Both), Just(Serving::Backups)],
            any_warmth: bool,
        ) {
            let known = endpoints.iter().map(|[backup, usable, tried, warm]| Known {
                backup: *backup, usable: *usable, tried: *tried, warm: *warm,
            });
            let known: Vec<Known> = known.collect();
            let all = || 0..known.len();
            let found = |step: &Step| -> Vec<usize> { all().filter(|at| passes(*step, known[*at])).collect() };
            let steps = ladder(Some(serving), any_warmth);
            let chosen = steps.iter().map(found).find(|found| !found.is_empty()).unwrap_or_default();
            let rank = |one: Known| {
                let cold = !one.warm && !any_warmth && !one.tried;
                (one.tried, cold, one.backup && serving != Serving::Both)
            };
            let best = known.iter().filter(|one| one.usable).map(|one| rank(*one)).min();
            let expected: Vec<usize> =
                (0..known.len()).filter(|at| known[*at].usable && Some(rank(known[*at])) == best).collect();
            prop_assert_eq!(chosen, expected);
        }

        #[test]
        fn without_backups_the_ladder_is_the_plain_one(endpoints in prop::collection::vec(any::<[bool; 3]>(), 0..9)) {
            let known: Vec<Known> = endpoints
                .iter()
                .map(|[usable, tried, warm]| Known { backup: false, usable: *usable, tried: *tried, warm: *warm })
                .collect();
            let first = |steps: &[Step]| {
                let found = |step: &Step| -> Vec<usize> {
                    (0..known.len()).filter(|at| passes(*step, known[*at])).collect()
                };
                steps.iter().map(found).find(|found| !found.is_empty())
            };
            prop_assert_eq!(first(ladder(None, false)), first(ladder(Some(Serving::Primaries), false)));
            prop_assert_eq!(first(ladder(None, true)), first(ladder(Some(Serving::Primaries), true)));
        }
    }
}
