//! What a gate says, in four forms: result.json, a table, Markdown for a pull request, JUnit for a CI server.

mod json;
mod junit;
mod markdown;
mod text;

use std::path::Path;

use loadgen::result::bounds::MOST_STOLEN;
use loadgen::stdout;
use reports::result::{ResultFile, Verdict};

use super::binaries::Binary;
use super::counts::Counted;
use super::faults::wrong_answers;
use super::judge::{BUSY, Judged, overall};
use super::metric::{Metric, own_noise};
use super::round::{BASE, HEAD};
use super::settings::Settings;
use super::{GateError, Options, Recording, write};
use crate::processors;
use crate::statistics::median;
use crate::statistics::shift::Shift;

/// Lines that are shown of what a command said when it failed.
const LAST_WORDS: usize = 5;
/// So much more memory can be three huge pages (2 MiB each) of which little is used, or more of the program's own file
/// that the page cache had.
const FEW_HUGE_PAGES: f64 = 6.0 * 1024.0 * 1024.0;
/// Left out on each side of the noise's interval.
const NOISE_OUTSIDE: f64 = 0.025;

/// Everything that is reported.
#[derive(Debug, Clone, Copy)]
pub struct Report<'a> {
    /// What was asked for.
    pub options: &'a Options,
    /// What was promised.
    pub settings: &'a Settings,
    /// What was recorded.
    pub recording: &'a Recording,
    /// Instructions and allocations, where they were counted.
    pub counts: &'a [Counted],
    /// Counts of base that head has no longer.
    pub gone: &'a [String],
    /// Why they could not be counted, though that was asked.
    pub uncounted: Option<&'a str>,
    /// One side.
    pub base: &'a Binary,
    /// The other.
    pub head: &'a Binary,
    /// The scenario whose configuration and requests were compared, where it was one.
    pub task: Option<&'a str>,
    /// When it began, RFC 3339.
    pub started_at: &'a str,
}

impl Report<'_> {
    /// The run's verdict: a head that is broken fails, however the machine was, and so does one that counts too much:
    /// counts hang on no machine. What is not valid otherwise is nothing else.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let counts_more = self.counts.iter().any(|count| count.verdict == Verdict::Fail);
        if !self.faults().is_empty() || counts_more {
            Verdict::Fail
        } else if !self.troubles().is_empty() {
            Verdict::Invalid
        } else {
            overall(&self.recording.judged, self.settings)
        }
    }

    /// Writes result.json, report.html, gate.md and junit.xml, and prints the table, or the JSON.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), GateError> {
        let result = self.result_file();
        let page = reports::page::render(&result, None);
        let files = [
            ("result.json", result.to_json()),
            (reports::files::PAGE, page),
            ("gate.md", self.markdown()),
            ("junit.xml", self.junit()),
        ];
        for (name, text) in files {
            write(&folder.join(name), &text)?;
        }
        let text = if self.options.json {
            result.to_json()
        } else {
            format!(
                "{}result.json, report.html, gate.md, junit.xml and logs are in {}\n",
                self.text(),
                folder.display()
            )
        };
        stdout::print(&text).map_err(|source| GateError::File { path: stdout::NAME.into(), source })
    }

    /// The run's result file.
    #[must_use]
    pub fn result_file(&self) -> ResultFile {
        json::result_file(self)
    }

    /// The run as text for a terminal or a pipe.
    #[must_use]
    pub fn text(&self) -> String {
        text::render(self)
    }

    /// The run as Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        markdown::render(self)
    }

    /// The run as JUnit XML.
    #[must_use]
    pub fn junit(&self) -> String {
        junit::render(self)
    }

    /// What more rounds would buy, for a metric that is not decided.
    fn advice(&self, judged: &Judged) -> String {
        if let (0, Some(note)) = (judged.rounds, judged.note) {
            return format!("{}: {note}", title(judged.metric));
        }
        let finding = |found: f64| match found.is_finite() {
            true => format!("a change of {:.1} %", lost(judged.metric, found)),
            false => "no change, however large".to_owned(),
        };
        let mut text = format!(
            "{}: {} rounds find {}, twice as many {}",
            title(judged.metric),
            judged.rounds,
            finding(judged.found),
            finding(judged.found_with_twice)
        );
        let wanted = judged.rounds_wanted(self.settings, &self.recording.looks);
        if let Some(note) = judged.note {
            text += &format!("; {note}");
        } else if let Some(wanted) = wanted {
            text += &format!("; about {wanted} would decide");
        }
        text
    }

    /// What is wrong with head beside its speed, whatever the machine did; empty of a run that somebody ended.
    fn faults(&self) -> Vec<String> {
        let recording = self.recording;
        let found = recording.broken.iter().cloned().chain(wrong_answers(&recording.rounds));
        found.filter(|_| !recording.interrupted).collect()
    }

    /// Whether the figures are believed. Those of answers that are wrong are figures of another work.
    fn is_believed(&self) -> bool {
        self.faults().is_empty() && self.troubles().is_empty()
    }

    /// Why the run is not valid; empty when it is.
    fn troubles(&self) -> Vec<String> {
        let rounds = &self.recording.rounds;
        let mut troubles = Vec::new();
        let is_fault = !self.faults().is_empty();
        for (name, not_ok) in [
            (BASE, rounds.iter().map(|round| round.base.not_ok).sum::<u64>()),
            (HEAD, rounds.iter().map(|round| round.head.not_ok).sum::<u64>()),
        ] {
            if not_ok > 0 && !(is_fault && name == HEAD) {
                troubles.push(format!("{name}: {not_ok} answers were not as expected"));
            }
        }
        let steal = self.recording.environment.steal_ratio;
        if steal > MOST_STOLEN {
            troubles.push(format!("the host took {:.1} % of the machine's time", steal * 100.0));
        }
        if self.recording.interrupted {
            troubles.push("interrupted".to_owned());
        }
        if let Some(why) = self.uncounted {
            let words: Vec<&str> = why.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
            let last = &words[words.len().saturating_sub(LAST_WORDS)..];
            troubles.push(format!("instructions and allocations could not be counted: {}", last.join("; ")));
        }
        troubles
    }

    /// Whether head failed by what was measured, and not by its exact counts alone.
    fn some_metric_fails(&self) -> bool {
        self.recording.judged.iter().any(|judged| self.said(judged.verdict) == Verdict::Fail)
    }

    /// What follows for an exact count: what it says, however the machine was; nothing of a head that does another
    /// work.
    fn said_of_count(&self, count: &Counted) -> Verdict {
        if self.faults().is_empty() { count.verdict } else { Verdict::Invalid }
    }

    /// What follows for one figure: nothing, when it is not believed.
    fn said(&self, verdict: Verdict) -> Verdict {
        if self.is_believed() { verdict } else { Verdict::Invalid }
    }

    /// How often the intervals hold the truth, the least of all: a metric that few rounds showed has a weaker one.
    fn coverage(&self) -> f64 {
        let shown = self.recording.judged.iter().filter(|judged| judged.rounds > 0);
        shown.map(|judged| judged.coverage).fold(self.recording.looks.coverage(), f64::min)
    }

    /// What to know beside the figures.
    fn notes(&self) -> Vec<String> {
        let rounds = &self.recording.rounds;
        let of_scenario = |name| format!("the configuration and the requests are those of the scenario {name}");
        let mut notes: Vec<String> = self.task.map(of_scenario).into_iter().collect();
        if self.base.hash == self.head.hash {
            notes.push("base and head are the same program: a difference is a false alarm".to_owned());
        }
        let (made, fewest) = (rounds.len(), self.recording.looks.fewest_to_fail());
        if made < fewest && self.verdict() != Verdict::Fail {
            notes.push(format!(
                "{made} rounds can fail nothing, however slow head is: that takes {fewest} at these promises \
                 (`--rounds`, `--max-time`, `promise.looks`)"
            ));
        }
        notes.extend(processors::note(&self.recording.environment.pinning));
        // All that base answers, in time or late: that is what the driver must be able to exceed.
        let rates: Vec<f64> = rounds.iter().map(|round| round.base.answers_a_second()).collect();
        if let Some(rate) = median(&rates).filter(|rate| *rate > 0.0) {
            let headroom = self.recording.direct_rps / rate;
            notes.push(format!("driver straight to the mock: {headroom:.2} times what base does"));
        }
        let shares: Vec<f64> = rounds.iter().map(|round| round.base.core_share.min(round.head.core_share)).collect();
        if let Some(share) = median(&shares).filter(|share| *share < BUSY) {
            notes.push(format!(
                "a side had {:.0} % of its core: others were busy there, or the driver was slow; CPU a request holds \
                 even so",
                share * 100.0
            ));
        }
        let dropped: u64 = rounds.iter().map(|round| round.base.dropped + round.head.dropped).sum();
        if dropped > 0 {
            notes.push(format!("{dropped} arrivals of the open load were dropped: the worst latencies are missing"));
        }
        notes.extend(self.note_of_memory());
        if !self.gone.is_empty() {
            notes
                .push(format!("base counts what head does no longer, so it is not compared: {}", self.gone.join(", ")));
        }
        notes
    }

    /// Where a head fails by its memory, by so little of it that no allocation need be behind it.
    fn note_of_memory(&self) -> Option<String> {
        self.recording.judged.iter().find(|judged| judged.metric == Metric::Rss && judged.verdict == Verdict::Fail)?;
        let grown: Vec<f64> = self
            .recording
            .rounds
            .iter()
            .filter_map(|round| Some(round.head.values.get(&Metric::Rss)? - round.base.values.get(&Metric::Rss)?))
            .collect();
        median(&grown).filter(|bytes| *bytes < FEW_HUGE_PAGES).map(|_| {
            "memory grows by huge pages of 2 MiB, and by what the page cache has of the program's file: look at \
             AnonHugePages in /proc/PID/smaps_rollup and RssFile in /proc/PID/status before you look for an allocation"
                .to_owned()
        })
    }

    /// The counts in words: those that fail, and how many there are.
    fn count_lines(&self) -> Vec<String> {
        if !self.faults().is_empty() {
            return Vec::new();
        }
        let failed = self.counts.iter().filter(|count| count.verdict == Verdict::Fail);
        let mut lines: Vec<String> = failed.map(count_line).collect();
        if !self.counts.is_empty() {
            let changed = self.counts.iter().filter(|count| count.base != count.head).count();
            lines.push(format!("{} exact counts: {} fail, {changed} changed", self.counts.len(), lines.len()));
        }
        lines
    }

    /// What base's own turns differ by within a round: half the width of a 95 % interval of the ratio.
    fn noise(&self) -> Option<f64> {
        let interval = Shift::of(&own_noise(&self.recording.rounds))?.interval(NOISE_OUTSIDE);
        Some((interval.high - interval.low) / 2.0)
    }
}

/// A count in words.
fn count_line(count: &Counted) -> String {
    let Counted { name, base, head, budget, tolerance_pct, .. } = count;
    let change = count.change_pct();
    format!("{name}: {base} -> {head} ({change:+.2} %; tolerates {tolerance_pct} %, budget {budget})")
}

/// A log-ratio in percent.
fn percent(log_ratio: f64) -> f64 {
    log_ratio.exp_m1() * 100.0
}

/// A metric's value with its unit.
fn value(metric: Metric, value: f64) -> String {
    match metric {
        Metric::Cpu => format!("{value:.2} us"),
        Metric::Rate => format!("{value:.0}/s"),
        Metric::P50 | Metric::P99 => reports::text::micros(value),
        Metric::Rss => reports::text::mebibytes(value as u64),
    }
}

/// A metric's name for people.
fn title(metric: Metric) -> &'static str {
    reports::metric::title(metric.name())
}

/// What follows for one figure, in a word or two.
fn figure_word(verdict: Verdict) -> &'static str {
    if verdict == Verdict::Invalid { "not judged" } else { word(verdict) }
}

/// A verdict in one word.
fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Fail => "FAIL",
        Verdict::Inconclusive => "undecided",
        Verdict::Invalid => "INVALID",
    }
}

/// The change that the rounds would have found; a dash where they are too few to find any.
fn finds(judged: &Judged) -> String {
    match (judged.rounds, judged.found.is_finite()) {
        (0, _) => "nothing".to_owned(),
        (_, true) => format!("{:.1} %", lost(judged.metric, judged.found)),
        (_, false) => "-".to_owned(),
    }
}

/// How much worse a metric is, in percent of base's: more of a cost; of a rate, what is lost of it, which is never more
/// than all.
fn lost(metric: Metric, log_ratio: f64) -> f64 {
    if metric == Metric::Rate { -percent(-log_ratio) } else { percent(log_ratio) }
}

/// What a metric may be worse by, in the measure of its change, so that one can be held against the other.
fn tolerated(judged: &Judged, settings: &Settings) -> String {
    format!("{:.1} %", lost(judged.metric, settings.metrics[&judged.metric].tolerance()))
}

/// A metric's change and its interval.
fn change(judged: &Judged) -> String {
    if judged.rounds == 0 {
        return "not seen".to_owned();
    }
    let [estimate, low, high] = [judged.estimate, judged.low, judged.high].map(|one| lost(judged.metric, one));
    format!("{estimate:+.1} % [{low:+.1}, {high:+.1}]")
}

#[cfg(test)]
mod tests;
