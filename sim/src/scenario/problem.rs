//! What is wrong with a scenario, and where: `file:line:column`, the line with a caret, and what to do about it.
//!
//! The form is that of `gateway check`. Control characters are replaced, so that a file cannot speak to a terminal.

use std::fmt::{self, Write as _};

use gateway::terminal::{printable, visible};

use super::source::{Place, Sources, Span};

/// Longest part of a line that is shown.
const MAX_SHOWN: usize = 120;

/// One problem with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    place: Place,
    message: String,
    help: Option<String>,
}

impl Problem {
    /// The line, from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.place.line
    }

    /// What is wrong.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { path, line, column, width, text } = &self.place;
        let (path, message) = (path.display().to_string(), printable(&self.message));
        writeln!(f, "{}:{line}:{column}: error: {message}", printable(&path))?;
        let gutter = line.to_string();
        let blank = " ".repeat(gutter.len());
        let shown: String = text.chars().take(MAX_SHOWN).map(visible).collect();
        let lead: String = text.chars().take(column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        writeln!(f, "{blank} |\n{gutter} | {shown}")?;
        if *column <= MAX_SHOWN {
            let carets = "^".repeat((*width).min(MAX_SHOWN + 1 - column));
            writeln!(f, "{blank} | {lead}{carets}")?;
        }
        match &self.help {
            Some(help) => writeln!(f, "{blank} = help: {}", printable(help)),
            None => Ok(()),
        }
    }
}

/// Every problem of a scenario, in the order of the text; never empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems {
    list: Vec<Problem>,
    /// What the gateway says of its configuration.
    gateway: Option<String>,
}

impl Problems {
    /// Each problem of the scenario's own files.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.list.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        for problem in &self.list {
            let _ = writeln!(text, "{problem}");
        }
        if !self.list.is_empty() {
            let count = self.list.len();
            let _ = writeln!(text, "{count} problem{}", if count == 1 { "" } else { "s" });
        }
        if let Some(gateway) = &self.gateway {
            let _ = writeln!(text, "\nthe gateway refuses its configuration, as it would be filled in:\n{gateway}");
        }
        f.write_str(text.trim_end())
    }
}

impl std::error::Error for Problems {}

/// Collects what readers find.
#[derive(Debug, Default)]
pub(super) struct Report {
    found: Vec<(Span, String, Option<String>)>,
    gateway: Option<String>,
}

impl Report {
    pub(super) fn error(&mut self, at: Span, message: impl Into<String>) {
        self.found.push((at, message.into(), None));
    }

    pub(super) fn error_with(&mut self, at: Span, message: impl Into<String>, help: impl Into<String>) {
        self.found.push((at, message.into(), Some(help.into())));
    }

    /// An error about a word, with what it may have been meant to be.
    pub(super) fn unknown(&mut self, at: Span, message: impl Into<String>, word: &str, known: &[&str]) {
        let help = match nearest(word, known) {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.is_empty() => "there is none".to_owned(),
            None if known.len() > 24 => format!("there are {} and {} more", known[..12].join(", "), known.len() - 12),
            None => format!("there are {}", known.join(", ")),
        };
        self.error_with(at, message, help);
    }

    /// What the gateway says of its filled configuration.
    pub(super) fn gateway(&mut self, text: String) {
        self.gateway = Some(text);
    }

    pub(super) fn is_clean(&self) -> bool {
        self.found.is_empty() && self.gateway.is_none()
    }

    /// All problems with their places, sorted.
    pub(super) fn finish(mut self, sources: &Sources) -> Problems {
        self.found.sort();
        self.found.dedup();
        let place = |(at, message, help)| Problem { place: sources.locate(at), message, help };
        Problems { list: self.found.into_iter().map(place).collect(), gateway: self.gateway }
    }
}

/// The known word that is most like the written one, if any is: a third of the letters may differ.
fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    if word.len() > 128 {
        return None;
    }
    let scored = known.iter().map(|known| (strsim::damerau_levenshtein(word, known), *known));
    let (distance, best) = scored.min_by_key(|(distance, _)| *distance)?;
    let longest = word.chars().count().max(best.chars().count());
    (distance < longest && distance * 3 <= longest.max(3)).then_some(best)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn shown(text: &str, range: std::ops::Range<usize>) -> String {
        let mut sources = Sources::default();
        let file = sources.add(Path::new("a.toml"), text.to_owned());
        let mut report = Report::default();
        report.error_with(Span::new(file, &range), "wrong", "right");
        report.finish(&sources).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_caret_stands_under_the_spot() {
        let expected = "a.toml:2:4: error: wrong\n  |\n2 | \tä bc\n  | \t  ^^\n  = help: right\n";
        assert_eq!(shown("x\n\tä bc\r\n", 6..8), expected);
        assert!(shown("ab", 9..12).starts_with("a.toml:1:3: error: wrong\n  |\n1 | ab\n  |   ^\n"));
        assert!(shown("a\u{1b}[31m", 0..1).contains("a\u{fffd}[31m"), "a file cannot speak to the terminal");
    }

    #[test]
    fn a_word_like_it_is_offered_and_otherwise_all() {
        assert_eq!(nearest("requst", &["request", "rate"]), Some("request"));
        assert_eq!(nearest("flavour", &["request", "rate"]), None);
    }
}
