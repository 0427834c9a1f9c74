//! Runs the arms of a claim, round by round, in an order that the seed draws.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rand_pcg::Pcg64;
use rand_pcg::rand_core::SeedableRng;
use reports::result::{Capacity, Environment, ResultFile, Validity};

use super::experiment::{Arm, Claim, Terms, Work};
use super::figure::{Sample, Samples};
use super::{turns, written};
use crate::children::Programs;
use crate::rounds::order::shuffled;
use crate::run::Bench;
use crate::scenario::Scenario;
use crate::scenario::model::ExpectPart;

/// What all claims share.
pub(super) struct Shop<'a> {
    pub(super) programs: &'a Programs,
    pub(super) scenarios: &'a Path,
    pub(super) stop: &'a Arc<AtomicBool>,
    pub(super) seed: u64,
    pub(super) is_quick: bool,
    /// Rounds that were asked for, in place of the claims' own.
    pub(super) rounds: Option<u32>,
    pub(super) command: &'a str,
    /// Tells how far it is.
    pub(super) tell: &'a dyn Fn(&str),
}

/// What came of a claim's arms.
#[derive(Debug, Default)]
pub(super) struct Performed {
    pub(super) samples: Samples,
    pub(super) rounds: usize,
    /// What to know of it.
    pub(super) notes: Vec<String>,
    /// How it was run.
    pub(super) configuration: Vec<String>,
    /// The machine, as the last run saw it.
    pub(super) environment: Option<Environment>,
    /// Latency against load, where a run looked for it.
    pub(super) capacity: Option<Capacity>,
}

impl Performed {
    pub(super) fn note(&mut self, text: String) {
        if !self.notes.contains(&text) {
            self.notes.push(text);
        }
    }

    pub(super) fn told(&mut self, text: String) {
        if !self.configuration.contains(&text) {
            self.configuration.push(text);
        }
    }

    /// Says of a run that is not valid what does not count of it.
    fn notes_on(&mut self, arm: &str, validity: &Validity) {
        let what = if validity.lost { "nothing of it counts" } else { "not valid as a measurement of times" };
        if !validity.valid {
            self.note(format!("{what}: {arm}: {}", validity.reasons.join("; ")));
        }
    }

    pub(super) fn put(&mut self, arm: &str, sample: Option<Sample>) {
        self.samples.entry(arm.to_owned()).or_default().push(sample);
    }
}

impl Shop<'_> {
    /// Whether an interrupt came.
    pub(super) fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// How often each arm of a claim is run.
    pub(super) fn rounds_of(&self, claim: &Claim) -> usize {
        let own = if self.is_quick { claim.rounds.0 } else { claim.rounds.1 };
        self.rounds.unwrap_or(own) as usize
    }

    /// Runs all arms of a claim. An interrupt ends it after the run that is under way; whole rounds count.
    pub(super) fn perform(&self, claim: &Claim, folder: &Path) -> Performed {
        let arms: Vec<&Arm> = claim.arms.iter().filter(|arm| !(self.is_quick && arm.is_slow)).collect();
        let mut done = Performed { rounds: self.rounds_of(claim), ..Performed::default() };
        let (turns, others): (Vec<&Arm>, Vec<&Arm>) =
            arms.into_iter().partition(|arm| matches!(arm.work, Work::Turn { .. } | Work::Peer(_)));
        if !turns.is_empty() {
            turns::perform(self, claim, &turns, folder, &mut done);
        }
        if self.is_quick && done.rounds > 1 {
            let once = others.iter().filter(|arm| arm.is_once);
            once.for_each(|arm| done.told(format!("{}: the first round alone, since it is quick", arm.name)));
        }
        let mut rng = Pcg64::seed_from_u64(self.seed);
        let mut failed: Vec<&str> = Vec::new();
        for round in 0..done.rounds {
            for index in shuffled(others.len(), &mut rng) {
                let arm = others[index];
                let is_enough = self.is_quick && arm.is_once && round > 0;
                if is_enough || self.is_over() || failed.contains(&arm.name) {
                    done.put(arm.name, failed.contains(&arm.name).then(Sample::lost));
                    continue;
                }
                (self.tell)(&format!("{}  round {} of {}  {}", claim.id, round + 1, done.rounds, arm.name));
                let place = folder.join(arm.name).join(format!("run-{}", round + 1));
                match self.once(claim, arm, round, &place, &mut done) {
                    Ok(sample) => done.put(arm.name, Some(sample)),
                    Err(why) => {
                        // What cannot be run once is not tried again.
                        failed.push(arm.name);
                        done.note(format!("{} could not be run: {why}", arm.name));
                        done.put(arm.name, Some(Sample::lost()));
                    }
                }
            }
        }
        done
    }

    fn once(
        &self,
        claim: &Claim,
        arm: &Arm,
        round: usize,
        place: &Path,
        done: &mut Performed,
    ) -> Result<Sample, String> {
        let seed = self.seed.wrapping_add(round as u64);
        match arm.work {
            Work::Here(work) => {
                let figures = work(&Terms { seed, is_quick: self.is_quick })?;
                Ok(Sample { figures, is_valid: true, is_lost: false })
            }
            Work::Scenario { file, edits, also } => {
                let mut scenario = written::scenario(self.scenarios, file, edits, place)?;
                scenario.seed = seed;
                if self.is_quick {
                    scenario.warm_up /= 2;
                }
                scenario.expectations = asked_for(claim, arm.name);
                describe(file, &scenario, done);
                let result = self.measured(&scenario, place)?;
                done.notes_on(arm.name, &result.validity);
                done.environment = Some(result.environment.clone());
                done.capacity = result.capacity.values().next().cloned().or(done.capacity.take());
                let mut figures = serde_json::to_value(&result).map_err(|error| error.to_string())?;
                if let Some(also) = also {
                    figures["also"] = also(place)?;
                }
                Ok(Sample { figures, is_valid: result.validity.valid, is_lost: result.validity.lost })
            }
            Work::Turn { .. } | Work::Peer(_) => Err("has turns".to_owned()),
        }
    }

    /// Runs a scenario; once more when its times were not valid, since whatever disturbed it may be over. Not when
    /// there is little time.
    fn measured(&self, scenario: &Scenario, place: &Path) -> Result<ResultFile, String> {
        let bench = Bench { programs: self.programs, stop: self.stop, quiet: true, command: self.command };
        let run = |place: PathBuf| bench.run(scenario, &place).map_err(|error| error.to_string());
        let first = run(place.to_path_buf())?;
        if first.validity.valid || self.is_quick || self.is_over() {
            return Ok(first);
        }
        run(place.to_path_buf())
    }
}

/// What a run has to find out because something is drawn from it.
fn asked_for(claim: &Claim, arm: &str) -> Vec<ExpectPart> {
    let asked = |figure: &str| ExpectPart { figure: figure.to_owned(), min: None, max: None, above: None, per: None };
    claim.names_of(arm).into_iter().map(asked).collect()
}

fn describe(file: &str, scenario: &Scenario, done: &mut Performed) {
    let loads: Vec<String> =
        scenario.loads.iter().map(|load| format!("{} for {} s", load.name, load.duration.as_secs_f64())).collect();
    done.told(format!("{file}: {} gateway(s), loads {}", scenario.gateway.instances, loads.join(", ")));
}
