//! The gate as Markdown, for a pull request. What others wrote (a log's last words, names of counts and of scenarios)
//! is text here, and no markup.

use reports::markdown::plain;
use reports::result::Verdict;

use super::{Report, change, figure_word, finds, title, tolerated, value};

pub(super) fn render(report: &Report<'_>) -> String {
    let recording = report.recording;
    let verdict = report.verdict();
    let headline = match verdict {
        Verdict::Pass => "✅ Performance gate: pass",
        Verdict::Fail if !report.faults().is_empty() => "❌ Performance gate: head is broken",
        Verdict::Fail if !report.some_metric_fails() => {
            "❌ Performance gate: head's exact counts are above what they may be"
        }
        Verdict::Fail => "❌ Performance gate: head is slower",
        Verdict::Inconclusive => "❔ Performance gate: inconclusive",
        Verdict::Invalid => "⚠️ Performance gate: not a valid measurement",
    };
    let mut lines = vec![format!("### {headline}"), String::new()];
    lines.push(format!("Base: {}. Head: {}.", plain(&report.base.label()), plain(&report.head.label())));
    lines.push(String::new());
    let coverage = report.coverage() * 100.0;
    lines.push(format!("| | base | head | worse by [{coverage:.1} %] | finds | tolerates | verdict |"));
    lines.push("|---|--:|--:|--:|--:|--:|---|".to_owned());
    for judged in &recording.judged {
        lines.push(format!(
            "| {} | {} | {} | {} | {} | {} | {} |",
            title(judged.metric),
            value(judged.metric, judged.base),
            value(judged.metric, judged.head),
            change(judged),
            finds(judged),
            tolerated(judged, report.settings),
            figure_word(report.said(judged.verdict))
        ));
    }
    lines.push(String::new());
    let undecided = recording.judged.iter().filter(|judged| report.said(judged.verdict) == Verdict::Inconclusive);
    let faults = report.faults().into_iter().map(|fault| format!("**{}**", plain(&fault)));
    let remarks =
        faults.chain(report.troubles().into_iter().map(|trouble| format!("**not valid: {}**", plain(&trouble))));
    let others = undecided.map(|judged| report.advice(judged)).chain(report.count_lines()).chain(report.notes());
    let remarks = remarks.chain(others.map(|remark| plain(&remark)));
    lines.extend(remarks.map(|remark| format!("- {remark}")));
    lines.push(String::new());
    lines.push(format!(
        "{} rounds in {:.0} s, seed {}. An equal head fails in at most {} % of all runs. Negative is faster.",
        recording.rounds.len(),
        recording.took.as_secs_f64(),
        report.options.seed,
        report.settings.promise.false_alarm * 100.0
    ));
    lines.join("\n") + "\n"
}
