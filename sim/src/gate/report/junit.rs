//! The gate as JUnit XML: one test case for each metric, and one for the run's validity.

use std::fmt::Write as _;

use reports::result::Verdict;

use super::{Report, change, count_line, title};

pub(super) fn render(report: &Report<'_>) -> String {
    let recording = report.recording;
    let troubles = report.troubles();
    let judged = &recording.judged;
    let of_metrics = |verdict| judged.iter().filter(|one| one.verdict == verdict).count();
    let failed_counts = report.counts.iter().filter(|count| count.verdict == Verdict::Fail).count();
    let seconds = recording.took.as_secs_f64();
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        xml,
        "<testsuite name=\"sim gate\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" time=\"{seconds:.3}\">",
        judged.len() + report.counts.len() + 1,
        of_metrics(Verdict::Fail) + failed_counts,
        usize::from(!troubles.is_empty()),
        of_metrics(Verdict::Inconclusive)
    );
    let inner = (!troubles.is_empty()).then(|| format!("<error message=\"{}\"/>", escaped(&troubles.join("; "))));
    case(&mut xml, "validity", inner.as_deref());
    for one in judged {
        let message = match one.verdict {
            Verdict::Fail => Some(format!("<failure message=\"{}: worse by {}\"/>", title(one.metric), change(one))),
            Verdict::Inconclusive => Some(format!("<skipped message=\"{}\"/>", escaped(&report.advice(one)))),
            Verdict::Pass | Verdict::Invalid => None,
        };
        case(&mut xml, one.metric.name(), message.as_deref());
    }
    for count in report.counts {
        let failed = count.verdict == Verdict::Fail;
        let message = failed.then(|| format!("<failure message=\"{}\"/>", escaped(&count_line(count))));
        case(&mut xml, &count.name, message.as_deref());
    }
    xml.push_str("</testsuite>\n");
    xml
}

fn case(xml: &mut String, name: &str, inner: Option<&str>) {
    let _ = match inner {
        Some(inner) => writeln!(xml, "  <testcase classname=\"gate\" name=\"{name}\">{inner}</testcase>"),
        None => writeln!(xml, "  <testcase classname=\"gate\" name=\"{name}\"/>"),
    };
}

/// What may not stand in an attribute, as its entity (XML 1.0, section 2.3).
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\n', " ")
}
