//! Rounds of a gate, one after the other, until they decide.
//!
//! They end as soon as there is nothing more to learn: at a look that decides, when head is broken or answers wrongly,
//! when the rounds or the time are used up, or when someone asks for it. What was measured until then is kept in each
//! case, so that a head which crashes has its report too.

use std::path::Path;
use std::time::Duration;

use loadgen::clock::Clock;
use loadgen::environment::Environment;
use rand_pcg::Pcg64;
use rand_pcg::rand_core::SeedableRng;
use reports::result::Verdict;

use super::judge::{self, Judged, Looks};
use super::metric::{Metric, Round};
use super::round::{HEAD, Side};
use super::settings::Settings;
use super::task::Task;
use super::{GateError, Options, World, faults, say};
use crate::rounds::progress::Progress;

/// What was recorded, and what was seen of the machine meanwhile.
#[derive(Debug)]
pub struct Recording {
    /// All rounds, in order.
    pub rounds: Vec<Round>,
    /// What they say.
    pub judged: Vec<Judged>,
    /// The looks that were planned.
    pub looks: Looks,
    /// Requests a second of the driver straight to the mock.
    pub direct_rps: f64,
    /// The machine.
    pub environment: Environment,
    /// From the first start to the last end.
    pub took: Duration,
    /// Someone asked it to end early.
    pub interrupted: bool,
    /// How head showed itself to be broken, if it did.
    pub broken: Option<String>,
}

/// Rounds until the metrics are decided, head shows that it is broken, the rounds are used up, the time is, or someone
/// interrupts.
///
/// # Errors
/// When base is broken, or the machine does not do what is asked.
pub(super) fn record(
    options: &Options,
    task: Task,
    (settings, looks): (&Settings, Looks),
    sides: &[Side; 2],
    folder: &Path,
) -> Result<Recording, GateError> {
    let world = World::start(&options.programs, task, folder, options.seed)?;
    let clock = Clock::start();
    let mut course = Course { options, settings, looks: &looks, seen: Seen::default() };
    let broken = match course.run(&world, &clock, sides, folder) {
        Ok(()) => None,
        Err(GateError::Broken { side: HEAD, why }) => Some(format!("{HEAD} {why}")),
        Err(other) => return Err(other),
    };
    // When it ended between two looks, the next one is taken early, at its own level.
    let Seen { rounds, mut judged, direct_rps } = course.seen;
    if !looks.at.contains(&rounds.len()) {
        judged = judge::judge(&rounds, settings, &looks);
    }
    Ok(Recording {
        rounds,
        judged,
        looks,
        direct_rps,
        environment: world.environment(),
        took: Duration::from_nanos(clock.now_ns()),
        interrupted: world.is_stopped(),
        broken,
    })
}

/// What was seen so far.
#[derive(Debug, Default)]
struct Seen {
    rounds: Vec<Round>,
    judged: Vec<Judged>,
    direct_rps: f64,
}

/// A gate under way.
struct Course<'a> {
    options: &'a Options,
    settings: &'a Settings,
    looks: &'a Looks,
    seen: Seen,
}

impl Course<'_> {
    fn run(&mut self, world: &World, clock: &Clock, sides: &[Side; 2], folder: &Path) -> Result<(), GateError> {
        let Self { options, looks, .. } = *self;
        let track = world.track(self.settings, options.seconds, folder, [&sides[0], &sides[1]])?;
        self.seen.direct_rps = track.direct()?;
        let mut rng = Pcg64::seed_from_u64(options.seed);
        let progress = Progress::new(looks.last() as u64, options.json);
        let mut longest_ns = 0;
        while self.seen.rounds.len() < looks.last() && !world.is_stopped() {
            let before_ns = clock.now_ns();
            // The first round is always run: a gate without one says nothing at all.
            if !self.seen.rounds.is_empty() && u128::from(before_ns + longest_ns) > options.max_time.as_nanos() {
                break;
            }
            let number = u32::try_from(self.seen.rounds.len() + 1).unwrap_or(u32::MAX);
            let round = track.round(number, &sides[0], &sides[1], &mut rng)?;
            longest_ns = longest_ns.max(clock.now_ns() - before_ns);
            if world.is_stopped() {
                break;
            }
            progress.step(line(&round, looks.last()));
            if number == 1 && !options.json {
                few_rounds(clock.now_ns(), longest_ns, options.max_time, looks).iter().for_each(|text| say(text));
            }
            if self.add(round) {
                break;
            }
        }
        Ok(())
    }

    /// Adds a round; whether all is decided by it.
    fn add(&mut self, round: Round) -> bool {
        let Seen { rounds, judged, .. } = &mut self.seen;
        rounds.push(round);
        if faults::wrong_answers(rounds).is_some() {
            return true;
        }
        if !self.looks.at.contains(&rounds.len()) && !judge::is_gross(rounds, self.settings) {
            return false;
        }
        *judged = judge::judge(rounds, self.settings, self.looks);
        judge::overall(judged, self.settings) != Verdict::Inconclusive
    }
}

/// What is said where the time will not do for enough rounds, as soon as one has shown how long they take.
fn few_rounds(now_ns: u64, round_ns: u64, max_time: Duration, looks: &Looks) -> Option<String> {
    let left_ns = u64::try_from(max_time.as_nanos()).unwrap_or(u64::MAX).saturating_sub(now_ns);
    let fit = (1 + left_ns / round_ns.max(1)).min(looks.last() as u64);
    let fewest = looks.fewest_to_fail() as u64;
    (fit < fewest).then(|| {
        format!(
            "note: about {fit} rounds will be made (--max-time, --rounds); with fewer than {fewest} head fails only \
             where it needs more than twice base's CPU time"
        )
    })
}

/// A round in words.
pub(super) fn line(round: &Round, last: usize) -> String {
    let change = |metric: Metric| metric.observe(round).map_or(f64::NAN, |worse| worse.exp_m1() * 100.0);
    format!(
        "round {:>2} of {last}  CPU {:>6.2} -> {:>6.2} us ({:+.1} %)  p99 {:+.1} %  core {:.0} %",
        round.number,
        round.base.value(Metric::Cpu),
        round.head.value(Metric::Cpu),
        change(Metric::Cpu),
        change(Metric::P99),
        round.base.core_share.min(round.head.core_share) * 100.0
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_little_time_is_told_as_soon_as_a_round_has_shown_it() {
        let looks = Looks::new(&Settings::load(None).unwrap(), 32);
        let fewest = looks.fewest_to_fail();
        let second = 1_000_000_000;
        let told = |seconds| few_rounds(5 * second, 2 * second, Duration::from_secs(seconds), &looks);
        assert_eq!(told(5 + 2 * fewest as u64), None);
        let said = told(13).unwrap();
        assert!(said.contains("about 5 rounds") && said.contains(&format!("fewer than {fewest}")), "{said}");
        let few = Looks::new(&Settings::load(None).unwrap(), 2);
        assert!(few_rounds(second, second, Duration::from_secs(600), &few).unwrap().contains("about 2 rounds"));
    }
}
