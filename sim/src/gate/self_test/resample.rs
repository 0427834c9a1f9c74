//! Whole gates drawn from recorded rounds: how often they say what. Pure, from a seed.
//!
//! A gate takes as many rounds as it needs, each drawn with replacement. The rate over many gates has the recording's
//! own uncertainty, since sixty rounds are not all rounds there could be. So the recording is drawn anew many times too
//! (Efron and Tibshirani, An Introduction to the Bootstrap, chapter 13): by how much the rates found differ beyond what
//! so few gates of each would give is added to what the number of gates leaves open (as squares, like Newcombe, 1998).

use rand_pcg::Pcg64;
use rand_pcg::rand_core::{Rng, SeedableRng};
use reports::result::Verdict;

use super::cpu_changes;
use crate::gate::judge::{Looks, judge, overall};
use crate::gate::metric::{Metric, Round};
use crate::gate::settings::Settings;
use crate::statistics::proportion::wilson;
use crate::statistics::shift::Shift;
use crate::statistics::{median, normal};

/// Gates drawn from the recording as it is.
pub(super) const GATES: u32 = 2_000;
/// Recordings drawn from the recording, and gates from each.
const RECORDINGS: u32 = 200;
const GATES_EACH: u32 = 50;
/// Left out on each side of an interval.
const OUTSIDE: f64 = 0.025;

/// A rate, and its interval.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Rate {
    pub(super) estimate: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

/// How often gates say what.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Verdicts {
    /// Fail.
    pub(super) fail: Rate,
    /// Pass.
    pub(super) pass: f64,
    /// Neither.
    pub(super) inconclusive: f64,
}

/// What gates of one case do.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Rates {
    /// What they say of CPU time.
    pub(super) cpu: Verdicts,
    /// What they say of all metrics together, which is what a gate ends with.
    pub(super) all: Verdicts,
    /// Median of the rounds that a gate took.
    pub(super) rounds: f64,
    /// By how much one side was always dearer though both are one program, as a log-ratio: the coin that says which
    /// side is called head hides it from the rates.
    pub(super) bias: Option<f64>,
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
        let nothing = Verdicts { fail: Rate { high: 1.0, ..Rate::default() }, ..Verdicts::default() };
        return Rates { cpu: nothing, all: nothing, ..Rates::default() };
    }
    let mut rng = Pcg64::seed_from_u64(seed);
    let gates: Vec<Said> = (0..GATES).map(|_| gate(source, settings, looks, &mut rng)).collect();
    let (mut cpu, mut all) = (Vec::new(), Vec::new());
    for _ in 0..RECORDINGS {
        let again = drawn(source, source.rounds.len(), &mut rng);
        let again = Source { rounds: &again, ..source };
        let said: Vec<Said> = (0..GATES_EACH).map(|_| gate(again, settings, looks, &mut rng)).collect();
        cpu.push(share(&said, |said| said.cpu, Verdict::Fail));
        all.push(share(&said, |said| said.all, Verdict::Fail));
    }
    Rates {
        cpu: verdicts(&gates, |said| said.cpu, &cpu),
        all: verdicts(&gates, |said| said.all, &all),
        rounds: median(&gates.iter().map(|said| said.rounds as f64).collect::<Vec<_>>()).unwrap_or(0.0),
        bias: if source.same_program { bias(source.rounds, settings) } else { None },
    }
}

/// How often these gates said `verdict` of something.
fn share(gates: &[Said], of: fn(&Said) -> Verdict, verdict: Verdict) -> f64 {
    gates.iter().filter(|said| of(said) == verdict).count() as f64 / gates.len().max(1) as f64
}

/// The variance of rates of recordings, without what `GATES_EACH` draws of each alone would give.
fn variance_between(rates: &[f64]) -> f64 {
    let count = rates.len() as f64;
    let mean = rates.iter().sum::<f64>() / count;
    let variance = rates.iter().map(|rate| (rate - mean).powi(2)).sum::<f64>() / (count - 1.0);
    let within = rates.iter().map(|rate| rate * (1.0 - rate) / f64::from(GATES_EACH - 1)).sum::<f64>() / count;
    (variance - within).max(0.0)
}

/// What these gates said of something; `again` are the rates of fails of recordings that were drawn anew.
fn verdicts(gates: &[Said], of: fn(&Said) -> Verdict, again: &[f64]) -> Verdicts {
    let fails = gates.iter().filter(|said| of(said) == Verdict::Fail).count();
    let (low, high) = wilson(fails as u64, gates.len() as u64, OUTSIDE);
    let estimate = share(gates, of, Verdict::Fail);
    let spread = normal::quantile(1.0 - OUTSIDE) * variance_between(again).sqrt();
    let fail = Rate {
        estimate,
        low: (estimate - (estimate - low).hypot(spread)).max(0.0),
        high: (estimate + (high - estimate).hypot(spread)).min(1.0),
    };
    let [pass, inconclusive] = [Verdict::Pass, Verdict::Inconclusive].map(|verdict| share(gates, of, verdict));
    Verdicts { fail, pass, inconclusive }
}

/// By how much the side that is called head costs more or less CPU time than itself: beyond chance, and by the floor at
/// least, as a gate would call it. Nothing of the program can do that; who starts first, or which core it gets, can.
fn bias(rounds: &[Round], settings: &Settings) -> Option<f64> {
    let floor = settings.metrics.get(&Metric::Cpu)?.floor();
    let shift = Shift::of(&cpu_changes(rounds))?;
    let interval = shift.interval(OUTSIDE);
    let is_beyond_chance = interval.low > 0.0 || interval.high < 0.0;
    (is_beyond_chance && shift.estimate().abs() >= floor).then(|| shift.estimate())
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
        let equal = as_recorded(&rounds(0.0, 0.02), &settings, &looks).cpu;
        assert!(equal.fail.estimate <= 0.01 && equal.pass > 0.95 && equal.fail.high < 0.05, "{equal:?}");
        let Rates { cpu: slower, rounds: taken, .. } = as_recorded(&rounds(0.03, 0.02), &settings, &looks);
        assert!(slower.fail.estimate > 0.9 && slower.fail.low > 0.5 && taken <= 20.0, "{slower:?}");
        let Rates { cpu: blind, rounds: taken, .. } = as_recorded(&rounds(0.03, 0.3), &settings, &looks);
        assert!(blind.inconclusive > 0.8 && taken > 31.0, "{blind:?}");
        for Verdicts { fail, pass, inconclusive } in [equal, slower, blind] {
            assert!((fail.estimate + pass + inconclusive - 1.0).abs() < 1e-9);
            assert!(fail.low <= fail.estimate && fail.estimate <= fail.high);
        }
    }

    #[test]
    fn a_rate_far_below_the_goal_is_shown_to_be_and_one_that_hangs_on_the_recording_is_not() {
        let said = |verdict| Said { cpu: verdict, all: verdict, rounds: 12 };
        let gates: Vec<Said> = (0..GATES).map(|at| said(if at < 4 { Verdict::Fail } else { Verdict::Pass })).collect();
        // Two of a thousand gates fail, whichever rounds are recorded; fifty draws of each see it in steps of 2 %.
        let even: Vec<f64> = (0..RECORDINGS).map(|at| if at < 19 { 0.02 } else { 0.0 }).collect();
        let found = verdicts(&gates, |said| said.all, &even).fail;
        assert!(found.low <= 0.002 && found.high < 0.01, "{found:?}");
        let uneven: Vec<f64> = (0..RECORDINGS).map(|at| if at < 10 { 0.3 } else { 0.0 }).collect();
        let found = verdicts(&gates, |said| said.all, &uneven).fail;
        assert!(found.high > 0.05, "{found:?}");
    }

    #[test]
    fn what_any_metric_says_has_a_rate_of_its_own() {
        // Memory grows by a fifth, and CPU time does not.
        let settings = Settings::load(None).unwrap();
        let looks = Looks::new(&settings, 32);
        let mut rounds = rounds(0.0, 0.02);
        for round in &mut rounds {
            round.base.values.insert(Metric::Rss, 10_000_000.0);
            round.head.values.insert(Metric::Rss, 12_000_000.0);
        }
        let found = as_recorded(&rounds, &settings, &looks);
        assert!(found.cpu.fail.estimate < 0.02 && found.cpu.fail.high < 0.1, "{found:?}");
        assert!(found.all.fail.estimate > 0.9 && found.all.fail.low > 0.5, "{found:?}");
    }

    #[test]
    fn a_harness_that_favours_a_side_is_seen_though_the_coin_hides_it_from_the_rates() {
        let (settings, looks) = of_cpu();
        let itself = |change| {
            let rounds = rounds(change, 0.02);
            rates(Source { rounds: &rounds, same_program: true }, &settings, &looks, 1)
        };
        let found = itself(0.03);
        assert!(found.all.fail.estimate < 0.02 && found.all == found.cpu, "{found:?}");
        assert!(found.bias.is_some_and(|bias| (bias - 0.03).abs() < 0.005), "{found:?}");
        let seen = |change| bias(&rounds(change, 0.02), &settings);
        assert!(seen(-0.03).is_some_and(|bias| (bias + 0.03).abs() < 0.005));
        assert_eq!((seen(0.0), seen(0.008)), (None, None), "below the floor is as good as equal");
    }

    #[test]
    fn the_same_seed_gives_the_same_rates_and_nothing_gives_none() {
        let (settings, looks) = of_cpu();
        let rounds = rounds(0.02, 0.05);
        let source = Source { rounds: &rounds, same_program: true };
        let draw = |seed| gate(source, &settings, &looks, &mut Pcg64::seed_from_u64(seed));
        assert_eq!(draw(5), draw(5));
        let nothing = as_recorded(&[], &settings, &looks);
        assert_eq!((nothing.cpu.fail, nothing.all), (Rate { high: 1.0, ..Rate::default() }, nothing.cpu));
    }
}
