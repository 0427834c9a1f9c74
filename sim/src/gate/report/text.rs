//! The gate as a table, the same on a terminal and in a pipe.

use reports::result::Verdict;
use reports::table::Table;
use reports::text::without_commands;

use super::{Report, change, figure_word, finds, title, tolerated, value, word};

pub(super) fn render(report: &Report<'_>) -> String {
    let recording = report.recording;
    let mut lines = vec![String::new()];
    lines.push(format!("base  {}", report.base.label()));
    lines.push(format!("head  {}", report.head.label()));
    lines.push(String::new());
    let interval = format!("worse by [{:.1} %]", report.coverage() * 100.0);
    let mut table = Table::new(["", "base", "head", &interval, "finds", "tolerates", "rounds", "verdict"]).left(7);
    for judged in &recording.judged {
        table.row([
            title(judged.metric).to_owned(),
            value(judged.metric, judged.base),
            value(judged.metric, judged.head),
            change(judged),
            finds(judged),
            tolerated(judged, report.settings),
            judged.rounds.to_string(),
            figure_word(report.said(judged.verdict)).to_owned(),
        ]);
    }
    lines.extend(table.lines());
    lines.push(String::new());
    let undecided = recording.judged.iter().filter(|judged| report.said(judged.verdict) == Verdict::Inconclusive);
    lines.extend(undecided.map(|judged| report.advice(judged)));
    lines.extend(report.count_lines());
    lines.extend(report.faults().into_iter().map(|fault| format!("at fault: {fault}")));
    lines.extend(report.troubles().into_iter().map(|trouble| format!("not valid: {trouble}")));
    lines.extend(report.notes().into_iter().map(|note| format!("note: {note}")));
    let verdict = report.verdict();
    let word = if verdict == Verdict::Inconclusive { "inconclusive" } else { word(verdict) };
    lines.push(format!("{word} after {} rounds, {:.0} s", recording.rounds.len(), recording.took.as_secs_f64()));
    without_commands(&(lines.join("\n") + "\n"))
}
