//! The files of one configuration, and places in them.
//!
//! A place is a byte range of a file; lines and columns are worked out only for what is shown. Lines and columns count
//! from 1, columns in characters, as editors do.

use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A byte range of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub(crate) struct Span {
    /// Index into [`Sources`].
    pub(crate) file: u32,
    /// The first byte.
    pub(crate) start: u32,
    /// One past the last byte.
    pub(crate) end: u32,
}

impl Span {
    /// A range of a file. Files are bounded far below 4 GiB.
    pub(crate) fn new(file: u32, range: &std::ops::Range<usize>) -> Self {
        let narrow = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Self { file, start: narrow(range.start), end: narrow(range.end) }
    }
}

/// One file's text.
#[derive(Debug)]
pub(crate) struct Source {
    /// As shown to people: as given on the command line, or found by `include`.
    pub(crate) path: Arc<Path>,
    text: String,
    line_starts: Vec<usize>,
}

impl Source {
    /// A file's text under its shown name.
    pub(crate) fn new(path: &Path, text: String) -> Self {
        let line_starts = std::iter::once(0).chain(memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| at + 1));
        Self { path: Arc::from(path), line_starts: line_starts.collect(), text }
    }

    /// The whole text.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Where a range lies.
    fn locate(&self, span: Span) -> Place {
        let start = floor_boundary(&self.text, span.start as usize);
        let end = floor_boundary(&self.text, span.end as usize).max(start);
        let index = self.line_starts.partition_point(|&line| line <= start).saturating_sub(1);
        let line_start = self.line_starts.get(index).copied().unwrap_or(0);
        let rest = &self.text[line_start..];
        let line_text = rest.split('\n').next().unwrap_or("").trim_end_matches('\r');
        let column = self.text[line_start..start].chars().count();
        let line_end = line_start + line_text.len();
        let width = self.text[start..end.clamp(start, line_end.max(start))].chars().count();
        Place { line: index + 1, column: column + 1, width: width.max(1), text: line_text.to_owned() }
    }
}

/// The nearest character boundary at or before this byte.
fn floor_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// Where something is, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The line, from 1.
    pub(crate) line: usize,
    /// The column in characters, from 1.
    pub(crate) column: usize,
    /// Characters under the caret, on this line; at least 1.
    pub(crate) width: usize,
    /// The line's text, without its end.
    pub(crate) text: String,
}

/// All files of a configuration; the first is the one that was asked for.
#[derive(Debug, Default)]
pub(crate) struct Sources(Vec<Source>);

impl Sources {
    /// Adds a file and gives its number.
    pub(crate) fn add(&mut self, source: Source) -> u32 {
        self.0.push(source);
        u32::try_from(self.0.len() - 1).unwrap_or(u32::MAX)
    }

    /// A file by number.
    pub(crate) fn get(&self, file: u32) -> Option<&Source> {
        self.0.get(file as usize)
    }

    /// Where a range lies, and in which file.
    pub(crate) fn locate(&self, span: Span) -> (Arc<Path>, Place) {
        match self.get(span.file) {
            Some(source) => (Arc::clone(&source.path), source.locate(span)),
            None => (Arc::from(Path::new("")), Place { line: 1, column: 1, width: 1, text: String::new() }),
        }
    }

    /// A path written at this place: relative paths start from the folder of the file they are written in.
    pub(crate) fn resolve(&self, written: &str, at: Span) -> PathBuf {
        let folder = self.get(at.file).and_then(|source| source.path.parent());
        folder.map_or_else(|| PathBuf::from(written), |folder| folder.join(written))
    }

    /// The shown names of all files, each with its text.
    pub(crate) fn into_texts(self) -> Vec<(Arc<Path>, String)> {
        self.0.into_iter().map(|source| (source.path, source.text)).collect()
    }

    /// The shown names of all files.
    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        self.0.iter().map(|source| source.path.to_path_buf()).collect()
    }
}
