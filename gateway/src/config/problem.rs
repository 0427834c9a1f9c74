//! What is wrong with a configuration, and where.
//!
//! Problems are collected over the whole run, then sorted by place. Text from files is shown with control characters
//! replaced, so that a hostile file cannot speak to a terminal.

mod render;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::fingerprint::{Files, Held};
use super::source::{Place, Sources, Span};

/// Problems kept of one run, far more than anyone reads; of the errors beyond it is told how many they are.
const MAX_KEPT: usize = 10_000;
/// Where warnings end before that: many of them push no error away.
const MAX_WITH_WARNINGS: usize = MAX_KEPT / 2;

/// Whether a problem stops the configuration from being used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// It can be used, and is perhaps not what was meant.
    Warning,
}

impl Severity {
    /// As written in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One problem with its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Whether it stops the configuration from being used.
    pub severity: Severity,
    /// The file, as given or as found by `include`.
    #[serde(serialize_with = "shown")]
    pub file: Arc<Path>,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to do about it, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    #[serde(skip)]
    place: Place,
}

/// A path as text; one that is not Unicode is shown as well as it can be.
fn shown<S: serde::Serializer>(path: &Arc<Path>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl Problem {
    /// The problem as text with its source line; `colour` adds terminal colours.
    pub fn render(&self, colour: bool) -> String {
        render::problem(self, &self.place, colour)
    }
}

/// Every problem of one run, errors before warnings, each sorted by place, the file that was asked for first.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(transparent)]
pub struct Problems {
    list: Vec<Problem>,
    #[serde(skip)]
    not_kept: usize,
    /// What their mending can change.
    #[serde(skip)]
    pub(super) files: Files,
}

impl Problems {
    /// How many errors there are; warnings do not count.
    pub fn len(&self) -> usize {
        self.list.iter().filter(|problem| problem.severity == Severity::Error).count() + self.not_kept
    }

    /// Whether there is no error.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Errors, then warnings, each in the order of their places.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.list.iter()
    }

    /// Everything as text, with source lines and a last line that counts; `colour` adds terminal colours.
    pub fn render(&self, colour: bool) -> String {
        render::problems(self, colour)
    }

    /// The problems themselves.
    pub(super) fn into_list(self) -> Vec<Problem> {
        self.list
    }

    /// The files that the configuration was read from.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// Errors that were counted but not kept.
    fn not_kept(&self) -> usize {
        self.not_kept
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Problems {}

/// A problem as the passes report it, before its line is worked out.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Finding {
    severity: Severity,
    at: Span,
    message: String,
    help: Option<String>,
}

/// Collects what the passes find. The same finding at the same place counts once.
#[derive(Debug, Default)]
pub(crate) struct Report {
    findings: Vec<Finding>,
    seen: HashSet<Finding>,
    /// Which finding is the first error at a place.
    errors_at: HashMap<Span, usize>,
    not_kept: usize,
}

impl Report {
    /// An error at this place.
    pub(crate) fn error(&mut self, at: Span, message: impl Into<String>) {
        self.add(Finding { severity: Severity::Error, at, message: message.into(), help: None });
    }

    /// An error with advice.
    pub(crate) fn error_with(&mut self, at: Span, message: impl Into<String>, help: impl Into<String>) {
        self.add(Finding { severity: Severity::Error, at, message: message.into(), help: Some(help.into()) });
    }

    /// An error with advice where there is some.
    pub(crate) fn error_maybe(&mut self, at: Span, message: impl Into<String>, help: Option<String>) {
        self.add(Finding { severity: Severity::Error, at, message: message.into(), help });
    }

    /// A warning with advice.
    pub(crate) fn warning(&mut self, at: Span, message: impl Into<String>, help: impl Into<String>) {
        self.add(Finding { severity: Severity::Warning, at, message: message.into(), help: Some(help.into()) });
    }

    fn add(&mut self, finding: Finding) {
        let most = if finding.severity == Severity::Error { MAX_KEPT } else { MAX_WITH_WARNINGS };
        if self.findings.len() >= most {
            self.not_kept += usize::from(finding.severity == Severity::Error);
        } else if self.seen.insert(finding.clone()) {
            self.keep(finding);
        }
    }

    fn keep(&mut self, finding: Finding) {
        if finding.severity == Severity::Error {
            self.errors_at.entry(finding.at).or_insert(self.findings.len());
        }
        self.findings.push(finding);
    }

    /// Whether an error was found so far.
    pub(crate) fn has_errors(&self) -> bool {
        self.not_kept > 0 || self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }

    /// How many findings there are so far.
    pub(crate) fn mark(&self) -> usize {
        self.findings.len()
    }

    /// Drops what was found after the mark and follows from an error before it: what is said at the very place of one,
    /// and, where a table is named, what is said of that as a whole.
    pub(crate) fn drop_consequences(&mut self, mark: usize, table: Option<Span>) {
        if self.findings.len() == mark || (self.errors_at.is_empty() && table.is_none()) {
            return;
        }
        let is_refused = |at: &Span| self.errors_at.get(at).is_some_and(|first| *first < mark);
        let later = self.findings.split_off(mark);
        let (dropped, kept): (Vec<_>, Vec<_>) =
            later.into_iter().partition(|finding| table == Some(finding.at) || is_refused(&finding.at));
        for finding in dropped.iter().chain(&kept) {
            if self.errors_at.get(&finding.at).is_some_and(|first| *first >= mark) {
                self.errors_at.remove(&finding.at);
            }
        }
        // Should it be found again where it does not follow, it is told.
        dropped.iter().for_each(|finding| _ = self.seen.remove(finding));
        kept.into_iter().for_each(|finding| self.keep(finding));
    }

    /// Drops what was found after the mark on a line that had a finding before it. After a syntax error the rest of its
    /// line is a guess, and what later passes say of it would only confuse.
    pub(crate) fn drop_echoes(&mut self, mark: usize, sources: &Sources) {
        let line = |finding: &Finding| (finding.at.file, sources.locate(finding.at).1.line);
        let broken: HashSet<_> = self.findings[..mark].iter().map(line).collect();
        let later = self.findings.split_off(mark);
        self.findings.extend(later.into_iter().filter(|finding| !broken.contains(&line(finding))));
    }

    /// Places for everything, sorted: what is wrong stands before what may be.
    pub(crate) fn finish(mut self, sources: &Sources) -> Problems {
        self.findings.sort_by(|a, b| (a.severity, a.at, &a.message).cmp(&(b.severity, b.at, &b.message)));
        let place = |finding: Finding| {
            let (file, place) = sources.locate(finding.at);
            let (line, column) = (place.line, place.column);
            let Finding { severity, message, help, .. } = finding;
            Problem { severity, file, line, column, message, help, place }
        };
        Problems {
            list: self.findings.into_iter().map(place).collect(),
            not_kept: self.not_kept,
            files: Files { paths: sources.paths(), held: Held::default() },
        }
    }
}

/// Text from a file as a message shows it: in double quotes, control characters escaped, cut after 80 characters.
pub(crate) fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().take(80).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("{shown:?}")
}

/// The candidate that is most like what was written, if any is like it at all.
pub(crate) fn nearest<'a>(written: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Longer words are no slips of the hand, and comparing them costs their product.
    if written.len() > 64 {
        return None;
    }
    let scored = candidates.map(|candidate| (strsim::damerau_levenshtein(written, candidate), candidate));
    let (distance, best) = scored.min_by_key(|(distance, _)| *distance)?;
    let longest = written.chars().count().max(best.chars().count());
    // A third of the letters may differ: `lisen` for `listen`, `upstreem` for `upstream`.
    (distance < longest && distance * 3 <= longest.max(3)).then_some(best)
}

/// `did you mean "x"?`, where something is near.
pub(crate) fn did_you_mean<'a>(written: &str, candidates: impl Iterator<Item = &'a str>) -> Option<String> {
    nearest(written, candidates).map(|best| format!("did you mean {}?", quoted(best)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_warnings_push_no_error_away() {
        let mut report = Report::default();
        for number in 0..=MAX_KEPT {
            report.warning(Span::default(), format!("warning {number}"), "");
        }
        for number in 0..MAX_KEPT {
            report.error(Span::default(), format!("error {number}"));
        }
        let problems = report.finish(&Sources::default());
        assert_eq!(problems.iter().filter(|problem| problem.severity == Severity::Warning).count(), MAX_WITH_WARNINGS);
        assert_eq!(problems.iter().next().unwrap().message, "error 0");
        assert_eq!((problems.iter().count(), problems.not_kept()), (MAX_KEPT, MAX_KEPT - MAX_WITH_WARNINGS));
    }
}
