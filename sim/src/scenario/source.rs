//! The files that a scenario was read from, and places in them.
//!
//! Lines and columns count from 1, columns in characters, as editors do.

use std::ops::Range;
use std::path::{Path, PathBuf};

/// A byte range of one file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span {
    file: usize,
    start: usize,
    end: usize,
}

impl Span {
    /// This range of the file with this number.
    pub(super) fn new(file: usize, range: &Range<usize>) -> Self {
        Self { file, start: range.start, end: range.end.max(range.start) }
    }

    /// The bytes.
    pub(super) fn range(self) -> Range<usize> {
        self.start..self.end
    }
}

/// Where a span lies, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) path: PathBuf,
    pub(super) line: usize,
    pub(super) column: usize,
    /// Characters under the caret, on the first line; at least 1.
    pub(super) width: usize,
    /// The line's text.
    pub(super) text: String,
}

/// All files of a scenario.
#[derive(Debug, Default)]
pub(super) struct Sources(Vec<(PathBuf, String)>);

impl Sources {
    /// Adds a file; its number.
    pub(super) fn add(&mut self, path: &Path, text: String) -> usize {
        self.0.push((path.to_path_buf(), text));
        self.0.len() - 1
    }

    /// A file's text.
    pub(super) fn text(&self, file: usize) -> &str {
        self.0.get(file).map_or("", |(_, text)| text)
    }

    /// Where a span lies.
    pub(super) fn locate(&self, span: Span) -> Place {
        let path = self.0.get(span.file).map(|(path, _)| path.clone()).unwrap_or_default();
        let text = self.text(span.file);
        let start = boundary(text, span.start);
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_text = text[line_start..].split('\n').next().unwrap_or("").trim_end_matches('\r');
        let end = boundary(text, span.end).clamp(start, (line_start + line_text.len()).max(start));
        Place {
            path,
            line: 1 + text[..start].matches('\n').count(),
            column: 1 + text[line_start..start].chars().count(),
            width: text[start..end].chars().count().max(1),
            text: line_text.to_owned(),
        }
    }
}

/// The nearest character boundary at or before this byte.
fn boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
