//! `sim gate --self-test`: how often the gate errs, by its own measurement.
//!
//! Pairs of known difference are recorded, each in a round just as the gate runs them: a build against itself; a build
//! against one of the same code in another layout; and a build against itself with 3, 5 and 10 % of
//! work added to each request (the gateway's feature `slow-down`). Then whole gates are drawn from the recorded rounds,
//! and counted: what they say of equal sides are false alarms, what they say of slower ones is what they find.
//!
//! A recording may be made in several sittings, into one folder: each goes on where the last ended.

mod cases;
mod layout;
mod report;
mod resample;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use loadgen::clock::{Clock, rfc3339, unix_seconds};
use loadgen::environment::Environment;
use rand_pcg::Pcg64;
use rand_pcg::rand_core::SeedableRng;

use super::judge::Looks;
use super::measure::line;
use super::metric::{Metric, Round};
use super::round::Track;
use super::settings::Settings;
use super::task::Task;
use super::{GateError, World, folder, recording};
use crate::children::Programs;
use crate::rounds::order::shuffled;
use crate::rounds::progress::Progress;
use crate::statistics::shift::Shift;
use cases::Case;
use resample::{Rates, Source};

/// What a self-test is asked for.
#[derive(Debug, Clone)]
pub struct Options {
    /// Pairs of each case.
    pub pairs: usize,
    /// Gateways that are built already.
    pub builds: Builds,
    /// Turns of each side in a round last this long together.
    pub seconds: Duration,
    /// No round begins that would end later than this after the first; no bound when `None`.
    pub max_time: Option<Duration>,
    /// The settings' file; the committed one when `None`.
    pub settings: Option<PathBuf>,
    /// Cargo's profile for what is built.
    pub profile: String,
    /// The mocks to start.
    pub programs: Programs,
    /// The seed of every order, and of every gate that is drawn.
    pub seed: u64,
    /// Print the result as JSON.
    pub json: bool,
    /// Where everything is written and read again; a new folder among the temporary files when `None`.
    pub out: Option<PathBuf>,
    /// The command line, for the result.
    pub command: String,
}

/// Gateways that are built already; those that are not are built from the working tree.
#[derive(Debug, Clone, Default)]
pub struct Builds {
    /// As it is shipped.
    pub plain: Option<PathBuf>,
    /// With its functions in another order: each has changed places with its neighbours.
    pub shuffled: Option<PathBuf>,
    /// With the feature `slow-down`.
    pub slowed: Option<PathBuf>,
}

/// Runs the self-test, or goes on with it.
///
/// # Errors
/// When something cannot be built, started, read or written, or the folder holds a recording of other builds.
pub fn self_test(options: &Options) -> Result<ExitCode, GateError> {
    let settings = Settings::load(options.settings.as_deref())?;
    let started_at = rfc3339(unix_seconds());
    let folder = folder(options.out.as_deref())?;
    let (cases, environment) = record(options, &settings, &folder)?;
    let looks = Looks::new(&settings, settings.promise.looks.last().copied().unwrap_or(1));
    let rates_of = |(case, rounds): &Recorded| {
        let source = Source { rounds: &centred(case, rounds), same_program: case.same_program };
        resample::rates(source, &settings, &looks, options.seed)
    };
    let rates: Vec<Rates> = cases.iter().map(rates_of).collect();
    let cases: Vec<_> = cases.into_iter().zip(rates).map(|((case, rounds), rates)| (case, rounds, rates)).collect();
    let findings = report::Findings { options, looks: &looks, cases: &cases, environment, started_at };
    findings.write(&folder)?;
    Ok(findings.exit_code())
}

/// A case and its rounds.
type Recorded = (Case, Vec<Round>);

/// Records what is missing, or as much of it as there is time for.
fn record(options: &Options, settings: &Settings, folder: &Path) -> Result<(Vec<Recorded>, Environment), GateError> {
    let builds = cases::build(options, folder)?;
    let world = World::start(&options.programs, Task::default(), folder, options.seed)?;
    let clock = Clock::start();
    let sides = [&builds.plain_side("base"), &builds.plain_side("head")];
    let track = world.track(settings, options.seconds, folder, sides)?;
    let plan = cases::plan(&builds, &track, folder, options.seed)?;
    let mut recorded: Vec<Recorded> = Vec::new();
    for case in plan {
        let rounds = recording::load(&folder.join(case.file()))?;
        recorded.push((case, rounds));
    }
    let missing = |rounds: &[Round]| options.pairs.saturating_sub(rounds.len());
    let progress = Progress::new(recorded.iter().map(|(_, rounds)| missing(rounds) as u64).sum(), options.json);
    // Another seed in each sitting, but the same for the same rounds done.
    let done: usize = recorded.iter().map(|(_, rounds)| rounds.len()).sum();
    let mut rng = Pcg64::seed_from_u64(options.seed.wrapping_add(done as u64));
    let mut longest_ns = 0;
    'sitting: while recorded.iter().any(|(_, rounds)| missing(rounds) > 0) {
        for index in shuffled(recorded.len(), &mut rng) {
            let (case, rounds) = &mut recorded[index];
            if missing(rounds) == 0 {
                continue;
            }
            let before_ns = clock.now_ns();
            let time_is_up = options.max_time.is_some_and(|most| u128::from(before_ns + longest_ns) > most.as_nanos());
            if time_is_up || world.is_stopped() {
                break 'sitting;
            }
            rounds.push(one_round(&track, case, rounds.len() + 1, &mut rng)?);
            longest_ns = longest_ns.max(clock.now_ns() - before_ns);
            if world.is_stopped() {
                rounds.pop();
                break 'sitting;
            }
            recording::save(rounds, &folder.join(case.file()))?;
            let newest = rounds.last().map(|round| line(round, options.pairs)).unwrap_or_default();
            progress.step(format!("{:<13} {newest}", case.name));
        }
    }
    Ok((recorded, world.environment()))
}

fn one_round(track: &Track<'_>, case: &Case, number: usize, rng: &mut Pcg64) -> Result<Round, GateError> {
    let number = u32::try_from(number).unwrap_or(u32::MAX);
    track.round(number, &case.base, &case.head, rng)
}

/// A slow-down's rounds, moved so that their estimate is what the case is called: the steps that were to make it cost
/// more on one day than on another, and what is asked is how often exactly this much is found. Equal sides stay as they
/// are.
fn centred(case: &Case, rounds: &[Round]) -> Vec<Round> {
    let estimate = Shift::of(&cpu_changes(rounds)).map(|shift| shift.estimate());
    let by = estimate.filter(|_| case.slow_down_pct > 0.0).map(|found| (case.slow_down_pct / 100.0).ln_1p() - found);
    rounds.iter().map(|round| round.clone().slowed_by(by.unwrap_or(0.0))).collect()
}

/// The observations of CPU time in these rounds.
fn cpu_changes(rounds: &[Round]) -> Vec<f64> {
    rounds.iter().filter_map(|round| Metric::Cpu.observe(round)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use super::super::metric::Figures;
    use super::super::round::Side;
    use super::*;

    #[test]
    fn a_slow_down_is_as_large_as_it_is_called_and_equal_sides_stay_as_they_are() {
        let side = |name| Side { name, program: PathBuf::from("/x"), arguments: Vec::new() };
        let case = |slow_down_pct| Case {
            name: "x",
            slow_down_pct,
            goal: None,
            same_program: false,
            base: side("base"),
            head: side("head"),
        };
        let figures = |cpu| Figures { values: BTreeMap::from([(Metric::Cpu, cpu)]), ..Figures::default() };
        let round = |cpu| Round { base: figures(10.0), head: figures(cpu), ..Round::default() };
        let rounds = [round(10.3), round(10.4), round(10.5)];
        let estimate = |case| Shift::of(&cpu_changes(&centred(&case, &rounds))).unwrap().estimate();
        assert!((estimate(case(3.0)).exp() - 1.03).abs() < 1e-12);
        assert!((estimate(case(0.0)).exp() - 1.04).abs() < 1e-4);
        assert!(centred(&case(3.0), &[]).is_empty());
    }
}
