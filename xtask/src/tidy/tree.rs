//! The files that rules look at, in memory.

use std::collections::BTreeSet;
use std::path::Path;

use super::lexer::{self, Lines, Views};
use super::paths::{NamedPath, named_paths};
use crate::failure::Failure;
use crate::process::{command, output};

/// One file of the repository.
#[derive(Debug)]
pub(crate) struct File {
    /// From the root, with forward slashes.
    pub(crate) path: String,
    /// The whole text.
    pub(crate) text: String,
    /// Code and comments apart; empty unless it is Rust.
    pub(crate) views: Views,
    lines: Lines,
    test_lines: Vec<bool>,
}

impl File {
    fn new(path: &str, text: &str) -> Self {
        let views = if has_extension(path, "rs") { lexer::split(text) } else { Views::default() };
        let lines = Lines::of(text);
        let test_lines = lexer::test_lines(&views.code, &lines);
        Self { path: path.to_owned(), text: text.to_owned(), views, lines, test_lines }
    }

    /// Whether this is Rust.
    pub(crate) fn is_rust(&self) -> bool {
        has_extension(&self.path, "rs")
    }

    /// Whether the whole file is test code.
    pub(crate) fn is_test_file(&self) -> bool {
        let mut parts = self.path.split('/');
        let name = parts.next_back().unwrap_or("");
        name == "tests.rs" || name.ends_with("_tests.rs") || parts.any(|part| part == "tests")
    }

    /// Whether a line, from 1, is test code.
    pub(crate) fn is_test_line(&self, line: usize) -> bool {
        self.is_test_file() || self.test_lines.get(line - 1).copied().unwrap_or(false)
    }

    /// The line of a place in the text.
    pub(crate) fn line_of(&self, place: usize) -> usize {
        self.lines.of_place(place)
    }

    /// The paths that code outside of tests names, with their lines.
    pub(crate) fn paths_outside_tests(&self) -> Vec<(usize, NamedPath)> {
        let with_lines = named_paths(&self.views.code).into_iter().map(|path| (self.line_of(path.place), path));
        with_lines.filter(|(line, _)| !self.is_test_line(*line)).collect()
    }
}

fn has_extension(path: &str, extension: &str) -> bool {
    Path::new(path).extension().is_some_and(|own| own == extension)
}

/// A place that breaks a rule, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) path: String,
    /// From 1.
    pub(crate) line: usize,
    /// The advice: one sentence that says what to do.
    pub(crate) advice: String,
}

impl Finding {
    /// A finding in a file.
    pub(crate) fn new(file: &File, line: usize, advice: impl Into<String>) -> Self {
        Self { path: file.path.clone(), line, advice: advice.into() }
    }
}

/// All files of the repository.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    /// The files that hold text.
    pub(crate) files: Vec<File>,
    /// Every file and folder, also those that hold no text.
    pub(crate) paths: BTreeSet<String>,
}

impl Tree {
    /// A tree of these paths and texts.
    #[cfg(test)]
    pub(crate) fn new<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut tree = Self::default();
        for (path, text) in files {
            tree.add(path, Some(text));
        }
        tree
    }

    /// Adds a file; without a text it is a path only.
    fn add(&mut self, path: &str, text: Option<&str>) {
        self.add_path(path);
        self.files.extend(text.map(|text| File::new(path, text)));
    }

    fn add_path(&mut self, path: &str) {
        for (end, _) in path.match_indices('/') {
            self.paths.insert(path[..end].to_owned());
        }
        self.paths.insert(path.to_owned());
    }

    /// Reads the repository: what git knows or would add, or every file where there is no git.
    pub(crate) fn read(root: &Path) -> Result<Self, Failure> {
        let mut names = listed_by_git(root).unwrap_or_default();
        if names.is_empty() {
            walk(root, "", &mut names);
        }
        if names.is_empty() {
            return Err(Failure::cannot_run(format!("no files in {}", root.display())));
        }
        let mut tree = Self::default();
        for name in names {
            // A file that was deleted but not yet staged is none; one that is no text is a path only.
            let Ok(bytes) = std::fs::read(root.join(&name)) else { continue };
            tree.add(&name, std::str::from_utf8(&bytes).ok());
        }
        Ok(tree)
    }

    /// The Rust files whose path begins so.
    pub(crate) fn rust_in(&self, prefix: &str) -> impl Iterator<Item = &File> {
        self.files.iter().filter(move |file| file.is_rust() && file.path.starts_with(prefix))
    }
}

fn listed_by_git(root: &Path) -> Option<Vec<String>> {
    let mut git = command("git");
    git.current_dir(root).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let listed = output(&mut git).ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(listed.stdout).ok()?;
    Some(text.split('\0').filter(|name| !name.is_empty()).map(str::to_owned).collect())
}

fn walk(root: &Path, folder: &str, names: &mut Vec<String>) {
    let Ok(entries) = std::fs::read_dir(root.join(folder)) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && name != "target" && name != ".git" => walk(root, &path, names),
            Ok(kind) if kind.is_file() => names.push(path),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_files_are_known_by_their_place() {
        for (path, expected) in [
            ("gateway/src/routing/tests.rs", true),
            ("gateway/tests/relay.rs", true),
            ("gateway/src/routing/table_tests.rs", true),
            ("gateway/src/routing/contests.rs", false),
        ] {
            assert_eq!(File::new(path, "").is_test_file(), expected, "{path}");
        }
    }

    #[test]
    fn a_tree_knows_its_folders() {
        let tree = Tree::new([("docs/adr/0001-a.md", "")]);
        assert!(tree.paths.contains("docs") && tree.paths.contains("docs/adr") && !tree.paths.contains("doc"));
    }

    #[test]
    fn this_repository_can_be_read_with_git_and_without() {
        let root = crate::workspace::root();
        assert!(Tree::read(&root).unwrap().paths.contains("xtask/src/main.rs"));
        let mut names = Vec::new();
        walk(&root.join("xtask"), "", &mut names);
        assert!(names.contains(&"src/main.rs".to_owned()));
    }
}
