//! The gate as JUnit XML: one test case for each metric, one for the run's validity, and one for head's answers. Of a
//! run that is not valid, or whose head is broken, no metric passes or fails: each is skipped. Exact counts are skipped
//! only where head is broken. Where the caller takes an undecided run for a failed one (`--inconclusive fail`), the
//! metrics that left it open fail, so that whoever reads this file sees what the exit code says.

use std::fmt::Write as _;

use reports::junit::escape;
use reports::result::Verdict;

use super::{Report, change, count_line, title};
use crate::gate::Inconclusive;
use crate::gate::judge::Judged;

/// What stands in the place of a judgement where the run is not valid.
const NOT_JUDGED: &str = "<skipped message=\"not judged: the figures prove nothing\"/>";

pub(super) fn render(report: &Report<'_>) -> String {
    let recording = report.recording;
    let (troubles, faults) = (report.troubles(), report.faults());
    let judged = &recording.judged;
    let open = |one: &&Judged| leaves_open(report, one);
    let held_against = judged.iter().filter(open).count();
    let counts = || report.counts.iter().map(|count| report.said_of_count(count));
    let all = || judged.iter().map(|one| report.said(one.verdict)).chain(counts());
    let of = |verdicts: &[Verdict]| all().filter(|one| verdicts.contains(one)).count();
    let seconds = recording.took.as_secs_f64();
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        xml,
        "<testsuite name=\"sim gate\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" time=\"{seconds:.3}\">",
        judged.len() + report.counts.len() + 2,
        of(&[Verdict::Fail]) + held_against + usize::from(!faults.is_empty()),
        usize::from(!troubles.is_empty()),
        of(&[Verdict::Inconclusive, Verdict::Invalid]) - held_against
    );
    let inner = (!troubles.is_empty()).then(|| format!("<error message=\"{}\"/>", escape(&troubles.join("; "))));
    case(&mut xml, "validity", inner.as_deref());
    let inner = (!faults.is_empty()).then(|| format!("<failure message=\"{}\"/>", escape(&faults.join("; "))));
    case(&mut xml, "answers", inner.as_deref());
    for one in judged {
        let message = match report.said(one.verdict) {
            Verdict::Fail => Some(format!("<failure message=\"{}: worse by {}\"/>", title(one.metric), change(one))),
            Verdict::Inconclusive if leaves_open(report, one) => {
                Some(format!("<failure message=\"undecided: {}\"/>", escape(&report.advice(one))))
            }
            Verdict::Inconclusive => Some(format!("<skipped message=\"{}\"/>", escape(&report.advice(one)))),
            Verdict::Invalid => Some(NOT_JUDGED.to_owned()),
            Verdict::Pass => None,
        };
        case(&mut xml, one.metric.name(), message.as_deref());
    }
    for count in report.counts {
        let message = match report.said_of_count(count) {
            Verdict::Fail => Some(format!("<failure message=\"{}\"/>", escape(&count_line(count)))),
            Verdict::Invalid => Some(NOT_JUDGED.to_owned()),
            Verdict::Pass | Verdict::Inconclusive => None,
        };
        case(&mut xml, &count.name, message.as_deref());
    }
    xml.push_str("</testsuite>\n");
    xml
}

/// Whether a metric had to be decided, was not, and that is held against head.
fn leaves_open(report: &Report<'_>, one: &Judged) -> bool {
    report.options.inconclusive == Inconclusive::Fail
        && report.verdict() == Verdict::Inconclusive
        && one.verdict == Verdict::Inconclusive
        && report.settings.metrics[&one.metric].must_decide
}

fn case(xml: &mut String, name: &str, inner: Option<&str>) {
    let _ = match inner {
        Some(inner) => writeln!(xml, "  <testcase classname=\"gate\" name=\"{}\">{inner}</testcase>", escape(name)),
        None => writeln!(xml, "  <testcase classname=\"gate\" name=\"{}\"/>", escape(name)),
    };
}
