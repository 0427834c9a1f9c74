//! Whole gates drawn from recorded rounds: how often they say what. Pure, from a seed.
//!
//! A gate takes as many rounds as it needs, each drawn with replacement. The rate over many gates has the recording's
//! own uncertainty, since sixty rounds are not all rounds there could be. So the recording is drawn anew many times too
//! (Efron and Tibshirani, An Introduction to the Bootstrap, chapter 13), and the interval is that of the rates found,
//! no narrower than what the number of gates alone would give.

use rand_pcg::Pcg64;
use rand_pcg::rand_core::{Rng, SeedableRng};
use reports::result::Verdict;

use crate::gate::judge::{Looks, judge, overall};
use crate::gate::metric::{Metric, Round};
use crate::gate::settings::Settings;
use crate::statistics::median;
use crate::statistics::proportion::wilson;

/// Gates drawn from the recording as it is.
pub(super) const GATES: u32 = 2_000;
/// Recordings drawn from the recording, and gates from each.
const RECORDINGS: u32 = 200;
const GATES_EACH: u32 = 50;
/// Left out on each side of an interval.
const OUTSIDE: f64 = 0.025;

/// How often gates say what of CPU time.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Rates {
    /// Fail.
    pub(super) fail: f64,
    /// The interval of that.
    pub(super) fail_low: f64,
    pub(super) fail_high: f64,
    /// Pass.
    pub(super) pass: f64,
    /// Neither.
    pub(super) inconclusive: f64,
    /// Fail by any metric.
    pub(super) any_fail: f64,
    /// Median of the rounds that a gate took.
    pub(super) rounds: f64,
}

/// What gates are drawn from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    /// The recorded rounds.
    pub(super) rounds: &'a [Round],
    /// Both sides are one program. Then either could have been called head, and a coin does so anew for each round
    /// drawn: what sixty rounds happen to favour is no property of a program against itself.
    pub(super) same_program: bool,
}

/// What one gate said.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Said {
    /// Of CPU time.
    cpu: Verdict,
    /// Of all.
    all: Verdict,
    /// After so many rounds.
    rounds: usize,
}

/// The rates of gates of these rounds; all zero of none.
pub(super) fn rates(source: Source<'_>, settings: &Settings, looks: &Looks, seed: u64) -> Rates {
    if source.rounds.is_empty() {
        return Rates { fail_high: 1.0, ..Rates::default() };
    }
    let mut rng = Pcg64::seed_from_u64(seed);
    let gates: Vec<Said> = (0..GATES).map(|_| gate(source, settings, looks, &mut rng)).collect();
    let count = |verdict| gates.iter().filter(|said| said.cpu == verdict).count() as u64;
    let share = |verdict| count(verdict) as f64 / f64::from(GATES);
    let mut found: Vec<f64> = (0..RECORDINGS)
        .map(|_| {
            let again = drawn(source, source.rounds.len(), &mut rng);
            let again = Source { rounds: &again, ..source };
            let fails = (0..GATES_EACH).filter(|_| gate(again, settings, looks, &mut rng).cpu == Verdict::Fail);
            fails.count() as f64 / f64::from(GATES_EACH)
        })
        .collect();
    found.sort_unstable_by(f64::total_cmp);
    let outside = (f64::from(RECORDINGS) * OUTSIDE) as usize;
    let (low, high) = wilson(count(Verdict::Fail), u64::from(GATES), OUTSIDE);
    Rates {
        fail: share(Verdict::Fail),
        fail_low: found[outside].min(low),
        fail_high: found[found.len() - 1 - outside].max(high),
        pass: share(Verdict::Pass),
        inconclusive: share(Verdict::Inconclusive),
        any_fail: gates.iter().filter(|said| said.all == Verdict::Fail).count() as f64 / f64::from(GATES),
        rounds: median(&gates.iter().map(|said| said.rounds as f64).collect::<Vec<_>>()).unwrap_or(0.0),
    }
}

/// One gate.
fn gate(source: Source<'_>, settings: &Settings, looks: &Looks, rng: &mut Pcg64) -> Said {
    let mut taken = Vec::new();
    let mut said = Said { cpu: Verdict::Inconclusive, all: Verdict::Inconclusive, rounds: 0 };
    for look in &looks.at {
        taken.extend(drawn(source, look - taken.len(), rng));
        let judged = judge(&taken, settings, looks);
        let cpu = judged.iter().find(|one| one.metric == Metric::Cpu);
        said = Said {
            cpu: cpu.map_or(Verdict::Inconclusive, |one| one.verdict),
            all: overall(&judged, settings),
            rounds: taken.len(),
        };
        if said.all != Verdict::Inconclusive {
            break;
        }
    }
    said
}

fn drawn(source: Source<'_>, count: usize, rng: &mut Pcg64) -> Vec<Round> {
    let mut one = || {
        let round = source.rounds[(rng.next_u64() % source.rounds.len() as u64) as usize].clone();
        if source.same_program && rng.next_u64() >> 63 == 1 { round.swapped() } else { round }
    };
    (0..count).map(|_| one()).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::gate::metric::Figures;

    /// Rounds with a change of CPU time and even noise of this width on both sides.
    fn rounds(change: f64, width: f64) -> Vec<Round> {
        let side = |cpu| Figures { values: BTreeMap::from([(Metric::Cpu, cpu)]), ..Figures::default() };
        let round = |number: u32| {
            let place = f64::from(number) / 59.0 * 2.0 - 1.0;
            Round { number, base: side(10.0), head: side(10.0 * (change + width * place).exp()), ..Round::default() }
        };
        (0..60).map(round).collect()
    }

    /// The rates of rounds as they are.
    fn as_recorded(rounds: &[Round], settings: &Settings, looks: &Looks) -> Rates {
        rates(Source { rounds, same_program: false }, settings, looks, 1)
    }

    fn of_cpu() -> (Settings, Looks) {
        let mut settings = Settings::load(None).unwrap();
        settings.metrics.retain(|metric, _| *metric == Metric::Cpu);
        let looks = Looks::new(&settings, 32);
        (settings, looks)
    }

    #[test]
    fn gates_of_known_changes_say_what_they_should() {
        let (settings, looks) = of_cpu();
        let equal = as_recorded(&rounds(0.0, 0.02), &settings, &looks);
        assert!(equal.fail <= 0.01 && equal.pass > 0.95 && equal.fail_high < 0.05, "{equal:?}");
        let slower = as_recorded(&rounds(0.03, 0.02), &settings, &looks);
        assert!(slower.fail > 0.9 && slower.fail_low > 0.5 && slower.rounds <= 20.0, "{slower:?}");
        let blind = as_recorded(&rounds(0.03, 0.3), &settings, &looks);
        assert!(blind.inconclusive > 0.8 && blind.rounds > 31.0, "{blind:?}");
        for rates in [equal, slower, blind] {
            assert!((rates.fail + rates.pass + rates.inconclusive - 1.0).abs() < 1e-9);
            assert!(rates.fail_low <= rates.fail && rates.fail <= rates.fail_high);
        }
    }

    #[test]
    fn a_program_against_itself_is_equal_whatever_was_recorded() {
        let (settings, looks) = of_cpu();
        let rounds = rounds(0.03, 0.02);
        let itself = rates(Source { rounds: &rounds, same_program: true }, &settings, &looks, 1);
        assert!(itself.fail < 0.02 && itself.any_fail == itself.fail, "{itself:?}");
    }

    #[test]
    fn the_same_seed_gives_the_same_rates_and_nothing_gives_none() {
        let (settings, looks) = of_cpu();
        let rounds = rounds(0.02, 0.05);
        let source = Source { rounds: &rounds, same_program: true };
        let draw = |seed| gate(source, &settings, &looks, &mut Pcg64::seed_from_u64(seed));
        assert_eq!(draw(5), draw(5));
        assert_eq!(as_recorded(&[], &settings, &looks), Rates { fail_high: 1.0, ..Rates::default() });
    }
}
