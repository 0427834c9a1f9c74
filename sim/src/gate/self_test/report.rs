//! What the self-test found: table, result.json, Markdown, exit code.

use std::path::Path;
use std::process::ExitCode;

use loadgen::environment::Environment;
use loadgen::stdout;
use reports::result::{ResultFile, SCHEMA_VERSION, Verdict};
use reports::table::Table;
use serde_json::{Value, json};

use super::cases::Case;
use super::resample::{GATES, Rate, Rates};
use super::{Options, cpu_changes};
use crate::gate::judge::Looks;
use crate::gate::metric::Round;
use crate::gate::{GateError, write};
use crate::statistics::shift::Shift;

/// Left out on each side of the intervals of changes.
const OUTSIDE: f64 = 0.025;

/// Everything that was found.
#[derive(Debug)]
pub(super) struct Findings<'a> {
    pub(super) options: &'a Options,
    pub(super) looks: &'a Looks,
    pub(super) cases: &'a [(Case, Vec<Round>, Rates)],
    pub(super) environment: Environment,
    pub(super) started_at: String,
}

impl Findings<'_> {
    /// Writes result.json, report.html and self_test.md, and prints the table, or the JSON.
    pub(super) fn write(&self, folder: &Path) -> Result<(), GateError> {
        let result = self.result_file();
        let json = result.to_json();
        write(&folder.join("result.json"), &json)?;
        write(&folder.join(reports::files::PAGE), &reports::page::render(&result, None))?;
        write(&folder.join("self_test.md"), &self.markdown())?;
        let text = if self.options.json {
            json
        } else {
            format!("{}\n{}", self.text(), format_args!("recording and result.json are in {}\n", folder.display()))
        };
        stdout::print(&text).map_err(|source| GateError::File { path: stdout::NAME.into(), source })
    }

    /// 0 when every goal holds, 1 when one does not or the harness favours a side, 4 when that cannot be said yet.
    pub(super) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self.verdict() {
            Verdict::Pass => 0,
            Verdict::Fail => 1,
            Verdict::Inconclusive | Verdict::Invalid => 4,
        })
    }

    fn verdict(&self) -> Verdict {
        let broken = |round: &Round| round.base.not_ok + round.head.not_ok > 0;
        if self.cases.iter().any(|(_, rounds, _)| rounds.iter().any(broken)) {
            Verdict::Invalid
        } else if self.pairs() < self.options.pairs {
            Verdict::Inconclusive
        } else {
            let all = || self.cases.iter().map(|(case, _, rates)| case.judge(rates));
            [Verdict::Fail, Verdict::Inconclusive]
                .into_iter()
                .find(|verdict| all().any(|one| one == *verdict))
                .unwrap_or(Verdict::Pass)
        }
    }

    /// Pairs that every case has.
    fn pairs(&self) -> usize {
        self.cases.iter().map(|(_, rounds, _)| rounds.len()).min().unwrap_or(0)
    }

    fn rows(&self) -> Vec<[String; 9]> {
        let percent = |share: f64| format!("{:.1} %", share * 100.0);
        let rate =
            |rate: Rate| format!("{} [{:.1}, {:.1}]", percent(rate.estimate), rate.low * 100.0, rate.high * 100.0);
        let row = |(case, rounds, rates): &(Case, Vec<Round>, Rates)| {
            let change = Shift::of(&cpu_changes(rounds)).map_or_else(String::new, |shift| {
                let interval = shift.interval(OUTSIDE);
                let [estimate, low, high] =
                    [shift.estimate(), interval.low, interval.high].map(|log_ratio| log_ratio.exp_m1() * 100.0);
                format!("{estimate:+.2} % [{low:+.2}, {high:+.2}]")
            });
            let goal = case.goal.map_or_else(String::new, |goal| {
                let side = if case.slow_down_pct > 0.0 { ">=" } else { "<=" };
                let what = if case.slow_down_pct > 0.0 { "CPU" } else { "any" };
                format!("{what} {side} {:.0} %", goal * 100.0)
            });
            [
                case.name.to_owned(),
                rounds.len().to_string(),
                change,
                rate(rates.cpu.fail),
                rate(rates.all.fail),
                goal,
                percent(rates.cpu.pass),
                percent(rates.cpu.inconclusive),
                format!("{:.0}", rates.rounds),
            ]
        };
        self.cases.iter().map(row).collect()
    }

    fn text(&self) -> String {
        let mut table = Table::new([
            "case",
            "pairs",
            "CPU change [95 %]",
            "CPU fails [95 %]",
            "any fails [95 %]",
            "goal",
            "passes",
            "open",
            "rounds",
        ]);
        for row in self.rows() {
            table.row(row);
        }
        let mut lines = vec![String::new()];
        lines.extend(table.lines());
        lines.push(String::new());
        lines.push(self.summary());
        lines.join("\n") + "\n"
    }

    fn markdown(&self) -> String {
        let mut lines = vec![
            "| case | pairs | CPU change [95 %] | CPU fails [95 %] | any fails [95 %] | goal | passes | open | rounds |"
                .to_owned(),
            "|---|--:|--:|--:|--:|--:|--:|--:|--:|".to_owned(),
        ];
        lines.extend(self.rows().iter().map(|row| format!("| {} |", row.join(" | "))));
        lines.push(String::new());
        lines.push(self.summary());
        lines.join("\n") + "\n"
    }

    fn summary(&self) -> String {
        let word = match self.verdict() {
            Verdict::Pass => "every goal holds".to_owned(),
            Verdict::Fail => format!("a goal is missed: {}", self.which(Verdict::Fail)),
            Verdict::Inconclusive if self.pairs() < self.options.pairs => {
                format!("{} of {} pairs so far: run it again with the same --out", self.pairs(), self.options.pairs)
            }
            Verdict::Inconclusive => {
                format!("not decided, since the goal lies within the interval: {}", self.which(Verdict::Inconclusive))
            }
            Verdict::Invalid => "not valid: answers were not as expected".to_owned(),
        };
        format!("{GATES} gates of at most {} rounds drawn for each case; {word}.", self.looks.last())
    }

    /// The cases that are judged so, and by how much one of them is another than itself.
    fn which(&self, verdict: Verdict) -> String {
        let told = |(case, _, rates): &(Case, Vec<Round>, Rates)| match rates.bias {
            Some(bias) => format!(
                "{} (the harness favours a side: the same program as head costs {:+.1} % CPU time)",
                case.name,
                bias.exp_m1() * 100.0
            ),
            None => case.name.to_owned(),
        };
        let found = self.cases.iter().filter(|(case, _, rates)| case.judge(rates) == verdict);
        found.map(told).collect::<Vec<_>>().join("; ")
    }

    fn result_file(&self) -> ResultFile {
        let case = |(case, rounds, rates): &(Case, Vec<Round>, Rates)| {
            let said = case.asked(rates);
            let Rate { estimate, low, high } = said.fail;
            let mut value = json!({
                "name": case.name,
                "slow_down_pct": (case.slow_down_pct * 1e3).round() / 1e3,
                "pairs": rounds.len(),
                "fail_rate": {"estimate": estimate, "ci_low": low, "ci_high": high},
                "pass_rate": said.pass,
                "inconclusive_rate": said.inconclusive,
                "rounds": rates.rounds,
            });
            if let Some(goal) = case.goal {
                value["goal"] = goal.into();
            }
            value
        };
        let is_valid = self.verdict() != Verdict::Invalid;
        let (reasons, notes): (Vec<String>, Vec<String>) = std::iter::once(self.summary()).partition(|_| !is_valid);
        let document = json!({
            "schema_version": SCHEMA_VERSION,
            "kind": "self_test",
            "name": "gate",
            "seed": self.options.seed,
            "commit": "",
            "started_at": self.started_at,
            "command": self.options.command,
            "environment": self.environment,
            "validity": {
                "valid": is_valid,
                "reasons": reasons,
                "notes": notes,
                "dropped": 0,
                "pacer_lag_us": {"p50": 0.0, "p99": 0.0},
                "achieved_over_offered": 1.0,
                "client_cpu_ratio": 0.0,
                "steady_from_ms": 0,
            },
            "verdict": self.verdict(),
            "self_test": {
                "pairs": self.pairs(),
                "resamples": GATES,
                "rounds": self.looks.last(),
                "cases": self.cases.iter().map(case).collect::<Vec<Value>>(),
            },
        });
        serde_json::from_value(document).unwrap_or_else(|error| unreachable!("it has the form of a result: {error}"))
    }
}
