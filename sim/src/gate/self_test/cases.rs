//! What is recorded: which build against which, and how much slower head is by construction.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use rand_pcg::Pcg64;
use rand_pcg::rand_core::SeedableRng;
use reports::result::Verdict;
use serde::{Deserialize, Serialize};

use super::layout::shuffled_order;
use super::resample::{Rates, Verdicts};
use super::{Options, cpu_changes, one_round};
use crate::gate::binaries::{Binary, Workshop, run};
use crate::gate::round::{Side, Track};
use crate::gate::{GateError, say, write};
use crate::statistics::shift::Shift;

/// Steps of a slow-down that is large against all noise, from which small ones are told.
const CALIBRATION_STEPS: u32 = 2_000;
/// Rounds of the calibration.
const CALIBRATION_ROUNDS: usize = 8;
/// The file that says what a recording was made of.
const NOTEBOOK: &str = "self_test.json";

/// One known difference.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Case {
    /// Its name.
    pub(super) name: &'static str,
    /// How much slower head is, percent.
    pub(super) slow_down_pct: f64,
    /// The rate of fails that is asked for: at most where nothing is slower, at least elsewhere.
    pub(super) goal: Option<f64>,
    /// Both sides are one program.
    pub(super) same_program: bool,
    /// One side.
    pub(super) base: Side,
    /// The other.
    pub(super) head: Side,
}

impl Case {
    /// The file of its rounds.
    pub(super) fn file(&self) -> String {
        let name: String = self.name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        format!("{}.jsonl", name.to_lowercase())
    }

    /// What is asked about: of equal sides, whether any metric of a gate blames head, since that is what is promised;
    /// of a slow-down, whether CPU time shows it.
    pub(super) fn asked<'a>(&self, rates: &'a Rates) -> &'a Verdicts {
        if self.slow_down_pct > 0.0 { &rates.cpu } else { &rates.all }
    }

    /// Whether the rate of fails is what is asked for. False alarms have to be as few as is promised by their whole
    /// interval: a rate whose interval holds the goal is not shown to be within. A program that costs another time than
    /// itself is no rate's matter: then the harness is at fault.
    pub(super) fn judge(&self, rates: &Rates) -> Verdict {
        let fail = self.asked(rates).fail;
        match self.goal {
            _ if rates.bias.is_some() => Verdict::Fail,
            Some(goal) if self.slow_down_pct > 0.0 && fail.estimate < goal => Verdict::Fail,
            Some(goal) if self.slow_down_pct == 0.0 && fail.low > goal => Verdict::Fail,
            Some(goal) if self.slow_down_pct == 0.0 && fail.high > goal => Verdict::Inconclusive,
            _ => Verdict::Pass,
        }
    }
}

/// The builds that take part.
#[derive(Debug)]
pub(super) struct Built {
    plain: Binary,
    shuffled: Binary,
    slowed: Binary,
}

impl Built {
    /// The plain build.
    pub(super) fn plain_side(&self, name: &'static str) -> Side {
        side(name, &self.plain, None)
    }

    fn slowed_side(&self, name: &'static str, steps: u32) -> Side {
        side(name, &self.slowed, Some(steps))
    }
}

fn side(name: &'static str, binary: &Binary, steps: Option<u32>) -> Side {
    let arguments = steps.map(|steps| vec![OsString::from("--slow-down-steps"), steps.to_string().into()]);
    Side { name, program: binary.path.clone(), arguments: arguments.unwrap_or_default() }
}

/// Finds or builds all of them. What building needs is put into `folder`.
pub(super) fn build(options: &Options, folder: &Path) -> Result<Built, GateError> {
    let one = |given: &Option<PathBuf>, name: &str, subcommand: &str, more: &[&str]| match given {
        Some(path) => Binary::given(path),
        None => {
            if !options.json {
                say(&format!("building the gateway: {name}"));
            }
            Workshop::here(&options.profile)?.build_here(name, subcommand, more)
        }
    };
    let plain = one(&options.builds.plain, "plain", "build", &[])?;
    let slowed = one(&options.builds.slowed, "slowed", "build", &["--features", "slow-down"])?;
    let order = folder.join("order.txt");
    if options.builds.shuffled.is_none() {
        let symbols = run(Command::new("nm").args(["--defined-only", "-n"]).arg(&plain.path))?;
        write(&order, &shuffled_order(&String::from_utf8_lossy(&symbols.stdout), options.seed))?;
    }
    // Rust's linker on Linux is lld, which takes an order. The program's own symbols, and no others, are in it.
    let ordered = format!("link-arg=-Wl,--symbol-ordering-file={}", order.display());
    let quietly = "link-arg=-Wl,--no-warn-symbol-ordering";
    let shuffled = one(&options.builds.shuffled, "shuffled", "rustc", &["--", "-C", &ordered, "-C", quietly])?;
    Ok(Built { plain, shuffled, slowed })
}

/// What a recording was made of.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Notebook {
    plain: String,
    shuffled: String,
    slowed: String,
    /// The share of a request's CPU time that one step costs.
    share_of_a_step: f64,
}

/// All cases. A slow-down is told from a large one that is measured first, or was in an earlier sitting.
pub(super) fn plan(built: &Built, track: &Track<'_>, folder: &Path, seed: u64) -> Result<Vec<Case>, GateError> {
    let path = folder.join(NOTEBOOK);
    let notebook = match std::fs::read_to_string(&path) {
        Ok(text) => {
            let found: Option<Notebook> = serde_json::from_str(&text).ok();
            let same = |found: &Notebook| {
                [&found.plain, &found.shuffled, &found.slowed]
                    == [&built.plain.hash, &built.shuffled.hash, &built.slowed.hash]
            };
            found.filter(same).ok_or_else(|| GateError::OtherRecording { folder: folder.to_path_buf() })?
        }
        Err(_) => {
            let notebook = Notebook {
                plain: built.plain.hash.clone(),
                shuffled: built.shuffled.hash.clone(),
                slowed: built.slowed.hash.clone(),
                share_of_a_step: share_of_a_step(built, track, seed)?,
            };
            let json = serde_json::to_string_pretty(&notebook);
            write(&path, &json.unwrap_or_else(|error| unreachable!("plain data is always JSON: {error}")))?;
            notebook
        }
    };
    Ok(cases(built, notebook.share_of_a_step))
}

fn cases(built: &Built, share_of_a_step: f64) -> Vec<Case> {
    let equal = |name, same_program, base, head| {
        let goal = Some(0.01);
        Case { name, slow_down_pct: 0.0, goal, same_program, base, head }
    };
    let slower = |name, percent: f64, goal| {
        let steps = (percent / 100.0 / share_of_a_step).round().max(1.0) as u32;
        let (base, head) = (built.slowed_side("base", 0), built.slowed_side("head", steps));
        Case { name, slow_down_pct: percent, goal, same_program: false, base, head }
    };
    vec![
        equal("A/A", true, built.plain_side("base"), built.plain_side("head")),
        equal("A/A, shuffled", false, built.plain_side("base"), side("head", &built.shuffled, None)),
        slower("3 % slower", 3.0, Some(0.9)),
        slower("5 % slower", 5.0, Some(0.9)),
        slower("10 % slower", 10.0, Some(0.9)),
    ]
}

/// Measures what a step costs, by many of them.
fn share_of_a_step(built: &Built, track: &Track<'_>, seed: u64) -> Result<f64, GateError> {
    let (base, head) = (built.slowed_side("base", 0), built.slowed_side("head", CALIBRATION_STEPS));
    let case = Case { name: "calibration", slow_down_pct: 0.0, goal: None, same_program: false, base, head };
    let mut rng = Pcg64::seed_from_u64(seed);
    let mut rounds = Vec::new();
    for number in 1..=CALIBRATION_ROUNDS {
        rounds.push(one_round(track, &case, number, &mut rng)?);
    }
    let share = Shift::of(&cpu_changes(&rounds)).map_or(0.0, |shift| shift.estimate().exp_m1());
    if share < 0.01 {
        return Err(GateError::NoSlowDown);
    }
    Ok(share / f64::from(CALIBRATION_STEPS))
}

#[cfg(test)]
mod tests {
    use super::super::resample::Rate;
    use super::*;

    #[test]
    fn a_goal_is_a_bound_from_the_right_side() {
        let binary = || Binary { path: PathBuf::from("/x"), commit: None, hash: String::new() };
        let built = Built { plain: binary(), shuffled: binary(), slowed: binary() };
        let cases = cases(&built, 0.000_15);
        let [equal, shuffled, three, five, ten] = &cases[..] else { panic!("five cases") };
        let of = |estimate, low, high| Verdicts { fail: Rate { estimate, low, high }, ..Verdicts::default() };
        let all = |estimate, low, high| Rates { all: of(estimate, low, high), ..Rates::default() };
        assert_eq!(equal.judge(&all(0.001, 0.0, 0.01)), Verdict::Pass);
        assert_eq!(equal.judge(&all(0.021, 0.0, 0.06)), Verdict::Inconclusive, "not shown to be within");
        assert_eq!(equal.judge(&all(0.004, 0.0, 0.06)), Verdict::Inconclusive, "nor is this, whatever the estimate");
        assert_eq!(equal.judge(&all(0.05, 0.02, 0.09)), Verdict::Fail);
        // A promise about all metrics is not kept by one of them.
        let by_memory = Rates { cpu: of(0.0, 0.0, 0.002), ..all(0.5, 0.3, 0.7) };
        assert_eq!((equal.judge(&by_memory), shuffled.judge(&by_memory)), (Verdict::Fail, Verdict::Fail));
        assert_eq!(equal.judge(&Rates { bias: Some(0.03), ..all(0.0, 0.0, 0.002) }), Verdict::Fail, "the harness");
        let cpu = |estimate| Rates { cpu: of(estimate, 0.5, 1.0), ..all(1.0, 1.0, 1.0) };
        assert_eq!((three.judge(&cpu(0.9)), three.judge(&cpu(0.89))), (Verdict::Pass, Verdict::Fail));
        assert!((ten.slow_down_pct - 10.0).abs() < 1e-9);
        assert_eq!(three.head.arguments, ["--slow-down-steps", "200"]);
        assert_eq!(three.base.arguments, ["--slow-down-steps", "0"]);
        assert!(equal.head.arguments.is_empty() && shuffled.head.arguments.is_empty());
        assert_eq!((equal.file(), five.file()), ("a-a.jsonl".to_owned(), "5---slower.jsonl".to_owned()));
    }
}
