//! The suite's table.

use std::path::Path;

use reports::result::{Phase, ResultFile, Verdict};
use reports::table::Table;
use reports::text::micros;

use super::Done;
use crate::scenario::Scenario;

/// Which scenarios there are.
pub(super) fn list(scenarios: &[Scenario]) -> String {
    let mut table = Table::new(["scenario", "length", "tags", "about"]).left(2).left(3);
    for scenario in scenarios {
        let length = format!("{:.0} s", (scenario.warm_up + scenario.length()).as_secs_f64());
        table.row([scenario.name.clone(), length, scenario.tags.join(", "), scenario.about.clone()]);
    }
    table.lines().join("\n") + "\n"
}

/// What came of each, and of all.
pub(super) fn table(done: &[Done], result: &ResultFile, out: &Path) -> String {
    let head = ["scenario", "verdict", "requests", "p50", "p99", "CPU us/req", "ok", "seconds"];
    let mut table = Table::new(head).left(1);
    for one in done {
        let verdict = word(one.verdict()).to_owned();
        let seconds = format!("{:.1}", one.seconds);
        let Ok(result) = &one.result else {
            let none = || String::from("-");
            table.row([one.name.clone(), verdict, none(), none(), none(), none(), none(), seconds]);
            continue;
        };
        let first: Option<&Phase> =
            result.load.values().next().and_then(|load| load.phases_in_order().first().map(|(_, phase)| *phase));
        let latency = first.and_then(Phase::latency);
        let (ok, all) = result
            .load
            .values()
            .flat_map(|load| load.phases.values())
            .fold((0, 0), |(ok, all), phase| (ok + phase.outcome("ok"), all + phase.arrivals()));
        let cpu_us = result.gateway.get("0").and_then(|gateway| gateway.cpu_us_per_request);
        table.row([
            one.name.clone(),
            verdict,
            all.to_string(),
            latency.map(|all| micros(all.p50)).unwrap_or_default(),
            latency.map(|all| micros(all.p99)).unwrap_or_default(),
            cpu_us.map(|cpu_us| format!("{cpu_us:.1}")).unwrap_or_default(),
            format!("{:.2} %", ok as f64 * 100.0 / f64::from(u32::try_from(all.max(1)).unwrap_or(u32::MAX))),
            seconds,
        ]);
    }
    let mut text = table.lines().join("\n") + "\n\n";
    for scenario in result.scenarios.iter().filter(|scenario| !scenario.remarks().is_empty()) {
        text += &format!("{}\n", scenario.name);
        text.extend(scenario.remarks().iter().map(|remark| format!("  - {remark}\n")));
    }
    let seconds: f64 = done.iter().map(|done| done.seconds).sum();
    let scenarios = if done.len() == 1 { "scenario" } else { "scenarios" };
    text += &format!("\nverdict  {}, {} {scenarios} in {seconds:.0} s\n", word(result.verdict), done.len());
    text + &format!("written to {}\n", out.display())
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Fail => "FAIL",
        Verdict::Inconclusive => "inconclusive",
        Verdict::Invalid => "invalid",
    }
}
